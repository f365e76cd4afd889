//! Tokens for several services from one sign-in.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};
use tower::Layer;
use tower_oidc::error::OutboundErrorKind;
use tower_oidc::login::{LiveToken, LoginBuilder, LoginLayer, SessionStore};
use tower_oidc::outbound::{TokenRequest, TokenSource, TokenSupply};
use tower_oidc::testing::{Endpoint, Fault};
use tower_oidc::{BearerLayer, LoginErrorKind as Kind, OutboundLayer, Session, Target};
use tracing::Level;

use crate::browser::{App, Browser, at_provider, builder, location};
use crate::exchange::{from, principal};
use crate::faulty_store::FaultyStore;
use crate::log::Log;
use crate::pausing_store::{PausingStore, Step};
use crate::support::{API, seconds, until};
use crate::upstream::{self, Upstream, call, kind};

const ORDERS: &str = "https://orders.example.com";
const STOCK: &str = "https://stock.example.com";

fn target(audience: &str) -> Target {
    Target::audience(audience).unwrap()
}

fn with_targets(login: LoginBuilder) -> LoginBuilder {
    login.add_target(target(ORDERS)).add_target(target(STOCK))
}

async fn signed_in() -> (App, Browser) {
    let app = App::start_with(with_targets).await;
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    assert_eq!(browser.visit(&app, "/").await.body(), "user-1");
    (app, browser)
}

fn claims(token: &LiveToken) -> Value {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let text = token.as_access_token().as_str().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}

/// Another replica, with a store of its own in front of the shared sessions.
fn replica_with(app: &App, store: Arc<dyn SessionStore>, near_cache_age: u64) -> LoginLayer {
    let replica = with_targets(builder(&app.verifier).with_shared_store(store));
    let replica = replica.with_near_cache_age(seconds(near_cache_age));
    replica.build().unwrap()
}

async fn session_at(layer: &LoginLayer, app: &App, browser: &mut Browser) -> Session {
    let request = browser.navigation("/");
    let answer = browser.send(&layer.layer(app.inner.clone()), request).await;
    assert_eq!(answer.status(), 200, "{}", answer.body());
    app.session()
}

// D38
#[tokio::test]
async fn each_target_has_a_token_of_its_own_and_the_own_stays() {
    let (app, mut browser) = signed_in().await;
    let session = app.session();
    let own = session.access_token().await.unwrap();
    for audience in [ORDERS, STOCK] {
        let token = session.access_token_for(&target(audience)).await.unwrap();
        assert_eq!(claims(&token)["aud"], audience);
        let again = session.access_token_for(&target(audience)).await.unwrap();
        assert_eq!(token.to_authorization(), again.to_authorization());
    }
    let after = session.access_token().await.unwrap();
    assert_eq!(own.to_authorization(), after.to_authorization());
    assert_eq!(app.idp.hits().refreshed, 2);
    assert_eq!(app.idp.hits().reused, 0);
    // All of them are asked for anew once they have ended, each once.
    app.hour_passes();
    assert_eq!(browser.visit(&app, "/").await.body(), "user-1");
    for audience in [ORDERS, STOCK] {
        let token = session.access_token_for(&target(audience)).await.unwrap();
        assert_eq!(claims(&token)["aud"], audience);
    }
    assert_eq!(app.idp.hits().refreshed, 5);
    assert_eq!(app.idp.hits().reused, 0);
    let error = session
        .access_token_for(&target("https://other.example"))
        .await;
    assert_eq!(error.unwrap_err().kind(), Kind::UnknownTarget);
}

// D38, RT-01
#[tokio::test(flavor = "multi_thread")]
async fn many_requests_on_three_replicas_are_one_grant_a_token() {
    let (app, mut browser) = signed_in().await;
    let replica = || {
        with_targets(builder(&app.verifier).with_shared_store(app.store.clone()))
            .build()
            .unwrap()
    };
    let replicas = [replica(), replica(), replica()];
    let mut sessions = Vec::new();
    for layer in &replicas {
        sessions.push(session_at(layer, &app, &mut browser).await);
    }
    for round in 1..=2 {
        let before = app.idp.hits().refreshed;
        let mut asking = Vec::new();
        for number in 0..90 {
            let session = sessions[number % 3].clone();
            let audience = [ORDERS, STOCK][number % 2];
            asking.push(tokio::spawn(async move {
                let token = session.access_token_for(&target(audience)).await.unwrap();
                assert_eq!(claims(&token)["aud"], audience);
                session.access_token().await.unwrap();
            }));
        }
        for asked in asking {
            asked.await.unwrap();
        }
        // The own token has ended before the second round, too.
        let grants = app.idp.hits().refreshed - before;
        assert_eq!(grants, if round == 1 { 2 } else { 3 });
        assert_eq!(app.idp.hits().reused, 0);
        app.hour_passes();
    }
}

