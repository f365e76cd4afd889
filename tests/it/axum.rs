//! The extractors, in a real router.

use ::axum::Router;
use ::axum::body::Body;
use ::axum::routing::get;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde::Deserialize;
use tower::ServiceExt;
use tower_oidc::{
    BearerLayer, Claims, LoginError, LoginErrorKind, LoginLayer, Principal, RequireLayer,
};

use crate::browser::App;
use crate::log::Log;
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

async fn navigate(app: &Router, path: &str) -> Response<Body> {
    let request = Request::get(path).header("accept", "text/html");
    let request = request.body(Body::empty()).unwrap();
    app.clone().oneshot(request).await.unwrap()
}

// LG-11
#[tokio::test]
async fn a_sign_in_below_a_prefix_is_an_error_at_the_first_request() {
    let site = App::start().await;
    let login: LoginLayer = site.layer.clone();
    let pages = || {
        Router::new()
            .route("/page", get(|| async { "page" }))
            .fallback(|| async { "lost" })
    };
    let within = pages().layer(login.clone());
    for app in [
        Router::new().nest("/app", within.clone()),
        Router::new().nest_service("/app", within.clone()),
        Router::new().nest("/a", Router::new().nest("/app", within)),
    ] {
        let log = Log::default();
        let _guard = log.capture();
        for path in ["/app/page", "/app/oauth/openid", "/a/app/page"] {
            let answer = navigate(&app, path).await;
            if answer.status() == StatusCode::NOT_FOUND {
                continue;
            }
            assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR, "{path}");
            let error = answer.extensions().get::<LoginError>().unwrap();
            assert_eq!(error.kind(), LoginErrorKind::Misplaced);
            assert!(error.remedy().contains("outermost router"));
            let prefix = path.trim_end_matches("/page");
            let prefix = prefix.trim_end_matches("/oauth/openid");
            assert!(
                log.text().contains(&format!("prefix=\"{prefix}\"")),
                "{}",
                log.text()
            );
        }
        assert!(log.text().contains("nested below a prefix"));
    }
    // Around all of them it works.
    let app = Router::new().nest("/app", pages()).layer(login);
    let answer = navigate(&app, "/app/page").await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let start = answer.headers()["location"].to_str().unwrap();
    assert_eq!(start, "/oauth/openid?return_to=%2Fapp%2Fpage");
    let answer = navigate(&app, start).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_start_path_that_none_reaches_is_named_in_the_log() {
    let login = App::start().await.layer;
    let pages = || Router::new().route("/page", get(|| async { "page" }));
    const SAID: &str = "none has come there";
    let log = Log::default();
    let _guard = log.capture();
    let app = pages().layer(login);
    for _ in 0..20 {
        navigate(&app, "/page").await;
        navigate(&app, "/oauth/openid").await;
    }
    assert!(!log.text().contains(SAID));
    let app = pages().route_layer(App::start().await.layer);
    for _ in 0..20 {
        assert_eq!(
            navigate(&app, "/page").await.status(),
            StatusCode::SEE_OTHER
        );
        let answer = navigate(&app, "/oauth/openid").await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    }
    assert_eq!(log.text().matches(SAID).count(), 1);
}
