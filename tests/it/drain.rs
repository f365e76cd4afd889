//! A process that is asked to stop: what is under way ends, and nothing new begins.

use std::time::Duration;

use http::StatusCode;
use tower::{Layer, ServiceExt, service_fn};
use tower_oidc::outbound::{ClientCredentials, Target};
use tower_oidc::testing::{Endpoint, Fault};
use tower_oidc::{LoginErrorKind as Kind, OutboundError, OutboundErrorKind, OutboundLayer};

use crate::browser::{App, Browser, client, failure};
use crate::support::{seconds, until};

const LONG: Duration = Duration::from_secs(20);

// RT-04, D7
#[tokio::test]
async fn a_drained_layer_stores_what_is_under_way_and_starts_no_refresh() {
    let app = App::start().await;
    let (mut due, mut later) = (Browser::default(), Browser::default());
    due.sign_in(&app).await;
    app.clock.advance(seconds(1_000));
    later.sign_in(&app).await;
    let asked = app.idp.hits().token;
    app.clock.advance(seconds(2_570));
    app.idp
        .set_fault(Endpoint::Token, Fault::Slow(Duration::from_millis(500)));
    assert_eq!(due.fetch(&app, "/").await.status(), StatusCode::OK);
    until(|| app.idp.hits().token > asked).await;

    assert!(app.layer.drain(LONG).await, "it ends in time");
    assert_eq!(app.idp.hits().refreshed, 1);
    assert_eq!(due.fetch(&app, "/").await.status(), StatusCode::OK);
    assert_eq!(app.session().renewals(), 1, "and is stored");

    // Live tokens are served, and none is refreshed.
    app.clock.advance(seconds(1_000));
    assert_eq!(later.fetch(&app, "/").await.status(), StatusCode::OK);
    app.clock.advance(seconds(31));
    let answer = later.fetch(&app, "/").await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(failure(&answer), Some(Kind::ProviderUnavailable));
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(app.idp.hits().refreshed, 1);
    // Another replica refreshes it.
    let request = later.script(http::Method::GET, "/");
    let service = app.replica().layer(app.inner.clone());
    let answer = service.oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!((app.idp.hits().refreshed, app.idp.hits().reused), (2, 0));
}

// RT-04, D7
#[tokio::test]
async fn a_drain_that_takes_too_long_says_so() {
    let app = App::start().await;
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    let asked = app.idp.hits().token;
    app.clock.advance(seconds(3_570));
    app.idp.set_fault(Endpoint::Token, Fault::Stall);
    assert_eq!(browser.fetch(&app, "/").await.status(), StatusCode::OK);
    until(|| app.idp.hits().token > asked).await;
    assert!(!app.layer.drain(Duration::from_millis(100)).await);
}

#[tokio::test]
async fn a_drained_outbound_layer_ends_its_grants_and_starts_none() {
    let app = App::start().await;
    let provider = app.idp.provider().unwrap();
    let target = Target::audience("https://orders.example").unwrap();
    let tokens = ClientCredentials::new(&provider, client(), target);
    let layer = OutboundLayer::new("https://orders.internal", tokens).unwrap();
    let service = layer.layer(service_fn(async |request: http::Request<String>| {
        let is_sent = request.headers().contains_key("authorization");
        Ok::<_, tower::BoxError>(http::Response::new(is_sent))
    }));
    let call = || {
        let request = http::Request::get("https://orders.internal/").body(String::new());
        tokio::spawn(service.clone().oneshot(request.unwrap()))
    };
    app.idp
        .set_fault(Endpoint::Token, Fault::Slow(Duration::from_millis(500)));
    let under_way = call();
    until(|| app.idp.hits().token == 1).await;
    assert!(
        !layer.drain(Duration::from_millis(10)).await,
        "it takes longer"
    );
    assert!(layer.drain(LONG).await);
    assert!(
        under_way.await.unwrap().unwrap().into_body(),
        "it has its token"
    );
    // The token at hand is attached, and no other is granted.
    assert!(call().await.unwrap().unwrap().into_body());
    app.hour_passes();
    let error = call().await.unwrap().unwrap_err();
    let error = error.downcast_ref::<OutboundError>().unwrap();
    assert_eq!(error.kind(), OutboundErrorKind::Unavailable, "{error}");
    assert_eq!(app.idp.hits().token, 1);
}
