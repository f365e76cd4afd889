use std::fmt;
use std::time::Duration;

use http::StatusCode as Status;

use crate::error::kinds::kinds;
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

struct Facts {
    name: &'static str,
    status: Status,
    sign_in_again: bool,
    message: &'static str,
    remedy: &'static str,
}

kinds! {
    /// The causes of a [`LoginError`], a closed set of words fit for a metric's label.
    pub enum LoginErrorKind: Facts {
        /// Nobody is signed in.
        NotSignedIn {
            name: "not_signed_in", status: Status::UNAUTHORIZED, sign_in_again: true,
            message: "nobody is signed in",
            remedy: "sign in",
        }
        /// The session is over: signed out, expired, or its refresh token was rejected.
        SessionEnded {
            name: "session_ended", status: Status::UNAUTHORIZED, sign_in_again: true,
            message: "the session is over",
            remedy: "sign in",
        }
        /// A request that would change something, without proof that it comes from this site.
        CrossOrigin {
            name: "cross_origin", status: Status::FORBIDDEN, sign_in_again: false,
            message: "the request does not prove that it comes from this site",
            remedy: "send it from a page of this very origin; browsers then send Origin or \
                Sec-Fetch-Site by themselves",
        }
        /// Only top-level navigations are sent to the provider.
        NotANavigation {
            name: "not_a_navigation", status: Status::UNAUTHORIZED, sign_in_again: true,
            message: "only a top-level navigation can sign in",
            remedy: "sign in",
        }
        /// The method is not one of this address.
        MethodNotAllowed {
            name: "method_not_allowed", status: Status::METHOD_NOT_ALLOWED, sign_in_again: false,
            message: "the method is not one of this address",
            remedy: "use the method named in Allow",
        }
        /// The provider's answer lacks a parameter, or has one twice.
        MalformedCallback {
            name: "malformed_callback", status: Status::BAD_REQUEST, sign_in_again: true,
            message: "the provider's answer lacks a parameter or has one more than once",
            remedy: "begin the sign-in anew",
        }
        /// No sign-in with this state is under way in this browser.
        UnknownAttempt {
            name: "unknown_attempt", status: Status::BAD_REQUEST, sign_in_again: true,
            message: "no sign-in with this state is under way in this browser",
            remedy: "begin the sign-in anew, in one browser; if it lasts, the browser drops the cookie: \
                allow cookies, and open the site by the very address it is configured with \
                (DOMAIN_SERVER)",
        }
        /// The sign-in took longer than ten minutes.
        AttemptExpired {
            name: "attempt_expired", status: Status::BAD_REQUEST, sign_in_again: true,
            message: "the sign-in took longer than ten minutes",
            remedy: "begin the sign-in anew",
        }
        /// The answer to this sign-in has come already.
        AttemptReplayed {
            name: "attempt_replayed", status: Status::BAD_REQUEST, sign_in_again: true,
            message: "the answer to this sign-in was used before",
            remedy: "begin the sign-in anew",
        }
        /// The answer comes from another provider than was asked, or does not say from whom.
        IssuerMismatch {
            name: "issuer_mismatch", status: Status::BAD_REQUEST, sign_in_again: true,
            message: "the answer does not come from the provider that was asked",
            remedy: "begin the sign-in anew; if it lasts, compare the iss parameter of the callback with \
                the configured issuer (OPENID_ISSUER)",
        }
        /// The user or the provider declined.
        Denied {
            name: "denied", status: Status::FORBIDDEN, sign_in_again: true,
            message: "the sign-in was declined",
            remedy: "sign in with an account that may use this service",
        }
        /// The provider refused the authorization request.
        RequestRefused {
            name: "request_refused", status: Status::INTERNAL_SERVER_ERROR, sign_in_again: false,
            message: "the provider refused the request to sign in",
            remedy: "compare client id, callback URL, scope and audience with what the provider has \
                registered (OPENID_CLIENT_ID, OPENID_CALLBACK_URL, OPENID_SCOPE, OPENID_AUDIENCE)",
        }
        /// The provider rejected the code.
        CodeRejected {
            name: "code_rejected", status: Status::BAD_REQUEST, sign_in_again: true,
            message: "the provider rejected the authorization code",
            remedy: "begin the sign-in anew; if it lasts, compare the callback URL with the registered \
                one (OPENID_CALLBACK_URL, DOMAIN_SERVER)",
        }
        /// The ID token was refused.
        IdTokenRefused {
            name: "id_token_refused", status: Status::BAD_GATEWAY, sign_in_again: true,
            message: "the ID token was refused",
            remedy: "begin the sign-in anew; if it lasts, compare issuer, client id and clocks \
                (OPENID_ISSUER, OPENID_CLIENT_ID, OPENID_CLOCK_TOLERANCE)",
        }
        /// What UserInfo says is about somebody else, or is not to be had.
        UserInfoRefused {
            name: "user_info_refused", status: Status::BAD_GATEWAY, sign_in_again: true,
            message: "the claims of UserInfo cannot be used",
            remedy: "begin the sign-in anew, or do without UserInfo",
        }
        /// The access token can never be verified here: the same would come again.
        UnusableToken {
            name: "unusable_token", status: Status::INTERNAL_SERVER_ERROR, sign_in_again: false,
            message: "the access token can never be verified here",
            remedy: "let the provider issue a JWT for this service: name it in the request (Auth0: set \
                OPENID_AUDIENCE to the API identifier; Entra ID: ask for a scope api://<application \
                id>/.default in OPENID_SCOPE; others: OPENID_RESOURCE)",
        }
        /// A fresh access token was refused all the same.
        TokenRefused {
            name: "token_refused", status: Status::BAD_GATEWAY, sign_in_again: true,
            message: "a fresh access token was refused",
            remedy: "compare issuer, algorithms and clocks with the provider's (OPENID_ISSUER, \
                OPENID_ALGORITHMS, OPENID_CLOCK_TOLERANCE)",
        }
        /// The provider gave no refresh token, and one is required.
        NoRefreshToken {
            name: "no_refresh_token", status: Status::INTERNAL_SERVER_ERROR, sign_in_again: false,
            message: "the provider gave no refresh token",
            remedy: "ask for offline_access in the scope (OPENID_SCOPE) and allow it at the provider \
                (Auth0: Allow Offline Access on the API), or allow short sessions, which end with the \
                access token",
        }
        /// Signing in again and again ends the same way.
        SignInLoop {
            name: "sign_in_loop", status: Status::INTERNAL_SERVER_ERROR, sign_in_again: false,
            message: "signing in ends the same way again and again",
            remedy: "the sign-in itself works, and the application refuses what comes of it: look in its \
                log for what it demands; if the browser drops cookies, allow them",
        }
        /// A setting here or at the provider must change.
        Misconfigured {
            name: "misconfigured", status: Status::INTERNAL_SERVER_ERROR, sign_in_again: false,
            message: "the provider does not accept how this service is set up",
            remedy: "compare client id, secret, scope and audience with what the provider has registered \
                (OPENID_CLIENT_ID, OPENID_CLIENT_SECRET, OPENID_SCOPE, OPENID_AUDIENCE); the log names \
                the code",
        }
        /// The provider cannot be reached, or is not well.
        ProviderUnavailable {
            name: "provider_unavailable", status: Status::SERVICE_UNAVAILABLE, sign_in_again: true,
            message: "the provider is not available",
            remedy: "try again in a moment; it heals without a restart",
        }
        /// The sessions' store cannot be reached.
        StoreUnavailable {
            name: "store_unavailable", status: Status::SERVICE_UNAVAILABLE, sign_in_again: true,
            message: "the store of sessions is not available",
            remedy: "try again in a moment; it heals without a restart",
        }
        /// A logout token was refused.
        LogoutTokenRefused {
            name: "logout_token_refused", status: Status::BAD_REQUEST, sign_in_again: false,
            message: "the logout token was refused",
            remedy: "send a logout token meant for this client, once",
        }
    }
}

impl LoginErrorKind {
    /// The status of an answer that tells of it.
    #[must_use]
    pub fn status(self) -> Status {
        self.facts().status
    }

    /// Whether signing in anew may help.
    #[must_use]
    pub fn can_sign_in_again(self) -> bool {
        self.facts().sign_in_again
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
            (_, kind) => kind.facts().remedy,
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
        formatter.write_str(self.kind.facts().message)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::kinds::{check_names, check_text};

    #[test]
    fn names_are_labels_and_texts_are_of_one_form() {
        check_names(LoginErrorKind::ALL, LoginErrorKind::as_str);
        for kind in LoginErrorKind::ALL {
            check_text(kind.facts().message);
            check_text(kind.facts().remedy);
        }
    }
}
