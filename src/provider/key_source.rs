//! Where the keys of a provider come from, and how they are fetched.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::{Instrument as _, Span};
use url::Url;

use crate::claims::Issuer;
use crate::clock::{Began, SharedClock};
use crate::error::setup::KeysFrom;
use crate::error::{Chain, ProviderError};
use crate::http_client::{HttpClient, Limits};
use crate::jwt::AlgorithmSet;
use crate::keys::jwk_set::JwkSet;
use crate::keys::key_file::KeyFile;
use crate::keys::remote::{KeyLifetime, KeySet, RemoteKeys, fetch_jwk_set};
use crate::observe;
use crate::provider::discovery::Metadata;
use crate::renew::{Fetched, Pace, Renew};

/// The largest key set that is read.
pub(super) const JWKS_SIZE: usize = 512 * 1024;

/// How long keys from a file are used until the file is read again.
const FILE_INTERVAL: Duration = Duration::from_secs(10);

/// Where the key set is, with the keys that are known before the first fetch.
pub(super) enum KeySource {
    /// At this address, or at the `jwks_uri` of the metadata.
    Remote {
        url: Option<Url>,
        initial: Option<JwkSet>,
    },
    /// In a file, which was read once.
    File(KeyFile, JwkSet),
    /// With the program, which gave it.
    Program(JwkSet),
}

impl KeySource {
    pub(super) fn kind(&self) -> KeysFrom {
        match self {
            Self::Remote { url: None, .. } => KeysFrom::Metadata,
            Self::Remote { url: Some(_), .. } => KeysFrom::Url,
            Self::File(..) => KeysFrom::File,
            Self::Program(_) => KeysFrom::Program,
        }
    }
}

/// How the keys are fetched.
#[derive(Clone)]
pub(super) struct Fetcher {
    pub(super) issuer: Issuer,
    pub(super) client: HttpClient,
    pub(super) limits: Limits,
    pub(super) lifetime: KeyLifetime,
    /// The algorithms that the program knows the provider to list.
    pub(super) listed: Option<AlgorithmSet>,
    pub(super) clock: SharedClock,
}

/// Where the keys are fetched.
#[derive(Clone)]
enum Origin {
    Metadata(Renew<Metadata>),
    Url(Url),
    File(KeyFile),
}

impl Fetcher {
    /// The keys of this source.
    pub(super) fn keys(
        self,
        source: KeySource,
        metadata: Renew<Metadata>,
        pace: Pace,
    ) -> RemoteKeys {
        match source {
            KeySource::Program(jwks) => {
                RemoteKeys::fixed(self.clock.clone(), pace, self.key_set(jwks))
            }
            KeySource::File(file, jwks) => {
                let pace = Pace {
                    // In its first half nothing is read. In its second half callers do not wait for the reading.
                    ahead: FILE_INTERVAL / 2,
                    soonest: Duration::ZERO,
                    waits_when_stale: true,
                    longest_back_off: FILE_INTERVAL,
                    ..pace
                };
                let first = (jwks, FILE_INTERVAL);
                self.renewed(Origin::File(file), pace, Some(first))
            }
            KeySource::Remote { url, initial } => {
                let origin = url.map_or(Origin::Metadata(metadata), Origin::Url);
                // A fetch is due at once.
                let first = initial.map(|jwks| (jwks, Duration::ZERO));
                self.renewed(origin, pace, first)
            }
        }
    }

    fn renewed(self, origin: Origin, pace: Pace, first: Option<(JwkSet, Duration)>) -> RemoteKeys {
        let clock = self.clock.clone();
        let first = first.map(|(jwks, fresh_for)| Fetched {
            value: self.key_set(jwks),
            fresh_for,
            ahead: None,
        });
        let told = Arc::new(Told::of(first.as_ref()));
        let keys = RemoteKeys::new(clock, pace, move || {
            let (own, origin, told) = (self.clone(), origin.clone(), Arc::clone(&told));
            let result = tracing::field::Empty;
            let span = tracing::info_span!("fetch_keys", issuer = %self.issuer, result);
            let fetched_in = span.clone();
            let fetching = async move {
                let began = own.clock.begin();
                let fetched = own.fetch(&origin).await;
                own.observe(&fetched, began, &fetched_in);
                told.log(&fetched, &origin);
                fetched
            };
            Box::pin(fetching.instrument(span))
        });
        match first {
            Some(first) => keys.starting_with(first),
            None => keys,
        }
    }

