//! Signing out: here, at the provider, and when the provider says so.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::ACCEPT;
use http::{HeaderValue, Method, Request, StatusCode};
use tower::{Layer, ServiceExt};
use tower_oidc::login::LoginBuilder;
use tower_oidc::testing::{Endpoint, Fault, TokenBuilder};
use tower_oidc::{Algorithm, Clock as _, LoginErrorKind as Kind};

use crate::browser::{App, Browser, SESSION, SITE, builder, failure, location, query};
use crate::support::{Answer, seconds, until};

const LOGOUT: &str = "/oauth/openid/logout";
const BACKCHANNEL: &str = "/oauth/openid/backchannel-logout";

async fn signed_in() -> (App, Browser) {
    let app = App::start().await;
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    (app, browser)
}

async fn is_signed_in(app: &App, browser: &Browser) -> bool {
    browser.clone().fetch(app, "/").await.status() == StatusCode::OK
}

/// The `sid` of the session, from its ID token.
pub(crate) async fn sid(app: &App, browser: &Browser) -> String {
    browser.clone().fetch(app, "/").await;
    let claims: serde_json::Value = app.session().id_claims().unwrap();
    claims["sid"].as_str().unwrap().to_owned()
}

// LO-01, LO-18, IN-08, SC-09
#[tokio::test]
async fn signing_out_ends_the_session_revokes_and_goes_on_to_the_provider() {
    let (app, mut browser) = signed_in().await;
    let refresh_token = app.idp.live_refresh_tokens().remove(0);
    let replayed = browser.clone();
    let answer = browser.post(&app, LOGOUT).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert!(!browser.jar.contains_key(SESSION));
    assert!(
        !is_signed_in(&app, &replayed).await,
        "the old cookie is worth nothing"
    );
    let asked = query(location(&answer));
    assert!(location(&answer).starts_with(&format!("{}/end-session?", app.idp.issuer())));
    assert!(asked["id_token_hint"].starts_with("eyJ"));
    assert_eq!(asked["client_id"], "development");
    assert_eq!(asked["post_logout_redirect_uri"], format!("{SITE}/"));
    assert!(
        !asked.contains_key("state"),
        "without a path to return to, it would stay in the address"
    );
    assert!(!browser.jar.keys().any(|name| name.ends_with("-sign-out")));
    until(|| app.idp.live_refresh_tokens().is_empty()).await;
    let form = app.idp.seen(Endpoint::Revocation).remove(0);
    assert!(form.contains(&("token".to_owned(), refresh_token)));
    assert!(form.contains(&("token_type_hint".to_owned(), "refresh_token".to_owned())));
    // Once more does no harm.
    let answer = browser.post(&app, LOGOUT).await;
    assert_eq!(location(&answer), "/");
}

// LO-01
#[tokio::test]
async fn a_script_that_asks_for_json_is_told_where_to_go() {
    let app = App::start_with(|builder| {
        builder.add_end_session_parameter("logout_uri", "https://app.example.com/bye")
    })
    .await;
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    let replayed = browser.clone();
    let mut asked = browser.script(Method::POST, LOGOUT);
    asked
        .headers_mut()
        .insert(ACCEPT, HeaderValue::from_static("application/json"));
    let answer = browser.send(&app.service(), asked).await;
    assert_eq!(
        answer.status(),
        StatusCode::NO_CONTENT,
        "fetch follows nothing"
    );
    let asked = query(location(&answer));
    assert_eq!(asked["logout_uri"], "https://app.example.com/bye");
    assert_eq!(asked["client_id"], "development");
    assert!(!is_signed_in(&app, &replayed).await);
}

// LO-02, F73
#[tokio::test]
async fn a_long_hint_stays_out_of_the_url() {
    let app = App::start().await;
    app.idp
        .edit_id_token(|token| token.claim("groups", "g".repeat(3_000)));
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    let answer = browser.post(&app, LOGOUT).await;
    let asked = query(location(&answer));
    assert!(!asked.contains_key("id_token_hint"));
    assert_eq!(asked["logout_hint"], "user-1");
    assert_eq!(asked["client_id"], "development");
    assert!(location(&answer).len() < 500);
}

