//! A sign-in under way: everything the callback is held against, sealed in a cookie of the browser
//! that began it, so that any replica can finish it and no other answer fits
//! ([RFC 6749 §10.12](https://www.rfc-editor.org/rfc/rfc6749#section-10.12)).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::UnixTime;
use crate::login::browser::return_path::ReturnPath;
use crate::secret::{NoRandomness, Secret, random_text, sha256_text};

/// How long a sign-in may take.
pub(crate) const LIFETIME: Duration = Duration::from_secs(600);

/// How many sign-ins one browser may have under way.
pub(crate) const MOST: usize = 5;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LoginAttempt {
    pub(crate) state: Secret,
    pub(crate) nonce: Secret,
    /// The PKCE verifier ([RFC 7636 §4.1](https://www.rfc-editor.org/rfc/rfc7636#section-4.1)).
    pub(crate) verifier: Secret,
    /// The provider that must answer, and the address that it answers to.
    pub(crate) issuer: String,
    pub(crate) redirect_uri: String,
    pub(crate) return_path: String,
    pub(crate) started_at: i64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) acr_values: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max_age: Option<u64>,
}

impl LoginAttempt {
    pub(crate) fn new(
        issuer: &str,
        redirect_uri: &str,
        return_path: &ReturnPath,
        now: UnixTime,
    ) -> Result<Self, NoRandomness> {
        let secret = || random_text().map(Secret::new);
        Ok(Self {
            state: secret()?,
            nonce: secret()?,
            verifier: secret()?,
            issuer: issuer.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            return_path: return_path.as_str().to_owned(),
            started_at: now.as_seconds(),
            acr_values: Vec::new(),
            max_age: None,
        })
    }

    pub(crate) fn challenge(&self) -> String {
        sha256_text(self.verifier.expose())
    }

    pub(crate) fn is_expired(&self, now: UnixTime) -> bool {
        let started_at = UnixTime::from_seconds(self.started_at);
        now > started_at.saturating_add(LIFETIME)
    }
}
