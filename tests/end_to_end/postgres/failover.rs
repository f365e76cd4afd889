//! A server that fails, and one that followed it.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use tower_oidc::login::{PostgresStore, SessionStore};

use super::server::Postgres;
use crate::stores::proxy::{Line, Proxy};
use crate::stores::records::{random_key, record};
use crate::stores::replicas::{Arrangement, Replicas};
use crate::stores::server::Kind;

/// Until the standby has everything.
async fn has_followed(primary: &Postgres) {
    const BEHIND: &str =
        "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn = pg_current_wal_lsn()";
    let started = Instant::now();
    while primary.column::<i64>(BEHIND).await != [1] {
        let passed = started.elapsed();
        assert!(
            passed < Duration::from_secs(20),
            "the standby does not follow"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

// D31
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Node and oidc-provider; the full test run brings them"]
async fn a_failing_server_is_followed_by_its_standby_and_signs_no_user_out() {
    let primary = Postgres::start(&[]);
    let standby = primary.start_standby();
    let line = Proxy::to(primary.port).await;
    let site = Replicas::arranged(Arrangement {
        stores: Some([(); 3].map(|()| Postgres::url_at(line.port))),
        ..Arrangement::of(Kind::Postgres)
    })
    .await;
    site.expiry().await;
    let burst = site.burst(30).await;
    assert!(burst.iter().all(|status| *status == StatusCode::OK));
    assert_eq!(site.grants().await, (1, 0));
    has_followed(&primary).await;
    primary.signal("-KILL");
    // The address leads to the standby before it takes writes.
    line.leads_to(standby.port);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let status = site.status(0, "/api/me").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    standby.column::<bool>("SELECT pg_promote()").await;
    for replica in 0..3 {
        let within = Duration::from_secs(30);
        site.until(replica, StatusCode::OK, within).await;
    }
    site.expiry().await;
    let burst = site.burst(300).await;
    assert!(burst.iter().all(|status| *status == StatusCode::OK));
    let (refreshes, reuses) = site.grants().await;
    assert_eq!(reuses, 0);
    assert!((2..=4).contains(&refreshes), "{refreshes}");
}

// D30, D31
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL; the full test run brings it"]
async fn a_standby_is_never_believed_because_it_may_be_behind() {
    let primary = Postgres::start(&[]);
    let key = random_key();
    let writer = primary.store();
    writer.create(key, None, record(b"zero")).await.unwrap();
    let standby = primary.start_standby();
    let store = PostgresStore::new(&standby.url()).unwrap();
    let error = store.load(key).await.unwrap_err();
    assert!(
        error.to_string().contains("compare DATABASE_URL"),
        "{error}"
    );
    store.delete(key).await.unwrap_err();
    standby.column::<bool>("SELECT pg_promote()").await;
    assert!(store.load(key).await.unwrap().is_some(), "it heals");
}

// D31
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL; the full test run brings it"]
async fn connections_that_broke_while_idle_cost_no_call() {
    let postgres = Postgres::start(&[]);
    let line = Proxy::to(postgres.port).await;
    let store = std::sync::Arc::new(
        PostgresStore::new(&Postgres::url_at(line.port))
            .unwrap()
            .with_automatic_migration(),
    );
    let load = |store: std::sync::Arc<PostgresStore>| {
        tokio::spawn(async move { store.load(random_key()).await })
    };
    for _ in 0..3 {
        let calls: Vec<_> = (0..40)
            .map(|_| load(std::sync::Arc::clone(&store)))
            .collect();
        for call in calls {
            assert_eq!(call.await.unwrap().unwrap(), None);
        }
        line.is_now(Line::Cut);
        tokio::time::sleep(Duration::from_millis(50)).await;
        line.is_now(Line::Good);
    }
}
