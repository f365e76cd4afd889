//! Shared by the example programs: listening, logging, and ending.
#![allow(dead_code, reason = "no program uses all of it")]

pub(crate) mod api;
pub(crate) mod embedded;

use std::error::Error;
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_oidc::{Principal, Provider};

/// The exit code of a program. An error is printed on stderr, each cause on a line.
pub(crate) fn ended(program: &str, result: Result<(), Box<dyn Error + Send + Sync>>) -> ExitCode {
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    eprintln!("{program} cannot start: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprintln!("  because: {error}");
        cause = error.source();
    }
    ExitCode::FAILURE
}

/// Whether any `OPENID_*` setting is there.
pub(crate) fn is_configured() -> bool {
    std::env::vars_os()
        .any(|(name, value)| name.to_string_lossy().starts_with("OPENID_") && !value.is_empty())
}

/// Asks the provider for its keys. A provider that does not answer is no error; one with another issuer is.
pub(crate) async fn ask_once(provider: &Provider) -> Result<(), Box<dyn Error + Send + Sync>> {
    match provider.ready().await {
        Err(error) if error.kind().is_configuration() => Err(error.into()),
        // Logged already. Requests are answered 503 until the provider is back.
        Err(_) | Ok(()) => Ok(()),
    }
}

/// Listens on `HOST` and `PORT`, by default 127.0.0.1:3080.
pub(crate) async fn listen() -> Result<TcpListener, Box<dyn Error + Send + Sync>> {
    let host = set("HOST").unwrap_or_else(|| "127.0.0.1".to_owned());
    let port = port("3080")?;
    TcpListener::bind((host.as_str(), port))
        .await
        .map_err(|error| cannot_listen(&host, port, &error).into())
}

fn set(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The port of `PORT`, or this one.
pub(crate) fn port(default: &str) -> Result<u16, String> {
    let port = set("PORT").unwrap_or_else(|| default.to_owned());
    port.parse()
        .map_err(|_| format!("PORT = {port:?} is not a port; write a number from 0 to 65535"))
}

pub(crate) fn cannot_listen(host: &str, port: u16, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "PORT = {port} is in use on {host}: end the other program, or choose another PORT"
            )
        }
        io::ErrorKind::PermissionDenied => format!(
            "PORT = {port} cannot be listened on: {error}; choose a PORT from 1024, or run with the privilege"
        ),
        _ => format!(
            "HOST = {host:?} cannot be listened on: {error}; write an address of this machine: 127.0.0.1 to be \
             reached from this machine alone, 0.0.0.0 or :: from everywhere"
        ),
    }
}

/// The verified claims, with the scopes in `scope` whatever their name at the provider.
pub(crate) fn claims(principal: &Principal) -> Result<Value, StatusCode> {
    let mut claims: Value = principal
        .claims()
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    // An introspection answer may leave out what goes without saying.
    claims["iss"] = json!(principal.issuer().as_str());
    claims["scope"] = json!(principal.scopes().to_string());
    Ok(claims)
}

/// The origin of the address that this variable holds.
pub(crate) fn origin(name: &str, address: &str) -> Result<String, Box<dyn Error + Send + Sync>> {
    let uri: http::Uri = address
        .parse()
        .map_err(|error| format!("{name} = {address:?} is not a URL: {error}"))?;
    match (uri.scheme_str(), uri.authority()) {
        (Some(scheme), Some(authority)) => Ok(format!("{scheme}://{authority}")),
        _ => Err(format!("{name} = {address:?} names no host; begin it with https://").into()),
    }
}

/// Logs as `RUST_LOG` says, by default at level info, or debug for this crate if `DEBUG_OPENID_REQUESTS` is
/// true.
pub(crate) fn start_log() {
    use tracing_subscriber::EnvFilter;
    let debug = std::env::var("DEBUG_OPENID_REQUESTS").is_ok_and(|value| value == "true");
    let default = if debug {
        "info,rmcp=off,tower_oidc=debug"
    } else {
        // The library logs a refusal that its client acts on as an error.
        "info,rmcp=off"
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}

/// Waits for Ctrl-C, or for the request to end by which the platform stops services.
pub(crate) async fn asked_to_stop() {
    tokio::select! {
        () = terminated() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => drop(terminate.recv().await),
        Err(_) => std::future::pending().await,
    }
}

#[cfg(windows)]
async fn terminated() {
    use tokio::signal::windows::{ctrl_close, ctrl_shutdown};
    let (Ok(mut close), Ok(mut shutdown)) = (ctrl_close(), ctrl_shutdown()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = close.recv() => {}
        _ = shutdown.recv() => {}
    }
}

#[cfg(not(any(unix, windows)))]
async fn terminated() {
    std::future::pending().await
}

/// The longest that background work may take to end.
const DRAIN: Duration = Duration::from_secs(20);

/// Serves as [`served`] does. When the program is asked to stop, `drain` ends its background work beside the last
/// answers, and the program waits for both.
pub(crate) async fn served_and_drained<E, D>(
    serving: impl IntoFuture<Output = Result<(), E>>,
    drain: impl FnOnce(Duration) -> D + Send + 'static,
) -> Result<(), E>
where
    D: Future<Output = bool> + Send,
{
    let draining = tokio::spawn(async move {
        asked_to_stop().await;
        drain(DRAIN).await
    });
    served(serving).await?;
    if !draining.await.unwrap_or(false) {
        eprintln!("some background work has not ended in time");
    }
    Ok(())
}

/// Serves until the program is asked to stop and the last answer is sent, but at most five seconds longer,
/// because streams may never end.
pub(crate) async fn served<E>(serving: impl IntoFuture<Output = Result<(), E>>) -> Result<(), E> {
    let overdue = async {
        asked_to_stop().await;
        tokio::time::sleep(Duration::from_secs(5)).await;
    };
    tokio::select! {
        ended = serving.into_future() => ended,
        () = overdue => Ok(()),
    }
}
