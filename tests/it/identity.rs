//! Identity mode: the ID token says who the user is, and the access token is for others.

use http::StatusCode;
use serde_json::{Value, json};
use tower::Layer;
use tower::util::BoxCloneSyncService;
use tower_oidc::login::LiveToken;
use tower_oidc::login::LoginBuilder;
use tower_oidc::testing::{Endpoint, Fault, Manner};
use tower_oidc::{LoginErrorKind as Kind, LoginLayer, PrincipalKind, RequireLayer};

use crate::browser::{App, Browser, failure};
use crate::log::Log;
use crate::support::{API, Answer, Inner, seconds, until};

fn with_refresh_tokens(login: LoginBuilder) -> LoginBuilder {
    login
        .add_parameter("access_type", "offline")
        .add_parameter("prompt", "consent")
}

async fn signed_in(choose: impl FnOnce(LoginBuilder) -> LoginBuilder) -> (App, Browser) {
    let app = App::identity(choose).await;
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    (app, browser)
}

async fn at(layer: &LoginLayer, inner: Inner, browser: &mut Browser) -> Answer {
    let request = browser.navigation("/");
    browser.send(&layer.layer(inner), request).await
}

fn header(token: &LiveToken) -> String {
    token.to_authorization().to_str().unwrap().to_owned()
}

/// The access token of the session, live.
async fn access_token(app: &App, browser: &mut Browser) -> String {
    assert_eq!(status(app, browser).await, StatusCode::OK);
    let token = app.session().access_token().await.unwrap();
    header(&token)
}

async fn status(app: &App, browser: &mut Browser) -> StatusCode {
    browser.visit(app, "/").await.status()
}

fn name(app: &App) -> Value {
    let claims: Value = app.session().principal().claims().unwrap();
    claims["name"].clone()
}

// D20
#[tokio::test]
async fn a_provider_with_opaque_tokens_alone_signs_users_in() {
    let (app, mut browser) = signed_in(with_refresh_tokens).await;
    let answer = browser.visit(&app, "/").await;
    assert_eq!(answer.body(), "user-1");
    let asked = &app.idp.seen(Endpoint::Authorization)[0];
    assert!(!asked.iter().any(|(name, _)| name == "audience"));
    let session = app.session();
    let principal = session.principal();
    assert_eq!(principal.kind(), PrincipalKind::IdToken);
    assert_eq!(principal.subject(), Some("user-1"));
    assert_eq!(principal.issuer().as_str(), app.idp.issuer());
    let audiences: Vec<_> = principal.audiences().collect();
    assert_eq!(audiences, ["development"]);
    assert!(principal.scopes().is_empty());
    assert_eq!(name(&app), json!("The development user-1"));
    let token = session.access_token().await.unwrap();
    assert!(!header(&token).contains('.'), "it is opaque");
}

// D20
#[tokio::test]
async fn scopes_in_an_id_token_open_no_route() {
    let app = App::identity(|login| login).await;
    app.idp.edit_id_token(|token| {
        token
            .claim("scope", "read:messages")
            .claim("scp", "read:messages")
    });
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    assert_eq!(status(&app, &mut browser).await, StatusCode::OK);
    let log = Log::default();
    let _guard = log.capture();
    let required = RequireLayer::scope("read:messages").unwrap();
    let inner = BoxCloneSyncService::new(required.layer(app.inner.clone()));
    let answer = at(&app.layer, inner, &mut browser).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    let text = log.text();
    assert!(text.contains("no such caller can ever pass"), "{text}");
    assert!(text.contains("OPENID_REUSE_TOKENS"), "{text}");
}

// D20, RT-01
#[tokio::test]
async fn a_refresh_brings_a_live_access_token_and_newer_claims() {
    let (app, mut browser) = signed_in(with_refresh_tokens).await;
    assert_eq!(status(&app, &mut browser).await, StatusCode::OK);
    let first = app.session().access_token().await.unwrap();
    app.idp
        .edit_id_token(|token| token.claim("name", "Another name"));
    app.hour_passes();
    assert_eq!(status(&app, &mut browser).await, StatusCode::OK);
    let second = app.session().access_token().await.unwrap();
    assert_ne!(header(&first), header(&second));
    assert_eq!(app.session().renewals(), 1);
    assert_eq!(name(&app), json!("Another name"));
    assert_eq!(
        app.session().id_claims::<Value>().unwrap()["name"],
        "Another name"
    );
    assert_eq!(app.idp.hits().refreshed, 1);
}

