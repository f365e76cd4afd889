use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::login_kind::LoginErrorKind;
use crate::error::{ProviderError, StoreError, VerifyError, VerifyErrorKind};

/// Why a browser is not signed in, or a session has no token to give, for logs, pages and metrics. It
/// contains nothing of a token, code or cookie, and no text of the provider.
#[derive(Debug, Clone)]
pub struct LoginError {
    kind: LoginErrorKind,
    retry_after: Option<Duration>,
    cause: Option<Cause>,
    /// Whether the scope `offline_access` was asked for, so that to ask for it is no remedy.
    asked_for_offline_access: bool,
}

#[derive(Debug, Clone)]
enum Cause {
    Verify(VerifyError),
    Provider(ProviderError),
    Store(StoreError),
    /// The application's own decision, with what it tells the visitor.
    Application(Arc<str>),
}

const ALLOW_OFFLINE_ACCESS: &str = "the scope offline_access was asked for, and the provider ignored it: \
    allow refresh tokens for this client (Auth0: Allow Offline Access on the API; others: the grant type \
    refresh_token of the client; Google takes other parameters for it: \
    OPENID_AUTHORIZATION_PARAMETERS=access_type=offline&prompt=consent), or allow short sessions, which end \
    with the access token (OPENID_REQUIRE_REFRESH_TOKEN=false, LoginBuilder::allow_short_session)";

/// The remedy where the provider refused the authorization request with this code.
fn request_refused(code: &str) -> Option<&'static str> {
    Some(match code {
        "invalid_target" => {
            "the provider issues no tokens for a resource or audience that was asked for: compare OPENID_RESOURCE, \
             OPENID_REQUEST_AUDIENCE and OPENID_AUDIENCE with what it has registered, character by character"
        }
        "invalid_scope" => {
            "compare OPENID_SCOPE with the scopes that the provider has registered for this client; some providers \
             refuse scopes that they do not know, such as offline_access"
        }
        "unauthorized_client" => {
            "compare OPENID_CLIENT_ID and OPENID_CALLBACK_URL with what the provider has registered, and allow the \
             client the authorization code grant there"
        }
        "invalid_request" => {
            "compare client id, callback URL and scope with what the provider has registered (OPENID_CLIENT_ID, \
             OPENID_CALLBACK_URL, OPENID_SCOPE); PKCE with S256 is always used, so switch it on where the provider has \
             a switch for it"
        }
        _ => return None,
    })
}

impl LoginError {
    pub(crate) fn verify(kind: LoginErrorKind, error: VerifyError) -> Self {
        Self {
            retry_after: error.retry_after(),
            cause: Some(Cause::Verify(error)),
            ..kind.into()
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

    /// The provider issued no refresh token to a sign-in that asked for these scopes.
    pub(crate) fn no_refresh_token(scope: &str) -> Self {
        Self {
            asked_for_offline_access: scope.split(' ').any(|scope| scope == "offline_access"),
            ..LoginErrorKind::NoRefreshToken.into()
        }
    }

    /// The application does not let a user sign in, and says why to the visitor.
    pub(crate) fn sign_in_refused(text: &str) -> Self {
        Self {
            cause: (!text.is_empty()).then(|| Cause::Application(text.into())),
            ..LoginErrorKind::SignInRefused.into()
        }
    }

    #[must_use]
    pub(crate) fn with_retry_after(mut self, pause: Duration) -> Self {
        self.retry_after = Some(pause);
        self
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> LoginErrorKind {
        self.kind
    }

    /// Why a token was refused, if one was.
    #[must_use]
    pub fn verify_error(&self) -> Option<&VerifyError> {
        match &self.cause {
            Some(Cause::Verify(error)) => Some(error),
            _ => None,
        }
    }

    /// What happened, in words for a visitor of the site. They name no setting.
    pub(crate) fn told(&self) -> &'static str {
        self.kind.told()
    }

    /// What the application itself tells the visitor.
    pub(crate) fn told_by_application(&self) -> Option<&str> {
        match &self.cause {
            Some(Cause::Application(text)) => Some(text),
            _ => None,
        }
    }

    /// What a visitor of the site can do about it.
    pub(crate) fn advice(&self) -> &'static str {
        self.kind.advice()
    }

    /// What the operator of the service can do, with the names of settings.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        if self.asked_for_offline_access {
            return ALLOW_OFFLINE_ACCESS;
        }
        match (&self.cause, self.kind) {
            (Some(Cause::Provider(error)), LoginErrorKind::RequestRefused) => error
                .oauth_code()
                .and_then(request_refused)
                .unwrap_or_else(|| self.kind.remedy()),
            (
                Some(Cause::Verify(error)),
                LoginErrorKind::UnusableToken
                | LoginErrorKind::TokenRefused
                | LoginErrorKind::LogoutTokenRefused,
            ) => error.remedy(),
            (Some(Cause::Verify(error)), LoginErrorKind::IdTokenRefused)
                if error.kind() == VerifyErrorKind::Algorithm =>
            {
                error.remedy()
            }
            (Some(Cause::Verify(error)), LoginErrorKind::IdTokenRefused)
                if error.kind() == VerifyErrorKind::WrongAudience =>
            {
                "compare OPENID_CLIENT_ID with the client at the provider; if the ID token is for other \
                 audiences too and has no azp, and you trust them, list them in \
                 OPENID_ADDITIONAL_AUDIENCES"
            }
            (_, kind) => kind.remedy(),
        }
    }

    /// How long to wait before trying again. `None` unless only waiting helps.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self.kind {
            LoginErrorKind::ProviderUnavailable
            | LoginErrorKind::StoreUnavailable
            | LoginErrorKind::SignInUndecided
            | LoginErrorKind::SiteUnavailable
            | LoginErrorKind::TooManySignIns => {
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
            asked_for_offline_access: false,
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
            Cause::Application(_) => None,
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
            check_text(kind.message());
            check_text(kind.remedy());
            check_text(kind.told());
            check_text(kind.advice());
        }
        check_text(ALLOW_OFFLINE_ACCESS);
    }

    #[test]
    fn a_refused_request_has_the_remedy_of_its_code() {
        let remedy = |code: &'static str| {
            let refused = crate::error::ProviderErrorKind::RequestRefused;
            let error = ProviderError::new(refused, "refused").with_code(code);
            LoginError::provider(LoginErrorKind::RequestRefused, error).remedy()
        };
        for (code, setting) in [
            ("invalid_target", "OPENID_RESOURCE"),
            ("invalid_scope", "OPENID_SCOPE"),
            ("unauthorized_client", "OPENID_CLIENT_ID"),
            ("invalid_request", "PKCE"),
        ] {
            check_text(remedy(code));
            assert!(remedy(code).contains(setting), "{code}");
            assert_ne!(remedy(code), LoginErrorKind::RequestRefused.remedy());
        }
        let usual = LoginErrorKind::RequestRefused.remedy();
        assert_eq!(remedy("unsupported_grant_type"), usual);
    }

    #[test]
    fn what_was_asked_for_already_is_no_remedy() {
        let remedy = |scope| LoginError::no_refresh_token(scope).remedy();
        assert!(remedy("openid offline_access").contains("ignored it"));
        assert!(remedy("openid").contains("ask for offline_access"));
        assert!(remedy("openid offline_access2").contains("ask for offline_access"));
    }
}
