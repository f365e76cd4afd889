//! Streams and WebSockets that end with the token or the session of their caller.

use std::convert::Infallible;
use std::time::Duration;

use ::axum::Router;
use ::axum::body::Body;
use ::axum::extract::WebSocketUpgrade;
use ::axum::extract::ws::{CloseFrame, Message as AxumMessage};
use ::axum::response::sse::{Event, Sse};
use ::axum::routing::{any, get};
use bytes::Bytes;
use futures_util::SinkExt as _;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::net::TcpListener;
use tokio_stream::StreamExt;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};
use tower::{Layer, ServiceExt, service_fn};
use tower_oidc::streams::StreamEnded;
use tower_oidc::testing::{DevelopmentProvider, ManualClock};
use tower_oidc::{BearerLayer, Clock, Principal, Revocations, StreamExpiryLayer, Verifier};

use crate::browser::{App, Browser};
use crate::log::Log;
use crate::support::{API, Answer, TokioClock, expiring, judging_as, offline_by, seconds};

type Endless =
    StreamBody<futures_util::stream::BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

/// A piece each seven seconds, without end.
fn endless(content_type: &str) -> Response<Endless> {
    let pieces = tokio_stream::iter(0..)
        .throttle(seconds(7))
        .map(|_| Ok(Frame::data(Bytes::from_static(b"x"))));
    let body = StreamBody::new(Box::pin(pieces) as _);
    let answer = Response::builder().header(CONTENT_TYPE, content_type);
    answer.body(body).unwrap()
}

/// How a stream ended, and after how many seconds.
async fn watched(
    layer: &StreamExpiryLayer,
    caller: Option<Principal>,
    request_type: &str,
    content_type: &'static str,
) -> (&'static str, u64) {
    let start = tokio::time::Instant::now();
    let inner = service_fn(async move |_: Request<()>| Ok::<_, Infallible>(endless(content_type)));
    let mut request = Request::builder()
        .header(CONTENT_TYPE, request_type)
        .body(())
        .unwrap();
    request.extensions_mut().extend(
        caller
            .map(|caller| {
                let mut extensions = http::Extensions::new();
                extensions.insert(caller);
                extensions
            })
            .unwrap_or_default(),
    );
    let mut body = layer
        .layer(inner)
        .oneshot(request)
        .await
        .unwrap()
        .into_body();
    for _ in 0..1_000 {
        let end = match body.frame().await {
            Some(Ok(frame)) if frame.is_trailers() => {
                let trailers = frame.into_trailers().unwrap();
                assert_eq!(trailers["grpc-status"], "16");
                "trailers"
            }
            Some(Ok(_)) => continue,
            Some(Err(error)) => {
                assert!(error.is::<StreamEnded>(), "{error}");
                "cut off"
            }
            None => "ended",
        };
        assert!(body.frame().await.is_none());
        return (end, start.elapsed().as_secs());
    }
    ("open", start.elapsed().as_secs())
}

// GR-06
#[tokio::test(start_paused = true)]
async fn a_stream_ends_when_its_callers_token_is_accepted_no_longer() {
    let clock = TokioClock::new();
    for (grace, request_type, content_type, expected, lasts) in [
        (
            None,
            "application/grpc",
            "application/grpc",
            "trailers",
            160,
        ),
        (
            Some(30),
            "application/grpc",
            "application/grpc",
            "trailers",
            190,
        ),
        (None, "", "text/event-stream", "ended", 160),
        (None, "", "Text/Event-Stream; charset=utf-8", "ended", 160),
        (Some(30), "", "text/event-stream", "ended", 190),
        (None, "", "application/x-ndjson", "cut off", 160),
        (None, "", "text/event-streams", "cut off", 160),
    ] {
        let layer = StreamExpiryLayer::new();
        let layer = grace.map_or(layer.clone(), |grace| layer.with_grace(seconds(grace)));
        let caller = expiring(&clock, seconds(100)).await;
        let (end, took) = watched(&layer, Some(caller), request_type, content_type).await;
        assert_eq!(end, expected, "{content_type}");
        assert!(
            (lasts..=lasts + 1).contains(&took),
            "{content_type}: {took}"
        );
    }
    // Without a caller there is nothing that could end. The missing layer is told of.
    let log = Log::default();
    let capturing = log.capture();
    let (end, _) = watched(&StreamExpiryLayer::new(), None, "", "text/event-stream").await;
    drop(capturing);
    assert_eq!(end, "open");
    let errors = log.at(tracing::Level::ERROR);
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains("StreamExpiryLayer"), "{errors:?}");
}

