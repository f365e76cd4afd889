//! `docs/rules.md` §5: which key is used, and what a change of keys costs.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::StatusCode;
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tower::{ServiceExt, service_fn};
use tower_oidc::testing::{Endpoint, Fault, OfflineProvider, SigningKey, TokenBuilder};
use tower_oidc::{
    Algorithm, Clock, HttpClient, Phase, Provider, ProviderBuilder, Verifier, VerifyError,
    VerifyErrorKind,
};

use crate::browser::{App, Browser};
use crate::support::{API, Api, judging, seconds, until};

/// What tokens with unknown keys get: the second, where the bound on fetches kept us from looking.
const REFUSALS: [StatusCode; 2] = [StatusCode::UNAUTHORIZED, StatusCode::SERVICE_UNAVAILABLE];

// KS-03, ID-10
#[tokio::test]
async fn a_rotation_is_seen_by_the_request_that_meets_it() {
    let api = Api::start().await;
    let old = api.token().build();
    assert_eq!(api.status(&old).await, StatusCode::OK);
    api.idp.rotate_keys();
    assert_eq!(api.status(api.token().build()).await, StatusCode::OK);
    assert_eq!(api.idp.hits().jwks, 2);
    // The old key is still published. Two rotations at once are within the burst.
    assert_eq!(api.status(&old).await, StatusCode::OK);
    api.idp.rotate_keys();
    assert_eq!(api.status(api.token().build()).await, StatusCode::OK);
    assert_eq!(api.idp.hits().jwks, 3);
}

// KS-03
#[tokio::test]
async fn an_unknown_kid_causes_one_fetch_and_a_401() {
    let api = Api::start().await;
    assert_eq!(api.status(api.token().build()).await, StatusCode::OK);
    let unknown = api.token().header("kid", "unknown").build();
    assert_eq!(api.status(unknown).await, StatusCode::UNAUTHORIZED);
    assert_eq!(api.idp.hits().jwks, 2);
}

// KS-09
#[tokio::test]
async fn ten_thousand_random_kids_cause_at_most_four_fetches_in_a_minute() {
    let api = Api::start().await;
    let good = api.token().build();
    let flood: Vec<_> = (0..100)
        .map(|n| api.token().header("kid", format!("random-{n}")).build())
        .collect();
    for tenth in 0..600 {
        for n in 0..17 {
            let answer = api.status(&flood[(tenth * 17 + n) % flood.len()]).await;
            assert!(REFUSALS.contains(&answer), "{answer}");
        }
        assert_eq!(api.status(&good).await, StatusCode::OK);
        api.clock.advance(seconds(1) / 10);
    }
    assert!(api.idp.hits().jwks <= 4, "{:?}", api.idp.hits());
    assert_eq!(api.idp.hits().discovery, 1);
}

// KS-09
#[tokio::test]
async fn attempts_are_counted_also_when_they_fail_and_good_tokens_do_not_notice() {
    let api = Api::start_with(
        |provider| provider.with_call_timeout(seconds(1)),
        |verifier| verifier,
    )
    .await;
    let good = api.token().build();
    assert_eq!(api.status(&good).await, StatusCode::OK);
    for fault in [Fault::Stall, Fault::Status(500)] {
        api.idp.set_fault(Endpoint::Jwks, fault);
        let before = api.idp.hits().jwks;
        for n in 0..1_000 {
            if n % 20 == 0 {
                let api = &api;
                let token = api.token().header("kid", format!("random-{n}")).build();
                let (unknown, known) = tokio::join!(api.status(token), api.status(&good));
                assert_ne!(unknown, StatusCode::OK);
                assert_eq!(known, StatusCode::OK);
            }
            api.clock.advance(seconds(1) / 100);
        }
        let caused = api.idp.hits().jwks - before;
        assert!(caused <= 2, "{caused} attempts in ten seconds");
    }
}

// KS-10
#[tokio::test]
async fn a_bad_signature_under_a_known_name_causes_no_fetch() {
    let api = Api::start().await;
    assert_eq!(api.status(api.token().build()).await, StatusCode::OK);
    let other = Arc::new(SigningKey::generate("rs256-1", Algorithm::Rs256));
    for _ in 0..20 {
        let forged = api.token().signed_by(Arc::clone(&other)).build();
        assert_eq!(api.verdict(forged).await, "bad_signature");
    }
    assert_eq!(api.idp.hits().jwks, 1);
}

