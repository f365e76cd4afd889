//! `&str` gives out no tokens
//! for one token `OutboundLayer::fixed`

use tower_oidc::OutboundLayer;

fn main() {
    let _ = OutboundLayer::new("https://orders.internal", "a token");
}
