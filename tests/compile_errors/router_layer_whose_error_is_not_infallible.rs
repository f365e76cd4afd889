//! `Infallible: From<Box<
//! `Router::<S>::layer`

use std::time::Duration;

use axum::{Router, routing::get};
use tower::ServiceBuilder;
use tower::timeout::TimeoutLayer;
use tower_oidc::BearerLayer;

fn app(bearer: BearerLayer) -> Router {
    let layers = ServiceBuilder::new()
        .layer(bearer)
        .layer(TimeoutLayer::new(Duration::from_secs(1)));
    Router::new().route("/", get(|| async {})).layer(layers)
}

fn main() {
    let _ = app;
}
