//! A site that signs browsers in, and keeps them signed in.
//!
//! With nothing set, a development provider starts beside it: open the address that is printed, sign
//! in, and watch the access token renew itself every minute. With the settings of `tower_oidc::env`
//! it signs in at a real provider; the `.env` of LibreChat's Auth0 guide works unchanged:
//!
//! ```sh
//! set -a; . ./.env; set +a
//! cargo run --example web --features axum,login,testing
//! ```
//!
//! `HOST` and `PORT` (127.0.0.1:3080) say where it listens, `DOMAIN_SERVER` how it is called from
//! outside, `RUST_LOG` what is logged on stderr.
//!
//! Do not copy: the development provider. Whoever reaches it signs in as anybody.
#![expect(clippy::print_stdout, reason = "a program for people")]

#[path = "support/site.rs"]
mod site;
mod support;

use std::error::Error;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Extension, Json, Router};
use http::StatusCode;
use serde_json::{Value, json};
use site::{Button, Site, escape};
use tower_oidc::{BearerLayer, LoginLayer, Principal, Session};

#[tokio::main]
async fn main() -> ExitCode {
    support::ended("web", run().await)
}

async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    support::start_log();
    let listener = support::listen().await?;
    let Site {
        login,
        verifier,
        button,
        embedded: _embedded,
    } = Site::at(&listener).await?;
    let login = login.build()?;
    // Browsers bring a cookie and API clients a token; the handlers need not care. The layers come
    // last, around everything: the paths of the sign-in are nobody's route.
    let site = Router::new()
        .route("/", get(home))
        .route("/api/me", get(me))
        .layer(Extension(Arc::new(button)))
        .layer(Extension(login.clone()))
        .merge(site::open(&login))
        .layer(login.clone())
        .layer(BearerLayer::new(verifier).allow_anonymous());
    println!("listening on http://{}", listener.local_addr()?);
    let serving = axum::serve(listener, site).with_graceful_shutdown(support::asked_to_stop());
    // Sessions that are being refreshed are stored before the process ends.
    support::served_and_drained(serving, move |deadline| login.drain(deadline)).await?;
    Ok(())
}

/// Who is calling, whoever brought it: a browser's session or an API client's own token.
async fn me(principal: Principal, session: Option<Session>) -> Result<Json<Value>, StatusCode> {
    let mut me = support::claims(&principal)?;
    me["via"] = json!(if session.is_some() {
        "session"
    } else {
        "bearer"
    });
    if let Some(session) = session {
        me["renewals"] = json!(session.renewals());
        me["access_expires_at"] = json!(session.access_expires_at().as_seconds());
    }
    Ok(Json(me))
}

async fn home(
    session: Option<Session>,
    Extension(button): Extension<Arc<Button>>,
    Extension(login): Extension<LoginLayer>,
) -> impl IntoResponse {
    let body = match session {
        Some(session) => signed_in(&session, &login),
        None => site::signed_out(&button, &login),
    };
    site::page(&body, &button)
}

fn signed_in(session: &Session, login: &LoginLayer) -> String {
    let claims: Value = session.id_claims().unwrap_or_default();
    let name = claims["name"].as_str().unwrap_or(session.subject());
    let mut page = format!("<h1>Hello, {}</h1><dl>", escape(name));
    for (term, id, value) in [
        ("Subject", "sub", session.subject().to_owned()),
        ("Issuer", "iss", session.issuer().to_owned()),
        (
            "E-mail",
            "email",
            claims["email"].as_str().unwrap_or("–").to_owned(),
        ),
        ("Scopes", "scope", session.principal().scopes().to_string()),
        (
            "Signed in",
            "signed-in",
            session.signed_in_at().as_seconds().to_string(),
        ),
        (
            "Access token expires",
            "expires",
            session.access_expires_at().as_seconds().to_string(),
        ),
        ("Renewed", "renewals", session.renewals().to_string()),
    ] {
        let _ = write!(
            page,
            "<dt>{term}</dt><dd id=\"{id}\">{}</dd>",
            escape(&value)
        );
    }
    let _ = write!(
        page,
        "</dl>{}<p class=\"note\">The page asks <code>/api/me</code> every two seconds. The access \
         token stays on the server and renews itself there; the browser holds a handle that never \
         changes.</p><script src=\"/app.js\"></script>",
        site::sign_out_button(login)
    );
    page
}
