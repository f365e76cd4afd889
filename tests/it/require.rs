//! `docs/rules.md` §7: what a caller may do.

use http::{Method, Request, Response, StatusCode};
use serde_json::json;
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt};
use tower_oidc::{ClaimPath, ClaimValue, Policy, Rejection, RejectionKind, RequireLayer};

use crate::browser::{App, Browser};
use crate::support::{API, Api, bearing, judging_as, parameter, send};

fn scope(scope: &str) -> RequireLayer {
    RequireLayer::scope(scope).unwrap()
}

// AZ-01
#[tokio::test]
async fn scopes_are_compared_whole() {
    let api = Api::start().await;
    let token = |scope: &str| api.token().scope(scope).build();
    for granted in ["read", "read write", "write read", " read "] {
        let answer = api.requiring(scope("read"), token(granted)).await;
        assert_eq!(answer.status(), StatusCode::OK, "{granted}");
    }
    for granted in [
        "",
        "read:all",
        "READ",
        "rea",
        "write",
        "read,write",
        "read\twrite",
    ] {
        let answer = api.requiring(scope("read"), token(granted)).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{granted}");
    }
    assert_eq!(api.handled(), 4);
}

// AZ-02, AZ-03, AZ-04, AT-06
#[tokio::test]
async fn scopes_stand_in_scope_or_scp() {
    let api = Api::start().await;
    let cases = [
        ("scope", json!("read"), 200),
        ("scp", json!("other read"), 200),
        ("scp", json!(["read"]), 200),
        ("scp", json!(["other read"]), 403),
        ("scope", json!(["read"]), 200),
        ("scope", json!(["other", "read"]), 200),
        ("scope", json!(["other read"]), 403),
        ("scope", json!(["read", 7]), 403),
        ("scope", json!(7), 403),
        ("scope", json!({"read": true}), 403),
        ("scope", json!(null), 403),
        ("permissions", json!(["read"]), 403),
        ("roles", json!(["read"]), 403),
    ];
    for (claim, value, status) in cases {
        let token = api.token().claim(claim, &value).build();
        assert_eq!(
            api.requiring(scope("read"), token).await.status(),
            status,
            "{claim}: {value}"
        );
    }
    assert_eq!(
        api.requiring(scope("read"), api.token().build())
            .await
            .status(),
        403
    );
    let both = api.token().scope("other").claim("scp", ["read"]).build();
    assert_eq!(
        api.requiring(scope("read"), both).await.status(),
        403,
        "not merged"
    );
}

// AZ-02, AZ-03
#[tokio::test]
async fn further_claims_count_where_they_are_named() {
    let api = Api::verifying(|verifier| verifier.add_scope_claim("permissions")).await;
    let granted = api
        .token()
        .scope("write")
        .claim("permissions", ["read"])
        .build();
    let both = RequireLayer::new(Policy::all_scopes(["read", "write"]).unwrap());
    assert_eq!(api.requiring(both, &granted).await.status(), 200);
    let mixed = api.token().claim("permissions", json!(["read", 7])).build();
    assert_eq!(api.requiring(scope("read"), mixed).await.status(), 403);
}

// MC-06
#[tokio::test]
async fn broader_scopes_imply_narrower_ones_where_configured() {
    let api = Api::verifying(|verifier| {
        verifier
            .add_implied_scope("admin", "write")
            .add_implied_scope("write", "read")
            .add_implied_scope("read", "admin-of-nothing")
            .add_implied_scope("admin-of-nothing", "read")
    })
    .await;
    let token = |scope: &str| api.token().scope(scope).build();
    assert_eq!(
        api.requiring(scope("read"), token("admin")).await.status(),
        200
    );
    assert_eq!(
        api.requiring(scope("write"), token("read")).await.status(),
        403
    );
    let bad = judging_as(&api.provider, API)
        .add_implied_scope("a b", "c")
        .build();
    assert!(bad.is_err());
}

