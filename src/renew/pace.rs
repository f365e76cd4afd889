//! When a kept value is renewed, and how long it is served: pure functions of monotonic time.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The numbers by which one kept value differs from another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// The kind of value, as a label for metrics.
    pub(crate) what: &'static str,
    /// How long before the end of freshness a renewal starts.
    pub(crate) ahead: Duration,
    /// The shortest time between two renewals, unless the value ends before.
    pub(crate) soonest: Duration,
    /// How long a value is served after its freshness ended.
    pub(crate) stale: Duration,
    /// Whether callers wait for the renewal of a value whose freshness has ended. If it fails, they get the
    /// value all the same.
    pub(crate) waits_when_stale: bool,
    pub(crate) first_back_off: Duration,
    pub(crate) longest_back_off: Duration,
}

/// Points in monotonic time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) fetched_at: Duration,
    pub(super) renew_at: Duration,
    pub(super) fresh_until: Duration,
    pub(super) usable_until: Duration,
}

/// What to do about a value at a given time.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(super) enum Step {
    Serve,
    ServeAndRenew,
    Fetch,
}

pub(super) fn step(times: Option<&Times>, now: Duration) -> Step {
    match times {
        Some(times) if now < times.renew_at => Step::Serve,
        Some(times) if now < times.usable_until => Step::ServeAndRenew,
        _ => Step::Fetch,
    }
}

impl Pace {
    /// The times of a value fetched now. `ahead` replaces the one of the pace.
    pub(super) fn times(
        &self,
        now: Duration,
        fresh_for: Duration,
        ahead: Option<Duration>,
        jitter: f64,
    ) -> Times {
        let fresh_until = now.saturating_add(fresh_for);
        let ahead = ahead.unwrap_or(self.ahead);
        // Not in the first half of a lifetime, or a short-lived value would be renewed without end.
        let ahead = ahead.mul_f64(1.0 + jitter).min(fresh_for / 2);
        Times {
            fetched_at: now,
            renew_at: fresh_until
                .saturating_sub(ahead)
                .max(now.saturating_add(self.soonest).min(fresh_until)),
            fresh_until,
            usable_until: fresh_until.saturating_add(self.stale),
        }
    }

    /// How long the next attempt waits after so many failures in a row.
    pub(super) fn back_off(&self, failures: u32) -> Duration {
        let doubled = 1_u32
            .checked_shl(failures.saturating_sub(1))
            .unwrap_or(u32::MAX);
        self.first_back_off
            .saturating_mul(doubled)
            .min(self.longest_back_off)
    }
}

/// Up to five hundredths more or less, so that many processes do not renew at the same moment.
pub(super) fn jitter() -> f64 {
    let drawn = RandomState::new().hash_one(0_u8) % 1_001;
    #[expect(clippy::cast_precision_loss, reason = "at most 1000")]
    let share = drawn as f64 / 1_000.0;
    (share - 0.5) * 0.1
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace {
        what: "test",
        ahead: Duration::from_secs(60),
        soonest: Duration::ZERO,
        stale: Duration::from_secs(3600),
        waits_when_stale: false,
        first_back_off: Duration::from_secs(1),
        longest_back_off: Duration::from_secs(60),
    };

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    // KS-11, KS-14
    #[test]
    fn a_value_is_served_until_its_stale_limit() {
        let times = PACE.times(seconds(100), seconds(600), None, 0.0);
        let cases = [
            ("just fetched", 100, Step::Serve),
            ("a second before it is due", 639, Step::Serve),
            ("due", 640, Step::ServeAndRenew),
            ("stale", 700, Step::ServeAndRenew),
            ("at the end of staleness", 4299, Step::ServeAndRenew),
            ("gone", 4300, Step::Fetch),
        ];
        for (name, now, expected) in cases {
            assert_eq!(step(Some(&times), seconds(now)), expected, "{name}");
        }
        assert_eq!(step(None, seconds(0)), Step::Fetch, "nothing yet");
    }

    // LM-09
    #[test]
    fn no_duration_overflows() {
        let times = PACE.times(Duration::MAX, Duration::MAX, None, 0.05);
        assert_eq!(times.usable_until, Duration::MAX);
        assert_eq!(PACE.back_off(u32::MAX), seconds(60));
    }

    #[test]
    fn back_off_doubles_up_to_its_longest() {
        let waits: Vec<_> = (1..9).map(|n| PACE.back_off(n).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn a_short_lifetime_is_not_renewed_in_its_first_half() {
        let times = PACE.times(seconds(0), seconds(60), None, 0.05);
        assert_eq!(times.renew_at, seconds(30));
    }

    // KS-12
    #[test]
    fn renewals_are_not_closer_than_the_pace_allows() {
        let pace = Pace {
            soonest: seconds(60),
            ..PACE
        };
        for (fresh_for, expected) in [(30, 30), (60, 60), (90, 60), (119, 60), (600, 540)] {
            let times = pace.times(seconds(0), seconds(fresh_for), None, 0.0);
            assert_eq!(times.renew_at, seconds(expected), "{fresh_for}");
        }
    }
}
