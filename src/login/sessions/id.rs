//! What the browser holds.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64_simd::Out;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::login::sessions::seal::SHORT_CODE;
use crate::login::store::StoreKey;
use crate::secret::{NoRandomness, random_bytes};

/// The session id in the browser's cookie: 256 random bits. It does not change when tokens do.
///
/// `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionId([u8; 32]);

impl SessionId {
    /// A new one.
    ///
    /// # Errors
    /// If the system has no randomness to offer.
    pub fn random() -> Result<Self, NoRandomness> {
        random_bytes().map(Self)
    }

    /// The one a cookie holds, `None` if it holds none. Behind it a short code may stand, by which an application
    /// tells its own cookies from those of others.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        // Read with every request: by vector instructions.
        let decoded = matches!(text.len(), LENGTH | LENGTH_WITH_CODE)
            .then(|| {
                let id = &text.as_bytes()[..LENGTH];
                base64_simd::URL_SAFE_NO_PAD.decode(id, Out::from_slice(&mut bytes))
            })?
            .ok()?;
        (decoded.len() == bytes.len()).then_some(())?;
        Some(Self(bytes))
    }

    /// The one a cookie holds, and the code behind it.
    pub(crate) fn split_cookie(text: &str) -> Option<(Self, &str)> {
        let id = Self::parse(text)?;
        Some((id, text.get(LENGTH..)?))
    }

    /// The text for a cookie, without a code.
    #[must_use]
    pub fn to_cookie(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether it is this one, in a time that does not depend on where they differ.
    pub(crate) fn is(&self, other: &Self) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }

    /// What a store knows it by: its SHA-256, so that a dump of the store opens no session.
    #[must_use]
    pub fn store_key(&self) -> StoreKey {
        StoreKey::hash_of(&self.0)
    }

    /// What an application knows the session by.
    #[must_use]
    pub fn key(&self) -> SessionKey {
        SessionKey(self.store_key())
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SessionId(redacted)")
    }
}

/// Names a session and gives no access to it: for logs, for lists of sessions, and as a foreign key of an
/// application's own tables. It stays the same for as long as the session lasts, and the next sign-in of the same
/// browser has another.
///
/// It is the SHA-256 of the random session id in the browser's cookie, so that the id cannot be computed from it,
/// and it does not change with the secrets of the application. Its text has 43 letters, digits, hyphens and
/// underscores (base64url).
///
/// ```
/// use tower_oidc::login::{SessionId, SessionKey};
///
/// let key = SessionId::random()?.key();
/// let text = key.to_string();
/// assert_eq!(text.parse::<SessionKey>()?, key);
/// assert!("not a key".parse::<SessionKey>().is_err());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey(StoreKey);

/// A text that is no [`SessionKey`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no session key, which has 43 letters, digits, hyphens and underscores")]
#[non_exhaustive]
pub struct SessionKeyError;

impl SessionKey {
    pub(crate) fn new(key: StoreKey) -> Self {
        Self(key)
    }

    pub(crate) fn store_key(self) -> StoreKey {
        self.0
    }
}

impl fmt::Display for SessionKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&URL_SAFE_NO_PAD.encode(self.0.as_bytes()))
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SessionKey({self})")
    }
}

impl FromStr for SessionKey {
    type Err = SessionKeyError;

    fn from_str(text: &str) -> Result<Self, SessionKeyError> {
        let decoded = Some(text)
            .filter(|text| text.len() == LENGTH)
            .and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        let bytes = decoded.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        bytes
            .map(|bytes| Self(StoreKey::from_bytes(bytes)))
            .ok_or(SessionKeyError)
    }
}

impl Serialize for SessionKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SessionKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What the sessions of a subject are listed under.
pub(crate) fn subject_key(issuer: &str, subject: &str) -> StoreKey {
    StoreKey::of(&["subject", issuer, subject])
}

/// What the sessions that began with one session of the provider are listed under.
pub(crate) fn session_key(issuer: &str, sid: &str) -> StoreKey {
    StoreKey::of(&["session", issuer, sid])
}

/// What the sessions of a subject are listed under that began without a named session of the provider.
pub(crate) fn sessionless_key(issuer: &str, subject: &str) -> StoreKey {
    StoreKey::of(&["no session", issuer, subject])
}

/// 32 bytes in base64url.
const LENGTH: usize = 43;

/// With a code of eight bytes.
const LENGTH_WITH_CODE: usize = LENGTH + (SHORT_CODE * 8).div_ceil(6);

#[cfg(test)]
mod tests {
    use super::*;

    // SC-07
    #[test]
    fn a_handle_is_random_and_the_store_does_not_know_it() {
        let (one, two) = (SessionId::random().unwrap(), SessionId::random().unwrap());
        assert_ne!(one, two);
        assert_eq!(SessionId::parse(&one.to_cookie()), Some(one.clone()));
        assert_ne!(one.store_key().as_bytes(), &one.0);
        assert!(!format!("{one:?}").contains(&one.to_cookie()[..8]));
    }

    // SC-16
    #[test]
    fn a_text_that_is_no_handle_is_none() {
        let good = SessionId::random().unwrap().to_cookie();
        for bad in [
            "",
            "x",
            &good[1..],
            &format!("{good}A"),
            &format!("{good}="),
            "é",
            "../../etc",
        ] {
            assert_eq!(SessionId::parse(bad), None, "{bad}");
        }
    }

    // SC-07
    #[test]
    fn a_key_names_a_session_and_gives_no_access() {
        let id = SessionId::random().unwrap();
        let text = id.key().to_string();
        assert_eq!(text.parse(), Ok(id.key()));
        assert_eq!(text.len(), LENGTH);
        assert_ne!(text, id.to_cookie());
        // As a cookie it names another session, which does not exist.
        let as_cookie = SessionId::parse(&text).unwrap();
        assert_ne!(as_cookie.store_key(), id.store_key());
        let json = serde_json::to_string(&id.key()).unwrap();
        assert_eq!(json, format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<SessionKey>(&json).unwrap(), id.key());
        for bad in [
            "",
            &text[1..],
            &format!("{text}A"),
            &format!("{text}="),
            &format!(" {}", &text[1..]),
            &format!("{}+", &text[1..]),
            // Spare bits at the end.
            &format!("{}B", "A".repeat(42)),
            "é",
        ] {
            assert_eq!(bad.parse::<SessionKey>(), Err(SessionKeyError), "{bad}");
        }
    }
}
