use std::fmt;

use aws_lc_rs::digest::{Context, SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::secret::{NoRandomness, random_bytes};

/// A key under which a store keeps something: 256 bits without a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreKey([u8; 32]);

impl StoreKey {
    /// The key of a thing that several texts name together. No two lists of texts share a key.
    #[must_use]
    pub fn of(parts: &[&str]) -> Self {
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        Self(to_array(context.finish().as_ref()))
    }

    /// The SHA-256 of these bytes.
    pub(crate) fn hash_of(bytes: &[u8]) -> Self {
        Self(to_array(digest(&SHA256, bytes).as_ref()))
    }

    /// A key from its bits, as a store wrote them down.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bits.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The bits as text, for what takes no bytes.
    #[cfg(any(feature = "redis", feature = "postgres"))]
    pub(super) fn to_text(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// A key from such a text.
    #[cfg(any(feature = "redis", feature = "postgres"))]
    pub(super) fn from_text(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        bytes.try_into().ok().map(Self)
    }
}

fn to_array(digest: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest);
    bytes
}

/// Tells one write of a record from every other: 128 random bits. A counter would not do: after a failover
/// that lost a write, two writers would count to the same number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tag([u8; 16]);

impl Tag {
    /// A new tag.
    ///
    /// # Errors
    /// If the system has no randomness to offer.
    pub fn random() -> Result<Self, NoRandomness> {
        random_bytes().map(Self)
    }

    /// A tag from its bits, as a store wrote them down.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bits.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Tag({})", URL_SAFE_NO_PAD.encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_different_parts_differ() {
        assert_ne!(StoreKey::of(&["ab", "c"]), StoreKey::of(&["a", "bc"]));
        assert_ne!(StoreKey::of(&["a"]), StoreKey::of(&["a", ""]));
        assert_eq!(StoreKey::of(&["a", "b"]), StoreKey::of(&["a", "b"]));
    }
}
