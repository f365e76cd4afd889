//! Programs that take tokens from WebSockets, cookies and header fields of their own, and a real browser before one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::extract::ws::Message;
use axum::extract::{Request, WebSocketUpgrade};
use axum::response::{Html, IntoResponse};
use axum::routing::{any, get, post};
use http::header::{COOKIE, SEC_WEBSOCKET_PROTOCOL, SET_COOKIE};
use http::{HeaderMap, Method};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_oidc::testing::{DevelopmentProvider, OfflineProvider};
use tower_oidc::{BearerLayer, Principal, SameOrigin, TokenPlace};

use crate::chromium::run;
use crate::programs::{Program, example};

const API: &str = "https://api.example.com";

/// Says who called, and which subprotocols the handler was shown.
async fn socket(
    principal: Principal,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> impl IntoResponse {
    let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let offered: Vec<_> = offered.map(|field| field.to_str().unwrap()).collect();
    let greeting = format!("{} {offered:?}", principal.subject().unwrap());
    let upgrade = upgrade.protocols(["chat"]);
    upgrade.on_upgrade(async move |mut socket| {
        let _ = socket.send(Message::text(greeting)).await;
        // Until the page is gone.
        while socket.recv().await.is_some() {}
    })
}

/// What reached the service, before and behind the layer.
#[derive(Clone, Default)]
struct Counts {
    with_cookie: Arc<AtomicU32>,
    done: Arc<AtomicU32>,
}

fn service(bearer: BearerLayer, token: &str, counts: &Counts) -> Router {
    let sign_in = format!("access_token={token}; Path=/; HttpOnly; SameSite=Lax");
    let Counts { with_cookie, done } = counts.clone();
    let order = post(async move || {
        done.fetch_add(1, Ordering::SeqCst);
        "done"
    });
    let counted = tower::util::MapRequestLayer::new(move |request: Request| {
        if request.method() == Method::POST && request.headers().contains_key(COOKIE) {
            with_cookie.fetch_add(1, Ordering::SeqCst);
        }
        request
    });
    Router::new()
        .route("/socket", any(socket))
        .route("/orders", order)
        .layer(bearer)
        .route("/", get(async || Html("<h1>A page</h1>")))
        .route(
            "/sign-in",
            get(async move || ([(SET_COOKIE, sign_in)], Html("<h1>Signed in</h1>"))),
        )
        .layer(counted)
}

// D28, SC-10
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Node, playwright-core and Chromium; the full test run brings them"]
async fn a_browsers_websocket_opens_with_a_token_among_its_subprotocols() {
    let idp = OfflineProvider::new("https://id.example");
    let verifier = idp.provider().unwrap().verifier(API).unwrap();
    let listen = || TcpListener::bind("127.0.0.1:0");
    let (here, other) = (listen().await.unwrap(), listen().await.unwrap());
    let address = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
    let (url, elsewhere) = (address(&here), address(&other));
    let site = SameOrigin::of(&url).unwrap();
    let bearer = BearerLayer::new(verifier)
        .with_token_in([
            TokenPlace::authorization(),
            TokenPlace::cookie("access_token", site).unwrap(),
            TokenPlace::websocket(),
        ])
        .unwrap();
    let token = idp.token(API).build();
    let expired = idp.token(API).expired().build();
    let counts = Counts::default();
    let app = service(bearer, &token, &counts);
    for listener in [here, other] {
        let app = app.clone();
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    }
    let options = json!({"url": url, "elsewhere": elsewhere, "token": token, "expired": expired});
    let browsing = tokio::task::spawn_blocking(move || run("socket.mjs", "socket", &options));
    browsing.await.unwrap();
    // The browser sent the cookie along with both, and one was carried out.
    assert_eq!(counts.with_cookie.load(Ordering::SeqCst), 2);
    assert_eq!(counts.done.load(Ordering::SeqCst), 1);
}

// D28, D17
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the examples to be built; the full test run builds them"]
async fn the_examples_take_tokens_where_the_environment_has_them() {
    let idp = DevelopmentProvider::start().await.unwrap();
    let issuer = idp.issuer();
    let token = idp.token(API).subject("machine").build();
    let of_api = [
        ("OPENID_ISSUER", issuer),
        ("OPENID_AUDIENCE", API),
        (
            "OPENID_TOKEN_PLACES",
            "header:X-Access-Token, cookie:access_token",
        ),
    ];
    let secret = "a session secret of more than 32 characters";
    let of_site = [
        ("OPENID_CLIENT_ID", "development"),
        ("OPENID_CLIENT_SECRET", "development-secret"),
        ("OPENID_SESSION_SECRET", secret),
    ];
    let of_site: Vec<_> = of_api.into_iter().chain(of_site).collect();
    for (name, environment, path) in [("api", &of_api[..], "/me"), ("web", &of_site, "/api/me")] {
        let program = Program::start(&mut example(name, environment), "listening on ");
        let url = format!("{}{path}", program.address());
        let send = |method, fields: &[(&str, String)]| {
            let mut request = reqwest::Client::new().request(method, &url);
            for (name, value) in fields {
                request = request.header(*name, value);
            }
            request.send()
        };
        let cookie = ("cookie", format!("access_token={token}"));
        for field in [("x-access-token", token.clone()), cookie.clone()] {
            let answer = send(Method::GET, &[field]).await.unwrap();
            let me: Value = answer.json().await.unwrap();
            assert_eq!(me["sub"], "machine", "{name}");
        }
        let bearer = ("authorization", format!("Bearer {token}"));
        let answer = send(Method::GET, &[bearer]).await.unwrap();
        assert_eq!(answer.status(), 401, "{name}: it is no place");
        let elsewhere = ("origin", "https://evil.example".to_owned());
        let answer = send(Method::POST, &[cookie.clone(), elsewhere]).await;
        assert_eq!(answer.unwrap().status(), 403, "{name}");
        let here = ("origin", program.address());
        let answer = send(Method::POST, &[cookie, here]).await.unwrap();
        assert_eq!(answer.status(), 405, "{name}: the route alone refuses it");
        let (code, log) = program.stop();
        assert_eq!(code, Some(0), "{log}");
        assert!(!log.contains(&token[token.len() - 16..]), "{name}");
    }
}
