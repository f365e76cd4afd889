//! The cache of accepted tokens: what it keeps, and for how long.

use std::time::Duration;

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use tower::Layer;
use tower_oidc::testing::{Endpoint, Fault, ManualClock};
use tower_oidc::{
    Algorithm, BearerLayer, Client, Clock, OutboundLayer, UnixTime, Verifier, VerifierBuilder,
};

use crate::exchange::{from, principal};
use crate::support::{API, Api, seconds, verdict};
use crate::upstream::{ORDERS, Upstream, kind};

/// Counts the tokens that were accepted without a check of their signature.
struct Recalled {
    snapshotter: Snapshotter,
    _guard: metrics::LocalRecorderGuard<'static>,
}

impl Recalled {
    fn start() -> Self {
        // Leaked on purpose: a test makes few of them.
        let recorder: &'static DebuggingRecorder = Box::leak(Box::default());
        Self {
            snapshotter: recorder.snapshotter(),
            _guard: metrics::set_default_local_recorder(recorder),
        }
    }

    /// The number since the last call of this function.
    fn count(&self) -> u64 {
        let rows = self.snapshotter.snapshot().into_vec();
        rows.into_iter()
            .filter(|(key, ..)| key.key().name() == "tower_oidc_recalled_tokens_total")
            .map(|(.., value)| match value {
                DebugValue::Counter(count) => count,
                _ => 0,
            })
            .sum()
    }
}

/// A verifier with a cache, also if the suite runs with `WITHOUT_CACHE`.
async fn start(choose: impl FnOnce(VerifierBuilder) -> VerifierBuilder) -> (Api, Recalled) {
    let api = Api::verifying(|verifier| choose(verifier.with_cache_capacity(10_000))).await;
    (api, Recalled::start())
}

#[tokio::test]
async fn a_token_is_counted_as_recalled_where_opaque_ones_are_introspected() {
    let client = Client::with_secret("development", "development-secret").unwrap();
    let (api, recalled) = start(|verifier| verifier.with_introspection(client)).await;
    let token = api.token().build();
    for count in [0, 1, 1] {
        assert_eq!(api.verdict(&token).await, "accepted");
        assert_eq!(recalled.count(), count);
    }
    assert_eq!(api.idp.hits().introspection, 0, "it is no opaque one");
}

// LM-01
#[tokio::test]
async fn an_acceptance_is_of_the_whole_token() {
    let (api, recalled) = start(|verifier| verifier).await;
    let good = api.token().build();
    for _ in 0..5 {
        assert_eq!(api.verdict(&good).await, "accepted");
    }
    assert_eq!(recalled.count(), 4);
    // One character of each part is changed. The end of the signature is left as it is, because the cache
    // hashes it.
    let dots: Vec<_> = good.match_indices('.').map(|(at, _)| at).collect();
    for at in [2, dots[0] + 9, dots[1] + 5, good.len() - 40] {
        let other = if &good[at..=at] == "A" { "B" } else { "A" };
        let changed = format!("{}{other}{}", &good[..at], &good[at + 1..]);
        assert_ne!(api.verdict(&changed).await, "accepted", "{at}");
    }
    for longer in [format!("{good}A"), format!("A{good}"), format!("{good}.")] {
        assert_ne!(api.verdict(&longer).await, "accepted");
    }
    assert_ne!(api.verdict(&good[..good.len() - 1]).await, "accepted");
    assert_ne!(api.verdict(&good[1..]).await, "accepted");
    assert_eq!(recalled.count(), 0);
}

// LM-01
#[tokio::test]
async fn two_verifiers_never_borrow_each_others_acceptances() {
    let (api, recalled) = start(|verifier| verifier).await;
    let token = api.token().build();
    assert_eq!(api.verdict(&token).await, "accepted");
    let stricter: [(Verifier, &str); 3] = [
        (
            Verifier::builder(&api.provider, "https://another.example")
                .build()
                .unwrap(),
            "wrong_audience",
        ),
        (
            Verifier::builder(&api.provider, API)
                .with_algorithms([Algorithm::Es256])
                .build()
                .unwrap(),
            "algorithm",
        ),
        (
            Verifier::builder(&api.provider, API)
                .with_max_token_size(256)
                .build()
                .unwrap(),
            "too_large",
        ),
    ];
    for (verifier, expected) in stricter {
        assert_eq!(verdict(&verifier, &token).await, expected);
        assert_eq!(api.verdict(&token).await, "accepted");
        assert_eq!(verdict(&verifier, &token).await, expected);
    }
    assert_eq!(recalled.count(), 3);
}

