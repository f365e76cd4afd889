//! A proxy of one upstream service. Bodies stream both ways, WebSockets are passed on, and no header field in
//! which a client could claim an identity is.
#![allow(dead_code, reason = "no program uses all of it")]

use std::error::Error;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue,
    RETRY_AFTER, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, WWW_AUTHENTICATE,
};
use http::{Request, StatusCode, Uri, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tower::{Service, ServiceExt};
use tower_oidc::Principal;
use tower_oidc::error::OutboundError;

type BoxError = Box<dyn Error + Send + Sync>;

/// Everything under this path goes to the upstream service.
pub(crate) const PREFIX: &str = "/upstream";

/// The routes of that path and of everything under it.
pub(crate) const PATHS: [&str; 3] = [PREFIX, "/upstream/", "/upstream/{*rest}"];

/// The client of the proxy, without any layer.
pub(crate) type Plain = Client<HttpsConnector<HttpConnector>, Body>;

pub(crate) fn plain() -> Result<Plain, Box<dyn Error + Send + Sync>> {
    let connector = HttpsConnectorBuilder::new()
        .try_with_platform_verifier()?
        .https_or_http()
        .enable_http1()
        .build();
    let client = Client::builder(TokioExecutor::new())
        // Shorter than services keep idle connections, so that no request meets one that is being closed.
        .pool_idle_timeout(Duration::from_secs(3))
        .pool_timer(TokioTimer::new())
        .build(connector);
    Ok(client)
}

#[derive(Clone)]
pub(crate) struct Proxy<C> {
    client: C,
    /// Without a final slash.
    upstream: String,
    /// The public address of this site, for the `X-Forwarded-*` fields.
    public: Uri,
}

impl<C> Proxy<C>
where
    C: Service<Request<Body>, Response = http::Response<Incoming>, Error: Into<BoxError>> + Clone,
{
    pub(crate) fn new(client: C, upstream: &str, public: Uri) -> Self {
        Self {
            client,
            upstream: upstream.trim_end_matches('/').to_owned(),
            public,
        }
    }

    /// Forwards the request with the token of this caller, and returns the answer.
    pub(crate) async fn forward(
        &self,
        caller: Option<Principal>,
        mut request: Request<Body>,
    ) -> Response {
        let Some(uri) = self.target(request.uri()) else {
            return StatusCode::BAD_REQUEST.into_response();
        };
        let upgrade = request.headers().get(UPGRADE).cloned();
        let browser = upgrade.is_some().then(|| hyper::upgrade::on(&mut request));
        let (head, body) = request.into_parts();
        let mut onward = Request::new(body);
        *onward.method_mut() = head.method;
        *onward.uri_mut() = uri;
        *onward.version_mut() = Version::HTTP_11;
        *onward.headers_mut() = self.onward(head.headers);
        if let Some(protocol) = upgrade {
            onward.headers_mut().insert(UPGRADE, protocol);
            let hop = HeaderValue::from_static("upgrade");
            onward.headers_mut().insert(CONNECTION, hop);
        }
        // The outbound layer takes the token from the principal. No other extension is forwarded.
        if let Some(caller) = caller {
            onward.extensions_mut().insert(caller);
        }
        match self.client.clone().oneshot(onward).await {
            Ok(response) => back(response, browser),
            Err(error) => failed(&*error.into()),
        }
    }

    /// `None` if the path would lead out of that of the upstream service.
    fn target(&self, uri: &Uri) -> Option<Uri> {
        let leads_up = |segment: &str| {
            let segment = segment.to_ascii_lowercase().replace("%2e", ".");
            matches!(segment.as_str(), "." | "..")
        };
        if uri.path().split(['/', '\\']).any(leads_up) {
            return None;
        }
        let path = uri.path_and_query()?.as_str().strip_prefix(PREFIX)?;
        format!("{}{path}", self.upstream).parse().ok()
    }

    fn onward(&self, mut headers: HeaderMap) -> HeaderMap {
        remove_hops(&mut headers);
        let foreign: Vec<_> = headers
            .keys()
            .filter(|name| says_who_it_is(name.as_str()))
            .cloned()
            .collect();
        for name in foreign.iter().chain(&[COOKIE, HOST, EXPECT]) {
            headers.remove(name);
        }
        let told = [
            (
                "x-forwarded-host",
                self.public.authority().map(ToString::to_string),
            ),
            (
                "x-forwarded-proto",
                self.public.scheme_str().map(str::to_owned),
            ),
            ("x-forwarded-prefix", Some(PREFIX.to_owned())),
        ];
        for (name, value) in told {
            if let Some(Ok(value)) = value.map(HeaderValue::try_from) {
                headers.insert(name, value);
            }
        }
        headers
    }
}

/// Fields that are meant for the next hop only
/// ([RFC 9110 §7.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1)).
fn remove_hops(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // The length of the body belongs to the message, not to the hop.
        .filter(|name| name != CONTENT_LENGTH)
        .collect();
    let hops = [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];
    for name in named.iter().chain(&hops) {
        headers.remove(name);
    }
    for name in [
        "keep-alive",
        "proxy-connection",
        "proxy-authenticate",
        "proxy-authorization",
    ] {
        headers.remove(name);
    }
}

/// Whether some services trust this field to name the caller or its address. Some read an underscore as a
/// hyphen.
fn says_who_it_is(name: &str) -> bool {
    const BEGINNINGS: [&str; 19] = [
        "authorization",
        "forwarded",
        "x-forwarded",
        "x-real-ip",
        "x-original",
        "x-auth-",
        "x-authenticated",
        "remote-",
        "x-remote-",
        "x-user",
        "x-email",
        "x-group",
        "x-role",
        "x-client-cert",
        "x-ssl-client",
        "ssl-client",
        "x-webauth",
        "x-amzn-oidc",
        "cf-access",
    ];
    const OF_CLOUDS: [&str; 4] = ["x-goog-", "x-ms-client-principal", "x-ms-token", "x-token-"];
    let name = name.replace('_', "-");
    let mut beginnings = BEGINNINGS.iter().chain(&OF_CLOUDS);
    beginnings.any(|beginning| name.starts_with(beginning))
}

fn back(mut response: http::Response<Incoming>, browser: Option<OnUpgrade>) -> Response {
    let is_switching = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let protocol = response.headers().get(UPGRADE).cloned();
    if let (true, Some(browser)) = (is_switching, browser) {
        let upstream = hyper::upgrade::on(&mut response);
        tokio::spawn(connect(browser, upstream));
    }
    let mut response = response.map(Body::new);
    let headers = response.headers_mut();
    remove_hops(headers);
    // The cookies of this origin belong to the gateway. One is its session.
    headers.remove(SET_COOKIE);
    headers.remove("clear-site-data");
    if let (true, Some(protocol)) = (is_switching, protocol) {
        headers.insert(UPGRADE, protocol);
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    }
    response
}

/// Copies bytes in both directions of a socket until both ends have closed.
async fn connect(browser: OnUpgrade, upstream: OnUpgrade) {
    match tokio::try_join!(browser, upstream) {
        Ok((browser, upstream)) => {
            let (mut browser, mut upstream) = (TokioIo::new(browser), TokioIo::new(upstream));
            // A broken connection ends the socket like a closed one.
            let _ = tokio::io::copy_bidirectional(&mut browser, &mut upstream).await;
        }
        Err(error) => tracing::debug!(%error, "a socket was not passed on"),
    }
}

/// The answer if there is no token, or if the upstream service does not answer.
fn failed(error: &(dyn Error + Send + Sync + 'static)) -> Response {
    let Some(error) = error.downcast_ref::<OutboundError>() else {
        tracing::warn!(%error, "the upstream service does not answer");
        return (
            StatusCode::BAD_GATEWAY,
            "the service behind does not answer\n",
        )
            .into_response();
    };
    tracing::info!(kind = error.kind().as_str(), "{error}");
    let mut response = (
        error.kind().status(),
        format!("{}\n", error.kind().as_str()),
    )
        .into_response();
    if let Some(pause) = error.retry_after() {
        let seconds = HeaderValue::from(pause.as_secs().max(1));
        response.headers_mut().insert(RETRY_AFTER, seconds);
    }
    if let Some(challenge) = error.challenge() {
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response
}
