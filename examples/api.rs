//! An API protected by access tokens.
//!
//! With nothing set, a development provider starts beside it and three ready `curl` lines are
//! printed. With the settings of `tower_oidc::env` it trusts a real provider:
//!
//! ```sh
//! OPENID_ISSUER=https://tenant.us.auth0.com OPENID_AUDIENCE=https://api.example.com \
//!     cargo run --example api --features axum,testing
//! ```
//!
//! `HOST` and `PORT` (127.0.0.1:3080) say where it listens, `DOMAIN_SERVER` how it is called from
//! outside, `RUST_LOG` what is logged on stderr.
//!
//! Do not copy: the development provider. Whoever reaches it gets any token.
#![expect(clippy::print_stdout, reason = "a program for people")]

use std::error::Error;
use std::io::IsTerminal;
use std::process::ExitCode;

use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tower_oidc::danger::loopback_resource;
use tower_oidc::env::ApiSettings;
use tower_oidc::testing::DevelopmentProvider;
use tower_oidc::{BearerLayer, Principal, ProtectedResource, Provider, RequireLayer, Verifier};

const SCOPE: &str = "read:messages";
const EMBEDDED_AUDIENCE: &str = "https://api.example.com";

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("api cannot start: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let is_configured = std::env::vars_os()
        .any(|(name, value)| name.to_string_lossy().starts_with("OPENID_") && !value.is_empty());
    let debug = std::env::var("DEBUG_OPENID_REQUESTS").is_ok_and(|value| value == "true");
    start_log(debug);
    let listener = listen().await?;
    if is_configured {
        let settings = ApiSettings::from_env()?;
        println!("{settings}");
        let provider = settings.provider()?;
        ask_once(&provider).await?;
        let verifier = settings.verifier(&provider)?;
        serve(listener, &provider, &verifier, settings.domain_server()).await
    } else {
        let idp = DevelopmentProvider::start().await?;
        let provider = idp.provider()?;
        let verifier = provider.verifier(EMBEDDED_AUDIENCE)?;
        println!(
            "no OPENID_ISSUER is set: a development provider runs at {}",
            idp.issuer()
        );
        print_curl_lines(&idp, &format!("http://{}", listener.local_addr()?));
        serve(listener, &provider, &verifier, None).await
    }
}

/// A provider that is away is no reason not to start; one that is somebody else is.
async fn ask_once(provider: &Provider) -> Result<(), Box<dyn Error>> {
    match provider.ready().await {
        Err(error) if error.kind().is_configuration() => Err(error.into()),
        // The log has said it already; requests are answered 503 until the provider is back.
        Err(_) | Ok(()) => Ok(()),
    }
}

async fn serve(
    listener: TcpListener,
    provider: &Provider,
    verifier: &Verifier,
    domain: Option<&str>,
) -> Result<(), Box<dyn Error>> {
    let resource = match domain {
        Some(address) if address.starts_with("https://") => {
            ProtectedResource::new(address, verifier)?
        }
        Some(address) => loopback_resource(address, verifier)?,
        None => loopback_resource(&own_address(&listener)?, verifier)?,
    }
    .add_scope(SCOPE)?;
    let bearer = BearerLayer::new(verifier.clone()).with_resource(&resource);
    let open = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready).with_state(provider.clone()))
        .route_service(&resource.metadata_path(), resource.service());
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
        .with_graceful_shutdown(asked_to_stop())
        .await?;
    Ok(())
}

async fn me(principal: Principal) -> Result<Json<Value>, StatusCode> {
    let mut claims: Value = principal
        .claims()
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    // Providers that write `scp` are read all the same.
    claims["scope"] = json!(principal.scopes().to_string());
    Ok(Json(claims))
}

async fn messages(principal: Principal) -> Json<Value> {
    let whose = principal.subject().unwrap_or("nobody").to_owned();
    Json(json!({"messages": [format!("hello, {whose}")]}))
}

async fn ready(State(provider): State<Provider>) -> impl IntoResponse {
    let readiness = provider.readiness();
    let status = if readiness.is_ready() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, format!("keys: {:?}\n", readiness.keys))
}

async fn listen() -> Result<TcpListener, Box<dyn Error>> {
    let host = std::env::var("HOST").unwrap_or_else(|_| "127.0.0.1".to_owned());
    let port = std::env::var("PORT").unwrap_or_else(|_| "3080".to_owned());
    let port: u16 = port
        .parse()
        .map_err(|_| format!("PORT = {port:?} is not a port; write a number from 0 to 65535"))?;
    TcpListener::bind((host.as_str(), port))
        .await
        .map_err(|error| {
            format!("HOST:PORT = {host}:{port} cannot be listened on: {error}; choose another PORT")
                .into()
        })
}

/// How the service is called from this machine. Set `DOMAIN_SERVER` if others call it too.
fn own_address(listener: &TcpListener) -> Result<String, Box<dyn Error>> {
    Ok(format!(
        "http://127.0.0.1:{}",
        listener.local_addr()?.port()
    ))
}

fn print_curl_lines(idp: &DevelopmentProvider, address: &str) {
    let token = || idp.token(EMBEDDED_AUDIENCE).scope(SCOPE);
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

fn start_log(debug: bool) {
    use tracing_subscriber::EnvFilter;
    let default = if debug {
        "info,tower_oidc=debug"
    } else {
        "info"
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}

async fn asked_to_stop() {
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => terminate.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = terminate => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
