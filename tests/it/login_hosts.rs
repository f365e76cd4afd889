//! Several sites in one program: the host chooses one, and nothing of one site counts at another.

use std::convert::Infallible;
use std::sync::Arc;

use http::header::HOST;
use http::{HeaderValue, Method, Request, StatusCode};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_oidc::login::{LoginBuilder, LoginHosts, LoginSet, LoginSite, MemoryStore, Page};
use tower_oidc::testing::DevelopmentProvider;
use tower_oidc::{
    BearerLayer, Client, KeyRing, LoginErrorKind as Kind, LoginLayer, Principal, Session, Verifier,
};
use tracing::Level;

use crate::browser::{Browser, SECRET, SESSION, client, failure, location, query};
use crate::log::Log;
use crate::support::{API, Answer, Inner, judging, judging_as, parameter};

pub(crate) const A: &str = "https://a.example";
pub(crate) const B: &str = "https://b.example";

/// Two sites with a provider each, whose sessions are in one store and under one secret.
struct Sites {
    idps: [DevelopmentProvider; 2],
    verifiers: [Verifier; 2],
    store: Arc<MemoryStore>,
    hosts: LoginHosts,
}

impl Sites {
    async fn start() -> Self {
        let idps = [(); 2].map(|()| DevelopmentProvider::start());
        let [one, two] = idps;
        let idps = [one.await.unwrap(), two.await.unwrap()];
        idps[1].set_user("user-2");
        let verifiers = [0, 1].map(|at| judging(&idps[at].provider().unwrap(), API));
        let store = Arc::new(MemoryStore::new());
        let layers = [(A, 0), (B, 1)].map(|(address, at)| {
            let login = site(&verifiers[at], address).with_shared_store(store.clone());
            login.build().unwrap()
        });
        let hosts = LoginHosts::new(layers).unwrap();
        Self {
            idps,
            verifiers,
            store,
            hosts,
        }
    }

    /// The same program with another site in the second place.
    fn beside(&self, other: LoginLayer) -> LoginHosts {
        let first = self.hosts.sites().swap_remove(0);
        LoginHosts::new([first, other.into()]).unwrap()
    }
}

pub(crate) fn site(verifier: &Verifier, address: &str) -> LoginBuilder {
    let keys = KeyRing::new([SECRET]).unwrap();
    LoginLayer::builder(verifier.clone(), client(), address, keys)
}

/// Answers with the caller's subject and issuer.
pub(crate) fn application() -> Inner {
    let service = service_fn(|request: Request<String>| async move {
        let extensions = request.extensions();
        let subject = extensions.get::<Principal>().and_then(Principal::subject);
        let issuer = extensions.get::<Session>().map(Session::issuer);
        let told = format!("{} {}", subject.unwrap_or("nobody"), issuer.unwrap_or("-"));
        Ok::<_, Infallible>(http::Response::new(told))
    });
    tower::util::BoxCloneSyncService::new(service)
}

pub(crate) fn at(host: &str, mut request: Request<String>) -> Request<String> {
    let host = HeaderValue::from_str(host).unwrap();
    request.headers_mut().insert(HOST, host);
    request
}

pub(crate) async fn send(hosts: &LoginHosts, request: Request<String>) -> Answer {
    let service = hosts.layer(application());
    service.oneshot(request).await.unwrap()
}

pub(crate) async fn visit(
    hosts: &LoginHosts,
    browser: &mut Browser,
    host: &str,
    path: &str,
) -> Answer {
    let answer = send(hosts, at(host, browser.navigation(path))).await;
    browser.take_cookies(&answer);
    answer
}

pub(crate) async fn fetch(hosts: &LoginHosts, browser: &Browser, host: &str, path: &str) -> Answer {
    send(hosts, at(host, browser.script(Method::GET, path))).await
}

/// Goes to the provider, and returns the path of the callback without visiting it.
pub(crate) async fn callback(url: &str, address: &str) -> String {
    assert_eq!(
        query(url)["redirect_uri"],
        format!("{address}/oauth/openid/callback")
    );
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let answer = client.get(url).send().await.unwrap();
    let location = answer.headers()["location"].to_str().unwrap();
    location.strip_prefix(address).expect(location).to_owned()
}

