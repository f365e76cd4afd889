use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode as Status;

use crate::error::kinds::kinds;
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

struct Facts {
    name: &'static str,
    status: Status,
    sign_in_again: bool,
    /// What a visitor of the site is told, in a visitor's words.
    told: &'static str,
    /// What a visitor can do.
    advice: &'static str,
    message: &'static str,
    remedy: &'static str,
}

kinds! {
    /// The kind of a [`LoginError`]. The set is closed, so that a kind can be the label of a metric.
    pub enum LoginErrorKind: Facts {
        /// The request has no session.
        NotSignedIn {
            name: "not_signed_in", status: Status::UNAUTHORIZED, sign_in_again: true,
            told: "you are not signed in",
            advice: "sign in",
            message: "the request has no session",
            remedy: "sign in",
        }
        /// The session has ended: by signing out, by its time limit, or because the provider rejected its
        /// refresh token.
        SessionEnded {
            name: "session_ended", status: Status::UNAUTHORIZED, sign_in_again: true,
            told: "your session has ended",
            advice: "sign in",
            message: "the session has ended",
            remedy: "sign in",
        }
        /// The session lives, its access token has ended, and it has no refresh token to get another. Only
        /// sessions of [`LoginLayer::identity`](crate::LoginLayer::identity) outlive their access token.
        NoAccessToken {
            name: "no_access_token", status: Status::UNAUTHORIZED, sign_in_again: true,
            told: "this part of the site needs a new sign-in",
            advice: "sign in",
            message: "the session's access token has ended, and there is no refresh token to get another",
            remedy: "have the provider issue refresh tokens: ask for the scope offline_access (OPENID_SCOPE), or at \
                Google for access_type=offline and prompt=consent (OPENID_AUTHORIZATION_PARAMETERS)",
        }
        /// The request would change something and does not prove that it comes from this site.
        CrossOrigin {
            name: "cross_origin", status: Status::FORBIDDEN, sign_in_again: false,
            told: "the request did not come from a page of this site, and was not carried out",
            advice: "open the page again, and repeat there what you did",
            message: "the request does not prove that it comes from this site",
            remedy: "send it from a page of this origin; browsers then add Origin or Sec-Fetch-Site \
                themselves",
        }
        /// The request is not a top-level navigation, and only those are sent to the provider.
        NotANavigation {
            name: "not_a_navigation", status: Status::UNAUTHORIZED, sign_in_again: true,
            told: "you are not signed in",
            advice: "sign in",
            message: "only a top-level navigation can sign in",
            remedy: "sign in",
        }
        /// This path does not accept the method.
        MethodNotAllowed {
            name: "method_not_allowed", status: Status::METHOD_NOT_ALLOWED, sign_in_again: false,
            told: "this address cannot be used in this way",
            advice: "go back, and follow a link of this site",
            message: "this path does not accept the method",
            remedy: "use a method that the Allow header names",
        }
        /// The callback lacks a parameter, or has one twice.
        MalformedCallback {
            name: "malformed_callback", status: Status::BAD_REQUEST, sign_in_again: true,
            told: "the answer of the sign-in service is not complete",
            advice: "start the sign-in again",
            message: "the callback lacks a parameter or has one twice",
            remedy: "start the sign-in again",
        }
        /// This browser has not started a sign-in with this state.
        UnknownAttempt {
            name: "unknown_attempt", status: Status::BAD_REQUEST, sign_in_again: true,
            told: "this browser has no such sign-in under way",
            advice: "allow cookies for this site, and start the sign-in again in this browser; if that does not help, tell the operator of this site the code below",
            message: "this browser has not started a sign-in with this state",
            remedy: "start the sign-in again, in one browser; if this persists, the browser drops the \
                cookie: allow cookies, and open the site at its configured address (DOMAIN_SERVER)",
        }
        /// The sign-in took longer than ten minutes.
        AttemptExpired {
            name: "attempt_expired", status: Status::BAD_REQUEST, sign_in_again: true,
            told: "the sign-in took longer than ten minutes",
            advice: "start the sign-in again",
            message: "the sign-in took longer than ten minutes",
            remedy: "start the sign-in again",
        }
        /// The callback of this sign-in was used before.
        AttemptReplayed {
            name: "attempt_replayed", status: Status::BAD_REQUEST, sign_in_again: true,
            told: "this sign-in was completed before",
            advice: "start the sign-in again",
            message: "the callback of this sign-in was used before",
            remedy: "start the sign-in again",
        }
        /// The callback comes from another provider than the one that was asked, or does not name it.
        IssuerMismatch {
            name: "issuer_mismatch", status: Status::BAD_REQUEST, sign_in_again: true,
            told: "the answer does not come from the sign-in service that was asked",
            advice: "start the sign-in again; if that does not help, tell the operator of this site the code below",
            message: "the callback does not come from the provider that was asked",
            remedy: "start the sign-in again; if this persists, compare the iss parameter of the callback \
                with the configured issuer (OPENID_ISSUER)",
        }
        /// Another site has begun a sign-in at a provider that is not this site's.
        InitiatorRefused {
            name: "initiator_refused", status: Status::BAD_REQUEST, sign_in_again: true,
            told: "you were sent here to sign in at a service that this site does not use",
            advice: "sign in from this site",
            message: "a sign-in was initiated at another provider, or at none",
            remedy: "let the site that initiates it send the configured issuer as iss (OPENID_ISSUER)",
        }
        /// The user or the provider declined the sign-in.
        Denied {
            name: "denied", status: Status::FORBIDDEN, sign_in_again: true,
            told: "the sign-in was declined",
            advice: "sign in with an account that may use this site",
            message: "the sign-in was declined",
            remedy: "sign in with an account that may use this service",
        }
        /// The application, or a setting of it, does not let this user sign in.
        SignInRefused {
            name: "sign_in_refused", status: Status::FORBIDDEN, sign_in_again: true,
            told: "your account may not sign in to this site",
            advice: "sign in with another account, or ask the operator of this site for access",
            message: "this application does not let the user sign in",
            remedy: "the log names the user and the reason; OPENID_REQUIRED_ROLE and \
                OPENID_ALLOWED_EMAIL_DOMAINS are such reasons, and a hook of the application is another",
        }
        /// Whether this user may sign in could not be decided.
        SignInUndecided {
            name: "sign_in_undecided", status: Status::SERVICE_UNAVAILABLE, sign_in_again: true,
            told: "this site cannot check at the moment whether you may sign in",
            advice: "try again in a moment",
            message: "it could not be decided whether the user may sign in",
            remedy: "the hook of the application panicked, took longer than ten seconds or could not decide: \
                the log names the reason",
        }
        /// The provider refused the authorization request.
        RequestRefused {
            name: "request_refused", status: Status::INTERNAL_SERVER_ERROR, sign_in_again: false,
            told: "the sign-in service refused the request of this site",
            advice: "tell the operator of this site the code below",
            message: "the provider refused the request to sign in",
            remedy: "compare client id, callback URL, scope and audience with what the provider has \
                registered (OPENID_CLIENT_ID, OPENID_CALLBACK_URL, OPENID_SCOPE, OPENID_AUDIENCE); some providers \
                refuse scopes that they do not know, such as offline_access",
        }
        /// The provider rejected the authorization code.
        CodeRejected {
            name: "code_rejected", status: Status::BAD_REQUEST, sign_in_again: true,
            told: "the sign-in service did not complete the sign-in",
            advice: "start the sign-in again; if that does not help, tell the operator of this site the code below",
            message: "the provider rejected the authorization code",
            remedy: "start the sign-in again; if this persists, compare the callback URL with the registered \
                one (OPENID_CALLBACK_URL, DOMAIN_SERVER)",
        }
        /// The ID token was refused.
        IdTokenRefused {
            name: "id_token_refused", status: Status::BAD_GATEWAY, sign_in_again: true,
            told: "this site cannot accept the answer of the sign-in service",
            advice: "start the sign-in again; if that does not help, tell the operator of this site the code below",
            message: "the ID token was refused",
            remedy: "start the sign-in again; if this persists, compare issuer, client id and clocks \
                (OPENID_ISSUER, OPENID_CLIENT_ID, OPENID_CLOCK_TOLERANCE)",
        }
        /// The claims of UserInfo are about another subject, or could not be fetched.
        UserInfoRefused {
            name: "user_info_refused", status: Status::BAD_GATEWAY, sign_in_again: true,
            told: "this site cannot accept what the sign-in service says about you",
            advice: "start the sign-in again; if that does not help, tell the operator of this site the code below",
            message: "the claims of UserInfo cannot be used",
            remedy: "start the sign-in again, or turn UserInfo off",
        }
        /// The access token is of a kind that can never be verified here, and a new one would be the
        /// same.
        UnusableToken {
            name: "unusable_token", status: Status::INTERNAL_SERVER_ERROR, sign_in_again: false,
            told: "this site cannot use the answers of the sign-in service",
            advice: "tell the operator of this site the code below",
            message: "the access token can never be verified here",
            remedy: "make the provider issue a JWT for this service: name it in the request (Auth0: set \
                OPENID_AUDIENCE to the API identifier; Entra ID: ask for a scope api://<application \
                id>/.default in OPENID_SCOPE; others: OPENID_RESOURCE)",
        }
        /// A new access token was refused.
        TokenRefused {
            name: "token_refused", status: Status::BAD_GATEWAY, sign_in_again: true,
            told: "this site cannot accept the answer of the sign-in service",
            advice: "start the sign-in again; if that does not help, tell the operator of this site the code below",
            message: "a new access token was refused",
            remedy: "compare issuer, algorithms and clocks with the provider's (OPENID_ISSUER, \
                OPENID_ALGORITHMS, OPENID_CLOCK_TOLERANCE)",
        }
        /// The provider issued no refresh token, and one is required.
        NoRefreshToken {
            name: "no_refresh_token", status: Status::INTERNAL_SERVER_ERROR, sign_in_again: false,
            told: "the sign-in service does not allow this site to keep you signed in",
            advice: "tell the operator of this site the code below",
            message: "the provider issued no refresh token",
            remedy: "ask for offline_access in the scope (OPENID_SCOPE) and allow it at the provider \
                (Auth0: Allow Offline Access on the API; Google takes other parameters for it: \
                OPENID_AUTHORIZATION_PARAMETERS=access_type=offline&prompt=consent), or allow short sessions, \
                which end with the access token (OPENID_REQUIRE_REFRESH_TOKEN=false)",
        }
        /// Several sign-ins in a row ended in the same way.
        SignInLoop {
            name: "sign_in_loop", status: Status::INTERNAL_SERVER_ERROR, sign_in_again: false,
            told: "you have signed in several times, and this site still does not let you in",
            advice: "allow cookies for this site; if that does not help, tell the operator of this site the code below",
            message: "signing in ends the same way again and again",
            remedy: "the sign-in works, but the application refuses the signed-in user: its log says what \
                it demands; if the browser drops cookies, allow them",
        }
        /// A setting here or at the provider must change.
        Misconfigured {
            name: "misconfigured", status: Status::INTERNAL_SERVER_ERROR, sign_in_again: false,
            told: "the sign-in service does not accept this site",
            advice: "tell the operator of this site the code below",
            message: "the provider refused the configuration of this service",
            remedy: "compare client id, secret, scope and audience with what the provider has registered \
                (OPENID_CLIENT_ID, OPENID_CLIENT_SECRET, OPENID_SCOPE, OPENID_AUDIENCE); the log names \
                the code",
        }
        /// The layer is nested below a prefix, where requests for its own paths do not reach it.
        Misplaced {
            name: "misplaced", status: Status::INTERNAL_SERVER_ERROR, sign_in_again: false,
            told: "signing in does not work on this site at the moment",
            advice: "tell the operator of this site the code below",
            message: "the sign-in stands where its own paths do not reach it",
            remedy: "add the layer by Router::layer to the outermost router, after the last nest, and not to a \
                router that is nested below a prefix; or mount the router by nest_service and put the prefix \
                behind the address of the site (DOMAIN_SERVER)",
        }
        /// The address of the site has a path, and no proxy takes it off the paths of requests.
        BasePathKept {
            name: "base_path_kept", status: Status::INTERNAL_SERVER_ERROR, sign_in_again: false,
            told: "signing in does not work on this site at the moment",
            advice: "tell the operator of this site the code below",
            message: "requests arrive with the path of the site's address",
            remedy: "have the proxy take the path off (nginx: proxy_pass with a final slash; Caddy: handle_path; \
                Traefik: StripPrefix), or write the address without a path (DOMAIN_SERVER) and put the path \
                before that of the sign-in (OPENID_PATH, OPENID_CALLBACK_URL)",
        }
        /// The provider cannot be reached, or answers with an error.
        ProviderUnavailable {
            name: "provider_unavailable", status: Status::SERVICE_UNAVAILABLE, sign_in_again: true,
            told: "the sign-in service cannot be reached at the moment",
            advice: "try again in a moment",
            message: "the provider is not available",
            remedy: "try again in a moment; no restart is needed",
        }
        /// The session store cannot be reached.
        StoreUnavailable {
            name: "store_unavailable", status: Status::SERVICE_UNAVAILABLE, sign_in_again: true,
            told: "this site cannot look up sessions at the moment",
            advice: "try again in a moment",
            message: "the session store is not available",
            remedy: "try again in a moment; no restart is needed",
        }
        /// Too many sign-ins are being finished.
        TooManySignIns {
            name: "too_many_sign_ins", status: Status::SERVICE_UNAVAILABLE, sign_in_again: true,
            told: "many visitors are signing in at the moment",
            advice: "load this address again in a moment",
            message: "too many sign-ins are being finished at the moment",
            remedy: "load this address again in a moment",
        }
        /// A logout token was refused.
        LogoutTokenRefused {
            name: "logout_token_refused", status: Status::BAD_REQUEST, sign_in_again: false,
            told: "the logout token was refused",
            advice: "send each logout token once, with this client as its audience",
            message: "the logout token was refused",
            remedy: "send each logout token once, with this client as its audience",
        }
    }
}

