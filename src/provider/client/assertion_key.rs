//! The private key by which this client signs its own assertions (`private_key_jwt`), and its public part.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use jsonwebtoken::jwk::EllipticCurve;
use jsonwebtoken::{Algorithm as JwtAlgorithm, EncodingKey};
use serde_json::{Value, json};

use crate::clock::UnixTime;
use crate::error::{ConfigError, ProviderError, ProviderErrorKind};
use crate::jwt::{Algorithm, sign_compact};
use crate::provider::client::kept_file::KeptFile;
use crate::secret::{Secret, random_text, sha256_text};
use crate::settings::{CLIENT_PRIVATE_KEY, CLIENT_PRIVATE_KEY_FILE};

/// The `kid` that names a key of this client to the provider.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum KeyId {
    /// None: the provider tries the keys it has registered.
    #[default]
    None,
    /// This one, as the provider shows it beside the registered key.
    Named(String),
    /// The key's SHA-256 thumbprint ([RFC 7638](https://www.rfc-editor.org/rfc/rfc7638)), which changes with the key.
    Thumbprint,
}

impl From<&str> for KeyId {
    fn from(name: &str) -> Self {
        Self::Named(name.to_owned())
    }
}

impl From<Option<&str>> for KeyId {
    fn from(name: Option<&str>) -> Self {
        name.map_or(Self::None, Self::from)
    }
}

/// The `aud` of the assertions that a client signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum AssertionAudience {
    /// The issuer alone. The default: no other provider accepts such an assertion.
    #[default]
    Issuer,
    /// The URL of the token endpoint, for providers that demand it ([RFC 7523
    /// §3](https://www.rfc-editor.org/rfc/rfc7523#section-3)). The assertion then has the `typ` that such providers
    /// expect, `JWT`.
    TokenEndpoint,
}

/// How long an assertion is valid.
const ASSERTION_LIFETIME: Duration = Duration::from_secs(60);

/// A key that signs assertions.
pub(crate) struct AssertionKey {
    key: EncodingKey,
    algorithm: Algorithm,
    /// As it stands in the header.
    kid: Option<Box<str>>,
    public: Value,
}

impl AssertionKey {
    /// Without an algorithm it is the one that the key is for: RS256 for an RSA key.
    fn from_pem(
        pem: &Secret,
        algorithm: Option<Algorithm>,
        kid: &KeyId,
    ) -> Result<Self, &'static str> {
        let pem = pem.expose().as_bytes();
        let candidates = match &algorithm {
            Some(algorithm) => std::slice::from_ref(algorithm),
            None => &[
                Algorithm::Es256,
                Algorithm::Es384,
                Algorithm::EdDsa,
                Algorithm::Rs256,
            ],
        };
        candidates
            .iter()
            .find_map(|algorithm| Self::of(pem, *algorithm, kid))
            .ok_or("it is not an unencrypted private key in PEM that fits the algorithm")
    }

    fn of(pem: &[u8], algorithm: Algorithm, kid: &KeyId) -> Option<Self> {
        let key = match algorithm {
            Algorithm::Es256 | Algorithm::Es384 | Algorithm::Es512 => EncodingKey::from_ec_pem(pem),
            Algorithm::EdDsa => EncodingKey::from_ed_pem(pem),
            _ => EncodingKey::from_rsa_pem(pem),
        }
        .ok()?;
        let members = public_members(&key, algorithm)?;
        let thumbprint = thumbprint(&members);
        let kid = match kid {
            KeyId::None => None,
            KeyId::Named(name) => Some(name.as_str()),
            KeyId::Thumbprint => Some(thumbprint.as_str()),
        };
        let mut public = members;
        public["kid"] = json!(kid.unwrap_or(&thumbprint));
        public["alg"] = json!(algorithm.name());
        public["use"] = json!("sig");
        let key = Self {
            key,
            algorithm,
            kid: kid.map(Into::into),
            public,
        };
        // A key that cannot sign is an error now, not at the first sign-in.
        key.sign(b"probe").ok()?;
        Some(key)
    }

    /// The public part as a JWK.
    pub(crate) fn public(&self) -> &Value {
        &self.public
    }

    /// An assertion of this client, new each time.
    pub(super) fn assertion(
        &self,
        client_id: &str,
        audience: &str,
        typ: &str,
        now: UnixTime,
    ) -> Result<String, ProviderError> {
        let mut header = json!({"alg": self.algorithm.name(), "typ": typ});
        if let Some(kid) = &self.kid {
            header["kid"] = json!(kid);
        }
        let claims = json!({
            "iss": client_id,
            "sub": client_id,
            "aud": audience,
            "iat": now.as_seconds(),
            "exp": now.saturating_add(ASSERTION_LIFETIME).as_seconds(),
            "jti": random_text().map_err(|error| cannot_sign(error.into()))?,
        });
        let (header, claims) = (header.to_string(), claims.to_string());
        sign_compact(header.as_bytes(), claims.as_bytes(), |input| {
            self.sign(input)
        })
        .map_err(|error| cannot_sign(error.into()))
    }

    fn sign(&self, input: &[u8]) -> Result<Vec<u8>, jsonwebtoken::errors::Error> {
        let algorithm: JwtAlgorithm = self.algorithm.name().parse()?;
        let signer = (DEFAULT_PROVIDER.signer_factory)(&algorithm, &self.key)?;
        signer.try_sign(input).map_err(|_| {
            jsonwebtoken::errors::new_error(jsonwebtoken::errors::ErrorKind::InvalidKeyFormat)
        })
    }
}

