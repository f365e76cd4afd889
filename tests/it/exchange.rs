//! Tokens that are exchanged for those of callers.

use base64::Engine as _;
use http::Request;
use serde_json::{Value, json};
use tower::Layer;
use tower_oidc::env::ServiceSettings;
use tower_oidc::error::{OutboundError, OutboundErrorKind as Kind};
use tower_oidc::outbound::{ClientCredentials, OnBehalfOf, Target, TokenExchange, TokenSource};
use tower_oidc::testing::{
    DevelopmentProvider, Endpoint, Fault, ManualClock, OfflineProvider, TokenBuilder,
};
use tower_oidc::{BearerLayer, OutboundLayer, Principal};

use crate::browser::client;
use crate::support::{API, bearing, judging, seconds};
use crate::upstream::{AUDIENCE, Body, ORDERS, Upstream, call, claims, development, get, kind};

/// The principal that a bearer layer makes of a caller's token.
pub(crate) async fn caller(idp: &DevelopmentProvider, token: impl Into<String>) -> Principal {
    let verifier = judging(&idp.provider().unwrap(), API);
    let layer = BearerLayer::new(verifier).allow_relay();
    principal(&layer, &token.into()).await
}

pub(crate) async fn principal(layer: &BearerLayer, token: &str) -> Principal {
    let (sender, receiver) = std::sync::mpsc::channel();
    let inner = tower::service_fn(move |request: Request<String>| {
        let found = request.extensions().get::<Principal>().cloned();
        sender.send(found.unwrap()).unwrap();
        async { Ok::<_, std::convert::Infallible>(http::Response::new(String::new())) }
    });
    let service = layer.layer(inner);
    let answer = tower::ServiceExt::oneshot(service, bearing(token))
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    receiver.recv().unwrap()
}

pub(crate) fn from(principal: &Principal) -> Request<Body> {
    let mut request = get(ORDERS);
    request.extensions_mut().insert(principal.clone());
    request
}

pub(crate) fn layer(source: impl TokenSource) -> OutboundLayer {
    OutboundLayer::new(ORDERS, source).unwrap()
}

pub(crate) fn exchange(idp: &DevelopmentProvider) -> TokenExchange {
    let target = Target::audience(AUDIENCE)
        .and_then(|target| target.with_scope("orders:read"))
        .unwrap();
    TokenExchange::new(&idp.provider().unwrap(), client(), target)
}

fn user(idp: &DevelopmentProvider, subject: &str) -> TokenBuilder {
    idp.token(API).subject(subject)
}

fn form(idp: &DevelopmentProvider) -> Vec<(String, String)> {
    idp.seen(Endpoint::Token).pop().unwrap()
}

fn value<'a>(form: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = form.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
}

