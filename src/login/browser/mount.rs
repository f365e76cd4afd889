//! Whether the layer stands where requests for its own paths reach it.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

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
///
/// The first request cannot tell whether the layer was added by `Router::layer` or by `route_layer`. Both of them
/// wrap every route of the router in the same way, behind the choice of the route, so that a request for a route
/// has the same extensions; they differ in the fallback alone, which answers the start path.
#[derive(Debug)]
pub(crate) struct SentToStart {
    /// Whether a browser that is sent to the start has to come to this process.
    is_alone: bool,
    sent: AtomicU32,
    /// The second of monotonic time when the first was sent, and one. Zero before.
    first_at: AtomicU64,
    has_come: AtomicBool,
    is_told: AtomicBool,
}

/// Programs that read pages do not follow every redirect, and another replica may have seen those that do.
const MANY: u32 = 10;

/// Browsers follow redirects at once, but several of their tabs can be sent at the same time. In seconds.
const SOON: u64 = 3;

impl SentToStart {
    pub(crate) fn new(is_alone: bool) -> Self {
        Self {
            is_alone,
            sent: AtomicU32::new(0),
            first_at: AtomicU64::new(0),
            has_come: AtomicBool::new(false),
            is_told: AtomicBool::new(false),
        }
    }

    /// Counts a browser that is sent to the start path, and says so where it seems to lead nowhere.
    pub(crate) fn add(&self, start: &str, by: Sender, now: Duration) {
        if self.has_come.load(Ordering::Relaxed) {
            return;
        }
        let sent = self.sent.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let is_late = || {
            let second = now.as_secs().saturating_add(1);
            let relaxed = Ordering::Relaxed;
            match self.first_at.compare_exchange(0, second, relaxed, relaxed) {
                Ok(_) => false,
                Err(first_at) => second.saturating_sub(first_at) >= SOON,
            }
        };
        let follows = self.is_alone && by == Sender::Browser;
        let leads_nowhere = sent >= MANY || (follows && is_late());
        if leads_nowhere && !self.is_told.swap(true, Ordering::Relaxed) {
            tracing::error!(
                start,
                sent,
                "browsers were sent to the sign-in, and none has come there: requests for this path probably do not \
                 reach the layer; with axum, add it by Router::layer to the outermost router, not by route_layer and \
                 not within nest; behind a proxy that takes a prefix off paths, put the prefix behind the address of \
                 the site (DOMAIN_SERVER)"
            );
        }
    }

    /// A request for the start path has come.
    pub(crate) fn has_come(&self) {
        self.has_come.store(true, Ordering::Relaxed);
    }
}

/// Who asked for a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender {
    /// It sends the metadata of its requests, and follows every redirect.
    Browser,
    Unknown,
}

impl Sender {
    pub(crate) fn of(head: &Parts) -> Self {
        if head.headers.contains_key("sec-fetch-mode") {
            Self::Browser
        } else {
            Self::Unknown
        }
    }
}
