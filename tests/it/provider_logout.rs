//! Logouts by the provider while the store fails, while a sign-in is under way, and by names that are not
//! known here.

use std::sync::Arc;

use http::{Method, Request, StatusCode};
use tower::{Layer, ServiceExt};
use tower_oidc::login::{Login, OwnedBy, SessionId, SessionStore, StoreKey, StoredRecord, Tag};
use tower_oidc::testing::TokenBuilder;
use tower_oidc::{KeyRing, LoginErrorKind as Kind, LoginLayer};

use crate::browser::{App, Browser, SESSION, SITE, builder, client, failure};
use crate::faulty_store::FaultyStore;
use crate::pausing_store::{PausingStore, Step};
use crate::support::{API, Answer, Inner, judging, seconds, until};

const LOGOUT: &str = "/oauth/openid/logout";

/// The application over another store of the same sessions.
fn over(app: &App, store: Arc<dyn SessionStore>) -> Login<Inner> {
    let layer = builder(&app.verifier)
        .with_shared_store(store)
        .build()
        .unwrap();
    layer.layer(app.inner.clone())
}

fn logout(token: &str) -> Request<String> {
    Request::builder()
        .method(Method::POST)
        .uri("/oauth/openid/backchannel-logout")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("logout_token={token}"))
        .unwrap()
}

async fn told(service: &Login<Inner>, token: &str) -> Answer {
    service.clone().oneshot(logout(token)).await.unwrap()
}

fn of_user(app: &App) -> TokenBuilder {
    app.idp.logout_token("development").subject("user-1")
}

async fn is_signed_in(app: &App, browser: &Browser) -> bool {
    browser.clone().fetch(app, "/").await.status() == StatusCode::OK
}

fn with_sid(app: &App, sid: &'static str) {
    app.idp.edit_id_token(move |token| token.claim("sid", sid));
}

fn without_sid(app: &App) {
    app.idp.edit_id_token(|token| token.without_claim("sid"));
}

async fn signed_in(app: &App) -> Browser {
    let mut browser = Browser::default();
    browser.sign_in(app).await;
    browser
}

// LO-11, LO-13
#[tokio::test]
async fn a_logout_that_the_store_interrupts_works_when_the_provider_repeats_it() {
    let app = App::start().await;
    let browser = signed_in(&app).await;
    let store = Arc::new(FaultyStore::new(app.store.clone()));
    let service = over(&app, store.clone());
    let token = of_user(&app).build();
    for fault in [
        FaultyStore::break_deletes,
        FaultyStore::break_finds,
        FaultyStore::break_down,
    ] {
        fault(&store);
        let answer = told(&service, &token).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(is_signed_in(&app, &browser).await);
    }
    store.recover();
    assert_eq!(told(&service, &token).await.status(), StatusCode::OK);
    assert!(!is_signed_in(&app, &browser).await);
    let replayed = told(&service, &token).await;
    assert_eq!(replayed.status(), StatusCode::BAD_REQUEST);
    assert_eq!(failure(&replayed), Some(Kind::LogoutTokenRefused));
}

// LO-07
#[tokio::test]
async fn an_empty_sid_counts_as_absent() {
    let app = App::start().await;
    let browsers = [signed_in(&app).await, signed_in(&app).await];
    let token = of_user(&app).claim("sid", "").build();
    assert_eq!(told(&app.service(), &token).await.status(), StatusCode::OK);
    for browser in &browsers {
        assert!(!is_signed_in(&app, browser).await);
    }
    // It names nothing by itself, and neither does an empty subject.
    for token in [
        app.idp.logout_token("development").claim("sid", ""),
        app.idp
            .logout_token("development")
            .subject("")
            .claim("sid", ""),
    ] {
        let answer = told(&app.service(), &token.build()).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    }
}

