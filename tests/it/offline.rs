//! The provider in memory does what the one on a port does.

use bytes::Bytes;
use http::Request;
use http::header::AUTHORIZATION;
use http_body_util::Empty;
use tower::{Layer, ServiceExt, service_fn};
use tower_oidc::error::ProviderErrorKind;
use tower_oidc::outbound::{ClientCredentials, Target};
use tower_oidc::testing::{Endpoint, Fault, ManualClock, OfflineProvider, SigningKey};
use tower_oidc::{Algorithm, Client, OutboundLayer};

use crate::support::{API, judging, seconds, verdict};

const ISSUER: &str = "https://id.example/tenant";

#[tokio::test]
async fn tokens_of_an_offline_provider_are_judged_like_any_other() {
    let clock = ManualClock::new();
    let idp = OfflineProvider::builder(ISSUER)
        .with_clock(clock.clone())
        .build();
    let verifier = judging(&idp.provider().unwrap(), API);
    let token = idp.token(API).build();
    assert_eq!(verdict(&verifier, &token).await, "accepted");
    assert_eq!(
        verdict(&verifier, &idp.token("other").build()).await,
        "wrong_audience"
    );
    for algorithm in Algorithm::DEFAULT {
        let token = idp.token_by(algorithm, API).build();
        assert_eq!(verdict(&verifier, &token).await, "accepted", "{algorithm}");
    }
    let hits = idp.hits();
    assert_eq!((hits.discovery, hits.jwks), (1, 1));
    idp.rotate_keys();
    assert_eq!(
        verdict(&verifier, &idp.token(API).build()).await,
        "accepted"
    );
    assert_eq!(idp.hits().jwks, 2, "the new keys are fetched");
    clock.advance(seconds(3_700));
    assert_eq!(verdict(&verifier, &token).await, "expired");
}

#[tokio::test]
async fn an_offline_provider_signs_with_the_keys_it_is_given() {
    let key = std::sync::Arc::new(SigningKey::generate("mine", Algorithm::Es256));
    let idp = OfflineProvider::builder(ISSUER).with_keys([key]).build();
    let verifier = judging(&idp.provider().unwrap(), API);
    let token = idp.token_by(Algorithm::Es256, API).build();
    assert_eq!(verdict(&verifier, &token).await, "accepted");
    let key = idp.signing_key(Algorithm::Es256);
    let header = r#"{"alg":"ES256","kid":"mine","typ":"at+jwt"}"#;
    let signed = key.sign_compact(header, idp.token_by(Algorithm::Es256, API).claims_json());
    assert_eq!(verdict(&verifier, &signed).await, "accepted");
    idp.set_jwks(r#"{"keys":[]}"#);
    let other = judging(&idp.provider().unwrap(), API);
    assert_eq!(verdict(&other, &token).await, "unavailable");
}

#[tokio::test]
async fn the_token_endpoint_of_an_offline_provider_answers_as_told() {
    let idp = OfflineProvider::new(ISSUER);
    let call = async || {
        let client = Client::with_secret("development", "development-secret").unwrap();
        let target = Target::audience(API).unwrap();
        let tokens = ClientCredentials::new(&idp.provider().unwrap(), client, target);
        let layer = OutboundLayer::new("https://orders.internal", tokens).unwrap();
        let upstream = service_fn(|request: Request<Empty<Bytes>>| async move {
            let value = request.headers()[AUTHORIZATION].to_str().unwrap();
            Ok::<_, tower::BoxError>(http::Response::new(value.to_owned()))
        });
        let request = Request::get("https://orders.internal/")
            .body(Empty::new())
            .unwrap();
        let answer = layer.layer(upstream).oneshot(request).await?;
        Ok::<_, tower::BoxError>(answer.into_body())
    };
    let verifier = judging(&idp.provider().unwrap(), API);
    let value = call().await.unwrap();
    let token = value.strip_prefix("Bearer ").unwrap();
    assert_eq!(verdict(&verifier, token).await, "accepted");

    idp.set_token_answer(|form| {
        assert!(form.contains(&("grant_type".to_owned(), "client_credentials".to_owned())));
        r#"{"access_token":"mine","token_type":"Bearer","expires_in":60}"#.to_owned()
    });
    assert_eq!(call().await.unwrap(), "Bearer mine");
    assert_eq!(idp.hits().token, 2);

    idp.set_fault(Endpoint::Token, Fault::error(401, "invalid_client"));
    assert!(call().await.is_err());
}

#[tokio::test]
async fn an_offline_provider_sends_the_browser_of_a_known_client_back() {
    let idp = OfflineProvider::new(ISSUER);
    idp.set_user("ann");
    let url = |client: &str| {
        format!(
            "https://id.example/authorize?client_id={client}&response_type=code&state=s\
             &redirect_uri=https%3A%2F%2Fapp.example%2Fback&code_challenge=c\
             &code_challenge_method=S256&scope=openid"
        )
    };
    let callback = idp.sign_in(&url("development")).unwrap();
    assert!(
        callback.starts_with("https://app.example/back?code="),
        "{callback}"
    );
    assert!(
        callback.ends_with("&state=s&iss=https%3A%2F%2Fid.example%2Ftenant"),
        "{callback}"
    );
    for wrong in [&url("stranger"), "https://id.example/authorize", "no URL"] {
        let error = idp.sign_in(wrong).unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::RequestRefused, "{wrong}");
    }
}
