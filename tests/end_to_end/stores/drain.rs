//! A process that is asked to stop while it refreshes sessions.

use std::time::Duration;

use reqwest::StatusCode;
use rstest::rstest;

use super::replicas::Replicas;
use super::server::Kind;

const SESSIONS: usize = 20;

#[rstest]
// D7, RT-04
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, PostgreSQL, Node and oidc-provider; the full test run brings them"]
async fn a_replica_that_is_asked_to_stop_stores_what_it_refreshes(
    #[values(Kind::Redis, Kind::Postgres)] kind: Kind,
) {
    let mut site = Replicas::start(kind).await;
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
    // On a busy machine the last of them begin a moment later.
    let mut leased = 0;
    for _ in 0..30 {
        leased = site.server().leases().await;
        if leased == SESSIONS {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(leased, SESSIONS, "they are under way");
    assert_eq!(site.stop(0).await, Some(0));
    assert_eq!(site.server().leases().await, 0);
    site.set_fault("none").await;
    assert_eq!(
        site.grants().await,
        (before + u64::try_from(SESSIONS).unwrap(), 0)
    );
    for browser in &browsers {
        let answer = browser.get(site.at(0, "/api/me")).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    }
    assert_eq!(site.grants().await.1, 0, "no token was sent twice");
}
