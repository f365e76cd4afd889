//! Codes and refresh tokens of the development provider. Each is spent once. A refresh token that
//! is spent twice revokes its whole family
//! ([RFC 9700 §4.14.2](https://www.rfc-editor.org/rfc/rfc9700#section-4.14.2)).

use std::time::Duration;

use crate::clock::UnixTime;
use crate::testing::token::opaque_token;

/// A grant: the client, the user, and what they may do.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub(super) client: String,
    pub(super) user: String,
    pub(super) scope: String,
    pub(super) audience: Option<String>,
    pub(super) nonce: Option<String>,
    pub(super) sid: String,
    pub(super) auth_time: i64,
}

#[derive(Debug)]
pub(super) struct Code {
    pub(super) text: String,
    pub(super) redirect_uri: String,
    pub(super) challenge: String,
    pub(super) grant: Grant,
}

/// The refresh tokens that came from one sign-in.
#[derive(Debug)]
struct Family {
    grant: Grant,
    live: Option<String>,
    /// Each with when it was first spent.
    spent: Vec<(String, UnixTime)>,
}

/// The outcome of spending a refresh token.
pub(super) enum Refresh {
    /// It was live. With rotation, its successor comes along.
    Granted(Grant, Option<String>),
    /// It was spent before, so its family is revoked.
    Reused,
    /// It was never issued to this client, or it was revoked.
    Unknown,
}

#[derive(Debug)]
pub(super) struct Grants {
    codes: Vec<Code>,
    families: Vec<Family>,
    pub(super) lifetime: Duration,
    pub(super) rotates: bool,
    /// For how long a spent refresh token is taken again.
    pub(super) reuse_grace: Duration,
}

impl Default for Grants {
    fn default() -> Self {
        Self {
            codes: Vec::new(),
            families: Vec::new(),
            lifetime: Duration::from_secs(3600),
            rotates: true,
            reuse_grace: Duration::ZERO,
        }
    }
}

impl Grants {
    pub(super) fn add_code(&mut self, code: Code) {
        self.codes.push(code);
    }

    /// Spends a code, also if the request turns out to be wrong.
    pub(super) fn take_code(&mut self, text: &str) -> Option<Code> {
        let at = self.codes.iter().position(|code| code.text == text)?;
        Some(self.codes.remove(at))
    }

    /// The first refresh token of a grant.
    pub(super) fn add_family(&mut self, grant: &Grant) -> String {
        let token = opaque_token();
        self.families.push(Family {
            grant: grant.clone(),
            live: Some(token.clone()),
            spent: Vec::new(),
        });
        token
    }

    pub(super) fn refresh(&mut self, client: &str, token: &str, now: UnixTime) -> Refresh {
        let grace = self.reuse_grace;
        let is_reused = |family: &Family| {
            let mut spent = family.spent.iter();
            spent.any(|(spent, at)| spent == token && at.saturating_add(grace) <= now)
        };
        if let Some(at) = self.families.iter().position(is_reused) {
            self.families.remove(at);
            return Refresh::Reused;
        }
        let is_taken = |family: &&mut Family| {
            let is_known = family.live.as_deref() == Some(token)
                || family.spent.iter().any(|(spent, _)| spent == token);
            family.grant.client == client && is_known
        };
        let Some(family) = self.families.iter_mut().find(is_taken) else {
            return Refresh::Unknown;
        };
        let next = self.rotates.then(opaque_token);
        if let Some(next) = &next {
            let former = family.live.replace(next.clone());
            family.spent.extend(former.map(|token| (token, now)));
        }
        Refresh::Granted(family.grant.clone(), next)
    }

    pub(super) fn revoke(&mut self, token: &str) {
        self.families.retain(|family| {
            family.live.as_deref() != Some(token)
                && !family.spent.iter().any(|(one, _)| one == token)
        });
    }

    pub(super) fn live(&self) -> Vec<String> {
        let live = self.families.iter();
        live.filter_map(|family| family.live.clone()).collect()
    }
}
