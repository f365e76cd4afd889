//! The client that this service is at the provider, and how it authenticates.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use jsonwebtoken::{Algorithm as JwtAlgorithm, EncodingKey};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::json;
use url::form_urlencoded::Serializer;

use crate::clock::UnixTime;
use crate::error::{ConfigError, ProviderError, ProviderErrorKind};
use crate::http_client::Call;
use crate::jwt::{Algorithm, sign_compact};
use crate::provider::client::secret_file::ClientSecret;
use crate::provider::endpoints::Endpoints;
use crate::secret::{Secret, random_text};
use crate::settings::{CLIENT_ID, CLIENT_PRIVATE_KEY, CLIENT_SECRET};

/// A client that is registered with the provider: its identifier and its authentication.
///
/// `Debug` shows the identifier and the method, never a secret.
#[derive(Clone)]
pub struct Client {
    id: Box<str>,
    authentication: Authentication,
}

#[derive(Clone)]
enum Authentication {
    None,
    Secret(ClientSecret, Option<SecretMethod>),
    PrivateKey(Arc<AssertionKey>),
}

/// How a client sends its secret ([OpenID Connect Core
/// §9](https://openid.net/specs/openid-connect-core-1_0.html#ClientAuthentication)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretMethod {
    /// `client_secret_basic`: in the `Authorization` field.
    Basic,
    /// `client_secret_post`: in the form.
    Post,
}

struct AssertionKey {
    key: EncodingKey,
    algorithm: Algorithm,
    kid: Option<Box<str>>,
}

/// How long an assertion is valid.
const ASSERTION_LIFETIME: Duration = Duration::from_secs(60);

impl Client {
    /// A public client, without a secret. Only PKCE protects its codes.
    ///
    /// # Errors
    /// [`ConfigError`] if the identifier is empty or is not visible ASCII.
    pub fn public(id: &str) -> Result<Self, ConfigError> {
        Self::new(id, Authentication::None)
    }

    /// A client with a secret. The secret is sent in the `Authorization` header, or in the form if the
    /// metadata lists `client_secret_post` but not `client_secret_basic`;
    /// [`with_secret_method`](Self::with_secret_method) overrides this.
    ///
    /// # Errors
    /// [`ConfigError`] if the identifier or the secret is empty, or the identifier is not visible ASCII.
    pub fn with_secret(id: &str, secret: &str) -> Result<Self, ConfigError> {
        if secret.is_empty() {
            return Err(ConfigError::missing(
                CLIENT_SECRET,
                "copy it from the provider, or use a public client",
            ));
        }
        let secret = ClientSecret::fixed(secret);
        Self::new(id, Authentication::Secret(secret, None))
    }

    /// A client whose secret is in this file, where it can be replaced while the process runs: when the provider
    /// refuses the secret (`invalid_client`), the file is read again, and if it holds another by then, the call is
    /// sent once more. White space at the end of the file does not count.
    ///
    /// # Errors
    /// [`ConfigError`] if the file cannot be read or is empty, or the identifier is empty or not visible ASCII.
    pub fn with_secret_file(id: &str, path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let secret = ClientSecret::in_file(path.as_ref())?;
        Self::new(id, Authentication::Secret(secret, None))
    }

    /// A client that signs an assertion with its private key (`private_key_jwt`,
    /// [RFC 7523 §3](https://www.rfc-editor.org/rfc/rfc7523#section-3)). The key is PKCS #8 in PEM.
    ///
    /// # Errors
    /// [`ConfigError`] if the key does not fit the algorithm, or the identifier is empty or not
    /// visible ASCII.
    pub fn with_private_key(
        id: &str,
        algorithm: Algorithm,
        kid: Option<&str>,
        pem: &str,
    ) -> Result<Self, ConfigError> {
        let refuse = |_| {
            ConfigError::invalid(
                CLIENT_PRIVATE_KEY,
                "(redacted)",
                format!("it is not a PEM private key for {}", algorithm.name()),
                "pass an unencrypted PKCS #8 key that fits the algorithm",
            )
        };
        let key = match algorithm {
            Algorithm::Es256 | Algorithm::Es384 => EncodingKey::from_ec_pem(pem.as_bytes()),
            Algorithm::EdDsa => EncodingKey::from_ed_pem(pem.as_bytes()),
            _ => EncodingKey::from_rsa_pem(pem.as_bytes()),
        }
        .map_err(refuse)?;
        let key = AssertionKey {
            key,
            algorithm,
            kid: kid.map(Into::into),
        };
        // A key that cannot sign is an error now, not at the first sign-in.
        key.sign(b"probe").map_err(refuse)?;
        Self::new(id, Authentication::PrivateKey(Arc::new(key)))
    }