// D38, RT-06
#[tokio::test]
async fn a_refused_target_is_asked_for_again_later_and_ends_no_session() {
    for error in ["invalid_grant", "invalid_target", "interaction_required"] {
        let (app, mut browser) = signed_in().await;
        let session = app.session();
        app.idp.set_fault(Endpoint::Token, Fault::error(400, error));
        let asked = app.idp.hits().token;
        for _ in 0..5 {
            let refused = session.access_token_for(&target(ORDERS)).await.unwrap_err();
            assert_eq!(refused.kind(), Kind::TargetRefused, "{error}");
        }
        let upstream = Upstream::new();
        let layer = OutboundLayer::relay_for(upstream::ORDERS, target(ORDERS)).unwrap();
        let outbound = kind(&upstream.behind(&layer), from(session.principal())).await;
        assert_eq!(outbound, OutboundErrorKind::TargetRefused, "{error}");
        assert_eq!(app.idp.hits().token, asked + 1, "{error}");
        app.idp.set_fault(Endpoint::Token, None);
        assert_eq!(browser.visit(&app, "/").await.body(), "user-1", "{error}");
        assert!(
            session.access_token_for(&target(STOCK)).await.is_ok(),
            "another"
        );
        app.clock.advance(seconds(61));
        assert!(
            session.access_token_for(&target(ORDERS)).await.is_ok(),
            "{error}"
        );
        app.hour_passes();
        assert_eq!(browser.visit(&app, "/").await.body(), "user-1", "{error}");
        assert_eq!(app.idp.hits().reused, 0, "{error}");
    }
}

// D38
#[tokio::test]
async fn a_live_token_stays_while_a_newer_one_is_refused() {
    let (app, _) = signed_in().await;
    let session = app.session();
    let token = session.access_token_for(&target(ORDERS)).await.unwrap();
    app.clock.advance(seconds(3_600 - 5));
    app.idp
        .set_fault(Endpoint::Token, Fault::error(400, "invalid_target"));
    let asked = app.idp.hits().token;
    for _ in 0..5 {
        let same = session.access_token_for(&target(ORDERS)).await.unwrap();
        assert_eq!(same.to_authorization(), token.to_authorization());
    }
    assert!(
        app.idp.hits().token <= asked + 2,
        "its own, and the target's"
    );
}

// D38
#[tokio::test]
async fn a_refusal_is_remembered_beyond_the_end_of_the_token_that_lived() {
    let (app, mut browser) = signed_in().await;
    let session = app.session();
    let token = session.access_token_for(&target(ORDERS)).await.unwrap();
    app.clock.advance(seconds(3_600 - 5));
    assert_eq!(browser.visit(&app, "/").await.body(), "user-1");
    app.idp
        .set_fault(Endpoint::Token, Fault::error(400, "invalid_target"));
    let same = session.access_token_for(&target(ORDERS)).await.unwrap();
    assert_eq!(same.to_authorization(), token.to_authorization());
    let asked = app.idp.hits().token;
    app.clock.advance(seconds(10));
    let refused = session.access_token_for(&target(ORDERS)).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::TargetRefused);
    assert_eq!(app.idp.hits().token, asked, "it is left alone");
    app.idp.set_fault(Endpoint::Token, None);
    // What another target brings does not forget it.
    assert!(session.access_token_for(&target(STOCK)).await.is_ok());
    let refused = session.access_token_for(&target(ORDERS)).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::TargetRefused);
    app.clock.advance(seconds(51));
    assert!(session.access_token_for(&target(ORDERS)).await.is_ok());
}

