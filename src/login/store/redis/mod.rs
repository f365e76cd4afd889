//! Sessions in Redis or Valkey: each operation one script, by the server's own clock.
//!
//! A session is a hash under a key of its own, which is also its hash tag, so that a cluster keeps
//! it in one slot. Beside it stand lists of the sessions of one subject and of one session of the
//! provider, which let go of what has ended.

mod wire;

use std::fmt;
use std::time::Duration;

use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{
    Client, Cmd, FromRedisValue, Pipeline, RedisError, RedisFuture, RedisResult, Script,
    ScriptInvocation, Value,
};
use tokio::runtime::Handle;
use tokio::sync::OnceCell;

use crate::clock::UnixTime;
use crate::error::{ConfigError, StoreError, StoreErrorKind};
use crate::login::refresh::{Fence, FenceOutcome, LeaseOutcome, Record, Renewal, Settlement};
use crate::login::session_id::StoreKey;
use crate::login::store::{Owner, SessionStore, StoreFuture, Stored};

use self::wire::{fenced, key_from, leased, read, reason_name, written};

/// Sessions in a Redis or Valkey server, or a cluster of them, version 7 or later: for any number
/// of replicas.
///
/// Nothing is connected to until the first session is asked for. A server that is away is an error
/// of each operation, within two seconds; it heals without a restart. The server sees hashes of
/// handles and sealed tokens, nothing else.
pub struct RedisStore {
    connection: Connection,
    prefix: Box<str>,
    scripts: Scripts,
}

enum Connection {
    Single(ConnectionManager),
    Cluster(Box<ClusterClient>, OnceCell<ClusterConnection>),
}

/// A connection at hand, whatever it leads to.
enum Connected {
    Single(ConnectionManager),
    Cluster(ClusterConnection),
}

impl ConnectionLike for Connected {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Single(manager) => manager.req_packed_command(command),
            Self::Cluster(cluster) => cluster.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Single(manager) => manager.req_packed_commands(pipeline, offset, count),
            Self::Cluster(cluster) => cluster.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Single(manager) => manager.get_db(),
            Self::Cluster(cluster) => cluster.get_db(),
        }
    }
}

struct Scripts {
    create: Script,
    load: Script,
    try_lease: Script,
    commit: Script,
    settle: Script,
    delete: Script,
    index: Script,
}

const PREFIX: &str = "tower-oidc";
const PATIENCE: Duration = Duration::from_secs(2);

/// The setting's name in errors.
const SETTING: &str = "redis url";

impl RedisStore {
    /// A store in the server at this address, such as `redis://localhost:6379` or
    /// `rediss://user:password@redis.example:6380/0`.
    ///
    /// # Errors
    /// [`ConfigError`] if it is not an address of Redis, or there is no tokio runtime. The address is
    /// not repeated: it may hold a password.
    pub fn new(url: &str) -> Result<Self, ConfigError> {
        needs_runtime()?;
        let configuration = ConnectionManagerConfig::new()
            .set_response_timeout(Some(PATIENCE))
            .set_connection_timeout(Some(PATIENCE))
            .set_max_delay(Duration::from_secs(1));
        let connection = Client::open(url)
            .and_then(|client| ConnectionManager::new_lazy_with_config(client, configuration))
            .map_err(|error| invalid(&error))?;
        Ok(Self::over(Connection::Single(connection)))
    }

