//! Signing out: here first and whatever happens, then at the provider
//! ([RP-Initiated Logout](https://openid.net/specs/openid-connect-rpinitiated-1_0.html)); and at the
//! provider's word, in the back
//! ([Back-Channel Logout](https://openid.net/specs/openid-connect-backchannel-1_0.html)) or in a frame
//! ([Front-Channel Logout](https://openid.net/specs/openid-connect-frontchannel-1_0.html)).

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::request::Parts;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use url::{Url, form_urlencoded};

use crate::error::{
    Chain, LoginError, LoginErrorKind as Kind, ProviderErrorKind, StoreError, VerifyErrorKind,
};
use crate::login::browser::cookie::{Sent, sent};
use crate::login::browser::page::Page;
use crate::login::browser::reply::Reply;
use crate::login::browser::return_path::ReturnPath;
use crate::login::relying_party::RelyingParty;
use crate::login::sessions::id::{SessionId, StoreKey};
use crate::login::sessions::record::Record;
use crate::login::sessions::seal::Purpose;
use crate::login::sessions::tokens::TokenSet;
use crate::login::sign_in::attempt::{open_cookie, seal_cookie};
use crate::login::sign_in::callback::{session_key, subject_key};
use crate::login::sign_in::start::single;
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

/// Longer back-channel logouts are not read, in bytes.
pub(crate) const LONGEST_FORM: usize = 64 * 1024;

/// How often revoking is tried, and how long a provider can put it off each time.
const REVOKE_ATTEMPTS: u32 = 3;
const LONGEST_REVOKE_PAUSE: Duration = Duration::from_secs(30);

impl RelyingParty {
    /// Ends this browser's session.
    pub(crate) async fn sign_out(self: &Arc<Self>, parts: &Parts) -> Reply {
        let return_path = single(parts, "return_to")
            .and_then(|text| ReturnPath::parse(&text))
            .filter(|path| self.site.paths.own(path.path()).is_none());
        let clear = self.cookies.clear(&self.cookies.session);
        let ended = match sent(&parts.headers, &self.cookies.session) {
            Sent::One(value) => match SessionId::parse(&value) {
                Some(id) => self.end(id.store_key()).await,
                None => Ok(None),
            },
            Sent::Nothing | Sent::Several => Ok(None),
        };
        let tokens = match ended {
            Ok(tokens) => tokens,
            Err(error) => {
                // The session lives on without this browser, and saying otherwise would be a lie.
                let error = LoginError::store(error);
                return self
                    .tell(parts, error, &ReturnPath::default())
                    .with_cookie(clear);
            }
        };
        let local = return_path.clone().unwrap_or_default();
        let Some(tokens) = tokens else {
            return Reply::see_other(local.as_str()).with_cookie(clear);
        };
        self.revoke_behind(tokens.refresh_token.clone());
        match self.provider_sign_out(&tokens, return_path.as_ref()).await {
            Some(reply) => reply.with_cookie(clear),
            None => Reply::see_other(local.as_str()).with_cookie(clear),
        }
    }

    /// Takes a session out of the store, and returns what was in it.
    async fn end(&self, key: StoreKey) -> Result<Option<TokenSet>, StoreError> {
        self.opened.forget(key);
        let record = self.store.delete(key).await?;
        Ok(record.and_then(|record| TokenSet::open(&self.sealing(), key, &record).ok()))
    }

    /// Sends the browser on to the provider's own sign-out, where there is one.
    async fn provider_sign_out(
        &self,
        tokens: &TokenSet,
        return_path: Option<&ReturnPath>,
    ) -> Option<Reply> {
        if !self.sign_out.at_provider {
            return None;
        }
        let metadata = self.provider.metadata().await.ok()?;
        let mut url = metadata.value.endpoints.end_session.clone()?;
        let signing_out = SigningOut {
            state: Secret::new(random_text().ok()?),
            return_path: return_path.cloned().unwrap_or_default().as_str().to_owned(),
        };
        let mut query = url.query_pairs_mut();
        if tokens.id_token.expose().len() <= LONGEST_HINT {
            query.append_pair("id_token_hint", tokens.id_token.expose());
        } else {
            query.append_pair("logout_hint", &logout_hint(tokens));
        }
        query
            .append_pair("client_id", self.client.id())
            .append_pair("post_logout_redirect_uri", self.sign_out.back_to.as_str())
            .append_pair("state", signing_out.state.expose());
        drop(query);
        let reply = Reply::see_other(url.as_str());
        let name = &self.cookies.sign_out;
        // Without a path to return to, coming back means nothing.
        match return_path {
            Some(_) => {
                let sealed =
                    seal_cookie(&self.sealing(), Purpose::SignOut, name, &signing_out).ok()?;
                Some(reply.with_cookie(self.cookies.set(name, &sealed, LIFETIME)))
            }
            None => Some(reply),
        }
    }

    /// Where a browser goes that comes back from the provider's sign-out with the state it took
    /// along. Any other request is none of our business.
    pub(crate) fn back_from_sign_out(&self, parts: &Parts) -> Option<Reply> {
        let is_here = self.sign_out.path_back.as_deref() == Some(parts.uri.path());
        let state = is_here.then(|| single(parts, "state")).flatten()?;
        let name = &self.cookies.sign_out;
        let Sent::One(value) = sent(&parts.headers, name) else {
            return None;
        };
        let signing_out: SigningOut = open_cookie(&self.sealing(), Purpose::SignOut, name, &value)?;
        if !is_same(signing_out.state.expose(), &state) {
            return None;
        }
        let path = ReturnPath::parse(&signing_out.return_path).unwrap_or_default();
        Some(Reply::see_other(path.as_str()).with_cookie(self.cookies.clear(name)))
    }

