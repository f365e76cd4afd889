//! How long sessions last, and how many one user may have.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use tower::Layer;
use tower_oidc::login::LoginBuilder;
use tower_oidc::{Clock, LoginErrorKind};

use crate::browser::{App, Browser, builder, failure};
use crate::faulty_store::FaultyStore;
use crate::support::{seconds, until};

const IDLE: Duration = Duration::from_secs(7_200);

async fn status(app: &App, browser: &mut Browser) -> StatusCode {
    let status = browser.fetch(app, "/").await.status();
    // What is written in the background is written.
    tokio::time::sleep(Duration::from_millis(5)).await;
    status
}

/// Signed in, with access tokens that live as long as the idle limit.
async fn signed_in(choose: impl FnOnce(LoginBuilder) -> LoginBuilder) -> (App, Browser) {
    let app = App::start_with(|login| choose(login.with_idle_limit(IDLE))).await;
    app.idp.set_token_lifetime(IDLE);
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    (app, browser)
}

// SC-08
#[tokio::test]
async fn the_idle_limit_counts_from_refreshes_unless_chosen_otherwise() {
    let (app, mut browser) = signed_in(|login| login).await;
    app.clock.advance(seconds(6_000));
    assert_eq!(status(&app, &mut browser).await, StatusCode::OK);
    app.clock.advance(seconds(1_300));
    assert_eq!(status(&app, &mut browser).await, StatusCode::UNAUTHORIZED);

    let (app, mut browser) = signed_in(LoginBuilder::count_idle_from_use).await;
    app.clock.advance(seconds(6_000));
    assert_eq!(status(&app, &mut browser).await, StatusCode::OK);
    app.clock.advance(seconds(1_300));
    assert_eq!(status(&app, &mut browser).await, StatusCode::OK);
    assert_eq!(app.session().renewals(), 1);
    app.clock.advance(IDLE + seconds(10));
    assert_eq!(
        status(&app, &mut browser).await,
        StatusCode::UNAUTHORIZED,
        "not used"
    );
}

// SC-08
#[tokio::test]
async fn the_session_expiry_of_an_id_token_brings_the_end_forward() {
    let end = |app: &App, left: i64| {
        let end = app.clock.now().as_seconds() + left;
        app.idp
            .edit_id_token(move |token| token.claim("session_expiry", end));
    };
    let app = App::start().await;
    end(&app, 100);
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    app.clock.advance(seconds(99));
    assert_eq!(status(&app, &mut browser).await, StatusCode::OK);
    app.clock.advance(seconds(2));
    assert_eq!(status(&app, &mut browser).await, StatusCode::UNAUTHORIZED);
    // One that has passed makes no session.
    end(&app, 0);
    let answer = browser.try_sign_in(&app).await;
    assert_eq!(failure(&answer), Some(LoginErrorKind::IdTokenRefused));

    // It comes with a refresh, and a later one does not put the end off.
    app.idp
        .edit_id_token(|token| token.claim("session_expiry", "1"));
    browser.sign_in(&app).await;
    app.hour_passes();
    end(&app, 5_000);
    assert_eq!(status(&app, &mut browser).await, StatusCode::OK);
    app.hour_passes();
    end(&app, 90_000);
    assert_eq!(status(&app, &mut browser).await, StatusCode::OK);
    app.clock.advance(seconds(1_401));
    assert_eq!(status(&app, &mut browser).await, StatusCode::UNAUTHORIZED);
    assert_eq!(app.idp.hits().refreshed, 2);
    // One that has passed when it comes ends the session at once.
    app.idp
        .edit_id_token(|token| token.claim("session_expiry", "1"));
    browser.sign_in(&app).await;
    app.hour_passes();
    end(&app, 0);
    assert_eq!(status(&app, &mut browser).await, StatusCode::UNAUTHORIZED);
    assert_eq!(app.idp.hits().refreshed, 3);
}

// SC-08, D30
#[tokio::test]
async fn new_tokens_and_the_earlier_end_that_came_with_them_are_one_write() {
    let app = App::start().await;
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    app.hour_passes();
    let end = app.clock.now().as_seconds() + 100;
    app.idp
        .edit_id_token(move |token| token.claim("session_expiry", end));
    let store = Arc::new(FaultyStore::new(app.store.clone()));
    let layer = builder(&app.verifier)
        .with_shared_store(store.clone())
        .build()
        .unwrap();
    let request = browser.script(Method::GET, "/");
    let answer = browser.send(&layer.layer(app.inner.clone()), request).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(store.swaps(), 2, "the lease and the commit");
    app.clock.advance(seconds(99));
    assert_eq!(status(&app, &mut browser).await, StatusCode::OK);
    app.clock.advance(seconds(2));
    assert_eq!(status(&app, &mut browser).await, StatusCode::UNAUTHORIZED);
}

