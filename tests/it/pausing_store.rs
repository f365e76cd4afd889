//! A store that stops once at a chosen step, until it is told to go on.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use tower_oidc::UnixTime;
use tower_oidc::login::{
    Loaded, MemoryStore, OwnedBy, Owner, SessionStore, StoreFuture, StoreKey, StoredRecord,
    Swapped, Tag,
};

pub(crate) struct PausingStore {
    inner: Arc<MemoryStore>,
    pause_at: Mutex<Option<Step>>,
    reached: Notify,
    resumed: Notify,
    swaps: AtomicU32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Before a session is created.
    Create,
    /// After a session was created, before its creator knows.
    Created,
    /// Before a session is changed.
    Swap,
    /// Before sessions are looked for.
    Find,
}

impl PausingStore {
    pub(crate) fn new(inner: Arc<MemoryStore>) -> Self {
        Self {
            inner,
            pause_at: Mutex::new(None),
            reached: Notify::new(),
            resumed: Notify::new(),
            swaps: AtomicU32::new(0),
        }
    }

    /// How many writes to sessions were done.
    pub(crate) fn swaps(&self) -> u32 {
        self.swaps.load(Ordering::SeqCst)
    }

    /// The next that takes this step stops there.
    pub(crate) fn pause_at(&self, step: Step) {
        *self.pause_at.lock().unwrap() = Some(step);
    }

    pub(crate) async fn reached(&self) {
        self.reached.notified().await;
    }

    pub(crate) fn resume(&self) {
        self.resumed.notify_one();
    }

    async fn pass(&self, step: Step) {
        let is_here = {
            let mut pause_at = self.pause_at.lock().unwrap();
            pause_at.take_if(|at| *at == step).is_some()
        };
        if is_here {
            self.reached.notify_one();
            self.resumed.notified().await;
        }
    }
}

impl SessionStore for PausingStore {
    fn create(
        &self,
        key: StoreKey,
        owner: Option<Owner>,
        record: StoredRecord,
    ) -> StoreFuture<'_, UnixTime> {
        Box::pin(async move {
            let is_session = owner.is_some();
            if is_session {
                self.pass(Step::Create).await;
            }
            let created = self.inner.create(key, owner, record).await;
            if is_session {
                self.pass(Step::Created).await;
            }
            created
        })
    }

    fn load(&self, key: StoreKey) -> StoreFuture<'_, Option<Loaded>> {
        self.inner.load(key)
    }

    fn swap(&self, key: StoreKey, expected: Tag, next: StoredRecord) -> StoreFuture<'_, Swapped> {
        Box::pin(async move {
            self.pass(Step::Swap).await;
            let swapped = self.inner.swap(key, expected, next).await;
            self.swaps.fetch_add(1, Ordering::SeqCst);
            swapped
        })
    }

    fn delete(&self, key: StoreKey) -> StoreFuture<'_, Option<StoredRecord>> {
        self.inner.delete(key)
    }

    fn find(&self, owner: OwnedBy) -> StoreFuture<'_, Vec<StoreKey>> {
        Box::pin(async move {
            self.pass(Step::Find).await;
            self.inner.find(owner).await
        })
    }
}
