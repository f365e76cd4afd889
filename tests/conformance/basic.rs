//! The Basic plan: the code flow with a secret.

use tower_oidc::VerifyErrorKind as Cause;

use crate::checks::{self, badly_signed, lengthened};
use crate::site::ResponseMode::Query;

#[tokio::test]
async fn oidcc_client_test() {
    checks::a_sign_in(Query).await;
}

// ID-01
#[tokio::test]
async fn oidcc_client_test_invalid_iss() {
    checks::refuses(Query, Cause::WrongIssuer, |token| lengthened(token, "iss")).await;
}

// ID-07
#[tokio::test]
async fn oidcc_client_test_missing_sub() {
    checks::refuses(Query, Cause::MissingClaim, |token| {
        token.without_claim("sub")
    })
    .await;
}

// ID-02
#[tokio::test]
async fn oidcc_client_test_invalid_aud() {
    checks::refuses(Query, Cause::WrongAudience, |token| {
        lengthened(token, "aud")
    })
    .await;
}

// ID-06
#[tokio::test]
async fn oidcc_client_test_missing_iat() {
    checks::refuses(Query, Cause::MissingClaim, |token| {
        token.without_claim("iat")
    })
    .await;
}

// KS-04
#[tokio::test]
async fn oidcc_client_test_kid_absent_single_jwks() {
    checks::keys_without_names(Query, 0).await;
}

// KS-04
#[tokio::test]
async fn oidcc_client_test_kid_absent_multiple_jwks() {
    checks::keys_without_names(Query, 2).await;
}

#[tokio::test]
async fn oidcc_client_test_idtoken_sig_rs256() {
    checks::an_id_token_by_rs256(Query).await;
}

// ID-04, JS-07
#[tokio::test]
async fn oidcc_client_test_idtoken_sig_none() {
    checks::an_unsigned_id_token(Query).await;
}

// ID-04
#[tokio::test]
async fn oidcc_client_test_invalid_sig_rs256() {
    checks::refuses(Query, Cause::BadSignature, badly_signed).await;
}

// ID-09
#[tokio::test]
async fn oidcc_client_test_userinfo_invalid_sub() {
    checks::unusable_userinfo(Query).await;
}

// LG-05
#[tokio::test]
async fn oidcc_client_test_nonce_invalid() {
    checks::refuses(Query, Cause::NotAskedFor, |token| {
        lengthened(token, "nonce")
    })
    .await;
}

#[tokio::test]
async fn oidcc_client_test_scope_userinfo_claims() {
    checks::claims_by_scope(Query).await;
}

// LG-18
#[tokio::test]
async fn oidcc_client_test_client_secret_basic() {
    checks::a_secret_in_the_header(Query).await;
}
