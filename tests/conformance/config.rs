//! The Config plan: what the metadata and the key set say.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::routing::get;
use serde_json::Value;
use tokio::net::TcpListener;
use tower_oidc::testing::{Browser, DevelopmentProvider};
use tower_oidc::{Algorithm, LoginErrorKind};

use crate::browsing::location;
use crate::checks;
use crate::site::{Mode, ResponseMode, START, Site};

/// The metadata of a provider, with changes.
async fn change_metadata(site: &Site, change: impl FnOnce(&mut Value)) {
    let url = format!("{}/.well-known/openid-configuration", site.idp.issuer());
    let metadata = site.http.get(url).send().await.unwrap();
    let mut metadata: Value = metadata.json().await.unwrap();
    change(&mut metadata);
    site.idp.set_discovery(metadata.to_string());
}

// DI-02, DI-09
#[tokio::test]
async fn oidcc_client_test_discovery_openid_config() {
    for mode in Mode::BOTH {
        let site = Site::start(mode).await;
        let authorize = format!("{}/authorize?tenant=7", site.idp.issuer());
        change_metadata(&site, |metadata| {
            metadata["authorization_endpoint"] = authorize.clone().into();
        })
        .await;
        let mut browser = Browser::new();
        let answer = site.visit(&mut browser, START).await;
        // What only the metadata can have told.
        let address = location(&answer);
        assert!(address.starts_with(&format!("{authorize}&")), "{address}");
        site.accepts().await;
    }
}

// KS-19
#[tokio::test]
async fn oidcc_client_test_discovery_jwks_uri_keys() {
    for mode in Mode::BOTH {
        let site = Site::start(mode).await;
        let jwks = site.http.get(site.idp.jwks_url()).send().await.unwrap();
        let jwks = jwks.text().await.unwrap();
        let fetched = site.idp.hits().jwks;
        let asked = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&asked);
        let path = "/jwks-kqzvwbxpty";
        let keys = Router::new().route(
            path,
            get(async move || {
                counted.fetch_add(1, Ordering::SeqCst);
                jwks
            }),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}{path}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, keys).await });
        change_metadata(&site, |metadata| metadata["jwks_uri"] = url.into()).await;
        site.accepts().await;
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        assert_eq!(site.idp.hits().jwks, fetched, "no other address is guessed");
        server.abort();
    }
}

// DI-01
#[tokio::test]
async fn oidcc_client_test_discovery_issuer_mismatch() {
    for mode in Mode::BOTH {
        refuses_metadata_of_another_issuer(&Site::start(mode).await).await;
    }
}

pub(crate) async fn refuses_metadata_of_another_issuer(site: &Site) {
    change_metadata(site, |metadata| {
        metadata["issuer"] = format!("{}INVALID", site.idp.issuer()).into();
    })
    .await;
    let mut browser = Browser::new();
    let answer = site.try_sign_in(&mut browser).await;
    let kind = LoginErrorKind::Misconfigured;
    assert_eq!(site.failure(), Some((kind, None)));
    assert_eq!(answer.status(), kind.status());
    let hits = site.idp.hits();
    assert_eq!((hits.authorization, hits.token), (0, 0));
    site.has_no_session(&mut browser).await;
}

// ID-04, JS-07
#[tokio::test]
async fn oidcc_client_test_idtoken_sig_none() {
    checks::an_unsigned_id_token(ResponseMode::Query).await;
}

/// Other keys from now on, and none of the former ones.
fn replace_keys(idp: &DevelopmentProvider) {
    idp.rotate_keys();
    idp.drop_retired_keys();
}

// ID-10
#[tokio::test]
async fn oidcc_client_test_signing_key_rotation_just_before_signing() {
    for mode in Mode::BOTH {
        let site = Site::start(mode).await;
        // The keys of before are there when the new ones sign.
        let mut early = Browser::new();
        site.sign_in(&mut early).await;
        let fetched = site.idp.hits().jwks;
        let idp = Arc::downgrade(&site.idp);
        let rotate = move |token: tower_oidc::testing::TokenBuilder| {
            let idp = idp.upgrade().unwrap();
            replace_keys(&idp);
            token.signed_by(idp.signing_key(Algorithm::Rs256))
        };
        // In token mode the access token is signed first, and by the same key.
        match mode {
            Mode::Token => site.idp.edit_access_token(rotate),
            Mode::Identity => site.idp.edit_id_token(rotate),
        }
        site.accepts().await;
        assert_eq!(site.idp.hits().jwks, fetched + 1);
    }
}

// ID-10, KS-13
#[tokio::test]
async fn oidcc_client_test_signing_key_rotation() {
    for mode in Mode::BOTH {
        let site = Site::start(mode).await;
        site.accepts().await;
        let fetched = site.idp.hits().jwks;
        replace_keys(&site.idp);
        site.accepts().await;
        assert_eq!(site.idp.hits().jwks, fetched + 1);
    }
}
