//! Who is calling? [`BearerLayer`] verifies the access token of a request and inserts the
//! [`Principal`](crate::Principal) into the request's extensions.
//!
//! The rule:
//! 1. Credentials are one `Authorization: Bearer` field with one token
//!    ([RFC 6750 §2.1](https://www.rfc-editor.org/rfc/rfc6750#section-2.1)), or one token in another
//!    [place](TokenPlace) that the layer was given. Tokens in a form body or a query are not read, because they end
//!    up in logs and histories ([RFC 9700 §4.3.2](https://www.rfc-editor.org/rfc/rfc9700#section-4.3.2)).
//! 2. No credentials: 401 with a challenge and no error code. With
//!    [`allow_anonymous`](BearerLayer::allow_anonymous) the request passes without a principal.
//! 3. Malformed credentials, two of them in one place, or two different ones in two places: 400 `invalid_request`. No
//!    token is judged.
//! 4. A token that the [`Verifier`](crate::Verifier) refuses: 401 `invalid_token`. A bad token never
//!    passes, even where anonymous requests do.
//! 5. No keys to judge by: 503 with `Retry-After`, because that is not the token's fault. The same
//!    where the token's key may be new, and too many tokens with unknown keys came to look for it now.
//! 6. A principal that was already in the request is removed or replaced, never trusted.
//! 7. A token that browsers or proxies add by themselves (a cookie, a [proxy's field](TokenPlace::proxy_header)) changes
//!    something only from a page of this site: otherwise 403 without an error code.
//! 8. The token of a WebSocket is removed before the request goes on.
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
//!
//! # Other places than the `Authorization` field
//!
//! ## Behind a proxy that signs browsers in
//!
//! Cloudflare Access and Google's Identity-Aware Proxy send a signed token with each request. Its audience is one
//! application, and its keys lie at an address of their own. The proxy should be the only way to the service, and has to
//! remove the field from what clients send. The token is verified all the same, so that a request that comes another way
//! with an invented one is refused.
//!
//! ```
//! use tower_oidc::{BearerLayer, ConfigError, Provider, SameOrigin, TokenPlace};
//!
//! # fn main() -> Result<(), ConfigError> {
//! # #[cfg(feature = "reqwest")] {
//! let site = SameOrigin::of("https://app.example.com")?;
//!
//! // Cloudflare Access: the audience is the application's AUD tag.
//! let team = "https://team.cloudflareaccess.com";
//! let provider = Provider::builder(team)
//!     .with_jwks_url(&format!("{team}/cdn-cgi/access/certs"))
//!     .build()?;
//! let audience = "4714c1358e65fe4b408ad6d432a5f878f08194bdb4752441fd56faefa9b2b6f2";
//! let layer = BearerLayer::new(provider.verifier(audience)?).with_token_in([
//!     TokenPlace::proxy_header("Cf-Access-Jwt-Assertion", site.clone())?,
//!     // The same token, of browsers alone. The field is enough wherever it arrives.
//!     TokenPlace::cookie("CF_Authorization", site.clone())?,
//! ])?;
//! # drop(layer);
//!
//! // Google's proxy: the audience is the backend service, or /projects/<number>/apps/<project> on App Engine.
//! let provider = Provider::builder("https://cloud.google.com/iap")
//!     .with_jwks_url("https://www.gstatic.com/iap/verify/public_key-jwk")
//!     .build()?;
//! let audience = "/projects/1234567890/global/backendServices/987654321";
//! let layer = BearerLayer::new(provider.verifier(audience)?)
//!     .with_token_in([TokenPlace::proxy_header("X-Goog-IAP-JWT-Assertion", site)?])?;
//! # drop(layer);
//! # }
//! # Ok(())
//! # }
//! ```
//!
//! Programs that send changes through the proxy (Cloudflare's service tokens) have no page to prove. For them the field
//! is a [`TokenPlace::header`], with the cookie beside it: requests with the cookie, which are those of browsers, then
//! need the proof, and the others do not.
//!
//! ## The WebSocket of a browser
//!
//! ```js
//! const socket = new WebSocket("wss://api.example.com/socket", ["chat", `bearer.${token}`]);
//! ```
//!
//! ```
//! # #[cfg(feature = "axum")]
//! # fn main() -> Result<(), tower_oidc::ConfigError> {
//! use axum::extract::WebSocketUpgrade;
//! use axum::response::Response;
//! use axum::{Router, routing::any};
//! use tower_oidc::{BearerLayer, Principal, Provider, TokenPlace};
//!
//! async fn socket(principal: Principal, upgrade: WebSocketUpgrade) -> Response {
//!     // The handler sees `chat` alone. A browser closes a socket for which none of its subprotocols was chosen.
//!     upgrade.protocols(["chat"]).on_upgrade(async move |socket| drop((principal, socket)))
//! }
//!
//! let verifier = Provider::discover("https://id.example")?.verifier("https://api.example.com")?;
//! let places = [TokenPlace::authorization(), TokenPlace::websocket()];
//! let app: Router = Router::new()
//!     .route("/socket", any(socket))
//!     .layer(BearerLayer::new(verifier).with_token_in(places)?);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "axum"))]
//! # fn main() {}
//! ```
//!
//! The token is judged when the socket opens, and the socket stays open when the token ends. The application closes it
//! then: it waits for [`Principal::ended`](crate::Principal::ended), as the example in [`streams`](crate::streams) does.

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
