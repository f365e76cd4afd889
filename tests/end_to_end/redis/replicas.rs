//! Three processes of one site, their store and provider, and a browser that is signed in.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::cookie::CookieStore as _;
use serde_json::{Value, json};

use super::server::{Redis, now};
use crate::programs::{Program, example, provider};
use crate::web::{free_port, settings};

/// Cookies know no ports, so that each process sees the same.
pub(super) struct Replicas {
    pub(super) redis: Option<Redis>,
    idp: Program,
    webs: Vec<Program>,
    ports: Vec<String>,
    pub(super) origin: String,
    jar: Arc<reqwest::cookie::Jar>,
    pub(super) browser: reqwest::Client,
}

/// What is special about the three.
#[derive(Default)]
pub(super) struct Arrangement {
    /// The addresses of the store as each sees it. Default: a server of its own.
    pub(super) stores: Option<[String; 3]>,
    /// How far the clock of each is off, in seconds.
    pub(super) clocks: [i64; 3],
    pub(super) settings: Vec<(&'static str, String)>,
}

/// How long access tokens live here.
pub(super) const LIFETIME: Duration = Duration::from_secs(5);

impl Replicas {
    pub(super) async fn start() -> Self {
        Self::arranged(Arrangement::default()).await
    }

    pub(super) async fn arranged(arrangement: Arrangement) -> Self {
        let redis = arrangement.stores.is_none().then(|| Redis::start(&[]));
        let stores = arrangement
            .stores
            .or_else(|| Some([(); 3].map(|()| redis.as_ref().unwrap().url())))
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
            environment.push(("REDIS_URL", &stores[at]));
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
            redis,
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

    pub(super) async fn sign_in(&self) {
        let url = format!("{}/oauth/openid?return_to=/", self.origin);
        let start = self.browser.get(url).header("accept", "text/html");
        let page = start.send().await.unwrap().text().await.unwrap();
        assert!(page.contains("user-1"), "{page}");
    }

    pub(super) fn redis(&self) -> &Redis {
        self.redis.as_ref().unwrap()
    }

    pub(super) fn at(&self, replica: usize, path: &str) -> String {
        let port = &self.ports[replica % self.ports.len()];
        format!("http://127.0.0.1:{port}{path}")
    }

    pub(super) async fn status(&self, replica: usize, path: &str) -> StatusCode {
        let request = self.browser.get(self.at(replica, path));
        request.send().await.unwrap().status()
    }

    /// By how many seconds the wall clock of a replica is off.
    pub(super) async fn clock(&self, replica: usize) -> i64 {
        let answer = reqwest::get(self.at(replica, "/healthz")).await.unwrap();
        let date = answer.headers()["date"].to_str().unwrap();
        let there = httpdate::parse_http_date(date).unwrap();
        let there = there.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        i64::try_from(there.as_secs()).unwrap() - now().as_seconds()
    }

    /// How often the tokens have been renewed, as this replica sees it.
    pub(super) async fn renewals(&self, replica: usize) -> u64 {
        let request = self.browser.get(self.at(replica, "/api/me"));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let me: Value = answer.json().await.unwrap();
        me["renewals"].as_u64().unwrap()
    }

    /// Sends requests to all three at once.
    pub(super) async fn burst(&self, requests: usize) -> Vec<StatusCode> {
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
    pub(super) async fn expiry(&self) {
        tokio::time::sleep(LIFETIME + Duration::from_secs(1)).await;
    }

    /// Asks until the answer is this one; every other must be 503.
    pub(super) async fn until(&self, replica: usize, expected: StatusCode, within: Duration) {
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

    pub(super) async fn set_fault(&self, mode: &str) {
        let url = format!("{}/test/fault?mode={mode}", self.idp.address());
        self.browser.post(url).send().await.unwrap();
    }

    /// How many refreshes and reuses of a spent token the provider has seen.
    pub(super) async fn grants(&self) -> (u64, u64) {
        let url = format!("{}/test/counts", self.idp.address());
        let counts: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
        let count = |name| counts[name].as_u64().unwrap();
        (count("refreshes"), count("reuses"))
    }

    /// Asks a replica to stop and waits until it has, and returns how it ended. Those after it move up.
    pub(super) async fn stop(&mut self, replica: usize) -> Option<i32> {
        let web = self.webs.remove(replica);
        self.ports.remove(replica);
        tokio::task::spawn_blocking(move || web.stop().0)
            .await
            .unwrap()
    }

    /// Another browser, signed in.
    pub(super) async fn another_browser(&self) -> reqwest::Client {
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
    pub(super) fn kill(&self, replica: usize) {
        let pid = self.webs[replica].pid().to_string();
        let status = Command::new("kill").args(["-KILL", &pid]).status();
        assert!(status.unwrap().success());
    }

    /// What the browser holds.
    pub(super) fn handle(&self) -> String {
        let cookies = self.jar.cookies(&self.origin.parse().unwrap()).unwrap();
        let mut pairs = cookies.to_str().unwrap().split("; ");
        let handle = pairs.find_map(|pair| pair.strip_prefix("session="));
        handle.unwrap().to_owned()
    }

    /// Whether a replica takes a session cookie that was kept.
    pub(super) async fn takes(&self, replica: usize, handle: &str) -> bool {
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

    pub(super) async fn sign_out(&self, replica: usize) {
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
