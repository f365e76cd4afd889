//! The provider whose tokens an API accepts: that of the environment, or one that starts beside it.

use std::error::Error;

use tower_oidc::danger::loopback_resource;
use tower_oidc::env::ApiSettings;
use tower_oidc::testing::DevelopmentProvider;
use tower_oidc::{BearerLayer, ConfigError, ProtectedResource, Provider, Verifier};

use super::{ask_once, embedded, is_configured};

pub(crate) struct Api {
    pub(crate) provider: Provider,
    pub(crate) verifier: Verifier,
    settings: Option<ApiSettings>,
    /// The provider beside it. It runs as long as it is kept.
    pub(crate) embedded: Option<DevelopmentProvider>,
}

impl Api {
    pub(crate) async fn start() -> Result<Self, Box<dyn Error + Send + Sync>> {
        Self::start_for(embedded::AUDIENCE).await
    }

    /// With this audience, unless the environment says otherwise.
    pub(crate) async fn start_for(audience: &str) -> Result<Self, Box<dyn Error + Send + Sync>> {
        if is_configured() {
            let settings = ApiSettings::from_env()?;
            println!("{settings}");
            ask_once(settings.provider()).await?;
            return Ok(Self {
                provider: settings.provider().clone(),
                verifier: settings.verifier().clone(),
                settings: Some(settings),
                embedded: None,
            });
        }
        let idp = embedded::start(DevelopmentProvider::builder()).await?;
        let provider = idp.provider()?;
        Ok(Self {
            verifier: provider.verifier(audience)?,
            provider,
            settings: None,
            embedded: Some(idp),
        })
    }

    /// The API as a resource, at `address` unless a setting says otherwise.
    pub(crate) fn resource(&self, address: &str) -> Result<ProtectedResource, ConfigError> {
        match &self.settings {
            Some(settings) => settings.clone().with_default_address(address).resource(),
            None => loopback_resource(address, &self.verifier),
        }
    }

    /// The layer of the API at `address` unless a setting says otherwise.
    pub(crate) fn bearer(&self, address: &str) -> Result<BearerLayer, ConfigError> {
        match &self.settings {
            Some(settings) => settings.clone().with_default_address(address).bearer(),
            None => Ok(BearerLayer::new(self.verifier.clone())),
        }
    }
}

/// Prints calls to copy: of `/messages`, which needs this scope.
pub(crate) fn print_curl_lines(idp: &DevelopmentProvider, scope: &str, address: &str) {
    let token = || idp.token(embedded::AUDIENCE).scope(scope);
    for (what, token) in [
        ("accepted", token().build()),
        ("expired", token().expired().build()),
        (
            "wrong audience",
            token().claim("aud", "https://another.example").build(),
        ),
    ] {
        println!("\n# {what}\ncurl -i -H 'Authorization: Bearer {token}' {address}/messages");
    }
    println!();
}
