//! Where sessions are stored: one record is written, read, replaced and removed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::clock::SharedClock;
use crate::doctor::finding::Finding;
use crate::doctor::subject::Subject;
use crate::error::{Chain, StoreError, StoreErrorKind};
use crate::login::{SessionStore, StoreKey, StoredRecord, Swapped, Tag};
use crate::secret::random_bytes;
use crate::settings::REDIS_URL;

/// For how long the record stays if it cannot be removed.
const SHORT: Duration = Duration::from_secs(600);

/// Where there is none: the memory of the process.
pub(super) fn chosen(
    store: Option<&Arc<dyn SessionStore>>,
    replica_variable: Option<&str>,
) -> Option<Finding> {
    if store.is_some_and(SessionStore::is_shared) {
        return None;
    }
    let cure =
        "set REDIS_URL or DATABASE_URL, so that sessions outlive a restart and replicas share them";
    Some(match replica_variable {
        Some(variable) => Finding::wrong(
            "memory_store_in_replicas",
            format!("sessions are in memory, and {variable} says that this process is one of several replicas: a browser is signed out whenever another answers"),
        ),
        None => Finding::note("memory_store", "sessions are in memory: they end with the process, and suit one replica"),
    }
    .at(REDIS_URL)
    .cured_by(cure))
}

/// Writes, reads, replaces and removes a record of its own.
pub(super) async fn round_trip(subject: &Subject<'_>, store: &Arc<dyn SessionStore>) -> Finding {
    let setting = if subject.pairs.has(REDIS_URL) {
        REDIS_URL
    } else {
        "DATABASE_URL"
    };
    told(setting, tried(store).await)
}

fn told(setting: &'static str, tried: Result<bool, StoreError>) -> Finding {
    match tried {
        Ok(true) => Finding::right("store_right", "the store keeps, swaps and removes a record"),
        Ok(false) => Finding::wrong("store_forgetful", "the store does not keep what was written a moment ago")
            .at(setting)
            .cured_by("name the primary, not a read replica; a server that evicts keys needs more memory (Redis: maxmemory-policy noeviction)"),
        Err(error) => Finding::wrong("store_unreachable", Chain(&error).to_string())
            .at(setting)
            .cured_by("check address, password, TLS (rediss://) and firewall from this machine, and whether this user may write"),
    }
}

async fn tried(store: &Arc<dyn SessionStore>) -> Result<bool, StoreError> {
    let no_randomness = || {
        StoreError::new(
            StoreErrorKind::Unavailable,
            "the system has no randomness to offer",
        )
    };
    let key = StoreKey::from_bytes(random_bytes().map_err(|_| no_randomness())?);
    let record = |byte: u8| {
        Ok::<_, StoreError>(StoredRecord {
            bytes: Bytes::from(vec![byte; 16]),
            tag: Tag::random().map_err(|_| no_randomness())?,
            expires_at: SharedClock::system().now().saturating_add(SHORT),
        })
    };
    let (first, second) = (record(1)?, record(2)?);
    let tag = first.tag;
    store.create(key, None, first.clone()).await?;
    let loaded = store.load(key).await?;
    let swapped = store.swap(key, tag, second.clone()).await?;
    let removed = store.delete(key).await?;
    let is_first = loaded.is_some_and(|loaded| loaded.record.bytes == first.bytes);
    let is_done = matches!(swapped, Swapped::Done);
    Ok(is_first && is_done && removed.is_some_and(|record| record.bytes == second.bytes))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::clock::UnixTime;
    use crate::login::{Loaded, MemoryStore, OwnedBy, Owner, StoreFuture};

    /// What a store does wrong.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Fault {
        None,
        /// A read replica that is behind.
        ReadsTooLate,
        /// A server that evicts what it was given.
        Evicts,
        IsAway,
    }

    #[derive(Debug)]
    struct Store {
        inner: MemoryStore,
        fault: Fault,
        created: Mutex<Option<StoreKey>>,
    }

    impl SessionStore for Store {
        fn create(
            &self,
            key: StoreKey,
            owner: Option<Owner>,
            record: StoredRecord,
        ) -> StoreFuture<'_, UnixTime> {
            *self.created.lock().unwrap() = Some(key);
            Box::pin(async move {
                let at = self.inner.create(key, owner, record).await?;
                if self.fault == Fault::Evicts {
                    self.inner.delete(key).await?;
                }
                Ok(at)
            })
        }

        fn load(&self, key: StoreKey) -> StoreFuture<'_, Option<Loaded>> {
            Box::pin(async move {
                match self.fault {
                    Fault::ReadsTooLate => Ok(None),
                    Fault::IsAway => Err(StoreError::new(
                        StoreErrorKind::Unavailable,
                        "connection refused",
                    )),
                    Fault::None | Fault::Evicts => self.inner.load(key).await,
                }
            })
        }

        fn swap(&self, key: StoreKey, tag: Tag, record: StoredRecord) -> StoreFuture<'_, Swapped> {
            self.inner.swap(key, tag, record)
        }

        fn delete(&self, key: StoreKey) -> StoreFuture<'_, Option<StoredRecord>> {
            self.inner.delete(key)
        }

        fn find(&self, by: OwnedBy) -> StoreFuture<'_, Vec<StoreKey>> {
            self.inner.find(by)
        }
    }

    #[tokio::test]
    async fn what_a_store_does_with_a_record_is_told() {
        let cases = [
            (Fault::None, "store_right"),
            (Fault::ReadsTooLate, "store_forgetful"),
            (Fault::Evicts, "store_forgetful"),
            (Fault::IsAway, "store_unreachable"),
        ];
        for (fault, code) in cases {
            let store = Arc::new(Store {
                inner: MemoryStore::new(),
                fault,
                created: Mutex::default(),
            });
            let shared: Arc<dyn SessionStore> = Arc::clone(&store) as _;
            let finding = told(REDIS_URL, tried(&shared).await);
            assert_eq!(finding.code(), code, "{fault:?}: {finding}");
            let key = store.created.lock().unwrap().unwrap();
            if fault != Fault::IsAway {
                let left = store.inner.load(key).await.unwrap();
                assert!(left.is_none(), "{fault:?}: nothing is left of it");
            }
        }
    }
}
