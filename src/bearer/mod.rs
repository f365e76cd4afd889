//! Who is calling? [`BearerLayer`] verifies the access token of a request and hands the
//! [`Principal`](crate::Principal) to what lies within.
//!
//! The rule:
//! 1. Credentials are one `Authorization: Bearer` field with one token
//!    ([RFC 6750 §2.1](https://www.rfc-editor.org/rfc/rfc6750#section-2.1)). Tokens in a form body or
//!    a query are not read: they end up in logs and histories
//!    ([RFC 9700 §4.3.2](https://www.rfc-editor.org/rfc/rfc9700#section-4.3.2)).
//! 2. No credentials: 401 with a challenge and no error code, or, where
//!    [anonymous requests are allowed](BearerLayer::allow_anonymous), on without a principal.
//! 3. Malformed credentials, two fields among them: 400 `invalid_request`; no token is looked at.
//! 4. A token that the [`Verifier`](crate::Verifier) refuses: 401 `invalid_token`. Anonymous or not,
//!    a bad token never passes.
//! 5. No keys to judge by: 503 with `Retry-After`. The token is not at fault.
//! 6. A principal that was in the request before is removed or replaced, never trusted.
//!
//! A refused request does not reach the inner service, and its body is not read. The refusal stands
//! in the extensions of the response as a [`Rejection`](crate::Rejection). The log names its cause and the
//! remedy, each cause at most once in ten seconds (all of them at `debug`); the client is told a
//! standard code.
//!
//! Browsers ask for leave (CORS preflight) without a token: put the layer that answers them outside of
//! this one. Behind a proxy, see to it that the proxy passes `Authorization` on. Where several instances
//! serve, each fetches the provider's keys for itself.
//!
//! ```
//! use tower::{Service, ServiceBuilder, ServiceExt};
//! use tower_oidc::{BearerLayer, Provider};
//! # use http::{Request, Response, StatusCode};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! # async fn handler(_: Request<String>) -> Result<Response<String>, std::convert::Infallible> {
//! #     Ok(Response::new("welcome".to_owned()))
//! # }
//! let provider = Provider::discover("https://id.example")?;
//! let verifier = provider.verifier("https://api.example.com")?;
//! let mut service = ServiceBuilder::new()
//!     .layer(BearerLayer::new(verifier.clone()))
//!     .service_fn(handler);
//!
//! let response = service.ready().await?.call(Request::new(String::new())).await?;
//! assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
//! assert_eq!(
//!     response.headers()["www-authenticate"],
//!     r#"Bearer realm="https://api.example.com""#
//! );
//!
//! // Configured: those without a token may pass.
//! let mut service = ServiceBuilder::new()
//!     .layer(BearerLayer::new(verifier).allow_anonymous())
//!     .service_fn(handler);
//! let response = service.ready().await?.call(Request::new(String::new())).await?;
//! assert_eq!(response.into_body(), "welcome");
//! # Ok(())
//! # }
//! ```

mod layer;
mod refusal_log;
mod service;

pub use self::layer::BearerLayer;
pub use self::service::{Bearer, BearerGate};
