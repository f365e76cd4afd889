//! A service that is called with tokens, and records them.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_oidc::OutboundLayer;
use tower_oidc::error::{OutboundError, OutboundErrorKind};
use tower_oidc::outbound::Outbound;
use tower_oidc::testing::{DevelopmentProvider, ManualClock};

pub(crate) const ORDERS: &str = "https://orders.internal";
pub(crate) const AUDIENCE: &str = "https://orders.example.com";

pub(crate) type Body = Full<Bytes>;
pub(crate) type Client = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// One recorded request.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: bool,
}

impl Seen {
    pub(crate) fn token(&self) -> Option<&str> {
        let value = self.headers.get(AUTHORIZATION)?;
        value.to_str().unwrap().strip_prefix("Bearer ")
    }
}

/// Answers 200 unless a test chooses otherwise, and records requests.
#[derive(Clone, Default)]
pub(crate) struct Upstream(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    seen: Vec<Seen>,
    answer: Option<Arc<Answer>>,
}

type Answer = dyn Fn(&Seen) -> Response<Body> + Send + Sync;

impl Upstream {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn answering(
        answer: impl Fn(&Seen) -> Response<Body> + Send + Sync + 'static,
    ) -> Self {
        let upstream = Self::default();
        upstream.lock().answer = Some(Arc::new(answer));
        upstream
    }

    /// Refuses the tokens for which the function says so.
    pub(crate) fn refusing(refuses: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self::answering(move |seen| {
            if refuses(seen.token().unwrap_or_default()) {
                status(StatusCode::UNAUTHORIZED)
            } else {
                status(StatusCode::OK)
            }
        })
    }

    /// Refuses the first token that it receives.
    pub(crate) fn refusing_the_first() -> Self {
        let first = Mutex::new(None::<String>);
        Self::refusing(move |token| {
            let mut first = first.lock().unwrap();
            first.get_or_insert_with(|| token.to_owned()) == token
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.lock().seen.clone()
    }

    /// The token of each request.
    pub(crate) fn tokens(&self) -> Vec<Option<String>> {
        let seen = self.seen();
        seen.iter()
            .map(|seen| seen.token().map(str::to_owned))
            .collect()
    }

    pub(crate) fn client(&self) -> Client {
        let upstream = self.clone();
        BoxCloneSyncService::new(service_fn(move |request: Request<Body>| {
            let upstream = upstream.clone();
            async move {
                let is_empty = http_body::Body::is_end_stream(request.body());
                let (head, _) = request.into_parts();
                let seen = Seen {
                    uri: head.uri,
                    headers: head.headers,
                    body: !is_empty,
                };
                // Other tasks run in between, as with a network.
                tokio::task::yield_now().await;
                let answer = {
                    let mut state = upstream.lock();
                    state.seen.push(seen.clone());
                    state.answer.clone()
                };
                Ok(answer.map_or_else(|| status(StatusCode::OK), |answer| answer(&seen)))
            }
        }))
    }

    pub(crate) fn behind(&self, layer: &OutboundLayer) -> Outbound<Client> {
        layer.layer(self.client())
    }
}

pub(crate) fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::default());
    *response.status_mut() = status;
    response
}

pub(crate) fn get(uri: impl AsRef<str>) -> Request<Body> {
    Request::get(uri.as_ref()).body(Body::default()).unwrap()
}

pub(crate) fn post(uri: impl AsRef<str>) -> Request<Body> {
    Request::post(uri.as_ref())
        .body(Body::from("a body"))
        .unwrap()
}

/// The status of one call, or the reason why it was not sent.
pub(crate) async fn call<S>(
    service: &S,
    request: Request<Body>,
) -> Result<Response<Body>, OutboundError>
where
    S: Service<
            Request<Body>,
            Response = Response<Body>,
            Error = Box<dyn std::error::Error + Send + Sync>,
        > + Clone,
{
    let answer = service.clone().oneshot(request).await;
    answer.map_err(|error| *error.downcast::<OutboundError>().expect("an OutboundError"))
}

pub(crate) async fn kind<S>(service: &S, request: Request<Body>) -> OutboundErrorKind
where
    S: Service<
            Request<Body>,
            Response = Response<Body>,
            Error = Box<dyn std::error::Error + Send + Sync>,
        > + Clone,
{
    call(service, request).await.unwrap_err().kind()
}

pub(crate) async fn development() -> (DevelopmentProvider, ManualClock) {
    let clock = ManualClock::new();
    let idp = DevelopmentProvider::builder()
        .with_clock(clock.clone())
        .start()
        .await
        .unwrap();
    (idp, clock)
}

/// The claims of a token, unverified.
pub(crate) fn claims(token: &str) -> serde_json::Value {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let payload = token.split('.').nth(1).expect("a JWT");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

pub(crate) fn basic() -> HeaderValue {
    HeaderValue::from_static("Basic YTpi")
}