// F72
#[tokio::test]
async fn the_hint_is_kept_when_a_refresh_brings_none() {
    let (app, mut browser) = signed_in().await;
    app.idp.edit_token_answer(|_, answer| {
        answer.as_object_mut().unwrap().remove("id_token");
    });
    app.hour_passes();
    browser.fetch(&app, "/").await;
    assert_eq!(app.session().renewals(), 1);
    let answer = browser.post(&app, LOGOUT).await;
    assert!(query(location(&answer)).contains_key("id_token_hint"));
}

// LO-03
#[tokio::test]
async fn the_way_back_is_checked_by_state_and_leads_nowhere_else() {
    let (app, mut browser) = signed_in().await;
    let answer = browser
        .post(&app, &format!("{LOGOUT}?return_to=/bye"))
        .await;
    let state = query(location(&answer))["state"].clone();
    assert_eq!(state.len(), 43);
    let forged = browser.clone().visit(&app, "/?state=forged").await;
    assert_ne!(forged.headers().get("location").unwrap(), "/bye");
    let back = browser.visit(&app, &format!("/?state={state}")).await;
    assert_eq!(location(&back), "/bye");
    let again = browser.visit(&app, &format!("/?state={state}")).await;
    assert_ne!(again.headers().get("location").unwrap(), "/bye", "once");

    let (app, mut browser) = signed_in().await;
    let answer = browser
        .post(&app, &format!("{LOGOUT}?return_to=//evil.example"))
        .await;
    assert!(!location(&answer).contains("evil"));
    assert!(!query(location(&answer)).contains_key("state"));
}

// LO-04
#[tokio::test]
async fn without_the_providers_part_one_is_signed_out_all_the_same() {
    let app = App::start_with(LoginBuilder::without_provider_sign_out).await;
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    let answer = browser.post(&app, LOGOUT).await;
    assert_eq!(location(&answer), "/");
    assert_eq!(app.idp.hits().end_session, 0);

    for fault in [
        Fault::Status(500),
        Fault::Status(400),
        Fault::busy(3_600),
        Fault::Stall,
    ] {
        let (app, mut browser) = signed_in().await;
        app.idp.set_fault(Endpoint::Revocation, fault.clone());
        let replayed = browser.clone();
        let answer = browser.post(&app, LOGOUT).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "in_08 {fault:?}");
        assert!(!is_signed_in(&app, &replayed).await, "{fault:?}");
    }
}

// IN-08
#[tokio::test]
async fn revoking_is_tried_again_a_few_times() {
    let (app, mut browser) = signed_in().await;
    app.idp.set_fault(Endpoint::Revocation, Fault::busy(0));
    browser.post(&app, LOGOUT).await;
    until(|| app.idp.hits().revocation == 3).await;
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert_eq!(app.idp.hits().revocation, 3);
}

async fn backchannel(app: &App, content_type: &str, body: String) -> Answer {
    let request = Request::builder()
        .method(Method::POST)
        .uri(BACKCHANNEL)
        .header("content-type", content_type)
        .body(body)
        .unwrap();
    app.service().oneshot(request).await.unwrap()
}

pub(crate) async fn told(app: &App, token: TokenBuilder) -> Answer {
    let form = format!("x=y&logout_token={}", token.build());
    backchannel(app, "application/x-www-form-urlencoded", form).await
}

