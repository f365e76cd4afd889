//! Issuers at run time: tenants that a source knows, what is passed on to it, and what strangers can cause.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tokio::runtime::Builder;
use tower_oidc::error::ProviderErrorKind;
use tower_oidc::testing::{ManualClock, OfflineProvider, SigningKey};
use tower_oidc::{
    Algorithm, BearerLayer, Client, HttpClient, Introspection, IssuerSource, IssuerSourceBuilder,
    ProtectedResource, Provider, Verifier, VerifierBuilder, VerifyError,
};
use tracing::Level;

use crate::log::Log;
use crate::support::{API, bearing, echo, judging_as, parameter, seconds, send, until, verdict};
use crate::tenants::{KnownTenants, Manner};

const ED: Algorithm = Algorithm::EdDsa;

type Tenants = KnownTenants<Provider>;

impl Tenants {
    /// A tenant that the application knows.
    fn add(&self, name: &str) -> OfflineProvider {
        let idp = self.stranger(name);
        self.set(&iss(name), idp.provider().unwrap());
        idp
    }

    /// A provider that it does not know.
    fn stranger(&self, name: &str) -> OfflineProvider {
        OfflineProvider::builder(&iss(name))
            .with_clock(self.clock())
            .with_keys([Arc::new(SigningKey::generate("k", ED))])
            .build()
    }

    fn source_builder(&self) -> IssuerSourceBuilder {
        let tenants = self.clone();
        IssuerSource::builder(move |iss| tenants.clone().answer(iss)).with_clock(self.clock())
    }

    fn source(&self) -> IssuerSource {
        self.source_builder().build().unwrap()
    }

    /// A verifier with one configured issuer, which the source does not know.
    fn beside(&self, configured: &OfflineProvider) -> Verifier {
        judging_as(&configured.provider().unwrap(), API)
            .with_issuer_source(&self.source())
            .build()
            .unwrap()
    }
}

fn iss(name: &str) -> String {
    format!("https://id.example/realms/{name}")
}

fn token(idp: &OfflineProvider) -> String {
    let lasting = idp.token_by(ED, API).expires_in(seconds(100_000));
    lasting.build()
}

fn of(iss: &str, idp: &OfflineProvider) -> String {
    idp.token_by(ED, API).claim("iss", iss).build()
}

/// A verifier of the source alone, which remembers tokens whatever the other tests do.
fn remembering(source: &IssuerSource) -> Verifier {
    let builder = Verifier::from_source(source, API);
    builder.with_cache_capacity(1_000).build().unwrap()
}

async fn refusal(verifier: &Verifier, token: &str) -> VerifyError {
    verifier.verify(token).await.unwrap_err()
}

// D39
#[tokio::test]
async fn tenants_are_found_at_run_time_and_each_is_judged_by_its_own_keys() {
    let tenants = Tenants::new(&ManualClock::new());
    let (blue, green) = (tenants.add("blue"), tenants.add("green"));
    let configured = tenants.stranger("own");
    for verifier in [
        tenants.beside(&configured),
        Verifier::from_source(&tenants.source(), API)
            .add_provider(&configured.provider().unwrap())
            .build()
            .unwrap(),
        remembering(&tenants.source()),
    ] {
        for idp in [&blue, &green, &blue] {
            let principal = verifier.verify(&token(idp)).await.unwrap();
            assert_eq!(principal.issuer().as_str(), idp.issuer());
        }
        assert_eq!(tenants.asked(), [iss("blue"), iss("green")], "once each");
        for (by, named) in [(&blue, &green), (&green, &blue)] {
            let crossed = of(named.issuer(), by);
            assert_eq!(verdict(&verifier, &crossed).await, "bad_signature");
        }
        assert_eq!(tenants.times_asked(), 0);
    }
    let verifier = tenants.beside(&configured);
    assert_eq!(verdict(&verifier, &token(&configured)).await, "accepted");
    assert_eq!(verifier.providers().count(), 1);
    assert_eq!(tenants.times_asked(), 0, "a configured issuer");
    // A tenant that is added later.
    let red = tenants.add("red");
    assert_eq!(verdict(&verifier, &token(&red)).await, "accepted");
}

