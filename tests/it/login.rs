//! Signing in: a request that obeys each rule, and one for each way to break it.

use std::collections::BTreeSet;

use http::{Method, StatusCode};
use tower_oidc::login::{KeyRing, PassedParameter};
use tower_oidc::testing::{Endpoint, Fault};
use tower_oidc::{Client, LoginError, LoginErrorKind as Kind, LoginLayer};

use crate::browser::{
    App, Browser, SESSION, SITE, at_provider, failure, location, query, told_operators, with,
};
use crate::support::{API, seconds};

#[tokio::test]
async fn a_visitor_signs_in_and_comes_back_to_where_they_were() {
    let app = App::start().await;
    let mut browser = Browser::default();
    let answer = browser.visit(&app, "/messages?page=2").await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let start = location(&answer).to_owned();
    assert_eq!(start, "/oauth/openid?return_to=%2Fmessages%3Fpage%3D2");
    let callback = browser.reach_callback(&app, &start).await;
    let answer = browser.visit(&app, &callback).await;
    assert_eq!(location(&answer), "/messages?page=2");
    let answer = browser.visit(&app, "/messages?page=2").await;
    assert_eq!(
        (answer.status(), answer.body().as_str()),
        (StatusCode::OK, "user-1")
    );
    let session = app.session();
    assert_eq!(session.subject(), "user-1");
    assert_eq!(session.issuer(), app.idp.issuer());
    assert_eq!(session.renewals(), 0);
    let claims: serde_json::Value = session.id_claims().unwrap();
    assert_eq!(claims["email"], "user-1@example.com");
}

// LG-01, LG-02, LG-05, AZ-07
#[tokio::test]
async fn the_authorization_request_carries_what_the_standards_ask() {
    let app = App::start().await;
    let mut seen = BTreeSet::new();
    for _ in 0..20 {
        let answer = Browser::default().visit(&app, "/oauth/openid").await;
        let url = location(&answer);
        assert!(
            url.starts_with(&format!("{}/authorize?", app.idp.issuer())),
            "{url}"
        );
        let asked = query(url);
        assert_eq!(asked["response_type"], "code");
        assert_eq!(asked["client_id"], "development");
        assert_eq!(
            asked["redirect_uri"],
            format!("{SITE}/oauth/openid/callback")
        );
        assert_eq!(asked["scope"], "openid profile email offline_access");
        assert_eq!(asked["audience"], API);
        assert_eq!(asked["code_challenge_method"], "S256");
        for once in ["state", "nonce", "code_challenge"] {
            assert_eq!(asked[once].len(), 43, "256 bits");
            assert!(seen.insert(asked[once].clone()), "{once} comes again");
        }
        assert!(!asked.contains_key("client_secret"));
    }
}

// AZ-06
#[tokio::test]
async fn resources_go_with_every_request() {
    let app = App::start_with(|login| {
        login
            .with_requested_audience(None)
            .add_resource(API)
            .add_parameter("prompt", "consent")
    })
    .await;
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    app.hour_passes();
    assert_eq!(browser.visit(&app, "/").await.status(), StatusCode::OK);
    let resource = ("resource".to_owned(), API.to_owned());
    let asked = &app.idp.seen(Endpoint::Authorization)[0];
    assert!(asked.contains(&resource) && asked.contains(&("prompt".into(), "consent".into())));
    assert!(!asked.iter().any(|(name, _)| name == "audience"));
    let forms = app.idp.seen(Endpoint::Token);
    assert_eq!(forms.len(), 2);
    assert!(
        forms.iter().all(|form| form.contains(&resource)),
        "{forms:?}"
    );
}