// LO-12, LO-13, LO-14
#[tokio::test]
async fn the_provider_ends_one_session_or_all_of_a_subject() {
    let app = App::start().await;
    let mut browsers = [Browser::default(), Browser::default(), Browser::default()];
    for browser in &mut browsers {
        browser.sign_in(&app).await;
    }
    let mut stranger = Browser::default();
    app.idp.set_user("user-2");
    stranger.sign_in(&app).await;

    let token = app
        .idp
        .logout_token("development")
        .claim("sid", sid(&app, &browsers[0]).await);
    let answer = told(&app, token).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    assert!(!is_signed_in(&app, &browsers[0]).await);
    assert!(is_signed_in(&app, &browsers[1]).await);

    // With both `sid` and `sub`, only the session of that `sid` ends.
    let token = app
        .idp
        .logout_token("development")
        .subject("user-1")
        .claim("sid", sid(&app, &browsers[1]).await);
    assert_eq!(told(&app, token).await.status(), StatusCode::OK);
    assert!(!is_signed_in(&app, &browsers[1]).await);
    assert!(is_signed_in(&app, &browsers[2]).await);

    let token = app.idp.logout_token("development").subject("user-1");
    assert_eq!(told(&app, token).await.status(), StatusCode::OK);
    assert!(!is_signed_in(&app, &browsers[2]).await);
    assert!(is_signed_in(&app, &stranger).await, "others stay");

    let token = app.idp.logout_token("development").subject("nobody");
    assert_eq!(
        told(&app, token).await.status(),
        StatusCode::OK,
        "nobody was signed in"
    );
    // Tokens for offline access are left to the provider (LO-15).
    assert_eq!(app.idp.hits().revocation, 0);
}

// LO-15
#[tokio::test]
async fn tokens_are_revoked_where_that_is_chosen() {
    let app = App::start_with(LoginBuilder::revoke_offline_access).await;
    Browser::default().sign_in(&app).await;
    let token = app.idp.logout_token("development").subject("user-1");
    assert_eq!(told(&app, token).await.status(), StatusCode::OK);
    until(|| app.idp.live_refresh_tokens().is_empty()).await;
}

// LO-05, LO-06, LO-07, LO-08, LO-09, LO-10
#[tokio::test]
async fn a_logout_token_that_breaks_one_rule_is_refused() {
    type Edit = fn(TokenBuilder) -> TokenBuilder;
    let edits: [(&str, Edit); 19] = [
        ("lo_06 signature", |token| token.signature(|_| vec![7; 256])),
        ("lo_06 none", |token| {
            token.header("alg", "none").signature(|_| Vec::new())
        }),
        ("lo_06 iss", |token| {
            token.claim("iss", "https://evil.example")
        }),
        ("lo_06 aud", |token| token.claim("aud", "another")),
        ("lo_06 exp", |token| token.claim("exp", 1)),
        ("lo_06 no exp", |token| token.without_claim("exp")),
        ("lo_06 no iat", |token| token.without_claim("iat")),
        ("lo_07 neither", |token| token.without_claim("sub")),
        ("lo_08 no events", |token| token.without_claim("events")),
        ("lo_08 other event", |token| {
            token.claim("events", serde_json::json!({"x": {}}))
        }),
        ("lo_08 text", |token| {
            token.claim(
                "events",
                "http://schemas.openid.net/event/backchannel-logout",
            )
        }),
        ("lo_08 array", |token| {
            token.claim(
                "events",
                ["http://schemas.openid.net/event/backchannel-logout"],
            )
        }),
        ("lo_08 no object", |token| {
            token.claim(
                "events",
                serde_json::json!({"http://schemas.openid.net/event/backchannel-logout": true}),
            )
        }),
        ("lo_09 nonce", |token| token.claim("nonce", "x")),
        ("lo_10 at+jwt", |token| token.header("typ", "at+jwt")),
        ("lo_10 other", |token| token.header("typ", "secevent+jwt")),
        ("lo_11 iat long ago", |token| token.claim("iat", 1_000)),
        ("lo_11 no jti", |token| token.without_claim("jti")),
        ("sub of another type", |token| token.claim("sub", 7)),
    ];
    let (app, browser) = signed_in().await;
    for (name, edit) in edits {
        let token = app.idp.logout_token("development").subject("user-1");
        let answer = told(&app, edit(token)).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{name}");
        assert_eq!(failure(&answer), Some(Kind::LogoutTokenRefused), "{name}");
        let problem: serde_json::Value = serde_json::from_str(answer.body()).unwrap();
        assert_eq!(problem["error"], "invalid_request", "{name}");
        assert_eq!(answer.headers()["cache-control"], "no-store");
    }
    assert!(
        is_signed_in(&app, &browser).await,
        "none of it had any effect"
    );
    // Types that are tolerated (LO-10).
    for edit in [
        |token: TokenBuilder| token.header("typ", "JWT"),
        |token: TokenBuilder| token.without_header("typ"),
        |token: TokenBuilder| {
            token
                .header("typ", "Logout+JWT")
                .claim("events", event_value())
        },
    ] {
        let token = edit(app.idp.logout_token("development").subject("user-9"));
        assert_eq!(told(&app, token).await.status(), StatusCode::OK);
    }
}

