//! Outages of a store: the beginning and the end of each is logged once, and not for each request.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::error::{Chain, StoreError};

/// Why a store cannot be used. Another trouble within one outage is logged too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Trouble {
    /// It does not answer, or not in time.
    Away = 1,
    /// It can be read and not be written to.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    ReadOnly,
    /// It has no room.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    Full,
    /// Its tables are not there.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    NoTables,
    /// Its tables are those of a newer version of this crate.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    NewerTables,
    /// It does not let this program in, or not do what it has to.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    NotAllowed,
}

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

    /// Logs the beginning and the end of an outage.
    pub(super) fn tell(&self, failure: Option<(Trouble, &StoreError)>) {
        let trouble = failure.map_or(0, |(trouble, _)| trouble as u8);
        if self.trouble.load(Ordering::Relaxed) == trouble {
            return;
        }
        let before = self.trouble.swap(trouble, Ordering::Relaxed);
        let (store, variable) = (self.store, self.variable);
        match failure {
            Some((_, error)) if before != trouble => tracing::warn!(
                error = %Chain(error),
                "the session store in {store} does not answer: requests that need it are answered 503 until it \
                 does; if it never did, compare its address ({variable})"
            ),
            None if before != 0 => {
                tracing::info!("the session store in {store} answers again");
            }
            _ => {}
        }
    }
}