// D39
#[tokio::test]
async fn only_a_plain_https_issuer_is_passed_on() {
    let tenants = Tenants::new(&ManualClock::new());
    let idp = tenants.add("blue");
    let verifier = tenants.source().verifier(API).unwrap();
    let long = |length: usize| {
        let start = "https://id.example/";
        format!("{start}{}", "a".repeat(length - start.len()))
    };
    for bad in [
        "",
        "blue",
        "//id.example/realms/blue",
        "http://id.example/realms/blue",
        "HTTPS://id.example/realms/blue",
        "file:///etc/passwd",
        "https:id.example",
        "https://",
        "https://user@id.example/realms/blue",
        "https://user:secret@id.example/realms/blue",
        "https://@id.example/realms/blue",
        "https://id.example/realms/blue?",
        "https://id.example/realms/blue?a=b",
        "https://id.example/realms/blue#",
        "https://id.example/realms/blue#a",
        "https://id.example\\realms\\blue",
        " https://id.example/realms/blue",
        "https://id.example/realms/blue\n",
        "https://id.example/realms/b l u e",
        "https://id.exämple/realms/blue",
        "https://id.example:99999/",
        &long(513),
        &long(10_000),
    ] {
        let error = refusal(&verifier, &of(bad, &idp)).await;
        assert_eq!(error.kind().as_str(), "wrong_issuer", "{bad:?}");
        assert!(error.remedy().contains("https URL of at most 512 bytes"));
    }
    assert_eq!(tenants.asked(), Vec::<String>::new());
    for good in [long(512), iss("green"), "https://[::1]:8443".to_owned()] {
        let error = refusal(&verifier, &of(&good, &idp)).await;
        assert_eq!(error.kind().as_str(), "wrong_issuer", "{good:?}");
        assert_eq!(tenants.asked(), [good], "passed on as it is");
    }
}

// D39, CL-01
#[tokio::test]
async fn a_token_that_is_refused_anyway_causes_no_look_up() {
    let tenants = Tenants::new(&ManualClock::new());
    let idp = tenants.add("blue");
    let verifier = Verifier::from_source(&tenants.source(), API)
        .allow_clients(["shop"])
        .build()
        .unwrap();
    let good = || idp.token_by(ED, API).claim("client_id", "shop");
    let cases = [
        (good().expired().build(), "expired"),
        (good().claim("aud", "another").build(), "wrong_audience"),
        (good().without_claim("exp").build(), "missing_claim"),
        (good().without_claim("iss").build(), "missing_claim"),
        (good().claim("iss", ["a"]).build(), "invalid_claim"),
        (
            good().claim("nbf", 99_999_999_999_u64).build(),
            "not_yet_valid",
        ),
        (good().claim("at_hash", "a").build(), "token_kind"),
        (
            good().claim("client_id", "other").build(),
            "client_not_allowed",
        ),
        (good().header("alg", "HS256").build(), "algorithm"),
        (good().header("alg", "none").build(), "algorithm"),
        (good().header("crit", ["a"]).build(), "critical_header"),
        (format!("{}*", good().build()), "malformed"),
        (format!("{}AAA", good().build()), "not_a_jwt"),
        ("opaque".to_owned(), "opaque"),
    ];
    for (token, expected) in cases {
        assert_eq!(verdict(&verifier, &token).await, expected, "{token}");
    }
    assert_eq!(tenants.asked(), Vec::<String>::new());
    assert_eq!(verdict(&verifier, &good().build()).await, "accepted");
    // The order of the checks is the same once the issuer is known to be unknown.
    let other = |token: tower_oidc::testing::TokenBuilder| token.claim("iss", iss("x"));
    assert_eq!(
        verdict(&verifier, &other(good()).build()).await,
        "wrong_issuer"
    );
    let expired = other(good()).expired().build();
    assert_eq!(verdict(&verifier, &expired).await, "expired");
}

