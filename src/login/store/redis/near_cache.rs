//! Records that were read a moment ago, so that a page with twenty requests asks Redis once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;

use crate::clock::{Clock as _, SystemClock};
use crate::login::sessions::id::StoreKey;
use crate::login::store::Stored;

/// A bounded number of records, each in the one place that its key names.
pub(super) struct NearCache {
    places: Box<[Place]>,
    age: Duration,
    clock: SystemClock,
}

#[derive(Default)]
struct Place {
    kept: ArcSwapOption<Kept>,
    /// How often something here was forgotten.
    changes: AtomicU64,
}

struct Kept {
    key: StoreKey,
    stored: Stored<()>,
    /// In monotonic time, when it was asked for.
    since: Duration,
}

/// What was true when a record was asked for. An answer that was overtaken by a change is not kept.
#[derive(Clone, Copy)]
pub(super) struct Ticket {
    changes: u64,
    since: Duration,
}

const PLACES: usize = 8_192;

impl NearCache {
    pub(super) fn new(age: Duration) -> Self {
        Self {
            places: (0..PLACES).map(|_| Place::default()).collect(),
            age,
            clock: SystemClock::new(),
        }
    }

    /// The record, as it was no longer ago than the cache's age.
    pub(super) fn find(&self, key: StoreKey) -> Option<Stored<()>> {
        let kept = self.place(key).kept.load();
        let kept = kept.as_ref().filter(|kept| kept.key == key)?;
        let passed = self.clock.monotonic().saturating_sub(kept.since);
        let now = kept.stored.now.saturating_add(passed);
        let counts = passed < self.age && !kept.stored.record.is_expired(now);
        counts.then(|| Stored {
            outcome: (),
            record: kept.stored.record.clone(),
            now,
        })
    }

    pub(super) fn ticket(&self, key: StoreKey) -> Ticket {
        Ticket {
            changes: self.place(key).changes.load(Ordering::SeqCst),
            since: self.clock.monotonic(),
        }
    }

    pub(super) fn keep(&self, key: StoreKey, ticket: Ticket, stored: Stored<()>) {
        let place = self.place(key);
        let is_overtaken = || place.changes.load(Ordering::SeqCst) != ticket.changes;
        if is_overtaken() {
            return;
        }
        let since = ticket.since;
        place
            .kept
            .store(Some(Arc::new(Kept { key, stored, since })));
        // Whoever counts a change first clears afterwards: one of the two sees the other.
        if is_overtaken() {
            place.kept.store(None);
        }
    }

    pub(super) fn forget(&self, key: StoreKey) {
        self.place(key).forget();
    }

    pub(super) fn forget_all(&self) {
        self.places.iter().for_each(Place::forget);
    }

    fn place(&self, key: StoreKey) -> &Place {
        // A key is a hash, so that any of its bits spread well.
        let [one, other, ..] = *key.as_bytes();
        &self.places[usize::from(u16::from_be_bytes([one, other])) % PLACES]
    }
}

impl Place {
    fn forget(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.kept.store(None);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::clock::UnixTime;
    use crate::login::sessions::record::{Record, Renewal};

    fn stored(expires_at: i64) -> Stored<()> {
        let at = UnixTime::from_seconds;
        let renewal = Renewal {
            sealed: Bytes::from_static(b"x"),
            access_expires_at: at(expires_at),
            expires_at: at(expires_at),
        };
        Stored {
            outcome: (),
            record: Record::new(renewal, at(expires_at)),
            now: at(1_000),
        }
    }

    fn key(of: &str) -> StoreKey {
        StoreKey::of(&[of])
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_was_read_is_served_until_it_is_forgotten() {
        let cache = NearCache::new(LONG);
        assert!(cache.find(key("a")).is_none());
        cache.keep(key("a"), cache.ticket(key("a")), stored(2_000));
        assert_eq!(cache.find(key("a")), Some(stored(2_000)));
        assert!(cache.find(key("b")).is_none());
        cache.forget(key("a"));
        assert!(cache.find(key("a")).is_none());
    }

    #[test]
    fn an_answer_overtaken_by_a_change_is_not_kept() {
        let cache = NearCache::new(LONG);
        let ticket = cache.ticket(key("a"));
        cache.forget(key("a"));
        cache.keep(key("a"), ticket, stored(2_000));
        assert!(cache.find(key("a")).is_none());
        let ticket = cache.ticket(key("a"));
        cache.forget_all();
        cache.keep(key("a"), ticket, stored(2_000));
        assert!(cache.find(key("a")).is_none());
    }

    #[test]
    fn nothing_outlives_its_age_or_its_session() {
        let cache = NearCache::new(Duration::ZERO);
        cache.keep(key("a"), cache.ticket(key("a")), stored(2_000));
        assert!(cache.find(key("a")).is_none());
        let cache = NearCache::new(LONG);
        cache.keep(key("a"), cache.ticket(key("a")), stored(1_000));
        assert!(cache.find(key("a")).is_none());
    }

    #[test]
    fn changes_and_answers_at_once_leave_nothing_old_behind() {
        let cache = NearCache::new(LONG);
        for _ in 0..2_000 {
            let ticket = cache.ticket(key("a"));
            std::thread::scope(|scope| {
                scope.spawn(|| cache.keep(key("a"), ticket, stored(2_000)));
                scope.spawn(|| cache.forget(key("a")));
            });
            assert!(cache.find(key("a")).is_none());
        }
    }
}
