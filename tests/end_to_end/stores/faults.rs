//! Three processes while nothing, or something, is wrong with the store and the clocks.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use rstest::rstest;

use super::proxy::{Line, Proxy};
use super::replicas::{Arrangement, LIFETIME, Replicas};
use super::server::Kind;

/// All three behind one line that can go bad.
async fn behind_a_line(kind: Kind) -> (Replicas, Proxy) {
    Replicas::behind_a_line(3, Arrangement::of(kind)).await
}

#[rstest]
// RT-01, RT-07
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, PostgreSQL, Node and oidc-provider; the full test run brings them"]
async fn three_processes_a_thousand_requests_and_one_grant(
    #[values(Kind::Redis, Kind::Postgres)] kind: Kind,
) {
    let site = Replicas::start(kind).await;
    for round in 1..=2 {
        site.expiry().await;
        for status in site.burst(1_000).await {
            assert_eq!(status, StatusCode::OK);
        }
        for replica in 0..3 {
            assert_eq!(site.renewals(replica).await, round);
        }
        assert_eq!(site.grants().await, (round, 0));
    }
}

#[rstest]
// LM-05
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, PostgreSQL, Node, oidc-provider and faketime; the full test run brings them"]
async fn clocks_five_minutes_apart_are_one_grant_and_sign_no_user_out(
    #[values(Kind::Redis, Kind::Postgres)] kind: Kind,
) {
    let clocks = [0, 300, -300];
    let site = Replicas::arranged(Arrangement {
        clocks,
        settings: vec![("OPENID_CLOCK_TOLERANCE", "300".to_owned())],
        ..Arrangement::of(kind)
    })
    .await;
    for (replica, clock) in clocks.into_iter().enumerate() {
        let off = site.clock(replica).await;
        assert!((off - clock).abs() <= 2, "{off} instead of {clock}");
    }
    for round in 1..=2 {
        site.expiry().await;
        for status in site.burst(300).await {
            assert_eq!(status, StatusCode::OK);
        }
        for replica in 0..3 {
            assert_eq!(site.renewals(replica).await, round);
        }
        assert_eq!(site.grants().await, (round, 0));
    }
    // The store's time decides: nothing was due, so nothing was renewed.
    tokio::time::sleep(LIFETIME / 2).await;
    for replica in 0..3 {
        assert_eq!(site.renewals(replica).await, 2);
    }
}

#[rstest]
// SC-07
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, PostgreSQL, Node and oidc-provider; the full test run brings them"]
async fn nothing_can_be_read_in_the_store_and_every_key_ends(
    #[values(Kind::Redis, Kind::Postgres)] kind: Kind,
) {
    let site = Replicas::start(kind).await;
    let handle = site.handle();
    let dump = site.server().dump();
    for secret in [
        handle.as_bytes(),
        b"eyJhbGciOi",
        b"user-1",
        b"refresh_token",
        b"access_token",
        b"a session secret of more",
    ] {
        let is_there = dump.windows(secret.len()).any(|part| part == secret);
        assert!(!is_there, "{}", String::from_utf8_lossy(secret));
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, PostgreSQL, Node and oidc-provider; the full test run brings them"]
async fn a_slow_store_makes_requests_slow_and_nothing_else(
    #[values(Kind::Redis, Kind::Postgres)] kind: Kind,
) {
    let (site, line) = behind_a_line(kind).await;
    line.is_now(Line::Slow(Duration::from_millis(150)));
    for round in 1..=2 {
        site.expiry().await;
        for status in site.burst(300).await {
            assert_eq!(status, StatusCode::OK);
        }
        assert_eq!(site.grants().await, (round, 0));
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, PostgreSQL, Node and oidc-provider; the full test run brings them"]
async fn connections_that_break_sign_no_user_out(
    #[values(Kind::Redis, Kind::Postgres)] kind: Kind,
) {
    let (site, line) = behind_a_line(kind).await;
    site.expiry().await;
    let breaking = async {
        for pause in [5, 20, 60, 150] {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            line.is_now(Line::Cut);
            tokio::time::sleep(Duration::from_millis(30)).await;
            line.is_now(Line::Good);
        }
    };
    let (statuses, ()) = tokio::join!(site.burst(600), breaking);
    for status in statuses {
        let is_fair = [StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE].contains(&status);
        assert!(is_fair, "{status}");
    }
    // A lease whose answer was lost ends by itself.
    site.until(1, StatusCode::OK, Duration::from_secs(30)).await;
    assert_eq!(site.grants().await, (1, 0));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, PostgreSQL, Node and oidc-provider; the full test run brings them"]
async fn a_store_that_is_a_black_hole_signs_no_user_out_and_heals(
    #[values(Kind::Redis, Kind::Postgres)] kind: Kind,
) {
    let (site, line) = behind_a_line(kind).await;
    line.is_now(Line::BlackHole);
    // What was read a moment ago may still be near.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let started = Instant::now();
    let answer = site
        .browser
        .get(site.at(1, "/api/me"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers().contains_key("retry-after"));
    // Probes bring no cookie.
    let probe = async |path| reqwest::get(site.at(1, path)).await.unwrap().status();
    assert_eq!(probe("/readyz").await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(probe("/healthz").await, StatusCode::OK);
    let took = started.elapsed();
    assert!(took < Duration::from_secs(6), "{took:?}");
    line.is_now(Line::Good);
    site.until(1, StatusCode::OK, Duration::from_secs(20)).await;
    let answer = site
        .browser
        .get(site.at(1, "/readyz"))
        .send()
        .await
        .unwrap();
    let status = answer.status();
    assert_eq!(status, StatusCode::OK, "{}", answer.text().await.unwrap());
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, PostgreSQL, Node and oidc-provider; the full test run brings them"]
async fn a_store_that_hangs_signs_no_user_out_and_heals(
    #[values(Kind::Redis, Kind::Postgres)] kind: Kind,
) {
    let site = Replicas::start(kind).await;
    site.server().signal("-STOP");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    for path in ["/api/me", "/readyz"] {
        assert_eq!(site.status(1, path).await, StatusCode::SERVICE_UNAVAILABLE);
    }
    site.server().signal("-CONT");
    site.until(1, StatusCode::OK, Duration::from_secs(20)).await;
    assert_eq!(site.status(1, "/readyz").await, StatusCode::OK);
}
