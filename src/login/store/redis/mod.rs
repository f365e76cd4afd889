//! Sessions in Redis or Valkey: each operation one script, by the server's own clock.
//!
//! A session is a hash under a key of its own, which is also its hash tag, so that a cluster keeps
//! it in one slot. Beside it stand lists of the sessions of one subject and of one session of the
//! provider, which let go of what has ended.

mod asking;
mod changes;
mod connection;
mod near_cache;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::{RedisError, Script, ScriptInvocation};
use tokio::runtime::Handle;
use tokio::sync::OnceCell;

use crate::clock::UnixTime;
use crate::error::{ConfigError, StoreError, StoreErrorKind};
use crate::login::sessions::id::StoreKey;
use crate::login::sessions::record::{
    Fence, FenceOutcome, LeaseOutcome, Record, Renewal, Settlement,
};
use crate::login::store::{ChangeFuture, Owner, SessionStore, StoreFuture, Stored};

use self::asking::{ONCE, TWICE};
use self::changes::{Changes, Listener};
use self::connection::Server;
use self::near_cache::NearCache;
use self::wire::{fenced, key_from, leased, read, reason_name, written};

/// Sessions in a Redis or Valkey server, or a cluster of them, version 7 or later: for any number
/// of replicas.
///
/// Nothing is connected to until the first session is asked for. A server that is away is an error
/// of each operation, within two seconds; it heals without a restart. The server sees hashes of
/// handles and sealed tokens, nothing else.
///
/// A record that was read less than a second ago is served from memory. Replicas tell each other of
/// changes through Redis (`PUBLISH` on the channel `<prefix>:changes`), so that a sign-out or a
/// renewal on one is seen by the others at once; where that word is lost, within that second. Choose
/// another age by [`with_near_cache_age`](Self::with_near_cache_age), or none at all by
/// [`without_near_cache`](Self::without_near_cache).
pub struct RedisStore {
    server: Arc<Server>,
    prefix: Box<str>,
    changes: Arc<Changes>,
    listener: OnceCell<Listener>,
    scripts: Scripts,
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

/// How old a record may be that is served from memory, unless chosen otherwise.
const NEAR_CACHE_AGE: Duration = Duration::from_secs(1);

/// The longest that a sign-out elsewhere may go unnoticed.
const LONGEST_NEAR_CACHE_AGE: Duration = Duration::from_secs(60);

/// The settings' names in errors.
const URL: &str = "redis url";
const SENTINELS: &str = "redis sentinels";

impl RedisStore {
    /// A store in the server at this address, such as `redis://localhost:6379` or
    /// `rediss://user:password@redis.example:6380/0`.
    ///
    /// # Errors
    /// [`ConfigError`] if it is not an address of Redis, or there is no tokio runtime. The address is
    /// not repeated: it may hold a password.
    pub fn new(url: &str) -> Result<Self, ConfigError> {
        needs_runtime()?;
        let server = Server::single(url).map_err(|error| invalid(URL, &error))?;
        Ok(Self::over(server))
    }

    /// A store in the server that these sentinels name as the master, now and after a failover.
    ///
    /// `url` is the server's address with the master's name in the place of its host, such as
    /// `redis://user:password@mymaster/0`. The sentinels' addresses hold their own credentials, if
    /// they ask for any.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn sentinel<'a>(
        sentinels: impl IntoIterator<Item = &'a str>,
        url: &str,
    ) -> Result<Self, ConfigError> {
        needs_runtime()?;
        let sentinels: Vec<_> = sentinels.into_iter().collect();
        if sentinels.is_empty() {
            return Err(ConfigError::missing(
                SENTINELS,
                "name one sentinel or more, such as redis://sentinel:26379",
            ));
        }
        for sentinel in &sentinels {
            redis::Client::open(*sentinel).map_err(|error| invalid(SENTINELS, &error))?;
        }
        let server = Server::sentinel(sentinels, url).map_err(|error| invalid(URL, &error))?;
        Ok(Self::over(server))
    }

