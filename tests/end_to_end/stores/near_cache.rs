//! What is served from memory, for how long, and what the replicas tell each other.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use rstest::rstest;
use tower_oidc::login::{SessionStore, StoreKey, Swapped};

use super::proxy::{Line, Proxy};
use super::records::{owner, random_key, record};
use super::replicas::{Arrangement, Replicas};
use super::server::Kind;

/// Long enough for a message to arrive.
pub(crate) const SOON: Duration = Duration::from_secs(5);

pub(crate) type Heard = Arc<Mutex<Vec<Option<StoreKey>>>>;

/// A store that listens, and what it hears.
async fn listening(kind: Kind, url: &str) -> (Arc<dyn SessionStore>, Heard) {
    listens(kind.store(url)).await
}

/// This store, which listens from now on, and what it hears.
pub(crate) async fn listens(store: Arc<dyn SessionStore>) -> (Arc<dyn SessionStore>, Heard) {
    let heard = Heard::default();
    let listener = Arc::clone(&heard);
    store.on_change(Box::new(move |key| {
        listener.lock().unwrap().push(key);
        true
    }));
    let begins = store.changed(random_key());
    store.load(random_key()).await.unwrap();
    let began = tokio::time::timeout(SOON, begins).await;
    assert!(began.is_ok(), "it does not listen");
    assert_eq!(heard.lock().unwrap().drain(..).collect::<Vec<_>>(), [None]);
    (store, heard)
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, PostgreSQL; the full test run brings them"]
async fn a_change_by_one_replica_is_heard_by_the_others_at_once(
    #[values(Kind::Redis, Kind::Postgres)] kind: Kind,
) {
    let server = kind.start();
    let one = server.store();
    let (other, heard) = listening(kind, &server.url()).await;
    let (key, zero) = (random_key(), record(b"zero"));
    one.create(key, Some(owner()), zero.clone()).await.unwrap();
    let changed = other.changed(key);
    let unrelated = other.changed(random_key());
    let swapped = one.swap(key, zero.tag, record(b"one")).await.unwrap();
    assert_eq!(swapped, Swapped::Done);
    tokio::time::timeout(SOON, changed).await.unwrap();
    let ended = other.changed(key);
    // A swap that changes nothing is not told of.
    let swapped = one.swap(key, zero.tag, record(b"late")).await.unwrap();
    assert!(matches!(swapped, Swapped::Conflict(_)));
    one.delete(key).await.unwrap();
    tokio::time::timeout(SOON, ended).await.unwrap();
    assert_eq!(*heard.lock().unwrap(), [Some(key), Some(key)]);
    let woken = tokio::time::timeout(Duration::from_millis(100), unrelated).await;
    assert!(woken.is_err(), "others sleep on");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, PostgreSQL; the full test run brings them"]
async fn a_replica_that_was_cut_off_is_told_that_it_may_have_missed_changes(
    #[values(Kind::Redis, Kind::Postgres)] kind: Kind,
) {
    let server = kind.start();
    let line = Proxy::to(server.port()).await;
    let (other, heard) = listening(kind, &server.url_behind(&line)).await;
    let woken = other.changed(random_key());
    line.is_now(Line::Cut);
    tokio::time::timeout(SOON, woken).await.unwrap();
    assert_eq!(*heard.lock().unwrap(), [None]);
    let again = other.changed(random_key());
    line.is_now(Line::Good);
    tokio::time::timeout(2 * SOON, again).await.unwrap();
    assert_eq!(*heard.lock().unwrap(), [None, None]);
}

#[rstest]
// SC-08
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, PostgreSQL, Node and oidc-provider; the full test run brings them"]
async fn signing_out_holds_everywhere_at_once_though_the_session_was_near(
    #[values(Kind::Redis, Kind::Postgres)] kind: Kind,
) {
    let site = Replicas::arranged(Arrangement {
        settings: vec![("OPENID_NEAR_CACHE_AGE", "30s".to_owned())],
        ..Arrangement::of(kind)
    })
    .await;
    let handle = site.handle();
    // By now every replica listens, and knows the session.
    for _ in 0..2 {
        for replica in 0..3 {
            assert_eq!(site.status(replica, "/api/me").await, StatusCode::OK);
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    site.sign_out(0).await;
    assert!(!site.takes(0, &handle).await);
    let started = Instant::now();
    while site.takes(1, &handle).await || site.takes(2, &handle).await {
        let passed = started.elapsed();
        assert!(passed < Duration::from_secs(1), "{passed:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[rstest]
// LO-19
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, PostgreSQL, Node and oidc-provider; the full test run brings them"]
async fn signing_out_everywhere_is_seen_by_three_replicas(
    #[values(Kind::Redis, Kind::Postgres)] kind: Kind,
) {
    let site = Replicas::start(kind).await;
    let another = site.another_browser().await;
    for replica in 0..3 {
        assert_eq!(site.status(replica, "/api/me").await, StatusCode::OK);
        let me = another.get(site.at(replica, "/api/me")).send().await;
        assert_eq!(me.unwrap().status(), StatusCode::OK);
    }
    let handle = site.handle();
    let list = another.get(site.at(2, "/api/sessions")).send().await;
    let list: serde_json::Value = list.unwrap().json().await.unwrap();
    assert_eq!(list.as_array().unwrap().len(), 2, "{list}");
    assert!(!list.to_string().contains(&handle[..16]), "{list}");
    let ended = another
        .post(site.at(1, "/sign-out-everywhere"))
        .header("origin", &site.origin)
        .send();
    assert_eq!(ended.await.unwrap().status(), StatusCode::OK);
    let started = Instant::now();
    for replica in 0..3 {
        while site.takes(replica, &handle).await {
            let passed = started.elapsed();
            assert!(passed < Duration::from_millis(1_500), "{passed:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let me = another.get(site.at(replica, "/api/me")).send().await;
        assert_eq!(me.unwrap().status(), StatusCode::UNAUTHORIZED);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, PostgreSQL, Node and oidc-provider; the full test run brings them"]
async fn round_trips_of_web_are_none_with_a_warm_near_cache_and_one_without(
    #[values(Kind::Redis, Kind::Postgres)] kind: Kind,
) {
    for (age, expected) in [("1s", 0), ("0", 30)] {
        let site = Replicas::arranged(Arrangement {
            settings: vec![("OPENID_NEAR_CACHE_AGE", age.to_owned())],
            ..Arrangement::of(kind)
        })
        .await;
        // Whatever is new is opened and verified first.
        assert_eq!(site.status(1, "/api/me").await, StatusCode::OK);
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        assert_eq!(site.status(1, "/api/me").await, StatusCode::OK);
        let before = site.server().questions().await;
        for _ in 0..30 {
            assert_eq!(site.status(1, "/api/me").await, StatusCode::OK);
        }
        assert_eq!(site.server().questions().await - before, expected, "{age}");
    }
}
