//! `docs/rules.md` §6: where the metadata is found, and what of it is accepted.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use serde_json::json;
use tower::service_fn;
use tower_oidc::env::ApiSettings;
use tower_oidc::testing::{DevelopmentProvider, Endpoint, Fault, SigningKey};
use tower_oidc::{Algorithm, Discovery, HttpClient, Phase, Provider};

use crate::support::{API, Api, judging, seconds, until, verdict};

fn at(issuer: &str) -> Provider {
    Provider::builder(issuer)
        .danger()
        .allow_http_on_loopback()
        .build()
        .unwrap()
}

// DI-01, DI-09, BT-22
#[tokio::test]
async fn metadata_may_be_reached_by_another_name_and_allowed_http() {
    let idp = DevelopmentProvider::start().await.unwrap();
    let internal = idp.issuer().to_owned();
    let port = url::Url::parse(&internal).unwrap().port().unwrap();
    // As in a network of containers: the public name is not how this service reaches the provider.
    let document = serde_json::json!({
        "issuer": "https://id.example.com",
        "jwks_uri": idp.jwks_url(),
    });
    idp.set_discovery(document.to_string());
    let metadata = format!("{internal}/.well-known/openid-configuration");
    let allowed = format!("127.0.0.1:{port}");
    let with = |more: &[(&str, &str)]| {
        let mut pairs = vec![
            ("OPENID_ISSUER", "https://id.example.com"),
            ("OPENID_AUDIENCE", "a"),
            ("OPENID_METADATA_URL", &*metadata),
        ];
        pairs.extend_from_slice(more);
        ApiSettings::from_pairs(pairs)
    };
    let settings = with(&[("OPENID_ALLOW_HTTP", &allowed)]).unwrap();
    settings.provider().ready().await.unwrap();
    assert!(settings.to_string().contains(&metadata), "{settings}");
    // A document of another issuer is not taken, wherever it is.
    idp.set_discovery(document.to_string().replace("id.example", "other.example"));
    let settings = with(&[("OPENID_ALLOW_HTTP", "127.0.0.1")]).unwrap();
    let error = settings.provider().ready().await.unwrap_err();
    assert_eq!(error.kind().as_str(), "issuer_mismatch", "{error}");

    let other_port = format!("127.0.0.1:{}", port ^ 1);
    for (more, setting) in [
        (&[][..], "OPENID_METADATA_URL"),
        (
            &[("OPENID_ALLOW_HTTP", &*other_port)],
            "OPENID_METADATA_URL",
        ),
        (&[("OPENID_ALLOW_HTTP", "keycloak")], "OPENID_METADATA_URL"),
        (
            &[("OPENID_ALLOW_HTTP", "http://keycloak")],
            "OPENID_ALLOW_HTTP",
        ),
        (
            &[("OPENID_ALLOW_HTTP", "a@keycloak:80")],
            "OPENID_ALLOW_HTTP",
        ),
        (&[("OPENID_ALLOW_HTTP", "keycloak/x")], "OPENID_ALLOW_HTTP"),
    ] {
        assert_eq!(with(more).unwrap_err().setting(), setting, "{more:?}");
    }
}

// DI-01
#[tokio::test]
async fn an_issuer_that_differs_by_a_slash_is_refused_with_both_values() {
    let bare = DevelopmentProvider::start().await.unwrap();
    let slash = DevelopmentProvider::builder()
        .with_path("/")
        .start()
        .await
        .unwrap();
    for (configured, says) in [
        (format!("{}/", bare.issuer()), bare.issuer()),
        (
            slash.issuer().trim_end_matches('/').to_owned(),
            slash.issuer(),
        ),
    ] {
        let error = at(&configured).ready().await.unwrap_err();
        assert_eq!(error.kind().as_str(), "issuer_mismatch");
        assert!(error.kind().is_configuration());
        let text = error.to_string();
        assert!(text.contains(&format!("{configured:?}")), "{text}");
        assert!(text.contains(&format!("{says:?}")), "{text}");
        assert!(
            text.contains("final slash") && text.contains("OPENID_ISSUER"),
            "{text}"
        );
    }
    for idp in [&bare, &slash] {
        let verifier = judging(&at(idp.issuer()), API);
        assert_eq!(
            verdict(&verifier, &idp.token(API).build()).await,
            "accepted"
        );
    }
}

// DI-02
#[tokio::test]
async fn no_doubled_slash_is_requested() {
    for path in ["", "/", "/tenant", "/tenant/"] {
        let idp = DevelopmentProvider::builder()
            .with_path(path)
            .start()
            .await
            .unwrap();
        let verifier = judging(&idp.provider().unwrap(), API);
        assert_eq!(
            verdict(&verifier, &idp.token(API).build()).await,
            "accepted",
            "{path}"
        );
        assert_eq!((idp.hits().discovery, idp.hits().other), (1, 0));
    }
}

