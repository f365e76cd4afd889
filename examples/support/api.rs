//! The provider whose tokens an API accepts: that of the environment, or one that starts beside it.

use std::error::Error;

use tower_oidc::env::ApiSettings;
use tower_oidc::testing::DevelopmentProvider;
use tower_oidc::{Provider, Verifier};

use super::{ask_once, embedded, is_configured};

pub(crate) struct Api {
    pub(crate) provider: Provider,
    pub(crate) verifier: Verifier,
    /// The public address of the API, if one is set.
    pub(crate) domain: Option<String>,
    /// The provider beside it. It runs as long as it is kept.
    pub(crate) embedded: Option<DevelopmentProvider>,
}

impl Api {
    pub(crate) async fn start() -> Result<Self, Box<dyn Error + Send + Sync>> {
        if is_configured() {
            let settings = ApiSettings::from_env()?;
            println!("{settings}");
            ask_once(settings.provider()).await?;
            return Ok(Self {
                provider: settings.provider().clone(),
                verifier: settings.verifier().clone(),
                domain: settings.domain_server().map(str::to_owned),
                embedded: None,
            });
        }
        let idp = embedded::start(DevelopmentProvider::builder()).await?;
        let provider = idp.provider()?;
        Ok(Self {
            verifier: provider.verifier(embedded::AUDIENCE)?,
            provider,
            domain: None,
            embedded: Some(idp),
        })
    }
}
