//! Introspection: the provider is asked about tokens that only it can read
//! ([RFC 7662](https://www.rfc-editor.org/rfc/rfc7662)).
//!
//! 1. What it said of a token counts for a while ([`memory`]): that the token is active for a minute at most and
//!    never past its `exp`, that it is not for ten seconds.
//! 2. Else the provider is asked. Requests with the same token wait for one call, and the number of calls is
//!    bounded ([`lookup`](crate::lookup)). A call that is not made or brings no answer says nothing about the token.
//! 3. The answer is held against what is expected of every access token ([`answer`]).

mod answer;
mod memory;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::allowance::Rate;
use crate::claims::Audience;
use crate::clock::UnixTime;
use crate::error::{
    ConfigError, ProviderError, ProviderErrorKind, VerifyError, VerifyErrorKind as Kind,
};
use crate::keys::remote::Bringer;
use crate::lookup::calls::{Begun, Calls, Manner};
use crate::observe;
use crate::principal::Principal;
use crate::provider::client::introspection::{IntrospectionAnswer, NoAnswer};
use crate::provider::{Client, Provider};
use crate::secret::{Secret, sha256};
use crate::settings::{CLIENT_SECRET, INTROSPECTION, ISSUER, ISSUER_SOURCE, TOKEN_PROFILE};
use crate::token::is_b64token;
use crate::verify::awaited_keys::Keys;
use crate::verify::expectation::LARGEST_TOKEN_LIMIT;
use crate::verify::introspection::answer::{Denied, told_of};
use crate::verify::introspection::memory::{DOUBTED_FOR, Digest, Memory};
use crate::verify::judge::{Genuine, Judge, Judgement};
use crate::verify::setup;
use crate::verify::token_kind::{TokenKind, TokenProfile};
use crate::verify::trust::TrustedIssuers;

/// How the provider is asked about tokens, for
/// [`VerifierBuilder::with_introspection`](crate::VerifierBuilder::with_introspection).
///
/// ```
/// use tower_oidc::{Client, Introspection, Provider, Verifier};
///
/// # fn main() -> Result<(), tower_oidc::ConfigError> {
/// let provider = Provider::discover("https://id.example")?;
/// let client = Client::with_secret("api", "the secret of the api")?;
///
/// // Opaque tokens alone:
/// let verifier = Verifier::builder(&provider, "https://api.example.com")
///     .with_introspection(client.clone())
///     .build()?;
///
/// // JWTs too, so that a revoked one is refused within a minute:
/// let verifier = Verifier::builder(&provider, "https://api.example.com")
///     .with_introspection(Introspection::new(client).with_jwts())
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[must_use]
#[derive(Debug, Clone)]
pub struct Introspection {
    client: Client,
    with_jwts: bool,
    signed: bool,
}

impl Introspection {
    /// Asks as this client, about tokens that are not JWTs. The client has to be allowed to introspect tokens at the
    /// provider.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            with_jwts: false,
            signed: false,
        }
    }

    /// Asks about JWTs too, after they were verified here: a JWT has to pass both. Default: a JWT is verified here
    /// alone.
    ///
    /// This notices within a minute that a JWT was revoked. It costs one call a minute for each token.
    pub fn with_jwts(mut self) -> Self {
        self.with_jwts = true;
        self
    }

    /// Demands answers that the provider signed ([RFC 9701](https://www.rfc-editor.org/rfc/rfc9701)). An answer
    /// without a signature, or with one that is not good, is none: requests are refused with 503. The audience of an
    /// answer is the client or an audience of the verifier. Default: signed answers are not asked for; one that comes
    /// is verified all the same.
    pub fn require_signed_answers(mut self) -> Self {
        self.signed = true;
        self
    }
}

impl From<Client> for Introspection {
    fn from(client: Client) -> Self {
        Self::new(client)
    }
}

const MANNER: Manner = Manner {
    under_way: 32,
    rate: Rate {
        burst: 100,
        refill: Duration::from_millis(10),
    },
    pauses: true,
    broken_off: "the call to the introspection endpoint was broken off in this process",
    too_many: "too many tokens that the provider would have to be asked about came at once",
    count_suppressed: || observe::introspected("suppressed"),
};

/// Asks the provider, and remembers what it said.
pub(super) struct Introspector {
    provider: Provider,
    chosen: Introspection,
    /// Judges answers.
    judge: Judge,
    /// Verifies signed answers.
    signed_answers: Judge,
    memory: Memory,
    calls: Calls<Digest, Principal, VerifyError>,
}

/// A token that the provider must be asked about.
pub(crate) struct PendingAnswer {
    introspector: Arc<Introspector>,
    digest: Digest,
    /// The principal of a token that was verified here.
    verified: Option<Principal>,
}

