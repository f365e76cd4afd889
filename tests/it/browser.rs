//! A browser, the application that it visits, and their provider.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::header::{ACCEPT, COOKIE, LOCATION, SET_COOKIE};
use http::{Method, Request, Response, StatusCode};
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt, service_fn};
use tower_oidc::login::{Login, LoginBuilder, LoginLayer, MemoryStore};
use tower_oidc::testing::{self, DevelopmentProvider, Manner, ManualClock};
use tower_oidc::{
    Client, KeyRing, LoginError, LoginErrorKind, Principal, Session, Verifier, VerifierBuilder,
};

use crate::support::{API, Answer, Inner, judging, judging_as};

pub(crate) const SITE: &str = "https://app.example.com";
pub(crate) const SECRET: &str = "a session secret of more than 32 characters";
pub(crate) const SESSION: &str = "__Host-session";

pub(crate) struct App {
    pub(crate) idp: DevelopmentProvider,
    pub(crate) clock: ManualClock,
    pub(crate) verifier: Verifier,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) layer: LoginLayer,
    pub(crate) inner: Inner,
    pub(crate) last: Arc<Mutex<Option<Session>>>,
}

impl App {
    pub(crate) async fn start() -> Self {
        Self::start_with(|login| login).await
    }

    pub(crate) async fn start_with(choose: impl FnOnce(LoginBuilder) -> LoginBuilder) -> Self {
        Self::verifying(|verifier| verifier, choose).await
    }

    pub(crate) async fn verifying(
        verifier: impl FnOnce(VerifierBuilder) -> VerifierBuilder,
        choose: impl FnOnce(LoginBuilder) -> LoginBuilder,
    ) -> Self {
        let clock = ManualClock::new();
        let idp = DevelopmentProvider::builder()
            .with_clock(clock.clone())
            .start()
            .await
            .unwrap();
        let provider = idp.provider().unwrap();
        let verifier = verifier(judging_as(&provider, API)).build().unwrap();
        let store = Arc::new(MemoryStore::with_clock(clock.clone()));
        let layer = choose(builder(&verifier).with_shared_store(store.clone()))
            .build()
            .unwrap();
        let (inner, last) = application();
        Self {
            idp,
            clock,
            verifier,
            store,
            layer,
            inner,
            last,
        }
    }

    /// An application that only wants to know who its users are, at a provider with opaque access tokens.
    pub(crate) async fn identity(choose: impl FnOnce(LoginBuilder) -> LoginBuilder) -> Self {
        let mut app = Self::start().await;
        app.idp.set_manner(Manner::Google);
        app.layer = choose(app.identity_builder()).build().unwrap();
        app
    }

    /// The same as another process, or with other choices.
    pub(crate) fn identity_builder(&self) -> LoginBuilder {
        let keys = KeyRing::new([SECRET]).unwrap();
        let provider = self.idp.provider().unwrap();
        LoginLayer::identity(&provider, client(), SITE, keys)
            .with_scope("openid profile email")
            .with_shared_store(self.store.clone())
    }

    /// Another process of the same application. It shares the store and the secrets only.
    pub(crate) fn replica(&self) -> LoginLayer {
        let provider = self.idp.provider().unwrap();
        let verifier = judging(&provider, API);
        builder(&verifier)
            .with_shared_store(self.store.clone())
            .build()
            .unwrap()
    }

    pub(crate) fn service(&self) -> Login<Inner> {
        self.layer.layer(self.inner.clone())
    }

    /// The session of the last request that had one.
    pub(crate) fn session(&self) -> Session {
        self.last.lock().unwrap().clone().expect("a session")
    }

    /// Moves the clock by an hour, past the end of an access token.
    pub(crate) fn hour_passes(&self) {
        self.clock.advance(std::time::Duration::from_secs(3_600));
    }
}

pub(crate) fn client() -> Client {
    Client::with_secret("development", "development-secret").unwrap()
}

pub(crate) fn builder(verifier: &Verifier) -> LoginBuilder {
    let keys = KeyRing::new([SECRET]).unwrap();
    LoginLayer::builder(verifier.clone(), client(), SITE, keys)
}

/// Answers with the caller's subject, and remembers the session.
fn application() -> (Inner, Arc<Mutex<Option<Session>>>) {
    let last = Arc::new(Mutex::new(None));
    let kept = Arc::clone(&last);
    let service = service_fn(move |request: Request<String>| {
        let extensions = request.extensions();
        if let Some(session) = extensions.get::<Session>() {
            *kept.lock().unwrap() = Some(session.clone());
        }
        let principal = extensions.get::<Principal>();
        let whose = principal
            .and_then(Principal::subject)
            .unwrap_or("nobody")
            .to_owned();
        async move { Ok::<_, Infallible>(Response::new(whose)) }
    });
    (BoxCloneSyncService::new(service), last)
}

/// Keeps cookies and sends the fetch metadata of its requests, as browsers do.
#[derive(Clone, Default)]
pub(crate) struct Browser {
    pub(crate) jar: BTreeMap<String, String>,
}

