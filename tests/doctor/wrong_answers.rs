//! What the provider answers, and what is wrong with it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tower_oidc::doctor::Shape;
use tower_oidc::testing::{DevelopmentProvider, Endpoint, Fault};

use crate::setup::{API, Expected, Settings, assert_wrong, codes, examined, keys, metadata};

/// A provider with this fault of its metadata or keys, and an API.
async fn with_fault(
    idp: &DevelopmentProvider,
    set_up: &str,
    (endpoint, fault): (Endpoint, Fault),
    expected: Expected,
) {
    idp.set_fault(endpoint, fault);
    let settings = Settings::api(idp.issuer()).with("OPENID_REQUEST_TIMEOUT", "300");
    let report = examined(&settings, Shape::Api).await;
    assert_wrong(set_up, &report, expected);
}

#[tokio::test]
async fn metadata_that_is_not_there_is_found_with_its_cure() {
    let idp = DevelopmentProvider::start().await.unwrap();
    let at = "OPENID_ISSUER";
    let elsewhere = Fault::Redirect("https://id.example/new".to_owned());
    let page = Fault::document("text/html", "<html>");
    let cases = [
        (
            "a 404",
            Fault::Status(404),
            ("discovery_missing", at, "OPENID_DISCOVERY=either"),
        ),
        (
            "a 502",
            Fault::Status(502),
            ("discovery_unreachable", at, "proxy"),
        ),
        (
            "a redirect",
            elsewhere,
            ("discovery_redirected", at, "https://id.example/new"),
        ),
        (
            "broken JSON",
            Fault::broken_json(),
            ("discovery_invalid", at, "issuer"),
        ),
        ("a page", page, ("discovery_invalid", at, "issuer")),
        (
            "no answer",
            Fault::Stall,
            ("discovery_slow", "OPENID_REQUEST_TIMEOUT", "HTTPS_PROXY"),
        ),
    ];
    for (set_up, fault, expected) in cases {
        with_fault(&idp, set_up, (Endpoint::Discovery, fault), expected).await;
    }
    let nowhere = Settings::api("http://127.0.0.1:9");
    let report = examined(&nowhere, Shape::Api).await;
    assert_wrong(
        "no provider",
        &report,
        ("discovery_unreachable", at, "OPENID_METADATA_URL"),
    );
}

