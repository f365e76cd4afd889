//! An allow-list of clients.

use http::StatusCode;
use serde_json::{Value, json};
use tower_oidc::{Provider, Verifier, VerifierBuilder};

use crate::browser::{App, Browser};
use crate::support::{API, Api, parameter};

/// The claims that name the client.
const NAMED_BY: [&str; 4] = ["client_id", "azp", "cid", "appid"];

async fn api() -> Api {
    Api::verifying(|verifier| verifier.allow_clients(["shop", "admin"])).await
}

fn token(api: &Api, claims: &[(&str, Value)]) -> String {
    let bare = NAMED_BY.into_iter().fold(
        api.token(),
        tower_oidc::testing::TokenBuilder::without_claim,
    );
    claims
        .iter()
        .fold(bare, |token, (name, value)| token.claim(name, value))
        .build()
}

// CL-15
#[tokio::test]
async fn only_tokens_of_listed_clients_are_accepted() {
    let api = api().await;
    for (claims, expected) in [
        (&[("azp", json!("shop"))][..], "accepted"),
        (&[("client_id", json!("admin"))], "accepted"),
        (&[("cid", json!("shop"))], "accepted"),
        (&[("appid", json!("shop"))], "accepted"),
        (&[("azp", json!("other"))], "client_not_allowed"),
        (
            &[("azp", json!("shop")), ("client_id", json!("other"))],
            "client_not_allowed",
        ),
        (&[("azp", json!(["shop"]))], "invalid_claim"),
        (&[("azp", json!(["other", "shop"]))], "invalid_claim"),
        (&[("client_id", json!({"shop": 1}))], "invalid_claim"),
        (&[], "missing_claim"),
    ] {
        // The second time it would be remembered, had it been accepted.
        for _ in 0..2 {
            let token = token(&api, claims);
            assert_eq!(api.verdict(&token).await, expected, "{claims:?}");
        }
    }
    // Without a list each of them passes.
    let open = Verifier::builder(&api.provider, API).build().unwrap();
    let token = token(&api, &[("azp", json!(["other"]))]);
    assert!(open.verify(&token).await.is_ok());
}

// CL-15, BT-18
#[tokio::test]
async fn the_caller_is_not_told_of_the_list() {
    let api = api().await;
    let answer = api
        .with_token(token(&api, &[("azp", json!("other"))]))
        .await;
    let audience = api
        .with_token(api.token().claim("aud", "other").build())
        .await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(parameter(&answer, "error").unwrap(), "invalid_token");
    assert_eq!(answer.headers(), audience.headers());
    assert_eq!(answer.body(), audience.body());
}

// CL-15
#[tokio::test]
async fn a_site_signs_in_whatever_clients_may_call_its_api() {
    let app = App::verifying(
        |verifier: VerifierBuilder| verifier.allow_clients(["mobile"]),
        |login| login,
    )
    .await;
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    assert_eq!(browser.visit(&app, "/").await.body(), "user-1");
    // Renewed as well.
    app.hour_passes();
    assert_eq!(browser.visit(&app, "/").await.body(), "user-1");
}

// CL-15
#[test]
fn a_list_that_allows_none_does_not_build() {
    let provider = Provider::discover("https://id.example").unwrap();
    for list in [&[][..], &[""], &["shop", ""]] {
        let builder = Verifier::builder(&provider, API);
        let error = builder.allow_clients(list.iter().copied()).build();
        assert_eq!(error.unwrap_err().setting(), "allowed clients", "{list:?}");
    }
}
