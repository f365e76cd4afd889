//! Rules of a sign-in and its session, each by itself.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt};
use tower_oidc::testing::{Endpoint, Fault, SigningKey};
use tower_oidc::{Algorithm, LoginErrorKind as Kind};

use crate::browser::{App, Browser, SESSION, builder, failure, query, with};
use crate::pausing_store::PausingStore;
use crate::support::{API, seconds, until};

// LG-06
#[tokio::test]
async fn the_issuer_of_the_attempt_counts_and_not_that_of_the_callback() {
    // Two providers behind one address and one secret, so that each opens the other's attempts.
    let (asked, other) = (App::start().await, App::start().await);
    other.idp.set_discovery(
        json!({
            "issuer": other.idp.issuer(),
            "jwks_uri": other.idp.jwks_url(),
            "token_endpoint": other.idp.token_url(),
            "authorization_endpoint": format!("{}/authorize", other.idp.issuer()),
        })
        .to_string(),
    );
    for iss in [None, Some(other.idp.issuer()), Some(asked.idp.issuer())] {
        let mut browser = Browser::default();
        let callback = browser.reach_callback(&asked, "/oauth/openid").await;
        let callback = with(&callback, "iss", iss);
        let answer = browser.visit(&other, &callback).await;
        // The attempt is sealed for the provider that was asked.
        assert_eq!(failure(&answer), Some(Kind::UnknownAttempt), "{iss:?}");
        assert!(!browser.jar.contains_key(SESSION));
    }
    assert_eq!(
        other.idp.hits().token,
        0,
        "no code is sent to another provider"
    );
}

// LG-05, LG-06
#[tokio::test]
async fn each_attempt_has_a_nonce_and_a_verifier_of_its_own() {
    let app = App::start().await;
    let mut browser = Browser::default();
    // Two tabs: the answer to one is not taken with the values of the other.
    let first = browser
        .reach_callback(&app, "/oauth/openid?return_to=/a")
        .await;
    let second = browser
        .reach_callback(&app, "/oauth/openid?return_to=/b")
        .await;
    let codes: Vec<_> = [&first, &second]
        .map(|callback| query(callback)["code"].clone())
        .into();
    let crossed = with(&first, "code", Some(&codes[1]));
    let answer = browser.visit(&app, &crossed).await;
    assert_eq!(failure(&answer), Some(Kind::CodeRejected));
    assert!(!browser.jar.contains_key(SESSION));
    let challenges: BTreeSet<_> = app.idp.seen(Endpoint::Authorization).into_iter().collect();
    let values = |name: &str| {
        let forms = challenges.iter().flatten();
        let values = forms.filter(|(known, _)| known == name);
        values
            .map(|(_, value)| value.clone())
            .collect::<BTreeSet<_>>()
    };
    for name in ["nonce", "state", "code_challenge"] {
        assert_eq!(values(name).len(), 2, "{name}");
    }
}

// SC-14
#[tokio::test]
async fn a_former_value_of_the_session_is_worth_nothing_in_any_replica() {
    let app = App::start().await;
    let replica = app.replica().layer(app.inner.clone());
    let mut browser = Browser::default();
    let mut values = BTreeSet::new();
    for _ in 0..3 {
        browser.sign_in(&app).await;
        assert!(values.insert(browser.jar[SESSION].clone()), "{values:?}");
        app.clock.advance(seconds(60));
    }
    let last = browser.jar[SESSION].clone();
    for value in values {
        let mut thief = Browser::default();
        thief.jar.insert(SESSION.into(), value.clone());
        let is_last = value == last;
        let status = thief.clone().fetch(&app, "/").await.status();
        assert_eq!(status == StatusCode::OK, is_last);
        let request = thief.script(Method::GET, "/");
        let status = replica.clone().oneshot(request).await.unwrap().status();
        assert_eq!(status == StatusCode::OK, is_last);
    }
}

