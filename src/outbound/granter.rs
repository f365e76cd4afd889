//! Grants for requests that leave: one client, one target.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::clock::{SharedClock, UnixTime};
use crate::error::{Chain, ProviderError, ProviderErrorKind};
use crate::observe;
use crate::provider::client::token_endpoint::{GrantFailure, TokenAnswer};
use crate::provider::{Client, Provider};
use crate::renew::Fetched;
use crate::token::lifetime::{Windows, stated_expiry, token_lifetime};
use crate::token::live::LiveToken;
use crate::token::source::DrainFuture;
use crate::token::target::Target;

/// Makes grants for one client and one target.
pub(super) struct Granter {
    provider: Provider,
    client: Client,
    target: Target,
    /// The number of the next token.
    next: AtomicU64,
    permits: Semaphore,
    is_draining: AtomicBool,
}

/// Grants under way at once. Others wait.
const MOST_GRANTS: u32 = 64;

/// How long a grant waits for others to end.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Before the next attempt, where a setting or the user must change something first.
const LONG_PAUSE: Duration = Duration::from_secs(60);

impl Granter {
    pub(super) fn new(provider: &Provider, client: Client, target: Target) -> Self {
        Self {
            provider: provider.clone(),
            client,
            target,
            next: AtomicU64::new(0),
            permits: Semaphore::new(MOST_GRANTS as usize),
            is_draining: AtomicBool::new(false),
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

    /// Starts no grant from the call on, and waits for those under way.
    pub(super) fn drain(self: &Arc<Self>, deadline: Duration) -> DrainFuture {
        self.is_draining.store(true, Ordering::SeqCst);
        let granter = Arc::clone(self);
        Box::pin(async move {
            // A grant holds a permit as long as it lasts.
            let all = granter.permits.acquire_many(MOST_GRANTS);
            tokio::time::timeout(deadline, all).await.is_ok()
        })
    }

    /// Makes one grant. The token lives until `until` at most, if that is given.
    pub(super) async fn grant(
        &self,
        parameters: &[(&str, &str)],
        until: Option<UnixTime>,
        check: impl Fn(&TokenAnswer) -> Result<(), ProviderError> + Send,
    ) -> Result<Fetched<LiveToken>, ProviderError> {
        let waited = tokio::time::timeout(LONGEST_WAIT, self.permits.acquire());
        let Ok(Ok(_permit)) = waited.await else {
            observe::granted(ProviderErrorKind::TimedOut.as_str());
            return Err(ProviderError::new(
                ProviderErrorKind::TimedOut,
                "no token was asked for: too many grants are under way, because the token endpoint \
                 answers slowly or not at all",
            ));
        };
        if self.is_draining.load(Ordering::SeqCst) {
            return Err(ProviderError::new(
                ProviderErrorKind::Stopping,
                "no token is granted any more: this process is stopping",
            ));
        }
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
                tracing::warn!(kind, error = %Chain(error), "the grant of a token for outgoing requests failed");
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
        let until = match (stated_expiry(text), until) {
            (Some(own), Some(until)) => Some(own.min(until)),
            (one, None) | (None, one) => one,
        };
        let lifetime = token_lifetime(now, answer.expires_in, until);
        let token = LiveToken::new(text)
            .map_err(|error| {
                ProviderError::new(ProviderErrorKind::InvalidAnswer, error.to_string())
            })?
            .with_generation(self.next.fetch_add(1, Ordering::Relaxed))
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

/// The error, with the pause before the next attempt.
fn put_off(failure: GrantFailure) -> ProviderError {
    match failure {
        GrantFailure::Rejected(error) | GrantFailure::Misconfigured(error) => {
            error.with_pause(LONG_PAUSE)
        }
        GrantFailure::Unspent(error, asked) => error.with_pause(asked.unwrap_or_default()),
        GrantFailure::Uncertain(error) => error,
    }
}
