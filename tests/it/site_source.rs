//! Sites at run time: tenants that a source knows, what strangers can cause, and what becomes of replaced sites.

use std::ops::Deref;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use http::{Method, Request, StatusCode};
use tower::{Layer, ServiceExt};
use tower_oidc::login::{
    ChangeListener, Loaded, LoginHosts, MemoryStore, OwnedBy, Owner, SessionStore, SiteSource,
    SiteSourceBuilder, StoreFuture, StoreKey, StoredRecord, Swapped, Tag,
};
use tower_oidc::testing::{DevelopmentProvider, Endpoint, Fault, ManualClock};
use tower_oidc::{LoginErrorKind as Kind, LoginLayer, Provider, UnixTime, Verifier};
use tracing::Level;

use crate::browser::{Browser, failure};
use crate::log::Log;
use crate::login_hosts::{OnceReady, application, at, fetch, send, sign_in, site, visit};
use crate::pausing_store::{PausingStore, Step};
use crate::support::{API, Answer, judging, seconds, until};
use crate::tenants::{KnownTenants, Manner};

/// Tenants with a site each.
#[derive(Clone)]
struct Tenants {
    known: KnownTenants<LoginLayer>,
    verifier: Verifier,
}

impl Deref for Tenants {
    type Target = KnownTenants<LoginLayer>;

    fn deref(&self) -> &Self::Target {
        &self.known
    }
}

impl Tenants {
    /// Their provider is never called.
    fn new() -> Self {
        let provider = Provider::discover("https://id.example").unwrap();
        Self::at(&judging(&provider, API), &ManualClock::new())
    }

    fn at(verifier: &Verifier, clock: &ManualClock) -> Self {
        Self {
            known: KnownTenants::new(clock),
            verifier: verifier.clone(),
        }
    }

    /// A layer for the tenant at this host.
    fn layer(&self, host: &str) -> LoginLayer {
        let address = format!("https://{host}");
        site(&self.verifier, &address).build().unwrap()
    }

    /// A tenant that the application knows.
    fn add(&self, host: &str) {
        self.set(host, self.layer(host));
    }

    fn source_builder(&self) -> SiteSourceBuilder {
        let tenants = self.known.clone();
        SiteSource::builder(move |host| tenants.clone().answer(host)).with_clock(self.clock())
    }

    fn source(&self) -> SiteSource {
        self.source_builder().build().unwrap()
    }

    fn hosts(&self) -> LoginHosts {
        LoginHosts::from_source(&self.source())
    }
}

async fn ask(hosts: &LoginHosts, host: &str) -> Answer {
    fetch(hosts, &Browser::default(), host, "/api").await
}

/// A site that is there says that one is not signed in.
async fn status(hosts: &LoginHosts, host: &str) -> u16 {
    ask(hosts, host).await.status().as_u16()
}

// D39
#[tokio::test]
async fn tenants_are_found_at_run_time_beside_configured_sites() {
    let tenants = Tenants::new();
    tenants.add("blue.example");
    tenants.add("green.example:8443");
    let hosts = LoginHosts::new([tenants.layer("own.example")]).unwrap();
    let hosts = hosts.with_source(&tenants.source());
    for _ in 0..2 {
        for host in ["blue.example", "BLUE.example:443", "green.example:8443"] {
            assert_eq!(status(&hosts, host).await, 401, "{host}");
        }
        assert_eq!(status(&hosts, "own.example").await, 401);
    }
    let asked = tenants.asked();
    assert_eq!(asked, ["blue.example", "green.example:8443"], "once each");
    assert_eq!(hosts.sites().len(), 3);
    // A tenant that is added later.
    tenants.add("red.example");
    assert_eq!(status(&hosts, "red.example").await, 401);
}

// D39
#[tokio::test]
async fn a_miss_is_421_and_is_remembered_for_a_minute() {
    let tenants = Tenants::new();
    let hosts = tenants.hosts();
    for _ in 0..3 {
        let answer = ask(&hosts, "blue.example").await;
        assert_eq!(answer.status(), StatusCode::MISDIRECTED_REQUEST);
        assert_eq!(failure(&answer), Some(Kind::UnknownHost));
    }
    assert_eq!(tenants.asked(), ["blue.example"]);
    tenants.add("blue.example");
    tenants.advance(seconds(59));
    assert_eq!(status(&hosts, "blue.example").await, 421);
    assert_eq!(tenants.times_asked(), 0);
    tenants.advance(seconds(1));
    assert_eq!(status(&hosts, "blue.example").await, 401);
}

