//! Processes that end while they hold the lease, at each point of a refresh.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use rstest::rstest;

use super::proxy::{Line, Proxy};
use super::replicas::{Arrangement, Replicas};
use super::server::Kind;

/// Until a lease has ended and a process has noticed.
pub(crate) const LEASE: Duration = Duration::from_secs(30);

/// Sends a request that is not answered for now.
pub(crate) async fn begin(site: &Replicas, replica: usize) {
    begin_for(site, replica, Duration::from_millis(500)).await;
}

/// The same, and waits so long for the answer that does not come.
pub(crate) async fn begin_for(site: &Replicas, replica: usize, time: Duration) {
    let request = site.browser.get(site.at(replica, "/api/me")).send();
    let left = tokio::time::timeout(time, request).await;
    assert!(left.is_err(), "the grant is under way");
}

/// With the first of the replicas killed during its grant, because the provider had this fault.
async fn killed_while_the_provider_is(kind: Kind, fault: &str) -> Replicas {
    let site = Replicas::start(kind).await;
    site.expiry().await;
    site.set_fault(fault).await;
    begin(&site, 0).await;
    site.kill(0);
    site.set_fault("none").await;
    site
}

/// With the first of the replicas behind a line that can go bad.
async fn behind_a_line(kind: Kind) -> (Replicas, Proxy) {
    let arrangement = Arrangement {
        settings: vec![("OPENID_NEAR_CACHE_AGE", "30s".to_owned())],
        ..Arrangement::of(kind)
    };
    Replicas::behind_a_line(1, arrangement).await
}

/// The same, while the first replica waits for the provider's answer.
async fn with_a_slow_grant_under_way(kind: Kind) -> (Replicas, Proxy) {
    let (site, line) = behind_a_line(kind).await;
    site.expiry().await;
    site.set_fault("slow").await;
    begin_for(&site, 0, Duration::from_millis(250)).await;
    (site, line)
}

#[rstest]
// D7
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, PostgreSQL, Node and oidc-provider; the full test run brings them"]
async fn killed_before_the_token_was_sent_costs_no_session(
    #[values(Kind::Redis, Kind::Postgres)] kind: Kind,
) {
    let (site, line) = behind_a_line(kind).await;
    // Once, so that the server knows the scripts, or the connection its statements.
    site.expiry().await;
    assert_eq!(site.status(0, "/api/me").await, StatusCode::OK);
    // By the second time it listens, and keeps what it reads.
    for _ in 0..2 {
        assert_eq!(site.status(0, "/api/me").await, StatusCode::OK);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    site.expiry().await;
    // What it read then is near, so that its first question is for the lease: it gets it, and is
    // never told.
    line.is_now(Line::NoAnswers);
    begin(&site, 0).await;
    let leased = site.server().leases().await;
    // PostgreSQL is first told the statement, on a connection that has not run it, and does nothing before it is asked.
    let may_be_free = matches!(kind, Kind::Postgres);
    assert!(leased == 1 || may_be_free, "the session is leased");
    site.kill(0);
    site.until(1, StatusCode::OK, LEASE).await;
    assert_eq!(site.grants().await, (2, 0));
    assert_eq!(site.status(2, "/api/me").await, StatusCode::OK);
}

#[rstest]
// D7
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, PostgreSQL, Node and oidc-provider; the full test run brings them"]
async fn killed_after_the_token_was_sent_but_before_its_use_costs_no_session(
    #[values(Kind::Redis, Kind::Postgres, Kind::Sqlite)] kind: Kind,
) {
    let site = killed_while_the_provider_is(kind, "stall").await;
    site.until(1, StatusCode::OK, LEASE).await;
    assert_eq!(site.grants().await, (1, 0), "the probe");
    assert_eq!(site.status(2, "/api/me").await, StatusCode::OK);
}

#[rstest]
// D7
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, PostgreSQL, Node and oidc-provider; the full test run brings them"]
async fn killed_while_the_answer_is_on_its_way_ends_in_one_probe_and_a_sign_in(
    #[values(Kind::Redis, Kind::Postgres, Kind::Sqlite)] kind: Kind,
) {
    let site = killed_while_the_provider_is(kind, "late").await;
    is_lost_with_one_probe(&site).await;
}

#[rstest]
// D7
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, PostgreSQL, Node and oidc-provider; the full test run brings them"]
async fn killed_between_answer_and_write_ends_in_one_probe_and_a_sign_in(
    #[values(Kind::Redis, Kind::Postgres)] kind: Kind,
) {
    let (site, line) = with_a_slow_grant_under_way(kind).await;
    // What the provider answers cannot be written down.
    line.is_now(Line::BlackHole);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(site.grants().await, (1, 0));
    site.kill(0);
    site.set_fault("none").await;
    is_lost_with_one_probe(&site).await;
}

#[rstest]
// D7
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, PostgreSQL, Node and oidc-provider; the full test run brings them"]
async fn a_commit_that_could_not_be_written_at_first_is_written_in_the_end(
    #[values(Kind::Redis, Kind::Postgres)] kind: Kind,
) {
    let (site, line) = with_a_slow_grant_under_way(kind).await;
    line.is_now(Line::Cut);
    tokio::time::sleep(Duration::from_secs(3)).await;
    site.set_fault("none").await;
    assert_eq!(site.grants().await, (1, 0), "and the new token is lost");
    // Who waits for it is served as soon as it is written.
    let started = Instant::now();
    let waiting = site.status(1, "/api/me");
    let healing = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        line.is_now(Line::Good);
    };
    let (status, ()) = tokio::join!(waiting, healing);
    assert_eq!(status, StatusCode::OK);
    let took = started.elapsed();
    assert!(took < Duration::from_secs(6), "{took:?}");
    assert_eq!(site.grants().await.1, 0);
}

#[rstest]
// D7, RT-02
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, PostgreSQL, Node and oidc-provider; the full test run brings them"]
async fn killed_after_the_commit_has_lost_nothing(
    #[values(Kind::Redis, Kind::Postgres, Kind::Sqlite)] kind: Kind,
) {
    let site = Replicas::start(kind).await;
    site.expiry().await;
    assert_eq!(site.status(0, "/api/me").await, StatusCode::OK);
    site.kill(0);
    for replica in [1, 2] {
        assert_eq!(site.status(replica, "/api/me").await, StatusCode::OK);
    }
    assert_eq!(site.grants().await, (1, 0));
    site.expiry().await;
    assert_eq!(site.status(2, "/api/me").await, StatusCode::OK);
    assert_eq!(site.grants().await, (2, 0));
}

/// The provider has rotated and the new token is lost: the one loss that no client can prevent.
pub(crate) async fn is_lost_with_one_probe(site: &Replicas) {
    // Until the lease ends no other process spends the token, and no user is sent away.
    assert_eq!(
        site.status(1, "/api/me").await,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(site.grants().await, (1, 0));
    site.until(1, StatusCode::UNAUTHORIZED, LEASE).await;
    // One probe found it out, and no process tries again.
    for replica in [1, 2] {
        assert_eq!(
            site.status(replica, "/api/me").await,
            StatusCode::UNAUTHORIZED
        );
    }
    assert_eq!(site.grants().await, (1, 1));
}
