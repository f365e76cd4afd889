//! The spans of what is waited for, and the context of a trace on calls to the provider.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use tower::service_fn;
use tower_oidc::testing::{DevelopmentProvider, Endpoint, Fault};
use tower_oidc::{HttpClient, OutboundLayer, Provider};

use crate::browser::{App, Browser, client};
use crate::seen::{Seen, Span};
use crate::support::{API, Api, seconds};
use crate::upstream::{ORDERS, Upstream, call, development, get};

/// Each span with its parent and its fields, in one line. What a background task does comes in any order.
fn lines(spans: &[Span]) -> Vec<String> {
    let lines = spans.iter().map(|span| {
        let fields = span.fields.iter();
        let fields: Vec<_> = fields
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let parent = span.parent.unwrap_or("-");
        format!("{parent} > {} {}", span.name, fields.join(" "))
    });
    let mut lines: Vec<_> = lines.collect();
    lines.sort();
    lines
}

/// The same without those of judging tokens, which a sign-in and a refresh bring.
fn others(spans: &[Span]) -> Vec<String> {
    let mut lines = lines(spans);
    lines.retain(|line| !line.contains(" > verify ") && !line.contains(" > fetch_keys "));
    lines
}

// D18
#[tokio::test]
async fn a_token_that_is_not_remembered_is_judged_in_spans() {
    let api = Api::verifying(|verifier| verifier.with_cache_capacity(1_000)).await;
    let seen = Seen::default();
    let _guard = seen.capture();
    let issuer = api.idp.issuer().to_owned();
    let token = api.token().build();
    api.verdict(&token).await;
    let expected = [
        format!("- > verify issuer={issuer} result=accepted waited=true"),
        "- > verify result=waits waited=false".to_owned(),
        format!("verify > fetch_keys issuer={issuer} result=ok"),
    ];
    assert_eq!(lines(&seen.spans()), expected);
    api.verdict(&token).await;
    assert_eq!(lines(&seen.spans()), [""; 0], "it is remembered");
    api.verdict(api.token().expired().build()).await;
    let refused = ["- > verify result=expired waited=false"];
    assert_eq!(lines(&seen.spans()), refused);
    api.verdict(api.token().claim("jti", "other").build()).await;
    let accepted = format!("- > verify issuer={issuer} result=accepted waited=false");
    assert_eq!(lines(&seen.spans()), [accepted]);
    api.idp.set_fault(Endpoint::Jwks, Fault::Status(500));
    api.clock.advance(seconds(24 * 3_600));
    api.verdict(api.token().build()).await;
    let failed = [
        "- > verify result=unavailable waited=true".to_owned(),
        "- > verify result=waits waited=false".to_owned(),
        format!("verify > fetch_keys issuer={issuer} result=status"),
    ];
    assert_eq!(lines(&seen.spans()), failed);
}

// D18
#[tokio::test]
async fn a_callback_and_a_refresh_have_spans_with_their_grants() {
    let app = App::start().await;
    let mut browser = Browser::default();
    let callback = browser.reach_callback(&app, "/oauth/openid").await;
    let seen = Seen::default();
    let _guard = seen.capture();
    browser.visit(&app, &callback).await;
    let issuer = app.idp.issuer();
    let expected = [
        format!("- > callback issuer={issuer} result=signed_in"),
        "callback > grant grant=authorization_code result=granted".to_owned(),
    ];
    assert_eq!(others(&seen.spans()), expected);
    browser.fetch(&app, "/").await;
    seen.spans();

    app.hour_passes();
    app.idp
        .set_fault(Endpoint::Token, Fault::error(500, "server_error"));
    browser.fetch(&app, "/").await;
    let session = app.session().key();
    let refresh =
        |result: &str| format!("- > refresh generation=0 result={result} session_key={session}");
    let grant = |result: &str| format!("refresh > grant grant=refresh_token result={result}");
    let kept = [refresh("kept"), grant("unspent")];
    assert_eq!(others(&seen.spans()), kept);
    app.clock.advance(seconds(120));
    app.idp.set_fault(Endpoint::Token, None);
    browser.fetch(&app, "/").await;
    let renewed = [refresh("renewed"), grant("granted")];
    assert_eq!(others(&seen.spans()), renewed);

    browser
        .visit(&app, "/oauth/openid/callback?code=x&state=y")
        .await;
    let stray = format!("- > callback issuer={issuer} result=unknown_attempt");
    assert_eq!(others(&seen.spans()), [stray]);
}

