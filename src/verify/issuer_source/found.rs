//! What a source said of issuers: the providers that it named, and the issuers that it does not know.
//!
//! Both are bounded. Of the first the least recently used one goes. It is read without a lock. Strangers can fill the
//! second and not the first.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use quick_cache::sync::Cache;

use crate::error::remedy::Cause;
use crate::provider::{AcceptedIssuer, Provider};
use crate::verify::trusted::Trusted;

/// How long an issuer that the source does not know is not asked about again.
const UNKNOWN_FOR: Duration = Duration::from_secs(60);

/// Issuers that the source does not know and that are remembered.
const UNKNOWN: usize = 1_000;

/// The number of the first issuer that is found. Lists of configured issuers are shorter.
const FIRST: u64 = 1 << 32;

/// Between two attempts to ask about an issuer before its time is over.
const PAUSE: Duration = Duration::from_secs(5);

/// An issuer whose provider the source named.
pub(in crate::verify) struct FoundIssuer {
    pub(in crate::verify) trusted: Trusted,
    /// The monotonic time at which it no longer counts.
    until: Duration,
    /// The monotonic time from which the source is asked again while it still counts, in milliseconds.
    ask_at: AtomicU64,
    /// The monotonic time of its last use, in milliseconds.
    used_at: AtomicU64,
}

/// What the source said of an issuer.
#[derive(Clone)]
pub(in crate::verify) enum LookedUp {
    Found(Arc<FoundIssuer>),
    Unknown(Cause),
}

pub(super) struct FoundIssuers {
    found: ArcSwap<HashMap<Arc<str>, Arc<FoundIssuer>>>,
    unknown: Cache<Box<str>, Unknown>,
    writing: Mutex<Writing>,
    capacity: usize,
    lifetime: Duration,
}

#[derive(Clone, Copy)]
struct Unknown {
    cause: Cause,
    until: Duration,
}

struct Writing {
    /// Rises when an issuer is forgotten. What the source was asked before is then not remembered.
    generation: u64,
    /// The number of the next issuer. Each is used once.
    next: u64,
}

impl FoundIssuers {
    pub(super) fn new(capacity: usize, lifetime: Duration) -> Self {
        Self {
            found: ArcSwap::default(),
            unknown: Cache::new(UNKNOWN),
            writing: Mutex::new(Writing {
                generation: 0,
                next: FIRST,
            }),
            capacity,
            lifetime,
        }
    }

    /// The issuer of this text, if it counts at this monotonic time. This is a use of it.
    pub(super) fn get(&self, iss: &str, now: Duration) -> Option<Arc<FoundIssuer>> {
        let all = self.found.load();
        let found = all.get(iss).filter(|found| now < found.until)?;
        let used_at = milliseconds(now);
        if found.used_at.load(Ordering::Relaxed) != used_at {
            found.used_at.store(used_at, Ordering::Relaxed);
        }
        Some(Arc::clone(found))
    }

    /// Whether the source knew the issuer when it was last asked.
    pub(super) fn was_known(&self, iss: &str) -> bool {
        self.found.load().contains_key(iss)
    }

    /// Why the issuer is not known, if the source said so a short while ago.
    pub(super) fn why_unknown(&self, iss: &str, now: Duration) -> Option<Cause> {
        let unknown = self.unknown.get(iss)?;
        (now < unknown.until).then_some(unknown.cause)
    }

    /// The generation in which the source is asked now.
    pub(super) fn generation(&self) -> u64 {
        self.write().generation
    }

