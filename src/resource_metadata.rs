//! Protected resource metadata ([RFC 9728](https://www.rfc-editor.org/rfc/rfc9728)), from which clients
//! learn where to get a token. MCP servers must publish it too.

use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL, CONTENT_TYPE,
};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use tower_service::Service;
use url::Url;

use crate::claims::{Scope, Transport, parse_url};
use crate::error::ConfigError;
use crate::provider::Provider;
use crate::settings::{RESOURCE, RESOURCE_DOCUMENTATION, SCOPE};
use crate::verify::Verifier;

/// A protected resource: its identifier, the issuers of its tokens, and its scopes.
///
/// ```
/// use tower_oidc::{BearerLayer, ProtectedResource, Provider};
///
/// # fn main() -> Result<(), tower_oidc::ConfigError> {
/// let verifier = Provider::discover("https://id.example")?.verifier("https://api.example.com/mcp")?;
/// let resource = ProtectedResource::new("https://api.example.com/mcp", &verifier)?
///     .add_scope("files:read")?;
/// assert_eq!(resource.metadata_path(), "/.well-known/oauth-protected-resource/mcp");
///
/// // Challenges say where the metadata is, and `resource.service()` serves it there.
/// let layer = BearerLayer::new(verifier).with_resource(&resource);
/// # Ok(())
/// # }
/// ```
#[must_use]
#[derive(Debug, Clone)]
pub struct ProtectedResource {
    identifier: String,
    url: Url,
    verifier: Verifier,
    scopes: Vec<Scope>,
    name: Option<String>,
    documentation: Option<String>,
    /// Whether tokens come in the `Authorization` field.
    takes_header: bool,
}

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

impl ProtectedResource {
    /// The resource with this identifier, whose tokens `verifier` judges. Its metadata names the
    /// verifier's providers as authorization servers.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] unless the identifier is an https URL without fragment
    /// ([RFC 9728 §1.2](https://www.rfc-editor.org/rfc/rfc9728#section-1.2)).
    pub fn new(identifier: &str, verifier: &Verifier) -> Result<Self, ConfigError> {
        Self::parse(identifier, verifier, &Transport::Https)
    }

    pub(crate) fn parse(
        identifier: &str,
        verifier: &Verifier,
        transport: &Transport,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            url: parse_url(RESOURCE, identifier, transport)?,
            identifier: identifier.to_owned(),
            verifier: verifier.clone(),
            scopes: Vec::new(),
            name: None,
            documentation: None,
            takes_header: true,
        })
    }

    /// Adds a scope that clients may need.
    ///
    /// # Errors
    /// [`ConfigError`] if it is not a scope, or is `offline_access`, which clients ask the provider for and
    /// which is not a scope of a resource.
    pub fn add_scope(mut self, scope: &str) -> Result<Self, ConfigError> {
        let scope = Scope::new(scope)?;
        if scope.as_str() == "offline_access" {
            return Err(ConfigError::invalid(
                SCOPE,
                "offline_access",
                "a resource does not ask for it",
                "leave it to the clients",
            ));
        }
        if !self.scopes.contains(&scope) {
            self.scopes.push(scope);
        }
        Ok(self)
    }

    /// A name for people (`resource_name`).
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The URL of documentation for developers (`resource_documentation`).
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] unless it is an https URL.
    pub fn with_documentation(mut self, url: &str) -> Result<Self, ConfigError> {
        parse_url(RESOURCE_DOCUMENTATION, url, &Transport::Https)?;
        self.documentation = Some(url.to_owned());
        Ok(self)
    }

    /// Leaves `bearer_methods_supported` out, for a layer that does not read the `Authorization` field: RFC 9728 has no
    /// word for the [other places](crate::TokenPlace). Default: `["header"]`.
    pub fn without_bearer_header(mut self) -> Self {
        self.takes_header = false;
        self
    }

    /// The scopes that were added.
    #[must_use]
    pub fn scopes(&self) -> &[Scope] {
        &self.scopes
    }

    /// The path of the metadata: the well-known one, followed by the identifier's own
    /// ([RFC 9728 §3.1](https://www.rfc-editor.org/rfc/rfc9728#section-3.1)). Where a proxy takes the identifier's
    /// path off the paths of requests, it has to pass this one on as it is, because it is not below that.
    #[must_use]
    pub fn metadata_path(&self) -> String {
        match self.url.path() {
            "/" => WELL_KNOWN.to_owned(),
            path => format!("{WELL_KNOWN}{path}"),
        }
    }

    /// The URL of the metadata. It comes from the identifier, never from a request.
    #[must_use]
    pub fn metadata_url(&self) -> String {
        let mut url = self.url.clone();
        url.set_path(&self.metadata_path());
        url.into()
    }

    /// A service that answers every GET with the metadata. Route [`metadata_path`](Self::metadata_path) to
    /// it, outside the layers that require a token.
    #[must_use]
    pub fn service(&self) -> MetadataService {
        MetadataService(Arc::new(self.clone()))
    }

    /// The metadata as JSON.
    #[must_use]
    pub fn metadata(&self) -> String {
        use serde_json::{Map, Value};
        let mut document = Map::new();
        document.insert("resource".into(), self.identifier.clone().into());
        let servers: Vec<String> = self
            .verifier
            .providers()
            .flat_map(Provider::issuer_names)
            .collect();
        // Those that an issuer source knows cannot be listed, and a member without a value is left out (RFC 9728 §3.2).
        if !servers.is_empty() {
            document.insert("authorization_servers".into(), servers.into());
        }
        if !self.scopes.is_empty() {
            let scopes: Vec<_> = self.scopes.iter().map(Scope::as_str).collect();
            document.insert("scopes_supported".into(), scopes.into());
        }
        if self.takes_header {
            document.insert("bearer_methods_supported".into(), vec!["header"].into());
        }
        for (member, value) in [
            ("resource_name", &self.name),
            ("resource_documentation", &self.documentation),
        ] {
            if let Some(value) = value {
                document.insert(member.into(), value.clone().into());
            }
        }
        Value::Object(document).to_string()
    }
}

