//! What the comprehensive plan has beyond the certified ones.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use tower_oidc::testing::{Endpoint, Fault, TokenBuilder};
use tower_oidc::{Algorithm, VerifyErrorKind as Cause};

use crate::checks::{self, badly_signed, part};
use crate::site::ResponseMode::Query;
use crate::site::{Mode, Site};

// LG-18, OB-13
#[tokio::test]
async fn oidcc_client_test_userinfo_bearer_header() {
    for mode in Mode::BOTH {
        let site = Site::start(mode).await;
        // The provider looks for the token in this field alone.
        site.accepts().await;
        assert_eq!(site.idp.hits().userinfo, 1);
        let query = site.idp.seen(Endpoint::UserInfo).remove(0);
        assert!(query.is_empty(), "{query:?}");
    }
}

// ID-08
#[tokio::test]
async fn oidcc_client_test_invalid_athash() {
    checks::refuses(Query, Cause::NotAskedFor, |token| {
        checks::lengthened(token, "at_hash")
    })
    .await;
}

// ID-02
#[tokio::test]
async fn oidcc_client_test_missing_aud() {
    checks::refuses(Query, Cause::MissingClaim, |token| {
        token.without_claim("aud")
    })
    .await;
}

// ID-04
#[tokio::test]
async fn oidcc_client_test_invalid_sig_es256() {
    for mode in Mode::BOTH {
        let site = Site::start(mode).await;
        let key = site.idp.signing_key(Algorithm::Es256);
        let signing = key.clone();
        site.idp
            .edit_id_token(move |token| badly_signed(token.signed_by(signing.clone())));
        site.refuses_id_token(Cause::BadSignature).await;
        site.idp
            .edit_id_token(move |token| token.signed_by(key.clone()));
        site.accepts().await;
    }
}

/// Signed with the secret of the client, as HS256 does it.
fn signed_with_secret(token: TokenBuilder) -> TokenBuilder {
    let header = json!({"alg": "HS256", "typ": "JWT"}).to_string();
    let claims = token.claims_json();
    let input = format!("{}.{}", part(&header), part(&claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"development-secret");
    let signature = hmac::sign(&key, input.as_bytes()).as_ref().to_vec();
    token
        .header_text(&header)
        .claims_text(&claims)
        .signature(|_| signature)
}

// ID-05
#[tokio::test]
async fn oidcc_client_test_invalid_sig_hs256() {
    // Not even with the right signature.
    checks::refuses(Query, Cause::Algorithm, signed_with_secret).await;
    checks::refuses(Query, Cause::Algorithm, |token| {
        badly_signed(signed_with_secret(token))
    })
    .await;
}

#[tokio::test]
async fn oidcc_client_test_aggregated_claims() {
    // Unsigned, as the suite sends it.
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    let claims = URL_SAFE_NO_PAD.encode(r#"{"phone_number":"+44 20 7946 0000"}"#);
    let told = json!({
        "sub": "user-1",
        "_claim_names": {"phone_number": "src1"},
        "_claim_sources": {"src1": {"JWT": format!("{header}.{claims}.")}},
    });
    for mode in Mode::BOTH {
        let site = Site::start(mode).await;
        site.idp
            .set_fault(Endpoint::UserInfo, Fault::json(told.to_string()));
        // The application gets them as they came: they do not become claims of the user.
        let shown = site.accepts().await;
        assert_eq!(shown["userinfo"], told);
        assert!(shown["claims"].get("phone_number").is_none());
    }
}
