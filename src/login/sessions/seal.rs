//! What leaves the process sealed: records in a store, cookies in a browser.
//!
//! A key ring is made of secrets, the first of which seals while all of them open, so that a secret
//! is rotated by putting the new one in front. Keys are derived for each purpose (HKDF, RFC 5869),
//! so that a value of one can never pass for one of the other; what a value belongs to is bound to
//! it as associated data.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::{constant_time, hmac};

use crate::error::ConfigError;
use crate::login::store::StoreKey;
use crate::secret::{NoRandomness, random_bytes};
use crate::settings::SESSION_SECRET;

/// What a value is sealed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Purpose {
    /// The token set of a session, in a store.
    SessionRecord,
    /// A sign-in under way, in a cookie.
    LoginAttempt,
    /// How the last sign-ins of a browser ended, in a cookie.
    SignInHistory,
    /// A sign-out under way, in a cookie.
    SignOut,
}

impl Purpose {
    const ALL: [(Self, &'static [u8]); 4] = [
        (Self::SessionRecord, b"session record v1"),
        (Self::LoginAttempt, b"login attempt v1"),
        (Self::SignInHistory, b"sign-in history v1"),
        (Self::SignOut, b"sign-out v1"),
    ];
}

/// The keys that seal and open.
///
/// `Debug` shows how many there are.
///
/// ```
/// use tower_oidc::KeyRing;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // A rotation: the new secret seals, and the former one opens what is out there.
/// let keys = KeyRing::new([
///     "the new secret, of thirty-two characters or more",
///     "the former secret, of thirty-two characters or more",
/// ])?;
/// // For development: sessions end with the process.
/// let keys = KeyRing::ephemeral()?;
/// # drop(keys);
/// # Ok(())
/// # }
/// ```
#[doc(alias("cookie secret", "encryption key"))]
pub struct KeyRing {
    keys: Vec<Keys>,
    is_ephemeral: bool,
}

struct Keys {
    /// Tells which secret sealed a value; derived, so that it says nothing of the secret.
    id: [u8; ID],
    /// One for each purpose, in their order.
    sealing: [RandomizedNonceKey; Purpose::ALL.len()],
    short_codes: hmac::Key,
}

/// A ring bound to one issuer, client and site: what it seals opens for no other, even with the same secrets.
#[derive(Clone)]
pub(crate) struct Sealing {
    keys: Arc<KeyRing>,
    binding: StoreKey,
}

impl Sealing {
    /// `address`: that of the site.
    pub(crate) fn new(keys: KeyRing, issuer: &str, client_id: &str, address: &str) -> Self {
        Self {
            keys: Arc::new(keys),
            binding: StoreKey::of(&[issuer, client_id, address]),
        }
    }

    pub(crate) fn seal(
        &self,
        purpose: Purpose,
        owner: &[u8],
        value: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        self.keys.seal(purpose, &self.bound(owner), value)
    }

    pub(crate) fn open(
        &self,
        purpose: Purpose,
        owner: &[u8],
        sealed: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        self.keys.open(purpose, &self.bound(owner), sealed)
    }

    /// A code that shows that this ring made this value. It is too short to prove anything.
    pub(crate) fn short_code(&self, value: &[u8]) -> [u8; SHORT_CODE] {
        let keys = self.keys.keys.first();
        keys.map_or([0; SHORT_CODE], |keys| keys.short_code(&self.bound(value)))
    }

    /// Whether this code is that of the value, by any secret of the ring.
    pub(crate) fn has_short_code(&self, value: &[u8], code: &[u8]) -> bool {
        let bound = self.bound(value);
        self.keys.keys.iter().any(|keys| {
            constant_time::verify_slices_are_equal(&keys.short_code(&bound), code).is_ok()
        })
    }

