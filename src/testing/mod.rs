//! A development OpenID provider on a loopback port, tokens good and forged, and a clock moved by
//! hand: what the examples run on, what this crate's tests stand on, and what you test your own
//! service with.
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
//! Not for production: whoever reaches it gets any token.

mod clock;
mod exchange;
mod fault;
mod form;
mod grants;
mod offline;
mod provider;
mod server;
mod sign_in;
mod signing_key;
mod state;
#[cfg(feature = "login")]
mod store_suite;
mod token;
mod token_endpoint;

pub use self::clock::ManualClock;
pub use self::fault::{Endpoint, Fault, Hits};
pub use self::offline::{OfflineProvider, OfflineProviderBuilder};
pub use self::provider::{DevelopmentProvider, DevelopmentProviderBuilder};
pub use self::signing_key::SigningKey;
#[cfg(feature = "login")]
pub use self::store_suite::store_suite;
pub use self::token::TokenBuilder;
