//! Tokens that only the provider can read: what its answers are worth, how long they count, and what strangers can
//! cause.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use tower_oidc::testing::{DevelopmentProvider, Endpoint, Fault, ManualClock, TokenBuilder};
use tower_oidc::{
    Client, Clock as _, ConfigError, Introspection, Principal, PrincipalKind, Provider,
    TokenProfile, Verifier, VerifierBuilder,
};

use crate::log::Log;
use crate::support::{API, Api, parameter, seconds, until, verdict};

fn client() -> Client {
    Client::with_secret("development", "development-secret").unwrap()
}

/// An API that asks its provider about opaque tokens. It remembers answers, whatever the other tests do.
async fn api() -> Api {
    api_with(|verifier| verifier.with_introspection(client())).await
}

async fn api_with(choose: impl FnOnce(VerifierBuilder) -> VerifierBuilder) -> Api {
    Api::verifying(|verifier| choose(verifier.with_cache_capacity(1_000))).await
}

/// An API that asks about JWTs too.
async fn asking_about_all() -> Api {
    api_with(|verifier| verifier.with_introspection(Introspection::new(client()).with_jwts())).await
}

fn calls(api: &Api) -> u32 {
    api.idp.hits().introspection
}

/// Answers with these members instead of what is known of a token.
fn set_answer(api: &Api, answer: Value) {
    api.idp
        .edit_introspection_answer(move |whole| whole.clone_from(&answer));
}

/// What an answer usually has, changed.
fn answer(api: &Api, change: Value) -> Value {
    let now = api.clock.now().as_seconds();
    let mut answer = json!({
        "active": true, "sub": "user-1", "client_id": "shop", "aud": API, "iss": api.idp.issuer(),
        "scope": "read write", "exp": now + 3_600, "iat": now, "token_type": "Bearer",
    });
    let (Value::Object(whole), Value::Object(change)) = (&mut answer, change) else {
        unreachable!("both are objects");
    };
    for (name, value) in change {
        // Null takes a member away; a text cannot be mistaken for that.
        if value.is_null() {
            whole.remove(&name);
        } else {
            whole.insert(name, value);
        }
    }
    answer
}

