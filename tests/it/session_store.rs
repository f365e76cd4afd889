//! The memory store, held against what every store must pass.

use tower_oidc::Clock;
use tower_oidc::login::MemoryStore;
use tower_oidc::testing::{ManualClock, store_suite};

#[tokio::test(flavor = "multi_thread")]
async fn d14_the_memory_store_passes_the_suite() {
    let clock = ManualClock::new();
    let store = MemoryStore::with_clock(clock.clone());
    store_suite(store, clock.now(), async |time| clock.advance(time)).await;
}
