//! What is served from memory, for how long, and what the replicas tell each other.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use tower_oidc::login::{RedisStore, SessionStore, StoreKey, Swapped};

use super::proxy::{Line, Proxy};
use super::replicas::{Arrangement, Replicas};
use super::server::{Redis, owner, random_key, record};

/// Long enough for a message to arrive.
const SOON: Duration = Duration::from_secs(5);

type Heard = Arc<Mutex<Vec<Option<StoreKey>>>>;

/// A store that listens, and what it hears.
async fn listening(url: &str) -> (RedisStore, Heard) {
    let store = RedisStore::new(url).unwrap();
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

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; the full test run brings it"]
async fn a_change_by_one_replica_is_heard_by_the_others_at_once() {
    let redis = Redis::start(&[]);
    let one = redis.store();
    let (other, heard) = listening(&redis.url()).await;
    let (key, zero) = (random_key(), record(b"zero"));
    one.create(key, Some(owner()), zero.clone()).await.unwrap();
    let changed = other.changed(key);
    let unrelated = other.changed(random_key());
    let swapped = one.swap(key, zero.tag, record(b"one")).await.unwrap();
    assert_eq!(swapped, Swapped::Done);
    tokio::time::timeout(SOON, changed).await.unwrap();
    let ended = other.changed(key);
    // A swap that changes nothing is not published.
    let swapped = one.swap(key, zero.tag, record(b"late")).await.unwrap();
    assert!(matches!(swapped, Swapped::Conflict(_)));
    one.delete(key).await.unwrap();
    tokio::time::timeout(SOON, ended).await.unwrap();
    assert_eq!(*heard.lock().unwrap(), [Some(key), Some(key)]);
    let woken = tokio::time::timeout(Duration::from_millis(100), unrelated).await;
    assert!(woken.is_err(), "others sleep on");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; the full test run brings it"]
async fn a_replica_that_was_cut_off_is_told_that_it_may_have_missed_changes() {
    let redis = Redis::start(&[]);
    let line = Proxy::to(redis.port).await;
    let (other, heard) = listening(&line.url()).await;
    let woken = other.changed(random_key());
    line.is_now(Line::Cut);
    tokio::time::timeout(SOON, woken).await.unwrap();
    assert_eq!(*heard.lock().unwrap(), [None]);
    let again = other.changed(random_key());
    line.is_now(Line::Good);
    tokio::time::timeout(2 * SOON, again).await.unwrap();
    assert_eq!(*heard.lock().unwrap(), [None, None]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; the full test run brings it"]
async fn a_user_who_may_not_publish_can_store_all_the_same() {
    let redis = Redis::start(&[]);
    let mut connection = redis.connection();
    let user = [
        "SETUSER",
        "mute",
        "on",
        ">hunter2",
        "~*",
        "resetchannels",
        "+@all",
    ];
    let _: String = redis::cmd("ACL").arg(&user).query(&mut connection).unwrap();
    let url = format!("redis://mute:hunter2@127.0.0.1:{}", redis.port);
    let store = RedisStore::new(&url).unwrap();
    let (key, zero) = (random_key(), record(b"zero"));
    store
        .create(key, Some(owner()), zero.clone())
        .await
        .unwrap();
    let one = record(b"one");
    let swapped = store.swap(key, zero.tag, one.clone()).await.unwrap();
    assert_eq!(swapped, Swapped::Done);
    assert_eq!(store.delete(key).await.unwrap(), Some(one));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, Node and oidc-provider; the full test run brings them"]
async fn without_the_word_of_changes_the_age_of_the_near_cache_is_the_bound() {
    let redis = Redis::start(&[]);
    let mut connection = redis.connection();
    let user = ["SETUSER", "default", "resetchannels"];
    let _: String = redis::cmd("ACL").arg(&user).query(&mut connection).unwrap();
    let url = redis.url();
    let mut site = Replicas::arranged(Arrangement {
        stores: Some([url.clone(), url.clone(), url]),
        ..Arrangement::default()
    })
    .await;
    site.redis = Some(redis);
    let handle = site.handle();
    assert_eq!(site.status(1, "/api/me").await, StatusCode::OK);
    let read = Instant::now();
    site.sign_out(0).await;
    while site.takes(1, &handle).await {
        let passed = read.elapsed();
        assert!(passed < Duration::from_millis(2_500), "{passed:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

// SC-08
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, Node and oidc-provider; the full test run brings them"]
async fn signing_out_holds_everywhere_at_once_though_the_session_was_near() {
    let site = Replicas::arranged(Arrangement {
        settings: vec![("OPENID_NEAR_CACHE_AGE", "30s".to_owned())],
        ..Arrangement::default()
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

// LO-19
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, Node and oidc-provider; the full test run brings them"]
async fn signing_out_everywhere_is_seen_by_three_replicas() {
    let site = Replicas::start().await;
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

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, Node and oidc-provider; the full test run brings them"]
async fn round_trips_of_web_are_none_with_a_warm_near_cache_and_one_without() {
    for (age, expected) in [("1s", 0), ("0", 30)] {
        let site = Replicas::arranged(Arrangement {
            settings: vec![("OPENID_NEAR_CACHE_AGE", age.to_owned())],
            ..Arrangement::default()
        })
        .await;
        // Whatever is new is opened and verified first.
        assert_eq!(site.status(1, "/api/me").await, StatusCode::OK);
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        assert_eq!(site.status(1, "/api/me").await, StatusCode::OK);
        let before = site.redis().scripts_run();
        for _ in 0..30 {
            assert_eq!(site.status(1, "/api/me").await, StatusCode::OK);
        }
        assert_eq!(site.redis().scripts_run() - before, expected, "{age}");
    }
}
