//! Everything imported at once hides neither axum nor tonic, nor a module of the standard library.

use std::convert::Infallible;

use axum::Router;
use axum::routing::get;
use http::StatusCode;
use tonic::{Request, Status};
use tower::ServiceExt;
use tower_oidc::*;

async fn greet(principal: Option<Principal>) -> String {
    principal
        .as_ref()
        .and_then(Principal::subject)
        .unwrap_or("a stranger")
        .to_owned()
}

#[tokio::test]
async fn all_names_of_the_crate_stand_beside_axum_and_tonic() {
    let provider = Provider::discover("https://id.example").unwrap();
    let verifier = provider.verifier("https://api.example.com").unwrap();
    let site: Router = axum::Router::new()
        .route("/", get(greet))
        .layer(BearerLayer::new(verifier).allow_anonymous());
    let request = http::Request::get("/").body(axum::body::Body::empty());
    let answer: Result<_, Infallible> = site.oneshot(request.unwrap()).await;
    assert_eq!(answer.unwrap().status(), StatusCode::OK);

    let call = Request::new(());
    let refused: Result<_, Status> = grpc::principal(&call);
    assert_eq!(refused.unwrap_err().code(), tonic::Code::Internal);
    let error: std::io::Error = std::io::ErrorKind::NotFound.into();
    assert!(std::error::Error::source(&error).is_none());
}
