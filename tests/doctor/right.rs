//! Set-ups in which nothing is wrong.

use axum::Router;
use tokio::net::TcpListener;
use tower_oidc::doctor::Shape;
use tower_oidc::env::LoginSettings;
use tower_oidc::testing::DevelopmentProvider;

use crate::setup::{API, Settings, assert_no_secret, codes, examined};

#[tokio::test]
async fn a_running_site_that_is_set_up_well_is_all_well() {
    let idp = DevelopmentProvider::start().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let settings = Settings::site(idp.issuer()).with("DOMAIN_SERVER", &address);
    let login = LoginSettings::from_pairs(settings.pairs()).unwrap();
    let app: Router = Router::new().layer(login.builder().unwrap().build().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let report = examined(&settings, Shape::Site).await;
    server.abort();
    assert!(report.is_well(), "{report}");
    let found = codes(&report);
    for code in [
        "settings_right",
        "session_secret_right",
        "discovery_right",
        "clock_right",
        "endpoints_right",
        "pkce_right",
        "refresh_right",
        "id_token_algorithms_right",
        "sign_out_right",
        "backchannel_logout_right",
        "keys_right",
        "client_right",
        "token_accepted",
        "site_right",
    ] {
        assert!(found.contains(&code), "{code}: {report}");
    }
    assert_no_secret(&format!("{report}{report:?}{}", report.to_json()));
    // Nothing was signed in.
    assert_eq!(idp.hits().authorization, 0);
}

#[tokio::test]
async fn an_api_and_a_service_that_are_set_up_well_are_all_well() {
    let idp = DevelopmentProvider::start().await.unwrap();
    let report = examined(&Settings::api(idp.issuer()), Shape::Api).await;
    assert!(report.is_well(), "{report}");
    assert_eq!(
        idp.hits().token,
        0,
        "an API without a client asks for no token"
    );
    let service = Settings::site(idp.issuer()).without("OPENID_SESSION_SECRET");
    let report = examined(&service, Shape::Service).await;
    assert!(report.is_well(), "{report}");
    let granted = report
        .findings()
        .find(|finding| finding.code() == "token_granted");
    assert!(granted.unwrap().text().contains(API), "{report}");
}

#[tokio::test]
async fn reading_the_settings_alone_calls_nothing() {
    let idp = DevelopmentProvider::start().await.unwrap();
    let site = Settings::site(idp.issuer()).with("REDIS_URL", "redis://127.0.0.1:9");
    for shape in Shape::ALL {
        let report = site.doctor().examining(shape).check_settings();
        assert!(report.is_well(), "{report}");
        let token = idp.token(API).build();
        let report = site.doctor().examining(shape).explain_token(&token);
        assert!(report.is_well(), "{report}");
    }
    let hits = idp.hits();
    assert_eq!((hits.discovery, hits.jwks, hits.token), (0, 0, 0));
}

#[tokio::test]
async fn wrong_settings_are_told_before_anything_is_called() {
    let idp = DevelopmentProvider::start().await.unwrap();
    let settings = Settings::api(idp.issuer()).with("OPENID_TOKEN_CACHE", "perhaps");
    let report = examined(&settings, Shape::Api).await;
    assert_eq!(codes(&report), ["setting_invalid"], "{report}");
    assert_eq!(idp.hits().discovery, 0);
}
