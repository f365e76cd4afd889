//! The extractors, in a real router.

use ::axum::Router;
use ::axum::body::Body;
use ::axum::routing::{MethodRouter, get, post};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde::Deserialize;
use tower::ServiceExt;
use tower_oidc::login::LoginSet;
use tower_oidc::{
    BearerLayer, Claims, KeyRing, LoginError, LoginErrorKind, LoginLayer, Principal, Rejection,
    RejectionKind, RequireLayer,
};
use tracing::Level;

use crate::browser::{App, SECRET, SITE, builder, client};
use crate::log::Log;
use crate::support::{Api, seconds};

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

// BT-21
#[tokio::test]
async fn callers_cannot_fill_the_log_by_what_does_not_fit_or_is_missing() {
    let api = Api::start().await;
    let app = routes().layer(api.bearer());
    // Without the layer that verifies.
    let forgotten = routes();
    let log = Log::default();
    let _capturing = log.capture();
    let told = |about: &str| {
        let loud = [tracing::Level::ERROR, tracing::Level::WARN];
        let lines = loud.into_iter().flat_map(|level| log.at(level));
        lines.filter(|line| line.contains(about)).count()
    };
    for lines in 1..=2 {
        for n in 0..20 {
            let token = api.token().subject(&format!("user-{n}")).build();
            let (status, ..) = ask(&app, "/tenant", Some(&token)).await;
            assert!(!status.is_success(), "{status}");
        }
        assert_eq!(told("Tenant"), lines, "{}", log.text());
        api.clock.advance(seconds(10));
    }
    for _ in 0..20 {
        let (status, ..) = ask(&forgotten, "/messages", None).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    }
    assert_eq!(told("BearerLayer"), 1, "{}", log.text());
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
async fn claims_that_do_not_fit_are_a_500_that_only_the_log_explains() {
    let api = Api::start().await;
    let app = routes().layer(api.bearer());
    for (token, reason) in [
        (api.token().build(), "org_id is missing"),
        (
            api.token().claim("org_id", 4711).build(),
            "org_id is a whole number, not a string",
        ),
    ] {
        let log = Log::default();
        let capturing = log.capture();
        let (status, body, answer) = ask(&app, "/tenant", Some(&token)).await;
        assert_eq!(
            (status, body.as_str()),
            (StatusCode::INTERNAL_SERVER_ERROR, "")
        );
        assert!(!answer.headers().contains_key("www-authenticate"));
        assert_eq!(answer.headers()["cache-control"], "no-store");
        let rejection = answer.extensions().get::<Rejection>().unwrap();
        assert_eq!(rejection.kind(), RejectionKind::UnexpectedClaims);
        // The second line within ten seconds is for debugging.
        ask(&app, "/tenant", Some(&token)).await;
        drop(capturing);
        let errors = log.at(Level::ERROR);
        assert_eq!(errors.len(), 1, "{errors:?}");
        for part in [reason, "Tenant", "GET /tenant", "RequireLayer"] {
            assert!(errors[0].contains(part), "{part}: {errors:?}");
        }
        assert!(!log.text().contains("4711"));
        api.clock.advance(std::time::Duration::from_secs(10));
    }
}

#[tokio::test]
async fn a_missing_layer_is_a_500_that_names_it() {
    let app = routes();
    for (path, needed_by) in [
        ("/me", "the extractor Principal"),
        ("/who", "the extractor Option<Principal>"),
        ("/tenant", "the extractor Claims"),
        ("/messages", "RequireLayer"),
    ] {
        let log = Log::default();
        let capturing = log.capture();
        let (status, body, _) = ask(&app, path, Some("x")).await;
        drop(capturing);
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
        if path != "/messages" {
            assert!(body.contains("BearerLayer"), "{path}: {body}");
        }
        let errors = log.at(Level::ERROR);
        assert_eq!(errors.len(), 1, "{errors:?}");
        let route = format!("GET {path}");
        for part in [
            "missing, or it is inside",
            needed_by,
            &route,
            ".layer(BearerLayer).layer(RequireLayer).service(handler)",
            "get(handler).route_layer(RequireLayer)).layer(BearerLayer)",
        ] {
            assert!(errors[0].contains(part), "{part}: {errors:?}");
        }
        assert!(!errors[0].contains("LoginLayer"), "{errors:?}");
    }
}

#[tokio::test]
async fn a_layer_in_the_wrong_place_is_told_like_a_missing_one() {
    let api = Api::start().await;
    // The layer that is added last is outermost, so no layer has verified the caller yet.
    let app = routes()
        .layer(api.bearer())
        .layer(RequireLayer::scope("read").unwrap());
    let log = Log::default();
    let capturing = log.capture();
    let token = api.token().scope("read").build();
    for _ in 0..3 {
        assert_eq!(ask(&app, "/me", Some(&token)).await.0, 500);
    }
    drop(capturing);
    let errors = log.at(Level::ERROR);
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains("or it is inside"), "{errors:?}");
}

