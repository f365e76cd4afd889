use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, StatusCode};

use crate::error::ProviderError;
#[cfg(feature = "login")]
use crate::error::{LoginError, LoginErrorKind};

/// A request did not leave, because there is no token to send with it. It never goes without.
///
/// `Display` names what is missing and the remedy, never a token.
#[derive(Debug, Clone)]
pub struct OutboundError {
    kind: OutboundErrorKind,
    host: Option<Box<str>>,
    retry_after: Option<Duration>,
    cause: Option<Cause>,
}

#[derive(Debug, Clone)]
enum Cause {
    Provider(ProviderError),
    #[cfg(feature = "login")]
    Login(LoginError),
    Own(std::sync::Arc<dyn std::error::Error + Send + Sync>),
}

/// The causes of an [`OutboundError`], a closed set of words fit for a metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OutboundErrorKind {
    /// The request's URI names no origin, so that nobody can tell where a token would go.
    NoOrigin,
    /// The request has an `Authorization` field already.
    AuthorizationPresent,
    /// A token of the caller's is to be sent, and the request carries no
    /// [`Principal`](crate::Principal).
    NoCaller,
    /// The caller's principal carries no token that may be sent on.
    NoTokenToRelay,
    /// A token of a user's is needed, and the caller is a program.
    NotAUser,
    /// The caller's session is over.
    SessionEnded,
    /// The provider wants the user to do something first; see [`OutboundError::challenge`].
    InteractionRequired,
    /// The provider rejected what was to be exchanged.
    Rejected,
    /// The provider does not accept this client or what it asks for. A setting must change.
    Misconfigured,
    /// The provider, or the store of sessions, does not answer.
    Unavailable,
    /// The service called refuses the token, and there is no newer one.
    TokenRefused,
    /// The token holds characters that cannot stand in a header.
    UnusableToken,
    /// A source of the application's own has none.
    Source,
}

impl OutboundErrorKind {
    /// The kind as words with underscores, the label used in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoOrigin => "no_origin",
            Self::AuthorizationPresent => "authorization_present",
            Self::NoCaller => "no_caller",
            Self::NoTokenToRelay => "no_token_to_relay",
            Self::NotAUser => "not_a_user",
            Self::SessionEnded => "session_ended",
            Self::InteractionRequired => "interaction_required",
            Self::Rejected => "rejected",
            Self::Misconfigured => "misconfigured",
            Self::Unavailable => "unavailable",
            Self::TokenRefused => "token_refused",
            Self::UnusableToken => "unusable_token",
            Self::Source => "source",
        }
    }

    /// The status to answer this service's own caller with, where there is nothing better to say: 401 if
    /// they can mend it by signing in, 503 if time can, else 500.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::SessionEnded | Self::InteractionRequired | Self::Rejected => {
                StatusCode::UNAUTHORIZED
            }
            Self::NotAUser => StatusCode::FORBIDDEN,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::TokenRefused => StatusCode::BAD_GATEWAY,
            Self::NoOrigin
            | Self::AuthorizationPresent
            | Self::NoCaller
            | Self::NoTokenToRelay
            | Self::Misconfigured
            | Self::UnusableToken
            | Self::Source => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::NoOrigin => {
                "the request's URI names no origin to hold against the list; write it in full (with \
                 tonic, make the client by with_origin)"
            }
            Self::AuthorizationPresent => {
                "the request has an Authorization field already; remove it, or let it be kept by \
                 keep_authorization"
            }
            Self::NoCaller => {
                "there is no caller whose token could be sent; put the principal into the request's \
                 extensions"
            }
            Self::NoTokenToRelay => {
                "the caller's token was not kept for sending on; allow it by allow_relay on \
                 BearerLayer"
            }
            Self::NotAUser => "the caller is a program, and only a user's token is exchanged",
            Self::SessionEnded => "the caller's session is over",
            Self::InteractionRequired => "the provider wants the user to sign in again",
            Self::Rejected => "the provider rejected the caller's token",
            Self::Misconfigured => "the provider does not accept how this service is set up",
            Self::Unavailable => "the provider, or the store of sessions, does not answer for now",
            Self::TokenRefused => "the token is refused, and there is no newer one",
            Self::UnusableToken => "the token holds characters that cannot stand in a header",
            Self::Source => "the application's source has no token",
        }
    }
}

