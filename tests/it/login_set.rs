//! A page where people choose how to sign in, and several providers on one site.

use std::convert::Infallible;
use std::sync::Arc;

use http::{Method, Request, StatusCode};
use tower::{Layer, ServiceExt, service_fn};
use tower_oidc::login::{LoginBuilder, LoginLayer, LoginOfSet, LoginSet, MemoryStore, ReturnPath};
use tower_oidc::testing::DevelopmentProvider;
use tower_oidc::{
    BearerLayer, KeyRing, LoginErrorKind as Kind, Principal, RequireLayer, Session, Verifier,
};

use crate::browser::{
    App, Browser, SECRET, at_provider, builder, client, failure, location, query,
};
use crate::faulty_store::FaultyStore;
use crate::support::{API, Answer, Inner, judging};

const STAFF: &str = "__Host-staff";
const GUESTS: &str = "__Host-guests";

/// A site with two providers, whose sessions are in one store and under one secret.
struct Site {
    staff: DevelopmentProvider,
    guests: DevelopmentProvider,
    verifiers: [Verifier; 2],
    store: Arc<FaultyStore>,
    logins: LoginSet,
}

impl Site {
    async fn start() -> Self {
        Self::start_with(|login| login).await
    }

    async fn start_with(choose: impl Fn(LoginBuilder) -> LoginBuilder) -> Self {
        let staff = DevelopmentProvider::start().await.unwrap();
        let guests = DevelopmentProvider::start().await.unwrap();
        guests.set_user("guest-1");
        let verifiers = [&staff, &guests].map(|idp| judging(&idp.provider().unwrap(), API));
        let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
        let [one, two] =
            [("staff", &verifiers[0]), ("guests", &verifiers[1])].map(|(name, verifier)| {
                let login = builder(verifier).with_shared_store(store.clone());
                choose(
                    login
                        .with_path(&format!("/oauth/{name}"))
                        .with_cookie_name(name),
                )
            });
        Self {
            staff,
            guests,
            verifiers,
            store,
            logins: LoginSet::new("/login", [one, two]).unwrap(),
        }
    }

    fn service(&self) -> LoginOfSet<Inner> {
        self.logins.layer(application())
    }

    async fn send(&self, browser: &mut Browser, request: Request<String>) -> Answer {
        let answer = self.service().oneshot(request).await.unwrap();
        browser.take_cookies(&answer);
        answer
    }

    async fn visit(&self, browser: &mut Browser, path: &str) -> Answer {
        let request = browser.navigation(path);
        self.send(browser, request).await
    }

    async fn fetch(&self, browser: &mut Browser, path: &str) -> Answer {
        let request = browser.script(Method::GET, path);
        self.send(browser, request).await
    }

    async fn post(&self, browser: &mut Browser, path: &str) -> Answer {
        let request = browser.script(Method::POST, path);
        self.send(browser, request).await
    }

    /// Signs in by a link of the login page, and returns the answer of the callback.
    async fn sign_in(&self, browser: &mut Browser, at: usize, back_to: &str) -> Answer {
        let back_to = ReturnPath::parse(back_to).unwrap();
        let link = self.logins.layers()[at].sign_in_link(&back_to);
        let answer = self.visit(browser, &link).await;
        let callback = at_provider(location(&answer)).await;
        self.visit(browser, &callback).await
    }
}

/// Answers with the caller's subject and issuer.
fn application() -> Inner {
    let service = service_fn(|request: Request<String>| async move {
        let extensions = request.extensions();
        let subject = extensions.get::<Principal>().and_then(Principal::subject);
        let issuer = extensions.get::<Session>().map(Session::issuer);
        let told = format!("{} {}", subject.unwrap_or("nobody"), issuer.unwrap_or("-"));
        Ok::<_, Infallible>(http::Response::new(told))
    });
    tower::util::BoxCloneSyncService::new(service)
}

