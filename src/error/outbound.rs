use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, StatusCode as Status};

use crate::error::ProviderError;
use crate::error::kinds::kinds;
#[cfg(feature = "login")]
use crate::error::{LoginError, LoginErrorKind};

/// A request was not sent, because there is no token for it. It is never sent without one.
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
    /// The kind of an [`OutboundError`]. The set is closed, so that a kind can be the label of a metric.
    pub enum OutboundErrorKind: Facts {
        /// The request's URI has no origin, so that it is unknown where a token would go.
        NoOrigin {
            name: "no_origin", status: Status::INTERNAL_SERVER_ERROR,
            message: "the request's URI has no origin that could be compared with the destinations; write \
                it in full (with tonic, make the client by with_origin)",
        }
        /// The request has an `Authorization` field already.
        AuthorizationPresent {
            name: "authorization_present", status: Status::INTERNAL_SERVER_ERROR,
            message: "the request has an Authorization field already; remove it, or keep it by \
                keep_authorization",
        }
        /// The caller's token should be sent, and the request has no [`Principal`](crate::Principal)
        /// in its extensions.
        NoCaller {
            name: "no_caller", status: Status::INTERNAL_SERVER_ERROR,
            message: "the request names no caller whose token could be sent; put the principal into its \
                extensions",
        }
        /// The caller's principal has no token that may be sent on.
        NoTokenToRelay {
            name: "no_token_to_relay", status: Status::INTERNAL_SERVER_ERROR,
            message: "the caller's token was not kept for relaying; allow it by allow_relay on BearerLayer",
        }
        /// A token for another target is asked for, and the caller has no session that could bring it.
        NoSession {
            name: "no_session", status: Status::INTERNAL_SERVER_ERROR,
            message: "the caller has no session whose refresh token could bring a token for this target; exchange the \
                caller's token (TokenExchange), or let only browsers with a session reach this call",
        }
        /// Only a user's token can be exchanged, and the caller is a program.
        NotAUser {
            name: "not_a_user", status: Status::FORBIDDEN,
            message: "the caller is a program, and only a user's token is exchanged",
        }
        /// The caller's session has ended.
        SessionEnded {
            name: "session_ended", status: Status::UNAUTHORIZED,
            message: "the caller's session has ended",
        }
        /// The user must do something at the provider first; see [`OutboundError::challenge`].
        InteractionRequired {
            name: "interaction_required", status: Status::UNAUTHORIZED,
            message: "the provider demands that the user signs in again",
        }
        /// The provider rejected the token that should be exchanged.
        Rejected {
            name: "rejected", status: Status::UNAUTHORIZED,
            message: "the provider rejected the caller's token",
        }
        /// The provider refuses a token for this target. The caller's session goes on.
        TargetRefused {
            name: "target_refused", status: Status::FORBIDDEN,
            message: "the provider refuses a token for this target of the caller's session",
        }
        /// The provider refused this client or its request. A setting must change.
        Misconfigured {
            name: "misconfigured", status: Status::INTERNAL_SERVER_ERROR,
            message: "the provider refused the configuration of this service",
        }
        /// The provider or the session store does not answer.
        Unavailable {
            name: "unavailable", status: Status::SERVICE_UNAVAILABLE,
            message: "the provider or the session store does not answer",
        }
        /// The called service refused the token, and there is no newer one.
        TokenRefused {
            name: "token_refused", status: Status::BAD_GATEWAY,
            message: "the called service refused the token, and there is no newer one",
        }
        /// The token contains characters that a header cannot contain.
        UnusableToken {
            name: "unusable_token", status: Status::INTERNAL_SERVER_ERROR,
            message: "the token contains characters that a header cannot contain",
        }
        /// The application's own token source failed.
        Source {
            name: "source", status: Status::INTERNAL_SERVER_ERROR,
            message: "the application's token source failed",
        }
    }
}

impl OutboundErrorKind {
    /// The status for the caller of this service, if the application has no better answer: 401 if
    /// signing in helps, 503 if waiting helps, 403 for a program where a user is needed and for a target that the
    /// provider refuses, 502 if the called service refused the token, else 500.
    #[must_use]
    pub fn status(self) -> Status {
        self.facts().status
    }
}

impl OutboundError {
    /// The failure of an application's own token source.
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
            LoginErrorKind::TargetRefused => OutboundErrorKind::TargetRefused,
            LoginErrorKind::InteractionRequired => OutboundErrorKind::InteractionRequired,
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

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> OutboundErrorKind {
        self.kind
    }

    /// The host of the request.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// How long to wait before trying again. `None` unless the kind is
    /// [`Unavailable`](OutboundErrorKind::Unavailable).
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        (self.kind == OutboundErrorKind::Unavailable)
            .then(|| self.retry_after.unwrap_or(Duration::from_secs(1)))
    }

    /// The claims that the provider demands of the user, as the JSON that it sent, if it demands some.
    #[must_use]
    pub fn claims(&self) -> Option<&str> {
        match &self.cause {
            Some(Cause::Provider(error)) => error.claims(),
            _ => None,
        }
    }

    /// The `WWW-Authenticate` for an answer with 401, which tells the caller's client what the
    /// provider demands. `None` unless the kind is
    /// [`InteractionRequired`](OutboundErrorKind::InteractionRequired).
    ///
    /// The demanded claims are encoded in base64, as clients of Microsoft Entra ID expect it.
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
