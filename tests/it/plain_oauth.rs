//! The development provider as an authorization server of plain OAuth, to which a client says nothing of OpenID: what
//! clients of MCP do.

use reqwest::header::LOCATION;
use reqwest::redirect::Policy;
use serde_json::Value;
use tower_oidc::testing::DevelopmentProvider;
use url::Url;

/// The example of RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const CALLBACK: &str = "http://127.0.0.1/callback";
const RESOURCE: &str = "https://mcp.example.com/mcp";

/// The tokens of a sign-in with this scope.
async fn tokens(idp: &DevelopmentProvider, scope: &str) -> Value {
    let browser = reqwest::Client::builder().redirect(Policy::none());
    let browser = browser.build().unwrap();
    let mut address = Url::parse(&format!("{}/authorize", idp.issuer())).unwrap();
    address.query_pairs_mut().extend_pairs([
        ("response_type", "code"),
        ("client_id", "development-public"),
        ("redirect_uri", CALLBACK),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("scope", scope),
        ("resource", RESOURCE),
    ]);
    let answer = browser.get(address).send().await.unwrap();
    let back = answer.headers()[LOCATION].to_str().unwrap();
    let back = Url::parse(back).unwrap();
    let code = back.query_pairs().find(|(name, _)| name == "code");
    let (_, code) = code.unwrap_or_else(|| panic!("{back}"));
    let form = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([
            ("grant_type", "authorization_code"),
            ("client_id", "development-public"),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
            ("code", &code),
        ])
        .finish();
    let request = browser
        .post(idp.token_url())
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    request.send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn a_request_without_openid_brings_an_access_token_alone() {
    let idp = DevelopmentProvider::start().await.unwrap();
    let answer = tokens(&idp, "notes:read").await;
    assert!(answer.get("id_token").is_none(), "{answer}");
    assert_eq!(answer["scope"], "notes:read");
    let token = answer["access_token"].as_str().unwrap();
    let claims: Value = {
        use base64::Engine as _;
        let part = token.split('.').nth(1).unwrap();
        let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part);
        serde_json::from_slice(&text.unwrap()).unwrap()
    };
    assert_eq!(claims["aud"], RESOURCE);
    let answer = tokens(&idp, "openid notes:read").await;
    assert!(answer["id_token"].is_string(), "{answer}");
}
