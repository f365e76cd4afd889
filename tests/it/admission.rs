//! Who may sign in: hooks of the application, a required role, and the domain of an email address.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tower::ServiceExt;
use tower_oidc::login::{LoginBuilder, RoleToken, SignInClaims, SignInRefusal};
use tower_oidc::testing::Endpoint;
use tower_oidc::{ClaimPath, LoginErrorKind as Kind};

use crate::browser::{App, Browser, SESSION, failure};
use crate::log::Log;
use crate::support::until;

const MARKUP: &str = "<script>alert(1)</script> \"Ada\" & co.\u{7} may\r not";

/// No session came of it, and its tokens are revoked.
async fn nothing_is_left(app: &App, browser: &Browser) {
    assert!(!browser.jar.contains_key(SESSION));
    until(|| app.idp.live_refresh_tokens().is_empty()).await;
}

// D22, LG-20
#[tokio::test]
async fn a_refused_visitor_reads_the_text_and_nothing_is_left() {
    let app = App::start_with(|login| {
        login.on_sign_in(async |_| Err(SignInRefusal::new(MARKUP).with_reason("no \"licence\"\n")))
    })
    .await;
    let log = Log::default();
    let _guard = log.capture();
    let mut browser = Browser::default();
    let callback = browser
        .reach_callback(&app, "/oauth/openid?return_to=/a")
        .await;
    let answer = browser.clone().visit(&app, &callback).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert_eq!(failure(&answer), Some(Kind::SignInRefused));
    let body = answer.body();
    let text = "&lt;script&gt;alert(1)&lt;/script&gt; &quot;Ada&quot; &amp; co.  may  not";
    assert!(body.contains(text), "{body}");
    assert!(body.contains("You may not sign in here"), "{body}");
    assert!(
        body.contains("href=\"/oauth/openid?return_to=%2Fa\""),
        "{body}"
    );
    nothing_is_left(&app, &browser).await;
    assert_eq!(app.idp.hits().revocation, 1);
    let told = log.at(tracing::Level::INFO).join("\n");
    for part in [
        "was refused",
        app.idp.issuer(),
        "user-1",
        r#""no \"licence\"""#,
    ] {
        assert!(told.contains(part), "{told}");
    }
    assert!(
        !log.text().contains("<script>"),
        "the text is the visitor's"
    );
    // The code is spent, and the same address leads to the same place.
    let again = browser.visit(&app, &callback).await;
    assert_eq!(failure(&again), Some(Kind::AttemptReplayed));

    // A program reads the text as a problem document.
    let callback = browser.reach_callback(&app, "/oauth/openid").await;
    let request = browser.script(Method::GET, &callback);
    let answer = browser.send(&app.service(), request).await;
    let problem: Value = serde_json::from_str(answer.body()).unwrap();
    assert_eq!(problem["kind"], "sign_in_refused");
    assert!(problem["detail"].as_str().unwrap().starts_with("<script>"));
}

type Choose = fn(LoginBuilder) -> LoginBuilder;

/// What became of a sign-in, and how much the log tells of it at `ERROR`.
async fn with_hook(hook: Choose) -> (App, Browser, Option<Kind>, String) {
    let log = Log::default();
    let guard = log.capture();
    let app = App::start_with(hook).await;
    let mut browser = Browser::default();
    let answer = browser.try_sign_in(&app).await;
    let failed = failure(&answer);
    if failed == Some(Kind::SignInUndecided) {
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.headers().contains_key("retry-after"));
    }
    drop(guard);
    (
        app,
        browser,
        failed,
        log.at(tracing::Level::ERROR).join("\n"),
    )
}

// D22
#[tokio::test]
async fn a_hook_that_panics_or_cannot_decide_admits_no_one() {
    let hooks: [(Choose, &str); 3] = [
        (
            |login| login.on_sign_in(async |_| panic!("hunter2")),
            "the hook panicked",
        ),
        (
            |login| {
                login.on_sign_in(|_| {
                    assert!(std::env::var_os("NEVER SET").is_some(), "hunter2");
                    std::future::ready(Ok(()))
                })
            },
            "the hook panicked",
        ),
        (
            |login| login.on_sign_in(async |_| Err(SignInRefusal::unavailable("no database"))),
            "no database",
        ),
    ];
    for (hook, reason) in hooks {
        let (app, browser, failed, told) = with_hook(hook).await;
        assert_eq!(failed, Some(Kind::SignInUndecided), "{reason}");
        assert!(told.contains(reason) && told.contains("user-1"), "{told}");
        nothing_is_left(&app, &browser).await;
    }
}

