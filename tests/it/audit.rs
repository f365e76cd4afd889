//! The audit trail: who signed in, was refused, was signed out, and by whom.

use http::{Method, StatusCode};
use tower::ServiceExt;
use tower_oidc::login::SignInRefusal;
use tower_oidc::testing::{Endpoint, Fault};

use crate::browser::{App, Browser, SESSION, with};
use crate::logout::{sid, told};
use crate::seen::{Fields, Seen};

/// An event about a session of `user-1`, or about no session.
fn event(app: &App, session: Option<String>, rest: &[(&str, &str)]) -> Fields {
    let mut fields: Fields = rest
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    fields.insert("message".into(), "audit".into());
    fields.insert("issuer".into(), app.idp.issuer().into());
    if let Some(session) = session {
        fields.insert("session_key".into(), session);
        fields.insert("subject".into(), "user-1".into());
    }
    fields
}

/// A browser that is signed in, and the key of its session.
async fn signed_in(app: &App) -> (Browser, String) {
    let mut browser = Browser::default();
    browser.sign_in(app).await;
    browser.fetch(app, "/").await;
    let key = app.session().key().to_string();
    (browser, key)
}

// D18
#[tokio::test]
async fn a_session_is_in_the_trail_from_its_sign_in_to_its_sign_out() {
    let seen = Seen::default();
    let _guard = seen.capture();
    let app = App::start().await;
    let (mut browser, key) = signed_in(&app).await;
    let of = |rest: &[(&str, &str)]| event(&app, Some(key.clone()), rest);
    let sign_in = of(&[("event", "sign_in"), ("outcome", "signed_in")]);
    assert_eq!(seen.audit(), [sign_in]);
    browser.fetch(&app, "/").await;
    assert_eq!(seen.audit(), [], "nothing happened");
    app.hour_passes();
    browser.fetch(&app, "/").await;
    let refresh = of(&[("event", "refresh"), ("outcome", "won")]);
    assert_eq!(seen.audit(), [refresh]);
    app.idp
        .set_fault(Endpoint::Token, Fault::error(500, "server_error"));
    app.hour_passes();
    browser.fetch(&app, "/").await;
    let refresh = of(&[("event", "refresh"), ("outcome", "transient")]);
    assert_eq!(seen.audit(), [refresh]);
    browser.post(&app, "/oauth/openid/logout").await;
    let sign_out = [
        ("event", "sign_out"),
        ("outcome", "ended"),
        ("reason", "user"),
    ];
    assert_eq!(seen.audit(), [of(&sign_out)]);
    browser.post(&app, "/oauth/openid/logout").await;
    assert_eq!(seen.audit(), [], "there was no session");
}

// D18
#[tokio::test]
async fn the_trail_tells_the_user_the_application_and_the_provider_apart() {
    let seen = Seen::default();
    let _guard = seen.capture();
    let app = App::start().await;
    let by = |key: &str, who: &str| {
        let rest = [("event", "sign_out"), ("outcome", "ended"), ("reason", who)];
        event(&app, Some(key.to_owned()), &rest)
    };
    let (_, key) = signed_in(&app).await;
    seen.audit();
    app.session().end().await.unwrap();
    assert_eq!(seen.audit(), [by(&key, "application")]);

    let (_, key) = signed_in(&app).await;
    seen.audit();
    let issuer = app.idp.issuer();
    app.layer
        .sessions()
        .end_all(issuer, "user-1")
        .await
        .unwrap();
    assert_eq!(seen.audit(), [by(&key, "application")]);

    // A moment later, because all that were begun before have ended.
    app.clock.advance(std::time::Duration::from_secs(2));
    let (browser, key) = signed_in(&app).await;
    seen.audit();
    let token = app.idp.logout_token("development");
    let token = token.claim("sid", sid(&app, &browser).await);
    assert_eq!(told(&app, token).await.status(), StatusCode::OK);
    assert_eq!(seen.audit(), [by(&key, "provider")]);
}

