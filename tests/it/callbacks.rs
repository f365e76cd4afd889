//! Callbacks that strangers send in numbers, and callbacks that are sent again.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tower_oidc::login::{Login, MemoryStore};
use tower_oidc::testing::{DevelopmentProvider, Endpoint, Fault, ManualClock};
use tower_oidc::{HttpClient, LoginErrorKind as Kind};
use tracing::Level;

use crate::browser::{App, Browser, SESSION, at_provider, builder, failure, location, query};
use crate::faulty_store::FaultyStore;
use crate::log::Log;
use crate::support::{API, Answer, Inner, judging, seconds, until};

const START: &str = "/oauth/openid?return_to=/messages/7";
const DEEP_LINK: &str = "/oauth/openid?return_to=%2Fmessages%2F7";
const BOUND: u32 = 64;

/// A way to the provider on which codes wait until they are let through.
#[derive(Clone)]
struct Gate {
    open: Arc<Semaphore>,
    waiting: Arc<AtomicU32>,
    most: Arc<AtomicU32>,
}

/// One fewer when it goes.
struct Waiting(Arc<AtomicU32>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Gate {
    fn new() -> Self {
        Self {
            open: Arc::new(Semaphore::new(0)),
            waiting: Arc::default(),
            most: Arc::default(),
        }
    }

    fn open(&self) {
        self.open.add_permits(10_000);
    }

    fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::SeqCst)
    }

    async fn pass(&self, request: &Request<Bytes>) {
        if !String::from_utf8_lossy(request.body()).contains("grant_type=authorization_code") {
            return;
        }
        let now = self.waiting.fetch_add(1, Ordering::SeqCst) + 1;
        let _waiting = Waiting(Arc::clone(&self.waiting));
        self.most.fetch_max(now, Ordering::SeqCst);
        self.open.acquire().await.unwrap().forget();
    }

    fn client(&self) -> HttpClient {
        let gate = self.clone();
        let http = reqwest::Client::new();
        HttpClient::new(service_fn(move |request: Request<Bytes>| {
            let (gate, http) = (gate.clone(), http.clone());
            async move {
                gate.pass(&request).await;
                let request = reqwest::Request::try_from(request.map(reqwest::Body::from))?;
                let answer: Response<reqwest::Body> = http.execute(request).await?.into();
                let (head, body) = answer.into_parts();
                let body = http_body_util::BodyExt::collect(body).await?.to_bytes();
                Ok::<_, BoxError>(Response::from_parts(head, Full::new(body)))
            }
        }))
    }
}

/// An application that reaches its provider through a gate.
async fn behind(gate: &Gate) -> App {
    let clock = ManualClock::new();
    let idp = DevelopmentProvider::builder().with_clock(clock.clone());
    let idp = idp.start().await.unwrap();
    let provider = idp.provider_builder().with_http_client(gate.client());
    let verifier = judging(&provider.build().unwrap(), API);
    let store = Arc::new(MemoryStore::with_clock(clock.clone()));
    let layer = builder(&verifier).with_shared_store(store.clone());
    let handler = service_fn(|_| async { Ok(Response::new("in".to_owned())) });
    App {
        idp,
        clock,
        verifier,
        store,
        layer: layer.build().unwrap(),
        inner: Inner::new(handler),
        last: Arc::default(),
    }
}

/// Strangers who each begin a sign-in, and send a callback with a code of their own making.
async fn strangers(app: &App, number: u32) -> Vec<JoinHandle<Answer>> {
    let mut sent = Vec::new();
    for _ in 0..number {
        let mut stranger = Browser::default();
        let answer = stranger.visit(app, "/oauth/openid").await;
        let asked = query(location(&answer));
        let issuer = app.idp.issuer();
        let callback = format!(
            "/oauth/openid/callback?code=junk&state={}&iss={issuer}",
            asked["state"]
        );
        let request = stranger.navigation(&callback);
        let service = app.service();
        sent.push(tokio::spawn(async move {
            service.oneshot(request).await.unwrap()
        }));
    }
    sent
}

// LG-24
#[tokio::test]
async fn strangers_flood_neither_the_provider_nor_refreshes_nor_the_log() {
    let gate = Gate::new();
    let app = behind(&gate).await;
    app.idp.set_token_lifetime(seconds(300));
    let mut browser = Browser::default();
    let callback = browser.reach_callback(&app, "/oauth/openid").await;
    gate.open.add_permits(1);
    browser.visit(&app, &callback).await;
    assert!(browser.jar.contains_key(SESSION));
    let log = Log::default();
    let guard = log.capture();
    let sent = strangers(&app, 400).await;
    until(|| gate.waiting() == BOUND).await;
    app.clock.advance(seconds(295));
    let refreshed = app.idp.hits().refreshed;
    let answer = browser.fetch(&app, "/").await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(app.idp.hits().refreshed, refreshed + 1);
    assert_eq!(gate.waiting(), BOUND);
    gate.open();
    for answer in sent {
        assert_eq!(failure(&answer.await.unwrap()), Some(Kind::CodeRejected));
    }
    assert_eq!(gate.most.load(Ordering::SeqCst), BOUND);
    drop(guard);
    let warnings = log.at(Level::WARN);
    assert!((1..=2).contains(&warnings.len()), "{warnings:#?}");
    assert_eq!(log.at(Level::ERROR), Vec::<String>::new());
}

