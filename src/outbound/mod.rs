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
//! that forwards its requests has it there already. Otherwise name it:
//! [`client.for_caller(&principal)`](Outbound::for_caller).
//!
//! Put this layer inside a layer that follows redirects, so that it sees each hop. A client that follows
//! redirects by itself must drop `Authorization` when the origin changes, as reqwest and tower-http do.
//! It is best not to let it follow any, as [`ReqwestClient`] does.
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
//! # A client to keep
//!
//! With reqwest (feature `reqwest`) one call makes the client, which is a type to keep in a state: [`ReqwestClient`].
//!
//! ```no_run
//! # #[cfg(feature = "reqwest")]
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! # use tower_oidc::{Client, Provider};
//! # let provider = Provider::discover("https://id.example")?;
//! # let credentials = Client::with_secret("shop", "…")?;
//! use tower_oidc::OutboundLayer;
//! use tower_oidc::outbound::ReqwestClient;
//!
//! let stock: ReqwestClient =
//!     OutboundLayer::client_credentials(&provider, credentials, "https://stock.internal")?.client()?;
//! let pears = stock.get("https://stock.internal/pears").send().await?.text().await?;
//! # drop(pears);
//! # Ok(())
//! # }
//! ```
//!
//! Any other client has a type too, such as that of hyper-util:
//!
//! ```
//! # type Connector = hyper_util::client::legacy::connect::HttpConnector;
//! # type Body = http_body_util::Full<bytes::Bytes>;
//! # type Error = Box<dyn std::error::Error + Send + Sync>;
//! use http::Request;
//! use hyper_util::client::legacy::Client;
//! use hyper_util::rt::TokioExecutor;
//! use tower_oidc::outbound::Outbound;
//! use tower_oidc::{OutboundLayer, Principal};
//!
//! type Orders = Outbound<Client<Connector, Body>>;
//!
//! fn orders(connector: Connector) -> Result<Orders, tower_oidc::ConfigError> {
//!     let http = Client::builder(TokioExecutor::new()).build(connector);
//!     Ok(OutboundLayer::relay("https://orders.internal")?.around(http))
//! }
//!
//! async fn order(orders: &Orders, caller: &Principal) -> Result<(), Error> {
//!     let request = Request::get("https://orders.internal/7").body(Body::default())?;
//!     let response = orders.for_caller(caller).send(request).await?;
//!     assert!(response.status().is_success());
//!     Ok(())
//! }
//! # let _ = (orders, order);
//! ```
//!
//! A program that calls by other means asks the source itself: [`tokens.token().await?`](TokenSource::token).

mod client_credentials;
mod destination;
mod exchanged;
mod for_caller;
mod future;
mod granted_token;
mod granter;
mod layer;
mod on_behalf_of;
mod relay;
mod repeat;
#[cfg(feature = "reqwest")]
mod reqwest_client;
mod service;
mod settings;
mod token_exchange;
mod traced;

pub use self::client_credentials::ClientCredentials;
pub use self::destination::Destination;
pub use self::future::OutboundFuture;
pub use self::layer::OutboundLayer;
pub use self::on_behalf_of::OnBehalfOf;
pub use self::repeat::{ClonedBodies, EmptyBodies, Never, Repeat};
#[cfg(feature = "reqwest")]
pub use self::reqwest_client::{CallError, ReqwestCall, ReqwestClient, ReqwestService};
pub use self::service::Outbound;
pub use self::token_exchange::TokenExchange;
pub use crate::token::live::{LiveToken, UnusableToken};
pub use crate::token::source::{DrainFuture, TokenFuture, TokenRequest, TokenSource, TokenSupply};
pub use crate::token::target::Target;
