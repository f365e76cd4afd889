//! For tonic: refusals in gRPC's own words ([`GrpcLayer`]), the caller of a call ([`principal`]), and
//! streams that end when the caller's token does ([`StreamExpiryLayer`]).
//!
//! The rule:
//! 1. A call that [`BearerLayer`](crate::BearerLayer), [`RequireLayer`](crate::RequireLayer) or a
//!    `LoginLayer` refuses is answered 200 with `grpc-status` in the header fields and nothing else
//!    ([gRPC over HTTP/2](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md), trailers-only),
//!    so that every client reads a status and not a broken stream.
//! 2. 400 and 401 become `UNAUTHENTICATED`, 403 `PERMISSION_DENIED`, 502 to 504 `UNAVAILABLE`, others
//!    `INTERNAL`. The message is one of four; nothing of the call or its token is in it.
//! 3. The challenge is metadata, `www-authenticate`, as it is a header field elsewhere. `Retry-After` is
//!    metadata, too, and `grpc-retry-pushback-ms` beside it.
//! 4. A call is one whose content type begins with `application/grpc`. Whoever claims that and is none
//!    gets refused in other words, and no further.
//! 5. What the service itself answers is left as it is.
//!
//! `GrpcLayer` comes first, outside of the layers whose refusals it puts into words:
//!
//! ```
//! use tower::{Service, ServiceBuilder, ServiceExt};
//! use tower_oidc::tonic::GrpcLayer;
//! use tower_oidc::{BearerLayer, Provider};
//! # use http::{Request, Response, StatusCode};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! # async fn handler(_: Request<String>) -> Result<Response<String>, std::convert::Infallible> {
//! #     Ok(Response::new("welcome".to_owned()))
//! # }
//!
//! let verifier = Provider::discover("https://id.example")?.verifier("https://api.example.com")?;
//! // The same with `tonic::transport::Server::builder().layer(…).layer(…)`.
//! let mut service = ServiceBuilder::new()
//!     .layer(GrpcLayer::new())
//!     .layer(BearerLayer::new(verifier))
//!     .service_fn(handler);
//!
//! let call = Request::post("/greeter.Greeter/Greet")
//!     .header("content-type", "application/grpc")
//!     .body(String::new())?;
//! let response = service.ready().await?.call(call).await?;
//! assert_eq!(response.status(), StatusCode::OK);
//! assert_eq!(response.headers()["grpc-status"], "16"); // UNAUTHENTICATED
//! assert_eq!(response.headers()["www-authenticate"], r#"Bearer realm="https://api.example.com""#);
//!
//! // Anything else is refused as before.
//! let response = service.ready().await?.call(Request::new(String::new())).await?;
//! assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
//! # Ok(())
//! # }
//! ```
//!
//! A client attaches tokens by an `OutboundLayer` (feature `outbound`) around its channel; make it by
//! `with_origin`, so that its calls say where they go.

mod expiry;
mod refusals;

use ::tonic::{Request, Status};

pub use self::expiry::{ExpiringBody, ExpiryFuture, StreamExpiry, StreamExpiryLayer};
pub use self::refusals::{Grpc, GrpcFuture, GrpcLayer};
use crate::gate::answer::{Rejection, RejectionKind};
use crate::gate::caller;
use crate::principal::Principal;

/// The verified caller of a call.
///
/// ```
/// use tonic::{Request, Response, Status};
/// use tower_oidc::tonic::principal;
///
/// # struct Name;
/// async fn greet(request: Request<Name>) -> Result<Response<String>, Status> {
///     let caller = principal(&request)?;
///     Ok(Response::new(format!("hello, {}", caller.subject().unwrap_or("nobody"))))
/// }
/// ```
///
/// # Errors
/// `UNAUTHENTICATED` if nobody is known, where that is allowed; `INTERNAL` if no layer has verified
/// anybody.
pub fn principal<T>(request: &Request<T>) -> Result<&Principal, Status> {
    let rejection = match caller(request.extensions()) {
        Ok(Some(principal)) => return Ok(principal),
        Ok(None) => Rejection::new(RejectionKind::NoToken),
        Err(rejection) => rejection,
    };
    Err(refusals::status(rejection.status()))
}
