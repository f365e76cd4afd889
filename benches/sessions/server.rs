//! What keeps the sessions: it is started for the bench, says how much room it takes and how often it was asked, and
//! ends with the bench.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, Row as _, SqliteConnection};
use tower_oidc::login::{MemoryStore, RedisStore, SessionStore, SqliteStore};

use crate::Fallible;
use crate::counted::Counted;
use crate::postgres::Postgres;

/// Which kind of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    Memory,
    Redis,
    PostgreSQL,
    SQLite,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Memory, Self::Redis, Self::PostgreSQL, Self::SQLite];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Redis => "Redis",
            Self::PostgreSQL => "PostgreSQL",
            Self::SQLite => "SQLite",
        }
    }
}

/// One that runs.
pub(crate) enum Server {
    Memory(Arc<MemoryStore>),
    Redis(Box<Redis>),
    Postgres(Postgres),
    Sqlite(File),
}

impl Server {
    pub(crate) async fn start(kind: Kind) -> Fallible<Self> {
        Ok(match kind {
            Kind::Memory => Self::Memory(Arc::new(MemoryStore::with_capacity(1_000_000))),
            Kind::Redis => Self::Redis(Box::new(Redis::start()?)),
            Kind::PostgreSQL => Self::Postgres(Postgres::start().await?),
            Kind::SQLite => Self::Sqlite(File::new().await?),
        })
    }

    /// As applications have it: what PostgreSQL and SQLite have confirmed is on the disk.
    pub(crate) fn store(&self) -> Fallible<Arc<dyn SessionStore>> {
        Ok(match self {
            Self::Memory(store) => Arc::clone(store) as Arc<dyn SessionStore>,
            Self::Redis(redis) => Arc::new(RedisStore::new(&redis.url)?),
            Self::Postgres(postgres) => Arc::new(postgres.store()?),
            Self::Sqlite(file) => Arc::clone(&file.store) as Arc<dyn SessionStore>,
        })
    }

    /// One that waits for no disk, to fill it.
    pub(crate) async fn hasty_store(&self) -> Fallible<Arc<dyn SessionStore>> {
        match self {
            Self::Postgres(postgres) => Ok(Arc::new(postgres.hasty_store()?)),
            Self::Sqlite(file) => Ok(Arc::new(file.hasty_store().await?)),
            _ => self.store(),
        }
    }

    /// How much room everything takes, in bytes.
    pub(crate) async fn bytes(&self) -> Fallible<u64> {
        match self {
            Self::Memory(_) => own_memory(),
            Self::Redis(redis) => redis.info("memory", "used_memory:"),
            Self::Postgres(postgres) => postgres.bytes().await,
            Self::Sqlite(file) => file.bytes().await,
        }
    }

    /// How often it was asked about sessions: scripts that Redis has run, statements that PostgreSQL has run, and
    /// transactions in a file of SQLite. `None` where nothing has to be asked.
    pub(crate) async fn round_trips(&self) -> Fallible<Option<u64>> {
        match self {
            Self::Memory(_) => Ok(None),
            Self::Redis(redis) => redis
                .info("commandstats", "cmdstat_evalsha:calls=")
                .map(Some),
            Self::Postgres(postgres) => postgres.statements_run().await.map(Some),
            Self::Sqlite(file) => Ok(Some(file.store.calls())),
        }
    }
}

/// What this process has in memory.
fn own_memory() -> Fallible<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next());
    let kibibytes: u64 = kibibytes.ok_or("no VmRSS")?.parse()?;
    Ok(kibibytes * 1_024)
}

pub(crate) fn free_port() -> Fallible<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A folder that nothing else uses, on the disk that `FOLDER` names.
pub(crate) fn scratch_folder(name: &str) -> Fallible<PathBuf> {
    let parent = std::env::var_os("FOLDER").map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = parent.join(format!("tower-oidc-bench-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

pub(crate) struct Redis {
    child: Child,
    client: redis::Client,
    url: String,
}

impl Redis {
    /// It writes nothing to a disk.
    fn start() -> Fallible<Self> {
        let port = free_port()?;
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()?;
        let url = format!("redis://127.0.0.1:{port}");
        let client = redis::Client::open(&*url)?;
        let server = Self { child, client, url };
        let started = Instant::now();
        while server.client.get_connection().is_err() {
            if started.elapsed() > Duration::from_secs(30) {
                return Err("redis-server does not answer".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// A number from a line of `INFO`.
    fn info(&self, section: &str, beginning: &str) -> Fallible<u64> {
        let text: String = redis::cmd("INFO")
            .arg(section)
            .query(&mut self.client.get_connection()?)?;
        let line = text.lines().find_map(|line| line.strip_prefix(beginning));
        let digits = line.unwrap_or("0").split(',').next().unwrap_or_default();
        Ok(digits.trim().parse()?)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) struct File {
    folder: PathBuf,
    store: Arc<Counted>,
}

impl File {
    async fn new() -> Fallible<Self> {
        let folder = scratch_folder("sqlite")?;
        let path = folder.join("sessions.db");
        let store = SqliteStore::new(path.to_str().ok_or("no UTF-8")?)?;
        store.migrate().await?;
        let store = Arc::new(Counted::new(Arc::new(store)));
        Ok(Self { folder, store })
    }

    fn options(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(self.folder.join("sessions.db"))
            .journal_mode(SqliteJournalMode::Wal)
    }

    async fn hasty_store(&self) -> Fallible<SqliteStore> {
        let options = self.options().synchronous(SqliteSynchronous::Off);
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options)
            .await?;
        Ok(SqliteStore::from_pool(pool))
    }

    /// Of the file, once all changes are in it.
    async fn bytes(&self) -> Fallible<u64> {
        let mut connection = SqliteConnection::connect_with(&self.options()).await?;
        let outcome = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .fetch_one(&mut connection)
            .await?;
        if outcome.get::<i64, _>(0) != 0 {
            return Err("SQLite did not move all changes into the file".into());
        }
        Ok(std::fs::metadata(self.folder.join("sessions.db"))?.len())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
