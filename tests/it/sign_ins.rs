//! What providers and browsers do that a sign-in must not fail for.

use std::sync::Arc;

use http::header::{ACCEPT, SET_COOKIE};
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use tower::Layer;
use tower_oidc::login::{LoginBuilder, MemoryStore};
use tower_oidc::testing::TokenBuilder;
use tower_oidc::{KeyRing, LoginError, LoginErrorKind as Kind, LoginLayer};

use crate::browser::{App, Browser, SESSION, SITE, client, failure, location, with};

/// Claims of an ID token.
type Claims = Vec<(&'static str, Value)>;

const LOGOUT: &str = "/oauth/openid/logout";

/// Signs in while the ID tokens have these claims, and returns the error if that fails.
async fn sign_in_with(app: &App, claims: &[(&'static str, Value)]) -> Result<(), LoginError> {
    let claims = claims.to_vec();
    app.idp.edit_id_token(move |token| {
        let edit = |token: TokenBuilder, (name, value): &(&str, Value)| token.claim(name, value);
        claims.iter().fold(token, edit)
    });
    let answer = Browser::default().try_sign_in(app).await;
    if let Some(error) = answer.extensions().get::<LoginError>() {
        return Err(error.clone());
    }
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    Ok(())
}

// ID-02, ID-03
#[tokio::test]
async fn further_audiences_count_where_azp_is_the_client_or_they_are_listed() {
    let both = json!(["development", "2712@shop"]);
    let three = json!(["development", "2712@shop", "evil"]);
    let here = json!("development");
    let listing = |login: LoginBuilder| login.add_additional_audience("2712@shop");
    let (plain, listing) = (App::start().await, App::start_with(listing).await);
    // Whether it is accepted without and with the list.
    let cases: [(&str, Claims, bool, bool); 9] = [
        (
            "Zitadel",
            vec![("aud", both.clone()), ("azp", here.clone())],
            true,
            true,
        ),
        ("no azp", vec![("aud", both.clone())], false, true),
        (
            "azp null",
            vec![("aud", both.clone()), ("azp", Value::Null)],
            false,
            true,
        ),
        (
            "azp of another type",
            vec![("aud", both.clone()), ("azp", json!(["development"]))],
            false,
            true,
        ),
        (
            "another azp",
            vec![("aud", both), ("azp", json!("2712@shop"))],
            false,
            false,
        ),
        (
            "one that is not listed",
            vec![("aud", three.clone())],
            false,
            false,
        ),
        (
            "the same with azp",
            vec![("aud", three), ("azp", here)],
            true,
            true,
        ),
        (
            "another azp, one audience",
            vec![("azp", json!("evil"))],
            false,
            false,
        ),
        (
            "not this client",
            vec![("aud", json!(["2712@shop"]))],
            false,
            false,
        ),
    ];
    for (name, claims, without_list, with_list) in cases {
        for (app, expected) in [(&plain, without_list), (&listing, with_list)] {
            let result = sign_in_with(app, &claims).await;
            assert_eq!(result.is_ok(), expected, "{name}: {result:?}");
            if let Err(error) = result {
                assert_eq!(error.kind(), Kind::IdTokenRefused, "{name}");
            }
        }
    }
    let error = sign_in_with(&plain, &[("aud", json!(["development", "x"]))]).await;
    let remedy = error.unwrap_err().remedy();
    assert!(remedy.contains("OPENID_ADDITIONAL_AUDIENCES"), "{remedy}");
}

// ID-03
#[tokio::test]
async fn an_optional_claim_of_another_type_counts_as_absent() {
    let app = App::start().await;
    for (name, value) in [
        ("auth_time", json!("1700000000")),
        ("auth_time", json!(1_700_000_000.5)),
        ("auth_time", json!({})),
        ("acr", json!(1)),
        ("acr", json!(["1"])),
        ("sid", json!(4711)),
        ("sid", Value::Null),
        ("azp", json!(["development"])),
        ("azp", json!(7)),
        ("jti", json!(7)),
        ("client_id", json!(["development"])),
    ] {
        let result = sign_in_with(&app, &[(name, value.clone())]).await;
        assert!(result.is_ok(), "{name} = {value}: {result:?}");
    }
    // What is asked for is refused by its name.
    let asking = App::start_with(|login| {
        use tower_oidc::login::PassedParameter::{AcrValues, MaxAge};
        login.pass_through(AcrValues).pass_through(MaxAge)
    })
    .await;
    for (start, claim, value) in [
        ("/oauth/openid?acr_values=1", "acr", json!(1)),
        ("/oauth/openid?max_age=60", "auth_time", json!("1700000000")),
        ("/oauth/openid", "nonce", json!(7)),
        ("/oauth/openid", "at_hash", json!(7)),
        ("/oauth/openid", "sub", json!(7)),
    ] {
        let found = value.clone();
        asking
            .idp
            .edit_id_token(move |token| token.claim(claim, &found));
        let mut browser = Browser::default();
        let callback = browser.reach_callback(&asking, start).await;
        let answer = browser.visit(&asking, &callback).await;
        assert_eq!(failure(&answer), Some(Kind::IdTokenRefused), "{claim}");
        let error = answer.extensions().get::<LoginError>().unwrap();
        let cause = std::error::Error::source(error).unwrap().to_string();
        assert!(cause.contains(claim), "{cause}");
    }
}

// LG-16
#[tokio::test]
async fn service_workers_and_web_views_are_sent_to_the_sign_in() {
    let app = App::start().await;
    let sent = |fields: &[(&'static str, &str)], path: &str| {
        let mut request = Request::get(path).header(ACCEPT, "text/html");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(String::new()).unwrap()
    };
    for path in ["/inbox", "/oauth/openid"] {
        for (fields, expected) in [
            (
                &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "empty")][..],
                true,
            ),
            (&[("x-requested-with", "com.example.app")], true),
            (
                &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")],
                false,
            ),
            (
                &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")],
                false,
            ),
        ] {
            let mut browser = Browser::default();
            let answer = browser.send(&app.service(), sent(fields, path)).await;
            let is_redirect = answer.status() == StatusCode::SEE_OTHER;
            assert_eq!(is_redirect, expected, "{path} {fields:?}");
        }
    }
    let script = sent(&[("x-requested-with", "XMLHttpRequest")], "/inbox");
    let answer = Browser::default().send(&app.service(), script).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
}

// LG-10, LG-11
#[tokio::test]
async fn deep_links_are_kept_through_a_sign_in() {
    let app = App::start().await;
    let long = "q".repeat(3_000);
    for (asked, expected) in [
        ("/search?q=one%0Atwo%09three", "/search?q=one%0Atwo%09three"),
        ("/search?q=C%3A%5Ctemp", "/search?q=C%3A%5Ctemp"),
        ("/search?q=a%20b&r=%2F%2Fx", "/search?q=a%20b&r=%2F%2Fx"),
        ("/caf%C3%A9?x=%25", "/caf%C3%A9?x=%25"),
        (&*format!("/messages/7?{long}"), "/messages/7"),
        ("/..//evil.example", "/"),
        ("/.//evil.example", "/"),
        ("/%2e//evil.example", "/"),
    ] {
        let mut browser = Browser::default();
        let answer = browser.visit(&app, asked).await;
        let start = location(&answer).to_owned();
        let callback = browser.reach_callback(&app, &start).await;
        let answer = browser.visit(&app, &callback).await;
        assert_eq!(location(&answer), expected, "{asked}");
    }
    for (start, expected) in [
        ("/oauth/openid?return_to=/search?q=a%20b", "/search?q=a%20b"),
        ("/oauth/openid?return_to=/caf%C3%A9", "/caf%C3%A9"),
        ("/oauth/openid?return_to=/oauth/./openid", "/"),
        ("/oauth/openid?return_to=/oauth/%2e/openid/logout", "/"),
        ("/oauth/openid?return_to=/a/../oauth/openid", "/"),
        ("/oauth/openid?return_to=/..//evil.example", "/"),
        ("/oauth/openid?return_to=/%252e//evil.example", "/"),
    ] {
        let mut browser = Browser::default();
        let callback = browser.reach_callback(&app, start).await;
        let answer = browser.visit(&app, &callback).await;
        assert_eq!(location(&answer), expected, "{start}");
    }
    // Back from a sign-out as well.
    let app = App::start_with(LoginBuilder::without_provider_sign_out).await;
    for (target, expected) in [
        ("/bye?q=%0A%5C", "/bye?q=%0A%5C"),
        ("/bye?q=a b", "/bye?q=a%20b"),
        (&*format!("/bye?{long}"), "/bye"),
        ("/..//evil.example", "/"),
    ] {
        let mut browser = Browser::default();
        browser.sign_in(&app).await;
        let path = with(LOGOUT, "return_to", Some(target));
        let answer = browser.post(&app, &path).await;
        assert_eq!(location(&answer), expected, "{target}");
    }
}

// D10
#[tokio::test]
async fn a_sign_out_resets_the_count_of_sign_ins() {
    let app = App::start().await;
    let mut browser = Browser::default();
    for _ in 0..10 {
        browser.sign_in(&app).await;
        browser.post(&app, LOGOUT).await;
        assert!(!browser.jar.contains_key(SESSION));
    }
    // The use of a session does not.
    for _ in 0..4 {
        browser.sign_in(&app).await;
        browser.fetch(&app, "/").await;
    }
    let answer = browser.visit(&app, "/oauth/openid").await;
    assert_eq!(failure(&answer), Some(Kind::SignInLoop));
    // Nor does a sign-out that ends no session.
    browser.jar.remove(SESSION);
    browser.post(&app, LOGOUT).await;
    let answer = browser.visit(&app, "/oauth/openid").await;
    assert_eq!(failure(&answer), Some(Kind::SignInLoop));
}

// SC-16
#[tokio::test]
async fn two_applications_on_one_host_leave_each_others_sessions_alone() {
    let one = App::start().await;
    let keys = KeyRing::new(["the secret of another application, as long"]).unwrap();
    let other = LoginLayer::builder(one.verifier.clone(), client(), SITE, keys)
        .with_shared_store(Arc::new(MemoryStore::new()))
        .build()
        .unwrap()
        .layer(one.inner.clone());
    let mut browser = Browser::default();
    browser.sign_in(&one).await;
    let kept = browser.jar[SESSION].clone();
    for request in [
        browser.script(Method::GET, "/"),
        browser.navigation("/"),
        browser.script(Method::POST, LOGOUT),
    ] {
        let answer = browser.clone().send(&other, request).await;
        assert!(!answer.headers().contains_key(SET_COOKIE), "{answer:?}");
    }
    assert_eq!(browser.fetch(&one, "/").await.status(), StatusCode::OK);
    assert_eq!(browser.jar[SESSION], kept);
    // Its own cookie is cleared once its session is gone.
    browser.post(&one, LOGOUT).await;
    browser.jar.insert(SESSION.to_owned(), kept);
    let answer = browser.fetch(&one, "/").await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert!(!browser.jar.contains_key(SESSION));
}
