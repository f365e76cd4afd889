//! `docs/rules.md` §1: the header field, the answers, and what never stands in them.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use tower::{Layer, ServiceExt, service_fn};
use tower_oidc::testing::{Endpoint, Fault};
use tower_oidc::{Algorithm, Principal, Provider, Rejection, RejectionKind, VerifyErrorKind};

use crate::support::{Api, bearing, challenge, parameter, parameters, send};

// BT-01
#[tokio::test]
async fn the_scheme_is_compared_without_regard_to_case() {
    let api = Api::start().await;
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        let answer = api
            .with_header(format!("{scheme} {}", api.token().build()))
            .await;
        assert_eq!(answer.status(), StatusCode::OK, "{scheme}");
        assert_eq!(answer.body(), "user-1");
    }
}

// BT-02
#[tokio::test]
async fn credentials_are_a_scheme_spaces_and_one_token() {
    let api = Api::start().await;
    let token = api.token().build();
    assert_eq!(
        api.with_header(format!("Bearer  {token}")).await.status(),
        StatusCode::OK
    );
    for bad in [
        format!("Bearer\t{token}"),
        format!("Bearer,{token}"),
        format!("Bearer {token},"),
        format!("Bearer {token} more"),
        format!("Bearer {token} "),
        format!("Bearer {token}, Bearer {token}"),
        format!("Bearer token=\"{token}\""),
        "Bearer é".to_owned(),
        "Bearer {\"payload\":\"x\"}".to_owned(),
        "Bearer \"x\"".to_owned(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
    ] {
        let answer = api.with_header(&bad).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{bad}");
        assert_eq!(parameter(&answer, "error").unwrap(), "invalid_request");
    }
    assert_eq!(api.handled(), 1);
}

// BT-03
#[tokio::test]
async fn two_authorization_fields_are_refused_unread() {
    let api = Api::start().await;
    let good = format!("Bearer {}", api.token().build());
    for pair in [
        [&*good, "Bearer x"],
        ["Bearer x", &good],
        [&good, &good],
        [&good, "Basic eDp5"],
    ] {
        let mut request = Request::new(String::new());
        for value in pair {
            request
                .headers_mut()
                .append(AUTHORIZATION, value.parse().unwrap());
        }
        assert_eq!(api.send(request).await.status(), StatusCode::BAD_REQUEST);
    }
    assert_eq!(api.handled(), 0);
    assert_eq!(api.idp.hits().jwks, 0);
}

// BT-04
#[tokio::test]
async fn tokens_in_query_and_body_are_not_read() {
    let api = Api::start().await;
    let token = api.token().build();
    let in_query = Request::builder()
        .uri(format!("/?access_token={token}"))
        .body(String::new())
        .unwrap();
    let in_body = Request::builder()
        .method("POST")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("access_token={token}"))
        .unwrap();
    for request in [in_query, in_body] {
        let answer = api.send(request).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(parameter(&answer, "error"), None);
    }
}

// BT-08
#[tokio::test]
async fn without_credentials_the_challenge_has_no_error() {
    let api = Api::start().await;
    let answer = api.send(Request::new(String::new())).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        challenge(&answer),
        r#"Bearer realm="https://api.example.com""#
    );
}

// BT-09
#[tokio::test]
async fn another_scheme_is_no_credentials() {
    let api = Api::start().await;
    for other in [
        "Basic dXNlcjpwYXNz",
        "Digest username=\"x\"",
        "DPoP abc",
        "Bearerx abc",
    ] {
        let answer = api.with_header(other).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{other}");
        assert_eq!(parameter(&answer, "error"), None, "{other}");
    }
    assert_eq!(api.handled(), 0);
}

