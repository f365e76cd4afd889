//! Paths that are open to everyone: what the layer leaves alone, and what it does not.

use std::sync::Arc;

use http::header::{CACHE_CONTROL, LOCATION, SET_COOKIE, VARY};
use http::{Method, StatusCode};
use tower::{Layer, ServiceExt};
use tower_oidc::testing::{Endpoint, Fault};
use tower_oidc::{ConfigError, LoginErrorKind as Kind, RequireLayer, Session};

use crate::browser::{App, Browser, SESSION, builder, failure, location};
use crate::faulty_store::FaultyStore;
use crate::support::{API, Answer, Inner};

const OPEN: [&str; 3] = ["/healthz", "/assets/", "/oauth/"];

async fn start() -> App {
    App::start_with(|login| login.with_open_paths(OPEN)).await
}

fn is_untouched(answer: &Answer) -> bool {
    let headers = answer.headers();
    let touched = [VARY, CACHE_CONTROL, SET_COOKIE, LOCATION];
    answer.status() == StatusCode::OK
        && answer.body() == "nobody"
        && !touched.iter().any(|name| headers.contains_key(name))
}

// SC-17
#[tokio::test]
async fn an_open_path_passes_as_if_the_layer_were_not_there() {
    let app = start().await;
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    let mut unreadable = Browser::default();
    unreadable.jar.insert(SESSION.to_owned(), "x".to_owned());
    for path in ["/healthz", "/healthz?a=b", "/assets/", "/assets/a/b.css"] {
        for mut visitor in [browser.clone(), unreadable.clone(), Browser::default()] {
            assert!(is_untouched(&visitor.visit(&app, path).await), "{path}");
            assert!(is_untouched(&visitor.fetch(&app, path).await), "{path}");
            let head = visitor.script(Method::HEAD, path);
            assert!(is_untouched(&visitor.send(&app.service(), head).await));
        }
    }
    assert!(app.last.lock().unwrap().is_none(), "no session was shown");
    let answer = browser.visit(&app, "/").await;
    assert_eq!(answer.body(), "user-1");
    assert!(answer.headers().contains_key(VARY));
}

// SC-17
#[tokio::test]
async fn an_open_path_asks_neither_the_store_nor_the_provider() {
    let app = start().await;
    let store = Arc::new(FaultyStore::new(Arc::clone(&app.store)));
    let layer = builder(&app.verifier)
        .with_shared_store(store.clone())
        .with_open_paths(OPEN)
        .build()
        .unwrap();
    let service = layer.layer(app.inner.clone());
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    app.hour_passes();
    app.idp.set_fault(Endpoint::Token, Fault::Status(500));
    let hits = app.idp.hits().token;
    store.break_down();
    let request = browser.navigation("/assets/app.css");
    assert!(is_untouched(&browser.send(&service, request).await));
    let request = browser.navigation("/");
    let answer = browser.send(&service, request).await;
    assert_eq!(failure(&answer), Some(Kind::StoreUnavailable));
    store.recover();
    let request = browser.navigation("/assets/app.css");
    assert!(is_untouched(&browser.send(&service, request).await));
    assert_eq!(app.idp.hits().token, hits);
}

// SC-17
#[tokio::test]
async fn no_caller_is_known_on_an_open_path_whoever_said_so() {
    let app = start().await;
    let token = app.idp.token(API).scope("orders:read").build();
    let principal = app.verifier.verify(&token).await.unwrap();
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    browser.visit(&app, "/").await;
    let session: Session = app.session();
    let inner = RequireLayer::scope("orders:read")
        .unwrap()
        .layer(app.inner.clone());
    let requiring = app.layer.layer(Inner::new(inner));
    for (path, is_open) in [("/healthz", true), ("/orders", false)] {
        let request = || {
            let mut request = Browser::default().navigation(path);
            request.extensions_mut().insert(principal.clone());
            request.extensions_mut().insert(session.clone());
            request
        };
        let answer = app.service().oneshot(request()).await.unwrap();
        assert_eq!(answer.body() == "nobody", is_open, "{path}");
        let answer = requiring.clone().oneshot(request()).await.unwrap();
        let expected = if is_open {
            StatusCode::UNAUTHORIZED
        } else {
            StatusCode::OK
        };
        assert_eq!(answer.status(), expected, "{path}");
        assert!(!answer.headers().contains_key(LOCATION), "{path}");
    }
}

// SC-17
#[tokio::test]
async fn everything_else_is_as_closed_as_before() {
    let app = start().await;
    for path in [
        "/",
        "/healthz/",
        "/healthzx",
        "/assets",
        "/HEALTHZ",
        "/assets/../api",
        "/assets/%2e%2e/api",
        "/assets/%252e%252E/api",
        "/assets//api",
        "/assets/a%5C..%5Capi",
    ] {
        let answer = Browser::default().visit(&app, path).await;
        assert!(
            location(&answer).starts_with("/oauth/openid?return_to="),
            "{path}"
        );
        let answer = Browser::default().fetch(&app, path).await;
        assert_eq!(failure(&answer), Some(Kind::NotSignedIn), "{path}");
    }
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let browser = Browser::default();
        let request = browser.script(method.clone(), "/assets/app.css");
        let answer = browser.clone().send(&app.service(), request).await;
        assert_eq!(failure(&answer), Some(Kind::NotSignedIn), "{method}");
    }
}

// SC-17
#[tokio::test]
async fn own_paths_answer_though_an_open_prefix_contains_them() {
    let app = start().await;
    let mut browser = Browser::default();
    let answer = browser.fetch(&app, "/oauth/openid/callback").await;
    assert_eq!(failure(&answer), Some(Kind::MalformedCallback));
    let answer = browser.fetch(&app, "/oauth/openid/logout").await;
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    browser.sign_in(&app).await;
    let answer = browser.post(&app, "/oauth/openid/logout").await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert!(!browser.jar.contains_key(SESSION));
    assert!(is_untouched(&browser.visit(&app, "/oauth/other").await));
}

// SC-17
#[tokio::test]
async fn a_path_that_cannot_be_open_does_not_build() {
    let app = App::start().await;
    for bad in ["", "/", "healthz", "/a?b", "/a#b", "/a/../b", "/assets/*"] {
        let login = builder(&app.verifier).with_open_paths(["/healthz", bad]);
        let error: ConfigError = login.build().unwrap_err();
        assert_eq!(error.setting(), "open path", "{bad}");
    }
}
