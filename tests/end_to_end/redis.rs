//! Sessions in real Redis servers: the suite every store must pass, the scripts held against the
//! functions they stand for, and several processes that share one store.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::redis::{Commands, Value as RedisValue};
use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::cookie::CookieStore as _;
use serde_json::{Value, json};
use tower_oidc::login::{
    EndReason, Fence, Owner, Record, RedisStore, RefreshState, Renewal, SessionId, SessionStore,
    Settlement, StoreKey,
};
use tower_oidc::testing::store_suite;
use tower_oidc::{Clock, SystemClock, UnixTime};

use crate::programs::{Program, example, provider};
use crate::web::{free_port, settings};

struct Redis {
    program: Program,
    port: u16,
    folder: PathBuf,
}

impl Redis {
    fn start(more: &[&str]) -> Self {
        let port = free_port();
        let folder = std::env::temp_dir().join(format!("tower-oidc-redis-{port}"));
        std::fs::create_dir_all(&folder).unwrap();
        let mut command = Command::new("redis-server");
        command
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(&folder)
            .args(more);
        Self {
            program: Program::start_silent(&mut command, port),
            port,
            folder,
        }
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn store(&self) -> RedisStore {
        RedisStore::new(&self.url()).unwrap()
    }

    /// Every byte that is kept, names and values.
    fn dump(&self) -> Vec<u8> {
        let mut connection = ::redis::Client::open(self.url())
            .unwrap()
            .get_connection()
            .unwrap();
        let keys: Vec<Vec<u8>> = connection.keys("*").unwrap();
        assert!(!keys.is_empty());
        let mut dump = Vec::new();
        for key in keys {
            let value: RedisValue = ::redis::cmd("DUMP")
                .arg(&key)
                .query(&mut connection)
                .unwrap();
            let RedisValue::BulkString(value) = value else {
                panic!("{value:?}");
            };
            let lifetime: i64 = connection.ttl(&key).unwrap();
            assert!(
                lifetime > 0,
                "every key ends: {}",
                String::from_utf8_lossy(&key)
            );
            dump.extend(key);
            dump.extend(value);
        }
        dump
    }

    fn signal(&self, signal: &str) {
        let pid = self.program.pid().to_string();
        let status = Command::new("kill").args([signal, &pid]).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn now() -> UnixTime {
    SystemClock::new().now()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; the full test run brings it"]
async fn d14_one_server_passes_the_suite() {
    let redis = Redis::start(&[]);
    store_suite(redis.store(), now(), async |time| {
        tokio::time::sleep(time + Duration::from_secs(1)).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; the full test run brings it"]
async fn d14_a_cluster_of_three_passes_the_suite() {
    let nodes: Vec<_> = (0..3)
        .map(|_| Redis::start(&["--cluster-enabled", "yes"]))
        .collect();
    let addresses = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port));
    let created = Command::new("redis-cli")
        .args(["--cluster", "create"])
        .args(addresses)
        .arg("--cluster-yes")
        .output()
        .unwrap();
    assert!(created.status.success(), "{created:?}");
    let urls: Vec<_> = nodes.iter().map(Redis::url).collect();
    let store = || RedisStore::cluster(urls.iter().map(String::as_str)).unwrap();
    // The nodes agree a moment after they are told.
    let started = Instant::now();
    while store().load(random_key()).await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(20), "no agreement");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    store_suite(store(), now(), async |time| {
        tokio::time::sleep(time + Duration::from_secs(1)).await;
    })
    .await;
}

fn random_key() -> StoreKey {
    SessionId::random().unwrap().store_key()
}

/// A small generator with a seed, so that a failure can be had again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn seconds(&mut self, sides: u64) -> Duration {
        Duration::from_secs(self.roll(sides))
    }

    /// A time a little before or after now.
    fn about(&mut self, now: UnixTime) -> UnixTime {
        let later = self.seconds(5);
        now.saturating_sub(Duration::from_secs(2))
            .saturating_add(later)
    }
}

#[tokio::test]
#[ignore = "needs redis-server; the full test run brings it"]
async fn d7_the_scripts_do_what_the_functions_do() {
    let redis = Redis::start(&[]);
    let store = redis.store();
    for seed in 0..200 {
        let mut dice = Dice(seed);
        let key = random_key();
        let start = now();
        let owner = Owner {
            subject: random_key(),
            session: None,
        };
        let mut serial = 0_u64;
        let mut renewal = |dice: &mut Dice, now| {
            serial += 1;
            Renewal {
                sealed: Bytes::from(format!("{seed}-{serial}")),
                access_expires_at: dice.about(now),
                expires_at: now.saturating_add(Duration::from_secs(1_000 + dice.roll(10))),
            }
        };
        let ends_at = start.saturating_add(Duration::from_secs(1_005));
        let mut model = Record::new(renewal(&mut dice, start), ends_at);
        store.create(key, owner, model.clone()).await.unwrap();
        for step in 0..40 {
            let generation = model.generation.saturating_sub(dice.roll(4) / 3);
            let fence = Fence::from_u64(model.fence.as_u64().saturating_sub(dice.roll(4) / 3));
            let about = format!("seed {seed}, step {step}, {model:?}");
            let stored = match dice.roll(3) {
                0 => {
                    let lease = dice.seconds(3);
                    let stored = store
                        .try_lease(key, generation, lease)
                        .await
                        .unwrap()
                        .unwrap();
                    let expected = model.try_lease(stored.now, generation, lease);
                    assert_eq!(stored.outcome, expected, "{about}");
                    stored.record
                }
                1 => {
                    let renewal = renewal(&mut dice, now());
                    let committed = store.commit(key, fence, generation, renewal.clone()).await;
                    let stored = committed.unwrap().unwrap();
                    let expected = model.commit(stored.now, fence, generation, renewal);
                    assert_eq!(stored.outcome, expected, "{about}");
                    stored.record
                }
                _ => {
                    let settlement = match dice.roll(6) {
                        0..=2 => Settlement::Unspent(dice.about(now())),
                        3 | 4 => Settlement::Uncertain,
                        _ => Settlement::Ended(EndReason::Rejected),
                    };
                    let stored = store.settle(key, fence, settlement).await.unwrap().unwrap();
                    let expected = model.settle(stored.now, fence, settlement);
                    assert_eq!(stored.outcome, expected, "{about}");
                    stored.record
                }
            };
            assert_eq!(stored, model, "{about}");
            if matches!(model.state, RefreshState::Dead(_)) {
                break;
            }
        }
    }
}

#[tokio::test]
#[ignore = "needs redis-server; the full test run brings it"]
async fn a_record_of_a_newer_format_is_refused_and_not_misread() {
    let redis = Redis::start(&[]);
    let store = redis.store();
    let key = random_key();
    let owner = Owner {
        subject: random_key(),
        session: None,
    };
    let later = now().saturating_add(Duration::from_secs(100));
    let renewal = Renewal {
        sealed: Bytes::from_static(b"x"),
        access_expires_at: later,
        expires_at: later,
    };
    store
        .create(key, owner, Record::new(renewal, later))
        .await
        .unwrap();
    let mut connection = ::redis::Client::open(redis.url())
        .unwrap()
        .get_connection()
        .unwrap();
    let name: Vec<String> = connection.keys("tower-oidc:session:*").unwrap();
    let _: i64 = connection.hset(&name[0], "v", "2").unwrap();
    let error = store.load(key).await.unwrap_err();
    assert_eq!(error.kind(), tower_oidc::error::StoreErrorKind::TooNew);
    assert!(error.to_string().contains("upgrade"), "{error}");
}

/// Three processes of one site, their store and provider, and a browser that is signed in. Cookies
/// know no ports, so that each process sees the same.
struct Replicas {
    redis: Redis,
    idp: Program,
    webs: Vec<Program>,
    ports: Vec<String>,
    origin: String,
    jar: Arc<reqwest::cookie::Jar>,
    browser: reqwest::Client,
}

impl Replicas {
    async fn start() -> Self {
        let redis = Redis::start(&[]);
        let ports: Vec<_> = (0..3).map(|_| free_port().to_string()).collect();
        let origin = format!("http://127.0.0.1:{}", ports[0]);
        let idp = provider(&json!({"lifetime": 5, "origin": origin}).to_string());
        let (issuer, url) = (idp.address(), redis.url());
        let webs = ports.iter().map(|port| {
            let mut environment = settings(&issuer, &origin);
            environment.retain(|(name, _)| *name != "RUST_LOG");
            environment.push(("PORT", port));
            environment.push(("REDIS_URL", &url));
            Program::start(&mut example("web", &environment), "listening on ")
        });
        let webs = webs.collect();
        let jar = Arc::new(reqwest::cookie::Jar::default());
        let browser = reqwest::Client::builder()
            .cookie_provider(Arc::clone(&jar))
            .build()
            .unwrap();
        let start = browser.get(format!("{origin}/oauth/openid?return_to=/"));
        let page = start.header("accept", "text/html").send().await.unwrap();
        assert!(page.text().await.unwrap().contains("user-1"));
        Self {
            redis,
            idp,
            webs,
            ports,
            origin,
            jar,
            browser,
        }
    }

    fn at(&self, replica: usize, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.ports[replica % 3])
    }

    async fn status(&self, replica: usize, path: &str) -> StatusCode {
        let request = self.browser.get(self.at(replica, path));
        request.send().await.unwrap().status()
    }

    async fn set_fault(&self, mode: &str) {
        let url = format!("{}/test/fault?mode={mode}", self.idp.address());
        self.browser.post(url).send().await.unwrap();
    }

    async fn counts(&self) -> Value {
        let url = format!("{}/test/counts", self.idp.address());
        reqwest::get(url).await.unwrap().json().await.unwrap()
    }

    /// Ends a replica as a machine's failure would.
    fn kill(&self, replica: usize) {
        let pid = self.webs[replica].pid().to_string();
        let status = Command::new("kill").args(["-KILL", &pid]).status();
        assert!(status.unwrap().success());
    }

    /// What the browser holds.
    fn handle(&self) -> String {
        let cookies = self.jar.cookies(&self.origin.parse().unwrap()).unwrap();
        let mut pairs = cookies.to_str().unwrap().split("; ");
        let handle = pairs.find_map(|pair| pair.strip_prefix("session="));
        handle.unwrap().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, Node and oidc-provider; the full test run brings them"]
async fn three_processes_a_thousand_requests_and_one_grant() {
    let site = Replicas::start().await;
    for round in 1..=2 {
        tokio::time::sleep(Duration::from_secs(6)).await;
        let requests: Vec<_> = (0..1_000)
            .map(|at| tokio::spawn(site.browser.get(site.at(at, "/api/me")).send()))
            .collect();
        for request in requests {
            let answer = request.await.unwrap().unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
            let me: Value = answer.json().await.unwrap();
            assert_eq!(me["renewals"], round);
        }
        assert_eq!(
            site.counts().await,
            json!({"refreshes": round, "reuses": 0})
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, Node and oidc-provider; the full test run brings them"]
async fn sc_07_nothing_can_be_read_in_the_store_and_every_key_ends() {
    let site = Replicas::start().await;
    let handle = site.handle();
    let dump = site.redis.dump();
    for secret in [
        handle.as_bytes(),
        b"eyJhbGciOi",
        b"user-1",
        b"refresh_token",
        b"access_token",
    ] {
        let is_there = dump.windows(secret.len()).any(|part| part == secret);
        assert!(!is_there, "{}", String::from_utf8_lossy(secret));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, Node and oidc-provider; the full test run brings them"]
async fn a_store_that_hangs_signs_nobody_out_and_signing_out_holds_everywhere() {
    let site = Replicas::start().await;
    site.redis.signal("-STOP");
    let started = Instant::now();
    for path in ["/api/me", "/readyz"] {
        assert_eq!(site.status(1, path).await, StatusCode::SERVICE_UNAVAILABLE);
    }
    let took = started.elapsed();
    assert!(took < Duration::from_secs(15), "{took:?}");
    site.redis.signal("-CONT");
    let started = Instant::now();
    while site.status(1, "/api/me").await != StatusCode::OK {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "it does not heal"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(site.status(1, "/readyz").await, StatusCode::OK);

    let handle = site.handle();
    let answer = site
        .browser
        .post(site.at(0, "/oauth/openid/logout"))
        .header("origin", &site.origin)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let replayed = reqwest::Client::new()
        .get(site.at(2, "/api/me"))
        .header("cookie", format!("session={handle}"))
        .send()
        .await
        .unwrap();
    assert_eq!(replayed.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, Node and oidc-provider; the full test run brings them"]
async fn d7_a_process_killed_after_the_commit_has_lost_nothing() {
    let site = Replicas::start().await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(site.status(0, "/api/me").await, StatusCode::OK);
    site.kill(0);
    for replica in [1, 2] {
        assert_eq!(site.status(replica, "/api/me").await, StatusCode::OK);
    }
    assert_eq!(site.counts().await, json!({"refreshes": 1, "reuses": 0}));
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(site.status(2, "/api/me").await, StatusCode::OK);
    assert_eq!(site.counts().await, json!({"refreshes": 2, "reuses": 0}));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, Node and oidc-provider; the full test run brings them"]
async fn d7_a_process_killed_after_the_token_was_sent_ends_in_one_probe_and_a_clean_sign_in() {
    let site = Replicas::start().await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    site.set_fault("late").await;
    let holder = site.browser.get(site.at(0, "/api/me")).send();
    let left = tokio::time::timeout(Duration::from_millis(500), holder).await;
    assert!(left.is_err(), "the grant is under way");
    site.kill(0);
    site.set_fault("none").await;
    // Until the lease ends nobody else spends the token; nobody is sent away either.
    assert_eq!(
        site.status(1, "/api/me").await,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(site.counts().await["reuses"], 0);
    let started = Instant::now();
    loop {
        match site.status(1, "/api/me").await {
            StatusCode::SERVICE_UNAVAILABLE => {
                assert!(
                    started.elapsed() < Duration::from_secs(30),
                    "it does not end"
                );
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            status => {
                assert_eq!(status, StatusCode::UNAUTHORIZED);
                break;
            }
        }
    }
    // One probe found out that the provider had rotated, and nobody tries again.
    for replica in [1, 2] {
        assert_eq!(
            site.status(replica, "/api/me").await,
            StatusCode::UNAUTHORIZED
        );
    }
    assert_eq!(site.counts().await, json!({"refreshes": 1, "reuses": 1}));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, Node and oidc-provider; the full test run brings them"]
async fn d7_a_process_killed_while_the_provider_did_nothing_costs_no_session() {
    let site = Replicas::start().await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    site.set_fault("stall").await;
    let holder = site.browser.get(site.at(0, "/api/me")).send();
    let left = tokio::time::timeout(Duration::from_millis(500), holder).await;
    assert!(left.is_err(), "the grant is under way");
    site.kill(0);
    site.set_fault("none").await;
    let started = Instant::now();
    while site.status(1, "/api/me").await != StatusCode::OK {
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "it does not heal"
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(
        site.counts().await,
        json!({"refreshes": 1, "reuses": 0}),
        "the probe"
    );
    assert_eq!(site.status(2, "/api/me").await, StatusCode::OK);
}