// ID-11
#[tokio::test]
async fn the_id_token_of_a_refresh_is_held_against_the_sign_in() {
    type Edit = fn(tower_oidc::testing::TokenBuilder) -> tower_oidc::testing::TokenBuilder;
    let cases: [(&str, Edit, bool); 8] = [
        ("another name", |token| token, true),
        (
            "without auth_time",
            |token| token.without_claim("auth_time"),
            true,
        ),
        (
            "newer auth_time",
            |token| token.claim("auth_time", 4_000_000_000_i64),
            false,
        ),
        (
            "another nonce",
            |token| token.claim("nonce", "of another sign-in"),
            false,
        ),
        (
            "another at_hash",
            |token| token.claim("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"),
            false,
        ),
        (
            "another audience",
            |token| token.claim("aud", "someone-else"),
            false,
        ),
        ("expired", |token| token.expired(), false),
        (
            "a broken signature",
            |token| token.signature(|_| vec![0; 256]),
            false,
        ),
    ];
    for (case, edit, is_taken) in cases {
        let (app, mut browser) = signed_in(with_refresh_tokens).await;
        app.idp
            .edit_id_token(move |token| edit(token.claim("name", "Another name")));
        app.hour_passes();
        assert_eq!(status(&app, &mut browser).await, StatusCode::OK, "{case}");
        assert_eq!(app.session().renewals(), 1, "{case}");
        let expected = if is_taken {
            "Another name"
        } else {
            "The development user-1"
        };
        assert_eq!(name(&app), json!(expected), "{case}");
        assert_eq!(status(&app, &mut browser).await, StatusCode::OK, "{case}");
    }
    let (app, mut browser) = signed_in(with_refresh_tokens).await;
    app.idp.edit_id_token(|token| token.subject("user-2"));
    app.hour_passes();
    let answer = browser.fetch(&app, "/").await;
    assert_eq!(failure(&answer), Some(Kind::SessionEnded));
    until(|| app.idp.live_refresh_tokens().is_empty()).await;
}

// ID-11, ID-10
#[tokio::test]
async fn an_id_token_whose_key_comes_late_is_taken_once_it_is_there() {
    let (app, mut browser) = signed_in(with_refresh_tokens).await;
    app.idp
        .edit_id_token(|token| token.claim("name", "Another name"));
    app.idp.rotate_keys();
    app.hour_passes();
    assert_eq!(status(&app, &mut browser).await, StatusCode::OK);
    assert_eq!(name(&app), json!("Another name"));
    let session = app.session();
    assert_eq!(session.renewals(), 1);
    // What was stored is what a replica reads.
    let replica = with_refresh_tokens(app.identity_builder()).build().unwrap();
    let answer = at(&replica, app.inner.clone(), &mut browser).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(name(&app), json!("Another name"));
}

// D20, RT-06
#[tokio::test]
async fn a_rejected_refresh_ends_an_identity_and_doubt_does_not() {
    let (app, mut browser) = signed_in(with_refresh_tokens).await;
    assert_eq!(status(&app, &mut browser).await, StatusCode::OK);
    let session = app.session();
    for fault in [Fault::Status(503), Fault::LoseAnswer] {
        app.idp.set_fault(Endpoint::Token, fault);
        app.hour_passes();
        // Who the user is is known all the same; there is no token to send on.
        assert_eq!(status(&app, &mut browser).await, StatusCode::OK);
        let error = session.access_token().await.unwrap_err();
        assert_eq!(error.kind(), Kind::ProviderUnavailable);
    }
    app.idp.set_fault(Endpoint::Token, None);
    app.clock.advance(seconds(120));
    assert_eq!(status(&app, &mut browser).await, StatusCode::OK);
    assert!(session.access_token().await.is_ok());
    app.idp
        .set_fault(Endpoint::Token, Fault::error(400, "invalid_grant"));
    app.hour_passes();
    let answer = browser.fetch(&app, "/").await;
    assert_eq!(failure(&answer), Some(Kind::SessionEnded));
}

// D20, D21
#[tokio::test]
async fn a_session_without_a_refresh_token_outlives_its_access_token() {
    let (app, mut browser) = signed_in(|login| login).await;
    for _ in 0..10 {
        // Its use puts off the idle limit of eight hours.
        app.hour_passes();
        assert_eq!(status(&app, &mut browser).await, StatusCode::OK);
        tokio::task::yield_now().await;
    }
    let error = app.session().access_token().await.unwrap_err();
    assert_eq!(error.kind(), Kind::NoAccessToken);
    assert!(error.remedy().contains("access_type=offline"));
    assert_eq!(app.idp.hits().token, 1, "nothing was asked for");
    app.clock.advance(seconds(14 * 3_600));
    let answer = browser.fetch(&app, "/").await;
    assert_eq!(
        failure(&answer),
        Some(Kind::SessionEnded),
        "the absolute limit"
    );
}

// SC-08
#[tokio::test]
async fn an_identity_that_is_not_used_ends_at_the_idle_limit() {
    let (app, mut browser) = signed_in(|login| login).await;
    app.clock.advance(seconds(8 * 3_600 + 1));
    let answer = browser.fetch(&app, "/").await;
    assert_eq!(failure(&answer), Some(Kind::SessionEnded));
}