/// Signs in at the site of this host, whose address is configured.
pub(crate) async fn sign_in(hosts: &LoginHosts, host: &str, address: &str) -> Browser {
    let mut browser = Browser::default();
    let answer = visit(hosts, &mut browser, host, "/oauth/openid").await;
    let callback = callback(location(&answer), address).await;
    let answer = visit(hosts, &mut browser, host, &callback).await;
    assert_eq!(location(&answer), "/", "{}", answer.body());
    assert!(browser.jar.contains_key(SESSION));
    browser
}

// D39
#[tokio::test]
async fn the_host_chooses_the_site_whose_addresses_are_the_configured_ones() {
    let sites = Sites::start().await;
    let hosts = &sites.hosts;
    let (a, b) = (sites.idps[0].issuer(), sites.idps[1].issuer());
    for (host, address, seen) in [
        ("a.example", A, format!("user-1 {a}")),
        ("A.EXAMPLE:443", A, format!("user-1 {a}")),
        ("b.example", B, format!("user-2 {b}")),
    ] {
        let browser = sign_in(hosts, host, address).await;
        assert_eq!(fetch(hosts, &browser, host, "/api").await.body(), &seen);
        // As HTTP/2 has it.
        let mut request = browser.script(Method::GET, "/api");
        *request.uri_mut() = format!("{address}/api").parse().unwrap();
        assert_eq!(send(hosts, request).await.body(), &seen);
    }
    // What a proxy, or anyone else, adds counts for nothing.
    let mut request = at("a.example", Browser::default().navigation("/oauth/openid"));
    for name in ["x-forwarded-host", "x-original-host", "x-host"] {
        request
            .headers_mut()
            .insert(name, HeaderValue::from_static("b.example"));
    }
    let forwarded = HeaderValue::from_static("host=b.example;proto=http");
    request.headers_mut().insert("forwarded", forwarded);
    let answer = send(hosts, request).await;
    assert!(location(&answer).starts_with(a), "{}", location(&answer));
    callback(location(&answer), A).await;
    let addresses: Vec<_> = hosts.sites().iter().map(LoginSite::address).collect();
    assert_eq!(addresses, [A, B]);
}

// SC-05, SC-20, D39
#[tokio::test]
async fn a_session_of_one_site_is_none_of_another_with_the_same_provider() {
    let sites = Sites::start().await;
    // The same provider, client, store, secrets and cookie name. Only the address differs.
    let twin = site(&sites.verifiers[0], B).with_shared_store(sites.store.clone());
    let hosts = &sites.beside(twin.build().unwrap());
    let mut browser = sign_in(hosts, "a.example", A).await;
    assert_eq!(fetch(hosts, &browser, "a.example", "/").await.status(), 200);

    let mut carried = browser.clone();
    let answer = fetch(hosts, &carried, "b.example", "/").await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let answer = visit(hosts, &mut carried, "b.example", "/").await;
    assert!(location(&answer).starts_with("/oauth/openid"));
    assert_eq!(carried.jar[SESSION], browser.jar[SESSION], "left alone");
    // The application of the other site neither sees nor ends it.
    let issuer = sites.idps[0].issuer();
    let [here, there] = [0, 1].map(|at| hosts.sites()[at].layers()[0].sessions());
    assert!(there.list(issuer, "user-1").await.unwrap().is_empty());
    assert_eq!(there.end_all(issuer, "user-1").await.unwrap(), 0);
    assert_eq!(here.list(issuer, "user-1").await.unwrap().len(), 1);
    assert_eq!(fetch(hosts, &browser, "a.example", "/").await.status(), 200);

    // A sign-in that began at one is not finished by the other.
    browser.jar.clear();
    let answer = visit(hosts, &mut browser, "a.example", "/oauth/openid").await;
    let callback = callback(location(&answer), A).await;
    let asked = sites.idps[0].hits().token;
    let answer = visit(hosts, &mut browser.clone(), "b.example", &callback).await;
    assert_eq!(failure(&answer), Some(Kind::UnknownAttempt));
    assert_eq!(sites.idps[0].hits().token, asked, "the code was not sent");
    let answer = visit(hosts, &mut browser, "a.example", &callback).await;
    assert_eq!(location(&answer), "/");
}

