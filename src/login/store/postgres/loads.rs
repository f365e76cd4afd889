//! Loads of one session that come at once share a statement, as long as it has not begun.
//!
//! Browsers send many requests at once, and connections are few. A statement that has begun may miss what was
//! committed since, so that no later caller joins it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::error::StoreError;
use crate::login::store::{Loaded, StoreKey};

type Answer = Result<Option<Loaded>, StoreError>;

/// What a load came to. Closed without an answer if the caller who asked has left.
type Awaited = watch::Receiver<Option<Answer>>;

/// The loads that wait for a connection.
#[derive(Default)]
pub(super) struct Loads(Arc<Mutex<HashMap<StoreKey, Awaited>>>);

/// Where a caller stands.
pub(super) enum Place {
    /// They ask, and tell the others.
    First(watch::Sender<Option<Answer>>, Departure),
    /// Another one asks for them.
    Behind(Awaited),
}

/// Lets others join until the statement begins, or the caller leaves.
pub(super) struct Departure {
    loads: Loads,
    key: StoreKey,
    has_left: AtomicBool,
}

impl Loads {
    pub(super) fn place(&self, key: StoreKey) -> Place {
        let mut waiting = self.lock();
        if let Some(awaited) = waiting.get(&key) {
            return Place::Behind(awaited.clone());
        }
        let (tell, awaited) = watch::channel(None);
        waiting.insert(key, awaited);
        let departure = Departure {
            loads: Self(Arc::clone(&self.0)),
            key,
            has_left: AtomicBool::new(false),
        };
        Place::First(tell, departure)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<StoreKey, Awaited>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Departure {
    pub(super) fn leave(&self) {
        if !self.has_left.swap(true, Ordering::AcqRel) {
            let closed = self.loads.lock().remove(&self.key);
            drop(closed);
        }
    }
}

impl Drop for Departure {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_first(place: &Place) -> bool {
        matches!(place, Place::First(..))
    }

    // D30, D31
    #[test]
    fn no_caller_joins_a_load_that_has_begun() {
        let loads = Loads::default();
        let (one, other) = (StoreKey::of(&["one"]), StoreKey::of(&["other"]));
        let Place::First(tell, departure) = loads.place(one) else {
            panic!("no load waits");
        };
        let Place::Behind(awaited) = loads.place(one) else {
            panic!("one waits already");
        };
        assert!(is_first(&loads.place(other)), "another session");
        departure.leave();
        let later = loads.place(one);
        assert!(is_first(&later), "it has begun");
        departure.leave();
        drop(departure);
        assert!(!is_first(&loads.place(one)), "the later one is not closed");
        tell.send_replace(Some(Ok(None)));
        assert!(matches!(*awaited.borrow(), Some(Ok(None))));
    }

    // D31
    #[test]
    fn a_caller_who_leaves_before_it_begins_wakes_those_behind() {
        let loads = Loads::default();
        let key = StoreKey::of(&["one"]);
        let first = loads.place(key);
        let Place::Behind(awaited) = loads.place(key) else {
            panic!("one waits already");
        };
        drop(first);
        assert!(awaited.has_changed().is_err(), "no answer will come");
        assert!(is_first(&loads.place(key)));
    }
}
