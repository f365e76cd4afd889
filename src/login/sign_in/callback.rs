//! Signing in, the way back
//! ([OpenID Connect Core §3.1.3](https://openid.net/specs/openid-connect-core-1_0.html#TokenEndpoint)).

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;

use crate::clock::UnixTime;
use crate::error::{Chain, LoginError, LoginErrorKind as Kind, VerifyErrorKind};
use crate::login::browser::cookie::{Sent, sent};
use crate::login::browser::reply::Reply;
use crate::login::browser::return_path::ReturnPath;
use crate::login::relying_party::{OfflineAccess, RelyingParty, refused};
use crate::login::sessions::id::{SessionId, StoreKey};
use crate::login::sessions::record::{Record, Renewal};
use crate::login::sessions::seal::Purpose;
use crate::login::sessions::tokens::TokenSet;
use crate::login::sign_in::attempt::{self, LoginAttempt, open_cookie, seal_cookie};
use crate::login::sign_in::loop_breaker;
use crate::login::sign_in::start::{no_randomness, provider_failed, single, values};
use crate::login::store::Owner;
use crate::observe;
use crate::provider::token_endpoint::{GrantFailure, TokenAnswer};
use crate::secret::is_same;
use crate::token::lifetime::token_lifetime;
use crate::verify::id_token::{Expected, IdToken};

/// Longer queries are not read.
const LONGEST_QUERY: usize = 16 * 1024;

impl RelyingParty {
    /// Takes the provider's answer.
    pub(crate) async fn callback(self: &Arc<Self>, parts: &Parts) -> Reply {
        let (name, attempt) = match self.find_attempt(parts) {
            Ok(found) => found,
            Err(error) => return self.tell(parts, error, &ReturnPath::default()),
        };
        let return_path = ReturnPath::parse(&attempt.return_path)
            .filter(|path| self.site.paths.own(path.path()).is_none())
            .unwrap_or_default();
        let result = self.finish(parts, &attempt).await;
        let end = match &result {
            Ok(_) => "signed_in",
            Err(error) => error.kind().as_str(),
        };
        observe::signed_in(end);
        let now = self.provider.clock().now();
        let mut history = self.history(parts);
        history.add(now, end);
        let mut reply = match result {
            Ok((id, lifetime)) => {
                let name = &self.cookies.session;
                let cookie = self.cookies.set(name, &id.to_cookie(), lifetime);
                Reply::see_other(return_path.as_str()).with_cookie(cookie)
            }
            Err(error) => self.tell(parts, error, &return_path),
        };
        let history_name = &self.cookies.history;
        if let Ok(sealed) = seal_cookie(
            &self.sealing(),
            Purpose::SignInHistory,
            history_name,
            &history,
        ) {
            let lifetime = Duration::from_secs(loop_breaker::WITHIN);
            reply = reply.with_cookie(self.cookies.set(history_name, &sealed, lifetime));
        }
        reply.with_cookie(self.cookies.clear(&name))
    }

    /// The sign-in that the answer belongs to, by its state and this browser's cookie.
    fn find_attempt(&self, parts: &Parts) -> Result<(String, LoginAttempt), LoginError> {
        let query = parts.uri.query().unwrap_or_default();
        let is_clear = query.len() <= LONGEST_QUERY
            && ["code", "state", "iss", "error"]
                .into_iter()
                .all(|name| values(parts, name).count() <= 1);
        let state = single(parts, "state").filter(|state| is_clear && !state.is_empty());
        let Some(state) = state else {
            return Err(Kind::MalformedCallback.into());
        };
        let name = self.cookies.attempt(&state);
        let Sent::One(value) = sent(&parts.headers, &name) else {
            return Err(Kind::UnknownAttempt.into());
        };
        let attempt: LoginAttempt =
            open_cookie(&self.sealing(), Purpose::LoginAttempt, &name, &value)
                .filter(|attempt: &LoginAttempt| is_same(attempt.state.expose(), &state))
                .ok_or(Kind::UnknownAttempt)?;
        Ok((name, attempt))
    }

