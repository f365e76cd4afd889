//! The future of an inbound request.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project::pin_project;
use tower_service::Service;

use crate::gate::{Gate, Verdict, release};
use crate::http_client::BoxFuture;

/// The response of a [`Gated`](crate::gate::Gated) service: that of the inner service or an answer of the
/// gate, after waiting where the gate has to find something out.
#[pin_project]
pub struct ResponseFuture<S, G, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>>,
    G: Gate<ResBody>,
{
    #[pin]
    state: State<S, G, ReqBody, ResBody>,
}

#[pin_project(project = StateProjection)]
enum State<S, G, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>>,
    G: Gate<ResBody>,
{
    Forward {
        // Taken once, when the response is there.
        held: Option<(G, G::Kept)>,
        #[pin]
        response: S::Future,
    },
    Answered(Option<Response<ResBody>>),
    Waiting {
        found: BoxFuture<G::Found>,
        // Taken once, when it is found out.
        held: Option<(G, S, Request<ReqBody>)>,
        is_ready: bool,
    },
    /// The request waited, and the inner service must be ready for it. In a box, because this is seldom and
    /// would make every future larger.
    Readying(Taken<G, G::Kept, S, ReqBody>),
    #[cfg(feature = "login")]
    Answering {
        gate: G,
        answer: BoxFuture<G::Answer>,
    },
}

/// Taken once, when the service is ready.
type Taken<G, K, S, ReqBody> = Option<Box<Waited<G, K, S, ReqBody>>>;

/// A request that passes after it waited.
struct Waited<G, K, S, ReqBody> {
    gate: G,
    kept: K,
    inner: S,
    request: Request<ReqBody>,
}

impl<S, G, ReqBody, ResBody> ResponseFuture<S, G, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>>,
    G: Gate<ResBody>,
{
    pub(super) fn forward(gate: G, kept: G::Kept, response: S::Future) -> Self {
        Self {
            state: State::Forward {
                held: Some((gate, kept)),
                response,
            },
        }
    }

    /// An answer that takes time, without the inner service.
    #[cfg(feature = "login")]
    pub(crate) fn answering(gate: G, answer: BoxFuture<G::Answer>) -> Self {
        Self {
            state: State::Answering { gate, answer },
        }
    }

    pub(crate) fn answered(response: Response<ResBody>) -> Self {
        Self {
            state: State::Answered(Some(response)),
        }
    }

    pub(super) fn waiting(
        gate: G,
        inner: S,
        request: Request<ReqBody>,
        found: BoxFuture<G::Found>,
    ) -> Self {
        Self {
            state: State::Waiting {
                found,
                held: Some((gate, inner, request)),
                is_ready: true,
            },
        }
    }
}

impl<S, G, ReqBody, ResBody> fmt::Debug for ResponseFuture<S, G, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>>,
    G: Gate<ResBody>,
{
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.state {
            State::Forward { .. } => "ResponseFuture(forward)",
            State::Answered(_) => "ResponseFuture(answered)",
            State::Waiting { .. } => "ResponseFuture(waiting)",
            State::Readying(_) => "ResponseFuture(readying)",
            #[cfg(feature = "login")]
            State::Answering { .. } => "ResponseFuture(answering)",
        })
    }
}

impl<S, G, ReqBody, ResBody> Future for ResponseFuture<S, G, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    G: Gate<ResBody>,
{
    type Output = Result<Response<ResBody>, S::Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProjection::Forward { held, response } => {
                    let mut response = ready!(response.poll(context))?;
                    if let Some((gate, kept)) = held.take() {
                        gate.finish(kept, &mut response);
                    }
                    return Poll::Ready(Ok(response));
                }
                StateProjection::Answered(response) => {
                    return match response.take() {
                        Some(response) => Poll::Ready(Ok(response)),
                        // Polled again after its end, for which futures promise nothing.
                        None => Poll::Pending,
                    };
                }
                StateProjection::Waiting {
                    found,
                    held,
                    is_ready,
                } => {
                    let Poll::Ready(found) = found.as_mut().poll(context) else {
                        release(is_ready, held.as_mut().map(|(_, inner, _)| inner));
                        return Poll::Pending;
                    };
                    let Some((gate, mut inner, request)) = held.take() else {
                        return Poll::Pending;
                    };
                    let (mut head, body) = request.into_parts();
                    let verdict = gate.check_found(found, &mut head);
                    let request = Request::from_parts(head, body);
                    match verdict {
                        Verdict::Pass(kept) if *is_ready => State::Forward {
                            response: inner.call(request),
                            held: Some((gate, kept)),
                        },
                        Verdict::Pass(kept) => {
                            let waited = Waited {
                                gate,
                                kept,
                                inner,
                                request,
                            };
                            State::Readying(Some(Box::new(waited)))
                        }
                        Verdict::Answer(answer) => State::Answered(Some(gate.answer(answer))),
                        Verdict::Wait(found) => State::Waiting {
                            found,
                            held: Some((gate, inner, request)),
                            is_ready: *is_ready,
                        },
                    }
                }
                StateProjection::Readying(held) => {
                    let Some(waited) = held else {
                        return Poll::Pending;
                    };
                    ready!(waited.inner.poll_ready(context))?;
                    let Some(mut waited) = held.take() else {
                        return Poll::Pending;
                    };
                    State::Forward {
                        response: waited.inner.call(waited.request),
                        held: Some((waited.gate, waited.kept)),
                    }
                }
                #[cfg(feature = "login")]
                StateProjection::Answering { gate, answer } => {
                    let answer = ready!(answer.as_mut().poll(context));
                    State::Answered(Some(gate.answer(answer)))
                }
            };
            state.set(next);
        }
    }
}
