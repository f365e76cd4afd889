//! The contract of tower: the service that was polled ready is the one that is called, and no layer reports
//! another readiness than the inner service's. Polled by hand, without a clock.

use std::convert::Infallible;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use http::{Request, Response, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::{Layer, Service, ServiceExt};
use tower_oidc::outbound::{ClientCredentials, Target};
use tower_oidc::testing::{Endpoint, Fault};
use tower_oidc::{BearerLayer, OutboundLayer, RequireLayer, VerifyErrorKind};
use tower_test::mock;

use crate::browser::client;
use crate::support::{Api, bearing, seconds};
use crate::upstream::{ORDERS, development, get};

/// Panics if it is called without having been polled ready, which a clone of it would be.
#[derive(Debug, Default)]
struct Picky {
    ready: bool,
    called: Arc<AtomicBool>,
}

impl Picky {
    fn ready() -> Self {
        Self {
            ready: true,
            ..Self::default()
        }
    }
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

/// Takes the only permit when it is polled ready, and gives it back when it is called or dropped, as a
/// `ConcurrencyLimit` does. Its clones have none.
struct Limited<B> {
    permits: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
    body: PhantomData<fn(B)>,
}

impl<B> Limited<B> {
    fn new() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(1)),
            permit: None,
            body: PhantomData,
        }
    }

    fn ready() -> Self {
        let limited = Self::new();
        let permit = Arc::clone(&limited.permits).try_acquire_owned().ok();
        Self { permit, ..limited }
    }
}

impl<B> Clone for Limited<B> {
    fn clone(&self) -> Self {
        Self {
            permits: Arc::clone(&self.permits),
            permit: None,
            body: PhantomData,
        }
    }
}

impl<B> Service<Request<B>> for Limited<B> {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if self.permit.is_none() {
            self.permit = Arc::clone(&self.permits).try_acquire_owned().ok();
        }
        if self.permit.is_some() {
            return Poll::Ready(Ok(()));
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        assert!(self.permit.take().is_some(), "called without a permit");
        std::future::ready(Ok(Response::new(String::new())))
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    let limited = tokio::time::timeout(seconds(10), future).await;
    limited.expect("it waits for a permit that a waiting request holds")
}

#[tokio::test]
async fn a_request_that_waits_for_keys_holds_no_permit_of_the_inner_service() {
    let api = Api::start().await;
    let good = api.token().build();
    assert_eq!(api.status(&good).await, StatusCode::OK);
    api.idp.set_fault(Endpoint::Jwks, Fault::Slow(seconds(1)));
    api.idp.rotate_keys();
    let new = api.token().build();
    let mut service = api.bearer().layer(Limited::new());
    let waiting = soon(service.ready()).await.unwrap().call(bearing(&new));
    let mut waiting = std::pin::pin!(waiting);
    assert!(
        futures_util::poll!(&mut waiting).is_pending(),
        "it waits for the keys"
    );
    // By the same service, and by a clone.
    let mut clone = service.clone();
    for service in [&mut service, &mut clone] {
        let answer = soon(soon(service.ready()).await.unwrap().call(bearing(&good))).await;
        assert_eq!(answer.unwrap().status(), StatusCode::OK);
    }
    // The waiting one takes a permit once it knows its key.
    assert_eq!(soon(waiting).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_request_that_waits_for_its_token_holds_no_permit_of_the_client() {
    let (idp, _clock) = development().await;
    idp.set_fault(Endpoint::Token, Fault::Slow(seconds(1)));
    let tokens = ClientCredentials::new(&idp.provider().unwrap(), client(), Target::unspecified());
    let mut service = OutboundLayer::new(ORDERS, tokens)
        .unwrap()
        .layer(Limited::new());
    let waiting = soon(service.ready()).await.unwrap().call(get(ORDERS));
    let mut waiting = std::pin::pin!(waiting);
    assert!(
        futures_util::poll!(&mut waiting).is_pending(),
        "it waits for its token"
    );
    let elsewhere = get("https://elsewhere.example/");
    let answer = soon(soon(service.ready()).await.unwrap().call(elsewhere)).await;
    assert_eq!(answer.unwrap().status(), StatusCode::OK);
    assert_eq!(soon(waiting).await.unwrap().status(), StatusCode::OK);
}

/// A service can be called outside of a runtime, as long as its future is polled within one.
#[test]
fn a_call_from_outside_of_a_runtime_is_answered_within_one() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (api, idp) = runtime.block_on(async { (Api::start().await, development().await.0) });
    let token = api.token().build();
    let bare = futures_util::FutureExt::now_or_never(api.verifier.verify(&token));
    let error = bare.unwrap().unwrap_err();
    assert_eq!(
        error.kind(),
        VerifyErrorKind::Unavailable,
        "there is no runtime at all"
    );

    let call = api.bearer().layer(Picky::ready()).call(bearing(&token));
    assert_eq!(runtime.block_on(call).unwrap().status(), StatusCode::OK);
    let unknown = api.token().header("kid", "unknown").build();
    let call = api.bearer().layer(Picky::ready()).call(bearing(&unknown));
    assert_eq!(
        runtime.block_on(call).unwrap().status(),
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(api.idp.hits().jwks, 2);

    let tokens = ClientCredentials::new(&idp.provider().unwrap(), client(), Target::unspecified());
    let layer = OutboundLayer::new(ORDERS, tokens).unwrap();
    let call = layer.layer(Limited::ready()).call(get(ORDERS));
    assert_eq!(runtime.block_on(call).unwrap().status(), StatusCode::OK);
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