    fn new(id: &str, authentication: Authentication) -> Result<Self, ConfigError> {
        if id.is_empty() {
            return Err(ConfigError::missing(CLIENT_ID, "copy it from the provider"));
        }
        if !id.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) || id.trim() != id {
            return Err(ConfigError::invalid(
                CLIENT_ID,
                id,
                "it has blanks around it, or characters that are not visible ASCII",
                "copy it from the provider as it is",
            ));
        }
        Ok(Self {
            id: id.into(),
            authentication,
        })
    }

    /// Sends the secret by this method, whatever the metadata lists. No effect on a client without a
    /// secret.
    #[must_use]
    pub fn with_secret_method(mut self, method: SecretMethod) -> Self {
        if let Authentication::Secret(_, chosen) = &mut self.authentication {
            *chosen = Some(method);
        }
        self
    }

    /// The identifier.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether the client has neither secret nor key.
    #[cfg(any(
        feature = "introspection",
        all(feature = "reqwest", feature = "outbound")
    ))]
    pub(crate) fn is_public(&self) -> bool {
        matches!(self.authentication, Authentication::None)
    }

    /// The secret as the effective settings show it.
    #[cfg(all(feature = "reqwest", any(feature = "login", feature = "outbound")))]
    pub(crate) fn secret_for_people(&self) -> &'static str {
        match self.authentication {
            Authentication::None => "(none: a public client)",
            Authentication::Secret(..) | Authentication::PrivateKey(_) => "(redacted)",
        }
    }

    /// A POST of these parameters with this client's authentication. Secrets go into the body or the
    /// `Authorization` header, never into a URL (RFC 6749 §2.3.1).
    pub(crate) fn call(
        &self,
        endpoints: &Endpoints,
        issuer: &str,
        now: UnixTime,
        parameters: &[(&str, &str)],
    ) -> Result<Call, ProviderError> {
        let mut form = Serializer::new(String::new());
        form.extend_pairs(parameters);
        let mut authorization = None;
        match &self.authentication {
            Authentication::None => {
                form.append_pair("client_id", &self.id);
            }
            Authentication::Secret(secret, method) => match secret_method(*method, endpoints) {
                SecretMethod::Basic => authorization = Some(basic(&self.id, &secret.current())?),
                SecretMethod::Post => {
                    form.append_pair("client_id", &self.id);
                    form.append_pair("client_secret", secret.current().expose());
                }
            },
            Authentication::PrivateKey(key) => {
                form.append_pair("client_id", &self.id);
                form.append_pair(
                    "client_assertion_type",
                    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                );
                form.append_pair("client_assertion", &self.assertion(key, issuer, now)?);
            }
        }
        Ok(Call {
            authorization,
            form: Some(form.finish()),
            accept: None,
        })
    }

    /// The secret in use, if there is one.
    pub(super) fn secret(&self) -> Option<Secret> {
        match &self.authentication {
            Authentication::Secret(secret, _) => Some(secret.current()),
            Authentication::None | Authentication::PrivateKey(_) => None,
        }
    }

    /// Whether the client has another secret than this one, which the provider refused.
    pub(super) async fn has_other_than(&self, refused: &Secret) -> bool {
        match &self.authentication {
            Authentication::Secret(secret, _) => secret.has_other_than(refused).await,
            Authentication::None | Authentication::PrivateKey(_) => false,
        }
    }

    /// `aud` is only the issuer, so that no other provider accepts the assertion.
    fn assertion(
        &self,
        key: &AssertionKey,
        issuer: &str,
        now: UnixTime,
    ) -> Result<String, ProviderError> {
        let mut header = json!({
            "alg": key.algorithm.name(),
            "typ": "client-authentication+jwt",
        });
        if let Some(kid) = &key.kid {
            header["kid"] = json!(kid);
        }
        let claims = json!({
            "iss": self.id,
            "sub": self.id,
            "aud": issuer,
            "iat": now.as_seconds(),
            "exp": now.saturating_add(ASSERTION_LIFETIME).as_seconds(),
            "jti": random_text().map_err(|error| cannot_authenticate(error.into()))?,
        });
        let (header, claims) = (header.to_string(), claims.to_string());
        sign_compact(header.as_bytes(), claims.as_bytes(), |input| {
            key.sign(input)
        })
        .map_err(|error| cannot_authenticate(error.into()))
    }
}

impl AssertionKey {
    fn sign(&self, input: &[u8]) -> Result<Vec<u8>, jsonwebtoken::errors::Error> {
        let algorithm: JwtAlgorithm = self.algorithm.name().parse()?;
        let signer = (DEFAULT_PROVIDER.signer_factory)(&algorithm, &self.key)?;
        signer.try_sign(input).map_err(|_| {
            jsonwebtoken::errors::new_error(jsonwebtoken::errors::ErrorKind::InvalidKeyFormat)
        })
    }
}

