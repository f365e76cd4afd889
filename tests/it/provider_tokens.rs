//! Tokens as providers issue them, by their documentation, and under which settings each of them is accepted.

use serde_json::{Value, json};
use tower_oidc::testing::OfflineProvider;
use tower_oidc::{Algorithm, PrincipalKind, Provider, TokenProfile, Verifier};

use crate::support::verdict;

/// A provider, an API of it, and a client that calls it.
struct Case {
    name: &'static str,
    issuer: &'static str,
    api: &'static str,
    client: &'static str,
    tokens: Vec<Token>,
}

struct Token {
    kind: &'static str,
    /// `typ` of the header.
    typ: Option<&'static str>,
    algorithm: Algorithm,
    /// Beside `iss`, `iat` and `exp`.
    claims: Value,
    /// The settings that accept it.
    accepted: &'static [Setting],
}

/// How an API may be set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Setting {
    /// The default, for the API.
    Lenient,
    /// RFC 9068, for the API.
    Strict,
    /// The default, with tokens of the client that have no audience.
    Client,
    /// ID tokens for the API.
    IdOfApi,
    /// ID tokens for the client.
    IdOfClient,
}

use Setting::{Client, IdOfApi, IdOfClient, Lenient, Strict};

const ALL: [Setting; 5] = [Lenient, Strict, Client, IdOfApi, IdOfClient];

impl Setting {
    fn verifier(self, provider: &Provider, case: &Case) -> Verifier {
        let audience = match self {
            IdOfClient => case.client,
            _ => case.api,
        };
        let builder = Verifier::builder(provider, audience);
        let builder = match self {
            Lenient => builder,
            Strict => builder.with_profile(TokenProfile::Strict),
            Client => builder.add_client_audience(case.client),
            IdOfApi | IdOfClient => builder.with_profile(TokenProfile::IdToken),
        };
        builder.build().unwrap()
    }
}

