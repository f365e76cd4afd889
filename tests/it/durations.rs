//! How long what the crate waits for takes, and when keys were fetched last.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use tower_oidc::login::{
    Loaded, MemoryStore, OwnedBy, Owner, SessionStore, StoreFuture, StoreKey, StoredRecord,
    Swapped, Tag,
};
use tower_oidc::testing::{DevelopmentProvider, Endpoint, Fault, ManualClock};
use tower_oidc::{Clock as _, HttpClient, OutboundLayer, UnixTime};

use crate::browser::{App, Browser, builder, client};
use crate::exchange::{caller, exchange, from, layer, on_behalf_of};
use crate::faulty_store::FaultyStore;
use crate::support::{API, Api, judging_as, seconds, verdict};
use crate::upstream::{ORDERS, Upstream, call, development, get};

/// What each call to the provider takes by the clock of a test.
const CALL: Duration = Duration::from_millis(250);

/// A client whose calls take their time.
fn slow(clock: &ManualClock) -> HttpClient {
    let clock = clock.clone();
    let client = HttpClient::reqwest().unwrap();
    client.with_trace_context(move |_| clock.advance(CALL))
}

/// What was measured since the last look, in milliseconds, by the name and the labels.
fn measured(snapshotter: &Snapshotter) -> BTreeMap<String, Vec<u128>> {
    let all = snapshotter.snapshot().into_vec().into_iter();
    let histograms = all.filter_map(|(key, _, _, value)| {
        let DebugValue::Histogram(values) = value else {
            return None;
        };
        let key = key.key();
        let name = key.name().strip_prefix("tower_oidc_").unwrap();
        let labels: Vec<_> = key.labels().map(|label| label.value().to_owned()).collect();
        let values = values.into_iter();
        let values = values.map(|value| Duration::from_secs_f64(value.into_inner()).as_millis());
        let values: Vec<_> = values.collect();
        (!values.is_empty()).then(|| (format!("{name} {}", labels.join(" ")), values))
    });
    histograms.collect()
}

fn expected(rows: &[(&str, &[u128])]) -> BTreeMap<String, Vec<u128>> {
    let rows = rows.iter();
    rows.map(|(name, values)| ((*name).to_owned(), values.to_vec()))
        .collect()
}

// D18
#[tokio::test]
async fn judging_is_measured_unless_the_token_is_remembered() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let clock = ManualClock::new();
    let idp = DevelopmentProvider::builder().with_clock(clock.clone());
    let idp = idp.start().await.unwrap();
    let provider = idp.provider_builder().with_http_client(slow(&clock));
    let provider = provider.build().unwrap();
    let verifier = judging_as(&provider, API).with_cache_capacity(1_000);
    let verifier = verifier.build().unwrap();
    let token = idp.token(API).build();
    let judge = async |token: &str| {
        verdict(&verifier, token).await;
        measured(&snapshotter)
    };
    // The metadata, and then the keys.
    let first = [
        ("verify_duration_seconds accepted yes", &[500][..]),
        ("key_fetch_duration_seconds ok", &[500]),
    ];
    assert_eq!(judge(&token).await, expected(&first));
    assert_eq!(judge(&token).await, BTreeMap::new(), "it is remembered");
    let other = idp.token(API).claim("jti", "other").build();
    let at_hand = [("verify_duration_seconds accepted no", &[0][..])];
    assert_eq!(judge(&other).await, expected(&at_hand));
    let refused = [("verify_duration_seconds refused no", &[0][..])];
    let expired = idp.token(API).expired().build();
    assert_eq!(judge(&expired).await, expected(&refused));
    idp.set_fault(Endpoint::Jwks, Fault::Status(500));
    clock.advance(seconds(24 * 3_600));
    let late = idp.token(API).build();
    let all = judge(&late).await;
    assert_eq!(
        all["verify_duration_seconds unavailable yes"].len(),
        1,
        "{all:?}"
    );
    assert_eq!(all["key_fetch_duration_seconds failed"].len(), 1, "{all:?}");
}

// D18
#[tokio::test]
async fn the_last_success_stands_still_while_fetches_of_keys_fail() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let api = Api::start().await;
    let issuer = api.idp.issuer().to_owned();
    // A look sets it back to zero.
    let last = move || {
        let all = snapshotter.snapshot().into_vec();
        let mut gauges = all.into_iter().filter_map(|(key, _, _, value)| {
            let is_it = key.key().name() == "tower_oidc_keys_last_success_timestamp_seconds";
            let label = key
                .key()
                .labels()
                .next()
                .map(|label| label.value() == issuer);
            match value {
                DebugValue::Gauge(value) if is_it && label == Some(true) => {
                    Some(value.into_inner())
                }
                _ => None,
            }
        });
        gauges.next()
    };
    let is_at = |told: Option<f64>, time: UnixTime| {
        let time = Duration::from_secs(time.as_seconds().unsigned_abs());
        told.is_some_and(|told| (told - time.as_secs_f64()).abs() < 0.5)
    };
    assert_eq!(last(), None, "nothing was fetched");
    api.verdict(api.token().build()).await;
    let began = api.clock.now();
    assert!(is_at(last(), began));
    api.idp.set_fault(Endpoint::Jwks, Fault::Status(500));
    api.clock.advance(seconds(24 * 3_600));
    api.verdict(api.token().build()).await;
    assert_eq!(last(), Some(0.0), "a failure is no success");
    api.idp.set_fault(Endpoint::Jwks, None);
    api.clock.advance(seconds(60));
    assert_eq!(api.verdict(api.token().build()).await, "accepted");
    assert!(is_at(last(), api.clock.now()));
}

