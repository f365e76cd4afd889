//! Judgement: the one place where a token becomes a [`Principal`].
//!
//! Each token goes through these checks, in this order ([`judge`]). The first that fails refuses it.
//!
//! 1. Size and form: a compact JWS, strict base64url, JSON objects without a member twice.
//! 2. The header: no `crit`, no nested JWT, `typ` of an access token, `alg` on the allow-list
//!    ([`expectation`]).
//! 3. The claims: `iss` is exactly one of the configured ([`trust`]); no other kind of token; `aud` is
//!    exactly one of the accepted; `exp`, `nbf`, `iat`.
//! 4. The key: of that issuer, by `kid` and algorithm, exactly one.
//! 5. The signature.
//! 6. Every JSON reader can read the claims, and the client is an allowed one ([`clients`]).
//! 7. It was not revoked ([`revocations`](crate::revocations)).
//!
//! With the keys at hand this is one plain function call. A token that was accepted before, byte for
//! byte the same, skips the steps: only its times are checked, that the keys are still the same
//! ([`cache`]), and that it was not revoked since.
//!
//! What only the provider can read, it is asked about, where that is chosen ([`introspection`]). Where issuers are
//! looked up ([`issuer_source`]), a token of an unknown one passes all that needs no keys first.

mod awaited_keys;
mod builder;
mod cache;
mod caller;
mod clients;
pub(crate) mod expectation;
#[cfg(feature = "login")]
pub(crate) mod id_token;
#[cfg(feature = "introspection")]
mod introspection;
mod issuer_source;
mod judge;
#[cfg(feature = "login")]
pub(crate) mod logout_token;
mod looking;
#[cfg(feature = "login")]
mod other_issuer;
mod principals;
mod scopes;
#[cfg(feature = "doctor")]
mod screen;
pub(crate) mod token_kind;
mod trust;
mod trusted;

use std::fmt;
use std::sync::Arc;
#[cfg(feature = "login")]
use std::time::Duration;

use tracing::Instrument as _;

use crate::claims::Audience;
use crate::clock::SharedClock;
#[cfg(feature = "login")]
use crate::clock::UnixTime;
#[cfg(feature = "login")]
use crate::error::ConfigError;
#[cfg(feature = "login")]
use crate::error::setup::Setup;
use crate::error::{VerifyError, VerifyErrorKind};
#[cfg(feature = "introspection")]
use crate::jwt::Form;
#[cfg(feature = "login")]
use crate::keys::remote::Bringer;
use crate::observe;
use crate::principal::Principal;
#[cfg(feature = "login")]
use crate::principal::PrincipalKind;
use crate::provider::Provider;
use crate::verify::awaited_keys::PendingKeys;
use crate::verify::cache::{Accepted, AcceptedTokens};
#[cfg(feature = "login")]
use crate::verify::expectation::{Expectation, LARGEST_TOKEN_LIMIT};
use crate::verify::judge::{Genuine, Judge, Judgement};
use crate::verify::looking::{Looking, judge_at_hand};
#[cfg(feature = "login")]
use crate::verify::token_kind::TokenKind;

pub use self::builder::VerifierBuilder;
#[cfg(any(feature = "introspection", feature = "login"))]
use self::builder::setup;
#[cfg(feature = "introspection")]
pub use self::introspection::Introspection;
#[cfg(feature = "introspection")]
use self::introspection::{Introspector, PendingAnswer};
pub use self::issuer_source::{IssuerSource, IssuerSourceBuilder};
use self::judge::PendingIssuer;
pub use self::token_kind::TokenProfile;

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
#[doc(alias("access token", "audience", "jwt", "validate"))]
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    providers: Vec<Provider>,
    judge: Judge,
    accepted: Option<Arc<AcceptedTokens>>,
    #[cfg(feature = "introspection")]
    introspector: Option<Arc<Introspector>>,
}

/// The verdict on a token.
pub(crate) enum Decision {
    Accept(Principal),
    Refuse(VerifyError),
    /// The provider must be asked first.
    Wait(Pending),
}

/// What the provider must be asked for.
pub(crate) enum Pending {
    Keys(PendingKeys),
    /// Which is not the provider but the source of it.
    Issuer(PendingIssuer),
    /// In a box, because it is seldom and would make every decision larger.
    #[cfg(feature = "introspection")]
    Answer(Box<PendingAnswer>),
}

impl Verifier {
    fn new(providers: Vec<Provider>, judge: Judge, accepted: Option<AcceptedTokens>) -> Self {
        Self(Arc::new(Inner {
            providers,
            judge,
            accepted: accepted.map(Arc::new),
            #[cfg(feature = "introspection")]
            introspector: None,
        }))
    }

