//! With whose token do we call on? [`OutboundLayer`] attaches the right token to outgoing requests: the
//! caller's own, this service's, or one exchanged for the caller's.
//!
//! The rule:
//! 1. A token goes only to the configured [`Destination`]s. Scheme, host and port are compared whole for
//!    each request ([RFC 9700 §4.9.1](https://www.rfc-editor.org/rfc/rfc9700#section-4.9.1)). Requests to
//!    other origins pass unchanged. Destinations are https; plain http is for loopback addresses.
//! 2. A request whose URI has no origin is an error, because its destination cannot be known.
//! 3. A request that already has an `Authorization` field is an error, or
//!    [keeps it](OutboundLayer::keep_authorization). Two are never sent.
//! 4. The [`TokenSource`] is asked for each request, so a stream of an hour works with tokens of five
//!    minutes. Tokens are cached and shared, renewed in the background a minute before their end, and
//!    fetched once however many requests wait. In a token's last ten seconds requests wait for a newer
//!    one. Where the provider does not answer, the old one is used to its end.
//! 5. Without a token the call fails with an [`OutboundError`](crate::error::OutboundError) that says why.
//!    It is never sent without a token.
//! 6. 401 (or gRPC's `UNAUTHENTICATED` without messages): the token is marked as refused, and a newer one
//!    is fetched, at most twice at once and then once in 30 seconds. The request is repeated once with
//!    the newer token, if [its body can be sent twice](Repeat). Otherwise the 401 is passed on, with the
//!    error in its extensions if there was one, and the next request has the newer token. No other
//!    response is repeated.
//! 7. Where the user must do something at the provider first, the provider is not asked again for a
//!    minute, and the error has a [challenge](crate::error::OutboundError::challenge) to pass on.
//!
//! | source | whose token | |
//! |---|---|---|
//! | [`OutboundLayer::relay`] | the caller's own | that of the session, renewed when due; or that of the request, with [`allow_relay`](crate::BearerLayer::allow_relay) |
//! | [`OutboundLayer::relay_for`] | one for another target, of the caller's session | the session's refresh token, spent for [that target](crate::login::LoginBuilder::add_target), one grant at a time |
//! | [`ClientCredentials`] | this service's | one, shared by all requests |
//! | [`TokenExchange`], [`OnBehalfOf`] | exchanged for the caller's | one for each token of a caller, at most 10 000 |
//! | [`OutboundLayer::fixed`], a [`LiveToken`] | a fixed one | |
//! | a `Session` | its own | for jobs and sockets that have no request |
//! | your own [`TokenSource`] | | |
//!
//! The caller is the [`Principal`](crate::Principal) in the extensions of the outgoing request. A proxy
//! that forwards its requests has it there already. Otherwise insert it.
//!
//! Put this layer inside a layer that follows redirects, so that it sees each hop. A client that follows
//! redirects by itself must drop `Authorization` when the origin changes, as reqwest and tower-http do.
//! It is best not to let it follow any.
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
//! assert!(response.into_body()); // it was sent with the token
//! let response = client.ready().await?.call(request("https://elsewhere.example/")?).await?;
//! assert!(!response.into_body()); // and this one without
//!
//! // Configured: the caller's own token. There is no caller here, so the call fails.
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
//! reqwest's client takes its own type of request. One line makes it take those of `http`:
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
mod granted_token;
mod granter;
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
pub use crate::token::live::{LiveToken, UnusableToken};
pub use crate::token::source::{DrainFuture, TokenFuture, TokenRequest, TokenSource, TokenSupply};
pub use crate::token::target::Target;
