//! The `hyper` example as a program.

use reqwest::StatusCode;
use serde_json::Value;
use tower_oidc::testing::DevelopmentProvider;

use crate::programs::{Program, example};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts the example as a program; the full test run builds it first"]
async fn a_plain_hyper_service_verifies_tokens_and_stops_when_it_is_asked() {
    let idp = DevelopmentProvider::builder().start().await.unwrap();
    let audience = "https://api.example.com";
    let settings = [
        ("OPENID_ISSUER", idp.issuer()),
        ("OPENID_AUDIENCE", audience),
    ];
    let program = Program::start(&mut example("hyper", &settings), "listening on ");
    // One client, whose connection is open when the program is asked to stop.
    let client = reqwest::Client::new();
    let get = async |path: &str, token: Option<String>| {
        let request = client.get(format!("{}{path}", program.address()));
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let answer = request.send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    };
    let token = |scope: &str| Some(idp.token(audience).subject("ada").scope(scope).build());
    assert_eq!(get("/healthz", None).await.0, StatusCode::OK);
    assert_eq!(get("/me", None).await.0, StatusCode::UNAUTHORIZED);
    let (status, body) = get("/me", token("")).await;
    let me: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &me["sub"]), (StatusCode::OK, &"ada".into()));
    assert_eq!(get("/messages", token("")).await.0, StatusCode::FORBIDDEN);
    let (status, body) = get("/messages", token("read:messages")).await;
    assert_eq!(status, StatusCode::OK);
    assert!(body.contains("hello, ada"), "{body}");
    let expired = idp.token(audience).expired().build();
    assert_eq!(get("/me", Some(expired)).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(get("/elsewhere", None).await.0, StatusCode::NOT_FOUND);
    let (code, log) = program.stop();
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("have not ended"), "{log}");
}

#[test]
#[ignore = "starts the example as a program; the full test run builds it first"]
fn a_plain_hyper_service_starts_without_settings_and_prints_calls_to_copy() {
    let program = Program::start(
        &mut example("hyper", &[]),
        "curl -i -H 'Authorization: Bearer ey",
    );
    assert!(program.address().ends_with("/messages"));
}
