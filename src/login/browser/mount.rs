//! Whether the layer stands where requests for its own paths reach it.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use http::request::Parts;

/// The prefix that routers around the layer took off the path of this request, if they did. Browsers would look for
/// the layer's own paths without it.
#[cfg(feature = "axum")]
pub(crate) fn nested_below(head: &Parts) -> Option<&str> {
    let asked = head.extensions.get::<::axum::extract::OriginalUri>()?;
    let prefix = asked.0.path().strip_suffix(head.uri.path())?;
    (!prefix.is_empty()).then_some(prefix)
}

#[cfg(not(feature = "axum"))]
pub(crate) fn nested_below(_: &Parts) -> Option<&str> {
    None
}

/// Browsers that were sent to the start of a sign-in, until the first of them comes there.
#[derive(Debug, Default)]
pub(crate) struct SentToStart {
    sent: AtomicU32,
    has_come: AtomicBool,
}

/// Programs that read pages do not follow every redirect, and another replica may have seen those that do.
const MANY: u32 = 10;

impl SentToStart {
    /// Counts a browser that is sent to the start path, and says so where it seems to lead nowhere.
    pub(crate) fn add(&self, start: &str) {
        let is_open = !self.has_come.load(Ordering::Relaxed);
        if is_open && self.sent.fetch_add(1, Ordering::Relaxed) + 1 == MANY {
            tracing::error!(
                start,
                "{MANY} browsers were sent to the sign-in, and none has come there: requests for this path \
                 probably do not reach the layer; add it by Router::layer to the outermost router, not by \
                 route_layer and not within nest"
            );
        }
    }

    /// A request for the start path has come.
    pub(crate) fn has_come(&self) {
        self.has_come.store(true, Ordering::Relaxed);
    }
}
