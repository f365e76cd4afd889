//! Sessions in PostgreSQL: opaque records, changed by compare-and-swap, by the server's own clock.
//!
//! A session is a row, which also says whose it is, so that a logout finds it by an index and no list outlives its
//! sessions. `statements.rs` has what is asked, `question.rs` how it goes out, `ask.rs` for how long and how often, `schema.rs`
//! the tables, `pooler.rs` what is different where a pooler is in between.

mod ask;
mod changes;
mod connection;
mod deadline;
mod failure;
mod loads;
mod pooler;
mod question;
mod schema;
mod statements;
mod sweep;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgRow};
use tokio::sync::OnceCell;

use crate::clock::{SharedClock, UnixTime};
use crate::error::{ConfigError, StoreError, StoreErrorKind};
use crate::login::store::changes::{Changes, Listener};
use crate::login::store::outage::Outages;
use crate::login::store::sql::{TablePrefix, has, loaded, record, seconds, store_key};
use crate::login::store::{
    ChangeFuture, ChangeListener, Loaded, OwnedBy, Owner, PATIENCE, SessionStore, StoreFuture,
    StoreKey, StoredRecord, Swapped, Tag,
};
use crate::settings::{DATABASE, DATABASE_LISTEN, DATABASE_URL};

use self::connection::{Address, Doubt};
use self::deadline::Deadline;
use self::failure::late;
use self::loads::{Departure, Loads, Place};
use self::pooler::Pooler;
use self::question::Question;
use self::schema::LONGEST_MIGRATION;
use self::statements::Statements;
use self::sweep::Sweeping;

/// Sessions in a PostgreSQL database, version 14 or later: for any number of replicas.
///
/// Nothing is connected to until the first session or
/// [`LoginLayer::readiness`](crate::login::LoginLayer::readiness) asks. A server that is away is an error of each
/// operation, within two seconds, and is logged once; it heals without a restart. So does one that cannot be written
/// to, is full, lacks the tables or refuses this program; the log says which, and what to do.
///
/// Its tables must be there: [`migrate`](Self::migrate) makes them, as does the first use after
/// [`with_automatic_migration`](Self::with_automatic_migration). They are `tower_oidc_sessions`, with a row for each
/// session, and `tower_oidc_schema`, with the version of the tables.
///
/// Replicas tell each other of changes through PostgreSQL (`NOTIFY` on the channel `tower_oidc_changes`), so that a
/// sign-out or a refresh on one is seen by the others at once; where that word is lost, within the age of
/// [`LoginBuilder::with_near_cache_age`](crate::login::LoginBuilder::with_near_cache_age).
///
/// PgBouncer may be in front, in any mode and without settings for this crate: it is noticed at the first use, and
/// statements are then not prepared. Through it a store hears of no changes, and the log says so, unless
/// [`with_listen_url`](Self::with_listen_url) says where to listen.
///
/// ```no_run
/// use tower_oidc::login::PostgresStore;
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let store = PostgresStore::new("postgres://web:secret@db.example/site?sslmode=verify-full")?;
/// store.migrate().await?; // or once, by a user who may create tables
/// # Ok(())
/// # }
/// ```
///
/// # Security
/// The database sees hashes of session ids, of subjects and of the provider's sessions, and sealed records, nothing
/// else. A user who can write to the table can end sessions, and put an older record in the place of a newer one.
/// Without `sslmode=verify-full` in the address another server can pass itself off as the database.
pub struct PostgresStore {
    pool: PgPool,
    /// For how long operations take. What is stored goes by the server's.
    clock: SharedClock,
    prefix: TablePrefix,
    statements: Arc<Statements>,
    /// Whether the tables are made at the first use.
    migrates: bool,
    /// Whether the tables have been seen to be there.
    is_ready: AtomicBool,
    changes: Arc<Changes>,
    listener: OnceCell<Listener>,
    loads: Loads,
    doubt: Arc<Doubt>,
    pooler: Arc<Pooler>,
    /// How connections begin where a pooler refuses the usual parameters. Of connections of the store's own alone.
    plain: Option<PgConnectOptions>,
    /// The address where changes are listened to, if it is another one.
    listened_to: Option<PgConnectOptions>,
    sweeping: Sweeping,
    outages: Outages,
}