impl Introspector {
    /// For a verifier that judges by `judge` and trusts these providers.
    pub(super) fn new(
        chosen: Introspection,
        providers: &[Provider],
        judge: &Judge,
        capacity: usize,
    ) -> Result<Self, ConfigError> {
        let contradicts = |other: &'static str, remedy: &'static str| ConfigError::Contradiction {
            setting: INTROSPECTION.into(),
            other: other.into(),
            remedy: remedy.into(),
        };
        let Some(provider) = providers.first() else {
            return Err(ConfigError::missing(ISSUER, "name the provider"));
        };
        if chosen.client.is_public() {
            return Err(ConfigError::missing(
                CLIENT_SECRET,
                "a provider tells about tokens only to a client that authenticates; copy the secret from the provider",
            ));
        }
        if judge.expectation.kind == TokenKind::Access(TokenProfile::IdToken) {
            return Err(contradicts(
                TOKEN_PROFILE,
                "an answer of the provider is about an access token, and ID tokens are expected; remove one of them",
            ));
        }
        if chosen.with_jwts && providers.len() > 1 {
            return Err(contradicts(
                ISSUER,
                "the first provider cannot tell about the tokens of another one; trust one provider, or let the \
                 provider be asked about opaque tokens alone",
            ));
        }
        if chosen.with_jwts && judge.issuers.source().is_some() {
            return Err(contradicts(
                ISSUER_SOURCE,
                "the first provider cannot tell about the tokens of an issuer that is looked up; let it be asked about \
                 opaque tokens alone",
            ));
        }
        let only = std::slice::from_ref(provider);
        let mut answers = judge.clone();
        answers.issuers = TrustedIssuers::of(only)?;
        let mut signed = answers.clone();
        answers.expectation.kind = TokenKind::Introspected;
        answers.setup = Arc::new(setup(
            &answers.issuers,
            &answers.expectation,
            judge.max_token_size,
        ));
        signed
            .expectation
            .audiences
            .push(Audience::new(chosen.client.id())?);
        signed.expectation.clients = Vec::new();
        signed.expectation.kind = TokenKind::IntrospectionAnswer;
        signed.expectation.max_age = None;
        signed.expectation.allow_sender_constrained = true;
        signed.clients = None;
        // It is the answer that is verified, and not the token.
        signed.revocations = None;
        // The list in the metadata is about ID tokens.
        signed.narrowed_by_provider = false;
        signed.max_token_size = LARGEST_TOKEN_LIMIT;
        signed.bringer = Bringer::TokenEndpoint;
        signed.setup = Arc::new(setup(
            &signed.issuers,
            &signed.expectation,
            LARGEST_TOKEN_LIMIT,
        ));
        Ok(Self {
            signed_answers: signed,
            memory: Memory::new(capacity),
            calls: Calls::new(MANNER, provider.clock()),
            provider: provider.clone(),
            judge: answers,
            chosen,
        })
    }

    /// Whether JWTs have to pass too.
    #[inline]
    pub(super) fn judges_all(&self) -> bool {
        self.chosen.with_jwts
    }

    /// The principal that was made when the provider called this token active, if that still counts.
    #[inline]
    pub(super) fn recall(&self, token: &[u8]) -> Option<Principal> {
        self.memory
            .active(token, self.provider.clock().read_roughly())
            .filter(|principal| !principal.is_revoked())
    }

    /// The question about a token that is not remembered as active, unless it is refused without one. `verified` is what
    /// a verification here brought.
    pub(super) fn question(
        self: &Arc<Self>,
        token: &[u8],
        verified: Option<Principal>,
    ) -> Result<PendingAnswer, VerifyError> {
        if token.len() > self.judge.max_token_size {
            return Err(self.explained(Kind::TooLarge.into()));
        }
        let text = std::str::from_utf8(token)
            .ok()
            .filter(|_| is_b64token(token));
        let Some(text) = text else {
            return Err(Kind::Malformed.into());
        };
        let digest = Digest::try_from(sha256(text).as_ref()).unwrap_or_default();
        let now = self.now();
        // The provider need not be asked.
        let known = self.memory.active(token, now);
        if known.is_some_and(|principal| principal.is_revoked()) {
            return Err(self.explained(Kind::Revoked.into()));
        }
        match self.memory.refusal(&digest, now) {
            Some(error) => Err(error),
            None => Ok(PendingAnswer {
                introspector: Arc::clone(self),
                digest,
                verified,
            }),
        }
    }

