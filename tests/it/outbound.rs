//! Tokens on outgoing requests, and on no others.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::header::{AUTHORIZATION, LOCATION};
use http::{Request, StatusCode};
use http_body_util::{Full, StreamBody};
use proptest::prelude::*;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_http::follow_redirect::FollowRedirectLayer;
use tower_oidc::danger::plain_http_destination;
use tower_oidc::error::{OutboundError, OutboundErrorKind as Kind};
use tower_oidc::outbound::{
    ClientCredentials, ClonedBodies, LiveToken, Never, Target, TokenRequest, TokenSource,
    TokenSupply,
};
use tower_oidc::testing::{DevelopmentProvider, Endpoint, Fault};
use tower_oidc::{Client, OutboundLayer};

use crate::browser::client;
use crate::support::{seconds, until};
use crate::upstream::{
    AUDIENCE, ORDERS, Upstream, basic, call, claims, development, get, kind, post, status,
};

fn fixed() -> OutboundLayer {
    OutboundLayer::fixed("a-fixed-token", ORDERS).unwrap()
}

/// Tokens of the service itself, for the audience.
fn own(idp: &DevelopmentProvider) -> OutboundLayer {
    let target = Target::audience(AUDIENCE).unwrap();
    let tokens = ClientCredentials::new(&idp.provider().unwrap(), client(), target);
    OutboundLayer::new(ORDERS, tokens).unwrap()
}