// D27, IN-01
#[tokio::test]
async fn an_opaque_token_is_what_the_provider_says_it_is() {
    let api = api().await;
    let opaque = api
        .idp
        .opaque_token_for(&api.token().scope("read").claim("roles", ["admin"]));
    let principal = api.verifier.verify(&opaque).await.unwrap();
    assert_eq!(principal.kind(), PrincipalKind::AccessToken);
    assert_eq!(principal.issuer().as_str(), api.idp.issuer());
    assert_eq!(principal.subject(), Some("user-1"));
    assert_eq!(principal.client_id(), Some("development"));
    assert!(principal.has_scope("read") && !principal.has_scope("write"));
    assert!(principal.has_audience(API));
    let roles: Vec<String> = principal.claim("roles").unwrap().unwrap();
    assert_eq!(roles, ["admin"]);
    assert_eq!(api.with_token(&opaque).await.body(), "user-1");

    let seen = api.idp.seen(Endpoint::Introspection);
    let expected = [
        ("token", opaque.as_str()),
        ("token_type_hint", "access_token"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(
        seen,
        [expected],
        "one call, and the client in the header field"
    );
    // What verifiers without that choice say of it.
    let without = Verifier::builder(&api.provider, API).build().unwrap();
    assert_eq!(verdict(&without, &opaque).await, "opaque");
}

// D27
#[tokio::test]
async fn jwts_are_verified_here_and_all_others_by_the_provider() {
    let api = api().await;
    assert_eq!(api.verdict(api.token().build()).await, "accepted");
    assert_eq!(api.verdict(api.token().expired().build()).await, "expired");
    assert_eq!(calls(&api), 0, "both are JWTs");
    let others = [
        api.idp.encrypted_token(),
        "a.b".to_owned(),
        "a.b.c".to_owned(),
        "ey.b.c".to_owned(),
        "v4.public.abc".to_owned(),
        "~".to_owned(),
    ];
    for (number, other) in (1..).zip(others) {
        assert_eq!(api.verdict(&other).await, "not_active", "{other}");
        assert_eq!(calls(&api), number, "{other}");
    }
    // What is not even a bearer token is told to no one.
    for bad in ["a b", "", "a\n", "é"] {
        assert_eq!(api.verdict(bad).await, "malformed", "{bad:?}");
    }
    // Some providers pass over what follows the third part of a JWT.
    let jwt = api.token().build();
    for overlong in [
        format!("{jwt}."),
        format!("{jwt}.."),
        format!("{jwt}..."),
        format!("{jwt}.a"),
        format!("{jwt}.a.b.c"),
        "ewoK.a.b.".to_owned(),
    ] {
        assert_eq!(api.verdict(&overlong).await, "not_a_jwt", "{overlong}");
    }
    let long = "a".repeat(16 * 1024 + 1);
    assert_eq!(api.verdict(&long).await, "too_large");
    assert_eq!(calls(&api), 6);
}

// IN-02
#[tokio::test]
async fn only_true_is_active() {
    let api = api().await;
    for (number, active) in (0..).zip([
        json!("true"),
        json!(1),
        json!(false),
        json!([true]),
        json!({"active": true}),
        json!(null),
    ]) {
        set_answer(&api, answer(&api, json!({ "active": active })));
        let token = format!("token-{number}");
        let refused = api.with_token(&token).await;
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED, "{active}");
        assert_eq!(parameter(&refused, "error").unwrap(), "invalid_token");
        assert_eq!(api.verdict(&token).await, "not_active", "{active}");
    }
}

// IN-03, CL-12
#[tokio::test]
async fn an_answer_is_held_against_what_is_expected_of_every_access_token() {
    let api = api().await;
    let now = api.clock.now().as_seconds();
    let slashed = format!("{}/", api.idp.issuer());
    for (number, (change, expected)) in (0..).zip([
        (json!({}), "accepted"),
        (json!({"sub": null}), "accepted"),
        (json!({"iss": null}), "accepted"),
        (json!({"iss": slashed}), "wrong_issuer"),
        (json!({"iss": "https://other.example"}), "wrong_issuer"),
        (json!({"iss": 7}), "invalid_claim"),
        (json!({"aud": ["other", API]}), "accepted"),
        (json!({"aud": "other"}), "wrong_audience"),
        (json!({"aud": null}), "missing_claim"),
        (json!({"aud": []}), "wrong_audience"),
        (json!({"aud": {}}), "invalid_claim"),
        (json!({"exp": now - 61}), "expired"),
        (json!({"exp": "soon"}), "invalid_claim"),
        (json!({"exp": null}), "accepted"),
        (json!({"nbf": now + 120}), "not_yet_valid"),
        (json!({"cnf": {"jkt": "x"}}), "sender_constrained"),
        (json!({"token_type": null}), "accepted"),
        (json!({"token_type": "bearer"}), "accepted"),
        (json!({"token_type": "access_token"}), "accepted"),
        (json!({"token_type": "DPoP"}), "sender_constrained"),
        (json!({"token_type": "refresh_token"}), "token_kind"),
        (json!({"token_type": ["Bearer"]}), "token_kind"),
        (json!({"token_use": "access_token"}), "accepted"),
        (json!({"token_use": "refresh_token"}), "token_kind"),
        (json!({"typ": "Bearer"}), "accepted"),
        (json!({"typ": "Refresh"}), "token_kind"),
        (json!({"typ": "ID"}), "token_kind"),
        (json!({"nonce": "n"}), "accepted"),
        (json!({"at_hash": "x"}), "token_kind"),
        (json!({"events": {}}), "token_kind"),
        (json!({"sub": 7}), "invalid_claim"),
    ]) {
        set_answer(&api, answer(&api, change.clone()));
        let token = format!("token-{number}");
        for _ in 0..2 {
            assert_eq!(api.verdict(&token).await, expected, "{change}");
        }
    }
}

// IN-03, D29
#[tokio::test]
async fn an_answer_without_an_audience_counts_for_a_named_client_alone() {
    let api = api_with(|verifier| {
        let verifier = verifier.with_introspection(client());
        verifier.add_client_audience("shop")
    })
    .await;
    for (number, (change, expected)) in (0..).zip([
        (json!({"aud": null}), "accepted"),
        (json!({"aud": null, "client_id": "other"}), "missing_claim"),
        (json!({"aud": null, "client_id": null}), "missing_claim"),
        (json!({"aud": null, "client_id": ["shop"]}), "missing_claim"),
        (json!({"aud": "other"}), "wrong_audience"),
        (
            json!({"aud": null, "token_use": "refresh_token"}),
            "token_kind",
        ),
    ]) {
        set_answer(&api, answer(&api, change.clone()));
        assert_eq!(
            api.verdict(format!("token-{number}")).await,
            expected,
            "{change}"
        );
    }
}

// CL-15, D25
#[tokio::test]
async fn the_list_of_clients_and_the_scopes_are_read_of_answers_too() {
    let api = api_with(|verifier| {
        verifier
            .with_introspection(client())
            .allow_clients(["shop"])
            .add_scope_claim("permissions")
    })
    .await;
    for (number, (change, expected)) in (0..).zip([
        (json!({}), "accepted"),
        (json!({"client_id": "other"}), "client_not_allowed"),
        (json!({"client_id": ["shop"]}), "invalid_claim"),
        (json!({"client_id": null}), "missing_claim"),
        (json!({"azp": "other"}), "client_not_allowed"),
    ]) {
        set_answer(&api, answer(&api, change.clone()));
        assert_eq!(
            api.verdict(format!("token-{number}")).await,
            expected,
            "{change}"
        );
    }
    set_answer(&api, answer(&api, json!({"permissions": ["pay"]})));
    let principal = api.verifier.verify("another").await.unwrap();
    assert!(principal.has_scope("pay") && principal.has_scope("read"));
}

// IN-04
#[tokio::test]
async fn an_active_token_is_remembered_for_a_minute_and_not_past_its_end() {
    let api = api().await;
    let opaque = api.idp.opaque_token_for(&api.token());
    for _ in 0..3 {
        assert_eq!(api.verdict(&opaque).await, "accepted");
    }
    assert_eq!(calls(&api), 1);
    api.idp.revoke_access_token(&opaque);
    api.clock.advance(seconds(59));
    assert_eq!(api.verdict(&opaque).await, "accepted");
    api.clock.advance(seconds(1));
    assert_eq!(api.verdict(&opaque).await, "not_active");
    assert_eq!(calls(&api), 2);

    let short = api.token().expires_in(seconds(30));
    let short = api.idp.opaque_token_for(&short);
    assert_eq!(api.verdict(&short).await, "accepted");
    api.clock.advance(seconds(29));
    assert_eq!(api.verdict(&short).await, "accepted");
    assert_eq!(calls(&api), 3);
    api.clock.advance(seconds(1));
    assert_eq!(api.verdict(&short).await, "not_active");
    assert_eq!(calls(&api), 4);

    // Setting the clock back makes nothing count for longer.
    let opaque = api.idp.opaque_token_for(&api.token());
    let set_back = |by| api.clock.set(api.clock.now().saturating_sub(by));
    assert_eq!(api.verdict(&opaque).await, "accepted");
    let asked = calls(&api);
    set_back(seconds(5));
    assert_eq!(api.verdict(&opaque).await, "accepted");
    assert_eq!(calls(&api), asked + 1, "learned later than it is");
    api.clock.advance(seconds(59));
    set_back(seconds(59));
    assert_eq!(api.verdict(&opaque).await, "accepted");
    assert_eq!(calls(&api), asked + 1);
    api.clock.advance(seconds(2));
    assert_eq!(api.verdict(&opaque).await, "accepted");
    assert_eq!(calls(&api), asked + 2, "a minute has passed");
}

// IN-04
#[tokio::test]
async fn a_refused_token_is_remembered_for_ten_seconds() {
    let api = api().await;
    let unknown = api.idp.opaque_token();
    let elsewhere = api.idp.opaque_token_for(&api.token().claim("aud", "other"));
    for (token, expected) in [(&unknown, "not_active"), (&elsewhere, "wrong_audience")] {
        let before = calls(&api);
        for _ in 0..5 {
            assert_eq!(api.verdict(token).await, expected);
        }
        assert_eq!(calls(&api), before + 1);
        api.clock.advance(seconds(9));
        assert_eq!(api.verdict(token).await, expected);
        assert_eq!(calls(&api), before + 1);
        api.clock.advance(seconds(1));
        assert_eq!(api.verdict(token).await, expected);
        assert_eq!(calls(&api), before + 2);
    }
}

// IN-04, D27
#[tokio::test]
async fn what_is_remembered_dies_with_the_configuration() {
    let api = api().await;
    let opaque = api.idp.opaque_token_for(&api.token());
    assert_eq!(api.verdict(&opaque).await, "accepted");
    let stricter = Verifier::builder(&api.provider, API)
        .with_introspection(client())
        .allow_clients(["another"])
        .build()
        .unwrap();
    let elsewhere = Verifier::builder(&api.provider, "https://other.example.com")
        .with_introspection(client())
        .build()
        .unwrap();
    assert_eq!(verdict(&stricter, &opaque).await, "client_not_allowed");
    assert_eq!(verdict(&elsewhere, &opaque).await, "wrong_audience");
    assert_eq!(calls(&api), 3, "each asks for itself");
    assert_eq!(api.verdict(&opaque).await, "accepted");
}

// IN-05, BT-24
#[tokio::test]
async fn an_endpoint_that_does_not_answer_is_a_503() {
    let of_any = [
        Fault::Status(503),
        Fault::Status(502),
        Fault::Status(429),
        Fault::Status(401),
        Fault::error(400, "invalid_client"),
        Fault::busy(7),
        Fault::LoseAnswer,
    ];
    // Each may be the fault of the token, which a stranger may have made up for the purpose.
    let of_this = [
        Fault::Status(500),
        Fault::Status(400),
        Fault::Status(403),
        Fault::Status(404),
        Fault::error(400, "invalid_request"),
        Fault::Redirect("http://127.0.0.1:1/".to_owned()),
        Fault::Huge(1024 * 1024 + 1),
        Fault::broken_json(),
        Fault::json("[true]"),
        Fault::json("true"),
        Fault::json("{\"active\":true,\"active\":true}"),
        Fault::json("{\"active\":true,\"aud\":\"a\",\"aud\":\"b\"}"),
        Fault::json("{\"active\":true,\"x\":1,\"x\":2}"),
        Fault::json("{\"active\":true,\"x\":\"\\ud800\"}"),
        Fault::gzip_bomb(),
    ];
    let each = |faults: Vec<Fault>, holds_up_others| {
        faults
            .into_iter()
            .map(move |fault| (fault, holds_up_others))
    };
    let all = each(of_any.into(), true).chain(each(of_this.into(), false));
    for (fault, holds_up_others) in all {
        let api = api().await;
        let opaque = api.idp.opaque_token_for(&api.token());
        let other = api.idp.opaque_token_for(&api.token());
        api.idp.set_fault(Endpoint::Introspection, fault.clone());
        let refused = api.with_token(&opaque).await;
        assert_eq!(
            refused.status(),
            StatusCode::SERVICE_UNAVAILABLE,
            "{fault:?}"
        );
        assert!(!refused.headers().contains_key("www-authenticate"));
        let pause = if fault == Fault::busy(7) { "8" } else { "2" };
        assert_eq!(refused.headers()["retry-after"], pause, "{fault:?}");
        assert_eq!(api.handled(), 0);
        // Nobody is refused for good, and the same is not asked before the pause is over.
        let asked = calls(&api);
        api.idp.set_fault(Endpoint::Introspection, None);
        assert_eq!(api.verdict(&opaque).await, "unavailable");
        assert_eq!(calls(&api), asked);
        let expected = if holds_up_others {
            "unavailable"
        } else {
            "accepted"
        };
        assert_eq!(api.verdict(&other).await, expected, "{fault:?}");
        api.clock.advance(seconds(7));
        assert_eq!(api.verdict(&opaque).await, "accepted", "{fault:?}");
        assert_eq!(api.verdict(&other).await, "accepted", "{fault:?}");
    }
}

// IN-05
#[tokio::test]
async fn failures_of_calls_that_were_under_way_together_count_once() {
    let api = api().await;
    api.idp
        .set_fault(Endpoint::Introspection, Fault::Status(503));
    let asking: Vec<_> = (0..10)
        .map(|number| {
            let verifier = api.verifier.clone();
            tokio::spawn(async move { verifier.verify(&format!("junk-{number}")).await })
        })
        .collect();
    for asked in asking {
        let error = asked.await.unwrap().unwrap_err();
        assert!(error.retry_after().unwrap() <= seconds(1));
    }
    assert_eq!(calls(&api), 10);
    api.idp.set_fault(Endpoint::Introspection, None);
    api.clock.advance(seconds(1));
    assert_eq!(api.verdict("another").await, "not_active");
}

// IN-05
#[tokio::test]
async fn what_is_remembered_outlives_an_endpoint_that_is_away() {
    let api = api().await;
    let known = api.idp.opaque_token_for(&api.token());
    assert_eq!(api.verdict(&known).await, "accepted");
    api.idp
        .set_fault(Endpoint::Introspection, Fault::Status(503));
    let new = api.idp.opaque_token_for(&api.token());
    let mut pauses = Vec::new();
    for _ in 0..7 {
        let error = api.verifier.verify(&new).await.unwrap_err();
        let pause = error.retry_after().unwrap();
        pauses.push(pause.as_secs());
        if pauses.len() < 6 {
            assert_eq!(api.verdict(&known).await, "accepted", "within the minute");
        }
        // Before the pause is over nothing is asked.
        let asked = calls(&api);
        api.clock
            .advance(pause.saturating_sub(Duration::from_millis(1)));
        assert_eq!(api.verdict(&new).await, "unavailable");
        assert_eq!(calls(&api), asked);
        api.clock.advance(Duration::from_millis(1));
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60]);
    assert_eq!(
        api.verdict(&known).await,
        "unavailable",
        "doubt, no verdict"
    );
    api.idp.set_fault(Endpoint::Introspection, None);
    api.clock.advance(seconds(60));
    assert_eq!(api.verdict(&new).await, "accepted");
    assert_eq!(api.verdict(&known).await, "accepted");
}

