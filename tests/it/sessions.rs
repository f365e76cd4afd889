//! Sessions and their cookies: what a browser holds, what is refused, which requests may change state.

use std::sync::Arc;

use http::{Method, StatusCode};
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt};
use tower_oidc::login::{LoginBuilder, LoginLayer, MemoryStore, Page, SessionId, SessionStore};
use tower_oidc::testing::{DevelopmentProvider, Endpoint, Fault};
use tower_oidc::{BearerLayer, Client, KeyRing, LoginErrorKind as Kind, RequireLayer};

use crate::browser::{
    App, Browser, SECRET, SESSION, SITE, builder, client, failure, location, told_operators,
};
use crate::support::{API, Inner, bearing, judging, judging_as, seconds};

const NEW: &str = "another secret, also longer than 32 characters";

// SC-01, SC-02, F50
#[tokio::test]
async fn the_cookie_is_a_handle_and_nothing_else() {
    let app = App::start().await;
    app.idp.edit_id_token(|token| {
        let groups: Vec<_> = (0..500).map(|at| format!("group-{at:036}")).collect();
        token.claim("groups", groups)
    });
    let mut browser = Browser::default();
    let answer = browser.try_sign_in(&app).await;
    let field = answer
        .headers()
        .get_all("set-cookie")
        .iter()
        .map(|field| field.to_str().unwrap())
        .find(|field| field.starts_with("__Host-session="))
        .unwrap();
    for attribute in [
        "; HttpOnly",
        "; Secure",
        "; SameSite=Lax",
        "; Path=/",
        "; Max-Age=86400",
    ] {
        assert!(field.contains(attribute), "{field}");
    }
    assert!(!field.contains("Domain"), "{field}");
    assert!(
        field.len() < 150,
        "{} bytes for a user in 500 groups",
        field.len()
    );
    assert_eq!(
        browser.jar[SESSION].len(),
        43 + 11,
        "256 bits, and a code of 64"
    );
    assert_eq!(browser.fetch(&app, "/").await.status(), StatusCode::OK);
}

// SC-02
#[tokio::test]
async fn on_a_loopback_address_the_prefix_and_secure_are_dropped() {
    let idp = DevelopmentProvider::start().await.unwrap();
    let verifier = judging(&idp.provider().unwrap(), API);
    let keys = KeyRing::new([SECRET]).unwrap();
    let layer = LoginLayer::builder(verifier, client(), "http://127.0.0.1:3080", keys)
        .with_cookie_name("app")
        .build()
        .unwrap();
    let inner: Inner = crate::support::echo().0;
    let request = Browser::default().navigation("/oauth/openid");
    let answer = layer.layer(inner).oneshot(request).await.unwrap();
    let field = answer.headers()["set-cookie"].to_str().unwrap();
    assert!(field.starts_with("app-login-"), "{field}");
    assert!(!field.contains("Secure"), "{field}");
}

// SC-04
#[tokio::test]
async fn a_second_cookie_of_the_name_is_no_session() {
    let app = App::start().await;
    let (mut victim, mut attacker) = (Browser::default(), Browser::default());
    victim.sign_in(&app).await;
    attacker.sign_in(&app).await;
    for cookies in [
        format!(
            "{SESSION}={}; {SESSION}={}",
            attacker.jar[SESSION], victim.jar[SESSION]
        ),
        format!("{SESSION}={0}; {SESSION}={0}", victim.jar[SESSION]),
    ] {
        let mut request = Browser::default().script(Method::GET, "/");
        request
            .headers_mut()
            .insert("cookie", cookies.parse().unwrap());
        let answer = app.service().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert!(
            answer.headers()["set-cookie"]
                .to_str()
                .unwrap()
                .contains("Max-Age=0")
        );
    }
}

