//! The rules of a profile, and what settings depart from it.

use tower_oidc::doctor::{Profile, Shape};

use crate::setup::Settings;

fn departures(settings: &Settings, shape: Shape, profile: Profile) -> Vec<(String, String)> {
    let report = settings.doctor().examining(shape).check_profile(profile);
    let found = report.departures().wrong();
    found
        .map(|finding| {
            (
                finding.code().to_owned(),
                finding.setting().unwrap().to_owned(),
            )
        })
        .collect()
}

fn pairs(found: &[(String, String)]) -> Vec<(&str, &str)> {
    found
        .iter()
        .map(|(code, setting)| (&**code, &**setting))
        .collect()
}

#[test]
fn settings_that_depart_from_a_profile_are_named() {
    let site = Settings::site("https://id.example");
    let api = Settings::api("https://id.example");
    let found = departures(&site, Shape::Site, Profile::Fapi2);
    assert_eq!(
        pairs(&found),
        [
            ("departs_client_authentication", "OPENID_CLIENT_SECRET"),
            ("departs_pushed_authorization", "OPENID_USE_PAR"),
            ("departs_algorithms", "OPENID_ALGORITHMS"),
        ]
    );
    let narrow = api.clone().with("OPENID_ALGORITHMS", "PS256,ES256");
    assert!(departures(&narrow, Shape::Api, Profile::Fapi2).is_empty());
    let found = departures(&api, Shape::Api, Profile::Mcp);
    assert_eq!(
        pairs(&found),
        [("departs_resource_metadata", "DOMAIN_SERVER")]
    );
    let elsewhere = api
        .clone()
        .with("DOMAIN_SERVER", "https://api.example.com")
        .with("OPENID_TOKEN_PLACES", "authorization,cookie:token");
    let found = departures(&elsewhere, Shape::Api, Profile::Mcp);
    assert_eq!(
        pairs(&found),
        [("departs_token_place", "OPENID_TOKEN_PLACES")]
    );
    let plain = api.with("OPENID_ALLOW_HTTP", "id.internal");
    for profile in Profile::ALL {
        let found = departures(&plain, Shape::Api, profile);
        assert!(
            pairs(&found).contains(&("departs_plain_http", "OPENID_ALLOW_HTTP")),
            "{profile:?}"
        );
    }
    for profile in [Profile::Rfc9700, Profile::OAuth21] {
        assert!(
            departures(&site, Shape::Site, profile).is_empty(),
            "{profile:?}"
        );
    }
}

#[test]
fn a_profile_is_told_by_the_ids_of_its_rules() {
    let report = Settings::api("https://id.example")
        .doctor()
        .check_profile(Profile::Rfc9700);
    let text = report.to_string();
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(json["profile"], "rfc9700");
    assert_eq!(
        json["rules"].as_array().unwrap().len(),
        report.rules().len()
    );
    for rule in report.rules() {
        assert!(rule.source().contains("9700"), "{}", rule.id());
        assert!(text.contains(rule.text()), "{}", rule.id());
    }
    assert!(
        report
            .rules()
            .iter()
            .any(|rule| rule.id() == "LG-02" && rule.status() == "built")
    );
}
