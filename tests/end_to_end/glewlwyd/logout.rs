//! Signing out, here and there.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;

use super::{Site, parameter};

// LO-01
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Glewlwyd; the full test run brings it"]
async fn signing_out_here_signs_out_at_glewlwyd() {
    let site = Site::start(300, &[("OPENID_REUSE_TOKENS", "false")]);
    site.sign_in().await;
    let page = site.sign_out().await;
    assert_eq!(site.me().await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(site.refresh_tokens().await, (1, 0), "it was revoked");
    // The page of the provider asks whether to sign out there too. It does what this does.
    let asked = |name: &str| parameter(page.url(), name).unwrap();
    assert_eq!(asked("prompt"), "end_session");
    let (session, client) = (asked("sid"), asked("client_id"));
    let ended = format!("/api/oidc/session/{session}");
    let home = form(&[("post_redirect_to", &asked("post_redirect_to"))]);
    let known = format!("{ended}/{client}?{home}");
    let known = site.call("GET", &known, Value::Null).await;
    assert!(known.contains("post_redirect_to"), "it returns: {known}");
    site.call("DELETE", &ended, Value::Null).await;
    site.call("DELETE", "/api/auth/", Value::Null).await;
    let home = site.visit(&asked("callback_url")).await;
    assert_eq!(home.url().as_str(), site.at("/"));
    let text = home.text().await.unwrap();
    assert!(text.contains("You are not signed in"), "{text}");
}

// LO-06, LO-12
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Glewlwyd; the full test run brings it"]
async fn a_session_that_ends_at_glewlwyd_ends_here() {
    let site = Site::start(
        300,
        &[
            ("OPENID_REUSE_TOKENS", "false"),
            ("OPENID_ALLOW_LOGOUT_WITHOUT_EXPIRY", "true"),
        ],
    );
    site.sign_in().await;
    let (status, me) = site.me().await;
    assert_eq!(status, StatusCode::OK);
    let session = me["sid"].as_str().unwrap();
    let session = format!("/api/oidc/session/{session}");
    site.call("DELETE", &session, Value::Null).await;
    let ended = async {
        while site.me().await.0 == StatusCode::OK {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), ended);
    in_time.await.expect("the provider calls the site");
    assert_eq!(site.me().await.0, StatusCode::UNAUTHORIZED);
}

fn form(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}
