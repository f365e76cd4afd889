//! What every store must pass, however the file is opened.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnectOptions;
use tower_oidc::Clock;
use tower_oidc::login::{
    Loaded, OwnedBy, Owner, SessionStore, SqliteStore, StoreFuture, StoreKey, StoredRecord,
    Swapped, Tag,
};
use tower_oidc::testing::{ManualClock, store_suite};

use super::{Folder, key, record};

/// Asks several stores in turn, as a browser asks several processes.
struct InTurn {
    stores: Vec<SqliteStore>,
    asked: AtomicUsize,
}

impl InTurn {
    fn next(&self) -> &SqliteStore {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        &self.stores[asked % self.stores.len()]
    }
}

impl SessionStore for InTurn {
    fn create(
        &self,
        key: StoreKey,
        owner: Option<Owner>,
        record: StoredRecord,
    ) -> StoreFuture<'_, tower_oidc::UnixTime> {
        self.next().create(key, owner, record)
    }

    fn load(&self, key: StoreKey) -> StoreFuture<'_, Option<Loaded>> {
        self.next().load(key)
    }

    fn swap(&self, key: StoreKey, expected: Tag, next: StoredRecord) -> StoreFuture<'_, Swapped> {
        self.next().swap(key, expected, next)
    }

    fn delete(&self, key: StoreKey) -> StoreFuture<'_, Option<StoredRecord>> {
        self.next().delete(key)
    }

    fn find(&self, owner: OwnedBy) -> StoreFuture<'_, Vec<StoreKey>> {
        self.next().find(owner)
    }
}

// D31
#[tokio::test(flavor = "multi_thread")]
async fn a_file_passes_the_suite() {
    let (folder, clock) = (Folder::new(), ManualClock::new());
    let store = folder.store().with_clock(clock.clone());
    store_suite(store, clock.now(), async |time| clock.advance(time)).await;
}

// D31
#[tokio::test(flavor = "multi_thread")]
async fn three_processes_on_one_file_pass_the_suite_as_one() {
    let (folder, clock) = (Folder::new(), ManualClock::new());
    let stores = (0..3).map(|_| folder.store().with_clock(clock.clone()));
    let stores = InTurn {
        stores: stores.collect(),
        asked: AtomicUsize::new(0),
    };
    store_suite(stores, clock.now(), async |time| clock.advance(time)).await;
}

// D31
#[tokio::test(flavor = "multi_thread")]
async fn a_pool_of_the_application_passes_the_suite() {
    let (folder, clock) = (Folder::new(), ManualClock::new());
    // As an application opens it that thinks of nothing: no WAL.
    let options = SqliteConnectOptions::new().filename(folder.file());
    let pool = SqlitePool::connect_with(options.create_if_missing(true))
        .await
        .unwrap();
    let store = SqliteStore::from_pool(pool.clone()).with_clock(clock.clone());
    store.migrate().await.unwrap();
    store_suite(store, clock.now(), async |time| clock.advance(time)).await;
    pool.close().await;
}

// D31
#[tokio::test]
async fn applications_that_share_a_file_do_not_meet() {
    let folder = Folder::new();
    let shop = folder.store().with_table_prefix("shop").unwrap();
    let blog = folder.store();
    shop.create(key("a"), None, record()).await.unwrap();
    assert_eq!(blog.load(key("a")).await.unwrap(), None);
    blog.create(key("a"), None, record()).await.unwrap();
    blog.delete(key("a")).await.unwrap();
    assert!(shop.load(key("a")).await.unwrap().is_some());
}

// D31
#[tokio::test]
async fn a_clock_that_was_wrong_at_a_start_loses_no_session() {
    const HOUR: Duration = Duration::from_secs(3_600);
    let (folder, right, wrong) = (Folder::new(), ManualClock::new(), ManualClock::new());
    let open = |clock: &ManualClock| folder.store().with_clock(clock.clone());
    let lasts = |clock: &ManualClock, time| StoredRecord {
        expires_at: clock.now().saturating_add(time),
        ..record()
    };
    let subject = key("subject");
    let owner = Owner {
        subject,
        session: key("session"),
        ends_at: right.now().saturating_add(HOUR),
    };
    let short = lasts(&right, HOUR / 2);
    let store = open(&right);
    store
        .create(key("a"), Some(owner), short.clone())
        .await
        .unwrap();

    // An hour ahead: the session counts as absent, and a sign-in sweeps.
    wrong.advance(HOUR);
    let store = open(&wrong);
    assert_eq!(store.load(key("a")).await.unwrap(), None);
    store
        .create(key("b"), None, lasts(&wrong, HOUR))
        .await
        .unwrap();
    // A logout finds it all the same.
    assert_eq!(
        store.find(OwnedBy::Subject(subject)).await.unwrap(),
        [key("a")]
    );

    let store = open(&right);
    let loaded = store.load(key("a")).await.unwrap().expect("it is back");
    assert_eq!((loaded.record, loaded.now), (short.clone(), right.now()));
    let next = lasts(&right, HOUR);
    let swapped = store.swap(key("a"), short.tag, next).await.unwrap();
    assert_eq!(swapped, Swapped::Done);
}
