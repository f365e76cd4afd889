//! An API on plain hyper, protected by access tokens.
//!
//! Without settings, a development provider starts beside it, and three `curl` lines to copy are printed. With the
//! settings of `tower_oidc::env` it trusts a real provider:
//!
//! ```sh
//! OPENID_ISSUER=https://tenant.us.auth0.com OPENID_AUDIENCE=https://api.example.com \
//!     cargo run --example hyper --all-features
//! ```
//!
//! `HOST` and `PORT` (127.0.0.1:3080) choose the address to listen on, `RUST_LOG` what is logged on stderr.
//!
//! Do not copy: the development provider, which issues any token to any caller.
#![expect(clippy::print_stdout, reason = "a program for people")]

mod support;

use std::convert::Infallible;
use std::error::Error;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use support::api::Api;
use tokio::net::TcpListener;
use tower::{ServiceBuilder, ServiceExt};
use tower_oidc::{BearerLayer, Principal, RequireLayer};

const SCOPE: &str = "read:messages";

/// The longest that a client may take to send the head of a request.
const LONGEST_HEAD: Duration = Duration::from_secs(30);

type Answer = Response<Full<Bytes>>;

#[tokio::main]
async fn main() -> ExitCode {
    support::ended("hyper", run().await)
}

async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    support::start_log();
    let listener = support::listen().await?;
    let address = format!("http://{}", listener.local_addr()?);
    let api = Api::start().await?;
    if let Some(idp) = &api.embedded {
        support::api::print_curl_lines(idp, SCOPE, &address);
    }
    let bearer = api.bearer(&address)?;
    let messages = RequireLayer::scope(SCOPE)?;
    println!("listening on {address}");
    serve(listener, bearer, messages).await
}

async fn serve(
    listener: TcpListener,
    bearer: BearerLayer,
    required: RequireLayer,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    // hyper has no routes: the service at the door looks at the path, and each has the layers it needs.
    let me = ServiceBuilder::new().layer(bearer.clone()).service_fn(me);
    let messages = ServiceBuilder::new()
        .layer(bearer)
        .layer(required)
        .service_fn(messages);
    let door = tower::service_fn(move |request: Request<Incoming>| {
        let (me, messages) = (me.clone(), messages.clone());
        async move {
            match (request.method(), request.uri().path()) {
                (&Method::GET, "/healthz") => Ok(answer(StatusCode::OK, "ok\n")),
                (&Method::GET, "/me") => me.oneshot(request).await,
                (&Method::GET, "/messages") => messages.oneshot(request).await,
                _ => Ok(answer(StatusCode::NOT_FOUND, "")),
            }
        }
    });
    let door = TowerToHyperService::new(door);
    let mut server = Builder::new(TokioExecutor::new());
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(LONGEST_HEAD);
    let connections = GracefulShutdown::new();
    let mut stop = pin!(support::asked_to_stop());
    loop {
        let socket = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        let Ok((socket, _)) = socket else {
            // Such as too many open files. Waiting gives others the time to end.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let serving = server.serve_connection(TokioIo::new(socket), door.clone());
        let serving = connections.watch(serving.into_owned());
        tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    drop(listener);
    let last_answers = tokio::time::timeout(Duration::from_secs(5), connections.shutdown());
    if last_answers.await.is_err() {
        eprintln!("some connections have not ended in time");
    }
    Ok(())
}

async fn me(request: Request<Incoming>) -> Result<Answer, Infallible> {
    // There is one, because the layer lets no request pass without it.
    let caller = request.extensions().get::<Principal>();
    let claims = caller.map(support::claims);
    Ok(match claims {
        Some(Ok(claims)) => json(claims.to_string()),
        _ => answer(StatusCode::INTERNAL_SERVER_ERROR, ""),
    })
}

async fn messages(request: Request<Incoming>) -> Result<Answer, Infallible> {
    let caller = request.extensions().get::<Principal>();
    let whose = caller.and_then(Principal::subject).unwrap_or("nobody");
    let messages = serde_json::json!({"messages": [format!("hello, {whose}")]});
    Ok(json(messages.to_string()))
}

fn json(text: String) -> Answer {
    let mut response = Response::new(text.into());
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

fn answer(status: StatusCode, text: &'static str) -> Answer {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response
}