impl PartialEq for AssertionKey {
    fn eq(&self, other: &Self) -> bool {
        self.public == other.public
    }
}

fn cannot_sign(error: Box<dyn std::error::Error + Send + Sync>) -> ProviderError {
    ProviderError::caused(
        ProviderErrorKind::RequestRefused,
        "the client's assertion could not be signed",
        error,
    )
}

/// The members of the public key that its thumbprint is made of
/// ([RFC 7638 §3.2](https://www.rfc-editor.org/rfc/rfc7638#section-3.2)): never a private one.
fn public_members(key: &EncodingKey, algorithm: Algorithm) -> Option<Value> {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let utils = &DEFAULT_PROVIDER.key_utils;
    let der = key.as_bytes();
    Some(match algorithm {
        Algorithm::Es256 | Algorithm::Es384 | Algorithm::Es512 => {
            let algorithm: JwtAlgorithm = algorithm.name().parse().ok()?;
            let (curve, x, y) = (utils.ec_pub_components_from_private_key)(der, algorithm).ok()?;
            json!({"crv": serde_json::to_value(curve).ok()?, "kty": "EC", "x": encode(&x), "y": encode(&y)})
        }
        Algorithm::EdDsa => {
            let curve = EllipticCurve::Ed25519;
            let x = (utils.ed_pub_components_from_private_key)(der, &curve).ok()?;
            json!({"crv": "Ed25519", "kty": "OKP", "x": encode(&x)})
        }
        _ => {
            let (n, e) = (utils.rsa_pub_components_from_private_key)(der).ok()?;
            json!({"e": encode(&e), "kty": "RSA", "n": encode(&n)})
        }
    })
}

/// [RFC 7638 §3.1](https://www.rfc-editor.org/rfc/rfc7638#section-3.1): the members in the order of their names.
fn thumbprint(members: &Value) -> String {
    let mut pairs: Vec<_> = members.as_object().into_iter().flatten().collect();
    pairs.sort_by_key(|(name, _)| *name);
    let pairs: Vec<_> = pairs
        .into_iter()
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    sha256_text(&format!("{{{}}}", pairs.join(",")))
}

/// Where the key comes from.
#[derive(Clone)]
pub(crate) enum PrivateKey {
    Fixed(Arc<AssertionKey>),
    File(KeptFile<AssertionKey>),
}

const REMEDY: &str = "give an unencrypted key in PEM: PKCS #8 for every algorithm, or PKCS #1 for RSA; \
    `openssl pkcs8 -topk8 -nocrypt` converts others";

impl PrivateKey {
    pub(crate) fn fixed(
        algorithm: Option<Algorithm>,
        kid: &KeyId,
        pem: &str,
    ) -> Result<Self, ConfigError> {
        check_kid(kid)?;
        let key = AssertionKey::from_pem(&Secret::new(pem), algorithm, kid);
        let key = key.map_err(|problem| {
            ConfigError::invalid(CLIENT_PRIVATE_KEY, "(redacted)", problem, REMEDY)
        })?;
        Ok(Self::Fixed(Arc::new(key)))
    }

    /// The key in a file, which must be good now.
    pub(crate) fn file(
        algorithm: Option<Algorithm>,
        kid: KeyId,
        path: &Path,
    ) -> Result<Self, ConfigError> {
        let file = key_file(algorithm, kid, path)?;
        file.read_now()
            .map_err(|problem| file.refuse(&problem, REMEDY))?;
        Ok(Self::File(file))
    }

    pub(crate) async fn current(&self) -> Result<Arc<AssertionKey>, ProviderError> {
        match self {
            Self::Fixed(key) => Ok(Arc::clone(key)),
            Self::File(file) => file.current(|_| Ok(())).await,
        }
    }
}

/// A key that is published and does not sign.
#[derive(Clone)]
pub(crate) enum PublishedKey {
    Signing(PrivateKey),
    /// In a file that is there while keys are being changed.
    Other(KeptFile<AssertionKey>),
}

