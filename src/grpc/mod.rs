//! For tonic: refusals as gRPC statuses ([`GrpcLayer`]), and the caller of a call ([`principal`]). Calls end with
//! their caller's token or session by [`StreamExpiryLayer`](crate::StreamExpiryLayer).
//!
//! The rule:
//! 1. A call that [`BearerLayer`](crate::BearerLayer), [`RequireLayer`](crate::RequireLayer) or a
//!    `LoginLayer` refuses is answered with status 200 and `grpc-status` in the header fields
//!    ([gRPC over HTTP/2](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md), trailers-only).
//!    Every client then reads a status and not a broken stream.
//! 2. 400 and 401 become `UNAUTHENTICATED`, 403 `PERMISSION_DENIED`, 502 to 504 `UNAVAILABLE`, others
//!    `INTERNAL`. The message is one of four and contains nothing of the call or its token.
//! 3. The challenge is metadata named `www-authenticate`. `Retry-After` is metadata too, with
//!    `grpc-retry-pushback-ms` beside it.
//! 4. A request is a gRPC call if its content type begins with `application/grpc`. Another request with
//!    that content type is refused in the same form.
//! 5. Responses of the service itself are not changed.
//!
//! `GrpcLayer` goes outside the layers whose refusals it translates:
//!
//! ```
//! use tower::{Service, ServiceBuilder, ServiceExt};
//! use tower_oidc::grpc::GrpcLayer;
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
//! // Other requests are refused as without it.
//! let response = service.ready().await?.call(Request::new(String::new())).await?;
//! assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
//! # Ok(())
//! # }
//! ```
//!
//! A client attaches tokens with an `OutboundLayer` (feature `outbound`) around its channel. Make the
//! client with `with_origin`, so that its calls have an origin.

mod refusals;

use ::tonic::{Request, Status};

pub use self::refusals::{Grpc, GrpcFuture, GrpcLayer};
use crate::gate::answer::{Rejection, RejectionKind};
use crate::gate::caller;
use crate::principal::Principal;

/// The verified caller of a call.
///
/// ```
/// use tonic::{Request, Response, Status};
/// use tower_oidc::grpc::principal;
///
/// # struct Name;
/// async fn greet(request: Request<Name>) -> Result<Response<String>, Status> {
///     let caller = principal(&request)?;
///     Ok(Response::new(format!("hello, {}", caller.subject().unwrap_or("a caller without a name"))))
/// }
/// ```
///
/// # Errors
/// `UNAUTHENTICATED` if the call is anonymous and that is allowed; `INTERNAL` if no layer verifies callers, which
/// the log says for each call.
pub fn principal<T>(request: &Request<T>) -> Result<&Principal, Status> {
    let missing = || Rejection::new(RejectionKind::MissingLayer("BearerLayer"));
    let rejection = match caller(request.extensions(), missing) {
        Ok(Some(principal)) => return Ok(principal),
        Ok(None) => Rejection::new(RejectionKind::NoToken),
        Err(rejection) => {
            rejection.tell_missing_layer("grpc::principal", &"a gRPC method");
            rejection
        }
    };
    Err(refusals::status(rejection.status()))
}
