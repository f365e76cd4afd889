//! Several tabs of one browser that sign in at the same time, and tabs that come back late.

use std::sync::Arc;

use http::header::SET_COOKIE;
use http::{Method, StatusCode};
use tower::Layer;
use tower_oidc::LoginErrorKind as Kind;

use crate::browser::{App, Browser, SESSION, at_provider, builder, failure, location, query, with};
use crate::faulty_store::FaultyStore;
use crate::support::{Answer, seconds};

const TABS: usize = 10;
const ATTEMPT: &str = "__Host-session-login-";
const AGAIN_SUFFIX: &str = ".again";
const AGAIN: &str = "/oauth/openid?again=1";

/// In which order tabs go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// All at once: what one is answered the others do not know yet.
    AtOnce,
    OneByOne,
    Backwards,
}

/// A tab under way: where it goes next, or where it has arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Tab {
    Going(String),
    In(String),
}

/// Lets each tab take one step.
async fn step(app: &App, browser: &mut Browser, tabs: &mut [Tab], order: Order) {
    let before = browser.clone();
    let mut turns: Vec<usize> = (0..tabs.len()).collect();
    if order == Order::Backwards {
        turns.reverse();
    }
    for turn in turns {
        let Tab::Going(path) = &tabs[turn] else {
            continue;
        };
        let sender = match order {
            Order::AtOnce => before.clone(),
            _ => browser.clone(),
        };
        tabs[turn] = go(app, browser, sender, path).await;
    }
}

/// Sends one request with the cookies of `sender`, and puts those of the answer into the browser.
async fn go(app: &App, browser: &mut Browser, mut sender: Browser, path: &str) -> Tab {
    let answer = sender.visit(app, path).await;
    browser.take_cookies(&answer);
    within_bounds(browser, &answer);
    match answer.status() {
        StatusCode::OK => Tab::In(path.to_owned()),
        StatusCode::SEE_OTHER => {
            let next = location(&answer);
            Tab::Going(if next.starts_with('/') {
                next.to_owned()
            } else {
                at_provider(next).await
            })
        }
        status => panic!("{path} is answered {status}: {}", answer.body()),
    }
}

fn within_bounds(browser: &Browser, answer: &Answer) {
    let sent = |name: &String, value: &String| name.len() + value.len() + "=; ".len();
    let attempts = browser
        .jar
        .iter()
        .filter(|(name, _)| name.starts_with(ATTEMPT));
    let together: usize = attempts.map(|(name, value)| sent(name, value)).sum();
    assert!(together <= 6 * 1024, "{together} bytes of sign-ins");
    let all: usize = browser
        .jar
        .iter()
        .map(|(name, value)| sent(name, value))
        .sum();
    assert!(all <= 8 * 1024, "{all} bytes of cookies");
    let fields = answer.headers().get_all(SET_COOKIE).iter();
    let written: usize = fields.map(http::HeaderValue::len).sum();
    assert!(written <= 3_500, "{written} bytes of cookies in one answer");
}

// LG-15
#[tokio::test]
async fn ten_tabs_that_begin_together_all_end_in_the_site() {
    let short = |tab: usize| format!("/messages/{tab}?page=2");
    let long = |tab: usize| format!("/search/{tab}?q={}", "a".repeat(1_980));
    let encoded = |tab: usize| format!("/search/{tab}?q={}", "%2B".repeat(660));
    let mixed = |tab: usize| {
        if tab.is_multiple_of(2) {
            short(tab)
        } else {
            long(tab)
        }
    };
    let links: [(&str, &dyn Fn(usize) -> String); 4] = [
        ("short", &short),
        ("long", &long),
        ("encoded", &encoded),
        ("mixed", &mixed),
    ];
    for (name, link) in links {
        for order in [Order::AtOnce, Order::OneByOne, Order::Backwards] {
            let app = App::start().await;
            let mut browser = Browser::default();
            let mut tabs: Vec<_> = (0..TABS).map(|tab| Tab::Going(link(tab))).collect();
            for _ in 0..12 {
                step(&app, &mut browser, &mut tabs, order).await;
            }
            let mut arrived_there = 0;
            for (at, tab) in tabs.iter().enumerate() {
                let Tab::In(path) = tab else {
                    panic!("{name} {order:?}: tab {at} is still under way: {tab:?}");
                };
                let whole = link(at);
                let is_there = *path == whole || whole.split('?').next() == Some(path.as_str());
                assert!(is_there || path == "/", "{name} {order:?}: {path}");
                arrived_there += usize::from(is_there);
            }
            assert!(arrived_there >= 1, "{name} {order:?}");
            let left = browser.cookies_called(ATTEMPT);
            assert!(left.len() < TABS, "{name} {order:?}: {left:?}");
        }
    }
}

