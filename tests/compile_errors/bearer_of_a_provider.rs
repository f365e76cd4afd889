//! expected `Verifier`, found `Provider`

use tower_oidc::{BearerLayer, Provider};

fn layer(provider: Provider) -> BearerLayer {
    BearerLayer::new(provider)
}

fn main() {
    let _ = layer;
}
