//! The tokens of a session as a source for requests that leave.

use std::sync::Arc;

use crate::error::{LoginError, LoginErrorKind, OutboundError, OutboundErrorKind};
use crate::login::sessions::handle::Session;
use crate::login::sessions::opened::Opened;
use crate::login::sessions::origin::OfSession;
use crate::login::sessions::{Asked, Need, Sessions};
use crate::login::store::StoreKey;
use crate::token::live::LiveToken;
use crate::token::source::{TokenRequest, TokenSource, TokenSupply};
use crate::token::target::Target;

/// The tokens of one session, as its principal carries them.
impl TokenSource for OfSession {
    fn supply(&self, _: &TokenRequest<'_>) -> TokenSupply {
        match self.sessions.upgrade() {
            Some(sessions) => sessions.supply(self.key),
            None => TokenSupply::Refused(OutboundErrorKind::SessionEnded.into()),
        }
    }

    fn supply_for(&self, target: &Target, _: &TokenRequest<'_>) -> TokenSupply {
        match self.sessions.upgrade() {
            Some(sessions) => sessions.supply_for(self.key, target),
            None => TokenSupply::Refused(OutboundErrorKind::SessionEnded.into()),
        }
    }
}

/// The session is asked each time.
impl TokenSource for Session {
    fn supply(&self, _: &TokenRequest<'_>) -> TokenSupply {
        Arc::clone(&self.sessions).supply(self.key)
    }

    fn supply_for(&self, target: &Target, _: &TokenRequest<'_>) -> TokenSupply {
        Arc::clone(&self.sessions).supply_for(self.key, target)
    }
}

impl Sessions {
    fn supply_for(self: Arc<Self>, key: StoreKey, target: &Target) -> TokenSupply {
        if let Some(token) = self.target_at_hand(key, target) {
            return TokenSupply::Ready(token);
        }
        let target = target.clone();
        TokenSupply::Wait(Box::pin(async move {
            let token = self.token_for(key, &target).await;
            token.map_err(OutboundError::login)
        }))
    }

    fn supply(self: Arc<Self>, key: StoreKey) -> TokenSupply {
        if let Some(token) = self.at_hand(key) {
            return TokenSupply::Ready(token);
        }
        TokenSupply::Wait(Box::pin(async move {
            self.unrefused_token(key)
                .await
                .map_err(OutboundError::login)
        }))
    }

    /// The token of a session that the request at hand was admitted by: it is not loaded a second time.
    fn at_hand(&self, key: StoreKey) -> Option<LiveToken> {
        let opened = self.opener.cache.last(key)?;
        let Asked { wall, asked_at } = Asked::now(&self.clock);
        let is_current = || {
            let peeked = self.ledger.peek(key);
            peeked.is_some_and(|peeked| peeked.tag == opened.tag)
        };
        let is_live =
            opened.was_live(asked_at) && self.is_within_exp(&opened, wall) && is_current();
        let token = opened.live_token().ok().filter(|_| is_live)?;
        (!token.is_refused()).then_some(token)
    }

    /// Whether to wait for newer tokens because a service refused one: where they are on their way, or within the
    /// session's allowance.
    pub(crate) fn may_force(&self, key: StoreKey, opened: &Opened) -> bool {
        self.renewals.is_under_way(key) || self.opener.cache.may_force(opened)
    }

    /// The session's token, or the one after it if a service refused it. A service that refuses them all is
    /// shown the same one again: its age is not the reason.
    async fn unrefused_token(self: &Arc<Self>, key: StoreKey) -> Result<LiveToken, LoginError> {
        let opened = self.live(key, Need::Token).await?;
        let token = opened.live_token()?;
        if !token.is_refused() {
            return Ok(token);
        }
        if !self.may_force(key, &opened) {
            // The task that was allowed to may have refreshed it just now.
            return self.live(key, Need::Token).await?.live_token();
        }
        match self
            .live(key, Need::TokenAfter(opened.token_generation()))
            .await
        {
            Ok(newer) => newer.live_token(),
            // It cannot be refreshed for now: what the service has against it is what counts.
            Err(error) if error.kind() == LoginErrorKind::ProviderUnavailable => Ok(token),
            Err(error) => Err(error),
        }
    }
}
