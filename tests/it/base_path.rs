//! A site below a path of its host, whose proxy takes that path off: browsers see it in every address, requests
//! come without it.

use http::{Method, StatusCode};
use serde_json::Value;
use tower::{Layer, ServiceExt};
use tower_oidc::login::{LoginBuilder, LoginSet, ReturnPath};
use tower_oidc::{KeyRing, LoginErrorKind as Kind, LoginLayer};

use crate::browser::{
    App, Browser, SECRET, SESSION, SITE, at_provider, client, failure, location, query,
};

const BASE: &str = "/app";

async fn app_below(choose: impl FnOnce(LoginBuilder) -> LoginBuilder) -> App {
    let mut app = App::start().await;
    let keys = KeyRing::new([SECRET]).unwrap();
    let address = format!("{SITE}{BASE}/");
    let login = LoginLayer::builder(app.verifier.clone(), client(), &address, keys);
    let login = login.with_shared_store(app.store.clone());
    app.layer = choose(login).build().unwrap();
    app
}

/// What the proxy makes of the path that a browser asks for.
fn passed_on(public: &str) -> &str {
    let path = public
        .strip_prefix(BASE)
        .unwrap_or_else(|| panic!("{public} is not below {BASE}"));
    assert!(path.starts_with('/'), "{public}");
    path
}

// SC-21, LG-09, LG-10, SC-01
#[tokio::test]
async fn a_sign_in_behind_a_proxy_that_takes_a_prefix_off() {
    let app = app_below(|login| login).await;
    assert_eq!(app.layer.base_path(), BASE);
    assert_eq!(app.layer.sign_in_path(), "/app/oauth/openid");
    assert_eq!(app.layer.sign_out_path(), "/app/oauth/openid/logout");
    let callback_url = format!("{SITE}/app/oauth/openid/callback");
    assert_eq!(app.layer.redirect_uri(), callback_url);
    let mut browser = Browser::default();
    let answer = browser.visit(&app, "/orders?page=2").await;
    let start = location(&answer).to_owned();
    assert_eq!(
        start,
        "/app/oauth/openid?return_to=%2Fapp%2Forders%3Fpage%3D2"
    );
    let answer = browser.visit(&app, passed_on(&start)).await;
    assert_eq!(query(location(&answer))["redirect_uri"], callback_url);
    let field = answer.headers()["set-cookie"].to_str().unwrap();
    assert!(field.starts_with("__Host-") && field.contains("; Path=/;"));
    let callback = at_provider(location(&answer)).await;
    let answer = browser.visit(&app, passed_on(&callback)).await;
    assert_eq!(location(&answer), "/app/orders?page=2");
    assert!(browser.jar.contains_key(SESSION));
    let answer = browser.visit(&app, "/orders?page=2").await;
    assert_eq!(answer.body(), "user-1");
    // The answer a second time leads to the site, and so do other paths of the host.
    let answer = browser.visit(&app, passed_on(&callback)).await;
    assert_eq!(location(&answer), "/app/");
    for elsewhere in [
        "/",
        "/orders",
        "/apple",
        "//evil.example",
        "/app/oauth/openid",
    ] {
        let start = format!("/oauth/openid?again=1&return_to={elsewhere}");
        let answer = browser.visit(&app, &start).await;
        assert_eq!(location(&answer), "/app/", "{elsewhere}");
    }
    // A page that says what is wrong links to the start.
    let answer = Browser::default()
        .visit(&app, "/oauth/openid/callback?state=x")
        .await;
    assert_eq!(failure(&answer), Some(Kind::UnknownAttempt));
    let link = "href=\"/app/oauth/openid?return_to=%2Fapp%2F\"";
    assert!(answer.body().contains(link), "{}", answer.body());
}

// SC-21, LO-01, LO-03
#[tokio::test]
async fn a_sign_out_behind_such_a_proxy_comes_back_to_the_site() {
    let app = app_below(|login| login).await;
    let mut browser = Browser::default();
    browser.sign_in_below(&app).await;
    let answer = browser
        .post(&app, "/oauth/openid/logout?return_to=/app/bye")
        .await;
    let asked = query(location(&answer));
    assert_eq!(asked["post_logout_redirect_uri"], format!("{SITE}/app/"));
    let back = format!("/?state={}", asked["state"]);
    let answer = browser.visit(&app, &back).await;
    assert_eq!(location(&answer), "/app/bye");
    // Another page of the host is not this site's.
    let app = app_below(|login| login.with_post_logout_redirect(SITE)).await;
    let mut browser = Browser::default();
    browser.sign_in_below(&app).await;
    let answer = browser
        .post(&app, "/oauth/openid/logout?return_to=/app/bye")
        .await;
    assert!(!query(location(&answer)).contains_key("state"));
    let app = app_below(LoginBuilder::without_provider_sign_out).await;
    let mut browser = Browser::default();
    browser.sign_in_below(&app).await;
    for (return_to, expected) in [("/app/bye", "/app/bye"), ("/bye", "/app/"), ("", "/app/")] {
        let path = format!("/oauth/openid/logout?return_to={return_to}");
        let answer = browser.post(&app, &path).await;
        assert_eq!(location(&answer), expected, "{return_to}");
    }
}

