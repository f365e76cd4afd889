//! Tells operators why tokens are refused and what to do about it. Bad tokens cannot fill the log.

use http::request::Parts;

use crate::bearer::place::Place;
use crate::bearer::places::Flaw;
use crate::error::{Chain, VerifyError};
use crate::gate::route::Route;
use crate::gate::same_origin::PROVE_ORIGIN;
use crate::log_pace::LogPace;
use crate::verify::Verifier;

pub(super) struct RefusalLog(LogPace<CAUSES>);

/// At least the number of kinds of refusal, and two more for credentials that are no token and for two tokens.
const CAUSES: usize = 32;

const NO_CREDENTIALS: usize = CAUSES - 1;

const DIFFERENT_TOKENS: usize = CAUSES - 2;

impl RefusalLog {
    pub(super) fn new(verifier: &Verifier) -> Self {
        Self(LogPace::new(verifier.clock()))
    }

    /// A token is refused, which stood in this place. `None`: in the only one.
    pub(super) fn tell(&self, error: &VerifyError, place: Option<&Place>, head: &Parts) {
        let (kind, route) = (error.kind().as_str(), Route(head));
        let token_in = place.map(tracing::field::display);
        if !self.0.is_due(error.kind() as usize) {
            tracing::debug!(kind, error = %Chain(error), remedy = error.remedy(), token_in, %route, "refused a token");
        } else if error.kind().is_structural() || error.retry_after().is_some() {
            tracing::warn!(kind, error = %Chain(error), remedy = error.remedy(), token_in, %route, "refused a token");
        } else {
            tracing::info!(kind, error = %Chain(error), remedy = error.remedy(), token_in, %route, "refused a token");
        }
    }

    /// No one token could be taken from the request.
    pub(super) fn tell_flaw(&self, flaw: &Flaw<'_>, head: &Parts) {
        let route = Route(head);
        match flaw {
            Flaw::NotOneToken(place) => {
                let remedy = place.remedy();
                if self.0.is_due(NO_CREDENTIALS) {
                    tracing::info!(remedy, %route, "refused credentials that are not one bearer token");
                } else {
                    tracing::debug!(remedy, %route, "refused credentials that are not one bearer token");
                }
            }
            Flaw::Different(first, second) => {
                let remedy =
                    format!("send the token in {first} or in {second} alone, or the same in both");
                if self.0.is_due(DIFFERENT_TOKENS) {
                    tracing::info!(remedy, %route, "refused two different tokens in two places");
                } else {
                    tracing::debug!(remedy, %route, "refused two different tokens in two places");
                }
            }
            Flaw::CrossOrigin(place, proof) => {
                let remedy = format!(
                    "{PROVE_ORIGIN}; the token stood in {place}, which browsers and proxies fill by themselves, so a \
                     program has to send it in the Authorization field"
                );
                if !proof.tell_if_due(head, &remedy) {
                    tracing::debug!(remedy, %route, "refused a request that does not prove its origin");
                }
            }
        }
    }
}
