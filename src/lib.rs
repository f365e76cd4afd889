//! Composable [tower](https://docs.rs/tower) layers that let any hyper-based service **reuse the
//! tokens of an OpenID provider**: verify access tokens against cached keys and enforce issuer,
//! audience, scope and claims; sign browsers in and keep them signed in; attach the right token to calls
//! that leave.
//!
//! ```text
//!  Authorization: Bearer …            Cookie: __Host-session=…
//!         │                                  │
//!      bearer                              login            who is calling?
//!         └──────────►  Principal  ◄─────────┘              the waist: one type, in the request's extensions
//!                           │
//!                       require                             may they?
//!                           │
//!                        handler
//!                           │
//!                       outbound                            with whose token do we call on?
//!                           │
//!                    upstream service
//! ```
//!
//! The first lines of an API on axum (feature `axum`):
//!
//! ```
//! # #[cfg(feature = "axum")]
//! # fn main() -> Result<(), tower_oidc::ConfigError> {
//! # use axum::{Router, routing::get};
//! use tower_oidc::{BearerLayer, Principal, Provider, RequireLayer};
//!
//! let provider = Provider::discover("https://tenant.us.auth0.com/")?; // lazy: no network yet
//! let verifier = provider.verifier("https://api.example.com")?; // issuer and audience, nothing to forget
//! let app: Router = Router::new()
//!     .route("/messages", get(list).route_layer(RequireLayer::scope("read:messages")?))
//!     .layer(BearerLayer::new(verifier));
//!
//! async fn list(principal: Principal) -> String {
//!     format!("messages of {}", principal.subject().unwrap_or("nobody"))
//! }
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "axum"))]
//! # fn main() {}
//! ```
//!
//! A site that signs browsers in, from the environment (features `axum` and `login`):
//!
//! ```no_run
//! # #[cfg(all(feature = "axum", feature = "login", feature = "reqwest"))]
//! # fn main() -> Result<(), tower_oidc::ConfigError> {
//! # use axum::{Router, routing::get};
//! use tower_oidc::{LoginLayer, Principal};
//!
//! let login = LoginLayer::from_env()?;
//! let app: Router = Router::new().route("/me", get(me)).layer(login);
//!
//! async fn me(principal: Principal) -> String {
//!     principal.subject().unwrap_or("nobody").to_owned()
//! }
//! # Ok(())
//! # }
//! # #[cfg(not(all(feature = "axum", feature = "login", feature = "reqwest")))]
//! # fn main() {}
//! ```
//!
//! A client that sends the caller's token on, or this service's own (feature `outbound`):
//!
//! ```
//! # #[cfg(feature = "outbound")]
//! # fn main() -> Result<(), tower_oidc::ConfigError> {
//! # use tower::ServiceBuilder;
//! # use tower_oidc::{Client, Provider};
//! # #[derive(Clone)] struct Http;
//! # let (http, provider) = (Http, Provider::discover("https://id.example")?);
//! # let client = Client::with_secret("shop", "secret")?;
//! use tower_oidc::OutboundLayer;
//!
//! let orders = ServiceBuilder::new()
//!     .layer(OutboundLayer::relay("https://orders.internal")?)
//!     .service(http.clone());
//! let stock = ServiceBuilder::new()
//!     .layer(OutboundLayer::client_credentials(&provider, client, "https://stock.internal")?)
//!     .service(http);
//! # drop((orders, stock));
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "outbound"))]
//! # fn main() {}
//! ```
//!
//! With a plain `tower::ServiceBuilder` layers read from top to bottom: `BearerLayer` first, then
//! `RequireLayer`. An axum `Router` applies them the other way round.
//!
//! # What always holds
//!
//! - Holding a [`Principal`] is the proof: only verification makes one.
//! - A verifier without issuer and audience does not build. `none` and symmetric algorithms are not
//!   among its choices.
//! - Unverified data may refuse, never admit. No token, secret or claim value reaches a log line, an
//!   error, a metric or an answer.
//! - A token leaves for the destinations it is configured for, and for none else. A call without a token
//!   fails; it never goes bare.
//! - Server layers keep the inner service's error; a refusal is a response, its
//!   [reason](Rejection) in the response's extensions.
//! - Once construction has succeeded, no input makes the crate panic, grow its memory without bound,
//!   or call the provider without bound.
//! - There is no process-wide state.
//!
//! # Where to read on
//!
//! [`bearer`], [`mod@login`], [`require`] and [`outbound`] for the rules of the four rooms, [`streams`] for
//! streams and sockets that end with their caller, [`grpc`] for gRPC, [`Provider`] for where keys come from,
//! [`Verifier`] for what is checked, [`Revocations`] for tokens that end before their time,
//! [`mod@env`] for settings from the environment, [`testing`] for testing your own service,
//! [`manual`] for the reason of every default.
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `reqwest` (default) | a ready HTTP client for the calls to the provider, and [`mod@env`] |
//! | `axum` | extractors for handlers: [`Principal`], `Option<Principal>` and [`Claims`]; with `login` also `Session` and `Option<Session>` |
//! | `introspection` | opaque tokens, by asking the provider about them |
//! | `login` | browser sign-in with transparent refresh-token rotation |
//! | `outbound` | tokens for calls that leave: relay, client credentials, exchange |
//! | `tonic` | refusals in gRPC's words, the caller of a call |
//! | `postgres` | sessions in PostgreSQL, for any number of replicas; needs Rust 1.94 |
//! | `sqlite` | sessions in a file of SQLite, for one machine; needs Rust 1.94 |
//! | `redis` | sessions in Redis or Valkey, for any number of replicas |
//! | `openidconnect` | applications of that crate keep their client: their metadata makes a [`Provider`], their token responses make sessions |
//! | `doctor` | what is right and what is wrong with a configuration and its provider, each with its cure: [`doctor`] |
//! | `metrics` | counters and gauges through the `metrics` facade |
//! | `testing` | a development provider with and without a socket, forged tokens, principals made of claims, a signed-in browser, a clock moved by hand |
//! | `full` | all of them but `openidconnect`, which brings a second cryptography library |