// AZ-05, BT-16
#[tokio::test]
async fn requirements_add_up_and_all_scopes_are_named() {
    let api = Api::start().await;
    let inner = BoxCloneSyncService::new(scope("b").layer(api.inner.clone()));
    for (granted, status, needed) in [
        ("a b", 200, None),
        ("a", 403, Some("a b")),
        ("b", 403, Some("a")),
        ("", 403, Some("a")),
    ] {
        let both = BoxCloneSyncService::new(scope("a").layer(inner.clone()));
        let token = api.token().scope(granted).build();
        let answer = send(&api.bearer(), both, bearing(&token)).await;
        assert_eq!(answer.status(), status, "{granted}");
        if let Some(needed) = needed {
            assert_eq!(parameter(&answer, "scope").unwrap(), needed, "{granted}");
            assert_eq!(parameter(&answer, "realm").unwrap(), API);
        }
    }
    // An outer layer that is told of the inner one's scope names both.
    let outer = scope("a").add_named_scope("b").unwrap();
    for (granted, status, needed) in [
        ("a b", 200, None),
        ("a", 403, Some("a b")),
        ("b", 403, Some("a b")),
        ("", 403, Some("a b")),
    ] {
        let both = BoxCloneSyncService::new(outer.layer(inner.clone()));
        let token = api.token().scope(granted).build();
        let answer = send(&api.bearer(), both, bearing(&token)).await;
        let named = needed.map(|_| parameter(&answer, "scope").unwrap());
        assert_eq!(
            (answer.status().as_u16(), named.as_deref()),
            (status, needed),
            "{granted}"
        );
    }
    // It does not require it.
    let alone = BoxCloneSyncService::new(outer.layer(api.inner.clone()));
    let token = api.token().scope("a").build();
    assert_eq!(
        send(&api.bearer(), alone, bearing(&token)).await.status(),
        200
    );
    assert!(scope("a").add_named_scope("b c").is_err());
    let both = RequireLayer::scopes(["b", "a"]).unwrap();
    let answer = api.requiring(both, api.token().build()).await;
    assert_eq!(parameter(&answer, "scope").unwrap(), "b a");
    assert_eq!(parameter(&answer, "error").unwrap(), "insufficient_scope");
}

#[tokio::test]
async fn policies_join() {
    let api = Api::start().await;
    let any = || Policy::any_scope(["x", "y"]).unwrap();
    let gold = || Policy::claim("tier", "gold").unwrap();
    let cases = [
        (any(), "y", json!(null), 200),
        (any(), "z", json!(null), 403),
        (gold(), "", json!("gold"), 200),
        (gold(), "", json!(["silver", "gold"]), 200),
        (gold(), "", json!("golden"), 403),
        (gold(), "", json!({"gold": 1}), 403),
        (any().and(gold()), "x", json!("gold"), 200),
        (any().and(gold()), "x", json!("tin"), 403),
        (any().or(gold()), "", json!("gold"), 200),
        (any().or(gold()), "x", json!("tin"), 200),
        (any().or(gold()), "", json!("tin"), 403),
        (Policy::authenticated(), "", json!(null), 200),
        (
            Policy::check(|principal| principal.subject() == Some("user-1")),
            "",
            json!(null),
            200,
        ),
        (Policy::check(|_| false), "", json!(null), 403),
        (Policy::audience(API).unwrap(), "", json!(null), 200),
        (Policy::audience("other").unwrap(), "", json!(null), 401),
    ];
    for (policy, granted, tier, status) in cases {
        let shown = format!("{policy:?}");
        let token = api.token().scope(granted).claim("tier", &tier).build();
        let answer = api.requiring(RequireLayer::new(policy), token).await;
        assert_eq!(answer.status(), status, "{shown} with {granted} and {tier}");
    }
}

// D25
#[tokio::test]
async fn claims_are_found_by_path_and_compared_by_kind() {
    let api = Api::start().await;
    let token = api
        .token()
        .claim("realm_access", json!({"roles": ["user", "admin"]}))
        .claim(
            "resource_access",
            json!({"my.client": {"roles": ["editor"]}}),
        )
        .claim("https://example.com/roles", ["gold"])
        .claim("cognito:groups", ["staff"])
        .claim("email_verified", true)
        .claim("level", 3)
        .claim("text_level", "3")
        .claim("a.b", "whole")
        .build();
    let role = |path: &str, name: &str| RequireLayer::role(path, name).unwrap();
    let claim = |path: &str, value: ClaimValue| RequireLayer::claim(path, value).unwrap();
    for (layer, status) in [
        (role("realm_access.roles", "admin"), 200),
        (role("realm_access.roles", "adm"), 403),
        (role("realm_access", "admin"), 403),
        (role("realm_access.roles.admin", "admin"), 403),
        (role("resource_access['my.client'].roles", "editor"), 200),
        (role("resource_access.my.client.roles", "editor"), 403),
        (role("['https://example.com/roles']", "gold"), 200),
        (role("cognito:groups", "staff"), 200),
        (claim("email_verified", true.into()), 200),
        (claim("email_verified", "true".into()), 403),
        (claim("level", 3.into()), 200),
        (claim("level", "3".into()), 403),
        (claim("text_level", 3.into()), 403),
        (claim("text_level", "3".into()), 200),
        (claim("a.b", "whole".into()), 403),
        (claim("['a.b']", "whole".into()), 200),
        (
            RequireLayer::claim(ClaimPath::named("a.b"), "whole").unwrap(),
            200,
        ),
    ] {
        // The second time the token was seen before.
        for _ in 0..2 {
            let answer = api.requiring(layer.clone(), &token).await;
            assert_eq!(answer.status(), status, "{layer:?}");
        }
    }
    let error = RequireLayer::role("https://example.com/roles", "gold").unwrap_err();
    assert!(error.to_string().contains("['https://example.com/roles']"));
    assert!(RequireLayer::claim("exp", "tomorrow").is_err());
    let principal = api.verifier.verify(&token).await.unwrap();
    let roles: Option<Vec<String>> = principal.claim("realm_access.roles").unwrap();
    assert_eq!(roles.unwrap(), ["user", "admin"]);
    assert_eq!(principal.claim::<u8>("level").unwrap(), Some(3));
    for path in ["nothing", "level.deeper", "realm_access.nothing"] {
        assert_eq!(principal.claim::<u8>(path).unwrap(), None, "{path}");
    }
    let error = principal.claim::<u8>("realm_access.roles").unwrap_err();
    assert_eq!(error.claim(), Some("realm_access.roles"));
    assert!(!error.to_string().contains("admin"), "{error}");
    assert!(principal.claim::<u8>("a..b").is_err());
}