    /// A store in the cluster that these nodes belong to.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn cluster<'a>(urls: impl IntoIterator<Item = &'a str>) -> Result<Self, ConfigError> {
        needs_runtime()?;
        let client = ClusterClient::builder(urls)
            .connection_timeout(PATIENCE)
            .response_timeout(PATIENCE)
            .build()
            .map_err(|error| invalid(&error))?;
        Ok(Self::over(Connection::Cluster(
            Box::new(client),
            OnceCell::new(),
        )))
    }

    fn over(connection: Connection) -> Self {
        let script = |code| Script::new(&[include_str!("record.lua"), code].concat());
        Self {
            connection,
            prefix: PREFIX.into(),
            scripts: Scripts {
                create: script(include_str!("create.lua")),
                load: script(include_str!("load.lua")),
                try_lease: script(include_str!("try_lease.lua")),
                commit: script(include_str!("commit.lua")),
                settle: script(include_str!("settle.lua")),
                delete: script(include_str!("delete.lua")),
                index: Script::new(include_str!("index.lua")),
            },
        }
    }

    /// Puts another word before all keys, for applications that share a server. Default:
    /// `tower-oidc`.
    #[must_use]
    pub fn with_prefix(mut self, prefix: &str) -> Self {
        self.prefix = prefix.into();
        self
    }

    fn key(&self, kind: &str, key: StoreKey) -> String {
        format!("{}:{kind}:{{{}}}", self.prefix, written(key))
    }

    /// Whatever is asked is answered within two seconds, or not at all.
    async fn within_patience<T>(
        &self,
        asked: impl AsyncFnOnce(Connected) -> RedisResult<T>,
    ) -> Result<T, StoreError> {
        let answered = async { asked(self.connected().await?).await };
        match tokio::time::timeout(PATIENCE, answered).await {
            Ok(answer) => answer.map_err(failed),
            Err(_) => Err(StoreError::new(
                StoreErrorKind::Unavailable,
                "the Redis store does not answer in time",
            )),
        }
    }

    async fn connected(&self) -> RedisResult<Connected> {
        match &self.connection {
            Connection::Single(manager) => Ok(Connected::Single(manager.clone())),
            Connection::Cluster(client, cell) => {
                let connection = cell.get_or_try_init(|| client.get_async_connection());
                Ok(Connected::Cluster(connection.await?.clone()))
            }
        }
    }

    async fn run<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, StoreError> {
        self.within_patience(async |mut connected| script.invoke_async(&mut connected).await)
            .await
    }

    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        self.within_patience(async |mut connected| command.query_async(&mut connected).await)
            .await
    }

    /// Lists a session under what its owner is found by. It is listed before it is there, so that a
    /// sign-out by the provider can miss none.
    async fn list(
        &self,
        owner: StoreKey,
        kind: &str,
        key: StoreKey,
        ends_at: UnixTime,
    ) -> Result<(), StoreError> {
        let mut script = self.scripts.index.prepare_invoke();
        script
            .key(self.key(kind, owner))
            .arg(written(key))
            .arg(ends_at.as_seconds());
        self.run::<i64>(&script).await.map(|_| ())
    }

    async fn delete_listed(
        &self,
        kind: &str,
        owner: StoreKey,
    ) -> Result<Vec<(StoreKey, Record)>, StoreError> {
        let list = self.key(kind, owner);
        let members: Vec<String> = self
            .ask(redis::cmd("ZRANGE").arg(&list).arg(0).arg(-1))
            .await?;
        let mut deleted = Vec::new();
        for member in members {
            if let Some(key) = key_from(&member)
                && let Some(record) = self.remove(key).await?
            {
                deleted.push((key, record));
            }
            self.ask::<i64>(redis::cmd("ZREM").arg(&list).arg(&member))
                .await?;
        }
        Ok(deleted)
    }

    async fn remove(&self, key: StoreKey) -> Result<Option<Record>, StoreError> {
        let answer = self.run(&self.on(&self.scripts.delete, key)).await?;
        Ok(read(answer)?.map(|answer| answer.record))
    }

    fn on<'a>(&'a self, script: &'a Script, key: StoreKey) -> ScriptInvocation<'a> {
        script.key(self.key("session", key))
    }
}

