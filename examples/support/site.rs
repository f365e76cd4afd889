//! What the programs that sign browsers in share: where they sign in, and the frame of their pages.

use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use http::StatusCode;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use tokio::net::TcpListener;
use tower_oidc::env::LoginSettings;
use tower_oidc::login::LoginBuilder;
use tower_oidc::testing::DevelopmentProvider;
use tower_oidc::{Client, KeyRing, LoginLayer, Verifier};

use super::support;

const EMBEDDED_AUDIENCE: &str = "https://api.example.com";
const EMBEDDED_TOKEN_LIFETIME: Duration = Duration::from_secs(60);

/// A site that signs in at the provider of the environment, or at an embedded one.
pub(crate) struct Site {
    pub(crate) login: LoginBuilder,
    pub(crate) verifier: Verifier,
    pub(crate) button: Button,
    /// It runs as long as it is kept.
    pub(crate) embedded: Option<DevelopmentProvider>,
}

/// What the sign-in button shows.
pub(crate) struct Button {
    pub(crate) label: String,
    pub(crate) image: Option<String>,
}

impl Site {
    pub(crate) async fn at(listener: &TcpListener) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let address = format!("http://{}", listener.local_addr()?);
        if support::is_configured() {
            let settings = LoginSettings::from_env()?.with_default_address(&address);
            println!("{settings}");
            support::ask_once(settings.provider()).await?;
            return Ok(Self {
                login: with_open_paths(settings.builder()?).allow_anonymous(),
                verifier: settings.verifier().clone(),
                button: Button {
                    label: settings.button_label().to_owned(),
                    image: settings.image_url().map(str::to_owned),
                },
                embedded: None,
            });
        }
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
        Ok(Self {
            login: with_open_paths(LoginLayer::builder(
                verifier.clone(),
                client,
                &address,
                keys,
            ))
            .allow_anonymous(),
            verifier,
            button: Button {
                label: "Continue with the development provider".to_owned(),
                image: None,
            },
            embedded: Some(idp),
        })
    }
}

/// What the layer leaves alone: probes, and the files of the pages.
const OPEN_PATHS: [&str; 4] = ["/healthz", "/readyz", "/app.css", "/app.js"];

/// In addition to those of the environment.
fn with_open_paths(login: LoginBuilder) -> LoginBuilder {
    OPEN_PATHS
        .into_iter()
        .fold(login, LoginBuilder::add_open_path)
}

/// What is open to everyone: probes, and the files of the pages.
pub(crate) fn open(login: &LoginLayer) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready).with_state(login.clone()))
        .route(
            "/app.css",
            get(|| async { file("text/css", include_str!("../web/app.css")) }),
        )
        .route(
            "/app.js",
            get(|| async { file("text/javascript", include_str!("../web/app.js")) }),
        )
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

/// A page with this body, which shows images from the button's origin only.
pub(crate) fn page(body: &str, button: &Button) -> impl IntoResponse + use<> {
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

pub(crate) fn signed_out(button: &Button, login: &LoginLayer) -> String {
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

pub(crate) fn sign_out_button(login: &LoginLayer) -> String {
    format!(
        "<form method=\"post\" action=\"{}\"><button>Sign out</button></form>",
        escape(login.sign_out_path())
    )
}

/// The origin of an absolute address, for the policy of the page.
fn origin(url: &str) -> Option<&str> {
    let scheme = url.find("://")? + 3;
    let end = url[scheme..].find('/').map_or(url.len(), |at| scheme + at);
    let is_plain = |text: &str| !text.contains([';', ',', ' ', '"', '\'']);
    Some(&url[..end]).filter(|origin| is_plain(origin))
}

pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
