//! Signing in, the way to the provider
//! ([OpenID Connect Core §3.1.2](https://openid.net/specs/openid-connect-core-1_0.html#AuthorizationEndpoint)).

use http::HeaderValue;
use http::request::Parts;

use crate::clock::UnixTime;
use crate::error::{LoginError, LoginErrorKind as Kind};
use crate::login::browser::cookie::{CookieValue, open_cookie, seal_cookie, sent};
use crate::login::browser::query::single;
use crate::login::browser::reply::{Reply, no_randomness, provider_failed};
use crate::login::browser::return_path::ReturnPath;
use crate::login::browser::site::is_navigation;
use crate::login::sessions::seal::Purpose;
use crate::login::sign_in::SignIn;
use crate::login::sign_in::attempt::{self, LoginAttempt};
use crate::login::sign_in::loop_breaker::SignInHistory;
use crate::login::sign_in::request::PassedParameter;
use crate::observe;

/// Cookies cleared by one answer, so that all of it stays below what proxies take.
const MOST_CLEARED: usize = 2;

impl SignIn {
    /// Sends the browser to the provider.
    pub(crate) async fn start(&self, parts: &Parts) -> Reply {
        let return_path = self.return_path(parts);
        match self.try_start(parts, &return_path).await {
            Ok(reply) => reply,
            Err(error) => self.site.tell(parts, error, &return_path),
        }
    }

    async fn try_start(
        &self,
        parts: &Parts,
        return_path: &ReturnPath,
    ) -> Result<Reply, LoginError> {
        if parts.headers.contains_key("sec-fetch-mode") && !is_navigation(parts) {
            return Err(Kind::NotANavigation.into());
        }
        let now = self.provider.clock().now();
        if let Some(end) = self.history(parts).loops(now) {
            observe::signed_in(Kind::SignInLoop.as_str());
            tracing::error!(
                end,
                "a browser signs in again and again with the same end; it is not sent to the provider"
            );
            return Err(Kind::SignInLoop.into());
        }
        let metadata = self.provider.metadata().await.map_err(|refusal| {
            provider_failed(refusal.error).with_retry_after(refusal.retry_after)
        })?;
        let issuer = metadata.value.issuer.as_str();
        let redirect_uri = self.site.redirect_uri();
        let mut attempt =
            LoginAttempt::new(issuer, &redirect_uri, return_path, now).map_err(no_randomness)?;
        let passed = self.passed_through(parts, &mut attempt);
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
        if let Some(audience) = &self.request.audience {
            parameters.push(("audience", audience));
        }
        for resource in &self.request.resources {
            parameters.push(("resource", resource));
        }
        let fixed = self.request.parameters.iter();
        parameters.extend(fixed.map(|(name, value)| (name.as_str(), value.as_str())));
        parameters.extend(passed.iter().map(|(name, value)| (*name, value.as_str())));
        let url = self
            .provider
            .authorization_url(&self.client, &parameters)
            .await
            .map_err(provider_failed)?;
        let name = self.cookies.attempt(attempt.state.expose());
        let sealed = seal_cookie(
            &self.sessions.opener.sealing,
            Purpose::LoginAttempt,
            &name,
            &attempt,
        )
        .map_err(|_| LoginError::from(Kind::Misconfigured))?;
        Ok(Reply::see_other(url.as_str())
            .with_cookie(self.cookies.set(&name, &sealed, attempt::LIFETIME))
            .with_cookies(self.surplus_attempts(parts, now)))
    }

    /// The parameters that the application lets the query of the start path choose.
    fn passed_through(
        &self,
        parts: &Parts,
        attempt: &mut LoginAttempt,
    ) -> Vec<(&'static str, String)> {
        const LONGEST: usize = 256;
        let mut passed = Vec::new();
        for parameter in &self.request.passed_through {
            let Some(value) = single(parts, parameter.name()) else {
                continue;
            };
            if value.is_empty() || value.len() > LONGEST || value.chars().any(char::is_control) {
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

    /// The fields that clear sign-ins that are over, unreadable, or more than one browser needs.
    fn surplus_attempts(&self, parts: &Parts, now: UnixTime) -> Vec<HeaderValue> {
        let mut running = Vec::new();
        let mut surplus = Vec::new();
        for (name, value) in self.cookies.attempts(&parts.headers) {
            let attempt: Option<LoginAttempt> = open_cookie(
                &self.sessions.opener.sealing,
                Purpose::LoginAttempt,
                &name,
                &value,
            );
            match attempt {
                Some(attempt) if !attempt.is_expired(now) => {
                    running.push((attempt.started_at, name));
                }
                _ => surplus.push(name),
            }
        }
        running.sort_unstable();
        let too_many = (running.len() + 1).saturating_sub(attempt::MOST);
        surplus.extend(running.drain(..too_many).map(|(_, name)| name));
        surplus
            .iter()
            .take(MOST_CLEARED)
            .map(|name| self.cookies.clear(name))
            .collect()
    }

    /// Where to go after signing in: a path of this site, and none of ours.
    fn return_path(&self, parts: &Parts) -> ReturnPath {
        single(parts, "return_to")
            .and_then(|text| ReturnPath::parse(&text))
            .filter(|path| self.site.paths.own(path.path()).is_none())
            .unwrap_or_default()
    }

    pub(crate) fn history(&self, parts: &Parts) -> SignInHistory {
        let name = &self.cookies.history;
        match sent(&parts.headers, name) {
            CookieValue::One(value) => open_cookie(
                &self.sessions.opener.sealing,
                Purpose::SignInHistory,
                name,
                &value,
            ),
            _ => None,
        }
        .unwrap_or_default()
    }
}
