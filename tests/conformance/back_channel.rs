//! The Back-Channel Logout plan. A user signs out at the site in one browser, and the provider tells the site.

use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde_json::json;
use tower_oidc::login::LoginBuilder;
use tower_oidc::testing::{Browser, TokenBuilder};
use tower_oidc::{Algorithm, LoginErrorKind, VerifyErrorKind as Cause};

use crate::checks::{lengthened, signed_by_none, unsigned};
use crate::rp_initiated::site;
use crate::site::{CLIENT, Mode, ResponseMode, START, Site};

/// A logout token about every session of the user.
fn of_user(site: &Site) -> TokenBuilder {
    site.idp.logout_token(CLIENT).subject("user-1")
}

// LO-12, LO-13
#[tokio::test]
async fn oidcc_client_test_rp_backchannel_rpinitlogout() {
    for mode in Mode::BOTH {
        let site = site(mode).await;
        let mut browsers = [Browser::new(), Browser::new()];
        for browser in &mut browsers {
            site.sign_in(browser).await;
        }
        let [signed_out, other] = &mut browsers;
        let sid = site.sid(signed_out).await;
        site.sign_out(signed_out, "").await;
        let token = site.idp.logout_token(CLIENT).claim("sid", &sid);
        let url = format!("http://{}{START}/backchannel-logout", site.address);
        let answer = site
            .http
            .post(url)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(format!("logout_token={}", token.build()));
        let answer = answer.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()[CACHE_CONTROL], "no-store");
        assert!(site.is_signed_in(other).await, "another session");
        // One that is not over yet ends by it.
        let token = site.idp.logout_token(CLIENT);
        let token = token.claim("sid", site.sid(other).await);
        assert_eq!(site.told_in_the_back(token).await, StatusCode::OK);
        assert!(!site.is_signed_in(other).await);
    }
}

/// A logout token that is changed in this way is refused, and the session stays that it is about.
async fn refuses(site: &Site, cause: Cause, edit: impl Fn(TokenBuilder) -> TokenBuilder) {
    let mut browsers = [Browser::new(), Browser::new()];
    for browser in &mut browsers {
        site.sign_in(browser).await;
    }
    let [signed_out, other] = &mut browsers;
    site.sign_out(signed_out, "").await;
    site.failure();
    let status = site.told_in_the_back(edit(of_user(site))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let kind = LoginErrorKind::LogoutTokenRefused;
    assert_eq!(site.failure(), Some((kind, Some(cause))));
    assert!(site.is_signed_in(other).await);
    // It was the change.
    assert_eq!(site.told_in_the_back(of_user(site)).await, StatusCode::OK);
    assert!(!site.is_signed_in(other).await);
}

async fn refuses_in_both(cause: Cause, edit: fn(TokenBuilder) -> TokenBuilder) {
    for mode in Mode::BOTH {
        refuses(&site(mode).await, cause, edit).await;
    }
}

// LO-06, JS-07
#[tokio::test]
async fn oidcc_client_test_rp_backchannel_rpinitlogout_alg_none() {
    refuses_in_both(Cause::NotAJwt, unsigned).await;
    refuses_in_both(Cause::Algorithm, signed_by_none).await;
}

// LO-08
#[tokio::test]
async fn oidcc_client_test_rp_backchannel_rpinitlogout_no_event() {
    refuses_in_both(Cause::TokenKind, |token| token.without_claim("events")).await;
}

// LO-09
#[tokio::test]
async fn oidcc_client_test_rp_backchannel_rpinitlogout_with_nonce() {
    refuses_in_both(Cause::TokenKind, |token| token.claim("nonce", "a nonce")).await;
}

// LO-06
#[tokio::test]
async fn oidcc_client_test_rp_backchannel_rpinitlogout_wrong_alg() {
    for mode in Mode::BOTH {
        // The algorithm that the client is registered with, which the provider has to use.
        let choose = |login: LoginBuilder| {
            let login = login.with_algorithms([Algorithm::Rs256]);
            login.allow_anonymous()
        };
        let site = Site::start_with(mode, ResponseMode::Query, choose).await;
        let key = site.idp.signing_key(Algorithm::Es256);
        refuses(&site, Cause::Algorithm, |token| {
            token.signed_by(key.clone())
        })
        .await;
    }
}

// LO-06
#[tokio::test]
async fn oidcc_client_test_rp_backchannel_rpinitlogout_wrong_aud() {
    refuses_in_both(Cause::WrongAudience, |token| {
        token.claim("aud", "developmentINVALID")
    })
    .await;
}

// LO-08
#[tokio::test]
async fn oidcc_client_test_rp_backchannel_rpinitlogout_wrong_event() {
    refuses_in_both(Cause::TokenKind, |token| {
        token.claim(
            "events",
            json!({"http://schemas.openid.net/event/foobar": {}}),
        )
    })
    .await;
}

// LO-06
#[tokio::test]
async fn oidcc_client_test_rp_backchannel_rpinitlogout_wrong_iss() {
    refuses_in_both(Cause::WrongIssuer, |token| lengthened(token, "iss")).await;
}