// D39
#[tokio::test]
async fn a_site_at_another_host_serves_no_request() {
    let tenants = Tenants::new();
    tenants.set("blue.example", tenants.layer("green.example"));
    let hosts = tenants.hosts();
    let log = Log::default();
    let guard = log.capture();
    for _ in 0..2 {
        assert_eq!(status(&hosts, "blue.example").await, 421);
    }
    drop(guard);
    assert_eq!(tenants.times_asked(), 1, "remembered like a miss");
    let warnings = log.at(Level::WARN);
    let is_told = |line: &String| line.contains("blue.example") && line.contains("green.example");
    assert!(warnings.iter().any(is_told), "{warnings:?}");
    assert!(hosts.sites().is_empty());
}

// D39
#[tokio::test]
async fn only_a_host_is_passed_on_and_open_paths_ask_for_none() {
    let tenants = Tenants::new();
    let hosts = tenants.hosts().with_open_paths(["/healthz"]).unwrap();
    let long = "a".repeat(300);
    for bad in ["a b", "a/b", "a@b.example", "a?b", &long] {
        let answer = ask(&hosts, bad).await;
        assert_eq!(failure(&answer), Some(Kind::MalformedHost), "{bad}");
    }
    let probe = fetch(&hosts, &Browser::default(), "10.0.0.7", "/healthz").await;
    assert_eq!(probe.body(), "nobody -");
    assert_eq!(tenants.times_asked(), 0);
}

// D39
#[tokio::test]
async fn requests_for_one_host_wait_for_one_look_up() {
    let tenants = Tenants::new();
    tenants.add("blue.example");
    let hosts = tenants.hosts();
    tenants.behave(Manner::Waits);
    let statuses = join_all((0..100).map(|_| status(&hosts, "blue.example")));
    tenants.let_through(1);
    assert!(statuses.await.iter().all(|status| *status == 401));
    assert_eq!(tenants.asked(), ["blue.example"]);
}

// D39
#[tokio::test]
async fn a_flood_of_hosts_holds_the_bounds_and_known_sites_answer() {
    let tenants = Tenants::new();
    tenants.add("known.example");
    let own = LoginHosts::new([tenants.layer("own.example")]).unwrap();
    let hosts = own.with_source(&tenants.source());
    assert_eq!(status(&hosts, "known.example").await, 401);
    tenants.behave(Manner::Waits);
    let strangers: Vec<_> = (0..5_000)
        .map(|number| format!("x{number}.example"))
        .collect();
    let (flooded, names) = (hosts.clone(), strangers.clone());
    let flood = tokio::spawn(join_all(names.into_iter().map(move |host| {
        let hosts = flooded.clone();
        async move { ask(&hosts, &host).await }
    })));
    until(|| tenants.under_way() == 16).await;
    for host in ["known.example", "own.example"] {
        assert_eq!(status(&hosts, host).await, 401, "{host}");
    }
    // A known site that has to be asked about again has a bound of its own.
    tenants.behave(Manner::Answers);
    tenants.advance(seconds(300));
    assert_eq!(status(&hosts, "known.example").await, 401);
    assert_eq!(tenants.most_under_way(), 17);
    tenants.let_through(5_000);
    let answers = flood.await.unwrap();
    let of_kind = |kind| {
        let of_kind = answers
            .iter()
            .filter(|answer| failure(answer) == Some(kind));
        of_kind.count()
    };
    assert_eq!(of_kind(Kind::UnknownHost), 16);
    assert_eq!(of_kind(Kind::SiteUnavailable), 4_984);
    for answer in answers.iter().filter(|answer| answer.status() == 503) {
        assert_eq!(answer.headers()["retry-after"], "1");
    }

    // Where the source answers at once, it is asked fifty times a second.
    tenants.asked();
    tenants.advance(seconds(61));
    for second in 1..=3 {
        for stranger in &strangers[..200] {
            assert!([421, 503].contains(&status(&hosts, stranger).await));
        }
        assert_eq!(tenants.times_asked(), second * 50);
        tenants.advance(seconds(1));
    }
    assert_eq!(status(&hosts, "own.example").await, 401);
}

