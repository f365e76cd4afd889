//! Revocations shared through Redis.

use super::proxy::{Line, Proxy};
use super::server::Redis;
use crate::revocations::are_shared;
use tower_oidc::Revocations;
use tower_oidc::login::RedisStore;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; the full test run brings it"]
async fn revocations_are_shared_through_redis() {
    let redis = Redis::start(&[]);
    are_shared(|| redis.store()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; the full test run brings it"]
async fn a_process_that_was_cut_off_tells_later() {
    let redis = Redis::start(&[]);
    let line = Proxy::to(redis.port).await;
    let revocations = Revocations::new();
    let store = RedisStore::new(&line.url()).unwrap();
    revocations.share_through(store).await.unwrap();
    line.is_now(Line::Cut);
    revocations
        .end_session("https://id.example", "one")
        .unwrap();
    assert!(revocations.shared().await.is_err());
    line.is_now(Line::Good);
    for _ in 0..20 {
        if revocations.shared().await.is_ok() {
            return;
        }
    }
    panic!("it was not told after the store had come back");
}
