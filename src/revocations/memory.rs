//! What was revoked: so many entries, each for as long as a token that it refuses can live.

use std::collections::HashMap;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256, SHA256_OUTPUT_LEN};

use crate::clock::{SharedClock, UnixTime};

/// What an entry is found by: a hash, so that the length of what tokens hold does not matter.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Name([u8; SHA256_OUTPUT_LEN]);

/// What a name is of.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Token,
    ProviderSession,
    /// A subject, as to its tokens.
    Subject,
    /// A subject, as to its sessions here.
    Sessions,
}

impl Name {
    #[cfg(feature = "login")]
    pub(super) fn from_bytes(bytes: [u8; SHA256_OUTPUT_LEN]) -> Self {
        Self(bytes)
    }

    #[cfg(feature = "login")]
    pub(super) fn as_bytes(&self) -> &[u8; SHA256_OUTPUT_LEN] {
        &self.0
    }

    pub(super) fn of(kind: Kind, issuer: &str, name: &str) -> Self {
        let mut hash = Context::new(&SHA256);
        hash.update(&[kind as u8]);
        // Its length keeps an issuer and a name apart from any other two with the same text.
        hash.update(&issuer.len().to_be_bytes());
        hash.update(issuer.as_bytes());
        hash.update(name.as_bytes());
        let digest = hash.finish();
        Self(<[u8; SHA256_OUTPUT_LEN]>::try_from(digest.as_ref()).unwrap_or_default())
    }
}

/// A time by both clocks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) wall: UnixTime,
    pub(super) monotonic: Duration,
}

impl Moment {
    pub(super) fn now(clock: &SharedClock) -> Self {
        Self {
            wall: clock.now(),
            monotonic: clock.monotonic(),
        }
    }

    pub(super) fn later_by(self, duration: Duration) -> Self {
        Self {
            wall: self.wall.saturating_add(duration),
            monotonic: self.monotonic.saturating_add(duration),
        }
    }

    /// The same moment as `until` by the wall clock.
    pub(super) fn reaching(self, until: UnixTime) -> Self {
        let left = until.as_seconds().saturating_sub(self.wall.as_seconds());
        self.later_by(Duration::from_secs(u64::try_from(left).unwrap_or(0)))
    }

    /// Whether it has passed by both clocks: setting the wall clock forward and back forgets nothing.
    fn has_passed(self, now: Self) -> bool {
        self.wall <= now.wall && self.monotonic <= now.monotonic
    }

    fn latest(self, other: Self) -> Self {
        Self {
            wall: self.wall.max(other.wall),
            monotonic: self.monotonic.max(other.monotonic),
        }
    }
}

#[derive(Clone, Copy)]
pub(super) struct Entry {
    /// It counts until then.
    pub(super) kept: Moment,
    /// What was issued, or began, at this time or before is refused.
    pub(super) not_before: UnixTime,
}

impl Entry {
    /// Both together: what was said before is not taken back.
    fn with(&self, other: &Self) -> Self {
        Self {
            kept: self.kept.latest(other.kept),
            not_before: self.not_before.max(other.not_before),
        }
    }

    /// Whether this one refuses all that `other` refuses. Monotonic time has fractions of a second, so that the same
    /// end is read a little differently each time.
    fn is_as_good_as(&self, other: &Self) -> bool {
        other.kept.wall <= self.kept.wall && other.not_before <= self.not_before
    }
}

pub(super) struct Memory {
    entries: HashMap<Name, Entry>,
    capacity: usize,
    /// No entry ends before.
    soonest: Option<Moment>,
    /// So many calls have revoked something.
    #[cfg(feature = "login")]
    pub(super) calls: u64,
    /// What other processes have to be told. `None` where there are none.
    #[cfg(feature = "login")]
    pub(super) untold: Option<HashMap<Name, Entry>>,
}

/// What became of entries that were to be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Added {
    Something,
    /// All of them were there.
    Nothing,
    /// They did not all fit, and none was added.
    NoRoom,
}

impl Memory {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            entries: HashMap::new(),
            capacity,
            soonest: None,
            #[cfg(feature = "login")]
            calls: 0,
            #[cfg(feature = "login")]
            untold: None,
        }
    }

    /// Adds what was revoked here, which other processes have to be told.
    pub(super) fn revoke(&mut self, new: &[(Name, Entry)], now: Moment) -> Added {
        let added = self.add(new, now);
        #[cfg(feature = "login")]
        if added == Added::Something {
            self.calls += 1;
            let there = new.iter().map(|(name, _)| name);
            let there = there.filter_map(|name| Some((*name, *self.entries.get(name)?)));
            if let Some(untold) = &mut self.untold {
                untold.extend(there);
            }
        }
        added
    }

    /// From now on, other processes have to be told of what is revoked, and of what was.
    #[cfg(feature = "login")]
    pub(super) fn begin_telling(&mut self) {
        let entries = &self.entries;
        self.untold.get_or_insert_with(|| entries.clone());
    }

    /// Adds all of these, or nothing where they do not all fit.
    pub(super) fn add(&mut self, new: &[(Name, Entry)], now: Moment) -> Added {
        let count = |memory: &Self| {
            let is_new = |(name, _): &&(Name, Entry)| !memory.entries.contains_key(name);
            new.iter().filter(is_new).count()
        };
        if self.entries.len() + count(self) > self.capacity {
            self.forget_ended(now);
            if self.entries.len() + count(self) > self.capacity {
                return Added::NoRoom;
            }
        }
        let mut added = Added::Nothing;
        for (name, entry) in new {
            let there = self.entries.get(name);
            let next = there.map_or(*entry, |there| there.with(entry));
            if there.is_some_and(|there| there.is_as_good_as(&next)) {
                continue;
            }
            self.entries.insert(*name, next);
            let soonest = self.soonest.get_or_insert(entry.kept);
            soonest.wall = soonest.wall.min(entry.kept.wall);
            soonest.monotonic = soonest.monotonic.min(entry.kept.monotonic);
            added = Added::Something;
        }
        added
    }

    /// Whether what was issued then and has this name is refused. What has no time counts as older.
    pub(super) fn refuses(&self, name: &Name, issued_at: Option<UnixTime>, now: Moment) -> bool {
        self.entries.get(name).is_some_and(|entry| {
            !entry.kept.has_passed(now) && issued_at.is_none_or(|at| at <= entry.not_before)
        })
    }

    fn forget_ended(&mut self, now: Moment) {
        // A full memory is not searched at each revocation.
        if self.soonest.is_none_or(|soonest| !soonest.has_passed(now)) {
            return;
        }
        self.entries.retain(|_, entry| !entry.kept.has_passed(now));
        let kept = self.entries.values().map(|entry| entry.kept);
        self.soonest = kept.reduce(|one, other| Moment {
            wall: one.wall.min(other.wall),
            monotonic: one.monotonic.min(other.monotonic),
        });
    }
}
