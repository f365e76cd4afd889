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

/// Clocks in nanoseconds. `None` where one cannot be read.
pub(crate) trait RawClocks {
    /// The wall clock, behind by one tick of the kernel at most.
    fn coarse_wall(&self) -> Option<u64>;
    /// The monotonic clock, which stands still during suspension, behind by one tick at most.
    fn coarse_monotonic(&self) -> Option<u64>;
    /// The same, exact.
    fn monotonic(&self) -> Option<u64>;
    /// The monotonic clock that counts suspension.
    fn boot_time(&self) -> Option<u64>;
}

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

    /// The time since boot. It never goes back.
    #[inline]
    pub(crate) fn read(&self, clocks: &impl RawClocks) -> Option<Duration> {
        // In this order, so that a suspension between the two readings changes the distance.
        let monotonic = clocks.coarse_monotonic()?;
        let distance = clocks.coarse_wall()?.wrapping_sub(monotonic);
        let changed = distance.wrapping_sub(self.distance.load(Ordering::Acquire));
        if changed.cast_signed().unsigned_abs() > TOLERANCE {
            self.look(clocks)?;
            return Some(self.since_boot(clocks.coarse_monotonic()?));
        }
        Some(self.since_boot(monotonic))
    }

    fn since_boot(&self, monotonic: u64) -> Duration {
        let suspended = self.suspended.load(Ordering::Relaxed);
        Duration::from_nanos(monotonic.saturating_add(suspended))
    }

    /// Reads for how long the machine has been suspended.
    #[cold]
    fn look(&self, clocks: &impl RawClocks) -> Option<()> {
        // The distance first: a suspension after that is noticed by the next reading.
        let monotonic = clocks.coarse_monotonic()?;
        let distance = clocks.coarse_wall()?.wrapping_sub(monotonic);
        // Boot time first: a pause between these two makes the result too small, not too great.
        let boot_time = clocks.boot_time()?;
        let suspended = boot_time.saturating_sub(clocks.monotonic()?);
        self.suspended.fetch_max(suspended, Ordering::Relaxed);
        // Last: a thread that sees this distance sees the suspended time that goes with it.
        self.distance.store(distance, Ordering::Release);
        Some(())
    }
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
    #[derive(Default)]
    pub(crate) struct Machine(Mutex<Clocks>);

    #[derive(Default, Clone, Copy)]
    struct Clocks {
        wall: u64,
        monotonic: u64,
        boot_time: u64,
        exact_readings: u32,
    }

    impl Machine {
        pub(crate) fn runs(&self, time: Duration) {
            let mut clocks = self.0.lock().unwrap();
            clocks.monotonic += nanoseconds(time);
            clocks.boot_time += nanoseconds(time);
            clocks.wall = clocks.wall.wrapping_add(nanoseconds(time));
        }

        pub(crate) fn is_suspended(&self, time: Duration) {
            let mut clocks = self.0.lock().unwrap();
            clocks.boot_time += nanoseconds(time);
            clocks.wall = clocks.wall.wrapping_add(nanoseconds(time));
        }

        fn wall_clock_is_set(&self, by: i64) {
            let mut clocks = self.0.lock().unwrap();
            clocks.wall = clocks.wall.wrapping_add_signed(by * 1_000_000_000);
        }

        fn clocks(&self) -> Clocks {
            *self.0.lock().unwrap()
        }
    }

    impl RawClocks for Machine {
        fn coarse_wall(&self) -> Option<u64> {
            Some(self.clocks().wall)
        }

        fn coarse_monotonic(&self) -> Option<u64> {
            Some(self.clocks().monotonic)
        }

        fn monotonic(&self) -> Option<u64> {
            Some(self.clocks().monotonic)
        }

        fn boot_time(&self) -> Option<u64> {
            self.0.lock().unwrap().exact_readings += 1;
            Some(self.clocks().boot_time)
        }
    }

    fn nanoseconds(time: Duration) -> u64 {
        u64::try_from(time.as_nanos()).unwrap()
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_first_reading_after_a_suspension_counts_it() {
        let (machine, time) = (Machine::default(), BootTime::new());
        let read = || time.read(&machine).unwrap();
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
        let (machine, time) = (Machine::default(), BootTime::new());
        machine.runs(seconds(10));
        machine.is_suspended(seconds(100));
        assert_eq!(time.read(&machine), Some(seconds(110)));
        let copy = time.clone();
        machine.is_suspended(seconds(100));
        assert_eq!(copy.read(&machine), Some(seconds(210)), "a clone");
        assert_eq!(time.read(&machine), Some(seconds(210)), "the original");
    }

    #[test]
    fn the_exact_clocks_are_read_only_when_the_distance_has_changed() {
        let (machine, time) = (Machine::default(), BootTime::new());
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
        let (machine, time) = (Machine::default(), BootTime::new());
        machine.runs(seconds(10));
        for by in [86_400, -86_400, -4_000, 1, -1] {
            machine.wall_clock_is_set(by);
            assert_eq!(time.read(&machine), Some(seconds(10)), "set by {by} s");
        }
        // Set back while the machine wakes up, though not by exactly the suspended time.
        machine.is_suspended(seconds(3_600));
        machine.wall_clock_is_set(-86_400);
        assert_eq!(time.read(&machine), Some(seconds(3_610)));
    }

    #[test]
    fn suspensions_too_short_to_notice_add_up() {
        let (machine, time) = (Machine::default(), BootTime::new());
        machine.runs(seconds(1));
        time.read(&machine).unwrap();
        for _ in 0..100 {
            machine.is_suspended(Duration::from_millis(30));
            let behind =
                Duration::from_nanos(machine.clocks().boot_time) - time.read(&machine).unwrap();
            assert!(behind <= Duration::from_nanos(TOLERANCE), "{behind:?}");
        }
    }

    #[test]
    fn it_never_goes_back() {
        let (machine, time) = (Machine::default(), BootTime::new());
        let mut last = Duration::ZERO;
        for step in 0..10_000_u64 {
            match step * 7 % 5 {
                0 => machine.is_suspended(Duration::from_millis(step % 900)),
                1 => machine.wall_clock_is_set(i64::try_from(step % 13).unwrap() - 6),
                _ => machine.runs(Duration::from_micros(step)),
            }
            let now = time.read(&machine).unwrap();
            assert!(now >= last, "{now:?} after {last:?}");
            last = now;
        }
    }
}
