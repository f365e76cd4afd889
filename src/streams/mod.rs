//! How long may a caller go on? A token is checked when a request begins, and a stream or a WebSocket can stay open
//! for days. [`StreamExpiryLayer`] ends the streams of responses, and [`Principal::ended`](crate::Principal::ended)
//! tells everything else.
//!
//! The rule:
//! 1. A stream ends when the caller's token is accepted no longer (at `exp` and the leeway of its verifier), or when it
//!    was [revoked](crate::Revocations). A caller who signed in (`LoginLayer`) has a session: the stream ends when that
//!    is over, on whichever replica it ended. A session lives on with newer tokens.
//! 2. Either is noticed within a second, the end of a session as seldom as the near cache is renewed. A session store
//!    that cannot be reached ends nothing.
//! 3. A body whose length is known is no stream and is sent to its end.
//! 4. Events (`text/event-stream`) end as if there were no more: browsers then ask again, and are refused. Any other
//!    body is cut off, so that no client takes a part for the whole.
//! 5. A gRPC call ends with `UNAUTHENTICATED`, whether its response has begun or not. Any other request is
//!    answered: what its handler has begun is not thrown away.
//! 6. Anonymous callers, where they are admitted, have nothing that could end.
//! 7. A WebSocket is no body. Its handler waits for the end itself.
//!
//! The layer goes inside the layer that verifies callers. If that is missing, no stream is ended, and the log says so.
//!
//! ```
//! # #[cfg(feature = "axum")]
//! # fn main() -> Result<(), tower_oidc::ConfigError> {
//! use std::convert::Infallible;
//! use std::time::Duration;
//!
//! use axum::response::sse::{Event, Sse};
//! use axum::{Router, routing::get};
//! use tokio_stream::{Stream, StreamExt};
//! use tower_oidc::{BearerLayer, Provider, StreamExpiryLayer};
//!
//! async fn news() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
//!     let numbers = tokio_stream::iter(0_u64..).throttle(Duration::from_secs(1));
//!     Sse::new(numbers.map(|number| Ok(Event::default().data(number.to_string()))))
//! }
//!
//! let verifier = Provider::discover("https://id.example")?.verifier("https://api.example.com")?;
//! let app: Router = Router::new()
//!     .route("/news", get(news))
//!     .layer(StreamExpiryLayer::new())
//!     .layer(BearerLayer::new(verifier));
//! # drop(app);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "axum"))]
//! # fn main() {}
//! ```
//!
//! A WebSocket, with a code of the application's own to tell its page that it has to sign in:
//!
//! ```
//! # #[cfg(feature = "axum")]
//! # fn main() {
//! use axum::extract::WebSocketUpgrade;
//! use axum::extract::ws::{CloseFrame, Message, WebSocket};
//! use axum::response::Response;
//! use tower_oidc::Principal;
//!
//! async fn socket(caller: Principal, upgrade: WebSocketUpgrade) -> Response {
//!     upgrade.on_upgrade(async move |mut socket| {
//!         tokio::select! {
//!             () = chat(&mut socket) => {}
//!             () = caller.ended() => {
//!                 let reason = CloseFrame { code: 4401, reason: "sign in again".into() };
//!                 let _ = socket.send(Message::Close(Some(reason))).await;
//!             }
//!         }
//!     })
//! }
//!
//! async fn chat(socket: &mut WebSocket) {
//!     while let Some(Ok(message)) = socket.recv().await {
//!         if socket.send(message).await.is_err() {
//!             break;
//!         }
//!     }
//! }
//! # let _ = axum::Router::<()>::new().route("/socket", axum::routing::any(socket));
//! # }
//! # #[cfg(not(feature = "axum"))]
//! # fn main() {}
//! ```
//!
//! A stream keeps no session alive: no request comes that would refresh its tokens. It ends with the session's idle
//! limit, and what the provider has revoked is noticed when the session is next refreshed. The provider's back-channel
//! logout ends session and stream at once.

mod body;
mod layer;
mod service;
mod watch;

pub use self::body::{ExpiringBody, StreamEnded};
pub use self::layer::StreamExpiryLayer;
pub use self::service::{ExpiryFuture, StreamExpiry};
