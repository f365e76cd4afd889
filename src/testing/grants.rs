//! Codes and refresh tokens of the development provider. Each is spent once. A refresh token that
//! is spent twice revokes its whole family
//! ([RFC 9700 §4.14.2](https://www.rfc-editor.org/rfc/rfc9700#section-4.14.2)).

use std::collections::VecDeque;
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
    /// Whether an ID token belongs to it: not where a program asked for an access token alone.
    pub(super) has_id_token: bool,
    /// Whether a refresh token belongs to it.
    pub(super) is_offline: bool,
    pub(super) has_opaque_tokens: bool,
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
    /// The users who have consented to being away, each with the client.
    consented: Vec<(String, String)>,
    /// The latest opaque access tokens, each with its user.
    opaque: VecDeque<(String, String)>,
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
            consented: Vec::new(),
            opaque: VecDeque::new(),
            lifetime: Duration::from_secs(3600),
            rotates: true,
            reuse_grace: Duration::ZERO,
        }
    }
}

impl Grants {
    /// Whether this is the first consent of a user to what this client does while they are away.
    pub(super) fn consents_first(&mut self, client: &str, user: &str) -> bool {
        let consent = (client.to_owned(), user.to_owned());
        let is_first = !self.consented.contains(&consent);
        if is_first {
            self.consented.push(consent);
        }
        is_first
    }

    /// An access token that only this provider can read.
    pub(super) fn add_opaque(&mut self, user: &str) -> String {
        const MOST: usize = 10_000;
        if self.opaque.len() == MOST {
            self.opaque.pop_front();
        }
        let token = opaque_token();
        self.opaque.push_back((token.clone(), user.to_owned()));
        token
    }

    /// The user of such a token.
    pub(super) fn user_of_opaque(&self, token: &str) -> Option<String> {
        let mut known = self.opaque.iter();
        known
            .find(|(known, _)| known == token)
            .map(|(_, user)| user.clone())
    }

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
        let rotates = self.rotates && !family.grant.has_opaque_tokens;
        let next = rotates.then(opaque_token);
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
