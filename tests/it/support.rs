//! A protected service, and tools to attack it.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response, StatusCode};
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt, service_fn};
use tower_oidc::testing::{DevelopmentProvider, ManualClock, OfflineProvider};
use tower_oidc::{
    BearerLayer, Clock, Principal, Provider, ProviderBuilder, RequireLayer, SystemClock, UnixTime,
    Verifier, VerifierBuilder,
};

pub(crate) const API: &str = "https://api.example.com";

pub(crate) type Inner = BoxCloneSyncService<Request<String>, Response<String>, Infallible>;

/// A service behind a bearer layer, its provider, and the clock of both.
pub(crate) struct Api {
    pub(crate) idp: DevelopmentProvider,
    pub(crate) clock: ManualClock,
    pub(crate) provider: Provider,
    pub(crate) verifier: Verifier,
    pub(crate) inner: Inner,
    handled: Arc<AtomicU32>,
}

/// An answer with its body read.
pub(crate) type Answer = Response<String>;

impl Api {
    pub(crate) async fn start() -> Self {
        Self::start_with(|provider| provider, |verifier| verifier).await
    }

    pub(crate) async fn verifying(
        verifier: impl FnOnce(VerifierBuilder) -> VerifierBuilder,
    ) -> Self {
        Self::start_with(|provider| provider, verifier).await
    }

    pub(crate) async fn start_with(
        provider: impl FnOnce(ProviderBuilder) -> ProviderBuilder,
        verifier: impl FnOnce(VerifierBuilder) -> VerifierBuilder,
    ) -> Self {
        let clock = ManualClock::new();
        let idp = DevelopmentProvider::builder()
            .with_clock(clock.clone())
            .start()
            .await
            .unwrap();
        let provider = provider(idp.provider_builder()).build().unwrap();
        let verifier = verifier(judging_as(&provider, API)).build().unwrap();
        let (inner, handled) = echo();
        Self {
            idp,
            clock,
            provider,
            verifier,
            inner,
            handled,
        }
    }

    pub(crate) fn bearer(&self) -> BearerLayer {
        BearerLayer::new(self.verifier.clone())
    }

    /// The number of calls of the inner service.
    pub(crate) fn handled(&self) -> u32 {
        self.handled.load(Ordering::SeqCst)
    }

    pub(crate) async fn send(&self, request: Request<String>) -> Answer {
        send(&self.bearer(), self.inner.clone(), request).await
    }

    pub(crate) async fn with_header(&self, authorization: impl AsRef<[u8]>) -> Answer {
        let mut request = Request::new(String::new());
        request.headers_mut().insert(
            AUTHORIZATION,
            HeaderValue::from_bytes(authorization.as_ref()).unwrap(),
        );
        self.send(request).await
    }

    pub(crate) async fn with_token(&self, token: impl AsRef<str>) -> Answer {
        self.with_header(format!("Bearer {}", token.as_ref())).await
    }

    pub(crate) async fn requiring(&self, layer: RequireLayer, token: impl AsRef<str>) -> Answer {
        let inner = BoxCloneSyncService::new(layer.layer(self.inner.clone()));
        send(&self.bearer(), inner, bearing(token.as_ref())).await
    }

    pub(crate) async fn status(&self, token: impl AsRef<str>) -> StatusCode {
        self.with_token(token).await.status()
    }

    /// The name of the reason for which a token is refused, or `accepted`.
    pub(crate) async fn verdict(&self, token: impl AsRef<str>) -> &'static str {
        verdict(&self.verifier, token.as_ref()).await
    }

    /// A valid token.
    pub(crate) fn token(&self) -> tower_oidc::testing::TokenBuilder {
        self.idp.token(API)
    }
}

/// Answers with the caller's subject.
pub(crate) fn echo() -> (Inner, Arc<AtomicU32>) {
    let handled = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&handled);
    let service = service_fn(move |request: Request<String>| {
        counted.fetch_add(1, Ordering::SeqCst);
        let principal = request.extensions().get::<Principal>();
        let whose = principal
            .and_then(Principal::subject)
            .unwrap_or("nobody")
            .to_owned();
        async move { Ok(Response::new(whose)) }
    });
    (BoxCloneSyncService::new(service), handled)
}

