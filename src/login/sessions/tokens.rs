//! The tokens of a session, as they are sealed into its record.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::clock::UnixTime;
use crate::login::sessions::record::Record;
use crate::login::sessions::seal::{Purpose, SealError, Sealing};
use crate::login::sessions::target_token::TargetToken;
use crate::login::store::StoreKey;
use crate::provider::client::token_endpoint::TokenAnswer;
use crate::secret::Secret;
use crate::verify::id_token::IdToken;

/// What is known of a session beside its record.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct TokenSet {
    pub(crate) issuer: String,
    pub(crate) subject: String,
    /// The subject of the access token, which some providers write otherwise than in the ID token.
    pub(crate) access_subject: Option<String>,
    /// The provider's own session.
    pub(crate) sid: Option<String>,
    pub(crate) access_token: Secret,
    pub(crate) refresh_token: Option<Secret>,
    /// The ID token of the sign-in, or of the last refresh that brought one. It is kept for signing out.
    pub(crate) id_token: Secret,
    pub(crate) id_claims: String,
    pub(crate) userinfo: Option<String>,
    /// What was granted.
    pub(crate) scope: String,
    pub(crate) signed_in_at: i64,
    /// `auth_time` and `nonce` of the sign-in, which ID tokens of later refreshes must repeat if they have any.
    #[serde(default)]
    pub(crate) auth_time: Option<i64>,
    #[serde(default)]
    pub(crate) nonce: Option<String>,
    /// Whether the ID token says who this is, and the access token was not looked at.
    #[serde(default)]
    pub(crate) is_identity: bool,
    /// By the store's clock.
    pub(crate) obtained_at: i64,
    /// Whether the access token's own end had passed by this machine's clock when it was obtained: its age is
    /// not what is wrong with it, and another would be no better until a clock is set.
    pub(crate) expired_when_obtained: bool,
    /// What came of asking for other targets, one entry each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) targets: Vec<TargetToken>,
}

impl TokenSet {
    /// The set that comes of a refresh. What the answer leaves out stays as it was
    /// ([RFC 6749 §6](https://www.rfc-editor.org/rfc/rfc6749#section-6)).
    pub(crate) fn renewed(&self, answer: &TokenAnswer, obtained_at: UnixTime) -> Self {
        let mut next = self.clone();
        next.access_token = answer.access_token.clone();
        if let Some(refresh_token) = &answer.refresh_token {
            next.refresh_token = Some(refresh_token.clone());
        }
        if let Some(scope) = &answer.scope {
            next.scope.clone_from(scope);
        }
        next.obtained_at = obtained_at.as_seconds();
        next
    }

    /// The same with a newer ID token of the same person.
    pub(crate) fn with_id_token(mut self, id_token: &Secret, claims: &IdToken) -> Self {
        self.id_token = id_token.clone();
        claims.claims_json().clone_into(&mut self.id_claims);
        self
    }

    pub(crate) fn with_expiry_seen(mut self, exp: Option<UnixTime>, clock: UnixTime) -> Self {
        self.expired_when_obtained = exp.is_some_and(|exp| exp <= clock);
        self
    }

    pub(crate) fn seal(
        &self,
        sealing: &Sealing,
        key: StoreKey,
        generation: u64,
    ) -> Result<Bytes, SealError> {
        let text = serde_json::to_vec(self).map_err(|_| SealError)?;
        let sealed = sealing.seal(Purpose::SessionRecord, &owner(key, generation), &text)?;
        Ok(sealed.into())
    }

    pub(crate) fn open(
        sealing: &Sealing,
        key: StoreKey,
        record: &Record,
    ) -> Result<Self, SealError> {
        let owner = owner(key, record.generation);
        let text = sealing.open(Purpose::SessionRecord, &owner, &record.sealed)?;
        serde_json::from_slice(&text).map_err(|_| SealError)
    }

    pub(crate) fn obtained_at(&self) -> UnixTime {
        UnixTime::from_seconds(self.obtained_at)
    }
}

/// The session and generation that a sealed set belongs to. The key is that of one session of one
/// subject, so that a set fits nowhere else.
fn owner(key: StoreKey, generation: u64) -> Vec<u8> {
    [&key.as_bytes()[..], &generation.to_be_bytes()].concat()
}
