//! A site below a path of its host, whose proxy takes that path off: browsers see it in every address, requests
//! come without it.

use http::{Method, StatusCode};
use tower_oidc::login::LoginBuilder;
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

impl Browser {
    async fn sign_in_below(&mut self, app: &App) {
        let callback = self.reach_callback(app, "/oauth/openid").await;
        self.visit(app, passed_on(&callback)).await;
        assert!(self.jar.contains_key(SESSION));
    }
}
