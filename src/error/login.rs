use std::fmt;
use std::time::Duration;

use crate::error::{ProviderError, StoreError, VerifyError};

/// Why a browser is not signed in, or a session's token is not to be had. For logs, pages and
/// metrics; it holds nothing of a token, code or cookie, and no text of the provider's.
#[derive(Debug, Clone)]
pub struct LoginError {
    kind: LoginErrorKind,
    retry_after: Option<Duration>,
    cause: Option<Cause>,
}

#[derive(Debug, Clone)]
enum Cause {
    Verify(VerifyError),
    Provider(ProviderError),
    Store(StoreError),
}

/// The causes of a [`LoginError`], a closed set of words fit for a metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LoginErrorKind {
    /// Nobody is signed in.
    NotSignedIn,
    /// The session is over: signed out, expired, or its refresh token was rejected.
    SessionEnded,
    /// A request that would change something, without proof that it comes from this site.
    CrossOrigin,
    /// Only top-level navigations are sent to the provider.
    NotANavigation,
    /// The method is not one of this address.
    MethodNotAllowed,
    /// The provider's answer lacks a parameter, or has one twice.
    MalformedCallback,
    /// No sign-in with this state is under way in this browser.
    UnknownAttempt,
    /// The sign-in took longer than ten minutes.
    AttemptExpired,
    /// The answer to this sign-in has come already.
    AttemptReplayed,
    /// The answer comes from another provider than was asked, or does not say from whom.
    IssuerMismatch,
    /// The user or the provider declined.
    Denied,
    /// The provider refused the authorization request.
    RequestRefused,
    /// The provider rejected the code.
    CodeRejected,
    /// The ID token was refused.
    IdTokenRefused,
    /// What UserInfo says is about somebody else, or is not to be had.
    UserInfoRefused,
    /// The access token can never be verified here: the same would come again.
    UnusableToken,
    /// A fresh access token was refused all the same.
    TokenRefused,
    /// The provider gave no refresh token, and one is required.
    NoRefreshToken,
    /// Signing in again and again ends the same way.
    SignInLoop,
    /// A setting here or at the provider must change.
    Misconfigured,
    /// The provider cannot be reached, or is not well.
    ProviderUnavailable,
    /// The sessions' store cannot be reached.
    StoreUnavailable,
    /// A logout token was refused.
    LogoutTokenRefused,
}

