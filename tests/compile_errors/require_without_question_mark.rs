//! is not implemented for `Result<RequireLayer, ConfigError>`

use axum::{Router, routing::get};
use tower_oidc::RequireLayer;

fn main() {
    let app: Router = Router::new().route(
        "/",
        get(page).route_layer(RequireLayer::scope("read:messages")),
    );
    drop(app);
}

async fn page() {}
