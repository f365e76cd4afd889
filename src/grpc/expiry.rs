//! Streams that end when the caller's token expires or is revoked, or the caller's session is over.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
#[cfg(feature = "login")]
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ::tonic::Status;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;
use tokio::time::Sleep;
use tower_layer::Layer;
use tower_service::Service;

use crate::clock::{Clock, SharedClock, UnixTime};
use crate::gate::answer::{Rejection, RejectionKind};
use crate::gate::caller;
use crate::grpc::refusals::{Kind, kind, status};
use crate::log_pace::LogPace;
use crate::principal::Principal;

/// Ends a gRPC call with `UNAUTHENTICATED` when its token expires. Without it a stream can outlive the
/// token, because tokens are checked only when a call begins.
///
/// A call ends whether its response has begun or not: a client can stream requests for as long as it
/// likes before the first answer. Give tokens a longer life than the slowest unary call takes.
///
/// It goes inside the layer that verifies the caller, such as [`BearerLayer`](crate::BearerLayer). If that
/// layer is missing, no stream is ended, and the log says so. The token of the call itself counts, even if
/// the caller's session has a newer one. The client then calls again.
///
/// A call whose token is [revoked](crate::Revocations) ends within a second, where the verifier has revocations.
///
/// A call of a browser that [`LoginLayer`](crate::LoginLayer) has signed in also ends when its session is over: when
/// the user signs out, or the application or the provider ends the session, on whichever replica. That is noticed as
/// [`Session::ended`](crate::Session::ended) says, about a second later at the latest.
#[must_use]
#[derive(Debug, Clone)]
pub struct StreamExpiryLayer {
    clock: SharedClock,
    leeway: Duration,
    /// How often the log tells of calls that no layer has verified.
    unverified: Arc<LogPace>,
}

const LEEWAY: Duration = Duration::from_secs(60);

/// Between two looks at whether a token was revoked. Nothing wakes a stream: each of thousands would wake at each
/// revocation of any token.
const LOOK: Duration = Duration::from_secs(1);

impl StreamExpiryLayer {
    /// Ends streams 60 seconds after their tokens expire. Verifiers have the same leeway.
    pub fn new() -> Self {
        Self {
            clock: SharedClock::system(),
            leeway: LEEWAY,
            unverified: Arc::new(LogPace::new(SharedClock::system())),
        }
    }

    /// How long a token counts after it has expired. Default: 60 seconds.
    pub fn with_leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// The clock by which tokens expire. Default: the system's.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = SharedClock::new(clock);
        self
    }
}

impl Default for StreamExpiryLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for StreamExpiryLayer {
    type Service = StreamExpiry<S>;

    fn layer(&self, inner: S) -> StreamExpiry<S> {
        StreamExpiry {
            inner,
            layer: self.clone(),
        }
    }
}

/// A service whose streams end. Made by [`StreamExpiryLayer`].
#[derive(Debug, Clone)]
pub struct StreamExpiry<S> {
    inner: S,
    layer: StreamExpiryLayer,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for StreamExpiry<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    type Response = Response<ExpiringBody<ResBody>>;
    type Error = S::Error;
    type Future = ExpiryFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let kind = kind(&request);
        let missing = || Rejection::new(RejectionKind::MissingLayer("BearerLayer"));
        let principal = caller(request.extensions(), missing).unwrap_or_else(|rejection| {
            if kind.is_some() && self.layer.unverified.is_due(0) {
                rejection
                    .tell_missing_layer("StreamExpiryLayer", &request.uri().path().escape_debug());
            }
            None
        });
        let end = principal.zip(kind).map(|(principal, kind)| End {
            at: principal.expires_at().saturating_add(self.layer.leeway),
            kind,
            clock: self.layer.clock.clone(),
            revocable: principal.is_revocable().then(|| principal.clone()),
            alarm: None,
            #[cfg(feature = "login")]
            session: SessionEnd::of(request.extensions()),
        });
        ExpiryFuture {
            response: Some(self.inner.call(request)),
            end,
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
    end: Option<End>,
}

impl<F, B, E> Future for ExpiryFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<ExpiringBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(response) = this.response.as_mut().as_pin_mut() else {
            // Polled again after its end, for which futures promise nothing.
            return Poll::Pending;
        };
        if let Poll::Ready(response) = response.poll(context) {
            let end = this.end.take();
            return Poll::Ready(response.map(|response| {
                response.map(|inner| ExpiringBody {
                    inner: Some(inner),
                    end,
                })
            }));
        }
        let Some(end) = this.end else {
            return Poll::Pending;
        };
        ready!(end.poll(context));
        let kind = end.kind;
        // Dropping it also ends the handler's work on it.
        this.response.set(None);
        Poll::Ready(Ok(expired_response(kind)))
    }
}

