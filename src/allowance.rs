//! A bound on what others can cause (a token bucket).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Two attempts at once, then one in 30 seconds: enough for a key rotation during a sign-in, too few to
/// load the provider.
pub(crate) struct Allowance(Mutex<Level>);

struct Level {
    left: u32,
    counted_at: Duration,
}

const BURST: u32 = 2;
const REFILL: Duration = Duration::from_secs(30);

impl Allowance {
    pub(crate) fn full(now: Duration) -> Self {
        Self(Mutex::new(Level {
            left: BURST,
            counted_at: now,
        }))
    }

    /// Takes one attempt. `false` if none is left. `now` is monotonic time.
    #[cfg(any(test, feature = "client"))]
    pub(crate) fn take(&self, now: Duration) -> bool {
        self.take_or_wait(now).is_ok()
    }

    /// Takes one attempt.
    ///
    /// # Errors
    /// If none is left, with the time until there is one.
    pub(crate) fn take_or_wait(&self, now: Duration) -> Result<(), Duration> {
        let mut level = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while level.left < BURST && now >= level.counted_at.saturating_add(REFILL) {
            level.left += 1;
            level.counted_at = level.counted_at.saturating_add(REFILL);
        }
        if level.left == 0 {
            let next = level.counted_at.saturating_add(REFILL);
            return Err(next.saturating_sub(now));
        }
        if level.left == BURST {
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
