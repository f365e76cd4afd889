//! A verifier with more than one provider, and providers with more than one issuer.

use serde_json::{Value, json};
use tower_oidc::testing::DevelopmentProvider;
use tower_oidc::{Algorithm, Provider, Verifier};

use crate::support::{API, judging, judging_as, verdict};

// JS-15, CL-07
#[tokio::test]
async fn each_issuer_is_judged_by_its_own_keys() {
    let (one, two) = tokio::join!(DevelopmentProvider::start(), DevelopmentProvider::start());
    let (one, two) = (one.unwrap(), two.unwrap());
    let verifier = judging_as(&one.provider().unwrap(), API)
        .add_provider(&two.provider().unwrap())
        .build()
        .unwrap();
    for idp in [&one, &two] {
        let token = idp.token(API).build();
        let principal = verifier.verify(&token).await.unwrap();
        assert_eq!(principal.issuer().as_str(), idp.issuer());
    }
    // The kid is the same; each token names the other issuer.
    for (idp, name) in [(&one, two.issuer()), (&two, one.issuer())] {
        let crossed = idp.token(API).claim("iss", name).build();
        assert_eq!(verdict(&verifier, &crossed).await, "bad_signature");
    }
    let stranger = one
        .token(API)
        .claim("iss", "https://stranger.example")
        .build();
    assert_eq!(verdict(&verifier, &stranger).await, "wrong_issuer");
    // A provider that is away affects only its own tokens.
    drop(two);
    assert_eq!(
        verdict(&verifier, &one.token(API).build()).await,
        "accepted"
    );
}

#[tokio::test]
async fn two_providers_with_one_issuer_do_not_build() {
    let idp = DevelopmentProvider::start().await.unwrap();
    let error = judging_as(&idp.provider().unwrap(), API)
        .add_provider(&idp.provider().unwrap())
        .build()
        .unwrap_err();
    assert!(error.to_string().contains("two providers"), "{error}");
}

const OURS: &str = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490";
const THEIRS: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";

async fn entra() -> (DevelopmentProvider, Verifier, String) {
    let idp = DevelopmentProvider::start().await.unwrap();
    let template = format!("{}/{{tenantid}}/v2.0", idp.issuer());
    idp.set_discovery(json!({"issuer": template, "jwks_uri": idp.jwks_url()}).to_string());
    let provider = Provider::builder(&template)
        .with_tenants([OURS])
        .danger()
        .allow_http_on_loopback()
        .build()
        .unwrap();
    let verifier = judging(&provider, API);
    (idp, verifier, template)
}

// DI-08
#[tokio::test]
async fn only_listed_tenants_sign_in() {
    let (idp, verifier, template) = entra().await;
    let token = |issuer: &str, tid: Option<&str>| {
        let token = idp
            .token(API)
            .claim("iss", template.replace("{tenantid}", issuer));
        match tid {
            Some(tid) => token.claim("tid", tid).build(),
            None => token.build(),
        }
    };
    let cases = [
        (token(OURS, Some(OURS)), "accepted"),
        (token(THEIRS, Some(THEIRS)), "wrong_tenant"),
        (token(OURS, Some(THEIRS)), "wrong_tenant"),
        (token(OURS, None), "wrong_tenant"),
        (token(THEIRS, Some(OURS)), "wrong_issuer"),
        (token("{tenantid}", Some("{tenantid}")), "wrong_tenant"),
        (token("", Some("")), "wrong_tenant"),
        (idp.token(API).claim("tid", OURS).build(), "wrong_issuer"),
    ];
    for (token, expected) in cases {
        assert_eq!(verdict(&verifier, &token).await, expected);
    }
}

// DI-08
#[tokio::test]
async fn the_issuer_of_a_key_is_enforced() {
    for (tenant, expected) in [
        ("{tenantid}", "accepted"),
        (OURS, "accepted"),
        (THEIRS, "unknown_key"),
    ] {
        let (idp, verifier, template) = entra().await;
        let mut key: Value =
            serde_json::from_str(&idp.signing_key(Algorithm::Rs256).public_jwk()).unwrap();
        key["issuer"] = template.replace("{tenantid}", tenant).into();
        idp.set_jwks(json!({"keys": [key]}).to_string());
        let own = template.replace("{tenantid}", OURS);
        let token = idp.token(API).claim("iss", own).claim("tid", OURS).build();
        assert_eq!(verdict(&verifier, &token).await, expected, "{tenant}");
    }
}

// F13
#[test]
fn a_template_without_a_list_and_a_list_without_a_template_do_not_build() {
    let template = "https://login.microsoftonline.com/{tenantid}/v2.0";
    let error = Provider::discover(template).unwrap_err();
    assert_eq!(error.setting(), "tenants");
    let none: [&str; 0] = [];
    assert!(
        Provider::builder(template)
            .with_tenants(none)
            .build()
            .is_err()
    );
    for bad in ["", "*", "{tenantid}", "a/b", "a.b"] {
        assert!(
            Provider::builder(template)
                .with_tenants([bad])
                .build()
                .is_err(),
            "{bad}"
        );
    }
    assert!(
        Provider::builder(template)
            .with_tenants([OURS])
            .build()
            .is_ok()
    );
    let error = Provider::builder("https://id.example")
        .with_tenants([OURS])
        .build()
        .unwrap_err();
    assert!(error.to_string().contains("contradicts"), "{error}");
}

// PR-05
#[test]
fn each_tenant_is_named_once_as_authorization_server() {
    let template = "https://login.microsoftonline.com/{tenantid}/v2.0";
    let provider = Provider::builder(template)
        .with_tenants([OURS, THEIRS])
        .build()
        .unwrap();
    let verifier = judging(&provider, API);
    assert_eq!(verifier.providers().count(), 1);
    let metadata = tower_oidc::ProtectedResource::new(API, &verifier)
        .unwrap()
        .metadata();
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let named = [THEIRS, OURS].map(|tenant| template.replace("{tenantid}", tenant));
    assert_eq!(metadata["authorization_servers"], json!(named));
}
