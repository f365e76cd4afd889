//! Settings from environment variables, under the names that operators already use.
//!
//! [Which there are](#settings) stands below, with the method that makes the same choice in code.
//!
//! A service that calls others with its own tokens (feature `outbound`, [`ServiceSettings`]) also
//! reads `OPENID_CLIENT_ID`, `OPENID_CLIENT_SECRET` (which must be set), `OPENID_REQUEST_AUDIENCE`,
//! `OPENID_RESOURCE` and `OPENID_SCOPE`. It leaves out scopes that only a person can grant, such as
//! `openid` and `offline_access`.
//!
//! An empty value counts as unset. An API ignores the settings of sign-in. Any other name that begins
//! with `OPENID_` is an error, because a misspelt setting would have no effect; the names of
//! LibreChat's user management are ignored, and logged once.
//!
//! `OPENID_ISSUER` may lack the final slash of the provider's issuer, because the dashboard of Auth0
//! shows it without. The issuer in the metadata counts then, and a warning says so; any other
//! difference is an error. Plain http is allowed on loopback addresses only, with a warning.
#![doc = include_str!("../../docs/settings.md")]

#[cfg(feature = "login")]
mod addresses;
#[cfg(feature = "login")]
mod admission;
mod api;
mod bounds;
#[cfg(feature = "client")]
mod client;
mod common;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod database;
mod defaults;
#[cfg(feature = "login")]
mod front_doors;
#[cfg(feature = "introspection")]
mod introspection;
#[cfg(feature = "login")]
mod lifetimes;
#[cfg(feature = "login")]
mod login;
mod names;
mod places;
mod read;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "outbound")]
mod service;
#[cfg(feature = "login")]
mod sign_in;
#[cfg(feature = "login")]
mod store;
mod written;

pub use self::api::ApiSettings;
#[cfg(feature = "login")]
pub use self::login::LoginSettings;
#[cfg(feature = "doctor")]
pub(crate) use self::names::in_environment;
#[cfg(feature = "doctor")]
pub(crate) use self::read::Variables;
#[cfg(feature = "outbound")]
pub use self::service::ServiceSettings;

#[cfg(test)]
mod tests;
