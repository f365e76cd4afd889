//! A client behind an outbound layer with a fresh token, and the bare client.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ACCEPT, USER_AGENT};
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::Empty;
use serde_json::json;
use tower::{Layer, Service};
use tower_oidc::outbound::{ClientCredentials, Outbound, Target};
use tower_oidc::testing::OfflineProvider;
use tower_oidc::{Client, OutboundLayer};

use crate::support::{AUDIENCE, ISSUER};

pub(crate) type Body = Empty<Bytes>;

/// Answers at once.
#[derive(Clone)]
pub(crate) struct Upstream;

impl Service<Request<Body>> for Upstream {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        ready(Ok(Response::new(Body::new())))
    }
}

pub(crate) struct Caller {
    pub(crate) layer: OutboundLayer,
    runtime: tokio::runtime::Runtime,
}

impl Caller {
    pub(crate) fn new() -> Self {
        let token = "x".repeat(929);
        let idp = OfflineProvider::builder(ISSUER).with_keys([]).build();
        idp.set_token_answer(move |_| {
            json!({"access_token": token, "token_type": "Bearer", "expires_in": 86_400}).to_string()
        });
        let provider = idp.provider().expect("a provider");
        let client = Client::with_secret("shop", "secret").expect("a client");
        let target = Target::audience(AUDIENCE).expect("a target");
        let tokens = ClientCredentials::new(&provider, client, target);
        let layer = OutboundLayer::new("https://orders.internal", tokens).expect("a layer");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let warm = async {
            let mut service = layer.layer(Upstream);
            service.call(request()).await.expect("an answer");
        };
        runtime.block_on(warm);
        Self { layer, runtime }
    }

    pub(crate) fn service(&self) -> Outbound<Upstream> {
        self.layer.layer(Upstream)
    }

    pub(crate) fn enter(&self) -> tokio::runtime::EnterGuard<'_> {
        self.runtime.enter()
    }
}

const TRACE: HeaderName = HeaderName::from_static("traceparent");

/// A request as clients make them: with some fields, and room for one more.
pub(crate) fn request() -> Request<Body> {
    let mut request = Request::new(Body::new());
    *request.uri_mut() = "https://orders.internal/orders/7?full=1"
        .parse()
        .expect("an address");
    for (name, value) in [
        (ACCEPT, "application/json"),
        (USER_AGENT, "shop/1.0"),
        (
            TRACE,
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
    ] {
        request
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    request
}
