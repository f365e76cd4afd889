//! The tables: which version they have, and how they come to the newest.

use std::sync::atomic::Ordering;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{
    AssertSqlSafe, Connection as _, Error, Executor as _, PgConnection, PgPool, Postgres, Row as _,
};

use super::PostgresStore;
use super::deadline::Deadline;
use super::failure::{NO_TABLE, POSTGRES, code, failure, late};
use super::question::Question;
use crate::login::store::StoreKey;
use crate::login::store::outage::Trouble;
use crate::login::store::sql::{Failure, TablePrefix, pending};

/// Never changed: another version is another entry.
///
/// Sealed bytes cannot be compressed, so the server need not try. Pages stay partly empty, so that a changed row can
/// stay on its page.
const MIGRATIONS: [&str; 1] = ["
CREATE TABLE {prefix}_sessions (
    key bytea PRIMARY KEY,
    tag bytea NOT NULL,
    bytes bytea NOT NULL,
    expires_at bigint NOT NULL,
    subject bytea,
    provider_session bytea
) WITH (fillfactor = 70);
ALTER TABLE {prefix}_sessions ALTER COLUMN bytes SET STORAGE EXTERNAL;
CREATE INDEX {prefix}_sessions_expires_at ON {prefix}_sessions (expires_at);
CREATE INDEX {prefix}_sessions_subject ON {prefix}_sessions (subject) WHERE subject IS NOT NULL;
CREATE INDEX {prefix}_sessions_provider ON {prefix}_sessions (provider_session) WHERE provider_session IS NOT NULL"];

const VERSIONS: &str = "
CREATE TABLE IF NOT EXISTS {prefix}_schema (
    version bigint PRIMARY KEY,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp()
)";

/// How long a migration may take.
pub(super) const LONGEST_MIGRATION: Duration = Duration::from_secs(60);

/// Until it is looked again whether another replica has made the tables.
const PAUSE: Duration = Duration::from_millis(50);

/// What a migration came to.
enum Migrated {
    Done,
    /// Another replica is at it.
    ByAnother,
}

impl PostgresStore {
    /// Once the tables have been seen to be there, this costs nothing.
    pub(super) async fn ready(&self, deadline: &Deadline) -> Result<(), Failure> {
        if !self.is_ready.load(Ordering::Acquire) {
            self.with_tables(self.migrates, deadline).await?;
        }
        Ok(())
    }

    pub(super) fn has_lost_tables(&self) {
        self.is_ready.store(false, Ordering::Release);
    }

    /// Makes what the tables lack, if that is allowed.
    pub(super) async fn with_tables(
        &self,
        migrates: bool,
        deadline: &Deadline,
    ) -> Result<(), Failure> {
        loop {
            let version = self.version(deadline).await?;
            match pending(version, &MIGRATIONS) {
                None => return Err(newer(version)),
                Some([]) => {
                    self.is_ready.store(true, Ordering::Release);
                    return Ok(());
                }
                Some(_) if !migrates => {
                    let cause = format!("version {version} of {}", MIGRATIONS.len());
                    return Err(POSTGRES.failure(Trouble::NoTables, cause));
                }
                Some(_) => {}
            }
            let attempt = tokio::spawn(migrated(self.pool.clone(), self.prefix.clone()));
            match attempt.await {
                Ok(Ok(Migrated::Done)) => {}
                Ok(Ok(Migrated::ByAnother)) => tokio::time::sleep(PAUSE).await,
                Ok(Err(failure)) => return Err(failure),
                Err(_) => return Err(late()),
            }
        }
    }

    /// Zero if there are no tables.
    async fn version(&self, deadline: &Deadline) -> Result<i64, Failure> {
        let asked = self
            .asked(
                Question::reading(&self.statements.version),
                deadline.clone(),
            )
            .await;
        match asked {
            Ok(rows) => {
                let first = rows.first();
                let version = first.and_then(|row| row.try_get::<Option<i64>, _>("version").ok());
                Ok(version.flatten().unwrap_or(0))
            }
            Err(error) if code(&error).as_deref() == Some(NO_TABLE) => Ok(0),
            Err(error) => Err(failure(&error)),
        }
    }
}

fn newer(version: i64) -> Failure {
    let cause = format!(
        "version {version}, of which this program knows {}",
        MIGRATIONS.len()
    );
    POSTGRES.failure(Trouble::NewerTables, cause)
}

async fn migrated(pool: PgPool, prefix: TablePrefix) -> Result<Migrated, Failure> {
    let mut connection = pool.acquire().await.map_err(|error| failure(&error))?;
    let outcome = tokio::time::timeout(LONGEST_MIGRATION, migrate(&mut connection, &prefix)).await;
    match outcome {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => Err(ended(connection, &error)),
        Err(_) => {
            drop(connection.detach());
            Err(late())
        }
    }
}

/// The transaction that failed ends with its connection.
fn ended(connection: PoolConnection<Postgres>, error: &Error) -> Failure {
    drop(connection.detach());
    failure(error)
}

/// One transaction, under a lock that ends with it: several replicas may start at once.
async fn migrate(
    connection: &mut PgConnection,
    prefix: &TablePrefix,
) -> Result<Result<Migrated, Failure>, Error> {
    let mut transaction = connection.begin().await?;
    let limit = LONGEST_MIGRATION.as_millis();
    let limits = format!(
        "SET LOCAL statement_timeout = {limit}; SET LOCAL idle_in_transaction_session_timeout = {limit}"
    );
    transaction.execute(AssertSqlSafe(limits)).await?;
    // Nothing is prepared: a pooler may be in between.
    let locked = format!("SELECT pg_try_advisory_xact_lock({})", lock(prefix));
    let locked = sqlx::raw_sql(AssertSqlSafe(locked));
    let is_ours: bool = locked.fetch_one(&mut *transaction).await?.try_get(0)?;
    if !is_ours {
        transaction.rollback().await?;
        return Ok(Ok(Migrated::ByAnother));
    }
    // Nothing is filled in but the prefix, which is checked.
    let make = |statements: &str| AssertSqlSafe(prefix.fill(statements));
    transaction.execute(make(VERSIONS)).await?;
    let version = sqlx::raw_sql(make(
        "SELECT coalesce(max(version), 0) FROM {prefix}_schema",
    ));
    let version: i64 = version.fetch_one(&mut *transaction).await?.try_get(0)?;
    let Some(due) = pending(version, &MIGRATIONS) else {
        return Ok(Err(newer(version)));
    };
    for (made, statements) in (version + 1..).zip(due) {
        transaction.execute(make(statements)).await?;
        let told = format!("INSERT INTO {{prefix}}_schema (version) VALUES ({made})");
        transaction.execute(make(&told)).await?;
        tracing::info!(version = made, "made the tables of the PostgreSQL store");
    }
    transaction.commit().await?;
    Ok(Ok(Migrated::Done))
}

/// The number of the lock: locks are those of a whole database.
fn lock(prefix: &TablePrefix) -> i64 {
    let key = StoreKey::of(&["tower-oidc migrations", prefix.as_str()]);
    let (number, _) = key.as_bytes().split_first_chunk().unwrap_or((&[0; 8], &[]));
    i64::from_be_bytes(*number)
}
