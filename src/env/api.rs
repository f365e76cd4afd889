use std::fmt;

use crate::bearer::BearerLayer;
use crate::claims::{Transport, parse_url};
use crate::env::common::{CommonSettings, issuer, line};
use crate::env::read::{Variables, readable};
use crate::error::ConfigError;
use crate::provider::Provider;
use crate::settings::{DOMAIN_SERVER, OPENID_AUDIENCE, OPENID_REUSE_TOKENS};
use crate::verify::Verifier;

/// The checked settings of an API. `Display` shows the effective values.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    pub(super) common: CommonSettings,
    domain_server: Option<String>,
}

readable!(ApiSettings);

impl ApiSettings {
    fn read(variables: &Variables) -> Result<Self, ConfigError> {
        let ignored = variables.check_names()?;
        variables.must_be_true(OPENID_REUSE_TOKENS)?;
        let issuer = issuer(variables)?;
        let audiences = variables.list(OPENID_AUDIENCE).ok_or_else(|| {
            ConfigError::missing(
                OPENID_AUDIENCE,
                "without it tokens for any other service would be accepted; set it to the name of this \
                 API at the provider (Auth0: the API identifier)",
            )
        })?;
        let domain_server = variables.text(DOMAIN_SERVER);
        if let Some(domain) = &domain_server {
            parse_url(DOMAIN_SERVER, domain, &Transport::HttpsOrLoopback)?;
        }
        Ok(Self {
            common: CommonSettings::read(variables, ignored, issuer, audiences)?,
            domain_server,
        })
    }

    /// The provider.
    #[must_use]
    pub fn provider(&self) -> &Provider {
        &self.common.provider
    }

    /// The verifier of the provider's tokens.
    #[must_use]
    pub fn verifier(&self) -> &Verifier {
        &self.common.verifier
    }

    /// The public address of the service (`DOMAIN_SERVER`).
    #[must_use]
    pub fn domain_server(&self) -> Option<&str> {
        self.domain_server.as_deref()
    }

    /// Whether to log more (`DEBUG_OPENID_REQUESTS`).
    #[must_use]
    pub fn debug_requests(&self) -> bool {
        self.common.debug_requests
    }
}

impl BearerLayer {
    /// Verifies tokens with the settings of the environment. See [`env`](crate::env) for the names.
    ///
    /// # Errors
    /// [`ConfigError`] with the variable and the remedy.
    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self::new(ApiSettings::from_env()?.verifier().clone()))
    }
}

impl fmt::Display for ApiSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.common.fmt(formatter)?;
        line(formatter, DOMAIN_SERVER, self.domain_server())
    }
}
