//! The extractors, in a real router.

use ::axum::Router;
use ::axum::body::Body;
use ::axum::routing::get;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde::Deserialize;
use tower::ServiceExt;
use tower_oidc::{BearerLayer, Claims, Principal, RequireLayer};

use crate::support::Api;

#[derive(Deserialize)]
struct Tenant {
    org_id: String,
}

fn routes() -> Router {
    Router::new()
        .route(
            "/me",
            get(
                |principal: Principal| async move { principal.subject().unwrap_or("-").to_owned() },
            ),
        )
        .route(
            "/who",
            get(|principal: Option<Principal>| async move {
                principal
                    .as_ref()
                    .and_then(Principal::subject)
                    .unwrap_or("nobody")
                    .to_owned()
            }),
        )
        .route(
            "/tenant",
            get(|Claims(tenant): Claims<Tenant>| async move { tenant.org_id }),
        )
        .route(
            "/messages",
            get(|| async { "messages" }).route_layer(RequireLayer::scope("read").unwrap()),
        )
}

async fn ask(app: &Router, path: &str, token: Option<&str>) -> (StatusCode, String, Response<()>) {
    let mut request = Request::get(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let answer = app
        .clone()
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    (parts.status, text, Response::from_parts(parts, ()))
}

// F15
#[tokio::test]
async fn one_principal_for_every_route() {
    let api = Api::start().await;
    let app = routes().layer(api.bearer());
    let token = api.token().scope("read").claim("org_id", "acme").build();
    for (path, expected) in [
        ("/me", "user-1"),
        ("/who", "user-1"),
        ("/tenant", "acme"),
        ("/messages", "messages"),
    ] {
        let (status, body, _) = ask(&app, path, Some(&token)).await;
        assert_eq!(
            (status, body.as_str()),
            (StatusCode::OK, expected),
            "{path}"
        );
        assert_eq!(
            ask(&app, path, None).await.0,
            StatusCode::UNAUTHORIZED,
            "{path}"
        );
    }
}

#[tokio::test]
async fn extractors_where_anonymous_requests_are_allowed() {
    let api = Api::start().await;
    let app = routes().layer(api.bearer().allow_anonymous());
    assert_eq!(ask(&app, "/who", None).await.1, "nobody");
    for path in ["/me", "/tenant", "/messages"] {
        let (status, body, answer) = ask(&app, path, None).await;
        assert_eq!(
            (status, body.as_str()),
            (StatusCode::UNAUTHORIZED, ""),
            "{path}"
        );
        assert_eq!(
            answer.headers()["www-authenticate"],
            r#"Bearer realm="https://api.example.com""#
        );
        assert_eq!(answer.headers()["cache-control"], "no-store");
    }
    assert_eq!(
        ask(&app, "/who", Some("bad")).await.0,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn claims_that_do_not_fit_are_a_403_without_their_values() {
    let api = Api::start().await;
    let app = routes().layer(api.bearer());
    for token in [
        api.token().build(),
        api.token().claim("org_id", 4711).build(),
    ] {
        let (status, body, _) = ask(&app, "/tenant", Some(&token)).await;
        assert_eq!((status, body.as_str()), (StatusCode::FORBIDDEN, ""));
    }
}

#[tokio::test]
async fn a_missing_layer_is_a_500_that_names_it() {
    let app = routes();
    for path in ["/me", "/who", "/tenant", "/messages"] {
        let (status, body, _) = ask(&app, path, Some("x")).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
        if path != "/messages" {
            assert!(body.contains("BearerLayer"), "{path}: {body}");
        }
    }
}

#[tokio::test]
async fn layers_go_around_routes_nests_and_fallbacks() {
    let api = Api::start().await;
    let layer: BearerLayer = api.bearer();
    let app = Router::new()
        .nest("/v1", routes())
        .fallback(|| async { "lost" })
        .layer(layer);
    let token = api.token().build();
    assert_eq!(ask(&app, "/v1/me", Some(&token)).await.1, "user-1");
    assert_eq!(ask(&app, "/nowhere", Some(&token)).await.1, "lost");
    assert_eq!(
        ask(&app, "/nowhere", None).await.0,
        StatusCode::UNAUTHORIZED
    );
}
