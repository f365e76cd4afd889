//! The layer as a service.

use std::fmt;
use std::sync::Arc;

use http::request::Parts;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::error::LoginError;
use crate::gate::empty::CanBeEmpty;
use crate::gate::{Gate, ResponseFuture, Verdict, serve};
use crate::login::browser::page::{OnPage, PlainPages};
use crate::login::browser::reply::Reply;
use crate::login::hosts::choose::{Hosts, reply};
use crate::login::hosts::site::{Decided, FoundOfSite, LoginSite};
use crate::login::party::{BoxError, Pending, open};

/// A service whose site is chosen by the host of a request. Made by [`LoginHosts`](crate::login::LoginHosts).
#[derive(Clone)]
pub struct LoginOfHosts<S, P = PlainPages> {
    pub(super) inner: S,
    hosts: Arc<Hosts>,
    pages: P,
}

/// The decision of the site that was chosen. `None` for a request that passes by all of them.
#[derive(Clone)]
pub(super) struct SiteGate<P> {
    site: Option<LoginSite>,
    pages: P,
}

/// How a request to a chosen site goes on.
pub(super) type Served<S, P, ReqBody, ResBody> = ResponseFuture<S, SiteGate<P>, ReqBody, ResBody>;

impl<S, P> LoginOfHosts<S, P> {
    pub(super) fn new(inner: S, hosts: Arc<Hosts>, pages: P) -> Self {
        Self {
            inner,
            hosts,
            pages,
        }
    }

    /// The answer where no site was chosen.
    pub(super) fn refused<ReqBody, ResBody>(
        &self,
        head: &Parts,
        error: LoginError,
    ) -> Served<S, P, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>>,
        ResBody: CanBeEmpty,
        P: OnPage<ResBody> + Clone,
    {
        let reply = reply(head, error);
        ResponseFuture::answered(reply.into_response(&self.pages, &self.hosts.challenges))
    }

    /// What the site makes of a request, or the inner service where it passes by all sites. The inner service is ready.
    pub(super) fn serve<ReqBody, ResBody>(
        &mut self,
        site: Option<LoginSite>,
        request: Request<ReqBody>,
    ) -> Served<S, P, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
        ReqBody: Body + Send + 'static,
        ReqBody::Data: Send,
        ReqBody::Error: Into<BoxError>,
        ResBody: CanBeEmpty,
        P: OnPage<ResBody> + Clone,
    {
        let gate = SiteGate {
            site,
            pages: self.pages.clone(),
        };
        let Some(site) = &gate.site else {
            return serve(&mut self.inner, &gate, request);
        };
        if let Some((party, own)) = site.takes_form(&request) {
            let answer = Arc::clone(party).take_form(own, request);
            return ResponseFuture::answering(gate, Box::pin(answer));
        }
        let (head, body) = request.into_parts();
        if let Some(error) = site.refusal_of(&head) {
            self.hosts.tell_of_other_site(&head, site);
            return ResponseFuture::answered(site.refuse(error));
        }
        serve(&mut self.inner, &gate, Request::from_parts(head, body))
    }
}

impl<S, P> LoginOfHosts<S, P> {
    pub(super) fn hosts(&self) -> &Hosts {
        &self.hosts
    }
}

impl<B: CanBeEmpty, P: OnPage<B> + Clone> Gate<B> for SiteGate<P> {
    type Answer = Reply;
    type Kept = Pending;
    type Found = FoundOfSite;

    fn check(&self, head: &mut Parts) -> Decided {
        match &self.site {
            Some(site) => site.check(head),
            None => Verdict::Pass(open(head)),
        }
    }

    fn check_found(&self, found: FoundOfSite, head: &mut Parts) -> Decided {
        match &self.site {
            Some(site) => site.check_found(found, head),
            None => Verdict::Pass(open(head)),
        }
    }

    fn answer(&self, reply: Reply) -> Response<B> {
        match &self.site {
            Some(site) => site.answer(reply, &self.pages),
            None => Response::new(B::default()),
        }
    }

    fn finish(&self, kept: Pending, response: &mut Response<B>) {
        if let Some(site) = &self.site {
            site.finish(&self.pages, kept, response);
        }
    }
}

impl<S: fmt::Debug, P> fmt::Debug for LoginOfHosts<S, P> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LoginOfHosts")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
