//! Who makes the tables, who may use them, and what is dropped from them.

use std::time::Duration;

use sqlx::Connection as _;
use tower_oidc::error::StoreErrorKind;
use tower_oidc::login::{OwnedBy, PostgresStore, SessionStore, StoredRecord};

use super::server::Postgres;
use crate::stores::records::{now, owner, passes_the_suite, random_key, record};

// D31
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL; the full test run brings it"]
async fn replicas_that_start_at_once_make_the_tables_once() {
    let postgres = Postgres::start(&[]);
    let starts: Vec<_> = (0..8)
        .map(|_| {
            let store = PostgresStore::new(&postgres.url()).unwrap();
            tokio::spawn(async move { store.migrate().await })
        })
        .collect();
    for start in starts {
        start.await.unwrap().unwrap();
    }
    let store = postgres.store();
    store.migrate().await.unwrap();
    let versions: Vec<i64> = postgres
        .column("SELECT version FROM tower_oidc_schema")
        .await;
    assert_eq!(versions, [1]);
    assert_eq!(store.load(random_key()).await.unwrap(), None);
}

// D31
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL; the full test run brings it"]
async fn without_tables_the_error_names_the_method_that_makes_them() {
    let postgres = Postgres::start(&[]);
    let store = PostgresStore::new(&postgres.url()).unwrap();
    let error = store.load(random_key()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(
        error.to_string().contains("PostgresStore::migrate"),
        "{error}"
    );
    let another = PostgresStore::new(&postgres.url()).unwrap();
    another.migrate().await.unwrap();
    assert_eq!(store.load(random_key()).await.unwrap(), None, "it heals");
    // Tables that are dropped later are an error again, or are made again.
    let automatic = postgres.store();
    assert_eq!(automatic.load(random_key()).await.unwrap(), None);
    postgres
        .run("DROP TABLE tower_oidc_sessions; DROP TABLE tower_oidc_schema")
        .await;
    for _ in 0..2 {
        let error = store.load(random_key()).await.unwrap_err();
        assert!(
            error.to_string().contains("PostgresStore::migrate"),
            "{error}"
        );
    }
    automatic.load(random_key()).await.unwrap_err();
    assert_eq!(automatic.load(random_key()).await.unwrap(), None);
}

// D31
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL; the full test run brings it"]
async fn tables_of_a_newer_version_are_refused_and_left_alone() {
    let postgres = Postgres::start(&[]);
    let key = random_key();
    let stored = record(b"theirs");
    let created = postgres.store().create(key, None, stored.clone()).await;
    created.unwrap();
    postgres
        .run("INSERT INTO tower_oidc_schema (version) VALUES (99)")
        .await;
    let store = postgres.store();
    let error = store.delete(key).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(error.to_string().contains("newer version"), "{error}");
    let error = store.migrate().await.unwrap_err();
    assert!(
        error.to_string().contains("upgrade this program"),
        "{error}"
    );
    let kept: Vec<Vec<u8>> = postgres
        .column("SELECT bytes FROM tower_oidc_sessions")
        .await;
    assert_eq!(kept, [stored.bytes]);
}

// D31
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL; the full test run brings it"]
async fn a_user_needs_four_rights_and_may_create_nothing() {
    let postgres = Postgres::start(&[]);
    postgres.store().migrate().await.unwrap();
    postgres
        .run("CREATE ROLE web LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        .await;
    let url = postgres.url().replace("postgres@", "web@");
    let store = PostgresStore::new(&url).unwrap().with_automatic_migration();
    let error = store.load(random_key()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(error.to_string().contains("select, insert"), "{error}");
    postgres
        .run(
            "GRANT SELECT, INSERT, UPDATE, DELETE ON tower_oidc_sessions TO web; \
             GRANT SELECT ON tower_oidc_schema TO web",
        )
        .await;
    store.migrate().await.unwrap();
    passes_the_suite(store).await;
}

// D31
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL; the full test run brings it"]
async fn applications_with_prefixes_of_their_own_share_a_database() {
    let postgres = Postgres::start(&[]);
    let key = random_key();
    let shop = postgres.store().with_table_prefix("shop").unwrap();
    let blog = postgres.store().with_table_prefix("blog").unwrap();
    shop.create(key, None, record(b"shop")).await.unwrap();
    assert_eq!(blog.load(key).await.unwrap(), None);
    blog.create(key, None, record(b"blog")).await.unwrap();
    assert_eq!(blog.delete(key).await.unwrap().unwrap().bytes, "blog");
    assert_eq!(shop.load(key).await.unwrap().unwrap().record.bytes, "shop");
}

const EXPIRED: &str = "
    INSERT INTO tower_oidc_sessions (key, tag, bytes, expires_at, subject)
    SELECT sha256(number::text::bytea), decode(repeat('00', 16), 'hex'), 'old', number, sha256('subject')
    FROM generate_series(1, 1200) AS number";

// D31
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL; the full test run brings it"]
async fn what_has_expired_is_dropped_in_batches_that_wait_for_no_lock() {
    let postgres = Postgres::start(&[]);
    let store = postgres.store();
    store.migrate().await.unwrap();
    postgres.statements_run().await;
    postgres.run(EXPIRED).await;
    let mut connection = postgres.connection().await;
    let mut transaction = connection.begin().await.unwrap();
    let held = sqlx::query("SELECT 1 FROM tower_oidc_sessions WHERE expires_at = 7 FOR UPDATE");
    held.execute(&mut *transaction).await.unwrap();
    let owned = owner();
    store
        .create(random_key(), Some(owned), record(b"new"))
        .await
        .unwrap();
    let mut left = Vec::new();
    for _ in 0..100 {
        left = postgres
            .column::<i64>("SELECT expires_at FROM tower_oidc_sessions ORDER BY 1")
            .await;
        if left.len() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(left.len(), 2, "the new one, and the one that is held");
    assert_eq!(left[0], 7);
    let statements: Vec<i64> = postgres
        .column("SELECT calls FROM pg_stat_statements WHERE query LIKE '%SKIP LOCKED%LIMIT%' OR query LIKE '%LIMIT%SKIP LOCKED%'")
        .await;
    assert_eq!(statements, [3], "at most 500 rows each");
    transaction.rollback().await.unwrap();
    assert_eq!(
        store
            .find(OwnedBy::Subject(owned.subject))
            .await
            .unwrap()
            .len(),
        1
    );
}

// D31
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL; the full test run brings it"]
async fn what_has_expired_is_found_by_no_logout() {
    let postgres = Postgres::start(&[]);
    let store = postgres.store();
    let owned = owner();
    let stored = StoredRecord {
        expires_at: now(),
        ..record(b"over")
    };
    store
        .create(random_key(), Some(owned), stored)
        .await
        .unwrap();
    for owner in [
        OwnedBy::Subject(owned.subject),
        OwnedBy::Session(owned.session),
    ] {
        assert!(store.find(owner).await.unwrap().is_empty());
    }
}
