//! What can go wrong, told to whoever can mend it: [`ConfigError`] to the one who starts the
//! service, [`VerifyError`] and [`ProviderError`] to its log. A client never sees these texts.

mod config;
mod failure;
mod kinds;
#[cfg(feature = "login")]
mod login;
#[cfg(feature = "outbound")]
mod outbound;
mod provider;
#[cfg(feature = "login")]
mod store;
mod verify;

use std::fmt;

pub use self::config::ConfigError;
#[cfg(feature = "login")]
pub use self::login::{LoginError, LoginErrorKind};
#[cfg(feature = "outbound")]
pub use self::outbound::{OutboundError, OutboundErrorKind};
pub use self::provider::{ProviderError, ProviderErrorKind};
#[cfg(feature = "login")]
pub use self::store::{StoreError, StoreErrorKind};
pub use self::verify::{VerifyError, VerifyErrorKind};

/// An error with all its causes, on one line, for the log.
pub(crate) struct Chain<'a>(pub(crate) &'a (dyn std::error::Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(formatter, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