impl PostgresStore {
    /// A store in the database at this address, such as `postgres://user:password@db.example:5432/site`. It has up to
    /// ten connections of its own, and one more to hear of changes.
    ///
    /// Parameters are those of libpq that sqlx has: `sslmode`, `sslrootcert`, `sslcert`, `sslkey`, `host`, `hostaddr`,
    /// `port`, `dbname`, `user`, `password`, `application_name`, `options`. Without `sslrootcert` the public
    /// authorities are trusted. The default `sslmode` is `prefer`, which checks no certificate: write `verify-full`
    /// where the way to the database is not yours.
    ///
    /// # Errors
    /// [`ConfigError`] if it is not an address of PostgreSQL, has another parameter, or there is no tokio runtime. The
    /// address is not repeated: it may hold a password.
    pub fn new(url: &str) -> Result<Self, ConfigError> {
        let doubt = Arc::new(Doubt::new(SharedClock::system()));
        let address = Address::parse(url, DATABASE)?;
        let has_options = address.has_options();
        let pooler = Arc::new(Pooler::new(has_options));
        let pool = connection::pool(address.usual, Arc::clone(&doubt), Arc::clone(&pooler))?;
        Ok(Self {
            doubt,
            pooler,
            plain: (!has_options).then_some(address.plain),
            ..Self::from_pool(pool)
        })
    }

    /// A store that shares the connections of the application. One more is opened to hear of changes.
    ///
    /// Each operation has two seconds, also to get a connection. A statement that was given up goes on in the server
    /// until the `statement_timeout` of these connections, if they have one. The isolation should be `READ COMMITTED`,
    /// which is the default; others cause repeats.
    ///
    /// Connections that begin without `extra_float_digits`, which sqlx sets unless it is told otherwise, count as those of a
    /// pooler.
    #[must_use]
    pub fn from_pool(pool: PgPool) -> Self {
        let prefix = TablePrefix::default();
        let clock = SharedClock::system();
        Self {
            pool,
            statements: Arc::new(Statements::of(&prefix)),
            prefix,
            migrates: false,
            is_ready: AtomicBool::new(false),
            changes: Arc::new(Changes::new()),
            listener: OnceCell::new(),
            loads: Loads::default(),
            doubt: Arc::new(Doubt::new(clock.clone())),
            clock,
            pooler: Arc::default(),
            plain: None,
            listened_to: None,
            sweeping: Sweeping::default(),
            outages: Outages::new("PostgreSQL", DATABASE_URL),
        }
    }

    /// Puts another word before the names of all tables, of their indexes and of the channel, for applications that
    /// share a database. Default: `tower_oidc`.
    ///
    /// # Errors
    /// [`ConfigError`] unless it is up to 40 lower-case letters, digits and underscores, without a digit in front.
    pub fn with_table_prefix(mut self, prefix: &str) -> Result<Self, ConfigError> {
        self.prefix = TablePrefix::parse(prefix)?;
        self.statements = Arc::new(Statements::of(&self.prefix));
        Ok(self)
    }

    /// Listens for changes at this address of the same database, where a pooler such as PgBouncer is in front of it: that of
    /// the server itself, or that of a pooler in session mode. Everything else goes on as before. Default: the store listens
    /// where it writes, and through no pooler.
    ///
    /// # Errors
    /// [`ConfigError`] if it is not an address of PostgreSQL, or has a parameter that has no effect.
    pub fn with_listen_url(mut self, url: &str) -> Result<Self, ConfigError> {
        self.listened_to = Some(Address::parse(url, DATABASE_LISTEN)?.plain);
        Ok(self)
    }

    /// Makes the tables, or what they lack, at the first use, as [`migrate`](Self::migrate) does. Default: off, but on
    /// for the store that `DATABASE_URL` names.
    #[must_use]
    pub fn with_automatic_migration(mut self) -> Self {
        self.migrates = true;
        self
    }

    /// Makes the tables, or what they lack. Several replicas may do this at once, and again at each start. Gives up
    /// after 60 seconds.
    ///
    /// # Errors
    /// [`StoreError`] if the database does not answer, does not let its user create tables, or has the tables of a
    /// newer version of this crate. Nothing is then changed.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let deadline = Deadline::after(&self.clock, LONGEST_MIGRATION);
        let migrated = deadline.bound(self.with_tables(true, &deadline)).await;
        let migrated = migrated.unwrap_or_else(|_| Err(late()));
        migrated.map_err(|failure| failure.error)
    }

    fn channel(&self) -> String {
        format!("{}_changes", self.prefix.as_str())
    }

    async fn load_until(
        &self,
        deadline: &Deadline,
        key: StoreKey,
        departure: Departure,
    ) -> Result<Option<Loaded>, StoreError> {
        let question = Question::reading(&self.statements.load)
            .with(&key.as_bytes()[..])
            .with_departure(departure);
        let rows = self.ask_until(deadline, question).await?;
        let row = rows.first().filter(|row| has(*row, "expires_at"));
        row.map(loaded).transpose()
    }

    /// The only row of an answer, if there is one.
    async fn row(&self, question: Question) -> Result<Option<PgRow>, StoreError> {
        Ok(self.ask(question).await?.into_iter().next())
    }
}