// D39, JS-15
#[tokio::test]
async fn a_source_that_names_another_provider_admits_no_one() {
    let tenants = Tenants::new(&ManualClock::new());
    let (blue, green) = (tenants.stranger("blue"), tenants.stranger("green"));
    let provider = green.provider().unwrap();
    tenants.set(&iss("blue"), provider.clone());
    tenants.set(&format!("{}/", iss("green")), provider.clone());
    let verifier = tenants.source().verifier(API).unwrap();
    let log = Log::default();
    let guard = log.capture();
    for named in [iss("blue"), format!("{}/", iss("green"))] {
        for signed_by in [&blue, &green] {
            let error = refusal(&verifier, &of(&named, signed_by)).await;
            assert_eq!(error.kind().as_str(), "wrong_issuer");
            assert!(
                error.remedy().contains("another issuer"),
                "{}",
                error.remedy()
            );
        }
    }
    drop(guard);
    assert_eq!(tenants.times_asked(), 2, "remembered like a miss");
    assert_eq!(green.hits().jwks + green.hits().discovery, 0);
    let warnings = log.at(Level::WARN);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let is_told = warnings[0].contains(&iss("blue")) && warnings[0].contains(&iss("green"));
    assert!(is_told, "{warnings:?}");
}

// D39, BT-24
#[tokio::test]
async fn a_miss_is_401_and_is_remembered_for_a_minute() {
    let tenants = Tenants::new(&ManualClock::new());
    let idp = tenants.stranger("blue");
    let verifier = tenants.source().verifier(API).unwrap();
    let layer = BearerLayer::new(verifier.clone());
    let log = Log::default();
    let guard = log.capture();
    for _ in 0..3 {
        let answer = send(&layer, echo().0, bearing(&token(&idp))).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(parameter(&answer, "error").unwrap(), "invalid_token");
    }
    drop(guard);
    let told = &log.at(Level::WARN)[0];
    let is_told =
        told.contains(&iss("blue")) && told.contains("expected one that the issuer source knows");
    assert!(is_told, "{told}");
    assert!(told.contains("IssuerSource::forget"), "{told}");
    assert_eq!(tenants.asked(), [iss("blue")]);
    tenants.advance(seconds(59));
    assert_eq!(verdict(&verifier, &token(&idp)).await, "wrong_issuer");
    assert_eq!(tenants.times_asked(), 0);
    tenants.set(&iss("blue"), idp.provider().unwrap());
    tenants.advance(seconds(1));
    assert_eq!(verdict(&verifier, &token(&idp)).await, "accepted");
    assert_eq!(tenants.asked(), [iss("blue")]);
}

// D39
#[tokio::test]
async fn the_tenants_of_a_found_provider_are_enforced() {
    const OURS: &str = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490";
    const THEIRS: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
    let tenants = Tenants::new(&ManualClock::new());
    let idp = tenants.stranger("{tenantid}");
    let provider = idp.provider_builder().with_tenants([OURS]).build().unwrap();
    for tenant in [OURS, THEIRS] {
        tenants.set(&iss(tenant), provider.clone());
    }
    let verifier = tenants.source().verifier(API).unwrap();
    let token = |issuer: &str, tid: &str| {
        let token = idp.token_by(ED, API).claim("iss", iss(issuer));
        token.claim("tid", tid).build()
    };
    let cases = [
        (OURS, OURS, "accepted"),
        (OURS, THEIRS, "wrong_tenant"),
        (THEIRS, THEIRS, "wrong_issuer"),
    ];
    for (issuer, tid, expected) in cases {
        assert_eq!(
            verdict(&verifier, &token(issuer, tid)).await,
            expected,
            "{issuer} {tid}"
        );
    }
}

