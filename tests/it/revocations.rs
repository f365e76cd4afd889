//! Revocation at once: which tokens and sessions are refused, from when on and for how long, and who says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{Method, Request, StatusCode};
use tower::{Layer, ServiceExt};
use tower_oidc::testing::{DevelopmentProvider, Endpoint, Fault, TokenBuilder};
use tower_oidc::{
    Client, Clock as _, Introspection, Principal, Revocations, StreamExpiryLayer, UnixTime,
    VerifierBuilder, VerifyErrorKind,
};

use crate::browser::{App, Browser};
use crate::log::Log;
use crate::support::{API, Answer, Api, judging_as, parameter, seconds, until, verdict};

/// An API that obeys revocations, which go by its clock.
async fn api() -> (Api, Revocations) {
    api_with(|verifier| verifier).await
}

async fn api_with(choose: impl FnOnce(VerifierBuilder) -> VerifierBuilder) -> (Api, Revocations) {
    let mut api = Api::start().await;
    let revocations = Revocations::builder()
        .with_clock(api.clock.clone())
        .build()
        .unwrap();
    let verifier = judging_as(&api.provider, API).with_revocations(&revocations);
    api.verifier = choose(verifier).build().unwrap();
    (api, revocations)
}

/// A token of an hour.
fn named(api: &Api, jti: &str) -> TokenBuilder {
    api.token().claim("jti", jti)
}

fn in_an_hour(api: &Api) -> UnixTime {
    api.clock.now().saturating_add(seconds(3_600))
}

// D39
#[tokio::test]
async fn a_revoked_token_is_refused_at_once_whether_it_was_seen_or_not() {
    let (api, revocations) = api().await;
    let (seen, new) = (named(&api, "one").build(), named(&api, "one").build());
    let other = named(&api, "two").build();
    for _ in 0..2 {
        assert_eq!(api.verdict(&seen).await, "accepted");
        assert_eq!(api.verdict(&other).await, "accepted");
    }
    let held = api.verifier.verify(&seen).await.unwrap();
    assert!(!held.is_revoked());

    let until = in_an_hour(&api);
    revocations
        .revoke_token(api.idp.issuer(), "one", until)
        .unwrap();
    for token in [&seen, &new] {
        for _ in 0..2 {
            assert_eq!(api.verdict(token).await, "revoked");
        }
        let answer = api.with_token(token).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(parameter(&answer, "error").unwrap(), "invalid_token");
    }
    assert_eq!(api.handled(), 0);
    assert!(held.is_revoked());
    for _ in 0..2 {
        assert_eq!(api.verdict(&other).await, "accepted");
    }
}

// D39
#[tokio::test]
async fn names_are_of_one_kind_and_one_issuer() {
    let (api, revocations) = api().await;
    let issuer = api.idp.issuer();
    let token = named(&api, "one").claim("sid", "session").build();
    assert_eq!(api.verdict(&token).await, "accepted");
    let (cut, end) = issuer.split_at(issuer.len() - 1);
    let until = in_an_hour(&api);
    for (named_issuer, jti) in [
        ("https://other.example", "one"),
        (cut, &*format!("{end}one")),
        (issuer, "user-1"),
        (issuer, "session"),
        (issuer, "ONE"),
        (issuer, ""),
    ] {
        revocations.revoke_token(named_issuer, jti, until).unwrap();
        assert_eq!(
            api.verdict(&token).await,
            "accepted",
            "{named_issuer} {jti}"
        );
    }
    for (named_issuer, sid) in [("https://other.example", "session"), (issuer, "one")] {
        revocations.end_session(named_issuer, sid).unwrap();
        assert_eq!(
            api.verdict(&token).await,
            "accepted",
            "{named_issuer} {sid}"
        );
    }
    for (named_issuer, subject) in [("https://other.example", "user-1"), (issuer, "session")] {
        revocations.revoke_all(named_issuer, subject).unwrap();
        assert_eq!(
            api.verdict(&token).await,
            "accepted",
            "{named_issuer} {subject}"
        );
    }
}

