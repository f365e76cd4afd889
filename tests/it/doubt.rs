//! Doubt is not a verdict: what a session survives that other systems end it for.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use tower::{Layer, ServiceExt};
use tower_oidc::login::{LoginBuilder, LoginLayer, MemoryStore};
use tower_oidc::testing::{DevelopmentProvider, Endpoint, Fault, ManualClock};
use tower_oidc::{Clock, LoginErrorKind as Kind, UnixTime};

use crate::browser::{App, Browser, SESSION, builder, failure};
use crate::faulty_store::FaultyStore;
use crate::support::{API, judging_as, seconds, until};

/// An application with a browser signed in.
async fn signed_in_with(choose: impl FnOnce(LoginBuilder) -> LoginBuilder) -> (App, Browser) {
    let app = App::start_with(choose).await;
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    (app, browser)
}

async fn signed_in() -> (App, Browser) {
    signed_in_with(|login| login).await
}

fn html(status: u16) -> Fault {
    Fault::Answer {
        status,
        headers: vec![("content-type".to_owned(), "text/html".to_owned())],
        body: b"<h1>Blocked by your network</h1>".to_vec(),
    }
}

/// However many answers in a row are lost: the session is there when the provider is.
// D7, RT-05
#[tokio::test]
async fn any_number_of_lost_answers_ends_no_session() {
    let faults = [
        html(200),
        html(502),
        html(504),
        html(500),
        html(503),
        Fault::json(""),
        Fault::json("{\"access_token\":"),
        Fault::Answer {
            status: 204,
            headers: Vec::new(),
            body: Vec::new(),
        },
    ];
    for fault in faults {
        let (app, browser) = signed_in().await;
        app.hour_passes();
        app.idp.set_fault(Endpoint::Token, fault.clone());
        let mut attempts = 0;
        for _ in 0..60 {
            let answer = browser.clone().fetch(&app, "/").await;
            let status = answer.status();
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{fault:?}");
            assert!(answer.headers().contains_key("retry-after"), "{fault:?}");
            app.clock.advance(seconds(10));
            attempts = app.idp.hits().token - 1;
        }
        assert!(
            (5..=25).contains(&attempts),
            "{fault:?}: {attempts} attempts in ten minutes"
        );
        app.idp.set_fault(Endpoint::Token, None);
        app.clock.advance(seconds(61));
        let answer = browser.clone().fetch(&app, "/").await;
        assert_eq!(answer.status(), StatusCode::OK, "{fault:?}");
        assert_eq!(app.idp.hits().reused, 0, "{fault:?}");
    }
}

/// A firewall's page is not the provider's word.
// D9
#[tokio::test]
async fn a_page_instead_of_an_answer_ends_no_session() {
    for status in [400, 401, 403, 404, 405, 413, 451] {
        let (app, browser) = signed_in().await;
        app.clock.advance(seconds(3_595));
        app.idp.set_fault(Endpoint::Token, html(status));
        for _ in 0..3 {
            let answer = browser.clone().fetch(&app, "/").await;
            assert_eq!(answer.status(), StatusCode::OK, "{status}: the token lives");
        }
        app.clock.advance(seconds(30));
        let answer = browser.clone().fetch(&app, "/").await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{status}");
        app.idp.set_fault(Endpoint::Token, None);
        app.clock.advance(seconds(30));
        let answer = browser.clone().fetch(&app, "/").await;
        assert_eq!(answer.status(), StatusCode::OK, "{status}");
    }
}

/// The provider wants to see the user: signing in helps, and until then nothing is lost.
// D9
#[tokio::test]
async fn a_provider_that_wants_the_user_causes_a_sign_in_and_ends_no_session() {
    let (app, mut browser) = signed_in().await;
    app.hour_passes();
    let fault = Fault::error(400, "interaction_required");
    app.idp.set_fault(Endpoint::Token, fault);
    let answer = browser.visit(&app, "/").await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert!(browser.jar.contains_key(SESSION), "the cookie stays");
    let answer = browser.fetch(&app, "/").await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    app.idp.set_fault(Endpoint::Token, None);
    app.clock.advance(seconds(61));
    assert_eq!(browser.fetch(&app, "/").await.status(), StatusCode::OK);
}

