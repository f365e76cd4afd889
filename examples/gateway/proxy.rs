//! A proxy of one upstream service. Bodies stream both ways, WebSockets are passed on, and so are the header
//! fields that browsers send. `passage.rs` says what passes.
#![allow(dead_code, reason = "no program uses all of it")]

pub(crate) mod passage;

use std::error::Error;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, HeaderMap, HeaderValue, RETRY_AFTER, UPGRADE, WWW_AUTHENTICATE};
use http::{Request, StatusCode, Uri, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use passage::{Base, FurtherFields};
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
    upstream: Base,
    /// The public address of this site, for the `X-Forwarded-*` fields.
    public: Uri,
    further: FurtherFields,
}

impl<C> Proxy<C>
where
    C: Service<Request<Body>, Response = http::Response<Incoming>, Error: Into<BoxError>> + Clone,
{
    pub(crate) fn new(client: C, upstream: &str, public: Uri) -> Result<Self, BoxError> {
        Ok(Self {
            client,
            upstream: Base::new(upstream)?,
            public,
            further: FurtherFields::default(),
        })
    }

    /// Passes these fields on too, whose names are separated by commas.
    pub(crate) fn with_further_fields(mut self, names: &str) -> Result<Self, BoxError> {
        self.further = FurtherFields::parse(names)?;
        Ok(self)
    }

    /// Forwards the request with the token of this caller, and returns the answer.
    pub(crate) async fn forward(
        &self,
        caller: Option<Principal>,
        mut request: Request<Body>,
    ) -> Response {
        if !passage::allows_method(request.method()) {
            let allowed = (ALLOW, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
            return (StatusCode::METHOD_NOT_ALLOWED, [allowed]).into_response();
        }
        let Some(uri) = self.upstream.target(PREFIX, request.uri()) else {
            return StatusCode::BAD_REQUEST.into_response();
        };
        let on_upgrade = hyper::upgrade::on(&mut request);
        let (head, body) = request.into_parts();
        let handshake = passage::web_socket(&head);
        let browser = handshake.is_some().then_some(on_upgrade);
        let mut onward = Request::new(body);
        *onward.method_mut() = head.method;
        *onward.uri_mut() = uri;
        *onward.version_mut() = Version::HTTP_11;
        *onward.headers_mut() = self.further.onward(head.headers);
        self.tell_public_address(onward.headers_mut());
        onward.headers_mut().extend(handshake.unwrap_or_default());
        // The outbound layer takes the token from the principal. No other extension is forwarded.
        if let Some(caller) = caller.clone() {
            onward.extensions_mut().insert(caller);
        }
        match self.client.clone().oneshot(onward).await {
            Ok(response) => back(response, browser, caller),
            Err(error) => failed(&*error.into()),
        }
    }

    fn tell_public_address(&self, headers: &mut HeaderMap) {
        let base = self.public.path().trim_end_matches('/');
        let host = self.public.authority().map(ToString::to_string);
        let scheme = self.public.scheme_str().map(str::to_owned);
        for (name, value) in [
            ("x-forwarded-host", host),
            ("x-forwarded-proto", scheme),
            ("x-forwarded-prefix", Some(format!("{base}{PREFIX}"))),
        ] {
            if let Some(Ok(value)) = value.map(HeaderValue::try_from) {
                headers.insert(name, value);
            }
        }
    }
}

fn back(
    mut response: http::Response<Incoming>,
    browser: Option<OnUpgrade>,
    caller: Option<Principal>,
) -> Response {
    let is_switching = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if is_switching {
        let browser = browser.filter(|_| passage::is_web_socket(response.headers().get(UPGRADE)));
        let Some(browser) = browser else {
            tracing::warn!("the upstream service switched to a protocol that it was not asked for");
            return StatusCode::BAD_GATEWAY.into_response();
        };
        let upstream = hyper::upgrade::on(&mut response);
        tokio::spawn(connect(browser, upstream, caller));
    }
    let mut response = response.map(Body::new);
    let headers = response.headers_mut();
    passage::remove_hops(headers);
    passage::remove_fields_of_the_origin(headers);
    if is_switching {
        passage::set_web_socket(headers);
    }
    response
}

/// Copies bytes in both directions of a socket until both ends have closed, or its caller's session is over.
async fn connect(browser: OnUpgrade, upstream: OnUpgrade, caller: Option<Principal>) {
    let (browser, upstream) = match tokio::try_join!(browser, upstream) {
        Ok(both) => both,
        Err(error) => return tracing::debug!(%error, "a socket was not passed on"),
    };
    let (mut browser, mut upstream) = (TokioIo::new(browser), TokioIo::new(upstream));
    let ended = async {
        match &caller {
            Some(caller) => caller.ended().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        // A broken connection ends the socket like a closed one.
        _ = tokio::io::copy_bidirectional(&mut browser, &mut upstream) => {}
        // Both connections are closed, because a frame of the WebSocket may be half way through.
        () = ended => tracing::debug!("a socket was closed: the session of its caller is over"),
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
