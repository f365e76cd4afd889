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
//!
//! With the keys at hand this is one plain function call. A token that was accepted before, byte for
//! byte the same, skips the steps: only its times are checked, and that the keys are still the same
//! ([`cache`]).

mod builder;
mod cache;
mod caller;
mod clients;
pub(crate) mod expectation;
#[cfg(feature = "login")]
pub(crate) mod id_token;
mod judge;
#[cfg(feature = "login")]
pub(crate) mod logout_token;
mod scopes;
mod trust;

use std::fmt;
use std::sync::Arc;
#[cfg(feature = "login")]
use std::time::Duration;

use crate::claims::Audience;
#[cfg(feature = "login")]
use crate::clock::UnixTime;
#[cfg(feature = "login")]
use crate::error::ConfigError;
use crate::error::VerifyError;
#[cfg(feature = "login")]
use crate::keys::remote::Bringer;
use crate::observe;
use crate::principal::Principal;
#[cfg(feature = "login")]
use crate::principal::PrincipalKind;
use crate::provider::Provider;
use crate::verify::cache::AcceptedTokens;
#[cfg(feature = "login")]
use crate::verify::expectation::{Expectation, LARGEST_TOKEN_LIMIT, TokenKind};
use crate::verify::judge::{Genuine, Judge, Judgement, Keys};

pub use self::builder::VerifierBuilder;
#[cfg(feature = "login")]
use self::builder::setup;
pub use self::expectation::TokenProfile;
pub(crate) use self::judge::PendingKeys;

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

#[derive(Clone)]
struct Inner {
    providers: Vec<Provider>,
    judge: Judge,
    accepted: Option<Arc<AcceptedTokens>>,
}

/// The verdict on a token.
pub(crate) enum Decision {
    Accept(Principal),
    Refuse(VerifyError),
    /// Keys must be fetched first.
    Wait(PendingKeys),
}

impl Verifier {
    fn new(providers: Vec<Provider>, judge: Judge, accepted: Option<AcceptedTokens>) -> Self {
        Self(Arc::new(Inner {
            providers,
            judge,
            accepted: accepted.map(Arc::new),
        }))
    }

    /// The audiences accepted, at least one.
    #[must_use]
    pub fn audiences(&self) -> &[Audience] {
        &self.0.judge.expectation.audiences
    }

    /// The providers trusted, at least one, each once.
    pub fn providers(&self) -> impl Iterator<Item = &Provider> {
        self.0.providers.iter()
    }

    /// Judges a token, and fetches keys if they are needed.
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
            None => self.decide_unseen(token),
        }
    }

    /// The principal that was made when this token was accepted, if that still counts.
    #[inline]
    fn recall(&self, token: &[u8]) -> Option<Principal> {
        let accepted = self.0.accepted.as_ref()?.find(token)?;
        let provider = &self.0.judge.issuers.at(accepted.issuer)?.provider;
        // The coarse clock may lag by milliseconds. A token may then seem not yet valid, and is judged
        // step by step.
        let (now, monotonic) = provider.clock().read_roughly();
        let counts = accepted.counts(now) && provider.keys().serve(accepted.keys, monotonic);
        counts.then_some(accepted.principal)
    }

    fn decide_unseen(&self, token: &[u8]) -> Decision {
        match self.0.judge.judge(token, Keys::AtHand) {
            Ok(Judgement::Genuine(genuine)) => {
                observe::token_judged(Ok(()));
                Decision::Accept(self.remember(token, genuine))
            }
            Ok(Judgement::Wait(keys)) => Decision::Wait(keys),
            Err(error) => {
                observe::token_judged(Err(&error));
                Decision::Refuse(error)
            }
        }
    }

    /// Judges a token once the keys are fetched.
    pub(crate) async fn decide_after(
        &self,
        token: &[u8],
        keys: PendingKeys,
    ) -> Result<Principal, VerifyError> {
        let judged = self.judge_after(token, keys).await;
        let decided = judged.map(|genuine| self.remember(token, genuine));
        observe::token_judged(decided.as_ref().map(|_| ()));
        decided
    }

    /// Waits for one fetch, and for a second one if the first was under way when the token came.
    async fn judge_after(
        &self,
        token: &[u8],
        mut keys: PendingKeys,
    ) -> Result<Genuine, VerifyError> {
        loop {
            let judged = match keys.awaited().await? {
                Some(awaited) => self.0.judge.judge(token, awaited.as_keys())?,
                None => self.0.judge.judge(token, Keys::AtHand)?,
            };
            match judged {
                Judgement::Genuine(genuine) => return Ok(genuine),
                Judgement::Wait(next) => keys = next,
            }
        }
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
                TokenKind::Logout => Bringer::LogoutRequest,
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
        let mut inner = Inner::clone(&self.0);
        let judge = &mut inner.judge;
        change(judge)?;
        judge.setup = Arc::new(setup(
            &judge.issuers,
            &judge.expectation,
            judge.max_token_size,
        ));
        inner.accepted = None;
        Ok(Self(Arc::new(inner)))
    }

    /// The same for the tokens of sessions, which came from the token endpoint, for the client of this program:
    /// without a list of clients, and without a cache, because sessions keep what was verified themselves.
    #[cfg(feature = "login")]
    pub(crate) fn for_sessions(&self) -> Self {
        let mut inner = Inner::clone(&self.0);
        inner.accepted = None;
        inner.judge.clients = None;
        inner.judge.bringer = Bringer::TokenEndpoint;
        Self(Arc::new(inner))
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
            .field("expectation", &judge.expectation)
            .field("algorithms", &judge.algorithms)
            .finish_non_exhaustive()
    }
}
