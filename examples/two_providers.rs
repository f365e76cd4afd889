//! A site with two ways to sign in: people choose on a page of the site, and one button signs out, wherever they
//! signed in.
//!
//! Two development providers start beside it, one for the staff and one for guests. Open the address that is printed:
//!
//! ```sh
//! cargo run --example two_providers --features axum,login,testing
//! ```
//!
//! `HOST` and `PORT` (127.0.0.1:3080) choose the address to listen on. With real providers, build each layer from its
//! own settings (`LoginSettings::from_pairs`) or by `LoginLayer::builder`.
//!
//! Do not copy: the development providers, which sign in anyone as any user.
#![expect(clippy::print_stdout, reason = "a program for people")]

mod support;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use axum::response::{Html, IntoResponse};
use axum::routing::get;
use axum::{Extension, Json, Router};
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{StatusCode, Uri};
use serde_json::{Value, json};
use tower_oidc::login::{LoginBuilder, LoginSet, ReturnPath};
use tower_oidc::testing::DevelopmentProvider;
use tower_oidc::{Client, KeyRing, LoginLayer, Principal, Session};

use support::embedded;

#[tokio::main]
async fn main() -> ExitCode {
    support::ended("two_providers", run().await)
}

async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    support::start_log();
    let listener = support::listen().await?;
    let address = format!("http://{}", listener.local_addr()?);
    let staff = embedded::start(DevelopmentProvider::builder().with_sign_in_page()).await?;
    let guests = embedded::start(DevelopmentProvider::builder().with_sign_in_page()).await?;
    let logins = LoginSet::new(
        "/login",
        [
            login(&staff, &address, "staff").await?,
            login(&guests, &address, "guests").await?,
        ],
    )?;
    let choices = Arc::new(Choices {
        logins: logins.clone(),
        labels: ["Continue as staff", "Continue as a guest"],
    });
    let site = Router::new()
        .route("/", get(home))
        .route("/login", get(choose))
        .route("/api/me", get(me))
        .route("/app.css", get(style))
        .route("/favicon.ico", get(|| async { StatusCode::NO_CONTENT }))
        .layer(Extension(choices))
        .layer(logins.clone());
    println!("listening on {address}");
    let serving = axum::serve(listener, site).with_graceful_shutdown(support::asked_to_stop());
    support::served_and_drained(serving, move |deadline| logins.drain(deadline)).await?;
    Ok(())
}

/// The sign-in at one of them, with paths and a cookie of its own.
async fn login(
    idp: &DevelopmentProvider,
    address: &str,
    name: &str,
) -> Result<LoginBuilder, Box<dyn Error + Send + Sync>> {
    let provider = idp.provider()?;
    support::ask_once(&provider).await?;
    let verifier = provider.verifier(embedded::AUDIENCE)?;
    let client = Client::with_secret("development", "development-secret")?;
    let login = LoginLayer::builder(verifier, client, address, KeyRing::ephemeral()?);
    Ok(login
        .with_path(&format!("/oauth/{name}"))
        .with_cookie_name(name)
        .with_session_information(["sub", "name"])
        .with_open_paths(["/app.css", "/favicon.ico"]))
}

/// What the login page offers.
struct Choices {
    logins: LoginSet,
    labels: [&'static str; 2],
}

/// The login page: a link for each provider, back to the page that was asked for.
async fn choose(uri: Uri, Extension(choices): Extension<Arc<Choices>>) -> impl IntoResponse {
    let back_to = ReturnPath::of_query(uri.query().unwrap_or_default());
    let layers = choices.logins.layers().iter().zip(choices.labels);
    let links = layers.map(|(login, label)| {
        let href = escape(&login.sign_in_link(&back_to));
        format!("<a class=\"button\" href=\"{href}\">{label}</a>")
    });
    let links: String = links.collect();
    page(&format!(
        "<h1>Welcome</h1><p>How would you like to sign in?</p><div class=\"buttons\">{links}</div>"
    ))
}

/// A page for people who are signed in, at one or the other.
async fn home(session: Session, Extension(choices): Extension<Arc<Choices>>) -> impl IntoResponse {
    let mut layers = choices.logins.layers().iter();
    let issuer = session.issuer();
    let at = layers.position(|login| login.issuer() == issuer);
    let who = at.map_or("someone", |at| ["a member of the staff", "a guest"][at]);
    page(&format!(
        "<h1>Hello, {}</h1><p>You are signed in as <strong id=\"who\">{who}</strong>, by {}.</p>\
         <form method=\"post\" action=\"{}\"><button>Sign out</button></form>",
        escape(session.subject()),
        escape(issuer),
        escape(choices.logins.sign_out_path())
    ))
}

async fn me(principal: Principal, session: Session) -> Result<Json<Value>, StatusCode> {
    let mut me = support::claims(&principal)?;
    me["session"] = json!(session.key());
    Ok(Json(me))
}

async fn style() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/css")], include_str!("web/app.css"))
}

fn page(body: &str) -> impl IntoResponse + use<> {
    let page = format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>tower-oidc</title><link rel=\"stylesheet\" href=\"/app.css\"></head>\
         <body><main>{body}</main></body></html>"
    );
    let policy =
        "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'".to_owned();
    ([(CONTENT_SECURITY_POLICY, policy)], Html(page))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