// LO-06, LO-11
#[tokio::test]
async fn a_logout_token_without_an_expiry_counts_where_that_is_allowed() {
    let app = App::start_with(LoginBuilder::allow_logout_without_expiry).await;
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    let token = || {
        let token = app.idp.logout_token("development").subject("user-1");
        token.without_claim("exp")
    };
    let now = app.clock.now().as_seconds();
    // With the leeway of a minute.
    for (name, edit) in [
        ("too old", token().claim("iat", now - 361)),
        ("without iat", token().without_claim("iat")),
        ("of another type", token().claim("exp", "soon")),
        ("null", token().claim("exp", ())),
        ("over", token().claim("exp", now - 61)),
    ] {
        let answer = told(&app, edit).await;
        assert_eq!(failure(&answer), Some(Kind::LogoutTokenRefused), "{name}");
    }
    assert!(is_signed_in(&app, &browser).await);
    let first = token().claim("iat", now - 60).build();
    let form = format!("logout_token={first}");
    let kind = "application/x-www-form-urlencoded";
    let answer = backchannel(&app, kind, form.clone()).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(!is_signed_in(&app, &browser).await);
    // As long as its age does not refuse it, it is known to have been used.
    app.clock.advance(seconds(1));
    browser.sign_in(&app).await;
    for _ in 0..3 {
        app.clock.advance(seconds(100));
        let answer = backchannel(&app, kind, form.clone()).await;
        assert_eq!(failure(&answer), Some(Kind::LogoutTokenRefused));
    }
    assert!(is_signed_in(&app, &browser).await);
}

// LO-06, AL-01
#[tokio::test]
async fn a_logout_token_is_held_to_the_same_algorithms_as_other_tokens() {
    let app = App::verifying(
        |verifier| verifier.with_algorithms([Algorithm::Rs256, Algorithm::Es256]),
        |login| login,
    )
    .await;
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    let token = || app.idp.logout_token("development").subject("user-1");
    let rsa = app.idp.signing_key(Algorithm::Rs256);
    let confused = Arc::new(rsa.for_algorithm(rsa.kid(), Algorithm::Ps256));
    let hmac = {
        let unsigned = token().header("alg", "HS256").build();
        let (input, _) = unsigned.rsplit_once('.').unwrap();
        let secret = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"development-secret");
        let tag = aws_lc_rs::hmac::sign(&secret, input.as_bytes());
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag))
    };
    let listed_nowhere = app.idp.signing_key(Algorithm::EdDsa);
    for (name, token) in [
        ("the client's secret as HS256", hmac),
        (
            "PS256 by the key for RS256",
            token().signed_by(confused).build(),
        ),
        ("not on the list", token().signed_by(listed_nowhere).build()),
    ] {
        let form = format!("logout_token={token}");
        let answer = backchannel(&app, "application/x-www-form-urlencoded", form).await;
        assert_eq!(failure(&answer), Some(Kind::LogoutTokenRefused), "{name}");
        assert!(is_signed_in(&app, &browser).await, "{name}");
    }
    let other = app.idp.signing_key(Algorithm::Es256);
    assert_eq!(
        told(&app, token().signed_by(other)).await.status(),
        StatusCode::OK
    );
    assert!(!is_signed_in(&app, &browser).await);
}

// CL-14
#[tokio::test]
async fn a_null_in_a_logout_token_is_absent_or_refuses() {
    let (app, browser) = signed_in().await;
    let token = || app.idp.logout_token("development").subject("user-1");
    for name in ["iss", "sub", "aud", "exp", "iat", "cnf", "jti", "events"] {
        let answer = told(&app, token().claim(name, ())).await;
        assert_eq!(failure(&answer), Some(Kind::LogoutTokenRefused), "{name}");
    }
    assert!(is_signed_in(&app, &browser).await);
    let token = token().claim("sid", ()).claim("nonce", ());
    assert_eq!(told(&app, token).await.status(), StatusCode::OK);
    assert!(!is_signed_in(&app, &browser).await);
}

