//! Sessions that are refreshed, and one whose refresh token is spent.

use std::time::Duration;

use reqwest::StatusCode;

use super::Site;
use crate::api::RESOURCE;
use crate::durable::Folder;

/// Access tokens live this many seconds.
const LIFETIME: u32 = 5;

async fn until_the_token_is_over() {
    tokio::time::sleep(Duration::from_secs(u64::from(LIFETIME) + 1)).await;
}

// RT-01, RT-02
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Glewlwyd; the full test run brings it"]
async fn a_hundred_requests_at_expiry_are_one_grant_at_glewlwyd() {
    let tolerance = ("OPENID_CLOCK_TOLERANCE", "0");
    let token_mode = [
        ("OPENID_RESOURCE", RESOURCE),
        ("OPENID_AUDIENCE", RESOURCE),
        tolerance,
    ];
    let identity_mode = [("OPENID_REUSE_TOKENS", "false"), tolerance];
    let lives_on = async |more: &[(&str, &str)]| {
        let mut site = Site::start(LIFETIME, more);
        site.sign_in().await;
        assert_eq!(site.refresh_tokens().await, (1, 1));
        for round in 1..=2 {
            until_the_token_is_over().await;
            let requests: Vec<_> = (0..100)
                .map(|_| tokio::spawn(site.browser.get(site.at("/api/me")).send()))
                .collect();
            for request in requests {
                assert_eq!(request.await.unwrap().unwrap().status(), StatusCode::OK);
            }
            assert_eq!(site.me().await.1["renewals"], round);
            // A token for each grant, and the last one alone is good: no spent one was sent again.
            assert_eq!(site.refresh_tokens().await, (1 + round, 1));
        }
        let log = site.stop();
        assert!(!log.contains(" ERROR "), "{log}");
    };
    tokio::join!(lives_on(&token_mode), lives_on(&identity_mode));
}

/// Copies a database of SQLite with the files beside it that hold what is not yet in it.
fn copy_database(folder: &Folder, from: &str, to: &str) {
    for ending in ["", "-wal", "-shm"] {
        let [from, to] = [from, to].map(|name| folder.path(&format!("{name}{ending}")));
        let _ = std::fs::remove_file(&to);
        if std::fs::exists(&from).unwrap() {
            std::fs::copy(from, to).unwrap();
        }
    }
}

// D9
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Glewlwyd; the full test run brings it"]
async fn a_refresh_token_that_glewlwyd_calls_spent_ends_the_session() {
    let folder = Folder::new();
    let database = format!("sqlite:{}", folder.path("sessions.db"));
    let mut site = Site::start(
        LIFETIME,
        &[
            ("OPENID_RESOURCE", RESOURCE),
            ("OPENID_AUDIENCE", RESOURCE),
            ("OPENID_CLOCK_TOLERANCE", "0"),
            ("DATABASE_URL", &database),
        ],
    );
    site.sign_in().await;
    // A backup of the sessions, and a refresh after it.
    site.stop();
    copy_database(&folder, "sessions.db", "backup.db");
    site.restart();
    until_the_token_is_over().await;
    assert_eq!(site.me().await.1["renewals"], 1);
    site.stop();
    assert_eq!(site.refresh_tokens().await, (2, 1));

    // The backup is put back, with the token that was spent since.
    copy_database(&folder, "backup.db", "sessions.db");
    site.restart();
    for _ in 0..3 {
        assert_eq!(site.me().await.0, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(site.refresh_tokens().await, (2, 0), "the sign-in is over");
    assert!(site.sign_in().await.contains("Hello"));
    assert_eq!(site.me().await.0, StatusCode::OK);
    assert_eq!(site.refresh_tokens().await, (3, 1));
    let log = site.stop();
    let answers = log.matches("the token endpoint answered 400 Bad Request with an empty body");
    assert!(answers.count() > 0, "{log}");
}
