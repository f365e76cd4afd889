//! A token from a grant: fetched once for all who want it, renewed ahead of its end, and renewed early
//! when a service refuses it, within a bound.

use std::time::Duration;

use crate::allowance::Allowance;
use crate::clock::SharedClock;
use crate::error::{OutboundError, OutboundErrorKind, ProviderError};
use crate::http_client::BoxFuture;
use crate::renew::{Fetched, Fetching, Pace, Reading, Renew};
use crate::token::live::LiveToken;
use crate::token::source::TokenSupply;

const PACE: Pace = Pace {
    what: "outbound",
    ahead: Duration::ZERO,
    soonest: Duration::ZERO,
    stale: Duration::ZERO,
    waits_when_stale: false,
    first_back_off: Duration::from_secs(1),
    longest_back_off: Duration::from_secs(60),
};

/// One token at a time.
pub(super) struct GrantedToken {
    renew: Renew<LiveToken>,
    forced: Allowance,
    clock: SharedClock,
}

impl GrantedToken {
    pub(super) fn new<F>(clock: &SharedClock, fetch: F) -> Self
    where
        F: Fn() -> BoxFuture<Result<Fetched<LiveToken>, ProviderError>> + Send + Sync + 'static,
    {
        Self {
            renew: Renew::new(clock.clone(), PACE, fetch),
            forced: Allowance::full(clock.monotonic()),
            clock: clock.clone(),
        }
    }

    /// The token, at once where it is fresh. In its last seconds a newer one is waited for. Where the
    /// provider does not answer, the old one is used to its end.
    pub(super) fn supply(&self) -> TokenSupply {
        match self.renew.read() {
            Reading::Ready(snapshot) => match &*snapshot {
                Some(snapshot) if snapshot.value.is_refused() => {
                    self.newer_than(snapshot.value.clone())
                }
                Some(snapshot) => TokenSupply::Ready(snapshot.value.clone()),
                None => TokenSupply::Refused(OutboundErrorKind::Unavailable.into()),
            },
            Reading::Wait(fetching) => {
                let (renew, clock) = (self.renew.clone(), self.clock.clone());
                TokenSupply::Wait(Box::pin(async move {
                    let landed = landed(&renew, fetching).await;
                    landed.or_else(|error| instead(error, &renew, &clock))
                }))
            }
            // Called outside of a runtime, and perhaps polled within one.
            Reading::Refused(refusal) if refusal.is_for_want_of_a_runtime() => {
                let (renew, clock) = (self.renew.clone(), self.clock.clone());
                TokenSupply::Wait(Box::pin(async move {
                    match renew.get().await {
                        Ok(snapshot) => Ok(snapshot.value.clone()),
                        Err(refusal) => {
                            let after = Some(refusal.retry_after);
                            let error = OutboundError::provider(refusal.error, after);
                            instead(error, &renew, &clock)
                        }
                    }
                }))
            }
            Reading::Refused(refusal) => {
                let error = OutboundError::provider(refusal.error, Some(refusal.retry_after));
                instead(error, &self.renew, &self.clock)
                    .map_or_else(TokenSupply::Refused, TokenSupply::Ready)
            }
        }
    }

    /// A newer token, if another grant is allowed now. Else the refused one, so that the caller gets the
    /// service's own answer.
    fn newer_than(&self, refused: LiveToken) -> TokenSupply {
        let now = self.clock.monotonic();
        let current = || {
            self.renew
                .current()
                .as_ref()
                .map(|there| there.value.clone())
        };
        // Called under the lock of `renew`, while no flight can land. A token that landed a moment ago is
        // newer already.
        let may_start =
            || current().is_none_or(|token| token.is_refused()) && self.forced.take(now);
        match self.renew.force(may_start) {
            Ok(Some(fetching)) => {
                let renew = self.renew.clone();
                TokenSupply::Wait(Box::pin(async move {
                    match landed(&renew, fetching).await {
                        Err(error) if error.kind() == OutboundErrorKind::Unavailable => Ok(refused),
                        landed => landed,
                    }
                }))
            }
            Ok(None) | Err(_) => TokenSupply::Ready(current().unwrap_or(refused)),
        }
    }
}

/// The old token instead of `error`, if it still lives and the provider was only out of reach.
fn instead(
    error: OutboundError,
    renew: &Renew<LiveToken>,
    clock: &SharedClock,
) -> Result<LiveToken, OutboundError> {
    let lives = |token: &LiveToken| {
        let until = token.expires_at();
        until.is_some_and(|until| clock.now() < until) && !token.is_refused()
    };
    match &*renew.current() {
        Some(there) if error.kind() == OutboundErrorKind::Unavailable && lives(&there.value) => {
            Ok(there.value.clone())
        }
        _ => Err(error),
    }
}

async fn landed(
    renew: &Renew<LiveToken>,
    fetching: Fetching<LiveToken>,
) -> Result<LiveToken, OutboundError> {
    match fetching.flight.landed().await {
        Ok(snapshot) => Ok(snapshot.value.clone()),
        Err(error) => {
            let refusal = renew.refusal(error);
            Err(OutboundError::provider(
                refusal.error,
                Some(refusal.retry_after),
            ))
        }
    }
}