// DI-03, DI-05
#[tokio::test]
async fn metadata_can_lie_at_other_places() {
    let idp = DevelopmentProvider::builder()
        .with_path("/tenant")
        .start()
        .await
        .unwrap();
    for discovery in [Discovery::OpenId, Discovery::OAuth, Discovery::Either] {
        let provider = idp
            .provider_builder()
            .with_discovery(discovery)
            .build()
            .unwrap();
        assert!(provider.ready().await.is_ok(), "{discovery:?}");
    }
    // A missing document leads on to the next place, so that all three are tried.
    idp.set_fault(Endpoint::Discovery, Fault::Status(404));
    let before = idp.hits().discovery;
    let provider = idp
        .provider_builder()
        .with_discovery(Discovery::Either)
        .build()
        .unwrap();
    assert!(provider.ready().await.is_err());
    assert_eq!(idp.hits().discovery - before, 3);
    // One that speaks for another issuer ends the search.
    idp.set_fault(Endpoint::Discovery, None);
    idp.set_discovery(
        json!({"issuer": "https://evil.example", "jwks_uri": idp.jwks_url()}).to_string(),
    );
    let before = idp.hits().discovery;
    let provider = idp
        .provider_builder()
        .with_discovery(Discovery::Either)
        .build()
        .unwrap();
    assert_eq!(
        provider.ready().await.unwrap_err().kind().as_str(),
        "issuer_mismatch"
    );
    assert_eq!(idp.hits().discovery - before, 1);
}

/// A provider whose answers take this long, and then are 404; the last of its places answers at once.
fn slow(delay: Duration) -> (Provider, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let service = service_fn(move |request: http::Request<Bytes>| {
        let path = request.uri().path().to_owned();
        seen.lock().unwrap().push(path.clone());
        async move {
            let (status, body) = if path.starts_with("/a/.well-known") {
                (
                    200,
                    json!({"issuer": "https://id.example/a", "jwks_uri": "https://id.example/jwks"}),
                )
            } else if path == "/jwks" {
                let key = SigningKey::generate("k", Algorithm::Es256).public_jwk();
                let key: serde_json::Value = serde_json::from_str(&key).unwrap();
                (200, json!({"keys": [key]}))
            } else {
                tokio::time::sleep(delay).await;
                (404, json!(null))
            };
            let answer = http::Response::builder()
                .status(status)
                .header("content-type", "application/json");
            let body = Full::new(Bytes::from(body.to_string()));
            Ok::<_, Infallible>(answer.body(body).unwrap())
        }
    });
    let provider = Provider::builder("https://id.example/a")
        .with_discovery(Discovery::Either)
        .with_http_client(HttpClient::new(service))
        .build()
        .unwrap();
    (provider, asked)
}

// DI-05
#[tokio::test(start_paused = true)]
async fn places_that_answer_slowly_or_not_at_all_delay_the_search_little() {
    // The limit of a call is five seconds.
    for delay in [Duration::ZERO, seconds(4), seconds(60)] {
        let (provider, asked) = slow(delay);
        let began = tokio::time::Instant::now();
        provider.ready().await.unwrap();
        assert!(
            began.elapsed() <= seconds(2),
            "{delay:?}: {:?}",
            began.elapsed()
        );
        assert_eq!(
            *asked.lock().unwrap(),
            [
                "/.well-known/oauth-authorization-server/a",
                "/.well-known/openid-configuration/a",
                "/a/.well-known/openid-configuration",
                "/jwks",
            ]
        );
    }
}

