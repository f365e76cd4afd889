//! Secrets: random texts, what they hash to, comparison in constant time, and a
//! text that never prints.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
#[cfg(feature = "login")]
use aws_lc_rs::digest::{SHA384, SHA512};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The system has no randomness to offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system has no randomness to offer")]
#[non_exhaustive]
#[cfg_attr(
    not(feature = "login"),
    allow(unreachable_pub, reason = "told by `login` alone")
)]
pub struct NoRandomness;

pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

/// 256 random bits as 43 unreserved characters: a `state`, a `nonce`, a PKCE verifier
/// ([RFC 7636 §4.1](https://www.rfc-editor.org/rfc/rfc7636#section-4.1)).
pub(crate) fn random_text() -> Result<String, NoRandomness> {
    random_bytes::<32>().map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
}

pub(crate) fn sha256(text: &str) -> impl AsRef<[u8]> {
    digest(&SHA256, text.as_bytes())
}

/// The SHA-256 of a text, in base64url: the `S256` of RFC 7636 §4.2, and a key's thumbprint.
pub(crate) fn sha256_text(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(sha256(text))
}

/// The left half of a text's hash, in base64url
/// ([OpenID Connect Core §3.1.3.6](https://openid.net/specs/openid-connect-core-1_0.html#CodeIDToken)).
#[cfg(feature = "login")]
pub(crate) fn half_hash(bits: u16, text: &str) -> String {
    let algorithm = match bits {
        384 => &SHA384,
        512 => &SHA512,
        _ => &SHA256,
    };
    let hash = digest(algorithm, text.as_bytes());
    URL_SAFE_NO_PAD.encode(&hash.as_ref()[..hash.as_ref().len() / 2])
}

/// Whether two texts are equal, in a time that does not depend on where they differ.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}

/// A text that never prints, and is wiped when it is dropped.
#[derive(Clone, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Secret(Zeroizing<String>);

impl Secret {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        is_same(self.expose(), other.expose())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(redacted)")
    }
}

#[cfg(all(test, feature = "login"))]
mod tests {
    use super::*;

    // LG-02
    #[test]
    fn a_verifier_has_43_unreserved_characters_and_is_new_each_time() {
        let texts: std::collections::BTreeSet<_> =
            (0..1_000).map(|_| random_text().unwrap()).collect();
        assert_eq!(texts.len(), 1_000);
        for text in texts {
            assert_eq!(text.len(), 43);
            assert!(
                text.bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            );
        }
    }

    // LG-02
    #[test]
    fn the_challenge_is_that_of_rfc_7636_appendix_b() {
        assert_eq!(
            sha256_text("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    // BT-21
    #[test]
    fn a_secret_does_not_print() {
        assert!(!format!("{:?}", Secret::new("hunter2")).contains("hunter2"));
    }

    // LM-08
    #[test]
    fn secrets_are_compared_whole() {
        for (one, other, expected) in [
            ("abc", "abc", true),
            ("abc", "abd", false),
            ("abc", "ab", false),
            ("", "", true),
        ] {
            assert_eq!(is_same(one, other), expected, "{one} {other}");
            assert_eq!(Secret::new(one) == Secret::new(other), expected);
        }
    }
}
