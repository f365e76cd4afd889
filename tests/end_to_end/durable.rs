//! A site that is restarted, with its sessions in a file and a provider that goes on.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::chromium::run;
use crate::programs::{Program, example};
use crate::web::{browser, free_port, visit};

/// A folder that ends with its test.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("tower-oidc-durable-{}", free_port()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

// D31
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts examples; the full test run builds them"]
async fn a_user_stays_signed_in_when_the_site_is_killed_and_restarted() {
    const LIFETIME: &str = "5";
    let folder = Folder::new();
    let idp = Program::start(
        &mut example("provider", &[("TOKEN_LIFETIME", LIFETIME)]),
        "listening on ",
    );
    let (issuer, port) = (idp.address(), free_port().to_string());
    let (origin, database) = (
        format!("http://127.0.0.1:{port}"),
        format!("sqlite:{}", folder.path("sessions.db")),
    );
    let environment = [
        ("PORT", port.as_str()),
        ("OPENID_ISSUER", &issuer),
        ("OPENID_CLIENT_ID", "development"),
        ("OPENID_CLIENT_SECRET", "development-secret"),
        ("OPENID_AUDIENCE", "https://api.example.com"),
        ("OPENID_SESSION_SECRET", "a session secret of 32 characters"),
        ("OPENID_CLOCK_TOLERANCE", "0"),
        // No page asks who it is.
        ("OPENID_AUTHORIZATION_PARAMETERS", "development_user=user-1"),
        ("DATABASE_URL", &database),
    ];
    let start = || Program::start(&mut example("web", &environment), "listening on ");
    let web = start();
    let browser = browser();
    let page = visit(&browser, &format!("{origin}/oauth/openid?return_to=/")).await;
    assert_eq!(page.url().as_str(), format!("{origin}/"));
    let me = async || {
        let answer = browser
            .get(format!("{origin}/api/me"))
            .send()
            .await
            .unwrap();
        let status = answer.status();
        (status, answer.json::<Value>().await.unwrap_or_default())
    };
    let (status, first) = me().await;
    assert_eq!((status, &first["sub"]), (StatusCode::OK, &json!("user-1")));

    // SIGKILL: nothing is written at the end.
    drop(web);
    let web = start();
    let (status, again) = me().await;
    assert_eq!((status, &again["sub"]), (StatusCode::OK, &json!("user-1")));

    // The refresh token is in the file too.
    tokio::time::sleep(Duration::from_secs(6)).await;
    drop(web);
    let web = start();
    let (status, refreshed) = me().await;
    assert_eq!(status, StatusCode::OK);
    let renewals = |me: &Value| me["renewals"].as_u64().unwrap();
    assert!(renewals(&refreshed) > renewals(&first), "{refreshed}");
    assert_eq!(web.stop().0, Some(0));
}

/// Its programs end with it.
struct Script(Option<Program>);

impl Drop for Script {
    fn drop(&mut self) {
        if let Some(script) = self.0.take() {
            script.stop();
        }
    }
}

// D31
#[test]
#[ignore = "needs Node, playwright-core and Chromium; the full test run brings them"]
fn the_command_of_the_readme_keeps_a_browser_signed_in() {
    let folder = Folder::new();
    let port = free_port().to_string();
    let mut command = Command::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/examples/durable/run.sh"
    ));
    command
        .env("PORT", &port)
        .env("PROVIDER_PORT", free_port().to_string())
        .env("FOLDER", &folder.0)
        .env("BUILT", "1")
        .stdin(Stdio::piped());
    let mut script = Script(Some(Program::start(&mut command, "web runs at ")));
    let options = json!({
        "url": format!("http://127.0.0.1:{port}"),
        "cookies": folder.path("cookies.json"),
    });
    run("durable.mjs", "durable", &options);
    let running = script.0.as_mut().unwrap();
    running.press_enter();
    run("durable.mjs", "durable", &options);
}
