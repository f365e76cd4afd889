//! The `gateway` example as a program: a certified provider on one side, a real service behind it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::header::{AUTHORIZATION, COOKIE, ORIGIN, SET_COOKIE};
use http::{HeaderMap, Request, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::rt::TokioExecutor;
use reqwest::cookie::{CookieStore, Jar};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_tungstenite::tungstenite::{self, client::IntoClientRequest};
use tower_oidc::{BearerLayer, Provider};

use crate::programs::{Program, example, provider};
use crate::web::{RESOURCE, free_port, settings};

/// What a service behind the gateway sees.
#[derive(Clone, Default)]
struct Seen {
    headers: Arc<Mutex<Vec<HeaderMap>>>,
    refusals: Arc<AtomicU32>,
}

impl Seen {
    fn last(&self) -> HeaderMap {
        self.headers.lock().unwrap().last().unwrap().clone()
    }
}

async fn show(State(seen): State<Seen>, headers: HeaderMap) -> Response {
    seen.headers.lock().unwrap().push(headers.clone());
    if seen.refusals.load(Ordering::SeqCst) > 0 {
        seen.refusals.fetch_sub(1, Ordering::SeqCst);
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let names: Vec<_> = headers.keys().map(ToString::to_string).collect();
    (
        [
            (SET_COOKIE, "session=stolen; Path=/"),
            (http::header::SERVER, "behind"),
        ],
        Json(json!({ "names": names })),
    )
        .into_response()
}

async fn reverse(body: axum::body::Body) -> axum::body::Body {
    let pieces = body.into_data_stream();
    axum::body::Body::from_stream(
        pieces.map(|piece| piece.map(|piece| piece.iter().rev().copied().collect::<Bytes>())),
    )
}

async fn socket(
    State(seen): State<Seen>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    seen.headers.lock().unwrap().push(headers);
    upgrade.on_upgrade(|mut socket| async move {
        while let Some(Ok(message)) = socket.recv().await {
            if let Message::Text(text) = message {
                socket
                    .send(Message::text(format!("back: {text}")))
                    .await
                    .unwrap();
            }
        }
    })
}

struct Site {
    idp: Program,
    gateway: Program,
    origin: String,
    browser: reqwest::Client,
    jar: Arc<Jar>,
    seen: Seen,
}

impl Site {
    /// With access tokens that live five seconds, and a service that verifies them.
    async fn start() -> Self {
        let port = free_port();
        let origin = format!("http://127.0.0.1:{port}");
        let idp = provider(&json!({"lifetime": 5, "origin": origin}).to_string());
        let (issuer, port) = (idp.address(), port.to_string());
        let provider = Provider::builder(&issuer).danger().allow_http_on_loopback();
        let verifier = provider.build().unwrap().verifier(RESOURCE).unwrap();
        let seen = Seen::default();
        let service = Router::new()
            .route("/base/show", any(show))
            .route("/base/reverse", post(reverse))
            .route("/base/socket", any(socket))
            .route("/secret", get(|| async { "out of reach" }))
            .with_state(seen.clone())
            .layer(BearerLayer::new(verifier));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = format!("http://{}/base/", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, service).await });
        let mut environment = settings(&issuer, &origin);
        environment.extend([
            ("PORT", &*port),
            ("UPSTREAM_URL", &upstream),
            ("UPSTREAM_HEADERS", "x-kept"),
        ]);
        let gateway = Program::start(&mut example("gateway", &environment), "listening on ");
        let jar = Arc::new(Jar::default());
        let browser = reqwest::Client::builder()
            .cookie_provider(Arc::clone(&jar))
            .timeout(Duration::from_secs(30))
            .build()
            .unwrap();
        Self {
            idp,
            gateway,
            origin,
            browser,
            jar,
            seen,
        }
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    async fn sign_in(&self) {
        let start = self.at("/oauth/openid?return_to=/upstream/show");
        let request = self.browser.get(start).header("accept", "text/html");
        let page = request.send().await.unwrap();
        assert_eq!(page.url().as_str(), self.at("/upstream/show"));
        assert_eq!(page.status(), StatusCode::OK);
    }

    fn cookie(&self) -> http::HeaderValue {
        let cookies = self.jar.cookies(&self.origin.parse().unwrap()).unwrap();
        http::HeaderValue::from_bytes(cookies.as_bytes()).unwrap()
    }

    fn token(&self) -> String {
        let headers = self.seen.last();
        let mut tokens = headers.get_all(AUTHORIZATION).iter();
        let token = tokens.next().unwrap().to_str().unwrap().to_owned();
        assert!(tokens.next().is_none());
        token.strip_prefix("Bearer ").unwrap().to_owned()
    }
}

// SC-15
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Node and oidc-provider; the full test run brings them"]
async fn the_token_goes_along_and_what_the_client_says_of_itself_does_not() {
    let site = Site::start().await;
    let fetch = site.browser.get(site.at("/upstream/show"));
    let refused = fetch.header("accept", "*/*").send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert!(site.seen.headers.lock().unwrap().is_empty());
    site.sign_in().await;

    let claimed = [
        "x-forwarded-user",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-auth-request-user",
        "x-auth-request-access-token",
        "remote-user",
        "x-remote-user",
        "x-remote-group",
        "x-user",
        "x-user-id",
        "x-username",
        "x-email",
        "x_forwarded_user",
        "remote_user",
        "x-real-ip",
        "forwarded",
        "proxy-authorization",
        "x-amzn-oidc-data",
        "x-hop",
        "x-of-no-browser",
    ];
    let mut request = site
        .browser
        .get(site.at("/upstream/show?a=b"))
        .header(AUTHORIZATION, "Bearer mine")
        .header("connection", "x-hop")
        .header("x-kept", "kept");
    for name in claimed {
        request = request.header(name, "somebody-else");
    }
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["server"], "behind");
    assert!(
        !answer.headers().contains_key(SET_COOKIE),
        "{:?}",
        answer.headers()
    );
    let headers = site.seen.last();
    for (name, value) in &headers {
        let value = value.to_str().unwrap();
        assert!(
            value != "somebody-else" && !value.contains("mine"),
            "{name}: {value}"
        );
    }
    assert!(!headers.contains_key(COOKIE));
    assert_eq!(headers["x-kept"], "kept");
    assert_eq!(headers["x-forwarded-host"], site.origin["http://".len()..]);
    assert_eq!(site.token().split('.').count(), 3);

    for out in [
        "/upstream/%2e%2e/secret",
        "/upstream/x/..%2f",
        "/upstream/.%2E/secret",
    ] {
        let status = raw(&site, out).await;
        assert_ne!(status, StatusCode::OK, "{out}");
    }
    let foreign = site
        .browser
        .post(site.at("/upstream/reverse"))
        .header(ORIGIN, "https://evil.example")
        .body("x");
    assert_eq!(
        foreign.send().await.unwrap().status(),
        StatusCode::FORBIDDEN
    );
}