/// Serves the metadata of a [`ProtectedResource`] to GET and HEAD, for every client and every origin. It
/// may be cached for an hour.
#[derive(Debug, Clone)]
pub struct MetadataService(Arc<ProtectedResource>);

impl MetadataService {
    fn respond(&self, method: &Method) -> Response<MetadataBody> {
        let (status, body) = if method == Method::GET {
            (StatusCode::OK, self.0.metadata())
        } else if method == Method::HEAD {
            (StatusCode::OK, String::new())
        } else if method == Method::OPTIONS {
            (StatusCode::NO_CONTENT, String::new())
        } else {
            (StatusCode::METHOD_NOT_ALLOWED, String::new())
        };
        let mut response = Response::new(MetadataBody(Full::new(body.into())));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(
            ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static(METHODS),
        );
        if method == Method::OPTIONS {
            headers.insert(
                ACCESS_CONTROL_ALLOW_HEADERS,
                HeaderValue::from_static(ALLOWED_HEADERS),
            );
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("3600"));
        }
        if status == StatusCode::OK {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=3600"));
        } else {
            headers.insert(ALLOW, HeaderValue::from_static(METHODS));
        }
        response
    }
}

const METHODS: &str = "GET, HEAD, OPTIONS";

/// All that a page may send along, which changes nothing here. `*` does not include `Authorization`
/// ([Fetch §3.3.4](https://fetch.spec.whatwg.org/#http-new-header-syntax)), and old browsers do not know it,
/// so what clients of MCP send is named.
const ALLOWED_HEADERS: &str = "*, Authorization, MCP-Protocol-Version";

impl<B> Service<Request<B>> for MetadataService {
    type Response = Response<MetadataBody>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.respond(request.method())))
    }
}

/// The body of the responses of [`MetadataService`], and of those of `ClientKeysService`.
#[derive(Default)]
pub struct MetadataBody(Full<Bytes>);

#[cfg(feature = "client")]
impl MetadataBody {
    pub(crate) fn new(content: Bytes) -> Self {
        Self(Full::new(content))
    }
}

impl Body for MetadataBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.0).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl fmt::Debug for MetadataBody {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("MetadataBody")
    }
}
