//! The same axum server with and without the layer, over loopback. With `SOAK=180` instead: 180 seconds of
//! changing keys, random kids and bad signatures, in which no valid request may be refused and memory may
//! not grow.
//!
//! `cargo bench --bench loopback --features axum,reqwest,testing` needs wrk, and takes six minutes.
#![expect(clippy::print_stdout, reason = "a program for people")]

#[path = "support/wrk.rs"]
mod wrk;

use std::convert::Infallible;
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::response::Response;
use axum::routing::get;
use axum::serve::IncomingStream;
use axum::{Router, ServiceExt, serve};
use tokio::net::TcpListener;
use tower::{Layer, Service};
use tower_oidc::testing::{DevelopmentProvider, SigningKey};
use tower_oidc::{Algorithm, BearerLayer, Principal, RequireLayer, Verifier};

type BoxError = Box<dyn Error + Send + Sync>;

const AUDIENCE: &str = "https://api.example.com";

const SCOPE: &str = "read:messages";

/// Many, because rates vary by some percent from turn to turn.
const TURNS: usize = 60;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    if std::env::args().any(|argument| argument == "--test") {
        return Ok(());
    }
    let idp = DevelopmentProvider::start().await?;
    let provider = idp.provider()?;
    let cached = provider.verifier(AUDIENCE)?;
    if let Ok(seconds) = std::env::var("SOAK") {
        let address = start(Some(cached)).await?;
        return soak(&idp, &address, Duration::from_secs(seconds.parse()?)).await;
    }
    let uncached = Verifier::builder(&provider, AUDIENCE)
        .without_cache()
        .build()?;
    let token = idp.token(AUDIENCE).scope(SCOPE).build();
    let header = format!("authorization: Bearer {token}");
    let idle = app().layer(tower::layer::util::Identity::new());
    // Around the router: inside of it axum boxes the service and future of each layer.
    let around = BearerLayer::new(cached.clone()).layer(app().with_state::<()>(()));
    let named = Router::new()
        .route("/", get(hello).layer(RequireLayer::scope(SCOPE)?))
        .layer(BearerLayer::new(cached.clone()));
    let target = |name, url| wrk::Target {
        name,
        url,
        header: header.clone(),
    };
    let targets = [
        target("without the layer", start(None).await?),
        target("a layer that does nothing", serve_app(idle).await?),
        target("seen before", start(Some(cached)).await?),
        target(
            "seen before, around the router",
            serve_app(ServiceExt::<Request>::into_make_service(around)).await?,
        ),
        target(
            "and a scope required, a caller named",
            serve_app(named).await?,
        ),
        target("each token new", start(Some(uncached)).await?),
    ];
    wrk::compare(TURNS, targets).await
}

fn app() -> Router {
    Router::new().route("/", get(|| async { "hello\n" }))
}

async fn hello(principal: Principal) -> String {
    format!("hello, {}\n", principal.subject().unwrap_or("nobody"))
}

async fn start(verifier: Option<Verifier>) -> Result<String, BoxError> {
    serve_app(match verifier {
        Some(verifier) => app().layer(BearerLayer::new(verifier)),
        None => app(),
    })
    .await
}

async fn serve_app<M, S>(make: M) -> Result<String, BoxError>
where
    M: for<'a> Service<IncomingStream<'a, TcpListener>, Error = Infallible, Response = S>
        + Send
        + 'static,
    for<'a> <M as Service<IncomingStream<'a, TcpListener>>>::Future: Send,
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}/", listener.local_addr()?);
    tokio::spawn(async move { serve(listener, make).await });
    Ok(address)
}

#[derive(Default)]
struct Counts {
    good: AtomicU64,
    good_refused: AtomicU64,
    bad: AtomicU64,
    bad_accepted: AtomicU64,
}

async fn soak(idp: &DevelopmentProvider, url: &str, time: Duration) -> Result<(), BoxError> {
    let counts = Arc::new(Counts::default());
    let mint = |idp: &DevelopmentProvider| -> Vec<String> {
        let token = || idp.token_by(Algorithm::EdDsa, AUDIENCE).build();
        (0..200).map(|_| token()).collect()
    };
    let good = Arc::new(Mutex::new(mint(idp)));
    let stranger = Arc::new(SigningKey::generate("stranger", Algorithm::EdDsa));
    let bad: Arc<Vec<String>> = Arc::new(
        (0..5_000)
            .map(|n| {
                let token = idp.token_by(Algorithm::EdDsa, AUDIENCE);
                if n % 2 == 0 {
                    let forged = token.signed_by(Arc::clone(&stranger));
                    forged.header("kid", format!("random-{n}")).build()
                } else {
                    token
                        .signature(|signature| signature.iter().map(|byte| byte ^ 1).collect())
                        .build()
                }
            })
            .collect(),
    );
    let end = Instant::now() + time;
    let mut tasks = Vec::new();
    for number in 0..8_usize {
        let (counts, good, bad) = (Arc::clone(&counts), Arc::clone(&good), Arc::clone(&bad));
        let url = url.to_owned();
        tasks.push(tokio::spawn(async move {
            let client = reqwest::Client::new();
            let mut at = number * 631;
            while Instant::now() < end {
                at += 1;
                let is_good = number < 4;
                let token = if is_good {
                    let good = good.lock().unwrap_or_else(PoisonError::into_inner);
                    good[at % good.len()].clone()
                } else {
                    bad[at % bad.len()].clone()
                };
                let request = client
                    .get(&url)
                    .header("authorization", format!("Bearer {token}"));
                let status = request.send().await.map(|answer| answer.status().as_u16());
                let is_right = matches!((is_good, &status), (true, Ok(200)) | (false, Ok(401)));
                let count = match (is_good, is_right) {
                    (true, true) => &counts.good,
                    (true, false) => &counts.good_refused,
                    (false, true) => &counts.bad,
                    (false, false) => &counts.bad_accepted,
                };
                if !is_right {
                    println!("good {is_good}: {status:?}");
                }
                count.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    let mut rounds = 0;
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_secs(5)).await;
        rounds += 1;
        if rounds % 8 == 0 {
            idp.rotate_keys();
            let newer = mint(idp);
            wait_for_keys(url, &newer[0]).await?;
            *good.lock().unwrap_or_else(PoisonError::into_inner) = newer;
            idp.drop_retired_keys();
        }
        if rounds % 6 == 1 {
            println!(
                "{:>4} s: {} KiB, {} good, {} bad, {} key fetches",
                rounds * 5,
                resident(),
                counts.good.load(Ordering::Relaxed),
                counts.bad.load(Ordering::Relaxed),
                idp.hits().jwks,
            );
        }
    }
    for task in tasks {
        task.await?;
    }
    println!(
        "good requests refused: {}; bad ones accepted: {}",
        counts.good_refused.load(Ordering::Relaxed),
        counts.bad_accepted.load(Ordering::Relaxed)
    );
    Ok(())
}

/// Waits until the server has fetched the key of this token. Its bound on fetches may delay that; tokens of
/// the old keys stay valid meanwhile.
async fn wait_for_keys(url: &str, token: &str) -> Result<(), BoxError> {
    let client = reqwest::Client::new();
    for _ in 0..20 {
        let request = client
            .get(url)
            .header("authorization", format!("Bearer {token}"));
        if request.send().await?.status() == 200 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    Err("the new keys were not fetched within a hundred seconds".into())
}

/// The memory of this process, clients and provider included, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or(0)
}
