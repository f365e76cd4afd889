//! A proxy of one upstream service. Bodies stream both ways, sockets are passed on, and nothing that a
//! client says of its own identity gets by.
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

/// Everything under this path is the upstream service's.
pub(crate) const PREFIX: &str = "/upstream";

/// That path and what lies under it.
pub(crate) const PATHS: [&str; 3] = [PREFIX, "/upstream/", "/upstream/{*rest}"];

/// The client that the proxy calls with, before any layer is around it.
pub(crate) type Plain = Client<HttpsConnector<HttpConnector>, Body>;

pub(crate) fn plain() -> Result<Plain, Box<dyn Error + Send + Sync>> {
    let connector = HttpsConnectorBuilder::new()
        .try_with_platform_verifier()?
        .https_or_http()
        .enable_http1()
        .build();
    let client = Client::builder(TokioExecutor::new())
        // Shorter than services keep a connection open, so that none is used that is just being closed.
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
    /// The public address of this site, told to the upstream service.
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

    /// Sends the request on in the name of this caller, and answers what comes back.
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
        // Whose token goes along. Nothing else that was known of the request is of use further on.
        if let Some(caller) = caller {
            onward.extensions_mut().insert(caller);
        }
        match self.client.clone().oneshot(onward).await {
            Ok(response) => back(response, browser),
            Err(error) => failed(&*error.into()),
        }
    }

    /// `None` if the path would lead out of the upstream's own.
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

/// Fields that are between two neighbours only
/// ([RFC 9110 §7.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1)).
fn remove_hops(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // The length of a body is not a neighbour's business.
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

/// Whether services are known to believe such a field about who is calling, and from where. Some read
/// an underscore as a hyphen.
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
    // The cookies of this origin are the gateway's, its session among them.
    headers.remove(SET_COOKIE);
    headers.remove("clear-site-data");
    if let (true, Some(protocol)) = (is_switching, protocol) {
        headers.insert(UPGRADE, protocol);
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    }
    response
}

/// Passes on whatever either end of a socket says, until both have ended.
async fn connect(browser: OnUpgrade, upstream: OnUpgrade) {
    match tokio::try_join!(browser, upstream) {
        Ok((browser, upstream)) => {
            let (mut browser, mut upstream) = (TokioIo::new(browser), TokioIo::new(upstream));
            // An end that is cut is an end.
            let _ = tokio::io::copy_bidirectional(&mut browser, &mut upstream).await;
        }
        Err(error) => tracing::debug!(%error, "a socket was not passed on"),
    }
}

/// Why nothing came back: for want of a token, or for want of an answer.
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
