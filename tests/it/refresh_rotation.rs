//! Tokens that renew themselves: the races, faults and odd answers that sign people out elsewhere.
//! The provider rotates and detects reuse in every one of them.

use std::time::{Duration, SystemTime};

use http::{Method, StatusCode};
use tower::{Layer, ServiceExt};
use tower_oidc::login::{Login, LoginBuilder};
use tower_oidc::testing::{Endpoint, Fault};
use tower_oidc::{Clock, LoginErrorKind as Kind, UnixTime};

use crate::browser::{App, Browser, failure, told_operators};
use crate::support::{API, Answer, Inner, judging_as, seconds, until};

/// An application with a browser signed in, whose token is due.
async fn due() -> (App, Browser) {
    due_with(|login| login).await
}

async fn due_with(choose: impl FnOnce(LoginBuilder) -> LoginBuilder) -> (App, Browser) {
    let app = App::start_with(choose).await;
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    app.hour_passes();
    (app, browser)
}

/// Many requests at once, over these services in turn.
async fn at_once(browser: &Browser, services: &[Login<Inner>], count: usize) -> Vec<Answer> {
    let requests = (0..count).map(|at| {
        let service = services[at % services.len()].clone();
        let request = browser.script(Method::GET, "/");
        tokio::spawn(async move { service.oneshot(request).await.unwrap() })
    });
    let mut answers = Vec::new();
    for request in requests.collect::<Vec<_>>() {
        answers.push(request.await.unwrap());
    }
    answers
}

fn all_signed_in(answers: &[Answer]) {
    for answer in answers {
        assert_eq!(
            (answer.status(), answer.body().as_str()),
            (StatusCode::OK, "user-1")
        );
    }
}

fn without(app: &App, member: &'static str) {
    app.idp.edit_token_answer(move |grant, answer| {
        if grant == "refresh_token" {
            answer.as_object_mut().unwrap().remove(member);
        }
    });
}

// RT-01
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_requests_at_expiry_are_one_grant() {
    let (app, browser) = due().await;
    app.idp
        .set_fault(Endpoint::Token, Fault::Slow(Duration::from_millis(50)));
    all_signed_in(&at_once(&browser, &[app.service()], 100).await);
    let hits = app.idp.hits();
    assert_eq!((hits.refreshed, hits.reused, hits.token), (1, 0, 2));
}

// RT-01, F28
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_requests_over_three_replicas_are_one_grant() {
    let (app, browser) = due().await;
    app.idp
        .set_fault(Endpoint::Token, Fault::Slow(Duration::from_millis(150)));
    let services: Vec<_> = [app.layer.clone(), app.replica(), app.replica()]
        .iter()
        .map(|layer| layer.layer(app.inner.clone()))
        .collect();
    all_signed_in(&at_once(&browser, &services, 300).await);
    let hits = app.idp.hits();
    assert_eq!((hits.refreshed, hits.reused, hits.token), (1, 0, 2));
    // And again, an hour later, and once more.
    for expected in [2, 3] {
        app.hour_passes();
        all_signed_in(&at_once(&browser, &services, 60).await);
        assert_eq!(app.idp.hits().refreshed, expected);
    }
    assert_eq!(app.idp.hits().reused, 0);
}

