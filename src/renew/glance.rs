//! What can be told of a kept value without holding it: two words in the place of a guard.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The serial of a value and when it is due. Zeros, which are never fresh, while there is none.
#[derive(Default)]
pub(super) struct Glance {
    serial: AtomicU64,
    /// Whole seconds of monotonic time, rounded down.
    renew_at: AtomicU64,
}

impl Glance {
    /// The serial, unless a renewal is due.
    #[inline]
    pub(super) fn fresh(&self, now: Duration) -> Option<u64> {
        // Read in the other order than they are written: a new time is never seen with an old serial.
        let renew_at = self.renew_at.load(Ordering::Acquire);
        (now.as_secs() < renew_at).then(|| self.serial.load(Ordering::Acquire))
    }

    pub(super) fn set(&self, serial: u64, renew_at: Duration) {
        self.serial.store(serial, Ordering::Release);
        self.renew_at.store(renew_at.as_secs(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_fresh_until_the_second_in_which_it_is_due() {
        let glance = Glance::default();
        assert_eq!(glance.fresh(Duration::ZERO), None, "nothing yet");
        glance.set(7, Duration::from_millis(10_900));
        assert_eq!(glance.fresh(Duration::from_millis(9_999)), Some(7));
        assert_eq!(glance.fresh(Duration::from_secs(10)), None);
        glance.set(8, Duration::MAX);
        assert_eq!(glance.fresh(Duration::from_secs(10)), Some(8));
    }
}