// D39
#[tokio::test]
async fn an_unknown_host_is_421_and_nothing_of_it_is_told_back() {
    let sites = Sites::start().await;
    let browser = sign_in(&sites.hosts, "a.example", A).await;
    let log = Log::default();
    let guard = log.capture();
    for host in [
        "evil.test",
        "127.0.0.1:3080",
        "a.example.evil.test",
        "a.example.",
        "a.example:80",
        "a.example:8443",
        "xa.example",
        "example",
    ] {
        for path in [
            "/",
            "/oauth/openid",
            "/oauth/openid/callback?code=a&state=b",
        ] {
            let page = send(&sites.hosts, at(host, browser.navigation(path))).await;
            let script = fetch(&sites.hosts, &browser, host, path).await;
            for (answer, kind) in [(&page, "text/html"), (&script, "application/problem+json")] {
                assert_eq!(answer.status(), StatusCode::MISDIRECTED_REQUEST, "{host}");
                assert_eq!(failure(answer), Some(Kind::UnknownHost));
                let content_type = answer.headers()["content-type"].to_str().unwrap();
                assert!(content_type.starts_with(kind));
                let told = format!("{:?} {}", answer.headers(), answer.body());
                assert!(!told.contains("evil.test") && !told.contains("127.0.0.1"));
                assert!(!told.contains(A) && !told.contains("OPENID_"), "{told}");
                for absent in ["location", "set-cookie", "www-authenticate"] {
                    assert!(!answer.headers().contains_key(absent), "{absent}");
                }
            }
        }
    }
    drop(guard);
    let warnings = log.at(Level::WARN);
    assert_eq!(warnings.len(), 1, "once in ten seconds: {warnings:?}");
    assert!(warnings[0].contains("evil.test"), "{warnings:?}");
    assert!(warnings[0].contains("ProxyPreserveHost"), "{warnings:?}");
    // An application has its own page for it.
    let pages = |page: &Page| http::Response::new(format!("{:?}", page.error().kind()));
    let service = sites.hosts.clone().on_page(pages).layer(application());
    let request = at("evil.test", Browser::default().navigation("/"));
    let answer: Answer = service.oneshot(request).await.unwrap();
    assert_eq!(answer.body(), "UnknownHost");
    assert_eq!(answer.status(), StatusCode::MISDIRECTED_REQUEST);
}

// D39
#[tokio::test]
async fn a_request_with_no_host_or_two_that_differ_is_refused() {
    let sites = Sites::start().await;
    let hosts = sites.hosts.clone().with_open_paths(["/healthz"]).unwrap();
    let browser = sign_in(&hosts, "a.example", A).await;
    let mut bad = Vec::new();
    bad.push(browser.script(Method::GET, "/api"));
    let mut twice = at("a.example", browser.script(Method::GET, "/api"));
    let other = HeaderValue::from_static("b.example");
    twice.headers_mut().append(HOST, other);
    bad.push(twice);
    for path in ["/api", "/healthz"] {
        let mut differing = at("b.example", browser.script(Method::GET, "/"));
        *differing.uri_mut() = format!("{A}{path}").parse().unwrap();
        bad.push(differing);
    }
    bad.push(at("a.example@b.example", browser.script(Method::GET, "/")));
    bad.push(at("", browser.script(Method::GET, "/")));
    for request in bad {
        let shown = format!("{request:?}");
        let answer = send(&hosts, request).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{shown}");
        assert_eq!(failure(&answer), Some(Kind::MalformedHost));
    }
}

// SC-17, D39
#[tokio::test]
async fn open_paths_pass_at_every_host_and_nothing_else_does() {
    let sites = Sites::start().await;
    let open = |paths: &[&'static str]| {
        let hosts = sites.hosts.clone();
        hosts.with_open_paths(paths.iter().copied())
    };
    let hosts = open(&["/healthz", "/assets/"]).unwrap();
    let browser = sign_in(&hosts, "a.example", A).await;
    for host in ["10.0.0.7:3080", "[fd00::7]:3080", "b.example", "a.example"] {
        for path in ["/healthz", "/assets/a.css"] {
            let answer = fetch(&hosts, &browser, host, path).await;
            assert_eq!(answer.body(), "nobody -", "{host} {path}");
            assert!(!answer.headers().contains_key("vary"));
        }
    }
    let without_host = browser.script(Method::GET, "/healthz");
    assert_eq!(send(&hosts, without_host).await.status(), 200, "HTTP/1.0");
    for (method, path) in [
        (Method::POST, "/healthz"),
        (Method::GET, "/healthz/x"),
        (Method::GET, "/assets/../api"),
        (Method::GET, "/"),
    ] {
        let request = at("10.0.0.7", browser.script(method, path));
        assert_eq!(send(&hosts, request).await.status(), 421, "{path}");
    }
    for bad in ["/", "healthz", "/oauth/openid", "/oauth/"] {
        assert_eq!(open(&[bad]).unwrap_err().setting(), "open path", "{bad}");
    }
}