// LG-15
#[tokio::test]
async fn the_first_tab_to_come_back_signs_in_though_others_have_overwritten_it() {
    let app = App::start().await;
    let mut browser = Browser::default();
    let mut callbacks = Vec::new();
    for tab in 0..TABS {
        let start = format!("/oauth/openid?return_to=/messages/{tab}");
        callbacks.push(browser.reach_callback(&app, &start).await);
        app.clock.advance(seconds(1));
    }
    // The user types the password in the first tab. The others wait at the provider.
    let answer = browser.visit(&app, &callbacks[0]).await;
    assert_eq!(location(&answer), AGAIN);
    assert_eq!(app.idp.hits().token, 0);
    let callback = browser.reach_callback(&app, AGAIN).await;
    let answer = browser.visit(&app, &callback).await;
    assert_eq!(location(&answer), "/");
    assert!(browser.jar.contains_key(SESSION));
    for callback in &callbacks {
        let answer = browser.visit(&app, callback).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{}", answer.body());
        let path = location(&answer).to_owned();
        assert_eq!(browser.visit(&app, &path).await.status(), StatusCode::OK);
    }
}

// LG-15
#[tokio::test]
async fn a_sign_in_is_replaced_once_and_only_beside_another() {
    let app = App::start().await;
    let mut browser = Browser::default();
    browser.reach_callback(&app, "/oauth/openid").await;
    let mut other = Browser::default();
    let lost = other.reach_callback(&app, "/oauth/openid").await;
    let replacement = other.reach_callback(&app, AGAIN).await;
    assert!(query(&replacement)["state"].ends_with(AGAIN_SUFFIX));
    let refusals = [
        ("replaced before", browser.clone(), &replacement),
        ("no other under way", Browser::default(), &lost),
        (
            "an error of the provider",
            browser.clone(),
            &with(&with(&lost, "code", None), "error", Some("access_denied")),
        ),
        (
            "an empty code",
            browser.clone(),
            &with(&lost, "code", Some("")),
        ),
    ];
    for (name, mut sender, callback) in refusals {
        let answer = sender.visit(&app, callback).await;
        assert_eq!(failure(&answer), Some(Kind::UnknownAttempt), "{name}");
    }
    let script = browser.script(Method::GET, &lost);
    let answer = browser.clone().send(&app.service(), script).await;
    assert_eq!(failure(&answer), Some(Kind::UnknownAttempt), "a script");
    assert_eq!(location(&browser.visit(&app, &lost).await), AGAIN);
    // A sign-in that has just ended counts as well, for half a minute.
    let denied = browser.reach_callback(&app, "/oauth/openid").await;
    browser.jar.retain(|name, _| !name.starts_with(ATTEMPT));
    assert_eq!(
        failure(&browser.visit(&app, &denied).await),
        Some(Kind::UnknownAttempt)
    );
    app.idp.set_user("");
    let denied = browser.reach_callback(&app, "/oauth/openid").await;
    assert_eq!(
        failure(&browser.visit(&app, &denied).await),
        Some(Kind::Denied)
    );
    assert_eq!(browser.cookies_called(ATTEMPT), Vec::<String>::new());
    assert_eq!(location(&browser.visit(&app, &lost).await), AGAIN);
    app.clock.advance(seconds(31));
    assert_eq!(
        failure(&browser.visit(&app, &lost).await),
        Some(Kind::UnknownAttempt)
    );
    assert_eq!(app.idp.hits().token, 0);
}

// LG-15
#[tokio::test]
async fn back_reload_and_a_bookmarked_page_of_the_provider_lead_on() {
    let app = App::start().await;
    let mut browser = Browser::default();
    let start = "/oauth/openid?return_to=/messages";
    let bookmarked = location(&browser.clone().visit(&app, start).await).to_owned();
    let callback = browser.reach_callback(&app, start).await;
    let before = browser.clone();
    assert_eq!(location(&browser.visit(&app, &callback).await), "/messages");
    for _ in 0..3 {
        assert_eq!(location(&browser.visit(&app, &callback).await), "/");
    }
    // The browser that still has the cookie, because it cut the first answer off after another tab signed in.
    let mut cut_off = before.clone();
    cut_off
        .jar
        .insert(SESSION.to_owned(), browser.jar[SESSION].clone());
    let answer = cut_off.visit(&app, &callback).await;
    assert_eq!(location(&answer), "/messages");
    assert_eq!(cut_off.cookies_called(ATTEMPT), Vec::<String>::new());
    // Days later the provider still sends the browser back with the state of then.
    app.clock.advance(seconds(1_200));
    let callback = at_provider(&bookmarked).await;
    assert_eq!(location(&browser.visit(&app, &callback).await), "/");
    assert_eq!(browser.visit(&app, "/").await.status(), StatusCode::OK);
    let answer = Browser::default().visit(&app, &callback).await;
    assert_eq!(failure(&answer), Some(Kind::UnknownAttempt));
    assert!(answer.body().contains("/oauth/openid?return_to=%2F"));
    assert_eq!(app.idp.hits().token, 1);
}