// D39
#[tokio::test]
async fn a_source_that_fails_or_panics_says_nothing_of_a_host() {
    let tenants = Tenants::new();
    tenants.add("blue.example");
    let hosts = tenants.hosts();
    let log = Log::default();
    let guard = log.capture();
    for manner in [Manner::Fails, Manner::Panics] {
        tenants.behave(manner);
        let answer = ask(&hosts, "blue.example").await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(failure(&answer), Some(Kind::SiteUnavailable));
        assert_eq!(answer.headers()["retry-after"], "1");
        assert!(!answer.body().contains("tenants"), "{}", answer.body());
    }
    drop(guard);
    let told = log.text();
    assert!(told.contains("the table of tenants is locked"), "{told}");
    tenants.behave(Manner::Answers);
    assert_eq!(status(&hosts, "blue.example").await, 401, "at once");
    // One that is known stays so while the source is away, to the end of its time.
    tenants.behave(Manner::Fails);
    tenants.advance(seconds(299));
    assert_eq!(status(&hosts, "blue.example").await, 401);
    tenants.advance(seconds(1));
    assert_eq!(status(&hosts, "blue.example").await, 503);
}

// D39
#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_is_given_up_after_ten_seconds() {
    let tenants = Tenants::new();
    let hosts = tenants.hosts();
    tenants.behave(Manner::Hangs);
    let began = tokio::time::Instant::now();
    assert_eq!(status(&hosts, "blue.example").await, 503);
    assert_eq!(began.elapsed().as_secs(), 10);
    until(|| tenants.under_way() == 0).await;
}

// D39
#[tokio::test]
async fn the_least_recently_used_site_goes_and_comes_back() {
    let tenants = Tenants::new();
    for host in ["a.example", "b.example", "c.example"] {
        tenants.add(host);
    }
    let source = tenants.source_builder().with_capacity(2).build().unwrap();
    let hosts = LoginHosts::from_source(&source);
    for host in ["a.example", "b.example", "a.example", "c.example"] {
        tenants.advance(seconds(1));
        assert_eq!(status(&hosts, host).await, 401);
    }
    assert_eq!(tenants.asked().len(), 3);
    tenants.advance(seconds(1));
    assert_eq!(status(&hosts, "a.example").await, 401);
    assert_eq!(tenants.times_asked(), 0, "it was used after b");
    assert_eq!(status(&hosts, "b.example").await, 401);
    assert_eq!(tenants.asked(), ["b.example"]);
    assert_eq!(hosts.sites().len(), 2);
}

// D39
#[tokio::test]
async fn a_removed_tenant_stops_within_the_lifetime_or_at_once() {
    let tenants = Tenants::new();
    tenants.add("blue.example");
    let source = tenants.source();
    let hosts = LoginHosts::from_source(&source);
    assert_eq!(status(&hosts, "blue.example").await, 401);
    tenants.remove("blue.example");
    tenants.advance(seconds(269));
    assert_eq!(status(&hosts, "blue.example").await, 401);
    assert_eq!(tenants.asked().len(), 1);
    // In the last tenth it is asked again while requests go on.
    tenants.advance(seconds(1));
    assert_eq!(status(&hosts, "blue.example").await, 401);
    until(|| tenants.times_asked() == 1).await;
    until(|| status(&hosts, "blue.example").now_or_never() == Some(421)).await;
    tenants.add("blue.example");
    source.forget("Blue.example:443");
    assert_eq!(status(&hosts, "blue.example").await, 401);
    tenants.remove("blue.example");
    source.forget("blue.example");
    assert_eq!(status(&hosts, "blue.example").await, 421);
}

