//! What can be wrong with a database: each is an error of the operation that says what to do, and passes.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use sqlx::Connection as _;
use tower_oidc::error::{StoreError, StoreErrorKind};
use tower_oidc::login::{PostgresStore, SessionStore, StoreKey, Swapped};

use super::server::{Postgres, WAITING_FOR_LOCKS, run, unprivileged};
use crate::stores::records::{now, random_key, record};
use crate::stores::replicas::{Arrangement, Replicas};
use crate::stores::server::{Kind, certificates};
use crate::web::free_port;

async fn with_a_record(postgres: &Postgres) -> (PostgresStore, StoreKey) {
    let store = postgres.store();
    let key = random_key();
    store.create(key, None, record(b"zero")).await.unwrap();
    (store, key)
}

fn says(error: &StoreError, part: &str) {
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(error.to_string().contains(part), "{error}");
}

// D31
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL; the full test run brings it"]
async fn a_database_that_is_read_only_can_be_read_and_heals() {
    let postgres = Postgres::start(&[]);
    let (store, key) = with_a_record(&postgres).await;
    let set_read_only = async |is_on: &str| {
        let set = format!("ALTER ROLE postgres SET default_transaction_read_only = {is_on}");
        let set = format!("BEGIN READ WRITE; {set}; COMMIT");
        postgres.run(&set).await;
    };
    set_read_only("on").await;
    // Connections from before are not told.
    let ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tower-oidc'";
    postgres.column::<bool>(ended).await;
    let error = store.delete(key).await.unwrap_err();
    says(&error, "cannot be written to: compare DATABASE_URL");
    assert!(store.load(key).await.unwrap().is_some());
    set_read_only("off").await;
    assert!(store.delete(key).await.unwrap().is_some());
}

// D31
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL; the full test run brings it"]
async fn a_database_that_is_full_loses_nothing_and_heals() {
    let postgres = Postgres::start(&[]);
    let (store, key) = with_a_record(&postgres).await;
    let zero = store.load(key).await.unwrap().unwrap().record;
    postgres
        .run(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$; \
             CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON tower_oidc_sessions \
             FOR EACH ROW EXECUTE FUNCTION full_disk()",
        )
        .await;
    let error = store.swap(key, zero.tag, record(b"one")).await.unwrap_err();
    says(&error, "is full");
    let error = store.create(random_key(), None, record(b"new")).await;
    says(&error.unwrap_err(), "is full");
    assert_eq!(store.load(key).await.unwrap().unwrap().record, zero);
    postgres
        .run("DROP TRIGGER full_disk ON tower_oidc_sessions")
        .await;
    let swapped = store.swap(key, zero.tag, record(b"one")).await.unwrap();
    assert_eq!(swapped, Swapped::Done);
}

// D31
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL; the full test run brings it"]
async fn a_database_that_is_not_there_is_named_with_its_setting() {
    let postgres = Postgres::start(&[]);
    let url = format!(
        "postgres://postgres:hunter2@127.0.0.1:{}/elsewhere",
        postgres.port
    );
    let store = PostgresStore::new(&url).unwrap();
    let error = store.load(random_key()).await.unwrap_err();
    says(&error, "database in DATABASE_URL");
    assert!(!format!("{error:?}{store:?}").contains("hunter2"));
    let closed = format!(
        "postgres://postgres:hunter2@127.0.0.1:{}/postgres",
        free_port()
    );
    let store = PostgresStore::new(&closed).unwrap();
    let started = Instant::now();
    let error = store.load(random_key()).await.unwrap_err();
    says(&error, "does not answer");
    assert!(!format!("{error:?}{store:?}").contains("hunter2"));
    let took = started.elapsed();
    assert!(took < Duration::from_millis(2_500), "{took:?}");
}

