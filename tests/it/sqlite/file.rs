//! The file and its tables: addresses, permissions, versions.

use tower_oidc::env::LoginSettings;
use tower_oidc::error::{ConfigError, StoreErrorKind};
use tower_oidc::login::{SessionStore, SqliteStore};

use tracing::Level;

use super::{Folder, key, record};
use crate::log::Log;

fn settings(address: &str) -> Result<LoginSettings, ConfigError> {
    settings_and(address, &[])
}

fn settings_and(
    address: &str,
    more: &[(&'static str, &str)],
) -> Result<LoginSettings, ConfigError> {
    let settings = [
        ("OPENID_ISSUER", "https://id.example.com"),
        ("OPENID_CLIENT_ID", "site"),
        ("DOMAIN_SERVER", "https://app.example.com"),
        (
            "OPENID_SESSION_SECRET",
            "a session secret of more than 32 characters",
        ),
        ("DATABASE_URL", address),
    ];
    LoginSettings::from_pairs(settings.iter().chain(more).copied())
}

// D31
#[tokio::test]
async fn an_address_names_a_file_in_a_folder_that_is_there() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("a folder")).unwrap();
    let path = folder.path("a folder/x?.db");
    let encoded = path.replace(' ', "%20").replace('?', "%3F");
    let good = [
        path.clone(),
        format!("sqlite:{encoded}"),
        format!("sqlite://{encoded}"),
        format!("sqlite:{encoded}?mode=rwc"),
    ];
    for good in good {
        SqliteStore::new(&good).unwrap();
        std::fs::remove_file(&path).unwrap();
    }
    // SQLite takes the same file for it.
    SqliteStore::new(&path).unwrap().migrate().await.unwrap();
    assert!(std::fs::metadata(&path).unwrap().len() > 0);
    let missing = folder.path("missing/sessions.db");
    let inner = folder.path("a folder");
    for (bad, part) in [
        (missing.as_str(), "make the folder"),
        (&inner, "it is a folder"),
        ("", "no path of a file"),
        ("sqlite:", "no path of a file"),
        ("sqlite:folder/", "no path of a file"),
        ("sqlite:a%FF", "UTF-8"),
        ("sqlite:a.db?mode=ro", "has no effect"),
        ("sqlite:a.db?cache=shared", "has no effect"),
        ("sqlite::memory:", "end with the process"),
        ("postgres://web:hunter2@db/site", "not an address of SQLite"),
    ] {
        let error = SqliteStore::new(bad).unwrap_err().to_string();
        assert!(error.starts_with("database url = "), "{bad}: {error}");
        assert!(error.contains(part), "{bad}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

// D31
#[test]
fn without_a_runtime_there_is_an_error_instead_of_a_panic() {
    let folder = Folder::new();
    let error = SqliteStore::new(&folder.file()).unwrap_err();
    assert!(error.to_string().contains("runtime"), "{error}");
}

#[cfg(unix)]
// D31
#[tokio::test]
async fn its_files_are_readable_for_this_user_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new();
    let store = folder.store();
    store.create(key("a"), None, record()).await.unwrap();
    for beside in ["", "-wal", "-shm"] {
        let path = format!("{}{beside}", folder.file());
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{path}");
    }
}

// D31
#[tokio::test(flavor = "multi_thread")]
async fn tables_are_made_by_many_processes_at_once() {
    let folder = Folder::new();
    let starts = (0..8).map(|_| {
        let store = SqliteStore::new(&folder.file()).unwrap();
        tokio::spawn(async move {
            store.migrate().await.unwrap();
            store.migrate().await.unwrap();
            store
        })
    });
    for start in starts.collect::<Vec<_>>() {
        let store = start.await.unwrap();
        assert!(store.load(key("a")).await.unwrap().is_none());
    }
}

// D31
#[tokio::test]
async fn tables_of_a_newer_version_are_refused_and_stay() {
    let folder = Folder::new();
    let store = folder.store();
    store.create(key("a"), None, record()).await.unwrap();
    let pool = sqlx::SqlitePool::connect(&folder.file()).await.unwrap();
    let newer = sqlx::query("INSERT INTO tower_oidc_schema (version) VALUES (99)");
    newer.execute(&pool).await.unwrap();

    let store = folder.store();
    let error = store.migrate().await.unwrap_err();
    assert!(
        error.to_string().contains("upgrade this program"),
        "{error}"
    );
    let error = store.load(key("a")).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(
        error.to_string().contains("upgrade this program"),
        "{error}"
    );
    let error = settings(&format!("sqlite:{}", folder.file())).unwrap_err();
    assert_eq!(error.setting(), "DATABASE_URL");
    assert!(
        error.to_string().contains("upgrade this program"),
        "{error}"
    );

    let older = sqlx::query("DELETE FROM tower_oidc_schema WHERE version = 99");
    older.execute(&pool).await.unwrap();
    assert!(store.load(key("a")).await.unwrap().is_some());
}

// D31
#[tokio::test]
async fn a_file_that_cannot_be_opened_is_an_error_at_the_start() {
    let folder = Folder::new();
    let good = format!("sqlite:{}", folder.file());
    let built = settings(&good).unwrap().builder().unwrap().build();
    assert!(built.is_ok());
    // The tables are there already.
    let store = SqliteStore::new(&good).unwrap();
    assert!(store.load(key("a")).await.unwrap().is_none());

    let text = folder.path("text.db");
    std::fs::write(
        &text,
        "no database, but more than a hundred bytes. ".repeat(100),
    )
    .unwrap();
    let missing = folder.path("missing/sessions.db");
    let inside = format!("{text}/sessions.db");
    for (bad, part) in [
        (text, "put back a backup"),
        (missing, "make the folder"),
        (inside, "Not a directory"),
    ] {
        let error = settings(&format!("sqlite:{bad}")).unwrap_err();
        assert_eq!(error.setting(), "DATABASE_URL");
        assert!(error.to_string().contains(part), "{error}");
    }
}

// D31
#[tokio::test]
async fn replicas_on_several_machines_are_warned_of_a_file() {
    let folder = Folder::new();
    let log = Log::default();
    let _guard = log.capture();
    let address = format!("sqlite:{}", folder.file());
    drop(settings(&address).unwrap().builder().unwrap());
    assert!(
        log.at(Level::WARN)
            .iter()
            .all(|line| !line.contains("of this machine"))
    );
    let settings = settings_and(&address, &[("KUBERNETES_SERVICE_HOST", "10.0.0.1")]);
    drop(settings.unwrap().builder().unwrap());
    let warnings = log.at(Level::WARN);
    let told = warnings
        .iter()
        .filter(|line| line.contains("of this machine"));
    assert_eq!(told.count(), 1, "{warnings:?}");
}
