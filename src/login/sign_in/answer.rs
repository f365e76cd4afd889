//! Which sign-in an answer of the provider belongs to, and what an answer comes to that belongs to none.

use http::request::Parts;

use crate::error::{LoginError, LoginErrorKind as Kind};
use crate::login::browser::query::{single, values};
use crate::login::browser::reply::Reply;
use crate::login::browser::session_cookie;
use crate::login::browser::site::is_navigation;
use crate::login::sessions::{Need, Standing};
use crate::login::sign_in::SignIn;
use crate::login::sign_in::attempt::{self, LoginAttempt};

/// Longer queries, and longer forms, are not read.
pub(crate) const LONGEST_QUERY: usize = 16 * 1024;

/// With so many sign-ins under way that replace others, no more are replaced.
const MOST_REPLACEMENTS: usize = 3;

impl SignIn {
    /// The sign-in that the answer belongs to, by its state and this browser's cookie.
    pub(crate) fn find_attempt(&self, parts: &Parts) -> Result<(String, LoginAttempt), LoginError> {
        let query = parts.uri.query().unwrap_or_default();
        let is_clear = query.len() <= LONGEST_QUERY
            && ["code", "state", "iss", "error"]
                .into_iter()
                .all(|name| values(parts, name).count() <= 1);
        let state = single(parts, "state").filter(|state| is_clear && !state.is_empty());
        let Some(state) = state else {
            return Err(Kind::MalformedCallback.into());
        };
        let found = self.attempts(parts).find(&state);
        found.ok_or_else(|| Kind::UnknownAttempt.into())
    }

    /// What an answer comes to that no sign-in of this browser waits for: Back or reload into an answer that was
    /// used, the tab of a sign-in whose cookie another tab has overwritten, a bookmarked page of the provider, or
    /// a forged answer.
    pub(crate) async fn without_attempt(&self, parts: &Parts, error: LoginError) -> Reply {
        if error.kind() != Kind::UnknownAttempt {
            return self.site.tell(parts, error, &self.site.home());
        }
        match self.standing(parts).await {
            Some(Standing::Live(_)) => Reply::see_other(self.site.home().as_str()),
            // It may well be signed in.
            Some(Standing::Failed(error)) => self.tell(parts, error, &self.site.home()),
            _ if self.was_overwritten(parts) => {
                tracing::debug!(
                    "a sign-in whose cookie another tab has overwritten begins once more"
                );
                self.start_again()
            }
            _ => {
                self.tell_of_lost_cookie(parts, &error);
                self.site.page(parts, error, &self.site.home())
            }
        }
    }

    /// Logs an answer that no sign-in waits for now and then, because a browser that drops the cookie and a site
    /// that is opened under two names look the same as a forged answer.
    fn tell_of_lost_cookie(&self, parts: &Parts, error: &LoginError) {
        let (kind, remedy) = (error.kind().as_str(), error.remedy());
        let (asked, configured) = (self.site.other_host(parts), self.site.origin.as_str());
        if self.lost_cookies.take(self.provider.clock().monotonic()) {
            tracing::warn!(kind, %error, ?asked, configured, remedy, "a sign-in failed");
        } else {
            tracing::debug!(kind, %error, ?asked, configured, remedy, "a sign-in failed");
        }
    }

    /// Logs now and then that a sign-in begins at another address of this machine than the configured one, such
    /// as 127.0.0.1 for localhost. The callback leads to the configured one, where its cookie is missing. Behind a
    /// proxy the host of a request need not be the public one, so that this is told on loopback addresses only.
    pub(crate) fn tell_of_other_host(&self, parts: &Parts) {
        if !self.site.is_loopback {
            return;
        }
        let Some(asked) = self.site.other_host(parts) else {
            return;
        };
        if self.lost_cookies.take(self.provider.clock().monotonic()) {
            tracing::warn!(
                ?asked,
                configured = self.site.origin,
                "a sign-in begins at another address than the configured one, and the browser will come back \
                 without its cookie: open the site at the configured address, or set the address \
                 (DOMAIN_SERVER) to the one that is used"
            );
        }
    }

    /// Whether another tab has probably overwritten the cookie of the sign-in that this answer belongs to: another
    /// sign-in of the browser is under way or has just ended. A sign-in is replaced once, so that a browser which
    /// loses every cookie is not sent round in circles. A provider that changes every state cannot do that either.
    fn was_overwritten(&self, parts: &Parts) -> bool {
        let now = self.provider.clock().now();
        let state = single(parts, "state").unwrap_or_default();
        let has_code = single(parts, "code").is_some_and(|code| !code.is_empty());
        let attempts = self.attempts(parts);
        has_code
            && is_navigation(parts)
            && !attempt::is_replacement(&state)
            && attempts.replacements(now) < MOST_REPLACEMENTS
            && (attempts.has_any(now) || self.history(parts).has_recent(now))
    }

    /// Whether the browser has a live session.
    pub(crate) async fn is_signed_in(&self, parts: &Parts) -> bool {
        matches!(self.standing(parts).await, Some(Standing::Live(_)))
    }

    /// How the session stands that the browser names, if it names one.
    async fn standing(&self, parts: &Parts) -> Option<Standing> {
        let id = session_cookie::named_by(&parts.headers, &self.cookies)?;
        Some(self.sessions.standing(id.store_key(), Need::Caller).await)
    }
}