    /// One call, and what is remembered of it.
    async fn call(
        &self,
        token: &Secret,
        digest: Digest,
        verified: Option<Principal>,
    ) -> Result<Result<Principal, VerifyError>, ProviderError> {
        let (client, signed) = (&self.chosen.client, self.chosen.signed);
        let asked = self
            .provider
            .introspect(client, token.expose(), signed)
            .await;
        let judged = match asked {
            Ok(answer) => self.judge_answer(answer, verified.as_ref()).await,
            Err(NoAnswer::OfAny(error)) => Err(Denied::Unanswered(error)),
            Err(NoAnswer::OfThis(error)) => Err(Denied::Unusable(error)),
        };
        let token = token.expose().as_bytes();
        match judged {
            Ok(genuine) => {
                observe::introspected("active");
                let (_, monotonic) = self.now();
                self.memory.keep_active(token, digest, &genuine, monotonic);
                Ok(Ok(genuine.principal))
            }
            Err(Denied::Refused(error)) => {
                observe::introspected(error.kind().as_str());
                self.memory.keep_refused(token, digest, &error, self.now());
                Ok(Err(error))
            }
            Err(Denied::Unusable(error)) => {
                observe::introspected(error.kind().as_str());
                let error = VerifyError::unavailable(error, DOUBTED_FOR);
                self.memory.keep_doubted(digest, &error, self.now());
                Ok(Err(error))
            }
            Err(Denied::Unavailable(error)) => {
                observe::introspected(error.kind().as_str());
                Ok(Err(error))
            }
            Err(Denied::Unanswered(error)) => {
                observe::introspected(error.kind().as_str());
                Err(error)
            }
        }
    }

    async fn judge_answer(
        &self,
        answer: IntrospectionAnswer,
        verified: Option<&Principal>,
    ) -> Result<Genuine, Denied> {
        let text = match answer {
            IntrospectionAnswer::Signed(token) => {
                // Without the keys it is unknown whether the provider signed the answer.
                let stated = self.verify_answer(token.trim().as_bytes()).await;
                let stated = stated.map_err(|error| match error.kind() {
                    Kind::Unavailable => Denied::Unavailable(error),
                    _ => unusable(
                        "the signature or the claims of the introspection answer are refused",
                        Some(error),
                    ),
                })?;
                told_of(&stated).ok_or_else(|| {
                    unusable(
                        "the introspection answer is a JWT without token_introspection",
                        None,
                    )
                })?
            }
            IntrospectionAnswer::Plain(_) if self.chosen.signed => {
                return Err(unusable(
                    "the introspection endpoint answered without a signature, and signed answers are required; configure \
                     the provider to sign them for this client, or do not require it (OPENID_INTROSPECTION_SIGNED)",
                    None,
                ));
            }
            IntrospectionAnswer::Plain(text) => text,
        };
        self.judge.judge_answer(text, verified)
    }

    async fn verify_answer(&self, token: &[u8]) -> Result<Principal, VerifyError> {
        let genuine = match self.signed_answers.judge(token, Keys::AtHand)? {
            Judgement::Genuine(genuine) => genuine,
            Judgement::Wait(keys) => self.signed_answers.judge_after(token, keys).await?,
            // Its issuer is the configured one.
            Judgement::LookUp(_) => return Err(Kind::Unavailable.into()),
        };
        Ok(genuine.principal)
    }

    /// The wall clock and the monotonic one.
    fn now(&self) -> (UnixTime, Duration) {
        let clock = self.provider.clock();
        (clock.now(), clock.monotonic())
    }

    fn explained(&self, error: VerifyError) -> VerifyError {
        error.judged_by(&self.judge.setup)
    }
}

impl PendingAnswer {
    /// Asks the provider, or waits for a call that is under way.
    pub(super) async fn answered(self, token: &[u8]) -> Result<Principal, VerifyError> {
        let Self {
            introspector,
            digest,
            verified,
        } = self;
        // It may have been answered since the token came.
        let remembered = || {
            let now = introspector.now();
            let refused = || introspector.memory.refusal(&digest, now).map(Err);
            introspector
                .memory
                .active(token, now)
                .map(Ok)
                .or_else(refused)
        };
        // Nobody else can make a token that was verified here.
        let is_known = verified.is_some() || introspector.memory.was_active(&digest);
        let answered = match introspector.calls.begin(digest, is_known, remembered)? {
            Begun::Before(answered) => answered,
            Begun::UnderWay(flight) => flight.landed().await,
            Begun::New(call) => {
                // The token is one by its form, so that nothing is lost here.
                let token = Secret::new(String::from_utf8_lossy(token));
                let (introspector, verified) = (Arc::clone(&introspector), verified.clone());
                let asking = async move { introspector.call(&token, digest, verified).await };
                call.launch(asking).landed().await
            }
        };
        // The claims of a token that was verified here are its own.
        answered.map(|principal| verified.unwrap_or(principal))
    }
}

fn unusable(message: &str, cause: Option<VerifyError>) -> Denied {
    let kind = ProviderErrorKind::InvalidAnswer;
    Denied::Unusable(match cause {
        Some(cause) => ProviderError::caused(kind, message, cause.into()),
        None => ProviderError::new(kind, message),
    })
}

impl fmt::Debug for Introspector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Introspector")
            .field("chosen", &self.chosen)
            .finish_non_exhaustive()
    }
}