// D38, AZ-07
#[tokio::test]
async fn a_token_for_another_audience_is_not_used_and_nothing_is_lost() {
    let (app, mut browser) = signed_in().await;
    let session = app.session();
    // As Auth0 does without a word.
    let other = app
        .idp
        .token("https://api.example.com")
        .subject("user-1")
        .build();
    app.idp
        .edit_token_answer(move |_, answer| answer["access_token"] = json!(other));
    let refused = session.access_token_for(&target(ORDERS)).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::TargetOfOtherAudience);
    assert!(refused.remedy().contains("Auth0"));
    app.idp.edit_token_answer(|_, _| {});
    app.hour_passes();
    // The refresh token that came with it was kept.
    assert_eq!(browser.visit(&app, "/").await.body(), "user-1");
    assert!(session.access_token_for(&target(ORDERS)).await.is_ok());
    assert_eq!(app.idp.hits().reused, 0);
}

// D38
#[tokio::test]
async fn tokens_that_are_too_large_are_told_and_nothing_is_lost() {
    let (app, mut browser) = signed_in().await;
    let session = app.session();
    app.idp.edit_token_answer(|_, answer| {
        answer["access_token"] = json!("x".repeat(33 * 1024));
    });
    let refused = session.access_token_for(&target(ORDERS)).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::TargetTooLarge);
    app.idp.edit_token_answer(|_, _| {});
    app.hour_passes();
    assert_eq!(browser.visit(&app, "/").await.body(), "user-1");
    assert_eq!(app.idp.hits().reused, 0);
}

// D38, RT-05
#[tokio::test]
async fn a_lost_answer_for_a_target_ends_no_session() {
    let (app, mut browser) = signed_in().await;
    app.idp.set_reuse_grace(seconds(7_200));
    let session = app.session();
    app.idp.set_fault(Endpoint::Token, Fault::LoseAnswer);
    let lost = session.access_token_for(&target(ORDERS)).await.unwrap_err();
    assert_eq!(lost.kind(), Kind::ProviderUnavailable);
    app.idp.set_fault(Endpoint::Token, None);
    assert_eq!(browser.visit(&app, "/").await.body(), "user-1");
    // A doubt is cleared by the session's own tokens, once they have ended.
    app.hour_passes();
    assert_eq!(browser.visit(&app, "/").await.body(), "user-1");
    let token = session.access_token_for(&target(ORDERS)).await.unwrap();
    assert_eq!(claims(&token)["aud"], ORDERS);
    let forms = app.idp.seen(Endpoint::Token);
    let audiences: Vec<_> = forms[1..]
        .iter()
        .map(|form| {
            form.iter()
                .any(|(name, value)| name == "audience" && value == ORDERS)
        })
        .collect();
    assert_eq!(audiences, [true, false, true]);
}

// D38, OB-03
#[tokio::test]
async fn calls_that_leave_carry_the_token_of_their_target() {
    let (app, _) = signed_in().await;
    let upstream = Upstream::refusing_the_first();
    let layer = OutboundLayer::relay_for(upstream::ORDERS, target(ORDERS)).unwrap();
    let service = upstream.behind(&layer);
    let answer = call(&service, from(app.session().principal()))
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let sent = upstream.tokens();
    assert_eq!(sent.len(), 2);
    assert_ne!(sent[0], sent[1], "refreshed once because it was refused");
    // A caller without a session never lends its own token.
    let token = app.idp.token(API).build();
    let bearer = BearerLayer::new(app.verifier.clone()).allow_relay();
    let caller = principal(&bearer, &token).await;
    assert_eq!(
        kind(&service, from(&caller)).await,
        OutboundErrorKind::NoSession
    );
    let caller = app.verifier.verify(&token).await.unwrap();
    assert_eq!(
        kind(&service, from(&caller)).await,
        OutboundErrorKind::NoSession
    );
    assert_eq!(upstream.tokens().len(), 2);
}

// D38, OB-03
#[tokio::test]
async fn callers_whose_token_was_refused_wait_for_the_one_renewal() {
    let (app, _) = signed_in().await;
    let session = app.session();
    let refused = session.access_token_for(&target(ORDERS)).await.unwrap();
    refused.mark_refused();
    app.idp.set_fault(Endpoint::Token, Fault::Slow(seconds(1)));
    let before = app.idp.hits().refreshed;
    let asking: Vec<_> = (0..20)
        .map(|_| {
            let session = session.clone();
            tokio::spawn(async move { session.access_token_for(&target(ORDERS)).await })
        })
        .collect();
    for asked in asking {
        let token = asked.await.unwrap().unwrap();
        assert_ne!(token.to_authorization(), refused.to_authorization());
        assert!(!token.is_refused());
    }
    assert_eq!(app.idp.hits().refreshed, before + 1);
}