    /// A store in the cluster that these nodes belong to.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn cluster<'a>(urls: impl IntoIterator<Item = &'a str>) -> Result<Self, ConfigError> {
        needs_runtime()?;
        let urls: Vec<_> = urls.into_iter().collect();
        let server = Server::cluster(&urls).map_err(|error| invalid(URL, &error))?;
        Ok(Self::over(server))
    }

    fn over(server: Server) -> Self {
        let script = |code| Script::new(&[include_str!("record.lua"), code].concat());
        Self {
            server: Arc::new(server),
            prefix: PREFIX.into(),
            changes: Arc::new(Changes::new(Some(NearCache::new(NEAR_CACHE_AGE)))),
            listener: OnceCell::new(),
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

    /// Puts another word before all keys, and before the channel's name, for applications that share
    /// a server. Default: `tower-oidc`.
    ///
    /// # Errors
    /// [`ConfigError`] if it holds a brace: Redis Cluster would take it for a hash tag.
    pub fn with_prefix(mut self, prefix: &str) -> Result<Self, ConfigError> {
        if prefix.is_empty() || prefix.contains(['{', '}']) {
            return Err(ConfigError::invalid(
                "redis prefix",
                prefix,
                "it is empty or holds a brace",
                "write a word, such as the application's name",
            ));
        }
        self.prefix = prefix.into();
        Ok(self)
    }

    /// How old a record may be that is served from memory: the longest that a sign-out on another
    /// replica may go unnoticed if the word of it is lost. A second by default; up to a minute.
    ///
    /// # Errors
    /// [`ConfigError`] if it is zero or longer than a minute.
    ///
    /// # Security
    /// A longer age keeps a signed-out session alive for longer where Redis does not deliver what is
    /// published.
    pub fn with_near_cache_age(mut self, age: Duration) -> Result<Self, ConfigError> {
        if age.is_zero() || age > LONGEST_NEAR_CACHE_AGE {
            return Err(ConfigError::invalid(
                "near cache age",
                format!("{age:?}"),
                "it is zero or longer than a minute",
                "choose up to a minute, or no near cache at all",
            ));
        }
        self.changes = Arc::new(Changes::new(Some(NearCache::new(age))));
        Ok(self)
    }

    /// Asks Redis at every request.
    #[must_use]
    pub fn without_near_cache(mut self) -> Self {
        self.changes = Arc::new(Changes::new(None));
        self
    }

    fn key(&self, kind: &str, key: StoreKey) -> String {
        format!("{}:{kind}:{{{}}}", self.prefix, written(key))
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
        self.run::<i64>(ONCE, &script).await.map(|_| ())
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
        let script = self.on(&self.scripts.delete, key);
        let answer = self.change(ONCE, key, &script).await?;
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
            if self.run::<i64>(ONCE, &script).await? == 1 {
                return Ok(());
            }
            Err(StoreError::new(
                StoreErrorKind::Taken,
                "a session is already kept under this key",
            ))
        })
    }

    fn load(&self, key: StoreKey) -> StoreFuture<'_, Option<Stored<()>>> {
        if let Some(stored) = self.changes.near.as_ref().and_then(|near| near.find(key)) {
            return Box::pin(std::future::ready(Ok(Some(stored))));
        }
        Box::pin(async move {
            let near = self.changes.near.as_ref();
            let near = near.map(|near| (near, near.ticket(key)));
            let answer = self.run(TWICE, &self.on(&self.scripts.load, key)).await?;
            let Some(answer) = read(answer)? else {
                return Ok(None);
            };
            let stored = answer.stored(|_, _| Some(()))?;
            if let Some((near, ticket)) = near {
                near.keep(key, ticket, stored.clone());
            }
            Ok(Some(stored))
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
            let answer = self.change(ONCE, key, &script).await?;
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
            let answer = self.change(ONCE, key, &script).await?;
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
            let answer = self.change(TWICE, key, &script).await?;
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

    fn changed(&self, key: StoreKey) -> ChangeFuture<'_> {
        Box::pin(self.changes.next(key))
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
            URL,
            "(redacted)",
            "there is no tokio runtime to connect from",
            "build the store within one",
        )
    })
}

fn invalid(setting: &'static str, error: &RedisError) -> ConfigError {
    ConfigError::invalid(
        setting,
        "(redacted)",
        format!("it is not an address of Redis ({})", error.category()),
        "write redis://host:6379, or rediss:// for TLS; several nodes of a cluster delimited by commas",
    )
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &*self.server {
            Server::Node(node) if node.has_sentinels => "behind sentinels",
            Server::Node(_) => "one server",
            Server::Cluster(_) => "a cluster",
        };
        write!(formatter, "RedisStore({kind})")
    }
}