impl LoginErrorKind {
    /// The kind as words with underscores, the label used in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotSignedIn => "not_signed_in",
            Self::SessionEnded => "session_ended",
            Self::CrossOrigin => "cross_origin",
            Self::NotANavigation => "not_a_navigation",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::MalformedCallback => "malformed_callback",
            Self::UnknownAttempt => "unknown_attempt",
            Self::AttemptExpired => "attempt_expired",
            Self::AttemptReplayed => "attempt_replayed",
            Self::IssuerMismatch => "issuer_mismatch",
            Self::Denied => "denied",
            Self::RequestRefused => "request_refused",
            Self::CodeRejected => "code_rejected",
            Self::IdTokenRefused => "id_token_refused",
            Self::UserInfoRefused => "user_info_refused",
            Self::UnusableToken => "unusable_token",
            Self::TokenRefused => "token_refused",
            Self::NoRefreshToken => "no_refresh_token",
            Self::SignInLoop => "sign_in_loop",
            Self::Misconfigured => "misconfigured",
            Self::ProviderUnavailable => "provider_unavailable",
            Self::StoreUnavailable => "store_unavailable",
            Self::LogoutTokenRefused => "logout_token_refused",
        }
    }

    /// The status of an answer that tells of it.
    #[must_use]
    pub fn status(self) -> http::StatusCode {
        use http::StatusCode as Status;
        match self {
            Self::NotSignedIn | Self::SessionEnded | Self::NotANavigation => Status::UNAUTHORIZED,
            Self::CrossOrigin | Self::Denied => Status::FORBIDDEN,
            Self::MethodNotAllowed => Status::METHOD_NOT_ALLOWED,
            Self::MalformedCallback
            | Self::UnknownAttempt
            | Self::AttemptExpired
            | Self::AttemptReplayed
            | Self::IssuerMismatch
            | Self::CodeRejected
            | Self::LogoutTokenRefused => Status::BAD_REQUEST,
            Self::IdTokenRefused | Self::UserInfoRefused | Self::TokenRefused => {
                Status::BAD_GATEWAY
            }
            Self::RequestRefused
            | Self::UnusableToken
            | Self::NoRefreshToken
            | Self::SignInLoop
            | Self::Misconfigured => Status::INTERNAL_SERVER_ERROR,
            Self::ProviderUnavailable | Self::StoreUnavailable => Status::SERVICE_UNAVAILABLE,
        }
    }

    /// Whether signing in anew may help.
    #[must_use]
    pub fn can_sign_in_again(self) -> bool {
        !matches!(
            self,
            Self::UnusableToken
                | Self::NoRefreshToken
                | Self::SignInLoop
                | Self::Misconfigured
                | Self::RequestRefused
                | Self::CrossOrigin
                | Self::MethodNotAllowed
                | Self::LogoutTokenRefused
        )
    }

    fn message(self) -> &'static str {
        match self {
            Self::NotSignedIn => "nobody is signed in",
            Self::SessionEnded => "the session is over",
            Self::CrossOrigin => "the request does not prove that it comes from this site",
            Self::NotANavigation => "only a top-level navigation can sign in",
            Self::MethodNotAllowed => "the method is not one of this address",
            Self::MalformedCallback => {
                "the provider's answer lacks a parameter or has one more than once"
            }
            Self::UnknownAttempt => "no sign-in with this state is under way in this browser",
            Self::AttemptExpired => "the sign-in took longer than ten minutes",
            Self::AttemptReplayed => "the answer to this sign-in was used before",
            Self::IssuerMismatch => "the answer does not come from the provider that was asked",
            Self::Denied => "the sign-in was declined",
            Self::RequestRefused => "the provider refused the request to sign in",
            Self::CodeRejected => "the provider rejected the authorization code",
            Self::IdTokenRefused => "the ID token was refused",
            Self::UserInfoRefused => "the claims of UserInfo cannot be used",
            Self::UnusableToken => "the access token can never be verified here",
            Self::TokenRefused => "a fresh access token was refused",
            Self::NoRefreshToken => "the provider gave no refresh token",
            Self::SignInLoop => "signing in ends the same way again and again",
            Self::Misconfigured => "the provider does not accept how this service is set up",
            Self::ProviderUnavailable => "the provider is not available",
            Self::StoreUnavailable => "the store of sessions is not available",
            Self::LogoutTokenRefused => "the logout token was refused",
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::NotSignedIn | Self::SessionEnded | Self::NotANavigation => "sign in",
            Self::CrossOrigin => {
                "send it from a page of this very origin; browsers then send Origin or \
                 Sec-Fetch-Site by themselves"
            }
            Self::MethodNotAllowed => "use the method named in Allow",
            Self::MalformedCallback | Self::AttemptExpired | Self::AttemptReplayed => {
                "begin the sign-in anew"
            }
            Self::UnknownAttempt => {
                "begin the sign-in anew, in one browser; if it lasts, the browser drops the cookie: \
                 allow cookies, and open the site by the very address it is configured with \
                 (DOMAIN_SERVER)"
            }
            Self::IssuerMismatch => {
                "begin the sign-in anew; if it lasts, compare the iss parameter of the callback \
                 with the configured issuer (OPENID_ISSUER)"
            }
            Self::Denied => "sign in with an account that may use this service",
            Self::RequestRefused => {
                "compare client id, callback URL, scope and audience with what the provider has \
                 registered (OPENID_CLIENT_ID, OPENID_CALLBACK_URL, OPENID_SCOPE, OPENID_AUDIENCE)"
            }
            Self::CodeRejected => {
                "begin the sign-in anew; if it lasts, compare the callback URL with the registered \
                 one (OPENID_CALLBACK_URL, DOMAIN_SERVER)"
            }
            Self::IdTokenRefused => {
                "begin the sign-in anew; if it lasts, compare issuer, client id and clocks \
                 (OPENID_ISSUER, OPENID_CLIENT_ID, OPENID_CLOCK_TOLERANCE)"
            }
            Self::UserInfoRefused => "begin the sign-in anew, or do without UserInfo",
            Self::UnusableToken => {
                "let the provider issue a JWT for this service: name it in the request (Auth0: set \
                 OPENID_AUDIENCE to the API identifier; Entra ID: ask for a scope \
                 api://<application id>/.default in OPENID_SCOPE; others: OPENID_RESOURCE)"
            }
            Self::TokenRefused => {
                "compare issuer, algorithms and clocks with the provider's (OPENID_ISSUER, \
                 OPENID_ALGORITHMS, OPENID_CLOCK_TOLERANCE)"
            }
            Self::NoRefreshToken => {
                "ask for offline_access in the scope (OPENID_SCOPE) and allow it at the provider \
                 (Auth0: Allow Offline Access on the API), or allow short sessions, which end with \
                 the access token"
            }
            Self::SignInLoop => {
                "the sign-in itself works, and the application refuses what comes of it: look in \
                 its log for what it demands; if the browser drops cookies, allow them"
            }
            Self::Misconfigured => {
                "compare client id, secret, scope and audience with what the provider has \
                 registered (OPENID_CLIENT_ID, OPENID_CLIENT_SECRET, OPENID_SCOPE, \
                 OPENID_AUDIENCE); the log names the code"
            }
            Self::ProviderUnavailable | Self::StoreUnavailable => {
                "try again in a moment; it heals without a restart"
            }
            Self::LogoutTokenRefused => "send a logout token meant for this client, once",
        }
    }
}

