//! `HttpClient::new`

use axum::body::Body;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tower_oidc::HttpClient;

fn main() {
    let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build_http();
    let _ = HttpClient::new(client);
}
