//! Signs browsers in for services in other languages: a proxy asks it about each request.
//!
//! nginx (`auth_request`), Caddy (`forward_auth`) and Traefik (`forwardAuth`) send the head of a request to `/auth` and
//! pass the request on if the answer is 200, with the header fields of the answer. What they need is in
//! `examples/forward_auth`. Without settings, a development provider starts beside it, for a proxy at
//! `http://127.0.0.1:8080` and a service at port 3000:
//!
//! ```sh
//! cargo run --example forward_auth --all-features
//! caddy run --config examples/forward_auth/Caddyfile      # in another terminal
//! python3 -m http.server --bind 127.0.0.1 3000            # in a third: any service
//! ```
//!
//! With the settings of `tower_oidc::env` it signs in at a real provider, and `DOMAIN_SERVER` is the public address of
//! the proxy. `HOST` and `PORT` (127.0.0.1:3080) choose the address to listen on, `RUST_LOG` what is logged on stderr.
//!
//! | answer of `/auth` | meaning |
//! |---|---|
//! | 200 | `X-Auth-Subject`, `X-Auth-Issuer`, `X-Auth-Scope` and `X-Auth-Via` (`session` or `bearer`) say who calls. A subject means something together with its issuer alone |
//! | 303 | a page is asked for without a session: the sign-in, which leads back to the page. `/auth/without-redirect` answers 401 with the same `Location`, for nginx |
//! | 401, 403, 503 | as the layers of this crate answer: no session, a bad token, a request from another site, no keys |
//!
//! What makes it safe is in the proxy: the service listens where the proxy alone reaches it, and clients cannot send
//! the fields that the service trusts. A service that reads header fields by their CGI names (WSGI, PHP, Ruby) takes
//! an underscore for a hyphen, so such fields have to go too.
//!
//! Do not copy: the development provider, which signs in anyone as any user.
#![expect(clippy::print_stdout, reason = "a program for people")]

#[path = "forward_auth/judge.rs"]
mod judge;
#[path = "support/pages.rs"]
mod pages;
#[path = "support/site.rs"]
mod site;
mod support;

use std::convert::Infallible;
use std::error::Error;
use std::process::ExitCode;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use judge::Judge;
use site::Site;
use tower::{Layer, service_fn};

/// The public address of the proxy without settings, as in the files of `examples/forward_auth`.
const PROXY: &str = "http://127.0.0.1:8080";

#[tokio::main]
async fn main() -> ExitCode {
    support::ended("forward_auth", run().await)
}

async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    support::start_log();
    let listener = support::listen().await?;
    let proxy = std::env::var("DOMAIN_SERVER").ok();
    let proxy = proxy.filter(|address| !address.is_empty());
    let site = Site::of(proxy.as_deref().unwrap_or(PROXY)).await?;
    let login = site.login.build()?;
    let app = Router::new()
        .merge(Judge::new(site.bearer, login.clone())?.routes())
        .merge(pages::open(&login))
        // The paths of the sign-in, to which the proxy passes browsers on. There is nothing else here.
        .fallback_service(login.layer(service_fn(nothing)));
    println!(
        "open {}",
        support::origin("DOMAIN_SERVER", &login.redirect_uri())?
    );
    println!("listening on http://{}", listener.local_addr()?);
    let serving = axum::serve(listener, app).with_graceful_shutdown(support::asked_to_stop());
    support::served_and_drained(serving, move |deadline| login.drain(deadline)).await?;
    Ok(())
}

async fn nothing(_: Request) -> Result<Response, Infallible> {
    Ok(StatusCode::NOT_FOUND.into_response())
}
