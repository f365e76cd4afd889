//! What applications test themselves with: principals made of claims, and a browser that is signed in.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use ::axum::routing::{get, put};
use ::axum::{Form, Router};
use http::{Request, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};
use tower::{Layer, ServiceExt};
use tower_oidc::login::{LoginBuilder, ReturnPath};
use tower_oidc::testing::{
    Browser, DevelopmentProvider, Manner, OfflineProvider, id_token_principal, principal,
};
use tower_oidc::{
    Clock, KeyRing, LoginLayer, Principal, PrincipalKind, RequireLayer, SystemClock, UnixTime,
};

use crate::browser::{SESSION, SITE, client};
use crate::support::{API, echo};

#[test]
fn what_claims_leave_out_has_a_default() {
    let before = SystemClock::new().now();
    let made = principal(json!({}));
    assert_eq!(made.kind(), PrincipalKind::AccessToken);
    assert_eq!(made.issuer().as_str(), "https://id.example");
    assert_eq!(made.subject(), Some("user-1"));
    assert!(made.audiences().eq([API]));
    assert!(made.scopes().is_empty());
    assert_eq!((made.client_id(), made.is_client()), (None, false));
    let issued_at = made.issued_at().unwrap();
    assert!(before <= issued_at && issued_at <= SystemClock::new().now());
    assert_eq!(
        made.expires_at().as_seconds(),
        issued_at.as_seconds() + 3_600
    );

    let made = id_token_principal(json!({}));
    assert_eq!(made.kind(), PrincipalKind::IdToken);
    assert!(made.audiences().eq(["development"]));
    assert!(made.scopes().is_empty());
}

