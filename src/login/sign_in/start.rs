//! Signing in, the way to the provider
//! ([OpenID Connect Core §3.1.2](https://openid.net/specs/openid-connect-core-1_0.html#AuthorizationEndpoint)).

use http::request::Parts;

use crate::error::{LoginError, LoginErrorKind as Kind};
use crate::login::audit::About;
use crate::login::browser::cookie::{CookieValue, open_cookie, sent};
use crate::login::browser::query::single;
use crate::login::browser::reply::{Reply, no_randomness, provider_failed};
use crate::login::browser::return_path::ReturnPath;
use crate::login::browser::site::is_navigation;
use crate::login::sessions::seal::Purpose;
use crate::login::sign_in::SignIn;
use crate::login::sign_in::attempt::LoginAttempt;
use crate::login::sign_in::attempt_cookies::AttemptCookies;
use crate::login::sign_in::loop_breaker::SignInHistory;
use crate::login::sign_in::request::PassedParameter;
use crate::observe;

/// The parameter of the start path by which a sign-in replaces one whose cookie was overwritten.
const AGAIN: &str = "again";

impl SignIn {
    /// Sends the browser to the provider.
    pub(crate) async fn start(&self, parts: &Parts) -> Reply {
        let return_path = self.return_path(parts);
        if self.is_silent(parts) {
            return self.start_silently(parts, &return_path).await;
        }
        self.send(parts, &return_path, None).await
    }

    /// Sends the browser to the provider, to come back here. `hint` tells the provider who is about to sign in.
    pub(crate) async fn send(
        &self,
        parts: &Parts,
        return_path: &ReturnPath,
        hint: Option<&str>,
    ) -> Reply {
        match self.try_start(parts, return_path, hint, false).await {
            Ok(reply) => reply,
            Err(error) => self.site.tell(parts, error, return_path),
        }
    }

