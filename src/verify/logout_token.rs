//! Logout tokens, by which the provider says that a user signed out
//! ([OpenID Connect Back-Channel Logout §2.6](https://openid.net/specs/openid-connect-backchannel-1_0.html#Validation)).

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::clock::UnixTime;
use crate::error::{ConfigError, VerifyError, VerifyErrorKind as Kind};
use crate::verify::Verifier;
use crate::verify::token_kind::TokenKind;

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// A logout token may have been issued this long ago.
const LONGEST_WAY: Duration = Duration::from_secs(300);

/// Judges the logout tokens meant for one client.
#[derive(Debug, Clone)]
pub(crate) struct LogoutTokenVerifier(Verifier);

/// A logout token that was verified. The store says whether it was seen before.
#[derive(Debug)]
pub(crate) struct LogoutToken {
    pub(crate) issuer: String,
    pub(crate) subject: Option<String>,
    pub(crate) session: Option<String>,
    pub(crate) id: String,
    pub(crate) issued_at: UnixTime,
    pub(crate) expires_at: UnixTime,
}

#[derive(Deserialize)]
struct Members {
    sub: Option<String>,
    #[serde(default)]
    sid: Value,
    jti: String,
    #[serde(default)]
    events: Value,
}

impl LogoutTokenVerifier {
    /// Without an expiry a token counts as long as its `iat` lets it.
    pub(crate) fn new(
        verifier: &Verifier,
        client_id: &str,
        without_expiry: bool,
    ) -> Result<Self, ConfigError> {
        let kind = TokenKind::Logout {
            needs_expiry: !without_expiry,
        };
        verifier
            .of_kind(kind, client_id, Some(LONGEST_WAY))
            .map(Self)
    }

    pub(crate) async fn verify(&self, token: &str) -> Result<LogoutToken, VerifyError> {
        let claims = self.0.verify(token).await?;
        let members: Members = claims
            .claims()
            // Only `sub` and `jti` can be of the wrong type, and these were checked.
            .map_err(|_| VerifyError::claim(Kind::InvalidClaim, "jti"))?;
        if !members.events.get(EVENT).is_some_and(Value::is_object) {
            return Err(VerifyError::claim(Kind::TokenKind, "events"));
        }
        // An empty name names no session, and no user. A `sid` that is not text is no session known here, because the
        // sign-in ignored it. The sessions of the subject that were recorded without one may be meant.
        let session = match members.sid {
            Value::Null => None,
            Value::String(sid) => Some(sid).filter(|sid| !sid.is_empty()),
            other => Some(other.to_string()).filter(|_| members.sub.is_some()),
        };
        let subject = members.sub.filter(|sub| !sub.is_empty());
        if subject.is_none() && session.is_none() {
            return Err(VerifyError::claim(Kind::MissingClaim, "sid"));
        }
        let issued_at = claims.issued_at();
        Ok(LogoutToken {
            issuer: claims.issuer().as_str().to_owned(),
            subject,
            session,
            id: members.jti,
            issued_at: issued_at.ok_or(VerifyError::claim(Kind::MissingClaim, "iat"))?,
            expires_at: claims.expires_at(),
        })
    }
}
