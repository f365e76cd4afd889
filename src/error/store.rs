use std::sync::Arc;

use crate::error::failure::Failure;
use crate::error::kinds::kinds;

/// An operation of the session store failed. The session itself is not at fault. Cheap to clone.
#[derive(Debug, Clone, thiserror::Error)]
#[error(transparent)]
pub struct StoreError(Arc<Failure<StoreErrorKind>>);

struct Facts {
    name: &'static str,
}

kinds! {
    /// The kind of a [`StoreError`].
    pub enum StoreErrorKind: Facts {
        /// The store cannot be reached, or does not answer in time.
        Unavailable { name: "unavailable" }
        /// The key of a new record exists already.
        Taken { name: "taken" }
        /// A record was written by a newer version of this crate.
        TooNew { name: "too_new" }
        /// A record cannot be read.
        Damaged { name: "damaged" }
    }
}

impl StoreError {
    /// An error with a message for the log.
    #[must_use]
    pub fn new(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self(Failure::new(kind, message.into(), None))
    }

    /// The same with the error that caused it. Neither may contain anything that is stored.
    #[must_use]
    pub fn caused(
        kind: StoreErrorKind,
        message: impl Into<String>,
        source: Box<dyn std::error::Error + Send + Sync>,
    ) -> Self {
        Self(Failure::new(kind, message.into(), Some(source)))
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> StoreErrorKind {
        self.0.kind
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::kinds::check_names;

    #[test]
    fn names_are_labels_and_texts_are_of_one_form() {
        check_names(StoreErrorKind::ALL, StoreErrorKind::as_str);
    }
}