// D25
#[tokio::test]
async fn each_token_answers_for_itself() {
    let api = Api::start().await;
    let admin = RequireLayer::role("roles", "admin").unwrap();
    let user = RequireLayer::role("roles", "user").unwrap();
    let of = |roles: &[&str]| api.token().claim("roles", roles).build();
    let (ann, bob) = (of(&["admin"]), of(&["user"]));
    for _ in 0..3 {
        for (layer, token, status) in [
            (&admin, &ann, 200),
            (&user, &ann, 403),
            (&admin, &bob, 403),
            (&user, &bob, 200),
        ] {
            let answer = api.requiring(layer.clone(), token).await;
            assert_eq!(answer.status(), status);
        }
    }
}

// D25, LG-23
#[tokio::test]
async fn the_principal_of_a_session_meets_the_same_policies() {
    let app = App::start().await;
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    for (layer, status) in [
        (RequireLayer::claim("sub", "user-1").unwrap(), 200),
        (RequireLayer::claim("sub", "user-2").unwrap(), 403),
        (RequireLayer::claim("aud", API).unwrap(), 200),
    ] {
        let inner = BoxCloneSyncService::new(layer.layer(app.inner.clone()));
        let service = app.layer.layer(inner);
        for _ in 0..2 {
            let request = browser.script(Method::GET, "/");
            let answer = browser.send(&service, request).await;
            assert_eq!(answer.status(), status, "{layer:?}");
        }
    }
}

#[tokio::test]
async fn a_service_with_two_audiences_keeps_them_apart() {
    let api = Api::verifying(|verifier| verifier.add_audience("https://admin.example")).await;
    let admin = || RequireLayer::new(Policy::audience("https://admin.example").unwrap());
    let for_admin = api.token().claim("aud", "https://admin.example").build();
    assert_eq!(api.requiring(admin(), for_admin).await.status(), 200);
    let answer = api.requiring(admin(), api.token().build()).await;
    assert_eq!(answer.status(), 401);
    assert_eq!(parameter(&answer, "error").unwrap(), "invalid_token");
}

#[tokio::test]
async fn the_anonymous_are_refused_without_an_error_code() {
    let api = Api::start().await;
    let inner = BoxCloneSyncService::new(scope("a").layer(api.inner.clone()));
    let layer = api.bearer().allow_anonymous();
    let answer = send(&layer, inner, Request::new(String::new())).await;
    assert_eq!(answer.status(), 401);
    assert_eq!(parameter(&answer, "error"), None);
    assert_eq!(parameter(&answer, "realm").unwrap(), API);
    assert_eq!(api.handled(), 0);
}

#[tokio::test]
async fn a_missing_layer_is_a_500_that_names_it() {
    let api = Api::start().await;
    let answer: Response<String> = scope("a")
        .layer(api.inner.clone())
        .oneshot(bearing("x"))
        .await
        .unwrap();
    assert_eq!(answer.status(), 500);
    let rejection = answer.extensions().get::<Rejection>().unwrap();
    assert_eq!(rejection.kind(), RejectionKind::MissingLayer("BearerLayer"));
    assert!(rejection.to_string().contains("BearerLayer"));
}

#[test]
fn scopes_that_are_none_do_not_build() {
    for bad in ["", " ", "a b", "a\"", "é", "a\\b"] {
        assert_eq!(
            RequireLayer::scope(bad).unwrap_err().setting(),
            "scope",
            "{bad:?}"
        );
    }
    assert!(Policy::all_scopes([]).is_err());
    assert!(Policy::any_scope([]).is_err());
    assert!(RequireLayer::scopes([]).is_err());
    assert!(Policy::audience("").is_err());
}
