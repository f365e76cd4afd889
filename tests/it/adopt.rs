//! Sessions of tokens that the application obtained itself.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde_json::Value;
use tower::Layer;
use tower::util::BoxCloneSyncService;
use tower_oidc::login::{Adopted, LoginBuilder, ObtainedTokens, SentNonce, SignInRefusal};
use tower_oidc::testing::{Endpoint, Fault};
use tower_oidc::{Algorithm, LoginError, LoginErrorKind as Kind};

use crate::browser::{App, Browser, SESSION, SITE, at_provider, query};
use crate::faulty_store::FaultyStore;
use crate::support::{API, until};

const NONCE: &str = "the nonce of the application";

/// What the application's own code flow brings.
pub(crate) async fn answer_at_callback(app: &App, nonce: Option<&str>) -> Value {
    let verifier = "a code verifier of the application, of more than 43 characters";
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.as_bytes());
    let challenge = URL_SAFE_NO_PAD.encode(hash);
    let callback = format!("{SITE}/own/callback");
    let mut asked = vec![
        ("response_type", "code"),
        ("client_id", "development"),
        ("redirect_uri", &*callback),
        ("scope", "openid offline_access"),
        ("audience", API),
        ("code_challenge_method", "S256"),
        ("code_challenge", &challenge),
    ];
    asked.extend(nonce.map(|nonce| ("nonce", nonce)));
    let endpoint = app.idp.token_url().replace("/token", "/authorize");
    let url = url::Url::parse_with_params(&endpoint, asked).unwrap();
    let back = at_provider(url.as_str()).await;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &query(&back)["code"]),
        ("redirect_uri", &callback),
        ("code_verifier", verifier),
        ("client_id", "development"),
        ("client_secret", "development-secret"),
    ];
    let form = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish();
    let asked = reqwest::Client::new()
        .post(app.idp.token_url())
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    asked.send().await.unwrap().json().await.unwrap()
}

fn tokens_of(answer: &Value) -> ObtainedTokens {
    let text = |name: &str| answer[name].as_str().unwrap_or_default();
    ObtainedTokens::new(text("access_token"), text("id_token"))
        .with_refresh_token(text("refresh_token"))
        .with_expires_in(Duration::from_secs(answer["expires_in"].as_u64().unwrap()))
        .with_scope(text("scope"))
}

async fn obtained(app: &App) -> ObtainedTokens {
    tokens_of(&answer_at_callback(app, Some(NONCE)).await)
}

async fn adopt(app: &App, browser: &mut Browser) -> Result<Adopted, LoginError> {
    let tokens = obtained(app).await;
    hand_over(app, browser, tokens).await
}

async fn hand_over(
    app: &App,
    browser: &mut Browser,
    tokens: ObtainedTokens,
) -> Result<Adopted, LoginError> {
    let headers = browser.navigation("/own/callback").headers().clone();
    let nonce = SentNonce::Is(NONCE);
    let adopted = app.layer.adopt(&headers, tokens, nonce).await?;
    let mut answer = Response::new(String::new());
    let fields = answer.headers_mut();
    fields.insert(SET_COOKIE, adopted.set_cookie().clone());
    browser.take_cookies(&answer);
    Ok(adopted)
}

async fn is_without_sessions(app: &App) -> bool {
    let sessions = app.layer.sessions();
    let listed = sessions.list(app.idp.issuer(), "user-1").await.unwrap();
    listed.is_empty()
}

