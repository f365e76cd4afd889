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

mod support;

use std::error::Error;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use axum::{Extension, Json, Router};
use http::StatusCode;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_oidc::env::LoginSettings;
use tower_oidc::testing::DevelopmentProvider;
use tower_oidc::{BearerLayer, Client, KeyRing, LoginLayer, Principal, Session, Verifier};

const EMBEDDED_AUDIENCE: &str = "https://api.example.com";
const EMBEDDED_TOKEN_LIFETIME: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> ExitCode {
    support::ended("web", run().await)
}

async fn run() -> Result<(), Box<dyn Error>> {
    support::start_log();
    let listener = support::listen().await?;
    let address = format!("http://{}", listener.local_addr()?);
    if support::is_configured() {
        let settings = LoginSettings::from_env()?.with_default_address(&address);
        println!("{settings}");
        support::ask_once(settings.provider()).await?;
        let login = settings.builder()?.allow_anonymous().build()?;
        let button = Button {
            label: settings.button_label().to_owned(),
            image: settings.image_url().map(str::to_owned),
        };
        serve(listener, login, settings.verifier(), button).await
    } else {
        let idp = DevelopmentProvider::builder()
            .with_sign_in_page()
            .start()
            .await?;
        idp.set_token_lifetime(EMBEDDED_TOKEN_LIFETIME);
        println!(
            "no OPENID_ISSUER is set: a development provider runs at {}",
            idp.issuer()
        );
        let provider = idp.provider()?;
        support::ask_once(&provider).await?;
        let verifier = provider.verifier(EMBEDDED_AUDIENCE)?;
        let client = Client::with_secret("development", "development-secret")?;
        // Sessions end with this process, so that its secret may, too.
        let keys = KeyRing::ephemeral()?;
        let login = LoginLayer::builder(verifier.clone(), client, &address, keys)
            .allow_anonymous()
            .build()?;
        let button = Button {
            label: "Continue with the development provider".to_owned(),
            image: None,
        };
        serve(listener, login, &verifier, button).await
    }
}

/// What the sign-in button shows.
struct Button {
    label: String,
    image: Option<String>,
}

async fn serve(
    listener: TcpListener,
    login: LoginLayer,
    verifier: &Verifier,
    button: Button,
) -> Result<(), Box<dyn Error>> {
    let open = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready).with_state(login.clone()))
        .route(
            "/app.css",
            get(|| async { file("text/css", include_str!("web/app.css")) }),
        )
        .route(
            "/app.js",
            get(|| async { file("text/javascript", include_str!("web/app.js")) }),
        );
    // Browsers bring a cookie and API clients a token; the handlers need not care. The layers come
    // last, around everything: the paths of the sign-in are nobody's route.
    let site = Router::new()
        .route("/", get(home))
        .route("/api/me", get(me))
        .layer(Extension(Arc::new(button)))
        .layer(Extension(login.clone()))
        .merge(open)
        .layer(login)
        .layer(BearerLayer::new(verifier.clone()).allow_anonymous());
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, site)
        .with_graceful_shutdown(support::asked_to_stop())
        .await?;
    Ok(())
}

fn file(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(CONTENT_TYPE, kind)], text)
}

async fn ready(State(login): State<LoginLayer>) -> impl IntoResponse {
    let readiness = login.readiness().await;
    let status = if readiness.is_ready() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let store = if readiness.store.is_ok() {
        "Ready"
    } else {
        "Unavailable"
    };
    let keys = readiness.provider.keys;
    (status, format!("keys: {keys:?}\nstore: {store}\n"))
}

/// Who is calling, whoever brought it: a browser's session or an API client's own token.
async fn me(principal: Principal, session: Option<Session>) -> Result<Json<Value>, StatusCode> {
    let mut me: Value = principal
        .claims()
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    me["scope"] = json!(principal.scopes().to_string());
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
        None => signed_out(&button, &login),
    };
    let page = format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>tower-oidc</title>\
         <link rel=\"stylesheet\" href=\"/app.css\"></head><body><main>{body}</main></body></html>"
    );
    let image = button.image.as_deref().unwrap_or_default();
    let policy = format!(
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
         img-src {}; base-uri 'none'; frame-ancestors 'none'",
        origin(image).unwrap_or("'none'")
    );
    ([(CONTENT_SECURITY_POLICY, policy)], Html(page))
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
        "</dl><form method=\"post\" action=\"{}\"><button>Sign out</button></form>\
         <p class=\"note\">The page asks <code>/api/me</code> every two seconds. The access token \
         stays on the server and renews itself there; the browser holds a handle that never \
         changes.</p><script src=\"/app.js\"></script>",
        escape(login.sign_out_path())
    );
    page
}

fn signed_out(button: &Button, login: &LoginLayer) -> String {
    let image = button
        .image
        .as_deref()
        .map(|url| format!("<img src=\"{}\" alt=\"\">", escape(url)))
        .unwrap_or_default();
    format!(
        "<h1>Welcome</h1><p>Nobody is signed in here.</p>\
         <a class=\"button\" href=\"{}?return_to=/\">{image}<span>{}</span></a>",
        escape(login.sign_in_path()),
        escape(&button.label)
    )
}

/// The origin of an absolute address, for the policy of the page.
fn origin(url: &str) -> Option<&str> {
    let scheme = url.find("://")? + 3;
    let end = url[scheme..].find('/').map_or(url.len(), |at| scheme + at);
    let is_plain = |text: &str| !text.contains([';', ',', ' ', '"', '\'']);
    Some(&url[..end]).filter(|origin| is_plain(origin))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
