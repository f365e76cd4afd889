//! What the proxy asks: may this request pass, and who calls?

use std::convert::Infallible;
use std::error::Error;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::header::LOCATION;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tower::util::BoxCloneSyncService;
use tower::{ServiceBuilder, ServiceExt};
use tower_oidc::login::ReturnPath;
use tower_oidc::{BearerLayer, LoginLayer, Principal, RequireLayer, Session};

use super::support;

const SUBJECT: HeaderName = HeaderName::from_static("x-auth-subject");
const ISSUER: HeaderName = HeaderName::from_static("x-auth-issuer");
const SCOPE: HeaderName = HeaderName::from_static("x-auth-scope");
const VIA: HeaderName = HeaderName::from_static("x-auth-via");

/// What a value of a header field has percent-encoded, beside all that is not ASCII.
const ENCODED: &AsciiSet = &CONTROLS.add(b'%');

/// Judges the requests that a proxy asks about, by the layers that would stand around the service if it were a Rust one.
#[derive(Clone)]
pub(crate) struct Judge {
    layers: BoxCloneSyncService<Request, Response, Infallible>,
    login: LoginLayer,
    /// The origin of the proxy, as configured.
    origin: String,
}

impl Judge {
    pub(crate) fn new(
        bearer: BearerLayer,
        login: LoginLayer,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let layers = ServiceBuilder::new()
            .layer(bearer.allow_anonymous())
            .layer(login.clone())
            .layer(RequireLayer::authenticated())
            .service_fn(admit);
        Ok(Self {
            layers: BoxCloneSyncService::new(layers),
            origin: support::origin("DOMAIN_SERVER", &login.redirect_uri())?,
            login,
        })
    }

    pub(crate) fn routes(self) -> Router {
        Router::new()
            .route("/auth", any(judge))
            .route("/auth/without-redirect", any(judge_without_redirect))
            .with_state(self)
    }

    /// Judges by the method and the header fields of the request that the client sent. Its address decides
    /// nothing, because a proxy that forgets to set it passes on what the client says.
    async fn judge(self, asked: Request) -> Response {
        let headers = asked.headers();
        let Some(method) = method(headers) else {
            tracing::error!(
                "the proxy has to send the method of the request in X-Forwarded-Method"
            );
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        let back_to = back_to(headers, &self.origin);
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method;
        *request.uri_mut() = http::Uri::from_static("/auth");
        request.headers_mut().clone_from(headers);
        let mut response = match self.layers.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        // The layer leads back to what it was asked for, and that was this path.
        if response.status() == StatusCode::SEE_OTHER
            && let Ok(link) = self.login.sign_in_link(&back_to).try_into()
        {
            response.headers_mut().insert(LOCATION, link);
        }
        response
    }
}

async fn judge(State(judge): State<Judge>, asked: Request) -> Response {
    judge.judge(asked).await
}

/// nginx takes 401 for what others take a redirect for, and other codes for errors.
async fn judge_without_redirect(State(judge): State<Judge>, asked: Request) -> Response {
    let mut response = judge.judge(asked).await;
    if response.status() == StatusCode::SEE_OTHER {
        *response.status_mut() = StatusCode::UNAUTHORIZED;
    }
    response
}

/// The method of the client's request. Proxies ask by GET, whatever it was, and methods that change something need
/// the proof that a page of this site sends them. So does the handshake of a WebSocket.
fn method(headers: &HeaderMap) -> Option<Method> {
    let method = only(headers, "x-forwarded-method")?.parse().ok()?;
    let is_handshake = headers.contains_key("sec-websocket-key");
    Some(if is_handshake { Method::POST } else { method })
}

/// Where a sign-in leads back to: a path of this site, or the root.
fn back_to(headers: &HeaderMap, origin: &str) -> ReturnPath {
    let path = match only(headers, "x-forwarded-uri") {
        Some(path) => Some(path),
        None => only(headers, "x-original-url").and_then(|url| url.strip_prefix(origin)),
    };
    path.and_then(ReturnPath::parse).unwrap_or_default()
}

/// The value of a field that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    value.to_str().ok().filter(|_| values.next().is_none())
}

/// The answer that lets a request pass. Every field is there, also an empty one: some proxies pass on the client's
/// own field where the answer has none.
async fn admit(request: Request) -> Result<Response, Infallible> {
    let caller = request.extensions().get::<Principal>();
    let Some((caller, subject)) = caller.and_then(|caller| Some((caller, caller.subject()?)))
    else {
        return Ok(StatusCode::FORBIDDEN.into_response());
    };
    let has_session = request.extensions().get::<Session>().is_some();
    let scope = caller.scopes().to_string();
    let mut response = StatusCode::OK.into_response();
    for (name, value) in [
        (SUBJECT, subject),
        (ISSUER, caller.issuer().as_str()),
        (SCOPE, &scope),
        (VIA, if has_session { "session" } else { "bearer" }),
    ] {
        let Ok(value) = HeaderValue::try_from(utf8_percent_encode(value, ENCODED).to_string())
        else {
            return Ok(StatusCode::INTERNAL_SERVER_ERROR.into_response());
        };
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}
