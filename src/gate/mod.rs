//! What the inbound rooms share: three verdicts, a service around a decision, and the future that
//! carries the verdict out.

pub(crate) mod answer;
pub(crate) mod challenge;
#[cfg(any(feature = "login", feature = "tonic"))]
pub(crate) mod empty;
mod future;
pub(crate) mod grpc_call;
pub(crate) mod private;
pub(crate) mod route;
pub(crate) mod same_origin;

use std::task::{Context, Poll};

use http::header::{AUTHORIZATION, COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Request, Response};
use tower_service::Service;

pub use self::future::ResponseFuture;
use crate::gate::answer::{Rejection, RejectionKind};
use crate::http_client::BoxFuture;
use crate::principal::Principal;

/// What a room decides about a request.
#[expect(
    unnameable_types,
    missing_debug_implementations,
    reason = "seals the trait below"
)]
pub enum Verdict<A, K, F> {
    /// The request goes on to the inner service. The room gets `K` back with the response.
    Pass(K),
    /// The room answers itself.
    Answer(A),
    /// The request waits until the room has found out `F`. The only box on the way in.
    Wait(BoxFuture<F>),
}

/// A [`Verdict`] of this gate.
type VerdictOf<G, B> = Verdict<<G as Gate<B>>::Answer, <G as Gate<B>>::Kept, <G as Gate<B>>::Found>;

/// A room's decision about a request's head, which it may change. It never sees the body.
#[expect(
    unnameable_types,
    reason = "sealed: only this crate's rooms implement it"
)]
pub trait Gate<B>: Clone {
    /// What the room answers itself.
    type Answer: Send + 'static;

    /// What the room keeps of a request until the response.
    type Kept: Send + 'static;

    /// What the room finds out while a request waits.
    type Found: Send + 'static;

    /// Decides.
    fn check(&self, head: &mut Parts) -> VerdictOf<Self, B>;

    /// Decides with what was found out.
    fn check_found(&self, found: Self::Found, head: &mut Parts) -> VerdictOf<Self, B>;

    /// Makes the answer a response.
    fn answer(&self, answer: Self::Answer) -> Response<B>;

    /// Changes the inner service's response.
    fn finish(&self, kept: Self::Kept, response: &mut Response<B>);
}

/// A service behind a gate, such as [`Bearer`](crate::bearer::Bearer) or
/// [`Require`](crate::require::Require). Its error is that of the inner service, because a refusal is a
/// response.
#[derive(Debug, Clone)]
pub struct Gated<S, G> {
    inner: S,
    gate: G,
}

impl<S, G> Gated<S, G> {
    pub(crate) fn new(inner: S, gate: G) -> Self {
        Self { inner, gate }
    }

    #[cfg(feature = "login")]
    pub(crate) fn gate(&self) -> &G {
        &self.gate
    }
}

impl<S, G, ReqBody, ResBody> Service<Request<ReqBody>> for Gated<S, G>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    G: Gate<ResBody>,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = ResponseFuture<S, G, ReqBody, ResBody>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    #[inline]
    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        serve(&mut self.inner, &self.gate, request)
    }
}

/// What a gate makes of a request. The inner service is ready.
#[inline]
pub(crate) fn serve<S, G, ReqBody, ResBody>(
    inner: &mut S,
    gate: &G,
    request: Request<ReqBody>,
) -> ResponseFuture<S, G, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    G: Gate<ResBody>,
{
    let (mut head, body) = request.into_parts();
    match gate.check(&mut head) {
        Verdict::Pass(kept) => {
            let response = inner.call(Request::from_parts(head, body));
            ResponseFuture::forward(gate.clone(), kept, response)
        }
        Verdict::Answer(answer) => ResponseFuture::answered(gate.answer(answer)),
        Verdict::Wait(found) => {
            // The service that was polled ready must be the one that is called. Its clone stays.
            let clone = inner.clone();
            let ready = std::mem::replace(inner, clone);
            let request = Request::from_parts(head, body);
            ResponseFuture::waiting(gate.clone(), ready, request, found)
        }
    }
}

/// Makes a ready service an unready one while its request waits. What is ready may hold a permit, and
/// others need it meanwhile.
pub(crate) fn release<S: Clone>(is_ready: &mut bool, service: Option<&mut S>) {
    if let (true, Some(service)) = (std::mem::take(is_ready), service) {
        let unready = service.clone();
        *service = unready;
    }
}

/// An extension of requests that have no credentials and were let pass.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Anonymous;

/// The caller established by an outer layer. `Ok(None)` only if that layer admits anonymous requests.
pub(crate) fn caller(
    extensions: &http::Extensions,
    missing: impl FnOnce() -> Rejection,
) -> Result<Option<&Principal>, Rejection> {
    match extensions.get::<Principal>() {
        Some(principal) => Ok(Some(principal)),
        None if extensions.get::<Anonymous>().is_some() => Ok(None),
        None => Err(missing()),
    }
}

/// No layer around the route verifies callers: that of an API if the request has a token, that of a site
/// if it comes from a browser, either if that cannot be told.
pub(crate) fn no_layer_verifies(headers: &HeaderMap) -> Rejection {
    let has = |name: HeaderName| headers.contains_key(name);
    let is_browser = has(COOKIE) || has(HeaderName::from_static("sec-fetch-mode"));
    let layer = match (has(AUTHORIZATION), is_browser) {
        _ if cfg!(not(feature = "login")) => "BearerLayer",
        (true, _) => "BearerLayer",
        (false, true) => "LoginLayer",
        (false, false) => "BearerLayer or LoginLayer",
    };
    Rejection::new(RejectionKind::MissingLayer(layer))
}