// D18
#[tokio::test]
async fn a_request_that_waits_for_its_token_has_a_span() {
    let (idp, clock) = development().await;
    let provider = idp.provider().unwrap();
    let layer = OutboundLayer::client_credentials(&provider, client(), ORDERS).unwrap();
    let service = Upstream::new().behind(&layer);
    let seen = Seen::default();
    let _guard = seen.capture();
    call(&service, get(ORDERS)).await.unwrap();
    let waited = "- > outbound host=orders.internal result=supplied".to_owned();
    let granted = "- > grant grant=client_credentials result=granted".to_owned();
    assert_eq!(lines(&seen.spans()), [granted, waited]);
    call(&service, get(ORDERS)).await.unwrap();
    assert_eq!(lines(&seen.spans()), [""; 0], "its token is at hand");
    clock.advance(seconds(3_600));
    idp.set_fault(Endpoint::Token, Fault::Status(502));
    call(&service, get(ORDERS)).await.unwrap_err();
    let spans = lines(&seen.spans());
    let failed = "- > outbound host=orders.internal result=unavailable".to_owned();
    assert!(spans.contains(&failed), "{spans:?}");
}

/// A provider that answers nothing, and the fields of the calls to it.
fn recording() -> (HttpClient, Arc<Mutex<Vec<HeaderMap>>>) {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&calls);
    let client = HttpClient::new(service_fn(move |request: Request<Bytes>| {
        kept.lock().unwrap().push(request.headers().clone());
        let mut answer = Response::new(Full::<Bytes>::default());
        *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        async move { Ok::<_, std::convert::Infallible>(answer) }
    }));
    (client, calls)
}

// D18
#[tokio::test]
async fn the_context_of_a_trace_is_sent_where_the_application_gives_it() {
    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let seen = Seen::default();
    let _guard = seen.capture();
    let (client, calls) = recording();
    let within = Arc::new(Mutex::new(None));
    let written_in = Arc::clone(&within);
    let traced = client.clone().with_trace_context(move |headers| {
        *written_in.lock().unwrap() = tracing::Span::current()
            .metadata()
            .map(tracing::Metadata::name);
        for (name, value) in [
            ("traceparent", PARENT),
            ("tracestate", "vendor=1"),
            ("authorization", "Bearer other"),
            ("accept", "text/html"),
            ("baggage", "user=1"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
    });
    for client in [traced, client] {
        let provider = Provider::builder("https://id.example").with_http_client(client);
        let verifier = provider.build().unwrap().verifier(API).unwrap();
        let token = tower_oidc::testing::OfflineProvider::new("https://id.example");
        verifier
            .verify(&token.token(API).build())
            .await
            .unwrap_err();
    }
    let calls = calls.lock().unwrap();
    let sent = |call: &HeaderMap, name: &str| {
        let value = call.get(name);
        value.map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(calls.len(), 2, "{calls:?}");
    assert_eq!(sent(&calls[0], "traceparent").as_deref(), Some(PARENT));
    assert_eq!(sent(&calls[0], "tracestate").as_deref(), Some("vendor=1"));
    assert_eq!(
        sent(&calls[0], "accept").as_deref(),
        Some("application/json")
    );
    for name in ["authorization", "baggage"] {
        assert_eq!(sent(&calls[0], name), None);
    }
    assert_eq!(*within.lock().unwrap(), Some("fetch_keys"));
    for name in ["traceparent", "tracestate"] {
        assert_eq!(sent(&calls[1], name), None, "the application gave none");
    }
}

// D18
#[tokio::test]
async fn spans_hold_no_part_of_a_token() {
    let seen = Seen::default();
    let _guard = seen.capture();
    let idp = DevelopmentProvider::start().await.unwrap();
    let verifier = idp.provider().unwrap().verifier(API).unwrap();
    let token = idp
        .token(API)
        .claim("secret", "a-claim-of-the-token")
        .build();
    verifier.verify(&token).await.unwrap();
    let spans = format!("{:?}", seen.spans());
    assert!(spans.contains("accepted"), "{spans}");
    assert!(!spans.contains("a-claim-of-the-token") && !spans.contains("user-1"));
    let bytes = token.as_bytes().windows(16);
    let mut parts = bytes.map(|part| std::str::from_utf8(part).unwrap());
    assert!(!parts.any(|part| spans.contains(part)), "{spans}");
}
