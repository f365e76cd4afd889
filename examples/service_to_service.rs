//! A service that calls another with tokens of its own.
//!
//! Without settings, a development provider and an API start beside it, and the API is called ten times.
//! With the settings of `tower_oidc::env` the tokens come from a real provider, and `UPSTREAM_URL` names
//! the API to call:
//!
//! ```sh
//! OPENID_ISSUER=https://tenant.us.auth0.com OPENID_CLIENT_ID=… OPENID_CLIENT_SECRET=… \
//! OPENID_AUDIENCE=https://api.example.com UPSTREAM_URL=https://api.example.com/messages \
//!     cargo run --example service_to_service --all-features
//! ```
//!
//! `CALLS` is the number of calls (10). An `UPSTREAM_URL` without a path is called at `/me`. Each answer is a
//! line on stdout. The program exits with 1 if there is no token or no answer.
//!
//! Do not copy: the development provider, which issues any token to any caller.
#![expect(clippy::print_stdout, reason = "a program for people")]

mod support;

use std::error::Error;
use std::process::ExitCode;

use axum::routing::get;
use axum::{Json, Router};
use http_body_util::{BodyExt, Limited};
use reqwest::{Body, Url};
use serde_json::{Value, json};
use support::embedded;
use tokio::net::TcpListener;
use tower_oidc::env::ServiceSettings;
use tower_oidc::outbound::{ClientCredentials, Target};
use tower_oidc::testing::DevelopmentProvider;
use tower_oidc::{BearerLayer, Client, OutboundLayer, Principal, RequireLayer};

const SCOPE: &str = "read:messages";
const LONGEST_ANSWER: usize = 64 * 1024;

#[tokio::main]
async fn main() -> ExitCode {
    support::ended("service_to_service", run().await)
}

async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    support::start_log();
    let calls: u32 = match std::env::var("CALLS") {
        Ok(text) if !text.is_empty() => text
            .parse()
            .map_err(|_| format!("CALLS = {text:?} is not a number; write how often to call"))?,
        _ => 10,
    };
    let upstream = std::env::var("UPSTREAM_URL")
        .ok()
        .filter(|url| !url.is_empty());
    if support::is_configured() {
        let settings = ServiceSettings::from_env()?;
        println!("{settings}");
        support::ask_once(settings.provider()).await?;
        let upstream = upstream.ok_or(
            "UPSTREAM_URL is not set: name the API to call, such as https://api.example.com/messages",
        )?;
        call(settings.tokens().clone(), &upstream, calls).await
    } else {
        let idp = embedded::start(DevelopmentProvider::builder()).await?;
        let client = Client::with_secret("development", "development-secret")?;
        let target = Target::audience(embedded::AUDIENCE)?.with_scope(SCOPE)?;
        let tokens = ClientCredentials::new(&idp.provider()?, client, target);
        let upstream = match upstream {
            Some(upstream) => upstream,
            None => start_api(&idp).await?,
        };
        call(tokens, &upstream, calls).await
    }
}

async fn call(
    tokens: ClientCredentials,
    upstream: &str,
    calls: u32,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let origin = support::origin("UPSTREAM_URL", upstream)?;
    let url: Url = match upstream.trim_end_matches('/') {
        bare if bare == origin => format!("{origin}/me").parse()?,
        _ => upstream.parse()?,
    };
    let layer =
        OutboundLayer::new(&origin, tokens).map_err(|error| format!("UPSTREAM_URL: {error}"))?;
    let client = layer.client()?;
    println!("calling {url}");
    for number in 1..=calls {
        let response = client.get(url.clone()).send().await?;
        let status = response.status();
        let body = Limited::new(Body::from(response), LONGEST_ANSWER);
        let body = body.collect().await?.to_bytes();
        println!(
            "{number}: {status} {}",
            String::from_utf8_lossy(&body).trim()
        );
    }
    Ok(())
}

/// Starts an API that needs a token for its audience with the scope, and returns its address.
async fn start_api(idp: &DevelopmentProvider) -> Result<String, Box<dyn Error + Send + Sync>> {
    let verifier = idp.provider()?.verifier(embedded::AUDIENCE)?;
    let app = Router::new()
        .route(
            "/messages",
            get(messages).route_layer(RequireLayer::scope(SCOPE)?),
        )
        .layer(BearerLayer::new(verifier));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    println!("no UPSTREAM_URL is set: an API runs at {address}");
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(format!("{address}/messages"))
}

async fn messages(principal: Principal) -> Json<Value> {
    let whose = principal.subject().unwrap_or("nobody").to_owned();
    Json(json!({"messages": [format!("hello, {whose}")]}))
}
