//! The memory store and the suite that every store must pass.

use tower_oidc::Clock;
use tower_oidc::login::MemoryStore;
use tower_oidc::testing::{ManualClock, store_suite};

#[cfg(feature = "redis")]
use crate::log::Log;

// D14
#[tokio::test(flavor = "multi_thread")]
async fn the_memory_store_passes_the_suite() {
    let clock = ManualClock::new();
    let store = MemoryStore::with_clock(clock.clone());
    store_suite(store, clock.now(), async |time| clock.advance(time)).await;
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn a_redis_that_does_not_answer_is_logged_once_with_its_setting() {
    use tower_oidc::login::{RedisStore, SessionStore, StoreKey};
    let log = Log::default();
    let _guard = log.capture();
    // Nothing listens there.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("redis://:hunter2@{}", closed.local_addr().unwrap());
    drop(closed);
    let store = RedisStore::new(&address).unwrap();
    for _ in 0..3 {
        assert!(store.load(StoreKey::of(&["any"])).await.is_err());
    }
    let warnings = log.at(tracing::Level::WARN);
    let told = warnings.iter().filter(|line| line.contains("REDIS_URL"));
    assert_eq!(told.count(), 1, "{warnings:?}");
    assert!(!log.text().contains("hunter2"), "{}", log.text());
}
