//! Where sessions live.
//!
//! A store keeps opaque bytes under a key, beside a tag that the writer of the bytes chose at random. It
//! changes them by compare-and-swap alone, so that what the bytes mean is decided in one place, whatever
//! the store.

#[cfg(any(feature = "redis", feature = "postgres"))]
mod changes;
mod key;
mod memory;
pub(crate) mod near_cache;
#[cfg(any(feature = "redis", feature = "postgres", feature = "sqlite"))]
mod outage;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;
pub(crate) mod timed;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
#[cfg(any(feature = "redis", feature = "postgres", feature = "sqlite"))]
use std::time::Duration;

use bytes::Bytes;

pub use self::key::{StoreKey, Tag};
pub use self::memory::MemoryStore;
#[cfg(feature = "postgres")]
pub use self::postgres::PostgresStore;
#[cfg(feature = "redis")]
pub use self::redis::RedisStore;
#[cfg(feature = "sqlite")]
pub use self::sqlite::SqliteStore;

use crate::clock::UnixTime;
use crate::error::StoreError;

/// How long a store may take to answer.
#[cfg(any(feature = "redis", feature = "postgres", feature = "sqlite"))]
const PATIENCE: Duration = Duration::from_secs(2);

/// The answer to an operation of a store.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Completes when a session may have changed.
pub type ChangeFuture<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Called with the key of a session that another process may have changed; with `None` if any session may
/// have changed unnoticed. Returns whether it wants to hear of further changes.
pub type ChangeListener = Box<dyn Fn(Option<StoreKey>) -> bool + Send + Sync>;

/// A record as a store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "stores make it")]
pub struct StoredRecord {
    /// What the record holds. A store does not look into it.
    pub bytes: Bytes,
    /// Chosen at random by the writer of the bytes. No two writes share one.
    pub tag: Tag,
    /// From this time on the record counts as absent.
    pub expires_at: UnixTime,
}

/// A record, and the time by the store's clock at which it was so.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "stores make it")]
pub struct Loaded {
    /// The record.
    pub record: StoredRecord,
    /// The store's time.
    pub now: UnixTime,
}

impl Loaded {
    /// The same without the record.
    pub(crate) fn peeked(&self) -> Peeked {
        Peeked {
            tag: self.record.tag,
            now: self.now,
        }
    }
}

/// Which record stands under a key, without the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "stores make it")]
pub struct Peeked {
    /// The tag of the record.
    pub tag: Tag,
    /// The store's time, behind by some milliseconds at most.
    pub now: UnixTime,
}

/// The answer to a [`swap`](SessionStore::swap).
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "stores make it")]
pub enum Swapped {
    /// The new record stands.
    Done,
    /// Another record stands there: this one. If it has the tag of the new record, an earlier call wrote it
    /// and its answer was lost.
    Conflict(Loaded),
    /// There is no record, or it has expired.
    Gone,
}

/// What a session is listed under, so that a logout by the provider finds it
/// ([OpenID Connect Back-Channel Logout §2.7](https://openid.net/specs/openid-connect-backchannel-1_0.html#BCActions)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "callers make it")]
pub struct Owner {
    /// The key of issuer and subject.
    pub subject: StoreKey,
    /// The key of issuer and the provider's session; where the provider names none, that of all such sessions
    /// of the subject.
    pub session: StoreKey,
    /// The latest end of the session: it need not be listed for longer.
    pub ends_at: UnixTime,
}

/// One of the two lists of an [`Owner`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "stores match on it")]
pub enum OwnedBy {
    /// The sessions of this subject.
    Subject(StoreKey),
    /// The sessions that began with this session of the provider.
    Session(StoreKey),
}