/// Two processes of one site before a store that can go away, the first with a grant under way.
struct Outage {
    app: App,
    browser: Browser,
    store: Arc<FaultyStore>,
    here: LoginLayer,
    there: LoginLayer,
}

impl Outage {
    async fn begin() -> Self {
        let app = App::start().await;
        let store = Arc::new(FaultyStore::new(Arc::clone(&app.store)));
        let process = || {
            let provider = app.idp.provider().unwrap();
            let verifier = judging_as(&provider, API).build().unwrap();
            let login = builder(&verifier).with_near_cache_age(Duration::ZERO);
            login.with_shared_store(store.clone()).build().unwrap()
        };
        let (here, there) = (process(), process());
        let mut browser = Browser::default();
        let app = App {
            layer: here.clone(),
            ..app
        };
        browser.sign_in(&app).await;
        app.hour_passes();
        Self {
            app,
            browser,
            store,
            here,
            there,
        }
    }

    fn fetch(&self, layer: &LoginLayer) -> tokio::task::JoinHandle<StatusCode> {
        let service = layer.layer(self.app.inner.clone());
        let request = self.browser.script(Method::GET, "/");
        tokio::spawn(async move { service.oneshot(request).await.unwrap().status() })
    }
}

/// The store goes away while a grant is under way, and comes back after the lease has ended. Another process
/// asks first. The leader still writes down what it got.
// D7
#[tokio::test]
async fn a_store_that_is_away_in_mid_refresh_loses_no_session() {
    let world = Outage::begin().await;
    let slow = Fault::Slow(Duration::from_millis(300));
    world.app.idp.set_fault(Endpoint::Token, slow);
    let leading = world.fetch(&world.here);
    until(|| world.app.idp.hits().token == 2).await;
    world.store.break_down();
    until(|| world.app.idp.hits().refreshed == 1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    // The lease ends while the store takes no write.
    world.app.clock.advance(seconds(100));
    world.store.recover();
    let other = world.fetch(&world.there);
    let (one, other) = (leading.await.unwrap(), other.await.unwrap());
    assert_eq!(one, StatusCode::OK, "the leader commits");
    assert!(
        [StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE].contains(&other),
        "{other}"
    );
    assert_eq!(world.fetch(&world.there).await.unwrap(), StatusCode::OK);
    let hits = world.app.idp.hits();
    assert_eq!((hits.refreshed, hits.reused), (1, 0));
}

/// Read, lease, write: the request hands what it read to the task that refreshes.
// D30
#[tokio::test]
async fn a_refresh_is_three_round_trips_to_the_store() {
    let world = Outage::begin().await;
    let before = world.store.round_trips();
    assert_eq!(world.fetch(&world.here).await.unwrap(), StatusCode::OK);
    assert_eq!(world.app.idp.hits().refreshed, 1);
    assert_eq!(world.store.round_trips() - before, 3);
    assert_eq!(world.fetch(&world.here).await.unwrap(), StatusCode::OK);
    assert_eq!(world.store.round_trips() - before, 4, "nothing is due");
}

/// A request waits for a leader that is gone no longer than a living leader could take.
// D7
#[tokio::test]
async fn no_request_waits_for_a_leader_that_must_have_answered_by_now() {
    let world = Outage::begin().await;
    world.app.idp.set_fault(Endpoint::Token, Fault::Stall);
    let leading = world.fetch(&world.here);
    until(|| world.app.idp.hits().token == 2).await;
    // It was killed, as far as the other process can tell.
    leading.abort();
    world.app.clock.advance(seconds(15));
    let service = world.there.layer(world.app.inner.clone());
    let request = world.browser.script(Method::GET, "/");
    let answered = tokio::time::timeout(Duration::from_secs(2), service.oneshot(request)).await;
    let answer = answered.expect("it waits in vain").unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let after: i64 = answer.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(
        (7..=9).contains(&after),
        "the lease's end and the pause: {after}"
    );
}

/// An application whose store's clock is not the provider's.
async fn clocks_apart(store_ahead: i64) -> (App, ManualClock, Browser) {
    let clock = ManualClock::new();
    let idp = DevelopmentProvider::builder()
        .with_clock(clock.clone())
        .start()
        .await
        .unwrap();
    let store_clock = ManualClock::new();
    let ahead = clock.now().as_seconds() + store_ahead;
    store_clock.set(UnixTime::from_seconds(ahead));
    let store = Arc::new(MemoryStore::with_clock(store_clock.clone()));
    let app = App::start().await;
    let provider = idp.provider().unwrap();
    let verifier = judging_as(&provider, API).build().unwrap();
    let layer = builder(&verifier)
        .with_shared_store(store.clone())
        .build()
        .unwrap();
    let app = App {
        idp,
        clock,
        verifier,
        store,
        layer,
        ..app
    };
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    (app, store_clock, browser)
}

/// The store's clock is wrong, and no token is served past its own end.
// LM-05
#[tokio::test]
async fn a_store_whose_clock_is_wrong_serves_no_expired_token() {
    for store_ahead in [-240, 240] {
        let (app, store_clock, mut browser) = clocks_apart(store_ahead).await;
        for turn in 0..4 {
            assert_eq!(browser.fetch(&app, "/").await.status(), StatusCode::OK);
            let token = app.session().access_token().await.unwrap();
            let verified = app.verifier.verify(token.as_access_token().as_str()).await;
            assert!(verified.is_ok(), "{store_ahead}: {verified:?}");
            assert_eq!(app.session().renewals(), turn, "{store_ahead}");
            for clock in [&app.clock, &store_clock] {
                clock.advance(seconds(3_600 + 65));
            }
        }
        assert_eq!(app.idp.hits().reused, 0);
    }
}

/// A failover brings a store whose clock is four minutes behind.
// LM-05
#[tokio::test]
async fn a_store_clock_that_jumps_back_revives_no_token_and_leaves_no_page() {
    let (app, store_clock, mut browser) = clocks_apart(0).await;
    let jump = |by: i64| {
        let now = store_clock.now().as_seconds() + by;
        store_clock.set(UnixTime::from_seconds(now));
    };
    jump(-240);
    for clock in [&app.clock, &store_clock] {
        clock.advance(seconds(3_600 + 65));
    }
    // By the store's clock the token lives for three more minutes.
    assert_eq!(browser.fetch(&app, "/").await.status(), StatusCode::OK);
    assert_eq!(app.session().renewals(), 1);

    // The keys that signed a token are gone, so that it is refused: a refresh mends it, though the store says
    // that it was obtained in the future.
    jump(-240);
    app.idp.rotate_keys();
    app.idp.drop_retired_keys();
    app.clock.advance(seconds(700));
    let provider = app.idp.provider().unwrap();
    let verifier = judging_as(&provider, API).build().unwrap();
    let replica = builder(&verifier)
        .with_shared_store(app.store.clone())
        .build()
        .unwrap();
    let app = App {
        layer: replica,
        ..app
    };
    let answer = browser.fetch(&app, "/").await;
    assert_eq!(answer.status(), StatusCode::OK, "{:?}", failure(&answer));
    assert_eq!(app.session().renewals(), 2);
}

/// The refresh token ends before the access token does: it is spent before its end.
// D7, RT-10
#[tokio::test]
async fn a_refresh_token_that_ends_first_is_spent_before_its_end() {
    for member in ["refresh_expires_in", "refresh_token_expires_in"] {
        let app = App::start().await;
        app.idp
            .edit_token_answer(move |_, answer| answer[member] = serde_json::json!(600));
        let mut browser = Browser::default();
        browser.sign_in(&app).await;
        for _ in 0..24 {
            app.clock.advance(seconds(50));
            assert_eq!(browser.fetch(&app, "/").await.status(), StatusCode::OK);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // Twenty minutes of an access token of an hour.
        assert!(app.session().renewals() >= 1, "{member}");
        assert_eq!(app.idp.hits().reused, 0, "{member}");
    }
}

/// A session that another identity took over ends, whatever lease another process holds.
// ID-11
#[tokio::test]
async fn another_identity_ends_the_session_while_another_process_refreshes_it() {
    let world = Outage::begin().await;
    world
        .app
        .idp
        .edit_id_token(|token| token.claim("sub", "user-2"));
    let statuses = [world.fetch(&world.here), world.fetch(&world.there)];
    for status in statuses {
        let status = status.await.unwrap();
        assert_ne!(status, StatusCode::INTERNAL_SERVER_ERROR);
    }
    let answer = world.browser.clone().fetch(&world.app, "/").await;
    assert_eq!(failure(&answer), Some(Kind::SessionEnded));
}