// KS-04
#[tokio::test]
async fn a_token_without_a_name_finds_its_key_also_after_a_rotation() {
    let api = Api::start().await;
    assert_eq!(
        api.verdict(api.token().without_header("kid").build()).await,
        "accepted"
    );
    api.idp.rotate_keys();
    assert_eq!(
        api.verdict(api.token().without_header("kid").build()).await,
        "accepted"
    );
}

// KS-05
#[tokio::test]
async fn keys_of_one_name_and_algorithm_are_refused() {
    let api = Api::start().await;
    let own: Value =
        serde_json::from_str(&api.idp.signing_key(Algorithm::Rs256).public_jwk()).unwrap();
    let other = SigningKey::generate("rs256-1", Algorithm::Rs256).public_jwk();
    let other: Value = serde_json::from_str(&other).unwrap();
    api.idp.set_jwks(json!({"keys": [other, own]}).to_string());
    assert_eq!(api.verdict(api.token().build()).await, "ambiguous_key");
    let ec: Value =
        serde_json::from_str(&SigningKey::generate("rs256-1", Algorithm::Es256).public_jwk())
            .unwrap();
    api.idp.set_jwks(json!({"keys": [ec, own]}).to_string());
    api.clock.advance(seconds(700));
    assert_eq!(
        api.verdict(api.token().build()).await,
        "ambiguous_key",
        "served while it is renewed"
    );
    until(|| api.idp.hits().jwks == 2).await;
    until(|| api.provider.readiness().keys == Phase::Fresh).await;
    assert_eq!(api.verdict(api.token().build()).await, "accepted");
}

// KS-08
#[tokio::test]
async fn five_hundred_cold_requests_cause_one_discovery_and_one_key_fetch() {
    let api = Arc::new(Api::start().await);
    api.idp
        .set_fault(Endpoint::Jwks, Fault::Slow(seconds(1) / 5));
    let token: Arc<str> = api.token().build().into();
    let calls: Vec<_> = (0..500)
        .map(|n| {
            let (api, token) = (Arc::clone(&api), Arc::clone(&token));
            let call = tokio::spawn(async move { api.status(&*token).await });
            if n % 10 == 0 {
                call.abort();
            }
            call
        })
        .collect();
    for call in calls {
        match call.await {
            Ok(status) => assert_eq!(status, StatusCode::OK),
            Err(error) => assert!(error.is_cancelled()),
        }
    }
    assert_eq!((api.idp.hits().discovery, api.idp.hits().jwks), (1, 1));
}

// KS-11, KS-13
#[tokio::test]
async fn keys_are_renewed_behind_requests_and_a_withdrawn_key_stops() {
    let api = Api::start().await;
    let old = api.token().expires_in(seconds(9_000)).build();
    assert_eq!(api.status(&old).await, StatusCode::OK);
    api.idp.rotate_keys();
    api.idp.drop_retired_keys();
    // A refresh is due and the provider is slow: no request waits for it.
    api.idp.set_fault(Endpoint::Jwks, Fault::Slow(seconds(3)));
    api.clock.advance(seconds(590));
    let asked = std::time::Instant::now();
    assert_eq!(api.status(&old).await, StatusCode::OK);
    assert!(asked.elapsed() < seconds(3));
    until(|| api.provider.readiness().keys == Phase::Fresh && api.idp.hits().jwks == 2).await;
    assert_eq!(api.status(&old).await, StatusCode::UNAUTHORIZED);
}

// KS-12
#[tokio::test]
async fn the_provider_may_say_how_long_keys_live_within_bounds() {
    for (cache_control, fresh, due) in [
        ("max-age=300", 230, 300),
        ("max-age=1", 59, 60),
        ("max-age=0", 59, 60),
        ("no-store", 59, 60),
        ("max-age=90", 59, 60),
        ("max-age=99999999", 86_000, 86_400),
        ("nonsense", 530, 600),
    ] {
        let api = Api::start().await;
        api.idp.set_fault(
            Endpoint::Jwks,
            Fault::CacheControl(cache_control.to_owned()),
        );
        let token = || api.token().build();
        assert_eq!(api.status(token()).await, StatusCode::OK);
        api.clock.advance(seconds(fresh));
        for _ in 0..5 {
            assert_eq!(api.status(token()).await, StatusCode::OK);
        }
        assert_eq!(api.idp.hits().jwks, 1, "{cache_control}");
        api.clock.advance(seconds(due - fresh));
        assert_eq!(api.status(token()).await, StatusCode::OK);
        until(|| api.idp.hits().jwks == 2).await;
    }
}

