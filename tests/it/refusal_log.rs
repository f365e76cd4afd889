//! A refusal explains itself in the log, and only there.

use http::header::AUTHORIZATION;
use http::{HeaderValue, Method, Request, StatusCode};
use serde_json::json;
use tower::Layer;
use tower::util::BoxCloneSyncService;
use tower_oidc::testing::TokenBuilder;
use tower_oidc::{BearerLayer, LoginErrorKind, Policy, RequireLayer};
use tracing::Level;

use crate::browser::{App, Browser, failure};
use crate::log::Log;
use crate::support::{API, Api, bearing, judging, judging_as, offline, seconds, send};

/// The lines at levels that are seen by default, of a request with this token to a route of this policy.
async fn told(api: &Api, bearer: &BearerLayer, policy: Policy, token: &str) -> (u16, Vec<String>) {
    let inner = RequireLayer::new(policy).layer(api.inner.clone());
    let mut request = bearing(token);
    *request.uri_mut() = "/orders/7?key=hunter2".parse().unwrap();
    let log = Log::default();
    let capturing = log.capture();
    let answer = send(bearer, BoxCloneSyncService::new(inner), request).await;
    drop(capturing);
    let mut lines = log.at(Level::INFO);
    lines.extend(log.at(Level::WARN));
    lines.retain(|line| line.contains("refused"));
    assert!(!log.text().contains("hunter2"), "{}", log.text());
    (answer.status().as_u16(), lines)
}

