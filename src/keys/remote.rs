//! A key set that is fetched from a URL and kept fresh by [`Renew`], with a bound on the fetches that
//! unknown `kid`s can cause.

use std::time::Duration;

use aws_lc_rs::digest::{Context, Digest, SHA256};
use url::Url;

use crate::allowance::Allowance;
use crate::claims::Issuer;
use crate::clock::SharedClock;
use crate::error::ProviderError;
use crate::flight::Flight;
use crate::http_client::{BoxFuture, HttpClient, Limits};
use crate::jwt::AlgorithmSet;
use crate::keys::jwk_set::JwkSet;
use crate::observe;
use crate::renew::{Fetched, Outcome, Pace, Reading, Refusal, Renew, State};

/// The keys of one provider, with what its metadata says about them.
pub(crate) struct KeySet {
    pub(crate) jwks: JwkSet,
    /// The issuer as the provider's metadata has it.
    pub(crate) issuer: Issuer,
    /// The algorithms that the metadata lists, if it lists any.
    pub(crate) listed: Option<AlgorithmSet>,
    /// SHA-256 of all of it.
    digest: Digest,
}

impl KeySet {
    pub(crate) fn new(jwks: JwkSet, issuer: Issuer, listed: Option<AlgorithmSet>) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(jwks.digest());
        context.update(format!("{listed:?}").as_bytes());
        context.update(issuer.as_str().as_bytes());
        Self {
            jwks,
            issuer,
            listed,
            digest: context.finish(),
        }
    }

    /// Whether both give the same judgement of every token.
    fn is_same(&self, other: &Self) -> bool {
        self.digest.as_ref() == other.digest.as_ref()
    }
}

/// How long fetched keys are fresh.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyLifetime {
    /// If the provider does not say.
    pub(crate) default: Duration,
    pub(crate) shortest: Duration,
    pub(crate) longest: Duration,
}

impl KeyLifetime {
    pub(crate) fn fresh_for(&self, max_age: Option<Duration>) -> Duration {
        max_age.map_or(self.default, |age| age.clamp(self.shortest, self.longest))
    }
}

pub(crate) struct RemoteKeys {
    renew: Renew<KeySet>,
    unknown_kids: Allowance,
    clock: SharedClock,
}

impl RemoteKeys {
    pub(crate) fn new<F>(clock: SharedClock, pace: Pace, fetch: F) -> Self
    where
        F: Fn() -> BoxFuture<Result<Fetched<KeySet>, ProviderError>> + Send + Sync + 'static,
    {
        Self {
            renew: Renew::comparing(clock.clone(), pace, KeySet::is_same, fetch),
            unknown_kids: Allowance::full(clock.monotonic()),
            clock,
        }
    }

    /// The keys, without blocking.
    pub(crate) fn read(&self) -> Reading<KeySet> {
        self.renew.read()
    }

    /// Whether the keys with this serial are the ones to judge by at this monotonic time.
    #[inline]
    pub(crate) fn serve(&self, serial: u64, now: Duration) -> bool {
        self.renew.serves(serial, now)
    }

    /// Fetches the keys again, because one that is not among them may be new. `None` if the bound on such
    /// fetches is reached.
    pub(crate) fn look_for_new_key(&self) -> Result<Option<Flight<Outcome<KeySet>>>, Refusal> {
        let now = self.clock.monotonic();
        let flight = self.renew.force(|| self.unknown_kids.take(now))?;
        observe::unknown_kid(flight.is_some());
        Ok(flight)
    }

    /// The issuer as the provider's metadata has it, once that was fetched.
    pub(crate) fn issuer(&self) -> Option<Issuer> {
        match self.renew.read() {
            Reading::Ready(snapshot) => Some(snapshot.as_ref()?.value.issuer.clone()),
            Reading::Wait(_) | Reading::Refused(_) => None,
        }
    }

    pub(crate) async fn ready(&self) -> Result<(), ProviderError> {
        match self.renew.get().await {
            Ok(_) => Ok(()),
            Err(refusal) => Err(refusal.error),
        }
    }

    pub(crate) fn refusal(&self, error: ProviderError) -> Refusal {
        self.renew.refusal(error)
    }

    pub(crate) fn state(&self) -> State {
        let state = self.renew.state();
        if let Some(age) = state.age {
            observe::key_set_age(age);
        }
        state
    }
}

/// Fetches a key set, and how long it is fresh.
pub(crate) async fn fetch_jwk_set(
    client: &HttpClient,
    url: &Url,
    limits: Limits,
    lifetime: KeyLifetime,
    clock: &SharedClock,
) -> Result<Fetched<JwkSet>, ProviderError> {
    let document = client.get_json(url, limits, clock).await?;
    Ok(Fetched {
        value: JwkSet::parse(&document.body)?,
        fresh_for: lifetime.fresh_for(document.max_age),
        ahead: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // KS-12
    #[test]
    fn the_provider_chooses_the_lifetime_within_bounds() {
        let lifetime = KeyLifetime {
            default: Duration::from_secs(600),
            shortest: Duration::from_secs(60),
            longest: Duration::from_secs(86_400),
        };
        let cases = [
            (None, 600),
            (Some(0), 60),
            (Some(300), 300),
            (Some(u64::MAX), 86_400),
        ];
        for (max_age, expected) in cases {
            let fresh_for = lifetime.fresh_for(max_age.map(Duration::from_secs));
            assert_eq!(fresh_for, Duration::from_secs(expected), "{max_age:?}");
        }
    }
}
