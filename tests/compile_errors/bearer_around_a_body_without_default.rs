//! `EmptyBody` cannot make the refusals of a service whose response body is `hyper::body::Incoming`
//! hand a closure `Fn(&Rejection) -> Response<hyper::body::Incoming> + Clone` to `on_refusal`

use std::convert::Infallible;

use http::{Request, Response};
use hyper::body::Incoming;
use tower::{Layer, Service, service_fn};
use tower_oidc::BearerLayer;

async fn page(_: Request<String>) -> Result<Response<Incoming>, Infallible> {
    loop {}
}

fn served(layer: BearerLayer) -> impl Service<Request<String>> {
    layer.layer(service_fn(page))
}

fn main() {
    let _ = served;
}
