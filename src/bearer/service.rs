use std::fmt;
use std::sync::Arc;

use http::Response;
use http::request::Parts;

use crate::bearer::layer::Settings;
use crate::gate::answer::{EmptyBody, OnRefusal, Rejection, RejectionKind};
use crate::gate::{Anonymous, Gate, Gated, Verdict};
#[cfg(feature = "outbound")]
use crate::live_token::LiveToken;
use crate::principal::Principal;
use crate::token::credentials;
use crate::verify::Decision;

/// A service behind a check of bearer tokens. Made by [`BearerLayer`](crate::BearerLayer).
pub type Bearer<S, R = EmptyBody> = Gated<S, BearerGate<R>>;

/// The decision of [`BearerLayer`](crate::BearerLayer).
#[derive(Clone)]
pub struct BearerGate<R> {
    settings: Arc<Settings>,
    on_refusal: R,
}

impl<R> BearerGate<R> {
    pub(super) fn new(settings: Settings, on_refusal: R) -> Self {
        Self {
            settings: Arc::new(settings),
            on_refusal,
        }
    }
}

impl<R> fmt::Debug for BearerGate<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("BearerGate")
            .field("verifier", &self.settings.verifier)
            .finish_non_exhaustive()
    }
}

impl<B, R: OnRefusal<B> + Clone> Gate<B> for BearerGate<R> {
    type Answer = Rejection;
    type Kept = ();

    fn check(&self, parts: Parts) -> Verdict<Rejection> {
        self.settings.check(parts)
    }

    fn answer(&self, rejection: Rejection) -> Response<B> {
        rejection.into_response(&self.settings.challenges, &self.on_refusal)
    }

    fn finish(&self, (): (), response: &mut Response<B>) {
        // A requirement further in knows what is lacking; this layer knows how to say where to
        // get it.
        if response.status().is_client_error()
            && let Some(rejection) = response.extensions().get::<Rejection>().cloned()
        {
            rejection.set_challenge(response, &self.settings.challenges);
        }
    }
}

impl Settings {
    // Into the service that is built elsewhere: else the request's head is moved twice more.
    #[inline]
    fn check(self: &Arc<Self>, mut parts: Parts) -> Verdict<Rejection> {
        let token = match credentials(&parts.headers) {
            Ok(Some(token)) => token,
            Ok(None) => return self.without_token(parts),
            Err(_) => return Verdict::Answer(Rejection::new(RejectionKind::Malformed)),
        };
        match self.verifier.decide(token) {
            Decision::Accept(principal) => {
                let principal = self.kept(principal, token);
                parts.extensions.insert(principal);
                Verdict::Pass(parts, ())
            }
            Decision::Refuse(error) => {
                self.log.tell(&error);
                Verdict::Answer(error.into())
            }
            Decision::Wait(keys) => {
                let token = token.to_owned();
                let settings = Arc::clone(self);
                Verdict::Wait(Box::pin(async move {
                    match settings.verifier.decide_after(&token, keys).await {
                        Ok(principal) => {
                            let principal = settings.kept(principal, &token);
                            parts.extensions.insert(principal);
                            Verdict::Pass(parts, ())
                        }
                        Err(error) => {
                            settings.log.tell(&error);
                            Verdict::Answer(error.into())
                        }
                    }
                }))
            }
        }
    }

    /// The principal, with its token where that may be sent on.
    #[cfg(feature = "outbound")]
    #[inline]
    fn kept(&self, principal: Principal, token: &[u8]) -> Principal {
        if self.relays {
            relayable(principal, token)
        } else {
            principal
        }
    }

    #[cfg(not(feature = "outbound"))]
    #[expect(clippy::unused_self, reason = "as with the feature")]
    fn kept(&self, principal: Principal, _: &[u8]) -> Principal {
        principal
    }

    fn without_token(&self, mut parts: Parts) -> Verdict<Rejection> {
        if !self.anonymous {
            return Verdict::Answer(self.no_token.clone());
        }
        parts.extensions.remove::<Principal>();
        parts.extensions.insert(Anonymous);
        Verdict::Pass(parts, ())
    }
}

#[cfg(feature = "outbound")]
fn relayable(principal: Principal, token: &[u8]) -> Principal {
    match std::str::from_utf8(token).map(LiveToken::new) {
        Ok(Ok(token)) => {
            let token = token.with_expiry(principal.expires_at());
            principal.with_source(Arc::new(token))
        }
        _ => principal,
    }
}
