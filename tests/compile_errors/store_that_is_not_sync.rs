//! `RefCell<u8>` cannot be shared between threads safely
//! `SessionStore`

use std::cell::RefCell;

use tower_oidc::UnixTime;
use tower_oidc::login::{
    Loaded, LoginBuilder, OwnedBy, Owner, SessionStore, StoreFuture, StoreKey, StoredRecord,
    Swapped, Tag,
};

struct Sessions(RefCell<u8>);

impl SessionStore for Sessions {
    fn create(&self, _: StoreKey, _: Option<Owner>, _: StoredRecord) -> StoreFuture<'_, UnixTime> {
        loop {}
    }
    fn load(&self, _: StoreKey) -> StoreFuture<'_, Option<Loaded>> {
        loop {}
    }
    fn swap(&self, _: StoreKey, _: Tag, _: StoredRecord) -> StoreFuture<'_, Swapped> {
        loop {}
    }
    fn delete(&self, _: StoreKey) -> StoreFuture<'_, Option<StoredRecord>> {
        loop {}
    }
    fn find(&self, _: OwnedBy) -> StoreFuture<'_, Vec<StoreKey>> {
        loop {}
    }
}

fn main() {
    let _ = |builder: LoginBuilder| builder.with_store(Sessions(RefCell::new(0)));
}
