//! compiles

use axum::{Router, body::Body, routing::get};
use http::Response;
use tower_oidc::LoginLayer;

fn app(login: LoginLayer) -> Router {
    let login = login.on_page(|page| Response::new(Body::from(page.title().to_owned())));
    Router::new().route("/", get(|| async {})).layer(login)
}

fn main() {
    let _ = app;
}
