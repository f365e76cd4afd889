//! What all replicas remember for a while: that an answer was used, that a logout was obeyed. A mark is a
//! record without an owner.

use std::sync::Arc;
use std::time::Duration;

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

/// A mark that others change again and again is given up after this number of conflicts.
const MOST_CONFLICTS: usize = 32;

/// Marks are dated by this machine's clock, and expire by the store's.
pub(crate) const CLOCKS_APART: Duration = Duration::from_secs(300);

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
        match self.0.store().create(key, None, mark(until, &[])?).await {
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

    /// Puts a mark that holds times. Of times that are there already the later ones stay.
    pub(crate) async fn put<const N: usize>(
        &self,
        key: StoreKey,
        mut times: [UnixTime; N],
        until: UnixTime,
    ) -> Result<(), StoreError> {
        for _ in 0..MOST_CONFLICTS {
            let store = self.0.store();
            let Some(there) = store.load(key).await? else {
                match store.create(key, None, mark(until, &times)?).await {
                    Ok(_) => return Ok(()),
                    Err(error) if error.kind() == StoreErrorKind::Taken => continue,
                    Err(error) => return Err(error),
                }
            };
            if let Some(known) = times_in::<N>(&there.record.bytes) {
                for (time, known) in times.iter_mut().zip(known) {
                    *time = known.max(*time);
                }
            }
            let mut next = mark(until, &times)?;
            next.expires_at = next.expires_at.max(there.record.expires_at);
            if store.swap(key, there.record.tag, next).await? == Swapped::Done {
                return Ok(());
            }
        }
        Err(StoreError::new(
            StoreErrorKind::Unavailable,
            "a mark was changed by others at each attempt to change it",
        ))
    }

    /// The times that a mark holds.
    pub(crate) async fn get<const N: usize>(
        &self,
        key: StoreKey,
    ) -> Result<Option<[UnixTime; N]>, StoreError> {
        let loaded = self.0.store().load(key).await?;
        Ok(loaded.and_then(|loaded| times_in(&loaded.record.bytes)))
    }
}

fn mark(until: UnixTime, times: &[UnixTime]) -> Result<StoredRecord, StoreError> {
    let bytes = times
        .iter()
        .flat_map(|time| time.as_seconds().to_be_bytes());
    Ok(StoredRecord {
        bytes: bytes.collect(),
        tag: Tag::random().map_err(no_randomness)?,
        expires_at: until.saturating_add(CLOCKS_APART),
    })
}

fn times_in<const N: usize>(bytes: &[u8]) -> Option<[UnixTime; N]> {
    let (times, rest) = bytes.as_chunks();
    let seconds = <&[[u8; 8]; N]>::try_from(times).ok()?;
    let times = seconds.map(|time| UnixTime::from_seconds(i64::from_be_bytes(time)));
    rest.is_empty().then_some(times)
}
