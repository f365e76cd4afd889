//! What is served from memory, for how long, and what the replicas tell each other.

use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::StatusCode;
use tower_oidc::login::{FenceOutcome, LeaseOutcome, RedisStore, Renewal, SessionStore};

use super::proxy::{Line, Proxy};
use super::replicas::{Arrangement, Replicas};
use super::server::{Redis, now, owner, random_key, record};

const LONG: Duration = Duration::from_secs(60);

/// Long enough for a word to arrive, and far shorter than anything is kept here.
const SOON: Duration = Duration::from_secs(5);

fn store(url: &str) -> RedisStore {
    let store = RedisStore::new(url).unwrap();
    store.with_near_cache_age(LONG).unwrap()
}

/// Until a store listens: it completes once what may have been missed is told.
async fn listens(store: &RedisStore) {
    let listening = store.changed(random_key());
    store.load(random_key()).await.unwrap();
    let heard = tokio::time::timeout(SOON, listening).await;
    assert!(heard.is_ok(), "it does not listen");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; the full test run brings it"]
async fn a_session_read_a_moment_ago_costs_no_round_trip_and_else_one() {
    let redis = Redis::start(&[]);
    let near = store(&redis.url());
    listens(&near).await;
    let far = redis.store().without_near_cache();
    let key = random_key();
    near.create(key, owner(), record()).await.unwrap();
    let asked = async |store: &RedisStore, times: u64| {
        let before = redis.scripts_run();
        for _ in 0..times {
            assert!(store.load(key).await.unwrap().is_some());
        }
        redis.scripts_run() - before
    };
    assert_eq!(asked(&far, 20).await, 20);
    assert_eq!(asked(&near, 20).await, 1);
    assert_eq!(asked(&near, 20).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; the full test run brings it"]
async fn what_one_replica_changes_the_others_see_at_once() {
    let redis = Redis::start(&[]);
    let (one, other) = (store(&redis.url()), store(&redis.url()));
    listens(&other).await;
    let key = random_key();
    one.create(key, owner(), record()).await.unwrap();
    let generation = async || Some(other.load(key).await.unwrap()?.record.generation);
    assert_eq!(generation().await, Some(0));
    let Some(leased) = one.try_lease(key, 0, LONG).await.unwrap() else {
        panic!("no session");
    };
    let LeaseOutcome::Leased(fence) = leased.outcome else {
        panic!("{leased:?}");
    };
    let changed = other.changed(key);
    let unrelated = other.changed(random_key());
    let later = now().saturating_add(LONG);
    let renewal = Renewal {
        sealed: Bytes::from_static(b"renewed"),
        access_expires_at: later,
        expires_at: later,
    };
    let committed = one.commit(key, fence, 0, renewal).await.unwrap().unwrap();
    assert_eq!(committed.outcome, FenceOutcome::Done);
    // Whoever waits is woken, and what is near is forgotten.
    tokio::time::timeout(SOON, changed).await.unwrap();
    assert_eq!(generation().await, Some(1));
    let ended = other.changed(key);
    one.delete(key).await.unwrap();
    tokio::time::timeout(SOON, ended).await.unwrap();
    assert_eq!(generation().await, None);
    let woken = tokio::time::timeout(Duration::from_millis(100), unrelated).await;
    assert!(woken.is_err(), "others sleep on");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; the full test run brings it"]
async fn a_replica_that_was_cut_off_forgets_what_was_near_and_listens_again() {
    let redis = Redis::start(&[]);
    let line = Proxy::to(redis.port).await;
    let (one, other) = (redis.store(), store(&line.url()));
    listens(&other).await;
    let key = random_key();
    one.create(key, owner(), record()).await.unwrap();
    assert!(other.load(key).await.unwrap().is_some());
    let woken = other.changed(random_key());
    line.is_now(Line::Cut);
    tokio::time::timeout(SOON, woken).await.unwrap();
    // Said while nobody heard it.
    one.delete(key).await.unwrap();
    let again = other.changed(random_key());
    line.is_now(Line::Good);
    tokio::time::timeout(2 * SOON, again).await.unwrap();
    assert!(other.load(key).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; the full test run brings it"]
async fn where_the_word_is_lost_the_age_is_the_bound() {
    let redis = Redis::start(&[]);
    let mut connection = redis.connection();
    // Who may not publish is not stopped by it, and nobody hears anything.
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
    let one = RedisStore::new(&url).unwrap();
    let other = RedisStore::new(&url).unwrap();
    let key = random_key();
    one.create(key, owner(), record()).await.unwrap();
    assert!(other.load(key).await.unwrap().is_some());
    let read = Instant::now();
    assert!(one.delete(key).await.unwrap().is_some());
    while other.load(key).await.unwrap().is_some() {
        let passed = read.elapsed();
        assert!(passed < Duration::from_millis(1_500), "{passed:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, Node and oidc-provider; the full test run brings them"]
async fn sc_08_signing_out_holds_everywhere_at_once_though_the_session_was_near() {
    let site = Replicas::arranged(Arrangement {
        settings: vec![("REDIS_NEAR_CACHE_AGE", "30s".to_owned())],
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

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, Node and oidc-provider; the full test run brings them"]
async fn round_trips_of_web_are_none_with_a_warm_near_cache_and_one_without() {
    for (age, expected) in [("1s", 0), ("0", 30)] {
        let site = Replicas::arranged(Arrangement {
            settings: vec![("REDIS_NEAR_CACHE_AGE", age.to_owned())],
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