// D32, LG-17, SC-01
#[tokio::test]
async fn adopted_tokens_make_a_session_that_is_refreshed_here() {
    let app = App::start().await;
    let mut browser = Browser::default();
    let answer = answer_at_callback(&app, Some(NONCE)).await;
    let adopted = hand_over(&app, &mut browser, tokens_of(&answer)).await;
    let adopted = adopted.unwrap();
    let cookie = adopted.set_cookie();
    assert!(cookie.is_sensitive());
    for attribute in ["HttpOnly", "Secure", "SameSite=Lax", "Path=/"] {
        assert!(cookie.to_str().unwrap().contains(attribute), "{attribute}");
    }
    assert_eq!(adopted.session().subject(), "user-1");
    assert_eq!(adopted.session().principal().subject(), Some("user-1"));
    assert_eq!(browser.visit(&app, "/").await.body(), "user-1");
    assert_eq!(app.session().key(), adopted.session().key());
    assert_eq!(app.idp.hits().refreshed, 0);
    let spent = app.idp.live_refresh_tokens();
    app.hour_passes();
    assert_eq!(browser.visit(&app, "/").await.body(), "user-1");
    assert_eq!(app.session().renewals(), 1);
    assert_ne!(app.idp.live_refresh_tokens(), spent);
    let seen = &app.idp.seen(Endpoint::Token)[1];
    let scope = ("scope".to_owned(), "openid offline_access".to_owned());
    assert!(seen.contains(&scope), "what was granted is asked for again");
    // Nothing shows a token.
    let shown = format!("{:?} {adopted:?}", tokens_of(&answer));
    for token in ["access_token", "refresh_token", "id_token"] {
        let token = answer[token].as_str().unwrap();
        assert!(!shown.contains(&token[token.len() - 16..]), "{shown}");
    }
    let value = &browser.jar[SESSION];
    assert!(!shown.contains(&value[..16]), "{shown}");
}

/// What hinders a session, by the edit of the ID token that was issued, the tokens handed over, and the nonce.
type Case = (
    &'static str,
    fn(&App),
    Option<&'static str>,
    SentNonce<'static>,
);

// D32, ID-02, ID-04, ID-06, ID-08, LG-05
#[tokio::test]
async fn what_a_callback_would_refuse_makes_no_session() {
    const IS: SentNonce<'static> = SentNonce::Is(NONCE);
    let cases: [Case; 10] = [
        ("another nonce", |_| {}, Some("of another sign-in"), IS),
        ("no nonce", |_| {}, None, IS),
        ("an empty nonce", |_| {}, None, SentNonce::Is("")),
        (
            "a nonce, and none sent",
            |_| {},
            Some(NONCE),
            SentNonce::NotSent,
        ),
        (
            "a forged signature",
            |app| {
                app.idp.edit_id_token(|token| {
                    token.signature(|mut signature| {
                        signature[0] ^= 1;
                        signature
                    })
                });
            },
            Some(NONCE),
            IS,
        ),
        (
            "another client",
            |app| app.idp.edit_id_token(|token| token.claim("aud", "another")),
            Some(NONCE),
            IS,
        ),
        (
            "another issuer",
            |app| {
                app.idp
                    .edit_id_token(|token| token.claim("iss", "https://evil.example"));
            },
            Some(NONCE),
            IS,
        ),
        (
            "another access token",
            |app| {
                app.idp
                    .edit_id_token(|token| token.claim("at_hash", "AAAA"));
            },
            Some(NONCE),
            IS,
        ),
        (
            "no algorithm",
            |app| app.idp.edit_id_token(|token| token.header("alg", "none")),
            Some(NONCE),
            IS,
        ),
        (
            "an old one",
            |app| {
                let long_ago = tower_oidc::Clock::now(&app.clock).as_seconds() - 700;
                app.idp
                    .edit_id_token(move |token| token.claim("iat", long_ago));
            },
            Some(NONCE),
            IS,
        ),
    ];
    for (name, edit, sent, expected) in cases {
        let app = App::start().await;
        edit(&app);
        let tokens = tokens_of(&answer_at_callback(&app, sent).await);
        let refused = app.layer.adopt(&HeaderMap::new(), tokens, expected).await;
        let kind = refused.map(|_| ()).unwrap_err().kind();
        assert_eq!(kind, Kind::IdTokenRefused, "{name}");
        assert!(is_without_sessions(&app).await, "{name}");
    }
}

