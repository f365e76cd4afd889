//! Three processes of one site, their store and provider, and a browser that is signed in.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::cookie::CookieStore as _;
use serde_json::{Value, json};

use super::proxy::Proxy;
use super::records::now;
use super::server::{Kind, Server};
use crate::programs::{Program, example, provider};
use crate::web::{free_port, settings};

/// Cookies know no ports, so that each process sees the same.
pub(crate) struct Replicas {
    pub(crate) server: Option<Server>,
    idp: Program,
    webs: Vec<Program>,
    ports: Vec<String>,
    pub(crate) origin: String,
    jar: Arc<reqwest::cookie::Jar>,
    pub(crate) browser: reqwest::Client,
}

/// What is special about the three.
pub(crate) struct Arrangement {
    pub(crate) kind: Kind,
    /// The addresses of the store as each sees it. Default: a server of its own.
    pub(crate) stores: Option<[String; 3]>,
    /// How far the clock of each is off, in seconds.
    pub(crate) clocks: [i64; 3],
    pub(crate) settings: Vec<(&'static str, String)>,
}

impl Arrangement {
    pub(crate) fn of(kind: Kind) -> Self {
        Self {
            kind,
            stores: None,
            clocks: [0; 3],
            settings: Vec::new(),
        }
    }
}

/// How long access tokens live here.
pub(crate) const LIFETIME: Duration = Duration::from_secs(5);

impl Replicas {
    pub(crate) async fn start(kind: Kind) -> Self {
        Self::arranged(Arrangement::of(kind)).await
    }

    /// With the first of the replicas, or all, behind a line that can go bad.
    pub(crate) async fn behind_a_line(behind: usize, arrangement: Arrangement) -> (Self, Proxy) {
        let server = arrangement.kind.start();
        let line = Proxy::to(server.port()).await;
        let address = |replica| {
            if replica < behind {
                server.url_behind(&line)
            } else {
                server.url()
            }
        };
        let stores = Some([address(0), address(1), address(2)]);
        let mut site = Self::arranged(Arrangement {
            stores,
            ..arrangement
        })
        .await;
        site.server = Some(server);
        (site, line)
    }

    pub(crate) async fn arranged(arrangement: Arrangement) -> Self {
        let kind = arrangement.kind;
        let server = arrangement.stores.is_none().then(|| kind.start());
        let stores = arrangement
            .stores
            .or_else(|| Some([(); 3].map(|()| server.as_ref().unwrap().url())))
            .unwrap();
        let ports: Vec<_> = (0..3).map(|_| free_port().to_string()).collect();
        let origin = format!("http://127.0.0.1:{}", ports[0]);
        let options = json!({"lifetime": LIFETIME.as_secs(), "origin": origin});
        let idp = provider(&options.to_string());
        let issuer = idp.address();
        let webs = ports.iter().enumerate().map(|(at, port)| {
            let mut environment = settings(&issuer, &origin);
            environment.retain(|(name, _)| *name != "RUST_LOG");
            environment.push(("PORT", port));
            environment.push((kind.variable(), &stores[at]));
            let more = &arrangement.settings;
            environment.extend(more.iter().map(|(name, value)| (*name, &**value)));
            let mut command = example("web", &environment);
            if arrangement.clocks[at] != 0 {
                command
                    .env("LD_PRELOAD", "/usr/$LIB/faketime/libfaketime.so.1")
                    .env("FAKETIME", format!("{:+}s", arrangement.clocks[at]))
                    .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
            }
            Program::start(&mut command, "listening on ")
        });
        let webs = webs.collect();
        let jar = Arc::new(reqwest::cookie::Jar::default());
        let browser = reqwest::Client::builder()
            .cookie_provider(Arc::clone(&jar))
            .build()
            .unwrap();
        let site = Self {
            server,
            idp,
            webs,
            ports,
            origin,
            jar,
            browser,
        };
        site.sign_in().await;
        site
    }

    pub(crate) async fn sign_in(&self) {
        let url = format!("{}/oauth/openid?return_to=/", self.origin);
        let start = self.browser.get(url).header("accept", "text/html");
        let page = start.send().await.unwrap().text().await.unwrap();
        assert!(page.contains("user-1"), "{page}");
    }

    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    pub(crate) fn at(&self, replica: usize, path: &str) -> String {
        let port = &self.ports[replica % self.ports.len()];
        format!("http://127.0.0.1:{port}{path}")
    }

    pub(crate) async fn status(&self, replica: usize, path: &str) -> StatusCode {
        let request = self.browser.get(self.at(replica, path));
        request.send().await.unwrap().status()
    }

