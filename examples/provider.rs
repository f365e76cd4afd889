//! The development provider as a process of its own, on a fixed port, so that sites can be restarted beside it.
//!
//! It prints the settings that `web` and `gateway` sign in with. Its keys, codes and refresh tokens live as long as this
//! process:
//!
//! ```sh
//! cargo run --example provider --features axum,testing
//! ```
//!
//! `PORT` (3081) chooses the port on 127.0.0.1, `TOKEN_LIFETIME` (60) how many seconds an access token lives.
//! `examples/durable/run.sh` runs it with a site whose sessions outlive restarts.
//!
//! Do not copy: it signs in anyone as any user.
#![expect(clippy::print_stdout, reason = "a program for people")]

mod support;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use support::embedded;
use tower_oidc::testing::DevelopmentProvider;

#[tokio::main]
async fn main() -> ExitCode {
    support::ended("provider", run().await)
}

async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    support::start_log();
    let port = support::port("3081")?;
    let lifetime = std::env::var("TOKEN_LIFETIME").unwrap_or_else(|_| "60".to_owned());
    let lifetime = lifetime.parse().map_err(|_| {
        format!("TOKEN_LIFETIME = {lifetime:?} is not a number of seconds; write one such as 60")
    })?;
    let provider = DevelopmentProvider::builder()
        .with_port(port)
        .with_sign_in_page()
        .start()
        .await
        .map_err(|error| support::cannot_listen("127.0.0.1", port, &error))?;
    provider.set_token_lifetime(Duration::from_secs(lifetime));
    println!("OPENID_ISSUER={}", provider.issuer());
    println!("OPENID_CLIENT_ID={}", embedded::CLIENT_ID);
    println!("OPENID_CLIENT_SECRET={}", embedded::CLIENT_SECRET);
    println!("OPENID_AUDIENCE={}", embedded::AUDIENCE);
    println!("listening on {}", provider.issuer());
    support::asked_to_stop().await;
    Ok(())
}
