//! The development provider that starts beside a program if no `OPENID_*` setting is there.

use std::io;

use tower_oidc::testing::{DevelopmentProvider, DevelopmentProviderBuilder};

/// The audience of its access tokens in all programs.
pub(crate) const AUDIENCE: &str = "https://api.example.com";

/// The client of the sites that sign in there.
pub(crate) const CLIENT_ID: &str = "development";
pub(crate) const CLIENT_SECRET: &str = "development-secret";

/// Starts it, and prints its address. It runs as long as it is kept.
pub(crate) async fn start(builder: DevelopmentProviderBuilder) -> io::Result<DevelopmentProvider> {
    let idp = builder.start().await?;
    println!(
        "no OPENID_ISSUER is set: a development provider runs at {}",
        idp.issuer()
    );
    Ok(idp)
}