/// Keeps sessions. `testing::store_suite` holds a store against all of this.
///
/// Each operation is one atomic, linearizable step. Time is the store's own. A record that has expired is
/// absent. A store answers within two seconds, or with an error of kind
/// [`Unavailable`](crate::error::StoreErrorKind::Unavailable).
#[doc(alias = "session storage")]
#[diagnostic::on_unimplemented(
    message = "`{Self}` keeps no sessions",
    note = "the stores of this crate are `MemoryStore`, `RedisStore` (feature `redis`), `PostgresStore` (`postgres`) and \
            `SqliteStore` (`sqlite`)",
    note = "a store of your own implements `SessionStore`; the manual's page `stores` shows how"
)]
pub trait SessionStore: Send + Sync + 'static {
    /// Adds a record under a key that was not used before, lists it under its owner if it has one, and returns
    /// the store's time. From before the record can be loaded, [`find`](Self::find) names its key. Where a
    /// record with the same tag stands already, an earlier call wrote it, and the answer is the same.
    ///
    /// # Errors
    /// Of kind [`Taken`](crate::error::StoreErrorKind::Taken) if another record stands under the key.
    fn create(
        &self,
        key: StoreKey,
        owner: Option<Owner>,
        record: StoredRecord,
    ) -> StoreFuture<'_, UnixTime>;

    /// The record under this key.
    fn load(&self, key: StoreKey) -> StoreFuture<'_, Option<Loaded>>;

    /// Which record stands under this key, where the store can tell without waiting. Requests with a session
    /// that was opened before then go on at once. `None` says nothing: callers [`load`](Self::load). Default:
    /// `None`.
    fn peek(&self, key: StoreKey) -> Option<Peeked> {
        let _ = key;
        None
    }

    /// Puts `next` in the place of the record with the tag `expected`. Its owner stays.
    fn swap(&self, key: StoreKey, expected: Tag, next: StoredRecord) -> StoreFuture<'_, Swapped>;

    /// Removes a record, and returns it so that its tokens can be revoked.
    fn delete(&self, key: StoreKey) -> StoreFuture<'_, Option<StoredRecord>>;

    /// The keys listed there. Some may have no record any more.
    fn find(&self, owner: OwnedBy) -> StoreFuture<'_, Vec<StoreKey>>;

    /// Completes when the record may have changed since this was called, so that a caller who waits for
    /// another replica need not ask often. Default: never completes; callers ask again after a while in any
    /// case.
    fn changed(&self, key: StoreKey) -> ChangeFuture<'_> {
        let _ = key;
        Box::pin(std::future::pending())
    }

    /// Calls `listener` for each change that another process may have made, until it returns `false`: what it told is
    /// gone then, and the store drops it. Default: never; records kept in memory are then as old as the near cache allows.
    fn on_change(&self, listener: ChangeListener) {
        drop(listener);
    }

    /// Whether other processes see the same sessions. Default: yes. The secrets that seal them must then be
    /// the same everywhere.
    fn is_shared(&self) -> bool {
        true
    }
}

impl<S: SessionStore + ?Sized> SessionStore for Arc<S> {
    fn create(
        &self,
        key: StoreKey,
        owner: Option<Owner>,
        record: StoredRecord,
    ) -> StoreFuture<'_, UnixTime> {
        (**self).create(key, owner, record)
    }

    fn load(&self, key: StoreKey) -> StoreFuture<'_, Option<Loaded>> {
        (**self).load(key)
    }

    fn peek(&self, key: StoreKey) -> Option<Peeked> {
        (**self).peek(key)
    }

    fn swap(&self, key: StoreKey, expected: Tag, next: StoredRecord) -> StoreFuture<'_, Swapped> {
        (**self).swap(key, expected, next)
    }

    fn delete(&self, key: StoreKey) -> StoreFuture<'_, Option<StoredRecord>> {
        (**self).delete(key)
    }

    fn find(&self, owner: OwnedBy) -> StoreFuture<'_, Vec<StoreKey>> {
        (**self).find(owner)
    }

    fn changed(&self, key: StoreKey) -> ChangeFuture<'_> {
        (**self).changed(key)
    }

    fn on_change(&self, listener: ChangeListener) {
        (**self).on_change(listener);
    }

    fn is_shared(&self) -> bool {
        (**self).is_shared()
    }
}
