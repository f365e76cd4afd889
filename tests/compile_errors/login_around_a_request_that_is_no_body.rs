//! is not implemented for `Vec<u8>`

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use tower::{Layer, Service, service_fn};
use tower_oidc::LoginLayer;

async fn page(_: Request<Vec<u8>>) -> Result<Response<http_body_util::Full<Bytes>>, Infallible> {
    loop {}
}

fn served(layer: LoginLayer) -> impl Service<Request<Vec<u8>>> {
    layer.layer(service_fn(page))
}

fn main() {
    let _ = served;
}
