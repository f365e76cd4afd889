//! The audit trail: an event for each sign-in, refused sign-in, refresh, sign-out and end of a session, with the target
//! `tower_oidc::audit` and the same fields each time. `manual/observability.md` has them in a table.
//!
//! The subject is in there, and no token and no other claim.

use tracing::field::display;

use crate::error::LoginError;
use crate::login::sessions::id::SessionKey;
use crate::login::sessions::record::EndReason;
use crate::login::sessions::tokens::TokenSet;
use crate::login::store::StoreKey;

/// Whom an event is about, as far as that is known.
#[derive(Clone, Copy)]
pub(crate) struct About<'a> {
    issuer: &'a str,
    subject: Option<&'a str>,
    session: Option<StoreKey>,
}

/// Who signed a user out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    User,
    Application,
    Provider,
}

impl<'a> About<'a> {
    /// A sign-in by this issuer that made no session.
    pub(crate) fn sign_in(issuer: &'a str) -> Self {
        Self {
            issuer,
            subject: None,
            session: None,
        }
    }

    /// The same where a verified ID token says who wanted to sign in.
    pub(crate) fn user(issuer: &'a str, subject: &'a str) -> Self {
        Self {
            subject: Some(subject),
            ..Self::sign_in(issuer)
        }
    }

    /// A session with these tokens.
    pub(crate) fn session(key: StoreKey, tokens: &'a TokenSet) -> Self {
        Self {
            issuer: &tokens.issuer,
            subject: Some(&tokens.subject),
            session: Some(key),
        }
    }

    /// A session whose tokens may not open here, of this provider.
    pub(crate) fn ended(key: StoreKey, tokens: Option<&'a TokenSet>, issuer: &'a str) -> Self {
        match tokens {
            Some(tokens) => Self::session(key, tokens),
            None => Self {
                session: Some(key),
                ..Self::sign_in(issuer)
            },
        }
    }

    pub(crate) fn signed_in(self) {
        self.tell("sign_in", "signed_in", None);
    }

    /// A sign-in that came to nothing. One that may work later was not refused.
    pub(crate) fn not_signed_in(self, error: &LoginError) {
        let outcome = match error.retry_after() {
            Some(_) => "unavailable",
            None => "refused",
        };
        self.tell("sign_in", outcome, Some(error.kind().as_str()));
    }

    /// A refresh, by the word that the metric of refreshes has.
    pub(crate) fn refreshed(self, outcome: &'static str) {
        self.tell("refresh", outcome, None);
    }

    pub(crate) fn signed_out(self, by: By) {
        let by = match by {
            By::User => "user",
            By::Application => "application",
            By::Provider => "provider",
        };
        self.tell("sign_out", "ended", Some(by));
    }

    /// A session that the provider's answer to a refresh ended.
    pub(crate) fn ended_by_refresh(self, reason: EndReason) {
        let reason = match reason {
            EndReason::Rejected => "refresh_rejected",
            EndReason::RotationLost => "rotation_lost",
            EndReason::IdentityChanged => "identity_changed",
        };
        self.tell("session_end", "ended", Some(reason));
    }

    /// A session that a later sign-in of the same user ended.
    pub(crate) fn ended_by_limit(self) {
        self.tell("session_end", "ended", Some("too_many_sessions"));
    }

    fn tell(self, event: &'static str, outcome: &'static str, reason: Option<&'static str>) {
        let session_key = self.session.map(|key| display(SessionKey::new(key)));
        let (issuer, subject) = (self.issuer, self.subject);
        tracing::info!(
            target: "tower_oidc::audit",
            event,
            issuer,
            subject,
            session_key,
            outcome,
            reason,
            "audit"
        );
    }
}
