//! A store, and how often it is asked.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tower_oidc::login::{
    ChangeFuture, ChangeListener, OwnedBy, Owner, Peeked, SessionStore, StoreFuture, StoreKey,
    StoredRecord, Swapped, Tag,
};
use tower_oidc::{UnixTime, login::Loaded};

pub(crate) struct Counted {
    store: Arc<dyn SessionStore>,
    calls: AtomicU64,
    session: Mutex<Option<StoredRecord>>,
}

impl Counted {
    pub(crate) fn new(store: Arc<dyn SessionStore>) -> Self {
        Self {
            store,
            calls: AtomicU64::new(0),
            session: Mutex::new(None),
        }
    }

    /// How often the store was asked something that it may have to wait for.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// The first session that was created.
    pub(crate) fn session(&self) -> Option<StoredRecord> {
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        session.clone()
    }

    fn store(&self) -> &dyn SessionStore {
        self.calls.fetch_add(1, Ordering::Relaxed);
        &*self.store
    }
}

impl SessionStore for Counted {
    fn create(
        &self,
        key: StoreKey,
        owner: Option<Owner>,
        record: StoredRecord,
    ) -> StoreFuture<'_, UnixTime> {
        if owner.is_some() {
            let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
            session.get_or_insert_with(|| record.clone());
        }
        self.store().create(key, owner, record)
    }

    fn load(&self, key: StoreKey) -> StoreFuture<'_, Option<Loaded>> {
        self.store().load(key)
    }

    fn peek(&self, key: StoreKey) -> Option<Peeked> {
        self.store.peek(key)
    }

    fn swap(&self, key: StoreKey, expected: Tag, next: StoredRecord) -> StoreFuture<'_, Swapped> {
        self.store().swap(key, expected, next)
    }

    fn delete(&self, key: StoreKey) -> StoreFuture<'_, Option<StoredRecord>> {
        self.store().delete(key)
    }

    fn find(&self, owner: OwnedBy) -> StoreFuture<'_, Vec<StoreKey>> {
        self.store().find(owner)
    }

    fn changed(&self, key: StoreKey) -> ChangeFuture<'_> {
        self.store.changed(key)
    }

    fn on_change(&self, listener: ChangeListener) {
        self.store.on_change(listener);
    }

    fn is_shared(&self) -> bool {
        self.store.is_shared()
    }
}