// BT-10, BT-11, BT-12, BT-13
#[tokio::test]
async fn status_code_and_grammar_go_together() {
    let api = Api::start().await;
    let require = || tower_oidc::RequireLayer::scope("a").unwrap();
    let cases = [
        (
            api.with_header("Bearer").await,
            400,
            Some("invalid_request"),
        ),
        (api.send(Request::new(String::new())).await, 401, None),
        (api.with_token("opaque").await, 401, Some("invalid_token")),
        (
            api.with_token(api.token().expired().build()).await,
            401,
            Some("invalid_token"),
        ),
        (
            api.requiring(require(), api.token().build()).await,
            403,
            Some("insufficient_scope"),
        ),
    ];
    for (answer, status, code) in cases {
        assert_eq!(answer.status(), status);
        assert_eq!(parameter(&answer, "error").as_deref(), code);
        assert!(!parameters(challenge(&answer)).is_empty());
        assert_eq!(
            answer.headers().get_all("www-authenticate").iter().count(),
            1
        );
    }
}

// BT-11
#[tokio::test]
async fn the_slow_path_challenges_too() {
    let api = Api::start().await;
    // The first token waits for the keys.
    let answer = api
        .with_token(api.token().header("kid", "unknown").build())
        .await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(parameter(&answer, "error").unwrap(), "invalid_token");
}

// BT-15
#[tokio::test]
async fn nothing_of_the_request_is_in_the_answer() {
    let api = Api::start().await;
    let marker = "m4rk3r";
    let tokens = [
        api.token().header("kid", marker).build(),
        api.token()
            .claim("iss", format!("https://{marker}.example"))
            .build(),
        api.token().claim("aud", marker).build(),
        api.token().header("typ", marker).build(),
        api.token().header("alg", marker).build(),
        marker.to_owned(),
    ];
    for token in tokens {
        let mut request = bearing(&token);
        *request.uri_mut() = format!("/{marker}?{marker}={marker}").parse().unwrap();
        let answer = api.send(request).await;
        assert!(answer.status().is_client_error());
        assert!(
            !format!("{:?}", answer.headers()).contains(marker),
            "{answer:?}"
        );
        assert!(!answer.body().contains(marker));
    }
}

// BT-18
#[tokio::test]
async fn causes_look_alike_to_the_client_and_differ_in_the_reason() {
    let api = Api::start().await;
    let other = tower_oidc::testing::SigningKey::generate("rs256-1", Algorithm::Rs256);
    let cases = [
        (
            VerifyErrorKind::UnknownKey,
            api.token().header("kid", "x").build(),
        ),
        (
            VerifyErrorKind::BadSignature,
            api.token().signed_by(other.into()).build(),
        ),
        (
            VerifyErrorKind::WrongAudience,
            api.token().claim("aud", "x").build(),
        ),
        (
            VerifyErrorKind::WrongIssuer,
            api.token().claim("iss", "https://x.example").build(),
        ),
    ];
    let mut answers = Vec::new();
    for (kind, token) in cases {
        let answer = api.with_token(token).await;
        let rejection = answer.extensions().get::<Rejection>().unwrap();
        assert_eq!(rejection.kind(), RejectionKind::InvalidToken);
        assert_eq!(rejection.verify_error().unwrap().kind(), kind);
        answers.push((
            answer.status(),
            format!("{:?}", answer.headers()),
            answer.into_body(),
        ));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");

    let expired = api.with_token(api.token().expired().build()).await;
    let description = parameter(&expired, "error_description").unwrap();
    assert_eq!(description, "the access token has expired");
}

// BT-19
#[tokio::test]
async fn refusals_are_not_stored_and_acceptances_not_marked() {
    let api = Api::start().await;
    for token in ["x".to_owned(), api.token().expired().build()] {
        assert_eq!(
            api.with_token(token).await.headers()["cache-control"],
            "no-store"
        );
    }
    let accepted = api.with_token(api.token().build()).await;
    assert!(accepted.headers().is_empty(), "{accepted:?}");
}

/// A body that panics when it is read.
struct Untouchable;

impl Body for Untouchable {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        panic!("the body was read");
    }
}

