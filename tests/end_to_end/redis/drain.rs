//! A process that is asked to stop while it refreshes sessions.

use std::time::Duration;

use redis::Commands;
use reqwest::StatusCode;
use tower_oidc::login::{Record, RefreshState};

use super::replicas::Replicas;

const SESSIONS: u64 = 20;

// D7, RT-04
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, Node and oidc-provider; the full test run brings them"]
async fn a_replica_that_is_asked_to_stop_stores_what_it_refreshes() {
    let mut site = Replicas::start().await;
    let mut browsers = Vec::new();
    for _ in 0..SESSIONS {
        browsers.push(site.another_browser().await);
    }
    let (before, _) = site.grants().await;
    site.expiry().await;
    // The provider rotates at once, and answers a second later.
    site.set_fault("late").await;
    let url = site.at(0, "/api/me");
    let requests: Vec<_> = browsers
        .iter()
        .map(|browser| {
            let request = browser.get(&url).timeout(Duration::from_millis(400)).send();
            tokio::spawn(request)
        })
        .collect();
    for request in requests {
        // The browsers leave, and the refreshes go on without them.
        assert!(request.await.unwrap().unwrap_err().is_timeout());
    }
    assert_eq!(leases(&site), SESSIONS, "they are under way");
    assert_eq!(site.stop(0).await, Some(0));
    assert_eq!(leases(&site), 0);
    site.set_fault("none").await;
    assert_eq!(site.grants().await, (before + SESSIONS, 0));
    for browser in &browsers {
        let answer = browser.get(site.at(0, "/api/me")).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    }
    assert_eq!(site.grants().await.1, 0, "no token was sent twice");
}

/// How many sessions are leased.
fn leases(site: &Replicas) -> u64 {
    let mut connection = site.redis().connection();
    let names: Vec<String> = connection.keys("tower-oidc:session:*").unwrap();
    let records = names.iter().filter_map(|name| {
        let bytes: Option<Vec<u8>> = connection.hget(name, "d").unwrap();
        Record::decode(&bytes?.into())
    });
    let is_leased = |record: &Record| matches!(record.state, RefreshState::Leased { .. });
    records.filter(is_leased).map(|_| 1).sum()
}
