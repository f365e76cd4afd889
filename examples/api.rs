//! An API protected by access tokens.
//!
//! Without settings, a development provider starts beside it, and three `curl` lines to copy are printed. With the settings of `tower_oidc::env` it trusts a real provider:
//!
//! ```sh
//! OPENID_ISSUER=https://tenant.us.auth0.com OPENID_AUDIENCE=https://api.example.com \
//!     cargo run --example api --features axum,testing
//! ```
//!
//! `HOST` and `PORT` (127.0.0.1:3080) choose the address to listen on, `DOMAIN_SERVER` the public address,
//! `RUST_LOG` what is logged on stderr.
//!
//! Do not copy: the development provider, which issues any token to any caller.
#![expect(clippy::print_stdout, reason = "a program for people")]

mod support;

use std::error::Error;
use std::process::ExitCode;

use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::{any, get};
use axum::{Json, Router};
use http::StatusCode;
use serde_json::{Value, json};
use support::api::Api;
use tokio::net::TcpListener;
use tower_oidc::{Principal, Provider, RequireLayer};

const SCOPE: &str = "read:messages";

#[tokio::main]
async fn main() -> ExitCode {
    support::ended("api", run().await)
}

async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    support::start_log();
    let listener = support::listen().await?;
    let api = Api::start().await?;
    if let Some(idp) = &api.embedded {
        support::api::print_curl_lines(idp, SCOPE, &format!("http://{}", listener.local_addr()?));
    }
    serve(listener, &api).await
}

async fn serve(listener: TcpListener, api: &Api) -> Result<(), Box<dyn Error + Send + Sync>> {
    let address = own_address(&listener)?;
    let resource = api.resource(&address)?.add_scope(SCOPE)?;
    let bearer = api.bearer(&address)?.with_resource(&resource);
    let open = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready).with_state(api.provider.clone()))
        .route_service(&resource.metadata_path(), resource.service())
        // There is no other metadata: a client that probes for some is not asked for a token.
        .route(
            "/.well-known/{*unknown}",
            any(|| async { StatusCode::NOT_FOUND }),
        );
    let protected = Router::new()
        .route("/me", get(me))
        .route(
            "/messages",
            get(messages).route_layer(RequireLayer::scope(SCOPE)?),
        )
        .layer(bearer);
    let app = open.merge(protected);
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app)
        .with_graceful_shutdown(support::asked_to_stop())
        .await?;
    Ok(())
}

async fn me(principal: Principal) -> Result<Json<Value>, StatusCode> {
    support::claims(&principal).map(Json)
}

async fn messages(principal: Principal) -> Json<Value> {
    let whose = principal.subject().unwrap_or("nobody").to_owned();
    Json(json!({"messages": [format!("hello, {whose}")]}))
}

async fn ready(State(provider): State<Provider>) -> impl IntoResponse {
    let readiness = provider.readiness();
    if !readiness.is_ready() {
        // Fetches the keys in the background, because a service that gets no requests before it is ready would
        // never fetch them otherwise.
        tokio::spawn(async move { drop(provider.ready().await) });
    }
    let status = if readiness.is_ready() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, format!("keys: {:?}\n", readiness.keys))
}

/// The address of the service on this machine. Set `DOMAIN_SERVER` if it is called from others.
fn own_address(listener: &TcpListener) -> Result<String, Box<dyn Error + Send + Sync>> {
    Ok(format!(
        "http://127.0.0.1:{}",
        listener.local_addr()?.port()
    ))
}
