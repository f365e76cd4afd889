//! What can be told from the settings alone, without a call.

use tower_oidc::doctor::Shape;

use crate::setup::{Expected, Settings, assert_no_secret, assert_wrong, codes};

fn api() -> Settings {
    Settings::api("https://id.example")
}

fn site() -> Settings {
    Settings::site("https://id.example")
}

/// What is wrong, the settings, their shape, and what must be found.
type Case = (&'static str, Settings, Shape, Expected);

fn of_settings() -> Vec<Case> {
    vec![
        (
            "a misspelt name",
            api().with("OPENID_TOKEN_PROFIL", "strict"),
            Shape::Api,
            (
                "setting_unknown",
                "OPENID_TOKEN_PROFIL",
                "OPENID_TOKEN_PROFILE",
            ),
        ),
        (
            "no issuer",
            api().without("OPENID_ISSUER"),
            Shape::Api,
            ("setting_missing", "OPENID_ISSUER", "name the provider"),
        ),
        (
            "an issuer without a scheme",
            Settings::api("id.example"),
            Shape::Api,
            ("setting_invalid", "OPENID_ISSUER", "https://"),
        ),
        (
            "an API without an audience",
            api().without("OPENID_AUDIENCE"),
            Shape::Api,
            ("setting_missing", "OPENID_AUDIENCE", "name of this API"),
        ),
        (
            "HMAC as an algorithm",
            api().with("OPENID_ALGORITHMS", "HS256"),
            Shape::Api,
            ("setting_invalid", "OPENID_ALGORITHMS", "RS256"),
        ),
        (
            "a short session secret",
            site().with("OPENID_SESSION_SECRET", "short"),
            Shape::Site,
            ("setting_invalid", "OPENID_SESSION_SECRET", "openssl rand"),
        ),
        (
            "a session secret that is a pattern",
            site().with("OPENID_SESSION_SECRET", &"abc".repeat(20)),
            Shape::Site,
            (
                "session_secret_guessable",
                "OPENID_SESSION_SECRET",
                "openssl rand",
            ),
        ),
        (
            "a secret and a file of it",
            site().with("OPENID_CLIENT_SECRET_FILE", "/nowhere"),
            Shape::Site,
            (
                "setting_contradiction",
                "OPENID_CLIENT_SECRET",
                "set one of them",
            ),
        ),
        (
            "a site on plain http",
            site().with("DOMAIN_SERVER", "http://app.example.com"),
            Shape::Site,
            ("setting_invalid", "DOMAIN_SERVER", "https"),
        ),
        (
            "a site without an address",
            site().without("DOMAIN_SERVER"),
            Shape::Site,
            ("setting_missing", "DOMAIN_SERVER", "public address"),
        ),
    ]
}

fn of_settings_of_sites() -> Vec<Case> {
    vec![
        (
            "scopes with commas",
            site().with("OPENID_SCOPE", "openid,profile"),
            Shape::Site,
            (
                "setting_invalid",
                "OPENID_SCOPE",
                "OPENID_SCOPE=openid profile",
            ),
        ),
        (
            "a scope without openid",
            site().with("OPENID_SCOPE", "profile offline_access"),
            Shape::Site,
            ("setting_invalid", "OPENID_SCOPE", "openid first"),
        ),
        (
            "memory as the store of several replicas",
            site().with("KUBERNETES_SERVICE_HOST", "10.0.0.1"),
            Shape::Site,
            ("memory_store_in_replicas", "REDIS_URL", "REDIS_URL"),
        ),
        (
            "a service without a secret",
            site().without("OPENID_CLIENT_SECRET"),
            Shape::Service,
            ("setting_missing", "OPENID_CLIENT_SECRET", "copy the secret"),
        ),
    ]
}

fn of_providers() -> Vec<Case> {
    let google = || {
        Settings::site("https://accounts.google.com")
            .without("OPENID_AUDIENCE")
            .with("OPENID_SCOPE", "openid email")
    };
    let identity = |settings: Settings| settings.with("OPENID_REUSE_TOKENS", "false");
    let entra = "https://login.microsoftonline.com/8eaef023-2b34-4da1-9baa-8bc8c9d6a490/v2.0";
    vec![
        (
            "Google in token mode",
            google().with("OPENID_REQUIRE_REFRESH_TOKEN", "false"),
            Shape::Site,
            (
                "tokens_always_opaque",
                "OPENID_REUSE_TOKENS",
                "OPENID_REUSE_TOKENS=false",
            ),
        ),
        (
            "access tokens of Google at an API",
            Settings::api("https://accounts.google.com"),
            Shape::Api,
            (
                "tokens_always_opaque",
                "OPENID_ISSUER",
                "OPENID_TOKEN_PROFILE=id",
            ),
        ),
        (
            "the scope offline_access at Google",
            identity(google()).without("OPENID_SCOPE"),
            Shape::Site,
            (
                "offline_access_refused",
                "OPENID_SCOPE",
                "access_type=offline",
            ),
        ),
        (
            "a refresh token that Google is not asked for",
            identity(google()).with("OPENID_REQUIRE_REFRESH_TOKEN", "true"),
            Shape::Site,
            (
                "refresh_not_asked_for",
                "OPENID_AUTHORIZATION_PARAMETERS",
                "access_type=offline",
            ),
        ),
        (
            "the org authorization server of Okta",
            Settings::api("https://dev-1.okta.com"),
            Shape::Api,
            (
                "org_authorization_server",
                "OPENID_ISSUER",
                "/oauth2/default",
            ),
        ),
        (
            "Entra ID without a scope of the API",
            Settings::site(entra),
            Shape::Site,
            (
                "scope_of_api_missing",
                "OPENID_SCOPE",
                "api://<application id>/.default",
            ),
        ),
        (
            "Auth0 without an audience",
            Settings::site("https://tenant.us.auth0.com/").without("OPENID_AUDIENCE"),
            Shape::Site,
            ("audience_unset", "OPENID_AUDIENCE", "identifier"),
        ),
        (
            "GitLab in token mode",
            Settings::site("https://gitlab.com"),
            Shape::Site,
            (
                "tokens_always_opaque",
                "OPENID_REUSE_TOKENS",
                "OPENID_REUSE_TOKENS=false",
            ),
        ),
    ]
}

#[test]
fn each_wrong_set_up_that_needs_no_call_is_found_with_its_cure() {
    let cases = of_settings()
        .into_iter()
        .chain(of_settings_of_sites())
        .chain(of_providers());
    for (set_up, settings, shape, expected) in cases {
        let report = settings.doctor().examining(shape).check_settings();
        assert_wrong(set_up, &report, expected);
    }
}

#[test]
fn all_errors_of_settings_are_told_at_once() {
    let settings = site()
        .with("OPENID_ISSUER", "http://id.example")
        .with("OPENID_CLIENT_ID", "")
        .with("OPENID_SESSION_SECRET", "short")
        .with("OPENID_TOKEN_CACHE", "perhaps")
        .with("OPENID_CLOCK_TOLERANCE", "1h")
        .with("OPENID_SOMETHING", "1");
    let report = settings.doctor().examining(Shape::Site).check_settings();
    let mut wrong: Vec<_> = report
        .wrong()
        .map(|finding| (finding.setting().unwrap(), finding.code()))
        .collect();
    wrong.sort_unstable();
    assert_eq!(
        wrong,
        [
            ("OPENID_CLIENT_ID", "setting_missing"),
            ("OPENID_CLOCK_TOLERANCE", "setting_invalid"),
            ("OPENID_ISSUER", "setting_invalid"),
            ("OPENID_SESSION_SECRET", "setting_invalid"),
            ("OPENID_SOMETHING", "setting_unknown"),
            ("OPENID_TOKEN_CACHE", "setting_invalid"),
        ]
    );
    assert!(wrong.iter().all(|(_, code)| codes(&report).contains(code)));
    assert_no_secret(&report.to_string());
}

#[test]
fn a_cure_that_is_in_force_is_not_asked_for() {
    let google = Settings::api("https://accounts.google.com");
    let by_id_tokens = google.with("OPENID_TOKEN_PROFILE", "id");
    let report = by_id_tokens.doctor().examining(Shape::Api).check_settings();
    assert!(report.is_well(), "{report}");
    let site = Settings::site("https://accounts.google.com")
        .with("OPENID_REUSE_TOKENS", "false")
        .with("OPENID_SCOPE", "openid profile email")
        .with("OPENID_REQUIRE_REFRESH_TOKEN", "true")
        .with(
            "OPENID_AUTHORIZATION_PARAMETERS",
            "access_type=offline&prompt=consent",
        );
    let report = site.doctor().examining(Shape::Site).check_settings();
    assert!(report.is_well(), "{report}");
}

#[test]
fn the_shape_is_told_from_what_is_set() {
    assert_eq!(api().doctor().shape(), Shape::Api);
    assert_eq!(site().doctor().shape(), Shape::Site);
    let introspecting = api()
        .with("OPENID_CLIENT_ID", "api")
        .with("OPENID_INTROSPECTION", "opaque");
    assert_eq!(introspecting.doctor().shape(), Shape::Api);
    let chosen = site().doctor().examining(Shape::Service);
    assert_eq!(chosen.shape(), Shape::Service);
    assert_no_secret(&format!("{chosen:?}"));
}
