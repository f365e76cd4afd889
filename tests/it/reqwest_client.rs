//! The client of reqwest whose requests carry tokens, and tokens without a layer.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use ::axum::Router;
use ::axum::extract::{Request, State};
use ::axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, LOCATION};
use http::{HeaderMap, StatusCode};
use reqwest::redirect::Policy;
use tokio::net::TcpListener;
use tower_oidc::error::OutboundErrorKind as Kind;
use tower_oidc::outbound::{
    CallError, ClientCredentials, LiveToken, OnBehalfOf, ReqwestClient, Target, TokenExchange,
    TokenSource,
};
use tower_oidc::testing::{DevelopmentProvider, Endpoint, Fault};
use tower_oidc::{BearerLayer, OutboundLayer};

use crate::browser::client as credentials;
use crate::exchange::principal;
use crate::support::{API, judging, seconds};
use crate::upstream::{AUDIENCE, ORDERS, Upstream, call, claims, development, get};

/// A service on a port of its own that records what reaches it.
#[derive(Clone, Default)]
struct Service {
    seen: Arc<Mutex<Vec<(String, HeaderMap)>>>,
    refusals: Arc<AtomicU32>,
    elsewhere: Arc<Mutex<String>>,
}

async fn answer(State(service): State<Service>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = ::axum::body::to_bytes(body, 1_000).await.unwrap();
    let path = head.uri.path().to_owned();
    service
        .seen
        .lock()
        .unwrap()
        .push((path.clone(), head.headers));
    if path == "/away" {
        let location = service.elsewhere.lock().unwrap().clone();
        return (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, location)]).into_response();
    }
    let left = |left: u32| left.checked_sub(1);
    let (set, fetch) = (Ordering::SeqCst, Ordering::SeqCst);
    if service.refusals.fetch_update(set, fetch, left).is_ok() {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    body.into_response()
}

impl Service {
    async fn start() -> (Self, String) {
        let service = Self::default();
        let app = Router::new().fallback(answer).with_state(service.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { ::axum::serve(listener, app).await.unwrap() });
        (service, origin)
    }

    /// The token of each request.
    fn tokens(&self) -> Vec<Option<String>> {
        let seen = self.seen.lock().unwrap();
        let token = |headers: &HeaderMap| {
            let value = headers.get(AUTHORIZATION)?.to_str().unwrap();
            Some(value.strip_prefix("Bearer ").unwrap().to_owned())
        };
        seen.iter().map(|(_, headers)| token(headers)).collect()
    }
}

fn own(idp: &DevelopmentProvider) -> ClientCredentials {
    let target = Target::audience(AUDIENCE).unwrap();
    ClientCredentials::new(&idp.provider().unwrap(), credentials(), target)
}

fn kind(error: &CallError) -> Option<Kind> {
    match error {
        CallError::NoToken(error) => Some(error.kind()),
        _ => None,
    }
}

// OB-01, OB-03
#[tokio::test]
async fn a_client_of_reqwest_sends_tokens_and_repeats_a_refused_request() {
    let (idp, _clock) = development().await;
    let (service, origin) = Service::start().await;
    let (other, elsewhere) = Service::start().await;
    let client = OutboundLayer::new(&origin, own(&idp)).unwrap();
    let client: ReqwestClient = client.client().unwrap();
    service.refusals.store(1, Ordering::SeqCst);
    let url = format!("{origin}/a?b=c");
    let response = client.get(&url).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.url().as_str(), url);
    let tokens = service.tokens();
    assert_eq!(tokens.len(), 2);
    assert!(tokens[0].is_some() && tokens[1].is_some() && tokens[0] != tokens[1]);
    // A body is not sent twice by default, and the next request has the newer token.
    service.refusals.store(1, Ordering::SeqCst);
    let call = client
        .post(&origin)
        .with(|request| request.body("one pear"));
    let response = call.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(service.tokens().len(), 3);
    let copied = |body: &reqwest::Body| body.as_bytes().map(|bytes| bytes.to_vec().into());
    let repeating = OutboundLayer::new(&origin, own(&idp)).unwrap();
    let repeating = repeating.with_repeat(copied).client().unwrap();
    service.refusals.store(1, Ordering::SeqCst);
    let call = repeating
        .post(&origin)
        .with(|request| request.body("one pear"));
    let response = call.send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), "one pear");
    assert_eq!(service.tokens().len(), 5);
    // Any other origin is called without a token.
    let request = reqwest::Client::new().get(&elsewhere).build().unwrap();
    client.execute(request).await.unwrap();
    assert_eq!(other.tokens(), [None]);
    for shown in [format!("{client:?}"), format!("{:?}", client.get(&origin))] {
        let tokens = service.tokens();
        assert!(
            tokens.iter().flatten().all(|token| !shown.contains(token)),
            "{shown}"
        );
    }
}

