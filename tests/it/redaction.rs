//! BT-21: no part of a token in any log, error, `Debug` or answer, at any level.

use std::fmt::Write as _;

use http::StatusCode;
use tower_oidc::testing::{Endpoint, Fault};

use crate::browser::{App, Browser, SECRET};
use crate::log::Log;
use crate::support::{Api, bearing, seconds, until};

/// Whether the text holds sixteen characters in a row of the secret.
fn leaks(text: &str, secret: &str) -> bool {
    secret
        .as_bytes()
        .windows(16)
        .any(|part| text.contains(std::str::from_utf8(part).unwrap()))
}

// BT-21, D26
#[tokio::test]
async fn no_part_of_a_token_is_ever_shown() {
    let log = Log::default();
    let guard = log.capture();
    let api = Api::start().await;
    let tokens = [
        api.token().build(),
        api.token().expired().build(),
        api.token()
            .claim("aud", "another-audience-of-many-characters")
            .build(),
        api.token()
            .claim("iss", "https://another-issuer-of-many-characters")
            .build(),
        api.token()
            .header("kid", "sixteen-characters-of-kid")
            .build(),
        api.token()
            .header("alg", "sixteen-characters-of-alg")
            .build(),
        api.token()
            .claim("nonce", "sixteen-characters-of-nonce")
            .build(),
        api.token()
            .signature(|mut signature| {
                signature[0] ^= 1;
                signature
            })
            .build(),
        api.idp.opaque_token(),
        api.idp.encrypted_token(),
        "sixteen characters {that are no token}".to_owned(),
    ];
    let mut shown = format!(
        "{api:?}",
        api = (&api.verifier, &api.provider, api.bearer())
    );
    for token in &tokens {
        let answer = api.send(bearing(token)).await;
        write!(
            shown,
            "{answer:?}{:?}",
            answer.extensions().get::<tower_oidc::Rejection>()
        )
        .unwrap();
        if let Err(error) = api.verifier.verify(token).await {
            write!(shown, "{error}{error:?}{}", error.remedy()).unwrap();
        } else {
            let principal = api.verifier.verify(token).await.unwrap();
            write!(shown, "{principal:?}").unwrap();
        }
    }
    drop(guard);
    let log = log.text();
    assert!(log.contains("refused a token"), "the log was captured");
    // The log alone, and no text of an error or answer, tells a wrong audience and issuer (D26).
    let public = [
        "another-audience-of-many-characters",
        "https://another-issuer-of-many-characters",
    ];
    for told in public {
        assert!(!leaks(&shown, told), "{told} is shown:\n{shown}");
        assert!(log.contains(told), "{told} is not in the log:\n{log}");
    }
    for secret in tokens.iter().map(String::as_str).chain([
        "sixteen-characters-of-kid",
        "sixteen-characters-of-alg",
        "sixteen-characters-of-nonce",
    ]) {
        assert!(!leaks(&log, secret), "{secret} in the log:\n{log}");
        assert!(!leaks(&shown, secret), "{secret} is shown:\n{shown}");
    }
}

// F21
#[tokio::test]
async fn the_log_names_each_cause_and_its_remedy_once_in_ten_seconds() {
    let log = Log::default();
    let guard = log.capture();
    let api = Api::start().await;
    let layer = api.bearer();
    for _ in 0..50 {
        for token in [
            api.idp.encrypted_token(),
            api.token().claim("aud", "x").build(),
        ] {
            crate::support::send(&layer, api.inner.clone(), bearing(&token)).await;
        }
    }
    let told = |log: &Log, kind: &str| {
        let marker = format!("kind=\"{kind}\"");
        log.text()
            .lines()
            .filter(|line| line.contains("WARN") && line.contains(&marker))
            .count()
    };
    assert_eq!(
        (told(&log, "encrypted"), told(&log, "wrong_audience")),
        (1, 1)
    );
    assert!(log.text().contains("OPENID_AUDIENCE"));
    api.clock.advance(seconds(10));
    crate::support::send(
        &layer,
        api.inner.clone(),
        bearing(&api.idp.encrypted_token()),
    )
    .await;
    assert_eq!(told(&log, "encrypted"), 2);
    drop(guard);
}

#[tokio::test]
async fn provider_trouble_is_told_with_its_cause() {
    let log = Log::default();
    let guard = log.capture();
    let api = Api::start().await;
    api.idp.set_fault(Endpoint::Jwks, Fault::Status(418));
    api.status(api.token().build()).await;
    drop(guard);
    assert!(log.text().contains("418"), "{}", log.text());
}

