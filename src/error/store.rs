use std::sync::Arc;

use crate::error::failure::Failure;
use crate::error::kinds::kinds;

/// A session store did not do what it was asked. The session is not at fault. Cheap to clone.
#[derive(Debug, Clone, thiserror::Error)]
#[error(transparent)]
pub struct StoreError(Arc<Failure<StoreErrorKind>>);

struct Facts {
    name: &'static str,
}

kinds! {
    /// The causes of a [`StoreError`], a closed set of words fit for a metric's label.
    pub enum StoreErrorKind: Facts {
        /// The store cannot be reached, or did not answer in time.
        Unavailable { name: "unavailable" }
        /// A key that was to be new is taken.
        Taken { name: "taken" }
        /// A record was written by a newer version of this crate.
        TooNew { name: "too_new" }
        /// A record is damaged.
        Damaged { name: "damaged" }
    }
}

impl StoreError {
    /// An error of a store.
    #[must_use]
    pub fn new(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self(Failure::new(kind, message.into(), None))
    }

    /// An error of a store, with its cause. Neither may hold what was stored.
    #[must_use]
    pub fn caused(
        kind: StoreErrorKind,
        message: impl Into<String>,
        source: Box<dyn std::error::Error + Send + Sync>,
    ) -> Self {
        Self(Failure::new(kind, message.into(), Some(source)))
    }

    /// The cause.
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
