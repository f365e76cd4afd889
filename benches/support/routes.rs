//! An axum router with one page: bare, with a layer that does nothing, and with a bearer layer.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::get;
use tower::layer::util::Identity;
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service};
use tower_oidc::{Algorithm, BearerLayer};

use super::{Fixture, call, request};

pub(crate) type Routes = BoxCloneSyncService<Request, Response, Infallible>;

/// Does nothing, at once, with axum's body.
#[derive(Clone)]
pub(crate) struct AxumInner;

impl Service<Request> for AxumInner {
    type Response = Response;
    type Error = Infallible;
    type Future = Ready<Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request) -> Self::Future {
        ready(Ok(Response::new(Body::empty())))
    }
}

/// The position of the layer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stack {
    Bare,
    /// `Router::layer`, with a layer that does nothing.
    Idle,
    /// `Router::layer`.
    Within,
    /// Around the whole router.
    Around,
}

/// The routes, and a request whose token they have seen before.
pub(crate) fn routes(stack: Stack) -> (Routes, Request, Fixture) {
    let fixture = Fixture::new();
    let layer = BearerLayer::new(fixture.verifier.clone());
    let router = Router::new().route("/", get(|| async { "hello\n" }));
    // As `axum::serve` does: otherwise each request would build its route again.
    let whole = |router: Router| router.with_state::<()>(());
    let mut service = match stack {
        Stack::Bare => Routes::new(whole(router)),
        Stack::Idle => Routes::new(whole(router.layer(Identity::new()))),
        Stack::Within => Routes::new(whole(router.layer(layer))),
        Stack::Around => Routes::new(layer.layer(whole(router))),
    };
    let token = fixture.token(Algorithm::Rs256, &[]);
    let make = || request(Some(&token)).map(|()| Body::empty());
    // Made first, so that the measured call finds the allocator as a call before it left it.
    let measured = make();
    let runtime = fixture.enter();
    for _ in 0..4 {
        let _ = call(&mut service, make());
    }
    drop(runtime);
    (service, measured, fixture)
}