// D39
#[tokio::test]
async fn a_session_of_the_provider_ends_with_the_tokens_that_name_it() {
    let (api, revocations) = api().await;
    let of = |sid: &str| api.token().claim("sid", sid).build();
    let (ended, other) = (of("ended"), of("other"));
    // One that names no session, or none that is text, is of no session known here.
    let without = [api.token().build(), api.token().claim("sid", 7).build()];
    for token in [&ended, &other].into_iter().chain(&without) {
        assert_eq!(api.verdict(token).await, "accepted");
    }
    revocations.end_session(api.idp.issuer(), "ended").unwrap();
    revocations.end_session(api.idp.issuer(), "7").unwrap();
    assert_eq!(api.verdict(&ended).await, "revoked");
    for token in [&other].into_iter().chain(&without) {
        assert_eq!(api.verdict(token).await, "accepted");
    }
    // What the provider issues for it later is refused too.
    api.clock.advance(seconds(600));
    assert_eq!(api.verdict(of("ended")).await, "revoked");
}

// D39
#[tokio::test]
async fn a_user_is_left_with_the_tokens_that_were_issued_later() {
    let (api, revocations) = api().await;
    let now = api.clock.now().as_seconds();
    let at = |iat: i64| api.token().claim("iat", iat);
    let cases = [
        ("a minute before", at(now - 60), "revoked"),
        ("the second before", at(now - 1), "revoked"),
        // It has whole seconds: the token may be older.
        ("the same second", at(now), "revoked"),
        ("the second after", at(now + 1), "accepted"),
        ("no time", api.token().without_claim("iat"), "revoked"),
        ("another user", at(now).subject("user-2"), "accepted"),
        ("no jti", at(now).without_claim("jti"), "revoked"),
        ("no user", at(now).without_claim("sub"), "accepted"),
    ];
    let cases = cases.map(|(name, token, expected)| (name, token.build(), expected));
    for (name, token, _) in &cases {
        assert_eq!(api.verdict(token).await, "accepted", "{name}");
    }
    revocations.revoke_all(api.idp.issuer(), "user-1").unwrap();
    for (name, token, expected) in &cases {
        assert_eq!(api.verdict(token).await, *expected, "{name}");
    }
}

// D39
#[tokio::test]
async fn a_revocation_is_not_taken_back_by_an_earlier_one() {
    let (api, revocations) = api().await;
    let now = api.clock.now();
    let token = api.token().claim("iat", now.as_seconds()).build();
    let revoke = |time| {
        revocations
            .revoke_before(api.idp.issuer(), "user-1", time)
            .unwrap();
    };
    revoke(now.saturating_sub(seconds(1)));
    assert_eq!(api.verdict(&token).await, "accepted");
    revoke(now);
    assert_eq!(api.verdict(&token).await, "revoked");
    revoke(now.saturating_sub(seconds(100)));
    revoke(UnixTime::from_seconds(i64::MIN));
    assert_eq!(api.verdict(&token).await, "revoked");
    // A time in the future keeps the user out until then, and so does one that never comes.
    revoke(now.saturating_add(seconds(600)));
    api.clock.advance(seconds(600));
    assert_eq!(api.verdict(api.token().build()).await, "revoked");
    api.clock.advance(seconds(1));
    assert_eq!(api.verdict(api.token().build()).await, "accepted");
    revoke(UnixTime::from_seconds(i64::MAX));
    assert_eq!(api.verdict(api.token().build()).await, "revoked");
}

// D39
#[tokio::test]
async fn a_revocation_lasts_until_no_token_can_that_it_is_about() {
    let (mut api, _) = api().await;
    let revocations = Revocations::builder()
        .with_clock(api.clock.clone())
        .with_longest_token_lifetime(seconds(60))
        .build()
        .unwrap();
    let verifier = judging_as(&api.provider, API).with_revocations(&revocations);
    api.verifier = verifier.build().unwrap();
    let issuer = api.idp.issuer();
    let now = api.clock.now();
    // All live longer than what is told here of their lifetime.
    let day = seconds(86_400);
    let token = |jti: &str, sid: &str, subject: &str| {
        let token = named(&api, jti).claim("sid", sid).subject(subject);
        token.expires_in(day).build()
    };
    let by_name = token("one", "a", "user-1");
    let by_session = token("two", "b", "user-2");
    let by_user = token("three", "c", "user-3");
    revocations
        .revoke_token(issuer, "one", now.saturating_add(seconds(60)))
        .unwrap();
    revocations.end_session(issuer, "b").unwrap();
    revocations.revoke_all(issuer, "user-3").unwrap();
    // The log says when such a token comes.
    let log = Log::default();
    let capture = log.capture();
    let principal = api.verifier.verify(&token("four", "d", "user-4")).await;
    drop(capture);
    assert!(principal.is_ok());
    let warned = log.at(tracing::Level::WARN);
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert!(
        warned[0].contains("with_longest_token_lifetime"),
        "{warned:?}"
    );
    // A minute, and the largest leeway that a verifier can have. Setting the wall clock forgets nothing.
    let all = [&by_name, &by_session, &by_user];
    api.clock.set(now.saturating_add(seconds(3_600)));
    for token in all {
        assert_eq!(api.verdict(token).await, "revoked");
    }
    api.clock.set(now);
    api.clock.advance(seconds(359));
    for token in all {
        assert_eq!(api.verdict(token).await, "revoked");
    }
    api.clock.advance(seconds(1));
    for token in all {
        assert_eq!(api.verdict(token).await, "accepted");
    }
    // One that has ended already is not remembered at all.
    revocations
        .revoke_token(issuer, "one", now.saturating_sub(seconds(300)))
        .unwrap();
    assert_eq!(api.verdict(&by_name).await, "accepted");
}