// D18
#[tokio::test]
async fn a_session_that_a_refresh_ends_is_in_the_trail_with_the_reason() {
    let seen = Seen::default();
    let _guard = seen.capture();
    let app = App::start().await;
    let (mut browser, key) = signed_in(&app).await;
    seen.audit();
    app.idp
        .set_fault(Endpoint::Token, Fault::error(400, "invalid_grant"));
    app.hour_passes();
    browser.fetch(&app, "/").await;
    let of = |rest: &[(&str, &str)]| event(&app, Some(key.clone()), rest);
    let refused = of(&[("event", "refresh"), ("outcome", "terminal")]);
    let reason = ("reason", "refresh_rejected");
    let ended = of(&[("event", "session_end"), ("outcome", "ended"), reason]);
    assert_eq!(seen.audit(), [refused, ended]);

    let app = App::start_with(|login| login.with_sessions_per_subject(1)).await;
    let (_, first) = signed_in(&app).await;
    app.clock.advance(std::time::Duration::from_secs(1));
    seen.audit();
    let (_, second) = signed_in(&app).await;
    let mut trail = Vec::new();
    crate::support::until(|| {
        trail.append(&mut seen.audit());
        trail.len() == 2
    })
    .await;
    let reason = ("reason", "too_many_sessions");
    let expected = [
        event(
            &app,
            Some(second),
            &[("event", "sign_in"), ("outcome", "signed_in")],
        ),
        event(
            &app,
            Some(first),
            &[("event", "session_end"), ("outcome", "ended"), reason],
        ),
    ];
    assert_eq!(trail, expected);
}

// D18
#[tokio::test]
async fn a_refused_sign_in_names_a_subject_only_where_one_is_verified() {
    let seen = Seen::default();
    let _guard = seen.capture();
    let app = App::start().await;
    let not = |outcome: &str, reason: &str| {
        let rest = [
            ("event", "sign_in"),
            ("outcome", outcome),
            ("reason", reason),
        ];
        event(&app, None, &rest)
    };
    app.idp
        .set_fault(Endpoint::Token, Fault::error(400, "invalid_grant"));
    Browser::default().try_sign_in(&app).await;
    assert_eq!(seen.audit(), [not("refused", "code_rejected")]);
    app.idp.set_fault(
        Endpoint::Token,
        Fault::error(503, "temporarily_unavailable"),
    );
    Browser::default().try_sign_in(&app).await;
    assert_eq!(seen.audit(), [not("unavailable", "provider_unavailable")]);
    let mut browser = Browser::default();
    let callback = browser.reach_callback(&app, "/oauth/openid").await;
    let denied = with(&callback, "error", Some("access_denied"));
    browser.visit(&app, &with(&denied, "code", None)).await;
    assert_eq!(seen.audit(), [not("refused", "denied")]);
    // Anyone can send such an answer.
    let stray = browser.navigation("/oauth/openid/callback?code=x&state=y");
    app.service().oneshot(stray).await.unwrap();
    assert_eq!(seen.audit(), []);

    let app =
        App::start_with(|login| login.on_sign_in(async |_| Err(SignInRefusal::new("no licence"))))
            .await;
    let mut browser = Browser::default();
    browser.try_sign_in(&app).await;
    let rest = [
        ("event", "sign_in"),
        ("outcome", "refused"),
        ("reason", "sign_in_refused"),
    ];
    let mut refused = event(&app, None, &rest);
    refused.insert("subject".into(), "user-1".into());
    assert_eq!(seen.audit(), [refused], "and not the application's text");
    assert!(!browser.jar.contains_key(SESSION));
}

// D18
#[tokio::test]
async fn a_browser_that_signs_in_again_and_again_is_in_the_trail() {
    let app = App::start().await;
    app.idp
        .set_fault(Endpoint::Token, Fault::error(400, "invalid_grant"));
    let mut browser = Browser::default();
    for _ in 0..4 {
        browser.try_sign_in(&app).await;
    }
    let seen = Seen::default();
    let _guard = seen.capture();
    let start = browser.request(Method::GET, "/oauth/openid");
    let start = start.header("sec-fetch-mode", "navigate");
    let start = start.body(String::new()).unwrap();
    browser.send(&app.service(), start).await;
    let trail = seen.audit();
    assert_eq!(trail.len(), 1, "{trail:?}");
    assert_eq!(trail[0]["reason"], "sign_in_loop");
    assert_eq!(trail[0]["outcome"], "refused");
}