// OB-09
#[tokio::test]
async fn an_exchange_is_asked_for_and_judged_in_the_standards_words() {
    let (idp, _clock) = development().await;
    let token = user(&idp, "user-7").build();
    let ann = caller(&idp, token.clone()).await;
    let upstream = Upstream::new();
    let service = upstream.behind(&layer(exchange(&idp)));
    call(&service, from(&ann)).await.unwrap();
    let access = "urn:ietf:params:oauth:token-type:access_token";
    let expected = [
        (
            "grant_type",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        ),
        ("subject_token", token.as_str()),
        ("subject_token_type", access),
        ("requested_token_type", access),
        ("audience", AUDIENCE),
        ("scope", "orders:read"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(form(&idp), expected);
    let sent = upstream.tokens().pop().unwrap().unwrap();
    let sent = claims(&sent);
    assert_eq!(
        (&sent["sub"], &sent["aud"]),
        (&json!("user-7"), &json!(AUDIENCE))
    );

    // With an actor token, and a type of subject token that only this provider knows.
    let own = Target::audience(AUDIENCE).unwrap();
    let actor = ClientCredentials::new(&idp.provider().unwrap(), client(), own);
    let source = exchange(&idp)
        .with_subject_token_type("urn:example:session")
        .with_actor(actor);
    call(&upstream.behind(&layer(source)), from(&ann))
        .await
        .unwrap();
    let form = form(&idp);
    assert_eq!(
        value(&form, "subject_token_type"),
        Some("urn:example:session")
    );
    assert_eq!(value(&form, "actor_token_type"), Some(access));
    assert_eq!(
        claims(value(&form, "actor_token").unwrap())["sub"],
        "development"
    );
    let sent = claims(&upstream.tokens().pop().unwrap().unwrap());
    assert_eq!(sent["act"], json!({"sub": "development"}));
}

// OB-09, D17
#[tokio::test]
async fn an_exchange_with_the_settings_of_the_environment() {
    let idp = DevelopmentProvider::builder().start().await.unwrap();
    let ann = caller(&idp, user(&idp, "ann").build()).await;
    let settings = ServiceSettings::from_pairs([
        ("OPENID_ISSUER", idp.issuer()),
        ("OPENID_CLIENT_ID", "development"),
        ("OPENID_CLIENT_SECRET", "development-secret"),
        ("OPENID_REQUEST_AUDIENCE", AUDIENCE),
        ("OPENID_SCOPE", "openid orders:read"),
        ("OPENID_SUBJECT_TOKEN_TYPE", "urn:example:session"),
    ])
    .unwrap();
    let upstream = Upstream::new();
    let service = upstream.behind(&layer(settings.exchange()));
    call(&service, from(&ann)).await.unwrap();
    let form = form(&idp);
    for (name, expected) in [
        ("subject_token_type", "urn:example:session"),
        ("audience", AUDIENCE),
        ("scope", "orders:read"),
    ] {
        assert_eq!(value(&form, name), Some(expected));
    }
}

// OB-09
#[tokio::test]
async fn a_result_that_is_no_access_token_is_not_attached() {
    let id_token = "urn:ietf:params:oauth:token-type:id_token";
    let cases: [(&str, Value, &str); 5] = [
        ("issued_token_type", json!(id_token), "issued_token_type"),
        ("issued_token_type", Value::Null, "issued_token_type"),
        ("issued_token_type", json!(7), "issued_token_type"),
        ("token_type", json!("N_A"), "token_type"),
        ("token_type", json!("DPoP"), "token_type"),
    ];
    for (member, changed, expected) in cases {
        let (idp, _clock) = development().await;
        let ann = caller(&idp, user(&idp, "ann").build()).await;
        let value = changed.clone();
        idp.edit_token_answer(move |_, answer| answer[member] = value.clone());
        let upstream = Upstream::new();
        let service = upstream.behind(&layer(exchange(&idp)));
        let error = call(&service, from(&ann)).await.unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains(expected), "{member} = {changed}: {cause}");
        assert!(upstream.seen().is_empty());
    }
}

// OB-10
#[tokio::test]
async fn an_exchanged_token_is_the_callers_alone() {
    let (idp, _clock) = development().await;
    let (ann, bob) = (
        caller(&idp, user(&idp, "ann").build()).await,
        caller(&idp, user(&idp, "bob").build()).await,
    );
    let source = exchange(&idp);
    let upstream = Upstream::new();
    // Two layers with one source share its tokens.
    let services = [
        upstream.behind(&layer(source.clone())),
        upstream.behind(&layer(source)),
    ];
    let calls = (0..60).map(|n: usize| {
        let service = services[n % 2].clone();
        let principal = if n.is_multiple_of(3) {
            bob.clone()
        } else {
            ann.clone()
        };
        tokio::spawn(async move { call(&service, from(&principal)).await.unwrap() })
    });
    for answer in calls.collect::<Vec<_>>() {
        answer.await.unwrap();
    }
    assert_eq!(idp.hits().token, 2);
    let subjects: Vec<_> = upstream
        .tokens()
        .into_iter()
        .map(|token| claims(&token.unwrap())["sub"].as_str().unwrap().to_owned())
        .collect();
    let count = |subject| subjects.iter().filter(|one| *one == subject).count();
    assert_eq!((count("ann"), count("bob")), (40, 20));
    // Another token of the same user is another subject token.
    let again = caller(&idp, user(&idp, "ann").build()).await;
    call(&services[0], from(&again)).await.unwrap();
    assert_eq!(idp.hits().token, 3);
}

// OB-10
#[tokio::test]
async fn an_exchanged_token_lives_no_longer_than_the_callers() {
    let (idp, clock) = development().await;
    let token = user(&idp, "ann").expires_in(seconds(120)).build();
    let ann = caller(&idp, token).await;
    let upstream = Upstream::new();
    let service = upstream.behind(&layer(exchange(&idp)));
    call(&service, from(&ann)).await.unwrap();
    clock.advance(seconds(90));
    call(&service, from(&ann)).await.unwrap();
    assert_eq!(idp.hits().token, 1);
    clock.advance(seconds(40));
    // If the application keeps the principal for longer, the provider refuses the expired token.
    assert_eq!(kind(&service, from(&ann)).await, Kind::Rejected);
    assert_eq!(upstream.seen().len(), 2);
}

pub(crate) fn on_behalf_of(idp: &DevelopmentProvider) -> OnBehalfOf {
    let scope = format!("{AUDIENCE}/.default");
    OnBehalfOf::new(&idp.provider().unwrap(), client(), &scope).unwrap()
}

// OB-11
#[tokio::test]
async fn on_behalf_of_is_asked_for_as_entra_has_it() {
    let (idp, _clock) = development().await;
    let token = user(&idp, "ann")
        .claim("oid", "an-object")
        .scope("access")
        .build();
    let ann = caller(&idp, token.clone()).await;
    let upstream = Upstream::new();
    let service = upstream.behind(&layer(on_behalf_of(&idp)));
    call(&service, from(&ann)).await.unwrap();
    let expected = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ("assertion", token.as_str()),
        ("requested_token_use", "on_behalf_of"),
        ("scope", &format!("{AUDIENCE}/.default")),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(form(&idp), expected);
    let sent = claims(&upstream.tokens().pop().unwrap().unwrap());
    assert_eq!(
        (&sent["sub"], &sent["aud"]),
        (&json!("ann"), &json!(AUDIENCE))
    );
    let refused = OnBehalfOf::new(&idp.provider().unwrap(), client(), "");
    assert!(refused.is_err(), "Entra wants a scope");
}

// OB-11
#[tokio::test]
async fn a_program_that_acts_for_itself_is_not_exchanged() {
    let (idp, _clock) = development().await;
    let programs = [
        ("the client itself", user(&idp, "development")),
        (
            "said to be one",
            user(&idp, "ann").claim("idtyp", "app").scope("a"),
        ),
        (
            "its own object",
            user(&idp, "an-object").claim("oid", "an-object"),
        ),
        ("of no known form", user(&idp, "ann").claim("idtyp", 7)),
    ];
    let upstream = Upstream::new();
    let service = upstream.behind(&layer(on_behalf_of(&idp)));
    for (name, token) in programs {
        let program = caller(&idp, token.build()).await;
        assert_eq!(
            kind(&service, from(&program)).await,
            Kind::NotAUser,
            "{name}"
        );
    }
    assert_eq!((idp.hits().token, upstream.seen().len()), (0, 0));
}

async fn wanting_interaction(body: &str) -> (DevelopmentProvider, ManualClock, Principal) {
    let (idp, clock) = development().await;
    let ann = caller(&idp, user(&idp, "ann").build()).await;
    let fault = Fault::Answer {
        status: 400,
        headers: vec![("content-type".into(), "application/json".into())],
        body: body.into(),
    };
    idp.set_fault(Endpoint::Token, fault);
    (idp, clock, ann)
}

// OB-12
#[tokio::test]
async fn interaction_required_is_passed_on_and_not_asked_again() {
    let demanded = r#"{"access_token":{"polids":{"essential":true,"values":["9ab"]}}}"#;
    for code in ["interaction_required", "invalid_grant"] {
        let body = json!({"error": code, "claims": demanded, "error_description": "AADSTS50079"});
        let (idp, clock, ann) = wanting_interaction(&body.to_string()).await;
        let upstream = Upstream::new();
        let service = upstream.behind(&layer(on_behalf_of(&idp)));
        let mut last = None;
        for _ in 0..10 {
            last = call(&service, from(&ann)).await.err();
        }
        let error: OutboundError = last.unwrap();
        assert_eq!(error.kind(), Kind::InteractionRequired);
        assert_eq!(error.claims(), Some(demanded));
        let challenge = error.challenge().unwrap();
        let encoded = challenge
            .to_str()
            .unwrap()
            .strip_prefix("Bearer error=\"insufficient_claims\", claims=\"")
            .unwrap()
            .trim_end_matches('"');
        let decoded = base64::engine::general_purpose::STANDARD.decode(encoded);
        assert_eq!(decoded.unwrap(), demanded.as_bytes());
        assert!(!format!("{error} {error:?}").contains("AADSTS"));
        assert_eq!(idp.hits().token, 1);
        assert!(upstream.seen().is_empty());
        // Once the provider is satisfied, the same token works again, after a minute.
        idp.set_fault(Endpoint::Token, None);
        clock.advance(seconds(61));
        call(&service, from(&ann)).await.unwrap();
    }
}

// OB-12
#[tokio::test]
async fn demands_that_are_not_claims_are_not_passed_on() {
    let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(5_000));
    for claims in [json!("no JSON"), json!("[1]"), json!(7), json!(long)] {
        let body = json!({"error": "interaction_required", "claims": claims});
        let (idp, _clock, ann) = wanting_interaction(&body.to_string()).await;
        let service = Upstream::new().behind(&layer(on_behalf_of(&idp)));
        let error = call(&service, from(&ann)).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.claims()),
            (Kind::InteractionRequired, None)
        );
        assert_eq!(
            error.challenge().unwrap(),
            "Bearer error=\"interaction_required\""
        );
    }
}

// LM-06
#[tokio::test(start_paused = true)]
async fn callers_do_not_queue_without_end_behind_a_token_endpoint_that_hangs() {
    let idp = OfflineProvider::new("https://id.example");
    let provider = idp.provider().unwrap();
    let layer = BearerLayer::new(judging(&provider, API)).allow_relay();
    let tokens = TokenExchange::new(&provider, client(), Target::unspecified());
    let service = Upstream::new().behind(&self::layer(tokens));
    idp.set_fault(Endpoint::Token, Fault::Stall);
    let asked_at = tokio::time::Instant::now();
    let mut calls = Vec::new();
    for n in 0..200 {
        let token = idp.token(API).subject(&format!("user-{n}")).build();
        let caller = principal(&layer, &token).await;
        let service = service.clone();
        calls.push(tokio::spawn(
            async move { kind(&service, from(&caller)).await },
        ));
    }
    for call in calls {
        assert_eq!(call.await.unwrap(), Kind::Unavailable);
    }
    // Ten seconds for a place, and ten for an answer.
    assert!(asked_at.elapsed() < seconds(25), "{:?}", asked_at.elapsed());
}