// IN-07
#[tokio::test]
async fn requests_with_one_token_share_one_call() {
    let api = api().await;
    let opaque = api.idp.opaque_token_for(&api.token());
    let slow = Fault::Slow(Duration::from_millis(200));
    api.idp.set_fault(Endpoint::Introspection, slow);
    let asking = (0..100).map(|_| {
        let (verifier, token) = (api.verifier.clone(), opaque.clone());
        tokio::spawn(async move { verdict(&verifier, &token).await })
    });
    for asked in asking.collect::<Vec<_>>() {
        assert_eq!(asked.await.unwrap(), "accepted");
    }
    assert_eq!(calls(&api), 1);
}

// IN-07
#[tokio::test]
async fn a_caller_who_leaves_ends_no_call() {
    let api = api().await;
    let opaque = api.idp.opaque_token_for(&api.token());
    let slow = Fault::Slow(Duration::from_millis(200));
    api.idp.set_fault(Endpoint::Introspection, slow);
    let (verifier, token) = (api.verifier.clone(), opaque.clone());
    let first = tokio::spawn(async move { verdict(&verifier, &token).await });
    until(|| calls(&api) == 1).await;
    first.abort();
    assert_eq!(api.verdict(&opaque).await, "accepted");
    assert_eq!(calls(&api), 1);
}