impl<F> fmt::Debug for ExpiryFuture<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ExpiryFuture")
    }
}

/// When a stream ends, and what wakes it.
struct End {
    at: UnixTime,
    /// The content type of a response.
    kind: Kind,
    clock: SharedClock,
    /// The caller, where the token can be revoked.
    revocable: Option<Principal>,
    alarm: Option<Pin<Box<Sleep>>>,
    #[cfg(feature = "login")]
    session: Option<SessionEnd>,
}

/// Completes when the session of the caller is over. The lock is never taken: it makes the response `Sync`.
#[cfg(feature = "login")]
struct SessionEnd(Mutex<Pin<Box<dyn Future<Output = ()> + Send>>>);

#[cfg(feature = "login")]
impl SessionEnd {
    fn of(extensions: &http::Extensions) -> Option<Self> {
        let session = extensions.get::<crate::Session>()?;
        Some(Self(Mutex::new(Box::pin(session.ended()))))
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let ended = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        ended.as_mut().poll(context)
    }
}

impl End {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        #[cfg(feature = "login")]
        if let Some(session) = &mut self.session
            && session.poll(context).is_ready()
        {
            return Poll::Ready(());
        }
        loop {
            if self.revocable.as_ref().is_some_and(Principal::is_revoked) {
                return Poll::Ready(());
            }
            let left = self
                .at
                .as_seconds()
                .saturating_sub(self.clock.now().as_seconds());
            let Some(left) = u64::try_from(left).ok().filter(|left| *left > 0) else {
                return Poll::Ready(());
            };
            let left = Duration::from_secs(left);
            let pause = self.revocable.as_ref().map_or(left, |_| left.min(LOOK));
            // The alarm rings early if the clock was set back.
            let alarm = self
                .alarm
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
            ready!(alarm.as_mut().poll(context));
            self.alarm = None;
        }
    }
}

/// A body that ends when a token expires.
#[pin_project]
pub struct ExpiringBody<B> {
    /// `None` once it has ended.
    #[pin]
    inner: Option<B>,
    end: Option<End>,
}

impl<B: Default> Default for ExpiringBody<B> {
    fn default() -> Self {
        Self {
            inner: Some(B::default()),
            end: None,
        }
    }
}

impl<B: Body> Body for ExpiringBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let is_over = this
            .end
            .as_mut()
            .is_some_and(|end| end.poll(context).is_ready());
        if !is_over {
            return inner.poll_frame(context);
        }
        // Dropping it also ends the handler's work on it.
        this.inner.set(None);
        let mut trailers = HeaderMap::new();
        // A status without metadata can always be added.
        let _ = expired().add_header(&mut trailers);
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.inner, &self.end) {
            (Some(inner), None) => inner.size_hint(),
            (None, _) => SizeHint::with_exact(0),
            // It may end early.
            (Some(_), Some(_)) => SizeHint::default(),
        }
    }
}

fn expired() -> Status {
    status(StatusCode::UNAUTHORIZED)
}

/// A response that has only a status, in its header fields.
fn expired_response<B>(kind: Kind) -> Response<ExpiringBody<B>> {
    let mut response = Response::new(ExpiringBody {
        inner: None,
        end: None,
    });
    let headers = response.headers_mut();
    // A status without metadata can always be added.
    let _ = expired().add_header(headers);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

impl<B> fmt::Debug for ExpiringBody<B> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ExpiringBody")
            .field("ends_at", &self.end.as_ref().map(|end| end.at))
            .finish_non_exhaustive()
    }
}
