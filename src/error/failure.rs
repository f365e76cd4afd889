use std::error::Error;
use std::fmt;
use std::sync::Arc;

type BoxError = Box<dyn Error + Send + Sync>;

/// The content of an error about the provider or the store. `Extra` is shown neither by `Debug` nor by
/// `Display`.
#[derive(Clone)]
pub(super) struct Failure<Kind, Extra = ()> {
    pub(super) kind: Kind,
    message: String,
    source: Option<Arc<dyn Error + Send + Sync>>,
    pub(super) extra: Extra,
}

impl<Kind, Extra: Default> Failure<Kind, Extra> {
    pub(super) fn new(kind: Kind, message: String, source: Option<BoxError>) -> Arc<Self> {
        Arc::new(Self {
            kind,
            message,
            source: source.map(Into::into),
            extra: Extra::default(),
        })
    }
}

impl<Kind, Extra> fmt::Display for Failure<Kind, Extra> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl<Kind: fmt::Debug, Extra> Error for Failure<Kind, Extra> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|error| &**error as _)
    }
}

impl<Kind: fmt::Debug, Extra> fmt::Debug for Failure<Kind, Extra> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Failure")
            .field("kind", &self.kind)
            .field("message", &self.message)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}
