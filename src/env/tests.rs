use super::*;
use crate::claims::Audience;
use crate::error::ConfigError;

const GOOD: [(&str, &str); 2] = [
    ("OPENID_ISSUER", "https://dev-abc123.us.auth0.com"),
    ("OPENID_AUDIENCE", "https://api.example.com"),
];

fn with(more: &[(&str, &str)]) -> Result<ApiSettings, ConfigError> {
    ApiSettings::from_pairs(GOOD.iter().chain(more).copied())
}

// D17
#[test]
fn the_env_of_the_auth0_guide_is_read_unchanged() {
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

// D17
#[test]
fn the_issuer_may_be_the_address_of_the_metadata() {
    let settings = ApiSettings::from_pairs([
        (
            "OPENID_ISSUER",
            "https://id.example/a/.well-known/openid-configuration",
        ),
        ("OPENID_AUDIENCE", "a, b,,"),
    ])
    .unwrap();
    assert_eq!(
        settings.provider().issuer().as_str(),
        "https://id.example/a"
    );
    let audiences: Vec<_> = settings
        .verifier()
        .audiences()
        .iter()
        .map(Audience::as_str)
        .collect();
    assert_eq!(audiences, ["a", "b"]);
}

// F59
#[test]
fn a_misspelt_name_is_an_error_with_a_suggestion() {
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

// D17
#[test]
fn names_of_the_other_application_are_ignored_and_listed() {
    let settings = with(&[
        ("OPENID_USERNAME_CLAIM", "email"),
        ("OPENID_ADMIN_ROLE", "x"),
    ])
    .unwrap();
    assert_eq!(
        settings.common.ignored(),
        ["OPENID_ADMIN_ROLE", "OPENID_USERNAME_CLAIM"]
    );
}

#[test]
fn every_bad_value_names_its_variable_and_a_remedy() {
    let cases = [
        ("OPENID_ISSUER", "", "name the provider"),
        ("OPENID_TOKEN_CACHE", "10m", "write true or false"),
        (
            "OPENID_ISSUER",
            "dev-abc123.us.auth0.com",
            "write https://dev-abc123.us.auth0.com",
        ),
        ("OPENID_ISSUER", "http://id.example", "only https"),
        ("OPENID_ISSUER", "https://id.example?a=b", "query"),
        ("OPENID_ISSUER", "https://id.example#a", "fragment"),
        ("OPENID_AUDIENCE", "", "any other service"),
        ("OPENID_AUDIENCE", " , ,", "any other service"),
        ("OPENID_JWKS_URL", "http://id.example/jwks", "only https"),
        ("OPENID_JWKS_URL_CACHE_TIME", "10 * 60 * 1000", "10m"),
        ("OPENID_JWKS_URL_CACHE_TIME", "500", "1m to 1day"),
        ("OPENID_JWKS_URL_CACHE_TIME", "-1", "milliseconds"),
        ("OPENID_ALGORITHMS", "RS256,none", "without a signature"),
        (
            "OPENID_ALGORITHMS",
            "HS256",
            "let the provider sign with RS256",
        ),
        (
            "OPENID_ALGORITHMS",
            "hs512",
            "let the provider sign with RS256",
        ),
        ("OPENID_ALGORITHMS", "rs256", "write RS256"),
        ("OPENID_ALGORITHMS", "RSA", "choose from RS256"),
        ("OPENID_ALGORITHMS", "RS256 ES256", "separated by commas"),
        (
            "OPENID_AUDIENCE",
            r#""https://api.example.com""#,
            "write it without them: OPENID_AUDIENCE=https://api.example.com",
        ),
        (
            "OPENID_AUDIENCE",
            "'https://api.example.com'",
            "write it without them",
        ),
        (
            "OPENID_AUDIENCE",
            "\u{201c}https://api.example.com\u{201d}",
            "write it without them",
        ),
        (
            "OPENID_AUDIENCE",
            r#"["https://a.example", "https://b.example"]"#,
            "OPENID_AUDIENCE=https://a.example, https://b.example",
        ),
        ("OPENID_ISSUER", r#""""#, "write it without them"),
        (
            "DOMAIN_SERVER",
            r#""https://a.example""#,
            "write it without",
        ),
        ("OPENID_CLOCK_TOLERANCE", "60s", "OPENID_CLOCK_TOLERANCE=60"),
        ("OPENID_CLOCK_TOLERANCE", "2m", "OPENID_CLOCK_TOLERANCE=120"),
        ("OPENID_CLOCK_TOLERANCE", "1500ms", "a plain number"),
        ("OPENID_JWKS_URL_MAX_CACHE_TIME", "30s", "1m to 1day"),
        ("OPENID_JWKS_URL_MAX_CACHE_TIME", "2days", "1m to 1day"),
        ("OPENID_TOKEN_PROFILE", "loose", "lenient, strict or id"),
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
    let many = ("OPENID_ISSUER", "https://id.example/{tenantid}/v2.0");
    let error = with(&[many]).unwrap_err();
    assert_eq!(error.setting(), "OPENID_TENANTS", "{error}");
    assert!(
        error.to_string().contains("every tenant there is"),
        "{error}"
    );
    with(&[
        many,
        ("OPENID_TENANTS", "8eaef023-2b34-4da1-9baa-8bc8c9d6a490"),
    ])
    .unwrap();
}

// D17, PR-01
#[test]
fn what_challenges_and_the_resource_metadata_tell_is_read_and_shown() {
    let settings = with(&[
        ("OPENID_REALM", "the shop"),
        ("OPENID_RESOURCE_SCOPES", "files:read  files:write"),
        ("OPENID_RESOURCE_NAME", "Files"),
        ("OPENID_RESOURCE_DOCUMENTATION", "https://docs.example/"),
    ])
    .unwrap();
    let error = settings.resource().unwrap_err();
    assert_eq!(error.setting(), "DOMAIN_SERVER", "{error}");
    let settings = settings.with_default_address("https://api.example.com/files");
    let resource = settings.resource().unwrap();
    let metadata = resource.metadata();
    for part in [
        r#""resource":"https://api.example.com/files""#,
        r#""scopes_supported":["files:read","files:write"]"#,
        r#""resource_name":"Files""#,
        r#""resource_documentation":"https://docs.example/""#,
    ] {
        assert!(metadata.contains(part), "{part}: {metadata}");
    }
    let shown = settings.to_string();
    for line in [
        "DOMAIN_SERVER = https://api.example.com/files\n",
        "OPENID_REALM = the shop\n",
        "OPENID_RESOURCE_SCOPES = files:read files:write\n",
        "OPENID_RESOURCE_NAME = Files\n",
        "OPENID_RESOURCE_DOCUMENTATION = https://docs.example/\n",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    let shown = with(&[]).unwrap().to_string();
    assert!(!shown.contains("= (default)"), "{shown}");
    for (name, value, part) in [
        ("OPENID_REALM", "caf\u{e9}", "visible ASCII"),
        (
            "OPENID_RESOURCE_SCOPES",
            "a,b",
            "OPENID_RESOURCE_SCOPES=a b",
        ),
        (
            "OPENID_RESOURCE_SCOPES",
            "a offline_access",
            "to the clients",
        ),
        (
            "OPENID_RESOURCE_DOCUMENTATION",
            "http://docs.example",
            "only https",
        ),
    ] {
        let error = with(&[(name, value)]).unwrap_err();
        assert!(error.to_string().contains(part), "{name}={value}: {error}");
        assert_eq!(error.setting(), name, "{error}");
    }
}

// D17, CL-15
#[test]
fn the_allowed_clients_are_read_and_shown() {
    let shown = with(&[("OPENID_ALLOWED_CLIENTS", "shop, admin")]).unwrap();
    let shown = shown.to_string();
    assert!(
        shown.contains("OPENID_ALLOWED_CLIENTS = shop,admin\n"),
        "{shown}"
    );
    let shown = with(&[("OPENID_ALLOWED_CLIENTS", "")]).unwrap().to_string();
    let default = "OPENID_ALLOWED_CLIENTS = every client of the provider (default)\n";
    assert!(shown.contains(default), "{shown}");
    for bad in [",", " , ,"] {
        let error = with(&[("OPENID_ALLOWED_CLIENTS", bad)]).unwrap_err();
        assert_eq!(error.setting(), "OPENID_ALLOWED_CLIENTS", "{error}");
    }
}

// D29
#[test]
fn the_shape_of_tokens_is_read_and_shown() {
    let settings = [
        ("OPENID_TOKEN_PROFILE", "id"),
        ("OPENID_CLIENT_AUDIENCES", "shop, admin"),
    ];
    let shown = with(&settings).unwrap().to_string();
    for line in [
        "OPENID_TOKEN_PROFILE = id\n",
        "OPENID_CLIENT_AUDIENCES = shop,admin\n",
    ] {
        assert!(shown.contains(line), "{shown}");
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
        ("OPENID_JWKS_URL_MAX_CACHE_TIME", "5m"),
        ("OPENID_ALGORITHMS", "ES256, EdDSA"),
        ("OPENID_TOKEN_PROFILE", "strict"),
        ("OPENID_ISSUER", "http://127.0.0.1:3000"),
        ("OPENID_ISSUER", "http://localhost:3000/realm"),
    ] {
        assert!(with(&[(name, value)]).is_ok(), "{name}={value}");
    }
}

#[cfg(feature = "login")]
mod login {
    use super::*;

    const GUIDE: [(&str, &str); 10] = [
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
    ];

    type Pairs = [(&'static str, &'static str)];

    fn with(more: &Pairs) -> Result<LoginSettings, ConfigError> {
        LoginSettings::from_pairs(GUIDE.iter().chain(more).copied())
    }

    // D20, D21
    #[test]
    fn without_reuse_of_tokens_no_audience_and_no_refresh_token_are_needed() {
        let google = [
            ("OPENID_ISSUER", "https://accounts.google.com"),
            ("OPENID_CLIENT_ID", "client"),
            ("OPENID_CLIENT_SECRET", "secret"),
            ("OPENID_SCOPE", "openid profile email"),
            (
                "OPENID_AUTHORIZATION_PARAMETERS",
                "access_type=offline&prompt=consent",
            ),
            (
                "OPENID_SESSION_SECRET",
                "your-secure-session-secret-32-chars-or-more",
            ),
            ("DOMAIN_SERVER", "https://app.example.com"),
            ("OPENID_REUSE_TOKENS", "false"),
            ("OPENID_CLOCK_TOLERANCE", "5"),
            ("OPENID_ALGORITHMS", "RS256"),
        ];
        let settings = LoginSettings::from_pairs(google).unwrap();
        let shown = settings.to_string();
        for line in [
            "OPENID_REUSE_TOKENS = false\n",
            "OPENID_REQUEST_AUDIENCE = none (default)\n",
            "OPENID_REQUIRE_REFRESH_TOKEN = false\n",
        ] {
            assert!(shown.contains(line), "{shown}");
        }
        assert!(settings.builder().unwrap().build().is_ok());
        let required = google
            .into_iter()
            .chain([("OPENID_REQUIRE_REFRESH_TOKEN", "true")]);
        let shown = LoginSettings::from_pairs(required).unwrap().to_string();
        assert!(
            shown.contains("OPENID_REQUIRE_REFRESH_TOKEN = true\n"),
            "{shown}"
        );
    }

    // D17
    #[test]
    fn the_env_of_the_auth0_guide_is_read_unchanged() {
        let settings = with(&[]).unwrap();
        assert_eq!(settings.button_label(), "Continue with Auth0");
        let shown = format!("{settings}{settings:?}");
        for part in [
            "OPENID_CLIENT_SECRET = (redacted)",
            "OPENID_SESSION_SECRET = (redacted, 1)",
        ] {
            assert!(shown.contains(part), "{shown}");
        }
        for secret in ["your_client_secret", "your-secure-session"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        let error = settings.builder().unwrap_err();
        assert_eq!(error.setting(), "DOMAIN_SERVER");
        let layer = settings
            .with_default_address("http://127.0.0.1:3080")
            .builder()
            .unwrap()
            .build()
            .unwrap();
        assert_eq!(
            layer.redirect_uri(),
            "http://127.0.0.1:3080/oauth/openid/callback"
        );
    }

    // D17
    #[test]
    fn a_secret_in_quotes_is_an_error_that_does_not_repeat_it() {
        for (name, value) in [
            ("OPENID_CLIENT_SECRET", "\"hunter2\""),
            (
                "OPENID_SESSION_SECRET",
                "'hunter2 is a secret of more than 32 characters'",
            ),
            ("REDIS_URL", "\"redis://:hunter2@cache\""),
        ] {
            let error = with(&[(name, value)]).unwrap_err();
            assert_eq!(error.setting(), name);
            assert!(error.to_string().contains("without them"), "{error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }

    // D17, SC-16
    #[test]
    fn the_cookie_name_and_further_audiences_are_read_and_shown() {
        let settings = with(&[
            ("OPENID_COOKIE_NAME", "shop"),
            ("OPENID_ADDITIONAL_AUDIENCES", "2712@shop, other"),
            ("OPENID_SCOPE", "openid   offline_access\tread"),
        ])
        .unwrap();
        let shown = settings.to_string();
        for line in [
            "OPENID_COOKIE_NAME = shop\n",
            "OPENID_ADDITIONAL_AUDIENCES = 2712@shop,other\n",
            "OPENID_SCOPE = openid offline_access read\n",
        ] {
            assert!(shown.contains(line), "{shown}");
        }
        let shown = with(&[]).unwrap().to_string();
        for line in [
            "OPENID_COOKIE_NAME = session (default)\n",
            "OPENID_ADDITIONAL_AUDIENCES = none (default)\n",
        ] {
            assert!(shown.contains(line), "{shown}");
        }
    }

    // D17
    #[test]
    fn effective_values_and_what_to_register_are_shown() {
        let settings = with(&[("OPENID_USE_END_SESSION_ENDPOINT", "true")])
            .unwrap()
            .with_default_address("http://127.0.0.1:3080");
        let shown = settings.to_string();
        assert!(!shown.contains("= (default)"), "{shown}");
        for line in [
            "DOMAIN_SERVER = http://127.0.0.1:3080\n",
            "OPENID_JWKS_URL = the jwks_uri of the metadata (default)\n",
            "OPENID_CALLBACK_URL = /oauth/openid/callback\n",
            "OPENID_POST_LOGOUT_REDIRECT_URI = http://127.0.0.1:3080/\n",
        ] {
            assert!(shown.contains(line), "{line}: {shown}");
        }
        // The same as the defaults of the builders, and the addresses that the layer answers.
        let provider = crate::provider::Provider::builder("https://id.example");
        let verifier = crate::verify::Verifier::builder(settings.provider(), "a");
        let built = format!("{provider:?} {verifier:?}");
        for default in ["key_lifetime: 600s", "leeway: 60s"] {
            assert!(built.contains(default), "{built}");
        }
        for line in [
            "OPENID_JWKS_URL_CACHE_TIME = 10m (default)\n",
            "OPENID_CLOCK_TOLERANCE = 1m (default)\n",
        ] {
            assert!(shown.contains(line), "{line}: {shown}");
        }
        let names: Vec<_> = crate::jwt::Algorithm::DEFAULT
            .iter()
            .map(|one| one.name())
            .collect();
        let algorithms = format!("OPENID_ALGORITHMS = {}, as far as", names.join(","));
        assert!(shown.contains(&algorithms), "{shown}");
        let login = settings.builder().unwrap().build().unwrap();
        for line in [
            format!("  callback URL: {}\n", login.redirect_uri()),
            "  post logout redirect URI: http://127.0.0.1:3080/\n".to_owned(),
            format!(
                "http://127.0.0.1:3080{}/backchannel-logout\n",
                login.sign_in_path()
            ),
        ] {
            assert!(shown.contains(&line), "{line}: {shown}");
        }
        // Without the address of the site nothing can be registered.
        assert!(!with(&[]).unwrap().to_string().contains("to register"));
    }

    #[test]
    fn open_paths_are_read_and_shown() {
        let settings = with(&[("OPENID_OPEN_PATHS", "/healthz, /assets/")]).unwrap();
        let shown = settings.to_string();
        assert!(
            shown.contains("OPENID_OPEN_PATHS = /healthz,/assets/\n"),
            "{shown}"
        );
        let shown = with(&[]).unwrap().to_string();
        assert!(
            shown.contains("OPENID_OPEN_PATHS = none (default)\n"),
            "{shown}"
        );
    }

    #[test]
    fn session_information_is_read_and_shown() {
        let shown = |value| {
            let settings = with(&[("OPENID_SESSION_INFORMATION", value)]).unwrap();
            settings.to_string()
        };
        let line = "OPENID_SESSION_INFORMATION = sub,name\n";
        assert!(shown("sub, name").contains(line));
        let line = "OPENID_SESSION_INFORMATION = none (default)\n";
        assert!(shown("").contains(line));
    }

    #[test]
    fn the_address_of_the_site_is_read_and_checked() {
        let redirect_uri = |more: &[(&'static str, &'static str)]| {
            with(more)
                .unwrap()
                .builder()
                .unwrap()
                .build()
                .unwrap()
                .redirect_uri()
        };
        let site = ("DOMAIN_SERVER", "https://your-domain.ngrok.io");
        let client = ("DOMAIN_CLIENT", "https://your-domain.ngrok.io/");
        assert_eq!(
            redirect_uri(&[site]),
            "https://your-domain.ngrok.io/oauth/openid/callback"
        );
        assert_eq!(
            redirect_uri(&[client]),
            "https://your-domain.ngrok.io/oauth/openid/callback"
        );
        assert_eq!(
            redirect_uri(&[
                site,
                ("OPENID_CALLBACK_URL", "https://your-domain.ngrok.io/cb")
            ]),
            "https://your-domain.ngrok.io/cb"
        );
        assert_eq!(
            redirect_uri(&[("OPENID_CALLBACK_URL", "https://a.example/cb")]),
            "https://a.example/cb"
        );
    }

    #[test]
    fn every_bad_value_names_its_variable_and_a_remedy() {
        let cases = [
            ("OPENID_CLIENT_ID", "", "copy it"),
            ("OPENID_CLIENT_ID", "a\u{e9}", "visible ASCII"),
            ("OPENID_CLIENT_SECRET_FILE", "/tmp/x", "contradicts"),
            ("OPENID_SESSION_SECRET", "", "openssl rand"),
            ("OPENID_SESSION_SECRET", "short", "32 characters"),
            (
                "OPENID_SESSION_SECRET",
                "your-secure-session-secret-32-chars-or-more,short",
                "32",
            ),
            ("OPENID_SCOPE", "profile offline_access", "openid"),
            (
                "OPENID_SCOPE",
                "openid,profile, offline_access",
                "OPENID_SCOPE=openid profile offline_access",
            ),
            (
                "OPENID_CALLBACK_URL",
                "/oauth/openid",
                "the start of a sign-in",
            ),
            ("OPENID_CALLBACK_URL", "/oauth/openid/logout", "signing out"),
            (
                "OPENID_CALLBACK_URL",
                "/oauth/openid/callback?a=b",
                "a query",
            ),
            (
                "OPENID_CALLBACK_URL",
                "/oauth/openid/callback#a",
                "fragment",
            ),
            (
                "OPENID_CALLBACK_URL",
                "https://a.example/oauth/openid",
                "the start",
            ),
            ("OPENID_CALLBACK_URL", "https://a.example/cb#x", "fragment"),
            ("OPENID_CALLBACK_URL", "https://a.example/cb?x", "a query"),
            ("OPENID_COOKIE_NAME", "__Host-shop", "without prefix"),
            (
                "OPENID_POST_LOGOUT_REDIRECT_URI",
                "https://app.example.com/oauth/openid/callback",
                "the address of a page",
            ),
            ("OPENID_CALLBACK_URL", "callback", "plain path"),
            ("OPENID_CALLBACK_URL", "http://app.example/cb", "only https"),
            ("OPENID_CALLBACK_URL", "https://app.example/cb?a=b", "query"),
            ("DOMAIN_SERVER", "http://app.example", "only https"),
            ("DOMAIN_SERVER", "https://app.example/a//b", "plain path"),
            ("DOMAIN_SERVER", "https://app.example/a?b", "it has a query"),
            ("DOMAIN_CLIENT", "https://app.example/a?b", "it has a query"),
            ("DOMAIN_CLIENT", "nowhere", "absolute URL"),
            (
                "OPENID_POST_LOGOUT_REDIRECT_URI",
                "http://app.example",
                "only https",
            ),
            ("OPENID_RESOURCE", "orders", "absolute URI"),
            ("OPENID_OPEN_PATHS", "healthz", "from the root"),
            ("OPENID_LOGIN_PAGE", "login", "from the root"),
            ("OPENID_LOGIN_PAGE", "/oauth/openid", "the path of a page"),
            (
                "OPENID_OPEN_PATHS",
                "/healthz,/assets/*",
                "end it with a slash",
            ),
            (
                "OPENID_AUTHORIZATION_PARAMETERS",
                "access_type",
                "access_type=offline",
            ),
            ("OPENID_AUTHORIZATION_PARAMETERS", "state=x", "sets itself"),
            (
                "OPENID_END_SESSION_PARAMETERS",
                "client_id=x",
                "sets itself",
            ),
            (
                "OPENID_PASSED_PARAMETERS",
                "prompt,ui_locales",
                "acr_values",
            ),
            ("OPENID_DISCOVERY", "oidc", "openid, oauth or either"),
            (
                "OPENID_TOKEN_ENDPOINT_AUTH_METHOD",
                "private_key_jwt",
                "client_secret_post",
            ),
            (
                "OPENID_TRUSTED_ORIGINS",
                "https://a.example/x",
                "origin alone",
            ),
            ("OPENID_TENANTS", "contoso", "{tenantid}"),
            ("OPENID_USE_PKCE", "false", "true or remove"),
            ("OPENID_REUSE_TOKENS", "maybe", "true or false"),
            ("OPENID_TOKEN_PROFILE", "id", "OPENID_REUSE_TOKENS=false"),
            (
                "OPENID_USE_END_SESSION_ENDPOINT",
                "perhaps",
                "true or false",
            ),
            (
                "OPENID_CLIENT_SECRT",
                "x",
                "did you mean OPENID_CLIENT_SECRET?",
            ),
        ];
        for (name, value, part) in cases {
            let error = with(&[(name, value)]).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(part), "{name}={value}: {text}");
            assert!(
                text.contains(name) || text.contains("OPENID_CLIENT_SECRET"),
                "{text}"
            );
            assert!(!text.contains("hunter2"), "{text}");
        }
        let elsewhere = [
            ("DOMAIN_SERVER", "https://a.example"),
            ("OPENID_CALLBACK_URL", "https://b.example/cb"),
        ];
        assert!(
            with(&elsewhere)
                .unwrap_err()
                .to_string()
                .contains("on the site")
        );
    }

    // D17, SC-21
    #[test]
    fn a_base_path_and_the_callback_are_read_together() {
        let callback = |more: &Pairs| {
            let layer = with(more)?.builder()?.build()?;
            Ok::<_, ConfigError>((layer.redirect_uri(), layer.sign_in_path().to_owned()))
        };
        for (more, expected) in [
            (
                &[("DOMAIN_SERVER", "https://a.example/app")][..],
                (
                    "https://a.example/app/oauth/openid/callback",
                    "/app/oauth/openid",
                ),
            ),
            (
                &[
                    ("DOMAIN_CLIENT", "https://a.example/app/"),
                    ("OPENID_CALLBACK_URL", "https://a.example/app/done"),
                ],
                ("https://a.example/app/done", "/app/oauth/openid"),
            ),
            (
                &[
                    ("DOMAIN_SERVER", "https://a.example"),
                    ("OPENID_PATH", "/app/oauth/openid"),
                    (
                        "OPENID_CALLBACK_URL",
                        "https://a.example/app/oauth/openid/callback",
                    ),
                ],
                (
                    "https://a.example/app/oauth/openid/callback",
                    "/app/oauth/openid",
                ),
            ),
        ] {
            let (redirect_uri, start) = callback(more).unwrap();
            assert_eq!((&*redirect_uri, &*start), expected);
            let shown = with(more).unwrap().to_string();
            let told = format!("  callback URL: {redirect_uri}\n");
            assert!(shown.contains(&told), "{shown}");
        }
        for (more, parts) in [
            (
                &[
                    ("DOMAIN_SERVER", "https://a.example/app"),
                    (
                        "OPENID_CALLBACK_URL",
                        "https://a.example/oauth/openid/callback",
                    ),
                ][..],
                [
                    "OPENID_CALLBACK_URL contradicts DOMAIN_SERVER",
                    "below https://a.example/app",
                ],
            ),
            (
                &[
                    ("DOMAIN_SERVER", "https://a.example/app"),
                    ("OPENID_CALLBACK_URL", "/app/oauth/openid/callback"),
                ],
                [
                    "OPENID_CALLBACK_URL contradicts DOMAIN_SERVER",
                    "write /oauth/openid/callback;",
                ],
            ),
            (
                &[
                    ("DOMAIN_SERVER", "https://a.example/app"),
                    ("OPENID_PATH", "/app/oauth/openid"),
                ],
                [
                    "OPENID_PATH contradicts DOMAIN_SERVER",
                    "write /oauth/openid;",
                ],
            ),
            (
                &[(
                    "OPENID_CALLBACK_URL",
                    "https://a.example/app/oauth/openid/callback",
                )],
                [
                    "OPENID_CALLBACK_URL contradicts OPENID_PATH",
                    "choose /app/oauth/openid",
                ],
            ),
        ] {
            let text = with(more).unwrap_err().to_string();
            for part in parts {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
    }

    #[test]
    fn a_secret_can_lie_in_a_file_and_an_audience_can_be_left_out() {
        let path = std::env::temp_dir().join(format!("tower-oidc-secret-{}", std::process::id()));
        std::fs::write(&path, "hunter2\n").unwrap();
        let file = path.to_str().unwrap().to_owned();
        let pairs = GUIDE
            .iter()
            .map(|(name, value)| match *name {
                "OPENID_CLIENT_SECRET" => ("OPENID_CLIENT_SECRET_FILE".to_owned(), file.clone()),
                "OPENID_AUDIENCE" => ((*name).to_owned(), String::new()),
                _ => ((*name).to_owned(), (*value).to_owned()),
            })
            .collect::<Vec<_>>();
        let settings = LoginSettings::from_pairs(pairs).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(
            settings
                .to_string()
                .contains("OPENID_CLIENT_SECRET = (redacted)")
        );
        let audiences: Vec<_> = settings
            .verifier()
            .audiences()
            .iter()
            .map(Audience::as_str)
            .collect();
        assert_eq!(audiences, ["your_long_alphanumeric_client_id"]);
        assert!(
            settings
                .to_string()
                .contains("OPENID_REQUEST_AUDIENCE = none (default)")
        );
    }

    #[cfg(feature = "redis")]
    // D14
    #[tokio::test]
    async fn redis_is_one_server_one_behind_sentinels_or_a_cluster() {
        let cases: [(&Pairs, &str); 6] = [
            (
                &[("REDIS_URL", "redis://:hunter2@cache:6379/0")],
                "one server",
            ),
            (
                &[
                    ("REDIS_URL", "rediss://:hunter2@mymaster/0"),
                    (
                        "REDIS_SENTINELS",
                        "redis://:hunter2@a:26379, redis://b:26379",
                    ),
                ],
                "behind sentinels",
            ),
            (
                &[("REDIS_URL", "redis://a:1,redis://:hunter2@b:2,redis://c:3")],
                "a cluster",
            ),
            (
                &[
                    ("REDIS_URL", "redis://cache"),
                    ("OPENID_NEAR_CACHE_AGE", "0"),
                    ("REDIS_KEY_PREFIX", "shop"),
                ],
                "one server",
            ),
            (
                &[
                    ("REDIS_URL", "redis://cache"),
                    ("OPENID_NEAR_CACHE_AGE", "250"),
                ],
                "one server",
            ),
            (
                &[
                    ("REDIS_URL", "redis://cache"),
                    ("OPENID_NEAR_CACHE_AGE", "2s"),
                ],
                "one server",
            ),
        ];
        for (pairs, kind) in cases {
            let settings = with(pairs).unwrap();
            let store = settings.store.redis.as_ref().unwrap().store().unwrap();
            assert!(format!("{store:?}").contains(kind), "{store:?}");
            let shown = format!("{settings}{settings:?}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
        let shown = with(cases[3].0).unwrap().to_string();
        for line in [
            "REDIS_URL = (redacted)\n",
            "REDIS_SENTINELS = none (default)\n",
            "REDIS_KEY_PREFIX = shop\n",
            "OPENID_NEAR_CACHE_AGE = off\n",
        ] {
            assert!(shown.contains(line), "{shown}");
        }
    }

    #[cfg(feature = "redis")]
    // D17
    #[tokio::test]
    async fn settings_of_redis_that_cannot_be_used_name_themselves() {
        const URL: (&str, &str) = ("REDIS_URL", "redis://cache");
        let cases: [(&Pairs, &str, &str); 8] = [
            (&[("REDIS_URL", "hunter2")], "REDIS_URL", "redis://host"),
            (
                &[("REDIS_URL", "http://hunter2")],
                "REDIS_URL",
                "redis://host",
            ),
            (
                &[URL, ("REDIS_SENTINELS", "hunter2")],
                "REDIS_SENTINELS",
                "redis://host",
            ),
            (
                &[("REDIS_SENTINELS", "redis://hunter2")],
                "REDIS_URL",
                "redis://mymaster",
            ),
            (
                &[
                    ("REDIS_URL", "redis://a,redis://b"),
                    ("REDIS_SENTINELS", "redis://hunter2"),
                ],
                "REDIS_SENTINELS",
                "no sentinels",
            ),
            (
                &[URL, ("OPENID_NEAR_CACHE_AGE", "2h")],
                "OPENID_NEAR_CACHE_AGE",
                "choose from 0s to 1m",
            ),
            (
                &[URL, ("OPENID_NEAR_CACHE_AGE", "soon")],
                "OPENID_NEAR_CACHE_AGE",
                "a plain number",
            ),
            (
                &[URL, ("REDIS_KEY_PREFIX", "{a}")],
                "REDIS_KEY_PREFIX",
                "a brace",
            ),
        ];
        for (pairs, setting, part) in cases {
            let error = with(pairs).unwrap_err();
            assert_eq!(error.setting(), setting, "{error}");
            assert!(error.to_string().contains(part), "{error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[cfg(feature = "postgres")]
    // D31
    #[tokio::test]
    async fn a_database_is_chosen_by_its_address_and_never_shown() {
        let settings = with(&[
            ("DATABASE_URL", "postgres://web:hunter2@127.0.0.1:1/site"),
            (
                "DATABASE_LISTEN_URL",
                "postgres://web:hunter2@127.0.0.1:2/site",
            ),
            ("DATABASE_TABLE_PREFIX", "shop"),
        ])
        .unwrap()
        .with_default_address("https://app.example.com");
        assert!(settings.builder().unwrap().is_shared());
        let shown = format!("{settings}{settings:?}");
        for line in [
            "DATABASE_URL = (redacted)\n",
            "DATABASE_LISTEN_URL = (redacted)\n",
            "DATABASE_TABLE_PREFIX = shop\n",
        ] {
            assert!(shown.contains(line), "{shown}");
        }
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[cfg(all(feature = "postgres", feature = "redis"))]
    // D17
    #[tokio::test]
    async fn settings_of_a_database_that_cannot_be_used_name_themselves() {
        const URL: (&str, &str) = ("DATABASE_URL", "postgres://web:hunter2@db/site");
        let cases: [(&Pairs, &str, &str); 7] = [
            (
                &[URL, ("DATABASE_LISTEN_URL", "mysql://web:hunter2@db")],
                "DATABASE_LISTEN_URL",
                "postgres://user",
            ),
            (
                &[("DATABASE_URL", "hunter2")],
                "DATABASE_URL",
                "postgres://user",
            ),
            (
                &[("DATABASE_URL", "mysql://web:hunter2@db/site")],
                "DATABASE_URL",
                "LoginBuilder::with_store",
            ),
            (
                &[(
                    "DATABASE_URL",
                    "postgres://web:hunter2@db/site?sslmod=require",
                )],
                "DATABASE_URL",
                "the parameters are sslmode",
            ),
            (
                &[URL, ("REDIS_URL", "redis://:hunter2@cache")],
                "DATABASE_URL",
                "contradicts REDIS_URL",
            ),
            (
                &[URL, ("DATABASE_TABLE_PREFIX", "a; DROP TABLE b")],
                "DATABASE_TABLE_PREFIX",
                "lower-case letters",
            ),
            (
                &[("DATABASE_URL", "\"postgres://web:hunter2@db\"")],
                "DATABASE_URL",
                "quotes",
            ),
        ];
        for (pairs, setting, part) in cases {
            let error = with(pairs).unwrap_err();
            assert_eq!(error.setting(), setting, "{error}");
            assert!(error.to_string().contains(part), "{error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    // D17
    #[test]
    fn limits_of_sessions_are_read_and_shown() {
        let settings = with(&[
            ("OPENID_SESSION_IDLE_LIMIT", "2h"),
            ("OPENID_SESSION_ABSOLUTE_LIMIT", "43200000"),
            ("OPENID_SESSION_IDLE_FROM_USE", "true"),
            ("OPENID_SESSIONS_PER_SUBJECT", "5"),
            ("OPENID_ROTATION_GRACE", "30s"),
        ])
        .unwrap();
        let shown = settings.to_string();
        for line in [
            "OPENID_SESSION_IDLE_LIMIT = 2h\n",
            "OPENID_SESSION_ABSOLUTE_LIMIT = 12h\n",
            "OPENID_SESSION_IDLE_FROM_USE = true\n",
            "OPENID_SESSIONS_PER_SUBJECT = 5\n",
            "OPENID_ROTATION_GRACE = 30s\n",
        ] {
            assert!(shown.contains(line), "{shown}");
        }
        let shown = with(&[]).unwrap().to_string();
        for line in [
            "OPENID_SESSION_IDLE_LIMIT = 8h, or the life of the refresh token where the provider tells (default)\n",
            "OPENID_SESSION_ABSOLUTE_LIMIT = 24h (default)\n",
            "OPENID_SESSION_IDLE_FROM_USE = false\n",
            "OPENID_SESSIONS_PER_SUBJECT = no limit (default)\n",
            "OPENID_ROTATION_GRACE = 0s (default)\n",
        ] {
            assert!(shown.contains(line), "{shown}");
        }
    }

    // D17
    #[test]
    fn limits_of_sessions_that_cannot_be_used_name_themselves() {
        for (name, value, part) in [
            ("OPENID_SESSION_IDLE_LIMIT", "1s", "choose from 1m"),
            ("OPENID_SESSION_IDLE_LIMIT", "soon", "such as 10m"),
            ("OPENID_SESSION_ABSOLUTE_LIMIT", "2years", "choose from 1m"),
            ("OPENID_SESSION_IDLE_FROM_USE", "perhaps", "true or false"),
            ("OPENID_SESSIONS_PER_SUBJECT", "0", "from 1 to 1000"),
            ("OPENID_SESSIONS_PER_SUBJECT", "1001", "from 1 to 1000"),
            ("OPENID_SESSIONS_PER_SUBJECT", "-1", "a plain number"),
            ("OPENID_ROTATION_GRACE", "61s", "choose from 0s to 1m"),
        ] {
            let error = with(&[(name, value)]).unwrap_err();
            assert_eq!(error.setting(), name, "{error}");
            assert!(error.to_string().contains(part), "{error}");
        }
        for (misspelt, meant) in [
            ("OPENID_SESSION_IDLE_TIMIT", "OPENID_SESSION_IDLE_LIMIT"),
            ("OPENID_SESSION_PER_SUBJECT", "OPENID_SESSIONS_PER_SUBJECT"),
            ("OPENID_ROTATE_GRACE", "OPENID_ROTATION_GRACE"),
            (
                "OPENID_SESSION_IDLE_FOR_USE",
                "OPENID_SESSION_IDLE_FROM_USE",
            ),
            (
                "OPENID_SESSIONABSOLUTE_LIMIT",
                "OPENID_SESSION_ABSOLUTE_LIMIT",
            ),
        ] {
            let error = with(&[(misspelt, "1")]).unwrap_err().to_string();
            assert!(error.contains(meant), "{error}");
        }
    }

    #[test]
    fn a_comma_within_a_secret_makes_two_and_the_error_says_so() {
        let mut pairs = GUIDE.to_vec();
        pairs.retain(|(name, _)| *name != "OPENID_SESSION_SECRET");
        pairs.push((
            "OPENID_SESSION_SECRET",
            "the first of them is long enough for me, hunter2",
        ));
        let error = LoginSettings::from_pairs(pairs).unwrap_err();
        assert_eq!(error.setting(), "OPENID_SESSION_SECRET");
        assert!(
            error.to_string().contains("at place 2 of 2 has fewer"),
            "{error}"
        );
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    // D14
    #[test]
    fn an_orchestrator_is_a_sign_of_several_replicas() {
        let sign = |more: &Pairs| with(more).unwrap().replica_variable;
        assert_eq!(sign(&[]), None);
        assert_eq!(sign(&[("K_SERVICE", "")]), None);
        assert_eq!(sign(&[("K_SERVICE", "web")]), Some("K_SERVICE"));
        let kubernetes = [("KUBERNETES_SERVICE_HOST", "10.0.0.1")];
        assert_eq!(sign(&kubernetes), Some("KUBERNETES_SERVICE_HOST"));
    }
}

#[cfg(feature = "outbound")]
mod service {
    use super::*;

    const SERVICE: [(&str, &str); 3] = [
        ("OPENID_ISSUER", "https://dev-abc123.us.auth0.com"),
        ("OPENID_CLIENT_ID", "shop"),
        ("OPENID_CLIENT_SECRET", "a-client-secret"),
    ];

    fn service(more: &[(&str, &str)]) -> Result<ServiceSettings, ConfigError> {
        ServiceSettings::from_pairs(SERVICE.iter().chain(more).copied())
    }

    // D17
    #[test]
    fn the_settings_of_a_sign_in_serve_a_service_as_well() {
        let settings = service(&[
            ("OPENID_AUDIENCE", "https://orders.example.com,other"),
            (
                "OPENID_SCOPE",
                "openid profile email offline_access orders:read",
            ),
            ("OPENID_RESOURCE", "https://orders.example.com/"),
            ("OPENID_CALLBACK_URL", "/oauth/openid/callback"),
        ])
        .unwrap();
        let shown = settings.to_string();
        for line in [
            "OPENID_REQUEST_AUDIENCE = https://orders.example.com\n",
            "OPENID_SCOPE = orders:read\n",
            "OPENID_RESOURCE = https://orders.example.com/\n",
            "OPENID_CLIENT_SECRET = (redacted)\n",
            "OPENID_SUBJECT_TOKEN_TYPE = urn:ietf:params:oauth:token-type:access_token (default)\n",
        ] {
            assert!(shown.contains(line), "{shown}");
        }
        assert!(!format!("{settings:?} {:?}", settings.tokens()).contains("a-client-secret"));
        let shown = service(&[("OPENID_SCOPE", "openid")]).unwrap().to_string();
        assert!(shown.contains("OPENID_SCOPE = none\n"), "{shown}");
    }

    // D17
    #[test]
    fn a_missing_setting_of_a_service_is_named() {
        for (changed, expected) in [
            (
                ("OPENID_CLIENT_SECRET", ""),
                "OPENID_CLIENT_SECRET is not set: a service",
            ),
            (("OPENID_CLIENT_ID", ""), "OPENID_CLIENT_ID is not set"),
            (("OPENID_ISSUER", ""), "OPENID_ISSUER is not set"),
            (("OPENID_RESOURCE", "orders"), "OPENID_RESOURCE"),
            (("OPENID_SCOPE", "a\"b"), "OPENID_SCOPE"),
            (
                ("OPENID_SUBJECT_TOKEN_TYPE", "jwt"),
                "OPENID_SUBJECT_TOKEN_TYPE",
            ),
        ] {
            let error = service(&[changed]).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}

#[cfg(feature = "login")]
fn signing_in(more: &[(&str, &str)]) -> Result<LoginSettings, ConfigError> {
    let base = [
        ("OPENID_CLIENT_ID", "site"),
        ("DOMAIN_SERVER", "https://app.example.com"),
        (
            "OPENID_SESSION_SECRET",
            "a session secret of more than 32 characters",
        ),
    ];
    let pairs = GOOD.iter().chain(&base).chain(more);
    LoginSettings::from_pairs(pairs.copied())
}

#[cfg(feature = "login")]
// D17, D22
#[test]
fn who_may_sign_in_is_read_as_it_is_written_or_refused() {
    const ROLE: &str = "OPENID_REQUIRED_ROLE";
    const PATH: &str = "OPENID_REQUIRED_ROLE_PARAMETER_PATH";
    const KIND: &str = "OPENID_REQUIRED_ROLE_TOKEN_KIND";
    const DOMAINS: &str = "OPENID_ALLOWED_EMAIL_DOMAINS";
    let shown = signing_in(&[
        (ROLE, "admin, owner"),
        (PATH, "realm_access.roles"),
        (KIND, "access"),
        (DOMAINS, "example.com,example.org"),
    ])
    .unwrap()
    .to_string();
    for line in [
        "OPENID_REQUIRED_ROLE = admin,owner\n",
        "OPENID_REQUIRED_ROLE_PARAMETER_PATH = realm_access.roles\n",
        "OPENID_REQUIRED_ROLE_TOKEN_KIND = access\n",
        "OPENID_ALLOWED_EMAIL_DOMAINS = example.com,example.org\n",
    ] {
        assert!(shown.contains(line), "{shown}");
    }
    for (bad, variable, remedy) in [
        (&[(ROLE, "admin")][..], PATH, "realm_access.roles"),
        (&[(PATH, "roles")], ROLE, "name the role"),
        (
            &[(PATH, "a..b"), (ROLE, "admin")],
            PATH,
            "separate names by dots",
        ),
        (
            &[(PATH, "https://a.example/r"), (ROLE, "x")],
            PATH,
            "['https://a.example/r']",
        ),
        (&[(PATH, "roles"), (ROLE, ",")], ROLE, "admin"),
        (
            &[
                (PATH, "roles"),
                (ROLE, "x"),
                (KIND, "access"),
                ("OPENID_REUSE_TOKENS", "false"),
            ],
            KIND,
            "OPENID_REUSE_TOKENS=true",
        ),
        (&[(KIND, "userinfo")], KIND, "id or access"),
        (&[(DOMAINS, ",")], DOMAINS, "example.com"),
        (&[(DOMAINS, "@example.com")], DOMAINS, "example.com"),
        (&[(DOMAINS, "*.example.com")], DOMAINS, "one by one"),
        (&[(DOMAINS, "example")], DOMAINS, "whole domain"),
    ] {
        let told = signing_in(bad).unwrap_err().to_string();
        assert!(
            told.starts_with(variable) && told.contains(remedy),
            "{told}"
        );
    }
}

#[cfg(feature = "login")]
proptest::proptest! {
    // Each case makes an HTTP client.
    #![proptest_config(proptest::test_runner::Config::with_cases(32))]

    // D22: a restriction that is set is in force as it was written, or an error that names its variable.
    #[test]
    fn no_text_turns_a_restriction_off(text in "\\PC{0,24}|[a-z.,@* -]{0,16}") {
        let is_set = !text.trim().is_empty();
        match signing_in(&[("OPENID_ALLOWED_EMAIL_DOMAINS", &text)]) {
            Ok(settings) => {
                let is_off = settings.to_string().contains("OPENID_ALLOWED_EMAIL_DOMAINS = any, or none");
                proptest::prop_assert_eq!(is_off, !is_set);
            }
            Err(error) => proptest::prop_assert_eq!(error.setting(), "OPENID_ALLOWED_EMAIL_DOMAINS"),
        }
        match signing_in(&[("OPENID_REQUIRED_ROLE_PARAMETER_PATH", "roles"), ("OPENID_REQUIRED_ROLE", &text)]) {
            Ok(settings) => proptest::prop_assert!(!settings.to_string().contains("OPENID_REQUIRED_ROLE = none")),
            Err(error) => proptest::prop_assert_eq!(error.setting(), "OPENID_REQUIRED_ROLE"),
        }
    }
}