    async fn fetch(&self, origin: &Origin) -> Result<Fetched<KeySet>, ProviderError> {
        match origin {
            Origin::Metadata(renew) => {
                let snapshot = renew.get().await.map_err(|refusal| refusal.error)?;
                let metadata = &snapshot.value;
                let keys = self
                    .fetch_from(&metadata.jwks_uri)
                    .await
                    // The keys may have moved: the next attempt uses new metadata.
                    .inspect_err(|_| drop(renew.force(|| true)))?;
                let (issuer, listed) = (metadata.server.issuer.clone(), metadata.algorithms);
                Ok(keys.map(|jwks| KeySet::new(jwks, issuer, listed)))
            }
            Origin::Url(url) => {
                let keys = self.fetch_from(url).await?;
                Ok(keys.map(|jwks| self.key_set(jwks)))
            }
            Origin::File(file) => Ok(Fetched {
                value: self.key_set(file.read(self.limits).await?),
                fresh_for: FILE_INTERVAL,
                ahead: None,
            }),
        }
    }

    async fn fetch_from(&self, url: &Url) -> Result<Fetched<JwkSet>, ProviderError> {
        fetch_jwk_set(&self.client, url, self.limits, self.lifetime, &self.clock).await
    }

    fn observe(&self, fetched: &Result<Fetched<KeySet>, ProviderError>, began: Began, span: &Span) {
        let outcome = fetched.as_ref().map(|_| ());
        let word = outcome.map_or_else(|error| error.kind().as_str(), |()| "ok");
        span.record("result", word);
        observe::keys_fetched(outcome);
        observe::key_fetch_took(outcome.is_ok(), self.clock.since(began));
        if outcome.is_ok() {
            let now = self.clock.now().as_seconds();
            observe::keys_succeeded(self.issuer.as_str(), now);
        }
    }

    /// A set without what fetched metadata could say about it.
    fn key_set(&self, jwks: JwkSet) -> KeySet {
        KeySet::new(jwks, self.issuer.clone(), self.listed)
    }
}

/// What the log was told last.
struct Told {
    has_keys: AtomicBool,
    /// What the last reading of a file brought: the digest of its keys, or the error.
    last: Mutex<Option<Result<Box<[u8]>, String>>>,
}

impl Told {
    fn of(first: Option<&Fetched<KeySet>>) -> Self {
        let digest = first.map(|first| Ok(first.value.jwks.digest().into()));
        Self {
            has_keys: AtomicBool::new(first.is_some()),
            last: Mutex::new(digest),
        }
    }

    fn log(&self, fetched: &Result<Fetched<KeySet>, ProviderError>, origin: &Origin) {
        match origin {
            Origin::File(file) => self.log_reading(fetched, file),
            Origin::Metadata(_) | Origin::Url(_) => self.log_fetch(fetched),
        }
    }

    /// A file is read so often that only what is new is told.
    fn log_reading(&self, read: &Result<Fetched<KeySet>, ProviderError>, file: &KeyFile) {
        let news = match read {
            Ok(read) => Ok(read.value.jwks.digest().into()),
            Err(error) => Err(Chain(error).to_string()),
        };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = last.as_ref() == Some(&news);
        *last = Some(news);
        drop(last);
        if is_known {
            return;
        }
        match read {
            Ok(read) => tracing::info!(
                path = %file.path().display(),
                keys = read.value.jwks.len(),
                "read the file of the provider's keys, and these are used from now on"
            ),
            Err(error) => tracing::warn!(
                kind = error.kind().as_str(),
                error = %Chain(error),
                "reading the file of the provider's keys failed; the keys read before stay in use until their limit"
            ),
        }
    }

    fn log_fetch(&self, fetched: &Result<Fetched<KeySet>, ProviderError>) {
        let had_keys = self.has_keys.fetch_or(fetched.is_ok(), Ordering::Relaxed);
        match fetched {
            Ok(fetched) => tracing::info!(
                issuer = %fetched.value.issuer,
                keys = fetched.value.jwks.len(),
                fresh_for = ?fetched.fresh_for,
                "fetched the provider's keys"
            ),
            Err(error) if had_keys => tracing::warn!(
                kind = error.kind().as_str(),
                error = %Chain(error),
                "fetching the provider's keys failed; the cached keys stay in use until their limit"
            ),
            Err(error) => tracing::warn!(
                kind = error.kind().as_str(),
                error = %Chain(error),
                "fetching the provider's keys failed, and none are cached: no token can be verified until a later \
                 attempt succeeds"
            ),
        }
    }
}
