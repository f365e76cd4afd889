//! What scripts of a site are told of their session.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt};
use tower_oidc::login::{LoginLayer, OnPage, Page, PlainPages};
use tower_oidc::{Clock, KeyRing, LoginErrorKind as Kind};

use crate::browser::{App, Browser, SESSION, SITE, builder, client, failure};
use crate::faulty_store::FaultyStore;
use crate::log::Log;
use crate::support::{Answer, seconds};

const PATH: &str = "/oauth/openid/session";

async fn app() -> App {
    App::start_with(|login| {
        login
            .with_idle_limit(seconds(7_200))
            .with_session_information(["sub", "name", "unheard_of"])
    })
    .await
}

fn document(answer: &Answer) -> Value {
    serde_json::from_str(answer.body()).unwrap()
}

// SC-12, SC-13, SC-19
#[tokio::test]
async fn scripts_learn_how_their_session_stands_and_nothing_of_its_tokens() {
    let app = app().await;
    let mut browser = Browser::default();
    let answer = browser.fetch(&app, PATH).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    browser.sign_in(&app).await;
    let now = app.clock.now().as_seconds();
    let answer = browser.fetch(&app, PATH).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    assert_eq!(answer.headers()["vary"], "Cookie");
    assert!(!answer.headers().contains_key("set-cookie"));
    assert!(!answer.headers().contains_key("access-control-allow-origin"));
    let told = document(&answer);
    assert_eq!(told["claims"]["sub"], "user-1");
    assert_eq!(told["claims"].get("unheard_of"), None);
    assert_eq!(told["signed_in_at"], json!(now));
    assert_eq!(told["expires_at"], json!(now + 7_200));
    assert_eq!(told["ends_at"], json!(now + 86_400));
    assert_eq!(told["now"], json!(now));
    assert_eq!(told["sign_out"], "/oauth/openid/logout");
    for secret in ["eyJ", &browser.jar[SESSION][..16]] {
        assert!(!answer.body().contains(secret), "{}", answer.body());
    }
    let mut foreign = browser.script(Method::GET, PATH);
    let site = http::HeaderValue::from_static("cross-site");
    foreign.headers_mut().insert("sec-fetch-site", site);
    let answer = browser.clone().send(&app.service(), foreign).await;
    assert!(!answer.headers().contains_key("access-control-allow-origin"));

    for method in [Method::POST, Method::HEAD, Method::OPTIONS] {
        let request = browser.script(method, PATH);
        let answer = browser.clone().send(&app.service(), request).await;
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
    // Without the choice the path is the application's.
    let off = app.replica().layer(app.inner.clone());
    let request = browser.script(Method::GET, PATH);
    assert_eq!(browser.send(&off, request).await.body(), "user-1");
}

// SC-08, SC-19
#[tokio::test]
async fn asking_keeps_no_session_alive_unless_it_says_so() {
    let app = app().await;
    let (mut polling, mut active) = (Browser::default(), Browser::default());
    polling.sign_in(&app).await;
    active.sign_in(&app).await;
    for _ in 0..3 {
        app.clock.advance(seconds(1_800));
        let answer = polling.fetch(&app, PATH).await;
        assert_eq!(answer.status(), StatusCode::OK, "not refreshed, and lives");
        let answer = active
            .fetch(&app, &format!("{PATH}?keep_alive=false"))
            .await;
        assert_eq!(answer.status(), StatusCode::OK);
    }
    assert_eq!(app.idp.hits().refreshed, 0);
    let answer = active.fetch(&app, &format!("{PATH}?keep_alive=true")).await;
    let now = app.clock.now().as_seconds();
    assert_eq!(document(&answer)["expires_at"], json!(now + 7_200));
    assert_eq!(app.idp.hits().refreshed, 1);
    app.clock.advance(seconds(1_801));
    let answer = polling.fetch(&app, PATH).await;
    assert_eq!(failure(&answer), Some(Kind::SessionEnded));
    assert!(!polling.jar.contains_key(SESSION), "its cookie is cleared");
    assert_eq!(active.fetch(&app, PATH).await.status(), StatusCode::OK);
}

// SC-19
#[tokio::test]
async fn without_a_session_the_answer_is_a_document_for_programs() {
    let app = app().await;
    let browser = Browser::default();
    for request in [browser.script(Method::GET, PATH), browser.navigation(PATH)] {
        let answer = browser.clone().send(&app.service(), request).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        let told = document(&answer);
        assert_eq!(told["kind"], "not_signed_in");
        assert_eq!(told["sign_in"], "/oauth/openid?return_to=%2F");
    }
    // Doubt is not a verdict.
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    let store = std::sync::Arc::new(FaultyStore::new(app.store.clone()));
    let service = builder(&app.verifier)
        .with_shared_store(store.clone())
        .with_session_information(["sub"])
        .build()
        .unwrap()
        .layer(app.inner.clone());
    store.break_down();
    for query in ["", "?keep_alive=true"] {
        let request = browser.script(Method::GET, &format!("{PATH}{query}"));
        let answer = browser.send(&service, request).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.headers().contains_key("retry-after"));
        assert!(browser.jar.contains_key(SESSION));
    }
    let error = builder(&app.verifier)
        .with_session_information(["sub", " "])
        .build()
        .unwrap_err();
    assert_eq!(error.setting(), "session information");
}

// SC-19
#[tokio::test]
async fn pages_of_the_application_hold_the_document_if_they_can() {
    #[derive(Clone)]
    struct Own;
    impl OnPage<String> for Own {
        fn response(&self, page: &Page) -> http::Response<String> {
            http::Response::new(page.title().to_owned())
        }
        fn json(&self, document: &str) -> Option<http::Response<String>> {
            PlainPages::default().json(document)
        }
    }
    let app = app().await;
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    let request = || {
        let mut request = browser.script(Method::GET, PATH);
        request
            .headers_mut()
            .insert("origin", SITE.parse().unwrap());
        request
    };
    let own = app.layer.clone().with_pages(Own).layer(app.inner.clone());
    let answer = own.oneshot(request()).await.unwrap();
    assert_eq!(document(&answer)["claims"]["sub"], "user-1");
    let log = Log::default();
    let _guard = log.capture();
    let closure = |page: &Page| http::Response::new(page.title().to_owned());
    let closed = app.layer.clone().on_page(closure).layer(app.inner.clone());
    let answer = closed.oneshot(request()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(log.text().contains("OnPage::json"), "{}", log.text());
}

// SC-19, D20
#[tokio::test]
async fn a_session_that_cannot_be_used_here_is_not_told_of_and_keeps_its_cookie() {
    let app = App::identity(|login| login).await;
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    // Token mode now; and a replica that has no secret for it yet.
    let other = KeyRing::new(["another session secret of more than 32 characters"]).unwrap();
    let layers = [
        builder(&app.verifier),
        LoginLayer::builder(app.verifier.clone(), client(), SITE, other),
    ];
    for layer in layers {
        let layer = layer
            .with_shared_store(app.store.clone())
            .with_session_information(["sub"])
            .build()
            .unwrap();
        for path in [PATH, "/oauth/openid/session?keep_alive=true", "/"] {
            let request = browser.script(Method::GET, path);
            let answer = browser.send(&layer.layer(app.inner.clone()), request).await;
            assert_eq!(failure(&answer), Some(Kind::NotSignedIn), "{path}");
            assert!(browser.jar.contains_key(SESSION), "{path}");
        }
    }
    assert_eq!(browser.fetch(&app, "/").await.body(), "user-1");
}