#[test]
fn claims_are_read_as_those_of_a_request_are() {
    #[derive(Serialize)]
    struct Own {
        iss: &'static str,
        aud: [&'static str; 2],
        azp: &'static str,
        scp: [&'static str; 2],
        realm_access: Value,
    }
    let made = principal(Own {
        iss: "http://127.0.0.1:8080/realms/shop",
        aud: ["orders", "stock"],
        azp: "shop",
        scp: ["read", "write"],
        realm_access: json!({"roles": ["clerk"]}),
    });
    assert_eq!(made.issuer().as_str(), "http://127.0.0.1:8080/realms/shop");
    assert!(made.audiences().eq(["orders", "stock"]));
    assert_eq!(made.client_id(), Some("shop"));
    assert!(made.has_scope("read") && made.has_scope("write"));
    let roles: Option<Vec<String>> = made.claim("realm_access.roles").unwrap();
    assert_eq!(roles.as_deref(), Some(&["clerk".to_owned()][..]));

    // A program, whose token has no subject; and one of Cognito, which has no audience.
    let program = principal(json!({"sub": null, "client_id": "robot"}));
    assert_eq!((program.subject(), program.is_client()), (None, true));
    let cognito = principal(json!({"aud": null, "client_id": "app"}));
    assert_eq!(cognito.audiences().count(), 0);
}

#[test]
fn times_in_the_past_are_of_their_time() {
    for (claims, issued_at, expires_at) in [
        (json!({"iat": 1_000}), 1_000, 4_600),
        (json!({"exp": 10_000}), 6_400, 10_000),
        (json!({"iat": 1_000, "exp": 1_001}), 1_000, 1_001),
    ] {
        let made = principal(&claims);
        let times = (made.issued_at(), made.expires_at());
        let at = UnixTime::from_seconds;
        assert_eq!(times, (Some(at(issued_at)), at(expires_at)), "{claims}");
    }
}

#[test]
fn a_principal_that_no_request_can_bring_is_not_made() {
    let cases = [
        (json!("ada"), "no JSON object"),
        (json!({"iss": null}), "iss"),
        (json!({"iss": "http://id.example"}), "https"),
        (json!({"aud": null}), "aud"),
        (json!({"aud": []}), "aud"),
        (json!({"exp": "tomorrow"}), "exp"),
        (json!({"iat": 2_000, "exp": 1_000}), "expired"),
        // An ID token is no access token.
        (json!({"at_hash": "x", "nonce": "x"}), "kind"),
    ];
    for (claims, expected) in cases {
        let refused = catch_unwind(AssertUnwindSafe(|| principal(&claims))).unwrap_err();
        let text = refused.downcast_ref::<String>().unwrap();
        assert!(text.starts_with("testing::principal: "), "{text}");
        assert!(text.contains(expected), "{claims}: {text}");
    }
}

fn login(idp: &DevelopmentProvider) -> LoginBuilder {
    let verifier = idp.provider().unwrap().verifier(API).unwrap();
    LoginLayer::builder(verifier, client(), SITE, KeyRing::ephemeral().unwrap())
}

async fn whose(principal: Principal) -> String {
    principal.subject().unwrap_or("nobody").to_owned()
}

fn site(login: LoginBuilder) -> Router {
    let name = async |principal: Principal, Form(form): Form<Value>| {
        format!("{} is {}", whose(principal).await, form["name"])
    };
    Router::new()
        .route("/", get(whose))
        .route("/name", put(whose).post(name))
        .layer(login.build().unwrap())
}

#[tokio::test]
async fn a_browser_is_signed_in_at_a_router_and_posts_a_form() {
    let idp = DevelopmentProvider::start().await.unwrap();
    let mut app = site(login(&idp));
    idp.set_user("ada");
    let mut browser = idp.sign_in(&mut app).await;
    assert_eq!(browser.get(&mut app, "/").await.body(), "ada");

    let fields = [("name", "Ada & co")];
    let answer = browser.post_form(&mut app, "/name", &fields).await;
    assert_eq!(answer.body(), "ada is \"Ada & co\"");
    let request = || Request::put("/name");
    let script = request().body(String::new()).unwrap();
    assert_eq!(browser.send(&mut app, script).await.body(), "ada");
    // A page of another site has no proof.
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("origin", "https://evil.example"),
    ] {
        let foreign = request().header(name, value).body(String::new()).unwrap();
        let answer = browser.send(&mut app, foreign).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{name}");
    }

    let shown = format!("{browser:?}");
    let (name, value) = browser.cookies().next().unwrap();
    assert_eq!(name, SESSION);
    assert!(shown.contains(name) && !shown.contains(value), "{shown}");
    let mut other = Browser::new();
    assert_ne!(other.get(&mut app, "/").await.status(), StatusCode::OK);

    let out = browser
        .post_form(&mut app, "/oauth/openid/logout", &[])
        .await;
    assert!(out.status().is_redirection());
    let mut kept = browser.cookies();
    assert!(kept.all(|(name, _)| name != SESSION), "it has ended");
}

#[tokio::test]
async fn every_way_to_ask_the_provider_leads_back() {
    for choose in [
        LoginBuilder::with_form_post as fn(LoginBuilder) -> LoginBuilder,
        |login| login.with_path("/oauth/staff"),
        |login| login.with_cookie_name("staff"),
    ] {
        let idp = DevelopmentProvider::builder().with_sign_in_page();
        let idp = idp.start().await.unwrap();
        let layer = choose(login(&idp)).build().unwrap();
        let start = layer.sign_in_link(&ReturnPath::parse("/").unwrap());
        let mut service = layer.layer(echo().0);
        let mut browser = Browser::new();
        browser.set_cookie("theme", "dark");
        idp.sign_in_with(&mut browser, &mut service, &start).await;
        assert_eq!(browser.get(&mut service, "/").await.body(), "user-1");
        assert!(browser.cookies().any(|kept| kept == ("theme", "dark")));
    }
}

#[tokio::test]
async fn a_provider_in_memory_signs_in_too() {
    let idp = OfflineProvider::new("https://id.example");
    let verifier = idp.provider().unwrap().verifier(API).unwrap();
    let keys = KeyRing::ephemeral().unwrap();
    let layer = LoginLayer::builder(verifier, client(), SITE, keys);
    let mut service = layer.build().unwrap().layer(echo().0);
    let mut browser = idp.sign_in_to(&mut service).await;
    assert_eq!(browser.get(&mut service, "/").await.body(), "user-1");
}

#[tokio::test]
async fn a_sign_in_that_fails_says_why() {
    let failing = async |idp: &DevelopmentProvider, app: &mut Router| {
        let mut browser = Browser::new();
        let signing_in = idp.sign_in_with(&mut browser, app, "/oauth/openid");
        let mut signing_in = pin!(signing_in);
        poll_fn(|context| {
            let polled = catch_unwind(AssertUnwindSafe(|| signing_in.as_mut().poll(context)));
            match polled {
                Ok(polled) => polled.map(|()| String::new()),
                Err(panic) => Poll::Ready(panic.downcast_ref::<String>().unwrap().clone()),
            }
        })
        .await
    };
    let idp = DevelopmentProvider::start().await.unwrap();
    let text = failing(&idp, &mut Router::new()).await;
    assert!(text.contains("/oauth/openid sends no browser"), "{text}");
    assert!(text.contains("404"), "{text}");

    // Google gives no refresh token unless it is asked in its own way.
    idp.set_manner(Manner::Google);
    let text = failing(&idp, &mut site(login(&idp).with_scope("openid"))).await;
    assert!(
        text.contains("the sign-in failed at /oauth/openid/callback"),
        "{text}"
    );
    assert!(text.contains("OPENID_"), "with the remedy: {text}");
}

#[test]
fn a_browser_keeps_cookies_until_they_end() {
    let mut browser = Browser::new();
    let mut answered = |cookies: &[&str]| {
        let mut headers = http::HeaderMap::new();
        for cookie in cookies {
            headers.append("set-cookie", cookie.parse().unwrap());
        }
        browser.keep_cookies(&headers);
        let kept = browser
            .cookies()
            .map(|(name, value)| format!("{name}={value}"));
        kept.collect::<Vec<_>>().join("; ")
    };
    let cases: [(&[&str], &str); 5] = [
        (&["a=1; Path=/; Secure", "b=2; Max-Age=60"], "a=1; b=2"),
        (&["a=3", "=", "nonsense"], "a=3; b=2"),
        (&["a=; Max-Age=0"], "b=2"),
        (&["b=4; Expires=Fri, 01 Jan 2100 00:00:00 GMT"], "b=4"),
        (&["b=; Expires=Thu, 01 Jan 1970 00:00:00 GMT"], ""),
    ];
    for (cookies, expected) in cases {
        assert_eq!(answered(cookies), expected, "{cookies:?}");
    }
    // What a request says itself stays.
    browser.set_cookie("a", "1");
    let own = Request::post("/")
        .header("cookie", "mine")
        .header("sec-fetch-mode", "navigate");
    let prepared = browser.prepare(own.body(()).unwrap());
    assert_eq!(prepared.headers()["cookie"], "mine");
    assert_eq!(prepared.headers()["sec-fetch-mode"], "navigate");
    assert_eq!(prepared.headers()["sec-fetch-site"], "same-origin");
}

#[tokio::test]
async fn a_policy_is_asked_about_a_principal_in_the_request() {
    let guarded = RequireLayer::scope("read:messages")
        .unwrap()
        .layer(echo().0);
    for (scope, expected) in [
        ("read:messages", StatusCode::OK),
        ("write:messages", StatusCode::FORBIDDEN),
    ] {
        let mut request = Request::new(String::new());
        let principal = principal(json!({"scope": scope}));
        request.extensions_mut().insert(principal);
        let answer = guarded.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), expected, "{scope}");
    }
}
