//! A bound on what others can cause.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Two attempts at once, then one in 30 seconds: enough for a key rotation in the middle of a
/// sign-in, too little to be used against the provider.
pub(crate) struct TokenBucket(Mutex<Level>);

struct Level {
    left: u32,
    counted_at: Duration,
}

const BURST: u32 = 2;
const REFILL: Duration = Duration::from_secs(30);

impl TokenBucket {
    pub(crate) fn full(now: Duration) -> Self {
        Self(Mutex::new(Level {
            left: BURST,
            counted_at: now,
        }))
    }

    /// Whether there is one more attempt, which is taken. Time is monotonic.
    pub(crate) fn take(&self, now: Duration) -> bool {
        let mut level = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while level.left < BURST && now >= level.counted_at.saturating_add(REFILL) {
            level.left += 1;
            level.counted_at = level.counted_at.saturating_add(REFILL);
        }
        if level.left == 0 {
            return false;
        }
        if level.left == BURST {
            level.counted_at = now;
        }
        level.left -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ks_09_two_attempts_at_once_and_then_one_in_thirty_seconds() {
        let bucket = TokenBucket::full(Duration::from_secs(1_000));
        let start = 5_000;
        let granted: Vec<u64> = (0..1_200)
            .filter(|tenth| bucket.take(Duration::from_millis(start * 1_000 + tenth * 100)))
            .map(|tenth| tenth / 10)
            .collect();
        assert_eq!(granted, [0, 0, 30, 60, 90]);
        // Long quiet fills it up again, to the burst and no further.
        let later = Duration::from_secs(90_000);
        assert_eq!((0..10).filter(|_| bucket.take(later)).count(), 2);
    }
}