// LG-04, LG-20
#[tokio::test]
async fn an_answer_without_an_attempt_is_refused_before_any_token_request() {
    let app = App::start().await;
    let mut browser = Browser::default();
    let good = browser.reach_callback(&app, "/oauth/openid").await;
    let mut stranger = Browser::default();
    stranger.reach_callback(&app, "/oauth/openid").await;
    let state = query(&good)["state"].clone();
    let flipped = if &state[20..21] == "x" { "y" } else { "x" };
    let other = format!("{}{flipped}{}", &state[..20], &state[21..]);
    for (name, state) in [("missing", None), ("empty", Some(""))] {
        let url = with(&good, "state", state);
        let answer = browser.clone().visit(&app, &url).await;
        assert_eq!(failure(&answer), Some(Kind::MalformedCallback), "{name}");
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{name}");
    }
    for (name, state) in [
        ("unknown", "nobody's"),
        ("changed", &other),
        ("script", "<script>"),
    ] {
        let url = with(&good, "state", Some(state));
        let answer = Browser::default().visit(&app, &url).await;
        assert_eq!(failure(&answer), Some(Kind::UnknownAttempt), "{name}");
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{name}");
        assert!(!answer.body().contains("<script>"), "{name}");
        // In a browser with a sign-in under way another tab may have overwritten it.
        let answer = browser.clone().visit(&app, &url).await;
        assert_eq!(location(&answer), "/oauth/openid?again=1", "{name}");
    }
    let answer = Browser::default().visit(&app, &good).await;
    assert_eq!(failure(&answer), Some(Kind::UnknownAttempt));
    let answer = stranger.visit(&app, &good).await;
    assert_eq!(location(&answer), "/oauth/openid?again=1");
    assert!(!stranger.jar.contains_key(SESSION));
    assert_eq!(app.idp.hits().token, 0);
    // The browser that began can still finish.
    let answer = browser.visit(&app, &good).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
}

