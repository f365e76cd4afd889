//! For tests of your own service: an OpenID provider on a loopback port ([`DevelopmentProvider`]) or in
//! memory ([`OfflineProvider`]), valid and forged tokens, principals made of claims ([`principal()`]), a browser that
//! is signed in (`Browser`), a clock that is moved by hand, and the suite that every session store must pass. The
//! examples and the tests of this crate use the same.
//!
//! ```
//! use tower_oidc::testing::DevelopmentProvider;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let idp = DevelopmentProvider::start().await?;
//! let verifier = idp.provider()?.verifier("https://api.example.com")?;
//!
//! let token = idp.token("https://api.example.com").scope("read:messages").build();
//! assert!(verifier.verify(&token).await?.has_scope("read:messages"));
//!
//! let expired = idp.token("https://api.example.com").expired().build();
//! assert!(verifier.verify(&expired).await.is_err());
//! # Ok(())
//! # }
//! ```
//!
//! # Security
//! Not for production: the provider issues any token to any caller.
#![cfg_attr(
    all(feature = "axum", feature = "login", feature = "reqwest"),
    doc = "",
    doc = include_str!("../../docs/testing.md")
)]

mod assertion;
mod authorization;
#[cfg(feature = "login")]
mod browser;
mod clock;
mod device;
mod devices;
mod exchange;
mod fault;
mod form;
mod grants;
mod introspected;
mod introspection;
mod manner;
mod offline;
mod opaque_tokens;
mod principal;
mod provider;
mod server;
mod sign_in;
mod signing_key;
mod state;
#[cfg(feature = "login")]
mod store_suite;
mod token;
mod token_endpoint;
mod trust;
mod trusted_clients;

#[cfg(feature = "login")]
pub use self::browser::Browser;
pub use self::clock::ManualClock;
pub use self::fault::{Endpoint, Fault, Hits};
pub use self::manner::Manner;
pub use self::offline::{OfflineProvider, OfflineProviderBuilder};
pub use self::principal::{id_token_principal, principal};
pub use self::provider::{DevelopmentProvider, DevelopmentProviderBuilder};
pub use self::signing_key::SigningKey;
#[cfg(feature = "login")]
pub use self::store_suite::store_suite;
pub use self::token::TokenBuilder;
