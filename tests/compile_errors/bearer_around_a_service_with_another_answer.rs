//! expected `Result<Response<_>, _>`, found `Result<String, Infallible>`

use std::convert::Infallible;

use http::Request;
use tower::{Layer, Service, service_fn};
use tower_oidc::BearerLayer;

async fn page(_: Request<String>) -> Result<String, Infallible> {
    Ok(String::new())
}

fn served(layer: BearerLayer) -> impl Service<Request<String>> {
    layer.layer(service_fn(page))
}

fn main() {
    let _ = served;
}