fn secret_method(chosen: Option<SecretMethod>, endpoints: &Endpoints) -> SecretMethod {
    chosen.unwrap_or_else(|| {
        let supports = |method| endpoints.supports_client_authentication(method);
        if !supports("client_secret_basic") && supports("client_secret_post") {
            SecretMethod::Post
        } else {
            SecretMethod::Basic
        }
    })
}

fn cannot_authenticate(error: Box<dyn std::error::Error + Send + Sync>) -> ProviderError {
    ProviderError::caused(
        ProviderErrorKind::RequestRefused,
        "the client's assertion could not be signed",
        error,
    )
}

/// What is encoded in Basic credentials beside what is not ASCII: only what would be read as something else. Some
/// providers do not decode them, although [RFC 6749 §2.3.1](https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1)
/// wants it.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b'+').add(b':');

fn basic(id: &str, secret: &Secret) -> Result<HeaderValue, ProviderError> {
    let encoded = |text| utf8_percent_encode(text, ENCODED);
    let pair = format!("{}:{}", encoded(id), encoded(secret.expose()));
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)))
        .map_err(|error| cannot_authenticate(error.into()))?;
    value.set_sensitive(true);
    Ok(value)
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = match &self.authentication {
            Authentication::None => "public",
            Authentication::Secret(..) => CLIENT_SECRET,
            Authentication::PrivateKey(_) => "private_key_jwt",
        };
        write!(formatter, "Client({:?}, {method})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::Value;

    const NOW: UnixTime = UnixTime::from_seconds(1_000_000);

    fn call(client: &Client) -> Call {
        let endpoints = Endpoints::default();
        client
            .call(&endpoints, "https://id.example/", NOW, &[("a", "b c&d")])
            .unwrap()
    }

    // LG-18
    #[test]
    fn secrets_travel_in_the_header_or_the_form() {
        let client = Client::with_secret("a-b.c_d~e", "p:w +%/=@!$&*()é").unwrap();
        let basic = call(&client);
        assert_eq!(basic.form.as_deref(), Some("a=b+c%26d"));
        let value = basic.authorization.unwrap();
        assert!(value.is_sensitive());
        let encoded = value
            .to_str()
            .unwrap()
            .strip_prefix("Basic ")
            .unwrap()
            .to_owned();
        assert_eq!(
            STANDARD.decode(encoded).unwrap(),
            b"a-b.c_d~e:p%3Aw%20%2B%25/=@!$&*()%C3%A9"
        );
        let post = call(&client.with_secret_method(SecretMethod::Post));
        assert!(post.authorization.is_none());
        assert!(post.form.unwrap().contains("client_secret=p%3Aw"));
        let public = call(&Client::public("spa").unwrap());
        assert_eq!(public.form.as_deref(), Some("a=b+c%26d&client_id=spa"));
    }

    // LG-22
    #[test]
    fn an_assertion_names_the_issuer_alone_and_is_new_each_time() {
        let pem = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let client = Client::with_private_key("c", Algorithm::Es256, Some("k"), &pem).unwrap();
        let assertion = |call: Call| {
            let form = call.form.unwrap();
            let pairs: Vec<_> = url::form_urlencoded::parse(form.as_bytes()).collect();
            let found = pairs.iter().find(|(name, _)| name == "client_assertion");
            found.unwrap().1.to_string()
        };
        let (one, two) = (assertion(call(&client)), assertion(call(&client)));
        let part = |text: &str, at: usize| -> Value {
            let part = text.split('.').nth(at).unwrap();
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
        };
        assert_eq!(
            part(&one, 0),
            json!({"alg": "ES256", "typ": "client-authentication+jwt", "kid": "k"})
        );
        let claims = part(&one, 1);
        assert_eq!(claims["iss"], "c");
        assert_eq!(claims["sub"], "c");
        assert_eq!(claims["aud"], "https://id.example/");
        assert_eq!(claims["exp"], 1_000_060);
        assert_ne!(claims["jti"], part(&two, 1)["jti"]);
        assert_eq!(
            URL_SAFE_NO_PAD
                .decode(one.rsplit('.').next().unwrap())
                .unwrap()
                .len(),
            64
        );
        assert!(Client::with_private_key("c", Algorithm::Rs256, None, &pem).is_err());
        assert!(Client::with_private_key("c", Algorithm::Es256, None, "no key").is_err());
    }

    #[test]
    fn identifiers_and_secrets_are_checked_and_do_not_print() {
        for bad in ["", " a", "a\n", "é"] {
            assert!(Client::public(bad).is_err(), "{bad:?}");
        }
        assert!(Client::with_secret("a", "").is_err());
        let shown = format!("{:?}", Client::with_secret("a", "hunter2").unwrap());
        assert_eq!(shown, "Client(\"a\", client secret)");
    }
}