// D27, IN-07
#[tokio::test]
async fn a_flood_of_made_up_tokens_costs_no_caller_their_access() {
    let api = api().await;
    let known = api.idp.opaque_token_for(&api.token());
    assert_eq!(api.verdict(&known).await, "accepted");
    let asked = calls(&api);
    let mut refused = (0, 0);
    for number in 0..10_000 {
        let answer = api.with_token(format!("junk-{number}")).await;
        match answer.status() {
            StatusCode::UNAUTHORIZED => refused.0 += 1,
            StatusCode::SERVICE_UNAVAILABLE => {
                assert_eq!(answer.headers()["retry-after"], "2");
                refused.1 += 1;
            }
            other => panic!("{other}"),
        }
    }
    // The clock stands still, so that no further call is allowed.
    assert_eq!(calls(&api), asked + 99, "a hundred with the first");
    assert_eq!(refused, (99, 9_901));
    assert_eq!(api.verdict(&known).await, "accepted");
    assert_eq!(api.verdict(api.token().build()).await, "accepted", "a JWT");
    // A minute later the flood goes on, and the token that was active before is asked about all the same.
    api.clock.advance(seconds(60));
    for number in 0..200 {
        let _ = api.verdict(format!("more-{number}")).await;
    }
    let new = api.idp.opaque_token_for(&api.token());
    assert_eq!(
        api.verdict(&new).await,
        "unavailable",
        "not known yet: doubt"
    );
    assert_eq!(api.verdict(&known).await, "accepted");
    api.clock.advance(seconds(1));
    assert_eq!(api.verdict(&new).await, "accepted");
}