/// The builder of a verifier. With `WITHOUT_CACHE` in the environment it has no cache. The whole suite runs
/// both ways, and no answer may differ.
pub(crate) fn judging_as(provider: &Provider, audience: &str) -> VerifierBuilder {
    let builder = Verifier::builder(provider, audience);
    if std::env::var_os("WITHOUT_CACHE").is_some() {
        builder.without_cache()
    } else {
        builder
    }
}

pub(crate) fn judging(provider: &Provider, audience: &str) -> Verifier {
    judging_as(provider, audience).build().unwrap()
}

pub(crate) fn bearing(token: &str) -> Request<String> {
    Request::builder()
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .body(String::new())
        .unwrap()
}

pub(crate) async fn send(layer: &BearerLayer, inner: Inner, request: Request<String>) -> Answer {
    layer.layer(inner).oneshot(request).await.unwrap()
}

pub(crate) async fn verdict(verifier: &Verifier, token: &str) -> &'static str {
    match verifier.verify(token).await {
        Ok(_) => "accepted",
        Err(error) => error.kind().as_str(),
    }
}

pub(crate) fn challenge(answer: &Answer) -> &str {
    answer.headers()["www-authenticate"].to_str().unwrap()
}

/// The parameters of a Bearer challenge, parsed strictly (RFC 9110 §11.6.1). Each may stand once.
pub(crate) fn parameters(challenge: &str) -> Vec<(String, String)> {
    let mut rest = challenge
        .strip_prefix("Bearer ")
        .expect("the scheme and a space");
    let mut found: Vec<(String, String)> = Vec::new();
    loop {
        let (name, after) = rest.split_once("=\"").expect("a quoted parameter");
        assert!(
            name.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
            "{name}"
        );
        assert!(
            !found.iter().any(|(known, _)| known == name),
            "{name} stands twice"
        );
        let mut value = String::new();
        let mut characters = after.char_indices();
        let end = loop {
            match characters.next().expect("a closing quote") {
                (at, '"') => break at + 1,
                (_, '\\') => value.push(characters.next().expect("an escaped character").1),
                (_, character) => value.push(character),
            }
        };
        found.push((name.to_owned(), value));
        rest = &after[end..];
        if rest.is_empty() {
            return found;
        }
        rest = rest.strip_prefix(", ").expect("a comma between parameters");
    }
}

pub(crate) fn parameter(answer: &Answer, name: &str) -> Option<String> {
    parameters(challenge(answer))
        .into_iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value)
}

/// A provider with this key set and no socket.
pub(crate) fn offline(jwks: String) -> Provider {
    let idp = OfflineProvider::builder("https://id.example")
        .with_keys([])
        .build();
    idp.set_jwks(jwks);
    idp.provider().unwrap()
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Lets spawned tasks run until `done` says so.
pub(crate) async fn until(mut done: impl FnMut() -> bool) {
    for _ in 0..2_000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come about within twenty seconds");
}

/// A clock that follows the time of tokio.
#[derive(Clone)]
pub(crate) struct TokioClock {
    start: tokio::time::Instant,
    began: UnixTime,
}

impl TokioClock {
    pub(crate) fn new() -> Self {
        Self {
            start: tokio::time::Instant::now(),
            began: SystemClock::new().now(),
        }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> UnixTime {
        self.began.saturating_add(self.monotonic())
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// A caller whose token is issued now and lives for so long, by this clock.
pub(crate) async fn expiring(clock: &TokioClock, lifetime: Duration) -> Principal {
    let (idp, verifier) = offline_by(clock);
    let token = idp.token(API).expires_in(lifetime).build();
    let verifier = verifier.build().unwrap();
    verifier.verify(&token).await.unwrap()
}

/// A provider without a socket that has this clock, and a verifier of its tokens.
pub(crate) fn offline_by(clock: &TokioClock) -> (OfflineProvider, VerifierBuilder) {
    let idp = OfflineProvider::builder("https://id.example")
        .with_clock(clock.clone())
        .build();
    let verifier = judging_as(&idp.provider().unwrap(), API);
    (idp, verifier)
}
