//! The device flow of the development provider (RFC 8628), as a device without any library sees it.

use std::time::Duration;

use http::StatusCode;
use serde_json::Value;

use crate::browser::App;
use crate::support::API;

const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

async fn post(url: &str, fields: &[(&str, &str)]) -> (StatusCode, Value) {
    let form = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    let asked = reqwest::Client::new()
        .post(url)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    let answer = asked.send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

struct Device {
    token_url: String,
    codes: Value,
}

impl Device {
    async fn at(app: &App) -> Self {
        let discovery = format!("{}/.well-known/openid-configuration", app.idp.issuer());
        let metadata: Value = reqwest::get(discovery).await.unwrap().json().await.unwrap();
        assert!(
            metadata["grant_types_supported"]
                .to_string()
                .contains(DEVICE_CODE)
        );
        let endpoint = metadata["device_authorization_endpoint"].as_str().unwrap();
        let fields = [
            ("client_id", "development-public"),
            ("scope", "openid offline_access"),
            ("audience", API),
        ];
        let (status, codes) = post(endpoint, &fields).await;
        assert_eq!(status, StatusCode::OK, "{codes}");
        Self {
            token_url: app.idp.token_url(),
            codes,
        }
    }

    fn text(&self, name: &str) -> &str {
        self.codes[name].as_str().unwrap()
    }

    /// What a poll is answered: `tokens`, or the code of the error.
    async fn poll(&self) -> String {
        self.poll_as("development-public").await
    }

    async fn poll_as(&self, client: &str) -> String {
        let mut fields = vec![
            ("grant_type", DEVICE_CODE),
            ("device_code", self.text("device_code")),
            ("client_id", client),
        ];
        fields.extend((client == "development").then_some(("client_secret", "development-secret")));
        match post(&self.token_url, &fields).await {
            (StatusCode::OK, answer) => {
                assert!(answer["refresh_token"].is_string(), "{answer}");
                assert!(answer["id_token"].is_string(), "{answer}");
                "tokens".to_owned()
            }
            (status, answer) => {
                assert_eq!(status, StatusCode::BAD_REQUEST);
                answer["error"].as_str().unwrap().to_owned()
            }
        }
    }
}

async fn page(url: &str) -> (StatusCode, String) {
    let answer = reqwest::get(url).await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

// D32
#[tokio::test]
async fn a_device_waits_for_its_person_and_slows_down_when_told() {
    let app = App::start().await;
    let device = Device::at(&app).await;
    let passes = |seconds| app.clock.advance(Duration::from_secs(seconds));
    assert_eq!(device.poll().await, "authorization_pending");
    passes(4);
    assert_eq!(device.poll().await, "slow_down");
    passes(9);
    assert_eq!(
        device.poll().await,
        "slow_down",
        "five seconds more each time"
    );
    passes(15);
    assert_eq!(device.poll().await, "authorization_pending");
    passes(15);
    assert_eq!(
        device.poll_as("development").await,
        "invalid_grant",
        "another client"
    );
    app.idp.approve_device(device.text("user_code"), "ada");
    assert_eq!(device.poll().await, "tokens");
    passes(15);
    assert_eq!(device.poll().await, "invalid_grant", "a code is used once");
    assert_eq!(app.idp.hits().device_authorization, 1);
}

// D32
#[tokio::test]
async fn a_device_is_refused_or_comes_too_late() {
    let app = App::start().await;
    let denied = Device::at(&app).await;
    app.idp.deny_device(denied.text("user_code"));
    assert_eq!(denied.poll().await, "access_denied");
    let late = Device::at(&app).await;
    app.clock.advance(Duration::from_secs(600));
    assert_eq!(late.poll().await, "expired_token");
    let (status, _) = page(late.text("verification_uri_complete")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let endpoint = app
        .idp
        .token_url()
        .replace("/token", "/device_authorization");
    let fields = [("client_id", "development-public"), ("scope", "profile")];
    let (_, answer) = post(&endpoint, &fields).await;
    assert_eq!(answer["error"], "invalid_scope");
}

// D32
#[tokio::test]
async fn a_visit_to_the_page_of_the_code_approves_the_device() {
    let app = App::start().await;
    let device = Device::at(&app).await;
    let (_, form) = page(device.text("verification_uri")).await;
    assert!(form.contains("name=\"user_code\""), "{form}");
    let typed = device.text("user_code").to_lowercase().replace('-', "");
    let typed = format!("{}?user_code={typed}", device.text("verification_uri"));
    let (status, text) = page(&typed).await;
    assert!(
        status.is_success() && text.contains("is signed in"),
        "{text}"
    );
    assert_eq!(device.poll().await, "tokens");

    let idp = tower_oidc::testing::DevelopmentProvider::builder()
        .with_sign_in_page()
        .start()
        .await
        .unwrap();
    let app = App { idp, ..app };
    let device = Device::at(&app).await;
    let (_, choice) = page(device.text("verification_uri_complete")).await;
    for shown in ["I am user-2", "Refuse to sign in", device.text("user_code")] {
        assert!(choice.contains(shown), "{choice}");
    }
    assert_eq!(
        device.poll().await,
        "authorization_pending",
        "nothing is chosen yet"
    );
    let device = Device::at(&app).await;
    let refused = format!(
        "{}&development_user=",
        device.text("verification_uri_complete")
    );
    let (_, text) = page(&refused).await;
    assert!(text.contains("is not signed in"), "{text}");
    assert_eq!(device.poll().await, "access_denied");
}
