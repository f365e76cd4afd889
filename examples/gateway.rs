//! A gateway: browsers sign in here, and everything under `/upstream/` goes to an upstream service with the
//! access token of the session.
//!
//! Without settings, a development provider and an upstream service start beside it: open the address that
//! is printed and sign in. With the settings of `tower_oidc::env` it signs in at a real
//! provider, as the `web` example does, and `UPSTREAM_URL` names the service:
//!
//! ```sh
//! set -a; . ./.env; set +a
//! UPSTREAM_URL=https://orders.internal cargo run --example gateway --all-features
//! ```
//!
//! Of the header fields only those that browsers send are forwarded, without cookies. `UPSTREAM_HEADERS` names
//! further ones that the application needs, such as `x-csrf-token`, separated by commas. Bodies stream both ways,
//! and WebSockets are passed on; both end with the session. Any other upgrade, `TRACE`, `CONNECT` and every path
//! that could leave that of `UPSTREAM_URL` are not passed on.
//!
//! `HOST` and `PORT` (127.0.0.1:3080) choose the address to listen on, `DOMAIN_SERVER` the public address,
//! `RUST_LOG` what is logged on stderr.
//!
//! Do not copy: the development provider, which signs in anyone as any user.
//!
//! An upstream service that serves pages shares this origin with the gateway. Use one only if you trust its
//! pages like your own.
#![expect(clippy::print_stdout, reason = "a program for people")]

#[path = "support/pages.rs"]
mod pages;
#[path = "gateway/proxy.rs"]
mod proxy;
#[path = "support/site.rs"]
mod site;
mod support;
#[path = "gateway/upstream.rs"]
mod upstream;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Extension, Router};
use http::{Request, Uri};
use pages::in_pieces;
use proxy::{Plain, Proxy};
use site::{Button, Site};
use tower_oidc::outbound::Outbound;
use tower_oidc::{LoginLayer, OutboundLayer, Principal, Session, StreamExpiryLayer};

#[tokio::main]
async fn main() -> ExitCode {
    support::ended("gateway", run().await)
}

async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    support::start_log();
    let listener = support::listen().await?;
    let Site {
        login,
        verifier,
        button,
        embedded: _embedded,
        ..
    } = Site::at(&listener).await?;
    let login = login.build()?;
    let upstream = match std::env::var("UPSTREAM_URL") {
        Ok(url) if !url.is_empty() => url,
        _ => {
            let address = upstream::start(&verifier).await?;
            println!("no UPSTREAM_URL is set: a service runs at {address}");
            address
        }
    };
    let relay = OutboundLayer::relay(&support::origin("UPSTREAM_URL", &upstream)?)
        .map_err(|error| format!("UPSTREAM_URL: {error}"))?;
    let origin = support::origin("DOMAIN_SERVER", &login.redirect_uri())?;
    let public: Uri = format!("{origin}{}", login.base_path()).parse()?;
    let further = std::env::var("UPSTREAM_HEADERS").unwrap_or_default();
    let proxy = Proxy::new(relay.around(proxy::plain()?), &upstream, public)
        .map_err(|error| format!("UPSTREAM_URL: {error}"))?
        .with_further_fields(&further)
        .map_err(|error| format!("UPSTREAM_HEADERS: {error}"))?;
    let behind = proxy::PATHS
        .into_iter()
        .fold(Router::new(), |router, path| {
            router.route(path, any(forward))
        });
    let site = Router::new()
        .route("/", get(home))
        .merge(behind.with_state(proxy).layer(StreamExpiryLayer::new()))
        .layer(Extension(Arc::new(button)))
        .layer(Extension(login.clone()))
        .merge(pages::open(&login))
        .layer(login.clone());
    site::print_public_address(&login, &listener)?;
    println!("listening on http://{}", listener.local_addr()?);
    let serving = axum::serve(listener, site).with_graceful_shutdown(support::asked_to_stop());
    // Sessions that are being refreshed are stored before the process ends. What is relayed are their tokens.
    support::served_and_drained(serving, move |deadline| login.drain(deadline)).await?;
    Ok(())
}

async fn forward(
    principal: Principal,
    State(proxy): State<Proxy<Outbound<Plain>>>,
    request: Request<Body>,
) -> Response {
    proxy.forward(Some(principal), request).await
}

async fn home(
    session: Option<Session>,
    Extension(button): Extension<Arc<Button>>,
    Extension(login): Extension<LoginLayer>,
) -> impl IntoResponse {
    let body = match session {
        Some(session) => format!(
            "<h1>Hello, {}</h1><p>What lies under <a href=\"{}/upstream/\"><code>/upstream/</code></a> \
             comes from the service behind, which is called with your access token. The token \
             itself never reaches your browser.</p>{}",
            in_pieces(session.subject()),
            pages::escape(login.base_path()),
            pages::sign_out_button(&login)
        ),
        None => pages::signed_out(&button, &login),
    };
    pages::page(&body, &button, &login)
}
