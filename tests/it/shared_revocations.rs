//! What one process revokes is refused by all that share its store.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{Method, Request, StatusCode};
use tower::ServiceExt as _;
use tower_oidc::error::StoreErrorKind;
use tower_oidc::login::{
    ChangeListener, Loaded, MemoryStore, OwnedBy, Owner, SessionStore, StoreFuture, StoreKey,
    StoredRecord, Swapped, Tag,
};
use tower_oidc::{Clock as _, Revocations, RevocationsBuilder, UnixTime, Verifier};

use crate::browser::App;
use crate::faulty_store::FaultyStore;
use crate::log::Log;
use crate::support::{API, Api, judging_as, seconds, verdict};

/// What one process has: its own revocations, and a verifier that obeys them.
struct Process {
    revocations: Revocations,
    verifier: Verifier,
}

fn process(api: &Api) -> Process {
    process_with(api, |builder| builder)
}

fn process_with(
    api: &Api,
    choose: impl FnOnce(RevocationsBuilder) -> RevocationsBuilder,
) -> Process {
    let builder = Revocations::builder().with_clock(api.clock.clone());
    let revocations = choose(builder).build().unwrap();
    let verifier = judging_as(&api.provider, API).with_revocations(&revocations);
    Process {
        revocations,
        verifier: verifier.build().unwrap(),
    }
}

impl Process {
    async fn sharing(self, store: &Arc<impl SessionStore>) -> Self {
        let shared = self.revocations.share_through(Arc::clone(store)).await;
        shared.unwrap();
        self
    }

    fn revoke(&self, api: &Api, jti: &str) {
        let until = api.clock.now().saturating_add(seconds(3_600));
        let issuer = api.idp.issuer();
        self.revocations.revoke_token(issuer, jti, until).unwrap();
    }

    async fn refuses(&self, token: &str) -> bool {
        verdict(&self.verifier, token).await == "revoked"
    }

