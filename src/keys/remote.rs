//! A key set by URL, kept by [`Renew`], with a bound on what unknown key names can cause.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use url::Url;

use crate::claims::Issuer;
use crate::clock::SharedClock;
use crate::error::ProviderError;
use crate::http_client::{BoxFuture, HttpClient, Limits};
use crate::jwt::AlgorithmSet;
use crate::keys::jwk_set::JwkSet;
use crate::observe;
use crate::renew::{Fetched, Flight, Pace, Reading, Refusal, Renew, State};

/// The keys of one provider, and what goes with them.
pub(crate) struct KeySet {
    pub(crate) jwks: JwkSet,
    /// The issuer in the provider's own words.
    pub(crate) issuer: Issuer,
    /// The algorithms the provider says it signs with, where it says so.
    pub(crate) listed: Option<AlgorithmSet>,
}

/// How long keys live.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyLifetime {
    /// Where the provider does not say.
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
    unknown_kids: Mutex<TokenBucket>,
    clock: SharedClock,
}

impl RemoteKeys {
    pub(crate) fn new<F>(clock: SharedClock, pace: Pace, fetch: F) -> Self
    where
        F: Fn() -> BoxFuture<Result<Fetched<KeySet>, ProviderError>> + Send + Sync + 'static,
    {
        Self {
            renew: Renew::new(clock.clone(), pace, fetch),
            unknown_kids: Mutex::new(TokenBucket::full(clock.monotonic())),
            clock,
        }
    }

    /// The keys, without blocking where they are at hand.
    pub(crate) fn read(&self) -> Reading<KeySet> {
        self.renew.read()
    }

    /// A flight that may bring a key nobody has seen yet, or `None` where the bound on such
    /// flights is reached.
    pub(crate) fn look_for_new_key(&self) -> Result<Option<Flight<KeySet>>, Refusal> {
        let now = self.clock.monotonic();
        let flight = self.renew.force(|| {
            self.unknown_kids
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(now)
        })?;
        observe::unknown_kid(flight.is_some());
        Ok(flight)
    }

    /// The issuer in the provider's own words, once it was heard.
    pub(crate) fn issuer(&self) -> Option<Issuer> {
        match self.renew.read() {
            Reading::Serve(snapshot) => Some(snapshot.as_ref()?.value.issuer.clone()),
            Reading::Wait(_) | Reading::Refuse(_) => None,
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

/// Fetches a key set and says how long it lives.
pub(crate) async fn fetch_jwk_set(
    client: &HttpClient,
    url: &Url,
    limits: Limits,
    lifetime: KeyLifetime,
) -> Result<Fetched<JwkSet>, ProviderError> {
    let document = client.get_json(url, limits).await?;
    Ok(Fetched {
        value: JwkSet::parse(&document.body)?,
        fresh_for: lifetime.fresh_for(document.max_age),
    })
}

/// Two attempts at once, then one in 30 seconds: enough for a key rotation in the middle of a
/// sign-in, too little to be used against the provider.
struct TokenBucket {
    level: u32,
    counted_at: Duration,
}

const BURST: u32 = 2;
const REFILL: Duration = Duration::from_secs(30);

impl TokenBucket {
    fn full(now: Duration) -> Self {
        Self {
            level: BURST,
            counted_at: now,
        }
    }

    fn take(&mut self, now: Duration) -> bool {
        while self.level < BURST && now >= self.counted_at.saturating_add(REFILL) {
            self.level += 1;
            self.counted_at = self.counted_at.saturating_add(REFILL);
        }
        if self.level == 0 {
            return false;
        }
        if self.level == BURST {
            self.counted_at = now;
        }
        self.level -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ks_09_unknown_names_cause_two_attempts_at_once_and_then_one_in_thirty_seconds() {
        let mut bucket = TokenBucket::full(Duration::from_secs(1_000));
        let start = 5_000;
        let granted: Vec<u64> = (0..1_200)
            .filter(|tenth| bucket.take(Duration::from_millis(start * 1_000 + tenth * 100)))
            .map(|tenth| tenth / 10)
            .collect();
        assert_eq!(granted, [0, 0, 30, 60, 90]);
        // Long quiet fills it up again, to the burst and no further.
        let later = Duration::from_secs(90_000);
        assert_eq!((0..10).filter(|_| bucket.take(later)).count(), 2);
    }

    #[test]
    fn ks_12_the_provider_chooses_the_lifetime_within_bounds() {
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
