//! Time since the machine was booted, the time for which it was suspended included.
//!
//! Linux's clock for that, `CLOCK_BOOTTIME`, takes about five times as long to read as a coarse clock
//! (23 ns and 5 ns on one machine), and has no coarse form. So the coarse monotonic clock is read, which
//! stands still while the machine is suspended, and the suspended time is added.
//!
//! When a machine resumes, the kernel moves the wall clock ahead by the time that passed, and the
//! monotonic clock not at all, in one step and before any program runs. So the distance between the two
//! has changed by the first reading after that, and only then are the exact clocks read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Clocks, `None` where one cannot be read.
pub(crate) trait RawClocks {
    /// The wall clock, behind by one tick of the kernel at most.
    fn coarse_wall(&self) -> Option<Duration>;
    /// The monotonic clock, which stands still during suspension, behind by one tick at most.
    fn coarse_monotonic(&self) -> Option<Duration>;
    /// The same, exact.
    fn monotonic(&self) -> Option<Duration>;
    /// The monotonic clock that counts suspension.
    fn boot_time(&self) -> Option<Duration>;
}

/// A reading of the coarse clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) wall: Duration,
    /// It never goes back.
    pub(crate) since_boot: Duration,
}

/// All in nanoseconds.
#[derive(Debug)]
pub(crate) struct BootTime {
    /// How far the wall clock was ahead of the monotonic clock when `suspended` was read.
    distance: AtomicU64,
    /// For how long the machine has been suspended.
    suspended: AtomicU64,
}

/// The distance may change by so much unnoticed: more than a tick, which can fall between the readings
/// of its two clocks.
const TOLERANCE: u64 = 100_000_000;

/// A distance that no clocks have, so that the first reading looks for the suspended time.
const NO_DISTANCE: u64 = 1 << 63;

impl BootTime {
    pub(crate) const fn new() -> Self {
        Self {
            distance: AtomicU64::new(NO_DISTANCE),
            suspended: AtomicU64::new(0),
        }
    }

    #[inline]
    pub(crate) fn read(&self, clocks: &impl RawClocks) -> Option<Reading> {
        // In this order, so that a suspension between the two readings changes the distance.
        let monotonic = clocks.coarse_monotonic()?;
        let wall = clocks.coarse_wall()?;
        let known = self.distance.load(Ordering::Acquire);
        let changed = distance(wall, monotonic).wrapping_sub(known);
        if changed.wrapping_add(TOLERANCE) > 2 * TOLERANCE {
            return self.look(clocks);
        }
        Some(self.reading(wall, monotonic))
    }

    #[inline]
    fn reading(&self, wall: Duration, monotonic: Duration) -> Reading {
        let since_boot = match self.suspended.load(Ordering::Relaxed) {
            0 => monotonic,
            suspended => monotonic.saturating_add(Duration::from_nanos(suspended)),
        };
        Reading { wall, since_boot }
    }

    /// Reads for how long the machine has been suspended.
    #[cold]
    fn look(&self, clocks: &impl RawClocks) -> Option<Reading> {
        // The distance first: a suspension after that is noticed by the next reading.
        let monotonic = clocks.coarse_monotonic()?;
        let wall = clocks.coarse_wall()?;
        // Boot time first: a pause between these two makes the result too small, not too great.
        let boot_time = clocks.boot_time()?;
        let suspended = boot_time.saturating_sub(clocks.monotonic()?).as_nanos();
        let suspended = u64::try_from(suspended).unwrap_or(u64::MAX);
        self.suspended.fetch_max(suspended, Ordering::Relaxed);
        // Last: a thread that sees this distance sees the suspended time that goes with it.
        self.distance
            .store(distance(wall, monotonic), Ordering::Release);
        Some(self.reading(wall, monotonic))
    }
}

/// How far the wall clock is ahead. Negative distances wrap around.
#[inline]
fn distance(wall: Duration, monotonic: Duration) -> u64 {
    let seconds = wall.as_secs().wrapping_sub(monotonic.as_secs());
    seconds
        .wrapping_mul(1_000_000_000)
        .wrapping_add(wall.subsec_nanos().into())
        .wrapping_sub(monotonic.subsec_nanos().into())
}

