//! Consider using `#[axum::debug_handler]`

use axum::{Router, routing::get};
use tower_oidc::Claims;

struct Tenant {
    org_id: String,
}

async fn page(Claims(tenant): Claims<Tenant>) -> String {
    tenant.org_id
}

fn main() {
    let _: Router = Router::new().route("/", get(page));
}
