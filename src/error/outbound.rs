use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, StatusCode as Status};

use crate::error::ProviderError;
use crate::error::kinds::kinds;
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

struct Facts {
    name: &'static str,
    status: Status,
    message: &'static str,
}

kinds! {
    /// The causes of an [`OutboundError`], a closed set of words fit for a metric's label.
    pub enum OutboundErrorKind: Facts {
        /// The request's URI names no origin, so that nobody can tell where a token would go.
        NoOrigin {
            name: "no_origin", status: Status::INTERNAL_SERVER_ERROR,
            message: "the request's URI names no origin to hold against the list; write it in full (with \
                tonic, make the client by with_origin)",
        }
        /// The request has an `Authorization` field already.
        AuthorizationPresent {
            name: "authorization_present", status: Status::INTERNAL_SERVER_ERROR,
            message: "the request has an Authorization field already; remove it, or let it be kept by \
                keep_authorization",
        }
        /// A token of the caller's is to be sent, and the request carries no
        /// [`Principal`](crate::Principal).
        NoCaller {
            name: "no_caller", status: Status::INTERNAL_SERVER_ERROR,
            message: "there is no caller whose token could be sent; put the principal into the request's \
                extensions",
        }
        /// The caller's principal carries no token that may be sent on.
        NoTokenToRelay {
            name: "no_token_to_relay", status: Status::INTERNAL_SERVER_ERROR,
            message: "the caller's token was not kept for sending on; allow it by allow_relay on \
                BearerLayer",
        }
        /// A token of a user's is needed, and the caller is a program.
        NotAUser {
            name: "not_a_user", status: Status::FORBIDDEN,
            message: "the caller is a program, and only a user's token is exchanged",
        }
        /// The caller's session is over.
        SessionEnded {
            name: "session_ended", status: Status::UNAUTHORIZED,
            message: "the caller's session is over",
        }
        /// The provider wants the user to do something first; see [`OutboundError::challenge`].
        InteractionRequired {
            name: "interaction_required", status: Status::UNAUTHORIZED,
            message: "the provider wants the user to sign in again",
        }
        /// The provider rejected what was to be exchanged.
        Rejected {
            name: "rejected", status: Status::UNAUTHORIZED,
            message: "the provider rejected the caller's token",
        }
        /// The provider does not accept this client or what it asks for. A setting must change.
        Misconfigured {
            name: "misconfigured", status: Status::INTERNAL_SERVER_ERROR,
            message: "the provider does not accept how this service is set up",
        }
        /// The provider, or the store of sessions, does not answer.
        Unavailable {
            name: "unavailable", status: Status::SERVICE_UNAVAILABLE,
            message: "the provider, or the store of sessions, does not answer for now",
        }
        /// The service called refuses the token, and there is no newer one.
        TokenRefused {
            name: "token_refused", status: Status::BAD_GATEWAY,
            message: "the token is refused, and there is no newer one",
        }
        /// The token holds characters that cannot stand in a header.
        UnusableToken {
            name: "unusable_token", status: Status::INTERNAL_SERVER_ERROR,
            message: "the token holds characters that cannot stand in a header",
        }
        /// A source of the application's own has none.
        Source {
            name: "source", status: Status::INTERNAL_SERVER_ERROR,
            message: "the application's source has no token",
        }
    }
}

impl OutboundErrorKind {
    /// The status to answer this service's own caller with, where there is nothing better to say: 401 if
    /// they can mend it by signing in, 503 if time can, else 500.
    #[must_use]
    pub fn status(self) -> Status {
        self.facts().status
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
        formatter.write_str(self.kind.facts().message)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::kinds::{check_names, check_text};

    #[test]
    fn names_are_labels_and_texts_are_of_one_form() {
        check_names(OutboundErrorKind::ALL, OutboundErrorKind::as_str);
        for kind in OutboundErrorKind::ALL {
            check_text(kind.facts().message);
        }
    }
}