    /// The same with a way to ask the provider about tokens.
    #[cfg(feature = "introspection")]
    fn asking(&self, introspector: Introspector) -> Self {
        let mut inner = Inner::clone(&self.0);
        inner.introspector = Some(Arc::new(introspector));
        Self(Arc::new(inner))
    }

    /// The audiences accepted, at least one.
    #[must_use]
    pub fn audiences(&self) -> &[Audience] {
        &self.0.judge.expectation.audiences
    }

    /// The configured providers, each once. Those that an [`IssuerSource`] names are not among them, so a verifier
    /// [made of one](Self::from_source) has none.
    pub fn providers(&self) -> impl Iterator<Item = &Provider> {
        self.0.providers.iter()
    }

    /// Whether a token that another verifier has accepted is of a configured issuer and for an audience of this one.
    #[cfg(feature = "login")]
    pub(crate) fn is_for(&self, principal: &Principal) -> bool {
        let judge = &self.0.judge;
        let issuer = principal.issuer().as_str();
        let mut trusted = judge.issuers.iter();
        let mut audiences = judge.expectation.audiences.iter();
        let mut clients = judge.expectation.clients.iter();
        let has_none = principal.audiences().next().is_none();
        let is_of_client = |client: &str| clients.any(|known| known.as_str() == client);
        trusted.any(|trusted| trusted.is_called(issuer))
            && (audiences.any(|audience| principal.has_audience(audience.as_str()))
                || (has_none && principal.client_id().is_some_and(is_of_client)))
    }

    /// The clock of the first provider, or of the issuer source.
    pub(crate) fn clock(&self) -> SharedClock {
        let configured = self.0.providers.first().map(Provider::clock);
        let clock = configured.or_else(|| self.0.judge.issuers.source().map(IssuerSource::clock));
        clock.map_or_else(SharedClock::system, SharedClock::clone)
    }

    /// Judges a token, and fetches keys and looks up its issuer if need be.
    ///
    /// # Errors
    /// [`VerifyError`] with the reason of the refusal. [`Unavailable`] alone says nothing about the
    /// token.
    ///
    /// [`Unavailable`]: crate::VerifyErrorKind::Unavailable
    pub async fn verify(&self, token: &str) -> Result<Principal, VerifyError> {
        match self.decide(token.as_bytes()) {
            Decision::Accept(principal) => Ok(principal),
            Decision::Refuse(error) => Err(error),
            Decision::Wait(pending) => self.decide_after(token.as_bytes(), pending).await,
        }
    }

    /// Judges a token with what is at hand: a plain function call.
    #[inline]
    pub(crate) fn decide(&self, token: &[u8]) -> Decision {
        #[cfg(feature = "introspection")]
        if let Some(introspector) = &self.0.introspector {
            return self.decide_or_ask(introspector, token);
        }
        match self.recall(token) {
            Some(principal) => {
                observe::token_recalled();
                Decision::Accept(principal)
            }
            None => self.decide_unseen(token),
        }
    }

    /// The principal that was made when this token was accepted, if that still counts.
    #[inline]
    fn recall(&self, token: &[u8]) -> Option<Principal> {
        let accepted = self.0.accepted.as_ref()?.find(token)?;
        let counts = match self.0.judge.issuers.at(accepted.issuer) {
            Some(trusted) => counts_by(&accepted, &trusted.provider),
            None => self.counts_by_found(&accepted),
        };
        let is_revoked = || self.0.judge.revocations.is_some() && accepted.principal.is_revoked();
        (counts && !is_revoked()).then_some(accepted.principal)
    }

    /// The same for a token whose issuer was looked up.
    #[cold]
    fn counts_by_found(&self, accepted: &Accepted) -> bool {
        let iss = accepted.principal.issuer().as_str();
        let found = self.0.judge.issuers.found(iss, accepted.issuer);
        found.is_some_and(|found| counts_by(accepted, &found.value.provider))
    }

    /// The same where the provider can be asked.
    #[cfg(feature = "introspection")]
    #[inline(never)]
    fn decide_or_ask(&self, introspector: &Arc<Introspector>, token: &[u8]) -> Decision {
        let form = Form::of(token);
        let recalled = (form == Form::Jws).then(|| self.recall(token)).flatten();
        let verified = match (form, recalled) {
            (Form::Other, _) => None,
            (Form::Overlong, _) => {
                let error = VerifyErrorKind::NotAJwt.into();
                observe::token_judged(Err(&error));
                return Decision::Refuse(error);
            }
            (Form::Jws, Some(principal)) if !introspector.judges_all() => {
                observe::token_recalled();
                return Decision::Accept(principal);
            }
            (Form::Jws, Some(principal)) => Some(principal),
            (Form::Jws, None) => match judge_at_hand(&self.0.judge, || self.clock(), token) {
                Ok(Judgement::Genuine(genuine)) => Some(self.remember(token, genuine)),
                Ok(Judgement::Wait(keys)) => return Decision::Wait(Pending::Keys(keys)),
                Ok(Judgement::LookUp(issuer)) => return Decision::Wait(Pending::Issuer(issuer)),
                // It looked like a JWT and is none.
                Err(error) if error.kind() == VerifyErrorKind::Opaque => None,
                Err(error) => {
                    observe::token_judged(Err(&error));
                    return Decision::Refuse(error);
                }
            },
        };
        Self::ask_about(introspector, token, verified)
    }

