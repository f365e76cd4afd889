//! The public keys of this client, for the provider to fetch (`jwks_uri`).

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tower_service::Service;

use crate::error::ConfigError;
use crate::jwt::Algorithm;
use crate::provider::{Client, KeyId, PublishedKey};
use crate::resource_metadata::MetadataBody;
use crate::settings::CLIENT_PRIVATE_KEY;

/// The public keys of a client that authenticates by its private key. [`service`](Self::service) serves them as a JWK
/// Set ([RFC 7517 §5](https://www.rfc-editor.org/rfc/rfc7517#section-5)), whose address is registered with the provider
/// as the client's `jwks_uri`, so that keys are changed here alone.
///
/// ```
/// use tower_oidc::{Client, ClientKeys, KeyId};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = std::env::temp_dir().join(format!("client-keys-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let (signing, next) = (folder.join("signing.pem"), folder.join("next.pem"));
/// # std::fs::write(&signing, rcgen::KeyPair::generate()?.serialize_pem())?;
/// let client = Client::with_private_key_file("orders", None, KeyId::Thumbprint, &signing)?;
/// let keys = ClientKeys::of(&client)?
///     // While keys are being changed: the next one, before it signs, or the former one.
///     .add_private_key_file(None, KeyId::Thumbprint, &next)?;
/// let service = keys.service(); // for a route such as /oauth/jwks.json
/// # drop(service);
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok(())
/// # }
/// ```
///
/// To change a key: put the next one where it is published and does not sign; wait until the provider has fetched the
/// set again; let it sign; take the former one away a minute later. The keys in files are read for each answer.
#[must_use]
#[derive(Clone)]
pub struct ClientKeys(Vec<PublishedKey>);

impl ClientKeys {
    /// The key that this client signs with.
    ///
    /// # Errors
    /// [`ConfigError`] if the client does not sign assertions by a private key.
    pub fn of(client: &Client) -> Result<Self, ConfigError> {
        let key = client.private_key().ok_or_else(|| {
            ConfigError::missing(
                CLIENT_PRIVATE_KEY,
                "a client without a private key has no public key to publish",
            )
        })?;
        Ok(Self(vec![PublishedKey::Signing(key.clone())]))
    }

    /// Publishes the key in this file as well. There need be no such file; one that comes later is published then.
    ///
    /// # Errors
    /// [`ConfigError`] if there is a file that holds no key for the algorithm.
    pub fn add_private_key_file(
        mut self,
        algorithm: impl Into<Option<Algorithm>>,
        kid: impl Into<KeyId>,
        path: impl AsRef<Path>,
    ) -> Result<Self, ConfigError> {
        let key = PublishedKey::file(algorithm.into(), kid.into(), path.as_ref())?;
        self.0.push(key);
        Ok(self)
    }

    /// A service that answers every GET with the JWK Set, which may be cached for ten minutes. Serve it to everyone:
    /// the keys are public.
    #[must_use]
    pub fn service(&self) -> ClientKeysService {
        ClientKeysService(Arc::new(self.clone()))
    }

    /// The JWK Set as JSON. `None` if the key that signs cannot be read: a provider that is told of no key would refuse
    /// this client.
    pub async fn jwks(&self) -> Option<String> {
        let mut keys: Vec<Value> = Vec::new();
        for (at, published) in self.0.iter().enumerate() {
            match published.current().await {
                // The same key may stand in both places for a while.
                Some(key) if keys.contains(key.public()) => {}
                Some(key) => keys.push(key.public().clone()),
                None if at == 0 => return None,
                None => {}
            }
        }
        Some(json!({ "keys": keys }).to_string())
    }
}

impl fmt::Debug for ClientKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ClientKeys({})", self.0.len())
    }
}

/// Serves the JWK Set of [`ClientKeys`] to GET and HEAD.
#[derive(Debug, Clone)]
pub struct ClientKeysService(Arc<ClientKeys>);

const METHODS: &str = "GET, HEAD";

fn respond(is_get: bool, jwks: Option<String>) -> Response<MetadataBody> {
    let Some(jwks) = jwks else {
        return status(StatusCode::SERVICE_UNAVAILABLE);
    };
    let body = if is_get { jwks } else { String::new() };
    let mut response = Response::new(MetadataBody::new(Bytes::from(body)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=600"));
    response
}

fn status(status: StatusCode) -> Response<MetadataBody> {
    let mut response = Response::new(MetadataBody::default());
    *response.status_mut() = status;
    response
}

impl<B> Service<Request<B>> for ClientKeysService {
    type Response = Response<MetadataBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let is_get = request.method() == Method::GET;
        if !is_get && request.method() != Method::HEAD {
            let mut response = status(StatusCode::METHOD_NOT_ALLOWED);
            let methods = HeaderValue::from_static(METHODS);
            response.headers_mut().insert(ALLOW, methods);
            return Box::pin(std::future::ready(Ok(response)));
        }
        let keys = Arc::clone(&self.0);
        Box::pin(async move { Ok(respond(is_get, keys.jwks().await)) })
    }
}