    fn bound(&self, owner: &[u8]) -> Vec<u8> {
        [self.binding.as_bytes(), owner].concat()
    }
}

/// A value that does not open: changed, cut, sealed for another purpose or owner, or by a secret
/// that is no longer known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sealed value does not open: it was changed, or its secret is no longer configured")]
#[non_exhaustive]
pub struct SealError;

/// The layout of sealed values. A value of a newer one does not open.
const VERSION: u8 = 1;
const ID: usize = 4;
const NONCE: usize = 12;
const HEAD: usize = 1 + ID + NONCE;

/// A short code, in bytes.
pub(crate) const SHORT_CODE: usize = 8;

/// The shortest secret, in characters.
const SHORTEST: usize = 32;

impl KeyRing {
    /// A ring of these secrets. The first seals, all open.
    ///
    /// # Errors
    /// [`ConfigError`] if there is none or one has fewer than 32 characters. The secrets are not
    /// repeated in it.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Result<Self, ConfigError> {
        const REMEDY: &str = "make one by `openssl rand -base64 48`";
        let secrets: Vec<_> = secrets.into_iter().collect();
        let mut ring = Vec::new();
        for (at, secret) in secrets.iter().enumerate() {
            if secret.chars().count() < SHORTEST {
                let which = match secrets.len() {
                    1 => "it".to_owned(),
                    many => format!("the one at place {} of {many}", at + 1),
                };
                return Err(ConfigError::invalid(
                    SESSION_SECRET,
                    "(redacted)",
                    format!("{which} has fewer than 32 characters"),
                    REMEDY,
                ));
            }
            let keys = Keys::derive(secret.as_bytes()).map_err(|_| {
                ConfigError::invalid(SESSION_SECRET, "(redacted)", "it is no key", REMEDY)
            })?;
            ring.push(keys);
        }
        if ring.is_empty() {
            return Err(ConfigError::missing(SESSION_SECRET, REMEDY));
        }
        Ok(Self {
            keys: ring,
            is_ephemeral: false,
        })
    }

    /// A ring of one random secret that is gone with the process: for development, and for sessions
    /// that may end with it. A store that is shared with other processes is refused with it.
    ///
    /// # Errors
    /// [`NoRandomness`] only if the system has no randomness to offer.
    pub fn ephemeral() -> Result<Self, NoRandomness> {
        let secret = random_bytes::<32>()?;
        let keys = Keys::derive(&secret).map_err(|_| NoRandomness)?;
        Ok(Self {
            keys: vec![keys],
            is_ephemeral: true,
        })
    }

    pub(crate) fn is_ephemeral(&self) -> bool {
        self.is_ephemeral
    }

    /// Seals a value for this purpose and owner.
    ///
    /// # Errors
    /// [`SealError`] only if the system has no randomness to offer.
    pub fn seal(&self, purpose: Purpose, owner: &[u8], value: &[u8]) -> Result<Vec<u8>, SealError> {
        let keys = self.keys.first().ok_or(SealError)?;
        let mut body = value.to_vec();
        let nonce = keys
            .of(purpose)
            .seal_in_place_append_tag(Aad::from(keys.bound(owner)), &mut body)
            .map_err(|_| SealError)?;
        let mut sealed = Vec::with_capacity(HEAD + body.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&keys.id);
        sealed.extend_from_slice(nonce.as_ref());
        sealed.extend_from_slice(&body);
        Ok(sealed)
    }

    /// Opens a value that was sealed for this purpose and owner.
    ///
    /// # Errors
    /// [`SealError`] if it was not, or was changed.
    pub fn open(
        &self,
        purpose: Purpose,
        owner: &[u8],
        sealed: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let (head, body) = sealed.split_at_checked(HEAD).ok_or(SealError)?;
        let (version, rest) = head.split_first().ok_or(SealError)?;
        let (id, nonce) = rest.split_at(ID);
        if *version != VERSION {
            return Err(SealError);
        }
        let keys = self
            .keys
            .iter()
            .find(|keys| keys.id == *id)
            .ok_or(SealError)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError)?;
        let mut body = body.to_vec();
        let length = keys
            .of(purpose)
            .open_in_place(nonce, Aad::from(keys.bound(owner)), &mut body)
            .map_err(|_| SealError)?
            .len();
        body.truncate(length);
        Ok(body)
    }
}

