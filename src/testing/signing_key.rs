use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaEncoding, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::jwt::{self, Algorithm};

/// A private key that was generated for tests.
pub struct SigningKey {
    kid: String,
    algorithm: Algorithm,
    pair: Arc<Pair>,
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    Ec(EcdsaKeyPair, &'static str),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    /// Generates a key for this algorithm. RSA keys have 2048 bits.
    ///
    /// # Panics
    /// If the system offers no randomness.
    #[must_use]
    pub fn generate(kid: impl Into<String>, algorithm: Algorithm) -> Self {
        Self {
            kid: kid.into(),
            algorithm,
            pair: Arc::new(Pair::generate(algorithm).expect("the system offers randomness")),
        }
    }

    /// The same RSA key for another RSA algorithm, under another `kid`.
    #[must_use]
    pub fn for_algorithm(&self, kid: impl Into<String>, algorithm: Algorithm) -> Self {
        Self {
            kid: kid.into(),
            algorithm,
            pair: Arc::clone(&self.pair),
        }
    }

    /// The `kid` of the key.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The algorithm that the key signs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The public part as a JWK, in JSON.
    #[must_use]
    pub fn public_jwk(&self) -> String {
        self.jwk().to_string()
    }

    pub(super) fn jwk(&self) -> Value {
        let mut jwk = self.pair.public_members();
        jwk["kid"] = self.kid.clone().into();
        jwk["alg"] = self.algorithm.name().into();
        jwk["use"] = "sig".into();
        jwk
    }

    /// The compact JWS of this header and these claims. Both are signed as they are, so that `alg`
    /// and `kid` stand in the header only if the caller writes them there.
    ///
    /// # Panics
    /// If the system offers no randomness.
    #[must_use]
    pub fn sign_compact(&self, header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
        self.sign_compact_changed(header.as_ref(), claims.as_ref(), |signature| signature)
    }

    pub(super) fn sign_compact_changed(
        &self,
        header: &[u8],
        claims: &[u8],
        change: impl FnOnce(Vec<u8>) -> Vec<u8>,
    ) -> String {
        let sign = |input: &[u8]| Ok::<_, Infallible>(change(self.sign(input)));
        let Ok(token) = jwt::sign_compact(header, claims, sign);
        token
    }

    /// Signs these bytes with the key's own algorithm.
    ///
    /// # Panics
    /// If the system offers no randomness.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair
            .sign(self.algorithm, message)
            .expect("the system offers randomness")
    }
}

impl Pair {
    fn generate(algorithm: Algorithm) -> Result<Self, aws_lc_rs::error::Unspecified> {
        let ec = |parameters, curve| Ok(Self::Ec(EcdsaKeyPair::generate(parameters)?, curve));
        match algorithm {
            Algorithm::Es256 => ec(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, "P-256"),
            Algorithm::Es384 => ec(&signature::ECDSA_P384_SHA384_FIXED_SIGNING, "P-384"),
            Algorithm::Es512 => ec(&signature::ECDSA_P521_SHA512_FIXED_SIGNING, "P-521"),
            Algorithm::EdDsa => Ok(Self::Ed25519(Ed25519KeyPair::generate()?)),
            _ => Ok(Self::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048)?))),
        }
    }

    fn sign(
        &self,
        algorithm: Algorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, aws_lc_rs::error::Unspecified> {
        let random = SystemRandom::new();
        match self {
            Self::Ec(pair, _) => Ok(pair.sign(&random, message)?.as_ref().to_vec()),
            Self::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Self::Rsa(pair) => {
                let encoding: &'static dyn RsaEncoding = match algorithm {
                    Algorithm::Rs384 => &signature::RSA_PKCS1_SHA384,
                    Algorithm::Rs512 => &signature::RSA_PKCS1_SHA512,
                    Algorithm::Ps256 => &signature::RSA_PSS_SHA256,
                    Algorithm::Ps384 => &signature::RSA_PSS_SHA384,
                    Algorithm::Ps512 => &signature::RSA_PSS_SHA512,
                    _ => &signature::RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &random, message, &mut signature)?;
                Ok(signature)
            }
        }
    }

    fn public_members(&self) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Rsa(pair) => {
                let key = pair.public_key();
                json!({
                    "kty": "RSA",
                    "n": encode(key.modulus().big_endian_without_leading_zero()),
                    "e": encode(key.exponent().big_endian_without_leading_zero()),
                })
            }
            Self::Ec(pair, curve) => {
                // An uncompressed point: one byte that says so, then both coordinates.
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                json!({"kty": "EC", "crv": curve, "x": encode(x), "y": encode(y)})
            }
            Self::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref())})
            }
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SigningKey({:?}, {})", self.kid, self.algorithm)
    }
}
