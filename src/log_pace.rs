//! How often the log tells of what a stranger can cause: each cause at most once in ten seconds.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::SharedClock;

/// Between two lines about one cause, in seconds.
const PAUSE: u64 = 10;

/// When so many causes were last told of.
pub(crate) struct LogPace<const CAUSES: usize = 1> {
    clock: SharedClock,
    /// For each cause the second at which it was last logged, plus one. Zero: not yet.
    told: [AtomicU64; CAUSES],
}

impl<const CAUSES: usize> LogPace<CAUSES> {
    pub(crate) fn new(clock: SharedClock) -> Self {
        Self {
            clock,
            told: [const { AtomicU64::new(0) }; CAUSES],
        }
    }

    #[cfg(feature = "login")]
    pub(crate) fn clock(&self) -> &SharedClock {
        &self.clock
    }

    /// Whether a line about this cause is due. If so, the next is due in ten seconds.
    pub(crate) fn is_due(&self, cause: usize) -> bool {
        let Some(told) = self.told.get(cause) else {
            return false;
        };
        let now = self.clock.monotonic().as_secs().saturating_add(1);
        let last = told.load(Ordering::Relaxed);
        (last == 0 || now.saturating_sub(last) >= PAUSE)
            && told
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// The same for a cause that is a text. Few texts share one place.
    #[cfg(feature = "axum")]
    pub(crate) fn is_due_for(&self, cause: &str) -> bool {
        let sum = cause.bytes().fold(0_usize, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(usize::from(byte))
        });
        self.is_due(sum % CAUSES)
    }
}

impl<const CAUSES: usize> fmt::Debug for LogPace<CAUSES> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("LogPace")
    }
}