// D39
#[tokio::test]
async fn no_address_is_taken_from_a_token() {
    let tenants = Tenants::new(&ManualClock::new());
    let idp = tenants.stranger("blue");
    let called = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&called);
    let jwks = json!({"keys": [serde_json::from_str::<Value>(
        &idp.signing_key(ED).public_jwk()).unwrap()]});
    let client = HttpClient::new(tower::service_fn(move |request: Request<bytes::Bytes>| {
        seen.lock().unwrap().push(request.uri().to_string());
        let body = http_body_util::Full::new(bytes::Bytes::from(jwks.to_string()));
        async move { Ok::<_, std::convert::Infallible>(http::Response::new(body)) }
    }));
    let provider = Provider::builder(&iss("blue"))
        .with_jwks_url("https://keys.internal/blue")
        .with_http_client(client)
        .with_clock(tenants.clock())
        .build()
        .unwrap();
    tenants.set(&iss("blue"), provider.clone());
    let verifier = tenants.source().verifier(API).unwrap();
    for unknown in ["https://evil.example", "https://169.254.169.254/latest"] {
        assert_eq!(verdict(&verifier, &of(unknown, &idp)).await, "wrong_issuer");
    }
    assert!(called.lock().unwrap().is_empty());
    assert_eq!(verdict(&verifier, &token(&idp)).await, "accepted");
    assert_eq!(*called.lock().unwrap(), ["https://keys.internal/blue"]);
}

// D39
#[tokio::test]
async fn tokens_of_one_issuer_wait_for_one_look_up() {
    let tenants = Tenants::new(&ManualClock::new());
    let idp = tenants.add("blue");
    let verifier = tenants.source().verifier(API).unwrap();
    tenants.behave(Manner::Waits);
    let verdicts = join_all((0..100).map(|number| {
        let token = idp.token_by(ED, API).subject(&number.to_string()).build();
        let verifier = verifier.clone();
        async move { verdict(&verifier, &token).await }
    }));
    tenants.let_through(1);
    assert!(verdicts.await.iter().all(|verdict| *verdict == "accepted"));
    assert_eq!(tenants.asked(), [iss("blue")]);
    assert_eq!(idp.hits().jwks, 1);
}

// D39
#[tokio::test]
async fn a_flood_of_issuers_holds_the_bounds_and_known_issuers_pass() {
    let tenants = Tenants::new(&ManualClock::new());
    let (known, configured) = (tenants.add("known"), tenants.stranger("own"));
    let verifier = tenants.beside(&configured);
    assert_eq!(verdict(&verifier, &token(&known)).await, "accepted");
    tenants.behave(Manner::Waits);
    let strangers: Vec<_> = (0..10_000)
        .map(|number| of(&iss(&format!("x{number}")), &known))
        .collect();
    let ask_all = |verifier: Verifier, tokens: Vec<String>| {
        tokio::spawn(join_all(tokens.into_iter().map(move |token| {
            let verifier = verifier.clone();
            async move { verifier.verify(&token).await.unwrap_err() }
        })))
    };
    let flood = ask_all(verifier.clone(), strangers.clone());
    until(|| tenants.under_way() == 16).await;
    for idp in [&known, &configured] {
        assert_eq!(verdict(&verifier, &token(idp)).await, "accepted");
        let fresh = idp.token_by(ED, API).subject("new").build();
        assert_eq!(verdict(&verifier, &fresh).await, "accepted");
    }
    // A known issuer that has to be asked about again has a bound of its own.
    tenants.behave(Manner::Answers);
    tenants.advance(seconds(600));
    assert_eq!(verdict(&verifier, &token(&known)).await, "accepted");
    assert_eq!(tenants.most_under_way(), 17);
    tenants.let_through(10_000);
    let answers = flood.await.unwrap();
    let of_kind = |kind: &str| {
        answers
            .iter()
            .filter(|error| error.kind().as_str() == kind)
            .count()
    };
    assert_eq!(
        (of_kind("wrong_issuer"), of_kind("unavailable")),
        (16, 9_984)
    );
    let unavailable = answers.iter().filter(|error| error.retry_after().is_some());
    assert_eq!(unavailable.count(), 9_984, "each says when to come again");

    // Where the source answers at once, it is asked fifty times a second.
    tenants.asked();
    tenants.advance(seconds(61));
    for second in 1..=3 {
        for stranger in &strangers[..200] {
            let error = refusal(&verifier, stranger).await;
            let is_miss = error.kind().as_str() == "wrong_issuer";
            assert!(is_miss || error.retry_after() == Some(seconds(1)));
        }
        assert_eq!(tenants.times_asked(), second * 50);
        tenants.advance(seconds(1));
    }
    assert_eq!(verdict(&verifier, &token(&configured)).await, "accepted");
}

