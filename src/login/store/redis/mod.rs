//! Sessions in Redis or Valkey: opaque records, changed by compare-and-swap, by the server's own clock.
//!
//! A session is a hash under a key of its own, which is also its hash tag, so that a cluster keeps it in one
//! slot. Beside it stand lists of the sessions of one subject and of one session of the provider. They have
//! no expiry: servers that run out of memory evict keys that have one, and a session whose list was evicted
//! could not be found by a logout. `sweep.rs` drops lists that have ended.

mod changes;
mod command;
mod connection;
mod sweep;
mod wire;

use std::fmt;
use std::sync::Arc;

use redis::{RedisError, Script, ScriptInvocation};
use tokio::runtime::Handle;
use tokio::sync::OnceCell;

use crate::clock::UnixTime;
use crate::error::{Chain, ConfigError, StoreError, StoreErrorKind};
use crate::login::store::changes::{Changes, Listener};
use crate::login::store::outage::Outages;
use crate::login::store::{
    ChangeFuture, ChangeListener, Loaded, OwnedBy, Owner, SessionStore, StoreFuture, StoreKey,
    StoredRecord, Swapped, Tag,
};
use crate::settings::{REDIS_PREFIX, REDIS_SENTINEL_URLS, REDIS_SERVER_URL, REDIS_URL};

use self::connection::Server;
use self::wire::{damaged, expiry, loaded, time};

/// Sessions in a Redis or Valkey server, or a cluster of them, version 7 or later: for any number
/// of replicas.
///
/// Nothing is connected to until the first session or
/// [`LoginLayer::readiness`](crate::login::LoginLayer::readiness) asks. A server that is away is an error of each
/// operation, within two seconds, and is logged once; it heals without a restart. The server sees hashes of
/// handles and sealed tokens, nothing else.
///
/// Replicas tell each other of changes through Redis (`PUBLISH` on the channel `<prefix>:changes`), so that a
/// sign-out or a refresh on one is seen by the others at once; where that word is lost, within the age of
/// [`LoginBuilder::with_near_cache_age`](crate::login::LoginBuilder::with_near_cache_age).
///
/// ```
/// use tower_oidc::login::{LoginBuilder, RedisStore};
///
/// /// Within a tokio runtime. `rediss://` is TLS.
/// fn in_redis(login: LoginBuilder) -> Result<LoginBuilder, tower_oidc::ConfigError> {
///     Ok(login.with_store(RedisStore::new("rediss://user:password@redis.example:6380/0")?))
/// }
/// ```
#[doc(alias = "valkey")]
pub struct RedisStore {
    server: Arc<Server>,
    prefix: Box<str>,
    changes: Arc<Changes>,
    listener: OnceCell<Listener>,
    scripts: Scripts,
    outages: Outages,
}

struct Scripts {
    create: Script,
    load: Script,
    swap: Script,
    delete: Script,
    index: Script,
    ended: Script,
    forget: Script,
}

const PREFIX: &str = "tower-oidc";

impl RedisStore {
    /// A store in the server at this address, such as `redis://localhost:6379` or
    /// `rediss://user:password@redis.example:6380/0`.
    ///
    /// # Errors
    /// [`ConfigError`] if it is not an address of Redis, or there is no tokio runtime. The address is
    /// not repeated: it may hold a password.
    pub fn new(url: &str) -> Result<Self, ConfigError> {
        needs_runtime()?;
        let server = Server::single(url).map_err(|error| invalid(REDIS_SERVER_URL, &error))?;
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
                REDIS_SENTINEL_URLS,
                "name one sentinel or more, such as redis://sentinel:26379",
            ));
        }
        for sentinel in &sentinels {
            redis::Client::open(*sentinel).map_err(|error| invalid(REDIS_SENTINEL_URLS, &error))?;
        }
        let server =
            Server::sentinel(sentinels, url).map_err(|error| invalid(REDIS_SERVER_URL, &error))?;
        Ok(Self::over(server))
    }

    /// A store in the cluster that these nodes belong to.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn cluster<'a>(urls: impl IntoIterator<Item = &'a str>) -> Result<Self, ConfigError> {
        needs_runtime()?;
        let urls: Vec<_> = urls.into_iter().collect();
        let server = Server::cluster(&urls).map_err(|error| invalid(REDIS_SERVER_URL, &error))?;
        Ok(Self::over(server))
    }

    fn over(server: Server) -> Self {
        Self {
            server: Arc::new(server),
            prefix: PREFIX.into(),
            changes: Arc::new(Changes::new()),
            listener: OnceCell::new(),
            scripts: Scripts {
                create: Script::new(include_str!("create.lua")),
                load: Script::new(include_str!("load.lua")),
                swap: Script::new(include_str!("swap.lua")),
                delete: Script::new(include_str!("delete.lua")),
                index: Script::new(include_str!("index.lua")),
                ended: Script::new(include_str!("ended.lua")),
                forget: Script::new(include_str!("forget.lua")),
            },
            outages: Outages::new("Redis", REDIS_URL),
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
                REDIS_PREFIX,
                prefix,
                "it is empty or holds a brace",
                "write a word, such as the application's name",
            ));
        }
        self.prefix = prefix.into();
        Ok(self)
    }

    fn key(&self, kind: &str, key: StoreKey) -> String {
        format!("{}:{kind}:{{{}}}", self.prefix, key.to_text())
    }

    fn channel(&self) -> String {
        format!("{}:changes", self.prefix)
    }

    fn list(&self, owner: OwnedBy) -> String {
        match owner {
            OwnedBy::Subject(subject) => self.key("subject", subject),
            OwnedBy::Session(session) => self.key("provider-session", session),
        }
    }

    /// Lists a session under its owner, before it is there, so that a logout by the provider can miss none.
    async fn list_under(
        &self,
        owner: OwnedBy,
        key: StoreKey,
        until: i64,
    ) -> Result<(), StoreError> {
        let list = self.list(owner);
        self.remember_list(&list, &until.to_string()).await?;
        let mut script = self.scripts.index.key(&list);
        script.arg(key.to_text()).arg(until);
        self.run::<Option<String>>(&script).await.map(|_| ())
    }

    async fn remove(&self, key: StoreKey) -> Result<Option<StoredRecord>, StoreError> {
        let mut script = self.on(&self.scripts.delete, key);
        script.arg(self.channel()).arg(key.to_text());
        let Some(mut values) = self.run::<Option<Vec<Vec<u8>>>>(&script).await? else {
            return Ok(None);
        };
        let lists = values.split_off(4.min(values.len()));
        for (list, kind) in lists.iter().zip(["subject", "provider-session"]) {
            let listed = std::str::from_utf8(list).ok().and_then(StoreKey::from_text);
            if let Some(listed) = listed {
                let mut unlist = redis::cmd("ZREM");
                unlist.arg(self.key(kind, listed)).arg(key.to_text());
                // A key that is listed and has no record is harmless, and is dropped at its end.
                let _ = self.ask::<i64>(&unlist).await;
            }
        }
        let is_live = values.first().is_some_and(|bytes| !bytes.is_empty());
        is_live
            .then(|| loaded(values).map(|loaded| loaded.record))
            .transpose()
    }

    fn on<'a>(&'a self, script: &'a Script, key: StoreKey) -> ScriptInvocation<'a> {
        script.key(self.key("session", key))
    }
}