// D39
#[tokio::test]
async fn sites_that_could_be_taken_for_each_other_do_not_build() {
    let sites = Sites::start().await;
    let site = |address: &str, cookie: &str| {
        let login = site(&sites.verifiers[0], address).with_cookie_name(cookie);
        login.build().unwrap()
    };
    let none: [LoginLayer; 0] = [];
    assert_eq!(LoginHosts::new(none).unwrap_err().setting(), "address");
    for (one, two, setting) in [
        ((A, "session"), (A, "session"), "address"),
        (
            (A, "session"),
            ("https://A.example:443/", "other"),
            "address",
        ),
        (
            (A, "session"),
            ("https://a.example/app", "other"),
            "address",
        ),
        (
            (A, "session"),
            ("https://a.example:8443", "session"),
            "cookie name",
        ),
        (
            (A, "session"),
            ("https://a.example:8443", "session-login-1"),
            "cookie name",
        ),
    ] {
        let built = LoginHosts::new([site(one.0, one.1), site(two.0, two.1)]);
        assert_eq!(built.unwrap_err().setting(), setting, "{one:?} {two:?}");
    }
    let by_port = [site(A, "session"), site("https://a.example:8443", "other")];
    let hosts = LoginHosts::new(by_port).unwrap();
    for (host, expected) in [
        ("a.example", StatusCode::SEE_OTHER),
        ("a.example:443", StatusCode::SEE_OTHER),
        ("a.example:8443", StatusCode::SEE_OTHER),
        ("a.example:444", StatusCode::MISDIRECTED_REQUEST),
    ] {
        let answer = visit(&hosts, &mut Browser::default(), host, "/").await;
        assert_eq!(answer.status(), expected, "{host}");
    }
}

// D24, D39
#[tokio::test]
async fn a_site_may_have_several_providers() {
    let sites = Sites::start().await;
    let [staff, guests] = [("staff", 0), ("guests", 1)].map(|(name, at)| {
        site(&sites.verifiers[at], B)
            .with_shared_store(sites.store.clone())
            .with_path(&format!("/oauth/{name}"))
            .with_cookie_name(name)
    });
    let set = LoginSet::new("/login", [staff, guests]).unwrap();
    let sign_out = set.sign_out_path().to_owned();
    let a = site(&sites.verifiers[0], A).build().unwrap();
    let hosts = LoginHosts::new([LoginSite::from(a), set.into()]).unwrap();
    let answer = visit(&hosts, &mut Browser::default(), "a.example", "/").await;
    assert_eq!(location(&answer), "/oauth/openid?return_to=%2F");
    let mut browser = Browser::default();
    let answer = visit(&hosts, &mut browser, "b.example", "/").await;
    assert_eq!(location(&answer), "/login?return_to=%2F");
    let answer = visit(&hosts, &mut browser, "b.example", "/login").await;
    assert_eq!(answer.body(), "nobody -");
    let [_, b] = &hosts.sites()[..] else {
        panic!("two sites")
    };
    let start = b.layers()[1].sign_in_path();
    let answer = visit(&hosts, &mut browser, "b.example", start).await;
    let url = location(&answer).to_owned();
    assert_eq!(query(&url)["redirect_uri"], b.layers()[1].redirect_uri());
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let answer = client.build().unwrap().get(&url).send().await.unwrap();
    let callback = answer.headers()["location"].to_str().unwrap();
    let callback = callback.strip_prefix(B).unwrap();
    visit(&hosts, &mut browser, "b.example", callback).await;
    let seen = format!("user-2 {}", sites.idps[1].issuer());
    let answer = fetch(&hosts, &browser, "b.example", "/api").await;
    assert_eq!(answer.body(), &seen);
    let request = browser.script(Method::POST, &sign_out);
    let answer = send(&hosts, at("b.example", request)).await;
    assert!(location(&answer).starts_with(sites.idps[1].issuer()));
    let answer = fetch(&hosts, &browser, "b.example", "/api").await;
    assert_eq!(failure(&answer), Some(Kind::SessionEnded));
    // The path that signs out of the set is its own.
    let opened = hosts.with_open_paths([&*sign_out]).unwrap_err();
    assert_eq!(opened.setting(), "open path");
}

