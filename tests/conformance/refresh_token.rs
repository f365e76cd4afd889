//! The Refresh Token plan.

use axum::http::StatusCode;
use serde_json::Value;
use tower_oidc::LoginErrorKind;
use tower_oidc::testing::{Browser, Endpoint};

use crate::checks::{Edit, lengthened};
use crate::site::{Mode, Site};

// RT-02, ID-11
#[tokio::test]
async fn oidcc_client_test_refresh_token() {
    for mode in Mode::BOTH {
        let site = Site::start(mode).await;
        let mut browser = Browser::new();
        site.sign_in(&mut browser).await;
        site.idp
            .edit_id_token(|token| token.claim("name", "Another name"));
        let answer = site.refreshes(&mut browser).await;
        // UserInfo knows the new access token.
        let userinfo: Value = serde_json::from_str(answer.body()).unwrap();
        assert_eq!(userinfo["sub"], "user-1");
        let shown = site.shows(&mut browser).await;
        assert_eq!(shown["renewals"], 1);
        assert_eq!(shown["claims"]["name"], "Another name");
        let form = site.idp.seen(Endpoint::Token).remove(1);
        assert!(form.contains(&("grant_type".to_owned(), "refresh_token".to_owned())));
        // No more than was granted.
        let of_form = |name| form.iter().find(|(known, _)| known == name);
        let asked = site.idp.seen(Endpoint::Authorization).remove(0);
        let scope = asked.iter().find(|(name, _)| name == "scope").unwrap();
        let (_, refreshed) = of_form("scope").unwrap();
        let granted: Vec<_> = scope.1.split(' ').collect();
        assert!(refreshed.split(' ').all(|scope| granted.contains(&scope)));
    }
}

/// A refresh brings an ID token that is changed in this way: the new tokens are not used, and the session is over.
async fn ends_the_session(edit: Edit) {
    for mode in Mode::BOTH {
        let site = Site::start(mode).await;
        let mut browser = Browser::new();
        site.sign_in(&mut browser).await;
        let asked = site.idp.hits().userinfo;
        site.idp.edit_id_token(edit);
        let answer = site.refreshes(&mut browser).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(
            site.failure(),
            Some((LoginErrorKind::SessionEnded, None)),
            "{mode:?}"
        );
        assert_eq!(site.idp.hits().refreshed, 1);
        assert_eq!(site.idp.hits().userinfo, asked, "the new token is not used");
        assert!(!site.is_signed_in(&mut browser).await);
        // It is over for good, and the user can sign in again.
        assert_eq!(site.idp.hits().refreshed, 1);
        site.idp.edit_id_token(|token| token);
        site.sign_in(&mut browser).await;
    }
}

// ID-11
#[tokio::test]
async fn oidcc_client_test_refresh_token_invalid_issuer() {
    ends_the_session(|token| lengthened(token, "iss")).await;
}

// ID-11
#[tokio::test]
async fn oidcc_client_test_refresh_token_invalid_sub() {
    ends_the_session(|token| lengthened(token, "sub")).await;
}