impl Clone for BootTime {
    fn clone(&self) -> Self {
        let distance = self.distance.load(Ordering::Acquire);
        Self {
            distance: AtomicU64::new(distance),
            suspended: AtomicU64::new(self.suspended.load(Ordering::Relaxed)),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::sync::Mutex;

    /// The clocks of a machine that can be suspended and whose wall clock can be set.
    pub(crate) struct Machine(Mutex<Clocks>);

    #[derive(Clone, Copy)]
    struct Clocks {
        wall: Duration,
        monotonic: Duration,
        boot_time: Duration,
        exact_readings: u32,
    }

    impl Machine {
        /// One that was just booted, on the 9th of September 2001.
        pub(crate) fn booted() -> Self {
            Self(Mutex::new(Clocks {
                wall: seconds(1_000_000_000),
                monotonic: Duration::ZERO,
                boot_time: Duration::ZERO,
                exact_readings: 0,
            }))
        }

        pub(crate) fn runs(&self, time: Duration) {
            self.0.lock().unwrap().monotonic += time;
            self.is_suspended(time);
        }

        pub(crate) fn is_suspended(&self, time: Duration) {
            let mut clocks = self.0.lock().unwrap();
            clocks.boot_time += time;
            clocks.wall += time;
        }

        fn wall_clock_is_set(&self, by: i64) {
            let mut clocks = self.0.lock().unwrap();
            let seconds = clocks.wall.as_secs().wrapping_add_signed(by);
            clocks.wall = Duration::new(seconds, clocks.wall.subsec_nanos());
        }

        fn clocks(&self) -> Clocks {
            *self.0.lock().unwrap()
        }
    }

    impl RawClocks for Machine {
        fn coarse_wall(&self) -> Option<Duration> {
            Some(self.clocks().wall)
        }

        fn coarse_monotonic(&self) -> Option<Duration> {
            Some(self.clocks().monotonic)
        }

        fn monotonic(&self) -> Option<Duration> {
            Some(self.clocks().monotonic)
        }

        fn boot_time(&self) -> Option<Duration> {
            self.0.lock().unwrap().exact_readings += 1;
            Some(self.clocks().boot_time)
        }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn since_boot(time: &BootTime, machine: &Machine) -> Duration {
        let reading = time.read(machine).unwrap();
        assert_eq!(reading.wall, machine.clocks().wall);
        reading.since_boot
    }

    #[test]
    fn the_first_reading_after_a_suspension_counts_it() {
        let (machine, time) = (Machine::booted(), BootTime::new());
        let read = || since_boot(&time, &machine);
        machine.runs(seconds(10));
        assert_eq!(read(), seconds(10));
        machine.is_suspended(seconds(3_600));
        assert_eq!(read(), seconds(3_610));
        machine.runs(seconds(5));
        assert_eq!(read(), seconds(3_615));
        machine.is_suspended(seconds(1));
        machine.is_suspended(seconds(1));
        assert_eq!(read(), seconds(3_617));
    }

    #[test]
    fn a_suspension_before_the_first_reading_counts() {
        let (machine, time) = (Machine::booted(), BootTime::new());
        machine.runs(seconds(10));
        machine.is_suspended(seconds(100));
        assert_eq!(since_boot(&time, &machine), seconds(110));
        let copy = time.clone();
        machine.is_suspended(seconds(100));
        assert_eq!(since_boot(&copy, &machine), seconds(210), "a clone");
        assert_eq!(since_boot(&time, &machine), seconds(210), "the original");
    }

    #[test]
    fn the_exact_clocks_are_read_only_when_the_distance_has_changed() {
        let (machine, time) = (Machine::booted(), BootTime::new());
        for _ in 0..1_000 {
            machine.runs(Duration::from_millis(7));
            time.read(&machine).unwrap();
        }
        assert_eq!(machine.clocks().exact_readings, 1);
        machine.is_suspended(seconds(60));
        for _ in 0..1_000 {
            machine.runs(Duration::from_millis(7));
            time.read(&machine).unwrap();
        }
        assert_eq!(machine.clocks().exact_readings, 2);
    }

    #[test]
    fn setting_the_wall_clock_changes_nothing() {
        let (machine, time) = (Machine::booted(), BootTime::new());
        machine.runs(seconds(10));
        for by in [86_400, -86_400, -4_000, 1, -1] {
            machine.wall_clock_is_set(by);
            assert_eq!(since_boot(&time, &machine), seconds(10), "set by {by} s");
        }
        // Set back while the machine wakes up, though not by exactly the suspended time.
        machine.is_suspended(seconds(3_600));
        machine.wall_clock_is_set(-86_400);
        assert_eq!(since_boot(&time, &machine), seconds(3_610));
    }

    #[test]
    fn suspensions_too_short_to_notice_add_up() {
        let (machine, time) = (Machine::booted(), BootTime::new());
        machine.runs(seconds(1));
        time.read(&machine).unwrap();
        for _ in 0..100 {
            machine.is_suspended(Duration::from_millis(30));
            let read = since_boot(&time, &machine);
            let behind = machine.clocks().boot_time.saturating_sub(read);
            assert!(behind <= Duration::from_nanos(TOLERANCE), "{behind:?}");
        }
    }

    #[test]
    fn it_never_goes_back() {
        let (machine, time) = (Machine::booted(), BootTime::new());
        let mut last = Duration::ZERO;
        for step in 0..10_000_u64 {
            match step * 7 % 5 {
                0 => machine.is_suspended(Duration::from_millis(step % 900)),
                1 => machine.wall_clock_is_set(i64::try_from(step % 13).unwrap() - 6),
                _ => machine.runs(Duration::from_micros(step)),
            }
            let now = since_boot(&time, &machine);
            assert!(now >= last, "{now:?} after {last:?}");
            last = now;
        }
    }
}
