//! How often the warm path allocates. Counts repeat; they may only go down.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../benches/support/mod.rs"]
mod support;

use http::{Request, StatusCode};
use support::outbound::{Caller, Upstream, request as leaving};
use support::session::{Page, Site, again};
use support::{Fixture, call, request};
use tower::Layer;
use tower_oidc::Algorithm;
use tower_oidc::outbound::Never;

fn allocations(fixture: &Fixture, token: Option<&str>, status: StatusCode) -> u64 {
    let mut service = fixture.service();
    let bare = count(&mut support::Inner, request(token), StatusCode::OK);
    // The first call fills what is filled once.
    count(&mut service, request(token), status);
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
fn budgets_of_the_warm_path() {
    let fixture = Fixture::new();
    let _runtime = fixture.enter();
    let token = |algorithm| fixture.token(algorithm, &[]);
    let expired = fixture.token(Algorithm::Rs256, &[("4102444800", "1700000001")]);
    let cases = [
        (
            "accepted, RS256",
            Some(token(Algorithm::Rs256)),
            StatusCode::OK,
            20,
        ),
        (
            "accepted, ES256",
            Some(token(Algorithm::Es256)),
            StatusCode::OK,
            20,
        ),
        (
            "accepted, EdDSA",
            Some(token(Algorithm::EdDsa)),
            StatusCode::OK,
            20,
        ),
        ("expired", Some(expired), StatusCode::UNAUTHORIZED, 10),
        (
            "garbage",
            Some("garbage".to_owned()),
            StatusCode::UNAUTHORIZED,
            8,
        ),
        ("no header", None, StatusCode::UNAUTHORIZED, 6),
    ];
    for (name, token, status, budget) in cases {
        let measured = allocations(&fixture, token.as_deref(), status);
        eprintln!("{name}: {measured} allocations, budget {budget}");
        assert!(
            measured <= budget,
            "{name}: {measured} allocations, budget {budget}"
        );
    }
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
