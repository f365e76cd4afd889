//! Users who sign in.

use reqwest::StatusCode;
use serde_json::json;

use super::Site;
use crate::api::RESOURCE;

const GREETING: &str = "Hello, The Glewlwyd user-1";

// D20
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Glewlwyd; the full test run brings it"]
async fn glewlwyd_signs_users_in_with_a_token_for_the_resource() {
    let resource = ("OPENID_RESOURCE", RESOURCE);
    let mut site = Site::start(300, &[resource, ("OPENID_AUDIENCE", RESOURCE)]);
    let page = site.sign_in().await;
    assert!(page.contains(GREETING), "{page}");
    assert!(page.contains("user-1@"), "{page}");
    let (status, me) = site.me().await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        (&me["iss"], &me["aud"], &me["via"]),
        (&json!(site.idp.issuer), &json!(RESOURCE), &json!("session"))
    );
    assert_eq!(me["scope"], "openid profile email offline_access");
    let log = site.stop();
    assert!(log.contains("TRACE"), "the log was captured");
    for secret in ["eyJ0eXAiOi", "web-secret", "a session secret", "session="] {
        assert!(!log.contains(secret), "{secret} in the log");
    }
}

// D20
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Glewlwyd; the full test run brings it"]
async fn glewlwyd_signs_users_in_by_their_id_token() {
    let mut site = Site::start(300, &[("OPENID_REUSE_TOKENS", "false")]);
    let page = site.sign_in().await;
    assert!(page.contains(GREETING), "{page}");
    let (status, me) = site.me().await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        (&me["iss"], &me["aud"], &me["email"]),
        (
            &json!(site.idp.issuer),
            &json!("web"),
            &json!("user-1@example.com")
        )
    );
    let log = site.stop();
    assert!(!log.contains(" ERROR "), "{log}");
}

// D20
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Glewlwyd; the full test run brings it"]
async fn what_is_missing_at_glewlwyd_is_named_on_the_page() {
    let mut site = Site::start(300, &[("OPENID_AUDIENCE", RESOURCE)]);
    let unknown = [("OPENID_RESOURCE", "https://unknown.example.com")];
    let secret = [
        ("OPENID_RESOURCE", RESOURCE),
        ("OPENID_CLIENT_SECRET", "wrong"),
    ];
    for (expected, next) in [
        // Without a resource the audience is the list of scopes.
        ("aud is &quot;openid profile", &unknown[..]),
        ("invalid_target", &secret),
        ("unauthorized_client", &[]),
    ] {
        let page = site.start_sign_in().await;
        assert_eq!(page.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let text = page.text().await.unwrap();
        assert!(text.contains(expected), "{expected}: {text}");
        assert_eq!(site.me().await.0, StatusCode::UNAUTHORIZED);
        site.restart_with(next);
    }
}
