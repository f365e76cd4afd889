//! Records that were read a moment ago, in front of any shared store: a page with twenty requests then
//! costs one round trip.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;

use crate::clock::{SharedClock, UnixTime};
use crate::error::StoreError;
use crate::login::store::timed::TimedStore;
use crate::login::store::{Loaded, Peeked, SessionStore, StoreKey, StoredRecord, Swapped, Tag};
use crate::slots::Slots;

/// How old a record may be that is served from memory, unless chosen otherwise.
pub(crate) const NEAR_CACHE_AGE: Duration = Duration::from_secs(1);

/// The longest that a sign-out elsewhere may go unnoticed.
pub(crate) const LONGEST_NEAR_CACHE_AGE: Duration = Duration::from_secs(60);

/// A store, and in front of it what was read of it a moment ago.
pub(crate) struct NearCache {
    store: TimedStore,
    /// `None` for a store in this process, and where it is turned off.
    entries: Option<Arc<Entries>>,
}

impl NearCache {
    pub(crate) fn new(store: Arc<dyn SessionStore>, age: Duration, clock: SharedClock) -> Self {
        let store = TimedStore::new(store, clock.clone());
        let is_useful = store.is_shared() && !age.is_zero();
        let entries = is_useful.then(|| Arc::new(Entries::new(age, clock)));
        if let Some(entries) = &entries {
            // The store may outlive the layer.
            let entries = Arc::downgrade(entries);
            store.on_change(Box::new(move |key| {
                let Some(entries) = entries.upgrade() else {
                    return false;
                };
                match key {
                    Some(key) => entries.forget(key),
                    None => entries.forget_all(),
                }
                true
            }));
        }
        Self { store, entries }
    }

    /// The store itself.
    pub(crate) fn store(&self) -> &TimedStore {
        &self.store
    }

    /// How old a record may be that is served from memory.
    pub(crate) fn age(&self) -> Duration {
        self.entries
            .as_ref()
            .map_or(Duration::ZERO, |entries| entries.age)
    }

    /// Which record stands there, as it was no longer ago than the age of the cache, where that can be told
    /// without waiting.
    pub(crate) fn peek(&self, key: StoreKey) -> Option<Peeked> {
        match &self.entries {
            Some(entries) => entries.peek(key),
            None => self.store.peek(key),
        }
    }

    /// The record, as it was no longer ago than the age of the cache.
    pub(crate) async fn load(&self, key: StoreKey) -> Result<Option<Loaded>, StoreError> {
        let near = self.entries.as_ref().and_then(|entries| entries.find(key));
        match near {
            Some(loaded) => Ok(Some(loaded)),
            None => self.load_through(key).await,
        }
    }

    /// The record as the store has it now.
    pub(crate) async fn load_through(&self, key: StoreKey) -> Result<Option<Loaded>, StoreError> {
        let Some(entries) = &self.entries else {
            return self.store.load(key).await;
        };
        let ticket = entries.ticket(key);
        let loaded = self.store.load(key).await?;
        if let Some(loaded) = &loaded {
            entries.keep(key, ticket, loaded.clone());
        }
        Ok(loaded)
    }

    pub(crate) async fn swap(
        &self,
        key: StoreKey,
        expected: Tag,
        next: StoredRecord,
    ) -> Result<Swapped, StoreError> {
        let swapped = self.store.swap(key, expected, next).await;
        self.forget(key);
        swapped
    }

    pub(crate) async fn delete(&self, key: StoreKey) -> Result<Option<StoredRecord>, StoreError> {
        let deleted = self.store.delete(key).await;
        self.forget(key);
        deleted
    }

    /// Whatever came of a change: what is known is old.
    fn forget(&self, key: StoreKey) {
        if let Some(entries) = &self.entries {
            entries.forget(key);
        }
    }
}

/// A bounded number of records, each in the one place that its key names.
struct Entries {
    places: Slots<Place, PLACES, 1>,
    age: Duration,
    clock: SharedClock,
}

#[derive(Default)]
struct Place {
    entry: ArcSwapOption<Entry>,
    /// How often something here was forgotten.
    changes: AtomicU64,
}

struct Entry {
    key: StoreKey,
    loaded: Loaded,
    /// In monotonic time, when it was asked for.
    since: Duration,
}

/// What was true when a record was asked for. An answer that was overtaken by a change is not kept.
#[derive(Clone, Copy)]
struct Ticket {
    changes: u64,
    since: Duration,
}

const PLACES: usize = 8_192;

