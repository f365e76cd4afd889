//! The FAPI 2.0 Security Profile plan, as far as it is about ID tokens, the authorization response and the token
//! response. Names of tests leave out `fapi2-security-profile-final-client-test-`, which begins those of the modules.

use tower_oidc::login::LoginBuilder;
use tower_oidc::testing::{Browser, Endpoint, TokenBuilder};
use tower_oidc::{Algorithm, LoginErrorKind, VerifyErrorKind as Cause};

use crate::browsing::location;
use crate::checks::{Edit, lengthened, signed_by_none, unsigned};
use crate::config::refuses_metadata_of_another_issuer;
use crate::site::{CLIENT, Mode, ResponseMode, Site};

/// Parameters are pushed, and ID tokens are signed by an algorithm of the profile.
async fn site() -> Site {
    let choose = |login: LoginBuilder| {
        login.with_pushed_authorization_requests().with_algorithms([
            Algorithm::Ps256,
            Algorithm::Es256,
            Algorithm::EdDsa,
        ])
    };
    let site = Site::start_with(Mode::Token, ResponseMode::Query, choose).await;
    site.idp.require_pushed_authorization();
    issues(&site, |token| token);
    site
}

/// ID tokens are changed in this way.
fn issues(site: &Site, edit: Edit) {
    let key = site.idp.signing_key(Algorithm::Ps256);
    site.idp
        .edit_id_token(move |token| edit(token.signed_by(key.clone())));
}

async fn refuses(cause: Cause, edit: Edit) {
    let site = site().await;
    issues(&site, edit);
    site.refuses_id_token(cause).await;
    issues(&site, |token| token);
    site.accepts().await;
}

// DI-01
#[tokio::test]
async fn discovery_issuer_mismatch() {
    refuses_metadata_of_another_issuer(&site().await).await;
}

// ID-01
#[tokio::test]
async fn invalid_iss() {
    refuses(Cause::WrongIssuer, |token| lengthened(token, "iss")).await;
}

// ID-02
#[tokio::test]
async fn invalid_aud() {
    refuses(Cause::WrongAudience, |token| lengthened(token, "aud")).await;
}

// ID-02, ID-03
#[tokio::test]
async fn invalid_secondary_aud() {
    refuses(Cause::WrongAudience, |token| {
        token.claim("aud", [CLIENT, "development1"])
    })
    .await;
}

// ID-04, JS-07
#[tokio::test]
async fn invalid_null_alg() {
    refuses(Cause::NotAJwt, unsigned).await;
    refuses(Cause::Algorithm, signed_by_none).await;
}

// ID-04, AL-01
#[tokio::test]
async fn invalid_alternate_alg() {
    let site = site().await;
    let key = site.idp.signing_key(Algorithm::Rs256);
    site.idp
        .edit_id_token(move |token| token.signed_by(key.clone()));
    site.refuses_id_token(Cause::Algorithm).await;
    issues(&site, |token| token);
    site.accepts().await;
}

// ID-06
#[tokio::test]
async fn invalid_expired_exp() {
    refuses(Cause::Expired, |token| {
        let claims: serde_json::Value = serde_json::from_str(&token.claims_json()).unwrap();
        token.claim("exp", claims["iat"].as_i64().unwrap() - 301)
    })
    .await;
}

// ID-06
#[tokio::test]
async fn invalid_missing_exp() {
    refuses(Cause::MissingClaim, |token| token.without_claim("exp")).await;
}

// ID-02
#[tokio::test]
async fn invalid_missing_aud() {
    refuses(Cause::MissingClaim, |token| token.without_claim("aud")).await;
}

// ID-01
#[tokio::test]
async fn invalid_missing_iss() {
    refuses(Cause::MissingClaim, |token| token.without_claim("iss")).await;
}

// ID-02
#[tokio::test]
async fn valid_aud_as_array() {
    let site = site().await;
    issues(&site, |token: TokenBuilder| token.claim("aud", [CLIENT]));
    let shown = site.accepts().await;
    assert_eq!(shown["claims"]["aud"], serde_json::json!([CLIENT]));
}

// LG-05
#[tokio::test]
async fn invalid_nonce() {
    refuses(Cause::NotAskedFor, |token| lengthened(token, "nonce")).await;
}

// LG-05
#[tokio::test]
async fn invalid_missing_nonce() {
    refuses(Cause::NotAskedFor, |token| token.without_claim("nonce")).await;
}

/// The authorization response has this parameter changed in this way, or not at all.
fn answers(site: &Site, name: &'static str, change: fn(&str) -> Option<String>) {
    site.idp.edit_authorization_answer(move |answer| {
        let at = answer.iter().position(|(known, _)| known == name).unwrap();
        match change(&answer[at].1) {
            Some(value) => answer[at].1 = value,
            None => drop(answer.remove(at)),
        }
    });
}

// LG-07
#[tokio::test]
async fn invalid_authorization_response_iss() {
    let site = site().await;
    answers(&site, "iss", |iss| Some(format!("{iss}1")));
    site.refuses_answer(LoginErrorKind::IssuerMismatch).await;
}

// LG-07
#[tokio::test]
async fn remove_authorization_response_iss() {
    let site = site().await;
    answers(&site, "iss", |_| None);
    site.refuses_answer(LoginErrorKind::IssuerMismatch).await;
}

// LG-04
#[tokio::test]
async fn ensure_authorization_response_with_invalid_state_fails() {
    let site = site().await;
    answers(&site, "state", |state| Some(format!("{state}1")));
    // Another tab may have begun a sign-in since: this browser begins one more.
    let mut browser = Browser::new();
    let answer = site.try_sign_in(&mut browser).await;
    assert_eq!(location(&answer), "/oauth/openid?again=1");
    let again = site.visit(&mut browser, "/oauth/openid?again=1").await;
    let way_back = site.at_provider(location(&again)).await;
    let answer = site.come_back(&mut browser, way_back).await;
    let kind = LoginErrorKind::UnknownAttempt;
    assert_eq!(site.failure(), Some((kind, None)));
    assert_eq!(answer.status(), kind.status());
    assert_eq!(site.idp.hits().token, 0);
    site.has_no_session(&mut browser).await;
}

// LG-04
#[tokio::test]
async fn ensure_authorization_response_with_invalid_missing_state_fails() {
    let site = site().await;
    answers(&site, "state", |_| None);
    site.refuses_answer(LoginErrorKind::MalformedCallback).await;
}

// RT-09
#[tokio::test]
async fn token_endpoint_response_without_expires_in() {
    let site = site().await;
    site.idp.edit_token_answer(|_, answer| {
        answer.as_object_mut().unwrap().remove("expires_in");
    });
    site.accepts().await;
}

// LG-19
#[tokio::test]
async fn token_type_case_insensitivity() {
    let site = site().await;
    site.idp
        .edit_token_answer(|_, answer| answer["token_type"] = "bEARER".into());
    site.accepts().await;
    // What goes to the browser is a reference.
    let asked = site.idp.seen(Endpoint::Authorization).remove(0);
    let names: Vec<_> = asked.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["client_id", "request_uri"]);
}
