//! Relaying the token of the caller, if that is allowed.

use http::StatusCode;
use tower_oidc::error::OutboundErrorKind as Kind;
use tower_oidc::testing::{Endpoint, Fault};
use tower_oidc::{BearerLayer, OutboundLayer, Principal};

use crate::browser::{App, Browser};
use crate::exchange::{from, principal};
use crate::support::{API, judging, seconds, until};
use crate::upstream::{ORDERS, Upstream, call, development, get, kind};

fn relay() -> OutboundLayer {
    OutboundLayer::relay(ORDERS).unwrap()
}

// OB-07, AZ-10
#[tokio::test]
async fn a_callers_token_is_sent_on_only_where_that_was_allowed() {
    let (idp, _clock) = development().await;
    let verifier = judging(&idp.provider().unwrap(), API);
    let token = idp.token(API).build();
    let upstream = Upstream::refusing(|_| true);
    let service = upstream.behind(&relay());
    let unkept = principal(&BearerLayer::new(verifier.clone()), &token).await;
    assert_eq!(kind(&service, from(&unkept)).await, Kind::NoTokenToRelay);
    assert_eq!(kind(&service, get(ORDERS)).await, Kind::NoCaller);
    assert!(upstream.seen().is_empty());
    let kept = principal(&BearerLayer::new(verifier).allow_relay(), &token).await;
    let mut elsewhere = get("https://elsewhere.example/");
    elsewhere.extensions_mut().insert(kept.clone());
    call(&service, elsewhere).await.unwrap();
    // There is no newer token, so the refusal is passed on.
    let answer = call(&service, from(&kept)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(upstream.tokens(), [None, Some(token.clone())]);
    assert!(!format!("{kept:?}").contains(&token));
}

async fn signed_in() -> (App, Browser, Principal) {
    let app = App::start().await;
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    browser.fetch(&app, "/").await;
    let principal = app.session().principal().clone();
    (app, browser, principal)
}

// F44
#[tokio::test]
async fn a_stream_of_an_hour_calls_on_with_tokens_of_five_minutes() {
    let app = App::start().await;
    app.idp.set_token_lifetime(seconds(300));
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    browser.fetch(&app, "/").await;
    // A handler keeps the principal for as long as it streams.
    let principal = app.session().principal().clone();
    let upstream = Upstream::new();
    let service = upstream.behind(&relay());
    for _ in 0..60 {
        call(&service, from(&principal)).await.unwrap();
        let token = upstream.tokens().pop().unwrap().unwrap();
        app.verifier.verify(&token).await.unwrap();
        app.clock.advance(seconds(60));
    }
    let mut tokens: Vec<_> = upstream.tokens().into_iter().flatten().collect();
    tokens.dedup();
    assert!((12..=15).contains(&tokens.len()), "{}", tokens.len());
    assert_eq!(app.idp.hits().refreshed as usize, tokens.len() - 1);
    assert_eq!(app.idp.hits().reused, 0);
}

// F45
#[tokio::test]
async fn a_refused_token_is_renewed_and_the_call_repeated() {
    let (app, _browser, principal) = signed_in().await;
    let first = app.session().access_token().await.unwrap();
    let refused = first.as_access_token().as_str().to_owned();
    let upstream = Upstream::refusing(move |token| token == refused);
    let service = upstream.behind(&relay());
    let calls = (0..100).map(|_| {
        let (service, principal) = (service.clone(), principal.clone());
        tokio::spawn(async move { call(&service, from(&principal)).await.unwrap().status() })
    });
    for answer in calls.collect::<Vec<_>>() {
        assert_eq!(answer.await.unwrap(), StatusCode::OK);
    }
    assert_eq!((app.idp.hits().refreshed, app.idp.hits().reused), (1, 0));
    // The session itself yields the same tokens.
    let source = OutboundLayer::new(ORDERS, app.session()).unwrap();
    let answer = call(&upstream.behind(&source), get(ORDERS)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(app.idp.hits().refreshed, 1);
}

// OB-03
#[tokio::test]
async fn a_service_that_refuses_every_session_causes_few_refreshes() {
    let (app, _browser, principal) = signed_in().await;
    let upstream = Upstream::refusing(|_| true);
    let service = upstream.behind(&relay());
    for _ in 0..100 {
        let answer = call(&service, from(&principal)).await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(app.idp.hits().refreshed, 2);
    app.clock.advance(seconds(31));
    for _ in 0..10 {
        call(&service, from(&principal)).await.unwrap();
    }
    assert_eq!(app.idp.hits().refreshed, 3);
}

// F54
#[tokio::test]
async fn a_session_that_is_over_and_a_provider_that_is_away_are_told_apart() {
    let (app, mut browser, principal) = signed_in().await;
    let upstream = Upstream::new();
    let service = upstream.behind(&relay());
    app.hour_passes();
    app.idp.set_fault(Endpoint::Token, Fault::Status(500));
    let error = call(&service, from(&principal)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.retry_after().is_some());
    app.idp.set_fault(Endpoint::Token, None);
    app.clock.advance(seconds(60));
    call(&service, from(&principal)).await.unwrap();
    browser.post(&app, "/oauth/openid/logout").await;
    let error = call(&service, from(&principal)).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.retry_after()),
        (Kind::SessionEnded, None)
    );
    assert_eq!(upstream.seen().len(), 1);
    until(|| app.idp.live_refresh_tokens().is_empty()).await;
}

#[tokio::test]
async fn a_principal_keeps_no_layer_alive() {
    let (app, _browser, principal) = signed_in().await;
    let service = Upstream::new().behind(&relay());
    call(&service, from(&principal)).await.unwrap();
    let App {
        layer, last, inner, ..
    } = app;
    drop((layer, inner));
    *last.lock().unwrap() = None;
    assert_eq!(kind(&service, from(&principal)).await, Kind::SessionEnded);
}