// D32, D10, D21
#[tokio::test]
async fn other_tokens_than_a_sign_in_brings_make_no_session() {
    let app = App::start().await;
    let answer = answer_at_callback(&app, Some(NONCE)).await;
    let text = |name: &str| answer[name].as_str().unwrap();
    let (access, id) = (text("access_token"), text("id_token"));
    let whole = || ObtainedTokens::new(access, id).with_refresh_token(text("refresh_token"));
    app.idp
        .edit_id_token(|token| token.without_claim("at_hash"));
    let unbound = answer_at_callback(&app, Some(NONCE)).await;
    let unbound = unbound["id_token"].as_str().unwrap();
    let opaque = app.idp.opaque_token();
    let elsewhere = app.idp.token("https://another.example").build();
    for (name, tokens, kind) in [
        (
            "no ID token",
            ObtainedTokens::new(access, ""),
            Kind::IdTokenRefused,
        ),
        (
            "an access token for both",
            ObtainedTokens::new(access, access),
            Kind::IdTokenRefused,
        ),
        (
            "no access token",
            ObtainedTokens::new("", unbound),
            Kind::TokenRefused,
        ),
        (
            "an opaque one",
            ObtainedTokens::new(&opaque, unbound),
            Kind::UnusableToken,
        ),
        (
            "one for another API",
            ObtainedTokens::new(&elsewhere, unbound),
            Kind::UnusableToken,
        ),
        (
            "no refresh token",
            ObtainedTokens::new(access, id),
            Kind::NoRefreshToken,
        ),
    ] {
        let refused = hand_over(&app, &mut Browser::default(), tokens).await;
        assert_eq!(refused.map(|_| ()).unwrap_err().kind(), kind, "{name}");
        assert!(is_without_sessions(&app).await, "{name}");
    }
    // None of it has used the ID token up.
    drop(
        hand_over(&app, &mut Browser::default(), whole())
            .await
            .unwrap(),
    );
}

// D32, LG-17
#[tokio::test]
async fn an_adopted_session_has_a_new_id_and_replaces_the_former_one() {
    let app = App::start().await;
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    let planted = browser.jar[SESSION].clone();
    let mut attacker = browser.clone();
    drop(adopt(&app, &mut browser).await.unwrap());
    assert_ne!(browser.jar[SESSION], planted);
    assert_eq!(browser.visit(&app, "/").await.body(), "user-1");
    // Requests of other tabs are on their way for ten seconds.
    app.clock.advance(Duration::from_secs(12));
    let answer = attacker.fetch(&app, "/").await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(browser.visit(&app, "/").await.body(), "user-1");
    // An id that no session has is not taken over either.
    let mut headers = HeaderMap::new();
    let made_up = format!("{SESSION}={}", "A".repeat(54));
    headers.insert(COOKIE, HeaderValue::try_from(&made_up).unwrap());
    let tokens = obtained(&app).await;
    let adopted = app
        .layer
        .adopt(&headers, tokens, SentNonce::Is(NONCE))
        .await;
    let cookie = adopted.unwrap().set_cookie().to_str().unwrap().to_owned();
    assert!(!cookie.starts_with(&made_up), "{cookie}");
}

// D32, RT-01
#[tokio::test]
async fn an_id_token_makes_one_session_however_often_it_is_handed_over() {
    let app = App::start().await;
    let answer = answer_at_callback(&app, Some(NONCE)).await;
    let tokens = tokens_of(&answer);
    let calls = (0..8).map(|_| {
        let (layer, tokens) = (app.layer.clone(), tokens.clone());
        tokio::spawn(async move {
            let adopted = layer.adopt(&HeaderMap::new(), tokens, SentNonce::Is(NONCE));
            adopted.await.map_err(|error| error.kind())
        })
    });
    let mut made = 0;
    for call in calls.collect::<Vec<_>>() {
        match call.await.unwrap() {
            Ok(_) => made += 1,
            Err(kind) => assert_eq!(kind, Kind::AttemptReplayed),
        }
    }
    assert_eq!(made, 1);
    let sessions = app.layer.sessions();
    let listed = sessions.list(app.idp.issuer(), "user-1").await.unwrap();
    assert_eq!(listed.len(), 1);
    // Another replica knows it too, as long as the ID token counts.
    app.clock.advance(Duration::from_secs(590));
    let again = app
        .replica()
        .adopt(&HeaderMap::new(), tokens.clone(), SentNonce::Is(NONCE));
    assert_eq!(again.await.unwrap_err().kind(), Kind::AttemptReplayed);
    app.clock.advance(Duration::from_secs(120));
    let again = app
        .layer
        .adopt(&HeaderMap::new(), tokens, SentNonce::Is(NONCE));
    assert_eq!(again.await.unwrap_err().kind(), Kind::IdTokenRefused);
}

