//! What the inbound rooms share: three verdicts, one service around a decision, and one future
//! that carries the verdict out.

pub(crate) mod answer;
pub(crate) mod challenge;
mod future;

use std::task::{Context, Poll};

use http::request::Parts;
use http::{Request, Response};
use tower_service::Service;

pub use self::future::ResponseFuture;
#[cfg(any(feature = "axum", feature = "tonic"))]
use crate::gate::answer::Rejection;
use crate::http_client::BoxFuture;
#[cfg(any(feature = "axum", feature = "tonic"))]
use crate::principal::Principal;

/// What a room decides about a request.
#[expect(
    unnameable_types,
    missing_debug_implementations,
    reason = "seals the trait below"
)]
pub enum Verdict<A, K, F> {
    /// Go on. What the room keeps comes back to it with the response.
    Pass(K),
    /// We reply ourselves.
    Answer(A),
    /// Something must be found out first, while the request waits. The only box on the way in.
    Wait(BoxFuture<F>),
}

/// A [`Verdict`] of this gate.
type VerdictOf<G, B> = Verdict<<G as Gate<B>>::Answer, <G as Gate<B>>::Kept, <G as Gate<B>>::Found>;

/// A room's decision, a function of the request's head, which is changed where it stands. The body is never
/// looked at.
#[expect(unnameable_types, reason = "sealed: the rooms are ours")]
pub trait Gate<B>: Clone {
    /// What the room can say itself.
    type Answer: Send + 'static;

    /// What the room keeps of a request until its response comes.
    type Kept: Send + 'static;

    /// What the room finds out while a request waits.
    type Found: Send + 'static;

    /// Decides.
    fn check(&self, head: &mut Parts) -> VerdictOf<Self, B>;

    /// Decides by what was found out.
    fn check_found(&self, found: Self::Found, head: &mut Parts) -> VerdictOf<Self, B>;

    /// The answer as a response.
    fn answer(&self, answer: Self::Answer) -> Response<B>;

    /// A last look at the inner service's response.
    fn finish(&self, kept: Self::Kept, response: &mut Response<B>);
}

/// A service behind a gate, such as [`Bearer`](crate::bearer::Bearer) or
/// [`Require`](crate::require::Require). Its error is the inner service's: a refusal is a response.
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

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let (mut head, body) = request.into_parts();
        match self.gate.check(&mut head) {
            Verdict::Pass(kept) => {
                let response = self.inner.call(Request::from_parts(head, body));
                ResponseFuture::forward(self.gate.clone(), kept, response)
            }
            Verdict::Answer(answer) => ResponseFuture::answered(self.gate.answer(answer)),
            Verdict::Wait(found) => {
                // The service that was polled ready is the one to call; its clone stays behind.
                let clone = self.inner.clone();
                let ready = std::mem::replace(&mut self.inner, clone);
                let request = Request::from_parts(head, body);
                ResponseFuture::waiting(self.gate.clone(), ready, request, found)
            }
        }
    }
}

/// Stands in the extensions of a request that came without credentials and may go on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Anonymous;

/// Who calls, by what the layers outside left: nobody only where they let nobody pass.
#[cfg(any(feature = "axum", feature = "tonic"))]
pub(crate) fn caller(extensions: &http::Extensions) -> Result<Option<&Principal>, Rejection> {
    match extensions.get::<Principal>() {
        Some(principal) => Ok(Some(principal)),
        None if extensions.get::<Anonymous>().is_some() => Ok(None),
        None => Err(Rejection::missing_layer("BearerLayer")),
    }
}
