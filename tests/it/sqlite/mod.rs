//! Sessions in a file of SQLite, with nothing to run.

mod faults;
mod file;
mod sessions;
mod suite;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use tower_oidc::login::{SqliteStore, StoreKey, StoredRecord, Tag};
use tower_oidc::{Clock, SystemClock};

/// A folder that ends with its test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tower-oidc-sqlite-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    pub(crate) fn file(&self) -> String {
        self.path("sessions.db")
    }

    /// A store in the file, as another process would have it.
    pub(crate) fn store(&self) -> SqliteStore {
        SqliteStore::new(&self.file())
            .unwrap()
            .with_automatic_migration()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn key(of: &str) -> StoreKey {
    StoreKey::of(&[of])
}

/// A record that lives for an hour.
fn record() -> StoredRecord {
    StoredRecord {
        bytes: Bytes::from_static(b"sealed"),
        tag: Tag::random().unwrap(),
        expires_at: SystemClock::new()
            .now()
            .saturating_add(std::time::Duration::from_secs(3_600)),
    }
}