/// The same ECDSA signature over P-256, written in the other way: with `n - s` in place of `s`.
fn written_otherwise(signature: &str) -> String {
    let order = "FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551";
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let mut borrowed = 0;
    for at in (0..32).rev() {
        let digit = i16::from_str_radix(&order[2 * at..2 * at + 2], 16).unwrap();
        let left = digit - i16::from(bytes[32 + at]) - borrowed;
        borrowed = i16::from(left < 0);
        bytes[32 + at] = u8::try_from(left.rem_euclid(256)).unwrap();
    }
    URL_SAFE_NO_PAD.encode(bytes)
}

// D32
#[tokio::test]
async fn a_signature_that_is_written_otherwise_makes_no_other_session() {
    let app = App::start().await;
    let key = app.idp.signing_key(Algorithm::Es256);
    app.idp
        .edit_id_token(move |token| token.signed_by(Arc::clone(&key)));
    let answer = answer_at_callback(&app, Some(NONCE)).await;
    let (access, id) = (
        &answer["access_token"],
        answer["id_token"].as_str().unwrap(),
    );
    let (signed, signature) = id.rsplit_once('.').unwrap();
    let altered = format!("{signed}.{}", written_otherwise(signature));
    assert_ne!(id, altered);
    let adopt = async |id: &str| {
        let tokens = ObtainedTokens::new(access.as_str().unwrap(), id).with_refresh_token("any");
        let adopted = app
            .layer
            .adopt(&HeaderMap::new(), tokens, SentNonce::Is(NONCE));
        adopted.await.map(|_| ()).map_err(|error| error.kind())
    };
    // It is as good as the other, and they are one.
    assert_eq!(adopt(&altered).await, Ok(()));
    assert_eq!(adopt(id).await, Err(Kind::AttemptReplayed));
}

type Choose = fn(LoginBuilder) -> LoginBuilder;

// D32, D22
#[tokio::test]
async fn a_user_whom_the_application_refuses_is_not_adopted() {
    let choices: [(Choose, Kind); 3] = [
        (
            |login| login.on_sign_in(async |_| Err(SignInRefusal::new("Not you."))),
            Kind::SignInRefused,
        ),
        (
            |login| login.require_email_domains(["example.org"]),
            Kind::SignInRefused,
        ),
        (
            |login| login.on_sign_in(async |_| Err(SignInRefusal::unavailable("no database"))),
            Kind::SignInUndecided,
        ),
    ];
    for (choose, kind) in choices {
        let app = App::start_with(choose).await;
        let refused = adopt(&app, &mut Browser::default()).await;
        assert_eq!(refused.map(|_| ()).unwrap_err().kind(), kind);
        assert!(is_without_sessions(&app).await);
        until(|| app.idp.live_refresh_tokens().is_empty()).await;
    }
}

// D32, D9
#[tokio::test]
async fn what_is_away_for_a_moment_costs_no_tokens() {
    let mut app = App::start().await;
    let store = Arc::new(FaultyStore::new(Arc::clone(&app.store)));
    app.layer = crate::browser::builder(&app.verifier)
        .with_shared_store(Arc::clone(&store) as Arc<dyn tower_oidc::login::SessionStore>)
        .build()
        .unwrap();
    let tokens = obtained(&app).await;
    app.idp.set_fault(Endpoint::Jwks, Fault::Status(503));
    let away = hand_over(&app, &mut Browser::default(), tokens.clone()).await;
    let away = away.map(|_| ()).unwrap_err();
    assert_eq!(away.kind(), Kind::ProviderUnavailable);
    assert!(away.retry_after().is_some());
    app.idp.set_fault(Endpoint::Jwks, None);
    app.clock.advance(Duration::from_secs(5));
    store.break_down();
    let away = hand_over(&app, &mut Browser::default(), tokens.clone()).await;
    assert_eq!(away.map(|_| ()).unwrap_err().kind(), Kind::StoreUnavailable);
    store.break_sessions();
    let away = hand_over(&app, &mut Browser::default(), tokens.clone()).await;
    assert_eq!(away.map(|_| ()).unwrap_err().kind(), Kind::StoreUnavailable);
    store.recover();
    let mut browser = Browser::default();
    drop(hand_over(&app, &mut browser, tokens).await.unwrap());
    assert_eq!(browser.visit(&app, "/").await.body(), "user-1");
}