// D31
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL; the full test run brings it"]
async fn a_row_that_is_locked_for_long_ends_in_time_on_both_sides() {
    let postgres = Postgres::start(&[]);
    let (store, key) = with_a_record(&postgres).await;
    let zero = store.load(key).await.unwrap().unwrap().record;
    let mut connection = postgres.connection().await;
    let mut transaction = connection.begin().await.unwrap();
    let held = sqlx::query("SELECT 1 FROM tower_oidc_sessions FOR UPDATE");
    held.execute(&mut *transaction).await.unwrap();
    let started = Instant::now();
    let late = store
        .swap(key, zero.tag, record(b"late"))
        .await
        .unwrap_err();
    says(&late, "does not answer");
    let took = started.elapsed();
    assert!(took < Duration::from_millis(2_500), "{took:?}");
    assert!(
        store.load(key).await.unwrap().is_some(),
        "reading waits for no lock"
    );
    // The server has given the statement up as well.
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

/// A file that says by how much a clock is off.
fn clock_file() -> PathBuf {
    std::env::temp_dir().join(format!("tower-oidc-clock-{}", free_port()))
}

// LM-05, D31
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and faketime; the full test run brings them"]
async fn the_clock_of_the_server_alone_decides_also_when_it_jumps() {
    let file = clock_file();
    std::fs::write(&file, "+3600").unwrap();
    let postgres = Postgres::start_with_clock(&file);
    let store = postgres.store();
    let key = random_key();
    let mut stored = record(b"zero");
    let over = store
        .create(random_key(), None, stored.clone())
        .await
        .unwrap();
    let off = over.as_seconds() - now().as_seconds();
    assert!((3_598..=3_605).contains(&off), "{off}");
    stored.expires_at = over.saturating_add(Duration::from_secs(100));
    stored.tag = tower_oidc::login::Tag::random().unwrap();
    store.create(key, None, stored.clone()).await.unwrap();
    assert_eq!(store.load(key).await.unwrap().unwrap().record, stored);
    // Forwards: it is over. Backwards: it is live again, as nothing has dropped it.
    std::fs::write(&file, "+7200").unwrap();
    assert_eq!(store.load(key).await.unwrap(), None);
    let late = store.swap(key, stored.tag, record(b"late")).await.unwrap();
    assert_eq!(late, Swapped::Gone);
    std::fs::write(&file, "+3600").unwrap();
    assert_eq!(store.load(key).await.unwrap().unwrap().record, stored);
    std::fs::remove_file(&file).unwrap();
}

// LM-05, D31
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Node, oidc-provider and faketime; the full test run brings them"]
async fn a_server_whose_clock_is_an_hour_off_signs_no_user_out() {
    let file = clock_file();
    for clock in ["+3600", "-3600"] {
        std::fs::write(&file, clock).unwrap();
        let postgres = Postgres::start_with_clock(&file);
        let site = Replicas::arranged(Arrangement {
            stores: Some([(); 3].map(|()| postgres.url())),
            ..Arrangement::of(Kind::Postgres)
        })
        .await;
        for round in 1..=2 {
            site.expiry().await;
            for status in site.burst(60).await {
                assert_eq!(status, StatusCode::OK, "{clock}");
            }
            assert_eq!(site.grants().await, (round, 0), "{clock}");
        }
    }
    std::fs::remove_file(&file).unwrap();
}

// D31
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL; the full test run brings it"]
async fn a_certificate_is_checked_where_the_address_says_so() {
    let folder = certificates();
    let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (certificate, key) = (at("cert.pem"), at("key.pem"));
    // The server takes a key from root, if nobody else can change or read it.
    run(Command::new("chmod").args(["0640", &key]));
    if let Some((_, group)) = unprivileged() {
        std::os::unix::fs::chown(&key, None, Some(group)).unwrap();
    }
    let postgres = Postgres::start(&[
        "ssl=on",
        &format!("ssl_cert_file={certificate}"),
        &format!("ssl_key_file={key}"),
    ]);
    let answers = async |host: &str, parameters: &str| {
        let port = postgres.port;
        let url = format!("postgres://postgres@{host}:{port}/postgres?{parameters}");
        let store = PostgresStore::new(&url).unwrap();
        store.migrate().await.is_ok()
    };
    let trusted = format!("sslmode=verify-full&sslrootcert={certificate}");
    assert!(answers("localhost", &trusted).await);
    assert!(
        !answers("127.0.0.1", &trusted).await,
        "it is for another name"
    );
    assert!(
        !answers("localhost", "sslmode=verify-full").await,
        "its signer is unknown"
    );
    assert!(answers("127.0.0.1", "sslmode=require").await);
    std::fs::remove_dir_all(&folder).unwrap();
}