// D27, IN-07
#[tokio::test]
async fn so_many_calls_are_under_way_and_no_more() {
    let api = api().await;
    api.idp.set_fault(Endpoint::Introspection, Fault::Stall);
    let asking: Vec<_> = (0..40)
        .map(|number| {
            let verifier = api.verifier.clone();
            tokio::spawn(async move { verdict(&verifier, &format!("junk-{number}")).await })
        })
        .collect();
    until(|| asking.iter().filter(|task| task.is_finished()).count() == 8).await;
    until(|| calls(&api) == 32).await;
    for task in asking {
        if task.is_finished() {
            assert_eq!(task.await.unwrap(), "unavailable");
        } else {
            task.abort();
        }
    }
}

// D27
#[tokio::test]
async fn what_strangers_cause_holds_up_no_known_caller() {
    for cached in [1_000, 0] {
        let api = api_with(|verifier| {
            let asking = Introspection::new(client()).with_jwts();
            verifier
                .with_introspection(asking)
                .with_cache_capacity(cached)
        })
        .await;
        let known = api.idp.opaque_token_for(&api.token());
        assert_eq!(api.verdict(&known).await, "accepted");
        api.clock.advance(seconds(60));

        // Calls that hang, as many as may.
        api.idp.set_fault(Endpoint::Introspection, Fault::Stall);
        let asked = calls(&api);
        let hanging: Vec<_> = (0..32)
            .map(|number| {
                let verifier = api.verifier.clone();
                tokio::spawn(async move { verdict(&verifier, &format!("hangs-{number}")).await })
            })
            .collect();
        until(|| calls(&api) == asked + 32).await;
        api.idp.set_fault(Endpoint::Introspection, None);
        assert_eq!(api.verdict("one-more").await, "unavailable");
        assert_eq!(api.verdict(&known).await, "accepted");
        assert_eq!(
            api.verdict(api.token().build()).await,
            "accepted",
            "verified here"
        );
        for task in hanging {
            task.abort();
        }

        // A pause after a failure.
        let api = api_with(|verifier| {
            verifier
                .with_introspection(client())
                .with_cache_capacity(cached)
        })
        .await;
        let known = api.idp.opaque_token_for(&api.token());
        assert_eq!(api.verdict(&known).await, "accepted");
        api.clock.advance(seconds(60));
        api.idp
            .set_fault(Endpoint::Introspection, Fault::Status(503));
        assert_eq!(api.verdict("made-up").await, "unavailable");
        api.idp.set_fault(Endpoint::Introspection, None);
        assert_eq!(api.verdict("another").await, "unavailable");
        assert_eq!(api.verdict(&known).await, "accepted");
    }
}

