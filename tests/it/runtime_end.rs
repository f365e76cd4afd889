//! A runtime that ends while the provider is being asked.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tokio::runtime::{Builder, Runtime};
use tower::service_fn;
use tower_oidc::error::ProviderErrorKind;
use tower_oidc::{HttpClient, Phase, Provider, VerifyErrorKind};

use crate::support::API;

fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// A provider whose every answer is 503, after letting other tasks run.
fn provider_that_is_away() -> Provider {
    let away = service_fn(|_: Request<Bytes>| async {
        tokio::task::yield_now().await;
        let mut response = Response::new(Full::new(Bytes::new()));
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        Ok::<_, Infallible>(response)
    });
    Provider::builder("https://id.example")
        .with_http_client(HttpClient::new(away))
        .build()
        .unwrap()
}

/// A token that passes every check for which no key is needed.
fn unsigned_token() -> String {
    let header = r#"{"alg":"RS256","typ":"at+jwt"}"#;
    let claims = format!(
        r#"{{"iss":"https://id.example","aud":"{API}","sub":"ada","iat":1,"exp":9999999999}}"#
    );
    [header, &claims, "signature"]
        .map(|part| URL_SAFE_NO_PAD.encode(part))
        .join(".")
}

/// Runs this in a thread of its own, and panics if it does not come back.
fn within_a_minute<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (tell, done) = channel();
    thread::spawn(move || tell.send(work()));
    match done.recv_timeout(Duration::from_secs(60)) {
        Ok(brought) => brought,
        Err(RecvTimeoutError::Timeout) => panic!("it hangs"),
        Err(RecvTimeoutError::Disconnected) => panic!("it panicked"),
    }
}

// KS-08
#[test]
fn a_provider_asked_on_a_runtime_that_has_ended_answers_with_an_error() {
    let ended = runtime();
    let handle = ended.handle().clone();
    drop(ended);
    within_a_minute(move || {
        let _entered = handle.enter();
        let provider = provider_that_is_away();
        let error = provider.ready().now_or_never().unwrap().unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::Unreachable);
        assert_eq!(provider.readiness().keys, Phase::Unavailable);

        let verifier = provider_that_is_away().verifier(API).unwrap();
        let judged = verifier.verify(&unsigned_token()).now_or_never().unwrap();
        assert_eq!(judged.unwrap_err().kind(), VerifyErrorKind::Unavailable);
    });
}

// KS-08
#[test]
fn a_runtime_that_ends_while_fetches_start_leaves_no_thread_hanging() {
    within_a_minute(|| {
        for _ in 0..20 {
            let ending = runtime();
            let is_over = Arc::new(AtomicBool::new(false));
            let askers: Vec<_> = (0..4)
                .map(|_| {
                    let handle = ending.handle().clone();
                    let is_over = Arc::clone(&is_over);
                    thread::spawn(move || {
                        let _entered = handle.enter();
                        // A busy machine may start this thread late: it calls once in any case.
                        loop {
                            // Each provider is new, so that each call starts a fetch.
                            let _ = provider_that_is_away().ready().now_or_never();
                            if is_over.load(Ordering::Relaxed) {
                                return;
                            }
                        }
                    })
                })
                .collect();
            thread::sleep(Duration::from_millis(20));
            drop(ending);
            thread::sleep(Duration::from_millis(5));
            is_over.store(true, Ordering::Relaxed);
            for asker in askers {
                asker.join().unwrap();
            }
        }
    });
}