// LM-01
#[tokio::test]
async fn no_layer_gets_what_another_keeps_with_a_principal() {
    let (api, recalled) = start(|verifier| verifier).await;
    let token = api.token().build();
    let relaying = BearerLayer::new(api.verifier.clone()).allow_relay();
    let plain = BearerLayer::new(api.verifier.clone());
    principal(&relaying, &token).await;
    let allowed = principal(&relaying, &token).await;
    let forbidden = principal(&plain, &token).await;
    assert_eq!(recalled.count(), 2);
    let upstream = Upstream::new();
    let service = OutboundLayer::relay(ORDERS)
        .unwrap()
        .layer(upstream.client());
    let refused = kind(&service, from(&forbidden)).await;
    assert_eq!(refused.as_str(), "no_token_to_relay");
    crate::upstream::call(&service, from(&allowed))
        .await
        .unwrap();
    assert_eq!(upstream.tokens(), [Some(token)]);
}

// LM-02
#[tokio::test]
async fn the_clock_is_asked_at_every_hit() {
    let (api, recalled) = start(|verifier| verifier.with_leeway(seconds(10))).await;
    let now = api.clock.now().as_seconds();
    let token = api.token().expires_in(seconds(100)).build();
    assert_eq!(api.verdict(&token).await, "accepted");
    api.clock.advance(seconds(109));
    assert_eq!(api.verdict(&token).await, "accepted");
    api.clock.advance(seconds(1));
    assert_eq!(api.verdict(&token).await, "expired");
    assert_eq!(recalled.count(), 1);

    // A clock that is set back stands before the time from which the token may be used.
    let early = api.token().claim("nbf", now + 115).build();
    assert_eq!(api.verdict(&early).await, "accepted");
    api.clock.set(UnixTime::from_seconds(now + 100));
    assert_eq!(api.verdict(&early).await, "not_yet_valid");
    api.clock.set(UnixTime::from_seconds(now + 106));
    assert_eq!(api.verdict(&early).await, "accepted");

    let (api, _recalled) =
        start(|verifier| verifier.with_leeway(seconds(0)).with_max_age(seconds(60))).await;
    let token = api.token().build();
    assert_eq!(api.verdict(&token).await, "accepted");
    api.clock.advance(seconds(60));
    assert_eq!(api.verdict(&token).await, "accepted");
    api.clock.advance(seconds(1));
    assert_eq!(api.verdict(&token).await, "too_old");
}

/// A clock whose rough time is one second behind its exact time.
struct Behind(ManualClock);

impl Clock for Behind {
    fn now(&self) -> UnixTime {
        self.0.now()
    }

    fn now_roughly(&self) -> UnixTime {
        self.0.now().saturating_sub(seconds(1))
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }
}

// LM-02
#[tokio::test]
async fn a_clock_that_is_roughly_right_refuses_no_token_that_was_just_issued() {
    let (api, recalled) = start(|verifier| verifier).await;
    let clock = Behind(api.clock.clone());
    let provider = api
        .idp
        .provider_builder()
        .with_clock(clock)
        .build()
        .unwrap();
    let verifier = Verifier::builder(&provider, API)
        .with_cache_capacity(10_000)
        .with_leeway(seconds(0))
        .build()
        .unwrap();
    let now = api.clock.now().as_seconds();
    let token = api.token().claim("iat", now).claim("nbf", now).build();
    for _ in 0..3 {
        assert_eq!(verdict(&verifier, &token).await, "accepted");
    }
    assert_eq!(recalled.count(), 0, "it was judged in full each time");
    api.clock.advance(seconds(1));
    assert_eq!(verdict(&verifier, &token).await, "accepted");
    assert_eq!(recalled.count(), 1);
}

// LM-02
#[tokio::test]
async fn an_acceptance_is_relied_on_for_five_minutes_at_the_most() {
    let (api, recalled) = start(|verifier| verifier).await;
    let token = api.token().build();
    assert_eq!(api.verdict(&token).await, "accepted");
    api.clock.advance(seconds(299));
    api.verdict(&token).await;
    assert_eq!(recalled.count(), 1);
    api.clock.advance(seconds(1));
    assert_eq!(api.verdict(&token).await, "accepted");
    assert_eq!(recalled.count(), 0, "it was judged in full");
    api.clock.advance(seconds(200));
    api.verdict(&token).await;
    assert_eq!(recalled.count(), 1, "and is remembered again");
}

