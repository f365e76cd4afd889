//! What the provider's metadata says, and what is wrong with it.

use serde_json::{Value, json};
use tower_oidc::doctor::Shape;
use tower_oidc::testing::DevelopmentProvider;

use crate::setup::{Expected, Settings, assert_wrong, examined, metadata};

/// What is wrong, the changed members (null for one that is gone), a further setting, and what must be found.
type Case = (
    &'static str,
    Value,
    Option<(&'static str, &'static str)>,
    Expected,
);

fn of_apis() -> Vec<Case> {
    vec![
        (
            "another issuer",
            json!({"issuer": "https://id.example"}),
            None,
            ("issuer_mismatch", "OPENID_ISSUER", "https://id.example"),
        ),
        (
            "an issuer for many tenants",
            json!({"issuer": "https://id.example/{tenantid}/v2.0"}),
            None,
            ("issuer_mismatch", "OPENID_ISSUER", "OPENID_TENANTS"),
        ),
        (
            "keys by plain http",
            json!({"jwks_uri": "http://id.example/jwks"}),
            None,
            ("endpoint_insecure", "OPENID_ALLOW_HTTP", "https"),
        ),
        (
            "no introspection endpoint",
            json!({"introspection_endpoint": null}),
            Some(("OPENID_INTROSPECTION", "opaque")),
            (
                "introspection_endpoint_missing",
                "OPENID_INTROSPECTION",
                "OPENID_INTROSPECTION_URL",
            ),
        ),
    ]
}

fn endpoints_of_sites() -> Vec<Case> {
    vec![
        (
            "an authorization endpoint by plain http",
            json!({"authorization_endpoint": "http://id.example/authorize"}),
            None,
            ("endpoint_insecure", "OPENID_ALLOW_HTTP", "forwarded"),
        ),
        (
            "no authorization endpoint",
            json!({"authorization_endpoint": null}),
            None,
            (
                "authorization_endpoint_missing",
                "OPENID_ISSUER",
                "OPENID_DISCOVERY",
            ),
        ),
        (
            "no pushed authorization requests",
            json!({"pushed_authorization_request_endpoint": null}),
            Some(("OPENID_USE_PAR", "true")),
            (
                "pushed_authorization_endpoint_missing",
                "OPENID_USE_PAR",
                "OPENID_USE_PAR=false",
            ),
        ),
        (
            "no UserInfo",
            json!({"userinfo_endpoint": null}),
            Some(("OPENID_USERINFO", "true")),
            (
                "userinfo_endpoint_missing",
                "OPENID_USERINFO",
                "OPENID_USERINFO=false",
            ),
        ),
    ]
}

fn lists_of_sites() -> Vec<Case> {
    vec![
        (
            "PKCE without S256",
            json!({"code_challenge_methods_supported": ["plain"]}),
            None,
            ("pkce_not_listed", "OPENID_ISSUER", "S256"),
        ),
        (
            "no code flow",
            json!({"response_types_supported": ["id_token"]}),
            None,
            ("code_flow_not_listed", "OPENID_ISSUER", "code flow"),
        ),
        (
            "no scope for refresh tokens",
            json!({"scopes_supported": ["openid", "profile", "email"]}),
            None,
            (
                "offline_access_not_listed",
                "OPENID_SCOPE",
                "OPENID_REQUIRE_REFRESH_TOKEN=false",
            ),
        ),
        (
            "ID tokens by HMAC",
            json!({"id_token_signing_alg_values_supported": ["HS256"]}),
            Some(("OPENID_ALGORITHMS", "RS256")),
            ("id_token_algorithms", "OPENID_ALGORITHMS", "RS256"),
        ),
        (
            "no method that sends a secret",
            json!({"token_endpoint_auth_methods_supported": ["private_key_jwt"]}),
            None,
            (
                "client_secret_not_listed",
                "OPENID_CLIENT_SECRET",
                "private key",
            ),
        ),
        (
            "another method than the chosen one",
            json!({"token_endpoint_auth_methods_supported": ["client_secret_basic"]}),
            Some(("OPENID_TOKEN_ENDPOINT_AUTH_METHOD", "client_secret_post")),
            (
                "client_authentication_not_listed",
                "OPENID_TOKEN_ENDPOINT_AUTH_METHOD",
                "remove it",
            ),
        ),
        (
            "no answers by form",
            json!({"response_modes_supported": ["query"]}),
            Some(("OPENID_RESPONSE_MODE", "form_post")),
            ("form_post_not_listed", "OPENID_RESPONSE_MODE", "remove"),
        ),
    ]
}

#[tokio::test]
async fn each_wrong_metadata_is_found_with_its_cure() {
    let idp = DevelopmentProvider::start().await.unwrap();
    let site = Settings::site(idp.issuer());
    // It has a client, for introspection.
    let api = site.clone().without("OPENID_SESSION_SECRET");
    let own = metadata(&idp, |_| {}).await;
    let of_sites = endpoints_of_sites().into_iter().chain(lists_of_sites());
    let of_sites = of_sites.map(|case| (Shape::Site, case));
    for (shape, (set_up, change, setting, expected)) in of_apis()
        .into_iter()
        .map(|case| (Shape::Api, case))
        .chain(of_sites)
    {
        idp.set_discovery(own.clone());
        let changed = metadata(&idp, |document| {
            for (member, value) in change.as_object().unwrap() {
                match value {
                    Value::Null => drop(document.as_object_mut().unwrap().remove(member)),
                    value => document[member] = value.clone(),
                }
            }
        });
        let changed = changed.await;
        idp.set_discovery(changed);
        let settings = if shape == Shape::Api { &api } else { &site }.clone();
        let settings = match setting {
            Some((name, value)) => settings.with(name, value),
            None => settings,
        };
        assert_wrong(set_up, &examined(&settings, shape).await, expected);
    }
}
