//! An axum router with one page: bare, with a layer that does nothing, and with a bearer layer.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::get;
use tower::Layer;
use tower::layer::util::Identity;
use tower::util::BoxCloneSyncService;
use tower_oidc::{Algorithm, BearerLayer};

use super::{Fixture, call, request};

pub(crate) type Routes = BoxCloneSyncService<Request, Response, Infallible>;

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
