//! `docs/rules.md` §10 (PR) and §16 (MC): how clients find out where to get a token.

use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt};
use tower_oidc::{ProtectedResource, Provider, RequireLayer};

use crate::support::{API, Api, bearing, parameter, send};

fn resource(identifier: &str) -> ProtectedResource {
    let verifier = Provider::discover("https://id.example")
        .unwrap()
        .verifier(API)
        .unwrap();
    ProtectedResource::new(identifier, &verifier).unwrap()
}

// PR-01, PR-05, PR-07
#[tokio::test]
async fn the_document_tells_what_the_layer_does() {
    let resource = resource("https://api.example.com/mcp")
        .add_scope("files:read")
        .unwrap()
        .with_name("Files")
        .with_documentation("https://docs.example.com/")
        .unwrap();
    let get = Request::new(());
    let answer = resource.service().oneshot(get).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    assert_eq!(answer.headers()["cache-control"], "max-age=3600");
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let document: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        document,
        json!({
            "resource": "https://api.example.com/mcp",
            "authorization_servers": ["https://id.example"],
            "scopes_supported": ["files:read"],
            "bearer_methods_supported": ["header"],
            "resource_name": "Files",
            "resource_documentation": "https://docs.example.com/",
        })
    );
    // Empty arrays are left out.
    let bare: Value =
        serde_json::from_str(&self::resource("https://a.example").metadata()).unwrap();
    assert!(bare.get("scopes_supported").is_none());
    // A layer that reads the token elsewhere is none that supports the header.
    let elsewhere = self::resource("https://a.example").without_bearer_header();
    let elsewhere: Value = serde_json::from_str(&elsewhere.metadata()).unwrap();
    assert!(elsewhere.get("bearer_methods_supported").is_none());
}

// PR-01
#[tokio::test]
async fn methods_other_than_get_are_answered_without_a_body() {
    for (method, status) in [
        (Method::HEAD, StatusCode::OK),
        (Method::OPTIONS, StatusCode::NO_CONTENT),
        (Method::POST, StatusCode::METHOD_NOT_ALLOWED),
        (Method::DELETE, StatusCode::METHOD_NOT_ALLOWED),
    ] {
        let request = Request::builder().method(&method).body(()).unwrap();
        let answer = resource("https://a.example")
            .service()
            .oneshot(request)
            .await
            .unwrap();
        assert_eq!(answer.status(), status, "{method}");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(body.is_empty(), "{method}");
    }
}

// PR-07
#[tokio::test]
async fn a_page_of_another_origin_may_send_any_header() {
    let preflight = Request::builder()
        .method(Method::OPTIONS)
        .header("origin", "https://client.example")
        .header("access-control-request-method", "GET")
        .header(
            "access-control-request-headers",
            "authorization,mcp-protocol-version,x-mine",
        )
        .body(())
        .unwrap();
    let service = resource("https://a.example").service();
    let answer = service.oneshot(preflight).await.unwrap();
    let list = |name: &str| -> Vec<String> {
        let values = answer.headers()[name].to_str().unwrap();
        values.split(", ").map(str::to_lowercase).collect()
    };
    assert_eq!(list("access-control-allow-origin"), ["*"]);
    assert!(list("access-control-allow-methods").contains(&"get".to_owned()));
    let allowed = list("access-control-allow-headers");
    for name in ["*", "authorization", "mcp-protocol-version"] {
        assert!(allowed.contains(&name.to_owned()), "{allowed:?}");
    }
    assert_eq!(answer.headers()["access-control-max-age"], "3600");
}

// PR-02
#[test]
fn the_path_of_the_document_follows_the_identifier() {
    const ROOT: &str = "/.well-known/oauth-protected-resource";
    for (identifier, path) in [
        ("https://a.example", ROOT.to_owned()),
        ("https://a.example/", ROOT.to_owned()),
        ("https://a.example/mcp", format!("{ROOT}/mcp")),
        ("https://a.example/v1/mcp", format!("{ROOT}/v1/mcp")),
    ] {
        let resource = resource(identifier);
        assert_eq!(resource.metadata_path(), path);
        assert_eq!(resource.metadata_url(), format!("https://a.example{path}"));
    }
}

