//! Servers behind sentinels, of which the master fails.

use std::time::{Duration, Instant};

use reqwest::StatusCode;

use super::server::Redis;
use crate::stores::replicas::{Arrangement, Replicas};
use crate::stores::server::Kind;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, Node and oidc-provider; the full test run brings them"]
async fn a_failing_master_is_followed_by_its_replica_and_signs_no_user_out() {
    let master = Redis::start(&["--repl-diskless-sync-delay", "0"]);
    let port = master.port.to_string();
    let replica = Redis::start(&["--replicaof", "127.0.0.1", &port]);
    let sentinels: Vec<_> = (0..3)
        .map(|_| Redis::start_sentinel(&master, "mymaster"))
        .collect();
    let urls: Vec<_> = sentinels.iter().map(Redis::url).collect();
    let known = |name: &str| -> Vec<u64> {
        let counts = sentinels.iter().map(|sentinel| {
            let mut connection = sentinel.connection();
            let info: std::collections::HashMap<String, redis::Value> = redis::cmd("SENTINEL")
                .arg(&["MASTER", "mymaster"])
                .query(&mut connection)
                .unwrap();
            redis::from_redis_value(info[name].clone()).unwrap()
        });
        counts.collect()
    };
    let started = Instant::now();
    while known("num-slaves").contains(&0) || known("num-other-sentinels") != [2, 2, 2] {
        let passed = started.elapsed();
        assert!(
            passed < Duration::from_secs(30),
            "they do not find each other"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let site = Replicas::arranged(Arrangement {
        stores: Some([(); 3].map(|()| "redis://mymaster/0".to_owned())),
        settings: vec![("REDIS_SENTINELS", urls.join(","))],
        ..Arrangement::of(Kind::Redis)
    })
    .await;
    site.expiry().await;
    assert!(
        site.burst(30)
            .await
            .iter()
            .all(|status| *status == StatusCode::OK)
    );
    assert_eq!(site.grants().await, (1, 0));
    let mut connection = master.connection();
    let copied: u64 = redis::cmd("WAIT")
        .arg(&[1, 5_000])
        .query(&mut connection)
        .unwrap();
    assert_eq!(copied, 1, "the replica has it");
    master.signal("-KILL");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(
        site.status(0, "/api/me").await,
        StatusCode::SERVICE_UNAVAILABLE
    );
    for replica in 0..3 {
        site.until(replica, StatusCode::OK, Duration::from_secs(30))
            .await;
    }
    site.expiry().await;
    assert!(
        site.burst(300)
            .await
            .iter()
            .all(|status| *status == StatusCode::OK)
    );
    let (refreshes, reuses) = site.grants().await;
    assert_eq!(reuses, 0);
    assert!((2..=4).contains(&refreshes), "{refreshes}");
    drop(replica);
}