#[tokio::test]
async fn a_provider_that_has_no_metadata_there_is_told_with_a_hint() {
    let log = Log::default();
    let _guard = log.capture();
    let api = Api::start().await;
    let failed = |log: &Log| {
        let lines = log.at(tracing::Level::WARN).into_iter();
        lines
            .filter(|line| line.contains("fetching the provider's keys failed"))
            .collect::<Vec<_>>()
    };
    for (endpoint, status, hint) in [
        (Endpoint::Discovery, 404, "OPENID_ISSUER"),
        (Endpoint::Jwks, 410, "OPENID_JWKS_URL"),
    ] {
        api.idp.set_fault(endpoint, Fault::Status(status));
        api.status(api.token().build()).await;
        api.clock.advance(seconds(61));
        api.idp.set_fault(endpoint, None);
        let lines = failed(&log);
        let last = lines.last().unwrap();
        assert!(last.contains(hint), "{last}");
        // Nothing is in use where nothing was fetched.
        assert!(last.contains("none are cached"), "{last}");
    }
    assert_eq!(api.status(api.token().build()).await, StatusCode::OK);
    api.clock.advance(seconds(601));
    api.idp.set_fault(Endpoint::Jwks, Fault::Status(500));
    assert_eq!(api.status(api.token().build()).await, StatusCode::OK);
    until(|| {
        failed(&log)
            .last()
            .is_some_and(|line| line.contains("the cached keys stay in use"))
    })
    .await;
}

// F81
#[tokio::test]
async fn no_token_code_secret_verifier_or_cookie_is_ever_shown() {
    let log = Log::default();
    let guard = log.capture();
    let app = App::start().await;
    let mut browser = Browser::default();
    let mut shown = String::new();
    let mut secrets = vec![SECRET.to_owned(), "development-secret".to_owned()];
    let callback = browser.reach_callback(&app, "/oauth/openid").await;
    secrets.extend(browser.jar.values().cloned());
    let answer = browser.visit(&app, &callback).await;
    // Set-Cookie is the place of a cookie, so it is not searched.
    let without_cookies = |answer: &crate::support::Answer| {
        let mut headers = answer.headers().clone();
        headers.remove("set-cookie");
        headers.remove("location");
        format!("{headers:?}{:?}", answer.body())
    };
    write!(shown, "{}", without_cookies(&answer)).unwrap();
    browser.visit(&app, "/").await;
    for fault in [
        Fault::Status(500),
        Fault::LoseAnswer,
        Fault::error(401, "invalid_client"),
        Fault::json(
            "{\"access_token\":\"sixteen-characters-of-access-token\",\"token_type\":\"x\"}",
        ),
    ] {
        app.idp.set_fault(Endpoint::Token, fault);
        app.hour_passes();
        let answer = browser.clone().visit(&app, "/").await;
        write!(shown, "{}", without_cookies(&answer)).unwrap();
        write!(
            shown,
            "{:?}",
            answer.extensions().get::<tower_oidc::LoginError>()
        )
        .unwrap();
    }
    let answer = browser.try_sign_in(&app).await;
    write!(shown, "{}", without_cookies(&answer)).unwrap();
    app.idp.set_fault(Endpoint::Token, None);
    browser.sign_in(&app).await;
    browser.visit(&app, "/").await;
    let session = app.session();
    let token = session.access_token().await.unwrap();
    write!(
        shown,
        "{session:?}{token:?}{:?}{:?}",
        app.layer,
        crate::browser::client()
    )
    .unwrap();
    secrets.push(token.as_access_token().as_str().to_owned());
    secrets.extend(app.idp.live_refresh_tokens());
    secrets.extend(browser.jar.values().cloned());
    for form in app.idp.seen(Endpoint::Token) {
        let names = ["code", "code_verifier", "refresh_token", "client_secret"];
        let hidden = form
            .into_iter()
            .filter(|(name, _)| names.contains(&name.as_str()));
        secrets.extend(hidden.map(|(_, value)| value));
    }
    for asked in app.idp.seen(Endpoint::Authorization) {
        let hidden = asked
            .into_iter()
            .filter(|(name, _)| name == "state" || name == "nonce");
        secrets.extend(hidden.map(|(_, value)| value));
    }
    browser.post(&app, "/oauth/openid/logout").await;
    drop(guard);
    let log = log.text();
    assert!(
        log.contains("was not refreshed") && log.contains("sign-in"),
        "captured: {log}"
    );
    assert!(secrets.len() > 12);
    for secret in secrets
        .iter()
        .map(String::as_str)
        .chain(["sixteen-characters-of-access-token"])
    {
        assert!(!leaks(&log, secret), "{secret} in the log:\n{log}");
        assert!(!leaks(&shown, secret), "{secret} is shown:\n{shown}");
    }
}
