//! What can be chosen about a verifier.

use std::time::Duration;

use crate::claims::Audience;
use crate::error::ConfigError;
use crate::jwt::{Algorithm, AlgorithmSet};
use crate::provider::{Provider, within};
use crate::verify::Verifier;
use crate::verify::cache::AcceptedTokens;
use crate::verify::expectation::{Expectation, LARGEST_TOKEN_LIMIT, TokenKind, TokenProfile};
use crate::verify::judge::Judge;
use crate::verify::scopes::ScopeRules;
use crate::verify::trust::TrustedIssuers;

/// Chooses what a [`Verifier`] expects of a token.
///
/// Issuer and audience come with [`Verifier::builder`] and cannot be forgotten; the rest has a safe
/// default.
#[must_use]
#[derive(Debug)]
pub struct VerifierBuilder {
    providers: Vec<Provider>,
    audiences: Vec<String>,
    profile: TokenProfile,
    algorithms: Option<Vec<Algorithm>>,
    leeway: Duration,
    max_age: Option<Duration>,
    max_token_size: usize,
    scope_claims: Vec<String>,
    implied_scopes: Vec<(String, String)>,
    allow_sender_constrained: bool,
    cached: usize,
}

/// Accepted tokens that are remembered.
const CACHED: usize = 10_000;
const MOST_CACHED: usize = 10_000_000;
const LONGEST_LEEWAY: Duration = Duration::from_secs(300);
const SMALLEST_TOKEN_LIMIT: usize = 256;

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
}

impl VerifierBuilder {
    fn new(provider: &Provider, audience: String) -> Self {
        Self {
            providers: vec![provider.clone()],
            audiences: vec![audience],
            profile: TokenProfile::default(),
            algorithms: None,
            leeway: Duration::from_secs(60),
            max_age: None,
            max_token_size: 16 * 1024,
            scope_claims: Vec::new(),
            implied_scopes: Vec::new(),
            allow_sender_constrained: false,
            cached: CACHED,
        }
    }

    /// Trusts another provider too. A token is judged by the keys of the one its `iss` names,
    /// exactly.
    pub fn add_provider(mut self, provider: &Provider) -> Self {
        self.providers.push(provider.clone());
        self
    }

    /// Accepts another audience too, for a service that is known by several names or hosts several
    /// APIs. `require` can ask for one of them route by route.
    pub fn add_audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// How much a token must say of itself. Default: [`TokenProfile::Lenient`].
    pub fn with_profile(mut self, profile: TokenProfile) -> Self {
        self.profile = profile;
        self
    }

    /// Accepts exactly these algorithms. Default: [`Algorithm::DEFAULT`] as far as the provider
    /// lists them in its metadata; an explicit choice is not narrowed by that list, which speaks of
    /// ID tokens only.
    pub fn with_algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = Some(algorithms.into_iter().collect());
        self
    }

    /// How far this machine's clock and the provider's may differ. 60 seconds by default; at most
    /// 5 minutes.
    pub fn with_leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// Refuses tokens issued longer ago, and those without `iat`. No such limit by default.
    pub fn with_max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Refuses longer tokens unread. 16 KiB by default; from 256 bytes to 1 MiB.
    pub fn with_max_token_size(mut self, bytes: usize) -> Self {
        self.max_token_size = bytes;
        self
    }

    /// Reads scopes from this claim too, text or array of text, such as `permissions` or `roles`;
    /// they are added to those of `scope` or `scp`.
    pub fn add_scope_claim(mut self, claim: impl Into<String>) -> Self {
        self.scope_claims.push(claim.into());
        self
    }

    /// Whoever is granted `broader` is granted `narrower` with it.
    pub fn add_implied_scope(
        mut self,
        broader: impl Into<String>,
        narrower: impl Into<String>,
    ) -> Self {
        self.implied_scopes.push((broader.into(), narrower.into()));
        self
    }

    /// Remembers so many accepted tokens. A token seen before costs no signature then: it is found whole,
    /// byte for byte, and judged by the clock, for five minutes at the most and while the provider's keys
    /// stay what they were. 10 000 by default, which take 20 MiB with tokens of the usual size, and twice
    /// that at the most; up to ten million.
    pub fn with_cache_capacity(mut self, tokens: usize) -> Self {
        self.cached = tokens;
        self
    }

    /// Judges each token anew. It changes no answer, only what an answer costs.
    pub fn without_cache(self) -> Self {
        self.with_cache_capacity(0)
    }

    pub(crate) fn set_allow_sender_constrained(mut self) -> Self {
        self.allow_sender_constrained = true;
        self
    }

    /// The verifier.
    ///
    /// # Errors
    /// [`ConfigError`] if an audience is empty, no algorithm is left, a scope is none, two
    /// providers have one issuer, or a number is out of bounds.
    pub fn build(self) -> Result<Verifier, ConfigError> {
        let audiences = self
            .audiences
            .iter()
            .map(|audience| Audience::new(audience))
            .collect::<Result<_, _>>()?;
        if !(SMALLEST_TOKEN_LIMIT..=LARGEST_TOKEN_LIMIT).contains(&self.max_token_size) {
            return Err(ConfigError::invalid(
                "token size",
                self.max_token_size.to_string(),
                "it is out of bounds",
                format!("choose from {SMALLEST_TOKEN_LIMIT} to {LARGEST_TOKEN_LIMIT} bytes"),
            ));
        }
        if self.cached > MOST_CACHED {
            return Err(ConfigError::invalid(
                "cache capacity",
                self.cached.to_string(),
                "it is out of bounds",
                format!("choose from 0 to {MOST_CACHED} tokens"),
            ));
        }
        let is_explicit = self.algorithms.is_some();
        let algorithms: AlgorithmSet = self
            .algorithms
            .unwrap_or_else(|| Algorithm::DEFAULT.to_vec())
            .into_iter()
            .collect();
        if algorithms.is_empty() {
            return Err(ConfigError::missing(
                "algorithms",
                "name at least one, or leave the setting out for the default",
            ));
        }
        let judge = Judge {
            issuers: TrustedIssuers::of(&self.providers)?,
            expectation: Expectation {
                audiences,
                kind: TokenKind::Access(self.profile),
                leeway: within("leeway", self.leeway, Duration::ZERO, LONGEST_LEEWAY)?,
                max_age: self.max_age,
                allow_sender_constrained: self.allow_sender_constrained,
            },
            algorithms,
            narrowed_by_provider: !is_explicit,
            max_token_size: self.max_token_size,
            scopes: ScopeRules::new(self.scope_claims, &self.implied_scopes)?,
        };
        let accepted = (self.cached > 0).then(|| AcceptedTokens::new(self.cached));
        Ok(Verifier::new(self.providers, judge, accepted))
    }
}