// D38
#[tokio::test]
async fn tokens_that_have_ended_take_no_room() {
    let (app, mut browser) = signed_in().await;
    let session = app.session();
    let large = |audience: &'static str| {
        app.idp.edit_token_answer(move |_, answer| {
            answer["access_token"] = json!(format!("{audience}{}", "x".repeat(20 * 1024)));
        });
    };
    large("orders");
    assert!(session.access_token_for(&target(ORDERS)).await.is_ok());
    large("stock");
    let refused = session.access_token_for(&target(STOCK)).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::TargetTooLarge, "both live");
    app.idp.edit_token_answer(|_, _| {});
    app.hour_passes();
    assert_eq!(browser.visit(&app, "/").await.body(), "user-1");
    large("stock");
    assert!(session.access_token_for(&target(STOCK)).await.is_ok());
}

// D38, D20
#[tokio::test]
async fn an_identity_has_targets_too_and_one_without_a_refresh_token_none() {
    let app = App::start().await;
    let login = with_targets(app.identity_builder().with_scope("openid offline_access"));
    let layer = login.build().unwrap();
    let app = App { layer, ..app };
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    assert_eq!(browser.visit(&app, "/").await.body(), "user-1");
    let token = app
        .session()
        .access_token_for(&target(STOCK))
        .await
        .unwrap();
    assert_eq!(claims(&token)["aud"], STOCK);

    let layer = with_targets(app.identity_builder()).build().unwrap();
    let app = App { layer, ..app };
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    assert_eq!(browser.visit(&app, "/").await.body(), "user-1");
    let error = app.session().access_token_for(&target(STOCK)).await;
    assert_eq!(error.unwrap_err().kind(), Kind::NoAccessToken);
}

// D38, LO-18
#[tokio::test]
async fn signing_out_gives_back_the_refresh_token_that_a_target_brought() {
    let (app, mut browser) = signed_in().await;
    app.session()
        .access_token_for(&target(ORDERS))
        .await
        .unwrap();
    assert_eq!(app.idp.live_refresh_tokens().len(), 1);
    let answer = browser.post(&app, "/oauth/openid/logout").await;
    assert!(answer.status().is_success() || answer.status().is_redirection());
    until(|| app.idp.live_refresh_tokens().is_empty()).await;
}

// D38
#[tokio::test]
async fn targets_are_named_once_and_eight_at_the_most() {
    let app = App::start().await;
    let many = (0..9).fold(builder(&app.verifier), |login, number| {
        login.add_target(target(&format!("https://{number}.example")))
    });
    assert_eq!(many.build().unwrap_err().setting(), "target");
    let twice = builder(&app.verifier)
        .add_target(target(ORDERS))
        .add_target(target(ORDERS));
    assert_eq!(twice.build().unwrap_err().setting(), "target");
}

// D38, RT-01
#[tokio::test]
async fn a_target_refused_to_one_replica_is_asked_for_by_no_other() {
    let (app, mut browser) = signed_in().await;
    let mut sessions = Vec::new();
    for _ in 0..3 {
        let store = Arc::new(FaultyStore::new(app.store.clone()));
        let layer = replica_with(&app, store, 60);
        // From now on it knows the session as it was before the refusal.
        sessions.push(session_at(&layer, &app, &mut browser).await);
    }
    app.idp
        .set_fault(Endpoint::Token, Fault::error(400, "invalid_target"));
    let asked = app.idp.hits().token;
    for session in &sessions {
        let refused = session.access_token_for(&target(ORDERS)).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::TargetRefused);
    }
    assert_eq!(app.idp.hits().token, asked + 1);
    app.idp.set_fault(Endpoint::Token, None);
    for session in &sessions {
        assert!(session.access_token_for(&target(STOCK)).await.is_ok());
    }
    app.clock.advance(seconds(61));
    for session in &sessions {
        assert!(session.access_token_for(&target(ORDERS)).await.is_ok());
    }
    assert_eq!(app.idp.hits().refreshed, 2);
    assert_eq!(app.idp.hits().reused, 0);
}