    /// What the provider says or has said of a token. `verified`: the principal of a JWT that was verified here.
    #[cfg(feature = "introspection")]
    fn ask_about(
        introspector: &Arc<Introspector>,
        token: &[u8],
        verified: Option<Principal>,
    ) -> Decision {
        let decision = match verified {
            Some(principal) if !introspector.judges_all() => Decision::Accept(principal),
            verified => match introspector.recall(token) {
                Some(principal) => {
                    observe::token_recalled();
                    return Decision::Accept(verified.unwrap_or(principal));
                }
                None => match introspector.question(token, verified) {
                    Ok(answer) => Decision::Wait(Pending::Answer(Box::new(answer))),
                    Err(error) => Decision::Refuse(error),
                },
            },
        };
        match &decision {
            Decision::Accept(_) => observe::token_judged(Ok(())),
            Decision::Refuse(error) => observe::token_judged(Err(error)),
            Decision::Wait(_) => {}
        }
        decision
    }

    #[inline(never)]
    fn decide_unseen(&self, token: &[u8]) -> Decision {
        match judge_at_hand(&self.0.judge, || self.clock(), token) {
            Ok(Judgement::Genuine(genuine)) => {
                observe::token_judged(Ok(()));
                Decision::Accept(self.remember(token, genuine))
            }
            Ok(Judgement::Wait(keys)) => Decision::Wait(Pending::Keys(keys)),
            Ok(Judgement::LookUp(issuer)) => Decision::Wait(Pending::Issuer(issuer)),
            Err(error) => {
                observe::token_judged(Err(&error));
                Decision::Refuse(error)
            }
        }
    }

    /// Judges a token once the provider has been asked.
    pub(crate) async fn decide_after(
        &self,
        token: &[u8],
        pending: Pending,
    ) -> Result<Principal, VerifyError> {
        let looking = Looking::begin(self.clock(), true);
        let waiting = self.waited_for(token, pending);
        let decided = waiting.instrument(looking.span.clone()).await;
        looking.end(decided.as_ref());
        observe::token_judged(decided.as_ref().map(|_| ()));
        decided
    }

    async fn waited_for(&self, token: &[u8], pending: Pending) -> Result<Principal, VerifyError> {
        let decided = match pending {
            Pending::Keys(keys) => self.decide_with_keys(token, keys).await,
            // An introspector judges no JWTs where issuers are looked up.
            Pending::Issuer(issuer) => {
                let genuine = self.0.judge.judge_after_look_up(token, issuer).await;
                genuine.map(|genuine| self.remember(token, genuine))
            }
            #[cfg(feature = "introspection")]
            Pending::Answer(answer) => answer.answered(token).await,
        };
        // It may have been revoked while the provider was asked.
        decided.and_then(|principal| {
            if principal.is_revoked() {
                Err(VerifyError::from(VerifyErrorKind::Revoked).judged_by(&self.0.judge.setup))
            } else {
                Ok(principal)
            }
        })
    }

    async fn decide_with_keys(
        &self,
        token: &[u8],
        keys: PendingKeys,
    ) -> Result<Principal, VerifyError> {
        let genuine = self.0.judge.judge_after(token, keys).await?;
        let principal = self.remember(token, genuine);
        #[cfg(feature = "introspection")]
        if let Some(introspector) = &self.0.introspector
            && introspector.judges_all()
            && introspector.recall(token).is_none()
        {
            let answer = introspector.question(token, Some(principal))?;
            return answer.answered(token).await;
        }
        Ok(principal)
    }

    /// Remembers an accepted token with the serial of the keys.
    fn remember(&self, token: &[u8], genuine: Genuine) -> Principal {
        if let Some(accepted) = &self.0.accepted {
            accepted.keep(token, &genuine);
        }
        genuine.principal
    }

    /// The principal of a token that this verifier accepted once and that was under seal since.
    #[cfg(feature = "login")]
    pub(crate) fn recall_sealed(&self, token: &str, expires_at: UnixTime) -> Option<Principal> {
        self.0.judge.recall_sealed(token.as_bytes(), expires_at)
    }

