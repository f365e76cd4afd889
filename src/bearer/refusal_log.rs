//! Tells operators why tokens are refused and what to do about it. Bad tokens cannot fill the log.

use http::request::Parts;

use crate::clock::SharedClock;
use crate::error::{Chain, VerifyError};
use crate::gate::route::Route;
use crate::log_pace::LogPace;
use crate::verify::Verifier;

pub(super) struct RefusalLog(LogPace<CAUSES>);

/// At least the number of kinds of refusal, and one more for credentials that are no token.
const CAUSES: usize = 32;

const NO_CREDENTIALS: usize = CAUSES - 1;

impl RefusalLog {
    pub(super) fn new(verifier: &Verifier) -> Self {
        let clock = verifier
            .providers()
            .next()
            .map_or_else(SharedClock::system, |provider| provider.clock().clone());
        Self(LogPace::new(clock))
    }

    pub(super) fn tell(&self, error: &VerifyError, head: &Parts) {
        let (kind, route) = (error.kind().as_str(), Route(head));
        if !self.0.is_due(error.kind() as usize) {
            tracing::debug!(kind, error = %Chain(error), remedy = error.remedy(), %route, "refused a token");
        } else if error.kind().is_structural() || error.retry_after().is_some() {
            tracing::warn!(kind, error = %Chain(error), remedy = error.remedy(), %route, "refused a token");
        } else {
            tracing::info!(kind, error = %Chain(error), remedy = error.remedy(), %route, "refused a token");
        }
    }

    /// The `Authorization` field is not one bearer token.
    pub(super) fn tell_malformed(&self, head: &Parts) {
        let route = Route(head);
        let remedy =
            "send one Authorization field: Bearer, one space and the token as it was issued";
        if self.0.is_due(NO_CREDENTIALS) {
            tracing::info!(remedy, %route, "refused credentials that are not one bearer token");
        } else {
            tracing::debug!(remedy, %route, "refused credentials that are not one bearer token");
        }
    }
}