// D24
#[tokio::test]
async fn people_choose_a_provider_and_handlers_find_whichever_session_it_is() {
    let site = Site::start().await;
    let mut browser = Browser::default();
    let answer = site.visit(&mut browser, "/inbox?page=2").await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(location(&answer), "/login?return_to=%2Finbox%3Fpage%3D2");
    let page = location(&answer).to_owned();
    assert_eq!(site.visit(&mut browser, &page).await.body(), "nobody -");
    let answer = site.fetch(&mut browser, "/api").await;
    assert_eq!(failure(&answer), Some(Kind::NotSignedIn));
    // The page is open, and not what lies below or beside it.
    for (path, expected) in [("/login/x", 303), ("/Login", 303), ("/login?a=b", 200)] {
        assert_eq!(site.visit(&mut browser, path).await.status(), expected);
    }
    assert_eq!(site.post(&mut browser, "/login").await.status(), 401);

    let back_to = ReturnPath::of_query(page.split_once('?').unwrap().1);
    let (staff, guests) = (site.staff.issuer(), site.guests.issuer());
    for (at, subject, issuer) in [(0, "user-1", staff), (1, "guest-1", guests)] {
        let mut browser = Browser::default();
        let answer = site.sign_in(&mut browser, at, back_to.as_str()).await;
        assert_eq!(location(&answer), "/inbox?page=2");
        let seen = format!("{subject} {issuer}");
        assert_eq!(site.fetch(&mut browser, "/api").await.body(), &seen);
        assert_eq!(site.visit(&mut browser, "/login").await.body(), &seen);
        let sessions = [STAFF, GUESTS].map(|name| browser.jar.contains_key(name));
        assert_eq!(sessions, [at == 0, at == 1]);
    }
    // What a sign-in returns to is a page: no path of either layer, and not the choice.
    for back_to in ["/oauth/guests", "/oauth/staff/callback", "/login"] {
        let answer = site.sign_in(&mut Browser::default(), 0, back_to).await;
        assert_eq!(location(&answer), "/", "{back_to}");
    }
}

// LO-01, LO-18, SC-11, D24
#[tokio::test]
async fn one_path_signs_out_of_whichever_session_there_is() {
    let site = Site::start().await;
    let path = site.logins.sign_out_path().to_owned();
    for (at, cookie, idp) in [(0, STAFF, &site.staff), (1, GUESTS, &site.guests)] {
        let mut browser = Browser::default();
        site.sign_in(&mut browser, at, "/").await;
        let kept = browser.clone();
        let answer = site.visit(&mut browser, &path).await;
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
        let mut foreign = browser.script(Method::POST, &path);
        let cross = http::HeaderValue::from_static("cross-site");
        foreign.headers_mut().insert("sec-fetch-site", cross);
        let answer = site.send(&mut browser, foreign).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        assert_eq!(site.fetch(&mut browser, "/api").await.status(), 200);

        let answer = site.post(&mut browser, &path).await;
        assert!(location(&answer).starts_with(idp.issuer()), "{answer:?}");
        assert!(!browser.jar.contains_key(cookie));
        let answer = site.fetch(&mut kept.clone(), "/api").await;
        assert_eq!(failure(&answer), Some(Kind::SessionEnded));
    }
    let answer = site.post(&mut Browser::default(), &path).await;
    assert_eq!(location(&answer), "/");

    // Both at once.
    let mut browser = Browser::default();
    site.sign_in(&mut browser, 1, "/").await;
    let answer = site.sign_in(&mut browser, 0, "/").await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert!(browser.jar.contains_key(STAFF) && browser.jar.contains_key(GUESTS));
    let seen = format!("user-1 {}", site.staff.issuer());
    assert_eq!(site.fetch(&mut browser, "/api").await.body(), &seen);
    // Away, nothing is changed.
    site.store.break_down();
    let answer = site.post(&mut browser, &path).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(browser.jar.contains_key(STAFF) && browser.jar.contains_key(GUESTS));
    site.store.recover();
    let answer = site.post(&mut browser, &path).await;
    assert!(location(&answer).starts_with(site.staff.issuer()));
    assert!(browser.jar.is_empty(), "{:?}", browser.jar);
}

