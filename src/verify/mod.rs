//! Judgement: the one place where a token becomes a [`Principal`].
//!
//! A token is taken apart, screened by its unverified claims (which may refuse, never admit), and
//! only then is a key sought and the signature checked. With the key at hand all of this is one
//! plain function call.
//!
//! What is checked, in this order:
//! 1. size and form: a compact JWS, strict base64url, JSON objects without a member twice;
//! 2. header: no `crit`, no nested JWT, `typ` of an access token, `alg` on the allow-list;
//! 3. claims: `iss` exactly one of the configured, no other kind of token, `aud` exactly one of
//!    the accepted, `exp`, `nbf`, `iat`;
//! 4. the key: of that issuer, by `kid` and algorithm, exactly one;
//! 5. the signature.
//!
//! A token that was accepted of late, byte for byte the same, is judged by the clock alone while the keys
//! stay what they were ([`cache`]).

mod builder;
mod cache;
#[cfg(feature = "login")]
pub(crate) mod id_token;
#[cfg(feature = "login")]
pub(crate) mod logout_token;
pub(crate) mod profile;
mod screened;

use std::fmt;
use std::sync::Arc;
#[cfg(feature = "login")]
use std::time::Duration;

use crate::claims::{Audience, Scope};
use crate::error::{ConfigError, ProviderError, VerifyError, VerifyErrorKind as Kind};
use crate::flight::Flight;
use crate::jwt::{
    Algorithm, AlgorithmSet, CompactJws, DecodedJws, JoseHeader, Json, UnverifiedClaims,
};
use crate::keys::remote::KeySet;
use crate::observe;
use crate::principal::Principal;
use crate::provider::{AcceptedIssuer, Provider};
use crate::renew::{Outcome, Reading, Refusal, Snapshot};
use crate::token::is_b64token;
use crate::verify::cache::AcceptedTokens;
#[cfg(feature = "login")]
use crate::verify::profile::TokenKind;
use crate::verify::profile::{Expectation, screen_header};
use crate::verify::screened::{Facts, Screened};

pub use self::builder::VerifierBuilder;
pub use self::profile::TokenProfile;

/// Judges access tokens: those of the configured issuers, for the configured audiences.
///
/// Cloning is cheap, and clones share everything.
///
/// ```
/// use tower_oidc::{Provider, TokenProfile, Verifier};
///
/// # fn main() -> Result<(), tower_oidc::ConfigError> {
/// let provider = Provider::discover("https://id.example")?;
/// let verifier = provider.verifier("https://api.example.com")?;
///
/// // The same with choices:
/// let verifier = Verifier::builder(&provider, "https://api.example.com")
///     .with_profile(TokenProfile::Strict)
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

#[cfg_attr(feature = "login", derive(Clone))]
pub(crate) struct Inner {
    providers: Vec<Provider>,
    trusted: Vec<Trusted>,
    expectation: Expectation,
    algorithms: AlgorithmSet,
    narrowed_by_provider: bool,
    max_token_size: usize,
    scope_claims: Vec<String>,
    implied_scopes: Vec<(Scope, Scope)>,
    accepted: Option<Arc<AcceptedTokens>>,
}

/// One issuer, and whose keys count for it.
#[cfg_attr(feature = "login", derive(Clone))]
struct Trusted {
    named: AcceptedIssuer,
    provider: Provider,
    /// Its place in the list.
    place: usize,
}

/// What becomes of a token.
pub(crate) enum Decision {
    Accept(Principal),
    Refuse(VerifyError),
    /// Keys must come first.
    Wait(PendingKeys),
}

/// Keys on their way, and from whom.
pub(crate) struct PendingKeys {
    flight: Flight<Outcome<KeySet>>,
    provider: Provider,
}

impl Provider {
    /// A verifier of this provider's access tokens for `audience`, with the default of everything.
    ///
    /// # Errors
    /// [`ConfigError`] if the audience is empty.
    pub fn verifier(&self, audience: impl Into<String>) -> Result<Verifier, ConfigError> {
        Verifier::builder(self, audience).build()
    }
}

impl Verifier {
    /// A verifier of this provider's access tokens for `audience`, with choices.
    pub fn builder(provider: &Provider, audience: impl Into<String>) -> VerifierBuilder {
        VerifierBuilder::new(provider, audience.into())
    }

