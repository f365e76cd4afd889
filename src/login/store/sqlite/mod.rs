//! Sessions in a file of SQLite: opaque records, changed by compare-and-swap, by this machine's clock.
//!
//! A session is a row, which also says whose it is, so that a logout finds it by an index and no list outlives its
//! sessions. `file.rs` opens the file, `statements.rs` has what is asked, `ask.rs` for how long, `schema.rs` the tables.

mod ask;
mod failure;
mod file;
mod schema;
mod statements;
mod sweep;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use sqlx::SqlitePool;
use tokio::sync::Semaphore;

use crate::clock::{Clock, SharedClock, UnixTime};
use crate::error::{ConfigError, StoreError, StoreErrorKind};
use crate::login::store::outage::Outages;
use crate::login::store::sql::{TablePrefix, loaded, record, store_key};
use crate::login::store::{
    Loaded, OwnedBy, Owner, SessionStore, StoreFuture, StoreKey, StoredRecord, Swapped, Tag,
};
use crate::settings::DATABASE_URL;

use self::ask::{Access, Question};
use self::failure::unsettled;
use self::statements::Statements;
use self::sweep::Sweeping;

/// Sessions in a file, for one machine: they outlive a restart, and nothing has to be run.
///
/// Several processes of one machine may open the same file. What one of them changes is seen by the others within the
/// age of [`LoginBuilder::with_near_cache_age`](crate::login::LoginBuilder::with_near_cache_age), one second by
/// default. **A file on a network file system, or one that several machines open, is damaged sooner or later**: its
/// locks do not work there. Use Redis or PostgreSQL for several machines.
///
/// Its tables must be there: [`migrate`](Self::migrate) makes them, as does the first use after
/// [`with_automatic_migration`](Self::with_automatic_migration). They are `tower_oidc_sessions`, with a row for each
/// session, and `tower_oidc_schema`, with the version of the tables.
///
/// An operation that cannot be done is an error within two seconds: another program holds the file locked, the disk is
/// full, the file is read-only or damaged. The log says once which, and what to do. No session ends by it.
///
/// Time is the machine's, so processes that share a file agree about it. A record that has expired counts as absent,
/// and stays in the file for 24 hours more: a clock that was wrong at a start loses no session once it is right again.
///
/// ```
/// use tower_oidc::login::SqliteStore;
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = std::env::temp_dir().join(format!("tower-oidc-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let file = folder.join("sessions.db").display().to_string();
/// # let address = format!("sqlite:{file}");
/// let store = SqliteStore::new(&address)?; // such as sqlite:/var/lib/shop/sessions.db
/// store.migrate().await?;
/// # drop(store);
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok(())
/// # }
/// ```
///
/// # Security
/// The file has hashes of session ids, of subjects and of the provider's sessions, and sealed records, nothing else. It
/// is made readable for this user alone. A user who can write to it can end sessions, and put an older record in the
/// place of a newer one.
pub struct SqliteStore {
    pool: SqlitePool,
    /// SQLite lets one connection write at a time, and those who wait for it would sleep and try again. Here they
    /// wait in line, and take no connection from those who read.
    writer: Arc<Semaphore>,
    prefix: TablePrefix,
    statements: Arc<Statements>,
    clock: SharedClock,
    /// Whether the tables are made at the first use.
    migrates: bool,
    /// Whether the tables have been seen to be there.
    is_ready: AtomicBool,
    sweeping: Sweeping,
    outages: Outages,
    /// Whether the last write failed. A read that succeeds then does not end the outage.
    cannot_write: AtomicBool,
}

impl SqliteStore {
    /// A store in this file: a path, or an address such as `sqlite:sessions.db` or `sqlite:/var/lib/shop/sessions.db`
    /// (percent-encoded). A file that is not there is made, readable and writable for this user alone; its folder must
    /// be there, and be writable, because SQLite keeps two more files beside it while it is open.
    ///
    /// What was committed outlives the end of the process and a power cut (`journal_mode` WAL, `synchronous` FULL).
    ///
    /// # Errors
    /// [`ConfigError`] if it is no path of a file, the folder is not there, the file cannot be made, or there is no
    /// tokio runtime.
    pub fn new(address: &str) -> Result<Self, ConfigError> {
        let path = file::path_of(address)?;
        file::make(&path)?;
        Ok(Self::from_pool(file::pool(&path)?))
    }

    /// A store that shares the connections of the application, which chooses how they are opened.
    ///
    /// Let `journal_mode` be WAL and `synchronous` FULL: with NORMAL, a power cut takes back refreshes that the
    /// provider has counted already, and their users must sign in again. A database in memory is of this process
    /// alone: use [`MemoryStore`](crate::login::MemoryStore) instead.
    #[must_use]
    pub fn from_pool(pool: SqlitePool) -> Self {
        let prefix = TablePrefix::default();
        Self {
            pool,
            writer: Arc::new(Semaphore::new(1)),
            statements: Arc::new(Statements::of(&prefix)),
            prefix,
            clock: SharedClock::system(),
            migrates: false,
            is_ready: AtomicBool::new(false),
            sweeping: Sweeping::default(),
            outages: Outages::new("SQLite", DATABASE_URL),
            cannot_write: AtomicBool::new(false),
        }
    }

    /// Puts another word before the names of all tables and indexes, for applications that share a file. Default:
    /// `tower_oidc`.
    ///
    /// # Errors
    /// [`ConfigError`] unless it is up to 40 lower-case letters, digits and underscores, without a digit in front.
    pub fn with_table_prefix(mut self, prefix: &str) -> Result<Self, ConfigError> {
        self.prefix = TablePrefix::parse(prefix)?;
        self.statements = Arc::new(Statements::of(&self.prefix));
        Ok(self)
    }

    /// Makes the tables, or what they lack, at the first use, as [`migrate`](Self::migrate) does. Default: off, but on
    /// for the store that `DATABASE_URL` names.
    #[must_use]
    pub fn with_automatic_migration(mut self) -> Self {
        self.migrates = true;
        self
    }

    /// The clock by which sessions expire. Default: the system's.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = SharedClock::new(clock);
        self
    }

    /// Makes the tables, or what they lack. Several processes may do this at once, and again at each start.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be opened or written to, is no database, is locked by another program for
    /// two seconds, or has the tables of a newer version of this crate. Nothing is then changed.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        self.make_tables().await.map_err(|failure| failure.error)
    }
}