// SC-05, SC-16
#[tokio::test]
async fn broken_foreign_and_oversized_cookies_are_no_session_and_no_5xx() {
    let app = App::start().await;
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    let good = browser.jar[SESSION].clone();
    let mut bad = vec![
        String::new(),
        "x".to_owned(),
        "a".repeat(60_000),
        "%00".to_owned(),
        SessionId::random().unwrap().to_cookie(),
    ];
    // The session id. The code behind it gives no access.
    for at in 0..43 {
        let mut changed = good.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        bad.push(String::from_utf8(changed).unwrap());
    }
    for value in bad {
        let mut browser = Browser::default();
        browser.jar.insert(SESSION.into(), value.clone());
        let answer = browser.fetch(&app, "/").await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{value}");
        assert_eq!(browser.jar[SESSION], value, "perhaps another application's");
    }
    // The same for a sign-in under way: each flipped byte of its cookie.
    let callback = browser.reach_callback(&app, "/oauth/openid").await;
    let name = browser.cookies_called("__Host-session-login").remove(0);
    let sealed = browser.jar[&name].clone();
    for at in (0..sealed.len()).step_by(7) {
        let mut changed = sealed.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let mut browser = Browser::default();
        browser
            .jar
            .insert(name.clone(), String::from_utf8(changed).unwrap());
        let answer = browser.visit(&app, &callback).await;
        assert_eq!(failure(&answer), Some(Kind::UnknownAttempt), "{at}");
    }
    // The value of a session cookie is no value of an attempt's cookie, and the other way round.
    let mut confused = Browser::default();
    confused.jar.insert(name.clone(), good);
    confused.jar.insert(SESSION.into(), sealed);
    assert_eq!(
        failure(&confused.visit(&app, &callback).await),
        Some(Kind::UnknownAttempt)
    );
    assert_eq!(
        confused.fetch(&app, "/").await.status(),
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(app.idp.hits().token, 1);
}

// SC-07, SC-08
#[tokio::test]
async fn sessions_end_on_the_server_not_by_their_cookie_alone() {
    let app = App::start_with(|login| {
        login
            .with_idle_limit(seconds(7_200))
            .with_absolute_limit(seconds(10_000))
    })
    .await;
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    let id = SessionId::parse(&browser.jar[SESSION]).unwrap();
    let stored = app.store.load(id.store_key()).await.unwrap().unwrap();
    let dump = format!(
        "{:?}{:?}",
        stored.record,
        String::from_utf8_lossy(&stored.record.bytes)
    );
    assert!(!dump.contains("user-1") && !dump.contains("eyJ"), "sealed");
    let idle = browser.clone();
    for _ in 0..3 {
        app.clock.advance(seconds(3_000));
        assert_eq!(browser.fetch(&app, "/").await.status(), StatusCode::OK);
        tokio::task::yield_now().await;
    }
    app.clock.advance(seconds(1_001));
    let answer = browser.fetch(&app, "/").await;
    assert_eq!(
        failure(&answer),
        Some(Kind::SessionEnded),
        "the absolute end"
    );

    let mut browser = idle;
    browser.sign_in(&app).await;
    let replayed = browser.clone();
    app.clock.advance(seconds(7_201));
    assert_eq!(
        browser.fetch(&app, "/").await.status(),
        StatusCode::UNAUTHORIZED,
        "idle"
    );
    assert_eq!(
        replayed.clone().fetch(&app, "/").await.status(),
        StatusCode::UNAUTHORIZED
    );
}

// RT-15, F52
#[tokio::test]
async fn a_session_lasts_as_long_as_its_refresh_token_where_that_is_known() {
    let app = App::start().await;
    app.idp.edit_token_answer(|_, answer| {
        answer["refresh_expires_in"] = serde_json::json!(30 * 24 * 3_600);
    });
    let mut browser = Browser::default();
    let answer = browser.try_sign_in(&app).await;
    let fields: Vec<_> = answer.headers().get_all("set-cookie").iter().collect();
    let field = fields
        .iter()
        .find(|field| field.as_bytes().starts_with(b"__Host-session="));
    assert!(
        field.unwrap().to_str().unwrap().contains("Max-Age=2592000"),
        "f51: from one value"
    );
    app.clock.advance(seconds(29 * 24 * 3_600));
    assert_eq!(browser.fetch(&app, "/").await.status(), StatusCode::OK);
}

// SC-10, SC-11
#[tokio::test]
async fn changes_need_proof_of_the_origin() {
    let app = App::start().await;
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    let send = |method: Method, path: &str, fields: &[(&'static str, &'static str)]| {
        let mut request = browser.request(method, path);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        app.service().oneshot(request.body(String::new()).unwrap())
    };
    let evil: [&[(&str, &str)]; 5] = [
        &[],
        &[("origin", "https://evil.example.com")],
        &[
            ("origin", "https://sub.app.example.com"),
            ("sec-fetch-site", "same-site"),
        ],
        &[("sec-fetch-site", "cross-site")],
        &[("origin", "null")],
    ];
    for fields in evil {
        for (method, path) in [
            (Method::POST, "/transfer"),
            (Method::DELETE, "/account"),
            (Method::POST, "/oauth/openid/logout"),
        ] {
            let answer = send(method, path, fields).await.unwrap();
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path} {fields:?}");
            assert_eq!(failure(&answer), Some(Kind::CrossOrigin));
        }
        let mut socket = fields.to_vec();
        socket.push(("upgrade", "websocket"));
        let answer = send(Method::GET, "/socket", &socket).await.unwrap();
        assert_eq!(
            answer.status(),
            StatusCode::FORBIDDEN,
            "a socket {fields:?}"
        );
    }
    for fields in [
        &[("origin", SITE)][..],
        &[("sec-fetch-site", "same-origin")],
    ] {
        let answer = send(Method::POST, "/transfer", fields).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{fields:?}");
    }
    // An image in a page of another site does not sign out.
    let answer = send(Method::GET, "/oauth/openid/logout", &[])
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(
        browser.fetch(&app, "/").await.status(),
        StatusCode::OK,
        "still signed in"
    );
}