    /// By how many seconds the wall clock of a replica is off.
    pub(crate) async fn clock(&self, replica: usize) -> i64 {
        let answer = reqwest::get(self.at(replica, "/healthz")).await.unwrap();
        let date = answer.headers()["date"].to_str().unwrap();
        let there = httpdate::parse_http_date(date).unwrap();
        let there = there.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        i64::try_from(there.as_secs()).unwrap() - now().as_seconds()
    }

    /// How often the tokens have been renewed, as this replica sees it.
    pub(crate) async fn renewals(&self, replica: usize) -> u64 {
        let request = self.browser.get(self.at(replica, "/api/me"));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let me: Value = answer.json().await.unwrap();
        me["renewals"].as_u64().unwrap()
    }

    /// Sends requests to all three at once.
    pub(crate) async fn burst(&self, requests: usize) -> Vec<StatusCode> {
        let requests: Vec<_> = (0..requests)
            .map(|at| tokio::spawn(self.browser.get(self.at(at, "/api/me")).send()))
            .collect();
        let mut statuses = Vec::new();
        for request in requests {
            statuses.push(request.await.unwrap().unwrap().status());
        }
        statuses
    }

    /// Until the access token has expired.
    pub(crate) async fn expiry(&self) {
        tokio::time::sleep(LIFETIME + Duration::from_secs(1)).await;
    }

    /// Asks until the answer is this one; every other must be 503.
    pub(crate) async fn until(&self, replica: usize, expected: StatusCode, within: Duration) {
        let asked = async {
            loop {
                let status = self.status(replica, "/api/me").await;
                if status == expected {
                    break;
                }
                assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let outcome = tokio::time::timeout(within, asked).await;
        assert!(outcome.is_ok(), "no {expected} within {within:?}");
    }

    pub(crate) async fn set_fault(&self, mode: &str) {
        let url = format!("{}/test/fault?mode={mode}", self.idp.address());
        self.browser.post(url).send().await.unwrap();
    }

    /// How many refreshes and reuses of a spent token the provider has seen.
    pub(crate) async fn grants(&self) -> (u64, u64) {
        let url = format!("{}/test/counts", self.idp.address());
        let counts: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
        let count = |name| counts[name].as_u64().unwrap();
        (count("refreshes"), count("reuses"))
    }

    /// Asks a replica to stop and waits until it has, and returns how it ended. Those after it move up.
    pub(crate) async fn stop(&mut self, replica: usize) -> Option<i32> {
        self.stop_with_log(replica).await.0
    }

    /// The same, and what stood in its log.
    pub(crate) async fn stop_with_log(&mut self, replica: usize) -> (Option<i32>, String) {
        let web = self.webs.remove(replica);
        self.ports.remove(replica);
        tokio::task::spawn_blocking(move || web.stop())
            .await
            .unwrap()
    }

    /// Another browser, signed in.
    pub(crate) async fn another_browser(&self) -> reqwest::Client {
        let browser = reqwest::Client::builder()
            .cookie_store(true)
            .build()
            .unwrap();
        let url = format!("{}/oauth/openid?return_to=/", self.origin);
        let start = browser.get(url).header("accept", "text/html");
        let page = start.send().await.unwrap().text().await.unwrap();
        assert!(page.contains("user-1"), "{page}");
        browser
    }

    /// Ends a replica as a machine's failure would.
    pub(crate) fn kill(&self, replica: usize) {
        let pid = self.webs[replica].pid().to_string();
        let status = Command::new("kill").args(["-KILL", &pid]).status();
        assert!(status.unwrap().success());
    }

    /// What the browser holds.
    pub(crate) fn handle(&self) -> String {
        let cookies = self.jar.cookies(&self.origin.parse().unwrap()).unwrap();
        let mut pairs = cookies.to_str().unwrap().split("; ");
        let handle = pairs.find_map(|pair| pair.strip_prefix("session="));
        handle.unwrap().to_owned()
    }

    /// Whether a replica takes a session cookie that was kept.
    pub(crate) async fn takes(&self, replica: usize, handle: &str) -> bool {
        let answer = reqwest::Client::new()
            .get(self.at(replica, "/api/me"))
            .header("cookie", format!("session={handle}"))
            .send()
            .await
            .unwrap();
        match answer.status() {
            StatusCode::OK => true,
            StatusCode::UNAUTHORIZED => false,
            other => panic!("{other}"),
        }
    }

    pub(crate) async fn sign_out(&self, replica: usize) {
        let answer = self
            .browser
            .post(self.at(replica, "/oauth/openid/logout"))
            .header("origin", &self.origin)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    }
}