impl OutboundError {
    /// A failure of a source of your own.
    #[must_use]
    pub fn source_failed(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            cause: Some(Cause::Own(cause.into().into())),
            ..OutboundErrorKind::Source.into()
        }
    }

    pub(crate) fn provider(error: ProviderError, retry_after: Option<Duration>) -> Self {
        use crate::error::ProviderErrorKind as Kind;
        let kind = match error.kind() {
            Kind::InteractionRequired => OutboundErrorKind::InteractionRequired,
            Kind::GrantRejected => OutboundErrorKind::Rejected,
            kind if kind.is_configuration() => OutboundErrorKind::Misconfigured,
            _ => OutboundErrorKind::Unavailable,
        };
        Self {
            retry_after,
            cause: Some(Cause::Provider(error)),
            ..kind.into()
        }
    }

    #[cfg(feature = "login")]
    pub(crate) fn login(error: LoginError) -> Self {
        let kind = match error.kind() {
            LoginErrorKind::SessionEnded => OutboundErrorKind::SessionEnded,
            LoginErrorKind::ProviderUnavailable | LoginErrorKind::StoreUnavailable => {
                OutboundErrorKind::Unavailable
            }
            LoginErrorKind::TokenRefused => OutboundErrorKind::TokenRefused,
            _ => OutboundErrorKind::Misconfigured,
        };
        Self {
            retry_after: error.retry_after(),
            cause: Some(Cause::Login(error)),
            ..kind.into()
        }
    }

    #[must_use]
    pub(crate) fn at(mut self, host: Option<&str>) -> Self {
        self.host = host.map(Into::into);
        self
    }

    /// The cause.
    #[must_use]
    pub fn kind(&self) -> OutboundErrorKind {
        self.kind
    }

    /// The host that was to be called.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// When it is worth trying again, where nothing but time can help.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        (self.kind == OutboundErrorKind::Unavailable)
            .then(|| self.retry_after.unwrap_or(Duration::from_secs(1)))
    }

    /// The claims the provider demands of the user before it grants, as JSON in its own words, where
    /// it demands some.
    #[must_use]
    pub fn claims(&self) -> Option<&str> {
        match &self.cause {
            Some(Cause::Provider(error)) => error.claims(),
            _ => None,
        }
    }

    /// What to answer the caller in `WWW-Authenticate` with 401, so that their client can do what the
    /// provider wants and come back. `None` unless the kind is
    /// [`InteractionRequired`](OutboundErrorKind::InteractionRequired).
    ///
    /// The demanded claims go in base64, as clients of Microsoft Entra ID expect a claims challenge.
    #[must_use]
    pub fn challenge(&self) -> Option<HeaderValue> {
        if self.kind != OutboundErrorKind::InteractionRequired {
            return None;
        }
        let Some(claims) = self.claims() else {
            return Some(HeaderValue::from_static(
                "Bearer error=\"interaction_required\"",
            ));
        };
        let claims = STANDARD.encode(claims);
        HeaderValue::try_from(format!(
            "Bearer error=\"insufficient_claims\", claims=\"{claims}\""
        ))
        .ok()
    }
}

impl From<OutboundErrorKind> for OutboundError {
    fn from(kind: OutboundErrorKind) -> Self {
        Self {
            kind,
            host: None,
            retry_after: None,
            cause: None,
        }
    }
}

impl fmt::Display for OutboundError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(host) = &self.host {
            write!(formatter, "no token for {host}: ")?;
        }
        formatter.write_str(self.kind.message())
    }
}

impl std::error::Error for OutboundError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self.cause.as_ref()? {
            Cause::Provider(error) => Some(error),
            #[cfg(feature = "login")]
            Cause::Login(error) => Some(error),
            Cause::Own(error) => Some(&**error),
        }
    }
}