fn jwt(kind: &'static str, accepted: &'static [Setting], claims: Value) -> Token {
    Token {
        kind,
        typ: Some("JWT"),
        algorithm: Algorithm::Rs256,
        claims,
        accepted,
    }
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "Auth0",
            issuer: "https://tenant.us.auth0.com/",
            api: "https://api.example.com",
            client: "auth0-client",
            tokens: vec![
                jwt(
                    "access",
                    &[Lenient, Client],
                    json!({"sub": "auth0|1", "azp": "auth0-client", "scope": "openid read:messages",
                        "aud": ["https://api.example.com", "https://tenant.us.auth0.com/userinfo"]}),
                ),
                Token {
                    typ: Some("at+jwt"),
                    ..jwt(
                        "access of RFC 9068",
                        &[Lenient, Strict, Client],
                        json!({"sub": "auth0|1", "client_id": "auth0-client", "jti": "1",
                            "scope": "openid read:messages",
                            "aud": ["https://api.example.com", "https://tenant.us.auth0.com/userinfo"]}),
                    )
                },
                jwt(
                    "ID",
                    &[IdOfClient],
                    json!({"sub": "auth0|1", "aud": "auth0-client", "nonce": "n", "sid": "s",
                        "name": "Ada"}),
                ),
            ],
        },
        Case {
            name: "Entra ID, version 1",
            issuer: "https://sts.windows.net/0f0e0d0c-0000-0000-0000-000000000000/",
            api: "api://orders",
            client: "entra-client",
            tokens: vec![
                jwt(
                    "access",
                    &[Lenient, Client],
                    json!({"aud": "api://orders", "appid": "entra-client", "appidacr": "1",
                        "scp": "Orders.Read", "sub": "s", "oid": "o", "ver": "1.0",
                        "tid": "0f0e0d0c-0000-0000-0000-000000000000"}),
                ),
                jwt(
                    "access of a program",
                    &[Lenient, Client, IdOfApi],
                    json!({"aud": "api://orders", "appid": "entra-client", "appidacr": "1",
                        "roles": ["Orders.Read"], "sub": "o", "oid": "o", "ver": "1.0",
                        "tid": "0f0e0d0c-0000-0000-0000-000000000000"}),
                ),
                jwt(
                    "ID",
                    &[IdOfClient],
                    json!({"aud": "entra-client", "nonce": "n", "sub": "s", "oid": "o", "ver": "1.0",
                        "tid": "0f0e0d0c-0000-0000-0000-000000000000"}),
                ),
            ],
        },
        Case {
            name: "Entra ID, version 2",
            issuer: "https://login.microsoftonline.com/0f0e0d0c-0000-0000-0000-000000000000/v2.0",
            api: "11111111-2222-3333-4444-555555555555",
            client: "entra-client",
            tokens: vec![
                jwt(
                    "access",
                    &[Lenient, Client],
                    json!({"aud": "11111111-2222-3333-4444-555555555555", "azp": "entra-client",
                        "azpacr": "1", "scp": "Orders.Read", "sub": "s", "oid": "o", "ver": "2.0",
                        "tid": "0f0e0d0c-0000-0000-0000-000000000000"}),
                ),
                jwt(
                    "ID",
                    &[IdOfClient],
                    json!({"aud": "entra-client", "nonce": "n", "sub": "s", "oid": "o", "rh": "r",
                        "preferred_username": "ada@example.com", "ver": "2.0",
                        "tid": "0f0e0d0c-0000-0000-0000-000000000000"}),
                ),
            ],
        },
        Case {
            name: "Okta",
            issuer: "https://example.okta.com/oauth2/default",
            api: "api://default",
            client: "okta-client",
            tokens: vec![
                jwt(
                    "access",
                    &[Lenient, Client],
                    json!({"ver": 1, "jti": "AT.1", "aud": "api://default", "cid": "okta-client",
                        "uid": "u", "scp": ["openid", "read"], "sub": "ada@example.com"}),
                ),
                jwt(
                    "ID",
                    &[IdOfClient],
                    json!({"ver": 1, "jti": "ID.1", "aud": "okta-client", "nonce": "n", "at_hash": "h",
                        "amr": ["pwd"], "idp": "i", "auth_time": 1, "sub": "u"}),
                ),
            ],
        },
        Case {
            name: "Keycloak",
            issuer: "https://id.example.com/realms/main",
            api: "orders",
            client: "keycloak-client",
            tokens: vec![
                jwt(
                    "access of version 20",
                    &[Lenient, Client],
                    json!({"typ": "Bearer", "azp": "keycloak-client", "nonce": "n", "jti": "1",
                        "aud": ["orders", "account"], "sub": "s", "session_state": "x", "sid": "x",
                        "realm_access": {"roles": ["user"]}, "scope": "openid profile"}),
                ),
                jwt(
                    "access of version 26",
                    &[Lenient, Client],
                    json!({"typ": "Bearer", "azp": "keycloak-client", "jti": "onrtac:1",
                        "aud": ["orders", "account"], "sub": "s", "sid": "x",
                        "realm_access": {"roles": ["user"]}, "scope": "openid profile"}),
                ),
                jwt(
                    "ID",
                    &[IdOfClient],
                    json!({"typ": "ID", "azp": "keycloak-client", "aud": "keycloak-client",
                        "nonce": "n", "at_hash": "h", "sub": "s", "sid": "x", "auth_time": 1}),
                ),
                jwt(
                    "refresh",
                    &[],
                    json!({"typ": "Refresh", "azp": "keycloak-client", "sub": "s", "sid": "x",
                        "aud": "https://id.example.com/realms/main", "scope": "openid"}),
                ),
            ],
        },
        Case {
            name: "Cognito",
            issuer: "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_abc",
            api: "https://api.example.com",
            client: "cognito-client",
            tokens: vec![
                jwt(
                    "access",
                    &[Client],
                    json!({"sub": "s", "client_id": "cognito-client", "token_use": "access",
                        "origin_jti": "o", "event_id": "e", "scope": "openid orders/read",
                        "auth_time": 1, "jti": "1", "username": "ada"}),
                ),
                jwt(
                    "access of another client",
                    &[],
                    json!({"sub": "s", "client_id": "another-client", "token_use": "access",
                        "scope": "openid", "auth_time": 1, "jti": "1", "username": "ada"}),
                ),
                jwt(
                    "access of the client for another API",
                    &[],
                    json!({"sub": "s", "client_id": "cognito-client", "token_use": "access",
                        "aud": "https://other.example.com", "scope": "openid", "jti": "1"}),
                ),
                jwt(
                    "ID",
                    &[IdOfClient],
                    json!({"sub": "s", "aud": "cognito-client", "token_use": "id", "at_hash": "h",
                        "cognito:username": "ada", "event_id": "e", "auth_time": 1}),
                ),
            ],
        },
        Case {
            name: "Google, between services",
            issuer: "https://accounts.google.com",
            api: "https://orders-abc.a.run.app",
            client: "google-client",
            tokens: vec![
                jwt(
                    "ID",
                    &[Lenient, Client, IdOfApi],
                    json!({"aud": "https://orders-abc.a.run.app", "azp": "115", "sub": "115",
                        "email": "svc@project.iam.gserviceaccount.com", "email_verified": true}),
                ),
                jwt(
                    "ID of a sign-in",
                    &[IdOfClient],
                    json!({"aud": "google-client", "azp": "google-client", "sub": "117",
                        "at_hash": "h", "nonce": "n"}),
                ),
            ],
        },
        Case {
            name: "Google, behind the Identity-Aware Proxy",
            issuer: "https://cloud.google.com/iap",
            api: "/projects/1/global/backendServices/2",
            client: "unused",
            tokens: vec![Token {
                algorithm: Algorithm::Es256,
                ..jwt(
                    "assertion",
                    &[Lenient, Client, IdOfApi],
                    json!({"aud": "/projects/1/global/backendServices/2", "azp": "/projects/1",
                        "sub": "accounts.google.com:117", "email": "ada@example.com",
                        "hd": "example.com", "google": {"access_levels": []}}),
                )
            }],
        },
        Case {
            name: "Firebase",
            issuer: "https://securetoken.google.com/project",
            api: "project",
            client: "unused",
            tokens: vec![jwt(
                "ID",
                &[Lenient, Client, IdOfApi],
                json!({"aud": "project", "auth_time": 1, "user_id": "u", "sub": "u",
                    "firebase": {"identities": {}, "sign_in_provider": "password"}}),
            )],
        },
        Case {
            name: "Zitadel",
            issuer: "https://example.zitadel.cloud",
            api: "project",
            client: "zitadel-client",
            tokens: vec![
                jwt(
                    "access",
                    &[Lenient, Client, IdOfApi, IdOfClient],
                    json!({"aud": ["zitadel-client", "project"], "client_id": "zitadel-client",
                        "jti": "V2_1-at_2", "sub": "s"}),
                ),
                // Its audience has the project, as that of the access token.
                jwt(
                    "ID",
                    &[IdOfApi, IdOfClient],
                    json!({"aud": ["zitadel-client", "project"], "azp": "zitadel-client",
                        "client_id": "zitadel-client", "nonce": "n", "at_hash": "h", "amr": ["pwd"],
                        "sid": "V2_1", "sub": "s", "auth_time": 1}),
                ),
            ],
        },
        Case {
            name: "authentik",
            issuer: "https://auth.example.com/application/o/app/",
            api: "authentik-client",
            client: "authentik-client",
            tokens: vec![
                jwt(
                    "access",
                    &[Lenient, Client],
                    json!({"aud": "authentik-client", "azp": "authentik-client", "sub": "s",
                        "nonce": "n", "acr": "goauthentik.io/providers/oauth2/default",
                        "scope": "openid profile", "uid": "u"}),
                ),
                jwt(
                    "ID",
                    &[IdOfApi, IdOfClient],
                    json!({"aud": "authentik-client", "azp": "authentik-client", "sub": "s",
                        "nonce": "n", "at_hash": "h", "amr": ["pwd"], "auth_time": 1, "uid": "u"}),
                ),
            ],
        },
        Case {
            name: "GitLab CI",
            issuer: "https://gitlab.com",
            api: "https://vault.example.com",
            client: "unused",
            tokens: vec![jwt(
                "ID",
                &[Lenient, Client, IdOfApi],
                json!({"aud": "https://vault.example.com", "jti": "1", "namespace_path": "group",
                    "sub": "project_path:group/project:ref_type:branch:ref:main"}),
            )],
        },
        Case {
            name: "GitHub Actions",
            issuer: "https://token.actions.githubusercontent.com",
            api: "https://github.com/octo-org",
            client: "unused",
            tokens: vec![jwt(
                "ID",
                &[Lenient, Client, IdOfApi],
                json!({"aud": "https://github.com/octo-org", "jti": "1", "ref": "refs/heads/main",
                    "sub": "repo:octo-org/octo-repo:ref:refs/heads/main"}),
            )],
        },
        Case {
            name: "Kubernetes",
            issuer: "https://kubernetes.default.svc.cluster.local",
            api: "https://orders.internal",
            client: "unused",
            tokens: vec![Token {
                typ: None,
                ..jwt(
                    "service account",
                    &[Lenient, Client, IdOfApi],
                    json!({"aud": ["https://orders.internal"], "jti": "1",
                        "kubernetes.io": {"namespace": "shop", "serviceaccount": {"name": "web"}},
                        "sub": "system:serviceaccount:shop:web"}),
                )
            }],
        },
        Case {
            name: "Cloudflare Access",
            issuer: "https://team.cloudflareaccess.com",
            api: "4714c1358e65fe4b408ad6d432a5f878f08194bdb4752441fd56faefa9b2b6f2",
            client: "unused",
            tokens: vec![jwt(
                "application",
                &[Lenient, Client, IdOfApi],
                json!({"aud": ["4714c1358e65fe4b408ad6d432a5f878f08194bdb4752441fd56faefa9b2b6f2"],
                    "email": "ada@example.com", "type": "app", "identity_nonce": "n", "sub": "s",
                    "country": "DE"}),
            )],
        },
    ]
}

