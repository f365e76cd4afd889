//! The RP-Initiated Logout plan. The provider tells the site of the logout in the back and in the front too, as the
//! suite's does where both addresses are registered.

use axum::http::StatusCode;
use tower_oidc::HttpClient;
use tower_oidc::login::LoginBuilder;
use tower_oidc::testing::{Browser, Endpoint, TokenBuilder};

use crate::browsing::{Answer, WayBack, location, path_of, query};
use crate::site::{CLIENT, Mode, ResponseMode, SITE, START, Site};

/// A site that visitors may see without a session, so that it has a page to come back to.
pub(crate) async fn site(mode: Mode) -> Site {
    let choose = |login: LoginBuilder| login.allow_anonymous().allow_frontchannel_logout();
    Site::start_with(mode, ResponseMode::Query, choose).await
}

impl Site {
    /// The session of the provider that the site's session came from.
    pub(crate) async fn sid(&self, browser: &mut Browser) -> String {
        let shown = self.shows(browser).await;
        shown["claims"]["sid"].as_str().unwrap().to_owned()
    }

    /// Signs out at the site: the address at the provider that the browser is sent to.
    pub(crate) async fn sign_out(&self, browser: &mut Browser, query: &str) -> String {
        let path = format!("{START}/logout{query}");
        let answer = browser.post_form(&mut self.over_http(), &path, &[]).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{}", answer.body());
        location(&answer).to_owned()
    }

    /// Posts a logout token to the site: the answer's status.
    pub(crate) async fn told_in_the_back(&self, token: TokenBuilder) -> StatusCode {
        let client = HttpClient::reqwest().unwrap();
        let url = format!("http://{}{START}/backchannel-logout", self.address);
        let told = self.idp.post_logout_token(&client, &url, token).await;
        told.unwrap()
    }

    /// Opens the frame of the provider's page in which the site signs out.
    pub(crate) async fn told_in_the_front(&self, sid: &str) -> Answer {
        let iss = self.idp.issuer();
        let path = format!("{START}/frontchannel-logout?iss={iss}&sid={sid}");
        let url = format!("http://{}{path}", self.address);
        self.follow(&url).await
    }
}

/// Signs out, and comes back from the provider with this in the place of `state`.
async fn comes_back(state: impl Fn(String) -> Option<String>, leads_to: &str) {
    for mode in Mode::BOTH {
        let site = site(mode).await;
        let mut browser = Browser::new();
        site.sign_in(&mut browser).await;
        let sid = site.sid(&mut browser).await;
        let to = site.sign_out(&mut browser, "?return_to=/bye").await;
        assert!(to.starts_with(&format!("{}/end-session?", site.idp.issuer())));
        let asked = query(&to);
        assert_eq!(asked["client_id"], CLIENT);
        assert_eq!(asked["post_logout_redirect_uri"], format!("{SITE}/"));
        assert_eq!(asked["id_token_hint"].split('.').count(), 3);
        assert!(!asked["state"].is_empty());
        assert!(!site.is_signed_in(&mut browser).await);

        // The session is over here already, which is no reason to refuse.
        let told = site.idp.logout_token(CLIENT).claim("sid", &sid);
        assert_eq!(site.told_in_the_back(told).await, StatusCode::OK);
        assert_eq!(site.told_in_the_front(&sid).await.status(), StatusCode::OK);

        let answer = site.follow(&to).await;
        assert_eq!(site.idp.seen(Endpoint::EndSession).len(), 1);
        let returned = path_of(location(&answer)).to_owned();
        assert_eq!(query(&returned)["state"], asked["state"]);
        let returned = match state(asked["state"].clone()) {
            Some(state) => format!("/?state={state}"),
            None => "/".to_owned(),
        };
        let way_back = WayBack::Redirect(returned);
        let answer = site.come_back(&mut browser, way_back).await;
        if leads_to == "/" {
            assert_eq!(answer.status(), StatusCode::OK, "a page of the site");
        } else {
            assert_eq!(location(&answer), leads_to);
        }
        assert_eq!(site.failure(), None);
        assert!(!site.is_signed_in(&mut browser).await);
    }
}

// LO-01, LO-03, LO-13
#[tokio::test]
async fn oidcc_client_test_rp_init_logout() {
    comes_back(Some, "/bye").await;
}

// LO-03
#[tokio::test]
async fn oidcc_client_test_rp_init_logout_no_state() {
    comes_back(|_| None, "/").await;
}

// LO-03
#[tokio::test]
async fn oidcc_client_test_rp_init_logout_other_state() {
    comes_back(|_| Some("kqzvwbxpty".to_owned()), "/").await;
}
