//! Who is calling? [`BearerLayer`] verifies the access token of a request and inserts the
//! [`Principal`](crate::Principal) into the request's extensions.
//!
//! The rule:
//! 1. Credentials are one `Authorization: Bearer` field with one token
//!    ([RFC 6750 §2.1](https://www.rfc-editor.org/rfc/rfc6750#section-2.1)). Tokens in a form body or
//!    a query are not read, because they end up in logs and histories
//!    ([RFC 9700 §4.3.2](https://www.rfc-editor.org/rfc/rfc9700#section-4.3.2)).
//! 2. No credentials: 401 with a challenge and no error code. With
//!    [`allow_anonymous`](BearerLayer::allow_anonymous) the request passes without a principal.
//! 3. Malformed credentials or two fields: 400 `invalid_request`. No token is judged.
//! 4. A token that the [`Verifier`](crate::Verifier) refuses: 401 `invalid_token`. A bad token never
//!    passes, even where anonymous requests do.
//! 5. No keys to judge by: 503 with `Retry-After`, because that is not the token's fault. The same
//!    where the token's key may be new, and too many tokens with unknown keys came to look for it now.
//! 6. A principal that was already in the request is removed or replaced, never trusted.
//!
//! A refused request does not reach the inner service, and its body is not read. The
//! [`Rejection`](crate::Rejection) is in the extensions of the response. The log names the cause, the
//! remedy under this configuration, and the route's method and path, each cause at most once in ten seconds
//! (all of them at `debug`). If `iss` or `aud` is wrong, it shows the token's and the expected ones; no other
//! value of a token is ever logged. The client gets a standard code.
//!
//! Browsers send CORS preflight requests without a token, so put the layer that answers them outside this
//! one. Behind a proxy, make sure that it forwards `Authorization`. Each instance of a service fetches the
//! provider's keys for itself.
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
//! // Configured: requests without a token pass.
//! let mut service = ServiceBuilder::new()
//!     .layer(BearerLayer::new(verifier).allow_anonymous())
//!     .service_fn(handler);
//! let response = service.ready().await?.call(Request::new(String::new())).await?;
//! assert_eq!(response.into_body(), "welcome");
//! # Ok(())
//! # }
//! ```

mod layer;
mod place;
mod places;
mod refusal_log;
mod service;
mod websocket;

pub use self::layer::BearerLayer;
pub use self::place::TokenPlace;
pub use self::service::{Bearer, BearerGate};
pub use crate::gate::same_origin::SameOrigin;
