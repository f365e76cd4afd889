use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use crate::clock::SharedClock;
use crate::log_pace::LogPace;
use crate::streams::service::StreamExpiry;

/// Ends the streams of responses when the caller's token or session ends. See the [module](crate::streams) for the
/// rule. It goes inside of [`BearerLayer`](crate::BearerLayer) or `LoginLayer`.
#[doc(alias = "server-sent events")]
#[must_use]
#[derive(Debug, Clone)]
pub struct StreamExpiryLayer {
    grace: Duration,
    /// How often the log tells of requests that no layer has verified.
    unverified: Arc<LogPace>,
}

impl StreamExpiryLayer {
    /// Ends streams when their callers are accepted no longer.
    pub fn new() -> Self {
        Self {
            grace: Duration::ZERO,
            unverified: Arc::new(LogPace::new(SharedClock::system())),
        }
    }

    /// How long a stream goes on after its caller's token is accepted no longer, which is after the verifier's
    /// [leeway](crate::VerifierBuilder::with_leeway): for clients that fetch a token only when one is refused.
    /// Default: not at all. In whole seconds. A revoked token and a session that is over get no grace.
    ///
    /// # Security
    /// A client goes on for so long with a token that is refused at each new request.
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }
}

impl Default for StreamExpiryLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for StreamExpiryLayer {
    type Service = StreamExpiry<S>;

    fn layer(&self, inner: S) -> StreamExpiry<S> {
        StreamExpiry::new(inner, self.grace, Arc::clone(&self.unverified))
    }
}
