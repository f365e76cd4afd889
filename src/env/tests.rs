use super::*;
use crate::claims::Audience;

const GOOD: [(&str, &str); 2] = [
    ("OPENID_ISSUER", "https://dev-abc123.us.auth0.com"),
    ("OPENID_AUDIENCE", "https://api.example.com"),
];

fn with(more: &[(&str, &str)]) -> Result<ApiSettings, ConfigError> {
    ApiSettings::from_pairs(GOOD.iter().chain(more).copied())
}

#[test]
fn d17_the_env_of_the_auth0_guide_is_read_unchanged() {
    let settings = ApiSettings::from_pairs([
        ("OPENID_ISSUER", "https://dev-abc123.us.auth0.com"),
        ("OPENID_CLIENT_ID", "your_long_alphanumeric_client_id"),
        (
            "OPENID_CLIENT_SECRET",
            "your_client_secret_from_basic_information",
        ),
        ("OPENID_CALLBACK_URL", "/oauth/openid/callback"),
        ("OPENID_REUSE_TOKENS", "true"),
        ("OPENID_SCOPE", "openid profile email offline_access"),
        ("OPENID_AUDIENCE", "https://api.librechat.ai"),
        ("OPENID_USE_PKCE", "true"),
        (
            "OPENID_SESSION_SECRET",
            "your-secure-session-secret-32-chars-or-more",
        ),
        ("OPENID_BUTTON_LABEL", "Continue with Auth0"),
        ("DOMAIN_SERVER", "https://your-domain.ngrok.io"),
        ("PATH", "/usr/bin"),
    ])
    .unwrap();
    let shown = settings.to_string();
    assert!(
        shown.contains("OPENID_AUDIENCE = https://api.librechat.ai\n"),
        "{shown}"
    );
    for secret in ["your_client_secret", "your-secure-session"] {
        assert!(!shown.contains(secret));
        assert!(!format!("{settings:?}").contains(secret));
    }
}

#[test]
fn d17_the_issuer_may_be_the_address_of_the_metadata() {
    let settings = ApiSettings::from_pairs([
        (
            "OPENID_ISSUER",
            "https://id.example/a/.well-known/openid-configuration",
        ),
        ("OPENID_AUDIENCE", "a, b,,"),
    ])
    .unwrap();
    let provider = settings.provider().unwrap();
    assert_eq!(provider.issuer().as_str(), "https://id.example/a");
    let verifier = settings.verifier(&provider).unwrap();
    let audiences: Vec<_> = verifier.audiences().iter().map(Audience::as_str).collect();
    assert_eq!(audiences, ["a", "b"]);
}

#[test]
fn f59_a_misspelt_name_is_an_error_with_a_suggestion() {
    let error = with(&[("OPENID_AUDIENC", "x")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "OPENID_AUDIENC is not a setting of this crate; did you mean OPENID_AUDIENCE?"
    );
    let error = with(&[("OPENID_SOMETHING_ELSE_ENTIRELY", "x")]).unwrap_err();
    assert!(!error.to_string().contains("did you mean"), "{error}");
    // Empty equals unset, even under a wrong name.
    assert!(with(&[("OPENID_AUDIENC", "")]).is_ok());
}

#[test]
fn d17_names_of_the_other_application_are_ignored_and_listed() {
    let settings = with(&[
        ("OPENID_USERNAME_CLAIM", "email"),
        ("OPENID_REQUIRED_ROLE", "x"),
    ])
    .unwrap();
    assert_eq!(
        settings.ignored,
        ["OPENID_REQUIRED_ROLE", "OPENID_USERNAME_CLAIM"]
    );
}

#[test]
fn every_bad_value_names_its_variable_and_a_remedy() {
    let cases = [
        ("OPENID_ISSUER", "", "name the provider"),
        (
            "OPENID_ISSUER",
            "dev-abc123.us.auth0.com",
            "write https://dev-abc123.us.auth0.com",
        ),
        ("OPENID_ISSUER", "http://id.example", "only https"),
        ("OPENID_ISSUER", "https://id.example?a=b", "query"),
        ("OPENID_ISSUER", "https://id.example#a", "fragment"),
        (
            "OPENID_ISSUER",
            "https://id.example/{tenantid}/v2.0",
            "every tenant there is",
        ),
        ("OPENID_AUDIENCE", "", "any other service"),
        ("OPENID_AUDIENCE", " , ,", "any other service"),
        ("OPENID_JWKS_URL", "http://id.example/jwks", "only https"),
        ("OPENID_JWKS_URL_CACHE_TIME", "10 * 60 * 1000", "10m"),
        ("OPENID_JWKS_URL_CACHE_TIME", "500", "1m to 1day"),
        ("OPENID_JWKS_URL_CACHE_TIME", "-1", "milliseconds"),
        ("OPENID_ALGORITHMS", "RS256,none", "everybody could sign"),
        ("OPENID_ALGORITHMS", "HS256", "everybody could sign"),
        ("OPENID_ALGORITHMS", "rs256", "choose from RS256"),
        ("OPENID_TOKEN_PROFILE", "loose", "lenient or strict"),
        ("OPENID_CLOCK_TOLERANCE", "301", "0s to 5m"),
        ("OPENID_CLOCK_TOLERANCE", "-1", "seconds"),
        ("OPENID_CLOCK_TOLERANCE", "1.5", "seconds"),
        ("OPENID_REUSE_TOKENS", "false", "true or remove"),
        ("OPENID_REUSE_TOKENS", "maybe", "true or false"),
        ("OPENID_USE_PKCE", "false", "true or remove"),
        ("DEBUG_OPENID_REQUESTS", "perhaps", "true or false"),
        ("DOMAIN_SERVER", "http://api.example", "only https"),
        ("DOMAIN_SERVER", "api.example", "absolute URL"),
    ];
    for (name, value, part) in cases {
        let error = with(&[(name, value)]).unwrap_err();
        assert!(error.to_string().contains(part), "{name}={value}: {error}");
        assert_eq!(error.setting(), name, "{error}");
    }
}

#[test]
fn values_at_their_bounds_are_taken() {
    for (name, value) in [
        ("OPENID_CLOCK_TOLERANCE", "0"),
        ("OPENID_CLOCK_TOLERANCE", "300"),
        ("OPENID_JWKS_URL_CACHE_TIME", "600000"),
        ("OPENID_JWKS_URL_CACHE_TIME", "10m"),
        ("OPENID_JWKS_URL_CACHE_TIME", "24h"),
        ("OPENID_ALGORITHMS", "ES256, EdDSA"),
        ("OPENID_TOKEN_PROFILE", "strict"),
        ("OPENID_ISSUER", "http://127.0.0.1:3000"),
        ("OPENID_ISSUER", "http://localhost:3000/realm"),
    ] {
        assert!(with(&[(name, value)]).is_ok(), "{name}={value}");
    }
}
