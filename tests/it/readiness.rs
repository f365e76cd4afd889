//! The contract of tower: the service that was polled ready is the one that is called, and no layer reports
//! another readiness than the inner service's. Polled by hand, without a clock.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use http::{Request, Response, StatusCode};
use tower::{Layer, Service, ServiceExt};
use tower_oidc::testing::{Endpoint, Fault};
use tower_oidc::{BearerLayer, RequireLayer};
use tower_test::mock;

use crate::support::{Api, bearing, seconds};

/// Panics if it is called without having been polled ready, which a clone of it would be.
#[derive(Debug, Default)]
struct Picky {
    ready: bool,
    called: Arc<AtomicBool>,
}

impl Clone for Picky {
    fn clone(&self) -> Self {
        Self {
            ready: false,
            called: Arc::clone(&self.called),
        }
    }
}

impl Service<Request<String>> for Picky {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<String>) -> Self::Future {
        assert!(self.ready, "called without having been polled ready");
        self.ready = false;
        self.called.store(true, Ordering::SeqCst);
        std::future::ready(Ok(Response::new(String::new())))
    }
}

#[tokio::test]
async fn the_service_that_was_polled_ready_is_called_on_every_path() {
    let api = Api::start().await;
    let inner = RequireLayer::scope("a").unwrap().layer(Picky::default());
    let mut stack = api.bearer().layer(inner);
    let token = api.token().scope("a").build();
    // The first call waits for the keys, the others do not.
    for _ in 0..3 {
        let answer = stack
            .ready()
            .await
            .unwrap()
            .call(bearing(&token))
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn readiness_is_the_inner_services() {
    let api = Api::start().await;
    let layer: BearerLayer = api.bearer();
    let (mut service, mut handle) = mock::spawn_with(|inner| layer.layer(Boxed(inner)));
    handle.allow(0);
    assert!(matches!(service.poll_ready(), Poll::Pending));
    handle.allow(1);
    assert!(matches!(service.poll_ready(), Poll::Ready(Ok(()))));
}

/// A mock that answers with HTTP responses.
#[derive(Clone)]
struct Boxed(tower_test::mock::Mock<Request<String>, Response<String>>);

impl Service<Request<String>> for Boxed {
    type Response = Response<String>;
    type Error = tower::BoxError;
    type Future = tower_test::mock::future::ResponseFuture<Response<String>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<String>) -> Self::Future {
        self.0.call(request)
    }
}

// LM-10
#[tokio::test]
async fn cancelling_at_any_point_harms_no_other_request() {
    let api = Api::start().await;
    api.idp
        .set_fault(Endpoint::Jwks, Fault::Slow(seconds(1) / 5));
    let token = api.token().build();
    for polls in 0..4 {
        let mut call = Box::pin(
            api.bearer()
                .layer(api.inner.clone())
                .oneshot(bearing(&token)),
        );
        for _ in 0..polls {
            let _ = futures_util::poll!(&mut call);
        }
        drop(call);
    }
    assert_eq!(api.status(&token).await, StatusCode::OK);
    assert_eq!(api.idp.hits().jwks, 1);
}

// D5
#[tokio::test]
async fn with_the_key_at_hand_the_first_poll_answers() {
    let api = Api::start().await;
    let token = api.token().build();
    assert_eq!(api.status(&token).await, StatusCode::OK);
    for (token, status) in [
        (token, StatusCode::OK),
        ("x".to_owned(), StatusCode::UNAUTHORIZED),
    ] {
        let mut service = api.bearer().layer(Picky::default()).clone();
        std::future::poll_fn(|context| service.poll_ready(context))
            .await
            .unwrap();
        let call = std::pin::pin!(service.call(bearing(&token)));
        match futures_util::poll!(call) {
            Poll::Ready(answer) => assert_eq!(answer.unwrap().status(), status),
            Poll::Pending => panic!("it waited"),
        }
    }
}

#[tokio::test]
async fn errors_of_the_inner_service_pass_untouched() {
    let api = Api::start().await;
    let failing =
        tower::service_fn(async |_: Request<String>| Err::<Response<String>, _>("broken"));
    let error = api
        .bearer()
        .layer(failing)
        .oneshot(bearing(&api.token().build()))
        .await;
    assert_eq!(error.unwrap_err(), "broken");
}
