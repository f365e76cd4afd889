//! expected `Response<Body>`, found `Response<String>`

use axum::{Router, routing::get};
use http::Response;
use tower_oidc::{BearerLayer, Rejection};

fn app(bearer: BearerLayer) -> Router {
    let bearer = bearer.on_refusal(|_: &Rejection| Response::new("no".to_owned()));
    Router::new().route("/", get(|| async {})).layer(bearer)
}

fn main() {
    let _ = app;
}
