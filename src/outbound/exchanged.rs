//! Exchanged tokens, one for each token of a caller.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use crate::clock::SharedClock;
use crate::error::OutboundErrorKind;
use crate::error::ProviderError;
use crate::http_client::BoxFuture;
use crate::outbound::granted_token::GrantedToken;
use crate::outbound::relay::callers;
use crate::principal::Principal;
use crate::renew::Fetched;
use crate::secret::sha256;
use crate::token::live::LiveToken;
use crate::token::source::{TokenRequest, TokenSupply};

/// How one token is exchanged for another.
pub(super) trait Exchange: Send + Sync + 'static {
    /// Whether this caller's token may be exchanged.
    fn admits(&self, principal: &Principal) -> Result<(), OutboundErrorKind>;

    fn exchange(
        self: &Arc<Self>,
        subject: LiveToken,
    ) -> BoxFuture<Result<Fetched<LiveToken>, ProviderError>>;
}

/// Each is found by the hash of the caller's own token, so no caller gets a token that was exchanged for
/// another's.
pub(super) struct Exchanged<E> {
    exchange: Arc<E>,
    tokens: Cache<[u8; 32], Arc<GrantedToken>>,
    clock: SharedClock,
}

/// Tokens kept at once.
const MOST: u64 = 10_000;

/// A token that was not used for so long is dropped.
const IDLE: Duration = Duration::from_secs(600);

impl<E: Exchange> Exchanged<E> {
    pub(super) fn new(exchange: E, clock: &SharedClock) -> Arc<Self> {
        Arc::new(Self {
            exchange: Arc::new(exchange),
            tokens: Cache::builder()
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
    pub(super) fn supply(self: &Arc<Self>, request: &TokenRequest<'_>) -> TokenSupply {
        let (principal, source) = match callers(request) {
            Ok(found) => found,
            Err(kind) => return TokenSupply::Refused(kind.into()),
        };
        if let Err(kind) = self.exchange.admits(principal) {
            return TokenSupply::Refused(kind.into());
        }
        match source.supply(request) {
            TokenSupply::Ready(subject) => self.of(subject),
            TokenSupply::Wait(subject) => {
                let exchanged = Arc::clone(self);
                TokenSupply::Wait(Box::pin(async move {
                    exchanged.of(subject.await?).token().await
                }))
            }
            TokenSupply::Refused(error) => TokenSupply::Refused(error),
        }
    }

    fn of(&self, subject: LiveToken) -> TokenSupply {
        let mut key = [0; 32];
        key.copy_from_slice(sha256(subject.as_access_token().as_str()).as_ref());
        let token = self.tokens.get_with(key, || {
            let exchange = Arc::clone(&self.exchange);
            Arc::new(GrantedToken::new(&self.clock, move || {
                exchange.exchange(subject.clone())
            }))
        });
        token.supply()
    }
}
