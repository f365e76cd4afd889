//! The client of the `openidconnect` crate: an independent relying party that the development provider satisfies, and
//! an application whose tokens are taken over.

use http::StatusCode;
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthenticationFlow, CoreClaimName, CoreClaimType, CoreClient,
    CoreClientAuthMethod, CoreDeviceAuthorizationResponse, CoreGrantType, CoreIdTokenClaims,
    CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm,
    CoreProviderMetadata, CoreResponseMode, CoreResponseType, CoreSubjectIdentifierType,
    CoreTokenResponse, CoreUserInfoClaims,
};
use openidconnect::{
    AccessTokenHash, AdditionalProviderMetadata, AuthorizationCode, ClaimsVerificationError,
    ClientId, ClientSecret, CsrfToken, DeviceAuthorizationUrl, EndpointMaybeSet, EndpointNotSet,
    EndpointSet, HttpRequest, HttpResponse, IssuerUrl, Nonce, OAuth2TokenResponse as _,
    PkceCodeChallenge, ProviderMetadata, RedirectUrl, Scope, SignatureVerificationError,
    TokenResponse as _, TokenUrl,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tower_oidc::login::{Adopted, ObtainedTokens, SentNonce};
use tower_oidc::testing::{Endpoint, Fault, OfflineProvider};
use tower_oidc::{ConfigError, LoginErrorKind as Kind, Provider};

use crate::browser::{App, Browser, SITE, at_provider, builder, query};
use crate::log::Log;
use crate::support::{API, judging, until};

type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// The application's HTTP client.
async fn send(request: HttpRequest) -> Result<HttpResponse, reqwest::Error> {
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    let answer = client.execute(request.try_into()?).await?;
    let mut response = HttpResponse::default();
    *response.status_mut() = answer.status();
    *response.headers_mut() = answer.headers().clone();
    *response.body_mut() = answer.bytes().await?.to_vec();
    Ok(response)
}

async fn metadata(app: &App) -> CoreProviderMetadata {
    let issuer = IssuerUrl::new(app.idp.issuer().to_owned()).unwrap();
    CoreProviderMetadata::discover_async(issuer, &send)
        .await
        .unwrap()
}

fn client(metadata: CoreProviderMetadata) -> Client {
    let secret = ClientSecret::new("development-secret".to_owned());
    let id = ClientId::new("development".to_owned());
    let callback = RedirectUrl::new(format!("{SITE}/own/callback")).unwrap();
    CoreClient::from_provider_metadata(metadata, id, Some(secret)).set_redirect_uri(callback)
}

/// A sign-in by the application's own routes, up to its token response.
async fn sign_in(client: &Client) -> (CoreTokenResponse, Nonce) {
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (url, state, nonce) = client
        .authorize_url(
            CoreAuthenticationFlow::AuthorizationCode,
            CsrfToken::new_random,
            Nonce::new_random,
        )
        .add_scope(Scope::new("offline_access".to_owned()))
        .add_extra_param("audience", API)
        .set_pkce_challenge(challenge)
        .url();
    let callback = at_provider(url.as_str()).await;
    let answer = query(&callback);
    assert_eq!(&answer["state"], state.secret());
    let code = AuthorizationCode::new(answer["code"].clone());
    let response = client
        .exchange_code(code)
        .unwrap()
        .set_pkce_verifier(verifier)
        .request_async(&send)
        .await;
    (response.unwrap(), nonce)
}

async fn adopt(
    app: &App,
    response: &CoreTokenResponse,
    nonce: &Nonce,
    browser: &mut Browser,
) -> Result<Adopted, Kind> {
    let headers = browser.navigation("/own/callback").headers().clone();
    let sent = SentNonce::Is(nonce.secret());
    let adopted = app.layer.adopt(&headers, response, sent).await;
    let adopted = adopted.map_err(|error| error.kind())?;
    let mut answer = http::Response::new(String::new());
    let cookie = adopted.set_cookie().clone();
    answer.headers_mut().insert("set-cookie", cookie);
    browser.take_cookies(&answer);
    Ok(adopted)
}

// D32
#[tokio::test]
async fn an_application_of_openidconnect_hands_its_tokens_over() {
    let app = App::start().await;
    let client = client(metadata(&app).await);
    let (response, nonce) = sign_in(&client).await;
    let mut browser = Browser::default();
    let other = Nonce::new_random();
    let refused = adopt(&app, &response, &other, &mut browser).await;
    assert_eq!(refused.map(|_| ()), Err(Kind::IdTokenRefused));
    let adopted = adopt(&app, &response, &nonce, &mut browser).await.unwrap();
    // The claims in the application's own type, and what its own verifier says.
    let claims: CoreIdTokenClaims = adopted.session().id_claims().unwrap();
    let verifier = client.id_token_verifier();
    let theirs = response.id_token().unwrap().claims(&verifier, &nonce);
    let document = |claims: &CoreIdTokenClaims| serde_json::to_value(claims).unwrap();
    assert_eq!(document(&claims), document(theirs.unwrap()));
    assert_eq!(claims.subject().as_str(), "user-1");
    assert_eq!(claims.email().unwrap().as_str(), "user-1@example.com");
    // From here on the session is this crate's.
    assert_eq!(browser.visit(&app, "/").await.body(), "user-1");
    app.hour_passes();
    assert_eq!(browser.visit(&app, "/").await.body(), "user-1");
    assert_eq!(app.session().renewals(), 1);
    assert_eq!(app.idp.hits().refreshed, 1);
    let claims: CoreIdTokenClaims = app.session().id_claims().unwrap();
    assert_eq!(claims.nonce().unwrap().secret(), nonce.secret());
}

// D32
#[tokio::test]
async fn another_token_type_than_bearer_is_not_taken_over() {
    let app = App::start().await;
    let (response, nonce) = sign_in(&client(metadata(&app).await)).await;
    let mut document = serde_json::to_value(&response).unwrap();
    for (token_type, is_taken) in [("mac", false), ("DPoP", false), ("BEARER", true)] {
        document["token_type"] = json!(token_type);
        let response: CoreTokenResponse = serde_json::from_value(document.clone()).unwrap();
        let adopted = adopt(&app, &response, &nonce, &mut Browser::default()).await;
        let expected = if is_taken {
            Ok(())
        } else {
            Err(Kind::TokenRefused)
        };
        assert_eq!(adopted.map(|_| ()), expected, "{token_type}");
    }
}

// D32
#[tokio::test]
async fn the_provider_satisfies_an_independent_relying_party() {
    let app = App::start().await;
    let client = client(metadata(&app).await);
    let (response, nonce) = sign_in(&client).await;
    let id_token = response.id_token().unwrap();
    let verifier = client.id_token_verifier();
    let claims = id_token.claims(&verifier, &nonce).unwrap();
    let hash = AccessTokenHash::from_token(
        response.access_token(),
        id_token.signing_alg().unwrap(),
        id_token.signing_key(&verifier).unwrap(),
    );
    assert_eq!(claims.access_token_hash(), Some(&hash.unwrap()));
    let userinfo = client.user_info(
        response.access_token().clone(),
        Some(claims.subject().clone()),
    );
    let userinfo: CoreUserInfoClaims = userinfo.unwrap().request_async(&send).await.unwrap();
    assert!(userinfo.nickname().is_some());
    let refresh = |response: &CoreTokenResponse| response.refresh_token().unwrap().clone();
    let spent = refresh(&response);
    let renewed = client.exchange_refresh_token(&spent).unwrap();
    let renewed = renewed.request_async(&send).await.unwrap();
    assert_ne!(refresh(&renewed).secret(), spent.secret());
    let again = renewed
        .id_token()
        .unwrap()
        .claims(&verifier, &nonce)
        .unwrap();
    assert_eq!(again.subject(), claims.subject());
    // A refresh token is spent once, and the second time costs the whole family.
    let replayed = client.exchange_refresh_token(&spent).unwrap();
    assert!(replayed.request_async(&send).await.is_err());
    let renewed = refresh(&renewed);
    let after = client.exchange_refresh_token(&renewed).unwrap();
    assert!(after.request_async(&send).await.is_err());
}

// D32
#[tokio::test]
async fn an_independent_relying_party_refuses_what_is_forged() {
    let app = App::start().await;
    let client = client(metadata(&app).await);
    let verifier = client.id_token_verifier();
    let (response, _) = sign_in(&client).await;
    let id_token = response.id_token().unwrap();
    let wrong = id_token.claims(&verifier, &Nonce::new_random());
    assert!(matches!(
        wrong,
        Err(ClaimsVerificationError::InvalidNonce(_))
    ));
    app.idp.edit_id_token(|token| {
        token.signature(|mut signature| {
            signature[0] ^= 1;
            signature
        })
    });
    let (response, nonce) = sign_in(&client).await;
    let forged = response.id_token().unwrap().claims(&verifier, &nonce);
    assert!(matches!(
        forged,
        Err(ClaimsVerificationError::SignatureVerification(
            SignatureVerificationError::CryptoError(_)
        ))
    ));
    // Without the verifier of the code there are no tokens.
    let (url, _, _) = client
        .authorize_url(
            CoreAuthenticationFlow::AuthorizationCode,
            CsrfToken::new_random,
            Nonce::new_random,
        )
        .set_pkce_challenge(PkceCodeChallenge::new_random_sha256().0)
        .url();
    let code = query(&at_provider(url.as_str()).await)["code"].clone();
    let exchange = client.exchange_code(AuthorizationCode::new(code)).unwrap();
    let exchange = exchange.set_pkce_verifier(PkceCodeChallenge::new_random_sha256().1);
    assert!(exchange.request_async(&send).await.is_err());
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct DeviceEndpoint {
    device_authorization_endpoint: DeviceAuthorizationUrl,
}

impl AdditionalProviderMetadata for DeviceEndpoint {}

type DeviceMetadata = ProviderMetadata<
    DeviceEndpoint,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

// D32
#[tokio::test]
async fn a_device_flow_of_openidconnect_ends_in_a_session() {
    let app = App::start().await;
    let issuer = IssuerUrl::new(app.idp.issuer().to_owned()).unwrap();
    let metadata = DeviceMetadata::discover_async(issuer, &send).await.unwrap();
    let endpoint = metadata.additional_metadata().clone();
    let client = CoreClient::from_provider_metadata(
        metadata,
        ClientId::new("development".to_owned()),
        Some(ClientSecret::new("development-secret".to_owned())),
    )
    .set_device_authorization_url(endpoint.device_authorization_endpoint);
    let details: CoreDeviceAuthorizationResponse = client
        .exchange_device_code()
        .add_scope(Scope::new("offline_access".to_owned()))
        .add_extra_param("audience", API)
        .request_async(&send)
        .await
        .unwrap();
    // The person takes a while, and the device sleeps by the provider's clock.
    let naps = std::cell::Cell::new(0);
    let nap = |duration: std::time::Duration| {
        naps.set(naps.get() + 1);
        // A device that wakes up too early is told to slow down.
        let early = std::time::Duration::from_secs(u64::from(naps.get() == 1) * 2);
        app.clock.advance(duration.saturating_sub(early));
        if naps.get() == 3 {
            app.idp.approve_device(details.user_code().secret(), "ada");
        }
        std::future::ready(())
    };
    let response: CoreTokenResponse = client
        .exchange_device_access_token(&details)
        .unwrap()
        .request_async(&send, nap, None)
        .await
        .unwrap();
    assert_eq!(naps.get(), 3);
    let adopted = app
        .layer
        .adopt(&http::HeaderMap::new(), &response, SentNonce::NotSent)
        .await
        .unwrap();
    assert_eq!(adopted.session().subject(), "ada");
    app.hour_passes();
    adopted.session().access_token().await.unwrap();
    assert_eq!(app.idp.hits().refreshed, 1);
    // Any response does, also of a type of the application's own.
    let tokens = ObtainedTokens::of_response(&response);
    let again = app
        .layer
        .adopt(&http::HeaderMap::new(), tokens, SentNonce::NotSent);
    assert!(again.await.is_err());
}

// D32, DI-01, KS-19
#[tokio::test]
async fn metadata_of_another_issuer_or_by_plain_http_makes_no_provider() {
    let document = |issuer: &str, jwks: &str| -> CoreProviderMetadata {
        let document = json!({
            "issuer": issuer,
            "authorization_endpoint": "https://id.example/authorize",
            "jwks_uri": jwks,
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        });
        serde_json::from_value(document).unwrap()
    };
    let (issuer, jwks) = ("https://id.example", "https://id.example/jwks");
    assert!(Provider::from_metadata(&document(issuer, jwks)).is_ok());
    let error = Provider::from_metadata(&document(issuer, "http://id.example/jwks"));
    let text = error.unwrap_err().to_string();
    assert!(
        text.contains("jwks_uri") && text.contains("https"),
        "{text}"
    );
    for bad in [
        "http://id.example",
        "https://id.example?a=b",
        "https://id.example#a",
    ] {
        let error = Provider::from_metadata(&document(bad, jwks)).unwrap_err();
        assert!(matches!(error, ConfigError::Invalid { .. }), "{error}");
    }
    for (configured, found) in [
        (issuer, "https://evil.example"),
        (issuer, "https://id.example/"),
    ] {
        let built = Provider::builder(configured).with_metadata(&document(found, jwks));
        let text = built.build().unwrap_err().to_string();
        assert!(text.contains(configured) && text.contains(found), "{text}");
    }
    let tenants = document("https://login.example/{tenantid}/v2.0", jwks);
    let text = Provider::from_metadata(&tenants).unwrap_err().to_string();
    assert!(text.contains("tenant"), "{text}");
}

// D32
#[tokio::test]
async fn metadata_with_keys_verifies_tokens_before_anything_is_fetched() {
    let idp = OfflineProvider::new("https://id.example");
    let key = idp.signing_key(tower_oidc::Algorithm::Rs256);
    let http = async |request: HttpRequest| {
        let body = match request.uri().path() {
            "/jwks" => format!("{{\"keys\":[{}]}}", key.public_jwk()),
            _ => json!({
                "issuer": idp.issuer(),
                "authorization_endpoint": "https://id.example/authorize",
                "jwks_uri": "https://id.example/jwks",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
            })
            .to_string(),
        };
        let answer = http::Response::builder().header("content-type", "application/json");
        Ok::<_, std::convert::Infallible>(answer.body(body.into_bytes()).unwrap())
    };
    let issuer = IssuerUrl::new(idp.issuer().to_owned()).unwrap();
    let metadata = CoreProviderMetadata::discover_async(issuer, &http)
        .await
        .unwrap();
    let provider = Provider::from_metadata(&metadata).unwrap();
    assert!(provider.readiness().is_ready());
    let verifier = judging(&provider, API);
    // The address of the provider does not exist, so that nothing can be fetched.
    verifier.verify(&idp.token(API).build()).await.unwrap();
    // The metadata lists RS256 alone.
    let unlisted = idp.token_by(tower_oidc::Algorithm::Es256, API).build();
    assert!(verifier.verify(&unlisted).await.is_err());
}

// D32
#[tokio::test]
async fn what_metadata_says_holds_and_what_it_leaves_out_is_fetched() {
    let mut app = App::start().await;
    // An endpoint under a name of this network.
    let elsewhere = app.idp.token_url().replace("127.0.0.1", "localhost");
    let metadata = metadata(&app)
        .await
        .set_token_endpoint(Some(TokenUrl::new(elsewhere).unwrap()));
    let before = app.idp.hits().discovery;
    let mut discovered: serde_json::Value = reqwest::get(format!(
        "{}/.well-known/openid-configuration",
        app.idp.issuer()
    ))
    .await
    .unwrap()
    .json()
    .await
    .unwrap();
    discovered["token_endpoint"] = json!("http://127.0.0.1:9/token");
    app.idp.set_discovery(discovered.to_string());
    let provider = app.idp.provider_builder().with_metadata(&metadata).build();
    let verifier = judging(&provider.unwrap(), API);
    app.layer = builder(&verifier)
        .with_shared_store(app.store.clone())
        .build()
        .unwrap();
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    until(|| app.idp.hits().discovery > before + 1).await;
    browser.visit(&app, "/").await;
    app.hour_passes();
    assert_eq!(browser.visit(&app, "/").await.body(), "user-1");
    // The types of openidconnect know no revocation.
    app.session().end().await.unwrap();
    until(|| app.idp.hits().revocation == 1).await;
}

// D32, F66
#[tokio::test]
async fn a_provider_without_discovery_signs_in_by_its_metadata_for_ever() {
    let log = Log::default();
    let _guard = log.capture();
    let mut app = App::start().await;
    let metadata = metadata(&app).await;
    app.idp.set_fault(Endpoint::Discovery, Fault::Status(404));
    let provider = app.idp.provider_builder().with_metadata(&metadata).build();
    let verifier = judging(&provider.unwrap(), API);
    app.layer = builder(&verifier)
        .with_shared_store(app.store.clone())
        .build()
        .unwrap();
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    // Longer than metadata that was fetched is used after its time.
    app.clock.advance(std::time::Duration::from_secs(6 * 3_600));
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    assert_eq!(browser.visit(&app, "/").await.body(), "user-1");
    // Keys are renewed by the address in the metadata.
    app.idp.rotate_keys();
    let token = app.idp.token(API).build();
    verifier.verify(&token).await.unwrap();
    assert_eq!(browser.visit(&app, "/").await.status(), StatusCode::OK);
    let told = log.at(tracing::Level::WARN);
    let told = told.iter().filter(|line| line.contains("leaves out"));
    assert_eq!(told.count(), 1, "what is missing is told once");
}
