//! A provider that is away, slow, broken or hostile.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::StatusCode;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tower_oidc::env::ApiSettings;
use tower_oidc::testing::{Endpoint, Fault};
use tower_oidc::{Phase, Provider, ProviderError, VerifyErrorKind};

use crate::support::{Api, seconds, until};

async fn with_patience(time: Duration) -> Api {
    Api::start_with(
        |provider| provider.with_call_timeout(time),
        |verifier| verifier,
    )
    .await
}

/// Answers that never end.
fn slow() -> Vec<(Fault, &'static str)> {
    vec![(Fault::Stall, "timed_out"), (Fault::Drip, "timed_out")]
}

fn wrong(elsewhere: &str) -> Vec<(Fault, &'static str)> {
    vec![
        (Fault::Status(500), "status"),
        (Fault::Status(204), "status"),
        (Fault::Status(404), "status"),
        (Fault::Redirect(elsewhere.to_owned()), "status"),
        (Fault::Huge(1 << 20), "too_large"),
        (Fault::gzip_bomb(), "invalid_answer"),
        (Fault::document("text/html", "<html>"), "invalid_answer"),
        (
            Fault::document("text/html", "{\"keys\":[]}"),
            "no_usable_keys",
        ),
        (Fault::json("<html>"), "invalid_answer"),
        (Fault::json("{}"), "invalid_answer"),
        (Fault::json("[]"), "invalid_answer"),
        (Fault::json("null"), "invalid_answer"),
        (Fault::json(""), "invalid_answer"),
        (Fault::broken_json(), "invalid_answer"),
    ]
}

/// Lets the provider answer so where no keys were fetched before and where some were. Returns the latter, whose keys
/// are past their lifetime.
async fn is_a_503_at_first_and_harmless_later(
    patience: Duration,
    faults: impl FnOnce(&str) -> Vec<(Fault, &'static str)>,
) -> Api {
    let cold = with_patience(patience).await;
    let warm = with_patience(patience).await;
    let token = warm.token().expires_in(seconds(90_000)).build();
    assert_eq!(warm.status(&token).await, StatusCode::OK);
    let elsewhere = format!("{}/elsewhere", cold.idp.issuer());
    for (fault, expected) in faults(&elsewhere) {
        cold.idp.set_fault(Endpoint::Jwks, fault.clone());
        cold.clock.advance(seconds(61));
        let error = cold
            .verifier
            .verify(&cold.token().build())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), VerifyErrorKind::Unavailable, "{fault:?}");
        let cause = std::error::Error::source(&error).unwrap();
        let cause = cause.downcast_ref::<ProviderError>().unwrap();
        assert_eq!(cause.kind().as_str(), expected, "{cause}");

        // The keys are past their lifetime, and each round is past the back-off: the old keys are used.
        warm.idp.set_fault(Endpoint::Jwks, fault.clone());
        let before = warm.idp.hits().jwks;
        warm.clock
            .advance(seconds(if before == 1 { 600 } else { 61 }));
        for turn in 1.. {
            assert_eq!(warm.status(&token).await, StatusCode::OK, "{fault:?}");
            if warm.idp.hits().jwks > before {
                break;
            }
            assert!(turn < 500, "the fetches have ended");
            // The last attempt may have failed after the clock was moved.
            if turn % 50 == 0 {
                warm.clock.advance(seconds(61));
            }
            tokio::time::sleep(seconds(1) / 50).await;
        }
        until(|| warm.provider.readiness().last_error.is_some()).await;
        assert_eq!(warm.status(&token).await, StatusCode::OK, "{fault:?}");
    }
    assert_eq!(cold.idp.hits().other, 0, "a redirect was followed");
    warm
}

// KS-14, KS-16, KS-17
#[tokio::test]
async fn keys_that_never_come_are_a_503_at_first_and_harmless_later() {
    is_a_503_at_first_and_harmless_later(seconds(1), |_| slow()).await;
}

