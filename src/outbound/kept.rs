//! Tokens that grants bring, kept for whoever asks: one flight for all, renewed ahead, and by force
//! only within a bound.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::allowance::Allowance;
use crate::clock::{SharedClock, UnixTime};
use crate::error::{Chain, OutboundError, OutboundErrorKind, ProviderError, ProviderErrorKind};
use crate::flight::Flight;
use crate::http_client::BoxFuture;
use crate::observe;
use crate::provider::target::Target;
use crate::provider::token_endpoint::{GrantFailure, TokenAnswer};
use crate::provider::{Client, Provider};
use crate::renew::{Fetched, Outcome, Pace, Reading, Renew};
use crate::token::lifetime::{Windows, token_lifetime};
use crate::token::live::LiveToken;
use crate::token::source::Supply;

/// One client that makes grants for one target.
pub(super) struct Granter {
    provider: Provider,
    client: Client,
    target: Target,
    /// Numbers the tokens.
    granted: AtomicU64,
    permits: Semaphore,
}

/// How many grants are under way at once; others wait.
const MOST_GRANTS: usize = 64;

/// Until the next attempt where waiting mends nothing.
const LONG_PAUSE: Duration = Duration::from_secs(60);

const PACE: Pace = Pace {
    what: "outbound",
    ahead: Duration::ZERO,
    stale: Duration::ZERO,
    first_back_off: Duration::from_secs(1),
    longest_back_off: Duration::from_secs(60),
};

impl Granter {
    pub(super) fn new(provider: &Provider, client: Client, target: Target) -> Self {
        Self {
            provider: provider.clone(),
            client,
            target,
            granted: AtomicU64::new(0),
            permits: Semaphore::new(MOST_GRANTS),
        }
    }

    pub(super) fn clock(&self) -> &SharedClock {
        self.provider.clock()
    }

    pub(super) fn show(&self, name: &str, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct(name)
            .field("client", &self.client)
            .field("target", &self.target)
            .finish_non_exhaustive()
    }

    /// Makes one grant. The token counts no longer than `until`, if that is known.
    pub(super) async fn grant(
        &self,
        parameters: &[(&str, &str)],
        until: Option<UnixTime>,
        check: impl Fn(&TokenAnswer) -> Result<(), ProviderError> + Send,
    ) -> Result<Fetched<LiveToken>, ProviderError> {
        // Never closed.
        let _permit = self.permits.acquire().await;
        let form: Vec<_> = parameters
            .iter()
            .copied()
            .chain(self.target.parameters())
            .collect();
        let granted = match self.provider.grant(&self.client, &form).await {
            Ok(answer) => check(&answer).and_then(|()| self.read(&answer, until)),
            Err(failure) => Err(put_off(failure)),
        };
        match &granted {
            Ok(_) => observe::granted("granted"),
            Err(error) => {
                let kind = error.kind().as_str();
                observe::granted(kind);
                tracing::warn!(kind, error = %Chain(error), "no token for requests that leave");
            }
        }
        granted
    }

    fn read(
        &self,
        answer: &TokenAnswer,
        until: Option<UnixTime>,
    ) -> Result<Fetched<LiveToken>, ProviderError> {
        let text = answer.access_token.expose();
        let now = self.clock().now();
        let until = match (crate::jwt::expiry(text), until) {
            (Some(own), Some(until)) => Some(own.min(until)),
            (one, None) | (None, one) => one,
        };
        let lifetime = token_lifetime(now, answer.expires_in, until);
        let token = LiveToken::new(text)
            .map_err(|error| {
                ProviderError::new(ProviderErrorKind::InvalidAnswer, error.to_string())
            })?
            .with_generation(self.granted.fetch_add(1, Ordering::Relaxed))
            .with_expiry(now.saturating_add(lifetime));
        let windows = Windows::of(i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX));
        let window = |seconds: i64| Duration::from_secs(seconds.unsigned_abs());
        Ok(Fetched {
            value: token,
            fresh_for: lifetime.saturating_sub(window(windows.first)),
            ahead: Some(window(windows.behind - windows.first)),
        })
    }
}

/// The error, and how long the next attempt is put off by it.
fn put_off(failure: GrantFailure) -> ProviderError {
    match failure {
        GrantFailure::Rejected(error) | GrantFailure::Misconfigured(error) => {
            error.with_pause(LONG_PAUSE)
        }
        GrantFailure::Unspent(error, asked) => error.with_pause(asked.unwrap_or_default()),
        GrantFailure::Uncertain(error) => error,
    }
}

/// One token.
pub(super) struct KeptToken {
    renew: Renew<LiveToken>,
    forced: Allowance,
    clock: SharedClock,
}

impl KeptToken {
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

    /// The token, at once where it is fresh. In its last seconds a newer one is waited for, and the old one
    /// used where none is to be had.
    pub(super) fn supply(&self) -> Supply {
        match self.renew.read() {
            Reading::Ready(snapshot) => match &*snapshot {
                Some(snapshot) if snapshot.value.is_refused() => {
                    self.newer_than(snapshot.value.clone())
                }
                Some(snapshot) => Supply::Ready(snapshot.value.clone()),
                None => Supply::Refused(OutboundErrorKind::Unavailable.into()),
            },
            Reading::Wait(flight) => {
                let (renew, clock) = (self.renew.clone(), self.clock.clone());
                Supply::Wait(Box::pin(async move {
                    let landed = landed(&renew, flight).await;
                    landed.or_else(|error| instead(error, &renew, &clock))
                }))
            }
            Reading::Refused(refusal) => {
                let error = OutboundError::provider(refusal.error, Some(refusal.retry_after));
                instead(error, &self.renew, &self.clock).map_or_else(Supply::Refused, Supply::Ready)
            }
        }
    }

    /// A newer one, if one may be asked for; else this one, so that whoever calls is told what the
    /// service has against it.
    fn newer_than(&self, refused: LiveToken) -> Supply {
        let now = self.clock.monotonic();
        let current = || {
            self.renew
                .current()
                .as_ref()
                .map(|there| there.value.clone())
        };
        // Asked where no flight can land meanwhile: what landed just now is newer.
        let may_start =
            || current().is_none_or(|token| token.is_refused()) && self.forced.take(now);
        match self.renew.force(may_start) {
            Ok(Some(flight)) => {
                let renew = self.renew.clone();
                Supply::Wait(Box::pin(async move {
                    match landed(&renew, flight).await {
                        Err(error) if error.kind() == OutboundErrorKind::Unavailable => Ok(refused),
                        landed => landed,
                    }
                }))
            }
            Ok(None) | Err(_) => Supply::Ready(current().unwrap_or(refused)),
        }
    }
}

/// The token there is, where it still lives and nobody says that there is to be no other.
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
    flight: Flight<Outcome<LiveToken>>,
) -> Result<LiveToken, OutboundError> {
    match flight.landed().await {
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