// D38, D5
#[tokio::test]
async fn a_token_that_lives_costs_one_load_or_none_and_no_wait() {
    let (app, mut browser) = signed_in().await;
    let request = TokenRequest::unbound();
    for (near_cache_age, loads) in [(0, 1), (60, 0)] {
        let store = Arc::new(FaultyStore::new(app.store.clone()));
        let layer = replica_with(&app, store.clone(), near_cache_age);
        let session = session_at(&layer, &app, &mut browser).await;
        let token = session.access_token_for(&target(ORDERS)).await.unwrap();
        session_at(&layer, &app, &mut browser).await;
        let before = store.round_trips();
        for _ in 0..5 {
            let same = session.access_token_for(&target(ORDERS)).await.unwrap();
            assert_eq!(same.to_authorization(), token.to_authorization());
        }
        let loaded = store.round_trips() - before;
        assert_eq!(loaded, 5 * loads, "near cache of {near_cache_age} s");
        let supply = session.supply_for(&target(ORDERS), &request);
        let is_ready = matches!(supply, TokenSupply::Ready(_));
        assert_eq!(is_ready, loads == 0, "near cache of {near_cache_age} s");
    }
    assert_eq!(app.idp.hits().refreshed, 1);
}

// D38
#[tokio::test]
async fn a_token_at_hand_is_neither_refused_nor_old_nor_of_a_session_that_ended() {
    let (app, mut browser) = signed_in().await;
    let session = app.session();
    let supply = |session: &Session| session.supply_for(&target(ORDERS), &TokenRequest::unbound());
    let is_ready = |session: &Session| matches!(supply(session), TokenSupply::Ready(_));
    assert!(!is_ready(&session), "there is none yet");
    let token = supply(&session).token().await.unwrap();
    assert!(is_ready(&session));
    token.mark_refused();
    assert!(!is_ready(&session), "refused");
    let newer = supply(&session).token().await.unwrap();
    assert_ne!(newer.to_authorization(), token.to_authorization());
    assert!(is_ready(&session));
    // The session's own tokens are renewed first, so that the target's age alone tells.
    app.clock.advance(seconds(3_600 - 5));
    assert_eq!(browser.visit(&app, "/").await.body(), "user-1");
    assert!(!is_ready(&session), "about to end");
    let newest = supply(&session).token().await.unwrap();
    assert_ne!(newest.to_authorization(), newer.to_authorization());
    assert!(is_ready(&session));
    assert!(session.end().await.unwrap());
    assert!(!is_ready(&session), "signed out");
    let ended = supply(&session).token().await.unwrap_err();
    assert_eq!(ended.kind(), OutboundErrorKind::SessionEnded);
}

// D38, AZ-07
#[tokio::test]
async fn audiences_differ_by_a_final_slash_and_the_log_says_so() {
    let with_slash = format!("{ORDERS}/");
    for (wanted, came) in [(ORDERS, &*with_slash), (&*with_slash, ORDERS)] {
        for target in [Target::audience(wanted), Target::resource(wanted)] {
            let target = target.unwrap();
            let added = target.clone();
            let app = App::start_with(|login| login.add_target(added)).await;
            let mut browser = Browser::default();
            browser.sign_in(&app).await;
            browser.visit(&app, "/").await;
            let audience = came.to_owned();
            app.idp
                .edit_access_token(move |token| token.claim("aud", audience.as_str()));
            let log = Log::default();
            let guard = log.capture();
            let refused = app.session().access_token_for(&target).await.unwrap_err();
            drop(guard);
            assert_eq!(refused.kind(), Kind::TargetOfOtherAudience);
            assert!(refused.remedy().contains("final slash"));
            let warnings = log.at(Level::WARN).join("\n");
            let told = format!(
                "its aud is {came:?}, expected {wanted:?} (they differ only in the final slash"
            );
            assert!(warnings.contains(&told), "{warnings}");
        }
    }
}

// D38, ID-11
#[tokio::test]
async fn an_id_token_of_another_subject_that_a_target_brings_ends_the_session() {
    let (app, mut browser) = signed_in().await;
    let session = app.session();
    app.idp.edit_id_token(|token| token.claim("sub", "user-2"));
    let ended = session.access_token_for(&target(ORDERS)).await.unwrap_err();
    assert_eq!(ended.kind(), Kind::SessionEnded);
    assert_eq!(
        browser.fetch(&app, "/").await.status(),
        StatusCode::UNAUTHORIZED
    );
    until(|| app.idp.live_refresh_tokens().is_empty()).await;
    assert_eq!(app.idp.hits().refreshed, 1);
}

