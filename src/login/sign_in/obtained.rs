//! Tokens that the application obtained from the provider itself.

use std::fmt;
use std::time::Duration;

use crate::provider::client::token_endpoint::TokenAnswer;
use crate::secret::Secret;

/// The answer of a token endpoint that the application asked itself, for
/// [`LoginLayer::adopt`](crate::LoginLayer::adopt). `Debug` shows no token.
///
/// With the feature `openidconnect` it is made of the token response of that crate.
///
/// ```
/// use std::time::Duration;
/// use tower_oidc::login::ObtainedTokens;
///
/// # let (access_token, id_token, refresh_token) = ("2YotnFZFEjr1", "eyJhbGciOi", "tGzv3JOkF0XG5Qx2TlKWIA");
/// let tokens = ObtainedTokens::new(access_token, id_token)
///     .with_refresh_token(refresh_token)
///     .with_expires_in(Duration::from_secs(3600))
///     .with_scope("openid profile offline_access");
/// assert!(!format!("{tokens:?}").contains(refresh_token));
/// ```
#[derive(Clone)]
#[must_use]
pub struct ObtainedTokens {
    access_token: Secret,
    id_token: Option<Secret>,
    refresh_token: Option<Secret>,
    expires_in: Option<Duration>,
    refresh_expires_in: Option<Duration>,
    scope: Option<String>,
    is_bearer: bool,
}

impl ObtainedTokens {
    /// The access token and the ID token. They are of the token type `Bearer`.
    pub fn new(access_token: &str, id_token: &str) -> Self {
        Self::with(access_token, Some(id_token))
    }

    pub(crate) fn with(access_token: &str, id_token: Option<&str>) -> Self {
        let id_token = id_token.filter(|token| !token.is_empty());
        Self {
            access_token: Secret::new(access_token),
            id_token: id_token.map(Secret::new),
            refresh_token: None,
            expires_in: None,
            refresh_expires_in: None,
            scope: None,
            is_bearer: true,
        }
    }

    /// The refresh token, which is the session's from now on: the application must not spend it any more. Default:
    /// none.
    pub fn with_refresh_token(mut self, token: &str) -> Self {
        self.refresh_token = (!token.is_empty()).then(|| Secret::new(token));
        self
    }

    /// How long the access token still lives. Default: until its `exp`, or for 5 minutes where it states none.
    pub fn with_expires_in(mut self, lifetime: Duration) -> Self {
        self.expires_in = Some(lifetime);
        self
    }

    /// How long the refresh token still lives. Default: not known.
    pub fn with_refresh_expires_in(mut self, lifetime: Duration) -> Self {
        self.refresh_expires_in = Some(lifetime).filter(|lifetime| !lifetime.is_zero());
        self
    }

    /// The scopes that were granted, delimited by spaces. They are sent again at each refresh, unless the layer was
    /// told otherwise. Default: not known, and a refresh names none.
    pub fn with_scope(mut self, scope: &str) -> Self {
        self.scope = Some(scope.to_owned());
        self
    }

    /// The same with another token type than `Bearer`.
    #[cfg(feature = "openidconnect")]
    pub(crate) fn of_other_type(mut self) -> Self {
        self.is_bearer = false;
        self
    }

    pub(crate) fn is_bearer(&self) -> bool {
        self.is_bearer && !self.access_token.expose().is_empty()
    }

    pub(crate) fn id_token(&self) -> Option<&Secret> {
        self.id_token.as_ref()
    }

    pub(crate) fn into_answer(self) -> TokenAnswer {
        let seconds = |lifetime: Duration| i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
        TokenAnswer {
            access_token: self.access_token,
            refresh_token: self.refresh_token,
            id_token: self.id_token,
            issued_token_type: None,
            expires_in: self.expires_in.map(seconds),
            refresh_expires_in: self.refresh_expires_in,
            scope: self.scope,
        }
    }
}

impl fmt::Debug for ObtainedTokens {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ObtainedTokens")
            .field("has_id_token", &self.id_token.is_some())
            .field("has_refresh_token", &self.refresh_token.is_some())
            .field("expires_in", &self.expires_in)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}
