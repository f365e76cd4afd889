//! The provider at which a site signs browsers in: that of the environment, or one that starts beside it.
#![allow(dead_code, reason = "no program uses all of it")]

use std::error::Error;
use std::time::Duration;

use tokio::net::TcpListener;
use tower_oidc::env::LoginSettings;
use tower_oidc::login::LoginBuilder;
use tower_oidc::testing::DevelopmentProvider;
use tower_oidc::{BearerLayer, Client, KeyRing, LoginLayer, Verifier};

use super::support::{self, embedded};

const EMBEDDED_TOKEN_LIFETIME: Duration = Duration::from_secs(60);

/// A site that signs in at the provider of the environment, or at an embedded one.
pub(crate) struct Site {
    pub(crate) login: LoginBuilder,
    /// Verifies the tokens of programs.
    pub(crate) bearer: BearerLayer,
    pub(crate) verifier: Verifier,
    pub(crate) button: Button,
    /// The provider beside it. It runs as long as it is kept.
    pub(crate) embedded: Option<DevelopmentProvider>,
}

/// The label and image of the sign-in button.
pub(crate) struct Button {
    pub(crate) label: String,
    pub(crate) image: Option<String>,
}

impl Site {
    pub(crate) async fn at(listener: &TcpListener) -> Result<Self, Box<dyn Error + Send + Sync>> {
        Self::of(&format!("http://{}", listener.local_addr()?)).await
    }

    /// The site at this public address, unless the environment names another.
    pub(crate) async fn of(address: &str) -> Result<Self, Box<dyn Error + Send + Sync>> {
        if support::is_configured() {
            let settings = LoginSettings::from_env()?.with_default_address(address);
            println!("{settings}");
            support::ask_once(settings.provider()).await?;
            return Ok(Self {
                login: with_open_paths(settings.builder()?).allow_anonymous(),
                bearer: settings.bearer()?,
                verifier: settings.verifier().clone(),
                button: Button {
                    label: settings.button_label().to_owned(),
                    image: settings.image_url().map(str::to_owned),
                },
                embedded: None,
            });
        }
        let idp = embedded::start(DevelopmentProvider::builder().with_sign_in_page()).await?;
        idp.set_token_lifetime(EMBEDDED_TOKEN_LIFETIME);
        let provider = idp.provider()?;
        support::ask_once(&provider).await?;
        let verifier = provider.verifier(embedded::AUDIENCE)?;
        let client = Client::with_secret(embedded::CLIENT_ID, embedded::CLIENT_SECRET)?;
        // Sessions are in memory and end with this process, so the secret may end with it too.
        let keys = KeyRing::ephemeral()?;
        Ok(Self {
            login: with_open_paths(LoginLayer::builder(verifier.clone(), client, address, keys))
                .allow_anonymous(),
            bearer: BearerLayer::new(verifier.clone()),
            verifier,
            button: Button {
                label: "Continue with the development provider".to_owned(),
                image: None,
            },
            embedded: Some(idp),
        })
    }
}

/// Prints the address to open, if it is another than the one that the program listens on: the cookies of a sign-in
/// are of the one, and not of the other.
pub(crate) fn print_public_address(
    login: &LoginLayer,
    listener: &TcpListener,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let public = support::origin("DOMAIN_SERVER", &login.redirect_uri())?;
    let public = format!("{public}{}", login.base_path());
    if public != format!("http://{}", listener.local_addr()?) {
        println!("open {public}");
    }
    Ok(())
}

/// The probes, and the files of the pages.
const OPEN_PATHS: [&str; 5] = ["/healthz", "/readyz", "/favicon.ico", "/app.css", "/app.js"];

/// In addition to those of the environment.
fn with_open_paths(login: LoginBuilder) -> LoginBuilder {
    OPEN_PATHS
        .into_iter()
        .fold(login, LoginBuilder::add_open_path)
}