// D38, ID-11
#[tokio::test]
async fn the_subject_of_a_targets_access_token_may_be_another() {
    let (app, mut browser) = signed_in().await;
    // A provider may know the user by another name at each API (OpenID Connect Core §8).
    app.idp
        .edit_access_token(|token| token.claim("sub", "pairwise"));
    let session = app.session();
    let token = session.access_token_for(&target(ORDERS)).await.unwrap();
    assert_eq!(claims(&token)["sub"], "pairwise");
    assert_eq!(browser.visit(&app, "/").await.body(), "user-1");
}

// D38, RT-06
#[tokio::test]
async fn a_session_that_wants_the_user_says_so_when_asked_for_a_target() {
    let (app, mut browser) = signed_in().await;
    app.clock.advance(seconds(3_600 - 30));
    app.idp
        .set_fault(Endpoint::Token, Fault::error(400, "interaction_required"));
    let asked = app.idp.hits().token;
    assert_eq!(browser.visit(&app, "/").await.body(), "user-1");
    until(|| app.idp.hits().token == asked + 1).await;
    let session = app.session();
    let error = session.access_token_for(&target(ORDERS)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::InteractionRequired);
    assert_eq!(error.kind().status(), StatusCode::UNAUTHORIZED);
    let upstream = Upstream::new();
    let layer = OutboundLayer::relay_for(upstream::ORDERS, target(ORDERS)).unwrap();
    let service = upstream.behind(&layer);
    let outbound = kind(&service, from(session.principal())).await;
    assert_eq!(outbound, OutboundErrorKind::InteractionRequired);
    assert_eq!(app.idp.hits().token, asked + 1, "it is left alone");
    // The session goes on as long as its own token lives.
    assert_eq!(browser.visit(&app, "/").await.body(), "user-1");
}

// D38, RT-14
#[tokio::test]
async fn a_session_that_ends_while_its_target_is_refused_has_ended() {
    let (app, mut browser) = signed_in().await;
    let store = Arc::new(PausingStore::new(app.store.clone()));
    let layer = replica_with(&app, store.clone(), 0);
    let session = session_at(&layer, &app, &mut browser).await;
    app.idp
        .set_fault(Endpoint::Token, Fault::error(400, "invalid_target"));
    store.pause_at(Step::Swap);
    let asking = {
        let session = session.clone();
        tokio::spawn(async move { session.access_token_for(&target(ORDERS)).await })
    };
    store.reached().await;
    // That was the lease. The next is what came of it.
    store.pause_at(Step::Swap);
    store.resume();
    store.reached().await;
    let elsewhere = session_at(&app.layer, &app, &mut browser).await;
    assert!(elsewhere.end().await.unwrap());
    store.resume();
    let error = asking.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), Kind::SessionEnded);
}

// D38, AZ-06
#[tokio::test]
async fn resources_of_targets_are_named_when_the_user_signs_in() {
    let resource = |text| Target::resource(text).unwrap();
    let app = App::start_with(|login| {
        login
            .add_resource(API)
            .add_target(resource(ORDERS))
            .add_target(resource(STOCK))
            .add_target(resource(ORDERS).with_scope("read").unwrap())
            .add_target(target("orders"))
    })
    .await;
    let mut browser = Browser::default();
    let answer = browser.visit(&app, "/oauth/openid").await;
    let sent_to = location(&answer).to_owned();
    let url = url::Url::parse(&sent_to).unwrap();
    let values = |name: &str| -> Vec<String> {
        let all = url.query_pairs().filter(|(named, _)| named == name);
        all.map(|(_, value)| value.into_owned()).collect()
    };
    assert_eq!(values("resource"), [API, ORDERS, STOCK]);
    assert_eq!(values("audience"), [API]);
    let callback = at_provider(&sent_to).await;
    browser.visit(&app, &callback).await;
    assert_eq!(browser.visit(&app, "/").await.body(), "user-1");
    let token = app.session().access_token_for(&resource(STOCK)).await;
    assert_eq!(claims(&token.unwrap())["aud"], STOCK);
    let sent: Vec<Vec<_>> = app
        .idp
        .seen(Endpoint::Token)
        .into_iter()
        .map(|form| {
            form.into_iter()
                .filter(|(name, _)| name == "resource")
                .map(|(_, value)| value)
                .collect()
        })
        .collect();
    assert_eq!(sent, [[API], [STOCK]], "each grant names the one it is for");
}
