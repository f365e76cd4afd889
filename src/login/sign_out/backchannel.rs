//! Signing out when the provider says so, in a request of its own
//! ([Back-Channel Logout](https://openid.net/specs/openid-connect-backchannel-1_0.html)).
//!
//! A logout must not be lost to a store that stumbles: a logout token counts as used only after every session
//! it names has ended, so that the provider's next attempt does what this one could not. Nor may a sign-in
//! that is under way slip through: the logout leaves a mark before it looks for sessions, and a sign-in looks
//! at the marks after it made one.

use std::time::Duration;

use http::StatusCode;
use url::form_urlencoded;

use crate::clock::UnixTime;
use crate::error::{
    Chain, LoginError, LoginErrorKind as Kind, StoreError, StoreErrorKind, VerifyErrorKind,
};
use crate::login::browser::page::Page;
use crate::login::browser::query::is_form;
use crate::login::browser::reply::Reply;
use crate::login::sessions::id::{session_key, sessionless_key, subject_key};
use crate::login::sessions::signed_out::mark_logout;
use crate::login::sign_out::SignOut;
use crate::login::store::{OwnedBy, StoreKey};
use crate::revocations::RevocationsFull;
use crate::verify::logout_token::LogoutToken;

/// Longer back-channel logouts are not read, in bytes.
pub(crate) const LONGEST_FORM: usize = 64 * 1024;

/// Later than that after it came, a logout token is refused for its age.
const LONGEST_VALIDITY: Duration = Duration::from_secs(900);
const MARGIN: Duration = Duration::from_secs(600);

impl SignOut {
    /// Ends sessions because the provider says so, in a form.
    pub(crate) async fn backchannel(&self, content_type: &str, form: &[u8]) -> Reply {
        match self.try_backchannel(content_type, form).await {
            Ok(ended) => {
                tracing::info!(ended, "the provider signed a user out");
                Reply::empty(StatusCode::OK)
            }
            Err(error) => {
                let remedy = error.remedy();
                tracing::info!(error = %Chain(&error), remedy, "a back-channel logout was refused");
                Reply::page(Page::new(error, false, None).for_operators(self.site.is_loopback))
            }
        }
    }

    async fn try_backchannel(&self, content_type: &str, form: &[u8]) -> Result<usize, LoginError> {
        let token = self.verified(content_type, form).await?;
        let replayed = StoreKey::of(&["logout token", &token.issuer, &token.id]);
        let marks = &self.sessions.marks;
        if marks.is_set(replayed).await.map_err(LoginError::store)? {
            return Err(Kind::LogoutTokenRefused.into());
        }
        // Neither waits for the other to succeed.
        let revoked = self.revoke_named(&token).map_err(LoginError::store);
        let ended = self.end_named(&token).await.map_err(LoginError::store)?;
        revoked?;
        self.share_revoked().await.map_err(LoginError::store)?;
        // Only now: what is repeated after a failure must work.
        let set = marks.set(replayed, self.latest_use(&token)).await;
        set.map_err(LoginError::store)?;
        Ok(ended)
    }

    async fn verified(&self, content_type: &str, form: &[u8]) -> Result<LogoutToken, LoginError> {
        let refuse = || LoginError::from(Kind::LogoutTokenRefused);
        if !is_form(content_type) {
            return Err(refuse());
        }
        let mut tokens = form_urlencoded::parse(form).filter(|(name, _)| name == "logout_token");
        let (Some((_, token)), None) = (tokens.next(), tokens.next()) else {
            return Err(refuse());
        };
        let verified = self.logout_tokens.verify(&token).await;
        verified.map_err(|error| match error.kind() {
            VerifyErrorKind::Unavailable => LoginError::verify(Kind::ProviderUnavailable, error),
            _ => LoginError::verify(Kind::LogoutTokenRefused, error),
        })
    }

    /// A little longer than the token can be valid, leeway included. A token that is older than some minutes is
    /// refused whatever its end is.
    fn latest_use(&self, token: &LogoutToken) -> UnixTime {
        let now = self.provider.clock().now();
        let latest = token.expires_at.min(now.saturating_add(LONGEST_VALIDITY));
        latest.max(now).saturating_add(MARGIN)
    }

    /// Ends the bearer tokens that a logout names. Its time and theirs are of one clock, the provider's.
    fn revoke_named(&self, token: &LogoutToken) -> Result<(), StoreError> {
        let Some(revocations) = self.sessions.opener.cache.revocations() else {
            return Ok(());
        };
        let (issuer, issued_at) = (&token.issuer, token.issued_at);
        let revoked = match (&token.session, &token.subject) {
            (Some(sid), _) => revocations.end_session(issuer, sid),
            (None, Some(subject)) => revocations.revoke_tokens_before(issuer, subject, issued_at),
            (None, None) => Ok(()),
        };
        let kind = StoreErrorKind::Unavailable;
        revoked.map_err(|RevocationsFull| {
            StoreError::caused(kind, "a logout cannot be kept", Box::new(RevocationsFull))
        })
    }

    /// Until the other processes can know what was revoked.
    async fn share_revoked(&self) -> Result<(), StoreError> {
        match self.sessions.opener.cache.revocations() {
            Some(revocations) => revocations.shared().await,
            None => Ok(()),
        }
    }

    async fn end_named(&self, token: &LogoutToken) -> Result<usize, StoreError> {
        let LogoutToken {
            issuer,
            subject,
            session,
            issued_at,
            ..
        } = token;
        let marks = &self.sessions.marks;
        let now = self.provider.clock().now();
        let mut ended = 0;
        if let Some(sid) = session {
            let listed = session_key(issuer, sid);
            mark_logout(marks, listed, *issued_at, now).await?;
            ended = self.end_listed(OwnedBy::Session(listed)).await?;
        }
        if let Some(subject) = subject {
            // A session of the provider that is not known here says nothing about sessions of others. Those
            // that were recorded without one may be meant.
            let owner = match session {
                None => OwnedBy::Subject(subject_key(issuer, subject)),
                Some(_) if ended == 0 => OwnedBy::Session(sessionless_key(issuer, subject)),
                Some(_) => return Ok(ended),
            };
            let (OwnedBy::Subject(listed) | OwnedBy::Session(listed)) = owner;
            mark_logout(marks, listed, *issued_at, now).await?;
            ended += self.end_listed(owner).await?;
        }
        Ok(ended)
    }
}