// LO-12
#[tokio::test]
async fn an_unknown_sid_ends_the_sessions_of_the_subject_that_have_none() {
    let app = App::start().await;
    with_sid(&app, "known");
    let with = signed_in(&app).await;
    without_sid(&app);
    let without = signed_in(&app).await;
    with_sid(&app, "");
    let empty = signed_in(&app).await;
    app.idp.set_user("user-2");
    without_sid(&app);
    let stranger = signed_in(&app).await;

    let token = of_user(&app).claim("sid", "unknown").build();
    assert_eq!(told(&app.service(), &token).await.status(), StatusCode::OK);
    assert!(is_signed_in(&app, &with).await, "another sid");
    assert!(!is_signed_in(&app, &without).await);
    assert!(!is_signed_in(&app, &empty).await);
    assert!(is_signed_in(&app, &stranger).await, "another subject");
}

// LO-12
#[tokio::test]
async fn a_session_that_does_not_open_here_is_ended_and_was_known() {
    let app = App::start().await;
    with_sid(&app, "known");
    let known = signed_in(&app).await;
    without_sid(&app);
    let verifier = judging(&app.idp.provider().unwrap(), API);
    let keys = KeyRing::new(["another secret, also longer than 32 characters"]).unwrap();
    let other = LoginLayer::builder(verifier, client(), SITE, keys)
        .with_shared_store(app.store.clone())
        .build()
        .unwrap();
    let without = signed_in(&app).await;
    let token = of_user(&app).claim("sid", "known").build();
    let answer = told(&other.layer(app.inner.clone()), &token).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(!is_signed_in(&app, &known).await);
    assert!(is_signed_in(&app, &without).await, "the sid was known");
}

// LO-12, SC-09
#[tokio::test]
async fn a_record_that_cannot_be_read_can_be_signed_out() {
    let app = App::start().await;
    for by_provider in [true, false] {
        with_sid(&app, "damaged");
        let mut damaged = signed_in(&app).await;
        let key = SessionId::parse(&damaged.jar[SESSION]).unwrap().store_key();
        let there = app.store.load(key).await.unwrap().unwrap().record;
        let next = StoredRecord {
            bytes: b"\xffof another version".to_vec().into(),
            tag: Tag::random().unwrap(),
            ..there.clone()
        };
        app.store.swap(key, there.tag, next).await.unwrap();
        let whole = signed_in(&app).await;
        if by_provider {
            let token = of_user(&app).build();
            assert_eq!(told(&app.service(), &token).await.status(), StatusCode::OK);
            assert!(!is_signed_in(&app, &whole).await);
        } else {
            let answer = damaged.post(&app, LOGOUT).await;
            assert_eq!(answer.status(), StatusCode::SEE_OTHER);
            assert!(!damaged.jar.contains_key(SESSION));
        }
        assert!(app.store.load(key).await.unwrap().is_none());
        app.clock.advance(seconds(1));
    }
}

/// A logout token about the session of the sign-in under way: by the subject, the session, or both.
fn name(app: &App, which: usize) -> String {
    let token = match which {
        0 | 2 => of_user(app),
        _ => app.idp.logout_token("development"),
    };
    let token = if which == 0 {
        token
    } else {
        token.claim("sid", "s-1")
    };
    token.build()
}

// LO-12
#[tokio::test]
async fn a_logout_between_authorization_and_callback_ends_the_sign_in() {
    for which in 0..3 {
        let app = App::start().await;
        with_sid(&app, "s-1");
        let mut browser = Browser::default();
        let callback = browser.reach_callback(&app, "/oauth/openid").await;
        app.clock.advance(seconds(2));
        let token = name(&app, which);
        assert_eq!(told(&app.service(), &token).await.status(), StatusCode::OK);
        app.clock.advance(seconds(2));
        let answer = browser.visit(&app, &callback).await;
        assert_eq!(failure(&answer), Some(Kind::SessionEnded), "{which}");
        assert!(!browser.jar.contains_key(SESSION));
        until(|| app.idp.live_refresh_tokens().is_empty()).await;
        // What begins after the logout is not held back by it.
        app.clock.advance(seconds(2));
        assert!(is_signed_in(&app, &signed_in(&app).await).await);
    }
}

