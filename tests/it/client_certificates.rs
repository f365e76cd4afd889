//! Clients that authenticate by the certificate of their connection.

use std::convert::Infallible;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rcgen::{CertifiedKey, KeyPair};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tower_oidc::OutboundLayer;
use tower_oidc::env::ServiceSettings;
use tower_oidc::error::OutboundErrorKind as Kind;

use crate::upstream::{ORDERS, Upstream, call, get, kind};

type Seen = Arc<Mutex<Vec<(u16, String, String)>>>;

fn certificate(name: &str) -> CertifiedKey<KeyPair> {
    rcgen::generate_simple_self_signed([name.to_owned()]).unwrap()
}

fn acceptor(own: &CertifiedKey<KeyPair>, client: Option<&CertifiedKey<KeyPair>>) -> TlsAcceptor {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match client {
        Some(client) => {
            let mut roots = RootCertStore::empty();
            roots.add(client.cert.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
        None => builder.with_no_client_auth(),
    };
    let config = builder.with_single_cert(vec![own.cert.der().clone()], key.into());
    TlsAcceptor::from(Arc::new(config.unwrap()))
}

/// Answers metadata with an alias on the other port, and tokens. It records what is asked.
async fn serve(listener: TcpListener, acceptor: TlsAcceptor, ports: [u16; 2], seen: Seen) {
    let own = listener.local_addr().unwrap().port();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let Ok(stream) = acceptor.accept(stream).await else {
            continue;
        };
        let seen = Arc::clone(&seen);
        let answer = service_fn(move |request: Request<Incoming>| {
            let seen = Arc::clone(&seen);
            async move {
                let path = request.uri().path().to_owned();
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let form = String::from_utf8(body.to_vec()).unwrap();
                seen.lock().unwrap().push((own, path.clone(), form));
                let at = |port: u16| format!("https://localhost:{port}");
                let document = if path == "/token" {
                    json!({"access_token": "a", "token_type": "Bearer", "expires_in": 60})
                } else {
                    json!({
                        "issuer": at(ports[0]),
                        "jwks_uri": at(ports[0]) + "/jwks",
                        "token_endpoint": at(ports[0]) + "/token",
                        "token_endpoint_auth_methods_supported": ["tls_client_auth"],
                        "mtls_endpoint_aliases": {"token_endpoint": at(ports[1]) + "/token"},
                    })
                };
                let response = Response::builder()
                    .header("content-type", "application/json")
                    .body(Full::new(Bytes::from(document.to_string())));
                Ok::<_, Infallible>(response.unwrap())
            }
        });
        tokio::spawn(async move {
            let server = auto::Builder::new(TokioExecutor::new());
            let _ = server.serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

// MT-05, CA-05
#[tokio::test]
async fn a_certificate_in_files_authenticates_at_the_alias_without_a_secret() {
    let (server, client, stranger) = (
        certificate("localhost"),
        certificate("orders"),
        certificate("stranger"),
    );
    let listeners = [
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
    ];
    let ports = [0, 1].map(|at: usize| listeners[at].local_addr().unwrap().port());
    let seen = Seen::default();
    let [plain, mutual] = listeners;
    let servers = [
        tokio::spawn(serve(
            plain,
            acceptor(&server, None),
            ports,
            Arc::clone(&seen),
        )),
        tokio::spawn(serve(
            mutual,
            acceptor(&server, Some(&client)),
            ports,
            Arc::clone(&seen),
        )),
    ];
    let folder = std::env::temp_dir().join(format!("client-certificates-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, content: &str| -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let authority = file("authority.pem", &server.cert.pem());
    let issuer = format!("https://localhost:{}", ports[0]);
    let settings = |certificate: &PathBuf, key: &PathBuf| {
        ServiceSettings::from_pairs([
            ("OPENID_ISSUER", issuer.as_str()),
            ("OPENID_CLIENT_ID", "orders"),
            ("OPENID_CA_FILE", authority.to_str().unwrap()),
            ("OPENID_REQUEST_AUDIENCE", "https://orders.example.com"),
            (
                "OPENID_CLIENT_CERTIFICATE_FILE",
                certificate.to_str().unwrap(),
            ),
            ("OPENID_CLIENT_CERTIFICATE_KEY_FILE", key.to_str().unwrap()),
        ])
        .unwrap()
    };
    let calling = |settings: &ServiceSettings| {
        let layer = OutboundLayer::new(ORDERS, settings.tokens().clone()).unwrap();
        Upstream::new().behind(&layer)
    };
    let chain = file("client.pem", &client.cert.pem());
    let key = file("client.key", &client.signing_key.serialize_pem());
    let both = [client.cert.pem(), client.signing_key.serialize_pem()].concat();
    let both = file("both.pem", &both);
    for (chain, key) in [(&chain, &key), (&both, &both)] {
        seen.lock().unwrap().clear();
        call(&calling(&settings(chain, key)), get(ORDERS))
            .await
            .unwrap();
        let asked = seen.lock().unwrap().clone();
        let tokens: Vec<_> = asked
            .iter()
            .filter(|(_, path, _)| path == "/token")
            .collect();
        let [(port, _, form)] = tokens[..] else {
            panic!("{asked:?}");
        };
        assert_eq!(*port, ports[1], "the alias");
        assert!(form.contains("client_id=orders"), "{form}");
        assert!(
            !form.contains("secret") && !form.contains("assertion"),
            "{form}"
        );
    }
    // The certificate of another one.
    let chain = file("stranger.pem", &stranger.cert.pem());
    let key = file("stranger.key", &stranger.signing_key.serialize_pem());
    seen.lock().unwrap().clear();
    let refused = kind(&calling(&settings(&chain, &key)), get(ORDERS)).await;
    assert_eq!(refused, Kind::Unavailable);
    let asked = seen.lock().unwrap().clone();
    assert!(
        asked.iter().all(|(_, path, _)| path != "/token"),
        "{asked:?}"
    );
    for server in servers {
        server.abort();
    }
    fs::remove_dir_all(&folder).unwrap();
}