    async fn finish(
        self: &Arc<Self>,
        parts: &Parts,
        attempt: &LoginAttempt,
    ) -> Result<(SessionId, Duration), LoginError> {
        if attempt.is_expired(self.provider.clock().now()) {
            return Err(Kind::AttemptExpired.into());
        }
        let seen = StoreKey::of(&["login attempt", attempt.state.expose()]);
        let is_first = self.store.put_if_absent(seen, attempt::LIFETIME).await;
        if !is_first.map_err(LoginError::store)? {
            return Err(Kind::AttemptReplayed.into());
        }
        self.check_issuer(parts, attempt).await?;
        if let Some(error) = single(parts, "error") {
            return Err(refused_by_provider(&error));
        }
        let code = single(parts, "code").filter(|code| !code.is_empty());
        let code = code.ok_or(Kind::MalformedCallback)?;
        let answer = self.exchange(&code, attempt).await?;
        self.establish(parts, attempt, &answer).await
    }

    /// Whether the answer comes from the provider that was asked
    /// ([RFC 9207 §2.4](https://www.rfc-editor.org/rfc/rfc9207#section-2.4)).
    async fn check_issuer(&self, parts: &Parts, attempt: &LoginAttempt) -> Result<(), LoginError> {
        let metadata = self
            .provider
            .metadata()
            .await
            .map_err(|refusal| provider_failed(refusal.error))?;
        let fits = match single(parts, "iss") {
            Some(iss) => {
                *iss == *attempt.issuer
                    || self
                        .provider
                        .names()
                        .iter()
                        .any(|named| named.tenant.is_some() && named.issuer.as_str() == iss)
            }
            None => !metadata.value.endpoints.names_issuer,
        };
        // Begun at this provider and for this address, not at another layer's of the same site.
        let is_ours = attempt.issuer == metadata.value.issuer.as_str()
            && attempt.redirect_uri == self.site.redirect_uri();
        if fits && is_ours {
            Ok(())
        } else {
            Err(Kind::IssuerMismatch.into())
        }
    }