// SC-21
#[tokio::test]
async fn a_proxy_that_keeps_the_prefix_is_named_at_the_first_request() {
    let app = app_below(|login| login).await;
    let mut browser = Browser::default();
    for (method, path) in [
        (Method::GET, "/app/oauth/openid"),
        (Method::GET, "/app/oauth/openid/callback?code=x&state=y"),
        (Method::POST, "/app/oauth/openid/logout"),
    ] {
        let request = browser.script(method, path);
        let answer = browser.send(&app.service(), request).await;
        assert_eq!(failure(&answer), Some(Kind::BasePathKept), "{path}");
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let error = answer.extensions().get::<tower_oidc::LoginError>().unwrap();
        for cure in ["handle_path", "DOMAIN_SERVER", "OPENID_PATH"] {
            assert!(error.remedy().contains(cure), "{}", error.remedy());
        }
    }
    // Pages of the application may be called like the prefix.
    let answer = browser.visit(&app, "/app/page").await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
}

// SC-21, SC-19
#[tokio::test]
async fn what_a_script_reads_of_its_session_names_addresses_of_browsers() {
    let app = app_below(|login| login.with_session_information(["sub"])).await;
    let mut browser = Browser::default();
    browser.sign_in_below(&app).await;
    let request = browser.script(Method::GET, "/oauth/openid/session");
    let answer = browser.send(&app.service(), request).await;
    let told: Value = serde_json::from_str(answer.body()).unwrap();
    assert_eq!(told["sign_out"], "/app/oauth/openid/logout", "{told}");
}

// SC-21, SC-20, D24
#[tokio::test]
async fn a_set_of_layers_and_its_login_page_behind_such_a_proxy() {
    let app = App::start().await;
    let address = format!("{SITE}{BASE}");
    let login = |address: &str, name: &str| {
        let keys = KeyRing::new([SECRET]).unwrap();
        LoginLayer::builder(app.verifier.clone(), client(), address, keys)
            .with_shared_store(app.store.clone())
            .with_path(&format!("/oauth/{name}"))
            .with_cookie_name(name)
    };
    let both = || ["staff", "guests"].map(|name| login(&address, name));
    let set = LoginSet::new("/login", both()).unwrap();
    assert_eq!(set.sign_out_path(), "/app/oauth/sign-out");
    let mut browser = Browser::default();
    let service = || set.layer(app.inner.clone());
    let request = browser.navigation("/orders");
    let answer = service().oneshot(request).await.unwrap();
    assert_eq!(location(&answer), "/app/login?return_to=%2Fapp%2Forders");
    let page = passed_on(location(&answer)).to_owned();
    let answer = service().oneshot(browser.navigation(&page)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let back_to = ReturnPath::of_query(page.split_once('?').unwrap().1);
    let [staff, _] = set.layers() else { panic!() };
    let link = staff.sign_in_link(&back_to);
    assert_eq!(link, "/app/oauth/staff?return_to=%2Fapp%2Forders");
    let home = "/app/oauth/staff?return_to=%2Fapp%2F";
    assert_eq!(staff.sign_in_link(&ReturnPath::default()), home);
    // Neither the choice nor a path of the other layer is a page to return to.
    for (back_to, returned) in [
        ("/app/orders", "/app/orders"),
        ("/app/login", "/app/"),
        ("/app/oauth/guests", "/app/"),
        ("/login", "/app/"),
    ] {
        let link = staff.sign_in_link(&ReturnPath::parse(back_to).unwrap());
        let request = browser.navigation(passed_on(&link));
        let answer = service().oneshot(request).await.unwrap();
        browser.take_cookies(&answer);
        let answer = if location(&answer).starts_with(BASE) {
            answer
        } else {
            let callback = at_provider(location(&answer)).await;
            let request = browser.navigation(passed_on(&callback));
            service().oneshot(request).await.unwrap()
        };
        browser.take_cookies(&answer);
        assert_eq!(location(&answer), returned, "{back_to}");
        browser.jar.clear();
    }
    // A proxy that keeps the prefix is named here too.
    let request = browser.script(Method::POST, set.sign_out_path());
    let answer = service().oneshot(request).await.unwrap();
    assert_eq!(failure(&answer), Some(Kind::BasePathKept));
    for refused in [
        LoginSet::new("/app/login", both()).map(drop),
        set.clone().with_sign_out_path("/app/out").map(drop),
        LoginSet::new("/login", [login(SITE, "staff"), login(&address, "guests")]).map(drop),
    ] {
        let told = refused.unwrap_err().to_string();
        assert!(told.contains("address") && told.contains(BASE), "{told}");
    }
}

impl Browser {
    async fn sign_in_below(&mut self, app: &App) {
        let callback = self.reach_callback(app, "/oauth/openid").await;
        self.visit(app, passed_on(&callback)).await;
        assert!(self.jar.contains_key(SESSION));
    }
}
