//! Which sign-in an answer of the provider belongs to, and what an answer comes to that belongs to none.

use http::request::Parts;

use crate::error::{LoginError, LoginErrorKind as Kind};
use crate::login::browser::cookie::{CookieValue, sent};
use crate::login::browser::query::{single, values};
use crate::login::browser::reply::Reply;
use crate::login::browser::return_path::ReturnPath;
use crate::login::browser::site::is_navigation;
use crate::login::sessions::Standing;
use crate::login::sessions::id::SessionId;
use crate::login::sign_in::SignIn;
use crate::login::sign_in::attempt::{self, LoginAttempt};

/// Longer queries are not read.
const LONGEST_QUERY: usize = 16 * 1024;

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
            return self.site.tell(parts, error, &ReturnPath::default());
        }
        match self.standing(parts).await {
            Some(Standing::Live(_)) => Reply::see_other(ReturnPath::default().as_str()),
            // It may well be signed in.
            Some(Standing::Failed(error)) => self.tell(parts, error, &ReturnPath::default()),
            _ if self.was_overwritten(parts) => {
                tracing::debug!(
                    "a sign-in whose cookie another tab has overwritten begins once more"
                );
                self.start_again()
            }
            _ => self.site.tell(parts, error, &ReturnPath::default()),
        }
    }

    /// Whether another tab has probably overwritten the cookie of the sign-in that this answer belongs to: another
    /// sign-in of the browser is under way or has just ended. A sign-in is replaced once, so that a browser which
    /// loses every cookie is not sent round in circles.
    fn was_overwritten(&self, parts: &Parts) -> bool {
        let now = self.provider.clock().now();
        let state = single(parts, "state").unwrap_or_default();
        let has_code = single(parts, "code").is_some_and(|code| !code.is_empty());
        has_code
            && is_navigation(parts)
            && !attempt::is_replacement(&state)
            && (self.attempts(parts).has_any(now) || self.history(parts).has_recent(now))
    }

    /// Whether the browser has a live session.
    pub(crate) async fn is_signed_in(&self, parts: &Parts) -> bool {
        matches!(self.standing(parts).await, Some(Standing::Live(_)))
    }

    /// How the session stands that the browser names, if it names one.
    async fn standing(&self, parts: &Parts) -> Option<Standing> {
        let CookieValue::One(value) = sent(&parts.headers, &self.cookies.session) else {
            return None;
        };
        let id = SessionId::parse(value)?;
        Some(self.sessions.standing(id.store_key(), None).await)
    }
}