// D39
#[tokio::test]
async fn a_full_memory_says_so_and_forgets_nothing() {
    let (mut api, _) = api().await;
    let revocations = Revocations::builder()
        .with_clock(api.clock.clone())
        .with_capacity(3)
        .build()
        .unwrap();
    let verifier = judging_as(&api.provider, API).with_revocations(&revocations);
    api.verifier = verifier.build().unwrap();
    let issuer = api.idp.issuer().to_owned();
    let tokens: Vec<_> = (0..4)
        .map(|n| named(&api, &n.to_string()).build())
        .collect();
    let until = in_an_hour(&api);
    for jti in ["0", "1", "2"] {
        revocations.revoke_token(&issuer, jti, until).unwrap();
    }
    let log = Log::default();
    let capture = log.capture();
    for _ in 0..2 {
        let full = revocations.revoke_token(&issuer, "3", until);
        assert!(full.unwrap_err().to_string().contains("full"));
    }
    // A user takes two places, or none.
    assert!(revocations.revoke_all(&issuer, "user-1").is_err());
    drop(capture);
    let errors = log.at(tracing::Level::ERROR);
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains("with_capacity"), "{errors:?}");
    // What is there can be said again, for longer.
    let later = until.saturating_add(seconds(3_600));
    assert_eq!(revocations.revoke_token(&issuer, "2", later), Ok(()));
    for (token, expected) in tokens
        .iter()
        .zip(["revoked", "revoked", "revoked", "accepted"])
    {
        assert_eq!(api.verdict(token).await, expected);
    }
    // What has ended makes room.
    api.clock.advance(seconds(3_600 + 300));
    let later = in_an_hour(&api);
    assert_eq!(revocations.revoke_token(&issuer, "3", later), Ok(()));
    assert_eq!(revocations.revoke_token(&issuer, "4", later), Ok(()));
    assert!(revocations.revoke_token(&issuer, "5", later).is_err());
}

// D39
#[test]
fn choices_that_are_out_of_bounds_do_not_build() {
    let build = |capacity, lifetime| {
        let builder = Revocations::builder().with_capacity(capacity);
        builder.with_longest_token_lifetime(lifetime).build()
    };
    let day = seconds(86_400);
    for (capacity, lifetime) in [(1, seconds(60)), (10_000_000, day * 400)] {
        assert!(build(capacity, lifetime).is_ok(), "{capacity} {lifetime:?}");
    }
    for (capacity, lifetime, setting) in [
        (0, day, "capacity of revocations"),
        (10_000_001, day, "capacity of revocations"),
        (1, seconds(59), "longest token lifetime"),
        (1, day * 401, "longest token lifetime"),
    ] {
        let error = build(capacity, lifetime).unwrap_err();
        assert_eq!(error.setting(), setting);
    }
}

// D39
#[tokio::test]
async fn verifiers_and_clones_share_what_was_revoked() {
    let (api, revocations) = api().await;
    let of = |revocations: &Revocations| {
        let builder = judging_as(&api.provider, API).with_revocations(revocations);
        builder.build().unwrap()
    };
    let second = of(&revocations.clone());
    let apart = of(&Revocations::new());
    let without = judging_as(&api.provider, API).build().unwrap();
    let all = [
        &api.verifier,
        &api.verifier.clone(),
        &second,
        &apart,
        &without,
    ];
    let token = named(&api, "one").build();
    for verifier in all {
        assert_eq!(verdict(verifier, &token).await, "accepted");
    }
    let until = in_an_hour(&api);
    revocations
        .clone()
        .revoke_token(api.idp.issuer(), "one", until)
        .unwrap();
    let expected = ["revoked", "revoked", "revoked", "accepted", "accepted"];
    for (verifier, expected) in all.into_iter().zip(expected) {
        assert_eq!(verdict(verifier, &token).await, expected);
    }
}

