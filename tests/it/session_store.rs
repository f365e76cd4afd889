//! The memory store and the suite that every store must pass.

use tower_oidc::Clock;
use tower_oidc::login::MemoryStore;
use tower_oidc::testing::{ManualClock, store_suite};

// D14
#[tokio::test(flavor = "multi_thread")]
async fn the_memory_store_passes_the_suite() {
    let clock = ManualClock::new();
    let store = MemoryStore::with_clock(clock.clone());
    store_suite(store, clock.now(), async |time| clock.advance(time)).await;
}