// D26, BT-15
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn a_caller_that_lacks_something_is_told_of_with_the_route() {
    let api = Api::start().await;
    let scopes = |scopes: &[&'static str]| Policy::all_scopes(scopes.iter().copied()).unwrap();
    let gold = || Policy::claim("tier", "gold").unwrap();
    let token = |tier: serde_json::Value| api.token().scope("a hunter2").claim("tier", tier);
    let none = || api.token().scope("a hunter2");
    let cases: Vec<(Policy, TokenBuilder, u16, &str, &str)> = vec![
        (
            scopes(&["a", "b"]),
            none(),
            403,
            "required=scopes a, b",
            "the token lacks b",
        ),
        (
            Policy::any_scope(["b", "c"]).unwrap(),
            none(),
            403,
            "required=one of the scopes b, c",
            "the token has none of b, c",
        ),
        (
            gold(),
            none(),
            403,
            r#"required=claim tier = "gold""#,
            "the token has no claim tier",
        ),
        (
            gold(),
            token(json!("hunter2")),
            403,
            "tier",
            "another text is the value of the claim tier",
        ),
        (
            gold(),
            token(json!(["hunter2"])),
            403,
            "tier",
            "an array without that text",
        ),
        (
            gold(),
            token(json!(true)),
            403,
            "tier",
            "true or false and not text",
        ),
        (
            gold(),
            token(json!(4711)),
            403,
            "tier",
            "a number and not text",
        ),
        (
            Policy::role("realm.roles", "admin").unwrap(),
            api.token().claim("realm.roles", ["hunter2"]),
            403,
            r#"required=claim realm.roles = "admin""#,
            "no claim realm (it has ['realm.roles'], which is written like this)",
        ),
        (
            Policy::claim("tier", true).unwrap(),
            token(json!("true")),
            403,
            "required=claim tier = true",
            "text and not true or false is the value of the claim tier (require text",
        ),
        (
            scopes(&["b"]).or(gold()),
            none(),
            403,
            "required=(scope b or claim tier",
            "the token lacks b, and the token has no claim tier",
        ),
        (
            scopes(&["a"]).and(gold()),
            none(),
            403,
            "required=(scope a and claim",
            "no claim tier",
        ),
        (
            Policy::check(|_| false),
            none(),
            403,
            "a check of the application",
            "says no",
        ),
        (
            Policy::audience("https://admin.example").unwrap(),
            none(),
            401,
            "required=audience https://admin.example",
            r#"aud is "https://api.example.com", expected "https://admin.example""#,
        ),
    ];
    for (policy, token, status, required, unmet) in cases {
        let (found, lines) = told(&api, &api.bearer(), policy, &token.build()).await;
        assert_eq!(found, status, "{required}");
        assert_eq!(lines.len(), 1, "{lines:?}");
        for part in [required, unmet, "GET /orders/7"] {
            assert!(lines[0].contains(part), "{part}: {lines:?}");
        }
        assert!(!lines[0].contains("4711"), "{lines:?}");
    }
    assert_eq!(
        told(&api, &api.bearer(), scopes(&["a"]), &none().build()).await,
        (200, vec![])
    );
}

// D25, D26
#[tokio::test]
async fn a_policy_that_such_tokens_never_meet_is_a_warning() {
    let api = Api::start().await;
    let verified = || Policy::claim("email_verified", "true").unwrap();
    for (policy, value, level) in [
        (verified(), json!(true), Level::WARN),
        (verified(), json!("false"), Level::INFO),
        (verified(), json!(null), Level::INFO),
        (
            Policy::authenticated().and(verified()),
            json!(true),
            Level::WARN,
        ),
        (
            Policy::check(|_| false).or(verified()),
            json!(true),
            Level::WARN,
        ),
    ] {
        let token = api.token().claim("email_verified", &value).build();
        let inner = RequireLayer::new(policy).layer(api.inner.clone());
        let log = Log::default();
        let capturing = log.capture();
        let inner = BoxCloneSyncService::new(inner);
        let answer = send(&api.bearer(), inner, bearing(&token)).await;
        drop(capturing);
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        let lines = log.at(level);
        let is_told = lines.iter().any(|line| line.contains("does not suffice"));
        assert!(is_told, "{value}: {}", log.text());
    }
}

// D26
#[tokio::test]
async fn a_flood_of_refused_callers_is_one_line_in_ten_seconds() {
    let api = Api::start().await;
    let inner = RequireLayer::scope("b").unwrap().layer(api.inner.clone());
    let inner = BoxCloneSyncService::new(inner);
    let log = Log::default();
    let capturing = log.capture();
    for _ in 0..50 {
        let answer = send(&api.bearer(), inner.clone(), bearing(&api.token().build())).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    }
    drop(capturing);
    let told = |level| {
        let lines = log.at(level).into_iter();
        lines
            .filter(|line| line.contains("does not suffice"))
            .count()
    };
    // One more if the fifty took longer than ten seconds.
    assert!(
        (1..=2).contains(&told(Level::INFO)),
        "{}",
        told(Level::INFO)
    );
    assert_eq!(told(Level::INFO) + told(Level::DEBUG), 50);
}

// D26, CL-06, CL-09
#[tokio::test]
async fn a_wrong_issuer_or_audience_is_shown_beside_what_is_expected() {
    let api = Api::start().await;
    let issuer = api.idp.issuer().to_owned();
    let long = "x".repeat(1_000);
    let cases = [
        (
            api.token().claim("iss", format!("{issuer}/")),
            format!(
                r#"iss is "{issuer}/", expected "{issuer}" (they differ only in the final slash"#
            ),
        ),
        (
            api.token()
                .claim("aud", ["https://a.example", "https://b.example"]),
            format!(r#"aud is ["https://a.example", "https://b.example"], expected "{API}""#),
        ),
        (
            api.token().claim("aud", format!("{API}/")),
            format!(r#"aud is "{API}/", expected "{API}" (they differ only in the final slash"#),
        ),
        (
            api.token().claim("aud", "a\r\nWARN forged \u{1b}[31m"),
            r#"aud is "a\r\nWARN forged \u{1b}[31m", expected"#.to_owned(),
        ),
        (
            api.token().claim("iss", &long),
            format!(r#"iss is "{}" …, expected "{issuer}""#, "x".repeat(200)),
        ),
    ];
    for (token, expected) in cases {
        let bearer = api.bearer();
        let any = Policy::authenticated();
        let (status, lines) = told(&api, &bearer, any, &token.build()).await;
        assert_eq!(status, 401);
        assert_eq!(lines.len(), 1, "{lines:?}");
        for part in [expected.as_str(), "GET /orders/7", "remedy="] {
            assert!(lines[0].contains(part), "{part}: {lines:?}");
        }
    }
}

// D26, BT-18
#[tokio::test]
async fn the_client_is_told_nothing_of_it() {
    let api = Api::start().await;
    let inner = RequireLayer::new(Policy::claim("tier", "gold").unwrap()).layer(api.inner.clone());
    let token = api.token().claim("aud", "https://a.example").build();
    let refused = api.with_token(&token).await;
    let lacking = send(
        &api.bearer(),
        BoxCloneSyncService::new(inner),
        bearing(&api.token().build()),
    )
    .await;
    for answer in [refused, lacking] {
        let shown = format!("{:?} {}", answer.headers(), answer.body());
        for part in ["a.example", "gold", "tier"] {
            assert!(!shown.contains(part), "{shown}");
        }
    }
}

// D26, DI-01
#[tokio::test]
async fn an_issuer_without_its_slash_is_named_at_the_first_refusal() {
    let api = Api::start().await;
    let issuer = api.idp.issuer();
    let with_slash = || api.token().claim("iss", format!("{issuer}/")).build();
    // No metadata is read, so that nothing else can tell of the slash.
    let exact = api
        .idp
        .provider_builder()
        .with_jwks_url(&api.idp.jwks_url());
    let lenient = api
        .idp
        .provider_builder()
        .allow_final_slash()
        .with_jwks_url(&api.idp.jwks_url());
    for builder in [exact, lenient] {
        let provider = builder.build().unwrap();
        let bearer = BearerLayer::new(judging(&provider, API));
        let (status, lines) = told(&api, &bearer, Policy::authenticated(), &with_slash()).await;
        assert_eq!(status, 401);
        assert_eq!(lines.len(), 1, "{lines:?}");
        for part in [
            format!(
                r#"iss is "{issuer}/", expected "{issuer}" (they differ only in the final slash"#
            ),
            "OPENID_ISSUER".to_owned(),
            "OPENID_JWKS_URL".to_owned(),
        ] {
            assert!(lines[0].contains(&part), "{part}: {lines:?}");
        }
    }
}

// D26
#[tokio::test]
async fn credentials_that_are_no_token_are_told_of_without_them() {
    let api = Api::start().await;
    let log = Log::default();
    let capturing = log.capture();
    for fields in [
        &["Bearer hunter2, hunter2"][..],
        &["Bearer hunter2", "Bearer hunter2"],
    ] {
        let mut request = Request::get("/a").body(String::new()).unwrap();
        for field in fields {
            let field = HeaderValue::from_static(field);
            request.headers_mut().append(AUTHORIZATION, field);
        }
        assert_eq!(api.send(request).await.status(), 400);
    }
    drop(capturing);
    let lines = log.at(Level::INFO);
    for part in [
        "the credentials are not a bearer token",
        "not one bearer token",
    ] {
        let told = |line: &String| line.contains(part) && line.contains("GET /a");
        assert!(lines.iter().any(told), "{part}: {lines:?}");
    }
    assert!(!log.text().contains("hunter2"));
}

// D26
#[tokio::test]
async fn a_remedy_is_one_for_the_configuration_that_refused() {
    let api = Api::start().await;
    let remedy = async |verifier: &tower_oidc::Verifier, token: TokenBuilder| {
        let error = verifier.verify(&token.build()).await.unwrap_err();
        error.remedy()
    };
    let lenient = judging(&api.provider, API);
    let strict = judging_as(&api.provider, API)
        .with_profile(tower_oidc::TokenProfile::Strict)
        .build()
        .unwrap();
    let aged = judging_as(&api.provider, API)
        .with_max_age(seconds(60))
        .with_leeway(seconds(300))
        .with_max_token_size(1024 * 1024)
        .build()
        .unwrap();
    let keycloak = tower_oidc::Provider::discover("https://id.example/realms/shop").unwrap();
    let keycloak = judging(&keycloak, API);
    let of_keycloak = |name: &str, value: serde_json::Value| {
        let token = api.token().claim("iss", "https://id.example/realms/shop");
        token.claim(name, value)
    };
    let future = 4_102_444_800_u64;
    let cases = [
        (
            remedy(&strict, api.token().without_claim("jti")).await,
            true,
            "lenient profile",
        ),
        (
            remedy(&strict, api.token().header("typ", "JWT")).await,
            true,
            "lenient profile",
        ),
        (
            remedy(&strict, api.token().without_claim("aud")).await,
            false,
            "lenient profile",
        ),
        (
            remedy(&lenient, api.token().claim("sub", 7)).await,
            false,
            "lenient",
        ),
        (
            remedy(&strict, api.token().claim("sub", 7)).await,
            false,
            "lenient",
        ),
        (
            remedy(&lenient, api.token().header("typ", "logout+jwt")).await,
            false,
            "lenient",
        ),
        (
            remedy(&lenient, api.token().header("alg", "HS256")).await,
            false,
            "OPENID_ALGORITHMS",
        ),
        (
            remedy(&lenient, api.token().header("alg", "RS384")).await,
            true,
            "OPENID_ALGORITHMS",
        ),
        (
            remedy(&lenient, api.token().claim("nbf", future)).await,
            true,
            "raise the leeway",
        ),
        (
            remedy(&aged, api.token().claim("nbf", future)).await,
            false,
            "raise",
        ),
        (
            remedy(&aged, api.token().without_claim("iat")).await,
            true,
            "maximum age",
        ),
        (
            remedy(&keycloak, of_keycloak("aud", json!("account"))).await,
            true,
            "mapper",
        ),
        (
            remedy(&keycloak, of_keycloak("aud", json!("account"))).await,
            false,
            "Auth0",
        ),
    ];
    for (at, (remedy, names, part)) in cases.into_iter().enumerate() {
        assert_eq!(remedy.contains(part), names, "{at}: {remedy}");
    }
    let other_keys = offline(json!({"keys": []}).to_string());
    assert!(judging(&other_keys, API).verify("a.b.c").await.is_err());
}

// D26
#[tokio::test]
async fn a_request_that_does_not_prove_its_origin_is_told_of() {
    let app = App::start().await;
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    let log = Log::default();
    let capturing = log.capture();
    for _ in 0..3 {
        let mut request = browser.script(Method::POST, "/orders?key=hunter2");
        let headers = request.headers_mut();
        headers.remove("sec-fetch-site");
        headers.insert(
            "origin",
            HeaderValue::from_static("https://www.example.com"),
        );
        let answer = browser.send(&app.service(), request).await;
        assert_eq!(failure(&answer), Some(LoginErrorKind::CrossOrigin));
    }
    drop(capturing);
    let lines = log.at(Level::INFO);
    let lines: Vec<_> = lines
        .iter()
        .filter(|line| line.contains("its origin"))
        .collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in [
        "expected=https://app.example.com",
        r#"origin="https://www.example.com""#,
        "POST /orders",
        "DOMAIN_SERVER",
    ] {
        assert!(lines[0].contains(part), "{part}: {lines:?}");
    }
    assert!(!log.text().contains("hunter2"));
}

// D26, BT-15
#[tokio::test]
async fn what_a_token_holds_is_in_the_log_and_not_on_the_page() {
    let app = App::start().await;
    app.idp
        .edit_access_token(|token| token.claim("aud", "https://graph.example"));
    let log = Log::default();
    let capturing = log.capture();
    let answer = Browser::default().try_sign_in(&app).await;
    drop(capturing);
    assert!(failure(&answer).is_some());
    assert!(
        answer.body().contains("unusable_token"),
        "{}",
        answer.body()
    );
    assert!(
        !answer.body().contains("graph.example"),
        "{}",
        answer.body()
    );
    let expected = format!(r#"aud is "https://graph.example", expected "{API}""#);
    let lines = log.at(Level::WARN);
    assert!(
        lines.iter().any(|line| line.contains(&expected)),
        "{lines:?}"
    );
}
