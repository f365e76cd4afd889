//! A sign-in under way: everything the callback is held against, sealed in a cookie of the browser
//! that began it, so that any replica can finish it and no other answer fits
//! ([RFC 6749 §10.12](https://www.rfc-editor.org/rfc/rfc6749#section-10.12)).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::UnixTime;
use crate::login::sign_in::loop_breaker::SignInHistory;
use crate::secret::{NoRandomness, Secret, random_text, sha256_text};
use crate::verify::id_token::{Expected, Nonce};

/// How long a sign-in may take.
pub(crate) const LIFETIME: Duration = Duration::from_secs(600);

/// The end of the state of a sign-in that replaces one whose cookie was overwritten. It is not replaced again.
const REPLACES: &str = ".again";

/// Its members have short names, because every byte counts in a cookie.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LoginAttempt {
    #[serde(rename = "s")]
    pub(crate) state: Secret,
    #[serde(rename = "n")]
    pub(crate) nonce: Secret,
    /// The PKCE verifier ([RFC 7636 §4.1](https://www.rfc-editor.org/rfc/rfc7636#section-4.1)).
    #[serde(rename = "v")]
    pub(crate) verifier: Secret,
    /// The provider that must answer, and the address that it answers to: the hash of issuer and redirect URI.
    #[serde(rename = "p")]
    parties: String,
    #[serde(rename = "r")]
    pub(crate) return_path: String,
    #[serde(rename = "t")]
    pub(crate) started_at: i64,
    #[serde(rename = "a", default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) acr_values: Vec<String>,
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    pub(crate) max_age: Option<u64>,
    /// Whether the visitor is asked about without a page.
    #[serde(rename = "q", default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_silent: bool,
    /// How the last sign-ins ended, where the answer brings no other cookie along that says so.
    #[serde(rename = "h", default, skip_serializing_if = "SignInHistory::is_empty")]
    pub(crate) history: SignInHistory,
}

impl LoginAttempt {
    /// A sign-in that begins now. `replaces` tells whether it replaces one whose cookie was overwritten.
    pub(crate) fn new(
        issuer: &str,
        redirect_uri: &str,
        replaces: bool,
        now: UnixTime,
    ) -> Result<Self, NoRandomness> {
        let secret = || random_text().map(Secret::new);
        let state = random_text()?;
        Ok(Self {
            state: Secret::new(if replaces { state + REPLACES } else { state }),
            nonce: secret()?,
            verifier: secret()?,
            parties: parties(issuer, redirect_uri),
            return_path: "/".to_owned(),
            started_at: now.as_seconds(),
            acr_values: Vec::new(),
            max_age: None,
            is_silent: false,
            history: SignInHistory::default(),
        })
    }

    /// What its ID token is compared with.
    pub(crate) fn expected(&self) -> Expected<'_> {
        Expected {
            nonce: Nonce::Is(self.nonce.expose()),
            acr_values: &self.acr_values,
            max_age: self.max_age.map(Duration::from_secs),
            ..Expected::default()
        }
    }

    pub(crate) fn challenge(&self) -> String {
        sha256_text(self.verifier.expose())
    }

    /// Whether it was begun at this provider and for this address.
    pub(crate) fn is_between(&self, issuer: &str, redirect_uri: &str) -> bool {
        self.parties == parties(issuer, redirect_uri)
    }

    /// Its code was sent. All that is still of use is where the user wanted to go.
    pub(crate) fn spend(&mut self) {
        self.nonce = Secret::new("");
        self.verifier = Secret::new("");
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.verifier.expose().is_empty()
    }

    pub(crate) fn is_expired(&self, now: UnixTime) -> bool {
        let started_at = UnixTime::from_seconds(self.started_at);
        now > started_at.saturating_add(LIFETIME)
    }
}

/// Whether a state is that of a sign-in which replaces another, though something may have been put behind it. It says
/// nothing more: anyone can write one.
pub(crate) fn is_replacement(state: &str) -> bool {
    state.contains(REPLACES)
}

/// Neither holds a line break.
fn parties(issuer: &str, redirect_uri: &str) -> String {
    sha256_text(&format!("{issuer}\n{redirect_uri}"))
}