    pub(crate) fn from_inner(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// How far clocks may differ.
    #[cfg(feature = "login")]
    pub(crate) fn leeway(&self) -> Duration {
        self.0.expectation.leeway
    }

    /// A verifier of another kind of JWT by the same providers, with the same algorithms, leeway
    /// and bounds, meant for this audience alone.
    #[cfg(feature = "login")]
    pub(crate) fn of_kind(
        &self,
        kind: TokenKind,
        audience: &str,
        max_age: Option<Duration>,
    ) -> Result<Self, ConfigError> {
        let mut inner = Inner::clone(&self.0);
        inner.expectation = Expectation {
            audiences: vec![Audience::new(audience)?],
            kind,
            leeway: inner.expectation.leeway,
            max_age,
            // Such tokens are not presented to us by their bearer.
            allow_sender_constrained: true,
        };
        // They come from the provider, and name every group somebody is in.
        inner.max_token_size = builder::LARGEST_TOKEN_LIMIT;
        inner.accepted = None;
        Ok(Self::from_inner(inner))
    }

    /// The same without a memory, for tokens that are seldom seen twice.
    #[cfg(feature = "login")]
    pub(crate) fn forgetful(&self) -> Self {
        let mut inner = Inner::clone(&self.0);
        inner.accepted = None;
        Self::from_inner(inner)
    }

    /// The audiences accepted, at least one.
    #[must_use]
    pub fn audiences(&self) -> &[Audience] {
        &self.0.expectation.audiences
    }

    /// The providers trusted, at least one, each once.
    pub fn providers(&self) -> impl Iterator<Item = &Provider> {
        self.0.providers.iter()
    }

    /// Judges a token, fetching keys if there is need.
    ///
    /// # Errors
    /// [`VerifyError`] saying why it was refused. [`Kind::Unavailable`] alone does not speak against
    /// the token.
    ///
    /// [`Kind::Unavailable`]: crate::VerifyErrorKind::Unavailable
    pub async fn verify(&self, token: &str) -> Result<Principal, VerifyError> {
        match self.decide(token.as_bytes()) {
            Decision::Accept(principal) => Ok(principal),
            Decision::Refuse(error) => Err(error),
            Decision::Wait(keys) => self.decide_after(token.as_bytes(), keys).await,
        }
    }

    /// Judges a token with what is at hand: a plain function call.
    #[inline]
    pub(crate) fn decide(&self, token: &[u8]) -> Decision {
        match self.recall(token) {
            Some(principal) => {
                observe::token_recalled();
                Decision::Accept(principal)
            }
            None => self.decide_anew(token),
        }
    }

    fn decide_anew(&self, token: &[u8]) -> Decision {
        let decision = self.try_judge(token).unwrap_or_else(Decision::Refuse);
        match &decision {
            Decision::Accept(_) => observe::token_judged(Ok(())),
            Decision::Refuse(error) => observe::token_judged(Err(error)),
            Decision::Wait(_) => {}
        }
        decision
    }

    /// Judges a token once the keys have come, or could not be had.
    pub(crate) async fn decide_after(
        &self,
        token: &[u8],
        keys: PendingKeys,
    ) -> Result<Principal, VerifyError> {
        let judged = match keys.flight.landed().await {
            Ok(snapshot) => self.judge_with(token, &snapshot),
            Err(error) => Err(unavailable(&keys.provider, error)),
        };
        observe::token_judged(judged.as_ref().map(|_| ()));
        judged
    }

    fn try_judge(&self, token: &[u8]) -> Result<Decision, VerifyError> {
        let jws = self.take_apart(token)?;
        let screened = self.screen(&jws)?;
        let provider = &screened.trusted.provider;
        let snapshot = match provider.keys().read() {
            Reading::Ready(snapshot) => snapshot,
            Reading::Wait(flight) => return Ok(wait(provider, flight)),
            Reading::Refused(refusal) => return Err(refusal.into()),
        };
        let Some(keys) = &*snapshot else {
            return Err(Kind::Unavailable.into());
        };
        match screened.check_signature(&self.0, &jws, &keys.value) {
            Ok(()) => Ok(Decision::Accept(self.accept(
                token,
                screened.into_facts(&self.0, jws.payload()),
                jws,
                keys.serial,
            ))),
            Err(error) if error.kind() == Kind::UnknownKey => {
                match provider.keys().look_for_new_key()? {
                    Some(flight) => Ok(wait(provider, flight)),
                    None => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Judges a token with these keys and no others.
    fn judge_with(&self, token: &[u8], keys: &Snapshot<KeySet>) -> Result<Principal, VerifyError> {
        let jws = self.take_apart(token)?;
        let screened = self.screen(&jws)?;
        screened.check_signature(&self.0, &jws, &keys.value)?;
        let facts = screened.into_facts(&self.0, jws.payload());
        Ok(self.accept(token, facts, jws, keys.serial))
    }

    /// The one that was made when this token was accepted, if that still counts.
    #[inline]
    fn recall(&self, token: &[u8]) -> Option<Principal> {
        let accepted = self.0.accepted.as_ref()?.find(token)?;
        let provider = &self.0.trusted.get(accepted.trusted)?.provider;
        // Behind by milliseconds it may look too early, and then the token is judged anew.
        let now = provider.clock().now_roughly();
        let counts = accepted.counts(now) && provider.keys().serves(accepted.keys);
        counts.then_some(accepted.principal)
    }

    /// Makes a principal of a token that nothing speaks against, and remembers it with the serial of the keys.
    fn accept(&self, token: &[u8], facts: Facts, jws: DecodedJws, keys: u64) -> Principal {
        let Some(accepted) = &self.0.accepted else {
            return facts.into_principal(jws);
        };
        let (trusted, now, window) = (facts.trusted, facts.now, facts.window());
        let principal = facts.into_principal(jws);
        accepted.keep(token, &principal, trusted, keys, window, now);
        principal
    }

    fn take_apart<'a>(&self, token: &'a [u8]) -> Result<DecodedJws<'a>, VerifyError> {
        if token.len() > self.0.max_token_size {
            return Err(Kind::TooLarge.into());
        }
        CompactJws::split(token)
            .and_then(|jws| jws.decode())
            .map_err(|kind| match kind {
                Kind::TooLarge => kind.into(),
                _ if is_b64token(token) => kind.into(),
                _ => Kind::Malformed.into(),
            })
    }

    /// Everything that can be found out without a key.
    fn screen<'a>(&'a self, jws: &'a DecodedJws<'_>) -> Result<Screened<'a>, VerifyError> {
        let inner = &*self.0;
        let header = JoseHeader::parse(jws.header())?;
        screen_header(&header, inner.expectation.kind)?;
        let algorithm = header
            .alg
            .text()
            .and_then(Algorithm::from_name)
            .filter(|algorithm| inner.algorithms.contains(*algorithm))
            .ok_or_else(|| VerifyError::claim(Kind::Algorithm, "alg"))?;
        let kid = match header.kid {
            Json::Absent => None,
            Json::Text(kid) => Some(kid),
            _ => return Err(VerifyError::claim(Kind::NotAJwt, "kid")),
        };
        let claims = UnverifiedClaims::parse(jws.payload())?;
        let trusted = inner.trust(&claims)?;
        let now = trusted.provider.clock().now();
        let times = inner.expectation.screen(&claims, now)?;
        Ok(Screened {
            trusted,
            now,
            algorithm,
            kid,
            signature: jws.signature()?,
            claims,
            times,
        })
    }
}

fn wait(provider: &Provider, flight: Flight<Outcome<KeySet>>) -> Decision {
    Decision::Wait(PendingKeys {
        flight,
        provider: provider.clone(),
    })
}

fn unavailable(provider: &Provider, error: ProviderError) -> VerifyError {
    provider.keys().refusal(error).into()
}

impl From<Refusal> for VerifyError {
    fn from(refusal: Refusal) -> Self {
        Self::unavailable(refusal.error, refusal.retry_after)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        let issuers: Vec<_> = inner
            .trusted
            .iter()
            .map(|trusted| trusted.named.issuer.as_str())
            .collect();
        formatter
            .debug_struct("Verifier")
            .field("issuers", &issuers)
            .field("expectation", &inner.expectation)
            .field("algorithms", &inner.algorithms)
            .finish_non_exhaustive()
    }
}
