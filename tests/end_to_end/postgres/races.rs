//! Statements that meet each other at one row.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sqlx::Connection as _;
use sqlx::postgres::PgPoolOptions;
use tower_oidc::login::{Loaded, PostgresStore, SessionStore, StoreKey, StoredRecord, Swapped};

use super::server::{Postgres, WAITING_FOR_LOCKS};
use crate::stores::proxy::{Line, Proxy};
use crate::stores::records::{owner, random_key, record};

/// Until some statement waits for a lock.
async fn waits_for_a_lock(postgres: &Postgres) {
    for _ in 0..100 {
        if postgres.column::<i64>(WAITING_FOR_LOCKS).await != [0] {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no statement waits");
}

/// Swaps a record while another transaction holds it, which does this to it and ends.
async fn swapped_after(postgres: &Postgres, key: StoreKey, statement: &'static str) -> Swapped {
    let store = Arc::new(postgres.store());
    let zero = record(b"zero");
    store.create(key, None, zero.clone()).await.unwrap();
    let mut connection = postgres.connection().await;
    let mut transaction = connection.begin().await.unwrap();
    let held = sqlx::query(statement).bind(&key.as_bytes()[..]);
    held.execute(&mut *transaction).await.unwrap();
    let swapping = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.swap(key, zero.tag, record(b"mine")).await.unwrap() }
    });
    waits_for_a_lock(postgres).await;
    transaction.commit().await.unwrap();
    swapping.await.unwrap()
}

// D30, D31
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL; the full test run brings it"]
async fn a_swap_that_waited_is_told_what_stands_now() {
    let postgres = Postgres::start(&[]);
    let key = random_key();
    let changed = "UPDATE tower_oidc_sessions SET bytes = 'theirs', tag = decode(repeat('ab', 16), 'hex') \
                   WHERE key = $1";
    match swapped_after(&postgres, key, changed).await {
        Swapped::Conflict(there) => {
            assert_eq!(&there.record.bytes[..], b"theirs");
            assert_eq!(there.record.tag.as_bytes(), &[0xab; 16]);
        }
        other => panic!("another transaction won: {other:?}"),
    }
    let there = postgres.store().load(key).await.unwrap().unwrap();
    assert_eq!(
        &there.record.bytes[..],
        b"theirs",
        "and what it wrote stays"
    );
}

// D30, D31
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL; the full test run brings it"]
async fn a_swap_that_waited_for_a_sign_out_brings_nothing_back() {
    let postgres = Postgres::start(&[]);
    let key = random_key();
    let deleted = "DELETE FROM tower_oidc_sessions WHERE key = $1";
    assert_eq!(swapped_after(&postgres, key, deleted).await, Swapped::Gone);
    assert_eq!(postgres.store().load(key).await.unwrap(), None);
}

// D31
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL; the full test run brings it"]
async fn a_swap_that_waited_and_changes_nothing_else_is_made() {
    let postgres = Postgres::start(&[]);
    let key = random_key();
    let touched = "UPDATE tower_oidc_sessions SET subject = NULL WHERE key = $1";
    let swapped = swapped_after(&postgres, key, touched).await;
    assert_eq!(swapped, Swapped::Done);
    let there = postgres.store().load(key).await.unwrap().unwrap();
    assert_eq!(&there.record.bytes[..], b"mine");
}

// D30, D31
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL; the full test run brings it"]
async fn a_swap_whose_answer_was_lost_was_made_and_is_known_by_its_tag() {
    let postgres = Postgres::start(&[]);
    let line = Proxy::to(postgres.port).await;
    // One connection, which knows the statement after the first swap, and is not asked whether it is there.
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .test_before_acquire(false);
    let pool = pool.connect_lazy(&Postgres::url_at(line.port)).unwrap();
    let store = PostgresStore::from_pool(pool.clone());
    store.migrate().await.unwrap();
    let key = random_key();
    let (zero, one, two) = (record(b"zero"), record(b"one"), record(b"two"));
    store.create(key, None, zero.clone()).await.unwrap();
    let swapped = store.swap(key, zero.tag, one.clone()).await.unwrap();
    assert_eq!(swapped, Swapped::Done);
    // Until the connection is back.
    pool.acquire().await.unwrap().return_to_pool().await;
    line.is_now(Line::NoAnswers);
    let lost = store.swap(key, one.tag, two.clone()).await.unwrap_err();
    assert!(lost.to_string().contains("does not answer"), "{lost}");
    line.is_now(Line::Good);
    match store.swap(key, one.tag, two.clone()).await.unwrap() {
        Swapped::Conflict(there) => assert_eq!(there.record, two, "its own"),
        other => panic!("it was made: {other:?}"),
    }
}

/// Adds one to a count, however many others do.
async fn add_one(store: &impl SessionStore, key: StoreKey) {
    let mut there = store.load(key).await.unwrap().unwrap();
    loop {
        let count = u64::from_be_bytes(there.record.bytes[..].try_into().unwrap());
        let next = StoredRecord {
            bytes: Bytes::copy_from_slice(&(count + 1).to_be_bytes()),
            ..record(b"")
        };
        match store.swap(key, there.record.tag, next).await.unwrap() {
            Swapped::Done => return,
            Swapped::Conflict(Loaded { record, now }) => there = Loaded { record, now },
            Swapped::Gone => panic!("it is there"),
        }
    }
}

// D30, D31
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL; the full test run brings it"]
async fn counts_of_three_replicas_at_one_record_lose_nothing() {
    const EACH: usize = 40;
    let postgres = Postgres::start(&[]);
    let stores = [(); 3].map(|()| Arc::new(postgres.store()));
    let key = random_key();
    let zero = record(&[0; 8]);
    stores[0].create(key, Some(owner()), zero).await.unwrap();
    let tasks: Vec<_> = (0..9)
        .map(|at| {
            let store = Arc::clone(&stores[at % 3]);
            tokio::spawn(async move {
                for _ in 0..EACH {
                    add_one(&*store, key).await;
                }
            })
        })
        .collect();
    let count = tasks.len() * EACH;
    for task in tasks {
        task.await.unwrap();
    }
    let there = stores[1].load(key).await.unwrap().unwrap();
    assert_eq!(there.record.bytes[..], count.to_be_bytes());
}

// D31
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL; the full test run brings it"]
async fn calls_that_are_given_up_leave_no_answer_to_others() {
    let postgres = Postgres::start(&[]);
    let store = Arc::new(postgres.store());
    let texts: [&[u8]; 3] = [b"one", b"two", b"three"];
    let mut keys = Vec::new();
    for text in texts {
        let key = random_key();
        store.create(key, None, record(text)).await.unwrap();
        keys.push((key, text));
    }
    for round in 0..300 {
        let (key, _) = keys[round % 3];
        let left = tokio::spawn({
            let store = Arc::clone(&store);
            async move { store.load(key).await.map(|_| ()) }
        });
        let pause = u64::try_from(round * 7 % 900).unwrap();
        // Somewhere between the first step and the answer.
        for _ in 0..round % 7 {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(Duration::from_micros(pause)).await;
        left.abort();
        let (key, text) = keys[(round + 1) % 3];
        let there = store.load(key).await.unwrap().unwrap();
        assert_eq!(&there.record.bytes[..], text, "round {round}");
    }
}
