use std::fmt;

use crate::bearer::BearerLayer;
use crate::claims::{Transport, parse_url};
use crate::env::common::{CommonSettings, issuer, line};
use crate::env::names::in_environment;
use crate::env::places::PlaceSettings;
use crate::env::read::{Variables, readable};
use crate::error::ConfigError;
use crate::provider::Provider;
use crate::resource_metadata::ProtectedResource;
use crate::settings::{
    DOMAIN_SERVER, OPENID_AUDIENCE, OPENID_REALM, OPENID_RESOURCE_DOCUMENTATION,
    OPENID_RESOURCE_NAME, OPENID_RESOURCE_SCOPES, OPENID_REUSE_TOKENS, OPENID_TOKEN_PLACES,
    OPENID_TRUSTED_ORIGINS, RESOURCE, SCOPE,
};
use crate::verify::Verifier;

/// The checked settings of an API. `Display` shows the effective values.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    pub(super) common: CommonSettings,
    domain_server: Option<String>,
    realm: Option<String>,
    places: PlaceSettings,
    described: Described,
}

/// What the resource metadata tells.
#[derive(Debug, Clone)]
struct Described {
    /// Separated by blanks.
    scopes: String,
    name: Option<String>,
    documentation: Option<String>,
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
        let settings = Self {
            common: CommonSettings::read(variables, ignored, issuer, audiences)?,
            domain_server,
            realm: variables.text(OPENID_REALM),
            places: PlaceSettings::read(variables)?,
            described: Described {
                scopes: variables.scope(OPENID_RESOURCE_SCOPES)?.unwrap_or_default(),
                name: variables.text(OPENID_RESOURCE_NAME),
                documentation: variables.text(OPENID_RESOURCE_DOCUMENTATION),
            },
        };
        // A bad setting is an error now, although the address may come later.
        let probe = settings.clone();
        let probe = probe.with_default_address("https://api.example.com");
        let _ = (probe.bearer()?, probe.resource()?);
        Ok(settings)
    }

    /// The address of the API if `DOMAIN_SERVER` does not name it.
    #[must_use]
    pub fn with_default_address(mut self, address: &str) -> Self {
        self.domain_server.get_or_insert_with(|| address.to_owned());
        self
    }

    /// A layer that verifies tokens with these settings, wherever `OPENID_TOKEN_PLACES` has them. It names no resource: that is right only where the program
    /// serves its metadata.
    ///
    /// # Errors
    /// [`ConfigError`] with the variable and the remedy: also where a token may stand in a cookie, and there is no
    /// address.
    pub fn bearer(&self) -> Result<BearerLayer, ConfigError> {
        let layer = BearerLayer::new(self.verifier().clone());
        let layer = match &self.realm {
            Some(realm) => layer.with_realm(realm).map_err(in_environment)?,
            None => layer,
        };
        self.places.apply(layer, self.domain_server())
    }

    /// The API as a protected resource, for [`BearerLayer::with_resource`]. Its identifier is the public address,
    /// and what its metadata tells is from `OPENID_RESOURCE_SCOPES`, `OPENID_RESOURCE_NAME` and
    /// `OPENID_RESOURCE_DOCUMENTATION`. The program serves it at
    /// [`metadata_path`](ProtectedResource::metadata_path).
    ///
    /// # Errors
    /// [`ConfigError`] with the variable and the remedy, also where there is no address.
    pub fn resource(&self) -> Result<ProtectedResource, ConfigError> {
        let address = self.domain_server.as_deref().ok_or_else(|| {
            ConfigError::missing(
                DOMAIN_SERVER,
                "set it to the public address of this API, such as https://api.example.com",
            )
        })?;
        let named = |name: &'static str| {
            move |error: ConfigError| match error.setting() {
                RESOURCE | SCOPE => error.renamed(name),
                _ => in_environment(error),
            }
        };
        let transport = Transport::HttpsOrLoopback;
        let mut resource = ProtectedResource::parse(address, self.verifier(), &transport)
            .map_err(named(DOMAIN_SERVER))?;
        if !self.places.has_authorization() {
            resource = resource.without_bearer_header();
        }
        for scope in self.described.scopes.split_ascii_whitespace() {
            resource = resource
                .add_scope(scope)
                .map_err(named(OPENID_RESOURCE_SCOPES))?;
        }
        if let Some(name) = &self.described.name {
            resource = resource.with_name(name);
        }
        if let Some(url) = &self.described.documentation {
            resource = resource.with_documentation(url).map_err(in_environment)?;
        }
        Ok(resource)
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
        ApiSettings::from_env()?.bearer()
    }
}

impl fmt::Display for ApiSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.common.fmt(formatter)?;
        for (name, value) in [
            (DOMAIN_SERVER, self.domain_server()),
            (OPENID_REALM, self.realm.as_deref()),
            (OPENID_TOKEN_PLACES, self.places.shown().as_deref()),
            (
                OPENID_TRUSTED_ORIGINS,
                self.places.shown_origins().as_deref(),
            ),
            (
                OPENID_RESOURCE_SCOPES,
                Some(&*self.described.scopes).filter(|text| !text.is_empty()),
            ),
            (OPENID_RESOURCE_NAME, self.described.name.as_deref()),
            (
                OPENID_RESOURCE_DOCUMENTATION,
                self.described.documentation.as_deref(),
            ),
        ] {
            line(formatter, name, value)?;
        }
        Ok(())
    }
}
