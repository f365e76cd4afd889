//! The one loop by which a record changes: apply a transition to what was seen, swap it in, and on a
//! conflict apply it to what came back.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::clock::{SharedClock, UnixTime};
use crate::error::{StoreError, StoreErrorKind};
use crate::login::sessions::record::Record;
use crate::login::store::near_cache::NearCache;
use crate::login::store::timed::TimedStore;
use crate::login::store::{
    ChangeFuture, Loaded, Owner, Peeked, StoreKey, StoredRecord, Swapped, Tag,
};
use crate::secret::NoRandomness;

/// The records of all sessions.
pub(crate) struct Ledger {
    near: NearCache,
    clock: SharedClock,
}

/// A record as it stood at a time.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) record: Record,
    pub(crate) tag: Tag,
    /// The store's time, not earlier than it was at `asked_at`.
    now: UnixTime,
    /// In monotonic time, before the store was asked. What is counted from `now` is counted from here.
    pub(crate) asked_at: Duration,
}

/// A record that others change again and again is given up after this number of conflicts.
const MOST_CONFLICTS: usize = 32;

/// While a store does not take a change: a new attempt after each pause, whether or not the last one has
/// been answered.
const PAUSE: Duration = Duration::from_millis(500);
const MOST_ATTEMPTS: usize = 4;

impl Ledger {
    pub(crate) fn new(near: NearCache, clock: SharedClock) -> Self {
        Self { near, clock }
    }

    pub(crate) fn store(&self) -> &TimedStore {
        self.near.store()
    }

    /// How long a change by another replica may go unnoticed.
    pub(crate) fn near_cache_age(&self) -> Duration {
        self.near.age()
    }

    /// Monotonic time, to be read before the store is asked.
    pub(crate) fn mark(&self) -> Duration {
        self.clock.monotonic()
    }

    /// Which record stands there, possibly as it was a moment ago, where that can be told without waiting.
    pub(crate) fn peek(&self, key: StoreKey) -> Option<Peeked> {
        self.near.peek(key)
    }

    /// The record, possibly as it was a moment ago.
    pub(crate) async fn load(&self, key: StoreKey) -> Result<Option<Loaded>, StoreError> {
        self.near.load(key).await
    }

    /// The record as the store has it now.
    pub(crate) async fn see(&self, key: StoreKey) -> Result<Option<Seen>, StoreError> {
        let asked_at = self.mark();
        let loaded = self.near.load_through(key).await?;
        loaded
            .map(|loaded| Seen::decode(&loaded, asked_at))
            .transpose()
    }

