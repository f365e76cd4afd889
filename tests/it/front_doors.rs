//! The ways in beside the usual one: answers that are posted, sign-ins that another site begins, and parameters that
//! are pushed ahead.

use http::header::{CONTENT_TYPE, SET_COOKIE};
use http::{Method, Request, StatusCode};
use tower_oidc::login::LoginBuilder;
use tower_oidc::testing::Endpoint;
use tower_oidc::{KeyRing, LoginErrorKind as Kind, LoginLayer};

use crate::browser::{
    App, Browser, SECRET, SESSION, SITE, builder, client, failure, location, query,
};

const FORM: &str = "application/x-www-form-urlencoded";
const CALLBACK: &str = "/oauth/openid/callback";

/// A POST that a page of another site makes the browser send: it brings the cookies that are `SameSite=None`, which
/// are those of sign-ins.
fn posted(browser: &Browser, path: &str, content_type: &str, form: &str) -> Request<String> {
    let mut sent = browser.clone();
    sent.jar.retain(|name, _| name.contains("-login-"));
    sent.request(Method::POST, path)
        .header(CONTENT_TYPE, content_type)
        .header("accept", "text/html")
        .header("origin", "null")
        .header("sec-fetch-mode", "navigate")
        .header("sec-fetch-dest", "document")
        .header("sec-fetch-site", "cross-site")
        .body(form.to_owned())
        .unwrap()
}

/// Begins a sign-in whose answer is posted, and returns the form.
async fn begin(app: &App, browser: &mut Browser) -> String {
    let answer = browser.visit(app, "/oauth/openid?return_to=/a").await;
    assert_eq!(query(location(&answer))["response_mode"], "form_post");
    let field = answer.headers()[SET_COOKIE].to_str().unwrap();
    assert!(field.contains("SameSite=None; Secure"), "{field}");
    form_at_provider(location(&answer)).await
}

/// The form on the page of the provider that posts itself.
async fn form_at_provider(url: &str) -> String {
    let page = reqwest::get(url).await.unwrap().text().await.unwrap();
    assert!(
        page.contains(&format!("action=\"{SITE}{CALLBACK}\"")),
        "{page}"
    );
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    for field in page.split("<input type=\"hidden\" name=\"").skip(1) {
        let (name, rest) = field.split_once("\" value=\"").unwrap();
        form.append_pair(name, rest.split('"').next().unwrap());
    }
    form.finish()
}

