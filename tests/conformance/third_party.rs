//! The plan of sign-ins that another party begins.

use tower_oidc::LoginErrorKind;
use tower_oidc::login::LoginBuilder;
use tower_oidc::testing::Browser;

use crate::browsing::location;
use crate::site::{Mode, ResponseMode, START, Site};

// LG-26
#[tokio::test]
async fn oidcc_client_test_3rd_party_init_login() {
    for mode in Mode::BOTH {
        let choose = LoginBuilder::allow_initiated_sign_in;
        let site = Site::start_with(mode, ResponseMode::Query, choose).await;
        let initiated = |iss: &str| format!("{START}/initiate?iss={iss}");
        let mut browser = Browser::new();
        let refused = site
            .visit(&mut browser, &initiated("https://other.example"))
            .await;
        let kind = LoginErrorKind::InitiatorRefused;
        assert_eq!(site.failure(), Some((kind, None)));
        assert_eq!(refused.status(), kind.status());
        assert_eq!(site.idp.hits().authorization, 0);

        let answer = site
            .visit(&mut browser, &initiated(site.idp.issuer()))
            .await;
        let way_back = site.at_provider(location(&answer)).await;
        let answer = site.come_back(&mut browser, way_back).await;
        assert_eq!(location(&answer), "/");
        assert!(site.is_signed_in(&mut browser).await);
    }
}
