//! From the tokens of a sign-in to a session.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::UnixTime;
use crate::error::{LoginError, LoginErrorKind as Kind, VerifyError, VerifyErrorKind};
use crate::login::audit::About;
use crate::login::browser::reply::no_randomness;
use crate::login::sessions::id::{SessionId, session_key, sessionless_key, subject_key};
use crate::login::sessions::marks::Marked;
use crate::login::sessions::opener::refused;
use crate::login::sessions::record::{Record, Renewal};
use crate::login::sessions::revoker::Revoker;
use crate::login::sessions::signed_out::SignInTimes;
use crate::login::sessions::tokens::TokenSet;
use crate::login::sign_in::SignIn;
use crate::login::sign_in::admission::SignInClaims;
use crate::login::sign_in::attempt;
use crate::login::sign_in::request::OfflineAccess;
use crate::login::store::{Owner, StoreKey, Tag};
use crate::principal::Principal;
use crate::provider::client::token_endpoint::TokenAnswer;
use crate::secret::Secret;
use crate::token::lifetime::{stated_expiry, token_lifetime};
use crate::verify::id_token::{Expected, IdToken};

/// What the tokens of a sign-in say, verified.
pub(super) struct Judged {
    id_token: IdToken,
    /// `None` where this service does not verify access tokens.
    access: Option<Principal>,
    userinfo: Option<String>,
    /// By this machine's clock.
    at: UnixTime,
}

impl Judged {
    /// When the provider issued the ID token, by its clock.
    pub(super) fn issued_at(&self) -> Option<UnixTime> {
        self.id_token.issued_at()
    }
}

/// Why no session was made.
pub(super) struct NotMade {
    pub(super) error: LoginError,
    /// Whether the tokens are being revoked.
    pub(super) is_revoked: bool,
}

impl From<LoginError> for NotMade {
    fn from(error: LoginError) -> Self {
        Self {
            error,
            is_revoked: false,
        }
    }
}

impl NotMade {
    fn revoked(error: LoginError) -> Self {
        Self {
            error,
            is_revoked: true,
        }
    }
}

/// A session that was just made.
pub(super) struct NewSession {
    pub(super) id: SessionId,
    pub(super) lifetime: Duration,
    pub(super) record: Record,
    pub(super) tag: Tag,
}

impl SignIn {
    /// Judges the tokens of a sign-in. Stores nothing.
    pub(super) async fn judge(
        &self,
        expected: &Expected<'_>,
        answer: &TokenAnswer,
    ) -> Result<Judged, LoginError> {
        let at = self.provider.clock().now();
        let id_token = self.judge_id_token(expected, answer, at).await?;
        if id_token.session_expiry().is_some_and(|end| end <= at) {
            let over = VerifyError::claim(VerifyErrorKind::Expired, "session_expiry");
            return Err(LoginError::verify(Kind::IdTokenRefused, over));
        }
        let access = self
            .mode
            .judge_access_token(answer.access_token.expose())
            .await
            .map_err(|error| refused(&error))?;
        if answer.refresh_token.is_none() && self.offline == OfflineAccess::Required {
            return Err(LoginError::no_refresh_token(&self.request.scope));
        }
        let userinfo = self.userinfo(answer, &id_token).await?;
        Ok(Judged {
            id_token,
            access,
            userinfo,
            at,
        })
    }

    /// Makes a session of the tokens: a new one, in place of the one that the browser had before. `began` is when the
    /// sign-in began, by this site's clocks, and `marked` when the store was last asked.
    pub(super) async fn establish(
        &self,
        former: Option<SessionId>,
        judged: Judged,
        answer: &TokenAnswer,
        marked: Marked,
        began: UnixTime,
    ) -> Result<NewSession, NotMade> {
        // Before the application decides, which may take its time: all times count from the answer.
        let clock = self.provider.clock();
        let passed = clock.monotonic().saturating_sub(marked.asked_at);
        if self.admission.is_asked() {
            let claims = SignInClaims::new(
                judged.id_token.principal().clone(),
                judged.access.clone(),
                judged.userinfo.clone(),
            );
            let admitted = self.admit(&claims, answer).await;
            admitted.map_err(NotMade::revoked)?;
        }
        // Sessions are dated by the store's clock from the first generation on.
        let stored_at = marked.now.saturating_add(passed);
        let times = SignInTimes {
            began,
            issued: judged.id_token.issued_at(),
            authenticated: judged.id_token.auth_time(),
        };
        let id = SessionId::random().map_err(no_randomness)?;
        let key = id.store_key();
        let (tokens, record) = self.record(key, judged, answer, stored_at)?;
        let ends_at = record.ends_at;
        let owner = owner(&tokens, ends_at);
        let created = self.sessions.ledger.create(key, owner, &record).await;
        let tag = created.map_err(LoginError::store)?;
        let overtaken = times.were_overtaken(&self.sessions.marks, &owner).await;
        // Where it cannot be told, the session must not stay either.
        if !matches!(overtaken, Ok(false)) {
            self.abandon(key, answer).await;
            let error = overtaken.map_or_else(LoginError::store, |_| Kind::SessionEnded.into());
            return Err(NotMade::revoked(error));
        }
        self.retire(former).await;
        if let Some(most) = self.sessions_per_subject {
            self.sessions.limit_behind(owner.subject, most);
        }
        tracing::info!(issuer = tokens.issuer, "a user signed in");
        About::session(key, &tokens).signed_in();
        let lifetime = ends_at.as_seconds().saturating_sub(stored_at.as_seconds());
        Ok(NewSession {
            id,
            lifetime: Duration::from_secs(lifetime.unsigned_abs()),
            record,
            tag,
        })
    }