// LG-25, SC-03, LG-14
#[tokio::test]
async fn a_posted_answer_signs_in_where_its_browser_began() {
    let app = App::start_with(LoginBuilder::with_form_post).await;
    let mut browser = Browser::default();
    let form = begin(&app, &mut browser).await;
    // Not by GET, and not in another browser.
    let by_get = browser
        .clone()
        .visit(&app, &format!("{CALLBACK}?{form}"))
        .await;
    assert_eq!(by_get.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(by_get.headers()["allow"], "POST");
    let mut other = Browser::default();
    let request = posted(&other, CALLBACK, FORM, &form);
    let answer = other.send(&app.service(), request).await;
    assert_eq!(failure(&answer), Some(Kind::UnknownAttempt));
    assert_eq!(app.idp.hits().token, 0);

    let request = posted(&browser, CALLBACK, &format!("{FORM}; charset=UTF-8"), &form);
    let answer = browser.send(&app.service(), request).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{}", answer.body());
    assert_eq!(location(&answer), "/a");
    for field in answer.headers().get_all(SET_COOKIE) {
        let field = field.to_str().unwrap();
        let is_attempt = field.contains("-login-");
        assert!(is_attempt || field.contains("SameSite=Lax"), "{field}");
    }
    assert_eq!(browser.fetch(&app, "/").await.body(), "user-1");
    // The same form once more spends nothing.
    let request = posted(&browser, CALLBACK, FORM, &form);
    let again = browser.clone().send(&app.service(), request).await;
    assert!(again.status().is_client_error());
    assert_eq!(app.idp.hits().token, 1);
    // Where answers come in the query, none is posted.
    let app = App::start().await;
    let request = posted(&browser, CALLBACK, FORM, &form);
    let answer = browser.send(&app.service(), request).await;
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
}

// LG-25, LG-12, LM-05
#[tokio::test]
async fn a_form_that_is_none_or_is_too_long_or_says_things_twice_is_refused() {
    let app = App::start_with(LoginBuilder::with_form_post).await;
    let mut browser = Browser::default();
    let form = begin(&app, &mut browser).await;
    let long = format!("{form}&x={}", "a".repeat(17_000));
    let with_query = format!("{CALLBACK}?state=x");
    let twice: Vec<_> = ["code=x", "state=x", "iss=x", "error=x&error=y"]
        .map(|more| format!("{form}&{more}"))
        .into();
    for (path, content_type, form, status) in [
        (CALLBACK, "text/plain", &form, 400),
        (CALLBACK, "application/json", &form, 400),
        (CALLBACK, "multipart/form-data", &form, 400),
        (&with_query, FORM, &form, 400),
        (CALLBACK, FORM, &long, 413),
        (CALLBACK, FORM, &String::new(), 400),
        (CALLBACK, FORM, &"%ff&=\u{e9}\0".to_owned(), 400),
        (CALLBACK, FORM, &twice[0], 400),
        (CALLBACK, FORM, &twice[1], 400),
        (CALLBACK, FORM, &twice[2], 400),
        (CALLBACK, FORM, &twice[3], 400),
    ] {
        let request = posted(&browser, path, content_type, form);
        let answer = browser.clone().send(&app.service(), request).await;
        assert_eq!(answer.status(), status, "{content_type} {path} {form}");
    }
    assert_eq!(app.idp.hits().token, 0);
    let request = posted(&browser, CALLBACK, FORM, &form);
    browser.send(&app.service(), request).await;
    assert!(browser.jar.contains_key(SESSION), "none of them used it up");
}

// D10, LG-25
#[tokio::test]
async fn the_loop_breaker_counts_posted_answers_too() {
    let app = App::start_with(LoginBuilder::with_form_post).await;
    let mut browser = Browser::default();
    for _ in 0..4 {
        let form = begin(&app, &mut browser).await;
        let request = posted(&browser, CALLBACK, FORM, &form);
        browser.send(&app.service(), request).await;
    }
    let answer = browser.visit(&app, "/oauth/openid").await;
    assert_eq!(failure(&answer), Some(Kind::SignInLoop));
}

// LG-25
#[tokio::test]
async fn posted_answers_need_https() {
    let app = App::start().await;
    let keys = || KeyRing::new([SECRET]).unwrap();
    let on = |address| LoginLayer::builder(app.verifier.clone(), client(), address, keys());
    assert!(on(SITE).with_form_post().build().is_ok());
    let plain = "http://localhost:3080";
    let error = on(plain).with_form_post().build().unwrap_err();
    assert_eq!(error.setting(), "response mode");
    assert!(error.to_string().contains("https"), "{error}");
}

/// Where a sign-in that another site begins comes back to, and its parameters at the provider.
async fn initiate(
    app: &App,
    parameters: &[(&str, &str)],
    by_post: bool,
) -> (Option<Kind>, String, String) {
    let mut text = url::form_urlencoded::Serializer::new(String::new());
    text.extend_pairs(parameters);
    let text = text.finish();
    let mut browser = Browser::default();
    let answer = if by_post {
        let request = posted(&browser, "/oauth/openid/initiate", FORM, &text);
        let answer = browser.send(&app.service(), request).await;
        match answer.status() {
            StatusCode::SEE_OTHER => browser.visit(app, location(&answer)).await,
            _ => answer,
        }
    } else {
        browser
            .visit(app, &format!("/oauth/openid/initiate?{text}"))
            .await
    };
    if answer.status() != StatusCode::SEE_OTHER {
        return (failure(&answer), String::new(), String::new());
    }
    let sent = query(location(&answer));
    let hint = sent.get("login_hint").cloned().unwrap_or_default();
    let callback = crate::browser::at_provider(location(&answer)).await;
    let answer = browser.visit(app, &callback).await;
    assert!(browser.jar.contains_key(SESSION), "{}", answer.body());
    (None, location(&answer).to_owned(), hint)
}

// LG-26, LG-10, LG-11
#[tokio::test]
async fn another_site_begins_a_sign_in_that_ends_on_this_one() {
    let app = App::start_with(LoginBuilder::allow_initiated_sign_in).await;
    let issuer = app.idp.issuer().to_owned();
    let here = |path: &str| format!("{SITE}{path}");
    for (target, expected) in [
        (here("/inbox?a=b#c"), "/inbox?a=b#c"),
        (here(""), "/"),
        ("/inbox".to_owned(), "/inbox"),
        ("https://evil.example/inbox".to_owned(), "/"),
        ("//evil.example/inbox".to_owned(), "/"),
        (here(".evil.example/inbox"), "/"),
        (here("@evil.example/inbox"), "/"),
        (here(":8443/inbox"), "/"),
        (here("//evil.example"), "/"),
        (here("/a/..//evil.example"), "/"),
        (here("/\\evil.example"), "/"),
        (here("/%2f/evil.example"), "/"),
        (here("/oauth/openid"), "/"),
        (here("/oauth/openid/logout"), "/"),
        ("http://app.example.com/inbox".to_owned(), "/"),
        ("javascript:alert(1)".to_owned(), "/"),
        ("https://user@app.example.com/inbox".to_owned(), "/"),
    ] {
        for by_post in [false, true] {
            let parameters = [
                ("iss", issuer.as_str()),
                ("target_link_uri", &target),
                ("login_hint", "ada@example.com"),
            ];
            let (failed, back_to, hint) = initiate(&app, &parameters, by_post).await;
            assert_eq!((failed, back_to.as_str()), (None, expected), "{target}");
            assert_eq!(hint, "ada@example.com");
        }
    }
}

// LG-26
#[tokio::test]
async fn forms_of_another_site_begin_no_sign_ins_without_count() {
    let app = App::start_with(LoginBuilder::allow_initiated_sign_in).await;
    let mut text = url::form_urlencoded::Serializer::new(String::new());
    text.append_pair("iss", app.idp.issuer());
    let text = text.finish();
    let path = "/oauth/openid/initiate";
    let mut browser = Browser::default();
    for _ in 0..40 {
        // Browsers send no Lax cookies along with a form of another site, and with the navigation after it they do.
        let request = posted(&Browser::default(), path, FORM, &text);
        let answer = browser.send(&app.service(), request).await;
        assert!(!answer.headers().contains_key(SET_COOKIE));
        assert_eq!(location(&answer), format!("{path}?{text}"));
        browser.visit(&app, location(&answer)).await;
    }
    let bytes: usize = browser.jar.values().map(String::len).sum();
    assert!(bytes < 6 * 1024, "{bytes} bytes of cookies");
    let long = format!("{text}&login_hint={}", "<".repeat(12_000));
    let request = posted(&browser, path, FORM, &long);
    let answer = browser.send(&app.service(), request).await;
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

// LG-26
#[tokio::test]
async fn another_provider_or_none_initiates_nothing() {
    let app = App::start_with(LoginBuilder::allow_initiated_sign_in).await;
    let issuer = app.idp.issuer().to_owned();
    let slash = format!("{issuer}/");
    let good = ("iss", issuer.as_str());
    for by_post in [false, true] {
        for parameters in [
            &[][..],
            &[("iss", "")],
            &[("iss", "https://evil.example")],
            &[("iss", slash.as_str())],
            &[good, good],
            &[good, ("iss", "https://evil.example")],
        ] {
            let (failed, ..) = initiate(&app, parameters, by_post).await;
            assert_eq!(failed, Some(Kind::InitiatorRefused), "{parameters:?}");
        }
        // What cannot be passed on is left out.
        let long = "a".repeat(257);
        for hint in ["", long.as_str(), "a\nb"] {
            let (failed, _, sent) = initiate(&app, &[good, ("login_hint", hint)], by_post).await;
            assert_eq!((failed, sent.as_str()), (None, ""), "{hint}");
        }
    }
    // Unless it is allowed, the path is the application's.
    let app = App::start().await;
    let (failed, ..) = initiate(&app, &[good], true).await;
    assert_eq!(failed, Some(Kind::NotSignedIn));
}

// LG-21
#[tokio::test]
async fn parameters_are_pushed_ahead_by_choice() {
    let app = App::start_with(|login| {
        login
            .with_pushed_authorization_requests()
            .add_parameter("ui_locales", "de")
    })
    .await;
    let mut browser = Browser::default();
    let answer = browser.visit(&app, "/oauth/openid").await;
    let sent = query(location(&answer));
    let names: Vec<_> = sent.keys().map(String::as_str).collect();
    assert_eq!(names, ["client_id", "request_uri"]);
    let callback = crate::browser::at_provider(location(&answer)).await;
    browser.visit(&app, &callback).await;
    assert!(browser.jar.contains_key(SESSION));
    // A provider that has no endpoint for it is not asked without it.
    let issuer = app.idp.issuer();
    app.idp.set_discovery(
        serde_json::json!({
            "issuer": issuer,
            "jwks_uri": app.idp.jwks_url(),
            "token_endpoint": app.idp.token_url(),
            "authorization_endpoint": format!("{issuer}/authorize"),
        })
        .to_string(),
    );
    let before = app.idp.seen(Endpoint::Authorization).len();
    let verifier = app
        .idp
        .provider()
        .unwrap()
        .verifier(crate::support::API)
        .unwrap();
    let layer = builder(&verifier).with_pushed_authorization_requests();
    let service = tower::Layer::layer(&layer.build().unwrap(), app.inner.clone());
    let request = Browser::default().navigation("/oauth/openid");
    let answer = Browser::default().send(&service, request).await;
    assert_eq!(failure(&answer), Some(Kind::Misconfigured));
    assert_eq!(app.idp.seen(Endpoint::Authorization).len(), before);
}

async fn silent() -> App {
    App::start_with(|login| {
        login
            .allow_anonymous()
            .with_silent_sign_in()
            .add_parameter("prompt", "consent")
    })
    .await
}

// LG-27, D10
#[tokio::test]
async fn a_visitor_is_asked_about_once_and_comes_back_without_a_page() {
    let app = silent().await;
    for error in [
        "login_required",
        "interaction_required",
        "consent_required",
        "account_selection_required",
        "access_denied",
        "server_error",
        "invalid_scope",
    ] {
        let mut browser = Browser::default();
        let answer = browser.visit(&app, "/page?a=b").await;
        assert_eq!(
            location(&answer),
            "/oauth/openid?return_to=%2Fpage%3Fa%3Db&silent=true"
        );
        let start = location(&answer).to_owned();
        let answer = browser.visit(&app, &start).await;
        assert!(location(&answer).contains("prompt=none"));
        assert!(!location(&answer).contains("consent&") && !location(&answer).ends_with("consent"));
        let callback = crate::browser::at_provider(location(&answer)).await;
        let callback = crate::browser::with(&callback, "code", None);
        let callback = crate::browser::with(&callback, "error", Some(error));
        let answer = browser.visit(&app, &callback).await;
        assert_eq!(location(&answer), "/page?a=b", "{error}");
        assert!(browser.cookies_called("__Host-session-login").is_empty());
        for _ in 0..3 {
            assert_eq!(browser.visit(&app, "/page?a=b").await.body(), "nobody");
        }
        // Not even where the address of the question is opened again.
        assert_eq!(location(&browser.visit(&app, &start).await), "/page?a=b");
    }
    assert_eq!(app.idp.hits().token, 0);
    // A program, and a browser's script, are not sent anywhere.
    let mut browser = Browser::default();
    assert_eq!(browser.fetch(&app, "/page").await.body(), "nobody");
    let mut request = browser.navigation("/page");
    request.headers_mut().remove("sec-fetch-mode");
    let answer = browser.send(&app.service(), request).await;
    assert_eq!(answer.body(), "nobody");
}

// LG-27
#[tokio::test]
async fn a_known_visitor_is_signed_in_and_stays_out_after_signing_out() {
    let app = silent().await;
    let mut browser = Browser::default();
    let mut at = "/page".to_owned();
    for _ in 0..2 {
        at = location(&browser.visit(&app, &at).await).to_owned();
    }
    let callback = crate::browser::at_provider(&at).await;
    assert_eq!(location(&browser.visit(&app, &callback).await), "/page");
    assert_eq!(browser.visit(&app, "/page").await.body(), "user-1");
    browser.post(&app, "/oauth/openid/logout").await;
    assert_eq!(browser.visit(&app, "/page").await.body(), "nobody");

    // While the provider is away, an open page is served all the same.
    let app = silent().await;
    app.idp
        .set_fault(Endpoint::Discovery, tower_oidc::testing::Fault::Status(503));
    let mut browser = Browser::default();
    let start = location(&browser.visit(&app, "/page").await).to_owned();
    assert_eq!(location(&browser.visit(&app, &start).await), "/page");
    assert_eq!(browser.visit(&app, "/page").await.body(), "nobody");
    // It is for sites that let visitors pass.
    let refused = builder(&app.verifier)
        .with_silent_sign_in()
        .build()
        .unwrap_err();
    assert_eq!(refused.setting(), "silent sign-in");
}
