//! A router of axum with one page, as it is, and with a layer that does nothing or ours.

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

/// How a layer and a router are put together.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stack {
    Bare,
    /// `Router::layer`, with a layer that does nothing.
    Idle,
    /// `Router::layer`.
    Within,
    /// The layer is around the whole router.
    Around,
}

/// The routes, and a request they have seen before.
pub(crate) fn routes(stack: Stack) -> (Routes, Request, Fixture) {
    let fixture = Fixture::new();
    let layer = BearerLayer::new(fixture.verifier.clone());
    let router = Router::new().route("/", get(|| async { "hello\n" }));
    // As `axum::serve` does: else each request would make its route anew.
    let whole = |router: Router| router.with_state::<()>(());
    let mut service = match stack {
        Stack::Bare => Routes::new(whole(router)),
        Stack::Idle => Routes::new(whole(router.layer(Identity::new()))),
        Stack::Within => Routes::new(whole(router.layer(layer))),
        Stack::Around => Routes::new(layer.layer(whole(router))),
    };
    let token = fixture.token(Algorithm::Rs256, &[]);
    let make = || request(Some(&token)).map(|()| Body::empty());
    let runtime = fixture.enter();
    for _ in 0..2 {
        let _ = call(&mut service, make());
    }
    drop(runtime);
    (service, make(), fixture)
}