    /// The first record of a session, and what is sealed in it.
    fn record(
        &self,
        key: StoreKey,
        judged: Judged,
        answer: &TokenAnswer,
        stored_at: UnixTime,
    ) -> Result<(TokenSet, Record), LoginError> {
        let Judged {
            id_token,
            access,
            userinfo,
            at,
        } = judged;
        let exp = match &access {
            Some(principal) => Some(principal.expires_at()),
            None => stated_expiry(answer.access_token.expose()),
        };
        let lifetime = token_lifetime(at, answer.expires_in, exp);
        let access_expires_at = stored_at.saturating_add(lifetime);
        let (expires_at, ends_at) = self.ends(stored_at, access_expires_at, answer, &id_token);
        let tokens = TokenSet {
            issuer: id_token.issuer().to_owned(),
            subject: id_token.subject().to_owned(),
            access_subject: access.and_then(|principal| principal.subject().map(str::to_owned)),
            sid: id_token.session().map(str::to_owned),
            access_token: answer.access_token.clone(),
            refresh_token: answer.refresh_token.clone(),
            id_token: answer.id_token.clone().ok_or(Kind::IdTokenRefused)?,
            id_claims: id_token.claims_json().to_owned(),
            userinfo,
            scope: answer.scope.clone().unwrap_or_default(),
            signed_in_at: stored_at.as_seconds(),
            auth_time: id_token.auth_time().map(UnixTime::as_seconds),
            nonce: id_token.nonce().map(str::to_owned),
            is_identity: self.mode.is_identity(),
            obtained_at: stored_at.as_seconds(),
            expired_when_obtained: false,
            targets: Vec::new(),
        }
        .with_expiry_seen(exp, at);
        let sealed = tokens
            .seal(&self.sessions.opener.sealing, key, 0)
            .map_err(|_| LoginError::from(Kind::Misconfigured))?;
        let refresh_expires_in = answer.refresh_expires_in;
        let renewal = Renewal {
            sealed,
            access_expires_at,
            refresh_expires_at: refresh_expires_in.map(|left| stored_at.saturating_add(left)),
            expires_at,
        };
        Ok((tokens, Record::new(renewal, ends_at)))
    }

    /// Takes a session that must not stay out of the store, and revokes its refresh token.
    pub(super) async fn abandon(&self, key: StoreKey, answer: &TokenAnswer) {
        self.sessions.forget(key).await;
        let revoker = &self.sessions.revoker;
        revoker.revoke_behind(answer.refresh_token.clone());
    }

    /// When a new session ends if nothing renews it, and when at the latest.
    fn ends(
        &self,
        stored_at: UnixTime,
        access_expires_at: UnixTime,
        answer: &TokenAnswer,
        id_token: &IdToken,
    ) -> (UnixTime, UnixTime) {
        let idle = self
            .lifetimes
            .idle_end(stored_at, access_expires_at, answer.refresh_expires_in);
        let absolute = stored_at.saturating_add(self.lifetimes.absolute);
        let limits = (idle, absolute.max(idle));
        let (expires_at, ends_at) = match answer.refresh_token {
            Some(_) => limits,
            None => self.mode.end_unrenewed(access_expires_at, limits),
        };
        let latest = id_token.session_expiry().unwrap_or(ends_at);
        (expires_at.min(latest), ends_at.min(latest))
    }

    /// Whether the user may sign in. If not, or if the request is gone before that is decided, the tokens are
    /// revoked.
    async fn admit(&self, claims: &SignInClaims, answer: &TokenAnswer) -> Result<(), LoginError> {
        let mut unclaimed = Unclaimed {
            revoker: &self.sessions.revoker,
            token: Some(
                answer
                    .refresh_token
                    .as_ref()
                    .unwrap_or(&answer.access_token),
            ),
        };
        self.admission.check(claims).await?;
        unclaimed.token = None;
        Ok(())
    }

    async fn judge_id_token(
        &self,
        expected: &Expected<'_>,
        answer: &TokenAnswer,
        now: UnixTime,
    ) -> Result<IdToken, LoginError> {
        let Some(id_token) = &answer.id_token else {
            return Err(Kind::IdTokenRefused.into());
        };
        let expected = Expected {
            access_token: Some(answer.access_token.expose()),
            issued_within: Some(attempt::LIFETIME),
            ..*expected
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

    /// The session that this browser had before is of no more use. Its tokens are not revoked: some providers would
    /// revoke those of the new one with them.
    async fn retire(&self, former: Option<SessionId>) {
        if let Some(former) = former {
            self.sessions.retire(former.store_key()).await;
        }
    }
}

/// A token that is revoked unless a session is made of it.
struct Unclaimed<'a> {
    revoker: &'a Arc<Revoker>,
    token: Option<&'a Secret>,
}

impl Drop for Unclaimed<'_> {
    fn drop(&mut self) {
        self.revoker.revoke_behind(self.token.cloned());
    }
}

/// What back-channel logout finds the session by.
fn owner(tokens: &TokenSet, ends_at: UnixTime) -> Owner {
    let sid = tokens.sid.as_deref();
    Owner {
        subject: subject_key(&tokens.issuer, &tokens.subject),
        session: sid.map_or_else(
            || sessionless_key(&tokens.issuer, &tokens.subject),
            |sid| session_key(&tokens.issuer, sid),
        ),
        ends_at,
    }
}
