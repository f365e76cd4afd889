use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use crate::observe;
use crate::outbound::future::{OutboundFuture, Repeatable};
use crate::outbound::repeat::{EmptyBodies, Repeat};
use crate::outbound::settings::Settings;
use crate::outbound::traced::traced;
use crate::principal::Principal;
use crate::token::source::{TokenRequest, TokenSupply};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A client whose requests carry tokens. Made by [`OutboundLayer`](crate::OutboundLayer).
#[derive(Clone)]
pub struct Outbound<S, R = EmptyBodies> {
    inner: S,
    settings: Settings,
    repeat: R,
}

impl<S, R> Outbound<S, R> {
    pub(super) fn new(inner: S, settings: Settings, repeat: R) -> Self {
        Self {
            inner,
            settings,
            repeat,
        }
    }
}

impl<S: Clone, R: Clone> Outbound<S, R> {
    /// A client for the requests of this caller, whichever [`Principal`] they have in their extensions. It shares what
    /// this one has cached.
    ///
    /// ```
    /// # use http::{Request, Response};
    /// # use tower_oidc::outbound::Outbound;
    /// # use tower_oidc::Principal;
    /// # type Body = http_body_util::Full<bytes::Bytes>;
    /// # type Error = Box<dyn std::error::Error + Send + Sync>;
    /// # async fn of<H>(orders: Outbound<H>, principal: Principal) -> Result<(), Error>
    /// # where H: tower::Service<Request<Body>, Response = Response<Body>, Error: Into<Error>> + Clone {
    /// let request = Request::get("https://orders.internal/7").body(Body::default())?;
    /// let response = orders.for_caller(&principal).send(request).await?;
    /// # drop(response);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn for_caller(&self, caller: &Principal) -> Self {
        Self {
            inner: self.inner.clone(),
            settings: self.settings.for_caller(caller),
            repeat: self.repeat.clone(),
        }
    }

    /// Sends a request, as [`Service::call`] does once the client is ready.
    ///
    /// # Errors
    /// An [`OutboundError`](crate::OutboundError) if there is no token for it, else the error of the client.
    pub async fn send<B, C>(&self, request: Request<B>) -> Result<Response<C>, BoxError>
    where
        S: Service<Request<B>, Response = Response<C>>,
        S::Error: Into<BoxError>,
        R: Repeat<B>,
    {
        let mut client = self.clone();
        poll_fn(|context| client.poll_ready(context)).await?;
        client.call(request).await
    }
}

impl<S, R, B, C> Service<Request<B>> for Outbound<S, R>
where
    S: Service<Request<B>, Response = Response<C>> + Clone,
    S::Error: Into<BoxError>,
    R: Repeat<B> + Clone,
{
    type Response = Response<C>;
    type Error = BoxError;
    type Future = OutboundFuture<S, R, B, C>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.settings.wants_token(&request) {
            Ok(true) => {}
            Ok(false) => return OutboundFuture::bare(self.inner.call(request)),
            Err(error) => return OutboundFuture::failed(error),
        }
        let wanted = TokenRequest::for_request(request.uri(), request.extensions());
        match self.settings.source.supply(&wanted) {
            TokenSupply::Ready(token) => {
                observe::left_at_once();
                match Repeatable::of(&request, &self.repeat) {
                    Some(copy) => {
                        let inner = self.take_ready();
                        OutboundFuture::sent(inner, request, token, copy, &self.settings)
                    }
                    None => OutboundFuture::sent_once(&mut self.inner, request, token),
                }
            }
            TokenSupply::Wait(token) => {
                let token = traced(token, request.uri().host());
                let inner = self.take_ready();
                let (settings, repeat) = (self.settings.clone(), self.repeat.clone());
                OutboundFuture::waiting(inner, request, token, settings, repeat)
            }
            TokenSupply::Refused(error) => OutboundFuture::failed(error.at(request.uri().host())),
        }
    }
}

impl<S: Clone, R> Outbound<S, R> {
    /// The service that was polled ready is the one to call; its clone stays behind.
    fn take_ready(&mut self) -> S {
        let clone = self.inner.clone();
        std::mem::replace(&mut self.inner, clone)
    }
}

impl<S: fmt::Debug, R> fmt::Debug for Outbound<S, R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.show("Outbound", formatter)
    }
}