// SC-05, SC-20
#[tokio::test]
async fn a_session_of_one_layer_is_none_of_another() {
    let site = Site::start().await;
    let mut browser = Browser::default();
    site.sign_in(&mut browser, 0, "/").await;
    let value = browser.jar[STAFF].clone();
    // Under the other name.
    let mut moved = Browser::default();
    moved.jar.insert(GUESTS.to_owned(), value.clone());
    assert_eq!(site.fetch(&mut moved, "/api").await.status(), 401);
    assert!(moved.jar.contains_key(GUESTS), "not ours to clear");
    let ended = site.logins.layers()[1].sessions();
    let staff = site.staff.issuer();
    assert!(ended.list(staff, "user-1").await.unwrap().is_empty());
    assert_eq!(ended.end_all(staff, "user-1").await.unwrap(), 0);
    // Another layer with the same cookie name, the same secret and the same store.
    let other = builder(&site.verifiers[1])
        .with_shared_store(site.store.clone())
        .with_path("/oauth/guests")
        .with_cookie_name("staff")
        .build()
        .unwrap();
    let request = browser.script(Method::GET, "/api");
    let answer = other.layer(application()).oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    // A sign-in that began at one is not finished by the other.
    let mut confused = Browser::default();
    let answer = site.visit(&mut confused, "/oauth/staff").await;
    let callback = at_provider(location(&answer)).await;
    for (name, value) in confused.jar.clone() {
        confused.jar.insert(name.replace("staff", "guests"), value);
    }
    let callback = callback.replace("/oauth/staff", "/oauth/guests");
    let answer = site.visit(&mut confused, &callback).await;
    assert_eq!(failure(&answer), Some(Kind::UnknownAttempt));
    assert_eq!(site.guests.hits().token, 0, "the code was not sent");
    assert_eq!(site.fetch(&mut browser, "/api").await.status(), 200);
}

// LO-05, LO-12
#[tokio::test]
async fn each_provider_signs_out_its_own_people() {
    let site = Site::start().await;
    let mut browsers = [Browser::default(), Browser::default()];
    for (at, browser) in browsers.iter_mut().enumerate() {
        site.sign_in(browser, at, "/").await;
    }
    let token = site.guests.logout_token("development").subject("guest-1");
    let token = token.build();
    let logout = |path: &str| {
        Request::post(path)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("logout_token={token}"))
            .unwrap()
    };
    let mut provider = Browser::default();
    let refused = logout("/oauth/staff/backchannel-logout");
    assert_eq!(site.send(&mut provider, refused).await.status(), 400);
    let accepted = logout("/oauth/guests/backchannel-logout");
    assert_eq!(site.send(&mut provider, accepted).await.status(), 200);
    let [staff, guest] = &mut browsers;
    assert_eq!(site.fetch(staff, "/api").await.status(), 200);
    // The one that ended has its cookie cleared, and goes to the choice.
    let answer = site.visit(guest, "/inbox").await;
    assert_eq!(location(&answer), "/login?return_to=%2Finbox");
    assert!(!guest.jar.contains_key(GUESTS));
    assert!(site.logins.drain(std::time::Duration::MAX).await);
}

// D24
#[tokio::test]
async fn tokens_of_programs_pass_and_what_is_required_leads_to_the_choice() {
    let site = Site::start_with(|login| login.allow_anonymous().add_open_path("/healthz")).await;
    let bearer = BearerLayer::new(site.verifiers[0].clone()).allow_anonymous();
    let inner = RequireLayer::authenticated().layer(application());
    let inner: Inner = tower::util::BoxCloneSyncService::new(inner);
    let service = bearer.layer(site.logins.layer(inner));
    let send = |request: Request<String>| service.clone().oneshot(request);
    let token = site.staff.token(API).subject("robot").build();
    let mut request = Browser::default().script(Method::GET, "/api");
    let value = format!("Bearer {token}").parse().unwrap();
    request.headers_mut().insert("authorization", value);
    assert_eq!(send(request).await.unwrap().body(), "robot -");

    let page = Browser::default().navigation("/inbox");
    let answer = send(page).await.unwrap();
    assert_eq!(location(&answer), "/login?return_to=%2Finbox");
    let script = Browser::default().script(Method::GET, "/inbox");
    assert_eq!(send(script).await.unwrap().status(), 401);
    // A page of choice that requires a caller leads nowhere, and not in a circle.
    let page = Browser::default().navigation("/login");
    assert_eq!(send(page).await.unwrap().status(), 401);
    let mut browser = Browser::default();
    assert_eq!(
        site.visit(&mut browser, "/healthz").await.body(),
        "nobody -"
    );
}

