//! What all replicas remember for a while: that an answer was used, that a logout was obeyed. A mark is a
//! record without an owner.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::clock::UnixTime;
use crate::error::{StoreError, StoreErrorKind};
use crate::login::sessions::ledger::{Ledger, no_randomness};
use crate::login::store::{StoreKey, StoredRecord, Swapped, Tag};

/// The marks of one layer, in the store of its sessions.
#[derive(Clone)]
pub(crate) struct Marks(Arc<Ledger>);

/// A mark that was set by this call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Marked {
    /// The store's time.
    pub(crate) now: UnixTime,
    /// In monotonic time, before the store was asked.
    pub(crate) asked_at: Duration,
}

/// Marks are dated by this machine's clock, and expire by the store's.
const MOST_CONFLICTS: usize = 32;
const CLOCKS_APART: Duration = Duration::from_secs(300);

impl Marks {
    pub(crate) fn new(ledger: Arc<Ledger>) -> Self {
        Self(ledger)
    }

    /// Sets a mark. `None` if it is set already.
    pub(crate) async fn set(
        &self,
        key: StoreKey,
        until: UnixTime,
    ) -> Result<Option<Marked>, StoreError> {
        let asked_at = self.0.mark();
        match self.0.store().create(key, None, mark(until, until)?).await {
            Ok(now) => Ok(Some(Marked { now, asked_at })),
            Err(error) if error.kind() == StoreErrorKind::Taken => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn is_set(&self, key: StoreKey) -> Result<bool, StoreError> {
        Ok(self.0.store().load(key).await?.is_some())
    }

    /// Takes a mark back, because what it stands for did not happen.
    pub(crate) async fn clear(&self, key: StoreKey) -> Result<(), StoreError> {
        self.0.store().delete(key).await.map(|_| ())
    }

    /// Puts a mark that holds a time in the place of an earlier one. The latest time stays, under a new tag.
    pub(crate) async fn put(
        &self,
        key: StoreKey,
        time: UnixTime,
        until: UnixTime,
    ) -> Result<(), StoreError> {
        for _ in 0..MOST_CONFLICTS {
            let store = self.0.store();
            let Some(there) = store.load(key).await? else {
                match store.create(key, None, mark(until, time)?).await {
                    Ok(_) => return Ok(()),
                    Err(error) if error.kind() == StoreErrorKind::Taken => continue,
                    Err(error) => return Err(error),
                }
            };
            let latest = time_in(&there.record.bytes).map_or(time, |known| known.max(time));
            let until = until.max(there.record.expires_at);
            let next = mark(until, latest)?;
            if store.swap(key, there.record.tag, next).await? == Swapped::Done {
                return Ok(());
            }
        }
        Err(StoreError::new(
            StoreErrorKind::Unavailable,
            "a mark was changed by others at each attempt to change it",
        ))
    }

    /// The tag of a mark, and the time it holds.
    pub(crate) async fn get(&self, key: StoreKey) -> Result<Option<(Tag, UnixTime)>, StoreError> {
        let loaded = self.0.store().load(key).await?;
        Ok(loaded.and_then(|loaded| {
            let record = loaded.record;
            Some((record.tag, time_in(&record.bytes)?))
        }))
    }
}

fn mark(until: UnixTime, time: UnixTime) -> Result<StoredRecord, StoreError> {
    Ok(StoredRecord {
        bytes: Bytes::copy_from_slice(&time.as_seconds().to_be_bytes()),
        tag: Tag::random().map_err(no_randomness)?,
        expires_at: until.saturating_add(CLOCKS_APART),
    })
}

fn time_in(bytes: &[u8]) -> Option<UnixTime> {
    let seconds = bytes.try_into().ok()?;
    Some(UnixTime::from_seconds(i64::from_be_bytes(seconds)))
}
