//! A store that breaks down when it is told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::time::Duration;

use tower_oidc::error::{StoreError, StoreErrorKind};
use tower_oidc::login::{
    Fence, FenceOutcome, LeaseOutcome, MemoryStore, Owner, Record, Renewal, SessionStore,
    Settlement, StoreFuture, StoreKey, Stored,
};

pub(crate) struct FaultyStore {
    inner: Arc<MemoryStore>,
    mode: AtomicU8,
    refused_commits: AtomicU32,
}

const WELL: u8 = 0;
const DOWN: u8 = 1;
const NO_COMMITS: u8 = 2;

impl FaultyStore {
    pub(crate) fn new(inner: Arc<MemoryStore>) -> Self {
        Self {
            inner,
            mode: AtomicU8::new(WELL),
            refused_commits: AtomicU32::new(0),
        }
    }

    pub(crate) fn break_down(&self) {
        self.mode.store(DOWN, Ordering::SeqCst);
    }

    pub(crate) fn break_commits(&self) {
        self.mode.store(NO_COMMITS, Ordering::SeqCst);
    }

    pub(crate) fn recover(&self) {
        self.mode.store(WELL, Ordering::SeqCst);
    }

    pub(crate) fn refused_commits(&self) -> u32 {
        self.refused_commits.load(Ordering::SeqCst)
    }

    fn or_down<'a, T: Send + 'a>(&'a self, answer: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
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
    fn create(&self, key: StoreKey, owner: Owner, record: Record) -> StoreFuture<'_, ()> {
        self.or_down(self.inner.create(key, owner, record))
    }

    fn load(&self, key: StoreKey) -> StoreFuture<'_, Option<Stored<()>>> {
        self.or_down(self.inner.load(key))
    }

    fn try_lease(
        &self,
        key: StoreKey,
        generation: u64,
        lease: Duration,
    ) -> StoreFuture<'_, Option<Stored<LeaseOutcome>>> {
        self.or_down(self.inner.try_lease(key, generation, lease))
    }

    fn commit(
        &self,
        key: StoreKey,
        fence: Fence,
        generation: u64,
        renewal: Renewal,
    ) -> StoreFuture<'_, Option<Stored<FenceOutcome>>> {
        if self.mode.load(Ordering::SeqCst) == NO_COMMITS {
            self.refused_commits.fetch_add(1, Ordering::SeqCst);
            return Box::pin(async { Err(away()) });
        }
        self.or_down(self.inner.commit(key, fence, generation, renewal))
    }

    fn settle(
        &self,
        key: StoreKey,
        fence: Fence,
        settlement: Settlement,
    ) -> StoreFuture<'_, Option<Stored<FenceOutcome>>> {
        self.or_down(self.inner.settle(key, fence, settlement))
    }

    fn delete(&self, key: StoreKey) -> StoreFuture<'_, Option<Record>> {
        self.or_down(self.inner.delete(key))
    }

    fn delete_by_subject(&self, subject: StoreKey) -> StoreFuture<'_, Vec<(StoreKey, Record)>> {
        self.or_down(self.inner.delete_by_subject(subject))
    }

    fn delete_by_session(&self, session: StoreKey) -> StoreFuture<'_, Vec<(StoreKey, Record)>> {
        self.or_down(self.inner.delete_by_session(session))
    }

    fn put_if_absent(&self, key: StoreKey, lifetime: Duration) -> StoreFuture<'_, bool> {
        self.or_down(self.inner.put_if_absent(key, lifetime))
    }
}
