//! The Front-Channel Logout plan. The provider's page opens an address of the site in a frame.

use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, X_FRAME_OPTIONS};
use tower_oidc::testing::Browser;

use crate::browsing::{Answer, WayBack, location, path_of};
use crate::rp_initiated::site;
use crate::site::{Mode, Site};

/// The page can be shown in a frame of the provider, and of nobody else.
fn can_be_framed(site: &Site, answer: &Answer) {
    assert_eq!(answer.status(), StatusCode::OK);
    let headers = answer.headers();
    let policy = headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
    let framers = format!("frame-ancestors {}", site.idp.issuer());
    assert!(policy.contains(&framers), "{policy}");
    assert!(!headers.contains_key(X_FRAME_OPTIONS));
    assert_eq!(headers[CACHE_CONTROL], "no-store");
}

// LO-17
#[tokio::test]
async fn oidcc_client_test_rp_frontchannel_rpinitlogout() {
    for mode in Mode::BOTH {
        let site = site(mode).await;
        let mut browser = Browser::new();
        site.sign_in(&mut browser).await;
        let sid = site.sid(&mut browser).await;
        let to = site.sign_out(&mut browser, "").await;
        let framed = site.told_in_the_front(&sid).await;
        can_be_framed(&site, &framed);
        let answer = site.follow(&to).await;
        let way_back = WayBack::Redirect(path_of(location(&answer)).to_owned());
        let answer = site.come_back(&mut browser, way_back).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(!site.is_signed_in(&mut browser).await);
    }
}

// LO-17
#[tokio::test]
async fn oidcc_client_test_rp_frontchannel_opinitlogout() {
    for mode in Mode::BOTH {
        let site = site(mode).await;
        let mut browsers = [Browser::new(), Browser::new()];
        for browser in &mut browsers {
            site.sign_in(browser).await;
        }
        let [mut signed_out, mut other] = browsers;
        // A frame brings no cookie: the session is named by the address.
        let sid = site.sid(&mut signed_out).await;
        let framed = site.told_in_the_front(&sid).await;
        can_be_framed(&site, &framed);
        assert!(!site.is_signed_in(&mut signed_out).await);
        assert!(site.is_signed_in(&mut other).await, "another session");
    }
}
