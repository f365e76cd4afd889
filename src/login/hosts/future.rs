//! The future of a request whose site may have to be looked up first.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use http_body::Body;
use pin_project::pin_project;
use tower_service::Service;

use crate::gate::empty::CanBeEmpty;
use crate::gate::release;
use crate::http_client::BoxFuture;
use crate::login::browser::page::OnPage;
use crate::login::hosts::choose::Choice;
use crate::login::hosts::service::{LoginOfHosts, Served};
use crate::login::hosts::site::LoginSite;
use crate::login::party::BoxError;
use crate::renew::Refusal;

impl<S, P, ReqBody, ResBody> Service<Request<ReqBody>> for LoginOfHosts<S, P>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    ReqBody: Body + Send + 'static,
    ReqBody::Data: Send,
    ReqBody::Error: Into<BoxError>,
    ResBody: CanBeEmpty,
    P: OnPage<ResBody> + Clone,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = HostsFuture<S, P, ReqBody, ResBody>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let (head, body) = request.into_parts();
        let choice = self.hosts().choose(&head);
        let request = |head| Request::from_parts(head, body);
        let site = match choice {
            Choice::Site(site) => Some(site),
            Choice::Open => None,
            Choice::Refused(error) => return HostsFuture::decided(self.refused(&head, error)),
            Choice::LookUp(source, host) => {
                // The service that was polled ready must be the one that is called. Its clone stays.
                let clone = self.clone();
                let ready = std::mem::replace(self, clone);
                let looking_up = Box::pin(async move {
                    let looked_up = source.look_up(&host).await;
                    (host, looked_up)
                });
                return HostsFuture::looking_up(looking_up, ready, request(head));
            }
        };
        HostsFuture::decided(self.serve(site, request(head)))
    }
}

/// The response of a [`LoginOfHosts`] service.
#[pin_project]
pub struct HostsFuture<S, P, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>>,
    ResBody: CanBeEmpty,
    P: OnPage<ResBody> + Clone,
{
    #[pin]
    state: State<S, P, ReqBody, ResBody>,
}

/// A host, and what came of its look-up.
type LookingUp = BoxFuture<(String, Result<Option<LoginSite>, Refusal>)>;

#[expect(
    clippy::large_enum_variant,
    reason = "nearly every request is decided at once, and needs no box"
)]
#[pin_project(project = StateProjection)]
enum State<S, P, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>>,
    ResBody: CanBeEmpty,
    P: OnPage<ResBody> + Clone,
{
    Decided(#[pin] Served<S, P, ReqBody, ResBody>),
    LookingUp {
        looking_up: LookingUp,
        // Taken once, when the site is known.
        held: Option<Box<Held<S, P, ReqBody>>>,
        is_ready: bool,
    },
    /// The request waited, and the inner service must be ready for it.
    Readying {
        site: Option<LoginSite>,
        held: Option<Box<Held<S, P, ReqBody>>>,
    },
}

/// A request that waits for its site.
struct Held<S, P, ReqBody> {
    service: LoginOfHosts<S, P>,
    request: Request<ReqBody>,
}

impl<S, P, ReqBody, ResBody> HostsFuture<S, P, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>>,
    ResBody: CanBeEmpty,
    P: OnPage<ResBody> + Clone,
{
    pub(super) fn decided(served: Served<S, P, ReqBody, ResBody>) -> Self {
        Self {
            state: State::Decided(served),
        }
    }

    /// `service` is ready.
    pub(super) fn looking_up(
        looking_up: LookingUp,
        service: LoginOfHosts<S, P>,
        request: Request<ReqBody>,
    ) -> Self {
        Self {
            state: State::LookingUp {
                looking_up,
                held: Some(Box::new(Held { service, request })),
                is_ready: true,
            },
        }
    }
}

impl<S, P, ReqBody, ResBody> Future for HostsFuture<S, P, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    ReqBody: Body + Send + 'static,
    ReqBody::Data: Send,
    ReqBody::Error: Into<BoxError>,
    ResBody: CanBeEmpty,
    P: OnPage<ResBody> + Clone,
{
    type Output = Result<Response<ResBody>, S::Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProjection::Decided(served) => return served.poll(context),
                StateProjection::LookingUp {
                    looking_up,
                    held,
                    is_ready,
                } => {
                    let Poll::Ready((host, looked_up)) = looking_up.as_mut().poll(context) else {
                        let inner = held.as_mut().map(|held| &mut held.service.inner);
                        release(is_ready, inner);
                        return Poll::Pending;
                    };
                    let Some(held) = held.take() else {
                        // Polled again after its end, for which futures promise nothing.
                        return Poll::Pending;
                    };
                    match looked_up {
                        Ok(Some(site)) if *is_ready => {
                            let Held {
                                mut service,
                                request,
                            } = *held;
                            State::Decided(service.serve(Some(site), request))
                        }
                        Ok(Some(site)) => State::Readying {
                            site: Some(site),
                            held: Some(held),
                        },
                        none => {
                            let Held { service, request } = *held;
                            let (parts, _) = request.into_parts();
                            let error = service.hosts().no_site(&parts, &host, none.err());
                            State::Decided(service.refused(&parts, error))
                        }
                    }
                }
                StateProjection::Readying { site, held } => {
                    let Some(waiting) = held else {
                        return Poll::Pending;
                    };
                    ready!(waiting.service.inner.poll_ready(context))?;
                    let (Some(site), Some(held)) = (site.take(), held.take()) else {
                        return Poll::Pending;
                    };
                    let Held {
                        mut service,
                        request,
                    } = *held;
                    State::Decided(service.serve(Some(site), request))
                }
            };
            state.set(next);
        }
    }
}

impl<S, P, ReqBody, ResBody> fmt::Debug for HostsFuture<S, P, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>>,
    ResBody: CanBeEmpty,
    P: OnPage<ResBody> + Clone,
{
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.state {
            State::Decided(_) => "HostsFuture(decided)",
            State::LookingUp { .. } => "HostsFuture(looking up)",
            State::Readying { .. } => "HostsFuture(readying)",
        })
    }
}
