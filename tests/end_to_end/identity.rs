//! The `web` example in identity mode, by settings alone, at providers whose access tokens are opaque.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::programs::{Program, django, example, provider};
use crate::web::{self, browser, free_port, visit};

/// Those of the other tests, without an audience.
pub(crate) fn settings<'a>(issuer: &'a str, origin: &'a str) -> Vec<(&'a str, &'a str)> {
    let mut settings = web::settings(issuer, origin);
    let differ = [
        "OPENID_AUDIENCE",
        "OPENID_RESOURCE",
        "OPENID_REUSE_TOKENS",
        "OPENID_CLOCK_TOLERANCE",
    ];
    settings.retain(|(name, _)| !differ.contains(name));
    settings.push(("OPENID_REUSE_TOKENS", "false"));
    settings.push(("OPENID_CLOCK_TOLERANCE", "5"));
    settings
}

/// The site, its provider, and a browser.
struct Site {
    idp: Program,
    web: Program,
    origin: String,
    browser: reqwest::Client,
}

impl Site {
    /// With access tokens that live five seconds, at a provider that has the address of the site as its `origin`.
    fn start(provider: fn(&str) -> Program, more: &[(&str, &str)]) -> Self {
        let port = free_port();
        let origin = format!("http://127.0.0.1:{port}");
        let idp = provider(&json!({"lifetime": 5, "origin": origin}).to_string());
        let (issuer, port) = (idp.address(), port.to_string());
        let mut environment = settings(&issuer, &origin);
        environment.push(("PORT", &port));
        environment.extend_from_slice(more);
        let web = Program::start(&mut example("web", &environment), "listening on ");
        Self {
            browser: browser(),
            origin,
            idp,
            web,
        }
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    async fn sign_in(&self) -> String {
        let page = visit(&self.browser, &self.at("/oauth/openid?return_to=/")).await;
        assert_eq!(page.url().as_str(), self.at("/"));
        page.text().await.unwrap()
    }

    async fn me(&self) -> Value {
        let answer = self.browser.get(self.at("/api/me")).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        answer.json().await.unwrap()
    }

    async fn counts(&self) -> Value {
        let issuer = self.idp.address();
        let counts = format!("{}/test/counts", issuer.trim_end_matches("/o"));
        reqwest::get(counts).await.unwrap().json().await.unwrap()
    }

    /// Signed in, refreshed at each end of the access token by one grant, and signed out.
    async fn lives_on(self, greeting: &str) {
        let page = self.sign_in().await;
        assert!(page.contains(greeting), "{page}");
        let me = self.me().await;
        assert_eq!(
            (&me["sub"], &me["via"], &me["scope"]),
            (&json!("user-1"), &json!("session"), &json!(""))
        );
        assert_eq!(
            (&me["iss"], &me["aud"]),
            (&json!(self.idp.address()), &json!("web"))
        );
        for round in 1..=2 {
            tokio::time::sleep(Duration::from_secs(6)).await;
            let requests: Vec<_> = (0..100)
                .map(|_| tokio::spawn(self.browser.get(self.at("/api/me")).send()))
                .collect();
            for request in requests {
                assert_eq!(request.await.unwrap().unwrap().status(), StatusCode::OK);
            }
            assert_eq!(self.me().await["renewals"], round);
            assert_eq!(self.counts().await["refreshes"], round);
        }
        let out = self.browser.post(self.at("/oauth/openid/logout"));
        let out = out.header("origin", &self.origin).send().await.unwrap();
        assert!(out.status().is_success(), "{out:?}");
        let me = self.browser.get(self.at("/api/me")).send().await.unwrap();
        assert_eq!(me.status(), StatusCode::UNAUTHORIZED);
        let (code, log) = self.web.stop();
        assert_eq!(code, Some(0));
        assert!(!log.contains(" ERROR "), "{log}");
    }
}

// D20
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Django OAuth Toolkit; the full test run brings it"]
async fn django_oauth_toolkit_signs_users_in() {
    let site = Site::start(django, &[("OPENID_SCOPE", "openid profile email")]);
    site.lives_on("Hello, The Django user-1").await;
}

// D20
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Node and oidc-provider; the full test run brings them"]
async fn a_certified_provider_without_resources_signs_users_in() {
    let site = Site::start(provider, &[]);
    site.lives_on("Hello, The certified user-1").await;
}

// D20, D22
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Django OAuth Toolkit; the full test run brings it"]
async fn only_addresses_of_a_domain_sign_in_at_django_oauth_toolkit() {
    let scope = ("OPENID_SCOPE", "openid profile email");
    let site = Site::start(
        django,
        &[scope, ("OPENID_ALLOWED_EMAIL_DOMAINS", "example.com")],
    );
    assert!(site.sign_in().await.contains("Hello, The Django user-1"));
    let site = Site::start(
        django,
        &[scope, ("OPENID_ALLOWED_EMAIL_DOMAINS", "example.org")],
    );
    let page = visit(&site.browser, &site.at("/oauth/openid?return_to=/")).await;
    assert_eq!(page.status(), StatusCode::FORBIDDEN);
    let text = page.text().await.unwrap();
    assert!(text.contains("Your email address is not one"), "{text}");
}
