//! cannot tell whether a body of type
//! choose another rule by `OutboundLayer::with_repeat`: `Never`

use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tower_oidc::OutboundLayer;

async fn call(request: http::Request<Incoming>) {
    let http: Client<HttpConnector, Incoming> = Client::builder(TokioExecutor::new()).build_http();
    let mut client = OutboundLayer::relay("https://orders.internal")
        .unwrap()
        .around(http);
    let _ = client.send(request).await;
}

fn main() {
    let _ = call;
}