// KS-13
#[tokio::test]
async fn a_key_that_left_the_set_takes_its_acceptances_along() {
    let (api, recalled) = start(|verifier| verifier).await;
    let token = api.token().build();
    api.verdict(&token).await;
    api.idp.rotate_keys();
    let newer = api.token().build();
    // A fetch brings other keys beside the old one: the token takes the slow path again and is accepted.
    assert_eq!(api.verdict(&newer).await, "accepted");
    assert_eq!(api.verdict(&token).await, "accepted");
    assert_eq!(recalled.count(), 0);
    assert_eq!(api.verdict(&token).await, "accepted");
    assert_eq!(recalled.count(), 1);
    // A fetch brings the same keys: the cache stays valid.
    let unknown = api.token().header("kid", "nobody's").build();
    let before = api.idp.hits().jwks;
    assert_eq!(api.verdict(&unknown).await, "unknown_key");
    assert_eq!(api.idp.hits().jwks, before + 1);
    assert_eq!(api.verdict(&token).await, "accepted");
    assert_eq!(recalled.count(), 1);
    // The key is withdrawn: from the next fetch on its tokens are refused, cached or not.
    api.idp.drop_retired_keys();
    api.clock.advance(seconds(61));
    assert_eq!(api.verdict(&unknown).await, "unknown_key");
    assert_eq!(api.verdict(&token).await, "unknown_key");
    assert_eq!(api.verdict(&newer).await, "accepted");
}

// KS-14
#[tokio::test]
async fn without_keys_nothing_is_recalled() {
    let (api, _recalled) = start(|verifier| verifier).await;
    let token = api.token().expires_in(seconds(100_000)).build();
    assert_eq!(api.verdict(&token).await, "accepted");
    api.idp.set_fault(Endpoint::Jwks, Fault::Status(500));
    api.clock.advance(seconds(600 + 3_600 - 100));
    assert_eq!(api.verdict(&token).await, "accepted", "stale keys are keys");
    assert_eq!(api.verdict(&token).await, "accepted");
    api.clock.advance(seconds(200));
    assert_eq!(api.verdict(&token).await, "unavailable");
}

// LM-03
#[tokio::test]
async fn refusals_are_not_remembered_and_a_flood_pushes_nothing_out() {
    let (api, recalled) = start(|verifier| verifier.with_cache_capacity(100)).await;
    let good: Vec<_> = (0..20).map(|_| api.token().build()).collect();
    for token in &good {
        api.verdict(token).await;
        api.verdict(token).await;
    }
    recalled.count();
    let bad = api.token().build();
    let (input, _) = bad.rsplit_once('.').unwrap();
    for n in 0..5_000 {
        let forged = format!(
            "{input}.{}{n:04}",
            &good[0][good[0].len() - 342..good[0].len() - 4]
        );
        assert_ne!(api.verdict(&forged).await, "accepted");
    }
    assert_eq!(recalled.count(), 0);
    for token in &good {
        api.verdict(token).await;
    }
    assert_eq!(recalled.count(), 20);
}

// LM-07
#[tokio::test]
async fn the_memory_is_bounded_in_tokens_and_in_bytes() {
    let recalled_of = async |capacity, padding: usize| {
        let (api, recalled) = start(|verifier| {
            verifier
                .with_cache_capacity(capacity)
                .with_max_token_size(1024 * 1024)
        })
        .await;
        let tokens: Vec<_> = (0..300)
            .map(|_| {
                let builder = api.idp.token_by(Algorithm::EdDsa, API);
                builder.claim("padding", "x".repeat(padding)).build()
            })
            .collect();
        for token in &tokens {
            api.verdict(token).await;
        }
        recalled.count();
        // Newest first: no bound has evicted it yet.
        for token in tokens.iter().rev() {
            api.verdict(token).await;
        }
        recalled.count()
    };
    assert_eq!(recalled_of(1_000, 0).await, 300);
    let some = recalled_of(64, 0).await;
    assert!((10..=64).contains(&some), "{some}");
    // Each token has 50 KiB of text, kept twice, and 4 KiB of overhead.
    let large = recalled_of(640, 40_000).await;
    assert!((3..=28).contains(&large), "{large}");
}

// D4
#[tokio::test]
async fn one_switch_turns_it_off_and_changes_no_answer() {
    let (api, recalled) = start(VerifierBuilder::without_cache).await;
    let token = api.token().build();
    for _ in 0..5 {
        assert_eq!(api.verdict(&token).await, "accepted");
    }
    assert_eq!(recalled.count(), 0);
    let error = Verifier::builder(&api.provider, API)
        .with_cache_capacity(10_000_001)
        .build()
        .unwrap_err();
    assert!(error.to_string().contains("cache capacity"), "{error}");
}
