//! Endpoints that have moved since the metadata was fetched.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::json;
use tokio::time::{Instant, sleep};
use tower::service_fn;
use tower_oidc::error::OutboundErrorKind;
use tower_oidc::login::LoginBuilder;
use tower_oidc::outbound::Outbound;
use tower_oidc::testing::DevelopmentProvider;
use tower_oidc::{Clock, HttpClient, OutboundLayer, Provider, UnixTime};

use crate::browser::{App, Browser, client};
use crate::support::{seconds, until};
use crate::upstream::{Client, ORDERS, Upstream, call, get, kind};

const DISCOVERY: &str = "/.well-known/openid-configuration";

/// A provider in memory whose token endpoint moves from `/old` to `/new`.
#[derive(Clone)]
struct Moving {
    /// What `/old` answers, and after how long.
    old: (u16, &'static str, Duration),
    /// Whether the metadata names `/new` from the second fetch on, and how long that fetch takes.
    named: (bool, Duration),
    asked: Arc<Mutex<Vec<String>>>,
}

impl Moving {
    fn new(status: u16, body: &'static str) -> Self {
        Self {
            old: (status, body, Duration::ZERO),
            named: (true, Duration::ZERO),
            asked: Arc::default(),
        }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    async fn answer(&self, path: &str) -> (u16, String) {
        let before = {
            let mut asked = self.asked.lock().unwrap();
            let before = asked.iter().filter(|known| *known == path).count();
            asked.push(path.to_owned());
            before
        };
        match path {
            DISCOVERY => {
                let (moves, delay) = self.named;
                if before > 0 {
                    sleep(delay).await;
                }
                let token = if before > 0 && moves { "new" } else { "old" };
                let metadata = json!({
                    "issuer": "https://id.example",
                    "jwks_uri": "https://id.example/jwks",
                    "token_endpoint": format!("https://id.example/{token}"),
                });
                (200, metadata.to_string())
            }
            "/old" => {
                let (status, body, delay) = self.old;
                sleep(delay).await;
                (status, body.to_owned())
            }
            _ => {
                let tokens = json!({"access_token": "a", "token_type": "Bearer"});
                (200, tokens.to_string())
            }
        }
    }

    /// A client of a service that needs tokens from this provider.
    fn service(&self) -> Outbound<Client> {
        let provider = self.clone();
        let http = HttpClient::new(service_fn(move |request: Request<Bytes>| {
            let provider = provider.clone();
            async move {
                let (status, body) = provider.answer(request.uri().path()).await;
                let response = Response::builder()
                    .status(status)
                    .header("content-type", "application/json")
                    .body(Full::new(Bytes::from(body)));
                Ok::<_, Infallible>(response.unwrap())
            }
        }));
        let provider = Provider::builder("https://id.example")
            .with_http_client(http)
            .with_clock(PausedClock(Instant::now()))
            .build()
            .unwrap();
        let layer = OutboundLayer::client_credentials(&provider, client(), ORDERS).unwrap();
        Upstream::new().behind(&layer)
    }
}

/// The time of a runtime, which skips to the next timer when all tasks wait.
struct PausedClock(Instant);

impl Clock for PausedClock {
    fn now(&self) -> UnixTime {
        UnixTime::from_seconds(1_000_000).saturating_add(self.monotonic())
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

// RT-08, DI-07
#[tokio::test(start_paused = true)]
async fn a_grant_goes_to_the_new_address_of_a_token_endpoint_that_moved() {
    let (page, rejection) = ("<h1>not here</h1>", r#"{"error":"invalid_grant"}"#);
    let cases = [
        (404, page, true),
        (404, "", true),
        (404, r#"{"error":"Not Found"}"#, true),
        (410, page, true),
        (301, "", true),
        (308, "", true),
        // An endpoint's own error is an answer, whatever its status.
        (404, rejection, false),
        (410, rejection, false),
        (400, page, false),
        (403, page, false),
        (302, "", false),
        (307, "", false),
        (429, page, false),
        (503, page, false),
    ];
    for (status, body, moves) in cases {
        let provider = Moving::new(status, body);
        let service = provider.service();
        let answer = call(&service, get(ORDERS)).await;
        assert_eq!(answer.is_ok(), moves, "{status} {body}");
        let expected: &[&str] = if moves {
            &[DISCOVERY, "/old", DISCOVERY, "/new"]
        } else {
            &[DISCOVERY, "/old"]
        };
        assert_eq!(provider.asked(), expected, "{status} {body}");
    }
}

// RT-08, DI-07
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_gone_for_good_does_not_flood_the_metadata() {
    let mut provider = Moving::new(404, "<h1>not here</h1>");
    provider.named.0 = false;
    let service = provider.service();
    let fetches = || {
        let asked = provider.asked();
        asked.iter().filter(|path| *path == DISCOVERY).count()
    };
    let began = Instant::now();
    while began.elapsed() < seconds(10) {
        let kind = kind(&service, get(ORDERS)).await;
        assert_eq!(kind, OutboundErrorKind::Unavailable);
        sleep(seconds(1)).await;
    }
    assert_eq!(fetches(), 3, "one at the start, and two that look again");
    while began.elapsed() < seconds(300) {
        kind(&service, get(ORDERS)).await;
        sleep(seconds(1)).await;
    }
    assert!(fetches() <= 3 + 10, "one in thirty seconds: {}", fetches());
}

// RT-08, LM-04
#[tokio::test(start_paused = true)]
async fn a_call_that_is_sent_again_stays_within_the_time_of_one_call() {
    // The metadata takes longer than its time limit: the first answer counts, within ten seconds.
    let mut slow = Moving::new(404, "<h1>not here</h1>");
    slow.old.2 = seconds(4);
    slow.named.1 = seconds(60);
    // Half a second is left when the new address is known: too little to send a token.
    let mut late = Moving::new(404, "<h1>not here</h1>");
    late.old.2 = Duration::from_millis(9_500);
    for provider in [slow, late] {
        let service = provider.service();
        let began = Instant::now();
        let kind = kind(&service, get(ORDERS)).await;
        assert_eq!(kind, OutboundErrorKind::Unavailable);
        assert!(began.elapsed() <= seconds(10), "{:?}", began.elapsed());
        assert_eq!(provider.asked(), [DISCOVERY, "/old", DISCOVERY]);
    }
}

/// Lets the provider's metadata name an address where nothing is for these endpoints.
fn lose(idp: &DevelopmentProvider, lost: &[&str]) {
    let at = |path: &str| format!("{}{path}", idp.issuer());
    let mut metadata = json!({
        "issuer": idp.issuer(),
        "jwks_uri": idp.jwks_url(),
        "token_endpoint": idp.token_url(),
        "authorization_endpoint": at("/authorize"),
        "pushed_authorization_request_endpoint": at("/par"),
        "require_pushed_authorization_requests": lost.contains(&"pushed_authorization_request_endpoint"),
        "userinfo_endpoint": at("/userinfo"),
        "revocation_endpoint": at("/revoke"),
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
    });
    for name in lost {
        metadata[*name] = json!(at("/nowhere"));
    }
    idp.set_discovery(metadata.to_string());
}

// RT-02, RT-08
#[tokio::test]
async fn a_session_is_refreshed_at_the_new_address() {
    let app = App::start().await;
    app.idp.set_token_lifetime(seconds(5_400));
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    // The metadata is fetched again when it is due, and names an address where nothing is.
    lose(&app.idp, &["token_endpoint"]);
    app.clock.advance(seconds(3_545));
    let before = app.idp.hits().discovery;
    Browser::default().visit(&app, "/oauth/openid").await;
    until(|| app.idp.hits().discovery > before).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    lose(&app.idp, &[]);
    app.clock.advance(seconds(1_850));
    let answer = browser.fetch(&app, "/").await;
    assert_eq!(answer.status(), StatusCode::OK);
    let hits = app.idp.hits();
    assert_eq!((hits.discovery, hits.other), (before + 2, 1));
    assert_eq!((hits.refreshed, hits.reused), (1, 0));
    assert_eq!(app.session().renewals(), 1);
}

// LG-21, LG-23, ID-09, IN-08
#[tokio::test]
async fn sign_in_and_sign_out_find_every_endpoint_that_moved() {
    for lost in [
        "pushed_authorization_request_endpoint",
        "token_endpoint",
        "userinfo_endpoint",
        "revocation_endpoint",
    ] {
        let app = App::start_with(LoginBuilder::with_userinfo).await;
        if lost == "pushed_authorization_request_endpoint" {
            app.idp.require_pushed_authorization();
        }
        lose(&app.idp, &[lost]);
        let provider = app.verifier.providers().next().unwrap();
        provider.ready().await.unwrap();
        lose(&app.idp, &[]);
        let mut browser = Browser::default();
        browser.sign_in(&app).await;
        browser.post(&app, "/oauth/openid/logout").await;
        until(|| app.idp.live_refresh_tokens().is_empty()).await;
        let hits = app.idp.hits();
        assert_eq!((hits.discovery, hits.other), (2, 1), "{lost}");
        assert_eq!(hits.token, 1, "{lost}: the code is sent once");
    }
}
