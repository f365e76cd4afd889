//! the trait `Clone` is not implemented for `Page`

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use http::{Request, Response};
use tower::{Layer, Service};
use tower_oidc::BearerLayer;

struct Page;

impl Service<Request<String>> for Page {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<String>) -> Self::Future {
        ready(Ok(Response::default()))
    }
}

fn served(layer: BearerLayer) -> impl Service<Request<String>> {
    layer.layer(Page)
}

fn main() {
    let _ = served;
}