// KS-12, KS-13
#[tokio::test]
async fn the_lifetime_that_a_provider_says_can_be_capped() {
    for (cache_control, longest, fresh, due) in [
        ("max-age=86400", 300, 230, 300),
        ("max-age=86400", 60, 59, 60),
        ("max-age=120", 300, 59, 120),
        // Nor is the default longer.
        ("public", 300, 230, 300),
    ] {
        let capped = |builder: ProviderBuilder| builder.with_longest_key_lifetime(seconds(longest));
        let api = Api::start_with(capped, |verifier| verifier).await;
        let fault = Fault::CacheControl(cache_control.to_owned());
        api.idp.set_fault(Endpoint::Jwks, fault);
        for (passes, hits) in [(0, 1), (fresh, 1), (due - fresh, 2)] {
            api.clock.advance(seconds(passes));
            assert_eq!(api.status(api.token().build()).await, StatusCode::OK);
            until(|| api.idp.hits().jwks == hits).await;
        }
    }
}

// KS-17
#[tokio::test]
async fn the_body_of_a_key_set_decides_and_not_its_media_type() {
    let api = Api::start().await;
    let key = api.idp.signing_key(Algorithm::Rs256).public_jwk();
    let keys = format!(r#"{{"keys":[{key}]}}"#);
    for (media_type, body, expected) in [
        ("application/octet-stream", &*keys, "accepted"),
        ("text/plain; charset=utf-8", &keys, "accepted"),
        ("text/html", &keys, "accepted"),
        ("", &keys, "accepted"),
        ("text/plain", "<html>", "unavailable"),
        ("application/json", "<html>", "unavailable"),
    ] {
        let fresh = Api::start().await;
        let fault = Fault::document(media_type, body);
        fresh.idp.set_fault(Endpoint::Jwks, fault);
        let token = fresh
            .token()
            .signed_by(api.idp.signing_key(Algorithm::Rs256));
        assert_eq!(
            fresh.verdict(token.build()).await,
            expected,
            "{media_type} {body}"
        );
    }
}

// KS-01, KS-02, KS-06
#[tokio::test]
async fn damaged_and_foreign_entries_spoil_nothing() {
    let api = Api::start().await;
    let own: Value =
        serde_json::from_str(&api.idp.signing_key(Algorithm::Rs256).public_jwk()).unwrap();
    let with = |name: &str, value: Value| {
        let mut key = own.clone();
        key[name] = value;
        key
    };
    let cases = [
        (
            vec![json!(null), json!(7), json!({"kty": "??"}), own.clone()],
            "accepted",
        ),
        (vec![with("x5c", json!("broken"))], "accepted"),
        (vec![with("d", json!("PRIVATE"))], "accepted"),
        (vec![with("use", json!("enc"))], "unavailable"),
        (vec![with("key_ops", json!(["sign"]))], "unavailable"),
        (vec![with("alg", json!("PS256"))], "algorithm"),
    ];
    for (keys, expected) in cases {
        let fresh = Api::start().await;
        fresh.idp.set_jwks(json!({"keys": keys}).to_string());
        // Signed with the key of the other provider, under the issuer of this one.
        let token = fresh
            .token()
            .signed_by(api.idp.signing_key(Algorithm::Rs256))
            .build();
        assert_eq!(fresh.verdict(token).await, expected, "{keys:?}");
    }
}

// F66
#[tokio::test]
async fn keys_can_lie_at_another_host_or_a_configured_address() {
    let api = Api::start().await;
    let provider = api
        .idp
        .provider_builder()
        .with_jwks_url(&api.idp.jwks_url())
        .build()
        .unwrap();
    let verifier = judging(&provider, API);
    assert_eq!(
        crate::support::verdict(&verifier, &api.token().build()).await,
        "accepted"
    );
    assert_eq!(api.idp.hits().discovery, 0);
    for bad in [
        "http://id.example/jwks",
        "file:///keys",
        "https://u:p@id.example/jwks",
    ] {
        assert!(
            api.idp
                .provider_builder()
                .with_jwks_url(bad)
                .build()
                .is_err(),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn keys_that_moved_are_found_again() {
    let api = Api::start().await;
    let moved = |path: &str| {
        json!({"issuer": api.idp.issuer(), "jwks_uri": format!("{}{path}", api.idp.issuer())})
            .to_string()
    };
    api.idp.set_discovery(moved("/old"));
    let error = api.verifier.verify(&api.token().build()).await.unwrap_err();
    assert_eq!(error.kind(), VerifyErrorKind::Unavailable);
    api.idp.set_discovery(moved("/jwks"));
    // The failed attempt has fetched the metadata again, so the next attempt uses the new address.
    api.clock.advance(seconds(10));
    let _ = api.verifier.verify(&api.token().build()).await;
    until(|| api.idp.hits().discovery >= 2).await;
    api.clock.advance(seconds(60));
    assert_eq!(api.verdict(api.token().build()).await, "accepted");
}

#[tokio::test]
async fn a_flood_of_random_names_does_not_keep_a_new_key_out() {
    let api = Api::start().await;
    assert_eq!(api.status(api.token().build()).await, StatusCode::OK);
    let flood = |n: u32| api.token().header("kid", format!("random-{n}")).build();
    for n in 0..30 {
        assert!(REFUSALS.contains(&api.status(flood(n)).await));
    }
    // The burst is spent when the provider changes its keys.
    api.idp.rotate_keys();
    let new = api.token().build();
    let mut waited = 0;
    while api.status(&new).await != StatusCode::OK {
        waited += 1;
        assert!(waited <= 31, "the flood keeps the new key out");
        api.clock.advance(seconds(1));
        api.status(flood(waited)).await;
    }
}

fn unknown(api: &Api) -> TokenBuilder {
    api.token().header("kid", "unknown")
}

// KS-09
#[tokio::test]
async fn with_the_bound_spent_a_token_that_may_be_newer_than_the_keys_waits() {
    let api = Api::start().await;
    assert_eq!(api.status(api.token().build()).await, StatusCode::OK);
    for _ in 0..2 {
        assert_eq!(api.verdict(unknown(&api).build()).await, "unknown_key");
    }
    let fetched_at = api.clock.now().as_seconds();
    // The leeway is a minute.
    api.clock.advance(seconds(5));
    let issued = |iat: i64| unknown(&api).claim("iat", iat);
    let cases = [
        ("now", unknown(&api), "unavailable"),
        (
            "no one knows when",
            unknown(&api).without_claim("iat"),
            "unavailable",
        ),
        ("within the leeway", issued(fetched_at - 59), "unavailable"),
        (
            "before the keys were asked for",
            issued(fetched_at - 62),
            "unknown_key",
        ),
        (
            "of another audience",
            unknown(&api).claim("aud", "other"),
            "wrong_audience",
        ),
        ("expired", unknown(&api).expired(), "expired"),
    ];
    for (name, token, expected) in cases {
        assert_eq!(api.verdict(token.build()).await, expected, "{name}");
    }
    let answer = api.with_token(unknown(&api).build()).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let pause: u64 = answer.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((20..=31).contains(&pause), "{pause}");
    assert!(!answer.headers().contains_key("www-authenticate"));
    assert_eq!(api.idp.hits().jwks, 3);

    // A rotation within that time: a good token waits, and is never called bad.
    api.idp.rotate_keys();
    let new = api.token().build();
    assert_eq!(api.status(&new).await, StatusCode::SERVICE_UNAVAILABLE);
    api.clock.advance(seconds(pause));
    assert_eq!(api.status(&new).await, StatusCode::OK);
}

// KS-09, LO-14
#[tokio::test]
async fn strangers_cannot_use_up_what_sign_ins_need() {
    let app = App::start().await;
    Browser::default().sign_in(&app).await;
    let junk = |token: TokenBuilder| token.header("kid", "unknown").build();
    let mut answers = Vec::new();
    for _ in 0..3 {
        let token = junk(app.idp.token(API));
        answers.push(crate::support::verdict(&app.verifier, &token).await);
    }
    assert_eq!(answers, ["unknown_key", "unknown_key", "unavailable"]);
    let mut answers = Vec::new();
    for _ in 0..3 {
        let token = junk(app.idp.logout_token("development"));
        let form = format!("logout_token={token}");
        let request = http::Request::post("/oauth/openid/backchannel-logout")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form)
            .unwrap();
        let answer = app.service().oneshot(request).await.unwrap();
        answers.push((
            answer.status().as_u16(),
            answer.headers().contains_key("retry-after"),
        ));
    }
    assert_eq!(answers, [(400, false), (400, false), (503, true)]);

    // The provider changes its keys, and browsers sign in all the same. What is fetched for them serves all.
    app.idp.rotate_keys();
    let token = app.idp.token(API).build();
    assert_eq!(
        crate::support::verdict(&app.verifier, &token).await,
        "unavailable"
    );
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    assert_eq!(browser.fetch(&app, "/").await.status(), StatusCode::OK);
    assert_eq!(
        crate::support::verdict(&app.verifier, &token).await,
        "accepted"
    );
    let logout = app
        .idp
        .logout_token("development")
        .header("kid", "unknown")
        .claim("iat", 1);
    let request = http::Request::post("/oauth/openid/backchannel-logout")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("logout_token={}", logout.build()))
        .unwrap();
    let answer = app.service().oneshot(request).await.unwrap();
    assert_eq!(
        answer.status(),
        StatusCode::BAD_REQUEST,
        "too old, whatever key signed it"
    );
}

/// A provider that answers with the keys of the moment at which it is asked, once the test lets it.
#[derive(Clone)]
struct SlowProvider {
    jwks: Arc<Mutex<String>>,
    asked: Arc<AtomicU32>,
    may_answer: Arc<Semaphore>,
}

impl SlowProvider {
    fn publishing(keys: &[&SigningKey]) -> Self {
        let provider = Self {
            jwks: Arc::default(),
            asked: Arc::default(),
            may_answer: Arc::new(Semaphore::new(0)),
        };
        provider.publish(keys);
        provider
    }

    fn publish(&self, keys: &[&SigningKey]) {
        let keys: Vec<_> = keys.iter().map(|key| key.public_jwk()).collect();
        *self.jwks.lock().unwrap() = format!(r#"{{"keys":[{}]}}"#, keys.join(","));
    }

    fn verifier(&self) -> Verifier {
        let slow = self.clone();
        let service = service_fn(move |_: http::Request<Bytes>| {
            let keys = slow.jwks.lock().unwrap().clone();
            slow.asked.fetch_add(1, Ordering::SeqCst);
            let may_answer = Arc::clone(&slow.may_answer);
            async move {
                may_answer.acquire().await.unwrap().forget();
                let answer = http::Response::builder().header("content-type", "application/json");
                Ok::<_, Infallible>(answer.body(Full::new(Bytes::from(keys))).unwrap())
            }
        });
        let provider = Provider::builder("https://id.example")
            .with_jwks_url("https://id.example/jwks")
            .with_http_client(HttpClient::new(service))
            .build()
            .unwrap();
        judging(&provider, API)
    }

    async fn is_asked(&self, times: u32) {
        until(|| self.asked.load(Ordering::SeqCst) == times).await;
    }
}

// KS-03, KS-09
#[tokio::test]
async fn keys_that_were_asked_for_before_a_token_came_do_not_refuse_it() {
    let key = |kid: &str| Arc::new(SigningKey::generate(kid, Algorithm::Rs256));
    let (old, new) = (key("old"), key("new"));
    let idp = OfflineProvider::builder("https://id.example")
        .with_keys([old.clone()])
        .build();
    let slow = SlowProvider::publishing(&[&old]);
    let verifier = slow.verifier();
    slow.may_answer.add_permits(1);
    assert!(verifier.verify(&idp.token(API).build()).await.is_ok());

    let judge = |token: TokenBuilder| {
        let (verifier, token) = (verifier.clone(), token.build());
        tokio::spawn(async move { verifier.verify(&token).await })
    };
    let junk = judge(idp.token(API).header("kid", "unknown"));
    slow.is_asked(2).await;
    // The answer is on its way, and knows nothing of what happens now.
    slow.publish(&[&old, &new]);
    let good = judge(idp.token(API).signed_by(new.clone()));
    let elder = judge(idp.token(API).header("kid", "elder").claim("iat", 1));
    tokio::task::yield_now().await;
    slow.may_answer.add_permits(2);
    let kind = |judged: Result<_, VerifyError>| judged.err().map(|error| error.kind());
    assert_eq!(kind(junk.await.unwrap()), Some(VerifyErrorKind::UnknownKey));
    assert_eq!(
        kind(elder.await.unwrap()),
        Some(VerifyErrorKind::UnknownKey)
    );
    assert_eq!(kind(good.await.unwrap()), None);
    slow.is_asked(3).await;
}