// D39, BT-24
#[tokio::test]
async fn beyond_the_bounds_the_answer_is_503_with_retry_after() {
    let tenants = Tenants::new(&ManualClock::new());
    let idp = tenants.stranger("blue");
    let layer = BearerLayer::new(tenants.source().verifier(API).unwrap());
    for number in 0..60 {
        let token = of(&iss(&number.to_string()), &idp);
        let answer = send(&layer, echo().0, bearing(&token)).await;
        if number < 50 {
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        } else {
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert!(["1", "2"].contains(&answer.headers()["retry-after"].to_str().unwrap()));
        }
    }
}

// D39
#[tokio::test]
async fn the_least_recently_used_issuer_goes_and_comes_back() {
    let tenants = Tenants::new(&ManualClock::new());
    let source = tenants.source_builder().with_capacity(2).build().unwrap();
    let verifier = remembering(&source);
    let idps = ["a", "b", "c"].map(|name| (name, tenants.add(name), String::new()));
    let idps = idps.map(|(name, idp, _)| (name, token(&idp)));
    let tokens = HashMap::from(idps);
    for (name, asks) in [
        ("a", true),
        ("b", true),
        // Used again, as a token that is remembered.
        ("a", false),
        // In its place goes b.
        ("c", true),
        ("a", false),
        ("c", false),
        ("b", true),
        ("c", false),
        // That took the place of a.
        ("a", true),
    ] {
        tenants.advance(seconds(1));
        assert_eq!(verdict(&verifier, &tokens[name]).await, "accepted");
        let asked = if asks { vec![iss(name)] } else { Vec::new() };
        assert_eq!(tenants.asked(), asked, "{name}");
    }
}

// D39
#[tokio::test]
async fn an_issuer_that_goes_while_its_keys_are_fetched_judges_its_token() {
    let tenants = Tenants::new(&ManualClock::new());
    let source = tenants.source_builder().with_capacity(1).build().unwrap();
    let verifier = remembering(&source);
    let idps: Vec<_> = (0..10).map(|n| tenants.add(&n.to_string())).collect();
    let verdicts = join_all(idps.iter().map(|idp| {
        let (verifier, token) = (verifier.clone(), token(idp));
        async move { verdict(&verifier, &token).await }
    }));
    assert_eq!(verdicts.await, ["accepted"; 10]);
    assert_eq!(tenants.times_asked(), 10);
}

// D39
#[tokio::test]
async fn a_removed_tenant_stops_within_the_lifetime() {
    for (after, still) in [(0, true), (539, true), (600, false), (6_000, false)] {
        let tenants = Tenants::new(&ManualClock::new());
        let idp = tenants.add("blue");
        let verifier = remembering(&tenants.source());
        let token = token(&idp);
        assert_eq!(verdict(&verifier, &token).await, "accepted");
        tenants.remove(&iss("blue"));
        tenants.advance(seconds(after));
        let expected = if still { "accepted" } else { "wrong_issuer" };
        assert_eq!(verdict(&verifier, &token).await, expected, "{after}");
        assert_eq!(tenants.times_asked(), if still { 1 } else { 2 });
    }
}

// D39
#[tokio::test]
async fn a_lifetime_can_be_chosen() {
    let tenants = Tenants::new(&ManualClock::new());
    let idp = tenants.add("blue");
    let source = tenants.source_builder().with_lifetime(seconds(5));
    let verifier = remembering(&source.build().unwrap());
    assert_eq!(verdict(&verifier, &token(&idp)).await, "accepted");
    tenants.remove(&iss("blue"));
    tenants.advance(seconds(4));
    assert_eq!(verdict(&verifier, &token(&idp)).await, "accepted");
    tenants.advance(seconds(1));
    assert_eq!(verdict(&verifier, &token(&idp)).await, "wrong_issuer");
}

