//! The `forward_auth` example behind real proxies, with the files that come with it, in front of a service that knows
//! nothing of this crate.

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use reqwest::header::{LOCATION, WWW_AUTHENTICATE};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Map, Value, json};
use tower_oidc::testing::DevelopmentProvider;

use crate::nginx::{Folder, nginx_with};
use crate::programs::{Program, example};
use crate::web::free_port;

const AUDIENCE: &str = "https://api.example.com";

/// A service in any language: it answers with what has reached it, and counts.
async fn start_service(hits: Arc<AtomicUsize>) -> u16 {
    async fn tell(State(hits): State<Arc<AtomicUsize>>, request: Request) -> String {
        hits.fetch_add(1, Ordering::SeqCst);
        let (head, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 1024).await.unwrap();
        let fields: Map<String, Value> = head
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap())))
            .collect();
        let uri = head.uri.to_string();
        json!({"uri": uri, "fields": fields, "body": String::from_utf8_lossy(&body)}).to_string()
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let service = Router::new().fallback(tell).with_state(hits);
    tokio::spawn(async move { axum::serve(listener, service).await });
    port
}

/// A file of the example, with other ports.
fn configuration(name: &str, ports: [(u16, u16); 3]) -> String {
    let file = format!(
        "{}/examples/forward_auth/{name}",
        env!("CARGO_MANIFEST_DIR")
    );
    let mut text = fs::read_to_string(file).unwrap();
    for (of_the_file, port) in ports {
        let known = format!("127.0.0.1:{of_the_file}");
        assert!(text.contains(&known), "{known}");
        text = text.replace(&known, &format!("127.0.0.1:{port}"));
    }
    text
}

fn nginx(folder: &Folder, ports: [(u16, u16); 3]) -> Program {
    nginx_with(folder, ports[0].1, &configuration("nginx.conf", ports))
}

fn caddy(folder: &Folder, ports: [(u16, u16); 3]) -> Program {
    let file = folder.0.join("Caddyfile");
    let site = configuration("Caddyfile", ports);
    fs::write(&file, format!("{{\n admin off\n}}\n{site}")).unwrap();
    let mut command = Command::new("caddy");
    command
        .args(["run", "--adapter", "caddyfile", "--config"])
        .arg(&file)
        .env("HOME", &folder.0);
    Program::start_silent(&mut command, ports[0].1)
}

struct Proxied {
    origin: String,
    idp: DevelopmentProvider,
    hits: Arc<AtomicUsize>,
    auth: Program,
    _proxy: Program,
    _folder: Folder,
}

impl Proxied {
    async fn start(name: &str, proxy: fn(&Folder, [(u16, u16); 3]) -> Program) -> Self {
        let hits = Arc::new(AtomicUsize::new(0));
        let (port, auth_port) = (free_port(), free_port());
        let service = start_service(Arc::clone(&hits)).await;
        let origin = format!("http://127.0.0.1:{port}");
        let idp = DevelopmentProvider::builder().start().await.unwrap();
        let listen = auth_port.to_string();
        let settings = [
            ("OPENID_ISSUER", idp.issuer()),
            ("OPENID_CLIENT_ID", "development"),
            ("OPENID_CLIENT_SECRET", "development-secret"),
            ("OPENID_AUDIENCE", AUDIENCE),
            (
                "OPENID_SESSION_SECRET",
                "a secret of more than thirty-two characters",
            ),
            ("DOMAIN_SERVER", &origin),
            ("PORT", &listen),
        ];
        let auth = Program::start(&mut example("forward_auth", &settings), "listening on ");
        let folder = Folder::new(&format!("forward-auth-{name}"));
        let proxy = proxy(&folder, [(8080, port), (3080, auth_port), (3000, service)]);
        Self {
            origin,
            idp,
            hits,
            auth,
            _proxy: proxy,
            _folder: folder,
        }
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }

    /// What the service has seen of a request.
    async fn seen(request: RequestBuilder) -> Value {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        answer.json().await.unwrap()
    }

    async fn refused(&self, request: RequestBuilder) -> reqwest::Response {
        let before = self.hits();
        let answer = request.send().await.unwrap();
        assert!(!answer.status().is_success(), "{answer:?}");
        assert_eq!(self.hits(), before, "it has reached the service");
        answer
    }

    async fn works(self) {
        let browser = browser();
        let navigation = |path: &str| {
            let request = browser.get(self.at(path)).header("accept", "text/html");
            request.header("sec-fetch-mode", "navigate")
        };
        let script = || {
            browser
                .get(self.at("/data"))
                .header("accept", "application/json")
        };
        let answer = self.refused(script()).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        let claim = script().header("x-auth-subject", "admin");
        let answer = self.refused(claim).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);

        // To the provider, back to the callback, and to the page that was asked for.
        let answer = navigation("/page?a=b&c=%20d").send().await.unwrap();
        assert_eq!(answer.url().as_str(), self.at("/page?a=b&c=%20d"));
        let page: Value = answer.json().await.unwrap();
        assert_eq!(page["uri"], "/page?a=b&c=%20d");
        self.is_of(&page, "user-1", "session");
        let spoofed = script()
            .header("x-auth-subject", "admin")
            .header("X_Auth_Subject", "admin")
            .header("X-Auth_Subject", "admin")
            .header("x_auth-scope", "everything")
            .header("x-auth-via", "magic");
        self.is_of(&Self::seen(spoofed).await, "user-1", "session");

        self.asks_for_proof(&browser).await;
        self.takes_tokens().await;

        let sign_out = browser.post(self.at("/oauth/openid/logout"));
        let sign_out = sign_out.header("sec-fetch-site", "same-origin");
        let _ = sign_out.send().await.unwrap();
        let answer = self.refused(script()).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        self.leads_to_paths_of_this_site_alone().await;
        let (code, log) = self.auth.stop();
        assert_eq!(code, Some(0), "{log}");
    }

    /// The fields say who calls, and nothing else does, however a service reads them.
    fn is_of(&self, seen: &Value, subject: &str, via: &str) {
        let fields = seen["fields"].as_object().unwrap();
        assert_eq!(fields["x-auth-subject"], subject, "{seen}");
        assert_eq!(fields["x-auth-issuer"], self.idp.issuer(), "{seen}");
        assert_eq!(fields["x-auth-via"], via, "{seen}");
        for hidden in ["cookie", "authorization"] {
            assert!(!fields.contains_key(hidden), "{seen}");
        }
        let named = fields.keys().map(|name| name.replace('_', "-"));
        let named = named.filter(|name| name.starts_with("x-auth")).count();
        let known = fields.keys().filter(|name| {
            [
                "x-auth-subject",
                "x-auth-issuer",
                "x-auth-scope",
                "x-auth-via",
            ]
            .contains(&name.as_str())
        });
        assert_eq!(named, known.count(), "{seen}");
    }

    /// Other sites' pages change nothing with this browser's session, whatever the proxy asks by.
    async fn asks_for_proof(&self, browser: &Client) {
        let post = || browser.post(self.at("/orders")).body("one pear");
        let own = post().header("sec-fetch-site", "same-origin");
        let seen = Self::seen(own).await;
        assert_eq!(seen["body"], "one pear");
        self.is_of(&seen, "user-1", "session");
        let foreign = || post().header("sec-fetch-site", "cross-site");
        let disguised = foreign().header("x-forwarded-method", "GET");
        let handshake = browser
            .get(self.at("/socket"))
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("origin", "https://evil.example");
        for request in [post(), foreign(), disguised, handshake] {
            let answer = self.refused(request).await;
            assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        }
    }

    async fn takes_tokens(&self) {
        let client = Client::new();
        let token = || self.idp.token(AUDIENCE).subject("a robot");
        let orders = || client.post(self.at("/orders"));
        let seen = Self::seen(orders().bearer_auth(token().scope("orders").build())).await;
        self.is_of(&seen, "a robot", "bearer");
        assert_eq!(seen["fields"]["x-auth-scope"], "orders");
        let answer = self
            .refused(orders().bearer_auth(token().expired().build()))
            .await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        let challenge = answer.headers()[WWW_AUTHENTICATE].to_str().unwrap();
        assert!(challenge.contains("invalid_token"), "{challenge}");
        // What a subject looks like is the provider's business.
        let odd = token().subject("a\r\nX-Auth-Subject: admin %").build();
        let seen = Self::seen(orders().bearer_auth(odd)).await;
        self.is_of(&seen, "a%0D%0AX-Auth-Subject: admin %25", "bearer");
    }

    /// Whatever a client says about the address of its request.
    async fn leads_to_paths_of_this_site_alone(&self) {
        let client = Client::builder().redirect(reqwest::redirect::Policy::none());
        let client = client.build().unwrap();
        let links = [
            ("/a?b=c", "/oauth/openid?return_to=%2Fa%3Fb%3Dc"),
            ("//evil.example/", "/oauth/openid?return_to=%2F"),
        ];
        for (path, link) in links {
            let request = client
                .get(self.at(path))
                .header("accept", "text/html")
                .header("x-forwarded-uri", "/stolen")
                .header("x-original-url", "https://evil.example/")
                .header("x-forwarded-host", "evil.example");
            let answer = self.refused(request).await;
            assert_eq!(answer.status(), StatusCode::SEE_OTHER);
            assert_eq!(answer.headers()[LOCATION], link, "{path}");
        }
    }
}