// KS-14, KS-15, KS-16, KS-17
#[tokio::test]
async fn any_bad_answer_for_keys_is_a_503_at_first_and_harmless_later() {
    let warm = is_a_503_at_first_and_harmless_later(seconds(5), wrong).await;

    // Past the stale limit no token is accepted. When the provider is back, all are.
    let token = warm.token().expires_in(seconds(90_000)).build();
    warm.idp.set_fault(Endpoint::Jwks, Fault::Status(500));
    assert_eq!(warm.provider.readiness().keys, Phase::Stale);
    warm.clock.advance(seconds(3_600));
    assert_eq!(warm.status(&token).await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(warm.provider.readiness().keys, Phase::Unavailable);
    assert!(!warm.provider.readiness().is_ready());
    warm.idp.set_fault(Endpoint::Jwks, None);
    warm.clock.advance(seconds(61));
    assert_eq!(warm.status(warm.token().build()).await, StatusCode::OK);
    assert_eq!(warm.provider.readiness().keys, Phase::Fresh);
}

// KS-15
#[tokio::test]
async fn an_empty_set_replaces_no_working_one() {
    let api = Api::start().await;
    let token = api.token().expires_in(seconds(9_000)).build();
    assert_eq!(api.status(&token).await, StatusCode::OK);
    for (n, set) in [r#"{"keys":[]}"#, r#"{"keys":[{"kty":"oct","k":"AA"}]}"#]
        .iter()
        .enumerate()
    {
        api.idp.set_jwks(*set);
        api.clock.advance(seconds(if n == 0 { 600 } else { 61 }));
        assert_eq!(api.status(&token).await, StatusCode::OK);
        until(|| api.provider.readiness().last_error.is_some()).await;
        assert_eq!(api.status(&token).await, StatusCode::OK, "{set}");
    }
}

// LM-06
#[tokio::test]
async fn attempts_during_an_outage_grow_rarer() {
    let api = Api::start().await;
    api.idp.set_fault(Endpoint::Jwks, Fault::Status(503));
    let token = api.token().expires_in(seconds(9_000)).build();
    for _ in 0..600 {
        assert_eq!(api.status(&token).await, StatusCode::SERVICE_UNAVAILABLE);
        api.clock.advance(seconds(1));
    }
    // 1, 2, 4, 8, 16, 32, then every 60 seconds.
    let hits = api.idp.hits().jwks;
    assert!((14..=18).contains(&hits), "{hits} attempts in ten minutes");
}

// LM-06
#[tokio::test]
async fn the_next_fetch_of_keys_or_metadata_waits_as_long_as_the_answer_asks() {
    let in_half_a_minute = httpdate::fmt_http_date(SystemTime::now() + seconds(30));
    let cases = [
        (Endpoint::Jwks, "30".to_owned(), 28..=30),
        (Endpoint::Discovery, "30".to_owned(), 28..=30),
        // The clock of the server may tick between the request and its answer.
        (Endpoint::Jwks, in_half_a_minute, 20..=30),
        // At most the pause that the failures in a row have caused.
        (Endpoint::Jwks, "86400".to_owned(), 58..=60),
    ];
    for (endpoint, retry_after, expected) in cases {
        let api = Api::start().await;
        let busy = Fault::busy_until(&retry_after);
        api.idp.set_fault(endpoint, busy);
        let token = api.token().build();
        assert_eq!(api.status(&token).await, StatusCode::SERVICE_UNAVAILABLE);
        api.idp.set_fault(endpoint, None);
        let mut waited = 0;
        while api.status(&token).await != StatusCode::OK {
            api.clock.advance(seconds(1));
            waited += 1;
            assert!(waited < 120, "{endpoint:?} {retry_after}");
        }
        assert!(
            expected.contains(&waited),
            "{endpoint:?} {retry_after}: {waited} seconds"
        );
    }
}

// LM-09
#[tokio::test]
async fn setting_the_clock_neither_kills_nor_keeps_keys() {
    let api = Api::start().await;
    assert_eq!(api.status(api.token().build()).await, StatusCode::OK);
    for at in [0, 1 << 40, i64::MAX, i64::MIN, 1_700_000_000] {
        api.clock.set(tower_oidc::UnixTime::from_seconds(at));
        let _ = api.status(api.token().build()).await;
        let _ = api.status(api.token().expired().build()).await;
    }
    assert_eq!(api.status(api.token().build()).await, StatusCode::OK);
    assert_eq!(api.idp.hits().jwks, 1);
    // Setting the clock back does not keep a withdrawn key alive.
    api.idp.rotate_keys();
    api.clock.set(tower_oidc::UnixTime::from_seconds(1_000));
    api.clock.advance(seconds(601));
    let _ = api.status(api.token().build()).await;
    until(|| api.idp.hits().jwks == 2).await;
}

// F67
#[tokio::test]
async fn an_operator_can_ask_at_the_start_whether_the_provider_is_there() {
    let api = Api::start().await;
    assert_eq!(api.provider.readiness().keys, Phase::Empty);
    api.provider.ready().await.unwrap();
    assert!(api.provider.readiness().is_ready());

    let down = Api::start().await;
    down.idp.set_fault(Endpoint::Discovery, Fault::Status(500));
    let error = down.provider.ready().await.unwrap_err();
    assert!(!error.kind().is_configuration());
    assert!(error.to_string().contains("500"), "{error}");
    assert_eq!(down.provider.readiness().keys, Phase::Unavailable);
}

/// Speaks TLS with a certificate that only its own holder has signed.
fn self_signed() -> (TlsAcceptor, String) {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key.into())
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), own.cert.pem())
}

// KS-18
#[tokio::test]
async fn a_private_authority_is_trusted_where_it_is_configured() {
    let (acceptor, certificate) = self_signed();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        acceptor.accept(stream).await.map(|_| ())
    });
    let file = std::env::temp_dir().join(format!("authority-{}.pem", std::process::id()));
    std::fs::write(&file, certificate).unwrap();
    let issuer = format!("https://localhost:{port}");
    let path = file.to_str().unwrap();
    let settings = |path| {
        ApiSettings::from_pairs([
            ("OPENID_ISSUER", &*issuer),
            ("OPENID_AUDIENCE", "a"),
            ("OPENID_CA_FILE", path),
        ])
    };
    let provider = settings(path).unwrap().provider().clone();
    let _ = provider.ready().await.unwrap_err();
    serving.await.unwrap().expect("a handshake");

    std::fs::write(&file, "no certificate").unwrap();
    for (path, part) in [(path, "no certificate"), ("/nowhere.pem", "cannot be read")] {
        let error = settings(path).unwrap_err();
        assert_eq!(error.setting(), "OPENID_CA_FILE");
        assert!(error.to_string().contains(part), "{error}");
    }
    std::fs::remove_file(&file).unwrap();
}

// KS-18
#[tokio::test]
async fn a_certificate_of_no_trusted_authority_is_refused() {
    let (acceptor, _) = self_signed();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        acceptor.accept(stream).await.map(|_| ())
    });
    let provider = Provider::discover(&format!("https://localhost:{port}")).unwrap();
    let error = provider.ready().await.unwrap_err();
    assert_eq!(error.kind().as_str(), "unreachable");
    let handshake = serving.await.unwrap().unwrap_err().to_string();
    assert!(
        handshake.contains("certificate") || handshake.contains("UnknownCA"),
        "{handshake}"
    );
}