#[tokio::test]
async fn keys_that_are_not_there_are_found_with_their_cure() {
    let idp = DevelopmentProvider::start().await.unwrap();
    let symmetric = Fault::json(r#"{"keys":[{"kty":"oct","k":"AA","kid":"a"}]}"#);
    let empty = Fault::json(r#"{"keys":[]}"#);
    let cases = [
        (
            "a 500",
            Fault::Status(500),
            ("keys_unreachable", "", "OPENID_JWKS_URL"),
        ),
        ("a symmetric key", symmetric, ("keys_unusable", "", "RS256")),
        (
            "no set",
            Fault::json("{}"),
            ("keys_invalid", "", "array named keys"),
        ),
        ("an empty set", empty, ("keys_unusable", "", "RS256")),
    ];
    for (set_up, fault, expected) in cases {
        with_fault(&idp, set_up, (Endpoint::Jwks, fault), expected).await;
    }
}

#[tokio::test]
async fn a_clock_that_differs_is_found_with_its_cure() {
    let idp = DevelopmentProvider::start().await.unwrap();
    let headers = [
        ("content-type", "application/json"),
        ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let fault = Fault::Answer {
        status: 200,
        headers: headers.into(),
        body: metadata(&idp, |_| {}).await.into(),
    };
    let expected = ("clock_differs", "OPENID_CLOCK_TOLERANCE", "NTP");
    with_fault(&idp, "an old date", (Endpoint::Discovery, fault), expected).await;
}

#[tokio::test]
async fn each_wrong_key_set_is_found_with_its_cure() {
    let idp = DevelopmentProvider::start().await.unwrap();
    let api = Settings::api(idp.issuer());
    let report = examined(&api.clone().with("OPENID_ALGORITHMS", "PS512"), Shape::Api).await;
    let cure = "OPENID_ALGORITHMS=RS256";
    assert_wrong(
        "an algorithm without a key",
        &report,
        ("algorithm_without_key", "OPENID_ALGORITHMS", cure),
    );
    let report = examined(
        &api.clone().with("OPENID_ALGORITHMS", "RS256,PS512"),
        Shape::Api,
    )
    .await;
    assert!(
        report.is_well() && codes(&report).contains(&"algorithm_without_key"),
        "{report}"
    );

    // Two different keys of one name and algorithm.
    let mut set = keys(&idp).await;
    idp.rotate_keys();
    idp.drop_retired_keys();
    let other = keys(&idp).await;
    let mut copy = other["keys"][0].clone();
    copy["kid"] = set["keys"][0]["kid"].clone();
    set["keys"].as_array_mut().unwrap().push(copy);
    idp.set_jwks(set.to_string());
    let report = examined(&api, Shape::Api).await;
    assert_wrong(
        "two keys of one name",
        &report,
        ("kid_twice", "", "a kid of its own"),
    );

    // One that cannot be used beside others that can.
    set["keys"].as_array_mut().unwrap().pop();
    set["keys"]
        .as_array_mut()
        .unwrap()
        .push(json!({"kty": "oct", "k": "AA"}));
    idp.set_jwks(set.to_string());
    let report = examined(&api, Shape::Api).await;
    assert!(
        report.is_well() && codes(&report).contains(&"key_left_out"),
        "{report}"
    );

    let path = std::env::temp_dir().join(format!("tower-oidc-doctor-{}.json", std::process::id()));
    std::fs::write(&path, set.to_string()).unwrap();
    let settings = api.clone().with("OPENID_JWKS_FILE", path.to_str().unwrap());
    let report = examined(&settings, Shape::Api).await;
    std::fs::remove_file(&path).unwrap();
    assert!(
        report.is_well() && codes(&report).contains(&"keys_right"),
        "{report}"
    );
    let report = examined(
        &api.with("OPENID_JWKS_URL", idp.token_url().as_str()),
        Shape::Api,
    )
    .await;
    assert_wrong(
        "another address of keys",
        &report,
        (
            "keys_unreachable",
            "OPENID_JWKS_URL",
            "remove OPENID_JWKS_URL",
        ),
    );
}

#[tokio::test]
async fn what_the_token_endpoint_says_is_found_with_its_cure() {
    let idp = DevelopmentProvider::start().await.unwrap();
    let site = Settings::site(idp.issuer());
    let report = examined(
        &site.clone().with("OPENID_CLIENT_SECRET", "wrong"),
        Shape::Site,
    )
    .await;
    assert_wrong(
        "a wrong secret",
        &report,
        (
            "client_refused",
            "OPENID_CLIENT_SECRET",
            "copy id and secret",
        ),
    );
    let opaque = site.clone().without("OPENID_AUDIENCE");
    let report = examined(&opaque, Shape::Site).await;
    assert_wrong(
        "no audience",
        &report,
        ("token_opaque", "OPENID_AUDIENCE", "OPENID_AUDIENCE"),
    );
    let identity = opaque.with("OPENID_REUSE_TOKENS", "false");
    let report = examined(&identity, Shape::Site).await;
    assert!(
        report.is_well() && codes(&report).contains(&"client_right"),
        "{report}"
    );

    idp.set_fault(Endpoint::Token, Fault::error(400, "invalid_target"));
    let report = examined(&site, Shape::Site).await;
    assert_wrong(
        "an unknown audience",
        &report,
        (
            "target_refused",
            "OPENID_AUDIENCE",
            "character by character",
        ),
    );
    idp.set_fault(Endpoint::Token, Fault::error(400, "unauthorized_client"));
    let report = examined(&site, Shape::Site).await;
    assert!(
        report.is_well(),
        "a site needs no tokens of its own: {report}"
    );
    let report = examined(&site, Shape::Service).await;
    assert_wrong(
        "no client credentials",
        &report,
        (
            "client_credentials_refused",
            "OPENID_CLIENT_ID",
            "client_credentials",
        ),
    );
    idp.set_fault(Endpoint::Token, None);

    idp.edit_access_token(|token| token.claim("aud", "https://other.example"));
    let report = examined(&site, Shape::Site).await;
    assert_wrong(
        "another audience",
        &report,
        ("token_wrong_audience", "OPENID_AUDIENCE", "audience"),
    );
    idp.edit_access_token(|token| token.without_claim("aud"));
    let report = examined(&site, Shape::Site).await;
    assert_wrong(
        "no audience in tokens",
        &report,
        ("token_missing_claim", "OPENID_AUDIENCE", "aud"),
    );
    idp.edit_access_token(|token| {
        token
            .expires_in(Duration::from_secs(1))
            .claim("iat", 4_000_000_000_u64)
    });
    let report = examined(&site, Shape::Site).await;
    assert_wrong(
        "a clock ahead",
        &report,
        ("token_not_yet_valid", "OPENID_CLOCK_TOLERANCE", "clock"),
    );
}

#[tokio::test]
async fn an_answer_that_says_nothing_is_told_as_one_and_its_causes_are_named() {
    let idp = DevelopmentProvider::start().await.unwrap();
    // As Glewlwyd answers a wrong secret, a grant that is not allowed, and a request without a scope.
    idp.set_fault(Endpoint::Token, Fault::Status(403));
    let service = Settings::site(idp.issuer());
    let report = examined(&service, Shape::Service).await;
    let expected = ("token_not_granted", "", "demand a scope (OPENID_SCOPE)");
    assert_wrong("no scope", &report, expected);
    let told = report.wrong().next().unwrap().text();
    assert_eq!(
        told,
        "the token endpoint answered 403 Forbidden with an empty body"
    );
    let scoped = service.clone().with("OPENID_SCOPE", "read:messages");
    let report = examined(&scoped, Shape::Service).await;
    let expected = ("token_not_granted", "", "its secret, the grant");
    assert_wrong("a scope", &report, expected);
    let report = examined(&service, Shape::Site).await;
    assert!(report.is_well(), "a site has no such tokens: {report}");
}

#[tokio::test]
async fn a_token_that_is_not_for_what_a_service_asks_for_is_told() {
    let idp = DevelopmentProvider::start().await.unwrap();
    let service = Settings::site(idp.issuer()).without("OPENID_SESSION_SECRET");
    let other = |report: &tower_oidc::doctor::Report| {
        let code = "token_for_another_audience";
        let found = report.findings().find(|finding| finding.code() == code);
        found.map(|finding| finding.text().to_owned())
    };
    // As Glewlwyd does, which knows no audience in a request.
    idp.edit_access_token(|token| token.claim("aud", "read:messages"));
    let report = examined(&service, Shape::Service).await;
    assert!(report.is_well(), "the API may want no other: {report}");
    let text = other(&report).unwrap();
    assert!(
        text.contains("\"read:messages\"") && text.contains(API),
        "{text}"
    );
    let report = examined(&service.clone().without("OPENID_AUDIENCE"), Shape::Service).await;
    assert_eq!(other(&report), None, "it asks for none");
    idp.edit_access_token(|token| token.claim("aud", vec!["read:messages", API]));
    let report = examined(&service, Shape::Service).await;
    assert_eq!(other(&report), None, "{report}");
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_found_with_its_cure() {
    let idp = DevelopmentProvider::start().await.unwrap();
    let settings = Settings::site(idp.issuer()).with("REDIS_URL", "redis://:hunter2@127.0.0.1:9");
    let report = examined(&settings, Shape::Site).await;
    assert_wrong(
        "no Redis",
        &report,
        ("store_unreachable", "REDIS_URL", "rediss://"),
    );
    assert!(!report.to_string().contains("hunter2"), "{report}");
}

#[tokio::test]
async fn a_certificate_that_nobody_known_signed_is_found_with_its_cure() {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key.into());
    let acceptor = TlsAcceptor::from(Arc::new(config.unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!(
        "https://localhost:{}",
        listener.local_addr().unwrap().port()
    );
    let server = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // The client breaks off.
            let _ = acceptor.accept(stream).await;
        }
    });
    let report = examined(&Settings::api(&issuer), Shape::Api).await;
    server.abort();
    let expected = (
        "discovery_certificate",
        "OPENID_CA_FILE",
        "private authority",
    );
    assert_wrong("a private authority", &report, expected);
}
