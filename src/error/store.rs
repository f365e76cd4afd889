use std::fmt;
use std::sync::Arc;

/// A session store did not do what it was asked. The session is not at fault.
#[derive(Clone)]
pub struct StoreError(Arc<StoreFailure>);

struct StoreFailure {
    kind: StoreErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The causes of a [`StoreError`], a closed set of words fit for a metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The store cannot be reached, or did not answer in time.
    Unavailable,
    /// A key that was to be new is taken.
    Taken,
    /// A record was written by a newer version of this crate.
    TooNew,
    /// A record is damaged.
    Damaged,
}

impl StoreError {
    /// An error of a store.
    #[must_use]
    pub fn new(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self(Arc::new(StoreFailure {
            kind,
            message: message.into(),
            source: None,
        }))
    }

    /// An error of a store, with its cause. Neither may hold what was stored.
    #[must_use]
    pub fn caused(
        kind: StoreErrorKind,
        message: impl Into<String>,
        source: Box<dyn std::error::Error + Send + Sync>,
    ) -> Self {
        Self(Arc::new(StoreFailure {
            kind,
            message: message.into(),
            source: Some(source),
        }))
    }

    /// The cause.
    #[must_use]
    pub fn kind(&self) -> StoreErrorKind {
        self.0.kind
    }
}

impl fmt::Debug for StoreError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("StoreError")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("source", &self.0.source)
            .finish()
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.message)
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|error| &**error as _)
    }
}
