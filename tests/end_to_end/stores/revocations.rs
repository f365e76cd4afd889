//! Revocations that processes share through a real store.

use std::time::Duration;

use rstest::rstest;
use tower_oidc::login::SessionStore;
use tower_oidc::testing::DevelopmentProvider;
use tower_oidc::{Clock as _, Revocations, SystemClock, Verifier};

use super::proxy::{Line, Proxy};
use super::server::Kind;

const API: &str = "https://api.example.com";

struct Process {
    revocations: Revocations,
    verifier: Verifier,
}

impl Process {
    async fn start(idp: &DevelopmentProvider, store: impl SessionStore) -> Self {
        let revocations = Revocations::new();
        revocations.share_through(store).await.unwrap();
        let provider = idp.provider().unwrap();
        let verifier = Verifier::builder(&provider, API).with_revocations(&revocations);
        Self {
            revocations,
            verifier: verifier.build().unwrap(),
        }
    }

    async fn comes_to_refuse(&self, token: &str) {
        for _ in 0..1_000 {
            if self.verifier.verify(token).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it was not refused within ten seconds");
    }
}

#[rstest]
// D39
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, PostgreSQL; the full test run brings them"]
async fn what_two_processes_revoke_is_known_to_all(
    #[values(Kind::Redis, Kind::Postgres, Kind::Sqlite)] kind: Kind,
) {
    let server = kind.start();
    let store = || server.store();
    let idp = DevelopmentProvider::start().await.unwrap();
    let one = Process::start(&idp, store()).await;
    let other = Process::start(&idp, store()).await;
    let until = SystemClock::new()
        .now()
        .saturating_add(Duration::from_secs(3_600));
    // More than one page of them.
    let names: Vec<_> = (0..300).map(|at| format!("token-{at}")).collect();
    let token = |name: &str| idp.token(API).claim("jti", name).build();
    let good = token("another");
    for (at, name) in names.iter().enumerate() {
        let by = if at % 2 == 0 { &one } else { &other };
        by.revocations
            .revoke_token(idp.issuer(), name, until)
            .unwrap();
    }
    for process in [&one, &other] {
        process.revocations.shared().await.unwrap();
    }
    let later = Process::start(&idp, store()).await;
    for name in &names {
        let token = token(name);
        assert!(later.verifier.verify(&token).await.is_err(), "{name}");
        for process in [&one, &other] {
            process.comes_to_refuse(&token).await;
        }
    }
    for process in [&one, &other, &later] {
        process.verifier.verify(&good).await.unwrap();
    }
}

#[rstest]
// D39
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, PostgreSQL; the full test run brings them"]
async fn a_process_that_was_cut_off_tells_of_revocations_later(
    #[values(Kind::Redis, Kind::Postgres)] kind: Kind,
) {
    let server = kind.start();
    let line = Proxy::to(server.port()).await;
    let revocations = Revocations::new();
    let store = kind.store(&server.url_behind(&line));
    revocations.share_through(store).await.unwrap();
    line.is_now(Line::Cut);
    revocations
        .end_session("https://id.example", "one")
        .unwrap();
    assert!(revocations.shared().await.is_err());
    line.is_now(Line::Good);
    for _ in 0..20 {
        if revocations.shared().await.is_ok() {
            return;
        }
    }
    panic!("it was not told after the store had come back");
}