// PR-03
#[test]
fn an_identifier_that_is_not_https_or_has_a_fragment_does_not_build() {
    let verifier = Provider::discover("https://id.example")
        .unwrap()
        .verifier(API)
        .unwrap();
    for bad in [
        "",
        "a.example",
        "http://a.example",
        "https://a.example#x",
        "http://127.0.0.1:1",
    ] {
        let error = ProtectedResource::new(bad, &verifier).unwrap_err();
        assert_eq!(error.setting(), "resource", "{bad}");
    }
    assert!(tower_oidc::danger::loopback_resource("http://127.0.0.1:1", &verifier).is_ok());
    assert!(tower_oidc::danger::loopback_resource("http://a.example", &verifier).is_err());
    assert!(
        resource("https://a.example")
            .with_documentation("javascript:alert(1)")
            .is_err()
    );
}

// PR-04, MC-01, MC-02, MC-04
#[tokio::test]
async fn challenges_lead_to_the_document() {
    let api = Api::start().await;
    let resource = ProtectedResource::new(API, &api.verifier)
        .unwrap()
        .add_scope("read")
        .unwrap();
    let layer = api.bearer().with_resource(&resource);
    let url = "https://api.example.com/.well-known/oauth-protected-resource";
    let mut request = Request::new(String::new());
    request
        .headers_mut()
        .insert("host", "evil.example".parse().unwrap());
    request
        .headers_mut()
        .insert("x-forwarded-host", "evil.example".parse().unwrap());
    let answer = send(&layer, api.inner.clone(), request).await;
    assert_eq!(answer.status(), 401);
    assert_eq!(parameter(&answer, "resource_metadata").unwrap(), url);
    assert_eq!(parameter(&answer, "scope").unwrap(), "read");

    let inner = tower::Layer::layer(&RequireLayer::scope("write").unwrap(), api.inner.clone());
    let inner = tower::util::BoxCloneSyncService::new(inner);
    let token = api.token().scope("read").build();
    let answer = send(&layer, inner, crate::support::bearing(&token)).await;
    assert_eq!(answer.status(), 403);
    assert_eq!(parameter(&answer, "resource_metadata").unwrap(), url);
    assert_eq!(parameter(&answer, "scope").unwrap(), "write");
    assert_eq!(parameter(&answer, "error").unwrap(), "insufficient_scope");

    let document: Value = serde_json::from_str(&resource.metadata()).unwrap();
    assert_eq!(document["authorization_servers"], json!([api.idp.issuer()]));
    assert!(resource.add_scope("offline_access").is_err());
}

// PR-04
#[tokio::test]
async fn an_outer_layer_leaves_the_challenge_of_an_inner_resource_alone() {
    let api = Api::start().await;
    let (outer, inner) = ("https://api.example.com", "https://api.example.com/inner");
    let layer = |resource: &str| {
        let resource = ProtectedResource::new(resource, &api.verifier).unwrap();
        api.bearer()
            .with_realm(resource.metadata_path().as_str())
            .unwrap()
            .with_resource(&resource)
    };
    let of = |identifier: &str| resource(identifier).metadata_url();
    let write = RequireLayer::scope("write")
        .unwrap()
        .layer(api.inner.clone());
    let nested = BoxCloneSyncService::new(layer(inner).layer(write));
    // A requirement between both adds its scope only to challenges that are not made yet.
    let between = RequireLayer::authenticated().layer(nested.clone());
    let between = BoxCloneSyncService::new(between);
    let anonymous = layer(outer).allow_anonymous();
    let good = api.token().scope("read").build();
    for (name, answer, status, expected) in [
        (
            "outside",
            send(&layer(outer), nested.clone(), Request::new(String::new())).await,
            401,
            of(outer),
        ),
        (
            "within",
            send(&anonymous, nested.clone(), Request::new(String::new())).await,
            401,
            of(inner),
        ),
        (
            "a requirement within",
            send(&layer(outer), nested.clone(), bearing(&good)).await,
            403,
            of(inner),
        ),
        (
            "one around it",
            send(&layer(outer), between, bearing(&good)).await,
            403,
            of(inner),
        ),
    ] {
        assert_eq!(answer.status(), status, "{name}");
        assert_eq!(
            parameter(&answer, "resource_metadata").unwrap(),
            expected,
            "{name}"
        );
        assert_eq!(
            answer.headers().get_all("www-authenticate").iter().count(),
            1
        );
    }
}

// MC-03, MC-05
#[tokio::test]
async fn each_request_needs_a_token_for_this_server() {
    let api = Api::start().await;
    assert_eq!(api.status(api.token().build()).await, 200);
    let later = Request::builder()
        .header("mcp-session-id", "a-session")
        .body(String::new())
        .unwrap();
    assert_eq!(api.send(later).await.status(), 401);
    let other = api.idp.token("https://another-server.example").build();
    assert_eq!(api.status(other).await, 401);
}
