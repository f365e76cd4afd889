//! Access tokens whose whole life is a few seconds, and clocks that differ.

use std::sync::Arc;

use http::StatusCode;
use tower::{Layer, ServiceExt};
use tower_oidc::LoginErrorKind as Kind;
use tower_oidc::login::MemoryStore;
use tower_oidc::testing::{DevelopmentProvider, ManualClock};

use crate::browser::{App, Browser, builder, failure, told_operators};
use crate::support::{API, judging, judging_as, seconds};

// RT-09
#[tokio::test]
async fn a_token_of_three_seconds_is_served_or_refreshed_never_a_page() {
    for leeway in [0, 60] {
        let app = App::verifying(
            |verifier| verifier.with_leeway(seconds(leeway)),
            |login| login,
        )
        .await;
        app.idp.set_token_lifetime(seconds(3));
        let mut browser = Browser::default();
        browser.sign_in(&app).await;
        for second in 0..60 {
            let answer = browser.fetch(&app, "/").await;
            assert_eq!(
                (answer.status(), answer.body().as_str()),
                (StatusCode::OK, "user-1"),
                "{leeway} {second}"
            );
            app.clock.advance(seconds(1));
        }
        assert!(app.idp.hits().refreshed >= 10, "{leeway}");
        assert_eq!(app.idp.hits().reused, 0, "{leeway}");
    }
}

// RT-09
#[tokio::test]
async fn a_replica_that_meets_such_a_token_after_its_end_refreshes_it() {
    let leeway = 0;
    let app = App::verifying(
        |verifier| verifier.with_leeway(seconds(leeway)),
        |login| login,
    )
    .await;
    app.idp.set_token_lifetime(seconds(3));
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    for pause in [3, 4, 5, 6, 20, 40] {
        app.clock.advance(seconds(pause));
        let provider = app.idp.provider().unwrap();
        let verifier = judging_as(&provider, API).with_leeway(seconds(leeway));
        let layer = builder(&verifier.build().unwrap()).with_shared_store(app.store.clone());
        let replica = layer.build().unwrap().layer(app.inner.clone());
        let request = browser.navigation("/");
        let answer = replica.oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{pause}");
    }
    assert_eq!(app.idp.hits().reused, 0);
}

// RT-09
#[tokio::test]
async fn a_token_expired_when_obtained_is_a_matter_of_clocks() {
    let theirs = ManualClock::new();
    let ours = ManualClock::new();
    let idp = DevelopmentProvider::builder().with_clock(theirs.clone());
    let idp = idp.start().await.unwrap();
    idp.set_token_lifetime(seconds(300));
    let provider = idp.provider_builder().with_clock(ours.clone());
    let verifier = judging(&provider.build().unwrap(), API);
    let store = Arc::new(MemoryStore::with_clock(ours.clone()));
    let layer = builder(&verifier).with_shared_store(store.clone());
    let mut app = App::start().await;
    app.idp = idp;
    app.layer = layer.build().unwrap();
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    // Ours is ahead by more than the leeway and the life of a token.
    ours.advance(seconds(300 + 60 + 30));
    for reload in 0..3 {
        let answer = browser.visit(&app, "/").await;
        assert_eq!(failure(&answer), Some(Kind::TokenRefused), "{reload}");
        assert!(told_operators(&answer).contains("clock"));
    }
    assert_eq!(app.idp.hits().refreshed, 1, "another would be no better");
    // A clock is set right, and half a minute later the same session goes on.
    theirs.advance(seconds(300 + 60 + 30));
    ours.advance(seconds(30));
    theirs.advance(seconds(30));
    let answer = browser.visit(&app, "/").await;
    assert_eq!(answer.status(), StatusCode::OK, "{}", answer.body());
}