// D39
#[tokio::test]
async fn an_issuer_is_asked_about_ahead_of_time_while_requests_go_on() {
    let tenants = Tenants::new(&ManualClock::new());
    let idp = tenants.add("blue");
    let verifier = remembering(&tenants.source());
    let token = token(&idp);
    assert_eq!(verdict(&verifier, &token).await, "accepted");
    // A source that fails is asked once in five seconds, and ends nothing before the time is over.
    tenants.behave(Manner::Fails);
    for (after, times) in [(540, 2), (1, 2), (4, 3), (54, 4)] {
        tenants.advance(seconds(after));
        for _ in 0..20 {
            assert_eq!(verdict(&verifier, &token).await, "accepted");
            tokio::task::yield_now().await;
        }
        until(|| tenants.under_way() == 0).await;
        assert_eq!(tenants.times_asked(), times, "{after}");
    }
    tenants.advance(seconds(1));
    assert_eq!(verdict(&verifier, &token).await, "unavailable");
    // One that answers prolongs it.
    tenants.behave(Manner::Answers);
    assert_eq!(verdict(&verifier, &token).await, "accepted");
    for _ in 0..4 {
        tenants.asked();
        tenants.advance(seconds(550));
        assert_eq!(verdict(&verifier, &token).await, "accepted");
        until(|| tenants.times_asked() == 1).await;
        until(|| tenants.under_way() == 0).await;
    }
    assert_eq!(idp.hits().discovery, 1, "the provider stayed the same");
    // One that no longer knows it ends it at once.
    tenants.remove(&iss("blue"));
    tenants.advance(seconds(550));
    assert_eq!(verdict(&verifier, &token).await, "accepted");
    let is_refused = || verdict(&verifier, &token).now_or_never() == Some("wrong_issuer");
    until(is_refused).await;
}

// D39
#[tokio::test]
async fn a_forgotten_tenant_stops_at_once_and_an_added_one_begins_at_once() {
    let tenants = Tenants::new(&ManualClock::new());
    let idp = tenants.add("blue");
    let source = tenants.source();
    let verifier = remembering(&source);
    let token = token(&idp);
    assert_eq!(verdict(&verifier, &token).await, "accepted");
    tenants.remove(&iss("blue"));
    source.forget(&iss("blue"));
    assert_eq!(verdict(&verifier, &token).await, "wrong_issuer");
    tenants.set(&iss("blue"), idp.provider().unwrap());
    assert_eq!(verdict(&verifier, &token).await, "wrong_issuer");
    source.forget(&iss("blue"));
    assert_eq!(verdict(&verifier, &token).await, "accepted");
    source.forget("https://unknown.example");
}

// D39
#[tokio::test]
async fn an_answer_that_was_asked_for_before_is_forgotten_too() {
    let tenants = Tenants::new(&ManualClock::new());
    let idp = tenants.add("blue");
    let source = tenants.source();
    let verifier = remembering(&source);
    let token = token(&idp);
    for is_known_at_first in [true, false] {
        tenants.behave(Manner::Waits);
        let waiting = tokio::spawn({
            let (verifier, token) = (verifier.clone(), token.clone());
            async move { verdict(&verifier, &token).await }
        });
        until(|| tenants.under_way() == 1).await;
        let after = if is_known_at_first {
            tenants.remove(&iss("blue"));
            "wrong_issuer"
        } else {
            tenants.set(&iss("blue"), idp.provider().unwrap());
            "accepted"
        };
        source.forget(&iss("blue"));
        tenants.behave(Manner::Answers);
        // Who comes now does not wait for the former answer.
        assert_eq!(verdict(&verifier, &token).await, after);
        tenants.let_through(1);
        // Who came before gets the former provider, or the newer one.
        assert_eq!(waiting.await.unwrap(), "accepted");
        assert_eq!(verdict(&verifier, &token).await, after);
        source.forget(&iss("blue"));
    }
}

