use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::clock::{Clock, SharedClock, UnixTime};
use crate::error::{StoreError, StoreErrorKind};
use crate::login::store::{
    Loaded, OwnedBy, Owner, Peeked, SessionStore, StoreFuture, StoreKey, StoredRecord, Swapped, Tag,
};

/// Sessions in the memory of this process, bounded and expiring.
///
/// They are lost when the process ends, and no other process sees them: for a single replica, and for
/// development. At most 100 000 sessions unless chosen otherwise; beyond that, the session that was not used
/// for longest is dropped.
pub struct MemoryStore {
    sessions: Cache<StoreKey, Arc<Entry>>,
    clock: SharedClock,
}

struct Entry {
    owner: Option<Owner>,
    record: StoredRecord,
}

const MOST_SESSIONS: u64 = 100_000;

impl MemoryStore {
    /// A store for up to 100 000 sessions.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(MOST_SESSIONS)
    }

    /// A store for up to this number of sessions.
    #[must_use]
    pub fn with_capacity(sessions: u64) -> Self {
        Self::build(sessions, SharedClock::system())
    }

    /// A store that goes by this clock.
    #[must_use]
    pub fn with_clock(clock: impl Clock) -> Self {
        Self::build(MOST_SESSIONS, SharedClock::new(clock))
    }

    pub(crate) fn with_shared_clock(clock: SharedClock) -> Self {
        Self::build(MOST_SESSIONS, clock)
    }

    fn build(sessions: u64, clock: SharedClock) -> Self {
        Self {
            sessions: Cache::builder()
                .max_capacity(sessions)
                // A new session must never be turned away in favour of those already there.
                .eviction_policy(EvictionPolicy::lru())
                .expire_after(UntilExpired(clock.clone()))
                .build(),
            clock,
        }
    }
}

/// Evicts expired entries eventually. Every read checks the expiry itself.
struct UntilExpired(SharedClock);

impl UntilExpired {
    fn left(&self, until: UnixTime) -> Duration {
        let left = until.as_seconds().saturating_sub(self.0.now().as_seconds());
        Duration::from_secs(u64::try_from(left).unwrap_or(0))
    }
}

impl Expiry<StoreKey, Arc<Entry>> for UntilExpired {
    fn expire_after_create(
        &self,
        _: &StoreKey,
        entry: &Arc<Entry>,
        _: Instant,
    ) -> Option<Duration> {
        Some(self.left(entry.record.expires_at))
    }

    fn expire_after_update(
        &self,
        _: &StoreKey,
        entry: &Arc<Entry>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(self.left(entry.record.expires_at))
    }
}

impl SessionStore for MemoryStore {
    fn create(
        &self,
        key: StoreKey,
        owner: Option<Owner>,
        record: StoredRecord,
    ) -> StoreFuture<'_, UnixTime> {
        let tag = record.tag;
        let now = self.clock.now();
        let entry = self.sessions.entry(key).or_insert_with_if(
            || Arc::new(Entry { owner, record }),
            |there| there.record.expires_at <= now,
        );
        let created = if entry.value().record.tag == tag {
            Ok(now)
        } else {
            Err(StoreError::new(
                StoreErrorKind::Taken,
                "the store already has a record under this key",
            ))
        };
        ready(created)
    }

    fn load(&self, key: StoreKey) -> StoreFuture<'_, Option<Loaded>> {
        let now = self.clock.now();
        let entry = self.sessions.get(&key);
        let entry = entry.filter(|entry| now < entry.record.expires_at);
        let record = entry.map(|entry| entry.record.clone());
        ready(Ok(record.map(|record| Loaded { record, now })))
    }

    fn peek(&self, key: StoreKey) -> Option<Peeked> {
        let now = self.clock.now_roughly();
        let entry = self.sessions.get(&key);
        let record = &entry.filter(|entry| now < entry.record.expires_at)?.record;
        Some(Peeked {
            tag: record.tag,
            now,
        })
    }

    fn swap(&self, key: StoreKey, expected: Tag, next: StoredRecord) -> StoreFuture<'_, Swapped> {
        let now = self.clock.now();
        let mut outcome = Swapped::Gone;
        self.sessions.entry(key).and_compute_with(|entry| {
            let Some(entry) = entry.map(moka::Entry::into_value) else {
                return Op::Nop;
            };
            if entry.record.expires_at <= now {
                return Op::Remove;
            }
            if entry.record.tag != expected {
                let record = entry.record.clone();
                outcome = Swapped::Conflict(Loaded { record, now });
                return Op::Nop;
            }
            outcome = Swapped::Done;
            Op::Put(Arc::new(Entry {
                owner: entry.owner,
                record: next,
            }))
        });
        ready(Ok(outcome))
    }

    fn delete(&self, key: StoreKey) -> StoreFuture<'_, Option<StoredRecord>> {
        let now = self.clock.now();
        let removed = self.sessions.remove(&key);
        let record = removed.map(|entry| entry.record.clone());
        ready(Ok(record.filter(|record| now < record.expires_at)))
    }

    /// Looks at every session: logouts by the provider are rare, and an index would have to be kept in step
    /// with every expiry.
    fn find(&self, owner: OwnedBy) -> StoreFuture<'_, Vec<StoreKey>> {
        let is_meant = |of: &Owner| match owner {
            OwnedBy::Subject(subject) => of.subject == subject,
            OwnedBy::Session(session) => of.session == session,
        };
        let found = self
            .sessions
            .iter()
            .filter(|(_, entry)| entry.owner.as_ref().is_some_and(is_meant))
            .map(|(key, _)| *key)
            .collect();
        ready(Ok(found))
    }

    fn is_shared(&self) -> bool {
        false
    }
}

fn ready<'a, T: Send + 'a>(outcome: Result<T, StoreError>) -> StoreFuture<'a, T> {
    Box::pin(std::future::ready(outcome))
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "MemoryStore({} sessions)",
            self.sessions.entry_count()
        )
    }
}
