//! Time, handed in. Claims are judged by the wall clock, staleness by a clock that never jumps.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[cfg(target_os = "linux")]
use nix::time::{ClockId, clock_gettime};

/// A point in time: whole seconds since 1970-01-01T00:00:00Z (RFC 7519 §2, `NumericDate`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(i64);

impl UnixTime {
    /// So many seconds after the epoch, negative before it.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds)
    }

    /// Seconds after the epoch.
    #[must_use]
    pub const fn as_seconds(self) -> i64 {
        self.0
    }

    /// Later by `duration`, whole seconds; never past the end of time.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(whole_seconds(duration)))
    }

    /// Earlier by `duration`, whole seconds; never before the beginning of time.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(whole_seconds(duration)))
    }
}

fn whole_seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// Where the crate reads the time. Tests hand in `testing::ManualClock`.
pub trait Clock: Send + Sync + 'static {
    /// The wall clock, for `exp`, `nbf` and `iat`.
    fn now(&self) -> UnixTime;

    /// The same where some milliseconds do not matter, which may be behind by as many if that is cheaper:
    /// for tokens that were judged by the exact time before. Default: [`now`](Self::now).
    fn now_roughly(&self) -> UnixTime {
        self.now()
    }

    /// Time since some fixed moment of this process. It never goes back and never jumps, so that
    /// setting the wall clock cannot keep a key set alive.
    fn monotonic(&self) -> Duration;
}

/// The clock of the operating system, the default. On Linux all but [`now`](Clock::now) is read off the clock that
/// the kernel sets at each of its ticks: behind by ten milliseconds at the most, for a fraction of the time.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// The system's clock.
    #[must_use]
    pub fn new() -> Self {
        Self {
            origin: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> UnixTime {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => UnixTime::from_seconds(whole_seconds(since)),
            Err(before) => UnixTime::from_seconds(-whole_seconds(before.duration())),
        }
    }

    fn now_roughly(&self) -> UnixTime {
        #[cfg(target_os = "linux")]
        if let Ok(since) = clock_gettime(ClockId::CLOCK_REALTIME_COARSE) {
            return UnixTime::from_seconds(since.tv_sec());
        }
        self.now()
    }

    fn monotonic(&self) -> Duration {
        // Where it cannot be read it never can, so that the two are not mixed.
        #[cfg(target_os = "linux")]
        if let Ok(since) = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE) {
            return since.into();
        }
        self.origin.elapsed()
    }
}

/// A clock shared by everything that was built from one provider.
#[derive(Clone)]
pub(crate) enum SharedClock {
    /// Nearly every one, and read without a detour.
    System(SystemClock),
    Other(Arc<dyn Clock>),
}

impl SharedClock {
    pub(crate) fn new(clock: impl Clock) -> Self {
        Self::Other(Arc::new(clock))
    }

    pub(crate) fn system() -> Self {
        Self::System(SystemClock::new())
    }

    pub(crate) fn now(&self) -> UnixTime {
        match self {
            Self::System(clock) => clock.now(),
            Self::Other(clock) => clock.now(),
        }
    }

    pub(crate) fn now_roughly(&self) -> UnixTime {
        match self {
            Self::System(clock) => clock.now_roughly(),
            Self::Other(clock) => clock.now_roughly(),
        }
    }

    pub(crate) fn monotonic(&self) -> Duration {
        match self {
            Self::System(clock) => clock.monotonic(),
            Self::Other(clock) => clock.monotonic(),
        }
    }
}

impl fmt::Debug for SharedClock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Clock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_is_the_systems_and_moves_on() {
        let clock = SystemClock::new();
        let exact = |time: SystemTime| {
            let since = time.duration_since(UNIX_EPOCH).unwrap();
            UnixTime::from_seconds(whole_seconds(since))
        };
        let before = SystemTime::now();
        let (told, roughly) = (clock.now(), clock.now_roughly());
        let after = exact(SystemTime::now());
        assert!(exact(before) <= told && told <= after);
        let behind = before - Duration::from_millis(50);
        assert!(exact(behind) <= roughly && roughly <= after);

        let (start, exact) = (clock.monotonic(), Instant::now());
        let mut last = start;
        while last < start + Duration::from_millis(100) {
            let now = clock.monotonic();
            assert!(now >= last, "it went back");
            last = now;
        }
        let passed = exact.elapsed();
        assert!(passed >= Duration::from_millis(50), "{passed:?}");
    }

    #[test]
    fn lm_09_sums_stay_in_range_at_both_ends_of_time() {
        let end = UnixTime::from_seconds(i64::MAX);
        assert_eq!(end.saturating_add(Duration::MAX), end);
        let start = UnixTime::from_seconds(i64::MIN);
        assert_eq!(start.saturating_sub(Duration::MAX), start);
        assert_eq!(
            UnixTime::from_seconds(10).saturating_sub(Duration::from_secs(4)),
            UnixTime::from_seconds(6)
        );
    }
}
