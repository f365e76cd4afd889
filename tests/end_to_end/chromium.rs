//! A real browser before the `web` and `gateway` examples: by itself, with a certified provider, and behind a proxy
//! that brings https. What it saw lies in `target/screenshots`.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::identity;
use crate::programs::{Program, django, example, folder, provider};
use crate::web::{free_port, settings};

fn browse(name: &str, url: &str, embedded: bool, waits: bool) {
    run(
        "web.mjs",
        name,
        &json!({"url": url, "embedded": embedded, "waits": waits}),
    );
}

pub(crate) fn run(script: &str, name: &str, options: &Value) {
    let screenshots: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("target/screenshots")
        .join(name);
    std::fs::create_dir_all(&screenshots).unwrap();
    let mut options = options.clone();
    options["folder"] = json!(screenshots);
    let output = Command::new("node")
        .args([script, &options.to_string()])
        .current_dir(folder("browser"))
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(
        output.status.success() && stdout.contains("ok"),
        "{stdout}\n{stderr}"
    );
}

#[test]
#[ignore = "needs Node, playwright-core and Chromium; the full test run brings them"]
fn with_nothing_set_a_user_signs_in_at_the_development_provider() {
    let web = Program::start(&mut example("web", &[]), "listening on ");
    browse("embedded", &web.address(), true, false);
    assert_eq!(web.stop().0, Some(0));
}

#[test]
#[ignore = "needs Node, oidc-provider, playwright-core and Chromium; the full test run brings them"]
fn tokens_of_a_certified_provider_are_renewed_while_the_page_polls() {
    let port = free_port().to_string();
    let origin = format!("http://127.0.0.1:{port}");
    let idp = provider(&json!({"lifetime": 5, "origin": origin}).to_string());
    let issuer = idp.address();
    let mut environment = settings(&issuer, &origin);
    environment.push(("PORT", &port));
    environment.push(("OPENID_BUTTON_LABEL", "Continue with <Auth0>"));
    let _web = Program::start(&mut example("web", &environment), "listening on ");
    browse("certified", &origin, false, true);
}

// D20
#[test]
#[ignore = "needs Node, playwright-core, Chromium and Django OAuth Toolkit; the full test run brings them"]
fn opaque_tokens_are_renewed_while_the_page_polls() {
    let port = free_port().to_string();
    let origin = format!("http://127.0.0.1:{port}");
    let idp = django(&json!({"lifetime": 5, "origin": origin}).to_string());
    let issuer = idp.address();
    let mut environment = identity::settings(&issuer, &origin);
    environment.push(("OPENID_SCOPE", "openid profile email"));
    environment.push(("PORT", &port));
    let _web = Program::start(&mut example("web", &environment), "listening on ");
    browse("identity", &origin, false, true);
}

// D22
#[test]
#[ignore = "needs Node, oidc-provider, playwright-core and Chromium; the full test run brings them"]
fn a_user_whom_a_setting_does_not_let_in_reads_why() {
    let port = free_port().to_string();
    let origin = format!("http://127.0.0.1:{port}");
    let idp = provider(&json!({"lifetime": 60, "origin": origin}).to_string());
    let issuer = idp.address();
    let mut environment = settings(&issuer, &origin);
    environment.push(("PORT", &port));
    environment.push(("OPENID_ALLOWED_EMAIL_DOMAINS", "example.org"));
    let _web = Program::start(&mut example("web", &environment), "listening on ");
    let text = "Your email address is not one that may sign in to this site.";
    run(
        "refused.mjs",
        "refused",
        &json!({"url": origin, "text": text}),
    );
}

#[test]
#[ignore = "needs Node, oidc-provider, playwright-core, Chromium and Caddy; the full test run brings them"]
fn behind_a_proxy_that_brings_https_cookies_are_kept_to_the_host() {
    let (port, https) = (free_port().to_string(), free_port());
    let origin = format!("https://localhost:{https}");
    let idp = provider(&json!({"lifetime": 5, "origin": origin}).to_string());
    let issuer = idp.address();
    let mut environment = settings(&issuer, &origin);
    environment.push(("PORT", &port));
    let _web = Program::start(&mut example("web", &environment), "listening on ");
    let home = std::env::temp_dir().join(format!("tower-oidc-caddy-{}", std::process::id()));
    std::fs::create_dir_all(&home).unwrap();
    let configuration = format!(
        "{{\n admin off\n skip_install_trust\n auto_https disable_redirects\n \
         storage file_system {home}\n}}\n\
         {origin} {{\n tls internal\n reverse_proxy 127.0.0.1:{port}\n}}\n",
        home = home.display()
    );
    let file = home.join("Caddyfile");
    std::fs::write(&file, configuration).unwrap();
    let mut command = Command::new("caddy");
    command
        .args(["run", "--adapter", "caddyfile", "--config"])
        .arg(&file)
        .env("HOME", &home);
    let caddy = Program::start_silent(&mut command, https);
    browse("https", &origin, false, true);
    drop(caddy);
    std::fs::remove_dir_all(&home).unwrap();
}

// D24
#[test]
#[ignore = "needs Node, playwright-core and Chromium; the full test run brings them"]
fn people_choose_between_two_providers_and_sign_out_in_one_place() {
    let site = Program::start(&mut example("two_providers", &[]), "listening on ");
    run(
        "two_providers.mjs",
        "two-providers",
        &json!({"url": site.address()}),
    );
    assert_eq!(site.stop().0, Some(0));
}

#[test]
#[ignore = "needs Node, playwright-core and Chromium; the full test run brings them"]
fn a_gateway_passes_on_sockets_and_streams_to_its_own_pages_alone() {
    let gateway = Program::start(&mut example("gateway", &[]), "listening on ");
    run("gateway.mjs", "gateway", &json!({"url": gateway.address()}));
    assert_eq!(gateway.stop().0, Some(0));
}