    /// Ends sessions at the provider's word, which comes as a form.
    pub(crate) async fn backchannel(self: &Arc<Self>, content_type: &str, form: &[u8]) -> Reply {
        match self.try_backchannel(content_type, form).await {
            Ok(ended) => {
                tracing::info!(ended, "the provider signed somebody out");
                Reply::empty(StatusCode::OK)
            }
            Err(error) => {
                tracing::info!(error = %Chain(&error), "a back-channel logout was refused");
                Reply::page(Page::new(error, false, None))
            }
        }
    }

    async fn try_backchannel(
        self: &Arc<Self>,
        content_type: &str,
        form: &[u8],
    ) -> Result<usize, LoginError> {
        let refuse = || LoginError::from(Kind::LogoutTokenRefused);
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(refuse());
        }
        let mut tokens = form_urlencoded::parse(form).filter(|(name, _)| name == "logout_token");
        let (Some((_, token)), None) = (tokens.next(), tokens.next()) else {
            return Err(refuse());
        };
        let token =
            self.logout_tokens
                .verify(&token)
                .await
                .map_err(|error| match error.kind() {
                    VerifyErrorKind::Unavailable => {
                        LoginError::verify(Kind::ProviderUnavailable, error)
                    }
                    _ => LoginError::verify(Kind::LogoutTokenRefused, error),
                })?;
        let now = self.provider.clock().now();
        let left = token
            .expires_at
            .as_seconds()
            .saturating_sub(now.as_seconds());
        // A little longer than it can be valid, leeway included.
        let remembered = Duration::from_secs(left.max(0).unsigned_abs().saturating_add(600));
        let seen = StoreKey::of(&["logout token", &token.issuer, &token.id]);
        let is_first = self.store.put_if_absent(seen, remembered).await;
        if !is_first.map_err(LoginError::store)? {
            return Err(refuse());
        }
        let ended = match (&token.session, &token.subject) {
            (Some(sid), _) => {
                self.store
                    .delete_by_session(session_key(&token.issuer, sid))
                    .await
            }
            (None, Some(subject)) => {
                self.store
                    .delete_by_subject(subject_key(&token.issuer, subject))
                    .await
            }
            (None, None) => Ok(Vec::new()),
        }
        .map_err(LoginError::store)?;
        Ok(self.revoke_ended(ended))
    }

    /// Ends sessions at the provider's word, which comes as a frame in a page of its.
    pub(crate) async fn frontchannel(self: &Arc<Self>, parts: &Parts) -> Reply {
        let reply = match self.provider.metadata().await {
            Ok(metadata) => {
                let framer = Url::parse(metadata.value.issuer.as_str()).map_or_else(
                    |_| "'none'".to_owned(),
                    |url| url.origin().ascii_serialization(),
                );
                Reply::empty(StatusCode::OK).framed_by(&framer)
            }
            Err(_) => return Reply::empty(StatusCode::SERVICE_UNAVAILABLE),
        };
        // Browsers send no cookie into a frame of another site, so the provider's session has to be
        // named; whoever cannot name it ends nothing.
        let (Some(iss), Some(sid)) = (single(parts, "iss"), single(parts, "sid")) else {
            return reply;
        };
        match self.store.delete_by_session(session_key(&iss, &sid)).await {
            Ok(ended) => {
                self.revoke_ended(ended);
                reply
            }
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "a front-channel logout could not be stored");
                Reply::empty(StatusCode::SERVICE_UNAVAILABLE)
            }
        }
    }

    /// Revokes the refresh tokens of sessions that the provider ended. Those for offline access
    /// are meant to outlive them (Back-Channel Logout §2.7) unless configured otherwise.
    fn revoke_ended(self: &Arc<Self>, ended: Vec<(StoreKey, Record)>) -> usize {
        let count = ended.len();
        for (key, record) in ended {
            self.opened.forget(key);
            let Ok(tokens) = TokenSet::open(&self.sealing(), key, &record) else {
                continue;
            };
            let scope = tokens.scope.as_deref().unwrap_or(&self.request.scope);
            let is_offline = scope.split(' ').any(|word| word == "offline_access");
            if !is_offline || self.sign_out.revokes_offline_access {
                self.revoke_behind(tokens.refresh_token);
            }
        }
        count
    }

    /// Revokes a refresh token in a task of its own: nobody waits for it.
    pub(crate) fn revoke_behind(self: &Arc<Self>, token: Option<Secret>) {
        if let (Some(token), Ok(runtime)) = (token, Handle::try_current()) {
            let party = Arc::clone(self);
            runtime.spawn(async move { party.revoke(&token).await });
        }
    }

    /// Revokes a refresh token, trying a few times.
    async fn revoke(&self, token: &Secret) {
        let mut pause = Duration::from_secs(1);
        for attempt in 1..=REVOKE_ATTEMPTS {
            let Err((error, asked)) = self.provider.revoke(&self.client, token).await else {
                return;
            };
            let is_final =
                attempt == REVOKE_ATTEMPTS || error.kind() == ProviderErrorKind::RequestRefused;
            if is_final {
                tracing::warn!(error = %Chain(&error), "a refresh token could not be revoked");
                return;
            }
            tokio::time::sleep(asked.unwrap_or(pause).min(LONGEST_REVOKE_PAUSE)).await;
            pause *= 2;
        }
    }
}

/// Who signs out, in the provider's own word where there is one.
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
