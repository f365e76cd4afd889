//! `hyper::body::Incoming` cannot be the body of an answer of this layer, because it cannot be empty
//! an empty body needs `hyper::body::Incoming: Default`
//! by `map_response` of `tower::ServiceBuilder`

use std::convert::Infallible;

use http::{Request, Response};
use hyper::body::Incoming;
use tower::{Layer, Service, service_fn};
use tower_oidc::LoginLayer;
use tower_oidc::login::Page;

async fn page(_: Request<String>) -> Result<Response<Incoming>, Infallible> {
    loop {}
}

fn served(layer: LoginLayer) -> impl Service<Request<String>> {
    let pages = |page: &Page| -> Response<Incoming> { panic!("{}", page.title()) };
    layer.on_page(pages).layer(service_fn(page))
}

fn main() {
    let _ = served;
}