// D39
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_thread_accepts_a_token_once_the_call_has_returned() {
    let (api, revocations) = api().await;
    for round in 0..50 {
        let jti = round.to_string();
        let token = named(&api, &jti).build();
        assert_eq!(api.verdict(&token).await, "accepted");
        let is_revoked = Arc::new(AtomicBool::new(false));
        let asking = (0..2).map(|_| {
            let (verifier, token, is_revoked) =
                (api.verifier.clone(), token.clone(), Arc::clone(&is_revoked));
            tokio::spawn(async move {
                loop {
                    let before = is_revoked.load(Ordering::SeqCst);
                    match verdict(&verifier, &token).await {
                        "accepted" => assert!(!before, "accepted after it was revoked"),
                        other => return other,
                    }
                    tokio::task::yield_now().await;
                }
            })
        });
        let asking: Vec<_> = asking.collect();
        revocations
            .revoke_token(api.idp.issuer(), &jti, in_an_hour(&api))
            .unwrap();
        is_revoked.store(true, Ordering::SeqCst);
        for asked in asking {
            assert_eq!(asked.await.unwrap(), "revoked");
        }
    }
}

fn client() -> Client {
    Client::with_secret("development", "development-secret").unwrap()
}

// D39, D27
#[tokio::test]
async fn a_token_that_the_provider_called_active_is_refused_at_once() {
    let asking = |verifier: VerifierBuilder| {
        verifier
            .with_cache_capacity(1_000)
            .with_introspection(Introspection::new(client()).with_jwts())
    };
    let (api, revocations) = api_with(asking).await;
    let calls = || api.idp.hits().introspection;
    let opaque = api.idp.opaque_token_for(&named(&api, "opaque"));
    let jwt = named(&api, "jwt").build();
    for token in [&opaque, &jwt] {
        assert_eq!(api.verdict(token).await, "accepted");
    }
    let before = calls();
    let until = in_an_hour(&api);
    for (token, jti) in [(&opaque, "opaque"), (&jwt, "jwt")] {
        assert_eq!(api.verdict(token).await, "accepted");
        revocations
            .revoke_token(api.idp.issuer(), jti, until)
            .unwrap();
        assert_eq!(api.verdict(token).await, "revoked");
        assert_eq!(api.status(token).await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(calls(), before, "the provider need not be asked");
    // Nor is it accepted when the provider is asked anew.
    api.clock.advance(seconds(61));
    assert_eq!(api.verdict(&opaque).await, "revoked");
    assert_eq!(calls(), before + 1);
}

// D39, D27
#[tokio::test]
async fn a_token_that_is_revoked_while_the_provider_is_asked_is_refused() {
    let (api, revocations) = api_with(|verifier| verifier.with_introspection(client())).await;
    let opaque = api.idp.opaque_token_for(&named(&api, "one"));
    let slow = Fault::Slow(Duration::from_millis(200));
    api.idp.set_fault(Endpoint::Introspection, slow);
    let (verifier, token) = (api.verifier.clone(), opaque.clone());
    let asked = tokio::spawn(async move { verdict(&verifier, &token).await });
    until(|| api.idp.hits().introspection == 1).await;
    revocations.revoke_all(api.idp.issuer(), "user-1").unwrap();
    assert_eq!(asked.await.unwrap(), "revoked");
}

// D39, D27
#[tokio::test]
async fn a_jwt_that_is_revoked_while_the_provider_is_asked_is_refused() {
    let introspection = Introspection::new(client()).with_jwts();
    let (api, revocations) = api_with(|verifier| verifier.with_introspection(introspection)).await;
    // The answer does not name the token.
    api.idp.edit_introspection_answer(|answer| {
        answer.as_object_mut().unwrap().remove("jti");
    });
    let token = named(&api, "one").build();
    let slow = Fault::Slow(Duration::from_millis(200));
    api.idp.set_fault(Endpoint::Introspection, slow);
    let (verifier, asking) = (api.verifier.clone(), token.clone());
    let asked = tokio::spawn(async move { verdict(&verifier, &asking).await });
    until(|| api.idp.hits().introspection == 1).await;
    let issuer = api.idp.issuer();
    revocations
        .revoke_token(issuer, "one", in_an_hour(&api))
        .unwrap();
    assert_eq!(asked.await.unwrap(), "revoked");
    assert_eq!(api.verdict(&token).await, "revoked");
}

// D39
#[tokio::test]
async fn a_token_that_is_revoked_while_keys_are_fetched_is_refused() {
    let (api, revocations) = api().await;
    let slow = Fault::Slow(Duration::from_millis(200));
    api.idp.set_fault(Endpoint::Jwks, slow);
    let token = named(&api, "one").build();
    let verifier = api.verifier.clone();
    let asked = tokio::spawn(async move { verdict(&verifier, &token).await });
    until(|| api.idp.hits().jwks == 1).await;
    revocations.revoke_all(api.idp.issuer(), "user-1").unwrap();
    assert_eq!(asked.await.unwrap(), "revoked");
}

// D39, D26
#[tokio::test]
async fn the_log_says_what_to_do_and_names_no_one() {
    let (api, revocations) = api().await;
    let token = named(&api, "the-secret-jti")
        .claim("sid", "the-secret-sid")
        .build();
    let log = Log::default();
    let capture = log.capture();
    let issuer = api.idp.issuer();
    revocations
        .revoke_token(issuer, "the-secret-jti", in_an_hour(&api))
        .unwrap();
    revocations.end_session(issuer, "the-secret-sid").unwrap();
    revocations.revoke_all(issuer, "user-1").unwrap();
    let answer = api.with_token(&token).await;
    drop(capture);
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let text = log.text();
    for told in ["refused a token", "revoked", "fetch a fresh token"] {
        assert!(text.contains(told), "{told}: {text}");
    }
    for secret in ["the-secret", &*token] {
        assert!(!text.contains(secret), "{text}");
    }
    assert!(!VerifyErrorKind::Revoked.is_structural());
    assert!(!format!("{revocations:?}").contains("secret"));
}

// D39, GR-06
#[tokio::test(start_paused = true)]
async fn a_stream_ends_within_a_second_when_its_token_is_revoked() {
    let idp = DevelopmentProvider::start().await.unwrap();
    let revocations = Revocations::new();
    let verifier = judging_as(&idp.provider().unwrap(), API).with_revocations(&revocations);
    let verifier = verifier.build().unwrap();
    let principal = |subject: &str| {
        let token = idp.token(API).subject(subject).build();
        let verifier = verifier.clone();
        async move { verifier.verify(&token).await.unwrap() }
    };
    // It never answers: a client streams for as long as it likes.
    let silent = |_: Request<()>| {
        std::future::pending::<Result<http::Response<String>, std::convert::Infallible>>()
    };
    let call = |principal: Principal| {
        let mut request = Request::new(());
        let grpc = http::HeaderValue::from_static("application/grpc");
        request.headers_mut().insert(CONTENT_TYPE, grpc);
        request.extensions_mut().insert(principal);
        tokio::spawn(
            StreamExpiryLayer::new()
                .layer(tower::service_fn(silent))
                .oneshot(request),
        )
    };
    let (ended, other) = (
        call(principal("user-1").await),
        call(principal("user-2").await),
    );
    tokio::time::sleep(seconds(10)).await;
    assert!(!ended.is_finished());
    revocations.revoke_all(idp.issuer(), "user-1").unwrap();
    let before = tokio::time::Instant::now();
    let answer = ended.await.unwrap().unwrap();
    assert!(before.elapsed() <= seconds(1));
    assert_eq!(answer.headers()["grpc-status"], "16");
    tokio::time::sleep(seconds(10)).await;
    assert!(!other.is_finished());
    other.abort();
}

/// A site and an API in one program.
struct Both {
    app: App,
    api: tower_oidc::Verifier,
    revocations: Revocations,
}

/// `capacity` is that of the memory, where the layer tells it of logouts.
async fn both(capacity: Option<usize>) -> Both {
    let app = App::start().await;
    let revocations = Revocations::builder()
        .with_clock(app.clock.clone())
        .with_capacity(capacity.unwrap_or(100))
        .build()
        .unwrap();
    let provider = app.idp.provider().unwrap();
    let api = judging_as(&provider, API).with_revocations(&revocations);
    let api = api.build().unwrap();
    // The verifier of both, as in a program that has one.
    let layer = crate::browser::builder(&api).with_shared_store(app.store.clone());
    let layer = match capacity {
        Some(_) => layer.with_revocations(&revocations),
        None => layer,
    };
    let app = App {
        layer: layer.build().unwrap(),
        ..app
    };
    Both {
        app,
        api,
        revocations,
    }
}

impl Both {
    fn logout_token(&self) -> TokenBuilder {
        self.app.idp.logout_token("development").subject("user-1")
    }

    async fn told(&self, token: TokenBuilder) -> Answer {
        self.sent(&token.build()).await
    }

    async fn sent(&self, token: &str) -> Answer {
        let request = Request::builder()
            .method(Method::POST)
            .uri("/oauth/openid/backchannel-logout")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(format!("logout_token={token}"))
            .unwrap();
        self.app.service().oneshot(request).await.unwrap()
    }

    async fn verdict(&self, token: &str) -> &'static str {
        verdict(&self.api, token).await
    }

    async fn signed_in(&self) -> Browser {
        let mut browser = Browser::default();
        browser.sign_in(&self.app).await;
        browser
    }

    async fn is_signed_in(&self, browser: &Browser) -> bool {
        let answer = browser.clone().fetch(&self.app, "/").await;
        answer.status() == StatusCode::OK
    }
}

// D39, LO-05
#[tokio::test]
async fn a_logout_by_the_provider_ends_the_bearer_tokens_it_names() {
    let both = both(Some(100)).await;
    let token = || both.app.idp.token(API);
    let of_session = token().claim("sid", "one").build();
    let of_other = token().claim("sid", "two").build();
    let without = token().build();
    let somebody = token().subject("user-2").build();
    let all = [&of_session, &of_other, &without, &somebody];
    for token in all {
        assert_eq!(both.verdict(token).await, "accepted");
    }
    // One that names a session and its user is about that session.
    let answer = both.told(both.logout_token().claim("sid", "one")).await;
    assert_eq!(answer.status(), StatusCode::OK);
    for (token, expected) in all
        .into_iter()
        .zip(["revoked", "accepted", "accepted", "accepted"])
    {
        assert_eq!(both.verdict(token).await, expected);
    }
    // Another one for the same session is taken too: what was revoked says nothing against it.
    let answer = both.told(both.logout_token().claim("sid", "one")).await;
    assert_eq!(answer.status(), StatusCode::OK);

    let answer = both.told(both.logout_token().without_claim("sid")).await;
    assert_eq!(answer.status(), StatusCode::OK);
    for (token, expected) in all
        .into_iter()
        .zip(["revoked", "revoked", "revoked", "accepted"])
    {
        assert_eq!(both.verdict(token).await, expected);
    }
    // It counts by the time at which the provider issued it.
    both.app.clock.advance(seconds(1));
    assert_eq!(both.verdict(&token().build()).await, "accepted");
    let answer = both
        .told(
            both.logout_token()
                .claim("iat", both.app.clock.now().as_seconds() - 60),
        )
        .await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(both.verdict(&token().build()).await, "accepted");
}

// D39
#[tokio::test]
async fn a_logout_ends_sessions_alone_unless_more_is_chosen() {
    let both = both(None).await;
    let token = both.app.idp.token(API).claim("sid", "one").build();
    assert_eq!(both.verdict(&token).await, "accepted");
    for logout in [
        both.logout_token().claim("sid", "one"),
        both.logout_token().without_claim("sid"),
    ] {
        assert_eq!(both.told(logout).await.status(), StatusCode::OK);
        assert_eq!(both.verdict(&token).await, "accepted");
    }
}

// D39
#[tokio::test]
async fn a_forged_logout_revokes_nothing() {
    let both = both(Some(100)).await;
    let token = both.app.idp.token(API).claim("sid", "one").build();
    let forged = both
        .logout_token()
        .claim("sid", "one")
        .signature(|mut bytes| {
            bytes[0] ^= 1;
            bytes
        });
    assert_eq!(both.told(forged).await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(both.verdict(&token).await, "accepted");
}

// D39, LO-11
#[tokio::test]
async fn a_logout_that_finds_no_room_is_a_503_and_works_when_repeated() {
    let both = both(Some(1)).await;
    let browser = both.signed_in().await;
    let issuer = both.app.idp.issuer();
    let now = both.app.clock.now();
    both.revocations
        .revoke_token(issuer, "another", now.saturating_sub(seconds(299)))
        .unwrap();
    let token = both.logout_token().without_claim("sid").build();
    let bearer = both.app.idp.token(API).build();
    let answer = both.sent(&token).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(both.verdict(&bearer).await, "accepted");
    let is_signed_in = both.is_signed_in(&browser).await;
    assert!(!is_signed_in, "the session has ended all the same");
    // The other token has ended, and the provider tries again.
    both.app.clock.advance(seconds(1));
    assert_eq!(both.sent(&token).await.status(), StatusCode::OK);
    assert_eq!(both.verdict(&bearer).await, "revoked");
    let replayed = both.sent(&token).await;
    assert_eq!(replayed.status(), StatusCode::BAD_REQUEST);
}

// D39, D23
#[tokio::test]
async fn a_session_that_began_before_its_user_was_revoked_has_ended() {
    let both = both(Some(100)).await;
    let browser = both.signed_in().await;
    let issuer = both.app.idp.issuer();
    let sessions = both.app.layer.sessions();
    assert!(both.is_signed_in(&browser).await);
    let held = both.app.session();
    let time = both.app.clock.now();

    both.revocations
        .revoke_all("https://other.example", "user-1")
        .unwrap();
    both.revocations.revoke_all(issuer, "user-2").unwrap();
    both.revocations
        .revoke_before(issuer, "user-1", time.saturating_sub(seconds(1)))
        .unwrap();
    assert!(both.is_signed_in(&browser).await);
    assert_eq!(sessions.list(issuer, "user-1").await.unwrap().len(), 1);

    let told = async || {
        browser
            .clone()
            .fetch(&both.app, "/oauth/openid/session")
            .await
    };
    assert_eq!(told().await.status(), StatusCode::OK);
    both.revocations.revoke_all(issuer, "user-1").unwrap();
    for _ in 0..2 {
        assert!(!both.is_signed_in(&browser).await);
        assert_eq!(told().await.status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(sessions.list(issuer, "user-1").await.unwrap(), []);
    let refreshed = both.app.idp.hits().token;
    both.app.hour_passes();
    assert!(!both.is_signed_in(&browser).await);
    assert_eq!(
        both.app.idp.hits().token,
        refreshed,
        "its tokens are not refreshed"
    );
    tokio::time::timeout(seconds(10), held.ended())
        .await
        .unwrap();

    // The user may sign in again.
    let again = both.signed_in().await;
    assert!(both.is_signed_in(&again).await);
    assert_eq!(sessions.list(issuer, "user-1").await.unwrap().len(), 1);
}

// D39
#[tokio::test]
async fn a_session_is_not_asked_by_the_names_of_its_tokens() {
    let both = both(Some(100)).await;
    both.app
        .idp
        .edit_id_token(|token| token.claim("sid", "one"));
    let issuer = both.app.idp.issuer();
    both.revocations.end_session(issuer, "one").unwrap();
    let browser = both.signed_in().await;
    both.revocations.end_session(issuer, "one").unwrap();
    assert!(both.is_signed_in(&browser).await);
    // Its tokens are refreshed, and the ID token names the session again.
    both.app.hour_passes();
    assert!(both.is_signed_in(&browser).await);
}

// D39, D20
#[tokio::test]
async fn a_session_of_an_identity_ends_with_its_user_too() {
    let revocations = Revocations::new();
    let app = App::identity(|login| login.with_revocations(&revocations)).await;
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    assert_eq!(
        browser.clone().fetch(&app, "/").await.status(),
        StatusCode::OK
    );
    let session = app.session();
    revocations
        .revoke_all(session.issuer(), session.subject())
        .unwrap();
    assert_ne!(
        browser.clone().fetch(&app, "/").await.status(),
        StatusCode::OK
    );
}

// D39
#[tokio::test]
async fn ending_sessions_touches_no_bearer_token() {
    let both = both(Some(100)).await;
    let browser = both.signed_in().await;
    let token = both.app.idp.token(API).build();
    let ended = both
        .app
        .layer
        .sessions()
        .end_all(both.app.idp.issuer(), "user-1")
        .await;
    assert_eq!(ended.unwrap(), 1);
    assert!(!both.is_signed_in(&browser).await);
    assert_eq!(both.verdict(&token).await, "accepted");
}
