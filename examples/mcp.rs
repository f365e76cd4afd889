//! An MCP server whose tools need tokens, and a client that starts without one.
//!
//! Without settings, a development provider starts beside it, the client finds its way to a token, calls a tool,
//! steps up for another, and the program ends. With the settings of `tower_oidc::env` it trusts a real provider and
//! serves until it is asked to stop:
//!
//! ```sh
//! OPENID_ISSUER=https://tenant.us.auth0.com OPENID_AUDIENCE=https://mcp.example.com/mcp \
//!     DOMAIN_SERVER=https://mcp.example.com/mcp cargo run --example mcp --all-features
//! ```
//!
//! `HOST` and `PORT` (127.0.0.1:3080) choose the address to listen on, `DOMAIN_SERVER` the address that clients know,
//! `RUST_LOG` what is logged on stderr.
//!
//! Do not copy: the development provider, which issues any token to any caller; notes in memory, which end with the
//! program.
#![expect(clippy::print_stdout, reason = "a program for people")]

#[path = "mcp/client.rs"]
mod client;
#[path = "mcp/notes.rs"]
mod notes;
#[path = "mcp/server.rs"]
mod server;
mod support;

use std::error::Error;
use std::process::ExitCode;

use support::api::Api;

#[tokio::main]
async fn main() -> ExitCode {
    support::ended("mcp", run().await)
}

async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    support::start_log();
    let listener = support::listen().await?;
    let address = format!("http://{}", listener.local_addr()?);
    // The audience of tokens is the address of the server, so that a token for another server is of no use here.
    let server_address = format!("{address}{}", server::PATH);
    let api = Api::start_for(&server_address).await?;
    let app = server::router(&api, &server_address)?;
    println!("listening on {address}");
    let serving = axum::serve(listener, app).with_graceful_shutdown(support::asked_to_stop());
    if api.embedded.is_none() {
        return Ok(support::served(serving).await?);
    }
    tokio::select! {
        called = client::call(&server_address) => called,
        served = support::served(serving) => Ok(served?),
    }
}
