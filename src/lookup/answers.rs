//! What an application said of names: what belongs to those that it knows, and which it does not know.
//!
//! Both are bounded. Of the first the least recently used one goes. It is read without a lock. Strangers can fill the
//! second and not the first.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use quick_cache::sync::Cache;

/// How long a name that the application does not know is not asked about again.
const UNKNOWN_FOR: Duration = Duration::from_secs(60);

/// Names that the application does not know and that are remembered.
const UNKNOWN: usize = 1_000;

/// Between two attempts to ask about a name before its time is over.
const PAUSE: Duration = Duration::from_secs(5);

/// What belongs to a name that the application knows.
pub(crate) struct Found<V> {
    pub(crate) value: V,
    /// The monotonic time at which it no longer counts.
    until: Duration,
    /// The monotonic time from which the application is asked again while it still counts, in milliseconds.
    ask_at: AtomicU64,
    /// The monotonic time of its last use, in milliseconds.
    used_at: AtomicU64,
}

/// The answers about names: a `V`, or the cause `C` for which a name is not known.
pub(super) struct Answers<V, C> {
    found: ArcSwap<HashMap<Arc<str>, Arc<Found<V>>>>,
    unknown: Cache<Box<str>, Unknown<C>>,
    /// Rises when a name is forgotten. What was asked before is then not remembered.
    generation: Mutex<u64>,
    capacity: usize,
    lifetime: Duration,
}

#[derive(Clone, Copy)]
struct Unknown<C> {
    cause: C,
    until: Duration,
}

impl<V, C: Copy> Answers<V, C> {
    pub(super) fn new(capacity: usize, lifetime: Duration) -> Self {
        Self {
            found: ArcSwap::default(),
            unknown: Cache::new(UNKNOWN),
            generation: Mutex::new(0),
            capacity,
            lifetime,
        }
    }

    /// What belongs to this name, if it counts at this monotonic time. This is a use of it.
    pub(super) fn get(&self, name: &str, now: Duration) -> Option<Arc<Found<V>>> {
        let all = self.found.load();
        let found = all.get(name).filter(|found| now < found.until)?;
        let used_at = milliseconds(now);
        if found.used_at.load(Ordering::Relaxed) != used_at {
            found.used_at.store(used_at, Ordering::Relaxed);
        }
        Some(Arc::clone(found))
    }

    /// The last answer about this name, whether it counts or not.
    pub(super) fn last(&self, name: &str) -> Option<Arc<Found<V>>> {
        self.found.load().get(name).map(Arc::clone)
    }

    /// Whether the application knew the name when it was last asked.
    pub(super) fn was_known(&self, name: &str) -> bool {
        self.found.load().contains_key(name)
    }

    /// All that is remembered, whether it counts or not.
    #[cfg(feature = "login")]
    pub(super) fn all(&self) -> Vec<Arc<Found<V>>> {
        self.found.load().values().map(Arc::clone).collect()
    }

    /// Why the name is not known, if the application said so a short while ago.
    pub(super) fn why_unknown(&self, name: &str, now: Duration) -> Option<C> {
        let unknown = self.unknown.get(name)?;
        (now < unknown.until).then_some(unknown.cause)
    }

    /// The generation in which the application is asked now.
    pub(super) fn generation(&self) -> u64 {
        *self.write()
    }

    /// Remembers what the application was asked for at that time, in that generation.
    pub(super) fn keep(
        &self,
        name: &str,
        value: V,
        asked_at: Duration,
        generation: u64,
    ) -> Arc<Found<V>> {
        let ask_again = asked_at.saturating_add(self.lifetime / 10 * 9);
        let found = Arc::new(Found {
            value,
            until: asked_at.saturating_add(self.lifetime),
            ask_at: AtomicU64::new(milliseconds(ask_again)),
            used_at: AtomicU64::new(milliseconds(asked_at)),
        });
        let current = self.write();
        // What is removed is dropped with it, when the lock is free.
        let former = self.found.load_full();
        if *current == generation {
            self.unknown.remove(name);
            let mut next = HashMap::clone(&former);
            if !next.contains_key(name) && next.len() >= self.capacity {
                let used_at = |found: &Found<V>| found.used_at.load(Ordering::Relaxed);
                let oldest = next.iter().min_by_key(|(_, found)| used_at(found));
                let oldest = oldest.map(|(name, _)| Arc::clone(name));
                oldest.and_then(|oldest| next.remove(&oldest));
            }
            next.insert(name.into(), Arc::clone(&found));
            self.found.store(Arc::new(next));
        }
        drop(current);
        drop(former);
        found
    }

    /// Remembers that the application does not know a name that it was asked about at that time, in that generation.
    pub(super) fn keep_unknown(&self, name: &str, cause: C, asked_at: Duration, generation: u64) {
        let current = self.write();
        let former = self.found.load_full();
        if *current == generation {
            let until = asked_at.saturating_add(UNKNOWN_FOR);
            self.unknown.insert(name.into(), Unknown { cause, until });
            self.remove(name, &former);
        }
        drop(current);
        drop(former);
    }

    /// Forgets what the application said of this name, and what it is saying now.
    pub(super) fn forget(&self, name: &str) {
        let mut current = self.write();
        let former = self.found.load_full();
        *current += 1;
        self.unknown.remove(name);
        self.remove(name, &former);
        drop(current);
        drop(former);
    }

    /// Under the lock. What is removed is kept by `former`.
    fn remove(&self, name: &str, former: &HashMap<Arc<str>, Arc<Found<V>>>) {
        if former.contains_key(name) {
            let mut next = former.clone();
            next.remove(name);
            self.found.store(Arc::new(next));
        }
    }

    fn write(&self) -> MutexGuard<'_, u64> {
        self.generation
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> Found<V> {
    /// Whether the application is to be asked again now, ahead of time. True for one caller in five seconds.
    pub(super) fn is_to_be_asked_for(&self, now: Duration) -> bool {
        let ask_at = self.ask_at.load(Ordering::Relaxed);
        let next = milliseconds(now.saturating_add(PAUSE));
        milliseconds(now) >= ask_at
            && self
                .ask_at
                .compare_exchange(ask_at, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    // D39
    #[test]
    fn a_thousand_unknown_names_are_remembered_for_a_minute() {
        let answers = Answers::<(), u8>::new(10, Duration::from_secs(600));
        let names: Vec<_> = (0..20_000)
            .map(|n| format!("https://{n}.example"))
            .collect();
        for name in &names {
            answers.keep_unknown(name, 7, Duration::ZERO, 0);
        }
        let remembered = |at| {
            let unknown = names
                .iter()
                .filter(|name| answers.why_unknown(name, at) == Some(7));
            unknown.count()
        };
        let last = Duration::from_millis(59_999);
        assert!(
            (500..=UNKNOWN).contains(&remembered(last)),
            "{}",
            remembered(last)
        );
        assert_eq!(remembered(UNKNOWN_FOR), 0);
    }
}