impl LoginError {
    pub(crate) fn verify(kind: LoginErrorKind, error: VerifyError) -> Self {
        Self {
            retry_after: error.retry_after(),
            cause: Some(Cause::Verify(error)),
            kind,
        }
    }

    pub(crate) fn provider(kind: LoginErrorKind, error: ProviderError) -> Self {
        Self {
            cause: Some(Cause::Provider(error)),
            ..kind.into()
        }
    }

    pub(crate) fn store(error: StoreError) -> Self {
        Self {
            cause: Some(Cause::Store(error)),
            ..LoginErrorKind::StoreUnavailable.into()
        }
    }

    #[must_use]
    pub(crate) fn with_retry_after(mut self, pause: Duration) -> Self {
        self.retry_after = Some(pause);
        self
    }

    /// The cause.
    #[must_use]
    pub fn kind(&self) -> LoginErrorKind {
        self.kind
    }

    /// Why a token was refused, where one was.
    #[must_use]
    pub fn verify_error(&self) -> Option<&VerifyError> {
        match &self.cause {
            Some(Cause::Verify(error)) => Some(error),
            _ => None,
        }
    }

    /// What whoever runs the service, or its user, can do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match (&self.cause, self.kind) {
            (
                Some(Cause::Verify(error)),
                LoginErrorKind::UnusableToken | LoginErrorKind::TokenRefused,
            ) => error.remedy(),
            (_, kind) => kind.remedy(),
        }
    }

    /// When it is worth trying again, where nothing but time can help.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self.kind {
            LoginErrorKind::ProviderUnavailable | LoginErrorKind::StoreUnavailable => {
                Some(self.retry_after.unwrap_or(Duration::from_secs(1)))
            }
            _ => None,
        }
    }
}

impl From<LoginErrorKind> for LoginError {
    fn from(kind: LoginErrorKind) -> Self {
        Self {
            kind,
            retry_after: None,
            cause: None,
        }
    }
}

impl fmt::Display for LoginError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.kind.message())
    }
}

impl std::error::Error for LoginError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self.cause.as_ref()? {
            Cause::Verify(error) => Some(error),
            Cause::Provider(error) => Some(error),
            Cause::Store(error) => Some(error),
        }
    }
}
