//! The Form Post Basic plan: the same as the Basic plan, and the browser posts the provider's answer.

use tower_oidc::{LoginErrorKind, VerifyErrorKind as Cause};

use crate::checks::{self, badly_signed, lengthened};
use crate::site::ResponseMode::FormPost;
use crate::site::{Mode, Site};

#[tokio::test]
async fn oidcc_client_test() {
    checks::a_sign_in(FormPost).await;
}

// ID-01
#[tokio::test]
async fn oidcc_client_test_invalid_iss() {
    checks::refuses(FormPost, Cause::WrongIssuer, |token| {
        lengthened(token, "iss")
    })
    .await;
}

// ID-07
#[tokio::test]
async fn oidcc_client_test_missing_sub() {
    checks::refuses(FormPost, Cause::MissingClaim, |token| {
        token.without_claim("sub")
    })
    .await;
}

// ID-02
#[tokio::test]
async fn oidcc_client_test_invalid_aud() {
    checks::refuses(FormPost, Cause::WrongAudience, |token| {
        lengthened(token, "aud")
    })
    .await;
}

// ID-06
#[tokio::test]
async fn oidcc_client_test_missing_iat() {
    checks::refuses(FormPost, Cause::MissingClaim, |token| {
        token.without_claim("iat")
    })
    .await;
}

// KS-04
#[tokio::test]
async fn oidcc_client_test_kid_absent_single_jwks() {
    checks::keys_without_names(FormPost, 0).await;
}

// KS-04
#[tokio::test]
async fn oidcc_client_test_kid_absent_multiple_jwks() {
    checks::keys_without_names(FormPost, 2).await;
}

#[tokio::test]
async fn oidcc_client_test_idtoken_sig_rs256() {
    checks::an_id_token_by_rs256(FormPost).await;
}

// ID-04, JS-07
#[tokio::test]
async fn oidcc_client_test_idtoken_sig_none() {
    checks::an_unsigned_id_token(FormPost).await;
}

// ID-04
#[tokio::test]
async fn oidcc_client_test_invalid_sig_rs256() {
    checks::refuses(FormPost, Cause::BadSignature, badly_signed).await;
}

// ID-09
#[tokio::test]
async fn oidcc_client_test_userinfo_invalid_sub() {
    checks::unusable_userinfo(FormPost).await;
}

// LG-05
#[tokio::test]
async fn oidcc_client_test_nonce_invalid() {
    checks::refuses(FormPost, Cause::NotAskedFor, |token| {
        lengthened(token, "nonce")
    })
    .await;
}

#[tokio::test]
async fn oidcc_client_test_scope_userinfo_claims() {
    checks::claims_by_scope(FormPost).await;
}

// LG-18
#[tokio::test]
async fn oidcc_client_test_client_secret_basic() {
    checks::a_secret_in_the_header(FormPost).await;
}

// LG-25, LG-13
#[tokio::test]
async fn oidcc_client_test_form_post_error() {
    for mode in Mode::BOTH {
        let choose = |login: tower_oidc::login::LoginBuilder| {
            login
                .add_parameter("max_age", "0")
                .add_parameter("prompt", "none")
        };
        let site = Site::start_with(mode, FormPost, choose).await;
        site.idp.edit_authorization_answer(|answer| {
            answer[0] = ("error".to_owned(), "login_required".to_owned());
        });
        let page = site.refuses_answer(LoginErrorKind::Denied).await;
        assert!(page.body().contains("denied"), "{}", page.body());
    }
}