/// A hook that says when it is asked and never answers. Each call holds the second part.
async fn hanging() -> (App, Arc<Notify>, Arc<()>) {
    let asked = Arc::new(Notify::new());
    let held = Arc::new(());
    let by_hook = (Arc::clone(&asked), Arc::clone(&held));
    let app = App::start_with(|login| {
        login.on_sign_in(move |_| {
            let (asked, held) = by_hook.clone();
            async move {
                asked.notify_one();
                let never = std::future::pending().await;
                drop(held);
                never
            }
        })
    })
    .await;
    (app, asked, held)
}

// D22
#[tokio::test]
async fn a_hook_has_ten_seconds_and_a_visitor_who_leaves_has_no_tokens() {
    let (app, asked, held) = hanging().await;
    let at_rest = Arc::strong_count(&held);
    let mut browser = Browser::default();
    let callback = browser.reach_callback(&app, "/oauth/openid").await;
    let sent = tokio::spawn(app.service().oneshot(browser.navigation(&callback)));
    asked.notified().await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_millis(9_900)).await;
    assert!(!sent.is_finished());
    tokio::time::advance(Duration::from_millis(200)).await;
    tokio::time::resume();
    let answer = sent.await.unwrap().unwrap();
    assert_eq!(failure(&answer), Some(Kind::SignInUndecided));
    nothing_is_left(&app, &browser).await;

    let callback = browser.reach_callback(&app, "/oauth/openid").await;
    let sent = tokio::spawn(app.service().oneshot(browser.navigation(&callback)));
    asked.notified().await;
    assert_eq!(app.idp.live_refresh_tokens().len(), 1);
    sent.abort();
    nothing_is_left(&app, &browser).await;
    // The hooks have ended too.
    until(|| Arc::strong_count(&held) == at_rest).await;
}

// D22
#[tokio::test]
async fn a_hook_sees_verified_claims_and_the_next_one_decides_too() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let by_hook = Arc::clone(&seen);
    let app = App::start_with(|login| {
        login
            .with_userinfo()
            .on_sign_in(move |user: SignInClaims| {
                let id: Value = user.id_claims().unwrap();
                let userinfo: Option<Value> = user.userinfo().unwrap();
                let access = user.access_token().map(|token| token.claims().unwrap());
                let who = (user.issuer().to_owned(), user.subject().to_owned());
                by_hook.lock().unwrap().push((who, id, access, userinfo));
                std::future::ready(Ok(()))
            })
            .on_sign_in(async |user: SignInClaims| match user.subject() {
                "user-1" => Ok(()),
                _ => Err(SignInRefusal::new("Not you.")),
            })
    })
    .await;
    Browser::default().sign_in(&app).await;
    let (who, id, access, userinfo) = seen.lock().unwrap()[0].clone();
    let access: Value = access.unwrap();
    assert_eq!(who, (app.idp.issuer().to_owned(), "user-1".to_owned()));
    assert_eq!(
        (&id["aud"], &access["sub"]),
        (&json!("development"), &id["sub"])
    );
    assert_eq!(userinfo.unwrap()["sub"], "user-1");
    app.idp.set_user("user-2");
    let answer = Browser::default().try_sign_in(&app).await;
    assert_eq!(failure(&answer), Some(Kind::SignInRefused));
    assert!(answer.body().contains("Not you."));
    assert_eq!(seen.lock().unwrap().len(), 2, "both were asked in order");
}

