//! How often the warm path allocates. Counts repeat; they may only go down.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../benches/support/mod.rs"]
mod support;

use http::{Request, StatusCode};
use support::outbound::{Caller, Upstream, request as leaving};
use support::session::{Page, Site, again};
use support::{Fixture, call, request};
use tower::Layer;
use tower_oidc::outbound::Never;
use tower_oidc::{Algorithm, BearerLayer, RequireLayer, Revocations, TokenPlace, Verifier};

/// Of a request with `token`, after one with `first`, which fills what is filled once.
fn allocations(
    fixture: &Fixture,
    first: Option<&str>,
    token: Option<&str>,
    status: StatusCode,
) -> u64 {
    let mut service = fixture.service();
    let bare = count(&mut support::Inner, request(token), StatusCode::OK);
    count(&mut service, request(first), status);
    count(&mut service, request(token), status) - bare
}

fn count<S, B>(service: &mut S, request: Request<B>, status: StatusCode) -> u64
where
    S: tower::Service<Request<B>, Response = http::Response<B>, Error: std::fmt::Debug>,
{
    let mut request = Some(request);
    let mut answer = None;
    let measured = allocation_counter::measure(|| {
        answer = Some(call(service, request.take().unwrap()));
    });
    assert_eq!(answer.unwrap().status(), status);
    measured.count_total
}

#[test]
fn budget_of_a_token_that_was_introspected_before() {
    const OPAQUE: &str = "q1hZ8vXo3TnC5bWkP0sRfJ7mYdLgUa2eE9iNtVxBcAo";
    let fixture = Fixture::introspecting(OPAQUE);
    let _runtime = fixture.enter();
    let measured = allocations(&fixture, Some(OPAQUE), Some(OPAQUE), StatusCode::OK);
    assert!(measured <= 3, "{measured} allocations");
}

#[test]
fn budgets_of_the_warm_path() {
    let fixture = Fixture::new();
    let _runtime = fixture.enter();
    let token = |algorithm| fixture.token(algorithm, &[]);
    let other = |algorithm| fixture.token(algorithm, &[("2wXk9QpL", "another")]);
    let seen = Some(token(Algorithm::Rs256));
    let expired = Some(fixture.token(Algorithm::Rs256, &[("4102444800", "1700000001")]));
    let garbage = Some("garbage".to_owned());
    let new = |algorithm| (Some(other(algorithm)), Some(token(algorithm)));
    let same = |token: Option<String>| (token.clone(), token);
    let (ok, refused) = (StatusCode::OK, StatusCode::UNAUTHORIZED);
    let cases = [
        // New ones first: all share one memory of accepted tokens.
        ("accepted, new, RS256", new(Algorithm::Rs256), ok, 20),
        ("accepted, new, ES256", new(Algorithm::Es256), ok, 20),
        ("accepted, new, EdDSA", new(Algorithm::EdDsa), ok, 20),
        ("accepted, seen before", same(seen), ok, 3),
        ("expired", same(expired), refused, 10),
        ("garbage", same(garbage), refused, 8),
        ("no header", same(None), refused, 6),
    ];
    for (name, (first, token), status, budget) in cases {
        let measured = allocations(&fixture, first.as_deref(), token.as_deref(), status);
        eprintln!("{name}: {measured} allocations, budget {budget}");
        assert!(
            measured <= budget,
            "{name}: {measured} allocations, budget {budget}"
        );
    }
}

// D25
#[test]
fn a_policy_on_claims_allocates_nothing_for_a_token_that_it_has_seen() {
    let fixture = Fixture::new();
    let _runtime = fixture.enter();
    let token = fixture.token(Algorithm::Rs256, &[]);
    let measured = |layer: RequireLayer| {
        let bearer = BearerLayer::new(fixture.verifier.clone());
        let mut service = bearer.layer(layer.layer(support::Inner));
        count(&mut service, request(Some(&token)), StatusCode::OK);
        count(&mut service, request(Some(&token)), StatusCode::OK)
    };
    let scope = measured(RequireLayer::scope("read:messages").unwrap());
    let claim = measured(RequireLayer::claim("permissions", "read:messages").unwrap());
    assert_eq!(claim, scope);
}

