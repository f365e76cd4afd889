//! Signing out by the user: the session here first, then at the provider
//! ([RP-Initiated Logout](https://openid.net/specs/openid-connect-rpinitiated-1_0.html)).

use std::time::Duration;

use http::HeaderValue;
use http::request::Parts;
use serde::{Deserialize, Serialize};

use crate::error::LoginError;
use crate::login::audit::By;
use crate::login::browser::cookie::{CookieValue, open_cookie, seal_cookie, sent};
use crate::login::browser::query::single;
use crate::login::browser::reply::Reply;
use crate::login::browser::return_path::ReturnPath;
use crate::login::browser::session_cookie;
use crate::login::browser::site::wants_json;
use crate::login::sessions::seal::Purpose;
use crate::login::sessions::tokens::TokenSet;
use crate::login::sign_in::silent::was_asked;
use crate::login::sign_out::SignOut;
use crate::secret::{Secret, is_same, random_text};

/// A sign-out under way at the provider, in a cookie.
#[derive(Serialize, Deserialize)]
struct SigningOut {
    state: Secret,
    return_path: String,
}

/// How long the provider may take to send the browser back.
const LIFETIME: Duration = Duration::from_secs(600);

/// ID tokens longer than this are not put into a URL, in bytes.
const LONGEST_HINT: usize = 2_000;

impl SignOut {
    /// Ends this browser's session. A form is sent on; a script that asks for JSON is told where to.
    pub(crate) async fn sign_out(&self, parts: &Parts) -> Reply {
        let reply = self.ended(parts).await;
        if wants_json(&parts.headers) {
            reply.not_followed()
        } else {
            reply
        }
    }

    async fn ended(&self, parts: &Parts) -> Reply {
        let return_path = single(parts, "return_to").and_then(|text| self.site.return_path(&text));
        let named = session_cookie::named_by(&parts.headers, &self.cookies);
        let key = named.map(|id| id.store_key());
        let ended = match key {
            Some(key) => self.sessions.end(key).await,
            None => Ok(None),
        };
        let ended = match ended {
            Ok(ended) => ended,
            Err(error) => {
                // The session lives on, and so does its cookie: a second try ends it.
                let error = LoginError::store(error);
                return self.site.tell(parts, error, &self.site.home());
            }
        };
        if let (Some(key), Some(ended)) = (key, &ended) {
            self.audit(key, ended.tokens.as_ref(), By::User);
        }
        let clear = self.cookies_to_clear(parts, ended.is_some());
        let local = return_path.clone().unwrap_or_else(|| self.site.home());
        let Some(tokens) = ended.and_then(|ended| ended.tokens) else {
            return Reply::see_other(local.as_str()).with_cookies(clear);
        };
        self.sessions
            .revoker
            .revoke_behind(tokens.refresh_token.clone());
        match self.provider_sign_out(&tokens, return_path.as_ref()).await {
            Some(reply) => reply.with_cookies(clear),
            None => Reply::see_other(local.as_str()).with_cookies(clear),
        }
    }

    /// The session's cookie, and with it the count of sign-ins: a visitor who signed out may sign in again, however
    /// often. A cookie that another application made is left alone.
    fn cookies_to_clear(&self, parts: &Parts, has_ended: bool) -> Vec<HeaderValue> {
        let names = &self.cookies;
        if !has_ended {
            let sealing = &self.sessions.opener.sealing;
            let clear = session_cookie::clear_own(&parts.headers, names, sealing);
            return clear.into_iter().collect();
        }
        let mut clear = vec![names.clear(&names.session)];
        if self.settings.signs_in_silently {
            clear.push(was_asked(names));
        }
        if sent(&parts.headers, &names.history) != CookieValue::Nothing {
            clear.push(names.clear(&names.history));
        }
        clear
    }

    /// Sends the browser on to the provider's own sign-out, where there is one.
    async fn provider_sign_out(
        &self,
        tokens: &TokenSet,
        return_path: Option<&ReturnPath>,
    ) -> Option<Reply> {
        if !self.settings.at_provider {
            return None;
        }
        let metadata = self.provider.metadata().await.ok()?;
        let mut url = metadata.value.server.endpoints.end_session.clone()?;
        let mut query = url.query_pairs_mut();
        if tokens.id_token.expose().len() <= LONGEST_HINT {
            query.append_pair("id_token_hint", tokens.id_token.expose());
        } else {
            query.append_pair("logout_hint", &logout_hint(tokens));
        }
        query
            .append_pair("client_id", self.client.id())
            .append_pair("post_logout_redirect_uri", self.settings.back_to.as_str())
            .extend_pairs(&self.settings.parameters);
        // Where coming back here means nothing, a state would only stay in the address.
        let cookie = match return_path.filter(|_| self.settings.path_back.is_some()) {
            Some(return_path) => {
                let signing_out = SigningOut {
                    state: Secret::new(random_text().ok()?),
                    return_path: return_path.as_str().to_owned(),
                };
                query.append_pair("state", signing_out.state.expose());
                let name = &self.cookies.sign_out;
                let sealing = &self.sessions.opener.sealing;
                let sealed = seal_cookie(sealing, Purpose::SignOut, name, &signing_out).ok()?;
                Some(self.cookies.set(name, &sealed, LIFETIME))
            }
            None => None,
        };
        drop(query);
        Some(Reply::see_other(url.as_str()).with_cookies(cookie))
    }

    /// Where a browser goes that comes back from the provider's sign-out with the state it took along. `None`
    /// for any other request.
    pub(crate) fn back_from_sign_out(&self, parts: &Parts) -> Option<Reply> {
        let is_here = self.settings.path_back.as_deref() == Some(parts.uri.path());
        let state = is_here.then(|| single(parts, "state")).flatten()?;
        let name = &self.cookies.sign_out;
        let CookieValue::One(value) = sent(&parts.headers, name) else {
            return None;
        };
        let sealing = &self.sessions.opener.sealing;
        let signing_out: SigningOut = open_cookie(sealing, Purpose::SignOut, name, value)?;
        if !is_same(signing_out.state.expose(), &state) {
            return None;
        }
        let path = self.site.return_path(&signing_out.return_path);
        let path = path.unwrap_or_else(|| self.site.home());
        Some(Reply::see_other(path.as_str()).with_cookie(self.cookies.clear(name)))
    }
}

/// The person who signs out, in the provider's own word where there is one.
fn logout_hint(tokens: &TokenSet) -> String {
    #[derive(Deserialize)]
    struct Hints {
        login_hint: Option<String>,
    }
    let hints: Option<Hints> = serde_json::from_str(&tokens.id_claims).ok();
    hints
        .and_then(|hints| hints.login_hint)
        .unwrap_or_else(|| tokens.subject.clone())
}