    /// Spends the code: once, whatever comes of it.
    async fn exchange(
        &self,
        code: &str,
        attempt: &LoginAttempt,
    ) -> Result<TokenAnswer, LoginError> {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &attempt.redirect_uri),
            ("code_verifier", attempt.verifier.expose()),
        ];
        for resource in &self.request.resources {
            form.push(("resource", resource));
        }
        self.provider
            .grant(&self.client, &form)
            .await
            .map_err(|failure| match failure {
                GrantFailure::Rejected(error) => LoginError::provider(Kind::CodeRejected, error),
                GrantFailure::Misconfigured(error) => {
                    LoginError::provider(Kind::Misconfigured, error)
                }
                GrantFailure::Unspent(error, after) => {
                    provider_failed(error).with_retry_after(after.unwrap_or(Duration::from_secs(1)))
                }
                GrantFailure::Uncertain(error) => provider_failed(error),
            })
    }

    /// Judges what came, and makes a session of it: a new one, whatever the browser had before.
    async fn establish(
        &self,
        parts: &Parts,
        attempt: &LoginAttempt,
        answer: &TokenAnswer,
    ) -> Result<(SessionId, Duration), LoginError> {
        let now = self.provider.clock().now();
        let id_token = self.judge_id_token(attempt, answer, now).await?;
        let principal = self
            .verifier
            .verify(answer.access_token.expose())
            .await
            .map_err(|error| refused(&error))?;
        if answer.refresh_token.is_none() && self.offline == OfflineAccess::Required {
            return Err(Kind::NoRefreshToken.into());
        }
        let userinfo = self.userinfo(answer, &id_token).await?;
        let lifetime = token_lifetime(now, answer.expires_in, Some(principal.expires_at()));
        let access_expires_at = now.saturating_add(lifetime);
        let tokens = TokenSet {
            issuer: id_token.issuer().to_owned(),
            subject: id_token.subject().to_owned(),
            access_subject: principal.subject().map(str::to_owned),
            sid: id_token.session().map(str::to_owned),
            access_token: answer.access_token.clone(),
            refresh_token: answer.refresh_token.clone(),
            id_token: answer.id_token.clone().ok_or(Kind::IdTokenRefused)?,
            id_claims: id_token.claims_json().to_owned(),
            userinfo,
            scope: answer.scope.clone(),
            nonce: id_token.nonce().map(str::to_owned),
            auth_time: id_token.auth_time().map(UnixTime::as_seconds),
            signed_in_at: now.as_seconds(),
            obtained_at: now.as_seconds(),
        };
        let (expires_at, ends_at) = if tokens.refresh_token.is_some() {
            let idle = self.session_expiry(now, access_expires_at, answer.refresh_expires_in);
            (idle, now.saturating_add(self.lifetimes.absolute).max(idle))
        } else {
            (access_expires_at, access_expires_at)
        };
        let id = SessionId::random().map_err(no_randomness)?;
        let key = id.store_key();
        let sealed = tokens
            .seal(&self.sealing(), key, 0)
            .map_err(|_| LoginError::from(Kind::Misconfigured))?;
        let renewal = Renewal {
            sealed,
            access_expires_at,
            expires_at,
        };
        self.store
            .create(key, owner(&tokens), Record::new(renewal, ends_at))
            .await
            .map_err(LoginError::store)?;
        self.forget_former(parts).await;
        tracing::info!(issuer = tokens.issuer, "somebody signed in");
        let lifetime = ends_at.as_seconds().saturating_sub(now.as_seconds());
        Ok((id, Duration::from_secs(lifetime.unsigned_abs())))
    }

    async fn judge_id_token(
        &self,
        attempt: &LoginAttempt,
        answer: &TokenAnswer,
        now: UnixTime,
    ) -> Result<IdToken, LoginError> {
        let Some(id_token) = &answer.id_token else {
            return Err(Kind::IdTokenRefused.into());
        };
        let expected = Expected {
            nonce: Some(attempt.nonce.expose()),
            access_token: Some(answer.access_token.expose()),
            acr_values: &attempt.acr_values,
            max_age: attempt.max_age.map(Duration::from_secs),
            issued_within: Some(attempt::LIFETIME),
        };
        let judged = self
            .id_tokens
            .verify(id_token.expose(), now, &expected)
            .await;
        judged.map_err(|error| match error.kind() {
            VerifyErrorKind::Unavailable => LoginError::verify(Kind::ProviderUnavailable, error),
            _ => LoginError::verify(Kind::IdTokenRefused, error),
        })
    }

    async fn userinfo(
        &self,
        answer: &TokenAnswer,
        id_token: &IdToken,
    ) -> Result<Option<String>, LoginError> {
        if !self.with_userinfo {
            return Ok(None);
        }
        let claims = self
            .provider
            .userinfo(&answer.access_token)
            .await
            .map_err(|error| LoginError::provider(Kind::UserInfoRefused, error))?;
        // Else an attacker could swap in another user's (OpenID Connect Core §5.3.2).
        if claims.get("sub").and_then(serde_json::Value::as_str) != Some(id_token.subject()) {
            return Err(Kind::UserInfoRefused.into());
        }
        Ok(Some(claims.to_string()))
    }

    /// The session this browser had before is nobody's now. It is not looked into, and its tokens
    /// are not revoked: some providers would revoke those of the new one with them.
    async fn forget_former(&self, parts: &Parts) {
        if let Sent::One(value) = sent(&parts.headers, &self.cookies.session)
            && let Some(former) = SessionId::parse(&value)
            && let Err(error) = self.store.delete(former.store_key()).await
        {
            tracing::warn!(error = %Chain(&error), "a browser's former session stays until it expires");
        }
    }
}

/// What back-channel logout finds the session by.
fn owner(tokens: &TokenSet) -> Owner {
    Owner {
        subject: subject_key(&tokens.issuer, &tokens.subject),
        session: tokens
            .sid
            .as_ref()
            .map(|sid| session_key(&tokens.issuer, sid)),
    }
}

pub(crate) fn subject_key(issuer: &str, subject: &str) -> StoreKey {
    StoreKey::of(&["subject", issuer, subject])
}

pub(crate) fn session_key(issuer: &str, sid: &str) -> StoreKey {
    StoreKey::of(&["session", issuer, sid])
}

/// The error codes of RFC 6749 §4.1.2.1 and OpenID Connect Core §3.1.2.6. The rest of what the
/// provider says is not repeated: anybody can write such an answer.
fn refused_by_provider(code: &str) -> LoginError {
    match code {
        "access_denied"
        | "login_required"
        | "consent_required"
        | "interaction_required"
        | "account_selection_required" => Kind::Denied,
        "temporarily_unavailable" | "server_error" => Kind::ProviderUnavailable,
        _ => Kind::RequestRefused,
    }
    .into()
}