// D22
#[tokio::test]
async fn a_role_is_one_of_those_required_in_the_token_that_is_named() {
    let roles = |token, path: &str, roles: &'static [&str]| {
        let path = ClaimPath::parse(path).unwrap();
        move |login: LoginBuilder| {
            login
                .require_role(token, path, roles.iter().copied())
                .on_sign_in(async |user: SignInClaims| {
                    assert_ne!(
                        user.subject(),
                        "refused",
                        "a hook sees only users who have the role"
                    );
                    Ok(())
                })
        }
    };
    let id = App::start_with(roles(
        RoleToken::Id,
        "realm_access.roles",
        &["admin", "owner"],
    ))
    .await;
    let access = App::start_with(roles(
        RoleToken::Access,
        r#"["https://e.example/roles"]"#,
        &["admin"],
    ))
    .await;
    let log = Log::default();
    let _guard = log.capture();
    for (value, is_met) in [
        (json!(["admin"]), true),
        (json!(["x", "owner"]), true),
        (json!("admin"), true),
        (json!("admin owner"), false),
        (json!(["Admin"]), false),
        (json!([["admin"]]), false),
        (json!({"admin": true}), false),
        (json!(true), false),
        (Value::Null, false),
        (json!([]), false),
    ] {
        let claim = json!({"roles": value});
        id.idp
            .edit_id_token(move |token| token.claim("realm_access", &claim));
        let answer = Browser::default().try_sign_in(&id).await;
        assert_eq!(failure(&answer).is_none(), is_met, "{value}");
        let claim = value.clone();
        access
            .idp
            .edit_access_token(move |token| token.claim("https://e.example/roles", &claim));
        // The same claim in the other token counts for nothing.
        access
            .idp
            .edit_id_token(|token| token.claim("https://e.example/roles", ["admin"]));
        let answer = Browser::default().try_sign_in(&access).await;
        let is_met = is_met && value != json!(["x", "owner"]);
        assert_eq!(failure(&answer).is_none(), is_met, "{value}");
    }
    let told = log.at(tracing::Level::INFO).join("\n");
    for part in [
        "realm_access.roles of the ID token has none of them",
        "e.example/roles",
        "is neither text nor an array",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(!told.contains("Admin"), "no value of a claim is told");
}

// D22
#[tokio::test]
async fn an_email_domain_counts_only_with_a_verified_address() {
    let app = App::start_with(|login| {
        login
            .with_userinfo()
            .require_email_domains(["example.com", "example.org"])
    })
    .await;
    for (email, verified, is_met) in [
        ("ada@example.com", json!(true), true),
        ("ada@EXAMPLE.org", json!("true"), true),
        ("ada@example.com", json!(false), false),
        ("ada@example.com", json!("false"), false),
        ("ada@example.com", json!("yes"), false),
        ("ada@example.com", json!(1), false),
        ("ada@example.com", Value::Null, false),
        ("ada@sub.example.com", json!(true), false),
        ("ada@notexample.com", json!(true), false),
        ("ada@example.com.evil.example", json!(true), false),
        ("ada@evil.example@example.com", json!(true), false),
        ("example.com", json!(true), false),
    ] {
        let claims = verified.clone();
        app.idp.edit_id_token(move |token| {
            token.claim("email", email).claim("email_verified", &claims)
        });
        let userinfo = json!({"sub": "user-1"}).to_string();
        app.idp.set_fault(
            Endpoint::UserInfo,
            tower_oidc::testing::Fault::json(userinfo),
        );
        let answer = Browser::default().try_sign_in(&app).await;
        assert_eq!(failure(&answer).is_none(), is_met, "{email} {verified}");
    }
    // UserInfo can have it instead, but the address of one document is not verified by the other.
    app.idp
        .edit_id_token(|token| token.claim("email", "ada@example.com"));
    for (userinfo, is_met) in [
        (json!({"sub": "user-1", "email_verified": true}), false),
        (
            json!({"sub": "user-1", "email": "ada@example.com", "email_verified": true}),
            true,
        ),
    ] {
        app.idp.set_fault(
            Endpoint::UserInfo,
            tower_oidc::testing::Fault::json(userinfo.to_string()),
        );
        let answer = Browser::default().try_sign_in(&app).await;
        assert_eq!(failure(&answer).is_none(), is_met, "{userinfo}");
    }
}
