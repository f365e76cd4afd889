//! What stands in front of a site, and what it does to a sign-in.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::net::TcpListener;
use tower_oidc::doctor::{Report, Shape};
use tower_oidc::testing::DevelopmentProvider;

use crate::setup::{Expected, Settings, assert_wrong, codes, examined};

/// Examines a site that starts a sign-in with this answer. `{site}` stands for its address.
async fn answering(
    idp: &DevelopmentProvider,
    status: StatusCode,
    fields: &[(HeaderName, &str)],
) -> Report {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let fields = fields.iter().map(|(name, value)| {
        let value = value.replace("{site}", &address);
        (name.clone(), HeaderValue::from_str(&value).unwrap())
    });
    let fields: HeaderMap = fields.collect();
    let start = get(move || async move { (status, fields).into_response() as Response });
    let app = Router::new().route("/oauth/openid", start);
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let settings = Settings::site(idp.issuer()).with("DOMAIN_SERVER", &address);
    let report = examined(&settings, Shape::Site).await;
    server.abort();
    report
}

/// What is wrong, the status and fields of the answer, and what must be found.
type Case = (
    &'static str,
    StatusCode,
    Vec<(HeaderName, &'static str)>,
    Expected,
);

const CALLBACK: &str = "https://id.example/authorize?redirect_uri={site}/oauth/openid/callback";

#[tokio::test]
async fn each_wrong_proxy_is_found_with_its_cure() {
    let idp = DevelopmentProvider::start().await.unwrap();
    let found = StatusCode::FOUND;
    let at = "DOMAIN_SERVER";
    let cases: Vec<Case> = vec![
        (
            "a path that leads nowhere",
            StatusCode::NOT_FOUND,
            vec![],
            (
                "site_path_missing",
                at,
                "write that path into DOMAIN_SERVER",
            ),
        ),
        (
            "a proxy without its program",
            StatusCode::BAD_GATEWAY,
            vec![],
            ("site_behind_broken_proxy", at, "proxy_buffer_size"),
        ),
        (
            "a refusal",
            StatusCode::INTERNAL_SERVER_ERROR,
            vec![],
            ("site_start_failed", at, "log of the site"),
        ),
        (
            "a redirect to another address",
            StatusCode::MOVED_PERMANENTLY,
            vec![(LOCATION, "https://www.example.com/oauth/openid")],
            ("site_redirected_elsewhere", at, "final address"),
        ),
        (
            "a lost cookie",
            found,
            vec![(LOCATION, CALLBACK)],
            ("site_cookie_lost", at, "Set-Cookie"),
        ),
        (
            "a site with other settings",
            found,
            vec![
                (
                    LOCATION,
                    "https://id.example/authorize?redirect_uri=https://old.example/oauth/openid/callback",
                ),
                (SET_COOKIE, "sign-in=1; Path=/; HttpOnly"),
            ],
            (
                "site_has_other_callback",
                at,
                "start the site with these settings",
            ),
        ),
    ];
    for (set_up, status, fields, expected) in cases {
        assert_wrong(set_up, &answering(&idp, status, &fields).await, expected);
    }
    let fields = [
        (LOCATION, CALLBACK),
        (SET_COOKIE, "sign-in=1; Path=/; HttpOnly"),
    ];
    let report = answering(&idp, found, &fields).await;
    assert!(
        report.is_well() && codes(&report).contains(&"site_right"),
        "{report}"
    );
}

#[tokio::test]
async fn a_site_that_does_not_run_is_no_fault() {
    let idp = DevelopmentProvider::start().await.unwrap();
    let settings = Settings::site(idp.issuer()).with("DOMAIN_SERVER", "http://127.0.0.1:9");
    let report = examined(&settings, Shape::Site).await;
    assert!(
        report.is_well() && codes(&report).contains(&"site_not_running"),
        "{report}"
    );
}