// D27
#[tokio::test]
async fn a_caller_with_many_tokens_has_a_bound_too() {
    let api = api().await;
    let tokens: Vec<_> = (0..150)
        .map(|_| api.idp.opaque_token_for(&api.token()))
        .collect();
    for token in &tokens[..100] {
        assert_eq!(api.verdict(token).await, "accepted");
    }
    api.clock.advance(seconds(60));
    for token in &tokens[100..] {
        assert_eq!(api.verdict(token).await, "accepted");
    }
    let asked = calls(&api);
    api.clock.advance(seconds(60));
    let mut verdicts = Vec::new();
    for token in &tokens {
        verdicts.push(api.verdict(token).await);
    }
    assert_eq!(calls(&api), asked + 100);
    assert!(verdicts[..100].iter().all(|verdict| *verdict == "accepted"));
    assert!(
        verdicts[100..]
            .iter()
            .all(|verdict| *verdict == "unavailable")
    );
}

// IN-06, IN-05
#[tokio::test]
async fn without_keys_a_signed_answer_says_nothing() {
    let api = api_with(|verifier| {
        verifier.with_introspection(Introspection::new(client()).require_signed_answers())
    })
    .await;
    let opaque = api.idp.opaque_token_for(&api.token());
    api.idp.set_fault(Endpoint::Jwks, Fault::Status(503));
    assert_eq!(api.verdict(&opaque).await, "unavailable");
    api.idp.set_fault(Endpoint::Jwks, None);
    api.clock.advance(seconds(10));
    assert_eq!(api.verdict(&opaque).await, "accepted");
}

