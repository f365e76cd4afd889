//! What every store must do, on every kind of server.

use std::process::Command;
use std::time::{Duration, Instant};

use tower_oidc::login::{RedisStore, SessionStore};

use super::server::Redis;
use crate::programs::{Program, example};
use crate::stores::records::{passes_the_suite, random_key};
use crate::stores::server::certificates;
use crate::web::{free_port, settings};

/// Servers that were told of each other agree a moment later.
async fn agreed(store: impl Fn() -> RedisStore) -> RedisStore {
    let started = Instant::now();
    loop {
        let store = store();
        match store.load(random_key()).await {
            Ok(_) => return store,
            Err(error) => assert!(started.elapsed() < Duration::from_secs(20), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

// D14
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; the full test run brings it"]
async fn one_server_passes_the_suite() {
    let redis = Redis::start(&[]);
    passes_the_suite(redis.store()).await;
}

// D14
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs valkey-server; the full test run brings it"]
async fn valkey_passes_the_suite() {
    let valkey = Redis::start_program("valkey-server", &[]);
    passes_the_suite(valkey.store()).await;
}

// D14
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; the full test run brings it"]
async fn a_cluster_of_three_passes_the_suite() {
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
    passes_the_suite(agreed(store).await).await;
}

// D14
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; the full test run brings it"]
async fn a_server_behind_sentinels_passes_the_suite() {
    let master = Redis::start(&["--requirepass", "hunter2", "--masterauth", "hunter2"]);
    let sentinel = Redis::start_sentinel(&master, "mymaster");
    let mut connection = sentinel.connection();
    let set: String = redis::cmd("SENTINEL")
        .arg(&["SET", "mymaster", "auth-pass", "hunter2"])
        .query(&mut connection)
        .unwrap();
    assert_eq!(set, "OK");
    let (one, other) = (sentinel.url(), format!("redis://127.0.0.1:{}", free_port()));
    let store = || RedisStore::sentinel([&*other, &*one], "redis://:hunter2@mymaster/0").unwrap();
    passes_the_suite(agreed(store).await).await;
    let unknown = RedisStore::sentinel([&*one], "redis://:hunter2@another/0").unwrap();
    let error = unknown.load(random_key()).await.unwrap_err();
    assert!(error.to_string().contains("does not answer"), "{error}");
}

// D14
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; the full test run brings it"]
async fn tls_a_user_and_a_password_are_used_and_checked() {
    let folder = certificates();
    // May run scripts on its own keys and channel, and nothing else.
    let user = [
        "--user",
        "web",
        "on",
        ">hunter2",
        "~shop:*",
        "&shop:*",
        "+@all",
        "-@dangerous",
        "--user",
        "default",
        "off",
    ];
    let redis = Redis::start_with_tls(&folder, &user);
    let idp = tower_oidc::testing::DevelopmentProvider::start()
        .await
        .unwrap();
    let issuer = idp.issuer().to_owned();
    let ready = async |url: &str, trusted: bool| {
        let port = free_port().to_string();
        let origin = format!("http://127.0.0.1:{port}");
        let mut environment = settings(&issuer, &origin);
        let authority = folder.join("cert.pem");
        environment.extend([
            ("PORT", &*port),
            ("REDIS_URL", url),
            ("REDIS_KEY_PREFIX", "shop"),
        ]);
        if trusted {
            environment.push(("SSL_CERT_FILE", authority.to_str().unwrap()));
        }
        let web = Program::start(&mut example("web", &environment), "listening on ");
        let answer = reqwest::get(format!("{origin}/readyz")).await.unwrap();
        let status = answer.status().as_u16();
        let (_, log) = web.stop();
        assert!(!log.contains("hunter2"), "{log}");
        status
    };
    let at = |user: &str, host: &str| format!("rediss://{user}@{host}:{}", redis.port);
    assert_eq!(ready(&at("web:hunter2", "localhost"), true).await, 200);
    assert_eq!(ready(&at("web:hunter3", "localhost"), true).await, 503);
    assert_eq!(ready(&at("web:hunter2", "localhost"), false).await, 503);
    assert_eq!(ready(&at("web:hunter2", "127.0.0.1"), true).await, 503);
    std::fs::remove_dir_all(&folder).unwrap();
}
