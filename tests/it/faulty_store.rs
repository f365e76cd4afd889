//! A store that fails on demand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use tower_oidc::UnixTime;
use tower_oidc::error::{StoreError, StoreErrorKind};
use tower_oidc::login::{
    Loaded, MemoryStore, OwnedBy, Owner, Record, SessionStore, StoreFuture, StoreKey, StoredRecord,
    Swapped, Tag,
};

pub(crate) struct FaultyStore {
    inner: Arc<MemoryStore>,
    mode: AtomicU8,
    refused_commits: AtomicU32,
    round_trips: AtomicU32,
    swaps: AtomicU32,
}

const WELL: u8 = 0;
const DOWN: u8 = 1;
const NO_COMMITS: u8 = 2;
const NO_DELETES: u8 = 3;
const NO_FINDS: u8 = 4;
const NO_SESSIONS: u8 = 5;

impl FaultyStore {
    pub(crate) fn new(inner: Arc<MemoryStore>) -> Self {
        Self {
            inner,
            mode: AtomicU8::new(WELL),
            refused_commits: AtomicU32::new(0),
            round_trips: AtomicU32::new(0),
            swaps: AtomicU32::new(0),
        }
    }

    pub(crate) fn break_down(&self) {
        self.mode.store(DOWN, Ordering::SeqCst);
    }

    pub(crate) fn break_commits(&self) {
        self.mode.store(NO_COMMITS, Ordering::SeqCst);
    }

    pub(crate) fn break_deletes(&self) {
        self.mode.store(NO_DELETES, Ordering::SeqCst);
    }

    /// Makes no session any more, and still sets marks.
    pub(crate) fn break_sessions(&self) {
        self.mode.store(NO_SESSIONS, Ordering::SeqCst);
    }

    pub(crate) fn break_finds(&self) {
        self.mode.store(NO_FINDS, Ordering::SeqCst);
    }

    /// How often a record was changed.
    pub(crate) fn swaps(&self) -> u32 {
        self.swaps.load(Ordering::SeqCst)
    }

    pub(crate) fn recover(&self) {
        self.mode.store(WELL, Ordering::SeqCst);
    }

    pub(crate) fn refused_commits(&self) -> u32 {
        self.refused_commits.load(Ordering::SeqCst)
    }

    /// How often something was asked of it.
    pub(crate) fn round_trips(&self) -> u32 {
        self.round_trips.load(Ordering::SeqCst)
    }

    fn or_down<'a, T: Send + 'a>(&'a self, answer: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
        self.round_trips.fetch_add(1, Ordering::SeqCst);
        if self.mode.load(Ordering::SeqCst) == DOWN {
            return Box::pin(async { Err(away()) });
        }
        answer
    }
}

fn away() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "the store is away")
}

impl SessionStore for FaultyStore {
    fn create(
        &self,
        key: StoreKey,
        owner: Option<Owner>,
        record: StoredRecord,
    ) -> StoreFuture<'_, UnixTime> {
        if owner.is_some() && self.mode.load(Ordering::SeqCst) == NO_SESSIONS {
            return Box::pin(async { Err(away()) });
        }
        self.or_down(self.inner.create(key, owner, record))
    }

    fn load(&self, key: StoreKey) -> StoreFuture<'_, Option<Loaded>> {
        self.or_down(self.inner.load(key))
    }

    fn swap(&self, key: StoreKey, expected: Tag, next: StoredRecord) -> StoreFuture<'_, Swapped> {
        let is_commit = Record::decode(&next.bytes).is_some_and(|record| record.generation > 0);
        if is_commit && self.mode.load(Ordering::SeqCst) == NO_COMMITS {
            self.refused_commits.fetch_add(1, Ordering::SeqCst);
            return Box::pin(async { Err(away()) });
        }
        self.swaps.fetch_add(1, Ordering::SeqCst);
        self.or_down(self.inner.swap(key, expected, next))
    }

    fn delete(&self, key: StoreKey) -> StoreFuture<'_, Option<StoredRecord>> {
        if self.mode.load(Ordering::SeqCst) == NO_DELETES {
            return Box::pin(async { Err(away()) });
        }
        self.or_down(self.inner.delete(key))
    }

    fn find(&self, owner: OwnedBy) -> StoreFuture<'_, Vec<StoreKey>> {
        if self.mode.load(Ordering::SeqCst) == NO_FINDS {
            return Box::pin(async { Err(away()) });
        }
        self.or_down(self.inner.find(owner))
    }
}