// OB-01
#[tokio::test]
async fn a_token_goes_to_its_destinations_and_nowhere_else() {
    let upstream = Upstream::new();
    let layer = fixed()
        .add_destination("http://127.0.0.1:8080")
        .unwrap()
        .add_destination(plain_http_destination("http://stock:8080").unwrap())
        .unwrap();
    let service = upstream.behind(&layer);
    let cases = [
        ("https://orders.internal/a", true),
        ("https://orders.internal:443/", true),
        ("http://127.0.0.1:8080/", true),
        ("http://stock:8080/", true),
        ("http://orders.internal/", false),
        ("https://orders.internal:8443/", false),
        ("https://orders.internal.evil.example/", false),
        ("https://orders.internal@evil.example/", false),
        ("http://127.0.0.1:8081/", false),
        ("https://stock:8080/", false),
    ];
    for (uri, expected) in cases {
        call(&service, get(uri)).await.unwrap();
        let seen = upstream.seen().pop().unwrap();
        assert_eq!(seen.token().is_some(), expected, "{uri}");
        assert_eq!(seen.uri, uri);
    }
    assert_eq!(kind(&service, get("/relative")).await, Kind::NoOrigin);
    assert_eq!(upstream.seen().len(), cases.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    // OB-01
    #[test]
    fn a_token_for_a_never_reaches_b(
        scheme in "https?", user in "([a-z.]{1,12}@)?", port in "(:[0-9]{1,4})?",
        host in "(orders\\.internal|ORDERS\\.internal|[a-z]{1,8}\\.internal|orders\\.internal[.a-z]{1,5}|127\\.0\\.0\\.[1-9])",
        path in "/[a-z@:.]{0,12}",
    ) {
        let uri = format!("{scheme}://{user}{host}{port}{path}");
        prop_assume!(uri.parse::<http::Uri>().is_ok());
        let upstream = Upstream::new();
        let service = upstream.behind(&fixed());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(call(&service, get(&uri))).unwrap();
        let is_orders = scheme == "https"
            && host.eq_ignore_ascii_case("orders.internal")
            && matches!(port.as_str(), "" | ":443" | ":0443");
        let seen = upstream.seen().pop().unwrap();
        prop_assert_eq!(seen.token().is_some(), is_orders, "{}", uri);
    }
}

fn redirecting() -> Upstream {
    Upstream::answering(|seen| {
        let mut response = status(StatusCode::TEMPORARY_REDIRECT);
        let to = match seen.uri.path() {
            "/out" => "https://elsewhere.example/in",
            "/plain" => "http://orders.internal/in",
            "/within" => "/in",
            _ => return status(StatusCode::OK),
        };
        response.headers_mut().insert(LOCATION, to.parse().unwrap());
        response
    })
}

// OB-02
#[tokio::test]
async fn a_redirect_to_another_origin_loses_the_token() {
    for (path, last) in [("/out", false), ("/plain", false), ("/within", true)] {
        // Each hop passes the layer.
        let upstream = redirecting();
        let service = ServiceBuilder::new()
            .layer(FollowRedirectLayer::new())
            .layer(fixed())
            .service(upstream.client());
        let answer = service.oneshot(get(format!("{ORDERS}{path}"))).await;
        assert_eq!(answer.unwrap().status(), StatusCode::OK);
        let tokens = upstream.tokens();
        let carried: Vec<_> = tokens.iter().map(Option::is_some).collect();
        assert_eq!(carried, [true, last], "{path}");

        // Or a follower inside of the layer drops it, as its standard policy does.
        let upstream = redirecting();
        let service = ServiceBuilder::new()
            .layer(fixed())
            .layer(FollowRedirectLayer::new())
            .service(upstream.client());
        call(&service, get(format!("{ORDERS}{path}")))
            .await
            .unwrap();
        let tokens = upstream.tokens();
        let carried: Vec<_> = tokens.iter().map(Option::is_some).collect();
        assert_eq!(carried, [true, last], "{path}, followed within");
    }
}

// OB-03
#[tokio::test]
async fn a_refused_token_is_renewed_once_and_the_request_repeated_once() {
    let (idp, _clock) = development().await;
    let upstream = Upstream::refusing_the_first();
    let service = upstream.behind(&own(&idp));
    let request = Request::get(format!("{ORDERS}/a?b"))
        .header("x-mark", "1")
        .body(Full::default())
        .unwrap();
    assert_eq!(
        call(&service, request).await.unwrap().status(),
        StatusCode::OK
    );
    let seen = upstream.seen();
    assert_eq!(seen.len(), 2);
    assert_ne!(seen[0].token(), seen[1].token());
    assert_eq!(seen[1].uri, *format!("{ORDERS}/a?b"));
    assert_eq!(seen[1].headers["x-mark"], "1");
    assert_eq!(idp.hits().token, 2);
    // The newer one is kept.
    call(&service, get(ORDERS)).await.unwrap();
    assert_eq!((upstream.seen().len(), idp.hits().token), (3, 2));
}

// OB-03
#[tokio::test]
async fn a_request_that_cannot_be_repeated_gets_401_and_the_next_a_newer_token() {
    let (idp, _clock) = development().await;
    let upstream = Upstream::refusing_the_first();
    let service = upstream.behind(&own(&idp));
    let answer = call(&service, post(ORDERS)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(upstream.seen().len(), 1);
    let answer = call(&service, post(ORDERS)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!((upstream.seen().len(), idp.hits().token), (2, 2));
    // The application may allow the repeat, or forbid every repeat.
    for (repeats, expected) in [(true, 2), (false, 1)] {
        let upstream = Upstream::refusing(|_| true);
        let (client, layer) = (upstream.client(), own(&idp));
        let request = post(ORDERS);
        let answer = if repeats {
            let service = layer.with_repeat(ClonedBodies).layer(client);
            call(&service, request).await
        } else {
            let service = layer.with_repeat(Never).layer(client);
            call(&service, request).await
        };
        assert_eq!(answer.unwrap().status(), StatusCode::UNAUTHORIZED);
        assert_eq!(upstream.seen().len(), expected);
        assert!(upstream.seen().iter().all(|seen| seen.body));
    }
}

// OB-03
#[tokio::test]
async fn a_service_that_refuses_every_token_causes_few_grants() {
    let (idp, clock) = development().await;
    let upstream = Upstream::refusing(|_| true);
    let service = upstream.behind(&own(&idp));
    for _ in 0..100 {
        let answer = call(&service, get(ORDERS)).await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    }
    // The first grant, and two that refused tokens forced.
    assert_eq!(idp.hits().token, 3);
    assert!(upstream.seen().len() <= 102, "{}", upstream.seen().len());
    clock.advance(seconds(31));
    for _ in 0..10 {
        call(&service, get(ORDERS)).await.unwrap();
    }
    assert_eq!(idp.hits().token, 4);
}

// OB-03
#[tokio::test]
async fn many_refused_at_once_are_one_renewal() {
    let (idp, _clock) = development().await;
    let upstream = Upstream::refusing_the_first();
    let service = upstream.behind(&own(&idp));
    let calls = (0..100).map(|_| {
        let service = service.clone();
        tokio::spawn(async move { call(&service, get(ORDERS)).await.unwrap().status() })
    });
    for answer in calls.collect::<Vec<_>>() {
        assert_eq!(answer.await.unwrap(), StatusCode::OK);
    }
    assert_eq!(idp.hits().token, 2);
}

// OB-03
#[tokio::test]
async fn without_a_newer_token_the_401_is_passed_on_with_the_reason() {
    let (idp, clock) = development().await;
    let upstream = Upstream::refusing(|_| true);
    let service = upstream.behind(&own(&idp));
    call(&service, get(ORDERS)).await.unwrap();
    clock.advance(seconds(31));
    let rejection = Fault::Answer {
        status: 400,
        headers: vec![("content-type".into(), "application/json".into())],
        body: r#"{"error":"unauthorized_client"}"#.into(),
    };
    idp.set_fault(Endpoint::Token, rejection);
    let answer = call(&service, get(ORDERS)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let reason: &OutboundError = answer.extensions().get().unwrap();
    assert_eq!(reason.kind(), Kind::Misconfigured);
    // A token that never changes is not asked for again.
    let upstream = Upstream::refusing(|_| true);
    let answer = call(&upstream.behind(&fixed()), get(ORDERS)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(upstream.seen().len(), 1);
}

// OB-04
#[tokio::test]
async fn a_streaming_body_is_not_read_ahead() {
    let frames = Arc::new(AtomicU32::new(0));
    let pulled = Arc::clone(&frames);
    let stream = futures_util::stream::iter(0..1_000_000).map(move |_| {
        pulled.fetch_add(1, Ordering::SeqCst);
        Ok::<_, std::convert::Infallible>(http_body::Frame::data(Bytes::from_static(b"x")))
    });
    // Such a body is neither cloned nor rebuilt, so it needs no more than this.
    let service = fixed().with_repeat(Never).layer(service_fn(
        |request: Request<StreamBody<_>>| async move {
            assert!(request.headers().contains_key(AUTHORIZATION));
            let mut stream = request.into_body();
            stream.next().await;
            Ok::<_, std::convert::Infallible>(status(StatusCode::UNAUTHORIZED))
        },
    ));
    let request = Request::post(ORDERS)
        .body(StreamBody::new(Box::pin(stream)))
        .unwrap();
    let answer = service.oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(frames.load(Ordering::SeqCst), 1);
}

// OB-05
#[tokio::test]
async fn other_refusals_are_passed_on() {
    let (idp, _clock) = development().await;
    for code in [
        StatusCode::FORBIDDEN,
        StatusCode::INTERNAL_SERVER_ERROR,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::PROXY_AUTHENTICATION_REQUIRED,
    ] {
        let upstream = Upstream::answering(move |_| status(code));
        let service = upstream.behind(&own(&idp));
        assert_eq!(call(&service, get(ORDERS)).await.unwrap().status(), code);
        assert_eq!(upstream.seen().len(), 1);
    }
}

// OB-06
#[tokio::test]
async fn an_authorization_of_the_callers_is_refused_or_kept_and_never_doubled() {
    let upstream = Upstream::new();
    let with_basic = |uri: &str| {
        let mut request = get(uri);
        request.headers_mut().insert(AUTHORIZATION, basic());
        request
    };
    let strict = upstream.behind(&fixed());
    assert_eq!(
        kind(&strict, with_basic(ORDERS)).await,
        Kind::AuthorizationPresent
    );
    assert!(upstream.seen().is_empty());
    let keeping = upstream.behind(&fixed().keep_authorization());
    call(&keeping, with_basic(ORDERS)).await.unwrap();
    // The layer leaves requests to other destinations as they are.
    call(&strict, with_basic("https://elsewhere.example"))
        .await
        .unwrap();
    for seen in upstream.seen() {
        let fields: Vec<_> = seen.headers.get_all(AUTHORIZATION).iter().collect();
        assert_eq!(fields, [basic()]);
    }
}

// OB-08
#[tokio::test]
async fn one_grant_serves_all_and_is_renewed_behind_them() {
    let (idp, clock) = development().await;
    idp.set_token_lifetime(seconds(600));
    let layer = own(&idp);
    let upstream = Upstream::new();
    // Two services of one layer.
    let services = [upstream.behind(&layer), upstream.behind(&layer)];
    let calls = (0..200).map(|n: usize| {
        let service = services[n % 2].clone();
        tokio::spawn(async move { call(&service, get(ORDERS)).await.unwrap() })
    });
    for answer in calls.collect::<Vec<_>>() {
        answer.await.unwrap();
    }
    assert_eq!(idp.hits().token, 1);
    let form = idp.seen(Endpoint::Token).pop().unwrap();
    let expected = [("grant_type", "client_credentials"), ("audience", AUDIENCE)];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(form, expected);
    let token = upstream.tokens().pop().unwrap().unwrap();
    assert_eq!(claims(&token)["aud"], AUDIENCE);

    // A minute before its end the old token is used, and renewed in the background.
    clock.advance(seconds(545));
    call(&services[0], get(ORDERS)).await.unwrap();
    assert_eq!(upstream.tokens().pop().unwrap().unwrap(), token);
    until(|| idp.hits().token == 2).await;
    let service = services[1].clone();
    let (again, seen) = (upstream.clone(), token.clone());
    for _ in 0..2_000 {
        call(&service, get(ORDERS)).await.unwrap();
        if again.tokens().pop().unwrap().unwrap() != seen {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_ne!(upstream.tokens().pop().unwrap().unwrap(), token);
    assert_eq!(idp.hits().token, 2);
    // Ten seconds before its end no request gets the old token.
    clock.advance(seconds(595));
    call(&services[0], get(ORDERS)).await.unwrap();
    let last = claims(&upstream.tokens().pop().unwrap().unwrap());
    assert_eq!(idp.hits().token, 3);
    assert_eq!(
        last["exp"].as_i64().unwrap() - last["iat"].as_i64().unwrap(),
        600
    );
}

// OB-08
#[tokio::test]
async fn a_grant_is_asked_for_in_the_words_of_the_standards() {
    let (idp, _clock) = development().await;
    let provider = idp.provider().unwrap();
    let target = Target::resource("https://a.example/")
        .and_then(|target| target.add_resource("https://b.example/"))
        .and_then(|target| target.with_scope("read write"))
        .unwrap();
    let layer =
        OutboundLayer::new(ORDERS, ClientCredentials::new(&provider, client(), target)).unwrap();
    let plain = OutboundLayer::client_credentials(&provider, client(), ORDERS).unwrap();
    let upstream = Upstream::new();
    for layer in [layer, plain] {
        call(&upstream.behind(&layer), get(ORDERS)).await.unwrap();
    }
    let forms: Vec<Vec<_>> = idp
        .seen(Endpoint::Token)
        .into_iter()
        .map(|form| {
            form.into_iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect()
        })
        .collect();
    let grant = "grant_type=client_credentials";
    let (a, b) = ("resource=https://a.example/", "resource=https://b.example/");
    assert_eq!(forms[0], [grant, a, b, "scope=read write"]);
    assert_eq!(forms[1], [grant]);
}

// OB-08
#[tokio::test]
async fn no_token_no_call_and_the_error_says_why() {
    let (idp, clock) = development().await;
    let upstream = Upstream::new();
    let wrong = Client::with_secret("development", "another-secret").unwrap();
    let layer = OutboundLayer::client_credentials(&idp.provider().unwrap(), wrong, ORDERS).unwrap();
    let service = upstream.behind(&layer);
    for _ in 0..50 {
        let error = call(&service, get(ORDERS)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Misconfigured);
        assert_eq!(error.host(), Some("orders.internal"));
        assert_eq!(error.retry_after(), None);
        let text = format!("{error}: {}", std::error::Error::source(&error).unwrap());
        assert!(
            text.contains("invalid_client") && text.contains("OPENID_CLIENT_SECRET"),
            "{text}"
        );
        assert!(!text.contains("another-secret") && !format!("{error:?}").contains("another"));
    }
    assert_eq!(idp.hits().token, 1, "waiting mends nothing");
    clock.advance(seconds(61));
    call(&service, get(ORDERS)).await.unwrap_err();
    assert_eq!(idp.hits().token, 2);

    // The provider asks to wait, and no request is sent before that.
    let service = upstream.behind(&own(&idp));
    let busy = Fault::Answer {
        status: 429,
        headers: vec![("retry-after".into(), "20".into())],
        body: Vec::new(),
    };
    idp.set_fault(Endpoint::Token, busy);
    for _ in 0..50 {
        let error = call(&service, get(ORDERS)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable);
        assert!(error.retry_after().unwrap() <= seconds(20));
        assert!(error.retry_after().unwrap() >= seconds(19));
    }
    assert_eq!(idp.hits().token, 3);
    idp.set_fault(Endpoint::Token, None);
    clock.advance(seconds(19));
    call(&service, get(ORDERS)).await.unwrap_err();
    clock.advance(seconds(1));
    call(&service, get(ORDERS)).await.unwrap();
    assert!(upstream.seen().len() == 1, "nothing went bare");
}

// OB-08
#[tokio::test]
async fn an_outage_is_not_seen_while_the_token_lives() {
    let (idp, clock) = development().await;
    let upstream = Upstream::new();
    let service = upstream.behind(&own(&idp));
    call(&service, get(ORDERS)).await.unwrap();
    idp.set_fault(Endpoint::Token, Fault::Status(500));
    clock.advance(seconds(3_560));
    for _ in 0..20 {
        call(&service, get(ORDERS)).await.unwrap();
        tokio::task::yield_now().await;
    }
    until(|| idp.hits().token >= 2).await;
    // In its last seconds a request waits for a newer token. If that comes late or fails, the old one is used.
    clock.advance(seconds(35));
    for _ in 0..20 {
        call(&service, get(ORDERS)).await.unwrap();
    }
    let token = upstream.tokens().pop();
    assert!(
        upstream
            .tokens()
            .iter()
            .all(|sent| Some(sent) == token.as_ref())
    );
    assert!(idp.hits().token <= 4, "{}", idp.hits().token);
    clock.advance(seconds(5));
    assert_eq!(kind(&service, get(ORDERS)).await, Kind::Unavailable);
    idp.set_fault(Endpoint::Token, None);
    clock.advance(seconds(60));
    call(&service, get(ORDERS)).await.unwrap();
}

// OB-08
#[tokio::test]
async fn a_grant_that_is_rejected_ends_with_the_last_seconds_of_the_token() {
    let (idp, clock) = development().await;
    let upstream = Upstream::new();
    let service = upstream.behind(&own(&idp));
    call(&service, get(ORDERS)).await.unwrap();
    idp.set_fault(
        Endpoint::Token,
        Fault::Answer {
            status: 400,
            headers: vec![("content-type".into(), "application/json".into())],
            body: br#"{"error":"unauthorized_client"}"#.to_vec(),
        },
    );
    clock.advance(seconds(3_595));
    assert_eq!(kind(&service, get(ORDERS)).await, Kind::Misconfigured);
    assert_eq!(upstream.seen().len(), 1);
}

// OB-08
#[tokio::test]
async fn a_request_that_goes_away_harms_no_other() {
    let (idp, _clock) = development().await;
    idp.set_fault(
        Endpoint::Token,
        Fault::Slow(std::time::Duration::from_millis(200)),
    );
    let service = Upstream::new().behind(&own(&idp));
    let impatient = tokio::time::timeout(
        std::time::Duration::from_millis(50),
        call(&service, get(ORDERS)),
    );
    assert!(impatient.await.is_err());
    call(&service, get(ORDERS)).await.unwrap();
    assert_eq!(idp.hits().token, 1);
}

// OB-13
#[tokio::test]
async fn header_values_are_sensitive_and_nothing_prints() {
    let (idp, _clock) = development().await;
    let upstream = Upstream::new();
    let layer = own(&idp);
    let service = upstream.behind(&layer);
    call(&service, get(ORDERS)).await.unwrap();
    let seen = upstream.seen().pop().unwrap();
    assert!(seen.headers[AUTHORIZATION].is_sensitive());
    let token = LiveToken::new(seen.token().unwrap()).unwrap();
    let shown = format!("{layer:?} {service:?} {token:?} {:?}", fixed());
    for part in seen.token().unwrap().split('.') {
        assert!(!shown.contains(part), "{shown}");
    }
    assert!(!shown.contains("a-fixed-token") && !shown.contains("development-secret"));
    assert!(LiveToken::new("").is_err() && LiveToken::new("a b").is_err());
    let error = OutboundLayer::fixed("sec ret", ORDERS).unwrap_err();
    assert!(!error.to_string().contains("sec ret"), "{error}");
}

// OB-14
#[tokio::test]
async fn readiness_is_the_inner_services_and_the_ready_one_is_called() {
    // The mock panics if it is called without having been ready.
    let (mock, mut handle) =
        tower_test::mock::pair::<Request<Full<Bytes>>, http::Response<Full<Bytes>>>();
    let (idp, _clock) = development().await;
    handle.allow(0);
    let mut service = tower_test::mock::Spawn::new(own(&idp).layer(mock));
    assert!(
        service.poll_ready().is_pending(),
        "the inner one is not ready"
    );
    handle.allow(2);
    assert!(service.poll_ready().is_ready());
    // The token must be fetched first, so the ready service waits inside the future.
    let answer = tokio::spawn(service.call(get(ORDERS)));
    let (request, reply) = handle.next_request().await.unwrap();
    assert!(request.headers().contains_key(AUTHORIZATION));
    reply.send_response(status(StatusCode::UNAUTHORIZED));
    let (request, reply) = handle.next_request().await.unwrap();
    assert!(request.headers().contains_key(AUTHORIZATION));
    reply.send_response(status(StatusCode::OK));
    assert_eq!(answer.await.unwrap().unwrap().status(), StatusCode::OK);
}

/// A source of the application: a new token at each request.
struct Numbered(AtomicU32);

impl TokenSource for Numbered {
    fn supply(&self, asked: &TokenRequest<'_>) -> TokenSupply {
        if asked.uri().is_none_or(|uri| uri.path() == "/none") {
            let reason = "there is none for this path";
            return TokenSupply::Refused(OutboundError::source_failed(reason));
        }
        let number = self.0.fetch_add(1, Ordering::SeqCst);
        match LiveToken::new(&format!("token-{number}")) {
            Ok(token) => TokenSupply::Ready(token),
            Err(error) => TokenSupply::Refused(OutboundError::source_failed(error)),
        }
    }
}

#[tokio::test]
async fn a_source_of_the_application_is_asked_for_each_request() {
    let upstream = Upstream::refusing(|token| token == "token-1");
    let layer = OutboundLayer::new(ORDERS, Numbered(AtomicU32::new(0))).unwrap();
    let service = upstream.behind(&layer);
    for _ in 0..2 {
        let answer = call(&service, get(ORDERS)).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    }
    let tokens: Vec<_> = upstream.tokens().into_iter().flatten().collect();
    assert_eq!(tokens, ["token-0", "token-1", "token-2"]);
    let error = call(&service, get(format!("{ORDERS}/none")))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Source);
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(cause, "there is none for this path");
    assert!(
        error
            .to_string()
            .starts_with("no token for orders.internal: ")
    );
}
