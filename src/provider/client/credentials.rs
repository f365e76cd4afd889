//! The client that this service is at the provider, and how it authenticates.

use std::fmt;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use url::form_urlencoded::Serializer;

use crate::clock::UnixTime;
use crate::error::{ConfigError, ProviderError, ProviderErrorKind};
use crate::http_client::Call;
use crate::jwt::Algorithm;
use crate::provider::client::assertion::{Assertion, AssertionOrigin, ClientAssertion};
use crate::provider::client::assertion_key::{AssertionAudience, AssertionKey, KeyId, PrivateKey};
use crate::provider::client::secret_file::ClientSecret;
use crate::provider::discovery::Server;
use crate::provider::endpoints::Endpoints;
use crate::secret::Secret;
use crate::settings::{CLIENT_ASSERTION_FILE, CLIENT_ID, CLIENT_SECRET};

/// A client that is registered with the provider: its identifier and its authentication.
///
/// `Debug` shows the identifier and the method, never a secret.
///
/// ```no_run
/// use tower_oidc::Client;
///
/// # fn main() -> Result<(), tower_oidc::ConfigError> {
/// let client = Client::with_secret("my-client", "its secret")?;
/// let client = Client::with_secret_file("my-client", "/run/secrets/client")?; // read again when it changes
/// let client = Client::public("my-client")?;
/// # drop(client);
/// # Ok(())
/// # }
/// ```
#[doc(alias("client id", "client secret", "private_key_jwt"))]
#[derive(Clone)]
pub struct Client {
    id: Box<str>,
    authentication: Authentication,
}

#[derive(Clone)]
enum Authentication {
    None,
    Secret(ClientSecret, Option<SecretMethod>),
    PrivateKey(PrivateKey, AssertionAudience),
    Assertion(AssertionOrigin),
    Certificate,
}

/// What a client authenticates with in one call.
pub(super) enum Credential {
    None,
    Secret(Secret, Option<SecretMethod>),
    PrivateKey(Arc<AssertionKey>, AssertionAudience),
    Assertion(Arc<Assertion>),
    Certificate,
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
    /// [RFC 7523 §3](https://www.rfc-editor.org/rfc/rfc7523#section-3)). The key is in PEM: PKCS #8, or PKCS #1 for
    /// RSA. Without an algorithm the key decides; an RSA key then signs by RS256.
    ///
    /// [`ClientKeys`](crate::ClientKeys) publishes its public part to the provider.
    ///
    /// # Errors
    /// [`ConfigError`] if the key does not fit the algorithm, or the identifier is empty or not
    /// visible ASCII.
    pub fn with_private_key(
        id: &str,
        algorithm: impl Into<Option<Algorithm>>,
        kid: impl Into<KeyId>,
        pem: &str,
    ) -> Result<Self, ConfigError> {
        let key = PrivateKey::fixed(algorithm.into(), &kid.into(), pem)?;
        let audience = AssertionAudience::default();
        Self::new(id, Authentication::PrivateKey(key, audience))
    }

    /// The same with a key in a file, where it can be replaced while the process runs: the file is read for each call,
    /// and a new key signs from then on. If the file cannot be used, the former key does.
    ///
    /// # Errors
    /// [`ConfigError`] if the file cannot be read or its key does not fit the algorithm, or the identifier is empty or
    /// not visible ASCII.
    pub fn with_private_key_file(
        id: &str,
        algorithm: impl Into<Option<Algorithm>>,
        kid: impl Into<KeyId>,
        path: impl AsRef<Path>,
    ) -> Result<Self, ConfigError> {
        let key = PrivateKey::file(algorithm.into(), kid.into(), path.as_ref())?;
        let audience = AssertionAudience::default();
        Self::new(id, Authentication::PrivateKey(key, audience))
    }

    /// A client that needs no secret, because its platform proves who it is: Kubernetes, GitHub Actions, SPIFFE or a
    /// cloud keeps a JWT for it in this file, and the provider trusts the platform ([RFC 7523
    /// §2.2](https://www.rfc-editor.org/rfc/rfc7523#section-2.2)).
    ///
    /// The file is read for each call to the provider, on a thread that may block. If it is missing, empty, too large
    /// (64 KiB), no JWT of three parts, or expired, the log says so, and the last good assertion is used until it
    /// expires. Without one the call is not made: no code and no refresh token is spent, no session ends, and the next
    /// call reads the file again.
    ///
    /// # Errors
    /// [`ConfigError`] if the path is not that of a file that can be read, or the identifier is empty or not visible
    /// ASCII. A file that is missing in a folder that is there may come later, and is logged.
    ///
    /// # Security
    /// The JWT is sent to the provider. Let the platform issue it for this provider alone (its `aud`): one that other
    /// services accept, such as the Kubernetes API server, must not leave.
    pub fn with_assertion_file(id: &str, path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        Self::with_assertion_file_of(CLIENT_ASSERTION_FILE, id, path.as_ref())
    }