    pub(super) async fn try_start(
        &self,
        parts: &Parts,
        return_path: &ReturnPath,
        hint: Option<&str>,
        is_silent: bool,
    ) -> Result<Reply, LoginError> {
        if parts.headers.contains_key("sec-fetch-mode") && !is_navigation(parts) {
            return Err(Kind::NotANavigation.into());
        }
        let replaces = single(parts, AGAIN).is_some();
        if replaces && self.is_signed_in(parts).await {
            // By another tab in the meantime.
            return Ok(Reply::see_other(return_path.as_str()));
        }
        let now = self.provider.clock().now();
        let history = self.history(parts);
        if let Some(end) = history.loops(now) {
            observe::signed_in(Kind::SignInLoop.as_str());
            tracing::error!(
                end,
                "a browser signs in again and again with the same end; it is not sent to the provider"
            );
            let error = LoginError::from(Kind::SignInLoop);
            About::sign_in(self.provider.issuer().as_str()).not_signed_in(&error);
            return Err(error);
        }
        self.tell_of_other_host(parts);
        let metadata = self.provider.metadata().await.map_err(|refusal| {
            provider_failed(refusal.error).with_retry_after(refusal.retry_after)
        })?;
        let issuer = metadata.value.server.issuer.as_str();
        let redirect_uri = self.site.redirect_uri();
        let mut attempt =
            LoginAttempt::new(issuer, &redirect_uri, replaces, now).map_err(no_randomness)?;
        if self.request.form_post {
            attempt.history = history;
        }
        let mut passed = self.passed_through(parts, &mut attempt);
        if let Some(hint) = hint {
            passed.retain(|(name, _)| *name != "login_hint");
            passed.push(("login_hint", hint.to_owned()));
        }
        if is_silent {
            attempt.is_silent = true;
            passed.retain(|(name, _)| *name != "prompt");
            passed.push(("prompt", "none".to_owned()));
        }
        let challenge = attempt.challenge();
        let mut parameters = vec![
            ("response_type", "code"),
            ("redirect_uri", &redirect_uri),
            ("scope", &self.request.scope),
            ("state", attempt.state.expose()),
            ("nonce", attempt.nonce.expose()),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        if self.request.form_post {
            parameters.push(("response_mode", "form_post"));
        }
        if let Some(audience) = &self.request.audience {
            parameters.push(("audience", audience));
        }
        let request = &self.request;
        for resource in request.resources.iter().chain(&request.later_resources) {
            parameters.push(("resource", resource));
        }
        // What this visitor asks for goes before what is sent with every request.
        let is_passed = |name: &str| passed.iter().any(|(passed, _)| *passed == name);
        let fixed = self.request.parameters.iter();
        let fixed = fixed.filter(|(name, _)| !is_passed(name));
        parameters.extend(fixed.map(|(name, value)| (name.as_str(), value.as_str())));
        parameters.extend(passed.iter().map(|(name, value)| (*name, value.as_str())));
        let url = self
            .provider
            .authorization_url(&self.client, &parameters, self.request.pushes)
            .await
            .map_err(provider_failed)?;
        let cookie = self
            .attempts(parts)
            .keep(&mut attempt, return_path.clone(), now)
            .map_err(|_| LoginError::from(Kind::Misconfigured))?;
        Ok(Reply::see_other(url.as_str()).with_cookie(cookie))
    }

    /// The sign-ins under way in the browser that sent this request.
    pub(crate) fn attempts<'a>(&'a self, parts: &'a Parts) -> AttemptCookies<'a> {
        AttemptCookies {
            names: &self.cookies,
            sealing: &self.sessions.opener.sealing,
            headers: &parts.headers,
        }
    }

    /// Sends the browser to begin once more, in place of a sign-in whose cookie was overwritten.
    pub(crate) fn start_again(&self) -> Reply {
        Reply::see_other(&format!("{}?{AGAIN}=1", self.site.public.start))
    }

    /// How the last sign-ins of the browser ended. A posted answer brings only the cookie of its own sign-in.
    pub(crate) fn history_with(&self, parts: &Parts, attempt: &LoginAttempt) -> SignInHistory {
        let sent = self.history(parts);
        if sent.is_empty() {
            return attempt.history.clone();
        }
        sent
    }

    /// The parameters that the application lets the query of the start path choose.
    fn passed_through(
        &self,
        parts: &Parts,
        attempt: &mut LoginAttempt,
    ) -> Vec<(&'static str, String)> {
        let mut passed = Vec::new();
        for parameter in &self.request.passed_through {
            let Some(value) = single(parts, parameter.name()) else {
                continue;
            };
            if !is_passable(&value) {
                continue;
            }
            match parameter {
                PassedParameter::AcrValues => {
                    attempt.acr_values = value.split_whitespace().map(str::to_owned).collect();
                }
                PassedParameter::MaxAge => {
                    let Ok(seconds) = value.parse() else {
                        continue;
                    };
                    attempt.max_age = Some(seconds);
                }
                PassedParameter::Prompt | PassedParameter::LoginHint => {}
            }
            passed.push((parameter.name(), value.into_owned()));
        }
        passed
    }

    /// Where to go after signing in: a path of this site, and none of ours.
    fn return_path(&self, parts: &Parts) -> ReturnPath {
        single(parts, "return_to")
            .and_then(|text| self.site.page_path(&text))
            .unwrap_or_else(|| self.site.home())
    }

    pub(crate) fn history(&self, parts: &Parts) -> SignInHistory {
        let name = &self.cookies.history;
        match sent(&parts.headers, name) {
            CookieValue::One(value) => open_cookie(
                &self.sessions.opener.sealing,
                Purpose::SignInHistory,
                name,
                value,
            ),
            _ => None,
        }
        .unwrap_or_default()
    }
}

/// Whether a stranger's text is sent on to the provider.
pub(crate) fn is_passable(value: &str) -> bool {
    const LONGEST: usize = 256;
    !value.is_empty() && value.len() <= LONGEST && !value.chars().any(char::is_control)
}