fn browser() -> Client {
    Client::builder()
        .cookie_store(true)
        .timeout(Duration::from_secs(30))
        .build()
        .unwrap()
}

// SC-10, SC-11, SC-15
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs nginx and starts the example as a program; the full test run brings both"]
async fn nginx_asks_forward_auth_about_each_request() {
    Proxied::start("nginx", nginx).await.works().await;
}

// SC-10, SC-11, SC-15
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Caddy and starts the example as a program; the full test run brings both"]
async fn caddy_asks_forward_auth_about_each_request() {
    Proxied::start("caddy", caddy).await.works().await;
}

// LG-16
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts the example as a program; the full test run builds it first"]
async fn forward_auth_admits_nothing_that_a_proxy_leaves_out() {
    let auth = Program::start(&mut example("forward_auth", &[]), "listening on ");
    let client = Client::builder().redirect(reqwest::redirect::Policy::none());
    let client = client.build().unwrap();
    let ask = || {
        client
            .get(format!("{}/auth", auth.address()))
            .header("accept", "text/html")
    };
    // Without the method it is unknown what the request does.
    let answer = ask().send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let answer = ask()
        .header("x-forwarded-method", "GE T")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let public = "http://127.0.0.1:8080";
    for (name, value, back_to) in [
        ("x-forwarded-uri", "/inbox?page=2", "%2Finbox%3Fpage%3D2"),
        ("x-original-url", &format!("{public}/inbox"), "%2Finbox"),
        ("x-original-url", &format!("{public}.evil.example/"), "%2F"),
        ("x-original-url", "https://evil.example/inbox", "%2F"),
        ("x-forwarded-uri", "https://evil.example/", "%2F"),
        ("x-forwarded-uri", "/%2e%2e//evil.example", "%2F"),
    ] {
        let request = ask()
            .header("x-forwarded-method", "GET")
            .header(name, value);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        let link = format!("/oauth/openid?return_to={back_to}");
        assert_eq!(answer.headers()[LOCATION], link, "{value}");
    }
    let (code, log) = auth.stop();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("X-Forwarded-Method"), "{log}");
}
