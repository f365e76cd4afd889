//! Tokens are explained and never shown.

use tower_oidc::doctor::{Report, Shape};
use tower_oidc::testing::DevelopmentProvider;

use crate::setup::{API, Settings, codes};

/// No part of the token, and none of its other claims.
fn assert_not_shown(report: &Report, token: &str) {
    let text = format!("{report}{report:?}{}", report.to_json());
    for part in token.as_bytes().windows(16) {
        assert!(!text.contains(std::str::from_utf8(part).unwrap()), "{text}");
    }
    for claim in ["user-1", "ada@example.com", "the-jti", "rs256-1"] {
        assert!(!text.contains(claim), "{claim}: {text}");
    }
}

#[tokio::test]
async fn each_token_is_told_with_the_setting_that_refuses_it() {
    let idp = DevelopmentProvider::start().await.unwrap();
    let api = Settings::api(idp.issuer());
    let token = || {
        idp.token(API)
            .claim("email", "ada@example.com")
            .claim("jti", "the-jti")
    };
    let strict = api.clone().with("OPENID_TOKEN_PROFILE", "strict");
    let cases = [
        (
            token().claim("aud", "https://other.example").build(),
            &api,
            "token_wrong_audience",
            "OPENID_AUDIENCE",
        ),
        (
            token().without_claim("aud").build(),
            &api,
            "token_missing_claim",
            "OPENID_AUDIENCE",
        ),
        (
            token().claim("iss", "https://other.example").build(),
            &api,
            "token_wrong_issuer",
            "OPENID_ISSUER",
        ),
        (
            token().expired().build(),
            &api,
            "token_expired",
            "OPENID_CLOCK_TOLERANCE",
        ),
        (
            token().header("typ", "JWT").build(),
            &strict,
            "token_token_type",
            "OPENID_TOKEN_PROFILE",
        ),
        (
            token().header("alg", "HS256").build(),
            &api,
            "token_algorithm",
            "OPENID_ALGORITHMS",
        ),
        (idp.opaque_token(), &api, "token_opaque", "OPENID_AUDIENCE"),
        (
            idp.encrypted_token(),
            &api,
            "token_encrypted",
            "OPENID_AUDIENCE",
        ),
    ];
    for (token, settings, code, setting) in cases {
        let report = settings
            .doctor()
            .examining(Shape::Api)
            .verify_token(&token)
            .await;
        let wrong: Vec<_> = report
            .wrong()
            .map(|one| (one.code(), one.setting()))
            .collect();
        assert_eq!(wrong, [(code, Some(setting))], "{report}");
        assert!(report.wrong().all(|one| one.remedy().is_some()), "{report}");
        assert_not_shown(&report, &token);
    }
    assert_eq!(
        idp.hits().jwks,
        0,
        "a token that is refused without a key fetches none"
    );
}

#[tokio::test]
async fn a_refused_token_is_told_what_would_let_it_pass() {
    let idp = DevelopmentProvider::start().await.unwrap();
    let api = Settings::api(idp.issuer());
    let strict = api.clone().with("OPENID_TOKEN_PROFILE", "strict");
    let passes_under = |settings: &Settings, token: &str| {
        let report = settings.doctor().examining(Shape::Api).explain_token(token);
        let mut found = report.findings();
        let found = found.find(|finding| finding.code() == "token_passes_under");
        found.map(|finding| {
            (
                finding.setting().unwrap().to_owned(),
                finding.text().to_owned(),
            )
        })
    };
    let token = idp.token(API).header("typ", "JWT").build();
    let (setting, text) = passes_under(&strict, &token).unwrap();
    assert_eq!(setting, "OPENID_TOKEN_PROFILE");
    assert!(text.contains("lenient"), "{text}");
    let token = idp.token("https://other.example").build();
    let (setting, text) = passes_under(&api, &token).unwrap();
    assert_eq!(setting, "OPENID_AUDIENCE");
    assert!(text.contains("https://other.example"), "{text}");
    // Two things are wrong, so that no one setting lets it pass.
    let token = idp.token("https://other.example").expired().build();
    assert_eq!(passes_under(&api, &token), None);
}

#[tokio::test]
async fn a_good_token_is_described_and_verified() {
    let idp = DevelopmentProvider::start().await.unwrap();
    let api = Settings::api(idp.issuer()).doctor();
    let token = idp.token(API).claim("email", "ada@example.com").build();
    let report = api.verify_token(&format!("{token}\n")).await;
    assert!(report.is_well(), "{report}");
    assert_eq!(
        codes(&report),
        ["token_described", "token_passes", "token_accepted"]
    );
    let described = report.findings().next().unwrap().text().to_owned();
    for part in [
        "an access token",
        "alg RS256",
        "kid present",
        idp.issuer(),
        API,
        "exp in",
        "iat",
    ] {
        assert!(described.contains(part), "{part}: {described}");
    }
    assert_not_shown(&report, &token);
    // Signed by another provider of the same name.
    let forged = idp.token(API).signature(|mut signature| {
        signature[0] ^= 1;
        signature
    });
    let report = api.verify_token(&forged.build()).await;
    let wrong: Vec<_> = report
        .wrong()
        .map(|finding| finding.code().to_owned())
        .collect();
    assert_eq!(wrong, ["token_bad_signature"], "{report}");
}

#[tokio::test]
async fn a_token_is_explained_without_settings_too() {
    let idp = DevelopmentProvider::start().await.unwrap();
    let doctor = Settings::of([]).doctor();
    let report = doctor.explain_token(&idp.token(API).build());
    assert!(codes(&report).contains(&"token_described"), "{report}");
    assert!(!report.is_well(), "the settings are missing");
    for odd in [
        "",
        ".",
        "..",
        "a.b.c",
        "é.é.é",
        &".".repeat(100_000),
        &"e30.e30.".repeat(3),
    ] {
        let report = Settings::api(idp.issuer()).doctor().explain_token(odd);
        assert!(!report.is_well(), "{odd}");
    }
}

#[tokio::test]
async fn what_stands_in_a_token_cannot_forge_a_line() {
    let idp = DevelopmentProvider::start().await.unwrap();
    let token = idp
        .token("x\nright  settings_right  all is well\u{1b}[2J")
        .build();
    let report = Settings::api(idp.issuer()).doctor().explain_token(&token);
    let text = report.to_string();
    assert!(!text.contains('\u{1b}'), "{text}");
    assert!(
        text.lines()
            .all(|line| !line.starts_with("right  settings_right")),
        "{text}"
    );
}
