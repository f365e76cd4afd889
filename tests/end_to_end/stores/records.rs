//! Records and keys for tests that use a store directly.

use std::time::Duration;

use bytes::Bytes;
use tower_oidc::login::{Owner, SessionId, SessionStore, StoreKey, StoredRecord, Tag};
use tower_oidc::testing::store_suite;
use tower_oidc::{Clock, SystemClock, UnixTime};

pub(crate) fn now() -> UnixTime {
    SystemClock::new().now()
}

pub(crate) fn random_key() -> StoreKey {
    SessionId::random().unwrap().store_key()
}

pub(crate) fn owner() -> Owner {
    Owner {
        subject: random_key(),
        session: random_key(),
        ends_at: later(),
    }
}

/// A record of a hundred seconds.
pub(crate) fn record(bytes: &'static [u8]) -> StoredRecord {
    StoredRecord {
        bytes: Bytes::from_static(bytes),
        tag: Tag::random().unwrap(),
        expires_at: later(),
    }
}

fn later() -> UnixTime {
    now().saturating_add(Duration::from_secs(100))
}

/// What every store must do, by a clock that cannot be set.
pub(crate) async fn passes_the_suite(store: impl SessionStore) {
    store_suite(store, now(), async |time| {
        tokio::time::sleep(time + Duration::from_secs(1)).await;
    })
    .await;
}