// D24, SC-20
#[tokio::test]
async fn layers_of_two_providers_can_be_stacked_by_hand_too() {
    let site = Site::start().await;
    let [outer, inner] = [("staff", 0), ("guests", 1)].map(|(name, at)| {
        builder(&site.verifiers[at])
            .with_shared_store(site.store.clone())
            .with_path(&format!("/oauth/{name}"))
            .with_cookie_name(name)
            .with_login_page("/login")
    });
    let (outer, inner) = (outer.allow_anonymous().build(), inner.build());
    let service = outer.unwrap().layer(inner.unwrap().layer(application()));
    for at in [0, 1] {
        let mut browser = Browser::default();
        site.sign_in(&mut browser, at, "/").await;
        let request = browser.script(Method::GET, "/api");
        let answer = service.clone().oneshot(request).await.unwrap();
        let subject = ["user-1", "guest-1"][at];
        assert!(answer.body().starts_with(subject), "{}", answer.body());
    }
    let page = Browser::default().navigation("/inbox");
    let answer = service.clone().oneshot(page).await.unwrap();
    assert_eq!(location(&answer), "/login?return_to=%2Finbox");
    let page = Browser::default().navigation("/login");
    assert_eq!(service.oneshot(page).await.unwrap().status(), 200);
}

// LG-10, LG-11
#[tokio::test]
async fn one_layer_can_have_a_login_page_too() {
    let app = App::start_with(|login| login.with_login_page("/welcome")).await;
    let mut browser = Browser::default();
    let answer = browser.visit(&app, "/inbox").await;
    assert_eq!(location(&answer), "/welcome?return_to=%2Finbox");
    assert_eq!(browser.visit(&app, "/welcome").await.body(), "nobody");
    let answer = browser.visit(&app, "/oauth/openid/callback?state=a").await;
    assert!(
        answer.body().contains("href=\"/welcome?return_to=%2F\""),
        "{}",
        answer.body()
    );
    for (asked, back_to) in [
        ("return_to=%2Fa", "/a"),
        ("return_to=https%3A%2F%2Fevil.example", "/"),
        ("return_to=%2F%2Fevil.example", "/"),
        ("return_to=%2Fa&return_to=%2Fb", "/"),
        ("", "/"),
    ] {
        assert_eq!(ReturnPath::of_query(asked).as_str(), back_to, "{asked}");
    }
    let link = app
        .layer
        .sign_in_link(&ReturnPath::parse("/a?b=c&d").unwrap());
    assert_eq!(query(&link)["return_to"], "/a?b=c&d");
    for bad in [
        "login",
        "/",
        "//a",
        "/a?b",
        "https://a.example/",
        "/oauth/openid",
        "/a/..",
    ] {
        let built = builder(&app.verifier).with_login_page(bad).build();
        assert_eq!(built.unwrap_err().setting(), "login page", "{bad}");
    }
}

#[tokio::test]
async fn layers_that_cannot_be_told_apart_do_not_build() {
    let app = App::start().await;
    let login = |path: &str, name: &str| {
        builder(&app.verifier)
            .with_path(path)
            .with_cookie_name(name)
    };
    let keys = KeyRing::new([SECRET]).unwrap();
    let elsewhere = "https://other.example.com";
    let elsewhere = LoginLayer::builder(app.verifier.clone(), client(), elsewhere, keys)
        .with_path("/b")
        .with_cookie_name("b");
    let cases = [
        (vec![], "login page"),
        (vec![login("/a", "a"), login("/a", "b")], "path"),
        (
            vec![
                login("/a", "a"),
                login("/b", "b").with_callback_path("/a/logout"),
            ],
            "path",
        ),
        (vec![login("/a", "a"), login("/b", "a")], "cookie name"),
        (
            vec![login("/a", "a"), login("/b", "a-login-1")],
            "cookie name",
        ),
        (
            vec![login("/a", "a-sign-out"), login("/b", "a")],
            "cookie name",
        ),
        (
            vec![login("/a", "a"), login("/b", "a-silent")],
            "cookie name",
        ),
        (vec![login("/a", "a"), elsewhere], "address"),
        (vec![login("/login", "a"), login("/b", "b")], "login page"),
        (
            vec![
                login("/a", "a"),
                login("/b", "b").with_callback_path("/login"),
            ],
            "login page",
        ),
    ];
    for (builders, setting) in cases {
        let error = LoginSet::new("/login", builders).unwrap_err();
        assert_eq!(error.setting(), setting, "{error}");
    }
    let good = || LoginSet::new("/login", [login("/a", "a"), login("/b", "b")]).unwrap();
    for bad in ["/login", "/a/logout", "/b", "sign-out", "/"] {
        assert!(good().with_sign_out_path(bad).is_err(), "{bad}");
    }
    assert_eq!(
        good().with_sign_out_path("/bye").unwrap().sign_out_path(),
        "/bye"
    );
}