// D39
#[test]
fn numbers_out_of_bounds_do_not_build() {
    let tenants = Tenants::new();
    for capacity in [0, 10_001] {
        let built = tenants.source_builder().with_capacity(capacity).build();
        assert_eq!(built.unwrap_err().setting(), "site capacity");
    }
    for lifetime in [Duration::ZERO, seconds(24 * 3_600 + 1)] {
        let built = tenants.source_builder().with_lifetime(lifetime).build();
        assert_eq!(built.unwrap_err().setting(), "site lifetime");
    }
}

#[tokio::test]
async fn the_inner_service_is_ready_after_a_look_up() {
    let tenants = Tenants::new();
    let open = site(&tenants.verifier, "https://blue.example").allow_anonymous();
    tenants.set("blue.example", open.build().unwrap());
    tenants.behave(Manner::Waits);
    let service = tenants.hosts().layer(OnceReady::new());
    let request = at("blue.example", Browser::default().script(Method::GET, "/x"));
    let waiting = tokio::spawn(service.oneshot(request));
    until(|| tenants.times_asked() == 1).await;
    tenants.let_through(1);
    assert_eq!(waiting.await.unwrap().unwrap().body(), "/x");
}

/// A provider, and a tenant whose sessions are in a store that can be stopped at a step.
struct Tenant {
    idp: DevelopmentProvider,
    clock: ManualClock,
    tenants: Tenants,
    source: SiteSource,
    hosts: LoginHosts,
    store: Arc<PausingStore>,
}

const HOST: &str = "blue.example";
const ADDRESS: &str = "https://blue.example";

impl Tenant {
    async fn start() -> Self {
        let clock = ManualClock::new();
        let idp = DevelopmentProvider::builder().with_clock(clock.clone());
        let idp = idp.start().await.unwrap();
        let verifier = judging(&idp.provider().unwrap(), API);
        let store = Arc::new(MemoryStore::with_clock(clock.clone()));
        let store = Arc::new(PausingStore::new(store));
        let tenants = Tenants::at(&verifier, &clock);
        let source = tenants.source();
        let hosts = LoginHosts::from_source(&source);
        let tenant = Self {
            idp,
            clock,
            tenants,
            source,
            hosts,
            store,
        };
        tenant.rebuild();
        tenant
    }

    /// The application makes a new layer for the tenant, and the source is asked for it.
    fn rebuild(&self) {
        let login = site(&self.tenants.verifier, ADDRESS).with_shared_store(self.store.clone());
        self.tenants.set(HOST, login.build().unwrap());
        self.source.forget(HOST);
    }
}

// D7, D39
#[tokio::test]
async fn sessions_go_on_where_the_site_is_replaced() {
    let tenant = Tenant::start().await;
    let browser = sign_in(&tenant.hosts, HOST, ADDRESS).await;
    tenant.rebuild();
    for _ in 0..2 {
        let answer = fetch(&tenant.hosts, &browser, HOST, "/").await;
        assert!(answer.body().starts_with("user-1"), "{answer:?}");
    }
    tenant.clock.advance(seconds(3_600));
    tenant.rebuild();
    assert_eq!(
        fetch(&tenant.hosts, &browser, HOST, "/").await.status(),
        200
    );
    assert_eq!(
        (tenant.idp.hits().refreshed, tenant.idp.hits().reused),
        (1, 0)
    );
}

// RT-04, D7, D39
#[tokio::test]
async fn a_refresh_of_a_replaced_site_is_stored_and_a_drain_waits_for_it() {
    let tenant = Tenant::start().await;
    let browser = sign_in(&tenant.hosts, HOST, ADDRESS).await;
    // Due in the background: the request is served, and nothing waits for the refresh.
    tenant.clock.advance(seconds(3_570));
    let slow = Fault::Slow(Duration::from_millis(300));
    tenant.idp.set_fault(Endpoint::Token, slow);
    let asked = tenant.idp.hits().token;
    assert_eq!(
        fetch(&tenant.hosts, &browser, HOST, "/").await.status(),
        200
    );
    until(|| tenant.idp.hits().token > asked).await;
    tenant.store.pause_at(Step::Swap);
    tenant.rebuild();
    assert_eq!(
        fetch(&tenant.hosts, &browser, HOST, "/").await.status(),
        200
    );
    tenant.store.reached().await;
    let hurried = tenant.hosts.drain(Duration::from_millis(50));
    assert!(
        !hurried.await,
        "the commit of the former layer is under way"
    );
    let drained = tenant.hosts.drain(Duration::from_secs(20));
    tenant.store.resume();
    assert!(drained.await);
    assert_eq!(
        (tenant.idp.hits().refreshed, tenant.idp.hits().reused),
        (1, 0)
    );
    // From then on no site starts a refresh, not even one that is found later.
    tenant.rebuild();
    tenant.clock.advance(seconds(3_600));
    let answer = fetch(&tenant.hosts, &browser, HOST, "/").await;
    assert_eq!(failure(&answer), Some(Kind::ProviderUnavailable));
    assert_eq!(tenant.idp.hits().refreshed, 1);
}

