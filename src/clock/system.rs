//! The clocks of the operating system.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
use nix::time::{ClockId, clock_gettime};

#[cfg(any(target_os = "linux", target_os = "android"))]
use crate::clock::boot_time::{BootTime, RawClocks};
use crate::clock::{Clock, UnixTime, whole_seconds};

/// The clock of the operating system, the default.
///
/// [`monotonic`](Clock::monotonic) counts the time for which the machine was suspended on Linux, Android,
/// Windows and Apple's systems. A virtual machine that its host pauses does not know of it.
///
/// On Linux and Android all but [`now`](Clock::now) reads the clocks that the kernel sets at each of its
/// ticks: they lag by ten milliseconds at most and cost a fraction of the exact ones.
#[derive(Debug, Clone)]
pub struct SystemClock {
    origin: Instant,
    #[cfg(any(target_os = "linux", target_os = "android"))]
    boot_time: BootTime,
}

impl SystemClock {
    /// The system's clock.
    #[must_use]
    pub fn new() -> Self {
        let clock = Self {
            origin: Instant::now(),
            #[cfg(any(target_os = "linux", target_os = "android"))]
            boot_time: BootTime::new(),
        };
        // The first reading costs more than the later ones.
        let _ = clock.monotonic();
        clock
    }
}

impl SystemClock {
    /// [`now_roughly`](Clock::now_roughly) and [`monotonic`](Clock::monotonic), read together.
    #[inline]
    pub(super) fn read_roughly(&self) -> (UnixTime, Duration) {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Some(reading) = self.boot_time.read(&Kernel) {
            // A time before 1970 was cast to a great number, and is cast back.
            let wall = UnixTime::from_seconds(reading.wall.as_secs().cast_signed());
            return (wall, reading.since_boot);
        }
        (self.now_roughly(), self.monotonic())
    }
}

impl SystemClock {
    /// Time since this clock was made, without the lag of [`monotonic`](Clock::monotonic): for measuring how long
    /// something takes.
    pub(super) fn precise(&self) -> Duration {
        self.origin.elapsed()
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
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Ok(since) = clock_gettime(ClockId::CLOCK_REALTIME_COARSE) {
            return UnixTime::from_seconds(since.tv_sec());
        }
        self.now()
    }

    fn monotonic(&self) -> Duration {
        // A clock that cannot be read once can never be read, so the two are not mixed.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Some(reading) = self.boot_time.read(&Kernel) {
            return reading.since_boot;
        }
        // This one counts suspension, other than the one that `Instant` reads here.
        #[cfg(target_vendor = "apple")]
        if let Ok(since) = clock_gettime(ClockId::CLOCK_MONOTONIC) {
            return since.into();
        }
        self.origin.elapsed()
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
struct Kernel;

#[cfg(any(target_os = "linux", target_os = "android"))]
impl RawClocks for Kernel {
    #[inline]
    fn coarse_wall(&self) -> Option<Duration> {
        read(ClockId::CLOCK_REALTIME_COARSE)
    }

    #[inline]
    fn coarse_monotonic(&self) -> Option<Duration> {
        read(ClockId::CLOCK_MONOTONIC_COARSE)
    }

    fn monotonic(&self) -> Option<Duration> {
        read(ClockId::CLOCK_MONOTONIC)
    }

    fn boot_time(&self) -> Option<Duration> {
        read(ClockId::CLOCK_BOOTTIME)
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[inline]
fn read(clock: ClockId) -> Option<Duration> {
    clock_gettime(clock).ok().map(Duration::from)
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
}
