//! What the provider said of tokens.
//!
//! An active token is found by its whole text, byte for byte. It is remembered for a minute at most, and never past
//! its `exp` ([RFC 7662 §4](https://www.rfc-editor.org/rfc/rfc7662#section-4)). Of a refused one only a digest is
//! remembered, with the refusal, for ten seconds. Strangers can fill the second memory and not the first. That a token
//! was active once is remembered by its digest too, for longer.

use std::time::Duration;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, Weighter};

use crate::clock::UnixTime;
use crate::error::VerifyError;
use crate::principal::Principal;
use crate::verify::judge::Genuine;

/// SHA-256 of a token.
pub(super) type Digest = [u8; 32];

pub(super) struct Memory {
    active: Option<Cache<Box<[u8]>, Active, Weigh>>,
    /// Those that were active when the provider was last asked.
    known: Cache<Digest, ()>,
    refused: Cache<Digest, Refused>,
}

#[derive(Clone)]
struct Active {
    principal: Principal,
    counts: Span,
}

#[derive(Clone)]
struct Refused {
    error: VerifyError,
    counts: Span,
}

/// The wall clock and the monotonic one.
type Now = (UnixTime, Duration);

/// The times at which an answer counts. Setting the clock back does not prolong it.
#[derive(Clone, Copy)]
struct Span {
    from: UnixTime,
    until: UnixTime,
    monotonic_until: Duration,
}

/// How long a token that is active is taken for active.
const ACTIVE_FOR: Duration = Duration::from_secs(60);

/// How long a token that is refused is taken for refused.
const REFUSED_FOR: Duration = Duration::from_secs(10);

/// How long a token is not asked about again of which the answer could not be used.
pub(super) const DOUBTED_FOR: Duration = Duration::from_secs(1);

/// Digests of refused tokens, and at least as many of known ones.
const DIGESTS: usize = 10_000;

/// Average memory of an active token, in bytes. Larger ones weigh more.
const USUAL_SIZE: u64 = 2048;

/// Memory of an entry beside its token and the text of its claims, in bytes.
const OVERHEAD: usize = 320;

impl Memory {
    /// For so many active tokens of the usual size.
    pub(super) fn new(capacity: usize) -> Self {
        let weight = u64::try_from(capacity).unwrap_or(u64::MAX);
        let active = (capacity > 0).then(|| {
            Cache::with(
                capacity,
                weight.saturating_mul(USUAL_SIZE),
                Weigh,
                DefaultHashBuilder::default(),
                DefaultLifecycle::default(),
            )
        });
        Self {
            active,
            known: Cache::new(capacity.max(DIGESTS)),
            refused: Cache::new(DIGESTS),
        }
    }

    /// The principal of a token that is active.
    #[inline]
    pub(super) fn active(&self, token: &[u8], now: Now) -> Option<Principal> {
        let found = self.active.as_ref()?.get(token)?;
        found.counts.holds(now).then_some(found.principal)
    }

    /// Whether the token was active when the provider was last asked, as no token is that a stranger made up.
    pub(super) fn was_active(&self, digest: &Digest) -> bool {
        self.known.get(digest).is_some()
    }

    pub(super) fn refusal(&self, digest: &Digest, now: Now) -> Option<VerifyError> {
        let found = self.refused.get(digest)?;
        found.counts.holds(now).then_some(found.error)
    }

    pub(super) fn keep_active(
        &self,
        token: &[u8],
        digest: Digest,
        genuine: &Genuine,
        monotonic: Duration,
    ) {
        self.refused.remove(&digest);
        self.known.insert(digest, ());
        let Some(active) = &self.active else {
            return;
        };
        let ends = genuine.principal.expires_at().min(genuine.window.end);
        let counts = Span {
            from: genuine.window.start.max(genuine.now),
            until: ends.min(genuine.now.saturating_add(ACTIVE_FOR)),
            monotonic_until: monotonic.saturating_add(ACTIVE_FOR),
        };
        let principal = genuine.principal.clone();
        active.insert(token.into(), Active { principal, counts });
    }

    pub(super) fn keep_refused(&self, token: &[u8], digest: Digest, error: &VerifyError, now: Now) {
        self.known.remove(&digest);
        if let Some(active) = &self.active {
            active.remove(token);
        }
        self.keep(digest, error, now, REFUSED_FOR);
    }

    /// Remembers that nothing is known of a token. It stays one that was active, if it was.
    pub(super) fn keep_doubted(&self, digest: Digest, error: &VerifyError, now: Now) {
        self.keep(digest, error, now, DOUBTED_FOR);
    }

    fn keep(&self, digest: Digest, error: &VerifyError, (now, monotonic): Now, time: Duration) {
        let counts = Span {
            from: now,
            until: now.saturating_add(time),
            monotonic_until: monotonic.saturating_add(time),
        };
        let error = error.clone();
        self.refused.insert(digest, Refused { error, counts });
    }
}

impl Span {
    #[inline]
    fn holds(self, (now, monotonic): Now) -> bool {
        self.from <= now && now < self.until && monotonic < self.monotonic_until
    }
}

#[derive(Clone)]
struct Weigh;

impl Weighter<Box<[u8]>, Active> for Weigh {
    fn weight(&self, token: &Box<[u8]>, active: &Active) -> u64 {
        let size = token.len() + active.principal.size() + OVERHEAD;
        u64::try_from(size).unwrap_or(u64::MAX).max(USUAL_SIZE)
    }
}
