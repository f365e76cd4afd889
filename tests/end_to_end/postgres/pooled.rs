//! Sessions in PostgreSQL through PgBouncer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use rstest::rstest;
use sqlx::Connection as _;
use sqlx::postgres::{PgConnection, PgPoolOptions};
use tower_oidc::error::StoreErrorKind;
use tower_oidc::login::{OwnedBy, PostgresStore, SessionStore, Swapped};

use super::pgbouncer::{IGNORES, PgBouncer};
use super::server::{Postgres, WAITING_FOR_LOCKS};
use crate::stores::near_cache::{SOON, listens};
use crate::stores::records::{owner, passes_the_suite, random_key, record};
use crate::stores::replicas::{Arrangement, Replicas};
use crate::stores::server::Kind;

const SESSION: &str = "pool_mode = session";
const TRANSACTION: &str = "pool_mode = transaction";
const STATEMENT: &str = "pool_mode = statement";

/// Enough of them, in session mode, for a store and for three replicas.
const CONNECTIONS: &str = "default_pool_size = 40";

#[rstest]
// D14, D31
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and PgBouncer; the full test run brings them"]
async fn every_mode_of_a_pooler_passes_the_suite(
    #[values(SESSION, TRANSACTION, STATEMENT)] mode: &str,
    #[values(&[], &[IGNORES])] more: &[&str],
) {
    // Bytes are written in a form of their own only where a session says nothing else.
    let postgres = Postgres::start(&["bytea_output=escape", "standard_conforming_strings=off"]);
    let pooler = PgBouncer::start(postgres.port, &[&[mode, CONNECTIONS], more].concat());
    if mode == STATEMENT {
        // It takes no transactions, and tables are made in one.
        postgres.store().migrate().await.unwrap();
    }
    let store = pooler.store();
    store.migrate().await.unwrap();
    passes_the_suite(store).await;
}