    pub(crate) fn with_assertion_file_of(
        setting: &'static str,
        id: &str,
        path: &Path,
    ) -> Result<Self, ConfigError> {
        let origin = AssertionOrigin::file(setting, path)?;
        Self::new(id, Authentication::Assertion(origin))
    }

    /// The same with assertions that this function returns, such as those of a metadata server or of the SPIFFE
    /// Workload API. It is called for each call to the provider and may take 4 seconds. If it fails, panics or takes
    /// longer, the call is not made: nothing is spent, and no session ends. Its error is logged as the application wrote
    /// it.
    ///
    /// ```
    /// use tower_oidc::{Client, ClientAssertion};
    ///
    /// # async fn fetch_svid(_: &str) -> Result<String, std::io::Error> { Ok(String::new()) }
    /// # fn main() -> Result<(), tower_oidc::ConfigError> {
    /// let client = Client::with_assertion("orders", async || {
    ///     fetch_svid("https://id.example.com").await.map(ClientAssertion::new)
    /// })?;
    /// # drop(client);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ConfigError`] if the identifier is empty or not visible ASCII.
    pub fn with_assertion<F, Fut, E>(id: &str, source: F) -> Result<Self, ConfigError>
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<ClientAssertion, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let origin = AssertionOrigin::function(source);
        Self::new(id, Authentication::Assertion(origin))
    }

    /// A client that authenticates by the certificate of its connection: `tls_client_auth` or
    /// `self_signed_tls_client_auth` ([RFC 8705 §2](https://www.rfc-editor.org/rfc/rfc8705#section-2)). The
    /// [`HttpClient`](crate::HttpClient) of the provider has to present it
    /// ([`reqwest_with_certificate`](crate::HttpClient::reqwest_with_certificate)). Where the metadata names other
    /// addresses for such clients (`mtls_endpoint_aliases`), those are called.
    ///
    /// # Errors
    /// [`ConfigError`] if the identifier is empty or not visible ASCII.
    pub fn with_certificate(id: &str) -> Result<Self, ConfigError> {
        Self::new(id, Authentication::Certificate)
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

    /// The `aud` of the assertions that the client signs with its private key. Default: the issuer. No effect on
    /// another client.
    ///
    /// # Security
    /// With [`AssertionAudience::TokenEndpoint`] a malicious provider that this client also uses can name the token
    /// endpoint of another one as its own, and pass the assertion on to it. Choose it only for a provider that demands
    /// it, and for a client that uses no other.
    #[must_use]
    pub fn with_assertion_audience(mut self, audience: AssertionAudience) -> Self {
        if let Authentication::PrivateKey(_, chosen) = &mut self.authentication {
            *chosen = audience;
        }
        self
    }

    /// The identifier.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether the client has nothing to authenticate with.
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
            Authentication::Secret(..) => "(redacted)",
            Authentication::PrivateKey(..) => "(none: a private key)",
            Authentication::Assertion(_) => "(none: assertions of the platform)",
            Authentication::Certificate => "(none: a certificate)",
        }
    }

    /// The key that signs, if there is one.
    pub(crate) fn private_key(&self) -> Option<&PrivateKey> {
        match &self.authentication {
            Authentication::PrivateKey(key, _) => Some(key),
            _ => None,
        }
    }

    /// What to authenticate with now.
    pub(super) async fn credential(&self, now: UnixTime) -> Result<Credential, ProviderError> {
        Ok(match &self.authentication {
            Authentication::None => Credential::None,
            Authentication::Secret(secret, method) => Credential::Secret(secret.current(), *method),
            Authentication::PrivateKey(key, audience) => {
                Credential::PrivateKey(key.current().await?, *audience)
            }
            Authentication::Assertion(origin) => Credential::Assertion(origin.current(now).await?),
            Authentication::Certificate => Credential::Certificate,
        })
    }

    /// Another credential than this one, which the provider refused: what has been put into its file since.
    pub(super) async fn other_than(
        &self,
        refused: &Credential,
        now: UnixTime,
    ) -> Option<Credential> {
        match (&self.authentication, refused) {
            (Authentication::Secret(secret, method), Credential::Secret(refused, _)) => secret
                .has_other_than(refused)
                .await
                .then(|| Credential::Secret(secret.current(), *method)),
            (
                Authentication::PrivateKey(key @ PrivateKey::File(_), audience),
                Credential::PrivateKey(refused, _),
            ) => {
                let key = key.current().await.ok()?;
                (key != *refused).then_some(Credential::PrivateKey(key, *audience))
            }
            (
                Authentication::Assertion(origin @ AssertionOrigin::File(_)),
                Credential::Assertion(refused),
            ) => {
                let assertion = origin.current(now).await.ok()?;
                (assertion.text() != refused.text()).then_some(Credential::Assertion(assertion))
            }
            _ => None,
        }
    }

    /// The addresses for this client.
    pub(super) fn addresses<'a>(&self, endpoints: &'a Endpoints) -> &'a Endpoints {
        match self.authentication {
            Authentication::Certificate => endpoints.with_certificate(),
            _ => endpoints,
        }
    }

    /// How it authenticates, in the words of the metadata. Several where the provider knows which.
    pub(super) fn methods(&self) -> &'static [&'static str] {
        match self.authentication {
            Authentication::None => &["none"],
            Authentication::Secret(..) => &["client_secret_basic", "client_secret_post"],
            // Whose assertions a provider takes its metadata does not say.
            Authentication::PrivateKey(..) | Authentication::Assertion(_) => &["private_key_jwt"],
            Authentication::Certificate => &["tls_client_auth", "self_signed_tls_client_auth"],
        }
    }

    /// A POST of these parameters with this client's authentication. Secrets go into the body or the
    /// `Authorization` header, never into a URL (RFC 6749 §2.3.1).
    pub(super) fn call(
        &self,
        credential: &Credential,
        server: &Server,
        now: UnixTime,
        parameters: &[(&str, &str)],
    ) -> Result<Call, ProviderError> {
        let endpoints = &server.endpoints;
        let mut form = Serializer::new(String::new());
        form.extend_pairs(parameters);
        let mut authorization = None;
        match credential {
            Credential::None => {
                form.append_pair("client_id", &self.id);
            }
            Credential::Secret(secret, method) => match secret_method(*method, endpoints) {
                SecretMethod::Basic => authorization = Some(basic(&self.id, secret)?),
                SecretMethod::Post => {
                    form.append_pair("client_id", &self.id);
                    form.append_pair("client_secret", secret.expose());
                }
            },
            Credential::PrivateKey(key, audience) => {
                endpoints.check_client_authentication(self.methods())?;
                let (audience, typ) = match audience {
                    AssertionAudience::Issuer => {
                        (server.issuer.as_str(), "client-authentication+jwt")
                    }
                    AssertionAudience::TokenEndpoint => (endpoints.token()?.as_str(), "JWT"),
                };
                let assertion = Secret::new(key.assertion(&self.id, audience, typ, now)?);
                self.append_assertion(&mut form, &assertion);
            }
            Credential::Assertion(assertion) => {
                self.append_assertion(&mut form, assertion.text());
            }
            Credential::Certificate => {
                endpoints.check_client_authentication(self.methods())?;
                form.append_pair("client_id", &self.id);
            }
        }
        Ok(Call {
            authorization,
            form: Some(form.finish()),
            accept: None,
        })
    }

    /// [RFC 7521 §4.2](https://www.rfc-editor.org/rfc/rfc7521#section-4.2).
    fn append_assertion(&self, form: &mut Serializer<'_, String>, assertion: &Secret) {
        form.append_pair("client_id", &self.id);
        form.append_pair(
            "client_assertion_type",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        );
        form.append_pair("client_assertion", assertion.expose());
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
        "the client's credentials cannot be sent",
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
            Authentication::PrivateKey(..) => "private_key_jwt",
            Authentication::Assertion(_) => "assertions",
            Authentication::Certificate => "certificate",
        };
        write!(formatter, "Client({:?}, {method})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    const NOW: UnixTime = UnixTime::from_seconds(1_000_000);

    fn try_call(client: &Client, endpoints: Endpoints) -> Result<Call, ProviderError> {
        let server = Server {
            issuer: crate::claims::Issuer::parse(
                "https://id.example/",
                &crate::claims::Transport::Https,
            )
            .unwrap(),
            endpoints,
            is_discovered: true,
        };
        let mut credential = Box::pin(client.credential(NOW));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let std::task::Poll::Ready(credential) = credential.as_mut().poll(&mut context) else {
            panic!("nothing to wait for");
        };
        client.call(&credential.unwrap(), &server, NOW, &[("a", "b c&d")])
    }

    fn call(client: &Client) -> Call {
        try_call(client, Endpoints::default()).unwrap()
    }

    fn endpoints(document: &Value) -> Endpoints {
        serde_json::from_value::<crate::provider::endpoints::EndpointsDocument>(document.clone())
            .unwrap()
            .check(&crate::claims::Transport::Https)
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
        let client = Client::with_private_key("c", Algorithm::Es256, "k", &pem).unwrap();
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
        assert!(Client::with_private_key("c", Algorithm::Rs256, KeyId::None, &pem).is_err());
        assert!(Client::with_private_key("c", None, KeyId::None, "no key").is_err());

        // A provider that demands the token endpoint is one of the older kind, and so is the assertion.
        let endpoints = endpoints(&json!({"token_endpoint": "https://id.example/token"}));
        let client = client.with_assertion_audience(AssertionAudience::TokenEndpoint);
        let older = assertion(try_call(&client, endpoints).unwrap());
        assert_eq!(part(&older, 0)["typ"], "JWT");
        assert_eq!(part(&older, 1)["aud"], "https://id.example/token");
        let error = try_call(&client, Endpoints::default()).err().unwrap();
        assert_eq!(error.kind(), ProviderErrorKind::NotOffered);
    }

    // CA-04
    #[test]
    fn a_method_that_the_provider_does_not_list_is_refused_by_name() {
        let pem = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let signing = Client::with_private_key("c", None, KeyId::None, &pem).unwrap();
        let certified = Client::with_certificate("c").unwrap();
        let secret = Client::with_secret("c", "hunter2").unwrap();
        for (listed, signs, certifies) in [
            (json!(null), true, true),
            (json!([]), false, false),
            (json!(["client_secret_basic", "none"]), false, false),
            (json!(["private_key_jwt"]), true, false),
            (json!(["tls_client_auth"]), false, true),
            (json!(["self_signed_tls_client_auth"]), false, true),
        ] {
            let document = json!({"token_endpoint_auth_methods_supported": listed});
            let call = |client| try_call(client, endpoints(&document));
            assert_eq!(call(&signing).is_ok(), signs, "{listed}");
            assert_eq!(call(&certified).is_ok(), certifies, "{listed}");
            assert!(call(&secret).is_ok(), "{listed}");
        }
        let document = json!({
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "odd\nwords", "none"],
        });
        let error = try_call(&signing, endpoints(&document)).err().unwrap();
        assert_eq!(error.kind(), ProviderErrorKind::NotOffered);
        let text = error.to_string();
        for part in ["private_key_jwt", "client_secret_basic, none"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains("odd"), "{text}");
    }

    // MT-05
    #[test]
    fn a_client_with_a_certificate_sends_its_id_to_the_alias_and_no_secret() {
        let client = Client::with_certificate("c").unwrap();
        let found = call(&client);
        assert_eq!(found.form.as_deref(), Some("a=b+c%26d&client_id=c"));
        assert!(found.authorization.is_none());
        let endpoints = endpoints(&json!({
            "token_endpoint": "https://id.example/token",
            "revocation_endpoint": "https://id.example/revoke",
            "pushed_authorization_request_endpoint": "https://id.example/par",
            "introspection_endpoint": "https://id.example/introspect",
            "mtls_endpoint_aliases": {
                "token_endpoint": "https://mtls.id.example/token",
                "pushed_authorization_request_endpoint": "https://mtls.id.example/par",
                "introspection_endpoint": "https://mtls.id.example/introspect",
                "revocation_endpoint": "http://mtls.id.example/unsafe",
            },
        }));
        let own = client.addresses(&endpoints);
        let host =
            |url: Result<&url::Url, ProviderError>| url.unwrap().host_str().unwrap().to_owned();
        assert_eq!(host(own.token()), "mtls.id.example");
        assert_eq!(host(own.pushed_authorization()), "mtls.id.example");
        assert_eq!(
            host(own.revocation()),
            "id.example",
            "an unsafe alias is not used"
        );
        #[cfg(feature = "introspection")]
        {
            assert_eq!(host(own.introspection()), "mtls.id.example");
            let told = endpoints.for_introspection();
            assert_eq!(
                host(client.addresses(&told).introspection()),
                "mtls.id.example"
            );
        }
        let secret = Client::with_secret("c", "hunter2").unwrap();
        assert_eq!(host(secret.addresses(&endpoints).token()), "id.example");
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
