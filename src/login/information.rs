//! How a session stands, for the scripts of a page that is all scripts.

use http::request::Parts;
use serde_json::Value;

use crate::error::{LoginError, LoginErrorKind as Kind};
use crate::login::browser::query::single;
use crate::login::browser::reply::Reply;
use crate::login::browser::session_cookie;
use crate::login::party::Party;
use crate::login::sessions::{Need, Standing};

/// The parameter by which a request counts as use of the session.
const KEEP_ALIVE: &str = "keep_alive";

impl Party {
    /// The answer to a script that asks how its session stands.
    pub(super) async fn session_information(&self, head: &Parts) -> Reply {
        match self.told_of_session(head).await {
            Ok(told) => Reply::json(&told),
            Err(error) => {
                let clear = match error.kind() {
                    Kind::SessionEnded => self.clear_own_cookie(head),
                    _ => None,
                };
                self.site.document(head, error).with_cookies(clear)
            }
        }
    }

    async fn told_of_session(&self, head: &Parts) -> Result<Value, LoginError> {
        let not_signed_in = || LoginError::from(Kind::NotSignedIn);
        let information = self.information.as_ref().ok_or_else(not_signed_in)?;
        let id = session_cookie::named_by(&head.headers, &self.cookies);
        let key = id.ok_or_else(not_signed_in)?.store_key();
        if single(head, KEEP_ALIVE).is_some_and(|value| value == "true") {
            match self.sessions.standing(key, Need::Caller).await {
                Standing::Live(_) => {}
                Standing::Over(_) => return Err(Kind::SessionEnded.into()),
                Standing::NeedsSignIn => return Err(not_signed_in()),
                Standing::Failed(error) => return Err(error),
            }
        }
        let glance = self.sessions.glance(key).await?;
        Ok(information.told(&glance, &self.site.public.logout))
    }
}
