//! Time, as a value that is handed in. The wall clock decides about claims, the monotonic clock about
//! staleness.

#[cfg(any(target_os = "linux", target_os = "android", test))]
pub(crate) mod boot_time;
mod system;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use self::system::SystemClock;

/// A point in time: whole seconds since 1970-01-01T00:00:00Z (RFC 7519 §2, `NumericDate`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(i64);

impl UnixTime {
    /// So many seconds after the epoch, or before it if negative.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds)
    }

    /// Seconds after the epoch.
    #[must_use]
    pub const fn as_seconds(self) -> i64 {
        self.0
    }

    /// Later by the whole seconds of `duration`, at most the latest time there is.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(whole_seconds(duration)))
    }

    /// Earlier by the whole seconds of `duration`, at least the earliest time there is.
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

    /// Like [`now`](Self::now), but may lag by some milliseconds if that is cheaper. Used only for tokens
    /// that the exact clock has accepted before. Default: [`now`](Self::now).
    fn now_roughly(&self) -> UnixTime {
        self.now()
    }

    /// Time since some fixed moment, for how long keys, sessions and tokens count as fresh.
    ///
    /// It never goes back. Setting the wall clock does not move it, and so cannot keep a key set alive.
    /// **It counts the time for which the machine was suspended**, so that what was fetched before is not
    /// taken for fresh afterwards. [`Instant`](std::time::Instant) does not do that on every system.
    /// It may lag by some milliseconds.
    fn monotonic(&self) -> Duration;
}

/// A clock shared by everything that was built from one provider.
#[derive(Clone)]
pub(crate) enum SharedClock {
    /// The usual one, read without a virtual call.
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

    #[cfg(feature = "login")]
    pub(crate) fn now_roughly(&self) -> UnixTime {
        match self {
            Self::System(clock) => clock.now_roughly(),
            Self::Other(clock) => clock.now_roughly(),
        }
    }

    /// [`now_roughly`](Clock::now_roughly) and [`monotonic`](Clock::monotonic), read together, which
    /// costs less than one after the other.
    #[inline]
    pub(crate) fn read_roughly(&self) -> (UnixTime, Duration) {
        match self {
            Self::System(clock) => clock.read_roughly(),
            Self::Other(clock) => (clock.now_roughly(), clock.monotonic()),
        }
    }

    pub(crate) fn monotonic(&self) -> Duration {
        match self {
            Self::System(clock) => clock.monotonic(),
            Self::Other(clock) => clock.monotonic(),
        }
    }
}

/// When something began whose length is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Began(Duration);

impl SharedClock {
    /// Begins to measure how long something takes. Only metrics use it: without them no clock is read.
    pub(crate) fn begin(&self) -> Began {
        Began(if cfg!(feature = "metrics") {
            self.precise()
        } else {
            Duration::ZERO
        })
    }

    /// The time since then. Zero without the metrics.
    pub(crate) fn since(&self, Began(began): Began) -> Duration {
        if cfg!(feature = "metrics") {
            self.precise().saturating_sub(began)
        } else {
            Duration::ZERO
        }
    }

    fn precise(&self) -> Duration {
        match self {
            Self::System(clock) => clock.precise(),
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

    // LM-09
    #[test]
    fn sums_stay_in_range_at_both_ends_of_time() {
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
