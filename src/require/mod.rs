//! May they? [`RequireLayer`] checks a [`Policy`] against the [`Principal`](crate::Principal) that an
//! outer layer has verified.
//!
//! The rule:
//! 1. Requirements add up: of nested layers each must be met.
//! 2. Scopes are compared whole and case-sensitively; `read:all` does not include `read`.
//! 3. A missing scope or claim: 403 `insufficient_scope`, with all scopes that the request needs in one
//!    challenge.
//! 4. A token for another audience of this service: 401 `invalid_token`.
//! 5. No caller, behind a layer that allows anonymous requests: 401 without an error code.
//! 6. No outer layer that verifies: 500. The log names the layer that is missing, or inside of this one, and
//!    the order to put them in.
//!
//! Where the methods of an axum route need different things, give each method its layer and merge them. A
//! `route_layer` is around all methods that are written before it, and around none behind it: of
//! `get(a).route_layer(x).post(b).route_layer(y)` a GET needs both, and of `get(a).route_layer(x).post(b)` a POST needs
//! nothing.
//!
//! ```
//! # #[cfg(feature = "axum")]
//! # fn main() -> Result<(), tower_oidc::ConfigError> {
//! # use axum::{Router, routing::{get, post}};
//! # use tower_oidc::RequireLayer;
//! # async fn list() {}
//! # async fn create() {}
//! let orders = get(list)
//!     .route_layer(RequireLayer::scope("orders:read")?)
//!     .merge(post(create).route_layer(RequireLayer::role("realm_access.roles", "clerk")?));
//! let app: Router = Router::new().route("/orders", orders);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "axum"))]
//! # fn main() {}
//! ```
//!
//! The log tells what was required, what the token lacks and of which route, at most once in ten seconds for
//! each layer (all of it at `debug`), and no value of a claim but `aud`. It is a warning where the token has the claim
//! in another form, such as `true` for the text `"true"`, which no such token can meet.
//!
//! ```
//! # use http::{Request, Response, StatusCode};
//! # use tower::{Service, ServiceBuilder, ServiceExt};
//! use tower_oidc::{Policy, RequireLayer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! # async fn handler(_: Request<String>) -> Result<Response<String>, std::convert::Infallible> {
//! #     Ok(Response::new(String::new()))
//! # }
//! let mut service = ServiceBuilder::new()
//!     // .layer(BearerLayer::new(verifier)) was forgotten here
//!     .layer(RequireLayer::scope("orders:read")?)
//!     .service_fn(handler);
//! let response = service.ready().await?.call(Request::new(String::new())).await?;
//! assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
//!
//! // Configured: one of two scopes, and a claim.
//! let policy = Policy::any_scope(["orders:read", "orders:all"])?.and(Policy::claim("tier", "gold")?);
//! let layer = RequireLayer::new(policy);
//! # let _: &RequireLayer = &layer;
//! # Ok(())
//! # }
//! ```

mod layer;
mod policy;
mod service;

pub use self::layer::RequireLayer;
pub use self::policy::Policy;
pub use self::service::{Require, RequireGate};