// SC-12, F62
#[tokio::test]
async fn tokens_never_reach_the_browser() {
    let app = App::start().await;
    let mut browser = Browser::default();
    let mut answers = Vec::new();
    let start = browser.visit(&app, "/oauth/openid").await;
    let callback = crate::browser::at_provider(location(&start)).await;
    answers.push(browser.visit(&app, &callback).await);
    answers.push(browser.visit(&app, "/").await);
    app.hour_passes();
    answers.push(browser.visit(&app, "/").await);
    let token = app.session().access_token().await.unwrap();
    let token = token.as_access_token().as_str();
    let refresh_token = app.idp.live_refresh_tokens().remove(0);
    for answer in answers {
        let shown = format!("{:?} {}", answer.headers(), answer.body());
        for secret in [token, &refresh_token, "eyJ"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
    let shown = format!("{:?} {:?}", app.session(), app.layer);
    assert!(
        !shown.contains("eyJ") && !shown.contains("secret of"),
        "{shown}"
    );
}

// F61
#[tokio::test]
async fn a_changed_secret_signs_out_without_a_loop_and_a_ring_rotates_it() {
    let app = App::start().await;
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    let with_secrets = |secrets: &[&'static str]| {
        let keys = KeyRing::new(secrets.iter().copied()).unwrap();
        let layer = LoginLayer::builder(app.verifier.clone(), client(), SITE, keys)
            .with_shared_store(app.store.clone())
            .build()
            .unwrap();
        layer.layer(app.inner.clone())
    };
    let rotated = with_secrets(&[NEW, SECRET]);
    let request = browser.script(Method::GET, "/");
    assert_eq!(
        rotated.oneshot(request).await.unwrap().status(),
        StatusCode::OK
    );
    let replaced = with_secrets(&[NEW]);
    let request = browser.navigation("/");
    let answer = browser.send(&replaced, request).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    // A replica that was deployed with other secrets ends no session.
    assert!(browser.jar.contains_key(SESSION), "the cookie stays");
    assert_eq!(browser.fetch(&app, "/").await.status(), StatusCode::OK);
}

// D10
#[tokio::test]
async fn signing_in_again_and_again_with_the_same_end_shows_a_page() {
    let app = App::start().await;
    let mut browser = Browser::default();
    for _ in 0..4 {
        browser.sign_in(&app).await;
        // The application loses the session each time.
        browser.jar.remove(SESSION);
    }
    let answer = browser.visit(&app, "/oauth/openid").await;
    assert_eq!(failure(&answer), Some(Kind::SignInLoop));
    assert!(!answer.headers().contains_key("location"));
    assert!(
        answer.body().contains("signed in several times"),
        "{}",
        answer.body()
    );
    // Other browsers are not affected, and this one may try again later.
    Browser::default().sign_in(&app).await;
    app.clock.advance(seconds(31));
    browser.sign_in(&app).await;
}

// D10, F1, AZ-08
#[tokio::test]
async fn without_an_audience_the_log_names_the_setting_at_once() {
    let app = App::start_with(|login| login.with_requested_audience(None)).await;
    let mut browser = Browser::default();
    let answer = browser.try_sign_in(&app).await;
    assert_eq!(failure(&answer), Some(Kind::UnusableToken));
    let told = told_operators(&answer);
    assert!(
        told.contains("encrypted") && told.contains("OPENID_AUDIENCE"),
        "{told}"
    );
    assert!(
        !answer.body().contains("<a "),
        "signing in again would bring the same"
    );
    assert!(!browser.jar.contains_key(SESSION));
    assert_eq!((app.idp.hits().token, app.idp.hits().refreshed), (1, 0));
}

#[tokio::test]
async fn browsers_and_api_clients_on_the_same_routes() {
    let app = App::start_with(LoginBuilder::allow_anonymous).await;
    let required = BoxCloneSyncService::new(
        RequireLayer::scope("profile")
            .unwrap()
            .layer(app.inner.clone()),
    );
    let service = BearerLayer::new(app.verifier.clone())
        .allow_anonymous()
        .layer(app.layer.layer(required));
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    let answer = service
        .clone()
        .oneshot(browser.script(Method::GET, "/"))
        .await
        .unwrap();
    assert_eq!(answer.body(), "user-1");
    let token = app
        .idp
        .token(API)
        .subject("machine")
        .scope("profile")
        .build();
    let answer = service.clone().oneshot(bearing(&token)).await.unwrap();
    assert_eq!(answer.body(), "machine");
    // An API client may POST: it sends no cookie that another site could misuse.
    let mut request = bearing(&token);
    *request.method_mut() = Method::POST;
    assert_eq!(
        service.clone().oneshot(request).await.unwrap().body(),
        "machine"
    );
    // A bad token is refused even beside a good session.
    let mut request = browser.script(Method::GET, "/");
    let expired = format!("Bearer {}", app.idp.token(API).expired().build());
    request
        .headers_mut()
        .insert("authorization", expired.parse().unwrap());
    assert_eq!(
        service.clone().oneshot(request).await.unwrap().status(),
        StatusCode::UNAUTHORIZED
    );
    // Without a session a script gets 401, and a page is redirected to sign in.
    let nobody = Browser::default();
    let answer = service
        .clone()
        .oneshot(nobody.script(Method::GET, "/x"))
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert!(answer.headers().contains_key("www-authenticate"));
    let answer = service
        .clone()
        .oneshot(nobody.navigation("/x"))
        .await
        .unwrap();
    assert_eq!(location(&answer), "/oauth/openid?return_to=%2Fx");
}

#[tokio::test]
async fn anonymous_visitors_pass_where_that_is_allowed_and_nowhere_else() {
    let app = App::start_with(LoginBuilder::allow_anonymous).await;
    let mut browser = Browser::default();
    assert_eq!(browser.visit(&app, "/").await.body(), "nobody");
    browser.jar.insert(SESSION.into(), "junk".into());
    assert_eq!(browser.visit(&app, "/").await.body(), "nobody");
    assert_eq!(
        browser.jar[SESSION], "junk",
        "perhaps another application's"
    );
    browser.sign_in(&app).await;
    assert_eq!(browser.visit(&app, "/").await.body(), "user-1");
    let own = browser.jar[SESSION].clone();
    browser.post(&app, "/oauth/openid/logout").await;
    browser.jar.insert(SESSION.into(), own);
    assert_eq!(browser.visit(&app, "/").await.body(), "nobody");
    assert!(!browser.jar.contains_key(SESSION), "cleared on the way out");
}

#[tokio::test]
async fn an_application_writes_its_own_pages() {
    let app = App::start().await;
    let layer = app.layer.clone().on_page(|page: &Page| {
        let mut response = http::Response::new(format!("<h2>{}</h2>", page.title()));
        response
            .headers_mut()
            .insert("content-language", "en".parse().unwrap());
        response
    });
    let request = Browser::default().navigation("/oauth/openid/callback");
    let answer = layer
        .layer(app.inner.clone())
        .oneshot(request)
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert_eq!(answer.body(), "<h2>Sign-in did not work</h2>");
    assert_eq!(answer.headers()["content-language"], "en");
    assert_eq!(answer.headers()["cache-control"], "no-store");
}

#[tokio::test]
async fn settings_that_cannot_work_do_not_build_and_say_why() {
    type Choose = fn(LoginBuilder) -> LoginBuilder;
    let idp = DevelopmentProvider::start().await.unwrap();
    let verifier = judging(&idp.provider().unwrap(), API);
    let cases: [(&str, &str, Choose); 12] = [
        ("end session parameter", "sets itself", |login| {
            login.add_end_session_parameter("client_id", "x")
        }),
        ("trusted origin", "origin alone", |login| {
            login.add_trusted_origin("https://a.example/b")
        }),
        ("scope", "openid", |login| {
            login.with_scope("profile offline_access")
        }),
        ("scope", "one word", |login| {
            login.with_scope("openid  offline_access")
        }),
        ("resource", "fragment", |login| {
            login.add_resource("https://a.example/#b")
        }),
        ("resource", "absolute", |login| login.add_resource("orders")),
        ("audience", "any other service", |login| {
            login.with_requested_audience(Some(""))
        }),
        ("path", "plain path", |login| login.with_path("login")),
        ("cookie name", "letters", |login| {
            login.with_cookie_name("a b")
        }),
        ("authorization parameter", "sets itself", |login| {
            login.add_parameter("state", "x")
        }),
        ("idle limit", "1m", |login| {
            login.with_idle_limit(seconds(1))
        }),
        ("post logout redirect", "https", |login| {
            login.with_post_logout_redirect("http://app.example.com")
        }),
    ];
    for (setting, part, choose) in cases {
        let error = choose(builder(&verifier)).build().unwrap_err();
        assert_eq!(error.setting(), setting, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
    let keys = || KeyRing::new([SECRET]).unwrap();
    let error = LoginLayer::builder(verifier.clone(), client(), "http://app.example.com", keys())
        .build()
        .unwrap_err();
    assert_eq!(error.setting(), "address");
    assert!(
        builder(&verifier)
            .with_scope("openid")
            .allow_short_session()
            .build()
            .is_ok()
    );
    let error = KeyRing::new(["too short"]).unwrap_err();
    assert!(error.to_string().contains("32 characters"), "{error}");
    assert!(Client::with_secret("", "x").is_err());
    let other = DevelopmentProvider::start().await.unwrap();
    let two = judging_as(&idp.provider().unwrap(), API)
        .add_provider(&other.provider().unwrap())
        .build()
        .unwrap();
    let error = LoginLayer::builder(two, client(), SITE, keys())
        .build()
        .unwrap_err();
    assert!(error.to_string().contains("one provider"), "{error}");
}

#[tokio::test]
async fn a_store_that_is_away_is_503_and_signs_no_user_out() {
    let app = App::start().await;
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    let store = Arc::new(crate::faulty_store::FaultyStore::new(Arc::clone(
        &app.store,
    )));
    let layer = builder(&app.verifier)
        .with_shared_store(store.clone())
        .build()
        .unwrap();
    let service = layer.layer(app.inner.clone());
    store.break_down();
    let request = browser.script(Method::GET, "/");
    let answer = browser.send(&service, request).await;
    assert_eq!(failure(&answer), Some(Kind::StoreUnavailable));
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers().contains_key("retry-after"));
    assert!(browser.jar.contains_key(SESSION));
    store.recover();
    let request = browser.script(Method::GET, "/");
    assert_eq!(
        browser.send(&service, request).await.status(),
        StatusCode::OK
    );
    // Tokens that were granted while the store was away are stored when it is back.
    app.hour_passes();
    store.break_commits();
    let request = browser.script(Method::GET, "/");
    let pending = tokio::spawn(service.clone().oneshot(request));
    crate::support::until(|| store.refused_commits() >= 2).await;
    store.recover();
    assert_eq!(pending.await.unwrap().unwrap().status(), StatusCode::OK);
    assert_eq!((app.idp.hits().refreshed, app.idp.hits().reused), (1, 0));
}

#[tokio::test]
async fn readiness_becomes_so_by_being_asked() {
    let app = App::start().await;
    app.idp.set_fault(Endpoint::Jwks, Fault::Status(500));
    assert!(!app.layer.readiness().await.is_ready());
    // The pause is counted from the moment at which this process learns of the failure.
    let provider = app.verifier.providers().next().unwrap();
    crate::support::until(|| provider.readiness().last_error.is_some()).await;
    assert!(!app.layer.readiness().await.is_ready());
    app.idp.set_fault(Endpoint::Jwks, None);
    app.clock.advance(seconds(60));
    for _ in 0..100 {
        if app.layer.readiness().await.is_ready() {
            assert_eq!(app.idp.hits().jwks, 2, "within the pauses after a failure");
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("it does not become ready");
}

// D14
#[tokio::test]
async fn a_random_secret_with_a_shared_store_is_refused_at_build() {
    let idp = DevelopmentProvider::start().await.unwrap();
    let verifier = judging(&idp.provider().unwrap(), API);
    let builder = || {
        let keys = KeyRing::ephemeral().unwrap();
        LoginLayer::builder(verifier.clone(), client(), SITE, keys)
    };
    assert!(builder().build().is_ok());
    assert!(builder().with_store(MemoryStore::new()).build().is_ok());
    let shared = crate::faulty_store::FaultyStore::new(Arc::new(MemoryStore::new()));
    let error = builder().with_store(shared).build().unwrap_err();
    assert_eq!(error.setting(), "session secret");
    assert!(error.to_string().contains("every replica"), "{error}");
}

// BT-08, BT-10, BT-25
#[tokio::test]
async fn a_route_for_cookies_alone_names_the_site_in_its_challenge() {
    let realm = r#"Cookie realm="https://app.example.com""#;
    let app = App::start().await;
    let mut nobody = Browser::default();
    let answer = nobody.fetch(&app, "/x").await;
    assert_eq!(answer.headers()["www-authenticate"], realm);

    // An inner requirement, and an open path.
    let app = App::start_with(LoginBuilder::allow_anonymous).await;
    let inner = RequireLayer::scope("admin")
        .unwrap()
        .layer(app.inner.clone());
    let service = app.layer.layer(inner);
    let ask = |browser: &Browser| service.clone().oneshot(browser.script(Method::GET, "/x"));
    let answer = ask(&nobody).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(answer.headers()["www-authenticate"], realm);
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    let answer = ask(&browser).await.unwrap();
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    let challenge = answer.headers()["www-authenticate"].to_str().unwrap();
    assert!(challenge.starts_with(realm), "{challenge}");
    assert!(
        challenge.contains(r#"error="insufficient_scope""#),
        "{challenge}"
    );
    assert!(challenge.contains(r#"scope="admin""#), "{challenge}");

    // Where tokens count too, the challenge is that of tokens, on either side.
    let bearer = || BearerLayer::new(app.verifier.clone()).allow_anonymous();
    let required = RequireLayer::scope("admin")
        .unwrap()
        .layer(app.inner.clone());
    let inside = app.layer.layer(bearer().layer(required.clone()));
    let outside = bearer().layer(app.layer.layer(required));
    for answer in [
        inside.oneshot(nobody.script(Method::GET, "/x")).await,
        outside.oneshot(nobody.script(Method::GET, "/x")).await,
    ] {
        let answer = answer.unwrap();
        let challenge = &answer.headers()["www-authenticate"];
        assert_eq!(challenge, r#"Bearer realm="https://api.example.com""#);
    }
}