impl Browser {
    pub(crate) fn request(&self, method: Method, path: &str) -> http::request::Builder {
        let mut request = Request::builder().method(method).uri(path);
        if !self.jar.is_empty() {
            let cookies: Vec<_> = self
                .jar
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            request = request.header(COOKIE, cookies.join("; "));
        }
        request
    }

    pub(crate) fn navigation(&self, path: &str) -> Request<String> {
        self.request(Method::GET, path)
            .header(ACCEPT, "text/html,application/xhtml+xml")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document")
            .header("sec-fetch-site", "none")
            .body(String::new())
            .unwrap()
    }

    pub(crate) fn script(&self, method: Method, path: &str) -> Request<String> {
        self.request(method, path)
            .header(ACCEPT, "*/*")
            .header("sec-fetch-mode", "cors")
            .header("sec-fetch-dest", "empty")
            .header("sec-fetch-site", "same-origin")
            .body(String::new())
            .unwrap()
    }

    pub(crate) async fn send(
        &mut self,
        service: &Login<Inner>,
        request: Request<String>,
    ) -> Answer {
        let answer = service.clone().oneshot(request).await.unwrap();
        self.take_cookies(&answer);
        answer
    }

    pub(crate) fn take_cookies(&mut self, answer: &Answer) {
        for field in answer.headers().get_all(SET_COOKIE) {
            let text = field.to_str().unwrap();
            let (name, rest) = text.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if text.contains("Max-Age=0") {
                self.jar.remove(name);
            } else {
                self.jar.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    pub(crate) async fn visit(&mut self, app: &App, path: &str) -> Answer {
        let request = self.navigation(path);
        self.send(&app.service(), request).await
    }

    pub(crate) async fn fetch(&mut self, app: &App, path: &str) -> Answer {
        let request = self.script(Method::GET, path);
        self.send(&app.service(), request).await
    }

    pub(crate) async fn post(&mut self, app: &App, path: &str) -> Answer {
        let request = self.script(Method::POST, path);
        self.send(&app.service(), request).await
    }

    /// Visits the provider, and returns the address of the callback without visiting it.
    pub(crate) async fn reach_callback(&mut self, app: &App, start: &str) -> String {
        let answer = self.visit(app, start).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{}", answer.body());
        at_provider(location(&answer)).await
    }

    /// Signs in, and returns the answer of the callback.
    pub(crate) async fn try_sign_in(&mut self, app: &App) -> Answer {
        let callback = self.reach_callback(app, "/oauth/openid").await;
        self.visit(app, &callback).await
    }

    pub(crate) async fn sign_in(&mut self, app: &App) {
        let mut browser = testing::Browser::new();
        for (name, value) in &self.jar {
            browser.set_cookie(name, value);
        }
        let (mut service, start) = (app.service(), "/oauth/openid");
        app.idp
            .sign_in_with(&mut browser, &mut service, start)
            .await;
        let cookies = browser.cookies();
        self.jar = cookies
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        assert!(self.jar.contains_key(SESSION), "{:?}", self.jar);
    }

    pub(crate) fn cookies_called(&self, beginning: &str) -> Vec<String> {
        let names = self.jar.keys().filter(|name| name.starts_with(beginning));
        names.cloned().collect()
    }
}

/// Follows an authorization URL, and returns the path and query of the callback it redirects to.
pub(crate) async fn at_provider(url: &str) -> String {
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let answer = client.get(url).send().await.unwrap();
    assert_eq!(answer.status(), 303, "{:?}", answer.text().await);
    let location = answer.headers()[LOCATION].to_str().unwrap();
    location.strip_prefix(SITE).expect(location).to_owned()
}

pub(crate) fn location(answer: &Answer) -> &str {
    answer.headers()[LOCATION].to_str().unwrap()
}

/// The parameters in the query of a URL.
pub(crate) fn query(url: &str) -> BTreeMap<String, String> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect()
}

/// The same URL with a parameter changed, or without it.
pub(crate) fn with(url: &str, name: &str, value: Option<&str>) -> String {
    let path = url.split('?').next().unwrap();
    let mut parameters = query(url);
    match value {
        Some(value) => parameters.insert(name.to_owned(), value.to_owned()),
        None => parameters.remove(name),
    };
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters);
    format!("{path}?{}", query.finish())
}

/// What the log says of a failure: its cause and the remedy. The page says less.
pub(crate) fn told_operators(answer: &Answer) -> String {
    let error = answer.extensions().get::<LoginError>().unwrap();
    assert!(!answer.body().contains("OPENID_"), "{}", answer.body());
    let cause = error.verify_error().map(|error| format!(": {error}"));
    format!("{error}{}. {}", cause.unwrap_or_default(), error.remedy())
}

pub(crate) fn failure(answer: &Answer) -> Option<LoginErrorKind> {
    answer
        .extensions()
        .get::<LoginError>()
        .map(LoginError::kind)
}
