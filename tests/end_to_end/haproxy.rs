//! The `web` example behind HAProxy, with the configuration of the manual.

use std::fs;
use std::process::Command;

use reqwest::{Certificate, Client, RequestBuilder, StatusCode};
use tower_oidc::testing::DevelopmentProvider;

use crate::nginx::{Folder, web_at};
use crate::programs::Program;
use crate::stores::server::certificates;
use crate::web::free_port;

/// The block below the heading of HAProxy, with other ports and another certificate.
fn configuration(changes: &[(&str, &str)]) -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/src/manual/proxies.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, section) = page.split_once("# HAProxy\n").unwrap();
    let block = section.split("```").nth(1).unwrap();
    let mut text = block.strip_prefix("text\n").unwrap().to_owned();
    for (of_the_page, here) in changes {
        assert!(text.contains(of_the_page), "{of_the_page}");
        text = text.replace(of_the_page, here);
    }
    text
}

/// Signs in at a site and out again, and never leaves it but for the provider.
async fn works(site: &str, issuer: &str, certificate: &[u8]) {
    let stays = {
        let (site, issuer) = (format!("{site}/"), issuer.to_owned());
        reqwest::redirect::Policy::custom(move |attempt| {
            let url = attempt.url().as_str();
            if url.starts_with(&site) || url.starts_with(&issuer) {
                attempt.follow()
            } else {
                attempt.error("a redirect leaves the site")
            }
        })
    };
    let browser = Client::builder()
        .cookie_store(true)
        .redirect(stays)
        .tls_certs_only([Certificate::from_pem(certificate).unwrap()])
        .build()
        .unwrap();
    let send = async |request: RequestBuilder| {
        let request = request.header("accept", "text/html");
        let answer = request.header("sec-fetch-site", "same-origin").send().await;
        let answer = answer.unwrap();
        let (status, url) = (answer.status(), answer.url().to_string());
        (status, url, answer.text().await.unwrap())
    };
    let start = format!("{site}/oauth/openid?return_to={}", path_of(site));
    let (status, url, page) = send(browser.get(start)).await;
    assert_eq!((status, url), (StatusCode::OK, format!("{site}/")));
    assert!(page.contains("logout"), "{page}");
    let me = send(browser.get(format!("{site}/api/me"))).await;
    assert_eq!(me.0, StatusCode::OK);
    let sign_out = browser.post(format!("{site}/oauth/openid/logout"));
    let (status, url, page) = send(sign_out).await;
    assert_eq!((status, url), (StatusCode::OK, format!("{site}/")));
    assert!(page.contains("You are not signed in"), "{page}");
}

/// The path of a site, with a final slash.
fn path_of(site: &str) -> &str {
    if site.ends_with("/app") { "/app/" } else { "/" }
}

// SC-18
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs HAProxy and starts the example as a program; the full test run brings both"]
async fn haproxy_as_the_manual_has_it_serves_a_site_and_one_below_a_path() {
    let idp = DevelopmentProvider::builder().start().await.unwrap();
    let [port, site_port, app_port] = [(); 3].map(|()| free_port());
    let origin = format!("https://localhost:{port}");
    let app = format!("{origin}/app");
    let site_behind = web_at(idp.issuer(), &origin, &site_port.to_string(), &[]);
    let name = [("OPENID_COOKIE_NAME", "app")];
    let app_behind = web_at(idp.issuer(), &app, &app_port.to_string(), &name);
    let folder = Folder::new("haproxy");
    let keys = certificates();
    let certificate = fs::read(keys.join("cert.pem")).unwrap();
    let both = [certificate.clone(), fs::read(keys.join("key.pem")).unwrap()].concat();
    let pem = folder.0.join("site.pem");
    fs::write(&pem, both).unwrap();
    fs::remove_dir_all(&keys).unwrap();
    let text = configuration(&[
        ("bind :443 ", &format!("bind 127.0.0.1:{port} ")),
        ("/etc/haproxy/app.example.com.pem", pem.to_str().unwrap()),
        ("127.0.0.1:3080", &format!("127.0.0.1:{site_port}")),
        ("127.0.0.1:3081", &format!("127.0.0.1:{app_port}")),
    ]);
    let file = folder.0.join("haproxy.cfg");
    fs::write(&file, text).unwrap();
    let mut command = Command::new("haproxy");
    // It would take as many connections as the machine allows files.
    command.args(["-n", "200", "-f"]).arg(&file);
    let _haproxy = Program::start_silent(&mut command, port);
    for site in [&origin, &app] {
        works(site, idp.issuer(), &certificate).await;
    }
    // A path that only begins alike is the other site's.
    let client = Client::builder()
        .tls_certs_only([Certificate::from_pem(&certificate).unwrap()])
        .build()
        .unwrap();
    let answer = client.get(format!("{origin}/app.css")).send().await;
    assert_eq!(answer.unwrap().status(), StatusCode::OK);
    for behind in [site_behind, app_behind] {
        assert_eq!(behind.stop().0, Some(0));
    }
}
