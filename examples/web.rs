//! A site that signs browsers in and keeps them signed in.
//!
//! Without settings, a development provider starts beside it: open the address that is printed, sign in, and
//! watch the access token change every minute. With the settings of `tower_oidc::env` it signs in at a real
//! provider. The `.env` of LibreChat's Auth0 guide works unchanged:
//!
//! ```sh
//! set -a; . ./.env; set +a
//! cargo run --example web --features axum,login,testing
//! ```
//!
//! With `DATABASE_URL=sqlite:sessions.db` (feature `sqlite`) sessions outlive a restart. `examples/durable/run.sh` shows
//! it, with a development provider that outlives it too.
//!
//! `HOST` and `PORT` (127.0.0.1:3080) choose the address to listen on, `DOMAIN_SERVER` the public address,
//! `RUST_LOG` what is logged on stderr. A path in the public address, such as `https://host.example/app`, is what a
//! proxy takes off the paths of requests.
//!
//! Do not copy: the development provider, which signs in anyone as any user.
#![expect(clippy::print_stdout, reason = "a program for people")]

#[path = "support/pages.rs"]
mod pages;
#[path = "support/site.rs"]
mod site;
mod support;

use std::error::Error;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use axum::response::{IntoResponse, Redirect};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use http::StatusCode;
use pages::escape;
use serde_json::{Value, json};
use site::{Button, Site};
use tower_oidc::error::StoreError;
use tower_oidc::{LoginLayer, Principal, Session, UnixTime};

#[tokio::main]
async fn main() -> ExitCode {
    support::ended("web", run().await)
}

async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    support::start_log();
    let listener = support::listen().await?;
    let Site {
        login,
        bearer,
        button,
        embedded: _embedded,
        ..
    } = Site::at(&listener).await?;
    let login = login.build()?;
    // Browsers send a cookie and API clients a token; handlers take either. The layers stand around the whole
    // router, because the paths of the sign-in are no routes.
    let site = Router::new()
        .route("/", get(home))
        .route("/api/me", get(me))
        .route("/api/sessions", get(sessions))
        .route("/sign-out-everywhere", post(sign_out_everywhere))
        .layer(Extension(Arc::new(button)))
        .layer(Extension(login.clone()))
        .merge(pages::open(&login))
        .layer(login.clone())
        .layer(bearer.allow_anonymous());
    site::print_public_address(&login, &listener)?;
    println!("listening on http://{}", listener.local_addr()?);
    let serving = axum::serve(listener, site).with_graceful_shutdown(support::asked_to_stop());
    // Sessions that are being refreshed are stored before the process ends.
    support::served_and_drained(serving, move |deadline| login.drain(deadline)).await?;
    Ok(())
}

/// The claims of the caller, from the session of a browser or from the token of an API client.
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

/// The browsers in which this person is signed in.
async fn sessions(
    session: Session,
    Extension(login): Extension<LoginLayer>,
) -> Result<Json<Value>, StatusCode> {
    let sessions = login.sessions();
    let listed = sessions.list(session.issuer(), session.subject()).await;
    let listed = listed
        .map_err(|error| unavailable(&error))?
        .into_iter()
        .map(|listed| {
            json!({
                "key": listed.key,
                "is_this": listed.key == session.key(),
                "signed_in_at": listed.signed_in_at.as_seconds(),
                "renewed_at": listed.renewed_at.map(UnixTime::as_seconds),
                "ends_at": listed.ends_at.as_seconds(),
            })
        });
    Ok(Json(listed.collect()))
}

/// Ends every session of this person, in this browser and in all others. The layer has made sure that a page of this
/// site asks for it.
async fn sign_out_everywhere(
    session: Session,
    Extension(login): Extension<LoginLayer>,
) -> Result<Redirect, StatusCode> {
    let sessions = login.sessions();
    let ended = sessions.end_all(session.issuer(), session.subject()).await;
    ended.map_err(|error| unavailable(&error))?;
    Ok(Redirect::to("/"))
}

fn unavailable(error: &StoreError) -> StatusCode {
    tracing::warn!(%error, "the session store does not answer");
    StatusCode::SERVICE_UNAVAILABLE
}

async fn home(
    session: Option<Session>,
    Extension(button): Extension<Arc<Button>>,
    Extension(login): Extension<LoginLayer>,
) -> impl IntoResponse {
    let body = match session {
        Some(session) => signed_in(&session, &login),
        None => pages::signed_out(&button, &login),
    };
    pages::page(&body, &button, &login)
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
            pages::in_pieces(&value)
        );
    }
    let _ = write!(
        page,
        "</dl><div class=\"buttons\">{}<form method=\"post\" action=\"/sign-out-everywhere\">\
         <button class=\"quiet\">Sign out everywhere</button></form></div><p class=\"note\">The page asks <code>/api/me</code> every two seconds. The access \
         token stays on the server and renews itself there; the browser holds a handle that never \
         changes.</p><script src=\"{}/app.js\"></script>",
        pages::sign_out_button(login),
        escape(login.base_path())
    );
    page
}