    /// Whether the provider of `issuer` signed this token, which names another issuer and is in order otherwise. It is
    /// judged by the keys at hand.
    #[cfg(feature = "login")]
    pub(crate) fn is_signed_for_another(&self, token: &str, issuer: &str) -> bool {
        let judged = self.0.judge.is_signed_for_another(token.as_bytes(), issuer);
        judged.unwrap_or(false)
    }

    /// A verifier of another kind of JWT by the same providers, with the same algorithms, leeway and
    /// bounds, for this audience alone.
    #[cfg(feature = "login")]
    pub(crate) fn of_kind(
        &self,
        kind: TokenKind,
        audience: &str,
        max_age: Option<Duration>,
    ) -> Result<Self, ConfigError> {
        self.changed(|judge| {
            judge.bringer = match kind {
                TokenKind::Logout { .. } => Bringer::LogoutRequest,
                _ => Bringer::TokenEndpoint,
            };
            judge.expectation = Expectation {
                audiences: vec![Audience::new(audience)?],
                clients: Vec::new(),
                kind,
                leeway: judge.expectation.leeway,
                max_age,
                // These tokens are not presented to us by their bearer.
                allow_sender_constrained: true,
            };
            // It is the provider that sends them, whatever clients may call.
            judge.clients = None;
            // They come from the provider, and name every group of the user.
            judge.max_token_size = LARGEST_TOKEN_LIMIT;
            Ok(())
        })
    }

    /// The same with a change to what tokens are judged by, and without a cache.
    #[cfg(feature = "login")]
    fn changed(
        &self,
        change: impl FnOnce(&mut Judge) -> Result<(), ConfigError>,
    ) -> Result<Self, ConfigError> {
        let mut inner = self.for_configured_issuers();
        let judge = &mut inner.judge;
        change(judge)?;
        judge.setup = Arc::new(setup(
            &judge.issuers,
            &judge.expectation,
            judge.max_token_size,
        ));
        Ok(Self(Arc::new(inner)))
    }

    /// The same for the tokens of sessions, which came from the token endpoint, for the client of this program:
    /// without a list of clients, and without a cache, because sessions keep what was verified themselves.
    #[cfg(feature = "login")]
    pub(crate) fn for_sessions(&self) -> Self {
        let mut inner = self.for_configured_issuers();
        inner.judge.clients = None;
        inner.judge.bringer = Bringer::TokenEndpoint;
        let judge = &inner.judge;
        inner.judge.setup = Arc::new(Setup {
            is_presented: false,
            ..setup(&judge.issuers, &judge.expectation, judge.max_token_size)
        });
        Self(Arc::new(inner))
    }

    /// Without what it remembers, and without a way to ask about tokens or issuers. A logout token names a session that
    /// has ended, so that what was revoked says nothing against it; sessions have an end of their own.
    #[cfg(feature = "login")]
    fn for_configured_issuers(&self) -> Inner {
        let mut inner = Inner::clone(&self.0);
        inner.accepted = None;
        inner.judge.revocations = None;
        #[cfg(feature = "introspection")]
        {
            inner.introspector = None;
        }
        inner.judge.issuers = inner.judge.issuers.without_source();
        inner
    }

    /// The error of a further check, with what it needs to name a remedy.
    #[cfg(feature = "login")]
    pub(crate) fn explain(&self, error: VerifyError) -> VerifyError {
        error.judged_by(&self.0.judge.setup)
    }

    /// Whether clients present ID tokens.
    #[cfg(feature = "login")]
    pub(crate) fn wants_id_tokens(&self) -> bool {
        self.0.judge.expectation.kind.principal() == PrincipalKind::IdToken
    }

    /// How far clocks may differ.
    #[cfg(feature = "login")]
    pub(crate) fn leeway(&self) -> Duration {
        self.0.judge.expectation.leeway
    }
}

/// Whether an accepted token of this provider still counts.
#[inline]
fn counts_by(accepted: &Accepted, provider: &Provider) -> bool {
    // The coarse clock may lag by milliseconds. A token may then seem not yet valid, and is judged step by step.
    let (now, monotonic) = provider.clock().read_roughly();
    accepted.counts(now) && provider.keys().serve(accepted.keys, monotonic)
}

impl fmt::Debug for Verifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let judge = &self.0.judge;
        let issuers: Vec<_> = judge
            .issuers
            .iter()
            .map(|trusted| trusted.named.issuer.as_str())
            .collect();
        formatter
            .debug_struct("Verifier")
            .field("issuers", &issuers)
            .field("issuer_source", &judge.issuers.source())
            .field("expectation", &judge.expectation)
            .field("algorithms", &judge.algorithms)
            .finish_non_exhaustive()
    }
}