impl Keys {
    fn derive(secret: &[u8]) -> Result<Self, aws_lc_rs::error::Unspecified> {
        let secret = Salt::new(HKDF_SHA256, b"tower-oidc").extract(secret);
        let key = |label: &'static [u8]| {
            let mut bytes = [0; 32];
            secret.expand(&[label], Length(32))?.fill(&mut bytes)?;
            RandomizedNonceKey::new(&AES_256_GCM_SIV, &bytes)
        };
        let mut id = [0; ID];
        secret.expand(&[b"key id v1"], Length(ID))?.fill(&mut id)?;
        let [record, attempt, history, sign_out] = Purpose::ALL.map(|(_, label)| key(label));
        let mut code_key = [0; 32];
        secret
            .expand(&[b"short code v1"], Length(32))?
            .fill(&mut code_key)?;
        Ok(Self {
            id,
            sealing: [record?, attempt?, history?, sign_out?],
            short_codes: hmac::Key::new(hmac::HMAC_SHA256, &code_key),
        })
    }

    fn short_code(&self, bound: &[u8]) -> [u8; SHORT_CODE] {
        let code = hmac::sign(&self.short_codes, bound);
        code.as_ref().first_chunk().copied().unwrap_or_default()
    }

    fn of(&self, purpose: Purpose) -> &RandomizedNonceKey {
        &self.sealing[purpose as usize]
    }

    /// The head of the value is bound as well as its owner.
    fn bound(&self, owner: &[u8]) -> Vec<u8> {
        [&[VERSION], &self.id[..], owner].concat()
    }
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "KeyRing({} secrets)", self.keys.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "an old secret of more than 32 characters";
    const NEW: &str = "a new secret, also more than 32 characters";

    fn ring(secrets: &[&'static str]) -> KeyRing {
        KeyRing::new(secrets.iter().copied()).unwrap()
    }

    // SC-05
    #[test]
    fn a_value_opens_for_its_purpose_and_owner_alone() {
        let ring = ring(&[NEW]);
        let sealed = ring
            .seal(Purpose::SessionRecord, b"owner", b"tokens")
            .unwrap();
        let open = |purpose, owner: &[u8]| ring.open(purpose, owner, &sealed);
        assert_eq!(open(Purpose::SessionRecord, b"owner").unwrap(), b"tokens");
        assert!(open(Purpose::LoginAttempt, b"owner").is_err());
        assert!(open(Purpose::SessionRecord, b"other").is_err());
        assert!(open(Purpose::SessionRecord, b"").is_err());
        let twice = ring
            .seal(Purpose::SessionRecord, b"owner", b"tokens")
            .unwrap();
        assert_ne!(sealed, twice);
        assert!(!sealed.windows(6).any(|part| part == b"tokens"));
    }

    // SC-05
    #[test]
    fn each_flipped_bit_and_each_cut_is_found() {
        let ring = ring(&[NEW]);
        let sealed = ring.seal(Purpose::LoginAttempt, b"o", b"value").unwrap();
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut changed = sealed.clone();
                changed[at] ^= 1 << bit;
                assert!(
                    ring.open(Purpose::LoginAttempt, b"o", &changed).is_err(),
                    "{at}.{bit}"
                );
            }
            assert!(
                ring.open(Purpose::LoginAttempt, b"o", &sealed[..at])
                    .is_err()
            );
        }
    }

    #[test]
    fn the_first_secret_seals_and_all_open() {
        let before = ring(&[OLD]);
        let during = ring(&[NEW, OLD]);
        let after = ring(&[NEW]);
        let purpose = Purpose::SessionRecord;
        let old = before.seal(purpose, b"o", b"value").unwrap();
        let new = during.seal(purpose, b"o", b"value").unwrap();
        assert!(during.open(purpose, b"o", &old).is_ok());
        assert!(after.open(purpose, b"o", &new).is_ok());
        assert!(after.open(purpose, b"o", &old).is_err());
        assert!(before.open(purpose, b"o", &new).is_err());
    }

    #[test]
    fn short_secrets_and_none_are_refused_without_being_told() {
        let error = KeyRing::new(["hunter2-hunter2"]).unwrap_err();
        assert!(error.to_string().contains("32 characters"), "{error}");
        assert!(!format!("{error}{error:?}").contains("hunter2"));
        assert!(KeyRing::new([]).is_err());
        assert!(KeyRing::new([NEW, "short"]).is_err());
        assert_eq!(format!("{:?}", ring(&[NEW, OLD])), "KeyRing(2 secrets)");
    }
}
