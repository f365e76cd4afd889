//! The file: its address, how it is made and opened.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::percent_decode_str;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, SqlitePool};
use tokio::runtime::Handle;

use crate::error::ConfigError;
use crate::login::store::PATIENCE;
use crate::settings::DATABASE;

/// Connections at most: each is a thread. One of them writes at a time.
const MOST: u32 = 4;

/// How long SQLite waits for another process that writes. An operation has two seconds.
const BUSY: Duration = Duration::from_millis(1_500);

const WRITE: &str =
    "write sqlite: and the path of a file, such as sqlite:/var/lib/shop/sessions.db";

/// The absolute path that an address names.
pub(super) fn path_of(address: &str) -> Result<PathBuf, ConfigError> {
    let refused = |problem, remedy| Err(ConfigError::invalid(DATABASE, address, problem, remedy));
    let path = match address.strip_prefix("sqlite:") {
        None if address.contains("://") => {
            // It may hold a password.
            let problem = "it is not an address of SQLite";
            return Err(ConfigError::invalid(DATABASE, "(redacted)", problem, WRITE));
        }
        None => address.to_owned(),
        Some(rest) => {
            let rest = rest.strip_prefix("//").unwrap_or(rest);
            let (path, parameters) = rest.split_once('?').unwrap_or((rest, "mode=rwc"));
            if parameters != "mode=rwc" {
                return refused(
                    "it has a parameter that has no effect here",
                    "remove what stands behind the question mark",
                );
            }
            match percent_decode_str(path).decode_utf8() {
                Ok(path) => path.into_owned(),
                Err(_) => return refused("its path is not text in UTF-8", WRITE),
            }
        }
    };
    if path == ":memory:" {
        return refused(
            "sessions in memory end with the process",
            "name a file, or remove the setting to keep sessions in memory without SQLite",
        );
    }
    if path.is_empty() || path.ends_with(['/', '\\']) || path.contains('\0') {
        return refused("it is no path of a file", WRITE);
    }
    // A name such as file:x is an address of its own for SQLite, an absolute path never is.
    std::path::absolute(&path).or_else(|_| refused("it is no path of a file", WRITE))
}

/// Makes the file for this user alone, unless it is there. SQLite gives those beside it the same permissions.
///
/// A file that is there is not opened here: closing it again would end the locks that other connections of this
/// process hold.
pub(super) fn make(path: &Path) -> Result<(), ConfigError> {
    let refused = |problem: String, remedy: &'static str| {
        let path = path.display().to_string();
        Err(ConfigError::invalid(DATABASE, path, problem, remedy))
    };
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => return refused("it is a folder".to_owned(), WRITE),
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return refused(error.to_string(), "let this program read and write there"),
    }
    if !path.parent().is_some_and(Path::is_dir) {
        return refused(
            "its folder is not there".to_owned(),
            "make the folder, for the user of this program alone",
        );
    }
    match made(path) {
        Ok(()) => Ok(()),
        // Another process was faster.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => refused(error.to_string(), "let this program write to the folder"),
    }
}

fn made(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// Connections to this file, which are opened when they are needed.
pub(super) fn pool(path: &Path) -> Result<SqlitePool, ConfigError> {
    Handle::try_current().map_err(|_| {
        ConfigError::invalid(
            DATABASE,
            path.display().to_string(),
            "there is no tokio runtime to connect from",
            "build the store within one",
        )
    })?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        // What the provider has counted must not be taken back by a power cut: a refresh token is spent once.
        .synchronous(SqliteSynchronous::Full)
        // Without it the disk of a Mac may keep for itself what it says is written.
        .pragma("fullfsync", "ON")
        .busy_timeout(BUSY)
        .disable_statement_logging();
    let pool = SqlitePoolOptions::new()
        .max_connections(MOST)
        .acquire_timeout(PATIENCE)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None);
    Ok(pool.connect_lazy_with(options))
}