// GR-06, D39
#[tokio::test(start_paused = true)]
async fn a_revoked_caller_has_no_grace_and_an_old_token_ends_before_its_exp() {
    let clock = TokioClock::new();
    let (idp, verifier) = offline_by(&clock);
    let revocations = Revocations::builder().with_clock(clock.clone()).build();
    let revocations = revocations.unwrap();
    let verifier = verifier
        .with_revocations(&revocations)
        .with_max_age(seconds(200))
        .build()
        .unwrap();
    let token = idp.token(API).expires_in(seconds(1_000)).build();
    let layer = StreamExpiryLayer::new().with_grace(seconds(50));
    let caller = verifier.verify(&token).await.unwrap();
    let (end, took) = watched(&layer, Some(caller.clone()), "", "text/event-stream").await;
    assert_eq!(end, "ended");
    // The greatest age, the leeway, and the grace.
    assert!((310..=312).contains(&took), "{took}");

    let token = idp.token(API).expires_in(seconds(1_000)).build();
    let caller = verifier.verify(&token).await.unwrap();
    let start = tokio::time::Instant::now();
    let ended = tokio::spawn(caller.ended());
    let watching =
        tokio::spawn(async move { watched(&layer, Some(caller), "", "text/event-stream").await });
    tokio::time::sleep(seconds(10)).await;
    assert!(!ended.is_finished() && !watching.is_finished());
    revocations.revoke_all(idp.issuer(), "user-1").unwrap();
    ended.await.unwrap();
    assert!(start.elapsed() <= seconds(11), "{:?}", start.elapsed());
    let (end, took) = watching.await.unwrap();
    assert_eq!(end, "ended");
    assert!((10..=11).contains(&took), "{took}");
}

// GR-06
#[tokio::test(start_paused = true)]
async fn a_body_of_known_length_is_sent_to_its_end() {
    let clock = TokioClock::new();
    let caller = expiring(&clock, seconds(1)).await;
    let slow = service_fn(async |_: Request<()>| {
        tokio::time::sleep(seconds(500)).await;
        Ok::<_, Infallible>(Response::new("whole".to_owned()))
    });
    let mut request = Request::new(());
    request.extensions_mut().insert(caller);
    let answer = StreamExpiryLayer::new().layer(slow).oneshot(request).await;
    let body = answer.unwrap().into_body();
    assert_eq!(http_body::Body::size_hint(&body).exact(), Some(5));
    tokio::time::sleep(seconds(500)).await;
    assert_eq!(body.collect().await.unwrap().to_bytes(), "whole");
}

/// An API on axum with streams and a WebSocket.
struct Streaming {
    idp: DevelopmentProvider,
    clock: ManualClock,
    revocations: Revocations,
    address: String,
}

/// Answers each message, and closes the socket with a code when its caller has ended.
async fn socket(caller: Principal, upgrade: WebSocketUpgrade) -> ::axum::response::Response {
    upgrade.on_upgrade(async move |mut socket| {
        let mut ended = std::pin::pin!(caller.ended());
        loop {
            tokio::select! {
                message = socket.recv() => {
                    let Some(Ok(message)) = message else { return };
                    let _ = socket.send(message).await;
                }
                () = &mut ended => {
                    let reason = CloseFrame { code: 4401, reason: "sign in again".into() };
                    let _ = socket.send(AxumMessage::Close(Some(reason))).await;
                    return;
                }
            }
        }
    })
}

fn numbers() -> impl tokio_stream::Stream<Item = u64> + Send + 'static {
    tokio_stream::iter(0..).throttle(Duration::from_millis(100))
}

