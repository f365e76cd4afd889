use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response};
use http_body::Body;
use pin_project::pin_project;
use tower_service::Service;

use crate::gate::{caller, grpc_call, no_layer_verifies};
use crate::log_pace::LogPace;
use crate::streams::body::ExpiringBody;
use crate::streams::watch::Watch;

/// A service whose streams end. Made by [`StreamExpiryLayer`](crate::StreamExpiryLayer).
#[derive(Debug, Clone)]
pub struct StreamExpiry<S> {
    inner: S,
    grace: Duration,
    unverified: Arc<LogPace>,
}

impl<S> StreamExpiry<S> {
    pub(super) fn new(inner: S, grace: Duration, unverified: Arc<LogPace>) -> Self {
        Self {
            inner,
            grace,
            unverified,
        }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for StreamExpiry<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Body,
    ResBody::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<ExpiringBody<ResBody>>;
    type Error = S::Error;
    type Future = ExpiryFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let missing = || no_layer_verifies(request.headers());
        let principal = caller(request.extensions(), missing).unwrap_or_else(|rejection| {
            if self.unverified.is_due(0) {
                let path = request.uri().path().escape_debug();
                rejection.tell_missing_layer("StreamExpiryLayer", &path);
            }
            None
        });
        let watch = principal.map(|principal| {
            let grpc = grpc_call::kind(request.headers());
            Watch::new(principal.clone(), self.grace, grpc)
        });
        ExpiryFuture {
            response: Some(self.inner.call(request)),
            watch,
        }
    }
}

/// The response of a [`StreamExpiry`] service.
#[pin_project]
pub struct ExpiryFuture<F> {
    /// `None` once it has ended.
    #[pin]
    response: Option<F>,
    // Taken once, when the response is there.
    watch: Option<Watch>,
}

impl<F, B, E> Future for ExpiryFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
{
    type Output = Result<Response<ExpiringBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(response) = this.response.as_mut().as_pin_mut() else {
            // Polled again after its end, for which futures promise nothing.
            return Poll::Pending;
        };
        if let Poll::Ready(response) = response.poll(context) {
            let watch = this.watch.take();
            return Poll::Ready(response.map(|response| {
                let (head, body) = response.into_parts();
                let body = ExpiringBody::new(body, watch, &head.headers);
                Response::from_parts(head, body)
            }));
        }
        // What a handler has begun is not thrown away. A gRPC call can stream without end before its response.
        let Some((watch, kind)) = this.watch.as_mut().and_then(|watch| {
            let kind = watch.grpc?;
            Some((watch, kind))
        }) else {
            return Poll::Pending;
        };
        ready!(watch.poll(context));
        // Dropping it also ends the handler's work on it.
        this.response.set(None);
        Poll::Ready(Ok(refusal(kind)))
    }
}

/// A response that has only a status, in its header fields.
fn refusal<B>(kind: grpc_call::Kind) -> Response<ExpiringBody<B>> {
    let mut response = Response::new(ExpiringBody::ended());
    let headers = response.headers_mut();
    grpc_call::refuse(headers);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

impl<F> fmt::Debug for ExpiryFuture<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ExpiryFuture")
    }
}