    /// Remembers a provider that the source was asked for at that time, in that generation.
    pub(super) fn keep(
        &self,
        named: AcceptedIssuer,
        provider: Provider,
        asked_at: Duration,
        generation: u64,
    ) -> Arc<FoundIssuer> {
        let iss: Arc<str> = named.issuer.as_str().into();
        let mut writing = self.write();
        let former = self.found.load_full();
        // Tokens that were accepted by the same provider are remembered as long as it stays.
        let same = former
            .get(&iss)
            .filter(|former| former.trusted.provider.is_same(&provider));
        let place = if let Some(former) = same {
            former.trusted.place
        } else {
            writing.next += 1;
            writing.next
        };
        let ask_again = asked_at.saturating_add(self.lifetime / 10 * 9);
        let found = Arc::new(FoundIssuer {
            trusted: Trusted {
                named,
                provider,
                place,
            },
            until: asked_at.saturating_add(self.lifetime),
            ask_at: AtomicU64::new(milliseconds(ask_again)),
            used_at: AtomicU64::new(milliseconds(asked_at)),
        });
        if writing.generation == generation {
            self.unknown.remove(&*iss);
            let mut next = HashMap::clone(&former);
            if !next.contains_key(&iss) && next.len() >= self.capacity {
                let used_at = |found: &FoundIssuer| found.used_at.load(Ordering::Relaxed);
                let oldest = next.iter().min_by_key(|(_, found)| used_at(found));
                let oldest = oldest.map(|(iss, _)| Arc::clone(iss));
                // The former map keeps it until the lock is free.
                oldest.and_then(|oldest| next.remove(&oldest));
            }
            next.insert(iss, Arc::clone(&found));
            self.found.store(Arc::new(next));
        }
        drop(writing);
        drop(former);
        found
    }

    /// Remembers that the source does not know an issuer that it was asked about at that time, in that generation.
    pub(super) fn keep_unknown(
        &self,
        iss: &str,
        cause: Cause,
        asked_at: Duration,
        generation: u64,
    ) {
        let writing = self.write();
        let former = self.found.load_full();
        if writing.generation == generation {
            let until = asked_at.saturating_add(UNKNOWN_FOR);
            self.unknown.insert(iss.into(), Unknown { cause, until });
            self.remove(iss, &former);
        }
        drop(writing);
        drop(former);
    }

    /// Forgets what the source said of this issuer, and what it is saying now.
    pub(super) fn forget(&self, iss: &str) {
        let mut writing = self.write();
        let former = self.found.load_full();
        writing.generation += 1;
        self.unknown.remove(iss);
        self.remove(iss, &former);
        drop(writing);
        drop(former);
    }

    /// Under the lock. What is removed is kept by `former`.
    fn remove(&self, iss: &str, former: &HashMap<Arc<str>, Arc<FoundIssuer>>) {
        if former.contains_key(iss) {
            let mut next = former.clone();
            next.remove(iss);
            self.found.store(Arc::new(next));
        }
    }

    fn write(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FoundIssuer {
    pub(in crate::verify) fn is_called(&self, iss: &str) -> bool {
        self.trusted.named.issuer.as_str() == iss
    }

    /// Whether the source is to be asked again now, ahead of time. True for one caller in five seconds.
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

    const ZERO: Duration = Duration::ZERO;

    // D39
    #[test]
    fn a_thousand_unknown_issuers_are_remembered_for_a_minute() {
        let issuers = FoundIssuers::new(10, Duration::from_secs(600));
        let names: Vec<_> = (0..20_000)
            .map(|n| format!("https://{n}.example"))
            .collect();
        for name in &names {
            issuers.keep_unknown(name, Cause::UnknownToSource, ZERO, 0);
        }
        let remembered = |at| {
            let unknown = names
                .iter()
                .filter_map(|name| issuers.why_unknown(name, at));
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

    #[cfg(feature = "reqwest")]
    // D39
    #[test]
    fn no_number_is_used_for_two_providers() {
        let provider = || Provider::discover("https://id.example").unwrap();
        let issuers = FoundIssuers::new(10, Duration::from_secs(600));
        let keep = |provider: &Provider| {
            let named = provider.accepted_issuers()[0].clone();
            let generation = issuers.generation();
            let found = issuers.keep(named, provider.clone(), ZERO, generation);
            found.trusted.place
        };
        let (one, two) = (provider(), provider());
        let first = keep(&one);
        assert_eq!(keep(&one), first, "the same provider");
        let second = keep(&two);
        let third = keep(&one);
        issuers.forget("https://id.example");
        let fourth = keep(&one);
        let mut numbers = vec![first, second, third, fourth];
        numbers.dedup();
        assert_eq!(numbers.len(), 4, "{numbers:?}");
        assert!(numbers.is_sorted() && first > FIRST);
    }
}
