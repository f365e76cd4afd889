//! The choices for a verifier, their defaults and bounds.

use std::sync::Arc;
use std::time::Duration;

use crate::claims::Audience;
use crate::clock::SharedClock;
use crate::error::setup::{KeysFrom, Setup, Vendor};
use crate::error::{ConfigError, duration_within};
use crate::jwt::{Algorithm, AlgorithmSet};
use crate::keys::remote::Bringer;
use crate::principal::Common;
use crate::provider::Provider;
use crate::revocations::{LARGEST_LEEWAY, Revocations};
use crate::settings::{ALGORITHMS, CACHE_CAPACITY, CLIENT_AUDIENCE, LEEWAY, TOKEN_SIZE};
use crate::verify::Verifier;
use crate::verify::cache::AcceptedTokens;
use crate::verify::clients::AllowedClients;
use crate::verify::expectation::{Expectation, LARGEST_TOKEN_LIMIT};
#[cfg(feature = "introspection")]
use crate::verify::introspection::{Introspection, Introspector};
use crate::verify::issuer_source::IssuerSource;
use crate::verify::judge::Judge;
use crate::verify::scopes::ScopeRules;
use crate::verify::token_kind::{TokenKind, TokenProfile};
use crate::verify::trust::TrustedIssuers;

/// Builds a [`Verifier`].
///
/// Issuer and audience are arguments of [`Verifier::builder`] and cannot be forgotten. All else has a safe
/// default.
#[must_use]
#[derive(Debug)]
pub struct VerifierBuilder {
    providers: Vec<Provider>,
    audiences: Vec<String>,
    client_audiences: Vec<String>,
    profile: TokenProfile,
    algorithms: Option<Vec<Algorithm>>,
    leeway: Duration,
    max_age: Option<Duration>,
    max_token_size: usize,
    scope_claims: Vec<String>,
    implied_scopes: Vec<(String, String)>,
    clients: Option<Vec<String>>,
    allow_sender_constrained: bool,
    cached: usize,
    issuer_source: Option<IssuerSource>,
    revocations: Option<Revocations>,
    #[cfg(feature = "introspection")]
    introspection: Option<Introspection>,
}

/// Accepted tokens that are cached.
const CACHED: usize = 10_000;
const MOST_CACHED: usize = 10_000_000;
const LONGEST_LEEWAY: Duration = LARGEST_LEEWAY;
const SMALLEST_TOKEN_LIMIT: usize = 256;

impl Provider {
    /// A verifier of this provider's access tokens for `audience`, with all defaults.
    ///
    /// # Errors
    /// [`ConfigError`] if the audience is empty.
    pub fn verifier(&self, audience: impl Into<String>) -> Result<Verifier, ConfigError> {
        Verifier::builder(self, audience).build()
    }
}

impl IssuerSource {
    /// A verifier of the access tokens for `audience` of every issuer that this source knows, with all defaults.
    ///
    /// # Errors
    /// [`ConfigError`] if the audience is empty.
    pub fn verifier(&self, audience: impl Into<String>) -> Result<Verifier, ConfigError> {
        Verifier::from_source(self, audience).build()
    }
}

impl Verifier {
    /// A verifier of this provider's access tokens for `audience`, with choices.
    pub fn builder(provider: &Provider, audience: impl Into<String>) -> VerifierBuilder {
        VerifierBuilder::new(vec![provider.clone()], audience.into())
    }

    /// A verifier of the access tokens for `audience` of every issuer that this source knows, with choices.
    pub fn from_source(source: &IssuerSource, audience: impl Into<String>) -> VerifierBuilder {
        VerifierBuilder::new(Vec::new(), audience.into()).with_issuer_source(source)
    }
}

impl VerifierBuilder {
    fn new(providers: Vec<Provider>, audience: String) -> Self {
        Self {
            providers,
            audiences: vec![audience],
            client_audiences: Vec::new(),
            profile: TokenProfile::default(),
            algorithms: None,
            leeway: Duration::from_secs(60),
            max_age: None,
            max_token_size: 16 * 1024,
            scope_claims: Vec::new(),
            implied_scopes: Vec::new(),
            clients: None,
            allow_sender_constrained: false,
            cached: CACHED,
            issuer_source: None,
            revocations: None,
            #[cfg(feature = "introspection")]
            introspection: None,
        }
    }

