//! Servers that run out of memory, and lists that no session needs any more.

use std::time::Duration;

use bytes::Bytes;
use redis::Commands;
use tower_oidc::login::{OwnedBy, Owner, SessionStore, StoredRecord, Tag};

use super::server::Redis;
use crate::stores::records::{now, owner, random_key, record};

/// Larger than most sessions, so that memory runs out soon.
fn large() -> StoredRecord {
    StoredRecord {
        bytes: Bytes::from(vec![b'x'; 16 * 1024]),
        ..record(b"")
    }
}

fn evicted(redis: &Redis) -> u64 {
    let text: String = redis::cmd("INFO")
        .arg("stats")
        .query(&mut redis.connection())
        .unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("evicted_keys:"));
    line.unwrap().trim().parse().unwrap()
}

// LO-12, D14
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; the full test run brings it"]
async fn a_logout_finds_a_session_in_a_server_that_evicts() {
    let redis = Redis::start(&[
        "--maxmemory",
        "4mb",
        "--maxmemory-policy",
        "volatile-lru",
        "--maxmemory-samples",
        "20",
    ]);
    let store = redis.store();
    while evicted(&redis) == 0 {
        store
            .create(random_key(), Some(owner()), large())
            .await
            .unwrap();
    }
    let (ours, owned) = (random_key(), owner());
    store.create(ours, Some(owned), large()).await.unwrap();
    // Others come and go, again and again, while this one is in use. The server counts in seconds.
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        for _ in 0..60 {
            assert!(store.load(ours).await.unwrap().is_some());
            store
                .create(random_key(), Some(owner()), large())
                .await
                .unwrap();
        }
    }
    assert!(evicted(&redis) > 200, "{} keys evicted", evicted(&redis));
    for listed in [
        OwnedBy::Subject(owned.subject),
        OwnedBy::Session(owned.session),
    ] {
        assert_eq!(store.find(listed).await.unwrap(), [ours]);
    }
    assert!(store.delete(ours).await.unwrap().is_some());
}

// D14
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; the full test run brings it"]
async fn lists_are_dropped_after_their_sessions() {
    let redis = Redis::start(&[]);
    let store = redis.store();
    let mut connection = redis.connection();
    let mut keys = || connection.keys::<_, Vec<String>>("*").unwrap().len();
    let subject = random_key();
    let sign_in = async |seconds: u64| {
        let ends_at = now().saturating_add(Duration::from_secs(seconds));
        let session = random_key();
        let owner = Owner {
            subject,
            session,
            ends_at,
        };
        let stored = StoredRecord {
            expires_at: ends_at,
            tag: Tag::random().unwrap(),
            ..record(b"a session")
        };
        store
            .create(random_key(), Some(owner), stored)
            .await
            .unwrap();
        session
    };
    for _ in 0..40 {
        sign_in(2).await;
    }
    // Each has a record and a list of its own. The list of the subject and that of all lists are shared.
    assert_eq!(keys(), 40 + 40 + 2);
    tokio::time::sleep(Duration::from_millis(3_100)).await;
    let mut sessions = Vec::new();
    for _ in 0..20 {
        sessions.push(sign_in(100).await);
    }
    assert_eq!(
        keys(),
        20 + 20 + 2,
        "the lists of those that ended are gone"
    );
    let listed = store.find(OwnedBy::Subject(subject)).await.unwrap();
    assert_eq!(listed.len(), 20, "and so are they in the list that goes on");
    for session in sessions {
        let listed = store.find(OwnedBy::Session(session)).await.unwrap();
        assert_eq!(listed.len(), 1, "no list that is needed");
    }
}

// D14
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; the full test run brings it"]
async fn a_list_whose_end_was_forgotten_is_neither_lost_nor_in_the_way() {
    let redis = Redis::start(&[]);
    let store = redis.store();
    let owned = owner();
    let ours = random_key();
    store
        .create(ours, Some(owned), record(b"ours"))
        .await
        .unwrap();
    // A failover that kept the list and lost the word of its end.
    let mut connection = redis.connection();
    let lists: Vec<String> = connection.zrange("tower-oidc:list-ends", 0, -1).unwrap();
    assert_eq!(lists.len(), 2);
    for list in &lists {
        connection
            .zadd::<_, _, _, i64>("tower-oidc:list-ends", list, 1)
            .unwrap();
    }
    store
        .create(random_key(), Some(owner()), record(b"another"))
        .await
        .unwrap();
    assert_eq!(
        store.find(OwnedBy::Subject(owned.subject)).await.unwrap(),
        [ours]
    );
    for list in &lists {
        let ends: f64 = connection.zscore("tower-oidc:list-ends", list).unwrap();
        assert!(ends > 1.0, "it is known again");
    }
}
