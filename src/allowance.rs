//! A bound on what others can cause (a token bucket).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A number of attempts at once, then one in each interval.
pub(crate) struct Allowance {
    level: Mutex<Level>,
    rate: Rate,
}

#[derive(Clone, Copy)]
pub(crate) struct Rate {
    /// The attempts that may come at once.
    pub(crate) burst: u32,
    /// The interval after which one more is allowed.
    pub(crate) refill: Duration,
}

struct Level {
    left: u32,
    counted_at: Duration,
}

/// Enough for a key rotation during a sign-in, too few to load the provider.
const SELDOM: Rate = Rate {
    burst: 2,
    refill: Duration::from_secs(30),
};

impl Allowance {
    /// Two attempts at once, then one in 30 seconds.
    pub(crate) fn full(now: Duration) -> Self {
        Self::of(SELDOM, now)
    }

    pub(crate) fn of(rate: Rate, now: Duration) -> Self {
        let level = Mutex::new(Level {
            left: rate.burst,
            counted_at: now,
        });
        Self { level, rate }
    }

    /// Takes one attempt. `false` if none is left. `now` is monotonic time.
    pub(crate) fn take(&self, now: Duration) -> bool {
        self.take_or_wait(now).is_ok()
    }

    /// Takes one attempt.
    ///
    /// # Errors
    /// If none is left, with the time until there is one.
    pub(crate) fn take_or_wait(&self, now: Duration) -> Result<(), Duration> {
        let Rate { burst, refill } = self.rate;
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        while level.left < burst && now >= level.counted_at.saturating_add(refill) {
            level.left += 1;
            level.counted_at = level.counted_at.saturating_add(refill);
        }
        if level.left == 0 {
            let next = level.counted_at.saturating_add(refill);
            return Err(next.saturating_sub(now));
        }
        if level.left == burst {
            level.counted_at = now;
        }
        level.left -= 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // KS-09
    #[test]
    fn two_attempts_at_once_and_then_one_in_thirty_seconds() {
        let allowance = Allowance::full(Duration::from_secs(1_000));
        let start = 5_000;
        let granted: Vec<u64> = (0..1_200)
            .filter(|tenth| allowance.take(Duration::from_millis(start * 1_000 + tenth * 100)))
            .map(|tenth| tenth / 10)
            .collect();
        assert_eq!(granted, [0, 0, 30, 60, 90]);
        let last = Duration::from_secs(start + 119);
        let wait = allowance.take_or_wait(last);
        assert_eq!(wait, Err(Duration::from_secs(1)), "the next is at 120");
        // After a long pause it is full again: the burst and no more.
        let later = Duration::from_secs(90_000);
        assert_eq!((0..10).filter(|_| allowance.take(later)).count(), 2);
    }
}
