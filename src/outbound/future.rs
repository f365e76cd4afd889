//! The future of an outgoing request: without a token, with one, and once more with a newer one.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Response, StatusCode};
use pin_project::pin_project;
use tower_service::Service;

use crate::error::OutboundError;
use crate::gate::release;
use crate::observe;
use crate::outbound::repeat::Repeat;
use crate::outbound::settings::Settings;
use crate::outbound::traced::traced;
use crate::token::live::LiveToken;
use crate::token::source::{TokenFuture, TokenRequest, TokenSource, TokenSupply};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The response of an [`Outbound`](crate::outbound::Outbound) service.
#[pin_project]
pub struct OutboundFuture<S, R, B, C>
where
    S: Service<Request<B>>,
{
    #[pin]
    state: State<S, R, B, C>,
}

#[pin_project(project = StateProjection)]
enum State<S, R, B, C>
where
    S: Service<Request<B>>,
{
    Failed(Option<OutboundError>),
    Bare(#[pin] S::Future),
    /// The token is being fetched.
    Waiting {
        token: TokenFuture,
        // Taken once, when the token is there.
        held: Option<(S, Request<B>, Settings, R)>,
        is_ready: bool,
    },
    /// The request waited for its token, and the service must be ready for it.
    Holding(Option<(S, Request<B>, LiveToken, Settings, R)>),
    Sent {
        #[pin]
        response: S::Future,
        token: LiveToken,
        // Taken once, when the token is refused.
        retry: Option<Retry<S, B>>,
    },
    /// The token was refused, and a newer one is on its way.
    Renewing {
        token: TokenFuture,
        // Taken once, when the newer token is there or cannot be had.
        held: Option<(Response<C>, Retry<S, B>)>,
    },
    /// The service must be ready once more.
    Readying(Option<(S, Request<B>)>),
}

/// What a second attempt needs.
struct Retry<S, B> {
    inner: S,
    request: Request<B>,
    source: Arc<dyn TokenSource>,
}

/// A copy of the request, if its body can be sent twice.
pub(super) struct Repeatable<B>(Request<B>);

impl<B> Repeatable<B> {
    pub(super) fn of<R: Repeat<B>>(request: &Request<B>, repeat: &R) -> Option<Self> {
        let body = repeat.copy(request.body())?;
        let mut copy = Request::new(body);
        copy.method_mut().clone_from(request.method());
        copy.uri_mut().clone_from(request.uri());
        *copy.version_mut() = request.version();
        copy.headers_mut().clone_from(request.headers());
        copy.extensions_mut().clone_from(request.extensions());
        Some(Self(copy))
    }
}

impl<S, R, B, C> OutboundFuture<S, R, B, C>
where
    S: Service<Request<B>>,
{
    pub(super) fn bare(response: S::Future) -> Self {
        Self {
            state: State::Bare(response),
        }
    }

    pub(super) fn failed(error: OutboundError) -> Self {
        Self {
            state: State::failed(error),
        }
    }

    pub(super) fn waiting(
        inner: S,
        request: Request<B>,
        token: TokenFuture,
        settings: Settings,
        repeat: R,
    ) -> Self {
        Self {
            state: State::Waiting {
                token,
                held: Some((inner, request, settings, repeat)),
                is_ready: true,
            },
        }
    }

    pub(super) fn sent(
        inner: S,
        request: Request<B>,
        token: LiveToken,
        copy: Repeatable<B>,
        settings: &Settings,
    ) -> Self {
        Self {
            state: State::sent(inner, request, token, Some(copy), settings),
        }
    }

    pub(super) fn sent_once(inner: &mut S, request: Request<B>, token: LiveToken) -> Self {
        Self {
            state: State::Sent {
                response: inner.call(attach(request, &token)),
                token,
                retry: None,
            },
        }
    }
}

impl<S, R, B, C> State<S, R, B, C>
where
    S: Service<Request<B>>,
{
    fn failed(error: OutboundError) -> Self {
        observe::left(error.kind().as_str());
        tracing::debug!(
            kind = error.kind().as_str(),
            host = error.host(),
            "an outgoing request was not sent: there is no token for it"
        );
        Self::Failed(Some(error))
    }

    fn sent(
        mut inner: S,
        request: Request<B>,
        token: LiveToken,
        copy: Option<Repeatable<B>>,
        settings: &Settings,
    ) -> Self {
        let response = inner.call(attach(request, &token));
        Self::Sent {
            response,
            token,
            retry: copy.map(|Repeatable(request)| Retry {
                inner,
                request,
                source: Arc::clone(&settings.source),
            }),
        }
    }
}

fn attach<B>(mut request: Request<B>, token: &LiveToken) -> Request<B> {
    let headers = request.headers_mut();
    headers.insert(AUTHORIZATION, token.to_authorization());
    request
}

/// 401 in HTTP ([RFC 9110 §15.5.2](https://www.rfc-editor.org/rfc/rfc9110#section-15.5.2)), or
/// `UNAUTHENTICATED` in the headers of a gRPC response without messages.
fn refuses_token(status: StatusCode, headers: &HeaderMap) -> bool {
    const UNAUTHENTICATED: &[u8] = b"16";
    status == StatusCode::UNAUTHORIZED
        || headers
            .get("grpc-status")
            .is_some_and(|code| code.as_bytes() == UNAUTHENTICATED)
}

impl<S, R, B, C> Future for OutboundFuture<S, R, B, C>
where
    S: Service<Request<B>, Response = Response<C>> + Clone,
    S::Error: Into<BoxError>,
    R: Repeat<B>,
{
    type Output = Result<Response<C>, BoxError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProjection::Failed(error) => {
                    return match error.take() {
                        Some(error) => Poll::Ready(Err(error.into())),
                        // Polled again after its end, for which futures promise nothing.
                        None => Poll::Pending,
                    };
                }
                StateProjection::Bare(response) => {
                    return response.poll(context).map_err(Into::into);
                }
                StateProjection::Waiting {
                    token,
                    held,
                    is_ready,
                } => {
                    let Poll::Ready(token) = token.as_mut().poll(context) else {
                        release(is_ready, held.as_mut().map(|(inner, ..)| inner));
                        return Poll::Pending;
                    };
                    let Some((inner, request, settings, repeat)) = held.take() else {
                        return Poll::Pending;
                    };
                    match token {
                        Ok(token) => {
                            observe::left("waited");
                            State::Holding(Some((inner, request, token, settings, repeat)))
                        }
                        Err(error) => State::failed(error.at(request.uri().host())),
                    }
                }
                StateProjection::Holding(held) => {
                    let Some((inner, ..)) = held else {
                        return Poll::Pending;
                    };
                    ready!(inner.poll_ready(context)).map_err(Into::into)?;
                    let Some((inner, request, token, settings, repeat)) = held.take() else {
                        return Poll::Pending;
                    };
                    let copy = Repeatable::of(&request, &repeat);
                    State::sent(inner, request, token, copy, &settings)
                }
                StateProjection::Sent {
                    response,
                    token,
                    retry,
                } => {
                    let mut response = ready!(response.poll(context)).map_err(Into::into)?;
                    if !refuses_token(response.status(), response.headers()) {
                        return Poll::Ready(Ok(response));
                    }
                    token.mark_refused();
                    let Some(retry) = retry.take() else {
                        return Poll::Ready(Ok(response));
                    };
                    let request = &retry.request;
                    let wanted = TokenRequest::for_request(request.uri(), request.extensions());
                    match retry.source.supply(&wanted) {
                        TokenSupply::Ready(newer) if !newer.is_refused() => retry.with(&newer),
                        // There is no newer one.
                        TokenSupply::Ready(_) => return Poll::Ready(Ok(response)),
                        TokenSupply::Wait(token) => State::Renewing {
                            token: traced(token, retry.request.uri().host()),
                            held: Some((response, retry)),
                        },
                        TokenSupply::Refused(error) => {
                            response.extensions_mut().insert(error);
                            return Poll::Ready(Ok(response));
                        }
                    }
                }
                StateProjection::Renewing { token, held } => {
                    let newer = ready!(token.as_mut().poll(context));
                    let Some((mut response, retry)) = held.take() else {
                        return Poll::Pending;
                    };
                    match newer {
                        Ok(newer) if !newer.is_refused() => retry.with(&newer),
                        Ok(_) => return Poll::Ready(Ok(response)),
                        Err(error) => {
                            response.extensions_mut().insert(error);
                            return Poll::Ready(Ok(response));
                        }
                    }
                }
                StateProjection::Readying(held) => {
                    let Some((inner, _)) = held else {
                        return Poll::Pending;
                    };
                    ready!(inner.poll_ready(context)).map_err(Into::into)?;
                    let Some((mut inner, request)) = held.take() else {
                        return Poll::Pending;
                    };
                    State::Bare(inner.call(request))
                }
            };
            state.set(next);
        }
    }
}

impl<S, B> Retry<S, B> {
    fn with<R, C>(self, newer: &LiveToken) -> State<S, R, B, C>
    where
        S: Service<Request<B>>,
    {
        observe::left("repeated");
        State::Readying(Some((self.inner, attach(self.request, newer))))
    }
}

impl<S, R, B, C> fmt::Debug for OutboundFuture<S, R, B, C>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.state {
            State::Failed(_) => "OutboundFuture(failed)",
            State::Bare(_) => "OutboundFuture(bare)",
            State::Waiting { .. } => "OutboundFuture(waiting)",
            State::Holding(_) => "OutboundFuture(holding)",
            State::Sent { .. } => "OutboundFuture(sent)",
            State::Renewing { .. } => "OutboundFuture(renewing)",
            State::Readying(_) => "OutboundFuture(readying)",
        })
    }
}