// IN-03
#[tokio::test]
async fn a_null_is_a_claim_that_is_malformed_or_absent() {
    let api = api().await;
    let issuer = api.idp.issuer().to_owned();
    for (number, (members, expected)) in (0..).zip([
        (
            format!(r#""aud":"{API}","token_type":null,"sub":"u""#),
            "accepted",
        ),
        (format!(r#""aud":"{API}","jti":null"#), "accepted"),
        (format!(r#""aud":"{API}","sub":null"#), "invalid_claim"),
        (r#""aud":null"#.to_owned(), "invalid_claim"),
        (format!(r#""aud":"{API}","exp":null"#), "invalid_claim"),
        (format!(r#""aud":"{API}","cnf":null"#), "invalid_claim"),
    ]) {
        let text = format!(r#"{{"active":true,"iss":"{issuer}",{members}}}"#);
        api.idp
            .set_fault(Endpoint::Introspection, Fault::json(text));
        assert_eq!(
            api.verdict(format!("token-{number}")).await,
            expected,
            "{members}"
        );
    }
}

// IN-06
#[tokio::test]
async fn signed_answers_are_asked_for_and_verified() {
    type Edit = fn(TokenBuilder) -> TokenBuilder;
    let demanding = |verifier: VerifierBuilder| {
        verifier.with_introspection(Introspection::new(client()).require_signed_answers())
    };
    let edits: [(&str, Edit, bool); 9] = [
        ("as it is", |token| token, true),
        ("for this service", |token| token.claim("aud", API), true),
        ("typ", |token| token.header("typ", "JWT"), false),
        ("no typ", |token| token.without_header("typ"), false),
        ("aud", |token| token.claim("aud", "other"), false),
        (
            "iss",
            |token| token.claim("iss", "https://other.example"),
            false,
        ),
        ("iat", |token| token.without_claim("iat"), false),
        (
            "signature",
            |token| {
                token.signature(|mut bytes| {
                    bytes[0] ^= 1;
                    bytes
                })
            },
            false,
        ),
        (
            "content",
            |token| token.without_claim("token_introspection"),
            false,
        ),
    ];
    for (name, edit, is_good) in edits {
        let api = api_with(demanding).await;
        let opaque = api.idp.opaque_token_for(&api.token().scope("read"));
        api.idp.edit_signed_introspection_answer(edit);
        let status = api.status(&opaque).await;
        if is_good {
            assert_eq!(status, StatusCode::OK, "{name}");
            assert!(
                api.verifier
                    .verify(&opaque)
                    .await
                    .unwrap()
                    .has_scope("read")
            );
        } else {
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{name}");
        }
    }
    // Not active, although the answer is good.
    let api = api_with(demanding).await;
    assert_eq!(api.verdict(api.idp.opaque_token()).await, "not_active");
    // An access token of the provider is no answer about one.
    let token = api.token().build();
    let stolen = Fault::document("application/token-introspection+jwt", token);
    api.idp.set_fault(Endpoint::Introspection, stolen);
    assert_eq!(api.verdict("another").await, "unavailable");
    // An answer without a signature is none.
    api.clock.advance(seconds(60));
    let plain = Fault::json(answer(&api, json!({})).to_string());
    api.idp.set_fault(Endpoint::Introspection, plain);
    assert_eq!(api.verdict("a-third").await, "unavailable");
}

// IN-06
#[tokio::test]
async fn a_signed_answer_that_was_not_asked_for_is_verified_too() {
    let api = api().await;
    let sent = |token: String| Fault::document("Application/Token-Introspection+JWT ; x=y", token);
    let good = answer(&api, json!({}));
    let token = |typ: &str| {
        let token = api.idp.token("development").header("typ", typ);
        token.claim("token_introspection", &good).build()
    };
    api.idp.set_fault(
        Endpoint::Introspection,
        sent(token("token-introspection+jwt")),
    );
    assert_eq!(api.verdict("one").await, "accepted");
    api.idp
        .set_fault(Endpoint::Introspection, sent(token("at+jwt")));
    assert_eq!(api.verdict("two").await, "unavailable");
}

// D27
#[tokio::test]
async fn where_all_tokens_are_asked_about_a_jwt_has_to_pass_both() {
    let api = asking_about_all().await;
    let good = api.token().scope("read").build();
    let principal = api.verifier.verify(&good).await.unwrap();
    assert!(principal.has_scope("read"));
    for _ in 0..3 {
        assert_eq!(api.verdict(&good).await, "accepted");
    }
    assert_eq!(calls(&api), 1);
    // A bad one is not asked about.
    for bad in [
        api.token().expired().build(),
        api.token().claim("aud", "other").build(),
        api.token().signature(|_| vec![1; 256]).build(),
    ] {
        assert_ne!(api.verdict(&bad).await, "accepted");
    }
    assert_eq!(calls(&api), 1);
    api.idp.revoke_access_token(&good);
    api.clock.advance(seconds(60));
    assert_eq!(api.verdict(&good).await, "not_active");
    // What the answer leaves out, the token says; what it says must not differ.
    for (number, (change, expected)) in (0..).zip([
        (
            json!({"aud": null, "iss": null, "sub": null, "client_id": null}),
            "accepted",
        ),
        (
            json!({"sub": "another", "client_id": "development"}),
            "invalid_claim",
        ),
        (json!({"client_id": "another"}), "invalid_claim"),
        (json!({"aud": "other"}), "wrong_audience"),
        (json!({"iss": "https://other.example"}), "wrong_issuer"),
        (json!({"active": false}), "not_active"),
    ]) {
        set_answer(&api, answer(&api, change.clone()));
        let token = api.token().claim("number", number).build();
        assert_eq!(api.verdict(&token).await, expected, "{change}");
    }
    // The endpoint away: doubt.
    api.idp
        .set_fault(Endpoint::Introspection, Fault::Status(503));
    assert_eq!(api.verdict(api.token().build()).await, "unavailable");
    // A withdrawn key counts at once, whatever the provider said of the token.
    api.idp.set_fault(Endpoint::Introspection, None);
    api.clock.advance(seconds(60));
    let token = api.token().build();
    set_answer(&api, answer(&api, json!({"client_id": "development"})));
    assert_eq!(api.verdict(&token).await, "accepted");
    api.idp.rotate_keys();
    api.idp.drop_retired_keys();
    let rotated = api.token().build();
    assert_eq!(api.verdict(&rotated).await, "accepted");
    assert_eq!(api.verdict(&token).await, "unknown_key");
}

// D27
#[tokio::test]
async fn what_an_answer_about_a_jwt_leaves_out_the_jwt_says() {
    let api = api_with(|verifier| {
        verifier
            .with_introspection(Introspection::new(client()).with_jwts())
            .with_max_age(seconds(600))
            .allow_clients(["development"])
    })
    .await;
    set_answer(&api, json!({"active": true}));
    assert_eq!(api.verdict(api.token().build()).await, "accepted");
    assert_eq!(api.verdict("an-opaque-one").await, "missing_claim");
}

// D27
#[tokio::test]
async fn the_address_of_the_endpoint_can_be_configured() {
    let clock = ManualClock::new();
    let idp = DevelopmentProvider::builder()
        .with_clock(clock)
        .start()
        .await
        .unwrap();
    let url = format!("{}/introspect", idp.issuer());
    let provider = idp
        .provider_builder()
        .with_introspection_url(&url)
        .build()
        .unwrap();
    let verifier = Verifier::builder(&provider, API)
        .with_introspection(client())
        .build()
        .unwrap();
    idp.set_fault(Endpoint::Discovery, Fault::Status(404));
    let opaque = idp.opaque_token_for(&idp.token(API));
    assert_eq!(verdict(&verifier, &opaque).await, "accepted");
    assert_eq!(idp.hits().discovery, 0, "no metadata is needed");
    // Where the metadata names no endpoint, the error says so.
    let without = idp.provider().unwrap();
    let discovery = json!({"issuer": idp.issuer(), "jwks_uri": idp.jwks_url()}).to_string();
    idp.set_fault(Endpoint::Discovery, None);
    idp.set_discovery(discovery);
    let verifier = Verifier::builder(&without, API)
        .with_introspection(client())
        .build()
        .unwrap();
    let error = verifier.verify(&opaque).await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("introspection_endpoint"), "{cause}");
    let remedy = error.remedy();
    assert!(remedy.contains("OPENID_INTROSPECTION_URL"), "{remedy}");
    assert!(!remedy.contains("no restart"), "{remedy}");
}

// D27
#[tokio::test]
async fn choices_that_cannot_work_do_not_build() {
    let provider = Provider::discover("https://id.example").unwrap();
    let other = Provider::discover("https://other.example").unwrap();
    let build = |choose: fn(VerifierBuilder) -> VerifierBuilder| {
        choose(Verifier::builder(&provider, API))
            .build()
            .unwrap_err()
    };
    let public = || Client::public("app").unwrap();
    let error = Verifier::builder(&provider, API)
        .with_introspection(public())
        .build();
    assert!(error.unwrap_err().to_string().contains("client secret"));
    let error = build(|verifier| {
        verifier
            .with_introspection(client())
            .with_profile(TokenProfile::IdToken)
    });
    assert!(
        matches!(error, ConfigError::Contradiction { .. }),
        "{error}"
    );
    let all = Introspection::new(client()).with_jwts();
    let error = Verifier::builder(&provider, API)
        .add_provider(&other)
        .with_introspection(all)
        .build()
        .unwrap_err();
    assert!(
        matches!(error, ConfigError::Contradiction { .. }),
        "{error}"
    );
    let bad = Provider::builder("https://id.example").with_introspection_url("http://id.example/i");
    assert_eq!(bad.build().unwrap_err().setting(), "introspection url");
}

// D26
#[tokio::test]
async fn the_log_says_what_the_provider_said_and_never_the_token() {
    let api = api().await;
    let log = Log::default();
    let _guard = log.capture();
    let elsewhere = api.idp.opaque_token_for(&api.token().claim("aud", "other"));
    let unknown = api.idp.opaque_token();
    api.with_token(&elsewhere).await;
    api.with_token(&unknown).await;
    api.idp
        .set_fault(Endpoint::Introspection, Fault::Status(401));
    api.with_token("a-third").await;
    let text = log.text();
    for expected in [
        "the token is for another audience: aud is \"other\", expected",
        "the provider says that the token is not active",
        "the introspection endpoint answered 401 Unauthorized: it does not accept this client",
        "OPENID_CLIENT_SECRET",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    for secret in [&elsewhere, &unknown, "development-secret"] {
        assert!(!text.contains(secret), "{text}");
    }
}

// D27
#[tokio::test]
async fn a_runtime_that_ends_leaves_no_caller_waiting() {
    let api = api().await;
    let opaque = api.idp.opaque_token_for(&api.token());
    api.idp.set_fault(Endpoint::Introspection, Fault::Stall);
    let (verifier, token) = (api.verifier.clone(), opaque.clone());
    let is_under_way = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&is_under_way);
    let other = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let asking = verdict(&verifier, &token);
            let leave = async {
                while !told.load(Ordering::SeqCst) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::select! { _ = asking => {}, () = leave => {} }
        });
    });
    until(|| calls(&api) == 1).await;
    let waiting = tokio::spawn({
        let (verifier, token) = (api.verifier.clone(), opaque.clone());
        async move { verdict(&verifier, &token).await }
    });
    tokio::task::yield_now().await;
    is_under_way.store(true, Ordering::SeqCst);
    tokio::task::spawn_blocking(move || other.join().unwrap())
        .await
        .unwrap();
    assert_eq!(waiting.await.unwrap(), "unavailable");
    api.idp.set_fault(Endpoint::Introspection, None);
    assert_eq!(api.verdict(&opaque).await, "accepted");
}

#[test]
fn principals_of_answers_are_like_others() {
    fn shared<T: Send + Sync + Clone + 'static>() {}
    shared::<Principal>();
    shared::<Introspection>();
    let shown = format!("{:?}", Introspection::new(client()));
    assert!(!shown.contains("development-secret"), "{shown}");
}
