//! The `web` example behind nginx as it comes: its buffers bound the fields of requests and answers.

use std::fs;
use std::process::Command;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::LOCATION;
use tower_oidc::testing::DevelopmentProvider;

use crate::programs::{Program, example};
use crate::web::{RESOURCE, free_port, settings};

/// A folder that goes with the test.
pub(crate) struct Folder(pub(crate) std::path::PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let name = format!("tower-oidc-nginx-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Nothing but where it listens and what lies behind is configured.
fn nginx(folder: &Folder, port: u16, location: &str, behind: &str) -> Program {
    let server = format!(
        "server {{\nlisten 127.0.0.1:{port};\nlocation {location} {{ proxy_pass {behind}; }}\n}}\n"
    );
    nginx_with(folder, port, &server)
}

/// Its servers are configured, and where it keeps files.
pub(crate) fn nginx_with(folder: &Folder, port: u16, servers: &str) -> Program {
    let place = folder.0.display();
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {place}/{name};\n"))
        .concat();
    let configuration = format!(
        "daemon off;\nmaster_process off;\npid {place}/pid;\nerror_log {place}/error.log;\nevents {{}}\n\
         http {{\naccess_log off;\n{paths}{servers}}}\n"
    );
    let file = folder.0.join("nginx.conf");
    fs::write(&file, configuration).unwrap();
    let mut command = Command::new("nginx");
    Program::start_silent(command.arg("-c").arg(file), port)
}

/// The example at a public address, whose provider is the development provider.
pub(crate) fn web_at(issuer: &str, address: &str, port: &str, more: &[(&str, &str)]) -> Program {
    let mut environment = settings(issuer, address);
    environment.retain(|(name, _)| !matches!(*name, "OPENID_CLIENT_ID" | "OPENID_CLIENT_SECRET"));
    environment.extend([
        ("OPENID_CLIENT_ID", "development"),
        ("OPENID_CLIENT_SECRET", "development-secret"),
        ("OPENID_REQUEST_AUDIENCE", RESOURCE),
        ("PORT", port),
    ]);
    environment.extend(more);
    Program::start(&mut example("web", &environment), "listening on ")
}

// LG-15, SC-16
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs nginx and starts the example as a program; the full test run brings both"]
async fn ten_tabs_with_long_deep_links_pass_nginx_with_its_default_buffers() {
    let idp = DevelopmentProvider::builder().start().await.unwrap();
    let (port, port_behind) = (free_port(), free_port().to_string());
    let origin = format!("http://127.0.0.1:{port}");
    let issuer = idp.issuer().to_owned();
    let web = web_at(&issuer, &origin, &port_behind, &[]);
    let folder = Folder::new("tabs");
    let _nginx = nginx(&folder, port, "/", &web.address());
    let browser = reqwest::Client::builder()
        .cookie_store(true)
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(30))
        .build()
        .unwrap();
    let go = async |url: &str| {
        let request = browser
            .get(url)
            .header("accept", "text/html")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document");
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let next = answer.headers().get(LOCATION);
        let next = next.map(|next| next.to_str().unwrap().to_owned());
        match next {
            Some(next) if next.starts_with('/') => (status, Some(format!("{origin}{next}"))),
            next => (status, next),
        }
    };
    let mut tabs: Vec<_> = (0..10)
        .map(|tab| {
            format!(
                "{origin}/oauth/openid?return_to=/?tab={tab}-{}",
                "a".repeat(1_980)
            )
        })
        .collect();
    // One step of each tab after the other: start, provider, callback, and so on.
    for step in 0..8 {
        for tab in &mut tabs {
            let (status, next) = go(tab).await;
            let is_well = status == StatusCode::OK || status == StatusCode::SEE_OTHER;
            assert!(is_well, "step {step}: {tab} is answered {status}");
            if let Some(next) = next {
                *tab = next;
            }
        }
    }
    for tab in &tabs {
        assert!(tab.starts_with(&format!("{origin}/")), "{tab}");
        assert!(!tab.contains("/oauth/"), "{tab}");
    }
    let whole = tabs.iter().filter(|tab| tab.len() > 1_980).count();
    assert!(whole >= 1, "{tabs:?}");
    assert_eq!(go(&format!("{origin}/api/me")).await.0, StatusCode::OK);
}

// SC-18
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs nginx and starts the example as a program; the full test run brings both"]
async fn a_site_below_a_path_that_nginx_takes_off() {
    let idp = DevelopmentProvider::builder().start().await.unwrap();
    let (port, port_behind) = (free_port(), free_port().to_string());
    let origin = format!("http://127.0.0.1:{port}");
    let site = format!("{origin}/app");
    let issuer = idp.issuer().to_owned();
    let web = web_at(&issuer, &site, &port_behind, &[]);
    let folder = Folder::new("prefix");
    // The slash behind the address takes the prefix off. Nothing else of the host is proxied.
    let _nginx = nginx(&folder, port, "/app/", &format!("{}/", web.address()));
    let stays = {
        let (site, issuer) = (format!("{site}/"), issuer.clone());
        reqwest::redirect::Policy::custom(move |attempt| {
            let url = attempt.url().as_str();
            if url.starts_with(&site) || url.starts_with(&issuer) {
                attempt.follow()
            } else {
                attempt.error("a redirect leaves the site")
            }
        })
    };
    let browser = reqwest::Client::builder()
        .cookie_store(true)
        .redirect(stays)
        .timeout(Duration::from_secs(30))
        .build()
        .unwrap();
    let send = async |request: reqwest::RequestBuilder| {
        let request = request.header("accept", "text/html");
        let answer = request.header("sec-fetch-site", "same-origin").send().await;
        let answer = answer.unwrap();
        let (status, url) = (answer.status(), answer.url().to_string());
        (status, url, answer.text().await.unwrap())
    };
    let visit = async |url: String| send(browser.get(url)).await;
    let (status, _, page) = visit(format!("{site}/")).await;
    assert_eq!(status, StatusCode::OK);
    assert!(
        page.contains("href=\"/app/oauth/openid?return_to=/app/\""),
        "{page}"
    );
    assert!(page.contains("href=\"/app/app.css\""), "{page}");
    assert_eq!(visit(format!("{site}/app.css")).await.0, StatusCode::OK);
    let start = format!("{site}/oauth/openid?return_to=/app/?a=b");
    let (status, url, page) = visit(start).await;
    assert_eq!((status, url), (StatusCode::OK, format!("{site}/?a=b")));
    assert!(page.contains("src=\"/app/app.js\""), "{page}");
    assert!(
        page.contains("action=\"/app/oauth/openid/logout\""),
        "{page}"
    );
    assert_eq!(visit(format!("{site}/api/me")).await.0, StatusCode::OK);
    let sign_out = browser.post(format!("{site}/oauth/openid/logout"));
    let (status, url, page) = send(sign_out).await;
    assert_eq!((status, url), (StatusCode::OK, format!("{site}/")));
    assert!(page.contains("You are not signed in"), "{page}");
}
