//! The examples by settings alone against Glewlwyd, whose access tokens are JWTs and whose refresh tokens rotate.

mod logout;
mod renewal;
mod sign_in;
mod tokens;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::durable::Folder;
use crate::programs::{Program, example, glewlwyd};
use crate::web::{browser, free_port};

/// The provider, in a folder that ends after it.
struct Glewlwyd {
    _program: Program,
    issuer: String,
    _folder: Folder,
}

impl Glewlwyd {
    /// With these options of `start.py`.
    fn start(mut options: Value) -> Self {
        let folder = Folder::new();
        options["folder"] = json!(folder.0);
        let program = glewlwyd(&options.to_string());
        let issuer = program.address();
        Self {
            _program: program,
            issuer,
            _folder: folder,
        }
    }

    fn origin(&self) -> &str {
        self.issuer.trim_end_matches("/api/oidc")
    }
}

/// A site, its provider, and a browser.
struct Site {
    idp: Glewlwyd,
    web: Option<Program>,
    origin: String,
    environment: Vec<(String, String)>,
    browser: reqwest::Client,
}

impl Site {
    /// A provider whose access tokens live this many seconds, and a site with its settings and these.
    fn start(lifetime: u32, more: &[(&str, &str)]) -> Self {
        let port = free_port().to_string();
        let origin = format!("http://127.0.0.1:{port}");
        let idp = Glewlwyd::start(json!({"lifetime": lifetime, "origin": origin}));
        let settings = [
            ("OPENID_ISSUER", idp.issuer.as_str()),
            ("OPENID_CLIENT_ID", "web"),
            ("OPENID_CLIENT_SECRET", "web-secret"),
            (
                "OPENID_SESSION_SECRET",
                "a session secret of more than 32 characters",
            ),
            ("DOMAIN_SERVER", &origin),
            ("PORT", &port),
            ("RUST_LOG", "trace"),
        ];
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment = settings.iter().chain(more).map(owned).collect();
        let mut site = Self {
            idp,
            web: None,
            origin,
            environment,
            browser: browser(),
        };
        site.restart();
        site
    }

    /// The settings of the site.
    fn environment(&self) -> Vec<(&str, &str)> {
        let pairs = self.environment.iter();
        pairs
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    }

    /// Starts the program, after [`stop`](Self::stop).
    fn restart(&mut self) {
        let mut command = example("web", &self.environment());
        self.web = Some(Program::start(&mut command, "listening on "));
    }

    /// Starts the program again with these settings, which replace earlier ones.
    fn restart_with(&mut self, changes: &[(&str, &str)]) {
        self.stop();
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        self.environment.extend(changes.iter().map(owned));
        self.restart();
    }

    /// Asks the program to stop, and returns its log.
    fn stop(&mut self) -> String {
        let (code, log) = self.web.take().unwrap().stop();
        assert_eq!(code, Some(0), "{log}");
        log
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// Visits a page in the browser, as far as the redirects lead.
    async fn visit(&self, url: &str) -> reqwest::Response {
        crate::web::visit(&self.browser, url).await
    }

    /// Visits the page that signs in. The page of the provider, where it leads to, is a program that calls the
    /// provider's interface: so does this.
    async fn start_sign_in(&self) -> reqwest::Response {
        let page = self.visit(&self.at("/oauth/openid?return_to=/")).await;
        let asked = |name: &str| parameter(page.url(), name);
        let Some(continued) = asked("callback_url") else {
            return page;
        };
        let password = json!({"username": "user-1", "password": "password"});
        self.call("POST", "/api/auth/", password).await;
        let consent = json!({"scope": asked("scope").unwrap()});
        self.call("PUT", "/api/auth/grant/web", consent).await;
        self.visit(&format!("{continued}&g_continue")).await
    }

    async fn sign_in(&self) -> String {
        let page = self.start_sign_in().await;
        let (url, status) = (page.url().clone(), page.status());
        let text = page.text().await.unwrap();
        assert_eq!(status, StatusCode::OK, "{text}");
        assert_eq!(url.as_str(), self.at("/"));
        text
    }

    /// Calls the provider's interface with the cookies of the browser.
    async fn call(&self, method: &str, path: &str, body: Value) -> String {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let url = format!("{}{path}", self.idp.origin());
        let call = self.browser.request(method, &url).json(&body);
        let answer = call.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{url}");
        answer.text().await.unwrap()
    }

    /// How many refresh tokens of this user the provider has issued, and how many of them it would take.
    async fn refresh_tokens(&self) -> (usize, usize) {
        let listed = self.call("GET", "/api/oidc/token", Value::Null).await;
        let listed: Vec<Value> = serde_json::from_str(&listed).unwrap();
        let enabled = listed.iter().filter(|token| token["enabled"] == true);
        (listed.len(), enabled.count())
    }

    async fn me(&self) -> (StatusCode, Value) {
        let answer = self.browser.get(self.at("/api/me")).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap_or_default())
    }

    /// Signs out by the button of the site, as far as the redirects lead.
    async fn sign_out(&self) -> reqwest::Response {
        let button = self
            .browser
            .post(self.at("/oauth/openid/logout?return_to=/"));
        let asked = button.header("origin", &self.origin);
        asked.send().await.unwrap()
    }
}

/// A parameter in the query of a URL.
fn parameter(url: &reqwest::Url, name: &str) -> Option<String> {
    let mut pairs = url.query_pairs();
    let found = pairs.find(|(given, _)| given == name)?;
    Some(found.1.into_owned())
}
