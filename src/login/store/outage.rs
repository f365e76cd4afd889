//! Outages of a store: the beginning and the end of each is logged once, and not for each request.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::error::{Chain, StoreError};

/// Why a store cannot be used. Another trouble within one outage is logged too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[cfg_attr(
    not(any(feature = "postgres", feature = "sqlite")),
    expect(dead_code, reason = "Redis tells them in words of its own")
)]
pub(super) enum Trouble {
    /// It does not answer, or not in time.
    Away = 1,
    /// It can be read and not be written to.
    ReadOnly,
    /// It has no room.
    Full,
    /// Its tables are not there.
    NoTables,
    /// Its tables are those of a newer version of this crate.
    NewerTables,
    /// It does not let this program in, or not do what it has to.
    NotAllowed,
    /// Another program writes to it for too long.
    #[cfg(feature = "sqlite")]
    Locked,
    /// It is no database, or one that cannot be read.
    #[cfg(feature = "sqlite")]
    Damaged,
}

/// Those that may spare reads.
const OF_WRITES: [u8; 3] = [
    Trouble::ReadOnly as u8,
    Trouble::Full as u8,
    Trouble::NotAllowed as u8,
];

/// Whether a store is in an outage.
pub(super) struct Outages {
    /// As the log names it.
    store: &'static str,
    /// The variable with its address.
    variable: &'static str,
    /// Zero: none.
    trouble: AtomicU8,
}

impl Outages {
    pub(super) const fn new(store: &'static str, variable: &'static str) -> Self {
        Self {
            store,
            variable,
            trouble: AtomicU8::new(0),
        }
    }

    /// Logs the beginning of an outage, and another trouble in it.
    pub(super) fn failed(&self, trouble: Trouble, error: &StoreError) {
        if self.trouble.load(Ordering::Relaxed) == trouble as u8 {
            return;
        }
        if self.trouble.swap(trouble as u8, Ordering::Relaxed) != trouble as u8 {
            let (store, variable) = (self.store, self.variable);
            tracing::warn!(
                error = %Chain(error),
                "the session store in {store} does not answer: requests that need it are answered 503 until it \
                 does; if it never did, compare its address ({variable})"
            );
        }
    }

    /// Logs the end of an outage. What was only read says nothing about a store that cannot be written to.
    pub(super) fn succeeded(&self, wrote: bool) {
        let before = self.trouble.load(Ordering::Relaxed);
        let is_over = wrote || !OF_WRITES.contains(&before);
        if before != 0 && is_over && self.trouble.swap(0, Ordering::Relaxed) != 0 {
            tracing::info!("the session store in {} answers again", self.store);
        }
    }
}

#[cfg(all(test, any(feature = "postgres", feature = "sqlite")))]
mod tests {
    use super::*;
    use crate::error::StoreErrorKind;

    // D31
    #[test]
    fn reading_does_not_end_the_outage_of_a_store_that_is_read_only() {
        let outages = Outages::new("a test", "A_URL");
        let error = StoreError::new(StoreErrorKind::Unavailable, "away");
        let is_over = || outages.trouble.load(Ordering::Relaxed) == 0;
        for (trouble, ends_by_reading) in [
            (Trouble::Away, true),
            (Trouble::NoTables, true),
            (Trouble::NewerTables, true),
            (Trouble::ReadOnly, false),
            (Trouble::Full, false),
            (Trouble::NotAllowed, false),
        ] {
            outages.failed(trouble, &error);
            assert!(!is_over(), "{trouble:?}");
            outages.succeeded(false);
            assert_eq!(is_over(), ends_by_reading, "{trouble:?}");
            outages.succeeded(true);
            assert!(is_over(), "{trouble:?}");
        }
    }
}
