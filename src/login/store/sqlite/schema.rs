//! The tables: which version they have, and how they come to the newest.

use std::sync::atomic::Ordering;
use std::time::Duration;

#[cfg(feature = "reqwest")]
use sqlx::ConnectOptions as _;
#[cfg(feature = "reqwest")]
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{
    AssertSqlSafe, Connection as _, Error, Executor as _, Row as _, SqliteConnection, SqlitePool,
};

use super::SqliteStore;
use super::ask::Access;
use super::failure::{failure, late, newer, of};
#[cfg(feature = "reqwest")]
use crate::error::{Chain, ConfigError};
use crate::login::store::PATIENCE;
use crate::login::store::outage::Trouble;
use crate::login::store::sql::{Failure, TablePrefix, pending};
#[cfg(feature = "reqwest")]
use crate::settings::DATABASE;

/// Never changed: another version is another entry.
const MIGRATIONS: [&str; 1] = ["
CREATE TABLE {prefix}_sessions (
    key BLOB NOT NULL PRIMARY KEY,
    tag BLOB NOT NULL,
    bytes BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    subject BLOB,
    provider_session BLOB
) STRICT;
CREATE INDEX {prefix}_sessions_expires_at ON {prefix}_sessions (expires_at);
CREATE INDEX {prefix}_sessions_subject ON {prefix}_sessions (subject) WHERE subject IS NOT NULL;
CREATE INDEX {prefix}_sessions_provider ON {prefix}_sessions (provider_session) WHERE provider_session IS NOT NULL"];

const VERSIONS: &str =
    "CREATE TABLE IF NOT EXISTS {prefix}_schema (version INTEGER NOT NULL PRIMARY KEY) STRICT";

/// Changes nothing, and fails where nothing can be changed. A file that is read-only is otherwise noticed by the first
/// visitor.
const WRITE_NOTHING: &str = "DELETE FROM {prefix}_schema WHERE version < 0";

/// Until a file is tried again that another process turns into a database at this moment.
const PAUSE: Duration = Duration::from_millis(20);

impl SqliteStore {
    /// Looks for the tables, and makes what they lack if that is chosen. A file that is locked or read-only is read
    /// all the same.
    pub(super) async fn find_tables(&self) -> Result<(), Failure> {
        match self.seen().await {
            Err(failure) if failure.trouble == Trouble::NoTables && self.migrates => {
                self.make_tables().await
            }
            Err(failure) => Err(failure),
            Ok(()) => {
                self.is_ready.store(true, Ordering::Release);
                Ok(())
            }
        }
    }

    async fn seen(&self) -> Result<(), Failure> {
        let version = self.version().await.map_err(|error| failure(&error))?;
        match pending(version, &MIGRATIONS) {
            None => Err(newer(version, MIGRATIONS.len())),
            Some([]) => Ok(()),
            Some(_) => {
                let cause = format!("version {version} of {}", MIGRATIONS.len());
                Err(of(Trouble::NoTables, cause))
            }
        }
    }

    async fn version(&self) -> Result<i64, Error> {
        let version = sqlx::query(self.statements.version.clone());
        let version: Option<i64> = version.fetch_one(&self.pool).await?.try_get("version")?;
        Ok(version.unwrap_or(0))
    }

    /// Makes what the tables lack, within two seconds.
    pub(super) async fn make_tables(&self) -> Result<(), Failure> {
        let made = async {
            let _turn = self.turn(Access::Write).await;
            migrated(&self.prefix, Source::Pool(&self.pool)).await
        };
        let made = tokio::time::timeout(PATIENCE, made).await;
        made.unwrap_or_else(|_| Err(late(Trouble::Locked)))?;
        self.is_ready.store(true, Ordering::Release);
        Ok(())
    }

    /// Opens the file and makes the tables before this returns, so that what an operator has to mend is an error at the
    /// start. What may pass by itself is not: the first use tries again.
    #[cfg(feature = "reqwest")]
    pub(crate) fn open_now(&self) -> Result<(), ConfigError> {
        let options = SqliteConnectOptions::clone(&self.pool.connect_options());
        let prefix = self.prefix.clone();
        // A runtime cannot be waited for within another.
        let opened = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .map_err(|error| failure(&Error::Io(error)))?;
            runtime.block_on(async {
                let made = migrated(&prefix, Source::File(&options));
                let made = tokio::time::timeout(PATIENCE, made).await;
                made.unwrap_or_else(|_| Err(late(Trouble::Locked)))
            })
        });
        let failure = match opened.join() {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(failure)) => failure,
            Err(_) => late(Trouble::Locked),
        };
        match failure.trouble {
            Trouble::Away | Trouble::Locked | Trouble::Full => Ok(()),
            Trouble::ReadOnly
            | Trouble::NoTables
            | Trouble::NewerTables
            | Trouble::NotAllowed
            | Trouble::Damaged => Err(ConfigError::invalid(
                DATABASE,
                "(redacted)",
                Chain(&failure.error).to_string(),
                "or remove the setting to keep sessions in memory",
            )),
        }
    }
}

/// Where a connection comes from.
#[derive(Clone, Copy)]
enum Source<'a> {
    Pool(&'a SqlitePool),
    #[cfg(feature = "reqwest")]
    File(&'a SqliteConnectOptions),
}

impl Source<'_> {
    async fn migrate(self, prefix: &TablePrefix) -> Result<i64, Error> {
        match self {
            Self::Pool(pool) => {
                let mut connection = pool.acquire().await?;
                migrate(&mut connection, prefix).await
            }
            #[cfg(feature = "reqwest")]
            Self::File(options) => {
                let mut connection = options.connect().await?;
                let migrated = migrate(&mut connection, prefix).await;
                // The thread of the connection ends before the next one opens the file.
                let _ = connection.close().await;
                migrated
            }
        }
    }
}

/// Where another process turns the file into a database at this moment, SQLite does not wait for it by itself. Callers
/// end it.
async fn migrated(prefix: &TablePrefix, source: Source<'_>) -> Result<(), Failure> {
    loop {
        let version = source.migrate(prefix).await;
        match version.map_err(|error| failure(&error)) {
            Err(failure) if failure.trouble == Trouble::Locked => {
                tokio::time::sleep(PAUSE).await;
            }
            Err(failure) => return Err(failure),
            Ok(version) if pending(version, &MIGRATIONS).is_none() => {
                return Err(newer(version, MIGRATIONS.len()));
            }
            Ok(_) => return Ok(()),
        }
    }
}

/// In one transaction, whose lock ends with it: several processes may start at once. Returns the version that the
/// tables then have.
async fn migrate(connection: &mut SqliteConnection, prefix: &TablePrefix) -> Result<i64, Error> {
    // Nothing is filled in but the prefix, which is checked.
    let fill = |statements: &str| AssertSqlSafe(prefix.fill(statements));
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    transaction.execute(fill(VERSIONS)).await?;
    transaction.execute(fill(WRITE_NOTHING)).await?;
    let version = sqlx::query(fill(
        "SELECT coalesce(max(version), 0) AS version FROM {prefix}_schema",
    ));
    let version = version.fetch_one(&mut *transaction).await?;
    let mut version: i64 = version.try_get("version")?;
    for statements in pending(version, &MIGRATIONS).unwrap_or_default() {
        version += 1;
        transaction.execute(fill(statements)).await?;
        let told = sqlx::query(fill("INSERT INTO {prefix}_schema (version) VALUES (?1)"));
        told.bind(version).execute(&mut *transaction).await?;
        tracing::info!(version, "made the tables of the SQLite store");
    }
    transaction.commit().await?;
    Ok(version)
}