// LO-05, D39
#[tokio::test]
async fn a_form_for_a_site_that_must_be_looked_up_is_read() {
    let tenant = Tenant::start().await;
    let browser = sign_in(&tenant.hosts, HOST, ADDRESS).await;
    tenant.source.forget(HOST);
    let token = tenant.idp.logout_token("development").subject("user-1");
    let logout = Request::post("/oauth/openid/backchannel-logout")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("logout_token={}", token.build()))
        .unwrap();
    assert_eq!(send(&tenant.hosts, at(HOST, logout)).await.status(), 200);
    let answer = fetch(&tenant.hosts, &browser, HOST, "/").await;
    assert_eq!(failure(&answer), Some(Kind::SessionEnded));
    let answer = visit(&tenant.hosts, &mut browser.clone(), HOST, "/").await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
}

// D39
#[tokio::test]
async fn a_caller_who_leaves_does_not_end_the_look_up() {
    let tenants = Tenants::new();
    tenants.add("blue.example");
    let hosts = tenants.hosts();
    tenants.behave(Manner::Waits);
    let request = at("blue.example", Browser::default().script(Method::GET, "/"));
    let asking = tokio::spawn(hosts.layer(application()).oneshot(request));
    until(|| tenants.times_asked() == 1).await;
    asking.abort();
    assert!(asking.await.unwrap_err().is_cancelled());
    tenants.let_through(1);
    assert_eq!(status(&hosts, "blue.example").await, 401);
    assert_eq!(tenants.asked(), ["blue.example"]);
}

/// A store that tells of changes, and remembers whom.
struct Telling {
    inner: MemoryStore,
    listeners: Mutex<Vec<ChangeListener>>,
}

impl SessionStore for Telling {
    fn create(
        &self,
        key: StoreKey,
        owner: Option<Owner>,
        record: StoredRecord,
    ) -> StoreFuture<'_, UnixTime> {
        self.inner.create(key, owner, record)
    }

    fn load(&self, key: StoreKey) -> StoreFuture<'_, Option<Loaded>> {
        self.inner.load(key)
    }

    fn swap(&self, key: StoreKey, expected: Tag, next: StoredRecord) -> StoreFuture<'_, Swapped> {
        self.inner.swap(key, expected, next)
    }

    fn delete(&self, key: StoreKey) -> StoreFuture<'_, Option<StoredRecord>> {
        self.inner.delete(key)
    }

    fn find(&self, owner: OwnedBy) -> StoreFuture<'_, Vec<StoreKey>> {
        self.inner.find(owner)
    }

    fn on_change(&self, listener: ChangeListener) {
        self.listeners.lock().unwrap().push(listener);
    }
}

// D39
#[tokio::test]
async fn a_store_is_not_kept_busy_by_layers_that_are_gone() {
    let tenants = Tenants::new();
    let store = Arc::new(Telling {
        inner: MemoryStore::new(),
        listeners: Mutex::default(),
    });
    let build = || {
        let login = site(&tenants.verifier, ADDRESS).with_shared_store(store.clone());
        login.build().unwrap()
    };
    let (gone, kept) = (build(), build());
    drop(gone);
    let listeners = store.listeners.lock().unwrap();
    let heard: Vec<_> = listeners.iter().map(|listener| listener(None)).collect();
    assert_eq!(heard, [false, true]);
    drop(kept);
}
