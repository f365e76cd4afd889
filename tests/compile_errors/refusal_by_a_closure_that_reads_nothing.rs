//! compiles

use axum::{Router, body::Body, routing::get};
use http::Response;
use tower_oidc::BearerLayer;

fn app(bearer: BearerLayer) -> Router {
    let bearer = bearer.on_refusal(|_| Response::new(Body::empty()));
    Router::new().route("/", get(|| async {})).layer(bearer)
}

fn main() {
    let _ = app;
}