fn mint(idp: &OfflineProvider, token: &Token) -> String {
    let mut built = idp
        .token_by(token.algorithm, "")
        .without_claim("client_id")
        .without_claim("jti")
        .without_claim("aud")
        .without_claim("scope")
        .without_claim("sub");
    built = match token.typ {
        Some(typ) => built.header("typ", typ),
        None => built.without_header("typ"),
    };
    for (name, value) in token.claims.as_object().unwrap() {
        built = built.claim(name, value);
    }
    built.build()
}

// D29, AZ-08
#[tokio::test]
async fn each_token_passes_where_it_should_and_nowhere_else() {
    let keys = OfflineProvider::new("https://id.example");
    let keys = [Algorithm::Rs256, Algorithm::Es256].map(|algorithm| keys.signing_key(algorithm));
    for case in cases() {
        let idp = OfflineProvider::builder(case.issuer)
            .with_keys(keys.clone())
            .build();
        let provider = idp.provider().unwrap();
        for token in &case.tokens {
            let text = mint(&idp, token);
            for setting in ALL {
                let verifier = setting.verifier(&provider, &case);
                let said = verdict(&verifier, &text).await;
                let is_accepted = token.accepted.contains(&setting);
                assert_eq!(
                    said == "accepted",
                    is_accepted,
                    "{}, {} token, {setting:?}: {said}",
                    case.name,
                    token.kind
                );
            }
        }
    }
}