    /// Trusts another provider too. A token is judged by the keys of the provider whose issuer is exactly
    /// its `iss`.
    pub fn add_provider(mut self, provider: &Provider) -> Self {
        self.providers.push(provider.clone());
        self
    }

    /// Trusts the issuers that this source knows too. A token of an issuer that is not configured waits until the
    /// source has named its provider. Default: none. See [`IssuerSource`] for when it is asked, what its answer means,
    /// and its security.
    ///
    /// Configured issuers stay as they are: the source is not asked about them. The choices of this builder hold for
    /// all.
    pub fn with_issuer_source(mut self, source: &IssuerSource) -> Self {
        self.issuer_source = Some(source.clone());
        self
    }

    /// Accepts another audience too, for a service that has several names or hosts several APIs.
    /// [`Policy::audience`](crate::Policy::audience) requires one of them for a route.
    pub fn add_audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Accepts tokens **without** an audience that were issued to this client (`client_id`), too, as those of Cognito
    /// are. A token for another audience is refused all the same. None by default. Such a principal has no audience,
    /// so that [`Policy::audience`](crate::Policy::audience) refuses it.
    ///
    /// # Security
    /// Nothing in such a token says that it is for this service: every service that accepts the client's tokens can
    /// use them here.
    pub fn add_client_audience(mut self, client_id: impl Into<String>) -> Self {
        self.client_audiences.push(client_id.into());
        self
    }

    /// What kind of tokens clients present, and the claims that these must have. Default:
    /// [`TokenProfile::Lenient`].
    pub fn with_profile(mut self, profile: TokenProfile) -> Self {
        self.profile = profile;
        self
    }