// D8
#[tokio::test]
async fn a_token_is_renewed_behind_a_request_before_it_expires() {
    let app = App::start().await;
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    app.clock.advance(seconds(3_500));
    browser.fetch(&app, "/").await;
    assert_eq!(app.idp.hits().refreshed, 0, "a live token is left alone");
    app.clock.advance(seconds(45));
    app.idp
        .set_fault(Endpoint::Token, Fault::Slow(Duration::from_millis(100)));
    let answer = browser.fetch(&app, "/").await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(app.session().renewals(), 0, "the request does not wait");
    until(|| app.idp.hits().refreshed == 1).await;
    // The new record is there soon after.
    for _ in 0..100 {
        browser.fetch(&app, "/").await;
        if app.session().renewals() == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!((app.session().renewals(), app.idp.hits().refreshed), (1, 1));
}

// RT-04, F41
#[tokio::test]
async fn a_request_that_goes_away_harms_no_other() {
    let (app, browser) = due().await;
    app.idp
        .set_fault(Endpoint::Token, Fault::Slow(Duration::from_millis(200)));
    let request = browser.script(Method::GET, "/");
    let leaving = app.service().oneshot(request);
    let left = tokio::time::timeout(Duration::from_millis(50), leaving).await;
    assert!(left.is_err(), "it left before the answer");
    all_signed_in(&at_once(&browser, &[app.service()], 10).await);
    let hits = app.idp.hits();
    assert_eq!((hits.refreshed, hits.reused), (1, 0));
    // The rotated token was kept: the next renewal works.
    app.hour_passes();
    all_signed_in(&at_once(&browser, &[app.service()], 10).await);
    assert_eq!((app.idp.hits().refreshed, app.idp.hits().reused), (2, 0));
}

// RT-05
#[tokio::test]
async fn a_lost_answer_is_tried_once_more_and_then_ends_the_session_cleanly() {
    let app = App::start().await;
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    app.clock.advance(seconds(3_595));
    app.idp.set_fault(Endpoint::Token, Fault::LoseAnswer);
    // The rotated token is lost; the live one is served on to its end without a second grant.
    for _ in 0..5 {
        assert_eq!(browser.fetch(&app, "/").await.status(), StatusCode::OK);
    }
    assert_eq!((app.idp.hits().token, app.idp.hits().refreshed), (2, 1));
    app.idp.set_fault(Endpoint::Token, None);
    app.clock.advance(seconds(60));
    let answer = browser.fetch(&app, "/").await;
    assert_eq!(failure(&answer), Some(Kind::SessionEnded));
    assert!(
        browser.jar.keys().all(|name| !name.ends_with("session")),
        "cleared"
    );
    assert_eq!(
        (app.idp.hits().token, app.idp.hits().reused),
        (3, 1),
        "one probe"
    );
}

// RT-06
#[tokio::test]
async fn a_rejected_refresh_token_is_sent_once_in_a_thousand_requests() {
    let (app, browser) = due().await;
    let refresh_token = app.idp.live_refresh_tokens().remove(0);
    app.idp.set_fault(Endpoint::Token, Fault::Status(400));
    for turn in 0..1_000 {
        let answer = browser.clone().fetch(&app, "/").await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{turn}");
        assert_eq!(failure(&answer), Some(Kind::SessionEnded));
    }
    assert_eq!(app.idp.hits().token, 2);
    assert_eq!(app.idp.live_refresh_tokens(), [refresh_token]);
    // A page is sent to sign in, and signing in works at once.
    app.idp.set_fault(Endpoint::Token, None);
    let mut browser = browser;
    let answer = browser.visit(&app, "/").await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    browser.sign_in(&app).await;
    assert_eq!(browser.fetch(&app, "/").await.status(), StatusCode::OK);
}

// RT-08, F16
#[tokio::test]
async fn an_ailing_provider_signs_no_user_out() {
    let faults = [
        Fault::error(500, "server_error"),
        Fault::error(503, "temporarily_unavailable"),
        Fault::Status(429),
        Fault::Status(408),
        Fault::Status(403),
        Fault::Redirect("https://evil.example/".into()),
    ];
    for fault in faults {
        let app = App::start().await;
        let mut browser = Browser::default();
        browser.sign_in(&app).await;
        app.clock.advance(seconds(3_595));
        app.idp.set_fault(Endpoint::Token, fault.clone());
        for _ in 0..50 {
            let answer = browser.fetch(&app, "/").await;
            assert_eq!(
                answer.status(),
                StatusCode::OK,
                "{fault:?}: the token lives"
            );
        }
        assert_eq!(
            app.idp.hits().token,
            2,
            "{fault:?}: one attempt, then a pause"
        );
        app.clock.advance(seconds(300));
        for _ in 0..50 {
            let answer = browser.fetch(&app, "/").await;
            assert_eq!(
                answer.status(),
                StatusCode::SERVICE_UNAVAILABLE,
                "{fault:?}"
            );
            assert!(answer.headers().contains_key("retry-after"));
        }
        assert_eq!(app.idp.hits().token, 3, "{fault:?}");
        app.idp.set_fault(Endpoint::Token, None);
        app.clock.advance(seconds(61));
        let answer = browser.fetch(&app, "/").await;
        assert_eq!(answer.status(), StatusCode::OK, "{fault:?}: it heals");
        assert_eq!(app.idp.hits().reused, 0, "{fault:?}");
    }
}

// RT-08
#[tokio::test]
async fn retry_after_is_obeyed() {
    // The date is held against the answer's own `Date`, which the provider's machine sets.
    let date = httpdate::fmt_http_date(SystemTime::now() + seconds(120));
    for (busy, shortest) in [(Fault::busy(120), 120), (Fault::busy_until(date), 100)] {
        let (app, mut browser) = due().await;
        app.idp.set_fault(Endpoint::Token, busy.clone());
        let answer = browser.fetch(&app, "/").await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        let told: u64 = answer.headers()["retry-after"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!((shortest..=120).contains(&told), "{busy:?}: {told}");
        for _ in 0..9 {
            app.clock.advance(seconds(10));
            assert_eq!(
                browser.fetch(&app, "/").await.status(),
                StatusCode::SERVICE_UNAVAILABLE
            );
        }
        assert_eq!(app.idp.hits().token, 2, "{busy:?}: within the pause");
        app.clock.advance(seconds(30));
        browser.fetch(&app, "/").await;
        assert_eq!(app.idp.hits().token, 3, "{busy:?}");
    }
}

// D9
#[tokio::test]
async fn a_client_the_provider_does_not_take_ends_no_session() {
    for code in [
        "invalid_client",
        "unauthorized_client",
        "invalid_scope",
        "invalid_target",
    ] {
        let app = App::start().await;
        let mut browser = Browser::default();
        browser.sign_in(&app).await;
        app.clock.advance(seconds(3_595));
        app.idp.set_fault(Endpoint::Token, Fault::error(400, code));
        for _ in 0..20 {
            assert_eq!(
                browser.fetch(&app, "/").await.status(),
                StatusCode::OK,
                "{code}"
            );
        }
        assert_eq!(app.idp.hits().token, 2, "{code}: az_09, no retry at once");
        app.clock.advance(seconds(60));
        let answer = browser.fetch(&app, "/").await;
        assert_eq!(failure(&answer), Some(Kind::Misconfigured), "{code}");
        // The secret is put right, and everybody goes on.
        app.idp.set_fault(Endpoint::Token, None);
        app.clock.advance(seconds(61));
        assert_eq!(
            browser.fetch(&app, "/").await.status(),
            StatusCode::OK,
            "{code}"
        );
    }
}

// RT-03, F42
#[tokio::test]
async fn a_provider_that_does_not_rotate_keeps_its_refresh_token() {
    let (app, mut browser) = due().await;
    app.idp.set_rotation(false);
    let refresh_token = app.idp.live_refresh_tokens();
    for turn in 1..=3 {
        assert_eq!(browser.fetch(&app, "/").await.status(), StatusCode::OK);
        assert_eq!(app.session().renewals(), turn);
        app.hour_passes();
    }
    assert_eq!(app.idp.live_refresh_tokens(), refresh_token);
    assert_eq!(app.idp.hits().refreshed, 3);
}

// ID-12, RT-09
#[tokio::test]
async fn answers_may_leave_out_what_is_optional() {
    for member in ["id_token", "expires_in", "scope"] {
        let (app, mut browser) = due().await;
        without(&app, member);
        for turn in 1..=2 {
            assert_eq!(
                browser.fetch(&app, "/").await.status(),
                StatusCode::OK,
                "{member}"
            );
            assert_eq!(app.session().renewals(), turn, "{member}");
            app.clock.advance(seconds(1_000));
            browser.fetch(&app, "/").await;
            assert_eq!(app.session().renewals(), turn, "{member}: it lives an hour");
            app.hour_passes();
        }
    }
}

// RT-09, F49
#[tokio::test]
async fn odd_lifetimes_bring_a_bounded_number_of_grants() {
    let cases = [
        (serde_json::json!(0), 8),
        (serde_json::json!(-60), 8),
        (serde_json::json!("3600"), 1),
        (serde_json::json!("soon"), 1),
        (serde_json::json!(1e300), 1),
        (serde_json::json!(59.5), 1),
        (serde_json::json!([1]), 1),
        (serde_json::json!(null), 1),
    ];
    for (expires_in, most) in cases {
        let (app, mut browser) = due().await;
        let shown = expires_in.clone();
        app.idp
            .edit_token_answer(move |_, answer| answer["expires_in"] = expires_in.clone());
        for _ in 0..30 {
            assert_eq!(
                browser.fetch(&app, "/").await.status(),
                StatusCode::OK,
                "{shown}"
            );
            app.clock.advance(seconds(1));
        }
        let refreshed = app.idp.hits().refreshed;
        assert!(
            (1..=most).contains(&refreshed),
            "{shown}: {refreshed} grants in 30 seconds"
        );
    }
}

// RT-10
#[tokio::test]
async fn tokens_of_a_minute_do_not_storm() {
    let app = App::start().await;
    app.idp.set_token_lifetime(seconds(60));
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    for _ in 0..600 {
        assert_eq!(browser.fetch(&app, "/").await.status(), StatusCode::OK);
        tokio::task::yield_now().await;
        app.clock.advance(seconds(1));
    }
    let refreshed = app.idp.hits().refreshed;
    assert!(
        (9..=13).contains(&refreshed),
        "{refreshed} grants in ten minutes"
    );
    assert_eq!(app.idp.hits().reused, 0);
}

// RT-11, F10
#[tokio::test]
async fn the_scope_that_was_granted_is_sent_and_a_narrower_one_counts() {
    let (app, mut browser) = due().await;
    app.idp.edit_token_answer(|grant, answer| {
        if grant == "refresh_token" {
            answer["scope"] = serde_json::json!("openid offline_access");
        }
    });
    browser.fetch(&app, "/").await;
    app.hour_passes();
    browser.fetch(&app, "/").await;
    let forms = app.idp.seen(Endpoint::Token);
    let scope = |at: usize| {
        let form: &Vec<(String, String)> = &forms[at];
        form.iter()
            .find(|(name, _)| name == "scope")
            .unwrap()
            .1
            .clone()
    };
    assert_eq!(scope(1), "openid profile email offline_access");
    assert_eq!(scope(2), "openid offline_access", "narrowed");

    let (app, mut browser) = due_with(LoginBuilder::without_refresh_scope).await;
    browser.fetch(&app, "/").await;
    let form = app.idp.seen(Endpoint::Token).remove(1);
    assert!(!form.iter().any(|(name, _)| name == "scope"));
}

// F9
#[tokio::test]
async fn the_audience_of_a_refresh_is_sent_where_it_is_configured() {
    let (app, mut browser) = due_with(|login| login.with_refresh_audience(API)).await;
    assert_eq!(browser.fetch(&app, "/").await.status(), StatusCode::OK);
    let form = app.idp.seen(Endpoint::Token).remove(1);
    assert!(form.contains(&("audience".to_owned(), API.to_owned())));
}

// RT-12, AZ-08, D10
#[tokio::test]
async fn a_refreshed_token_that_cannot_be_verified_stops_after_one_refresh() {
    type Replace = fn(&App) -> String;
    let replacements: [(&str, Replace); 3] = [
        ("opaque", |app| app.idp.opaque_token()),
        ("encrypted", |app| app.idp.encrypted_token()),
        ("another audience", |app| {
            app.idp.token("https://other.example").build()
        }),
    ];
    for (name, token) in replacements {
        let (app, mut browser) = due().await;
        let token = token(&app);
        app.idp.edit_token_answer(move |_, answer| {
            answer["access_token"] = serde_json::json!(token);
            answer.as_object_mut().unwrap().remove("id_token");
        });
        for turn in 0..100 {
            let answer = browser.fetch(&app, "/").await;
            assert_eq!(failure(&answer), Some(Kind::UnusableToken), "{name}");
            assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
            assert!(
                told_operators(&answer).contains("OPENID_AUDIENCE"),
                "{name}"
            );
            if turn % 20 == 19 {
                app.hour_passes();
            }
        }
        let page = browser.visit(&app, "/").await;
        assert!(
            !page.headers().contains_key("location"),
            "{name}: no way into a loop"
        );
        assert_eq!(app.idp.hits().refreshed, 1, "{name}");
    }
}

type Edit = fn(tower_oidc::testing::TokenBuilder) -> tower_oidc::testing::TokenBuilder;

// ID-11
#[tokio::test]
async fn a_verified_token_of_another_subject_or_issuer_ends_the_session() {
    let edits: [(&str, bool, Edit); 3] = [
        ("id token's sub", true, |token| token.claim("sub", "user-2")),
        ("id token's iss", true, |token| {
            token.claim("iss", "https://other.example")
        }),
        ("access token's sub", false, |token| {
            token.claim("sub", "user-2")
        }),
    ];
    for (name, is_id_token, edit) in edits {
        let (app, mut browser) = due().await;
        if is_id_token {
            app.idp.edit_id_token(edit);
        } else {
            app.idp.edit_access_token(edit);
        }
        let answer = browser.clone().fetch(&app, "/").await;
        assert_eq!(failure(&answer), Some(Kind::SessionEnded), "{name}");
        let answer = browser.fetch(&app, "/").await;
        assert_eq!(failure(&answer), Some(Kind::SessionEnded), "{name}");
        assert_eq!(app.idp.hits().refreshed, 1, "{name}");
        until(|| app.idp.live_refresh_tokens().is_empty()).await;
    }
}

// ID-11
#[tokio::test]
async fn a_refreshed_id_token_without_evidence_is_put_aside() {
    let edits: [(&str, Edit); 16] = [
        ("aud", |token| token.claim("aud", "another")),
        ("another aud beside ours", |token| {
            token.claim("aud", serde_json::json!(["development", "project"]))
        }),
        ("nonce", |token| token.claim("nonce", "another")),
        ("empty nonce", |token| token.claim("nonce", "")),
        ("newer auth_time", |token| {
            token.claim("auth_time", 9_999_999_999_u64)
        }),
        ("textual auth_time", |token| {
            token.claim("auth_time", "2026-11-26T12:00:00Z")
        }),
        ("signature", |token| token.signature(|_| vec![7; 256])),
        ("old at_hash", |token| {
            token.claim("at_hash", "AAAAAAAAAAAAAAAAAAAAAA")
        }),
        ("expired", |token| token.expired()),
        ("iat ahead", |token| token.claim("iat", 9_999_999_999_u64)),
        ("unknown key", |token| token.header("kid", "not-there-yet")),
        ("sub of another, unverified", |token| {
            token.claim("sub", "user-2").signature(|_| vec![7; 256])
        }),
        ("another iss, unverified", |token| {
            let token = token.claim("iss", "https://other.example");
            token.signature(|_| vec![7; 256])
        }),
        ("another iss, unknown key", |token| {
            let token = token.claim("iss", "https://other.example");
            token.header("kid", "not-there-yet")
        }),
        ("another iss, for another client", |token| {
            let token = token.claim("iss", "https://other.example");
            token.claim("aud", "another")
        }),
        ("no iss", |token| token.without_claim("iss")),
    ];
    for (name, edit) in edits {
        let (app, mut browser) = due().await;
        app.idp.edit_id_token(edit);
        for turn in 1..=2 {
            let answer = browser.fetch(&app, "/").await;
            assert_eq!(answer.status(), StatusCode::OK, "{name}");
            assert_eq!(app.session().renewals(), turn, "{name}");
            app.hour_passes();
        }
        assert_eq!(
            app.idp.live_refresh_tokens().len(),
            1,
            "{name}: not revoked"
        );
    }
}

// RT-14, F75
#[tokio::test]
async fn signing_out_during_a_grant_wins() {
    let (app, mut browser) = due().await;
    app.idp
        .set_fault(Endpoint::Token, Fault::Slow(Duration::from_millis(200)));
    let pending = {
        let (service, request) = (app.service(), browser.script(Method::GET, "/"));
        tokio::spawn(async move { service.oneshot(request).await.unwrap() })
    };
    until(|| app.idp.hits().token == 2).await;
    let before = browser.clone();
    assert_eq!(
        browser.post(&app, "/oauth/openid/logout").await.status(),
        StatusCode::SEE_OTHER
    );
    let answer = pending.await.unwrap();
    assert_eq!(failure(&answer), Some(Kind::SessionEnded));
    assert_eq!(
        before.clone().fetch(&app, "/").await.status(),
        StatusCode::UNAUTHORIZED
    );
    // What the grant brought too late is revoked.
    until(|| app.idp.live_refresh_tokens().is_empty()).await;
    app.hour_passes();
    assert_eq!(
        before.clone().fetch(&app, "/").await.status(),
        StatusCode::UNAUTHORIZED
    );
}

// F34, F44, F45
#[tokio::test]
async fn a_handle_yields_a_live_token_each_time() {
    let app = App::start().await;
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    browser.fetch(&app, "/").await;
    // A stream that outlives its token by far keeps the session, and asks it before each call.
    let session = app.session();
    let mut seen = Vec::new();
    for _ in 0..5 {
        let token = session.access_token().await.unwrap();
        let text = token.as_access_token().as_str().to_owned();
        assert!(app.verifier.verify(&text).await.is_ok());
        assert_eq!(
            session
                .access_token()
                .await
                .unwrap()
                .as_access_token()
                .as_str(),
            text
        );
        assert!(token.to_authorization().is_sensitive());
        seen.push(text);
        app.hour_passes();
    }
    seen.dedup();
    assert_eq!(seen.len(), 5);
    // A service refused a token that looked live: many requests say so, and one grant is enough for all.
    let refused = session.access_token().await.unwrap();
    let before = app.idp.hits().refreshed;
    let newer: Vec<_> = (0..20)
        .map(|_| {
            let (session, refused) = (session.clone(), refused.clone());
            tokio::spawn(async move { session.access_token_after(&refused).await.unwrap() })
        })
        .collect();
    for token in newer {
        let token = token.await.unwrap();
        assert_ne!(token.as_access_token(), refused.as_access_token());
    }
    assert_eq!(app.idp.hits().refreshed, before + 1);
    // Once the session is over the handle says so.
    browser.post(&app, "/oauth/openid/logout").await;
    let error = session.access_token().await.unwrap_err();
    assert_eq!(error.kind(), Kind::SessionEnded);
}

// F46
#[tokio::test]
async fn many_sessions_due_at_once_do_not_flood_the_provider() {
    const SESSIONS: u32 = 200;
    let app = App::start().await;
    let mut browsers = Vec::new();
    for _ in 0..SESSIONS {
        let mut browser = Browser::default();
        browser.sign_in(&app).await;
        browsers.push(browser);
    }
    app.hour_passes();
    app.idp
        .set_fault(Endpoint::Token, Fault::Slow(Duration::from_millis(500)));
    let requests: Vec<_> = browsers
        .iter()
        .map(|browser| {
            let (service, request) = (app.service(), browser.script(Method::GET, "/"));
            tokio::spawn(async move { service.oneshot(request).await.unwrap() })
        })
        .collect();
    until(|| app.idp.hits().token == SESSIONS + 64).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(
        app.idp.hits().token,
        SESSIONS + 64,
        "64 grants at once at the most"
    );
    app.idp.set_fault(Endpoint::Token, None);
    for request in requests {
        assert_eq!(request.await.unwrap().status(), StatusCode::OK);
    }
    let hits = app.idp.hits();
    assert_eq!((hits.refreshed, hits.reused), (SESSIONS, 0));
}

#[tokio::test]
async fn a_lease_that_passes_brings_no_second_grant_and_its_late_commit_lands() {
    let app = App::start().await;
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    app.clock.advance(seconds(3_545));
    app.idp
        .set_fault(Endpoint::Token, Fault::Slow(Duration::from_millis(300)));
    // Behind this request a grant is under way; its process pauses for longer than its lease.
    assert_eq!(browser.fetch(&app, "/").await.status(), StatusCode::OK);
    until(|| app.idp.hits().token == 2).await;
    app.clock.advance(seconds(16));
    let other = app.replica().layer(app.inner.clone());
    all_signed_in(&at_once(&browser, &[other], 20).await);
    until(|| app.idp.hits().refreshed == 1).await;
    for _ in 0..100 {
        browser.fetch(&app, "/").await;
        if app.session().renewals() == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(app.session().renewals(), 1, "the late commit landed");
    let hits = app.idp.hits();
    assert_eq!((hits.refreshed, hits.reused, hits.token), (1, 0, 2));
}

#[tokio::test]
async fn clocks_that_differ_by_four_minutes_end_no_session() {
    for ahead in [-240, 240] {
        let app = App::start().await;
        // This replica's clock differs from the provider's and the store's.
        let here = tower_oidc::testing::ManualClock::new();
        here.set(UnixTime::from_seconds(app.clock.now().as_seconds() + ahead));
        let provider = app
            .idp
            .provider_builder()
            .with_clock(here.clone())
            .build()
            .unwrap();
        let verifier = judging_as(&provider, API)
            .with_leeway(seconds(300))
            .build()
            .unwrap();
        let layer = crate::browser::builder(&verifier)
            .with_shared_store(app.store.clone())
            .build()
            .unwrap();
        let app = App { layer, ..app };
        let mut browser = Browser::default();
        browser.sign_in(&app).await;
        for turn in 1..=3 {
            for _ in 0..20 {
                assert_eq!(
                    browser.fetch(&app, "/").await.status(),
                    StatusCode::OK,
                    "{ahead}"
                );
            }
            app.clock.advance(seconds(3_600));
            here.advance(seconds(3_600));
            assert_eq!(
                browser.fetch(&app, "/").await.status(),
                StatusCode::OK,
                "{ahead}"
            );
            assert_eq!(app.idp.hits().refreshed, turn, "{ahead}: one an hour");
        }
        assert_eq!(app.idp.hits().reused, 0);
    }
}