const ALLOW_OFFLINE_ACCESS: &str = "the scope offline_access was asked for, and the provider ignored it: \
    allow refresh tokens for this client (Auth0: Allow Offline Access on the API; others: the grant type \
    refresh_token of the client; Google takes other parameters for it: \
    OPENID_AUTHORIZATION_PARAMETERS=access_type=offline&prompt=consent), or allow short sessions, which end \
    with the access token (OPENID_REQUIRE_REFRESH_TOKEN=false, LoginBuilder::allow_short_session)";

impl LoginErrorKind {
    /// The status of the answer.
    #[must_use]
    pub fn status(self) -> Status {
        self.facts().status
    }

    /// Whether signing in again may help.
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
        self.kind.facts().told
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
        self.kind.facts().advice
    }

    /// What the operator of the service can do, with the names of settings.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        if self.asked_for_offline_access {
            return ALLOW_OFFLINE_ACCESS;
        }
        match (&self.cause, self.kind) {
            (
                Some(Cause::Verify(error)),
                LoginErrorKind::UnusableToken | LoginErrorKind::TokenRefused,
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
            (_, kind) => kind.facts().remedy,
        }
    }

    /// How long to wait before trying again. `None` unless only waiting helps.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self.kind {
            LoginErrorKind::ProviderUnavailable
            | LoginErrorKind::StoreUnavailable
            | LoginErrorKind::SignInUndecided
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
        formatter.write_str(self.kind.facts().message)
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
            check_text(kind.facts().message);
            check_text(kind.facts().remedy);
            check_text(kind.facts().told);
            check_text(kind.facts().advice);
        }
        check_text(ALLOW_OFFLINE_ACCESS);
    }

    #[test]
    fn what_was_asked_for_already_is_no_remedy() {
        let remedy = |scope| LoginError::no_refresh_token(scope).remedy();
        assert!(remedy("openid offline_access").contains("ignored it"));
        assert!(remedy("openid").contains("ask for offline_access"));
        assert!(remedy("openid offline_access2").contains("ask for offline_access"));
    }
}
