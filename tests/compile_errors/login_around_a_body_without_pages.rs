//! `PlainPages` cannot make the pages of a service whose response body is
//! hand a closure `Fn(&Page)
//! to `LoginLayer::on_page`

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use tower::{Layer, Service, service_fn};
use tower_oidc::LoginLayer;

async fn page(_: Request<String>) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    loop {}
}

fn served(layer: LoginLayer) -> impl Service<Request<String>> {
    layer.layer(service_fn(page))
}

fn main() {
    let _ = served;
}