// D18
#[tokio::test]
async fn grants_are_measured_by_their_kind_and_what_came_of_them() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let grants = || {
        let mut all = measured(&snapshotter);
        all.retain(|name, _| name.starts_with("grant_"));
        all
    };
    let app = App::start().await;
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    let at_once = |name: &str| expected(&[(name, &[0])]);
    assert_eq!(
        grants(),
        at_once("grant_duration_seconds authorization_code granted")
    );
    app.hour_passes();
    browser.fetch(&app, "/").await;
    assert_eq!(
        grants(),
        at_once("grant_duration_seconds refresh_token granted")
    );
    for (fault, word) in [
        (Fault::error(500, "server_error"), "unspent"),
        (Fault::error(401, "invalid_client"), "misconfigured"),
        (Fault::Status(502), "uncertain"),
        (Fault::error(400, "invalid_grant"), "rejected"),
    ] {
        app.idp.set_fault(Endpoint::Token, fault);
        app.hour_passes();
        browser.fetch(&app, "/").await;
        let name = format!("grant_duration_seconds refresh_token {word}");
        assert_eq!(grants(), at_once(&name));
    }

    let (idp, clock) = development().await;
    let provider = idp.provider_builder().with_http_client(slow(&clock));
    let provider = provider.build().unwrap();
    let own = OutboundLayer::client_credentials(&provider, client(), ORDERS).unwrap();
    call(&Upstream::new().behind(&own), get(ORDERS))
        .await
        .unwrap();
    // With the metadata, which was not fetched before.
    let slowly = [(
        "grant_duration_seconds client_credentials granted",
        &[500][..],
    )];
    assert_eq!(grants(), expected(&slowly));

    let principal = caller(&idp, idp.token(API).build()).await;
    let service = Upstream::new().behind(&layer(exchange(&idp)));
    call(&service, from(&principal)).await.unwrap();
    assert_eq!(
        grants(),
        at_once("grant_duration_seconds token_exchange granted")
    );
    let service = Upstream::new().behind(&layer(on_behalf_of(&idp)));
    let _ = call(&service, from(&principal)).await;
    let names: Vec<_> = grants().into_keys().collect();
    assert!(names[0].contains(" jwt_bearer "), "{names:?}");
}

// D18, D27
#[tokio::test]
async fn calls_to_the_introspection_endpoint_are_measured() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let api = Api::verifying(|verifier| verifier.with_introspection(client())).await;
    let asked = async |token: String| {
        api.verdict(token).await;
        let mut all = measured(&snapshotter);
        all.retain(|name, _| name.starts_with("introspection_"));
        all
    };
    let answered = [("introspection_duration_seconds answered", &[0][..])];
    let opaque = api.idp.opaque_token_for(&api.token());
    assert_eq!(asked(opaque).await, expected(&answered));
    api.idp
        .set_fault(Endpoint::Introspection, Fault::Status(503));
    let failed = [("introspection_duration_seconds failed", &[0][..])];
    let other = api.idp.opaque_token_for(&api.token());
    assert_eq!(asked(other).await, expected(&failed));
}

/// A store whose every answer takes a tenth of a second by the clock of a test.
struct SlowStore(Arc<MemoryStore>, ManualClock);

impl SlowStore {
    fn slowly<'a, T: Send + 'a>(&'a self, answer: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
        Box::pin(async move {
            self.1.advance(Duration::from_millis(100));
            answer.await
        })
    }
}

impl SessionStore for SlowStore {
    fn create(
        &self,
        key: StoreKey,
        owner: Option<Owner>,
        record: StoredRecord,
    ) -> StoreFuture<'_, UnixTime> {
        self.slowly(self.0.create(key, owner, record))
    }

    fn load(&self, key: StoreKey) -> StoreFuture<'_, Option<Loaded>> {
        self.slowly(self.0.load(key))
    }

    fn swap(&self, key: StoreKey, expected: Tag, next: StoredRecord) -> StoreFuture<'_, Swapped> {
        self.slowly(self.0.swap(key, expected, next))
    }

    fn delete(&self, key: StoreKey) -> StoreFuture<'_, Option<StoredRecord>> {
        self.slowly(self.0.delete(key))
    }

    fn find(&self, owner: OwnedBy) -> StoreFuture<'_, Vec<StoreKey>> {
        self.slowly(self.0.find(owner))
    }
}

// D18
#[tokio::test]
async fn calls_to_the_store_are_measured_by_operation() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let mut app = App::start().await;
    let store = SlowStore(app.store.clone(), app.clock.clone());
    let slow = builder(&app.verifier).with_store(store);
    app.layer = slow.build().unwrap();
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    app.hour_passes();
    browser.fetch(&app, "/").await;
    let (issuer, sessions) = (app.idp.issuer().to_owned(), app.layer.sessions());
    sessions.end_all(&issuer, "user-1").await.unwrap();
    let mut all = measured(&snapshotter);
    all.retain(|name, _| name.starts_with("store_"));
    for operation in ["create", "load", "swap", "delete", "find"] {
        let name = format!("store_call_duration_seconds {operation} ok");
        let values = all.remove(&name).unwrap_or_default();
        let is_right = !values.is_empty() && values.iter().all(|value| *value == 100);
        assert!(is_right, "{name}: {values:?}");
    }
    assert_eq!(all, BTreeMap::new());

    let faulty = Arc::new(FaultyStore::new(app.store.clone()));
    let broken = builder(&app.verifier).with_shared_store(faulty.clone());
    app.layer = broken.build().unwrap();
    faulty.break_down();
    browser.fetch(&app, "/").await;
    let all = measured(&snapshotter);
    let failed = [("store_call_duration_seconds load failed", &[0][..])];
    assert_eq!(all, expected(&failed));
}