#![cfg_attr(docsrs, feature(doc_cfg))]

// Ground: words. Pure; time comes in as an argument.
mod allowance;
mod claim_path;
mod claims;
mod clock;
mod cookies;
pub mod error;
mod expiry;
mod flight;
mod jwt;
mod lenient_json;
mod log_pace;
mod observe;
mod retry_after;
mod settings;

mod claim_test;
mod claims_error;
mod principal;
mod revocations;
#[cfg(feature = "client")]
mod secret;
#[cfg(feature = "login")]
mod slots;
mod token;

// First floor: sources. What comes from outside and grows stale.
mod http_client;
mod keys;
mod lookup;
mod provider;
mod renew;

// Second floor: judgement.
mod verify;

// Third floor: rooms.
pub mod bearer;
#[cfg(feature = "client")]
mod client_keys;
pub mod danger;
mod gate;
#[cfg(feature = "login")]
pub mod login;
#[cfg(feature = "outbound")]
pub mod outbound;
pub mod require;
mod resource_metadata;
pub mod streams;

// Roof: adapters.
// Private, and the module for tonic has another name, so that `use tower_oidc::*` hides no crate.
#[cfg(feature = "axum")]
mod axum;
#[cfg(feature = "doctor")]
pub mod doctor;
#[cfg(feature = "reqwest")]
pub mod env;
#[cfg(feature = "tonic")]
pub mod grpc;
pub mod manual;
#[cfg(feature = "openidconnect")]
mod openidconnect;
#[cfg(feature = "testing")]
pub mod testing;

#[cfg(feature = "axum")]
pub use crate::axum::{Claims, ExtractRejection};
pub use crate::bearer::{BearerLayer, SameOrigin, TokenPlace};
pub use crate::claim_path::ClaimPath;
pub use crate::claim_test::ClaimValue;
pub use crate::claims::{Audience, Issuer, Scope, ScopeSet};
pub use crate::claims_error::ClaimsError;
#[cfg(feature = "client")]
pub use crate::client_keys::{ClientKeys, ClientKeysService};
pub use crate::clock::{Clock, SystemClock, UnixTime};
pub use crate::error::{ConfigError, ProviderError, VerifyError, VerifyErrorKind};
#[cfg(feature = "login")]
pub use crate::error::{LoginError, LoginErrorKind};
#[cfg(feature = "outbound")]
pub use crate::error::{OutboundError, OutboundErrorKind};
pub use crate::gate::answer::{EmptyBody, OnRefusal, Rejection, RejectionKind};
pub use crate::gate::{Gated, ResponseFuture};
pub use crate::http_client::{HttpClient, NotConnected};
pub use crate::jwt::Algorithm;
#[cfg(feature = "login")]
pub use crate::login::{KeyRing, LoginLayer, Session};
#[cfg(feature = "outbound")]
pub use crate::outbound::OutboundLayer;
pub use crate::principal::{Principal, PrincipalKind};
#[cfg(feature = "client")]
pub use crate::provider::{AssertionAudience, Client, ClientAssertion, KeyId, SecretMethod};
pub use crate::provider::{Discovery, Phase, Provider, ProviderBuilder, Readiness};
pub use crate::require::{Policy, RequireLayer};
pub use crate::resource_metadata::{MetadataBody, MetadataService, ProtectedResource};
pub use crate::revocations::{Revocations, RevocationsBuilder, RevocationsFull};
pub use crate::streams::StreamExpiryLayer;
#[cfg(any(feature = "login", feature = "outbound"))]
pub use crate::token::target::Target;
pub use crate::token::{AccessToken, MalformedAuthorization};
#[cfg(feature = "introspection")]
pub use crate::verify::Introspection;
pub use crate::verify::{
    IssuerSource, IssuerSourceBuilder, TokenProfile, Verifier, VerifierBuilder,
};
