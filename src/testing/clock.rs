use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::{Clock, SystemClock, UnixTime};

/// A clock that stands still until it is moved. Clones share their time.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<Hands>);

#[derive(Debug)]
struct Hands {
    wall_seconds: AtomicI64,
    monotonic_millis: AtomicU64,
}

impl ManualClock {
    /// A clock that shows the current time of the system.
    #[must_use]
    pub fn new() -> Self {
        Self::at(SystemClock::new().now())
    }

    /// A clock that shows this time.
    #[must_use]
    pub fn at(time: UnixTime) -> Self {
        Self(Arc::new(Hands {
            wall_seconds: AtomicI64::new(time.as_seconds()),
            monotonic_millis: AtomicU64::new(0),
        }))
    }

    /// Moves the wall clock and the monotonic clock forward.
    pub fn advance(&self, duration: Duration) {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.0.monotonic_millis.fetch_add(millis, Ordering::SeqCst);
        self.set(self.now().saturating_add(duration));
    }

    /// Sets the wall clock, as an administrator might. The monotonic clock does not move.
    pub fn set(&self, time: UnixTime) {
        self.0
            .wall_seconds
            .store(time.as_seconds(), Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixTime {
        UnixTime::from_seconds(self.0.wall_seconds.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.monotonic_millis.load(Ordering::SeqCst))
    }
}