/// Runs another test in a process in which these variables name the address of a proxy that does not run.
// KS-16
#[test]
fn a_provider_on_loopback_is_not_asked_through_a_proxy() {
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    for name in [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
    ] {
        child.env(name, "http://127.0.0.1:1");
    }
    let output = child
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .args(["--exact", "discovery::no_doubled_slash_is_requested"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
}

// DI-04
#[test]
fn an_issuer_that_is_not_https_or_has_a_query_does_not_build() {
    for bad in [
        "",
        "id.example",
        "http://id.example",
        "https://id.example?a",
        "https://id.example#a",
    ] {
        let error = Provider::discover(bad).unwrap_err();
        assert_eq!(error.setting(), "issuer", "{bad}");
    }
}

// DI-06, DI-09, KS-19
#[tokio::test]
async fn documents_of_another_kind_are_not_used() {
    let issuer = |idp: &DevelopmentProvider| idp.issuer().to_owned();
    let idp = DevelopmentProvider::start().await.unwrap();
    let good = json!({"issuer": issuer(&idp), "jwks_uri": idp.jwks_url()}).to_string();
    let cases = [
        (Fault::Status(204), "status"),
        (Fault::Status(201), "status"),
        (Fault::Redirect(format!("{}/evil", idp.issuer())), "status"),
        (Fault::document("text/html", good.clone()), "invalid_answer"),
        (Fault::json("{}"), "invalid_answer"),
        (
            Fault::json(json!({"issuer": issuer(&idp)}).to_string()),
            "invalid_answer",
        ),
        (
            Fault::json(json!({"issuer": 7, "jwks_uri": idp.jwks_url()}).to_string()),
            "invalid_answer",
        ),
        (
            Fault::json(
                json!({"issuer": issuer(&idp), "jwks_uri": "http://keys.example/"}).to_string(),
            ),
            "insecure_endpoint",
        ),
        (
            Fault::json(
                json!({"issuer": issuer(&idp), "jwks_uri": "file:///etc/passwd"}).to_string(),
            ),
            "insecure_endpoint",
        ),
        (
            Fault::json(json!({"issuer": issuer(&idp), "jwks_uri": "data:,{}"}).to_string()),
            "insecure_endpoint",
        ),
        (Fault::Huge(300 << 10), "too_large"),
    ];
    for (fault, kind) in cases {
        idp.set_fault(Endpoint::Discovery, fault.clone());
        let error = idp.provider().unwrap().ready().await.unwrap_err();
        assert_eq!(error.kind().as_str(), kind, "{fault:?}: {error}");
    }
    assert_eq!((idp.hits().jwks, idp.hits().other), (0, 0));
    idp.set_fault(Endpoint::Discovery, Fault::json(good));
    assert!(idp.provider().unwrap().ready().await.is_ok());
}

// DI-07
#[tokio::test]
async fn metadata_is_read_again_and_a_changed_issuer_is_refused() {
    let api = Api::start().await;
    let token = api.token().expires_in(seconds(90_000)).build();
    assert_eq!(api.verdict(&token).await, "accepted");
    api.idp.set_discovery(
        json!({"issuer": "https://evil.example", "jwks_uri": "https://evil.example/jwks"})
            .to_string(),
    );
    for _ in 0..7 {
        api.clock.advance(seconds(560));
        let before = api.idp.hits().jwks;
        assert_eq!(api.verdict(&token).await, "accepted");
        until(|| api.idp.hits().jwks > before).await;
        until(|| api.provider.readiness().keys == Phase::Fresh).await;
    }
    until(|| api.idp.hits().discovery >= 2).await;
    assert_eq!(
        api.verdict(&token).await,
        "accepted",
        "the old document serves on"
    );
}

// F14
#[tokio::test]
async fn the_environment_names_a_place_and_the_provider_says_its_name() {
    use tower_oidc::env::ApiSettings;
    let idp = DevelopmentProvider::builder()
        .with_path("/")
        .start()
        .await
        .unwrap();
    let place = idp.issuer().trim_end_matches('/');
    let settings =
        ApiSettings::from_pairs([("OPENID_ISSUER", place), ("OPENID_AUDIENCE", API)]).unwrap();
    let verifier = settings.verifier();
    assert_eq!(verdict(verifier, &idp.token(API).build()).await, "accepted");
    // Only the name that the provider uses is accepted, not both.
    let other_name = idp.token(API).claim("iss", place).build();
    assert_eq!(verdict(verifier, &other_name).await, "wrong_issuer");
}

#[tokio::test]
async fn providers_without_a_client_and_out_of_bounds_do_not_build() {
    let builder = || Provider::builder("https://id.example");
    for error in [
        builder()
            .with_key_lifetime(seconds(59))
            .build()
            .unwrap_err(),
        builder()
            .with_key_lifetime(seconds(86_401))
            .build()
            .unwrap_err(),
        builder()
            .with_stale_limit(seconds(86_401))
            .build()
            .unwrap_err(),
        builder().with_call_timeout(seconds(0)).build().unwrap_err(),
        builder()
            .with_call_timeout(seconds(61))
            .build()
            .unwrap_err(),
    ] {
        assert!(error.to_string().contains("choose from"), "{error}");
    }
}

// DI-01
#[tokio::test]
async fn the_address_of_the_metadata_does_as_well_as_the_issuer() {
    let idp = DevelopmentProvider::start().await.unwrap();
    let url = format!("{}/.well-known/openid-configuration", idp.issuer());
    let provider = at(&url);
    provider.ready().await.unwrap();
    assert_eq!(provider.issuer().as_str(), idp.issuer());
    let provider = Provider::discover("https://id.example/a/.well-known/openid-configuration");
    assert_eq!(provider.unwrap().issuer().as_str(), "https://id.example/a");
    for other in [
        "https://id.example/.well-known/oauth-authorization-server",
        "https://id.example/.well-known/oauth-authorization-server/a",
        "https://id.example/.well-known/openid-configuration/a",
        "https://id.example/.well-known/jwks.json",
    ] {
        let error = Provider::discover(other).unwrap_err().to_string();
        assert!(error.contains("what comes before /.well-known/"), "{error}");
    }
}
