//! Providers that take a spent refresh token again for a while: Auth0's rotation overlap, Okta's grace period.

use std::time::Duration;

use http::StatusCode;
use tower_oidc::testing::{Endpoint, Fault};

use crate::browser::{App, Browser};
use crate::support::{seconds, until};

/// A session whose refresh, half a minute before the end of its access token, gets no answer. The provider
/// answers from then on.
async fn after_a_lost_answer(grace: Option<Duration>) -> (App, Browser) {
    let app = App::start_with(|login| match grace {
        Some(grace) => login.with_rotation_grace(grace),
        None => login,
    })
    .await;
    app.idp.set_reuse_grace(seconds(60));
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    let asked = app.idp.hits().token;
    app.clock.advance(seconds(3_570));
    app.idp.set_fault(Endpoint::Token, Fault::LoseAnswer);
    assert_eq!(browser.fetch(&app, "/").await.status(), StatusCode::OK);
    until(|| app.idp.hits().token > asked).await;
    app.idp.set_fault(Endpoint::Token, None);
    (app, browser)
}

// RT-05
#[tokio::test]
async fn a_lost_answer_is_asked_for_again_at_once_within_the_grace() {
    let (app, mut browser) = after_a_lost_answer(Some(seconds(30))).await;
    until(|| app.idp.hits().refreshed == 2).await;
    // Its commit is a moment away. The access token of before still lives.
    for _ in 0..1_000 {
        assert_eq!(browser.fetch(&app, "/").await.status(), StatusCode::OK);
        if app.session().renewals() == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(app.session().renewals(), 1);
    assert_eq!(app.idp.hits().reused, 0);
    // The tokens that it brought can be refreshed in their turn.
    app.hour_passes();
    assert_eq!(browser.fetch(&app, "/").await.status(), StatusCode::OK);
    assert_eq!(app.session().renewals(), 2);
    assert_eq!(app.idp.hits().reused, 0);
}

// RT-05
#[tokio::test]
async fn without_the_choice_the_old_token_waits_for_the_end_of_the_access_token() {
    let (app, mut browser) = after_a_lost_answer(None).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let asked = app.idp.hits().token;
    for _ in 0..2 {
        app.clock.advance(seconds(10));
        assert_eq!(browser.fetch(&app, "/").await.status(), StatusCode::OK);
        assert_eq!(app.idp.hits().token, asked, "the access token lives");
    }
    app.clock.advance(seconds(11));
    assert_eq!(browser.fetch(&app, "/").await.status(), StatusCode::OK);
    assert_eq!(app.session().renewals(), 1, "one probe, which was taken");
    assert_eq!(
        (app.idp.hits().token, app.idp.hits().reused),
        (asked + 1, 0)
    );
}