#[tokio::test]
async fn a_site_is_told_of_its_own_layer_and_the_unknown_of_both() {
    for (fields, layer) in [
        (&[("cookie", "a=b")][..], "LoginLayer"),
        (&[("sec-fetch-mode", "navigate")], "LoginLayer"),
        (
            &[("cookie", "a=b"), ("authorization", "Bearer x")],
            "BearerLayer",
        ),
        (&[], "BearerLayer or LoginLayer"),
    ] {
        let mut request = Request::get("/me");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        let answer = routes().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let rejection = answer.extensions().get::<Rejection>().unwrap();
        assert_eq!(rejection.kind(), RejectionKind::MissingLayer(layer));
    }
}

// D25
#[tokio::test]
async fn each_method_of_a_route_has_its_own_requirement() {
    let api = Api::start().await;
    let scope = |scope: &str| RequireLayer::scope(scope).unwrap();
    let (list, create) = (|| async { "list" }, || async { "create" });
    let of = |route: MethodRouter| Router::new().route("/", route).layer(api.bearer());
    let ask = async |app: &Router, method: Method, granted: &str| {
        let token = api.token().scope(granted).build();
        let request = Request::builder().method(method).uri("/");
        let request = request.header("authorization", format!("Bearer {token}"));
        let request = request.body(Body::empty()).unwrap();
        app.clone().oneshot(request).await.unwrap().status()
    };
    // The right form: each method with its layer, then merged; or routed one by one.
    let merged = of(get(list)
        .route_layer(scope("read"))
        .merge(post(create).route_layer(scope("write"))));
    let one_by_one = Router::new()
        .route("/", get(list).route_layer(scope("read")))
        .route("/", post(create).route_layer(scope("write")))
        .layer(api.bearer());
    for app in [merged, one_by_one] {
        for (method, granted, status) in [
            (Method::GET, "read", 200),
            (Method::HEAD, "read", 200),
            (Method::GET, "write", 403),
            (Method::HEAD, "write", 403),
            (Method::POST, "write", 200),
            (Method::POST, "read", 403),
        ] {
            let found = ask(&app, method.clone(), granted).await;
            assert_eq!(found, status, "{method} {granted}");
        }
    }
    // A second layer is around the first method too, and a method behind a layer is outside of it.
    let chained = of(get(list)
        .route_layer(scope("read"))
        .post(create)
        .route_layer(scope("write")));
    assert_eq!(ask(&chained, Method::GET, "read").await, 403);
    assert_eq!(ask(&chained, Method::GET, "read write").await, 200);
    let behind = of(get(list).route_layer(scope("read")).post(create));
    assert_eq!(ask(&behind, Method::POST, "other").await, 200);
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
    let set = LoginSet::new("/login", [builder(&site.verifier)]).unwrap();
    let app = Router::new().nest("/app", pages().layer(set.clone()));
    for path in ["/app/page", "/app/oauth/openid"] {
        let status = navigate(&app, path).await.status();
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
    }
    let app = Router::new().nest("/app", pages());
    let app = app.route("/login", get(|| async { "choose" })).layer(set);
    let answer = navigate(&app, "/app/page").await;
    let choice = answer.headers()["location"].to_str().unwrap();
    assert_eq!(choice, "/login?return_to=%2Fapp%2Fpage");
    assert_eq!(navigate(&app, choice).await.status(), StatusCode::OK);
    // Where the address has the prefix, the router that takes it off is like a proxy.
    let keys = KeyRing::new([SECRET]).unwrap();
    let address = format!("{SITE}/app");
    let below = LoginLayer::builder(site.verifier.clone(), client(), &address, keys);
    let below = below.build().unwrap();
    let app = Router::new().nest_service("/app", pages().layer(below));
    let answer = navigate(&app, "/app/page").await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let start = answer.headers()["location"].to_str().unwrap();
    assert_eq!(start, "/app/oauth/openid?return_to=%2Fapp%2Fpage");
    let answer = navigate(&app, start).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
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
    const SAID: &str = "none has come there";
    let login = App::start().await.layer;
    let pages = || Router::new().route("/page", get(|| async { "page" }));
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
    // Browsers follow redirects at once, but two tabs may be sent at the same time.
    let site = App::start().await;
    let app = pages().route_layer(site.layer.clone());
    for (waits, told) in [(0, 1), (2, 1), (1, 2), (5, 2)] {
        site.clock.advance(seconds(waits));
        let request = Request::get("/page").header("sec-fetch-mode", "navigate");
        let request = request.body(Body::empty()).unwrap();
        app.clone().oneshot(request).await.unwrap();
        assert_eq!(log.text().matches(SAID).count(), told, "{waits}");
    }
}