// D39, D4
#[tokio::test]
async fn a_token_that_a_replaced_provider_accepted_is_not_recalled() {
    let tenants = Tenants::new(&ManualClock::new());
    let old = tenants.add("blue");
    let source = tenants.source_builder().with_lifetime(seconds(100));
    let source = source.build().unwrap();
    let verifier = remembering(&source);
    let mut former = token(&old);
    assert_eq!(verdict(&verifier, &former).await, "accepted");
    for is_forgotten in [false, true] {
        let new = tenants.add("blue");
        if is_forgotten {
            source.forget(&iss("blue"));
        } else {
            tenants.advance(seconds(100));
        }
        // The keys of both have the same serial: they are the first of their provider.
        let latter = token(&new);
        assert_eq!(verdict(&verifier, &latter).await, "accepted");
        assert_eq!(verdict(&verifier, &former).await, "bad_signature");
        former = latter;
    }
}

// D39, BT-24
#[tokio::test(start_paused = true)]
async fn a_source_that_fails_hangs_or_panics_says_nothing_of_a_token() {
    let tenants = Tenants::new(&ManualClock::new());
    let idp = tenants.add("blue");
    let verifier = tenants.source().verifier(API).unwrap();
    let layer = BearerLayer::new(verifier.clone());
    for (manner, says) in [
        (Manner::Fails, "the table of tenants is locked"),
        (Manner::Panics, "panicked"),
        (Manner::Hangs, "longer than ten seconds"),
    ] {
        tenants.behave(manner);
        let log = Log::default();
        let guard = log.capture();
        let began = tokio::time::Instant::now();
        let answer = send(&layer, echo().0, bearing(&token(&idp))).await;
        assert!(began.elapsed() <= seconds(11));
        drop(guard);
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(["1", "2"].contains(&answer.headers()["retry-after"].to_str().unwrap()));
        assert!(answer.headers().get("www-authenticate").is_none());
        let told = log.text();
        assert!(
            told.contains(says) && told.contains("IssuerSource"),
            "{told}"
        );
        tenants.advance(seconds(10));
        let error = refusal(&verifier, &token(&idp)).await;
        let source = std::error::Error::source(&error).unwrap();
        let source: &tower_oidc::ProviderError = source.downcast_ref().unwrap();
        assert_eq!(source.kind(), ProviderErrorKind::SourceFailed);
        assert_eq!(tenants.asked().len(), 2, "nothing is remembered");
    }
    tenants.behave(Manner::Answers);
    assert_eq!(verdict(&verifier, &token(&idp)).await, "accepted");
}

// D39
#[tokio::test]
async fn a_caller_who_leaves_does_not_end_the_look_up() {
    let tenants = Tenants::new(&ManualClock::new());
    let idp = tenants.add("blue");
    let verifier = tenants.source().verifier(API).unwrap();
    tenants.behave(Manner::Waits);
    let token = token(&idp);
    {
        let mut leaving = Box::pin(verifier.verify(&token));
        assert!((&mut leaving).now_or_never().is_none());
        until(|| tenants.times_asked() == 1).await;
    }
    let staying = tokio::spawn({
        let (verifier, token) = (verifier.clone(), token.clone());
        async move { verdict(&verifier, &token).await }
    });
    tokio::task::yield_now().await;
    tenants.let_through(1);
    assert_eq!(staying.await.unwrap(), "accepted");
    assert_eq!(tenants.asked(), [iss("blue")]);
}

