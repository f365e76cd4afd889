//! The tokens of a session as a source for requests that leave.

use std::sync::{Arc, Weak};

use crate::error::{LoginError, LoginErrorKind, OutboundError, OutboundErrorKind};
use crate::login::relying_party::RelyingParty;
use crate::login::sessions::handle::Session;
use crate::login::sessions::id::StoreKey;
use crate::token::live::LiveToken;
use crate::token::source::{TokenRequest, TokenSource, TokenSupply};

/// The tokens of one session, as its principal carries them. It keeps no layer alive, which keeps
/// principals.
pub(crate) struct SessionTokens {
    party: Weak<RelyingParty>,
    key: StoreKey,
}

impl SessionTokens {
    pub(crate) fn new(party: &Arc<RelyingParty>, key: StoreKey) -> Self {
        Self {
            party: Arc::downgrade(party),
            key,
        }
    }
}

impl TokenSource for SessionTokens {
    fn supply(&self, _: &TokenRequest<'_>) -> TokenSupply {
        match self.party.upgrade() {
            Some(party) => party.supply(self.key),
            None => TokenSupply::Refused(OutboundErrorKind::SessionEnded.into()),
        }
    }
}

/// The session is asked each time.
impl TokenSource for Session {
    fn supply(&self, _: &TokenRequest<'_>) -> TokenSupply {
        Arc::clone(&self.party).supply(self.key)
    }
}

impl RelyingParty {
    fn supply(self: Arc<Self>, key: StoreKey) -> TokenSupply {
        TokenSupply::Wait(Box::pin(async move {
            self.unrefused_token(key)
                .await
                .map_err(OutboundError::login)
        }))
    }

    /// The session's token, or the one after it if a service refused it. A service that refuses them
    /// all is told so by the same one: it is not the token's age.
    async fn unrefused_token(self: &Arc<Self>, key: StoreKey) -> Result<LiveToken, LoginError> {
        let opened = self.live(key, None).await?;
        let token = opened.live_token()?;
        if !token.is_refused() {
            return Ok(token);
        }
        if !self.is_rotating(key) && !self.opened.may_force(&opened) {
            // Whoever was allowed to may have renewed it just now.
            return self.live(key, None).await?.live_token();
        }
        match self.live(key, Some(opened.generation)).await {
            Ok(newer) => newer.live_token(),
            // It cannot be renewed for now: what the service has against it is what counts.
            Err(error) if error.kind() == LoginErrorKind::ProviderUnavailable => Ok(token),
            Err(error) => Err(error),
        }
    }
}