impl SessionStore for PostgresStore {
    fn create(
        &self,
        key: StoreKey,
        owner: Option<Owner>,
        record: StoredRecord,
    ) -> StoreFuture<'_, UnixTime> {
        Box::pin(async move {
            let question = Question::new(&self.statements.create)
                .with(&key.as_bytes()[..])
                .with(&record.tag.as_bytes()[..])
                .with(&record.bytes[..])
                .with(record.expires_at.as_seconds())
                .with(owner.as_ref().map(|owner| &owner.subject.as_bytes()[..]))
                .with(owner.as_ref().map(|owner| &owner.session.as_bytes()[..]));
            let created = self.row(question).await?;
            self.sweeping
                .start(&self.pool, &self.statements, &self.pooler, &self.clock);
            match created {
                Some(row) => seconds(&row, "now"),
                None => Err(StoreError::new(
                    StoreErrorKind::Taken,
                    "the store already has a record under this key",
                )),
            }
        })
    }

    fn load(&self, key: StoreKey) -> StoreFuture<'_, Option<Loaded>> {
        Box::pin(async move {
            let deadline = Deadline::after(&self.clock, PATIENCE);
            loop {
                match self.loads.place(key) {
                    Place::First(tell, departure) => {
                        let answer = self.load_until(&deadline, key, departure).await;
                        tell.send_replace(Some(answer.clone()));
                        return answer;
                    }
                    Place::Behind(mut told) => {
                        let told = told.wait_for(Option::is_some);
                        let told = deadline.bound(told).await;
                        let told = told.map_err(|_| late().error)?;
                        // Else the first has left.
                        if let Some(answer) = told.ok().and_then(|answer| answer.clone()) {
                            return answer;
                        }
                    }
                }
            }
        })
    }

    fn swap(&self, key: StoreKey, expected: Tag, next: StoredRecord) -> StoreFuture<'_, Swapped> {
        Box::pin(async move {
            let question = Question::new(&self.statements.swap)
                .with(&key.as_bytes()[..])
                .with(&expected.as_bytes()[..])
                .with(&next.tag.as_bytes()[..])
                .with(&next.bytes[..])
                .with(next.expires_at.as_seconds())
                .with(self.channel())
                .with(key.to_text());
            match self.row(question).await? {
                None => Ok(Swapped::Gone),
                Some(row) if has(&row, "bytes") => loaded(&row).map(Swapped::Conflict),
                Some(_) => Ok(Swapped::Done),
            }
        })
    }

    fn delete(&self, key: StoreKey) -> StoreFuture<'_, Option<StoredRecord>> {
        Box::pin(async move {
            let question = Question::new(&self.statements.delete)
                .with(&key.as_bytes()[..])
                .with(self.channel())
                .with(key.to_text());
            let Some(row) = self.row(question).await? else {
                return Ok(None);
            };
            let deleted = record(&row)?;
            let is_live = seconds(&row, "now")? < deleted.expires_at;
            Ok(is_live.then_some(deleted))
        })
    }

    fn find(&self, owner: OwnedBy) -> StoreFuture<'_, Vec<StoreKey>> {
        Box::pin(async move {
            let (statement, key) = match owner {
                OwnedBy::Subject(subject) => (&self.statements.of_subject, subject),
                OwnedBy::Session(session) => (&self.statements.of_session, session),
            };
            let question = Question::reading(statement).with(&key.as_bytes()[..]);
            let rows = self.ask(question).await?;
            let listed = rows.iter().filter(|row| has(*row, "key"));
            listed.map(|row| store_key(row, "key")).collect()
        })
    }

    fn changed(&self, key: StoreKey) -> ChangeFuture<'_> {
        Box::pin(self.changes.next(key))
    }

    fn on_change(&self, listener: ChangeListener) {
        self.changes.tell(listener);
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PostgresStore({})", self.prefix.as_str())
    }
}
