use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::clock::UnixTime;
use crate::error::{LoginError, LoginErrorKind as Kind};
use crate::login::relying_party::{RelyingParty, Standing};
use crate::login::sessions::id::StoreKey;
use crate::login::sessions::opened::Opened;
use crate::principal::{ClaimsError, Principal, fit};
use crate::token::live::LiveToken;

/// A signed-in browser. It stands in the extensions of the request beside the
/// [`Principal`](crate::Principal), and can be kept as long as there is use for it: by a stream, a
/// socket, a job.
///
/// It never hands out a token that ages: [`access_token`](Self::access_token) asks the session each
/// time. The refresh token is not to be had at all.
#[derive(Clone)]
pub struct Session {
    pub(crate) party: Arc<RelyingParty>,
    pub(crate) key: StoreKey,
    opened: Arc<Opened>,
}

impl Session {
    pub(crate) fn new(party: Arc<RelyingParty>, key: StoreKey, opened: Arc<Opened>) -> Self {
        Self { party, key, opened }
    }

    /// Whom the access token is about: what the layer put into the request, too.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.opened.principal
    }

    /// Who signed in: the `sub` of the ID token. Unique only together with
    /// [`issuer`](Self::issuer).
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.opened.tokens.subject
    }

    /// Who vouches for them: the `iss` of the ID token.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.opened.tokens.issuer
    }

    /// The claims of the ID token of the sign-in, as a type of yours.
    ///
    /// # Errors
    /// [`ClaimsError`] if they do not fit the type.
    pub fn id_claims<T: DeserializeOwned>(&self) -> Result<T, ClaimsError> {
        fit(&self.opened.tokens.id_claims)
    }

    /// The claims of UserInfo at the sign-in, as a type of yours. `None` where UserInfo is not asked.
    ///
    /// # Errors
    /// [`ClaimsError`] if they do not fit the type.
    pub fn userinfo<T: DeserializeOwned>(&self) -> Result<Option<T>, ClaimsError> {
        self.opened.tokens.userinfo.as_deref().map(fit).transpose()
    }

    /// When they signed in.
    #[must_use]
    pub fn signed_in_at(&self) -> UnixTime {
        UnixTime::from_seconds(self.opened.tokens.signed_in_at)
    }

    /// How often the tokens had been renewed when the request came.
    #[must_use]
    pub fn renewals(&self) -> u64 {
        self.opened.generation
    }

    /// When the access token expires that was live when the request came.
    #[must_use]
    pub fn access_expires_at(&self) -> UnixTime {
        self.opened.access_expires_at
    }

    /// An access token that is live now, renewed first if it is due.
    ///
    /// # Errors
    /// [`LoginError`]: of kind [`SessionEnded`](Kind::SessionEnded) if there will be no more, of
    /// another if there is none now.
    pub async fn access_token(&self) -> Result<LiveToken, LoginError> {
        self.token(None).await
    }

    /// A newer access token than this one, which somebody refused.
    ///
    /// # Errors
    /// As [`access_token`](Self::access_token).
    pub async fn access_token_after(&self, refused: &LiveToken) -> Result<LiveToken, LoginError> {
        self.token(Some(refused.generation())).await
    }

    async fn token(&self, newer_than: Option<u64>) -> Result<LiveToken, LoginError> {
        self.party.live(self.key, newer_than).await?.live_token()
    }
}

impl RelyingParty {
    /// The session with a live access token, renewed first if that is due or must be newer.
    pub(crate) async fn live(
        self: &Arc<Self>,
        key: StoreKey,
        newer_than: Option<u64>,
    ) -> Result<Arc<Opened>, LoginError> {
        match self.standing(key, newer_than).await {
            Standing::Live(opened) => Ok(opened),
            Standing::Over(_) => Err(Kind::SessionEnded.into()),
            Standing::Failed(error) => Err(error),
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Session")
            .field("issuer", &self.issuer())
            .field("subject", &self.subject())
            .field("renewals", &self.renewals())
            .finish_non_exhaustive()
    }
}