// LG-04, LG-23
#[tokio::test]
async fn an_answer_is_taken_once() {
    let app = App::start().await;
    let mut browser = Browser::default();
    let callback = browser.reach_callback(&app, "/oauth/openid").await;
    let before = browser.clone();
    let answers = (0..10).map(|_| {
        let (mut browser, callback) = (before.clone(), callback.clone());
        let (service, request) = (app.service(), browser.navigation(&callback));
        tokio::spawn(async move { browser.send(&service, request).await })
    });
    let (mut signed_in, mut replayed) = (0, 0);
    for answer in answers.collect::<Vec<_>>() {
        match failure(&answer.await.unwrap()) {
            None => signed_in += 1,
            Some(Kind::AttemptReplayed) => replayed += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((signed_in, replayed, app.idp.hits().token), (1, 9, 1));
    let answer = browser.visit(&app, &callback).await;
    assert_eq!(failure(&answer), Some(Kind::AttemptReplayed));
    assert_eq!(app.idp.hits().token, 1);
}

// LG-15, F71
#[tokio::test]
async fn a_sign_in_takes_ten_minutes_at_the_most() {
    let app = App::start().await;
    let mut browser = Browser::default();
    let callback = browser.reach_callback(&app, "/oauth/openid").await;
    app.clock.advance(seconds(601));
    let answer = browser.visit(&app, &callback).await;
    assert_eq!(failure(&answer), Some(Kind::AttemptExpired));
    assert!(answer.body().contains("ten minutes"), "{}", answer.body());
    assert_eq!(app.idp.hits().token, 0);
}

// LG-15, SC-06
#[tokio::test]
async fn a_thousand_starts_leave_few_cookies_of_bounded_size() {
    let app = App::start().await;
    let mut browser = Browser::default();
    let long = format!("/oauth/openid?return_to=/{}", "a".repeat(2_046));
    for turn in 0..1_000 {
        let path = if turn % 2 == 0 {
            &long
        } else {
            "/oauth/openid"
        };
        let answer = browser.visit(&app, path).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        let set: usize = answer
            .headers()
            .get_all("set-cookie")
            .iter()
            .map(http::HeaderValue::len)
            .sum();
        assert!(set <= 3_500, "{set} bytes of cookies in one answer");
        assert!(browser.jar.len() <= 6, "{} cookies", browser.jar.len());
        let together: usize = browser.jar.iter().map(|(n, v)| n.len() + v.len() + 3).sum();
        assert!(together <= 6 * 1024, "{together} bytes of cookies");
        app.clock.advance(seconds(1));
    }
}

// LG-15
#[tokio::test]
async fn tabs_do_not_collide() {
    let app = App::start().await;
    let mut browser = Browser::default();
    let one = browser
        .reach_callback(&app, "/oauth/openid?return_to=/one")
        .await;
    let two = browser
        .reach_callback(&app, "/oauth/openid?return_to=/two")
        .await;
    assert_eq!(location(&browser.visit(&app, &one).await), "/one");
    assert_eq!(location(&browser.visit(&app, &two).await), "/two");
}

// LG-07, LG-08
#[tokio::test]
async fn the_answer_says_from_whom_it_comes() {
    let app = App::start().await;
    let cases = [
        ("another", Some("https://evil.example")),
        ("with a slash", Some("SLASH")),
        ("announced but missing", None),
    ];
    for (name, iss) in cases {
        let slash = format!("{}/", app.idp.issuer());
        let iss = iss.map(|iss| if iss == "SLASH" { slash.as_str() } else { iss });
        for error in [None, Some("access_denied")] {
            let mut browser = Browser::default();
            let callback = browser.reach_callback(&app, "/oauth/openid").await;
            let callback = with(&with(&callback, "iss", iss), "error", error);
            let answer = browser.visit(&app, &callback).await;
            assert_eq!(
                failure(&answer),
                Some(Kind::IssuerMismatch),
                "{name} {error:?}"
            );
        }
    }
    assert_eq!(app.idp.hits().token, 0);
}

// LG-07
#[tokio::test]
async fn a_provider_that_does_not_announce_iss_may_omit_it_but_is_held_to_it() {
    let app = App::start().await;
    let at = |path: &str| format!("{}{path}", app.idp.issuer());
    app.idp.set_discovery(
        serde_json::json!({
            "issuer": app.idp.issuer(),
            "jwks_uri": at("/jwks"),
            "authorization_endpoint": at("/authorize"),
            "token_endpoint": at("/token"),
        })
        .to_string(),
    );
    for (iss, is_fine) in [(None, true), (Some("https://evil.example"), false)] {
        let mut browser = Browser::default();
        let callback = browser.reach_callback(&app, "/oauth/openid").await;
        let answer = browser.visit(&app, &with(&callback, "iss", iss)).await;
        assert_eq!(answer.status() == StatusCode::SEE_OTHER, is_fine, "{iss:?}");
    }
}

// LG-06
#[tokio::test]
async fn values_of_the_attempt_are_not_read_from_the_callback() {
    let app = App::start().await;
    let mut browser = Browser::default();
    let mut callback = browser
        .reach_callback(&app, "/oauth/openid?return_to=/inbox")
        .await;
    for (name, value) in [
        ("return_to", "/elsewhere"),
        ("return_path", "/elsewhere"),
        ("nonce", "n"),
        ("code_verifier", "v"),
        ("redirect_uri", "https://evil.example/"),
        ("client_id", "stranger"),
    ] {
        callback = with(&callback, name, Some(value));
    }
    let answer = browser.visit(&app, &callback).await;
    assert_eq!(location(&answer), "/inbox", "{}", answer.body());
    let form = &app.idp.seen(Endpoint::Token)[0];
    let sent = |name: &str| {
        let found = form.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    };
    let callback = format!("{SITE}/oauth/openid/callback");
    assert_eq!(sent("redirect_uri"), Some(callback.as_str()));
    assert_eq!(sent("code_verifier").map(str::len), Some(43));
    assert_eq!(browser.fetch(&app, "/").await.status(), StatusCode::OK);
}

// LG-12
#[tokio::test]
async fn a_callback_with_a_parameter_twice_is_refused() {
    let app = App::start().await;
    let mut browser = Browser::default();
    let good = browser.reach_callback(&app, "/oauth/openid").await;
    for name in ["code", "state", "iss"] {
        let twice = format!("{good}&{name}={}", query(&good)[name]);
        let answer = browser.clone().visit(&app, &twice).await;
        assert_eq!(failure(&answer), Some(Kind::MalformedCallback), "{name}");
    }
    let long = format!("{good}&x={}", "a".repeat(17_000));
    assert_eq!(
        failure(&browser.clone().visit(&app, &long).await),
        Some(Kind::MalformedCallback)
    );
    let none = with(&good, "code", None);
    assert_eq!(
        failure(&browser.visit(&app, &none).await),
        Some(Kind::MalformedCallback)
    );
    assert_eq!(app.idp.hits().token, 0);
}

// LG-13
#[tokio::test]
async fn errors_of_the_provider_are_told_in_our_own_words() {
    let app = App::start().await;
    let cases = [
        ("access_denied", Kind::Denied, 403),
        ("login_required", Kind::Denied, 403),
        ("temporarily_unavailable", Kind::ProviderUnavailable, 503),
        ("invalid_scope", Kind::RequestRefused, 500),
        ("<script>alert(1)</script>", Kind::RequestRefused, 500),
    ];
    for (code, kind, status) in cases {
        let mut browser = Browser::default();
        let callback = browser.reach_callback(&app, "/oauth/openid").await;
        let callback = with(&with(&callback, "code", None), "error", Some(code));
        let callback = with(
            &callback,
            "error_description",
            Some("<img src=x onerror=y>"),
        );
        let answer = browser.visit(&app, &callback).await;
        assert_eq!(failure(&answer), Some(kind), "{code}");
        assert_eq!(answer.status(), status, "{code}");
        // Only a code that a standard defines is repeated, and to operators alone.
        let error = answer.extensions().get::<LoginError>().unwrap();
        let cause = std::error::Error::source(error).map(ToString::to_string);
        let is_told = cause.is_some_and(|cause| cause.ends_with(code));
        assert_eq!(is_told, code == "invalid_scope", "{code}");
        let body = answer.body();
        assert!(
            !body.contains("<script") && !body.contains("onerror"),
            "{body}"
        );
        let policy = answer.headers()["content-security-policy"]
            .to_str()
            .unwrap();
        assert!(
            policy.starts_with("default-src 'none'; style-src 'sha256-"),
            "{policy}"
        );
        assert!(!browser.jar.contains_key(SESSION));
        assert!(browser.cookies_called("__Host-session-login").is_empty());
    }
    // Without a state the error is not looked at.
    let answer = Browser::default()
        .visit(&app, "/oauth/openid/callback?error=x")
        .await;
    assert_eq!(failure(&answer), Some(Kind::MalformedCallback));
}

// LG-14, SC-13
#[tokio::test]
async fn answers_on_the_own_paths_are_not_stored_and_leak_no_referrer() {
    let app = App::start().await;
    let mut browser = Browser::default();
    let start = browser.visit(&app, "/oauth/openid").await;
    let callback = at_provider(location(&start)).await;
    let callback = browser.visit(&app, &callback).await;
    let failed = browser.visit(&app, "/oauth/openid/callback").await;
    for answer in [&start, &callback, &failed] {
        assert_eq!(answer.headers()["cache-control"], "no-store");
        assert_eq!(answer.headers()["referrer-policy"], "no-referrer");
    }
    assert_eq!(start.status(), 303);
    assert_eq!(callback.status(), 303);
    let page = browser.visit(&app, "/").await;
    assert_eq!(page.headers()["cache-control"], "no-store");
    assert_eq!(page.headers()["vary"], "Cookie");
}

// LG-09
#[tokio::test]
async fn the_callback_is_configured_and_never_taken_from_a_request() {
    let app = App::start().await;
    let browser = Browser::default();
    let mut request = browser.navigation("/oauth/openid");
    for (name, value) in [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("forwarded", "host=evil.example;proto=http"),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let answer = Browser::default().send(&app.service(), request).await;
    assert!(!location(&answer).contains("evil"));
    assert_eq!(
        query(location(&answer))["redirect_uri"],
        format!("{SITE}/oauth/openid/callback")
    );
    assert_eq!(
        app.layer.redirect_uri(),
        format!("{SITE}/oauth/openid/callback")
    );
}

// LG-10, LG-11
#[tokio::test]
async fn a_return_target_never_leads_elsewhere_or_in_circles() {
    let app = App::start().await;
    for evil in [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "/%2fevil.example",
        "/%09/evil.example",
        "javascript:alert(1)",
        "/oauth/openid",
        "/oauth/openid/callback?x=y",
        "/oauth/openid/logout",
        "/oauth/openid/backchannel-logout",
        "",
    ] {
        let mut browser = Browser::default();
        let start = with("/oauth/openid", "return_to", Some(evil));
        let callback = browser.reach_callback(&app, &start).await;
        assert_eq!(
            location(&browser.visit(&app, &callback).await),
            "/",
            "{evil}"
        );
    }
    let mut browser = Browser::default();
    let callback = browser
        .reach_callback(&app, "/oauth/openid?return_to=/a&return_to=//b")
        .await;
    assert_eq!(location(&browser.visit(&app, &callback).await), "/");
}

// LG-16
#[tokio::test]
async fn scripts_are_told_401_and_never_sent_to_the_provider() {
    let app = App::start().await;
    let mut browser = Browser::default();
    let answer = browser.fetch(&app, "/api/me").await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(failure(&answer), Some(Kind::NotSignedIn));
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let problem: serde_json::Value = serde_json::from_str(answer.body()).unwrap();
    assert_eq!(problem["status"], 401);
    assert_eq!(problem["sign_in"], "/oauth/openid?return_to=%2F");
    assert_eq!(
        browser.fetch(&app, "/oauth/openid").await.status(),
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        browser.post(&app, "/messages").await.status(),
        StatusCode::UNAUTHORIZED
    );
    let mut frame = browser.navigation("/");
    frame
        .headers_mut()
        .insert("sec-fetch-dest", "iframe".parse().unwrap());
    assert_eq!(
        browser.send(&app.service(), frame).await.status(),
        StatusCode::UNAUTHORIZED
    );
    assert!(browser.jar.is_empty());
    for (method, path, allowed) in [
        (Method::POST, "/oauth/openid", "GET"),
        (Method::POST, "/oauth/openid/callback", "GET"),
        (Method::GET, "/oauth/openid/logout", "POST"),
        (Method::GET, "/oauth/openid/backchannel-logout", "POST"),
    ] {
        let request = browser.script(method, path);
        let answer = browser.send(&app.service(), request).await;
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(answer.headers()["allow"], allowed);
    }
}

// LG-17, F32, SC-14
#[tokio::test]
async fn a_sign_in_makes_a_new_session_in_place_of_any_former_one() {
    let app = App::start().await;
    let mut browser = Browser::default();
    browser.jar.insert(SESSION.into(), "A".repeat(43));
    browser.sign_in(&app).await;
    let first = browser.jar[SESSION].clone();
    assert_ne!(first, "A".repeat(43));
    // Over an old session whose tokens have expired, too.
    app.hour_passes();
    browser.sign_in(&app).await;
    assert_ne!(browser.jar[SESSION], first);
    assert_eq!(
        app.idp.hits().refreshed,
        0,
        "nothing of the old session is looked at"
    );
    let mut thief = Browser::default();
    thief.jar.insert(SESSION.into(), first);
    app.clock.advance(seconds(10));
    assert_eq!(
        thief.fetch(&app, "/").await.status(),
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(browser.fetch(&app, "/").await.status(), StatusCode::OK);
}

// LG-18
#[tokio::test]
async fn secrets_and_codes_stay_out_of_urls() {
    let app = App::start().await;
    Browser::default().sign_in(&app).await;
    let form = &app.idp.seen(Endpoint::Token)[0];
    let names: BTreeSet<_> = form.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        BTreeSet::from(["code", "code_verifier", "grant_type", "redirect_uri"]),
        "the secret travels in the Authorization field"
    );
    for asked in app.idp.seen(Endpoint::Authorization) {
        assert!(
            !asked
                .iter()
                .any(|(name, _)| name == "code_verifier" || name == "client_secret")
        );
    }
}

// LG-03
#[tokio::test]
async fn a_provider_that_lists_pkce_without_s256_is_refused() {
    let app = App::start().await;
    let at = |path: &str| format!("{}{path}", app.idp.issuer());
    app.idp.set_discovery(
        serde_json::json!({
            "issuer": app.idp.issuer(),
            "jwks_uri": at("/jwks"),
            "authorization_endpoint": at("/authorize"),
            "token_endpoint": at("/token"),
            "code_challenge_methods_supported": ["plain"],
        })
        .to_string(),
    );
    let answer = Browser::default().visit(&app, "/oauth/openid").await;
    assert_eq!(failure(&answer), Some(Kind::Misconfigured));
}

// LG-19, LG-20
#[tokio::test]
async fn a_failing_token_endpoint_leaves_no_session() {
    let json = |text: &str| Fault::json(text);
    let cases = [
        (
            json(r#"{"access_token":"a","token_type":"mac"}"#),
            Kind::TokenRefused,
        ),
        (json("[]"), Kind::TokenRefused),
        (Fault::document("text/html", "<h1>"), Kind::TokenRefused),
        (Fault::Status(500), Kind::ProviderUnavailable),
        (Fault::Status(429), Kind::ProviderUnavailable),
        (
            Fault::Redirect("https://evil.example".into()),
            Kind::ProviderUnavailable,
        ),
        (Fault::LoseAnswer, Kind::ProviderUnavailable),
        (Fault::Status(400), Kind::CodeRejected),
        (Fault::Status(401), Kind::ProviderUnavailable),
    ];
    for (fault, expected) in cases {
        let app = App::start().await;
        let mut browser = Browser::default();
        let callback = browser.reach_callback(&app, "/oauth/openid").await;
        app.idp.set_fault(Endpoint::Token, fault.clone());
        let answer = browser.visit(&app, &callback).await;
        assert_eq!(failure(&answer), Some(expected), "{fault:?}");
        assert!(!browser.jar.contains_key(SESSION), "{fault:?}");
        let again = browser.clone().visit(&app, &callback).await;
        assert_eq!(failure(&again), Some(Kind::AttemptReplayed), "{fault:?}");
        assert_eq!(app.idp.hits().token, 1, "{fault:?}: the code is sent once");
        assert_eq!(app.idp.hits().other, 0, "{fault:?}");
        if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
            assert!(answer.headers().contains_key("retry-after"), "{fault:?}");
        }
    }
}

// LG-20
#[tokio::test]
async fn a_provider_that_is_away_is_503_and_heals() {
    let app = App::start().await;
    app.idp.set_fault(Endpoint::Discovery, Fault::Status(503));
    let mut browser = Browser::default();
    let answer = browser.visit(&app, "/oauth/openid").await;
    assert_eq!(failure(&answer), Some(Kind::ProviderUnavailable));
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers().contains_key("retry-after"));
    app.idp.set_fault(Endpoint::Discovery, None);
    app.clock.advance(seconds(60));
    browser.sign_in(&app).await;
}

// ID-01, ID-02, ID-03, ID-04, ID-05, ID-06, ID-07, ID-08
#[tokio::test]
async fn an_id_token_that_breaks_one_rule_is_refused() {
    type Edit = fn(tower_oidc::testing::TokenBuilder) -> tower_oidc::testing::TokenBuilder;
    let cases: [(&str, Edit); 23] = [
        ("id_01 iss", |token| {
            token.claim("iss", "https://evil.example")
        }),
        ("id_01 no iss", |token| token.without_claim("iss")),
        ("id_02 aud", |token| token.claim("aud", "another")),
        ("id_02 aud and another", |token| {
            token.claim("aud", ["development", "another"])
        }),
        ("id_02 no aud", |token| token.without_claim("aud")),
        ("id_03 azp", |token| token.claim("azp", "another")),
        ("id_04 none", |token| {
            token.header("alg", "none").signature(|_| Vec::new())
        }),
        ("id_04 signature", |token| {
            token.signature(|mut signature| {
                signature[9] ^= 1;
                signature
            })
        }),
        ("id_05 hs256", |token| token.header("alg", "HS256")),
        ("id_06 exp", |token| token.claim("exp", 1)),
        ("id_06 no exp", |token| token.without_claim("exp")),
        ("id_06 no iat", |token| token.without_claim("iat")),
        ("id_06 iat long ago", |token| token.claim("iat", 1_000)),
        ("id_06 iat to come", |token| {
            token.claim("iat", 9_999_999_999_u64)
        }),
        ("id_07 no sub", |token| token.without_claim("sub")),
        ("id_07 empty sub", |token| token.claim("sub", "")),
        ("id_07 long sub", |token| {
            token.claim("sub", "a".repeat(256))
        }),
        ("id_07 sub", |token| token.claim("sub", "é")),
        ("id_08 at_hash", |token| {
            token.claim("at_hash", "AAAAAAAAAAAAAAAAAAAAAA")
        }),
        ("lg_05 nonce", |token| token.claim("nonce", "another")),
        ("lg_05 no nonce", |token| token.without_claim("nonce")),
        ("typ", |token| token.header("typ", "at+jwt")),
        ("events", |token| {
            token.claim("events", serde_json::json!({}))
        }),
    ];
    let app = App::start().await;
    for (name, edit) in cases {
        app.idp.edit_id_token(edit);
        let mut browser = Browser::default();
        let answer = browser.try_sign_in(&app).await;
        assert_eq!(failure(&answer), Some(Kind::IdTokenRefused), "{name}");
        assert_eq!(answer.status(), StatusCode::BAD_GATEWAY, "{name}");
        assert!(!browser.jar.contains_key(SESSION), "{name}");
    }
    app.idp
        .edit_id_token(|token| token.without_claim("at_hash").claim("azp", "development"));
    Browser::default().sign_in(&app).await;
    app.idp.edit_token_answer(|_, answer| {
        answer.as_object_mut().unwrap().remove("id_token");
    });
    let answer = Browser::default().try_sign_in(&app).await;
    assert_eq!(failure(&answer), Some(Kind::IdTokenRefused), "none at all");
}

// ID-09
#[tokio::test]
async fn userinfo_is_about_the_same_subject_or_unused() {
    let app = App::start_with(tower_oidc::login::LoginBuilder::with_userinfo).await;
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    browser.visit(&app, "/").await;
    let claims: Option<serde_json::Value> = app.session().userinfo().unwrap();
    assert_eq!(claims.unwrap()["nickname"], "nick of user-1");
    for fault in [
        Fault::json(r#"{"sub":"user-2"}"#),
        Fault::json("{}"),
        Fault::json("[]"),
        Fault::Status(500),
    ] {
        app.idp.set_fault(Endpoint::UserInfo, fault.clone());
        let answer = Browser::default().try_sign_in(&app).await;
        assert_eq!(failure(&answer), Some(Kind::UserInfoRefused), "{fault:?}");
    }
}

// ID-10
#[tokio::test]
async fn keys_that_changed_in_the_middle_of_a_sign_in() {
    let app = App::start().await;
    Browser::default().sign_in(&app).await;
    app.idp.rotate_keys();
    Browser::default().sign_in(&app).await;
}

// SU-05
#[tokio::test]
async fn the_acr_and_age_that_were_asked_for_are_checked_in_the_id_token() {
    let app = App::start_with(|login| {
        login
            .pass_through(PassedParameter::AcrValues)
            .pass_through(PassedParameter::MaxAge)
            .pass_through(PassedParameter::LoginHint)
    })
    .await;
    let start = "/oauth/openid?acr_values=gold+silver&max_age=60&login_hint=anna&prompt=login";
    let mut browser = Browser::default();
    let callback = browser.reach_callback(&app, start).await;
    let asked = &app.idp.seen(Endpoint::Authorization)[0];
    let has = |name: &str, value: &str| asked.contains(&(name.to_owned(), value.to_owned()));
    assert!(has("acr_values", "gold silver") && has("max_age", "60") && has("login_hint", "anna"));
    assert!(
        !asked.iter().any(|(name, _)| name == "prompt"),
        "not passed through"
    );
    let answer = browser.visit(&app, &callback).await;
    assert_eq!(failure(&answer), Some(Kind::IdTokenRefused), "no acr");

    app.idp.edit_id_token(|token| token.claim("acr", "Gold"));
    let callback = browser.reach_callback(&app, start).await;
    let answer = browser.visit(&app, &callback).await;
    assert_eq!(failure(&answer), Some(Kind::IdTokenRefused), "another acr");

    app.idp
        .edit_id_token(|token| token.claim("acr", "gold").claim("auth_time", 1_000));
    let callback = browser.reach_callback(&app, start).await;
    let answer = browser.visit(&app, &callback).await;
    assert_eq!(failure(&answer), Some(Kind::IdTokenRefused), "too long ago");

    app.idp.edit_id_token(|token| token.claim("acr", "gold"));
    let callback = browser.reach_callback(&app, start).await;
    assert_eq!(
        browser.visit(&app, &callback).await.status(),
        StatusCode::SEE_OTHER
    );
}

// D21, F83
#[tokio::test]
async fn without_a_refresh_token_the_choice_is_typed() {
    let without = |app: &App| {
        app.idp.edit_token_answer(|_, answer| {
            answer.as_object_mut().unwrap().remove("refresh_token");
        });
    };
    let app = App::start().await;
    without(&app);
    let answer = Browser::default().try_sign_in(&app).await;
    assert_eq!(failure(&answer), Some(Kind::NoRefreshToken));
    for cause in [
        "offline_access was asked for",
        "Allow Offline Access",
        "access_type=offline&prompt=consent",
        "OPENID_REQUIRE_REFRESH_TOKEN=false",
    ] {
        assert!(told_operators(&answer).contains(cause), "{cause}");
    }
    let app = App::start_with(tower_oidc::login::LoginBuilder::allow_short_session).await;
    without(&app);
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    app.clock.advance(seconds(3_599));
    assert_eq!(browser.fetch(&app, "/").await.status(), StatusCode::OK);
    app.clock.advance(seconds(1));
    assert_eq!(
        browser.fetch(&app, "/").await.status(),
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(app.idp.hits().token, 1, "there is nothing to refresh with");
}

// LG-18
#[tokio::test]
async fn a_secret_is_read_again_from_its_file_when_it_is_refused() {
    let path = std::env::temp_dir().join(format!("client-secret-{}", std::process::id()));
    std::fs::write(&path, "retired\n").unwrap();
    let client = Client::with_secret_file("development", &path).unwrap();
    let mut app = App::start().await;
    let keys = KeyRing::new(["a session secret of more than 32 characters"]).unwrap();
    app.layer = LoginLayer::builder(app.verifier.clone(), client, SITE, keys)
        .build()
        .unwrap();
    let refused = Browser::default().try_sign_in(&app).await;
    assert_eq!(failure(&refused), Some(Kind::Misconfigured));
    assert_eq!(app.idp.hits().token, 1, "the file has the same");
    std::fs::write(&path, "development-secret\n").unwrap();
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    assert_eq!(app.idp.hits().token, 3, "refused, then taken");
    std::fs::remove_file(&path).unwrap();
    app.hour_passes();
    assert_eq!(browser.fetch(&app, "/").await.status(), StatusCode::OK);
    assert_eq!(app.idp.hits().token, 4, "what was read is used on");
}

#[tokio::test]
async fn a_refresh_token_may_come_without_offline_access() {
    let app = App::start_with(|builder| {
        builder
            .with_scope("openid")
            .add_parameter("access_type", "offline")
    })
    .await;
    app.idp.edit_token_answer(|_, answer| {
        answer["refresh_token"] = "as-google-issues-it".into();
    });
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    let asked = &app.idp.seen(Endpoint::Authorization)[0];
    let has = |name: &str, value: &str| asked.contains(&(name.to_owned(), value.to_owned()));
    assert!(
        has("scope", "openid") && has("access_type", "offline"),
        "{asked:?}"
    );
    assert_eq!(browser.fetch(&app, "/").await.status(), StatusCode::OK);
}

// LG-21
#[tokio::test]
async fn the_request_is_pushed_ahead_where_the_provider_demands_it() {
    let app = App::start().await;
    app.idp.require_pushed_authorization();
    let mut browser = Browser::default();
    let callback = browser.reach_callback(&app, "/oauth/openid").await;
    let asked = &app.idp.seen(Endpoint::Authorization)[0];
    let names: BTreeSet<_> = asked.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        BTreeSet::from(["client_id", "request_uri"]),
        "nothing else in front"
    );
    assert_eq!(
        browser.visit(&app, &callback).await.status(),
        StatusCode::SEE_OTHER
    );
}

#[tokio::test]
async fn public_clients_sign_in_by_pkce_alone() {
    let app = App::start().await;
    let keys = tower_oidc::KeyRing::new([crate::browser::SECRET]).unwrap();
    let client = tower_oidc::Client::public("development-public").unwrap();
    let app = App {
        layer: tower_oidc::LoginLayer::builder(app.verifier.clone(), client, SITE, keys)
            .build()
            .unwrap(),
        ..app
    };
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    app.hour_passes();
    assert_eq!(browser.fetch(&app, "/").await.status(), StatusCode::OK);
    assert_eq!(app.idp.hits().refreshed, 1);
}

// LG-08, RT-13
#[tokio::test]
async fn two_providers_on_one_site_never_see_each_others_codes_and_tokens() {
    let app = App::start().await;
    let other = App::start().await;
    // The layers share secrets, store and cookie names, so that anything that could be confused is the same.
    let second = crate::browser::builder(&other.verifier)
        .with_shared_store(app.store.clone())
        .with_path("/second")
        .build()
        .unwrap();
    let second = tower::Layer::layer(&second, app.inner.clone());
    let mut browser = Browser::default();
    let callback = browser.reach_callback(&app, "/oauth/openid").await;
    let mixed_up = callback.replace("/oauth/openid/callback", "/second/callback");
    let request = browser.navigation(&mixed_up);
    let answer = browser.clone().send(&second, request).await;
    assert_eq!(failure(&answer), Some(Kind::UnknownAttempt));
    assert_eq!((app.idp.hits().token, other.idp.hits().token), (0, 0));
    assert_eq!(
        browser.visit(&app, &callback).await.status(),
        StatusCode::SEE_OTHER
    );
    // A session of one provider is no session for the layer of the other.
    let request = browser.script(Method::GET, "/");
    let answer = browser.clone().send(&second, request).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(other.idp.hits().token, 0);
}