    pub(crate) fn changed(&self, key: StoreKey) -> ChangeFuture<'_> {
        self.store().changed(key)
    }

    /// The store's time now, from what it was when something was seen.
    pub(crate) fn now(&self, seen: &Seen) -> UnixTime {
        let passed = self.mark().saturating_sub(seen.asked_at);
        seen.now.saturating_add(passed)
    }

    /// Puts a new record there, and returns its tag.
    pub(crate) async fn create(
        &self,
        key: StoreKey,
        owner: Owner,
        record: &Record,
    ) -> Result<Tag, StoreError> {
        let tag = new_tag()?;
        let stored = stored(record, tag);
        let created = self.store().create(key, Some(owner), stored).await;
        created.map(|_| tag)
    }

    /// Removes a record, and returns it. One that cannot be read is removed all the same.
    pub(crate) async fn delete(&self, key: StoreKey) -> Result<Option<StoredRecord>, StoreError> {
        // Where the answer to the removal is lost and it is repeated, nothing is there to be returned.
        let known = self.near.load_through(key).await?;
        let deleted = self.near.delete(key).await?;
        Ok(deleted.or(known.map(|loaded| loaded.record)))
    }

    /// Changes a record. `transition` may run several times, each time on what the record is by then; where
    /// it leaves the record as it is, nothing is written. `None` if the session is gone.
    ///
    /// An error says nothing about whether the change was made.
    pub(crate) async fn apply<T>(
        &self,
        key: StoreKey,
        mut seen: Seen,
        transition: impl Fn(&mut Record, UnixTime) -> T,
    ) -> Result<Option<(T, Seen)>, StoreError> {
        for _ in 0..MOST_CONFLICTS {
            let mut record = seen.record.clone();
            let asked_at = self.mark();
            let now = self.now(&seen);
            let outcome = transition(&mut record, now);
            if record == seen.record {
                return Ok(Some((outcome, seen)));
            }
            let tag = new_tag()?;
            let written = Seen {
                record,
                tag,
                now,
                asked_at,
            };
            let next = stored(&written.record, tag);
            match self.near.swap(key, seen.tag, next).await? {
                Swapped::Done => return Ok(Some((outcome, written))),
                // It was written, and the answer was lost.
                Swapped::Conflict(there) if there.record.tag == tag => {
                    return Ok(Some((outcome, written)));
                }
                Swapped::Conflict(there) => seen = Seen::decode(&there, asked_at)?,
                Swapped::Gone => return Ok(None),
            }
        }
        Err(StoreError::new(
            StoreErrorKind::Unavailable,
            "a session's record was changed by others at each attempt to change it",
        ))
    }

    /// The same, again and again for as long as `patience` lasts: what is to be written must not be lost.
    pub(crate) async fn apply_until_stored<T: Send + 'static>(
        self: &Arc<Self>,
        key: StoreKey,
        seen: &Seen,
        patience: Duration,
        transition: impl Fn(&mut Record, UnixTime) -> T + Clone + Send + Sync + 'static,
    ) -> Result<Option<(T, Seen)>, StoreError> {
        let mut attempts = JoinSet::new();
        let mut waited = Duration::ZERO;
        let mut last = StoreError::new(StoreErrorKind::Unavailable, "the store does not answer");
        loop {
            if attempts.len() < MOST_ATTEMPTS {
                let (ledger, seen) = (Arc::clone(self), seen.clone());
                let transition = transition.clone();
                attempts.spawn(async move { ledger.apply(key, seen, transition).await });
            }
            match tokio::time::timeout(PAUSE, attempts.join_next()).await {
                Ok(Some(Ok(Ok(applied)))) => return Ok(applied),
                Ok(Some(Ok(Err(error)))) => {
                    last = error;
                    tokio::time::sleep(PAUSE).await;
                }
                Ok(Some(Err(_)) | None) => tokio::time::sleep(PAUSE).await,
                Err(_) => {}
            }
            waited += PAUSE;
            if waited >= patience {
                return Err(last);
            }
        }
    }
}

impl Seen {
    /// What a store answered to a question of this time.
    pub(crate) fn decode(loaded: &Loaded, asked_at: Duration) -> Result<Self, StoreError> {
        let record = Record::try_decode(&loaded.record.bytes)?;
        Ok(Self::new(record, loaded.peeked(), asked_at))
    }

    /// The same, decoded already.
    pub(crate) fn new(record: Record, Peeked { tag, now }: Peeked, asked_at: Duration) -> Self {
        Self {
            record,
            tag,
            now,
            asked_at,
        }
    }

    /// The record as a store that was asked at this time has it.
    pub(crate) fn to_loaded(&self, now: UnixTime) -> Loaded {
        Loaded {
            record: stored(&self.record, self.tag),
            now,
        }
    }
}

fn stored(record: &Record, tag: Tag) -> StoredRecord {
    StoredRecord {
        bytes: record.encode(),
        tag,
        expires_at: record.expires_at,
    }
}

fn new_tag() -> Result<Tag, StoreError> {
    Tag::random().map_err(no_randomness)
}

pub(crate) fn no_randomness(_: NoRandomness) -> StoreError {
    StoreError::new(
        StoreErrorKind::Unavailable,
        "the system has no randomness to offer",
    )
}