// CL-06, D39
#[tokio::test]
async fn a_bearer_token_for_one_site_is_refused_at_another() {
    const OF_A: &str = "https://api.a.example";
    const OF_B: &str = "https://api.b.example";
    let sites = Sites::start().await;
    let [a, b] = [0, 1].map(|at| sites.idps[at].provider().unwrap());
    let own = [judging(&a, OF_A), judging(&b, OF_B)];
    // One layer for the tokens of both. By itself it takes either audience from either issuer.
    let both = judging_as(&a, OF_A).add_provider(&b).add_audience(OF_B);
    let bearer = BearerLayer::new(both.build().unwrap()).allow_anonymous();
    let layers = [(A, 0), (B, 1)].map(|(address, at)| site(&own[at], address).build().unwrap());
    let hosts = LoginHosts::new(layers).unwrap();
    let ask = async |hosts: &LoginHosts, host: &str, at_idp: usize, audience: &str| {
        let token = sites.idps[at_idp].token(audience).subject("robot").build();
        let mut request = at(host, Browser::default().script(Method::GET, "/api"));
        let value = format!("Bearer {token}").parse().unwrap();
        request.headers_mut().insert("authorization", value);
        let service = bearer.layer(hosts.layer(application()));
        service.oneshot(request).await.unwrap()
    };
    for (host, at_idp, audience, passes) in [
        ("a.example", 0, OF_A, true),
        ("b.example", 1, OF_B, true),
        ("b.example", 0, OF_A, false),
        ("a.example", 1, OF_B, false),
        ("a.example", 0, OF_B, false),
        ("a.example", 1, OF_A, false),
    ] {
        let answer = ask(&hosts, host, at_idp, audience).await;
        if passes {
            assert_eq!(answer.body(), "robot -", "{host} {at_idp} {audience}");
        } else {
            assert_eq!(answer.status(), 401, "{host} {at_idp} {audience}");
            assert_eq!(parameter(&answer, "error").unwrap(), "invalid_token");
            assert!(answer.body().is_empty());
        }
    }
    // A site that knows its users by ID tokens says which access tokens count.
    let keys = KeyRing::new([SECRET]).unwrap();
    let client = Client::with_secret("development", "development-secret").unwrap();
    let identity = LoginLayer::identity(&b, client, B, keys).build().unwrap();
    let a = LoginSite::from(hosts.sites()[0].layers()[0].clone());
    let without = LoginHosts::new([a.clone(), identity.clone().into()]).unwrap();
    assert_eq!(ask(&without, "b.example", 1, OF_B).await.status(), 401);
    let with = LoginSite::from(identity).with_bearer_verifier(&own[1]);
    let with = LoginHosts::new([a, with]).unwrap();
    assert_eq!(ask(&with, "b.example", 1, OF_B).await.body(), "robot -");
    assert_eq!(ask(&with, "b.example", 0, OF_A).await.status(), 401);
}

/// A service that must be ready when it is called, and is ready once.
#[derive(Debug)]
pub(crate) struct OnceReady(bool);

impl OnceReady {
    pub(crate) const fn new() -> Self {
        Self(false)
    }
}

impl Clone for OnceReady {
    fn clone(&self) -> Self {
        Self(false)
    }
}

impl Service<Request<String>> for OnceReady {
    type Response = Answer;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Answer, Infallible>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        self.0 = true;
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<String>) -> Self::Future {
        assert!(std::mem::take(&mut self.0), "called before it was ready");
        let path = request.uri().path().to_owned();
        std::future::ready(Ok(http::Response::new(path)))
    }
}

#[tokio::test]
async fn the_inner_service_is_ready_when_it_is_called() {
    let sites = Sites::start().await;
    let open = site(&sites.verifiers[1], B).allow_anonymous();
    let hosts = sites.beside(open.build().unwrap());
    let mut service = hosts.layer(OnceReady::new());
    for _ in 0..3 {
        let request = at("b.example", Browser::default().script(Method::GET, "/x"));
        let answer = service.ready().await.unwrap().call(request).await.unwrap();
        assert_eq!(answer.body(), "/x");
    }
}