impl Entries {
    fn new(age: Duration, clock: SharedClock) -> Self {
        Self {
            places: Slots::new(),
            age,
            clock,
        }
    }

    fn find(&self, key: StoreKey) -> Option<Loaded> {
        self.look(key, |record, now| Loaded {
            record: record.clone(),
            now,
        })
    }

    fn peek(&self, key: StoreKey) -> Option<Peeked> {
        self.look(key, |record, now| Peeked {
            tag: record.tag,
            now,
        })
    }

    /// What `take` makes of the record under this key and the store's time.
    fn look<T>(&self, key: StoreKey, take: impl FnOnce(&StoredRecord, UnixTime) -> T) -> Option<T> {
        let entry = self.place(key).entry.load();
        let entry = entry.as_ref().filter(|entry| entry.key == key)?;
        let passed = self.clock.monotonic().saturating_sub(entry.since);
        let now = entry.loaded.now.saturating_add(passed);
        let record = &entry.loaded.record;
        let counts = passed < self.age && now < record.expires_at;
        counts.then(|| take(record, now))
    }

    fn ticket(&self, key: StoreKey) -> Ticket {
        Ticket {
            changes: self.place(key).changes.load(Ordering::SeqCst),
            since: self.clock.monotonic(),
        }
    }

    fn keep(&self, key: StoreKey, ticket: Ticket, loaded: Loaded) {
        let place = self.place(key);
        let is_overtaken = || place.changes.load(Ordering::SeqCst) != ticket.changes;
        if is_overtaken() {
            return;
        }
        let since = ticket.since;
        place
            .entry
            .store(Some(Arc::new(Entry { key, loaded, since })));
        // A change is counted first and clears afterwards: one of the two sees the other.
        if is_overtaken() {
            place.entry.store(None);
        }
    }

    fn forget(&self, key: StoreKey) {
        self.place(key).forget();
    }

    fn forget_all(&self) {
        self.places.all().for_each(Place::forget);
    }

    fn place(&self, key: StoreKey) -> &Place {
        let [place] = self.places.of(key.as_bytes());
        place
    }
}

impl Place {
    fn forget(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.entry.store(None);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn loaded(expires_at: i64) -> Loaded {
        Loaded {
            record: StoredRecord {
                bytes: Bytes::from_static(b"x"),
                tag: Tag::from_bytes([1; 16]),
                expires_at: UnixTime::from_seconds(expires_at),
            },
            now: UnixTime::from_seconds(1_000),
        }
    }

    fn key(of: &str) -> StoreKey {
        StoreKey::of(&[of])
    }

    fn entries(age: Duration) -> Entries {
        Entries::new(age, SharedClock::system())
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn an_entry_is_served_until_it_is_forgotten() {
        let cache = entries(LONG);
        assert!(cache.find(key("a")).is_none());
        cache.keep(key("a"), cache.ticket(key("a")), loaded(2_000));
        assert_eq!(cache.find(key("a")), Some(loaded(2_000)));
        assert!(cache.find(key("b")).is_none());
        cache.forget(key("a"));
        assert!(cache.find(key("a")).is_none());
    }

    #[test]
    fn an_answer_overtaken_by_a_change_is_not_kept() {
        let cache = entries(LONG);
        let ticket = cache.ticket(key("a"));
        cache.forget(key("a"));
        cache.keep(key("a"), ticket, loaded(2_000));
        assert!(cache.find(key("a")).is_none());
        let ticket = cache.ticket(key("a"));
        cache.forget_all();
        cache.keep(key("a"), ticket, loaded(2_000));
        assert!(cache.find(key("a")).is_none());
    }

    #[test]
    fn nothing_outlives_its_age_or_its_session() {
        let cache = entries(Duration::ZERO);
        cache.keep(key("a"), cache.ticket(key("a")), loaded(2_000));
        assert!(cache.find(key("a")).is_none());
        let cache = entries(LONG);
        cache.keep(key("a"), cache.ticket(key("a")), loaded(1_000));
        assert!(cache.find(key("a")).is_none());
    }

    #[test]
    fn changes_and_answers_at_once_leave_nothing_old_behind() {
        let cache = entries(LONG);
        for _ in 0..2_000 {
            let ticket = cache.ticket(key("a"));
            std::thread::scope(|scope| {
                scope.spawn(|| cache.keep(key("a"), ticket, loaded(2_000)));
                scope.spawn(|| cache.forget(key("a")));
            });
            assert!(cache.find(key("a")).is_none());
        }
    }
}