// D29
#[tokio::test]
async fn an_id_token_opens_nothing_that_an_access_token_of_its_provider_opens() {
    for case in cases() {
        let kinds = |named: &'static str| {
            let tokens = case.tokens.iter();
            tokens.filter(move |token| token.kind.starts_with(named))
        };
        let opened: Vec<_> = kinds("access")
            .flat_map(|token| token.accepted)
            .filter(|setting| !matches!(setting, IdOfApi | IdOfClient))
            .collect();
        for token in kinds("ID") {
            let both = token
                .accepted
                .iter()
                .find(|setting| opened.contains(setting));
            assert_eq!(both, None, "{}", case.name);
        }
    }
}

// D29
#[tokio::test]
async fn a_presented_id_token_says_who_calls_and_grants_nothing() {
    let idp = OfflineProvider::new("https://accounts.google.com");
    let provider = idp.provider().unwrap();
    let verifier = Verifier::builder(&provider, "https://orders.a.run.app")
        .with_profile(TokenProfile::IdToken)
        .build()
        .unwrap();
    let token = idp
        .token("https://orders.a.run.app")
        .header("typ", "JWT")
        .without_claim("scope")
        .claim("permissions", ["orders:read"]);
    let principal = verifier.verify(&token.build()).await.unwrap();
    assert_eq!(principal.kind(), PrincipalKind::IdToken);
    assert!(principal.scopes().is_empty());
    let scoped = idp
        .token("https://orders.a.run.app")
        .header("typ", "JWT")
        .scope("orders:read");
    assert_eq!(verdict(&verifier, &scoped.build()).await, "token_kind");
}
