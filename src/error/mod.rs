//! Errors, each for the person who can fix the cause: [`ConfigError`] for the developer or operator who
//! starts the service, the others for its log. A client of the service never sees these texts.

mod away;
mod config;
mod failure;
mod kinds;
#[cfg(feature = "login")]
mod login;
#[cfg(feature = "login")]
mod login_kind;
#[cfg(feature = "outbound")]
mod outbound;
mod provider;
pub(crate) mod remedy;
pub(crate) mod setup;
#[cfg(feature = "login")]
mod store;
mod verify;

use std::fmt;

pub use self::config::ConfigError;
pub(crate) use self::config::duration_within;
#[cfg(feature = "login")]
pub use self::login::LoginError;
#[cfg(feature = "login")]
pub use self::login_kind::LoginErrorKind;
#[cfg(feature = "outbound")]
pub use self::outbound::{OutboundError, OutboundErrorKind};
pub use self::provider::{ProviderError, ProviderErrorKind};
#[cfg(feature = "login")]
pub use self::store::{StoreError, StoreErrorKind};
pub use self::verify::{VerifyError, VerifyErrorKind};

/// An error and all its sources on one line, for the log: with an `iss` or `aud` that is not the expected
/// one, which are public identifiers.
pub(crate) struct Chain<'a>(pub(crate) &'a (dyn std::error::Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut next = Some(self.0);
        while let Some(error) = next {
            match error.downcast_ref::<VerifyError>() {
                Some(error) => error.explain(formatter)?,
                None => write!(formatter, "{error}")?,
            }
            next = error.source();
            if next.is_some() {
                formatter.write_str(": ")?;
            }
        }
        Ok(())
    }
}