impl Streaming {
    async fn start() -> Self {
        let clock = ManualClock::new();
        let idp = DevelopmentProvider::builder()
            .with_clock(clock.clone())
            .start()
            .await
            .unwrap();
        let revocations = Revocations::builder().with_clock(clock.clone()).build();
        let revocations = revocations.unwrap();
        let verifier: Verifier = judging_as(&idp.provider().unwrap(), API)
            .with_revocations(&revocations)
            .build()
            .unwrap();
        let events = async || {
            let events = numbers().map(|number| Event::default().data(number.to_string()));
            Sse::new(events.map(Ok::<_, Infallible>))
        };
        let lines = async || {
            Body::from_stream(numbers().map(|number| Ok::<_, Infallible>(format!("{number}\n"))))
        };
        let app = Router::new()
            .route("/events", get(events))
            .route("/lines", get(lines))
            .route("/socket", any(socket))
            .layer(StreamExpiryLayer::new())
            .layer(BearerLayer::new(verifier));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move { ::axum::serve(listener, app).await.unwrap() });
        Self {
            idp,
            clock,
            revocations,
            address,
        }
    }

    fn authorization(&self, subject: &str) -> HeaderMap {
        let token = self.idp.token(API).subject(subject).build();
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        headers
    }

    async fn open(&self, path: &str, subject: &str) -> reqwest::Response {
        let request = reqwest::Client::new().get(format!("http://{}{path}", self.address));
        let headers = self.authorization(subject);
        let response = request.headers(headers).send().await.unwrap();
        assert_eq!(response.status(), 200);
        response
    }

    async fn connect(&self, subject: &str) -> Socket {
        let url = format!("ws://{}/socket", self.address);
        let mut request = url.into_client_request().unwrap();
        request.headers_mut().extend(self.authorization(subject));
        let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
        assert_eq!(said(&mut socket).await, Message::text("hello"));
        socket
    }
}

type Socket =
    tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

/// The answer to a greeting.
async fn said(socket: &mut Socket) -> Message {
    socket.send(Message::text("hello")).await.unwrap();
    socket.next().await.unwrap().unwrap()
}

/// The code with which a socket closes within three seconds.
async fn closed(socket: &mut Socket) -> u16 {
    let message = tokio::time::timeout(seconds(3), socket.next()).await;
    match message.unwrap().unwrap().unwrap() {
        Message::Close(Some(frame)) => frame.code.into(),
        other => panic!("{other:?}"),
    }
}

/// How a response ended within three seconds.
async fn rest(mut response: reqwest::Response) -> Result<(), reqwest::Error> {
    let all = async {
        while response.chunk().await?.is_some() {}
        Ok(())
    };
    tokio::time::timeout(seconds(3), all).await.unwrap()
}

// GR-06
#[tokio::test]
async fn events_of_axum_end_in_order_and_another_stream_breaks_off() {
    let api = Streaming::start().await;
    let (mut events, mut lines) = (
        api.open("/events", "user-1").await,
        api.open("/lines", "user-1").await,
    );
    assert!(
        events
            .chunk()
            .await
            .unwrap()
            .unwrap()
            .starts_with(b"data: 0")
    );
    assert!(lines.chunk().await.unwrap().unwrap().starts_with(b"0"));
    api.clock.advance(seconds(3_600 + 61));
    assert!(rest(events).await.is_ok(), "no more events");
    assert!(
        rest(lines).await.is_err(),
        "a part is not taken for the whole"
    );
}

// GR-06, D39
#[tokio::test]
async fn a_websocket_ends_with_its_token_and_when_that_is_revoked() {
    let api = Streaming::start().await;
    let mut first = api.connect("user-1").await;
    let mut second = api.connect("user-2").await;
    api.revocations
        .revoke_all(api.idp.issuer(), "user-1")
        .unwrap();
    assert_eq!(closed(&mut first).await, 4401);
    assert_eq!(said(&mut second).await, Message::text("hello"));
    api.clock.advance(seconds(3_600 + 61));
    assert_eq!(closed(&mut second).await, 4401);
}

/// The principal that a layer of sign-in puts into requests of this browser.
async fn caller(app: &App, browser: &Browser) -> Principal {
    let answer: Answer = browser.clone().fetch(app, "/").await;
    assert_eq!(answer.status(), 200);
    app.session().principal().clone()
}

// GR-06
#[tokio::test]
async fn a_caller_with_a_session_ends_with_it_and_not_with_a_token() {
    for identity in [false, true] {
        let app = if identity {
            App::identity(|layer| layer).await
        } else {
            App::start().await
        };
        let mut browser = Browser::default();
        browser.sign_in(&app).await;
        let caller = caller(&app, &browser).await;
        let expires_at = app.session().access_expires_at();
        app.clock.advance(seconds(3_700));
        assert!(expires_at.saturating_add(seconds(60)) < app.clock.now());
        let mut ended = std::pin::pin!(caller.ended());
        let quiet = tokio::time::timeout(Duration::from_millis(1_500), &mut ended).await;
        assert!(quiet.is_err(), "the session lives on");
        assert_eq!(browser.fetch(&app, "/").await.status(), 200);
        assert!(app.session().end().await.unwrap());
        tokio::time::timeout(seconds(3), ended).await.unwrap();
    }
}
