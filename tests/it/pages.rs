//! What visitors read, and what operators do.

use http::{Method, StatusCode};
use tower::Layer;
use tower_oidc::login::PageText;
use tower_oidc::testing::DevelopmentProvider;
use tower_oidc::{KeyRing, LoginErrorKind as Kind, LoginLayer};

use crate::browser::{App, Browser, SECRET, SITE, builder, client, failure, location};
use crate::log::Log;
use crate::support::{API, echo, judging};

#[tokio::test]
async fn a_site_on_this_machine_tells_its_developer_what_others_read_in_the_log() {
    let app = App::start().await;
    let on = |address: &str| {
        let keys = KeyRing::new([SECRET]).unwrap();
        LoginLayer::builder(app.verifier.clone(), client(), address, keys)
            .build()
            .unwrap()
            .layer(app.inner.clone())
    };
    let log = Log::default();
    let guard = log.capture();
    let lost = "/oauth/openid/callback?code=a&state=b";
    let mut browser = Browser::default();
    for (address, is_shown) in [(SITE, false), ("http://localhost:3080", true)] {
        let service = on(address);
        for request in [browser.navigation(lost), browser.script(Method::GET, lost)] {
            let answer = browser.send(&service, request).await;
            assert_eq!(failure(&answer), Some(Kind::UnknownAttempt));
            let body = answer.body();
            assert!(body.contains("unknown_attempt"), "{body}");
            assert_eq!(body.contains("DOMAIN_SERVER"), is_shown, "{body}");
        }
    }
    let warnings = log.at(tracing::Level::WARN);
    let told = warnings
        .iter()
        .filter(|line| line.contains("DOMAIN_SERVER"));
    assert_eq!(told.count(), 4, "two for each layer: {warnings:?}");

    // 127.0.0.1 is not localhost: the callback would come without its cookie.
    let log = Log::default();
    drop(guard);
    let _guard = log.capture();
    let service = on("http://localhost:3080");
    for host in ["localhost:3080", "127.0.0.1:3080"] {
        let mut request = browser.navigation("/oauth/openid");
        request.headers_mut().insert("host", host.parse().unwrap());
        let answer = browser.send(&service, request).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        let warnings = log.at(tracing::Level::WARN);
        let told = warnings.iter().any(|line| {
            ["127.0.0.1:3080", "http://localhost:3080", "DOMAIN_SERVER"]
                .iter()
                .all(|part| line.contains(part))
        });
        assert_eq!(told, host == "127.0.0.1:3080", "{warnings:?}");
    }
}

#[tokio::test]
async fn pages_are_in_a_language_of_the_visitor_and_the_words_are_escaped() {
    let german = |kind: Kind| {
        let words = |text| {
            PageText::new(
                "Anmeldung <b>",
                text,
                "Bitte neu & richtig.",
                "\"Anmelden\"",
            )
        };
        (kind == Kind::UnknownAttempt).then(|| words("Unbekannt."))
    };
    let app = App::start_with(|login| login.add_language("de", german)).await;
    let lost = "/oauth/openid/callback?code=a&state=b";
    let mut browser = Browser::default();
    for (accepts, language, part) in [
        ("en", "en", "Sign-in did not work"),
        ("de-AT,en;q=0.5", "de", "Anmeldung &lt;b&gt;"),
    ] {
        let mut request = browser.navigation(lost);
        let accepts = http::HeaderValue::from_static(accepts);
        request
            .headers_mut()
            .insert("accept-language", accepts.clone());
        let answer = browser.send(&app.service(), request).await;
        assert_eq!(answer.headers()["content-language"], language);
        let body = answer.body();
        for part in [
            part,
            &format!("<html lang=\"{language}\">"),
            "unknown_attempt (400)",
        ] {
            assert!(body.contains(part), "{body}");
        }
        assert!(!body.contains("<b>"), "{body}");
        // Programs read the same words.
        let mut request = browser.script(Method::GET, lost);
        request.headers_mut().insert("accept-language", accepts);
        let answer = browser.send(&app.service(), request).await;
        let told: serde_json::Value = serde_json::from_str(answer.body()).unwrap();
        assert_eq!(told["title"] == "Anmeldung <b>", language == "de");
        assert_eq!(told["kind"], "unknown_attempt");
    }
    // A text that the application does not have is in English.
    let mut request = browser.script(Method::GET, "/");
    let accepts = http::HeaderValue::from_static("de");
    request.headers_mut().insert("accept-language", accepts);
    let answer = browser.send(&app.service(), request).await;
    assert_eq!(answer.headers()["content-language"], "en");
    let built = builder(&app.verifier)
        .with_language("de_DE", german)
        .build();
    assert_eq!(built.unwrap_err().setting(), "language");
}

#[tokio::test]
async fn the_page_of_the_development_provider_fits_phones_and_dark_screens() {
    let idp = DevelopmentProvider::builder().with_sign_in_page();
    let idp = idp.start().await.unwrap();
    let site = builder(&judging(&idp.provider().unwrap(), API))
        .build()
        .unwrap();
    let (inner, _) = echo();
    let start = Browser::default().navigation("/oauth/openid");
    let answer = Browser::default().send(&site.layer(inner), start).await;
    let page = reqwest::get(location(&answer)).await.unwrap();
    let text = page.text().await.unwrap();
    for part in [
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">",
        "color-scheme:light dark",
        "prefers-color-scheme:dark",
        "I am user-1",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let icon = format!("{}/favicon.ico", idp.issuer());
    let icon = reqwest::get(icon).await.unwrap();
    assert_eq!(icon.status().as_u16(), 204);
    assert_eq!(idp.hits().other, 0);
}