// RT-02
#[tokio::test]
async fn a_process_that_ends_right_after_the_write_has_lost_nothing() {
    let app = App::start().await;
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    let store = Arc::new(PausingStore::new(app.store.clone()));
    let verifier = app.idp.provider().unwrap().verifier(API).unwrap();
    let dying = builder(&verifier)
        .with_shared_store(store.clone())
        .build()
        .unwrap();
    let dying = dying.layer(app.inner.clone());
    let process = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let request = browser.script(Method::GET, "/");
    let answer = process.spawn(dying.clone().oneshot(request)).await.unwrap();
    assert_eq!(answer.unwrap().status(), StatusCode::OK);

    // What the refresh brings cannot be verified for now: its keys are new, and are not to be had.
    app.hour_passes();
    app.idp.rotate_keys();
    app.idp.set_fault(Endpoint::Jwks, Fault::Stall);
    let (before, keys) = (store.swaps(), app.idp.hits().jwks);
    process.spawn(dying.oneshot(browser.script(Method::GET, "/")));
    // The lease, and the new tokens.
    until(|| store.swaps() == before + 2).await;
    assert_eq!(app.idp.hits().refreshed, 1);
    process.shutdown_background();
    app.idp.set_fault(Endpoint::Jwks, None);
    assert!(app.idp.hits().jwks <= keys + 1);

    for refreshed in [1, 2] {
        let answer = browser.fetch(&app, "/").await;
        assert_eq!(answer.status(), StatusCode::OK);
        let hits = app.idp.hits();
        assert_eq!((hits.refreshed, hits.reused), (refreshed, 0));
        app.hour_passes();
    }
}

/// A key set of the provider's own key and so many others of the same kind.
fn key_set(app: &App, others: &[SigningKey]) -> String {
    let own = app.idp.signing_key(Algorithm::Rs256).public_jwk();
    let others = others.iter().map(SigningKey::public_jwk);
    let keys: Vec<Value> = others
        .chain([own])
        .map(|key| serde_json::from_str(&key).unwrap())
        .collect();
    json!({ "keys": keys }).to_string()
}

// KS-04
#[tokio::test]
async fn an_id_token_without_a_key_id_is_held_against_the_keys_that_fit() {
    let others: Vec<_> = (0..8)
        .map(|at| SigningKey::generate(format!("other-{at}"), Algorithm::Rs256))
        .collect();
    let elliptic = [SigningKey::generate("elliptic", Algorithm::Es256)];
    for (keys, is_fine) in [
        (&others[..0], true),
        (&elliptic[..], true),
        (&others[..1], true),
        (&others[..7], true),
        (&others[..8], false),
    ] {
        let app = App::start().await;
        app.idp.edit_id_token(|token| token.without_header("kid"));
        app.idp.set_jwks(key_set(&app, keys));
        let answer = Browser::default().try_sign_in(&app).await;
        let failed = failure(&answer);
        assert_eq!(failed.is_none(), is_fine, "{} keys: {failed:?}", keys.len());
    }
    // One key is there, and it is not the one that signed.
    let app = App::start().await;
    app.idp.edit_id_token(|token| token.without_header("kid"));
    let own = app.idp.signing_key(Algorithm::Rs256).public_jwk();
    let stranger: Value = serde_json::from_str(&others[0].public_jwk()).unwrap();
    let mut access: Value = serde_json::from_str(&own).unwrap();
    access["alg"] = json!("PS256");
    app.idp
        .set_jwks(json!({"keys": [stranger, access]}).to_string());
    let answer = Browser::default().try_sign_in(&app).await;
    assert!(failure(&answer).is_some());
}

// CL-14
#[tokio::test]
async fn a_null_in_an_id_token_is_absent_or_refuses() {
    let app = App::start().await;
    for (name, is_fine) in [
        ("iss", false),
        ("sub", false),
        ("aud", false),
        ("exp", false),
        ("nbf", false),
        ("iat", false),
        ("cnf", false),
        ("nonce", false),
        ("azp", true),
        ("acr", true),
        ("sid", true),
        ("at_hash", true),
        ("auth_time", true),
        ("events", true),
        ("jti", true),
    ] {
        app.idp.edit_id_token(move |token| token.claim(name, ()));
        let answer = Browser::default().try_sign_in(&app).await;
        assert_eq!(failure(&answer).is_none(), is_fine, "{name}");
    }
}