// LO-12
#[tokio::test]
async fn a_logout_between_code_and_session_ends_the_sign_in() {
    for step in [Step::Create, Step::Created] {
        for which in 0..3 {
            let app = App::start().await;
            with_sid(&app, "s-1");
            let store = Arc::new(PausingStore::new(app.store.clone()));
            let service = over(&app, store.clone());
            let mut browser = Browser::default();
            let callback = browser.reach_callback(&app, "/oauth/openid").await;
            store.pause_at(step);
            let request = browser.navigation(&callback);
            let signing_in = tokio::spawn(service.clone().oneshot(request));
            store.reached().await;
            app.clock.advance(seconds(2));
            let token = name(&app, which);
            assert_eq!(told(&service, &token).await.status(), StatusCode::OK);
            store.resume();
            let answer = signing_in.await.unwrap().unwrap();
            browser.take_cookies(&answer);
            assert_eq!(
                failure(&answer),
                Some(Kind::SessionEnded),
                "{step:?} {which}"
            );
            assert!(!browser.jar.contains_key(SESSION));
            assert!(sessions_of_user(&app).await.is_empty(), "{step:?} {which}");
        }
    }
}

// LO-12
#[tokio::test]
async fn a_session_that_is_made_while_a_logout_looks_for_sessions_is_ended() {
    for which in 0..3 {
        let app = App::start().await;
        with_sid(&app, "s-1");
        let store = Arc::new(PausingStore::new(app.store.clone()));
        let service = over(&app, store.clone());
        let mut browser = Browser::default();
        let callback = browser.reach_callback(&app, "/oauth/openid").await;
        app.clock.advance(seconds(2));
        store.pause_at(Step::Find);
        let token = name(&app, which);
        let logging_out = tokio::spawn(service.clone().oneshot(logout(&token)));
        store.reached().await;
        let request = browser.navigation(&callback);
        let answer = service.clone().oneshot(request).await.unwrap();
        browser.take_cookies(&answer);
        store.resume();
        assert_eq!(logging_out.await.unwrap().unwrap().status(), StatusCode::OK);
        assert!(sessions_of_user(&app).await.is_empty(), "{which}");
    }
}

/// The sessions of the user that are in the store.
async fn sessions_of_user(app: &App) -> Vec<StoreKey> {
    let subject = StoreKey::of(&["subject", app.idp.issuer(), "user-1"]);
    app.store.find(OwnedBy::Subject(subject)).await.unwrap()
}

// LO-13
#[tokio::test]
async fn a_logout_goes_on_when_the_provider_hangs_up() {
    let app = App::start().await;
    let browser = signed_in(&app).await;
    let store = Arc::new(PausingStore::new(app.store.clone()));
    let service = over(&app, store.clone());
    store.pause_at(Step::Find);
    let token = of_user(&app).build();
    let logging_out = tokio::spawn(service.clone().oneshot(logout(&token)));
    store.reached().await;
    logging_out.abort();
    assert!(logging_out.await.unwrap_err().is_cancelled());
    store.resume();
    for _ in 0..1_000 {
        if !is_signed_in(&app, &browser).await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the session lives on");
}

// SC-09
#[tokio::test]
async fn a_sign_out_while_the_store_is_away_keeps_the_cookie() {
    let app = App::start().await;
    let mut browser = signed_in(&app).await;
    let kept = browser.clone();
    let store = Arc::new(FaultyStore::new(app.store.clone()));
    let service = over(&app, store.clone());
    for fault in [FaultyStore::break_down, FaultyStore::break_deletes] {
        fault(&store);
        let request = browser.script(Method::POST, LOGOUT);
        let answer = browser.send(&service, request).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(failure(&answer), Some(Kind::StoreUnavailable));
        assert!(answer.headers().contains_key("retry-after"));
        assert!(!answer.headers().contains_key("set-cookie"));
        assert!(is_signed_in(&app, &kept).await);
    }
    assert_eq!(app.idp.hits().revocation, 0, "nothing was done");
    store.recover();
    let request = browser.script(Method::POST, LOGOUT);
    let answer = browser.send(&service, request).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert!(!browser.jar.contains_key(SESSION));
    assert!(!is_signed_in(&app, &kept).await);
    until(|| app.idp.live_refresh_tokens().is_empty()).await;
}
