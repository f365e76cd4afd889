use std::fmt;
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::ops::compute::{CompResult, Op};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::clock::{Clock, SharedClock, UnixTime};
use crate::error::{StoreError, StoreErrorKind};
use crate::login::sessions::id::StoreKey;
use crate::login::sessions::record::{
    Fence, FenceOutcome, LeaseOutcome, Record, Renewal, Settlement,
};
use crate::login::store::{Owner, SessionStore, StoreFuture, Stored};

/// Sessions in the memory of this process, bounded and expiring.
///
/// They are gone with the process and unknown to every other one: for a single replica, and for
/// development. At most 100 000 sessions unless chosen otherwise; the one not used for longest gives
/// way.
pub struct MemoryStore {
    sessions: Cache<StoreKey, Entry>,
    seen: Cache<StoreKey, UnixTime>,
    clock: SharedClock,
}

#[derive(Clone)]
struct Entry {
    owner: Owner,
    record: Record,
}

const MOST_SESSIONS: u64 = 100_000;

impl MemoryStore {
    /// A store for up to 100 000 sessions.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(MOST_SESSIONS)
    }

    /// A store for up to so many sessions.
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
                // A newcomer must never be turned away in favour of those already there.
                .eviction_policy(EvictionPolicy::lru())
                .expire_after(UntilExpired(clock.clone()))
                .build(),
            seen: Cache::builder()
                .max_capacity(sessions)
                .eviction_policy(EvictionPolicy::lru())
                .expire_after(UntilExpired(clock.clone()))
                .build(),
            clock,
        }
    }

    /// Changes a live session in one step; `None` if there is none.
    fn change<T>(
        &self,
        key: StoreKey,
        change: impl FnOnce(&mut Record, UnixTime) -> T,
    ) -> Option<Stored<T>> {
        let now = self.clock.now();
        let mut outcome = None;
        let result = self.sessions.entry(key).and_compute_with(|entry| {
            let Some(mut entry) = entry.map(moka::Entry::into_value) else {
                return Op::Nop;
            };
            if entry.record.is_expired(now) {
                return Op::Remove;
            }
            outcome = Some(change(&mut entry.record, now));
            Op::Put(entry)
        });
        let (CompResult::ReplacedWith(entry), Some(outcome)) = (result, outcome) else {
            return None;
        };
        Some(Stored {
            outcome,
            record: entry.into_value().record,
            now,
        })
    }

    fn remove(&self, key: StoreKey) -> Option<Record> {
        let entry = self.sessions.remove(&key)?;
        (!entry.record.is_expired(self.clock.now())).then_some(entry.record)
    }

    /// Looks at every session: sign-outs by the provider are rare, and an index would have to be kept
    /// in step with every expiry.
    fn remove_where(&self, is_meant: impl Fn(&Owner) -> bool) -> Vec<(StoreKey, Record)> {
        self.sessions
            .iter()
            .filter(|(_, entry)| is_meant(&entry.owner))
            .filter_map(|(key, _)| Some((*key, self.remove(*key)?)))
            .collect()
    }
}

/// Lets go of entries in time; whether one counts is asked of the clock at each use.
struct UntilExpired(SharedClock);

impl UntilExpired {
    fn left(&self, until: UnixTime) -> Duration {
        let left = until.as_seconds().saturating_sub(self.0.now().as_seconds());
        Duration::from_secs(u64::try_from(left).unwrap_or(0))
    }
}

impl Expiry<StoreKey, Entry> for UntilExpired {
    fn expire_after_create(&self, _: &StoreKey, entry: &Entry, _: Instant) -> Option<Duration> {
        Some(self.left(entry.record.expires_at))
    }

    fn expire_after_update(
        &self,
        _: &StoreKey,
        entry: &Entry,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(self.left(entry.record.expires_at))
    }
}

impl Expiry<StoreKey, UnixTime> for UntilExpired {
    fn expire_after_create(&self, _: &StoreKey, until: &UnixTime, _: Instant) -> Option<Duration> {
        Some(self.left(*until))
    }
}

impl SessionStore for MemoryStore {
    fn create(&self, key: StoreKey, owner: Owner, record: Record) -> StoreFuture<'_, ()> {
        let entry = self
            .sessions
            .entry(key)
            .or_insert_with(|| Entry { owner, record });
        let created = if entry.is_fresh() {
            Ok(())
        } else {
            Err(StoreError::new(
                StoreErrorKind::Taken,
                "a session is already kept under this key",
            ))
        };
        ready(created)
    }

    fn load(&self, key: StoreKey) -> StoreFuture<'_, Option<Stored<()>>> {
        let now = self.clock.now();
        let stored = self
            .sessions
            .get(&key)
            .filter(|entry| !entry.record.is_expired(now))
            .map(|entry| Stored {
                outcome: (),
                record: entry.record,
                now,
            });
        ready(Ok(stored))
    }

    fn try_lease(
        &self,
        key: StoreKey,
        generation: u64,
        lease: Duration,
    ) -> StoreFuture<'_, Option<Stored<LeaseOutcome>>> {
        ready(Ok(self.change(key, |record, now| {
            record.try_lease(now, generation, lease)
        })))
    }

    fn commit(
        &self,
        key: StoreKey,
        fence: Fence,
        generation: u64,
        renewal: Renewal,
    ) -> StoreFuture<'_, Option<Stored<FenceOutcome>>> {
        ready(Ok(self.change(key, |record, now| {
            record.commit(now, fence, generation, renewal)
        })))
    }

    fn settle(
        &self,
        key: StoreKey,
        fence: Fence,
        settlement: Settlement,
    ) -> StoreFuture<'_, Option<Stored<FenceOutcome>>> {
        ready(Ok(self.change(key, |record, now| {
            record.settle(now, fence, settlement)
        })))
    }

    fn delete(&self, key: StoreKey) -> StoreFuture<'_, Option<Record>> {
        ready(Ok(self.remove(key)))
    }

    fn delete_by_subject(&self, subject: StoreKey) -> StoreFuture<'_, Vec<(StoreKey, Record)>> {
        ready(Ok(self.remove_where(|owner| owner.subject == subject)))
    }

    fn delete_by_session(&self, session: StoreKey) -> StoreFuture<'_, Vec<(StoreKey, Record)>> {
        ready(Ok(self.remove_where(|owner| owner.session == Some(session))))
    }

    fn put_if_absent(&self, key: StoreKey, lifetime: Duration) -> StoreFuture<'_, bool> {
        let now = self.clock.now();
        let until = now.saturating_add(lifetime);
        let entry = self
            .seen
            .entry(key)
            .or_insert_with_if(|| until, |known| *known <= now);
        ready(Ok(entry.is_fresh()))
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