    /// Accepts exactly these algorithms. Default: those of [`Algorithm::DEFAULT`] that the provider lists
    /// in its metadata. An explicit choice is not narrowed by that list, because the list is about ID
    /// tokens.
    pub fn with_algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = Some(algorithms.into_iter().collect());
        self
    }

    /// How far the clocks of this machine and the provider may differ. Default: 60 seconds; at most
    /// 5 minutes.
    pub fn with_leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// Refuses tokens that were issued longer ago, and tokens without `iat`. Default: no limit.
    pub fn with_max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Refuses longer tokens without reading them. Default: 16 KiB; from 256 bytes to 1 MiB.
    pub fn with_max_token_size(mut self, bytes: usize) -> Self {
        self.max_token_size = bytes;
        self
    }

    /// Adds the scopes in this claim, such as `permissions` or `roles`, to those in `scope` or `scp`. The
    /// claim is text or an array of text.
    pub fn add_scope_claim(mut self, claim: impl Into<String>) -> Self {
        self.scope_claims.push(claim.into());
        self
    }

    /// A token with the scope `broader` also has the scope `narrower`.
    pub fn add_implied_scope(
        mut self,
        broader: impl Into<String>,
        narrower: impl Into<String>,
    ) -> Self {
        self.implied_scopes.push((broader.into(), narrower.into()));
        self
    }

    /// Accepts only tokens that were issued to these clients. Default: to any client of the provider, as far as it
    /// issues tokens for the audience.
    ///
    /// Each of the claims that name the client, `client_id`
    /// ([RFC 9068 §2.2](https://www.rfc-editor.org/rfc/rfc9068#section-2.2)), `azp`, `cid` (Okta) and `appid` (Entra ID
    /// v1), has to be one of these ids, as far as the token has it, and it has to have one. An array of ids is refused.
    /// The sessions of a sign-in are not asked: their tokens are those of its own client.
    pub fn allow_clients<C: Into<String>>(mut self, clients: impl IntoIterator<Item = C>) -> Self {
        self.clients = Some(clients.into_iter().map(Into::into).collect());
        self
    }

    /// Caches so many accepted tokens. The signature of a cached token is not checked again. The token is
    /// compared whole, byte for byte, and its times are checked. An entry counts for five minutes at most
    /// and as long as the provider's keys stay the same. Default: 10 000, which take 20 MiB with tokens of
    /// the usual size and 40 MiB at most; at most ten million.
    pub fn with_cache_capacity(mut self, tokens: usize) -> Self {
        self.cached = tokens;
        self
    }

    /// Caches no tokens. The answers stay the same and cost more.
    pub fn without_cache(self) -> Self {
        self.with_cache_capacity(0)
    }

    /// Refuses what was [revoked](Revocations), from then on and whether it was accepted before or not. Default: nothing
    /// can be revoked, and a token is good until it ends.
    ///
    /// A token seen before costs a comparison of two numbers more, as long as nothing is revoked. After a revocation,
    /// of whatever token, each token is looked up once. The sessions of [`login`](crate::login) are not asked by their
    /// tokens: see [`Revocations::revoke_before`].
    pub fn with_revocations(mut self, revocations: &Revocations) -> Self {
        self.revocations = Some(revocations.clone());
        self
    }

    /// Asks the provider about tokens that are no JWTs, as this client or in this [way](Introspection)
    /// ([RFC 7662](https://www.rfc-editor.org/rfc/rfc7662)). Default: such tokens are refused.
    ///
    /// The answer is held against what is expected of every access token: `iss`, `aud`, `exp`, `nbf`, `cnf`, the
    /// scopes, the [allowed clients](Self::allow_clients). An answer without `iss` is about a token of this provider.
    /// One without `aud` is refused, unless its `client_id` is
    /// [named for that](Self::add_client_audience). The claims of the [`Principal`](crate::Principal) are those of the
    /// answer. An active token is remembered for a minute and never past its `exp`; a refused one is refused for ten
    /// seconds. At most [`with_cache_capacity`](Self::with_cache_capacity) active tokens are remembered.
    ///
    /// The provider is the first of the verifier. At most 32 calls are under way and 100 a second are made for tokens
    /// that it has not called active before, and as many for those that it has. Beyond that, and while the provider does
    /// not answer, requests are refused with 503 and `Retry-After`. While the provider is away, no call is made for a
    /// second, twice as long after each further failure, for a minute at most. An answer that cannot be used, which
    /// may be the fault of its token, holds up that token alone, for a second.
    ///
    /// A caller who has thousands of active tokens can use up the calls for known ones: a provider that issues tokens
    /// without limit should limit them for each client.
    ///
    /// The tokens of [`login`](crate::login) sessions are not asked about: sign users in with
    /// `LoginLayer::identity` where the provider issues opaque tokens.
    ///
    /// # Security
    /// Some providers call refresh tokens active too. One that does not tell them apart (`token_type`, `token_use`,
    /// `typ`) should tell an `aud`: only access tokens have that of this service.
    #[cfg(feature = "introspection")]
    pub fn with_introspection(mut self, introspection: impl Into<Introspection>) -> Self {
        self.introspection = Some(introspection.into());
        self
    }

    pub(crate) fn set_allow_sender_constrained(mut self) -> Self {
        self.allow_sender_constrained = true;
        self
    }

    fn clock(&self) -> SharedClock {
        let configured = self.providers.first().map(Provider::clock);
        let clock = configured.or_else(|| self.issuer_source.as_ref().map(IssuerSource::clock));
        clock.map_or_else(SharedClock::system, SharedClock::clone)
    }

    /// The verifier.
    ///
    /// # Errors
    /// [`ConfigError`] if an audience is empty, no algorithm or client is left, a scope is malformed, two
    /// providers have the same issuer, or a number is out of bounds.
    pub fn build(self) -> Result<Verifier, ConfigError> {
        let audiences = self
            .audiences
            .iter()
            .map(|audience| Audience::new(audience))
            .collect::<Result<_, _>>()?;
        let clients = self
            .client_audiences
            .iter()
            .map(|client| Audience::new(client).map_err(|error| error.renamed(CLIENT_AUDIENCE)))
            .collect::<Result<_, _>>()?;
        if !(SMALLEST_TOKEN_LIMIT..=LARGEST_TOKEN_LIMIT).contains(&self.max_token_size) {
            return Err(ConfigError::out_of_bounds(
                TOKEN_SIZE,
                self.max_token_size.to_string(),
                format!("choose from {SMALLEST_TOKEN_LIMIT} to {LARGEST_TOKEN_LIMIT} bytes"),
            ));
        }
        if self.cached > MOST_CACHED {
            return Err(ConfigError::out_of_bounds(
                CACHE_CAPACITY,
                self.cached.to_string(),
                format!("choose from 0 to {MOST_CACHED} tokens"),
            ));
        }
        let clock = self.clock();
        let is_explicit = self.algorithms.is_some();
        let algorithms = algorithm_set(self.algorithms.as_deref().unwrap_or(&Algorithm::DEFAULT))?;
        let issuers = TrustedIssuers::of(&self.providers)?.and_those_of(self.issuer_source);
        let expectation = Expectation {
            audiences,
            clients,
            kind: TokenKind::Access(self.profile),
            leeway: checked_leeway(self.leeway)?,
            max_age: self.max_age,
            allow_sender_constrained: self.allow_sender_constrained,
        };
        let setup = setup(&issuers, &expectation, self.max_token_size);
        let judge = Judge {
            setup: Arc::new(setup),
            common: Arc::new(Common::new(clock)),
            issuers,
            expectation,
            algorithms,
            narrowed_by_provider: !is_explicit,
            max_token_size: self.max_token_size,
            scopes: ScopeRules::new(self.scope_claims, &self.implied_scopes)?,
            clients: self.clients.map(AllowedClients::new).transpose()?,
            bringer: Bringer::Client,
            revocations: self.revocations,
        };
        #[cfg(feature = "introspection")]
        let introspector = self
            .introspection
            .map(|chosen| Introspector::new(chosen, &self.providers, &judge, self.cached))
            .transpose()?;
        let accepted = (self.cached > 0).then(|| AcceptedTokens::new(self.cached));
        let verifier = Verifier::new(self.providers, judge, accepted);
        #[cfg(feature = "introspection")]
        if let Some(introspector) = introspector {
            return Ok(verifier.asking(introspector));
        }
        Ok(verifier)
    }
}

