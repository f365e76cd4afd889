//! What keeps a file from being read or written. No session is lost by it, and the log says once what it is.

use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{Connection as _, SqliteConnection, SqlitePool};
use tower_oidc::error::StoreErrorKind;
use tower_oidc::login::{SessionStore, SqliteStore, StoredRecord, Swapped};
use tracing::Level;

use super::{Folder, key, record};
use crate::log::Log;

/// A file with one session in it.
async fn with_session() -> (Folder, StoredRecord) {
    let folder = Folder::new();
    let there = record();
    let store = folder.store();
    store.create(key("a"), None, there.clone()).await.unwrap();
    (folder, there)
}

async fn pool(options: SqliteConnectOptions) -> SqlitePool {
    let pool = SqlitePoolOptions::new().max_connections(2);
    pool.connect_with(options).await.unwrap()
}

/// Tries to write twice and to read in between. Returns the error of writing.
async fn cannot_write(store: &SqliteStore, there: &StoredRecord) -> String {
    let mut text = String::new();
    for _ in 0..2 {
        let swapped = store.swap(key("a"), there.tag, record()).await;
        let error = swapped.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
        text = error.to_string();
        let loaded = store.load(key("a")).await.unwrap().unwrap();
        assert_eq!(&loaded.record, there, "the session is as it was");
    }
    text
}

/// The log has the error once, although reads succeeded in between.
fn told_once(log: &Log, error: &str) {
    let warnings = log.at(Level::WARN);
    let told = warnings.iter().filter(|line| line.contains(error));
    assert_eq!(told.count(), 1, "{warnings:?}");
}

// D31
#[tokio::test]
async fn a_file_that_another_program_locks_is_an_outage() {
    let (folder, there) = with_session().await;
    let log = Log::default();
    let _guard = log.capture();
    let store = folder.store();
    let mut other = SqliteConnection::connect(&folder.file()).await.unwrap();
    let lock = sqlx::query("BEGIN IMMEDIATE").execute(&mut other);
    lock.await.unwrap();
    // The tables are there, so the first use need not write.
    let error = cannot_write(&store, &there).await;
    assert!(error.contains("locked"), "{error}");
    told_once(&log, &error);
    let unlock = sqlx::query("ROLLBACK").execute(&mut other);
    unlock.await.unwrap();
    let swapped = store.swap(key("a"), there.tag, record()).await.unwrap();
    assert_eq!(swapped, Swapped::Done);
    assert!(log.text().contains("answers again"), "{}", log.text());
}

// D31
#[tokio::test]
async fn a_file_that_is_read_only_is_an_outage() {
    let (folder, there) = with_session().await;
    let log = Log::default();
    let _guard = log.capture();
    let options = SqliteConnectOptions::new().filename(folder.file());
    let store = SqliteStore::from_pool(pool(options.read_only(true)).await);
    let error = cannot_write(&store, &there).await;
    assert!(error.contains("let this program write"), "{error}");
    told_once(&log, &error);
    let error = store.migrate().await.unwrap_err();
    assert!(error.to_string().contains("let this program write"));
}

// D31
#[tokio::test]
async fn a_file_without_room_is_an_outage() {
    let (folder, there) = with_session().await;
    let log = Log::default();
    let _guard = log.capture();
    let options = SqliteConnectOptions::new().filename(folder.file());
    let store = SqliteStore::from_pool(pool(options.pragma("max_page_count", "1")).await);
    let mut large = record();
    large.bytes = vec![0; 100_000].into();
    for _ in 0..2 {
        let swapped = store.swap(key("a"), there.tag, large.clone()).await;
        let error = swapped.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert!(error.to_string().contains("make room"), "{error}");
        let loaded = store.load(key("a")).await.unwrap().unwrap();
        assert_eq!(loaded.record, there, "the session is as it was");
    }
    told_once(&log, "make room");
    // A sign-out needs no room.
    let deleted = store.delete(key("a")).await.unwrap();
    assert_eq!(deleted, Some(there));
}

// D31
#[tokio::test]
async fn a_file_without_tables_names_what_makes_them() {
    let folder = Folder::new();
    let log = Log::default();
    let _guard = log.capture();
    let store = SqliteStore::new(&folder.file()).unwrap();
    for _ in 0..2 {
        let error = store.load(key("a")).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert!(
            error.to_string().contains("SqliteStore::migrate"),
            "{error}"
        );
    }
    told_once(&log, "SqliteStore::migrate");
    store.migrate().await.unwrap();
    store.create(key("a"), None, record()).await.unwrap();
    // They vanish under a program that runs, and come back.
    let pool = SqlitePool::connect(&folder.file()).await.unwrap();
    let drop = sqlx::query("DROP TABLE tower_oidc_sessions; DELETE FROM tower_oidc_schema");
    drop.execute(&pool).await.unwrap();
    assert!(store.load(key("a")).await.is_err());
    store.migrate().await.unwrap();
    assert!(store.load(key("a")).await.unwrap().is_none());
}

// D31
#[tokio::test]
async fn a_file_that_is_damaged_is_an_outage() {
    let folder = Folder::new();
    let log = Log::default();
    let _guard = log.capture();
    std::fs::write(folder.file(), [0x55; 8_192]).unwrap();
    let store = folder.store();
    for _ in 0..2 {
        let error = store.load(key("a")).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert!(error.to_string().contains("damaged"), "{error}");
    }
    told_once(&log, "damaged");
    assert_eq!(std::fs::read(folder.file()).unwrap(), [0x55; 8_192]);
}