// BT-20
#[tokio::test]
async fn the_body_of_a_refused_request_is_not_read() {
    let api = Api::start().await;
    let inner = service_fn(async |_: Request<Untouchable>| {
        Ok::<_, std::convert::Infallible>(Response::new(String::new()))
    });
    for token in ["x".to_owned(), api.token().header("kid", "unknown").build()] {
        let mut request = Request::new(Untouchable);
        let value = format!("Bearer {token}").parse().unwrap();
        request.headers_mut().insert(AUTHORIZATION, value);
        let answer = api.bearer().layer(inner).oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    }
}

// BT-22
#[test]
fn plain_http_needs_loopback_and_a_word() {
    for url in ["http://id.example", "http://127.0.0.1:9"] {
        let error = Provider::discover(url).unwrap_err().to_string();
        assert!(error.contains(url) && error.contains("https"), "{error}");
    }
    let allow = |url| {
        Provider::builder(url)
            .danger()
            .allow_http_on_loopback()
            .build()
    };
    assert!(allow("http://127.0.0.1:9").is_ok());
    assert!(allow("http://id.example").is_err());
}

// BT-23
#[tokio::test]
async fn an_identity_put_there_before_does_not_survive() {
    let api = Api::start().await;
    let other = api
        .verifier
        .verify(&api.token().subject("mallory").build())
        .await
        .unwrap();
    let mut request = bearing(&api.token().build());
    request.extensions_mut().insert(other.clone());
    assert_eq!(api.send(request).await.body(), "user-1");

    let layer = api.bearer().allow_anonymous();
    let mut request = Request::new(String::new());
    request.extensions_mut().insert::<Principal>(other);
    assert_eq!(
        send(&layer, api.inner.clone(), request).await.body(),
        "nobody"
    );
}

// BT-24, KS-20
#[tokio::test]
async fn a_provider_that_is_down_is_a_503_that_heals() {
    let api = Api::start().await;
    api.idp.set_fault(Endpoint::Discovery, Fault::Status(500));
    let answer = api.with_token(api.token().build()).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let seconds: u64 = answer.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=61).contains(&seconds));
    assert!(!answer.headers().contains_key("www-authenticate"));
    let rejection = answer.extensions().get::<Rejection>().unwrap();
    assert_eq!(rejection.kind(), RejectionKind::Unavailable);

    api.idp.set_fault(Endpoint::Discovery, None);
    api.clock.advance(crate::support::seconds(seconds));
    assert_eq!(api.status(api.token().build()).await, StatusCode::OK);
}

#[tokio::test]
async fn anonymous_requests_pass_only_where_allowed_and_never_with_a_bad_token() {
    let api = Api::start().await;
    let layer = api.bearer().allow_anonymous();
    let answer = send(&layer, api.inner.clone(), Request::new(String::new())).await;
    assert_eq!(
        (answer.status(), answer.body().as_str()),
        (StatusCode::OK, "nobody")
    );
    for token in ["x".to_owned(), api.token().expired().build()] {
        let answer = send(&layer, api.inner.clone(), bearing(&token)).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn a_closure_changes_the_body_and_never_the_challenge() {
    let api = Api::start().await;
    let layer = api.bearer().on_refusal(|rejection: &Rejection| {
        Response::builder()
            .status(200)
            .header("content-type", "application/problem+json")
            .header("www-authenticate", "Basic realm=\"mine\"")
            .header("cache-control", "public")
            .body(format!("{{\"status\":{}}}", rejection.status().as_u16()))
            .unwrap()
    });
    let answer = layer
        .layer(api.inner.clone())
        .oneshot(bearing("x"))
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(answer.body(), "{\"status\":401}");
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    assert_eq!(
        answer.headers().get_all("www-authenticate").iter().count(),
        1
    );
    assert_eq!(parameter(&answer, "error").unwrap(), "invalid_token");
}

#[tokio::test]
async fn a_configured_realm_stands_in_the_challenge() {
    let api = Api::start().await;
    let layer = api.bearer().with_realm("orders \"v2\"").unwrap();
    let answer = send(&layer, api.inner.clone(), Request::new(String::new())).await;
    assert_eq!(parameter(&answer, "realm").unwrap(), "orders \"v2\"");
    assert!(api.bearer().with_realm("a\r\nset-cookie: b").is_err());
}