impl PublishedKey {
    /// The file need not be there; what is there must be a key.
    pub(crate) fn file(
        algorithm: Option<Algorithm>,
        kid: KeyId,
        path: &Path,
    ) -> Result<Self, ConfigError> {
        use crate::provider::client::kept_file::Problem;
        let file = key_file(algorithm, kid, path)?;
        match file.read_now() {
            Ok(_) | Err(Problem::Missing) => Ok(Self::Other(file)),
            Err(problem) => Err(file.refuse(&problem, REMEDY)),
        }
    }

    pub(crate) async fn current(&self) -> Option<Arc<AssertionKey>> {
        match self {
            Self::Signing(key) => key.current().await.ok(),
            Self::Other(file) => file.current_if_there().await,
        }
    }
}

fn key_file(
    algorithm: Option<Algorithm>,
    kid: KeyId,
    path: &Path,
) -> Result<KeptFile<AssertionKey>, ConfigError> {
    check_kid(&kid)?;
    let parse = move |pem: &Secret| AssertionKey::from_pem(pem, algorithm, &kid);
    Ok(KeptFile::new(CLIENT_PRIVATE_KEY_FILE, path, parse))
}

fn check_kid(kid: &KeyId) -> Result<(), ConfigError> {
    match kid {
        KeyId::Named(name) if name.is_empty() || name.chars().any(char::is_control) => {
            Err(ConfigError::invalid(
                crate::settings::CLIENT_KEY_ID,
                name,
                "it is empty or has control characters",
                "copy the id of the key from the provider, or use its thumbprint",
            ))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::jwk_set::{Choice, JwkSet, TokenIssuer};

    fn pem(algorithm: &'static rcgen::SignatureAlgorithm) -> Secret {
        Secret::new(
            rcgen::KeyPair::generate_for(algorithm)
                .unwrap()
                .serialize_pem(),
        )
    }

    // CA-03
    #[test]
    fn the_public_part_verifies_what_the_key_signs() {
        for (algorithm, name, members) in [
            (&rcgen::PKCS_ECDSA_P256_SHA256, Algorithm::Es256, 7),
            (&rcgen::PKCS_ECDSA_P384_SHA384, Algorithm::Es384, 7),
            (&rcgen::PKCS_ED25519, Algorithm::EdDsa, 6),
            (&rcgen::PKCS_RSA_SHA256, Algorithm::Rs256, 6),
        ] {
            let pem = pem(algorithm);
            let key = AssertionKey::from_pem(&pem, None, &KeyId::Thumbprint).unwrap();
            assert_eq!(key.algorithm, name);
            let public = key.public().as_object().unwrap();
            for member in public.keys() {
                let allowed = ["alg", "crv", "e", "kid", "kty", "n", "use", "x", "y"];
                assert!(allowed.contains(&member.as_str()), "{name}: {member}");
            }
            assert_eq!(public.len(), members, "{name}");
            let set = json!({"keys": [key.public()]}).to_string();
            let set = JwkSet::parse(set.as_bytes()).unwrap();
            let issuer = TokenIssuer {
                issuer: "client",
                tenant: None,
            };
            let kid = key.kid.as_deref();
            assert_eq!(kid, key.public()["kid"].as_str());
            let Choice::One(public) = set.choose(kid, name, &issuer) else {
                panic!("{name}: the key is in the set");
            };
            assert!(public.verifies(b"text", &key.sign(b"text").unwrap()));
        }
    }

    // CA-03
    #[test]
    fn the_thumbprint_is_that_of_rfc_7638() {
        let members = json!({
            "kty": "RSA",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCi\
                  FV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0\
                  zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCu\
                  r-kEgU8awapJzKnqDKgw",
            "e": "AQAB",
        });
        assert_eq!(
            thumbprint(&members),
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
        );
    }

    // CA-03
    #[test]
    fn what_is_not_a_key_for_the_algorithm_is_refused() {
        let ec = pem(&rcgen::PKCS_ECDSA_P256_SHA256);
        let rsa = pem(&rcgen::PKCS_RSA_SHA256);
        let is_key = |pem: &Secret, algorithm: Algorithm| {
            AssertionKey::from_pem(pem, Some(algorithm), &KeyId::None).is_ok()
        };
        for (algorithm, fits_ec, fits_rsa) in [
            (Algorithm::Es256, true, false),
            (Algorithm::Es384, false, false),
            (Algorithm::Es512, false, false),
            (Algorithm::EdDsa, false, false),
            (Algorithm::Rs256, false, true),
            (Algorithm::Ps512, false, true),
        ] {
            assert_eq!(is_key(&ec, algorithm), fits_ec, "{algorithm}");
            assert_eq!(is_key(&rsa, algorithm), fits_rsa, "{algorithm}");
        }
        let cut = ec.expose().get(..100).unwrap();
        for text in ["", "no key", cut] {
            let key = AssertionKey::from_pem(&Secret::new(text), None, &KeyId::None);
            assert!(key.is_err(), "{text}");
        }
        assert!(PrivateKey::fixed(None, &"".into(), ec.expose()).is_err());
    }
}