    /// Waits until the token is refused.
    async fn comes_to_refuse(&self, token: &str) {
        for _ in 0..2_000 {
            if self.refuses(token).await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it was not refused within twenty seconds");
    }
}

fn token(api: &Api, jti: &str) -> String {
    api.token().claim("jti", jti).build()
}

fn store(api: &Api) -> Arc<MemoryStore> {
    Arc::new(MemoryStore::with_clock(api.clock.clone()))
}

// D39
#[tokio::test]
async fn what_one_process_revokes_is_refused_by_the_others() {
    let api = Api::start().await;
    let store = store(&api);
    let [one, other] = [process(&api), process(&api)];
    let before = token(&api, "before");
    one.revoke(&api, "before");
    let (one, other) = (one.sharing(&store).await, other.sharing(&store).await);
    other.comes_to_refuse(&before).await;

    let (seen, good) = (token(&api, "one"), token(&api, "two"));
    for process in [&one, &other] {
        assert!(!process.refuses(&seen).await);
        assert!(!process.refuses(&good).await);
    }
    other.revoke(&api, "one");
    assert!(other.refuses(&seen).await, "at once where it was revoked");
    other.revocations.shared().await.unwrap();
    one.comes_to_refuse(&seen).await;

    let issuer = api.idp.issuer();
    let of_session = api.token().claim("sid", "session").build();
    one.revocations.end_session(issuer, "session").unwrap();
    other.comes_to_refuse(&of_session).await;
    for process in [&one, &other] {
        assert!(!process.refuses(&good).await);
    }
    one.revocations.revoke_all(issuer, "user-1").unwrap();
    other.comes_to_refuse(&good).await;
    api.clock.advance(seconds(1));
    let later = token(&api, "three");
    for process in [&one, &other] {
        assert!(!process.refuses(&later).await, "what was issued later");
    }
}

/// A store in memory that passes on the word of changes.
struct TellingStore {
    inner: Arc<MemoryStore>,
    listeners: Mutex<Vec<ChangeListener>>,
}

impl TellingStore {
    fn tell(&self, key: StoreKey) {
        for listener in &*self.listeners.lock().unwrap() {
            listener(Some(key));
        }
    }
}

impl SessionStore for TellingStore {
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
        Box::pin(async move {
            let swapped = self.inner.swap(key, expected, next).await;
            self.tell(key);
            swapped
        })
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
async fn the_word_of_changes_is_obeyed_without_waiting() {
    let api = Api::start().await;
    let store = Arc::new(TellingStore {
        inner: store(&api),
        listeners: Mutex::default(),
    });
    let one = process(&api).sharing(&store).await;
    let other = process(&api).sharing(&store).await;
    one.revoke(&api, "first");
    one.revocations.shared().await.unwrap();
    other.comes_to_refuse(&token(&api, "first")).await;
    let told = token(&api, "told");
    assert!(!other.refuses(&told).await);
    // No time passes from here on: what runs is what is ready to run.
    tokio::time::pause();
    one.revoke(&api, "told");
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert!(other.refuses(&told).await);
}

// D39
#[tokio::test]
async fn a_process_that_starts_knows_what_was_revoked_before() {
    let api = Api::start().await;
    let store = store(&api);
    let one = process(&api).sharing(&store).await;
    let names: Vec<_> = (0..700).map(|at| format!("token-{at}")).collect();
    for name in &names {
        one.revoke(&api, name);
    }
    one.revocations.shared().await.unwrap();
    drop(one);
    let new = process(&api).sharing(&store).await;
    for name in &names {
        assert!(new.refuses(&token(&api, name)).await, "{name}");
    }
    assert!(!new.refuses(&token(&api, "token-700")).await);
}

// D39
#[tokio::test(flavor = "multi_thread")]
async fn processes_that_revoke_at_once_lose_nothing() {
    const PROCESSES: usize = 6;
    const EACH: usize = 100;
    let api = Api::start().await;
    let store = store(&api);
    let mut processes = Vec::new();
    for _ in 0..PROCESSES {
        processes.push(process(&api).sharing(&store).await);
    }
    let until = api.clock.now().saturating_add(seconds(3_600));
    let revoking = processes.iter().enumerate().map(|(at, process)| {
        let (revocations, issuer) = (process.revocations.clone(), api.idp.issuer().to_owned());
        tokio::spawn(async move {
            for number in 0..EACH {
                let jti = format!("{at}-{number}");
                revocations.revoke_token(&issuer, &jti, until).unwrap();
                tokio::task::yield_now().await;
                if number % 10 == 0 {
                    revocations.shared().await.unwrap();
                }
            }
            revocations.shared().await.unwrap();
        })
    });
    for task in revoking.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let new = process(&api).sharing(&store).await;
    for at in 0..PROCESSES {
        for number in 0..EACH {
            let token = token(&api, &format!("{at}-{number}"));
            assert!(new.refuses(&token).await, "{at}-{number}");
        }
    }
}

// D39
#[tokio::test]
async fn a_store_that_is_away_loses_no_revocation() {
    let log = Log::default();
    let _guard = log.capture();
    let api = Api::start().await;
    let store = Arc::new(FaultyStore::new(store(&api)));
    store.break_down();
    let one = process(&api);
    let error = one.revocations.share_through(Arc::clone(&store)).await;
    assert_eq!(error.unwrap_err().kind(), StoreErrorKind::Unavailable);
    one.revoke(&api, "alone");
    let not_shared = one.revocations.shared().await;
    assert!(not_shared.is_ok(), "nothing is to be waited for");
    store.recover();
    let one = one.sharing(&store).await;
    let other = process(&api).sharing(&store).await;
    other.comes_to_refuse(&token(&api, "alone")).await;

    store.break_down();
    one.revoke(&api, "meanwhile");
    let token = token(&api, "meanwhile");
    assert!(one.refuses(&token).await, "here it counts all the same");
    for _ in 0..3 {
        let error = one.revocations.shared().await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    }
    let warnings = log.at(tracing::Level::WARN);
    let told = warnings.iter().filter(|line| line.contains("not shared"));
    let told = told.count();
    assert!(
        (1..=2).contains(&told),
        "once for each process: {warnings:?}"
    );
    assert!(!other.refuses(&token).await);
    store.recover();
    other.comes_to_refuse(&token).await;
    one.revocations.shared().await.unwrap();
}

// D39
#[tokio::test]
async fn what_is_shared_ends_and_may_begin_again() {
    let api = Api::start().await;
    let store = store(&api);
    let one = process(&api).sharing(&store).await;
    one.revoke(&api, "one");
    one.revocations.shared().await.unwrap();
    // Nothing is left in the store, and the next revocation begins another list.
    api.clock.advance(seconds(3_600 + 600 + 1));
    let other = process(&api).sharing(&store).await;
    one.revoke(&api, "two");
    one.revocations.shared().await.unwrap();
    other.comes_to_refuse(&token(&api, "two")).await;
    assert!(!other.refuses(&token(&api, "one")).await);
}

// D39
#[tokio::test]
async fn a_memory_that_is_too_small_for_what_is_shared_says_so() {
    let api = Api::start().await;
    let store = store(&api);
    let one = process(&api).sharing(&store).await;
    for jti in ["one", "two"] {
        one.revoke(&api, jti);
    }
    one.revocations.shared().await.unwrap();
    let small = process_with(&api, |builder| builder.with_capacity(1));
    let error = small.revocations.share_through(Arc::clone(&store)).await;
    let error = error.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("with_capacity"), "{cause}");
}

// D39
#[tokio::test]
async fn revocations_are_shared_through_one_store() {
    let api = Api::start().await;
    let one = process(&api).sharing(&store(&api)).await;
    let again = one.revocations.share_through(store(&api)).await;
    assert_eq!(again.unwrap_err().kind(), StoreErrorKind::Taken);
}

#[test]
fn sharing_without_a_runtime_is_an_error() {
    let sharing = async { Revocations::new().share_through(MemoryStore::new()).await };
    let mut sharing = std::pin::pin!(sharing);
    let waker = std::task::Waker::noop();
    let polled = sharing
        .as_mut()
        .poll(&mut std::task::Context::from_waker(waker));
    let std::task::Poll::Ready(Err(error)) = polled else {
        panic!("{polled:?}");
    };
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
}

// D39
#[tokio::test]
async fn the_task_ends_with_the_revocations() {
    let api = Api::start().await;
    let store = store(&api);
    let one = process(&api).sharing(&store).await;
    assert!(Arc::strong_count(&store) > 1);
    drop(one);
    crate::support::until(|| Arc::strong_count(&store) == 1).await;
}

// D39, LO-11
#[tokio::test]
async fn a_logout_that_cannot_be_shared_is_a_503_and_works_when_repeated() {
    let app = App::start().await;
    let store = Arc::new(FaultyStore::new(app.store.clone()));
    let builder = || Revocations::builder().with_clock(app.clock.clone());
    let [revocations, elsewhere] = [(); 2].map(|()| builder().build().unwrap());
    let provider = app.idp.provider().unwrap();
    let verifiers = [&revocations, &elsewhere].map(|revocations| {
        let verifier = judging_as(&provider, API).with_revocations(revocations);
        verifier.build().unwrap()
    });
    for revocations in [&revocations, &elsewhere] {
        revocations.share_through(Arc::clone(&store)).await.unwrap();
    }
    let layer = crate::browser::builder(&verifiers[0])
        .with_shared_store(app.store.clone())
        .with_revocations(&revocations);
    let app = App {
        layer: layer.build().unwrap(),
        ..app
    };
    let bearer = app.idp.token(API).build();
    let logout = app.idp.logout_token("development").subject("user-1");
    let logout = logout.without_claim("sid").build();
    let told = async || {
        let request = Request::builder()
            .method(Method::POST)
            .uri("/oauth/openid/backchannel-logout")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(format!("logout_token={logout}"))
            .unwrap();
        app.service().oneshot(request).await.unwrap().status()
    };
    store.break_down();
    assert_eq!(told().await, StatusCode::SERVICE_UNAVAILABLE);
    store.recover();
    assert_eq!(told().await, StatusCode::OK);
    for _ in 0..2_000 {
        if verdict(&verifiers[1], &bearer).await == "revoked" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the other process still accepts the token");
}
