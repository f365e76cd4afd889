//! Answers "is this still the value that is served?" with two loads, without taking hold of the value.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The serial of the value and when its renewal is due. Zeros while there is no value, so that none is
/// fresh.
#[derive(Default)]
pub(super) struct FreshSerial {
    serial: AtomicU64,
    /// Whole seconds of monotonic time, rounded down.
    renew_at: AtomicU64,
}

impl FreshSerial {
    /// The serial, unless a renewal is due.
    #[inline]
    pub(super) fn at(&self, now: Duration) -> Option<u64> {
        // Read in the opposite order to the writes: a new time is never seen with an old serial.
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
        let fresh = FreshSerial::default();
        assert_eq!(fresh.at(Duration::ZERO), None, "nothing yet");
        fresh.set(7, Duration::from_millis(10_900));
        assert_eq!(fresh.at(Duration::from_millis(9_999)), Some(7));
        assert_eq!(fresh.at(Duration::from_secs(10)), None);
        fresh.set(8, Duration::MAX);
        assert_eq!(fresh.at(Duration::from_secs(10)), Some(8));
    }
}
