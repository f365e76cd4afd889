//! The key set of a provider, kept fresh by [`Renew`], with a bound on the fetches that unknown `kid`s can
//! cause.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, Digest, SHA256};
use url::Url;

use crate::allowance::Allowance;
use crate::claims::Issuer;
use crate::clock::SharedClock;
use crate::error::{ProviderError, ProviderErrorKind};
use crate::http_client::{BoxFuture, HttpClient, Limits, MediaType};
use crate::jwt::AlgorithmSet;
use crate::keys::jwk_set::JwkSet;
use crate::observe;
use crate::renew::{Fetched, Fetching, Pace, Reading, Refusal, Renew, Snapshot, State};

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

/// Who brings a token. Each has a bound of its own on the fetches that unknown `kid`s cause, so that
/// strangers cannot use up what sign-ins and refreshes need. Each fetch serves all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bringer {
    /// Anyone, as a bearer token.
    Client,
    /// Anyone, as a logout token.
    #[cfg(feature = "login")]
    LogoutRequest,
    /// The provider, in an answer of its token endpoint or its introspection endpoint.
    #[cfg(any(feature = "introspection", feature = "login"))]
    TokenEndpoint,
}

/// Where to look for a key that is not in the set.
pub(crate) enum NewKey {
    /// In this set, which came a moment ago.
    There(Arc<Snapshot<KeySet>>),
    /// In the set that is being fetched.
    Fetching(Fetching<KeySet>),
    /// Nowhere: no other set can come.
    Nowhere,
    /// The bound on such fetches is reached.
    Suppressed {
        /// The monotonic time at which the last fetch began.
        asked_at: Duration,
        /// When the next fetch is allowed.
        refusal: Refusal,
    },
}

pub(crate) struct RemoteKeys {
    renew: Renew<KeySet>,
    /// One for each [`Bringer`].
    unknown_kids: [Allowance; 3],
    /// Whether no other keys than the present ones can come.
    is_fixed: bool,
    clock: SharedClock,
}

impl RemoteKeys {
    pub(crate) fn new<F>(clock: SharedClock, pace: Pace, fetch: F) -> Self
    where
        F: Fn() -> BoxFuture<Result<Fetched<KeySet>, ProviderError>> + Send + Sync + 'static,
    {
        Self {
            renew: Renew::comparing(clock.clone(), pace, KeySet::is_same, fetch),
            unknown_kids: std::array::from_fn(|_| Allowance::full(clock.monotonic())),
            is_fixed: false,
            clock,
        }
    }

    /// These keys for ever.
    pub(crate) fn fixed(clock: SharedClock, pace: Pace, keys: KeySet) -> Self {
        let never = || -> BoxFuture<Result<Fetched<KeySet>, ProviderError>> {
            let text = "the program gave the keys, and there are no others";
            let error = ProviderError::new(ProviderErrorKind::NotOffered, text);
            Box::pin(std::future::ready(Err(error)))
        };
        let first = Fetched {
            value: keys,
            fresh_for: Duration::MAX,
            ahead: Some(Duration::ZERO),
        };
        Self {
            is_fixed: true,
            ..Self::new(clock, pace, never).starting_with(first)
        }
    }

