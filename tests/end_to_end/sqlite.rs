//! Three processes of one site on one file of SQLite, which another program locks at the worst of times.

use std::time::Duration;

use reqwest::StatusCode;
use sqlx::{Connection as _, SqliteConnection};

use crate::stores::kills::{LEASE, begin_for, is_lost_with_one_probe};
use crate::stores::replicas::Replicas;
use crate::stores::server::Kind;

/// Another program that writes to the file and does not end.
async fn lock(site: &Replicas) -> SqliteConnection {
    let mut other = SqliteConnection::connect(&site.server().url())
        .await
        .unwrap();
    let begun = sqlx::query("BEGIN IMMEDIATE").execute(&mut other);
    begun.await.unwrap();
    other
}

async fn unlock(mut other: SqliteConnection) {
    let ended = sqlx::query("ROLLBACK").execute(&mut other);
    ended.await.unwrap();
}

/// A site whose first process has spent the refresh token, and cannot write down what came of it.
async fn with_a_commit_that_cannot_be_written() -> (Replicas, SqliteConnection) {
    let site = Replicas::start(Kind::Sqlite).await;
    site.expiry().await;
    site.set_fault("slow").await;
    begin_for(&site, 0, Duration::from_millis(250)).await;
    let other = lock(&site).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(site.grants().await, (1, 0));
    (site, other)
}

// D7, D31
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Node and oidc-provider; the full test run brings them"]
async fn three_processes_on_one_file_are_one_grant() {
    let site = Replicas::start(Kind::Sqlite).await;
    for grants in 1..=3 {
        site.expiry().await;
        let answers = site.burst(300).await;
        assert!(answers.iter().all(|status| *status == StatusCode::OK));
        assert_eq!(site.grants().await, (grants, 0));
    }
}

// D7, D31
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Node and oidc-provider; the full test run brings them"]
async fn killed_between_answer_and_write_to_a_file_ends_in_a_sign_in() {
    let (site, other) = with_a_commit_that_cannot_be_written().await;
    site.kill(0);
    unlock(other).await;
    site.set_fault("none").await;
    is_lost_with_one_probe(&site).await;
}

// D7, D31
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Node and oidc-provider; the full test run brings them"]
async fn a_commit_to_a_locked_file_is_written_when_it_is_free() {
    let (site, other) = with_a_commit_that_cannot_be_written().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    site.set_fault("none").await;
    unlock(other).await;
    for replica in [1, 0, 2] {
        site.until(replica, StatusCode::OK, LEASE).await;
    }
    site.expiry().await;
    assert_eq!(site.status(2, "/api/me").await, StatusCode::OK);
    // Its tokens may have expired meanwhile, and none was spent twice.
    assert_eq!(site.grants().await.1, 0);
}
