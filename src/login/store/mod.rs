//! Where sessions live. A store is a small seam: each operation is one atomic, linearizable step that
//! returns what came of it, so that nobody reads again to make sure.

mod memory;
#[cfg(feature = "redis")]
mod redis;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

pub use self::memory::MemoryStore;
#[cfg(feature = "redis")]
pub use self::redis::RedisStore;

use crate::clock::UnixTime;
use crate::error::StoreError;
use crate::login::sessions::id::StoreKey;
use crate::login::sessions::record::{
    Fence, FenceOutcome, LeaseOutcome, Record, Renewal, Settlement,
};

/// What a store's operation comes to.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Completes when a session may have changed.
pub type ChangeFuture<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// A record, and the time by the store's clock at which it was so.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by stores")]
pub struct Stored<T> {
    /// What the operation came to.
    pub outcome: T,
    /// The record as it now is.
    pub record: Record,
    /// The store's time.
    pub now: UnixTime,
}

impl<T> Stored<T> {
    /// The record and the time alone.
    pub(super) fn without_outcome(self) -> Stored<()> {
        Stored {
            outcome: (),
            record: self.record,
            now: self.now,
        }
    }
}

/// Whose session it is: what back-channel logout finds it by
/// ([OpenID Connect Back-Channel Logout §2.7](https://openid.net/specs/openid-connect-backchannel-1_0.html#BCActions)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever signs in")]
pub struct Owner {
    /// The key of issuer and subject.
    pub subject: StoreKey,
    /// The key of issuer and the provider's session, where the provider names one.
    pub session: Option<StoreKey>,
}

/// Keeps sessions. What it must do is written down as tests: `testing::store_suite`.
///
/// Time is the store's own. A session that has expired is not there.
pub trait SessionStore: Send + Sync + 'static {
    /// Puts a new session under a key nobody has used.
    fn create(&self, key: StoreKey, owner: Owner, record: Record) -> StoreFuture<'_, ()>;

    /// The session.
    fn load(&self, key: StoreKey) -> StoreFuture<'_, Option<Stored<()>>>;

    /// [`Record::try_lease`] in one step.
    fn try_lease(
        &self,
        key: StoreKey,
        generation: u64,
        lease: Duration,
    ) -> StoreFuture<'_, Option<Stored<LeaseOutcome>>>;

    /// [`Record::commit`] in one step.
    fn commit(
        &self,
        key: StoreKey,
        fence: Fence,
        generation: u64,
        renewal: Renewal,
    ) -> StoreFuture<'_, Option<Stored<FenceOutcome>>>;

    /// [`Record::settle`] in one step.
    fn settle(
        &self,
        key: StoreKey,
        fence: Fence,
        settlement: Settlement,
    ) -> StoreFuture<'_, Option<Stored<FenceOutcome>>>;

    /// Ends the session, and returns it so that its tokens can be revoked.
    fn delete(&self, key: StoreKey) -> StoreFuture<'_, Option<Record>>;

    /// Ends every session of this subject.
    fn delete_by_subject(&self, subject: StoreKey) -> StoreFuture<'_, Vec<(StoreKey, Record)>>;

    /// Ends every session that began with this session of the provider.
    fn delete_by_session(&self, session: StoreKey) -> StoreFuture<'_, Vec<(StoreKey, Record)>>;

    /// Remembers a key for so long, and tells whether it was new.
    fn put_if_absent(&self, key: StoreKey, lifetime: Duration) -> StoreFuture<'_, bool>;

    /// Completes when somebody may have changed the session since this was called, so that whoever
    /// waits for another replica need not ask often. A store that hears nothing never completes,
    /// which is the default; callers ask again after a while in any case.
    fn changed(&self, key: StoreKey) -> ChangeFuture<'_> {
        let _ = key;
        Box::pin(std::future::pending())
    }

    /// Whether other processes see the same sessions. Default: they do, so that what seals them must
    /// be known to all.
    fn is_shared(&self) -> bool {
        true
    }
}
