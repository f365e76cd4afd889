//! Tokens that stand for callers elsewhere, one for each of their own.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use crate::clock::SharedClock;
use crate::error::OutboundErrorKind;
use crate::error::ProviderError;
use crate::http_client::BoxFuture;
use crate::outbound::kept::KeptToken;
use crate::outbound::relay::callers;
use crate::principal::Principal;
use crate::renew::Fetched;
use crate::secret::sha256;
use crate::token::live::LiveToken;
use crate::token::source::{Asked, Supply};

/// How one token is exchanged for another.
pub(super) trait Exchange: Send + Sync + 'static {
    /// Whether this caller's token may be exchanged.
    fn admits(&self, principal: &Principal) -> Result<(), OutboundErrorKind>;

    fn exchange(
        self: &Arc<Self>,
        subject: LiveToken,
    ) -> BoxFuture<Result<Fetched<LiveToken>, ProviderError>>;
}

/// Found by the hash of the caller's token, so that nobody gets what was made of another's.
pub(super) struct Exchanged<E> {
    exchange: Arc<E>,
    kept: Cache<[u8; 32], Arc<KeptToken>>,
    clock: SharedClock,
}

/// Callers remembered at once.
const MOST: u64 = 10_000;

/// A caller who has been quiet for so long is forgotten.
const IDLE: Duration = Duration::from_secs(600);

impl<E: Exchange> Exchanged<E> {
    pub(super) fn new(exchange: E, clock: &SharedClock) -> Arc<Self> {
        Arc::new(Self {
            exchange: Arc::new(exchange),
            kept: Cache::builder()
                .max_capacity(MOST)
                .time_to_idle(IDLE)
                .build(),
            clock: clock.clone(),
        })
    }

    pub(super) fn exchange(&self) -> &E {
        &self.exchange
    }

    /// A token for the caller of this request.
    pub(super) fn supply(self: &Arc<Self>, asked: &Asked<'_>) -> Supply {
        let (principal, source) = match callers(asked) {
            Ok(found) => found,
            Err(kind) => return Supply::Refused(kind.into()),
        };
        if let Err(kind) = self.exchange.admits(principal) {
            return Supply::Refused(kind.into());
        }
        match source.supply(asked) {
            Supply::Ready(subject) => self.of(subject),
            Supply::Wait(subject) => {
                let exchanged = Arc::clone(self);
                Supply::Wait(Box::pin(async move {
                    exchanged.of(subject.await?).token().await
                }))
            }
            Supply::Refused(error) => Supply::Refused(error),
        }
    }

    fn of(&self, subject: LiveToken) -> Supply {
        let mut key = [0; 32];
        key.copy_from_slice(sha256(subject.as_access_token().as_str()).as_ref());
        let kept = self.kept.get_with(key, || {
            let exchange = Arc::clone(&self.exchange);
            Arc::new(KeptToken::new(&self.clock, move || {
                exchange.exchange(subject.clone())
            }))
        });
        kept.supply()
    }
}