// LG-17, SC-14
#[tokio::test]
async fn a_request_under_way_with_a_replaced_cookie_signs_no_tab_out() {
    let app = App::start().await;
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    let late = browser.clone();
    browser.sign_in(&app).await;
    assert_ne!(browser.jar[SESSION], late.jar[SESSION]);
    let answer = late.clone().visit(&app, "/").await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(!answer.headers().contains_key(SET_COOKIE));
    app.clock.advance(seconds(10));
    let answer = late.clone().fetch(&app, "/").await;
    assert_eq!(failure(&answer), Some(Kind::SessionEnded));
    assert_eq!(browser.visit(&app, "/").await.status(), StatusCode::OK);
}

// LG-15
#[tokio::test]
async fn a_late_answer_is_503_while_the_store_is_away() {
    let app = App::start().await;
    let mut browser = Browser::default();
    let callback = browser.reach_callback(&app, "/oauth/openid").await;
    browser.visit(&app, &callback).await;
    let store = Arc::new(FaultyStore::new(Arc::clone(&app.store)));
    let layer = builder(&app.verifier).with_shared_store(store.clone());
    let service = layer.build().unwrap().layer(app.inner.clone());
    store.break_down();
    let request = browser.navigation(&callback);
    let answer = browser.send(&service, request).await;
    assert_eq!(failure(&answer), Some(Kind::StoreUnavailable));
    store.recover();
    let request = browser.navigation(&callback);
    assert_eq!(location(&browser.send(&service, request).await), "/");
}

// LG-10
#[tokio::test]
async fn a_return_path_beyond_two_kilobytes_gives_way_to_its_path() {
    let app = App::start().await;
    let query = "q".repeat(3_000);
    let cases = [
        (format!("/messages?{query}"), "/messages"),
        (format!("/{query}"), "/"),
    ];
    for (link, expected) in cases {
        let mut browser = Browser::default();
        let answer = browser.visit(&app, &link).await;
        let start = location(&answer).to_owned();
        let callback = browser.reach_callback(&app, &start).await;
        assert_eq!(location(&browser.visit(&app, &callback).await), expected);
        // The same for an application's own link to the start path.
        let start = format!("/oauth/openid?return_to={link}");
        let callback = browser.reach_callback(&app, &start).await;
        assert_eq!(location(&browser.visit(&app, &callback).await), expected);
    }
    // What becomes three times as long in a query leaves room for the other fields of an answer.
    let answer = Browser::default()
        .visit(&app, &format!("/messages?{}", "%2B".repeat(680)))
        .await;
    assert_eq!(location(&answer), "/oauth/openid?return_to=%2Fmessages");
}

// LG-15, D10
#[tokio::test]
async fn a_provider_that_changes_every_state_is_no_loop() {
    type Change = fn(&str) -> String;
    let changes: [(&str, usize, Change); 4] = [
        ("longer", 1, |state| format!("{state}1")),
        ("cut", 3, |state| state[..20].to_owned()),
        ("other", 3, |_| "another".to_owned()),
        ("encoded twice", 1, |state| format!("{state}%2E")),
    ];
    for (name, most, change) in changes {
        let app = App::start().await;
        let mut browser = Browser::default();
        let mut start = "/oauth/openid".to_owned();
        for turn in 0.. {
            let callback = browser.reach_callback(&app, &start).await;
            let state = change(&query(&callback)["state"]);
            let url = with(&callback, "state", Some(&state));
            let answer = browser.visit(&app, &url).await;
            if answer.status() != StatusCode::SEE_OTHER {
                assert_eq!(failure(&answer), Some(Kind::UnknownAttempt), "{name}");
                break;
            }
            assert!(turn < most, "{name}: {turn}");
            location(&answer).clone_into(&mut start);
            assert_eq!(start, AGAIN);
        }
        assert_eq!(app.idp.hits().token, 0);
    }
}