// SC-08
#[tokio::test]
async fn use_is_written_down_once_per_tenth_of_the_idle_limit() {
    let (app, mut browser) = signed_in(|login| login).await;
    let store = Arc::new(FaultyStore::new(app.store.clone()));
    let layer = builder(&app.verifier)
        .with_idle_limit(IDLE)
        .count_idle_from_use()
        .with_shared_store(store.clone())
        .build()
        .unwrap();
    let service = layer.layer(app.inner.clone());
    for _ in 0..60 {
        app.clock.advance(seconds(60));
        let request = browser.script(Method::GET, "/");
        let answer = browser.send(&service, request).await;
        assert_eq!(answer.status(), StatusCode::OK);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // An hour is five tenths of two hours.
    assert!((3..=5).contains(&store.swaps()), "{} writes", store.swaps());
    assert_eq!(app.idp.hits().refreshed, 0);
}

// SC-08
#[tokio::test]
async fn no_use_outlives_the_absolute_limit() {
    let absolute = seconds(10_800);
    let choose = |login: LoginBuilder| login.with_absolute_limit(absolute).count_idle_from_use();
    let (app, mut browser) = signed_in(choose).await;
    for _ in 0..17 {
        app.clock.advance(seconds(600));
        assert_eq!(status(&app, &mut browser).await, StatusCode::OK);
    }
    app.clock.advance(seconds(601));
    assert_eq!(status(&app, &mut browser).await, StatusCode::UNAUTHORIZED);
}

async fn several(app: &App, count: usize) -> Vec<Browser> {
    let mut browsers = Vec::new();
    for _ in 0..count {
        app.clock.advance(seconds(1));
        let mut browser = Browser::default();
        browser.sign_in(app).await;
        browsers.push(browser);
    }
    browsers
}

#[tokio::test]
async fn a_sign_in_too_many_ends_the_oldest_session_of_the_user() {
    let app = App::start_with(|login| login.with_sessions_per_subject(2)).await;
    app.idp.set_user("another");
    let mut stranger = several(&app, 1).await;
    app.idp.set_user("user-1");
    let mut browsers = several(&app, 2).await;
    assert_eq!(app.idp.live_refresh_tokens().len(), 3);
    browsers.extend(several(&app, 2).await);
    // The refresh tokens of those that ended are revoked.
    until(|| app.idp.live_refresh_tokens().len() == 3).await;
    let mut statuses = Vec::new();
    for browser in browsers.iter_mut().chain(&mut stranger) {
        statuses.push(status(&app, browser).await.as_u16());
    }
    assert_eq!(statuses, [401, 401, 200, 200, 200]);
}

#[tokio::test]
async fn a_limit_that_cannot_be_kept_fails_no_sign_in() {
    let app = App::start().await;
    let mut first = several(&app, 1).await.remove(0);
    let store = Arc::new(FaultyStore::new(app.store.clone()));
    let layer = builder(&app.verifier)
        .with_sessions_per_subject(1)
        .with_shared_store(store.clone())
        .build()
        .unwrap();
    store.break_finds();
    app.clock.advance(seconds(1));
    let service = layer.layer(app.inner.clone());
    let mut browser = Browser::default();
    let callback = browser.reach_callback(&app, "/oauth/openid").await;
    let request = browser.navigation(&callback);
    let answer = browser.send(&service, request).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(status(&app, &mut browser).await, StatusCode::OK);
    assert_eq!(status(&app, &mut first).await, StatusCode::OK);
}

#[tokio::test]
async fn a_limit_out_of_bounds_does_not_build() {
    let app = App::start().await;
    for most in [0, 1_001, usize::MAX] {
        let error = builder(&app.verifier)
            .with_sessions_per_subject(most)
            .build()
            .unwrap_err();
        assert_eq!(error.setting(), "sessions per subject");
        assert!(error.to_string().contains("from 1 to 1000"), "{error}");
    }
    for most in [1, 1_000] {
        let built = builder(&app.verifier)
            .with_sessions_per_subject(most)
            .build();
        assert!(built.is_ok(), "{most}");
    }
}