impl SessionStore for RedisStore {
    fn create(
        &self,
        key: StoreKey,
        owner: Option<Owner>,
        record: StoredRecord,
    ) -> StoreFuture<'_, UnixTime> {
        Box::pin(async move {
            let mut lists = [String::new(), String::new()];
            if let Some(owner) = owner {
                let until = expiry(owner.ends_at);
                self.list_under(OwnedBy::Subject(owner.subject), key, until)
                    .await?;
                self.list_under(OwnedBy::Session(owner.session), key, until)
                    .await?;
                lists = [owner.subject.to_text(), owner.session.to_text()];
            }
            let mut script = self.on(&self.scripts.create, key);
            script
                .arg(&record.bytes[..])
                .arg(&record.tag.as_bytes()[..])
                .arg(expiry(record.expires_at))
                .arg(&lists);
            let created = self.run::<Option<Vec<u8>>>(&script).await?;
            if owner.is_some()
                && let Err(error) = self.sweep().await
            {
                tracing::debug!(error = %Chain(&error), "lists of sessions that ended were not dropped");
            }
            match created {
                Some(now) => time(&now),
                None => Err(StoreError::new(
                    StoreErrorKind::Taken,
                    "the store already has a record under this key",
                )),
            }
        })
    }

    fn load(&self, key: StoreKey) -> StoreFuture<'_, Option<Loaded>> {
        Box::pin(async move {
            let script = self.on(&self.scripts.load, key);
            let values = self.run::<Option<Vec<Vec<u8>>>>(&script).await?;
            values.map(loaded).transpose()
        })
    }

    fn swap(&self, key: StoreKey, expected: Tag, next: StoredRecord) -> StoreFuture<'_, Swapped> {
        Box::pin(async move {
            let mut script = self.on(&self.scripts.swap, key);
            script
                .arg(&expected.as_bytes()[..])
                .arg(&next.bytes[..])
                .arg(&next.tag.as_bytes()[..])
                .arg(expiry(next.expires_at))
                .arg(self.channel())
                .arg(key.to_text());
            match self.run::<Option<Vec<Vec<u8>>>>(&script).await? {
                None => Ok(Swapped::Gone),
                Some(values) if values.is_empty() => Ok(Swapped::Done),
                Some(values) => loaded(values).map(Swapped::Conflict),
            }
        })
    }

    fn delete(&self, key: StoreKey) -> StoreFuture<'_, Option<StoredRecord>> {
        Box::pin(self.remove(key))
    }

    fn find(&self, owner: OwnedBy) -> StoreFuture<'_, Vec<StoreKey>> {
        Box::pin(async move {
            let mut range = redis::cmd("ZRANGE");
            range.arg(self.list(owner)).arg(0).arg(-1);
            let members = self.ask::<Vec<String>>(&range).await?;
            members
                .iter()
                .map(|member| StoreKey::from_text(member).ok_or_else(damaged))
                .collect()
        })
    }

    fn changed(&self, key: StoreKey) -> ChangeFuture<'_> {
        Box::pin(self.changes.next(key))
    }

    fn on_change(&self, listener: ChangeListener) {
        self.changes.tell(listener);
    }
}

fn needs_runtime() -> Result<(), ConfigError> {
    Handle::try_current().map(|_| ()).map_err(|_| {
        ConfigError::invalid(
            REDIS_SERVER_URL,
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
