//! is not implemented for `reqwest::Client`
//! `HttpClient::new`

use tower_oidc::HttpClient;

fn main() {
    let _ = HttpClient::new(reqwest::Client::new());
}
