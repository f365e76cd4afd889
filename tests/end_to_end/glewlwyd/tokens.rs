//! Access tokens of a service: at an API, asked about, and as the doctor sees them.

use serde_json::json;

use super::Glewlwyd;
use crate::api::{RESOURCE, get, token_at};
use crate::doctor::{codes, run};
use crate::introspection::{api, asks_its_provider, me};
use crate::programs::{Program, example};

const SCOPE: (&str, &str) = ("scope", "read:messages");

// D29
#[tokio::test]
#[ignore = "needs Glewlwyd; the full test run brings it"]
async fn a_token_of_glewlwyd_is_accepted_for_its_resource_alone() {
    let idp = Glewlwyd::start(json!({}));
    let tokens = format!("{}/token", idp.issuer);
    let settings = [
        ("OPENID_ISSUER", &*idp.issuer),
        ("OPENID_AUDIENCE", RESOURCE),
        ("RUST_LOG", "tower_oidc=debug"),
    ];
    let api = Program::start(&mut example("api", &settings), "listening on ");
    let messages = format!("{}/messages", api.address());
    let other = "https://other.example.com";
    for (more, status) in [
        (&[("resource", RESOURCE)][..], 200),
        (&[("resource", other)], 401),
        // Its audience is the scope.
        (&[], 401),
    ] {
        let parameters = [&[SCOPE], more].concat();
        let token = token_at(&tokens, &parameters).await;
        let answer = get(messages.clone(), Some(&token)).await;
        assert_eq!(answer.status().as_u16(), status, "{more:?}");
    }
    let (code, log) = api.stop();
    assert_eq!(code, Some(0), "{log}");
    for audience in [other, "read:messages"] {
        assert!(log.contains(audience), "{log}");
    }
}

// D27, D29
#[tokio::test]
#[ignore = "needs Glewlwyd; the full test run brings it"]
async fn an_api_asks_glewlwyd_about_each_token() {
    let idp = Glewlwyd::start(json!({}));
    let tokens = format!("{}/token", idp.issuer);
    let revocation = format!("{}/revoke", idp.issuer);
    let token = token_at(&tokens, &[SCOPE, ("resource", RESOURCE)]).await;
    let all = [("OPENID_INTROSPECTION", "all")];
    asks_its_provider(&idp.issuer, &all, &token, &revocation).await;

    // Without a scope for it a client is told nothing of the tokens of others.
    let plugin = json!({"introspection-revocation-auth-scope": []});
    let idp = Glewlwyd::start(json!({"plugin": plugin}));
    let tokens = format!("{}/token", idp.issuer);
    let token = token_at(&tokens, &[SCOPE, ("resource", RESOURCE)]).await;
    let api = api(&idp.issuer, &all);
    assert_eq!(me(&api, &token).await.0, 401);
    let (_, log) = api.stop();
    assert!(log.contains("the provider says that the token is not active"));
}

#[test]
#[ignore = "needs Glewlwyd; the full test run brings it"]
fn the_doctor_says_of_glewlwyd_what_it_can_know() {
    let idp = Glewlwyd::start(json!({}));
    let service = |more: &[(&'static str, &'static str)]| {
        let mut settings = vec![
            ("OPENID_ISSUER", idp.issuer.as_str()),
            ("OPENID_CLIENT_ID", "service"),
            ("OPENID_CLIENT_SECRET", "service-secret"),
            ("OPENID_AUDIENCE", RESOURCE),
        ];
        settings.extend_from_slice(more);
        let (output, text) = run(&settings, &["--as", "service", "--json"], "");
        (output.status.code(), codes(&text), text)
    };
    let (resource, scope) = (
        ("OPENID_RESOURCE", RESOURCE),
        ("OPENID_SCOPE", "read:messages"),
    );
    let (status, found, text) = service(&[resource, scope]);
    assert_eq!(status, Some(0), "{text}");
    for code in [
        "discovery_right",
        "keys_right",
        "client_right",
        "token_granted",
    ] {
        assert!(found.iter().any(|one| one == code), "{code}: {text}");
    }
    // Three causes have one answer, which tells none of them.
    for more in [
        &[resource][..],
        &[resource, scope, ("OPENID_CLIENT_SECRET", "wrong")],
    ] {
        let (status, found, text) = service(more);
        assert_eq!(status, Some(1), "{text}");
        assert_eq!(found.last().unwrap(), "token_not_granted", "{text}");
        assert!(text.contains("answered 403 Forbidden with an empty body"));
        assert!(text.contains("does not tell what is refused"), "{text}");
        assert!(!text.contains("service-secret"), "{text}");
    }
    let (status, found, text) =
        service(&[scope, ("OPENID_RESOURCE", "https://unknown.example.com")]);
    assert_eq!(status, Some(1), "{text}");
    assert_eq!(found.last().unwrap(), "target_refused", "{text}");
    // It knows no audience in a request, and names the scopes.
    let (status, found, text) = service(&[scope]);
    assert_eq!(status, Some(0), "{text}");
    assert_eq!(
        found.last().unwrap(),
        "token_for_another_audience",
        "{text}"
    );
}
