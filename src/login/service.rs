//! The layer as a service.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::request::Parts;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::gate::empty::CanBeEmpty;
use crate::gate::{Gate, Gated, ResponseFuture, Verdict};
use crate::login::browser::page::{OnPage, PlainPages};
use crate::login::browser::reply::Reply;
use crate::login::party::{BoxError, Decided, Found, Party, Pending, open};

/// A service whose browsers are signed in. Made by [`LoginLayer`](crate::LoginLayer).
#[derive(Debug, Clone)]
pub struct Login<S, P = PlainPages>(Gated<S, LoginGate<P>>);

/// The decision of [`LoginLayer`](crate::LoginLayer).
#[derive(Clone)]
pub struct LoginGate<P> {
    party: Arc<Party>,
    pages: P,
}

impl<S, P> Login<S, P> {
    pub(super) fn new(inner: S, party: Arc<Party>, pages: P) -> Self {
        Self(Gated::new(inner, LoginGate { party, pages }))
    }
}

impl<S, P, ReqBody, ResBody> Service<Request<ReqBody>> for Login<S, P>
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
    type Future = ResponseFuture<S, LoginGate<P>, ReqBody, ResBody>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let gate = self.0.gate();
        let Some(own) = gate.party.takes_form(&request) else {
            return self.0.call(request);
        };
        let answer = Arc::clone(&gate.party).take_form(own, request);
        ResponseFuture::answering(gate.clone(), Box::pin(answer))
    }
}

impl Party {
    /// The decision of a layer that is alone on its site.
    #[inline]
    pub(super) fn check(self: &Arc<Self>, head: &mut Parts) -> Decided {
        if let Some(decided) = self.check_path(head) {
            return decided;
        }
        match self.sign_out.back_from_sign_out(head) {
            Some(reply) => Verdict::Answer(reply),
            None if self.open_paths.contains(head) => Verdict::Pass(open(head)),
            None => match self.check_session(head) {
                Ok(decided) => decided,
                Err(absent) => self.anonymous(head, absent),
            },
        }
    }

    /// The same with what was found out.
    pub(super) fn decide(self: &Arc<Self>, found: Found, head: &mut Parts) -> Decided {
        match self.check_found(found, head) {
            Ok(decided) => decided,
            Err(absent) => self.anonymous(head, absent),
        }
    }
}

impl<B: CanBeEmpty, P: OnPage<B> + Clone> Gate<B> for LoginGate<P> {
    type Answer = Reply;
    type Kept = Pending;
    type Found = Found;

    fn check(&self, head: &mut Parts) -> Decided {
        self.party.check(head)
    }

    fn check_found(&self, found: Found, head: &mut Parts) -> Decided {
        self.party.decide(found, head)
    }

    fn answer(&self, reply: Reply) -> Response<B> {
        reply.into_response(&self.pages, &self.party.site.challenges)
    }

    fn finish(&self, kept: Pending, response: &mut Response<B>) {
        self.party.finish(&self.pages, kept, response);
    }
}

impl<P> fmt::Debug for LoginGate<P> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LoginGate")
            .field("client", &self.party.sign_in.client)
            .field("origin", &self.party.site.origin)
            .finish_non_exhaustive()
    }
}
