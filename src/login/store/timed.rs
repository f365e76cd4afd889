//! A session store whose calls are measured.

use std::sync::Arc;

use crate::clock::{SharedClock, UnixTime};
use crate::error::{StoreError, StoreErrorKind};
use crate::login::store::{
    ChangeFuture, ChangeListener, Loaded, OwnedBy, Owner, Peeked, SessionStore, StoreKey,
    StoredRecord, Swapped, Tag,
};
use crate::observe;

/// A store, and the clock that its calls are measured by.
pub(crate) struct TimedStore {
    store: Arc<dyn SessionStore>,
    clock: SharedClock,
}

impl TimedStore {
    pub(crate) fn new(store: Arc<dyn SessionStore>, clock: SharedClock) -> Self {
        Self { store, clock }
    }

    pub(crate) async fn create(
        &self,
        key: StoreKey,
        owner: Option<Owner>,
        record: StoredRecord,
    ) -> Result<UnixTime, StoreError> {
        let call = self.store.create(key, owner, record);
        self.measured("create", call).await
    }

    pub(crate) async fn load(&self, key: StoreKey) -> Result<Option<Loaded>, StoreError> {
        self.measured("load", self.store.load(key)).await
    }

    pub(crate) async fn swap(
        &self,
        key: StoreKey,
        expected: Tag,
        next: StoredRecord,
    ) -> Result<Swapped, StoreError> {
        let call = self.store.swap(key, expected, next);
        self.measured("swap", call).await
    }

    pub(crate) async fn delete(&self, key: StoreKey) -> Result<Option<StoredRecord>, StoreError> {
        self.measured("delete", self.store.delete(key)).await
    }

    pub(crate) async fn find(&self, owner: OwnedBy) -> Result<Vec<StoreKey>, StoreError> {
        self.measured("find", self.store.find(owner)).await
    }

    /// Not measured: it answers at once.
    #[inline]
    pub(crate) fn peek(&self, key: StoreKey) -> Option<Peeked> {
        self.store.peek(key)
    }

    pub(crate) fn changed(&self, key: StoreKey) -> ChangeFuture<'_> {
        self.store.changed(key)
    }

    pub(crate) fn on_change(&self, listener: ChangeListener) {
        self.store.on_change(listener);
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.store.is_shared()
    }

    async fn measured<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let began = self.clock.begin();
        let answer = call.await;
        let answered = match &answer {
            Ok(_) => true,
            // The store works: another record stands there.
            Err(error) => error.kind() == StoreErrorKind::Taken,
        };
        observe::store_called(operation, answered, self.clock.since(began));
        answer
    }
}
