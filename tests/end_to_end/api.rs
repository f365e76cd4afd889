//! The `api` example as a program, against a certified provider as another.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tower_oidc::Algorithm;
use tower_oidc::testing::{OfflineProvider, SigningKey};

use crate::programs::{Program, example, provider};

async fn token(issuer: &str, parameters: &[(&str, &str)]) -> String {
    token_at(&format!("{issuer}/token"), parameters).await
}

/// An access token of the client `service`.
pub(crate) async fn token_at(url: &str, parameters: &[(&str, &str)]) -> String {
    let mut form: Vec<_> = parameters.to_vec();
    form.push(("grant_type", "client_credentials"));
    form.push(("client_id", "service"));
    form.push(("client_secret", "service-secret"));
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish();
    let answer: Value = reqwest::Client::new()
        .post(url)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    answer["access_token"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"))
        .to_owned()
}

pub(crate) async fn get(url: String, token: Option<&str>) -> reqwest::Response {
    let mut request = reqwest::Client::new().get(url);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    request
        .timeout(Duration::from_secs(20))
        .send()
        .await
        .unwrap()
}

pub(crate) const RESOURCE: &str = "https://api.example.com";

#[tokio::test]
#[ignore = "needs Node and oidc-provider; the full test run brings them"]
async fn tokens_of_a_certified_provider_are_accepted_and_opaque_ones_explained() {
    let idp = provider("{}");
    let issuer = idp.address();
    let api = Program::start(
        &mut example(
            "api",
            &[
                ("OPENID_ISSUER", &issuer),
                ("OPENID_AUDIENCE", RESOURCE),
                ("RUST_LOG", "trace"),
            ],
        ),
        "listening on ",
    );
    let at = |path: &str| format!("{}{path}", api.address());

    let read = token(
        &issuer,
        &[("resource", RESOURCE), ("scope", "read:messages")],
    )
    .await;
    let answer = get(at("/me"), Some(&read)).await;
    assert_eq!(answer.status(), 200);
    let me: Value = answer.json().await.unwrap();
    assert_eq!((&me["iss"], &me["aud"]), (&json!(issuer), &json!(RESOURCE)));
    assert_eq!(
        (&me["sub"], &me["scope"]),
        (&json!("service"), &json!("read:messages"))
    );
    assert!(me["exp"].is_u64());
    assert_eq!(get(at("/messages"), Some(&read)).await.status(), 200);
    for algorithm in ["ES256", "EdDSA"] {
        let resource = format!("{RESOURCE}/?alg={algorithm}");
        let token = token(&issuer, &[("resource", &resource)]).await;
        assert_eq!(
            get(at("/me"), Some(&token)).await.status(),
            200,
            "{algorithm}"
        );
        let refused = get(at("/messages"), Some(&token)).await;
        assert_eq!(refused.status(), 403);
        let challenge = refused.headers()["www-authenticate"]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(challenge.contains("scope=\"read:messages\""), "{challenge}");
    }

    let opaque = token(&issuer, &[]).await;
    for _ in 0..5 {
        let refused = get(at("/me"), Some(&opaque)).await;
        assert_eq!(refused.status(), 401);
        let challenge = refused.headers()["www-authenticate"]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(challenge.contains("invalid_token") && !challenge.contains("opaque"));
    }
    assert_eq!(get(at("/me"), None).await.status(), 401);
    assert_eq!(get(at("/healthz"), None).await.status(), 200);
    assert_eq!(get(at("/readyz"), None).await.status(), 200);
    let metadata = get(at("/.well-known/oauth-protected-resource"), None).await;
    let metadata: Value = metadata.json().await.unwrap();
    assert_eq!(metadata["resource"], json!(api.address()));
    assert_eq!(metadata["authorization_servers"], json!([issuer]));

    let (code, log) = api.stop();
    assert_eq!(code, Some(0), "{log}");
    let explained = log.lines().find(|line| line.contains("opaque")).unwrap();
    assert!(
        explained.contains("WARN") && explained.contains("OPENID_AUDIENCE"),
        "{explained}"
    );
    for secret in [&read, &opaque] {
        let leaked = secret
            .as_bytes()
            .windows(16)
            .find(|part| log.contains(std::str::from_utf8(part).unwrap()));
        assert!(
            leaked.is_none(),
            "sixteen characters of a token are in the log"
        );
    }
}

#[tokio::test]
#[ignore = "starts the example as a program; the full test run builds it first"]
async fn without_settings_three_ready_lines_are_accepted_and_refused() {
    let mut command = example("api", &[]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut curls = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if line.starts_with("curl ") {
            curls.push(line);
        } else if line.starts_with("listening on ") {
            break;
        }
    }
    let mut statuses = Vec::new();
    let mut probes = Vec::new();
    for curl in curls {
        let token = curl
            .split("Bearer ")
            .nth(1)
            .unwrap()
            .split('\'')
            .next()
            .unwrap();
        let url = curl.rsplit(' ').next().unwrap().to_owned();
        for path in ["", "/elsewhere"] {
            let metadata = format!("/.well-known/oauth-protected-resource{path}");
            let probe = url.replace("/messages", &metadata);
            probes.push(get(probe, None).await.status().as_u16());
        }
        statuses.push(get(url, Some(token)).await.status().as_u16());
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(statuses, [200, 401, 401]);
    // A place without metadata is no place where a token is wanted.
    assert_eq!(probes, [200, 404, 200, 404, 200, 404]);
}

// D29
#[tokio::test]
#[ignore = "starts the example as a program; the full test run builds it first"]
async fn with_a_file_of_keys_no_provider_is_called() {
    let keys = ["one", "two"].map(|kid| Arc::new(SigningKey::generate(kid, Algorithm::Es256)));
    // No such host is ever found (RFC 6761 §6.4).
    let issuer = "https://id.invalid";
    let [one, two] = keys.clone().map(|key| {
        let idp = OfflineProvider::builder(issuer).with_keys([key]).build();
        let token = idp.token_by(Algorithm::Es256, RESOURCE);
        token.scope("read:messages").build()
    });
    let path = std::env::temp_dir().join(format!("tower-oidc-api-{}.json", std::process::id()));
    let write = |keys: &[Arc<SigningKey>]| {
        let keys: Vec<_> = keys.iter().map(|key| key.public_jwk()).collect();
        std::fs::write(&path, format!("{{\"keys\":[{}]}}", keys.join(","))).unwrap();
    };
    write(&keys[..1]);
    let settings = [
        ("OPENID_ISSUER", issuer),
        ("OPENID_AUDIENCE", RESOURCE),
        ("OPENID_JWKS_FILE", path.to_str().unwrap()),
    ];
    let api = Program::start(&mut example("api", &settings), "listening on ");
    let at = |path: &str| format!("{}{path}", api.address());
    assert_eq!(get(at("/readyz"), None).await.status(), 200);
    assert_eq!(get(at("/messages"), Some(&one)).await.status(), 200);
    assert_eq!(get(at("/messages"), Some(&two)).await.status(), 401);
    write(&keys);
    assert_eq!(get(at("/messages"), Some(&two)).await.status(), 200);
    let (code, log) = api.stop();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("failed"), "{log}");
}

#[test]
#[ignore = "starts the example as a program; the full test run builds it first"]
fn errors_at_the_start_name_the_setting_and_the_remedy() {
    let idp = provider("{}");
    let issuer = idp.address();
    let slash = format!("{issuer}/");
    let good = [("OPENID_ISSUER", &*issuer), ("OPENID_AUDIENCE", RESOURCE)];
    let cases: [(&[(&str, &str)], &str); 7] = [
        (&[("OPENID_ISSUER", &issuer)], "OPENID_AUDIENCE is not set"),
        (&[("OPENID_AUDIENCE", RESOURCE)], "OPENID_ISSUER is not set"),
        (
            &[("OPENID_ISSUER", "dev.us.auth0.com"), good[1]],
            "write https://dev.us.auth0.com",
        ),
        (
            &[good[0], good[1], ("OPENID_AUDIENC", "x")],
            "did you mean OPENID_AUDIENCE?",
        ),
        (
            &[good[0], good[1], ("OPENID_ALGORITHMS", "HS256")],
            "OPENID_ALGORITHMS",
        ),
        (&[("OPENID_ISSUER", &slash), good[1]], "final slash"),
        (&[good[0], good[1], ("PORT", "http")], "PORT"),
    ];
    for (environment, expected) in cases {
        let output = example("api", environment).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(expected), "{expected}: {error}");
    }
}