// D32, D20
#[tokio::test]
async fn an_identity_is_adopted_with_an_opaque_access_token() {
    let app = App::identity(LoginBuilder::require_refresh_token).await;
    app.idp.set_manner(tower_oidc::testing::Manner::Usual);
    let answer = answer_at_callback(&app, Some(NONCE)).await;
    let opaque = app.idp.opaque_token();
    let unbound = |token: tower_oidc::testing::TokenBuilder| token.without_claim("at_hash");
    app.idp.edit_id_token(unbound);
    let id_token = answer_at_callback(&app, Some(NONCE)).await;
    let tokens = ObtainedTokens::new(&opaque, id_token["id_token"].as_str().unwrap())
        .with_refresh_token(answer["refresh_token"].as_str().unwrap());
    let mut browser = Browser::default();
    let adopted = hand_over(&app, &mut browser, tokens).await.unwrap();
    let claims: Value = adopted.session().principal().claims().unwrap();
    assert_eq!(claims["aud"], "development");
    assert_eq!(browser.visit(&app, "/").await.body(), "user-1");
    // Which scopes were granted was not said, and a refresh names none.
    app.hour_passes();
    adopted.session().access_token().await.unwrap();
    let seen = app.idp.seen(Endpoint::Token);
    let refresh = seen.last().unwrap();
    assert!(refresh.iter().any(|(_, value)| value == "refresh_token"));
    assert!(
        !refresh.iter().any(|(name, _)| name == "scope"),
        "{refresh:?}"
    );
}

// D32, LO-19
#[tokio::test]
async fn tokens_from_before_a_sign_out_everywhere_make_no_session() {
    let app = App::start().await;
    let tokens = obtained(&app).await;
    app.clock.advance(Duration::from_secs(2));
    let sessions = app.layer.sessions();
    sessions.end_all(app.idp.issuer(), "user-1").await.unwrap();
    let late = hand_over(&app, &mut Browser::default(), tokens).await;
    assert_eq!(late.map(|_| ()).unwrap_err().kind(), Kind::SessionEnded);
    assert!(is_without_sessions(&app).await);
    until(|| app.idp.live_refresh_tokens().is_empty()).await;
    app.clock.advance(Duration::from_secs(2));
    drop(adopt(&app, &mut Browser::default()).await.unwrap());
}

// D32
#[tokio::test]
async fn the_layer_does_not_clear_the_cookie_that_its_application_sets() {
    let mut app = App::start_with(LoginBuilder::allow_anonymous).await;
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    let sessions = app.layer.sessions();
    sessions.end_all(app.idp.issuer(), "user-1").await.unwrap();
    app.clock.advance(Duration::from_secs(2));
    // The callback of the application stands behind the layer, which would clear the cookie of the former session.
    let cookie = adopt(&app, &mut Browser::default()).await.unwrap();
    let cookie = cookie.set_cookie().clone();
    let callback = tower::service_fn(move |_: http::Request<String>| {
        let mut answer = Response::new(String::new());
        answer.headers_mut().insert(SET_COOKIE, cookie.clone());
        std::future::ready(Ok(answer))
    });
    let callback = app.layer.layer(BoxCloneSyncService::new(callback));
    let request = browser.navigation("/own/callback");
    let answer = browser.send(&callback, request).await;
    assert_eq!(answer.headers().get_all(SET_COOKIE).iter().count(), 1);
    app.inner = crate::support::echo().0;
    assert_eq!(browser.visit(&app, "/").await.body(), "user-1");
}