// LG-20, LG-24
#[tokio::test]
async fn a_callback_that_strangers_keep_waiting_can_be_loaded_again() {
    let gate = Gate::new();
    let app = behind(&gate).await;
    let mut browser = Browser::default();
    let callback = browser.reach_callback(&app, START).await;
    let log = Log::default();
    let guard = log.capture();
    // From here on nothing goes over the network, so that no time has to pass.
    tokio::time::pause();
    let mut sent = strangers(&app, BOUND).await;
    until(|| gate.waiting() == BOUND).await;
    tokio::time::sleep(seconds(4)).await;
    // They take the places of the first, whose calls end after ten seconds.
    sent.extend(strangers(&app, BOUND).await);
    tokio::time::sleep(seconds(1)).await;
    let answer = browser.visit(&app, &callback).await;
    assert_eq!(failure(&answer), Some(Kind::TooManySignIns));
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers().contains_key("retry-after"));
    assert!(answer.body().contains(DEEP_LINK), "{}", answer.body());
    tokio::time::resume();
    for stranger in sent {
        stranger.abort();
    }
    until(|| gate.waiting() == 0).await;
    gate.open();
    let answer = browser.visit(&app, &callback).await;
    assert_eq!(location(&answer), "/messages/7");
    drop(guard);
    let warnings = log.at(Level::WARN);
    assert!(warnings.len() <= 2, "{warnings:#?}");
}

// LG-20
#[tokio::test]
async fn a_callback_that_finds_the_store_away_can_be_loaded_again() {
    let app = App::start().await;
    let store = Arc::new(FaultyStore::new(Arc::clone(&app.store)));
    let layer = builder(&app.verifier).with_shared_store(store.clone());
    let service = layer.build().unwrap().layer(app.inner.clone());
    let mut browser = Browser::default();
    let callback = browser.reach_callback(&app, START).await;
    store.break_down();
    for _ in 0..3 {
        let answer = load(&mut browser, &service, &callback).await;
        assert_eq!(failure(&answer), Some(Kind::StoreUnavailable));
        assert!(answer.headers().contains_key("retry-after"));
        assert!(answer.body().contains(DEEP_LINK), "{}", answer.body());
    }
    store.recover();
    let answer = load(&mut browser, &service, &callback).await;
    assert_eq!(location(&answer), "/messages/7");
    assert_eq!(app.idp.hits().token, 1);
}

async fn load(browser: &mut Browser, service: &Login<Inner>, path: &str) -> Answer {
    let request = browser.navigation(path);
    browser.send(service, request).await
}

// LG-20
#[tokio::test]
async fn a_callback_that_finds_the_token_endpoint_closed_can_be_loaded_again() {
    let app = App::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let discovery = format!("{}/.well-known/openid-configuration", app.idp.issuer());
    let answer = reqwest::get(discovery).await.unwrap().text().await.unwrap();
    let mut metadata: serde_json::Value = serde_json::from_str(&answer).unwrap();
    metadata["token_endpoint"] = format!("http://{address}/token").into();
    app.idp.set_discovery(metadata.to_string());
    let mut browser = Browser::default();
    let callback = browser.reach_callback(&app, START).await;
    for _ in 0..3 {
        let answer = browser.visit(&app, &callback).await;
        assert_eq!(failure(&answer), Some(Kind::ProviderUnavailable));
        assert!(answer.headers().contains_key("retry-after"));
        assert!(answer.body().contains(DEEP_LINK), "{}", answer.body());
    }
    let behind = app.idp.token_url();
    let behind = url::Url::parse(&behind).unwrap();
    let behind = behind.socket_addrs(|| None).unwrap()[0];
    let listener = TcpListener::bind(address).await.unwrap();
    let forwarding = tokio::spawn(async move {
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let mut far = TcpStream::connect(behind).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
        }
    });
    let answer = browser.visit(&app, &callback).await;
    assert_eq!(location(&answer), "/messages/7", "{}", answer.body());
    assert_eq!(app.idp.hits().token, 1);
    forwarding.abort();
}

// LG-20, LG-23
#[tokio::test]
async fn after_its_code_was_sent_a_callback_keeps_the_deep_link() {
    let seen: Mutex<Vec<Kind>> = Mutex::default();
    for fault in [
        Fault::LoseAnswer,
        Fault::Status(500),
        Fault::Status(429),
        Fault::error(400, "invalid_grant"),
        Fault::document("text/html", "<h1>a firewall</h1>"),
    ] {
        let app = App::start().await;
        let mut browser = Browser::default();
        let callback = browser.reach_callback(&app, START).await;
        app.idp.set_fault(Endpoint::Token, fault.clone());
        let answer = browser.visit(&app, &callback).await;
        assert!(answer.body().contains(DEEP_LINK), "{fault:?}");
        seen.lock().unwrap().extend(failure(&answer));
        app.idp.set_fault(Endpoint::Token, None);
        for _ in 0..2 {
            let answer = browser.visit(&app, &callback).await;
            assert_eq!(failure(&answer), Some(Kind::AttemptReplayed), "{fault:?}");
            assert!(answer.body().contains(DEEP_LINK), "{fault:?}");
        }
        assert_eq!(app.idp.hits().token, 1, "{fault:?}: the code is sent once");
        let callback = browser.reach_callback(&app, DEEP_LINK).await;
        let answer = browser.visit(&app, &callback).await;
        assert_eq!(location(&answer), "/messages/7", "{fault:?}");
        assert_eq!(at_provider_again(&app).await, StatusCode::SEE_OTHER);
    }
    assert!(seen.lock().unwrap().contains(&Kind::CodeRejected));
}

/// Another browser is not touched by any of it.
async fn at_provider_again(app: &App) -> StatusCode {
    let mut browser = Browser::default();
    let answer = browser.visit(app, START).await;
    let callback = at_provider(location(&answer)).await;
    browser.visit(app, &callback).await.status()
}