impl Verifier {
    /// The same with another leeway, and with other algorithms, where they were chosen.
    #[cfg(feature = "login")]
    pub(crate) fn with_choices(
        &self,
        leeway: Option<Duration>,
        algorithms: Option<&[Algorithm]>,
    ) -> Result<Self, ConfigError> {
        self.changed(|judge| {
            if let Some(leeway) = leeway {
                judge.expectation.leeway = checked_leeway(leeway)?;
            }
            if let Some(algorithms) = algorithms {
                judge.algorithms = algorithm_set(algorithms)?;
                judge.narrowed_by_provider = false;
            }
            Ok(())
        })
    }
}

fn checked_leeway(leeway: Duration) -> Result<Duration, ConfigError> {
    duration_within(LEEWAY, leeway, Duration::ZERO, LONGEST_LEEWAY)
}

fn algorithm_set(algorithms: &[Algorithm]) -> Result<AlgorithmSet, ConfigError> {
    let algorithms: AlgorithmSet = algorithms.iter().copied().collect();
    if algorithms.is_empty() {
        return Err(ConfigError::missing(
            ALGORITHMS,
            "name at least one, or leave the setting out for the default",
        ));
    }
    Ok(algorithms)
}

/// What errors say about the configuration.
pub(super) fn setup(
    issuers: &TrustedIssuers,
    expectation: &Expectation,
    max_token_size: usize,
) -> Setup {
    let names = || issuers.iter().map(|trusted| trusted.named.issuer.as_str());
    let audiences = expectation.audiences.iter();
    Setup {
        judged_as: expectation.kind.judged_as(),
        issuers: names().map(Into::into).collect(),
        other_issuers: issuers.source().map(|_| "one that the issuer source knows"),
        audiences: audiences.map(|named| named.as_str().into()).collect(),
        // A token may be of any vendor where its issuer was looked up.
        vendor: Vendor::of_all(names()).filter(|_| issuers.source().is_none()),
        is_presented: true,
        keys_from: issuers
            .iter()
            .map(|trusted| trusted.provider.keys_from())
            .find(|from| *from != KeysFrom::Metadata)
            .unwrap_or(KeysFrom::Metadata),
        leeway_can_grow: expectation.leeway < LONGEST_LEEWAY,
        size_can_grow: max_token_size < LARGEST_TOKEN_LIMIT,
    }
}
