//! Services without a secret, at a certified provider, by settings alone.

use std::convert::Infallible;
use std::fs;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use http::{Request, Response};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};
use tower_oidc::env::ServiceSettings;
use tower_oidc::testing::SigningKey;
use tower_oidc::{Algorithm, OutboundLayer};

use crate::programs::provider;
use crate::web::RESOURCE;

/// The Authorization field of a call that leaves with a token of this service.
async fn authorization(settings: &ServiceSettings) -> Result<String, String> {
    let layer = OutboundLayer::new("https://orders.internal", settings.tokens().clone()).unwrap();
    let upstream = layer.layer(service_fn(|request: Request<String>| async move {
        let field = request.headers()["authorization"].to_str().unwrap();
        Ok::<_, Infallible>(Response::new(field.to_owned()))
    }));
    let request = Request::get("https://orders.internal")
        .body(String::new())
        .unwrap();
    let answer = upstream.oneshot(request).await;
    answer
        .map(Response::into_body)
        .map_err(|error| format!("{error}: {:?}", error.source()))
}

fn service(issuer: &str, id: &str, more: &[(&str, &str)]) -> ServiceSettings {
    let base = [
        ("OPENID_ISSUER", issuer),
        ("OPENID_CLIENT_ID", id),
        ("OPENID_RESOURCE", RESOURCE),
        ("OPENID_SCOPE", "read:messages"),
    ];
    ServiceSettings::from_pairs(base.iter().chain(more).copied()).unwrap()
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    fn file(&self, name: &str, content: &str) -> String {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn pem() -> String {
    rcgen::KeyPair::generate().unwrap().serialize_pem()
}

// CA-03, LG-22
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Node and oidc-provider; the full test run brings them"]
async fn keys_that_this_program_publishes_are_fetched_and_changed() {
    let folder = Folder::new("published-keys");
    let (old, new) = (pem(), pem());
    let signing = folder.file("signing.pem", &old);
    let published = folder.path("next.pem");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let jwks_uri = format!("http://{}/jwks.json", listener.local_addr().unwrap());
    let idp = provider(&json!({"jwksUri": jwks_uri}).to_string());
    let issuer = idp.address();
    let settings = |audience| {
        service(
            &issuer,
            "service-keys",
            &[
                ("OPENID_CLIENT_PRIVATE_KEY_FILE", &signing),
                ("OPENID_CLIENT_PRIVATE_KEY_ID", "thumbprint"),
                ("OPENID_CLIENT_PUBLISHED_KEY_FILE", &published),
                ("OPENID_CLIENT_ASSERTION_AUDIENCE", audience),
            ],
        )
    };
    let keys = settings("issuer").client_keys().unwrap().service();
    let app = axum::Router::new().route_service("/jwks.json", keys);
    tokio::spawn(async move { axum::serve(listener, app).await });
    // The next one is published before the provider first fetches the set.
    fs::write(&published, &new).unwrap();
    for audience in ["issuer", "token_endpoint"] {
        let sent = authorization(&settings(audience)).await.unwrap();
        assert!(sent.starts_with("Bearer ey"), "{sent}");
    }
    fs::write(&signing, &new).unwrap();
    let sent = authorization(&settings("issuer")).await.unwrap();
    assert!(sent.starts_with("Bearer ey"), "{sent}");
    // A key that is not published.
    let other = folder.file("other.pem", &pem());
    let tokens = service(
        &issuer,
        "service-keys",
        &[("OPENID_CLIENT_PRIVATE_KEY_FILE", &other)],
    );
    let error = authorization(&tokens).await.unwrap_err();
    assert!(error.contains("invalid_client"), "{error}");
}

// CA-01
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Node and oidc-provider; the full test run brings them"]
async fn an_assertion_file_is_enough_for_a_token() {
    let folder = Folder::new("assertion-file");
    let key = SigningKey::generate("platform", Algorithm::Es256);
    let public: Value = serde_json::from_str(&key.public_jwk()).unwrap();
    let idp = provider(&json!({"platformKey": public}).to_string());
    let issuer = idp.address();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let assertion = |jti: &str, audience: &str| {
        let claims = json!({
            "iss": "service-file",
            "sub": "service-file",
            "aud": audience,
            "jti": jti,
            "iat": now.as_secs(),
            "exp": now.as_secs() + 300,
        });
        let header = json!({"alg": "ES256", "kid": "platform"});
        key.sign_compact(header.to_string(), claims.to_string())
    };
    let path = folder.file("token", &assertion("1", &issuer));
    let settings = service(
        &issuer,
        "service-file",
        &[("OPENID_CLIENT_ASSERTION_FILE", &path)],
    );
    let sent = authorization(&settings).await.unwrap();
    assert!(sent.starts_with("Bearer ey"), "{sent}");
    // One for another provider is refused.
    folder.file("token", &assertion("2", "https://other.example"));
    let settings = service(
        &issuer,
        "service-file",
        &[("OPENID_CLIENT_ASSERTION_FILE", &path)],
    );
    let error = authorization(&settings).await.unwrap_err();
    assert!(error.contains("invalid_client"), "{error}");
}

// MT-05
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Node and oidc-provider; the full test run brings them"]
async fn a_certificate_is_enough_for_a_token() {
    let folder = Folder::new("certificate");
    let own = |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let (server, client, stranger) = (own("localhost"), own("orders"), own("orders"));
    let options = json!({"tls": {
        "certificate": server.cert.pem(),
        "key": server.signing_key.serialize_pem(),
        "authority": client.cert.pem(),
    }});
    let idp = provider(&options.to_string());
    let issuer = idp.address();
    let authority = folder.file("authority.pem", &server.cert.pem());
    for (certified, is_taken) in [(&client, true), (&stranger, false)] {
        let certificate = folder.file("certificate.pem", &certified.cert.pem());
        let key = folder.file("key.pem", &certified.signing_key.serialize_pem());
        let settings = service(
            &issuer,
            "service-certificate",
            &[
                ("OPENID_CA_FILE", &authority),
                ("OPENID_CLIENT_CERTIFICATE_FILE", &certificate),
                ("OPENID_CLIENT_CERTIFICATE_KEY_FILE", &key),
            ],
        );
        let sent = authorization(&settings).await;
        assert_eq!(sent.is_ok(), is_taken, "{sent:?}");
        if let Err(error) = sent {
            assert!(error.contains("invalid_client"), "{error}");
        }
    }
}