// D39
#[test]
fn a_runtime_that_ends_leaves_no_caller_waiting() {
    let tenants = Tenants::new(&ManualClock::new());
    let idp = tenants.add("blue");
    let verifier = tenants.source().verifier(API).unwrap();
    let token = token(&idp);
    let error = verifier.verify(&token).now_or_never().unwrap().unwrap_err();
    assert_eq!(error.kind().as_str(), "unavailable", "outside of a runtime");
    tenants.behave(Manner::Hangs);
    let runtime = |threads| {
        let mut builder = Builder::new_multi_thread();
        builder
            .worker_threads(threads)
            .enable_all()
            .build()
            .unwrap()
    };
    let ending = runtime(1);
    let (started, waiting) = (tenants.clone(), verifier.clone());
    let asked = token.clone();
    ending.spawn(async move { waiting.verify(&asked).await });
    let lasting = runtime(1);
    lasting.block_on(async {
        until(|| started.times_asked() == 1).await;
        let mut joined = Box::pin(verifier.verify(&token));
        assert!((&mut joined).now_or_never().is_none(), "it waits");
        ending.shutdown_background();
        let error = joined.await.unwrap_err();
        assert_eq!(error.kind().as_str(), "unavailable");
        tenants.behave(Manner::Answers);
        assert_eq!(verdict(&verifier, &token).await, "accepted");
    });
}

// D39
#[tokio::test]
async fn introspection_and_sessions_keep_to_the_configured_provider() {
    let tenants = Tenants::new(&ManualClock::new());
    let blue = tenants.add("blue");
    let configured = tenants.stranger("own");
    let client = || Client::with_secret("development", "development-secret").unwrap();
    let with = |change: fn(VerifierBuilder) -> VerifierBuilder| {
        let builder = judging_as(&configured.provider().unwrap(), API);
        change(builder.with_issuer_source(&tenants.source()))
    };
    let verifier = with(|builder| builder).with_introspection(client()).build();
    let verifier = verifier.unwrap();
    assert_eq!(verdict(&verifier, &token(&blue)).await, "accepted");
    assert_eq!(verdict(&verifier, "opaque").await, "not_active");
    assert_eq!(configured.hits().introspection, 1);
    assert_eq!(blue.hits().introspection, 0);
    assert_eq!(tenants.asked(), [iss("blue")]);

    let jwts_too = Introspection::new(client()).with_jwts();
    let error = with(|builder| builder).with_introspection(jwts_too).build();
    assert!(error.unwrap_err().to_string().contains("issuer source"));
    let alone = || Verifier::from_source(&tenants.source(), API);
    let error = alone().with_introspection(client()).build().unwrap_err();
    assert!(error.to_string().contains("issuer"), "{error}");
    let error = crate::browser::builder(&alone().build().unwrap()).build();
    let error = error.unwrap_err().to_string();
    assert!(error.contains("no configured provider"), "{error}");
}

// D39, PR-05
#[test]
fn resource_metadata_names_no_issuer_of_a_source() {
    let tenants = Tenants::new(&ManualClock::new());
    let metadata = |verifier: &Verifier| -> Value {
        let resource = ProtectedResource::new(API, verifier).unwrap();
        serde_json::from_str(&resource.metadata()).unwrap()
    };
    let alone = metadata(&tenants.source().verifier(API).unwrap());
    assert_eq!(alone.get("authorization_servers"), None);
    let beside = metadata(&tenants.beside(&tenants.stranger("own")));
    assert_eq!(beside["authorization_servers"], json!([iss("own")]));
}

// D39
#[test]
fn numbers_out_of_bounds_do_not_build() {
    let tenants = Tenants::new(&ManualClock::new());
    for (builder, names) in [
        (tenants.source_builder().with_capacity(0), "issuer capacity"),
        (
            tenants.source_builder().with_capacity(10_001),
            "issuer capacity",
        ),
        (
            tenants.source_builder().with_lifetime(Duration::ZERO),
            "issuer lifetime",
        ),
        (
            tenants.source_builder().with_lifetime(seconds(86_401)),
            "issuer lifetime",
        ),
    ] {
        let error = builder.build().unwrap_err();
        assert_eq!(error.setting(), names);
    }
    for builder in [
        tenants.source_builder().with_capacity(1),
        tenants.source_builder().with_capacity(10_000),
        tenants.source_builder().with_lifetime(seconds(1)),
        tenants.source_builder().with_lifetime(seconds(86_400)),
    ] {
        assert!(
            builder.build().unwrap().verifier("").is_err(),
            "no audience"
        );
    }
}