// D28
#[test]
fn further_places_allocate_nothing_for_a_token_that_was_seen() {
    let fixture = Fixture::new();
    let _runtime = fixture.enter();
    let token = fixture.token(Algorithm::Rs256, &[]);
    let measured = |layer: BearerLayer| {
        let mut service = layer.layer(support::Inner);
        count(&mut service, request(Some(&token)), StatusCode::OK);
        count(&mut service, request(Some(&token)), StatusCode::OK)
    };
    let bearer = || BearerLayer::new(fixture.verifier.clone());
    let places = [TokenPlace::authorization(), TokenPlace::websocket()];
    let further = bearer().with_token_in(places).unwrap();
    assert_eq!(measured(further), measured(bearer()));
}

// D39
#[test]
fn revocations_allocate_nothing_for_a_token_that_was_seen() {
    let fixture = Fixture::new();
    let _runtime = fixture.enter();
    let token = fixture.token(Algorithm::Rs256, &[]);
    let measured = |verifier: &Verifier, between: &dyn Fn()| {
        let mut service = BearerLayer::new(verifier.clone()).layer(support::Inner);
        count(&mut service, request(Some(&token)), StatusCode::OK);
        between();
        count(&mut service, request(Some(&token)), StatusCode::OK)
    };
    let without = measured(&fixture.verifier, &|| {});
    let revocations = Revocations::new();
    let provider = fixture.verifier.providers().next().unwrap();
    let builder = Verifier::builder(provider, support::AUDIENCE).with_revocations(&revocations);
    let verifier = builder.build().unwrap();
    assert_eq!(measured(&verifier, &|| {}), without);
    // It is looked up once more after another one was revoked.
    let revoke = || revocations.revoke_all(support::ISSUER, "another").unwrap();
    assert_eq!(measured(&verifier, &revoke), without);
}

#[test]
fn budget_of_a_session_with_nothing_due() {
    let site = Site::new();
    let _runtime = site.enter();
    let request = site.signed_in();
    let mut service = site.service();
    let bare = count(&mut Page, again(&request), StatusCode::IM_A_TEAPOT);
    count(&mut service, again(&request), StatusCode::OK);
    let measured = count(&mut service, again(&request), StatusCode::OK) - bare;
    eprintln!("session in memory: {measured} allocations, budget 8");
    assert!(measured <= 8, "{measured} allocations, budget 8");
}

#[test]
fn a_layer_takes_memory_for_sessions_as_they_come() {
    let held_after = |sessions: usize| {
        let site = Site::new();
        let _runtime = site.enter();
        let mut service = site.service();
        for _ in 0..sessions {
            let request = site.signed_in();
            count(&mut service, again(&request), StatusCode::OK);
        }
        drop(service);
        let layer = site.layer;
        let freed = allocation_counter::measure(|| drop(layer));
        -freed.bytes_current
    };
    let (none, one) = (held_after(0), held_after(1));
    eprintln!("a layer: {none} bytes, after a session {one}");
    assert!((1..=64 * 1024).contains(&none), "{none} bytes");
    assert!((none..=none + 32 * 1024).contains(&one), "{one} bytes");
}

#[test]
fn budget_of_a_request_that_leaves_with_a_fresh_token() {
    let caller = Caller::new();
    let _runtime = caller.enter();
    let bare = count(&mut Upstream, leaving(), StatusCode::OK);
    let mut service = caller.service();
    count(&mut service, leaving(), StatusCode::OK);
    let measured = count(&mut service, leaving(), StatusCode::OK) - bare;
    eprintln!("a fresh token: {measured} allocations, budget 2");
    assert!(measured <= 2, "{measured} allocations, budget 2");
    let mut once = caller.layer.clone().with_repeat(Never).layer(Upstream);
    let measured = count(&mut once, leaving(), StatusCode::OK) - bare;
    assert_eq!(measured, 0, "what is never repeated is not copied");
}