// D21
#[tokio::test]
async fn a_refresh_token_can_be_required_of_an_identity() {
    let app = App::identity(LoginBuilder::require_refresh_token).await;
    let mut browser = Browser::default();
    let callback = browser.reach_callback(&app, "/oauth/openid").await;
    let answer = browser.visit(&app, &callback).await;
    assert_eq!(failure(&answer), Some(Kind::NoRefreshToken));
}

// D21
#[tokio::test]
async fn the_second_sign_in_at_google_brings_no_refresh_token() {
    let app = App::identity(|login| login.add_parameter("access_type", "offline")).await;
    for (sign_in, has_token) in [("first", true), ("second", false)] {
        let mut browser = Browser::default();
        browser.sign_in(&app).await;
        app.hour_passes();
        assert_eq!(
            status(&app, &mut browser).await,
            StatusCode::OK,
            "{sign_in}"
        );
        let token = app.session().access_token().await;
        assert_eq!(token.is_ok(), has_token, "{sign_in}");
    }
}

// D20, SC-05
#[tokio::test]
async fn another_process_knows_the_user_by_what_was_sealed() {
    let (app, mut browser) = signed_in(|login| login).await;
    // The key that signed the ID token is gone, and the ID token has long expired.
    app.idp.rotate_keys();
    app.idp.drop_retired_keys();
    app.clock.advance(seconds(2 * 3_600));
    let replica = app.identity_builder().build().unwrap();
    let answer = at(&replica, app.inner.clone(), &mut browser).await;
    assert_eq!(
        (answer.status(), answer.body().as_str()),
        (StatusCode::OK, "user-1")
    );
    assert_eq!(name(&app), json!("The development user-1"));
}

// D20
#[tokio::test]
async fn a_session_of_identity_mode_is_none_in_token_mode() {
    let (app, mut browser) = signed_in(|login| login).await;
    app.idp.set_manner(Manner::Usual);
    let answer = at(&app.replica(), app.inner.clone(), &mut browser).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER, "signs in again");
}

// D10, D20, RT-12
#[tokio::test]
async fn tokens_that_turn_opaque_matter_in_token_mode_alone() {
    let app = App::identity(|login| {
        login
            .with_requested_audience(Some(API))
            .with_scope("openid offline_access")
    })
    .await;
    app.idp.set_manner(Manner::Usual);
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    let token = access_token(&app, &mut browser).await;
    assert!(token.contains('.'), "a JWT");
    app.idp
        .edit_token_answer(|_, answer| answer["access_token"] = json!("opaque"));
    app.hour_passes();
    assert_eq!(status(&app, &mut browser).await, StatusCode::OK);
    assert_eq!(access_token(&app, &mut browser).await, "Bearer opaque");

    let app = App::start().await;
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    app.idp
        .edit_token_answer(|_, answer| answer["access_token"] = json!("opaque"));
    app.hour_passes();
    for _ in 0..3 {
        let answer = browser.visit(&app, "/").await;
        assert_eq!(failure(&answer), Some(Kind::UnusableToken));
    }
    assert_eq!(app.idp.hits().refreshed, 1);
}

// ID-09
#[tokio::test]
async fn userinfo_is_asked_with_an_opaque_token() {
    let (app, mut browser) = signed_in(LoginBuilder::with_userinfo).await;
    assert_eq!(status(&app, &mut browser).await, StatusCode::OK);
    let userinfo: Value = app.session().userinfo().unwrap().unwrap();
    assert_eq!(userinfo["nickname"], "nick of user-1");
}

// ID-06
#[tokio::test]
async fn leeway_and_algorithms_of_id_tokens_are_choices() {
    use tower_oidc::Algorithm;
    let is_refused = async |choose: fn(LoginBuilder) -> LoginBuilder| {
        let app = App::identity(choose).await;
        app.idp.edit_id_token(|token| token.expires_in(seconds(0)));
        let mut browser = Browser::default();
        let callback = browser.reach_callback(&app, "/oauth/openid").await;
        let answer = browser.visit(&app, &callback).await;
        failure(&answer) == Some(Kind::IdTokenRefused)
    };
    assert!(!is_refused(|login| login).await);
    assert!(is_refused(|login| login.with_leeway(seconds(0))).await);
    assert!(is_refused(|login| login.with_algorithms([Algorithm::Es256])).await);
    let app = App::identity(|login| login).await;
    for (builder, setting) in [
        (app.identity_builder().with_leeway(seconds(301)), "leeway"),
        (app.identity_builder().with_algorithms([]), "algorithms"),
    ] {
        let error = builder.build().unwrap_err();
        assert_eq!(error.setting(), setting, "{error}");
    }
}