impl SessionStore for SqliteStore {
    fn create(
        &self,
        key: StoreKey,
        owner: Option<Owner>,
        record: StoredRecord,
    ) -> StoreFuture<'_, UnixTime> {
        Box::pin(async move {
            let answer = self
                .ask(Access::Write, |now| {
                    Question::new(&self.statements.create)
                        .with(&key.as_bytes()[..])
                        .with(&record.tag.as_bytes()[..])
                        .with(&record.bytes[..])
                        .with(record.expires_at.as_seconds())
                        .with(owner.as_ref().map(|owner| &owner.subject.as_bytes()[..]))
                        .with(owner.as_ref().map(|owner| &owner.session.as_bytes()[..]))
                        .with(now.as_seconds())
                })
                .await?;
            self.sweep();
            match answer.row() {
                Some(_) => Ok(answer.now),
                None => Err(StoreError::new(
                    StoreErrorKind::Taken,
                    "the store already has a record under this key",
                )),
            }
        })
    }

    fn load(&self, key: StoreKey) -> StoreFuture<'_, Option<Loaded>> {
        Box::pin(async move {
            let answer = self
                .ask(Access::Read, |now| {
                    Question::new(&self.statements.load)
                        .with(&key.as_bytes()[..])
                        .with(now.as_seconds())
                })
                .await?;
            answer.row().map(loaded).transpose()
        })
    }

    fn swap(&self, key: StoreKey, expected: Tag, next: StoredRecord) -> StoreFuture<'_, Swapped> {
        Box::pin(async move {
            // No tag comes back, so a record that was not the expected one is still not when it is read. Only one that
            // was created in between can be.
            for _ in 0..ATTEMPTS {
                let answer = self
                    .ask(Access::Write, |now| {
                        Question::new(&self.statements.swap)
                            .with(&key.as_bytes()[..])
                            .with(&expected.as_bytes()[..])
                            .with(&next.tag.as_bytes()[..])
                            .with(&next.bytes[..])
                            .with(next.expires_at.as_seconds())
                            .with(now.as_seconds())
                    })
                    .await?;
                if answer.row().is_some() {
                    return Ok(Swapped::Done);
                }
                match self.load(key).await? {
                    None => return Ok(Swapped::Gone),
                    Some(there) if there.record.tag != expected => {
                        return Ok(Swapped::Conflict(there));
                    }
                    Some(_) => {}
                }
            }
            Err(unsettled())
        })
    }

    fn delete(&self, key: StoreKey) -> StoreFuture<'_, Option<StoredRecord>> {
        Box::pin(async move {
            let answer = self
                .ask(Access::Write, |_| {
                    Question::new(&self.statements.delete).with(&key.as_bytes()[..])
                })
                .await?;
            let deleted = answer.row().map(record).transpose()?;
            Ok(deleted.filter(|record| answer.now < record.expires_at))
        })
    }

    /// Names sessions that have expired too, as long as they are in the file: by a clock that was wrong they may live
    /// again.
    fn find(&self, owner: OwnedBy) -> StoreFuture<'_, Vec<StoreKey>> {
        Box::pin(async move {
            let (statement, key) = match owner {
                OwnedBy::Subject(subject) => (&self.statements.of_subject, subject),
                OwnedBy::Session(session) => (&self.statements.of_session, session),
            };
            let answer = self
                .ask(Access::Read, |_| {
                    Question::new(statement).with(&key.as_bytes()[..])
                })
                .await?;
            answer
                .rows
                .iter()
                .map(|row| store_key(row, "key"))
                .collect()
        })
    }
}

/// How often a swap is tried that meets a new record with the expected tag.
const ATTEMPTS: u8 = 3;

impl fmt::Debug for SqliteStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SqliteStore({})", self.prefix.as_str())
    }
}