impl SessionStore for RedisStore {
    fn create(&self, key: StoreKey, owner: Owner, record: Record) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.list(owner.subject, "subject", key, record.ends_at)
                .await?;
            if let Some(session) = owner.session {
                self.list(session, "provider-session", key, record.ends_at)
                    .await?;
            }
            let mut script = self.on(&self.scripts.create, key);
            script
                .arg(record.generation)
                .arg(&record.sealed[..])
                .arg(record.access_expires_at.as_seconds())
                .arg(record.expires_at.as_seconds())
                .arg(record.ends_at.as_seconds())
                .arg(record.refresh_not_before.as_seconds())
                // A new session: idle, and nobody has held it.
                .arg(&["I", "0", "0", "0", ""])
                .arg(written(owner.subject))
                .arg(owner.session.map(written).unwrap_or_default());
            if self.run::<i64>(&script).await? == 1 {
                return Ok(());
            }
            Err(StoreError::new(
                StoreErrorKind::Taken,
                "a session is already kept under this key",
            ))
        })
    }

    fn load(&self, key: StoreKey) -> StoreFuture<'_, Option<Stored<()>>> {
        Box::pin(async move {
            let answer = self.run(&self.on(&self.scripts.load, key)).await?;
            read(answer)?
                .map(|answer| answer.stored(|_, _| Some(())))
                .transpose()
        })
    }

    fn try_lease(
        &self,
        key: StoreKey,
        generation: u64,
        lease: Duration,
    ) -> StoreFuture<'_, Option<Stored<LeaseOutcome>>> {
        Box::pin(async move {
            let mut script = self.on(&self.scripts.try_lease, key);
            script.arg(generation).arg(lease.as_secs());
            let answer = self.run(&script).await?;
            read(answer)?
                .map(|answer| answer.stored(leased))
                .transpose()
        })
    }

    fn commit(
        &self,
        key: StoreKey,
        fence: Fence,
        generation: u64,
        renewal: Renewal,
    ) -> StoreFuture<'_, Option<Stored<FenceOutcome>>> {
        Box::pin(async move {
            let mut script = self.on(&self.scripts.commit, key);
            script
                .arg(fence.as_u64())
                .arg(generation)
                .arg(&renewal.sealed[..])
                .arg(renewal.access_expires_at.as_seconds())
                .arg(renewal.expires_at.as_seconds());
            let answer = self.run(&script).await?;
            read(answer)?
                .map(|answer| answer.stored(fenced))
                .transpose()
        })
    }

    fn settle(
        &self,
        key: StoreKey,
        fence: Fence,
        settlement: Settlement,
    ) -> StoreFuture<'_, Option<Stored<FenceOutcome>>> {
        Box::pin(async move {
            let (kind, detail) = match settlement {
                Settlement::Unspent(not_before) => ("unspent", not_before.as_seconds().to_string()),
                Settlement::Uncertain => ("uncertain", String::new()),
                Settlement::Ended(reason) => ("ended", reason_name(reason).to_owned()),
            };
            let mut script = self.on(&self.scripts.settle, key);
            script.arg(fence.as_u64()).arg(kind).arg(detail);
            let answer = self.run(&script).await?;
            read(answer)?
                .map(|answer| answer.stored(fenced))
                .transpose()
        })
    }

    fn delete(&self, key: StoreKey) -> StoreFuture<'_, Option<Record>> {
        Box::pin(self.remove(key))
    }

    fn delete_by_subject(&self, subject: StoreKey) -> StoreFuture<'_, Vec<(StoreKey, Record)>> {
        Box::pin(self.delete_listed("subject", subject))
    }

    fn delete_by_session(&self, session: StoreKey) -> StoreFuture<'_, Vec<(StoreKey, Record)>> {
        Box::pin(self.delete_listed("provider-session", session))
    }

    fn put_if_absent(&self, key: StoreKey, lifetime: Duration) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            let seconds = lifetime.as_secs().max(1);
            let put: Option<String> = self
                .ask(
                    redis::cmd("SET")
                        .arg(self.key("seen", key))
                        .arg(1)
                        .arg("NX")
                        .arg("EX")
                        .arg(seconds),
                )
                .await?;
            Ok(put.is_some())
        })
    }
}

fn needs_runtime() -> Result<(), ConfigError> {
    Handle::try_current().map(|_| ()).map_err(|_| {
        ConfigError::invalid(
            SETTING,
            "(redacted)",
            "there is no tokio runtime to connect from",
            "build the store within one",
        )
    })
}

fn invalid(error: &RedisError) -> ConfigError {
    ConfigError::invalid(
        SETTING,
        "(redacted)",
        format!("it is not an address of Redis ({})", error.category()),
        "write redis://host:6379, or rediss:// for TLS; several nodes of a cluster delimited by commas",
    )
}

fn failed(error: RedisError) -> StoreError {
    if error.code() == Some("TOONEW") {
        return StoreError::new(
            StoreErrorKind::TooNew,
            "a session was written by a newer version of this crate; upgrade this replica",
        );
    }
    let category = error.category();
    StoreError::caused(
        StoreErrorKind::Unavailable,
        format!("the Redis store does not answer ({category})"),
        Box::new(error),
    )
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.connection {
            Connection::Single(_) => "one server",
            Connection::Cluster(..) => "a cluster",
        };
        write!(formatter, "RedisStore({kind})")
    }
}