// OB-02
#[tokio::test]
async fn no_redirect_takes_a_token_along_whatever_reqwest_is_told() {
    let (service, origin) = Service::start().await;
    let (other, elsewhere) = Service::start().await;
    *service.elsewhere.lock().unwrap() = format!("{elsewhere}/in");
    let layer = || OutboundLayer::fixed("a-fixed-token", &origin).unwrap();
    let plain = layer().client().unwrap();
    let chosen = layer()
        .client_with(|builder| builder.redirect(Policy::limited(5)).referer(true))
        .unwrap();
    for client in [plain, chosen] {
        let response = client.get(format!("{origin}/away")).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::TEMPORARY_REDIRECT);
        assert!(other.seen.lock().unwrap().is_empty(), "it is not followed");
        let location = response.headers()[LOCATION].to_str().unwrap().to_owned();
        client.get(location).send().await.unwrap();
        assert_eq!(other.tokens(), [None]);
        other.seen.lock().unwrap().clear();
    }
}

// OB-07
#[tokio::test]
async fn a_named_caller_is_the_one_whose_token_is_sent() {
    let (idp, _clock) = development().await;
    let verifier = judging(&idp.provider().unwrap(), API);
    let layer = BearerLayer::new(verifier.clone()).allow_relay();
    let tokens = ["ann", "bob"].map(|name| idp.token(API).subject(name).build());
    let ann = principal(&layer, &tokens[0]).await;
    let bob = principal(&layer, &tokens[1]).await;
    let (service, origin) = Service::start().await;
    let client = OutboundLayer::relay(&origin).unwrap().client().unwrap();
    let error = client.get(&origin).send().await.unwrap_err();
    assert_eq!(kind(&error), Some(Kind::NoCaller));
    assert_eq!(error.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let unkept = principal(&BearerLayer::new(verifier), &tokens[0]).await;
    let error = client.for_caller(&unkept).get(&origin).send().await;
    assert_eq!(kind(&error.unwrap_err()), Some(Kind::NoTokenToRelay));
    assert!(service.tokens().is_empty());
    let of_ann = client.for_caller(&ann);
    of_ann.get(&origin).send().await.unwrap();
    // The last that was named counts, and the first client has no caller still.
    of_ann.for_caller(&bob).get(&origin).send().await.unwrap();
    assert!(client.get(&origin).send().await.is_err());
    assert_eq!(service.tokens(), tokens.clone().map(Some));

    // So it is with any client, whichever principal the request has with it.
    let upstream = Upstream::new();
    let orders = OutboundLayer::relay(ORDERS)
        .unwrap()
        .around(upstream.client());
    let mut request = get(ORDERS);
    request.extensions_mut().insert(ann);
    orders.for_caller(&bob).send(request).await.unwrap();
    let error = orders.send(get(ORDERS)).await.unwrap_err();
    assert!(error.is::<tower_oidc::OutboundError>());
    assert_eq!(upstream.tokens(), [Some(tokens[1].clone())]);
}

// OB-08, OB-13
#[tokio::test]
async fn a_program_without_a_caller_asks_its_source_for_a_token() {
    let (idp, clock) = development().await;
    idp.set_token_lifetime(seconds(300));
    let source = own(&idp);
    let asked = (0..100).map(|_| tokio::spawn(source.clone().token()));
    let asked: Vec<_> = asked.collect();
    let mut tokens: Vec<LiveToken> = Vec::new();
    for token in asked {
        tokens.push(token.await.unwrap().unwrap());
    }
    assert_eq!(idp.hits().token, 1, "one grant");
    let first = &tokens[0];
    let text = first.as_access_token().as_str().to_owned();
    assert_eq!(claims(&text)["aud"], AUDIENCE);
    assert_eq!(first.to_authorization(), format!("Bearer {text}"));
    assert!(first.to_authorization().is_sensitive());
    let exp = claims(&text)["exp"].as_i64().unwrap();
    assert_eq!(first.expires_at().unwrap().as_seconds(), exp);
    assert!(!format!("{first:?} {source:?}").contains(&text[..16]));
    // The layer has the same.
    let upstream = Upstream::new();
    let layer = OutboundLayer::new(ORDERS, source.clone()).unwrap();
    call(&upstream.behind(&layer), get(ORDERS)).await.unwrap();
    assert_eq!(upstream.tokens(), [Some(text)]);
    // It is renewed before its end, and after a refusal.
    clock.advance(seconds(250));
    source.token().await.unwrap();
    let renewed = async || {
        loop {
            let token = source.token().await.unwrap();
            if token.generation() > first.generation() {
                return token;
            }
            tokio::task::yield_now().await;
        }
    };
    let second = tokio::time::timeout(seconds(60), renewed()).await.unwrap();
    assert_eq!(idp.hits().token, 2);
    second.mark_refused();
    let third = source.token().await.unwrap();
    assert!(third.generation() > second.generation() && !third.is_refused());
    // Without a token there is a reason.
    clock.advance(seconds(301));
    idp.set_fault(
        Endpoint::Token,
        Fault::Answer {
            status: 503,
            headers: Vec::new(),
            body: Vec::new(),
        },
    );
    let error = source.token().await.unwrap_err();
    assert_eq!((error.kind(), error.host()), (Kind::Unavailable, None));
    assert!(error.retry_after().is_some());
    // A fixed token is its own source.
    let fixed = LiveToken::new("fixed").unwrap().token().await.unwrap();
    assert_eq!(fixed.as_access_token().as_str(), "fixed");
}

// OB-09, OB-10
#[tokio::test]
async fn a_token_is_exchanged_for_a_named_caller_without_a_layer() {
    let (idp, _clock) = development().await;
    let provider = idp.provider().unwrap();
    let layer = BearerLayer::new(judging(&provider, API)).allow_relay();
    let ann = principal(&layer, &idp.token(API).subject("ann").build()).await;
    let bob = principal(&layer, &idp.token(API).subject("bob").build()).await;
    let target = Target::audience(AUDIENCE).unwrap();
    let exchange = TokenExchange::new(&provider, credentials(), target);
    for _ in 0..3 {
        for (caller, name) in [(&ann, "ann"), (&bob, "bob")] {
            let token = exchange.token_for(caller).await.unwrap();
            let claims = claims(token.as_access_token().as_str());
            assert_eq!(
                (&claims["sub"], &claims["aud"]),
                (&name.into(), &AUDIENCE.into())
            );
        }
    }
    assert_eq!(idp.hits().token, 2, "one grant for each caller");
    let error = exchange.token().await.unwrap_err();
    assert_eq!(error.kind(), Kind::NoCaller);
    // A program has no user to act for.
    let program = idp
        .token(API)
        .subject("development")
        .claim("client_id", "development");
    let program = principal(&layer, &program.build()).await;
    let entra = OnBehalfOf::new(&provider, credentials(), "api://orders/.default").unwrap();
    let error = entra.token_for(&program).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotAUser);
}
