//! `docs/rules.md` §17: limits on size, and on what an attacker can make grow.

use http::StatusCode;
use tower_oidc::{Rejection, VerifyErrorKind};

use crate::support::{API, Api, judging_as};

// LM-04
#[tokio::test]
async fn a_token_that_is_too_long_is_refused_unread() {
    let api = Api::start().await;
    let filler = "x".repeat(20 << 10);
    let long = api.token().claim("filler", &filler).build();
    let answer = api.with_token(&long).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let rejection = answer.extensions().get::<Rejection>().unwrap();
    assert_eq!(
        rejection.verify_error().unwrap().kind(),
        VerifyErrorKind::TooLarge
    );
    assert_eq!(api.idp.hits().discovery, 0);

    let long_header = api.token().header("filler", "x".repeat(9 << 10)).build();
    assert_eq!(api.verdict(&long_header).await, "too_large");

    let patient = judging_as(&api.provider, API)
        .with_max_token_size(64 << 10)
        .build()
        .unwrap();
    assert_eq!(crate::support::verdict(&patient, &long).await, "accepted");
    for size in [0, 255, (1 << 20) + 1] {
        assert!(
            judging_as(&api.provider, API)
                .with_max_token_size(size)
                .build()
                .is_err()
        );
    }
}

// F50
#[tokio::test]
async fn a_user_in_five_hundred_groups_gets_in() {
    let api = Api::start().await;
    let groups: Vec<_> = (0..300)
        .map(|n| format!("8eaef023-2b34-4da1-9baa-{n:012}"))
        .collect();
    let token = api.token().claim("groups", &groups).build();
    assert!(token.len() < 16 << 10, "{}", token.len());
    assert_eq!(api.verdict(&token).await, "accepted");
}

// JS-16
#[tokio::test]
async fn deep_nesting_and_many_members_are_survived() {
    let api = Api::start().await;
    let once = api.token().claims_json();
    for filler in [
        format!("{}{}", "[".repeat(4_000), "]".repeat(4_000)),
        format!("{}1{}", "{\"a\":".repeat(1_500), "}".repeat(1_500)),
        format!("[{}]", vec!["1"; 4_000].join(",")),
    ] {
        for name in ["x", "nbf", "aud2"] {
            let claims = format!("{{\"{name}\":{filler},{}", &once[1..]);
            let _ = api.verdict(api.token().claims_text(&claims).build()).await;
        }
    }
    let many: Vec<_> = (0..1_400).map(|n| format!("\"{n}\":1")).collect();
    let claims = format!("{{{},{}", many.join(","), &once[1..]);
    assert_eq!(
        api.verdict(api.token().claims_text(&claims).build()).await,
        "accepted"
    );
    // Deep claims pass the verifier. Reading them is an error, not a crash.
    let deep = format!(
        "{{\"x\":{}{},{}",
        "[".repeat(4_000),
        "]".repeat(4_000),
        &once[1..]
    );
    let token = api.token().claims_text(&deep).build();
    if let Ok(principal) = api.verifier.verify(&token).await {
        assert!(principal.claims::<serde_json::Value>().is_err());
    }
}