/// A path as it is written, which URL parsers would take apart.
async fn raw(site: &Site, path: &str) -> StatusCode {
    let client: HyperClient<_, String> = HyperClient::builder(TokioExecutor::new()).build_http();
    let request = Request::get(site.at(path)).header(COOKIE, site.cookie());
    let request = request.body(String::new()).unwrap();
    client.request(request).await.unwrap().status()
}

// F44
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Node and oidc-provider; the full test run brings them"]
async fn calls_go_on_with_newer_tokens_and_a_refused_one_is_renewed() {
    let site = Site::start().await;
    site.sign_in().await;
    let first = site.token();
    tokio::time::sleep(Duration::from_secs(6)).await;
    let show = || site.browser.get(site.at("/upstream/show")).send();
    assert_eq!(show().await.unwrap().status(), StatusCode::OK);
    let second = site.token();
    assert_ne!(first, second);
    // The service refuses once: the token is renewed, and the request repeated.
    site.seen.refusals.store(1, Ordering::SeqCst);
    let before = site.seen.headers.lock().unwrap().len();
    assert_eq!(show().await.unwrap().status(), StatusCode::OK);
    assert_eq!(site.seen.headers.lock().unwrap().len(), before + 2);
    assert_ne!(site.token(), second);
    // It refuses for good: that is what the client is told.
    site.seen.refusals.store(u32::MAX, Ordering::SeqCst);
    assert_eq!(show().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let counts = format!("{}/test/counts", site.idp.address());
    let counts: Value = reqwest::get(counts).await.unwrap().json().await.unwrap();
    assert_eq!(counts["reuses"], 0);

    let (status, log) = site.gateway.stop();
    assert_eq!(status, Some(0), "it stops cleanly");
    for secret in ["eyJhbGciOi", "web-secret", "session="] {
        assert!(!log.contains(secret), "{secret} in the log");
    }
}

// OB-04
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Node and oidc-provider; the full test run brings them"]
async fn bodies_stream_both_ways() {
    let site = Site::start().await;
    site.sign_in().await;
    let (sender, receiver) = mpsc::channel::<Result<Frame<Bytes>, std::io::Error>>(1);
    let client: HyperClient<_, StreamBody<ReceiverStream<_>>> =
        HyperClient::builder(TokioExecutor::new()).build_http();
    let request = Request::post(site.at("/upstream/reverse"))
        .header(COOKIE, site.cookie())
        .header(ORIGIN, &site.origin)
        .body(StreamBody::new(ReceiverStream::new(receiver)))
        .unwrap();
    let response = client.request(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let mut body = response.into_body();
    // Each piece comes back before the next one leaves.
    for piece in ["abc", "defg", "h"] {
        sender
            .send(Ok(Frame::data(Bytes::from(piece))))
            .await
            .unwrap();
        let answer = body.frame().await.unwrap().unwrap().into_data().unwrap();
        let expected: String = piece.chars().rev().collect();
        assert_eq!(answer, expected);
    }
    drop(sender);
    assert!(body.frame().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Node and oidc-provider; the full test run brings them"]
async fn web_sockets_are_passed_on_for_this_sites_pages_only() {
    let site = Site::start().await;
    site.sign_in().await;
    let request = |origin: &str, cookie: bool| {
        let url = site.at("/upstream/socket").replace("http:", "ws:");
        let mut request = url.into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert(ORIGIN, origin.parse().unwrap());
        if cookie {
            headers.insert(COOKIE, site.cookie());
        }
        request
    };
    let open = |request| tokio_tungstenite::connect_async(request);
    for (origin, cookie, expected) in [
        ("https://evil.example", true, StatusCode::FORBIDDEN),
        (site.origin.as_str(), false, StatusCode::UNAUTHORIZED),
    ] {
        match open(request(origin, cookie)).await {
            Err(tungstenite::Error::Http(answer)) => assert_eq!(answer.status(), expected),
            other => panic!("{other:?}"),
        }
    }
    let (mut socket, _) = open(request(&site.origin, true)).await.unwrap();
    for text in ["one", "two"] {
        socket.send(tungstenite::Message::text(text)).await.unwrap();
        let answer = socket.next().await.unwrap().unwrap();
        assert_eq!(answer.into_text().unwrap(), format!("back: {text}"));
    }
    assert!(!site.seen.last().contains_key(COOKIE));
    assert_eq!(site.token().split('.').count(), 3);
    socket.close(None).await.unwrap();
}

// GR-06
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Node and oidc-provider; the full test run brings them"]
async fn a_web_socket_through_the_gateway_ends_with_the_session() {
    let site = Site::start().await;
    site.sign_in().await;
    let url = site.at("/upstream/socket").replace("http:", "ws:");
    let mut request = url.into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert(ORIGIN, site.origin.parse().unwrap());
    headers.insert(COOKIE, site.cookie());
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    let text = tungstenite::Message::text("still here");
    socket.send(text).await.unwrap();
    let answer = socket.next().await.unwrap().unwrap();
    assert_eq!(answer.into_text().unwrap(), "back: still here");
    let sign_out = site.browser.post(site.at("/oauth/openid/logout"));
    let sign_out = sign_out.header(ORIGIN, &site.origin).send().await.unwrap();
    assert!(sign_out.status().is_success(), "{}", sign_out.status());
    let closed = tokio::time::timeout(Duration::from_secs(3), socket.next()).await;
    assert!(!matches!(closed.unwrap(), Some(Ok(_))), "it is closed");
}
