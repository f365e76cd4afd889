//! The frame of the pages of a site, its probes, and its files.
#![allow(dead_code, reason = "no program uses all of it")]

use axum::Router;
use axum::extract::State;
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use http::StatusCode;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use tower_oidc::LoginLayer;

use super::site::Button;

/// Routes that need no session: probes, and the files of the pages.
pub(crate) fn open(login: &LoginLayer) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/favicon.ico", get(|| async { StatusCode::NO_CONTENT }))
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

/// A page with this body. Its links begin with the path of the site's address. Its policy allows images from the origin of the button only.
pub(crate) fn page(body: &str, button: &Button, login: &LoginLayer) -> impl IntoResponse + use<> {
    let page = format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>tower-oidc</title>\
         <link rel=\"stylesheet\" href=\"{}/app.css\"></head><body><main>{body}</main></body></html>",
        escape(login.base_path())
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
        "<h1>Welcome</h1><p>You are not signed in.</p>\
         <a class=\"button\" href=\"{}?return_to={}/\">{image}<span>{}</span></a>",
        escape(login.sign_in_path()),
        escape(login.base_path()),
        escape(&button.label)
    )
}

pub(crate) fn sign_out_button(login: &LoginLayer) -> String {
    format!(
        "<form method=\"post\" action=\"{}\"><button>Sign out</button></form>",
        escape(login.sign_out_path())
    )
}

/// The origin of an absolute URL, for the policy of the page.
fn origin(url: &str) -> Option<&str> {
    let scheme = url.find("://")? + 3;
    let end = url[scheme..].find('/').map_or(url.len(), |at| scheme + at);
    let is_plain = |text: &str| !text.contains([';', ',', ' ', '"', '\'']);
    Some(&url[..end]).filter(|origin| is_plain(origin))
}

/// Text for HTML that browsers break behind its punctuation, and not within words.
pub(crate) fn in_pieces(text: &str) -> String {
    text.split_inclusive(['/', '.', '@', '|', ':'])
        .map(escape)
        .collect::<Vec<_>>()
        .join("<wbr>")
}

pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
