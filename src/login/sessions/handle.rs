use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::claims_error::{ClaimsError, fit};
use crate::clock::UnixTime;
use crate::error::{LoginError, StoreError};
use crate::login::sessions::id::SessionKey;
use crate::login::sessions::opened::Opened;
use crate::login::sessions::{Need, Sessions};
use crate::login::store::StoreKey;
use crate::principal::Principal;
use crate::token::live::LiveToken;
use crate::token::target::Target;

/// A signed-in browser. It stands in the extensions of the request beside the
/// [`Principal`](crate::Principal), and can be kept as long as it is needed: by a stream, a socket, a job.
///
/// It never hands out a token that ages: [`access_token`](Self::access_token) asks the session each time.
/// The refresh token is never exposed.
///
/// ```
/// use tower_oidc::{ClaimsError, Session};
///
/// #[derive(serde::Deserialize)]
/// struct Person {
///     name: Option<String>,
/// }
///
/// /// With the feature `axum` a handler takes it as an argument; elsewhere it stands in the extensions of the request.
/// fn greet(session: &Session) -> Result<String, ClaimsError> {
///     let person: Person = session.id_claims()?;
///     let name = person.name.as_deref().unwrap_or(session.subject());
///     Ok(format!("{name}, signed in at {}", session.signed_in_at().as_seconds()))
/// }
/// ```
#[doc(alias("cookie", "refresh", "user"))]
#[derive(Clone)]
pub struct Session {
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) key: StoreKey,
    opened: Arc<Opened>,
}

impl Session {
    pub(crate) fn new(sessions: Arc<Sessions>, key: StoreKey, opened: Arc<Opened>) -> Self {
        Self {
            sessions,
            key,
            opened,
        }
    }

    /// What the application knows this session by: in its logs, and as a key of its own tables. It gives no access.
    #[must_use]
    pub fn key(&self) -> SessionKey {
        SessionKey::new(self.key)
    }

    /// Ends this session and revokes its refresh token in the background, as signing out does, but leaves the
    /// provider's own session be. Returns whether it was still there. All replicas refuse it from then on, at the
    /// latest after the [age of the near cache](crate::login::LoginBuilder::with_near_cache_age). The answer to the next
    /// request clears the cookie.
    ///
    /// The call is finished even if the caller stops waiting for it.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be reached. The session then lives on; another call ends it.
    pub async fn end(&self) -> Result<bool, StoreError> {
        Arc::clone(&self.sessions).end_own(self.key).await
    }

    /// Completes when this session is over: by its time limit, by a sign-out, or by the application, on any replica.
    /// For streams and sockets that must not outlive it. The store is asked once a second, or as seldom as the
    /// [near cache](crate::login::LoginBuilder::with_near_cache_age) is old. A store that cannot be reached ends
    /// nothing.
    ///
    /// ```
    /// # use tower_oidc::Session;
    /// async fn talk(session: Session, conversation: impl Future<Output = ()>) {
    ///     tokio::select! {
    ///         () = conversation => {}
    ///         () = session.ended() => {}
    ///     }
    /// }
    /// ```
    pub fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        Arc::clone(&self.sessions).until_over(self.key)
    }

    /// Who signed in, as the access token says, or the ID token in
    /// [identity mode](crate::LoginLayer::identity): what the layer put into the request, too.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.opened.principal
    }

    /// The person who signed in: the `sub` of the ID token. Unique only together with
    /// [`issuer`](Self::issuer).
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.opened.tokens.subject
    }

    /// The provider of the sign-in: the `iss` of the ID token.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.opened.tokens.issuer
    }

    /// The claims of the ID token of the sign-in, or of the last refresh that brought one, as a type of yours.
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

    /// When the person signed in.
    #[must_use]
    pub fn signed_in_at(&self) -> UnixTime {
        UnixTime::from_seconds(self.opened.tokens.signed_in_at)
    }

    /// How often the tokens had been refreshed when the request came.
    #[must_use]
    pub fn renewals(&self) -> u64 {
        self.opened.generation()
    }

    /// When the access token expires that was live when the request came.
    #[must_use]
    pub fn access_expires_at(&self) -> UnixTime {
        self.opened.access_expires_at()
    }

    /// An access token that is live now, refreshed first if it is due.
    ///
    /// # Errors
    /// [`LoginError`]: of kind [`SessionEnded`](crate::LoginErrorKind::SessionEnded) if there will be no
    /// more, of another if there is none now.
    pub async fn access_token(&self) -> Result<LiveToken, LoginError> {
        self.token(Need::Token).await
    }

    /// A newer access token than this one, which a service refused.
    ///
    /// # Errors
    /// As [`access_token`](Self::access_token).
    pub async fn access_token_after(&self, refused: &LiveToken) -> Result<LiveToken, LoginError> {
        self.token(Need::TokenAfter(refused.generation())).await
    }

    /// An access token for another target that is live now, asked for or refreshed first if that is due. The
    /// session's refresh token is spent for it, as for the session's own tokens: one grant at a time, however many
    /// requests and replicas ask.
    ///
    /// # Errors
    /// [`LoginError`]: of kind [`UnknownTarget`](crate::LoginErrorKind::UnknownTarget) if the layer was not
    /// [told of it](crate::login::LoginBuilder::add_target); [`TargetRefused`](crate::LoginErrorKind::TargetRefused)
    /// if the provider refuses it, which is asked again after a minute and does not end the session;
    /// [`InteractionRequired`](crate::LoginErrorKind::InteractionRequired) if the provider refreshes nothing for now
    /// before the user has signed in again;
    /// [`TargetOfOtherAudience`](crate::LoginErrorKind::TargetOfOtherAudience) if it answers with another token;
    /// [`TargetTooLarge`](crate::LoginErrorKind::TargetTooLarge); otherwise as
    /// [`access_token`](Self::access_token).
    pub async fn access_token_for(&self, target: &Target) -> Result<LiveToken, LoginError> {
        self.sessions.token_for(self.key, target).await
    }

    async fn token(&self, need: Need) -> Result<LiveToken, LoginError> {
        self.sessions.live(self.key, need).await?.live_token()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Session")
            .field("key", &self.key())
            .field("issuer", &self.issuer())
            .field("subject", &self.subject())
            .field("renewals", &self.renewals())
            .finish_non_exhaustive()
    }
}