// LO-05
#[tokio::test]
async fn a_request_without_one_logout_token_in_a_form_has_no_effect() {
    let (app, browser) = signed_in().await;
    // An ID token or access token that is sent to this address.
    let id_token = app
        .idp
        .token("development")
        .header("typ", "JWT")
        .claim("nonce", "x");
    assert_eq!(told(&app, id_token).await.status(), StatusCode::BAD_REQUEST);
    let good = || {
        app.idp
            .logout_token("development")
            .subject("user-1")
            .build()
    };
    for (name, content_type, body) in [
        (
            "json",
            "application/json",
            format!("{{\"logout_token\":\"{}\"}}", good()),
        ),
        (
            "json as form",
            "application/json",
            format!("logout_token={}", good()),
        ),
        ("no type", "", format!("logout_token={}", good())),
        ("none", "application/x-www-form-urlencoded", String::new()),
        (
            "twice",
            "application/x-www-form-urlencoded",
            format!("logout_token={}&logout_token={}", good(), good()),
        ),
    ] {
        let answer = backchannel(&app, content_type, body).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "lo_05 {name}");
    }
    let huge = format!("logout_token={}", "a".repeat(65 * 1024));
    let answer = backchannel(&app, "application/x-www-form-urlencoded", huge).await;
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(
        is_signed_in(&app, &browser).await,
        "none of it had any effect"
    );
}

fn event_value() -> serde_json::Value {
    serde_json::json!({"http://schemas.openid.net/event/backchannel-logout": {"more": 1}})
}

// LO-11
#[tokio::test]
async fn a_logout_token_counts_once() {
    let (app, _) = signed_in().await;
    let token = app
        .idp
        .logout_token("development")
        .subject("user-1")
        .build();
    let form = format!("logout_token={token}");
    let kind = "application/x-www-form-urlencoded";
    assert_eq!(
        backchannel(&app, kind, form.clone()).await.status(),
        StatusCode::OK
    );
    // A sign-in within the second of the logout counts as older.
    app.clock.advance(seconds(1));
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    app.clock.advance(seconds(99));
    assert_eq!(
        backchannel(&app, kind, form).await.status(),
        StatusCode::BAD_REQUEST,
        "replayed"
    );
    assert!(is_signed_in(&app, &browser).await);
}

// LO-17
#[tokio::test]
async fn front_channel_ends_the_session_it_names_and_nothing_else() {
    let path = "/oauth/openid/frontchannel-logout";
    let (app, browser) = signed_in().await;
    let sid = sid(&app, &browser).await;
    let layer = builder(&app.verifier)
        .with_shared_store(app.store.clone())
        .allow_frontchannel_logout()
        .build()
        .unwrap();
    let service = layer.layer(app.inner.clone());
    let frame = |query: String| {
        let request = Request::builder()
            .uri(format!("{path}?{query}"))
            .header("sec-fetch-dest", "iframe")
            .body(String::new())
            .unwrap();
        service.clone().oneshot(request)
    };
    let encode =
        |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let iss = encode(app.idp.issuer());
    for query in [
        String::new(),
        format!("sid={sid}"),
        format!("iss={iss}"),
        format!("iss={iss}&sid=another"),
        format!("iss={}&sid={sid}", encode("https://evil.example")),
        format!("iss={iss}&sid={sid}&sid={sid}"),
    ] {
        let answer = frame(query.clone()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(is_signed_in(&app, &browser).await, "{query}");
    }
    let answer = frame(format!("iss={iss}&sid={sid}")).await.unwrap();
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let policy = answer.headers()["content-security-policy"]
        .to_str()
        .unwrap();
    assert_eq!(
        policy,
        format!("default-src 'none'; frame-ancestors {}", app.idp.issuer())
    );
    assert!(!is_signed_in(&app, &browser).await);
    // If front-channel logout is not enabled, the address belongs to the application.
    let (app, mut browser) = signed_in().await;
    let answer = browser
        .visit(&app, &format!("{path}?iss={iss}&sid={sid}"))
        .await;
    assert_eq!(answer.body(), "user-1");
}