    /// The same with keys that are known before the first fetch.
    pub(crate) fn starting_with(self, first: Fetched<KeySet>) -> Self {
        Self {
            renew: self.renew.starting_with(first),
            ..self
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

    /// Fetches the keys again, because one that is not in the set with this serial may be new.
    pub(crate) fn look_for_new_key(
        &self,
        serial: u64,
        bringer: Bringer,
    ) -> Result<NewKey, Refusal> {
        if self.is_fixed {
            return Ok(NewKey::Nowhere);
        }
        let now = self.clock.monotonic();
        let mut there = None;
        let mut wait = Duration::ZERO;
        // Called under the lock of `renew`, while no fetch can land.
        let may_start = || {
            there.clone_from(&*self.renew.current());
            let is_known = there.as_ref().is_some_and(|there| there.serial == serial);
            is_known
                && match self.unknown_kids[bringer as usize].take_or_wait(now) {
                    Ok(()) => true,
                    Err(until_next) => {
                        wait = until_next;
                        false
                    }
                }
        };
        if let Some(fetching) = self.renew.force(may_start)? {
            observe::unknown_kid(true);
            return Ok(NewKey::Fetching(fetching));
        }
        match there {
            Some(there) if there.serial != serial => Ok(NewKey::There(there)),
            there => {
                observe::unknown_kid(false);
                Ok(NewKey::Suppressed {
                    asked_at: there.map_or(Duration::ZERO, |there| there.asked_at),
                    refusal: Refusal {
                        error: suppressed(),
                        retry_after: wait,
                    },
                })
            }
        }
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

    /// Whether the present keys serve a caller that waited in vain for newer ones.
    pub(crate) fn serve_after_failure(&self) -> bool {
        self.renew.after_failure().is_some()
    }

    pub(crate) fn state(&self) -> State {
        let mut state = self.renew.state();
        if self.is_fixed {
            // They were not fetched, and do not grow old.
            state.age = None;
        }
        if let Some(age) = state.age {
            observe::key_set_age(age);
        }
        state
    }
}

fn suppressed() -> ProviderError {
    ProviderError::new(
        ProviderErrorKind::Suppressed,
        "the token names an unknown key, and too many such tokens came in a short time to ask for new \
         keys again",
    )
}

/// Fetches a key set, and how long it is fresh.
pub(crate) async fn fetch_jwk_set(
    client: &HttpClient,
    url: &Url,
    limits: Limits,
    lifetime: KeyLifetime,
    clock: &SharedClock,
) -> Result<Fetched<JwkSet>, ProviderError> {
    // The body decides: some providers serve their keys as application/octet-stream or text/plain.
    let document = client.get_json(url, MediaType::Any, limits, clock).await?;
    Ok(Fetched {
        value: JwkSet::parse(&document.body)?,
        fresh_for: lifetime.fresh_for(document.max_age),
        ahead: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// A set with the key of this name.
    fn key_set(kid: &str) -> KeySet {
        // RFC 8037 appendix A.2.
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let text =
            format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","x":"{x}","kid":"{kid}"}}]}}"#);
        let issuer = Issuer::new("https://id.example").unwrap();
        KeySet::new(JwkSet::parse(text.as_bytes()).unwrap(), issuer, None)
    }

    const PACE: Pace = Pace {
        what: "test",
        ahead: Duration::ZERO,
        soonest: Duration::ZERO,
        stale: Duration::ZERO,
        waits_when_stale: false,
        first_back_off: Duration::from_secs(1),
        longest_back_off: Duration::from_secs(60),
    };

    // KS-03, KS-09
    #[tokio::test]
    async fn a_set_that_landed_a_moment_ago_is_not_fetched_again() {
        let published = Arc::new(Mutex::new("old"));
        let provider = Arc::clone(&published);
        let keys = RemoteKeys::new(SharedClock::system(), PACE, move || {
            let value = key_set(*provider.lock().unwrap());
            let fresh_for = Duration::from_secs(600);
            let ahead = None;
            Box::pin(async move {
                Ok(Fetched {
                    value,
                    fresh_for,
                    ahead,
                })
            })
        });
        keys.ready().await.unwrap();
        let judged = keys.renew.get().await.unwrap().serial;
        *published.lock().unwrap() = "new";
        let another = keys.look_for_new_key(judged, Bringer::Client);
        let Ok(NewKey::Fetching(fetching)) = another else {
            panic!("a first fetch");
        };
        assert!(fetching.is_new);
        fetching.flight.landed().await.unwrap();
        // A caller that read the former set before that finds the newer one here.
        for _ in 0..5 {
            match keys.look_for_new_key(judged, Bringer::Client) {
                Ok(NewKey::There(there)) => assert_eq!(there.serial, judged + 1),
                _ => panic!("the new set is there"),
            }
        }
        // Nothing of that was counted: one fetch is left.
        let judged = judged + 1;
        let Ok(NewKey::Fetching(last)) = keys.look_for_new_key(judged, Bringer::Client) else {
            panic!("a second fetch");
        };
        last.flight.landed().await.unwrap();
        match keys.look_for_new_key(judged, Bringer::Client) {
            Ok(NewKey::Suppressed { refusal, .. }) => {
                assert_eq!(refusal.error.kind(), ProviderErrorKind::Suppressed);
                assert!(refusal.retry_after <= Duration::from_secs(30));
                assert!(refusal.retry_after > Duration::from_secs(20));
            }
            _ => panic!("the bound is reached"),
        }
    }

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