// D31
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and PgBouncer; the full test run brings them"]
async fn clients_of_a_pooler_never_run_the_statements_of_others() {
    let postgres = Postgres::start(&[]);
    let pooler = PgBouncer::start(
        postgres.port,
        &[TRANSACTION, IGNORES, "default_pool_size = 3"],
    );
    let pool = PgPoolOptions::new().connect_lazy(&pooler.url()).unwrap();
    let application = PostgresStore::from_pool(pool).with_automatic_migration();
    let stores = [pooler.store(), pooler.store(), application].map(Arc::new);
    let owned = owner();
    let key = random_key();
    let zero = record(b"zero");
    stores[0]
        .create(key, Some(owned), zero.clone())
        .await
        .unwrap();
    let calls: Vec<_> = (0..300)
        .map(|at| {
            let store = Arc::clone(&stores[at % 3]);
            let zero = zero.clone();
            // Statements with values of the same types, whose rows differ.
            tokio::spawn(async move {
                match at % 4 {
                    0 => assert_eq!(store.load(key).await.unwrap().unwrap().record, zero),
                    1 => {
                        let whose = OwnedBy::Subject(owned.subject);
                        assert_eq!(store.find(whose).await.unwrap(), [key]);
                    }
                    2 => {
                        let whose = OwnedBy::Session(owned.session);
                        assert_eq!(store.find(whose).await.unwrap(), [key]);
                    }
                    _ => assert_eq!(store.delete(random_key()).await.unwrap(), None),
                }
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    let left: Vec<i64> = postgres
        .column("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%sqlx_s_%' AND pid <> pg_backend_pid()")
        .await;
    assert_eq!(left, [0]);
}

#[rstest]
// D30, D31
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, PgBouncer, Node and oidc-provider; the full test run brings them"]
async fn three_replicas_behind_a_pooler_make_one_grant_and_see_a_sign_out(
    #[values(SESSION, TRANSACTION)] mode: &str,
) {
    let postgres = Postgres::start(&[]);
    let mut pooler = PgBouncer::start(postgres.port, &[mode, CONNECTIONS]);
    let mut site = Replicas::arranged(Arrangement {
        stores: Some([(); 3].map(|()| pooler.url())),
        settings: match mode {
            SESSION => vec![("DATABASE_LISTEN_URL", pooler.url())],
            _ => Vec::new(),
        },
        ..Arrangement::of(Kind::Postgres)
    })
    .await;
    for round in 1..=2 {
        site.expiry().await;
        for status in site.burst(150).await {
            assert_eq!(status, StatusCode::OK);
        }
        assert_eq!(site.grants().await, (round, 0));
    }
    // The pooler is killed while requests are under way.
    let ((), statuses) = tokio::join!(async { pooler.restart() }, site.burst(150));
    for status in statuses {
        assert!(
            [StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE].contains(&status),
            "{status}"
        );
    }
    for replica in 0..3 {
        site.until(replica, StatusCode::OK, Duration::from_secs(10))
            .await;
    }
    site.expiry().await;
    for status in site.burst(150).await {
        assert_eq!(status, StatusCode::OK);
    }
    assert_eq!(site.grants().await, (3, 0));
    let handle = site.handle();
    for replica in 0..3 {
        assert!(site.takes(replica, &handle).await);
    }
    site.sign_out(0).await;
    let started = Instant::now();
    while site.takes(1, &handle).await || site.takes(2, &handle).await {
        let passed = started.elapsed();
        assert!(passed < Duration::from_millis(1_500), "{passed:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (_, log) = site.stop_with_log(0).await;
    let hears_nothing = log.contains("changes in PostgreSQL cannot be listened to");
    assert_eq!(hears_nothing, mode == TRANSACTION, "{log}");
    let names_the_setting = log.contains("set DATABASE_LISTEN_URL");
    assert_eq!(names_the_setting, mode == TRANSACTION, "{log}");
    assert!(!log.contains("prepared statement"), "{log}");
}

// SC-08
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and PgBouncer; the full test run brings them"]
async fn changes_are_heard_through_session_mode_and_at_an_address_of_their_own() {
    let postgres = Postgres::start(&[]);
    let session = PgBouncer::start(postgres.port, &[SESSION, CONNECTIONS]);
    let transaction = PgBouncer::start(postgres.port, &[TRANSACTION, CONNECTIONS]);
    let one = transaction.store();
    for url in [session.url(), postgres.url()] {
        let other = transaction.store().with_listen_url(&url).unwrap();
        let (other, heard) = listens(Arc::new(other)).await;
        let (key, zero) = (random_key(), record(b"zero"));
        one.create(key, None, zero.clone()).await.unwrap();
        let changed = other.changed(key);
        let swapped = one.swap(key, zero.tag, record(b"one")).await.unwrap();
        assert_eq!(swapped, Swapped::Done);
        tokio::time::timeout(SOON, changed).await.unwrap();
        assert_eq!(*heard.lock().unwrap(), [Some(key)]);
    }
}

// D31
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and PgBouncer; the full test run brings them"]
async fn no_connection_of_a_pooler_in_transaction_mode_is_left_listening() {
    let postgres = Postgres::start(&[]);
    // One connection to the server: whatever is left on it is seen by the next client.
    let pooler = PgBouncer::start(
        postgres.port,
        &[TRANSACTION, IGNORES, "default_pool_size = 1"],
    );
    let wrong = pooler.store().with_listen_url(&pooler.url()).unwrap();
    for store in [pooler.store(), wrong] {
        assert_eq!(store.load(random_key()).await.unwrap(), None);
        let woken = tokio::time::timeout(SOON, store.changed(random_key())).await;
        assert!(woken.is_err(), "it listens");
    }
    let mut connection = PgConnection::connect(&pooler.url()).await.unwrap();
    let channels = sqlx::raw_sql("SELECT pg_listening_channels()");
    let channels = channels.fetch_all(&mut connection).await.unwrap();
    assert!(channels.is_empty(), "{} are left", channels.len());
}

// D31
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and PgBouncer; the full test run brings them"]
async fn options_that_a_pooler_refuses_are_an_error_with_its_remedy() {
    let postgres = Postgres::start(&[]);
    postgres
        .run("CREATE SCHEMA auth; ALTER ROLE postgres SET search_path = auth")
        .await;
    let refuses = PgBouncer::start(postgres.port, &[TRANSACTION]);
    let with_options = |url: String| format!("{url}?options[search_path]=auth");
    let store = PostgresStore::new(&with_options(refuses.url())).unwrap();
    let error = store.load(random_key()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    for part in ["ignore_startup_parameters", "ALTER ROLE"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    // The remedies that it names: it is set for the user already.
    let ignores = PgBouncer::start(postgres.port, &[TRANSACTION, IGNORES]);
    for url in [refuses.url(), with_options(ignores.url())] {
        let store = PostgresStore::new(&url).unwrap().with_automatic_migration();
        assert_eq!(store.load(random_key()).await.unwrap(), None);
    }
    let tables: Vec<i64> = postgres
        .column("SELECT count(*) FROM auth.tower_oidc_schema")
        .await;
    assert_eq!(tables, [1]);
}

// D31
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and PgBouncer; the full test run brings them"]
async fn a_row_that_is_locked_for_long_ends_behind_a_pooler_too() {
    let postgres = Postgres::start(&[]);
    let pooler = PgBouncer::start(postgres.port, &[TRANSACTION]);
    let store = pooler.store();
    let (key, zero) = (random_key(), record(b"zero"));
    store.create(key, None, zero.clone()).await.unwrap();
    let mut connection = postgres.connection().await;
    let mut transaction = connection.begin().await.unwrap();
    let held = sqlx::query("SELECT 1 FROM tower_oidc_sessions FOR UPDATE");
    held.execute(&mut *transaction).await.unwrap();
    let started = Instant::now();
    store
        .swap(key, zero.tag, record(b"late"))
        .await
        .unwrap_err();
    let took = started.elapsed();
    assert!(took < Duration::from_millis(2_500), "{took:?}");
    for round in 0.. {
        if postgres.column::<i64>(WAITING_FOR_LOCKS).await == [0] {
            break;
        }
        assert!(round < 100, "the statement goes on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    transaction.rollback().await.unwrap();
    let swapped = store.swap(key, zero.tag, record(b"one")).await.unwrap();
    assert_eq!(swapped, Swapped::Done, "the late one was not made");
}

// D31
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and PgBouncer; the full test run brings them"]
async fn a_server_without_a_free_connection_is_an_error_in_time_and_heals() {
    let postgres = Postgres::start(&["max_connections=6", "superuser_reserved_connections=0"]);
    postgres.store().migrate().await.unwrap();
    let ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tower-oidc'";
    postgres.column::<bool>(ended).await;
    // A login that failed is tried again after this time.
    let pooler = PgBouncer::start(postgres.port, &[TRANSACTION, "server_login_retry = 1"]);
    let mut busy = Vec::new();
    while busy.len() < 6 {
        busy.push(postgres.connection().await);
    }
    for store in [postgres.store(), pooler.store()] {
        let started = Instant::now();
        let error = store.load(random_key()).await.unwrap_err();
        let took = started.elapsed();
        assert!(took < Duration::from_millis(2_500), "{took:?}");
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert!(error.to_string().contains("does not answer"), "{error}");
    }
    for connection in busy {
        connection.close().await.unwrap();
    }
    for store in [postgres.store(), pooler.store()] {
        let heals = async {
            while store.load(random_key()).await.is_err() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let healed = tokio::time::timeout(Duration::from_secs(15), heals).await;
        assert!(healed.is_ok(), "it does not heal");
    }
}
