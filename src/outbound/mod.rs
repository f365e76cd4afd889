//! With whose token do we call on? [`OutboundLayer`] attaches the right one to requests that leave: the
//! caller's own, this service's, or one exchanged for the caller's.
//!
//! The rule:
//! 1. A token goes to the configured [`Destination`]s alone: scheme, host and port are compared whole, at
//!    every request ([RFC 9700 §4.9.1](https://www.rfc-editor.org/rfc/rfc9700#section-4.9.1)). Requests to
//!    anywhere else go on as they are. Destinations are https; plain http is for loopback addresses.
//! 2. A request whose URI names no origin is an error, since nobody can tell where it goes.
//! 3. An `Authorization` field that is there already is an error, or
//!    [kept](OutboundLayer::keep_authorization). It is never sent twice.
//! 4. The [`TokenSource`] is asked anew for each request, so that a stream of an hour works with tokens of
//!    five minutes. Tokens are kept and shared, renewed a minute before their end behind whoever asks, and
//!    fetched by one flight however many wait. In a token's last ten seconds a newer one is waited for, and
//!    the old one used to its end where the provider does not answer.
//! 5. No token is to be had: the call fails with an [`OutboundError`](crate::error::OutboundError) that says
//!    why, and never goes bare.
//! 6. 401 (or gRPC's `UNAUTHENTICATED` without anything else): the token is marked, and a newer one asked
//!    for; twice at once and then once in 30 seconds, however often a service refuses. With it the request
//!    is repeated, once, if [it can be](Repeat). Else the 401 is passed on, with the error in its extensions
//!    where there was one, and the next request has the newer token. Nothing else is repeated.
//! 7. Where the provider wants the user to do something first, it is not asked again for a minute, and the
//!    error has a [challenge](crate::error::OutboundError::challenge) to pass on.
//!
//! | source | whose token | |
//! |---|---|---|
//! | [`OutboundLayer::relay`] | the caller's own | their session's, renewed as it is due, or that of their request, with [`allow_relay`](crate::BearerLayer::allow_relay) |
//! | [`ClientCredentials`] | this service's | one for each source, shared |
//! | [`TokenExchange`], [`OnBehalfOf`] | one made of the caller's | one for each token of a caller's, at most 10 000 |
//! | [`OutboundLayer::fixed`], a [`LiveToken`] | always the same | |
//! | a `Session` | its own | for jobs and sockets that have no request |
//! | your own [`TokenSource`] | | |
//!
//! The caller is the [`Principal`](crate::Principal) in the extensions of the request that leaves. A proxy
//! that sends its requests on has it there already; else put it there.
//!
//! Where redirects are followed, put this layer inside of what follows them, so that each hop comes by.
//! A client that follows them by itself must drop `Authorization` when the origin changes, as reqwest and
//! tower-http do; best let it follow none.
//!
//! ```
//! use tower::{Service, ServiceBuilder, ServiceExt};
//! use tower_oidc::OutboundLayer;
//! use tower_oidc::error::{OutboundError, OutboundErrorKind};
//! # use http::{Request, Response};
//! # type Body = http_body_util::Full<bytes::Bytes>;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! # async fn send(request: Request<Body>) -> Result<Response<bool>, std::convert::Infallible> {
//! #     Ok(Response::new(request.headers().contains_key("authorization")))
//! # }
//!
//! // `send` is any client: of hyper-util, of reqwest, a channel of tonic.
//! let mut client = ServiceBuilder::new()
//!     .layer(OutboundLayer::fixed("a-token", "https://orders.internal")?)
//!     .service_fn(send);
//! let request = |uri: &str| Request::get(uri).body(Body::default());
//!
//! let response = client.ready().await?.call(request("https://orders.internal/7")?).await?;
//! assert!(response.into_body()); // the token went along
//! let response = client.ready().await?.call(request("https://elsewhere.example/")?).await?;
//! assert!(!response.into_body()); // and here it did not
//!
//! // Configured: the caller's own token. There is none here, and so the call fails.
//! let mut client = ServiceBuilder::new()
//!     .layer(OutboundLayer::relay("https://orders.internal")?)
//!     .service_fn(send);
//! let refused = client.ready().await?.call(request("https://orders.internal/7")?).await;
//! let error = refused.unwrap_err().downcast::<OutboundError>().unwrap();
//! assert_eq!(error.kind(), OutboundErrorKind::NoCaller);
//! # Ok(())
//! # }
//! ```
//!
//! reqwest's client is a service of its own requests; a line makes it one of `http`'s:
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use http::{Request, Response};
//! use reqwest::{Body, Client, redirect};
//! use tower::ServiceBuilder;
//! use tower_oidc::OutboundLayer;
//!
//! let http = Client::builder().redirect(redirect::Policy::none()).build()?;
//! let client = ServiceBuilder::new()
//!     .layer(OutboundLayer::relay("https://orders.internal")?)
//!     .service_fn(move |request: Request<Body>| {
//!         let http = http.clone();
//!         async move { http.execute(request.try_into()?).await.map(Response::<Body>::from) }
//!     });
//! # async fn used<S: tower::Service<Request<Body>>>(mut client: S) {
//! #     drop(client.call(Request::new(Body::default())).await);
//! # }
//! # drop(used(client));
//! # Ok(())
//! # }
//! ```

mod client_credentials;
mod destination;
mod exchanged;
mod future;
mod kept;
mod layer;
mod on_behalf_of;
mod relay;
mod repeat;
mod service;
mod settings;
mod token_exchange;

pub use self::client_credentials::ClientCredentials;
pub use self::destination::Destination;
pub use self::future::OutboundFuture;
pub use self::layer::OutboundLayer;
pub use self::on_behalf_of::OnBehalfOf;
pub use self::repeat::{ClonedBodies, EmptyBodies, Never, Repeat};
pub use self::service::Outbound;
pub use self::token_exchange::TokenExchange;
pub use crate::provider::target::Target;
pub use crate::token::live::{LiveToken, UnusableToken};
pub use crate::token::source::{Asked, Supply, TokenFuture, TokenSource};
