//! The service behind the gateway if no other is configured. It needs access tokens and shows what reaches
//! it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;

use axum::extract::WebSocketUpgrade;
use axum::extract::ws::{Message, WebSocket};
use axum::response::Response;
use axum::response::sse::{Event, Sse};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_stream::{Stream, StreamExt};
use tower_oidc::{BearerLayer, Principal, Verifier};

use super::support;

/// Starts it on a free loopback port, and returns its address.
pub(crate) async fn start(verifier: &Verifier) -> Result<String, Box<dyn Error + Send + Sync>> {
    let app = Router::new()
        .route("/", get(me))
        .route("/me", get(me))
        .route("/headers", get(headers))
        .route("/events", get(events))
        .route("/reverse", post(reverse))
        .route("/socket", any(socket))
        .layer(BearerLayer::new(verifier.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address)
}

async fn me(principal: Principal) -> Result<Json<Value>, StatusCode> {
    support::claims(&principal).map(Json)
}

/// The names of all header fields, and the values of those that are no secret.
async fn headers(headers: HeaderMap) -> Json<BTreeMap<String, String>> {
    let shown = headers.iter().map(|(name, value)| {
        let value = if name == "authorization" {
            "(a token)".to_owned()
        } else {
            String::from_utf8_lossy(value.as_bytes()).into_owned()
        };
        (name.to_string(), value)
    });
    Json(shown.collect())
}

/// Sends an event each second, without end.
async fn events(principal: Principal) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let whose = principal.subject().unwrap_or("nobody").to_owned();
    let events = tokio_stream::iter(0_u64..)
        .throttle(Duration::from_secs(1))
        .map(move |n| Ok(Event::default().data(format!("{n} for {whose}"))));
    Sse::new(events)
}

/// Answers each chunk of the body as it comes, reversed.
async fn reverse(body: axum::body::Body) -> axum::body::Body {
    let pieces = body
        .into_data_stream()
        .map(|piece| piece.map(|piece| piece.iter().rev().copied().collect::<axum::body::Bytes>()));
    axum::body::Body::from_stream(pieces)
}

/// Echoes each message.
async fn socket(principal: Principal, upgrade: WebSocketUpgrade) -> Response {
    let whose = principal.subject().unwrap_or("nobody").to_owned();
    upgrade.on_upgrade(move |mut socket: WebSocket| async move {
        while let Some(Ok(message)) = socket.recv().await {
            let Message::Text(text) = message else {
                continue;
            };
            let answer = Message::text(format!("{whose}: {text}"));
            if socket.send(answer).await.is_err() {
                break;
            }
        }
    })
}
