//! Refusals as gRPC statuses.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ::tonic::{Code, Status};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, SET_COOKIE, VARY, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use pin_project::pin_project;
use tower_layer::Layer;
use tower_service::Service;

#[cfg(feature = "login")]
use crate::error::LoginError;
use crate::gate::answer::Rejection;
use crate::gate::empty::CanBeEmpty;
use crate::gate::grpc_call::{Kind, NOT_AUTHENTICATED, kind};

/// Translates refusals of inner layers to gRPC statuses. See the [module](crate::grpc) for the rule.
#[must_use]
#[derive(Debug, Clone, Copy, Default)]
pub struct GrpcLayer {
    always: bool,
}

impl GrpcLayer {
    /// For requests with gRPC's content type. Others are refused as without this layer.
    pub fn new() -> Self {
        Self::default()
    }

    /// For all requests, for servers that serve gRPC only.
    pub fn always() -> Self {
        Self { always: true }
    }
}

impl<S> Layer<S> for GrpcLayer {
    type Service = Grpc<S>;

    fn layer(&self, inner: S) -> Grpc<S> {
        Grpc {
            inner,
            always: self.always,
        }
    }
}

/// A service whose refusals are gRPC statuses. Made by [`GrpcLayer`].
#[derive(Debug, Clone)]
pub struct Grpc<S> {
    inner: S,
    always: bool,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Grpc<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: CanBeEmpty,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = GrpcFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let kind = kind(request.headers()).or(self.always.then_some("application/grpc"));
        GrpcFuture {
            response: self.inner.call(request),
            kind,
        }
    }
}

/// The response of a [`Grpc`] service.
#[pin_project]
pub struct GrpcFuture<F> {
    #[pin]
    response: F,
    kind: Option<Kind>,
}

impl<F, B, E> Future for GrpcFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: CanBeEmpty,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let response = ready!(this.response.poll(context))?;
        Poll::Ready(Ok(match *this.kind {
            Some(kind) if is_refusal(&response) => in_grpc(response, kind),
            _ => response,
        }))
    }
}

impl<F> fmt::Debug for GrpcFuture<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "GrpcFuture({:?})", self.kind)
    }
}

/// Each refusal of this crate has its reason in the extensions.
fn is_refusal<B>(response: &Response<B>) -> bool {
    let extensions = response.extensions();
    #[cfg(feature = "login")]
    if extensions.get::<LoginError>().is_some() {
        return true;
    }
    extensions.get::<Rejection>().is_some()
}

/// The header fields that become metadata.
const KEPT: [HeaderName; 5] = [
    WWW_AUTHENTICATE,
    RETRY_AFTER,
    SET_COOKIE,
    CACHE_CONTROL,
    VARY,
];

fn in_grpc<B: CanBeEmpty>(response: Response<B>, kind: Kind) -> Response<B> {
    let (head, _) = response.into_parts();
    let mut answer: Response<B> = status(head.status).into_http();
    // tonic puts the status there, and this adds the reason.
    answer.extensions_mut().extend(head.extensions);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    for name in KEPT {
        for value in head.headers.get_all(&name) {
            headers.append(&name, value.clone());
        }
    }
    if let Some(pause) = pause(&head.headers) {
        let milliseconds = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        headers.insert("grpc-retry-pushback-ms", HeaderValue::from(milliseconds));
    }
    answer
}

fn pause(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// The gRPC status for each HTTP status of a refusal.
pub(super) fn status(status: StatusCode) -> Status {
    let (code, message) = match status.as_u16() {
        400 | 401 => (Code::Unauthenticated, NOT_AUTHENTICATED),
        403 => (
            Code::PermissionDenied,
            "the access token does not grant what this call needs",
        ),
        502..=504 => (
            Code::Unavailable,
            "the call cannot be authorized for now; try again",
        ),
        _ => (Code::Internal, "the service is not configured correctly"),
    };
    Status::new(code, message)
}
