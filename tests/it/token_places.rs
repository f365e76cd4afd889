//! Tokens in other places than the `Authorization` field: header fields of their own, cookies, the subprotocols of
//! WebSockets.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use ::axum::extract::WebSocketUpgrade;
use ::axum::extract::ws::Message as AxumMessage;
use ::axum::{Router, routing::any};
use bytes::Bytes;
use futures_util::StreamExt;
use http::header::{AUTHORIZATION, COOKIE, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{self, Message, client::IntoClientRequest};
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_oidc::env::{ApiSettings, LoginSettings};
use tower_oidc::grpc::GrpcLayer;
use tower_oidc::testing::{OfflineProvider, SigningKey};
use tower_oidc::{
    Algorithm, BearerLayer, ConfigError, HttpClient, OutboundLayer, Principal, Provider, Rejection,
    RejectionKind, SameOrigin, TokenPlace,
};
use tracing::Level;

use crate::browser::{App, Browser, SITE};
use crate::exchange::from;
use crate::log::Log;
use crate::support::{API, Answer, Api, Inner, judging, parameter, send};
use crate::upstream::{ORDERS, Upstream, call};

const FIELD: &str = "cf-access-jwt-assertion";
const COOKIE_NAME: &str = "access_token";

fn site() -> SameOrigin {
    SameOrigin::of(SITE).unwrap()
}

fn header() -> TokenPlace {
    TokenPlace::header(FIELD).unwrap()
}

fn proxy_header() -> TokenPlace {
    TokenPlace::proxy_header("x-goog-iap-jwt-assertion", site()).unwrap()
}

fn cookie() -> TokenPlace {
    TokenPlace::cookie(COOKIE_NAME, site()).unwrap()
}

/// A place, and how a test puts a token there.
type Case = (&'static str, fn() -> TokenPlace, fn(&mut HeaderMap, &str));

const CASES: [Case; 5] = [
    (
        "authorization",
        TokenPlace::authorization,
        |headers, token| {
            headers.append(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        },
    ),
    ("header", header, |headers, token| {
        headers.append(FIELD, token.parse().unwrap());
    }),
    ("proxy header", proxy_header, |headers, token| {
        headers.append("x-goog-iap-jwt-assertion", token.parse().unwrap());
    }),
    ("cookie", cookie, |headers, token| {
        headers.append(
            COOKIE,
            format!("x=1; {COOKIE_NAME}={token}; y=2").parse().unwrap(),
        );
    }),
    ("websocket", TokenPlace::websocket, |headers, token| {
        let offered = format!("chat, bearer.{token}");
        headers.append(SEC_WEBSOCKET_PROTOCOL, offered.parse().unwrap());
    }),
];

/// The upgrade of a page of this site, in which every place can hold a token.
fn upgrade() -> Request<String> {
    Request::get("/socket")
        .header("upgrade", "WebSocket")
        .header("connection", "Upgrade")
        .header("origin", SITE)
        .body(String::new())
        .unwrap()
}

fn all() -> impl Iterator<Item = TokenPlace> {
    CASES.into_iter().map(|(_, place, _)| place())
}

/// What a request brought to the inner service.
type Seen = Arc<Mutex<Vec<HeaderMap>>>;

/// Answers with the caller's subject, and records what it sees.
fn seeing() -> (Inner, Seen) {
    let seen = Seen::default();
    let recorded = Arc::clone(&seen);
    let service = service_fn(move |request: Request<String>| {
        recorded.lock().unwrap().push(request.headers().clone());
        let principal = request.extensions().get::<Principal>();
        let whose = principal.and_then(Principal::subject).unwrap_or("nobody");
        std::future::ready(Ok::<_, Infallible>(Response::new(whose.to_owned())))
    });
    (BoxCloneSyncService::new(service), seen)
}

fn kind(answer: &Answer) -> Option<RejectionKind> {
    answer.extensions().get::<Rejection>().map(Rejection::kind)
}

// D28, BT-04, BT-08
#[tokio::test]
async fn a_token_is_read_where_it_may_stand_and_nowhere_else() {
    let api = Api::start().await;
    let token = api.token().build();
    for (at, (place, chosen, _)) in CASES.into_iter().enumerate() {
        let layer = api.bearer().with_token_in([chosen()]).unwrap();
        for (other, (stands, _, put)) in CASES.into_iter().enumerate() {
            let mut request = upgrade();
            put(request.headers_mut(), &token);
            let answer = send(&layer, api.inner.clone(), request).await;
            if at == other {
                assert_eq!(answer.body(), "user-1", "{place}");
            } else {
                assert_eq!(
                    answer.status(),
                    StatusCode::UNAUTHORIZED,
                    "{place} {stands}"
                );
                assert_eq!(parameter(&answer, "error"), None, "{place} {stands}");
            }
        }
        // Neither is it read from the query or a form.
        let mut request = upgrade();
        *request.uri_mut() = format!("/?access_token={token}&{COOKIE_NAME}={token}")
            .parse()
            .unwrap();
        *request.body_mut() = format!("access_token={token}");
        let answer = send(&layer, api.inner.clone(), request).await;
        assert_eq!(parameter(&answer, "error"), None, "{place}");
        // A bad token is one wherever it stands, and the client is not told the cause.
        let mut request = upgrade();
        CASES[at].2(
            request.headers_mut(),
            &api.token().claim("aud", "x").build(),
        );
        let answer = send(&layer, api.inner.clone(), request).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{place}");
        assert_eq!(
            parameter(&answer, "error").unwrap(),
            "invalid_token",
            "{place}"
        );
    }
}

// BT-05
#[tokio::test]
async fn two_tokens_in_two_places_are_refused_and_one_in_two_counts_once() {
    let api = Api::start().await;
    let layer = api.bearer().with_token_in(all()).unwrap();
    let (one, other) = (api.token().build(), api.token().subject("user-2").build());
    for (first, _, put) in CASES {
        for (second, _, put_second) in CASES {
            if first == second {
                continue;
            }
            for (tokens, status) in [
                ([&one, &one], StatusCode::OK),
                ([&one, &other], StatusCode::BAD_REQUEST),
                ([&one, &"garbage".to_owned()], StatusCode::BAD_REQUEST),
            ] {
                let mut request = upgrade();
                put(request.headers_mut(), tokens[0]);
                put_second(request.headers_mut(), tokens[1]);
                let answer = send(&layer, api.inner.clone(), request).await;
                assert_eq!(answer.status(), status, "{first}, {second}");
                if status != StatusCode::OK {
                    assert_eq!(parameter(&answer, "error").unwrap(), "invalid_request");
                }
            }
        }
    }
    assert_eq!(api.handled(), 20);
}

// BT-02, BT-03, D28
#[tokio::test]
async fn what_is_not_one_token_alone_in_its_place_is_malformed() {
    let api = Api::start().await;
    let token = api.token().build();
    let layer = api.bearer().with_token_in(all()).unwrap().allow_anonymous();
    let field = |value: &str| (FIELD, value.to_owned());
    let cookies = |value: &str| ("cookie", value.to_owned());
    let offered = |value: &str| ("sec-websocket-protocol", value.to_owned());
    let twice = format!("{COOKIE_NAME}={token}; {COOKIE_NAME}={token}");
    let cases: [(&str, Vec<(&str, String)>); 23] = [
        ("an empty field", vec![field("")]),
        ("two fields", vec![field(&token), field("x")]),
        ("two equal fields", vec![field(&token), field(&token)]),
        (
            "two fields, the first one empty",
            vec![field(""), field(&token)],
        ),
        ("a list", vec![field(&format!("{token}, {token}"))]),
        ("a scheme", vec![field(&format!("Bearer {token}"))]),
        ("a field in quotes", vec![field(&format!("\"{token}\""))]),
        ("a field that is not ASCII", vec![field("é")]),
        ("a blank around", vec![field(&format!("{token} "))]),
        ("an empty cookie", vec![cookies("access_token=")]),
        (
            "an empty cookie among others",
            vec![cookies("a=b; access_token=; c=d")],
        ),
        (
            "two cookies",
            vec![cookies(&format!("access_token={token}; access_token=x"))],
        ),
        ("two equal cookies", vec![cookies(&twice)]),
        (
            "two cookies in two fields",
            vec![
                cookies("access_token=x"),
                cookies(&format!("access_token={token}")),
            ],
        ),
        (
            "two cookies, the first one not ASCII",
            vec![cookies(&format!("access_token=é; access_token={token}"))],
        ),
        (
            "a cookie in quotes",
            vec![cookies(&format!("access_token=\"{token}\""))],
        ),
        (
            "a cookie that is not ASCII",
            vec![cookies("access_token=é")],
        ),
        (
            "a list in a cookie",
            vec![cookies(&format!("access_token={token},{token}"))],
        ),
        ("an empty subprotocol", vec![offered("chat, bearer.")]),
        (
            "two subprotocols",
            vec![offered(&format!("bearer.{token}, bearer.x"))],
        ),
        (
            "two equal ones",
            vec![offered(&format!("bearer.{token}, bearer.{token}"))],
        ),
        (
            "two in two fields",
            vec![
                offered(&format!("bearer.{token}")),
                offered(&format!("chat, bearer.{token}")),
            ],
        ),
        (
            "a subprotocol that is not ASCII",
            vec![offered("chat, bearer.é")],
        ),
    ];
    for (name, fields) in cases {
        // Alone, and beside a good token elsewhere.
        for beside in [false, true] {
            let mut request = upgrade();
            let headers = request.headers_mut();
            if beside {
                headers.append(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
            }
            for (name, value) in &fields {
                headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
            let answer = send(&layer, api.inner.clone(), request).await;
            assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{name}");
            assert_eq!(
                parameter(&answer, "error").unwrap(),
                "invalid_request",
                "{name}"
            );
        }
    }
    assert_eq!(api.handled(), 0);
    assert_eq!(api.idp.hits().jwks, 0);
}

// D28
#[tokio::test]
async fn cookies_and_subprotocols_of_other_names_are_other_things() {
    let api = Api::start().await;
    let token = api.token().build();
    let layer = api.bearer().with_token_in(all()).unwrap();
    for (name, value) in [
        ("cookie", format!("Access_Token={token}")),
        ("cookie", format!("access_token2={token}")),
        ("cookie", format!("access_token ={token}")),
        ("cookie", format!("xaccess_token={token}")),
        ("cookie", "access_token".to_owned()),
        ("sec-websocket-protocol", format!("Bearer.{token}")),
        ("sec-websocket-protocol", format!("xbearer.{token}")),
        ("sec-websocket-protocol", "bearer".to_owned()),
        ("sec-websocket-protocol", token.clone()),
    ] {
        let mut request = upgrade();
        request.headers_mut().append(name, value.parse().unwrap());
        let answer = send(&layer, api.inner.clone(), request).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{name}: {value}");
        assert_eq!(parameter(&answer, "error"), None, "{name}: {value}");
    }
}

// D28
#[test]
fn a_name_that_means_something_else_is_refused_when_the_layer_is_built() {
    for (name, cure) in [
        ("", "such as Cf-Access-Jwt-Assertion"),
        ("a b", "such as Cf-Access-Jwt-Assertion"),
        ("é", "such as Cf-Access-Jwt-Assertion"),
        ("x:y", "such as Cf-Access-Jwt-Assertion"),
        ("Authorization", "TokenPlace::authorization"),
        ("Cookie", "TokenPlace::cookie"),
        ("Sec-WebSocket-Protocol", "TokenPlace::websocket"),
        ("Host", "nothing else"),
        ("Connection", "nothing else"),
        ("Keep-Alive", "nothing else"),
        ("TE", "nothing else"),
        ("Trailer", "nothing else"),
        ("Transfer-Encoding", "nothing else"),
        ("Upgrade", "nothing else"),
        ("Proxy-Authorization", "nothing else"),
        ("Proxy-Connection", "nothing else"),
        ("Content-Length", "nothing else"),
        ("Content-Type", "nothing else"),
        ("Set-Cookie", "nothing else"),
        ("Sec-Fetch-Site", "nothing else"),
        ("Origin", "nothing else"),
        ("X-Forwarded-For", "nothing else"),
    ] {
        for made in [
            TokenPlace::header(name),
            TokenPlace::proxy_header(name, site()),
        ] {
            let error = made.unwrap_err();
            assert_eq!(error.setting(), "token place", "{name}");
            assert!(error.to_string().contains(cure), "{error}");
        }
    }
    for good in [
        "Cf-Access-Jwt-Assertion",
        "X-Goog-IAP-JWT-Assertion",
        "X-Amzn-Oidc-Accesstoken",
        "X-Forwarded-Access-Token",
        "X-Auth-Request-Access-Token",
        "token",
    ] {
        assert!(TokenPlace::header(good).is_ok(), "{good}");
    }
    for bad in ["", "a b", "a;b", "a=b", "a,b", "\"a\"", "é", "a\r\n"] {
        let error = TokenPlace::cookie(bad, site()).unwrap_err();
        assert_eq!(error.setting(), "token place", "{bad}");
    }
    assert!(TokenPlace::cookie("__Host-access_token", site()).is_ok());
    let verifier = judging(
        &OfflineProvider::new("https://id.example")
            .provider()
            .unwrap(),
        API,
    );
    let in_places =
        |places: Vec<TokenPlace>| BearerLayer::new(verifier.clone()).with_token_in(places);
    assert!(matches!(
        in_places(vec![]),
        Err(ConfigError::Missing { .. })
    ));
    for twice in [
        vec![TokenPlace::authorization(), TokenPlace::authorization()],
        vec![
            header(),
            TokenPlace::proxy_header("CF-Access-JWT-Assertion", site()).unwrap(),
        ],
        vec![cookie(), header(), cookie()],
        vec![TokenPlace::websocket(), TokenPlace::websocket()],
    ] {
        let error = in_places(twice).unwrap_err();
        assert!(error.to_string().contains("it is named twice"), "{error}");
    }
    // The names of cookies differ by case, those of fields do not.
    let upper = TokenPlace::cookie("ACCESS_TOKEN", site()).unwrap();
    assert!(in_places(vec![cookie(), upper]).is_ok());
}

/// The fields by which a browser tells where a request comes from, and whether they prove this site.
const ORIGINS: [(&[(&str, &str)], bool); 8] = [
    (&[], false),
    (&[("origin", "https://evil.example.com")], false),
    (&[("origin", "null")], false),
    (&[("sec-fetch-site", "cross-site"), ("origin", SITE)], false),
    (&[("sec-fetch-site", "same-site")], false),
    (&[("origin", SITE)], true),
    (&[("sec-fetch-site", "same-origin")], true),
    (
        &[
            ("sec-fetch-site", "same-site"),
            ("origin", "https://admin.example.com"),
        ],
        true,
    ),
];

// SC-10, D28
#[tokio::test]
async fn a_token_that_browsers_add_changes_nothing_without_proof_of_the_origin() {
    let api = Api::start().await;
    let token = api.token().build();
    let trusted = || {
        site()
            .add_trusted_origin("https://admin.example.com")
            .unwrap()
    };
    let layer = api
        .bearer()
        .with_token_in([
            TokenPlace::authorization(),
            header(),
            TokenPlace::cookie(COOKIE_NAME, trusted()).unwrap(),
            TokenPlace::proxy_header("x-goog-iap-jwt-assertion", trusted()).unwrap(),
        ])
        .unwrap()
        .allow_anonymous();
    let request = |method: &str, fields: &[(&'static str, &'static str)], places: &[usize]| {
        let mut request = Request::builder().method(method);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let mut request = request.body(String::new()).unwrap();
        for place in places {
            CASES[*place].2(request.headers_mut(), &token);
        }
        request
    };
    let asked = async |request| send(&layer, api.inner.clone(), request).await;
    let (authorization, own, proxied, cookie) = (0, 1, 2, 3);
    for (fields, is_proven) in ORIGINS {
        for places in [
            &[cookie][..],
            &[proxied],
            &[cookie, proxied],
            &[own, cookie],
        ] {
            let mut socket = fields.to_vec();
            socket.push(("upgrade", "websocket"));
            for (method, fields) in [("POST", fields), ("DELETE", fields), ("GET", &socket)] {
                let answer = asked(request(method, fields, places)).await;
                let expected = (!is_proven).then_some(RejectionKind::CrossOrigin);
                assert_eq!(kind(&answer), expected, "{method} {fields:?} {places:?}");
            }
            let answer = asked(request("GET", fields, places)).await;
            assert_eq!(answer.body(), "user-1", "{fields:?}");
        }
        // A sender that knows the token needs no proof. A field of another name may be a copy of the cookie.
        for places in [
            &[authorization][..],
            &[own],
            &[cookie, authorization, proxied],
        ] {
            let answer = asked(request("POST", fields, places)).await;
            assert_eq!(answer.body(), "user-1", "{fields:?} {places:?}");
        }
        // Nothing to prove without a token.
        assert_eq!(asked(request("POST", fields, &[])).await.body(), "nobody");
    }
}

// SC-10, SC-13, D28
#[tokio::test]
async fn without_the_proof_the_answer_is_that_of_a_session() {
    let app = App::start().await;
    let mut browser = Browser::default();
    browser.sign_in(&app).await;
    let post = browser
        .request(Method::POST, "/orders")
        .body(String::new())
        .unwrap();
    let of_session = browser.send(&app.service(), post).await;
    let layer = BearerLayer::new(app.verifier.clone())
        .with_token_in([cookie()])
        .unwrap();
    let mut post = Request::post("/orders").body(String::new()).unwrap();
    CASES[3].2(post.headers_mut(), &app.idp.token(API).build());
    let of_token = send(&layer, app.inner.clone(), post).await;
    for answer in [&of_session, &of_token] {
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        assert_eq!(answer.headers()["cache-control"], "no-store");
        assert!(
            answer.headers()["vary"]
                .to_str()
                .unwrap()
                .eq_ignore_ascii_case("cookie")
        );
        assert!(!answer.headers().contains_key("www-authenticate"));
    }
}

// SC-13, BT-19
#[tokio::test]
async fn caches_are_told_which_fields_an_answer_depends_on() {
    let api = Api::start().await;
    let token = api.token().build();
    let inner = BoxCloneSyncService::new(service_fn(async |request: Request<String>| {
        let mut response = Response::new(String::new());
        if request.uri().path() == "/chosen" {
            let chosen = HeaderValue::from_static("max-age=60");
            response.headers_mut().insert("cache-control", chosen);
        }
        Ok::<_, Infallible>(response)
    }));
    let vary = "cf-access-jwt-assertion, cookie, x-goog-iap-jwt-assertion";
    for (places, put, vary) in [
        (vec![cookie()], 3, Some("cookie")),
        (vec![header()], 1, Some(FIELD)),
        (all().collect(), 0, Some(vary)),
        (
            vec![TokenPlace::authorization(), TokenPlace::websocket()],
            0,
            None,
        ),
    ] {
        let layer = api.bearer().with_token_in(places).unwrap();
        for (path, has_token, kept) in [
            ("/", true, "no-store"),
            ("/chosen", true, "max-age=60"),
            ("/", false, "no-store"),
        ] {
            let mut request = Request::get(path).body(String::new()).unwrap();
            if has_token {
                CASES[put].2(request.headers_mut(), &token);
            }
            let answer = send(&layer, inner.clone(), request).await;
            let field = |name| {
                answer
                    .headers()
                    .get(name)
                    .map(|value| value.to_str().unwrap())
            };
            assert_eq!(answer.status().is_success(), has_token);
            assert_eq!(field("vary"), vary, "{path}");
            let is_ours = vary.is_some() || path == "/chosen" || !has_token;
            assert_eq!(
                field("cache-control"),
                is_ours.then_some(kept),
                "{path} {vary:?}"
            );
        }
    }
}

// D28
#[tokio::test]
async fn a_websockets_token_is_read_from_upgrades_alone_and_goes_no_further() {
    let api = Api::start().await;
    let token = api.token().build();
    let (inner, seen) = seeing();
    let places = || [TokenPlace::authorization(), TokenPlace::websocket()];
    let layer = api.bearer().with_token_in(places()).unwrap();
    let bearer = format!("bearer.{token}");
    // The first one waits for the keys, and the others do not.
    for (offered, left) in [
        (vec![format!("chat, {bearer}")], Some("chat")),
        (
            vec![format!("{bearer},chat ,\tv2.chat")],
            Some("chat, v2.chat"),
        ),
        (vec!["chat".to_owned(), bearer.clone()], Some("chat")),
        (vec![format!("a, , {bearer}"), "b".to_owned()], Some("a, b")),
        (vec![bearer.clone()], None),
    ] {
        let mut request = upgrade();
        for field in &offered {
            request
                .headers_mut()
                .append(SEC_WEBSOCKET_PROTOCOL, field.parse().unwrap());
        }
        let answer = send(&layer, inner.clone(), request).await;
        assert_eq!(answer.body(), "user-1", "{offered:?}");
        let headers = seen.lock().unwrap().pop().unwrap();
        let got: Vec<_> = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().collect();
        assert_eq!(got, left.into_iter().collect::<Vec<_>>(), "{offered:?}");
        assert!(!format!("{headers:?}").contains(&token[..16]));
    }
    // Beside the same token in the Authorization field too.
    let mut request = upgrade();
    CASES[0].2(request.headers_mut(), &token);
    CASES[4].2(request.headers_mut(), &token);
    assert_eq!(send(&layer, inner.clone(), request).await.body(), "user-1");
    assert_eq!(
        seen.lock().unwrap().pop().unwrap()[SEC_WEBSOCKET_PROTOCOL],
        "chat"
    );
    // What offers none keeps its list as it is.
    let mut request = upgrade();
    CASES[0].2(request.headers_mut(), &token);
    request
        .headers_mut()
        .append(SEC_WEBSOCKET_PROTOCOL, "a,b".parse().unwrap());
    assert_eq!(send(&layer, inner.clone(), request).await.body(), "user-1");
    assert_eq!(
        seen.lock().unwrap().pop().unwrap()[SEC_WEBSOCKET_PROTOCOL],
        "a,b"
    );

    let request = |method: Method, version: Version, upgrade: Option<&'static str>| {
        let mut request = Request::new(String::new());
        *request.method_mut() = method;
        *request.version_mut() = version;
        CASES[4].2(request.headers_mut(), &token);
        if let Some(protocol) = upgrade {
            request
                .headers_mut()
                .insert("upgrade", HeaderValue::from_static(protocol));
        }
        send(&layer, inner.clone(), request)
    };
    for (method, version, upgrade, is_read) in [
        (Method::GET, Version::HTTP_11, Some("websocket"), true),
        (Method::GET, Version::HTTP_11, Some("h2c, WebSocket"), true),
        // RFC 8441.
        (Method::CONNECT, Version::HTTP_2, None, true),
        (Method::CONNECT, Version::HTTP_3, None, true),
        (Method::GET, Version::HTTP_11, None, false),
        (Method::GET, Version::HTTP_11, Some("h2c"), false),
        (Method::POST, Version::HTTP_11, Some("websocket"), false),
        (Method::POST, Version::HTTP_2, None, false),
        (Method::CONNECT, Version::HTTP_11, None, false),
    ] {
        let name = format!("{method} {version:?} {upgrade:?}");
        let answer = request(method, version, upgrade).await;
        let expected = (!is_read).then_some(RejectionKind::NoToken);
        assert_eq!(kind(&answer), expected, "{name}");
    }
}

// OB-07, D28
#[tokio::test]
async fn a_callers_token_is_sent_on_from_wherever_it_stood() {
    let api = Api::start().await;
    let layer = api.bearer().with_token_in(all()).unwrap().allow_relay();
    let relay = OutboundLayer::relay(ORDERS).unwrap();
    for (at, (place, _, put)) in CASES.into_iter().enumerate() {
        let token = api.token().subject(place).build();
        let (sender, receiver) = std::sync::mpsc::channel();
        let inner = service_fn(move |request: Request<String>| {
            let found = request.extensions().get::<Principal>().cloned();
            sender.send(found.unwrap()).unwrap();
            std::future::ready(Ok::<_, Infallible>(Response::new(String::new())))
        });
        let mut request = upgrade();
        put(request.headers_mut(), &token);
        if at > 0 {
            // The scheme of another kind of credentials, which is none of ours.
            request
                .headers_mut()
                .append(AUTHORIZATION, "Basic dXNlcjpwYXNz".parse().unwrap());
        }
        let answer = layer.layer(inner).oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{place}");
        let upstream = Upstream::new();
        let service = upstream.behind(&relay);
        call(&service, from(&receiver.recv().unwrap()))
            .await
            .unwrap();
        assert_eq!(upstream.tokens(), [Some(token)], "{place}");
    }
}

// D26, BT-21
#[tokio::test]
async fn the_log_names_the_place_and_how_to_send_a_token_there() {
    let api = Api::start().await;
    let secret = "hunter2-hunter2-hunter2";
    for (place, put, told) in [
        (
            header(),
            format!("{FIELD}: {secret}|{FIELD}: {secret}"),
            "one cf-access-jwt-assertion field",
        ),
        (
            cookie(),
            format!("cookie: {COOKIE_NAME}={secret}; {COOKIE_NAME}=x"),
            "one cookie access_token",
        ),
        (
            TokenPlace::websocket(),
            format!("sec-websocket-protocol: bearer.{secret}, bearer.x"),
            "one subprotocol bearer.<token>",
        ),
    ] {
        let layer = api.bearer().with_token_in([place]).unwrap();
        let log = Log::default();
        let capturing = log.capture();
        let mut request = upgrade();
        for field in put.split('|') {
            let (name, value) = field.split_once(": ").unwrap();
            let name: http::HeaderName = name.parse().unwrap();
            request.headers_mut().append(name, value.parse().unwrap());
        }
        let answer = send(&layer, api.inner.clone(), request).await;
        assert_eq!(kind(&answer), Some(RejectionKind::Malformed));
        drop(capturing);
        let lines = log.at(Level::INFO);
        let is_it = |line: &String| line.contains(told) && line.contains("GET /socket");
        assert!(lines.iter().any(is_it), "{told}: {lines:?}");
        assert!(!log.text().contains(secret));
    }

    let log = Log::default();
    let capturing = log.capture();
    let layer = api.bearer().with_token_in(all()).unwrap();
    let (one, other) = (api.token().build(), api.token().subject("user-2").build());
    let mut different = upgrade();
    CASES[1].2(different.headers_mut(), &one);
    CASES[3].2(different.headers_mut(), &other);
    let mut wrong = upgrade();
    CASES[3].2(wrong.headers_mut(), &api.token().expired().build());
    let mut foreign = Request::post("/orders").body(String::new()).unwrap();
    CASES[3].2(foreign.headers_mut(), &one);
    for request in [different, wrong, foreign] {
        assert!(
            send(&layer, api.inner.clone(), request)
                .await
                .status()
                .is_client_error()
        );
    }
    // In the one place that there is by default, there is nothing to name.
    api.with_token(api.token().expired().build()).await;
    drop(capturing);
    let lines = log.at(Level::INFO);
    for parts in [
        &[
            "two different tokens",
            "header:cf-access-jwt-assertion",
            "cookie:access_token",
        ][..],
        &["refused a token", "expired", "token_in=cookie:access_token"],
        &[
            "does not prove its origin",
            "expected=https://app.example.com",
            "POST /orders",
            "DOMAIN_SERVER",
            "the token stood in cookie:access_token",
        ],
    ] {
        let is_it = |line: &&String| parts.iter().all(|part| line.contains(part));
        assert_eq!(
            lines.iter().filter(is_it).count(),
            1,
            "{parts:?}: {lines:?}"
        );
    }
    let named = lines.iter().filter(|line| line.contains("token_in="));
    assert_eq!(named.count(), 1, "{lines:?}");
    for token in [&one, &other] {
        assert!(!log.text().contains(&token[token.len() - 16..]));
    }
    assert!(!format!("{layer:?}").contains("eyJ"));
}

fn api_settings(more: &[(&str, &str)]) -> Result<ApiSettings, ConfigError> {
    let base = [
        ("OPENID_ISSUER", "https://id.example"),
        ("OPENID_AUDIENCE", API),
    ];
    ApiSettings::from_pairs(base.iter().chain(more).copied())
}

fn login_settings(more: &[(&str, &str)]) -> Result<LoginSettings, ConfigError> {
    let base = [
        ("OPENID_ISSUER", "https://id.example"),
        ("OPENID_AUDIENCE", API),
        ("OPENID_CLIENT_ID", "site"),
        ("DOMAIN_SERVER", SITE),
        ("OPENID_SESSION_SECRET", crate::browser::SECRET),
    ];
    LoginSettings::from_pairs(base.iter().chain(more).copied())
}

// D17, D28
#[tokio::test]
async fn the_environment_chooses_places_with_the_proof_that_they_need() {
    const NAME: &str = "OPENID_TOKEN_PLACES";
    let written = "authorization, header:Cf-Access-Jwt-Assertion,proxy-header: X-Goog-IAP-JWT-Assertion, \
                   cookie:access_token,websocket";
    let shown = "OPENID_TOKEN_PLACES = authorization,header:Cf-Access-Jwt-Assertion,\
                 proxy-header:X-Goog-IAP-JWT-Assertion,cookie:access_token,websocket\n";
    let trusted = ("OPENID_TRUSTED_ORIGINS", "https://admin.example.com");
    let of_api = api_settings(&[(NAME, written), trusted, ("DOMAIN_SERVER", SITE)]).unwrap();
    let of_site = login_settings(&[(NAME, written), trusted]).unwrap();
    for text in [of_api.to_string(), of_site.to_string()] {
        assert!(
            text.contains(shown) && text.contains("https://admin.example.com"),
            "{text}"
        );
    }
    // The token is malformed where it is read, and missing where it is not.
    for layer in [of_api.bearer().unwrap(), of_site.bearer().unwrap()] {
        let (inner, _) = seeing();
        for (place, _, put) in CASES {
            let mut request = upgrade();
            put(request.headers_mut(), "[");
            let answer = send(&layer, inner.clone(), request).await;
            assert_eq!(kind(&answer), Some(RejectionKind::Malformed), "{place}");
        }
        for (origin, expected) in [
            ("https://admin.example.com", RejectionKind::Malformed),
            ("https://evil.example", RejectionKind::CrossOrigin),
        ] {
            let mut request = Request::post("/")
                .header("origin", origin)
                .body(String::new())
                .unwrap();
            CASES[3].2(request.headers_mut(), "[");
            assert_eq!(
                kind(&send(&layer, inner.clone(), request).await),
                Some(expected)
            );
        }
    }
    for settings in [
        api_settings(&[]).unwrap(),
        api_settings(&[(NAME, "authorization")]).unwrap(),
    ] {
        let (layer, (inner, _)) = (settings.bearer().unwrap(), seeing());
        let mut request = upgrade();
        CASES[3].2(request.headers_mut(), "[");
        assert_eq!(
            kind(&send(&layer, inner, request).await),
            Some(RejectionKind::NoToken)
        );
    }
    let address = ("DOMAIN_SERVER", API);
    for (places, told) in [("authorization,websocket", true), ("websocket", false)] {
        let settings = api_settings(&[(NAME, places), address]).unwrap();
        let metadata = settings.resource().unwrap().metadata();
        assert_eq!(
            metadata.contains("bearer_methods_supported"),
            told,
            "{places}"
        );
    }
    let text = api_settings(&[]).unwrap().to_string();
    assert!(
        text.contains("OPENID_TOKEN_PLACES = authorization (default)"),
        "{text}"
    );
}

// D17, D28
#[test]
fn a_place_that_cannot_be_is_an_error_with_the_variable_and_a_cure() {
    const NAME: &str = "OPENID_TOKEN_PLACES";
    for (value, parts) in [
        ("query", ["there is no such place", "proxy-header:<name>"]),
        (
            "Authorization",
            ["there is no such place", "write authorization"],
        ),
        ("header", ["there is no such place", "header:<name>"]),
        ("websocket:chat", ["there is no such place", "websocket"]),
        (
            "header:Cookie",
            ["the field of all cookies", "TokenPlace::cookie"],
        ),
        ("header:", ["not the name of a header field", "such as"]),
        (
            "cookie:a b",
            ["not the name of a cookie", "such as access_token"],
        ),
        ("proxy-header:Host", ["something else", "nothing else"]),
        ("websocket, websocket", ["named twice", "once"]),
    ] {
        for error in [
            api_settings(&[(NAME, value), ("DOMAIN_SERVER", SITE)]).unwrap_err(),
            login_settings(&[(NAME, value)]).unwrap_err(),
        ] {
            assert_eq!(error.setting(), NAME, "{value}");
            for part in parts {
                assert!(error.to_string().contains(part), "{error}");
            }
        }
    }
    let without_address = api_settings(&[(NAME, "authorization, cookie:access_token")]).unwrap();
    let error = without_address.bearer().unwrap_err();
    assert_eq!(error.setting(), "DOMAIN_SERVER");
    assert!(error.to_string().contains("cookie:access_token"), "{error}");
    assert!(without_address.with_default_address(SITE).bearer().is_ok());
    let origin = ("OPENID_TRUSTED_ORIGINS", "https://a.example/path");
    let error = api_settings(&[(NAME, "cookie:a"), origin]).unwrap_err();
    assert_eq!(error.setting(), "OPENID_TRUSTED_ORIGINS");
    for (cookie, base) in [("session", "session"), ("__Host-shop", "shop")] {
        let place = format!("cookie:{cookie}");
        let error = login_settings(&[(NAME, &place), ("OPENID_COOKIE_NAME", base)]).unwrap_err();
        assert!(
            matches!(error, ConfigError::Contradiction { .. }),
            "{error}"
        );
        assert!(error.to_string().contains("OPENID_COOKIE_NAME"), "{error}");
    }
}

// GR-01, D28
#[tokio::test]
async fn metadata_of_a_grpc_call_holds_a_token_of_its_own() {
    let api = Api::start().await;
    let layer = api.bearer().with_token_in([header(), cookie()]).unwrap();
    let service = ServiceBuilder::new()
        .layer(GrpcLayer::new())
        .layer(layer)
        .service(api.inner.clone());
    for (put, status) in [(Some(1), None), (None, Some("16")), (Some(3), Some("7"))] {
        let mut request = Request::post("/greeter.Greeter/Greet")
            .header("content-type", "application/grpc")
            .body(String::new())
            .unwrap();
        if let Some(place) = put {
            CASES[place].2(request.headers_mut(), &api.token().build());
        }
        let answer = service.clone().oneshot(request).await.unwrap();
        let told = answer
            .headers()
            .get("grpc-status")
            .map(|told| told.to_str().unwrap());
        assert_eq!(told, status, "{put:?}");
    }
}

/// A provider whose keys lie at an address of their own, and that answers nothing else.
fn provider_with_keys_at(issuer: &str, keys: &'static str, key: &SigningKey) -> Provider {
    let jwks = format!(r#"{{"keys":[{}]}}"#, key.public_jwk());
    let service = service_fn(move |request: Request<Bytes>| {
        assert_eq!(request.uri().to_string(), keys, "nothing else is asked for");
        let answer = Response::builder().header("content-type", "application/json");
        let answer = answer.body(Full::new(Bytes::from(jwks.clone()))).unwrap();
        std::future::ready(Ok::<_, Infallible>(answer))
    });
    Provider::builder(issuer)
        .with_jwks_url(keys)
        .with_http_client(HttpClient::new(service))
        .build()
        .unwrap()
}

fn signed(key: &SigningKey, claims: &Value) -> String {
    let mut claims = claims.clone();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    claims["iat"] = json!(now.as_secs());
    claims["exp"] = json!(now.as_secs() + 600);
    let header = json!({"alg": key.algorithm().name(), "kid": key.kid()});
    key.sign_compact(header.to_string(), claims.to_string())
}

// D28
#[tokio::test]
async fn a_site_behind_cloudflare_access_takes_its_header_and_its_cookie() {
    const TAG: &str = "4714c1358e65fe4b408ad6d432a5f878f08194bdb4752441fd56faefa9b2b6f2";
    let key = SigningKey::generate("team", Algorithm::Rs256);
    let issuer = "https://team.cloudflareaccess.com";
    let keys = "https://team.cloudflareaccess.com/cdn-cgi/access/certs";
    let provider = provider_with_keys_at(issuer, keys, &key);
    let layer = BearerLayer::new(provider.verifier(TAG).unwrap())
        .with_token_in([
            TokenPlace::proxy_header("Cf-Access-Jwt-Assertion", site()).unwrap(),
            TokenPlace::cookie("CF_Authorization", site()).unwrap(),
        ])
        .unwrap();
    let token = |aud: &str| {
        let claims = json!({"iss": issuer, "aud": [aud], "email": "ada@example.com", "type": "app",
            "identity_nonce": "n", "sub": "7335d417", "country": "DE"});
        signed(&key, &claims)
    };
    let (good, of_another) = (token(TAG), token("another application"));
    let ask =
        async |method: &str, header: Option<&str>, cookie: Option<&str>, page: Option<&str>| {
            let mut request = Request::builder().method(method);
            for (name, value) in [
                ("cf-access-jwt-assertion", header.map(str::to_owned)),
                (
                    "cookie",
                    cookie.map(|token| format!("CF_Authorization={token}")),
                ),
                ("origin", page.map(str::to_owned)),
            ] {
                if let Some(value) = value {
                    request = request.header(name, value);
                }
            }
            let (inner, _) = seeing();
            let answer = send(&layer, inner, request.body(String::new()).unwrap()).await;
            (answer.status().as_u16(), answer.into_body())
        };
    let is_ada = (200, "7335d417".to_owned());
    // Cloudflare sends both on, and the cookie alone where it is told to.
    assert_eq!(ask("GET", Some(&good), Some(&good), None).await, is_ada);
    assert_eq!(ask("GET", None, Some(&good), None).await, is_ada);
    assert_eq!(
        ask("POST", Some(&good), Some(&good), Some(SITE)).await,
        is_ada
    );
    for evil in [None, Some("https://evil.example")] {
        assert_eq!(ask("POST", Some(&good), Some(&good), evil).await.0, 403);
    }
    assert_eq!(ask("GET", Some(&of_another), None, None).await.0, 401);
    assert_eq!(
        ask("GET", Some(&good), Some(&of_another), None).await.0,
        400
    );
    // A request that goes around the proxy has no token.
    assert_eq!(ask("GET", None, None, None).await.0, 401);
}

// SC-10, D28
#[tokio::test]
async fn programs_behind_cloudflare_access_need_no_page_and_browsers_do() {
    let api = Api::start().await;
    let layer = api
        .bearer()
        .with_token_in([
            header(),
            TokenPlace::cookie("CF_Authorization", site()).unwrap(),
        ])
        .unwrap();
    let token = api.token().build();
    for (cookie, origin, expected) in [
        (false, None, None),
        (true, Some(SITE), None),
        (true, None, Some(RejectionKind::CrossOrigin)),
        (
            true,
            Some("https://evil.example"),
            Some(RejectionKind::CrossOrigin),
        ),
    ] {
        // The proxy writes the field for both.
        let mut request = Request::post("/orders").header(FIELD, &token);
        if cookie {
            request = request.header(COOKIE, format!("CF_Authorization={token}"));
        }
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let request = request.body(String::new()).unwrap();
        let answer = send(&layer, api.inner.clone(), request).await;
        assert_eq!(kind(&answer), expected, "{cookie} {origin:?}");
    }
}

// D28
#[tokio::test]
async fn a_service_behind_googles_proxy_takes_its_header() {
    const BACKEND: &str = "/projects/1234567890/global/backendServices/987654321";
    let key = SigningKey::generate("f9R3yg", Algorithm::Es256);
    let issuer = "https://cloud.google.com/iap";
    let keys = "https://www.gstatic.com/iap/verify/public_key-jwk";
    let provider = provider_with_keys_at(issuer, keys, &key);
    let layer = BearerLayer::new(provider.verifier(BACKEND).unwrap())
        .with_token_in([TokenPlace::proxy_header("X-Goog-IAP-JWT-Assertion", site()).unwrap()])
        .unwrap();
    for (aud, page, expected) in [
        (BACKEND, None, 200),
        (BACKEND, Some(SITE), 200),
        (BACKEND, Some("https://evil.example"), 403),
        ("/projects/1234567890/global/backendServices/1", None, 401),
        ("/projects/1234567890/apps/shop", None, 401),
    ] {
        let claims = json!({"iss": issuer, "aud": aud, "sub": "accounts.google.com:118133858486581853996",
            "email": "ada@example.com", "azp": aud, "hd": "example.com",
            "google": {"access_levels": ["accessPolicies/1/accessLevels/a"]}});
        let method = if page.is_some() { "POST" } else { "GET" };
        let mut request = Request::builder().method(method);
        if let Some(page) = page {
            request = request.header("origin", page);
        }
        let request = request.header("x-goog-iap-jwt-assertion", signed(&key, &claims));
        let (inner, _) = seeing();
        let answer = send(&layer, inner, request.body(String::new()).unwrap()).await;
        assert_eq!(answer.status().as_u16(), expected, "{aud} {page:?}");
        if expected == 200 {
            assert_eq!(answer.body(), "accounts.google.com:118133858486581853996");
        }
    }
}

// D28
#[tokio::test]
async fn a_websocket_of_axum_opens_with_a_token_and_its_own_subprotocol() {
    let api = Api::start().await;
    let layer = api
        .bearer()
        .with_token_in([TokenPlace::authorization(), TokenPlace::websocket()])
        .unwrap();
    let socket = async |principal: Principal, headers: HeaderMap, upgrade: WebSocketUpgrade| {
        let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
        let offered: Vec<_> = offered
            .map(|field| field.to_str().unwrap().to_owned())
            .collect();
        let greeting = format!("{} {offered:?}", principal.subject().unwrap());
        upgrade
            .protocols(["v2.chat", "chat"])
            .on_upgrade(async move |mut socket| {
                let _ = socket.send(AxumMessage::text(greeting)).await;
            })
    };
    let app = Router::new().route("/socket", any(socket)).layer(layer);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/socket", listener.local_addr().unwrap());
    tokio::spawn(async move { ::axum::serve(listener, app).await.unwrap() });
    let open = async |protocols: &str| {
        let mut request = url.as_str().into_client_request().unwrap();
        request
            .headers_mut()
            .insert(SEC_WEBSOCKET_PROTOCOL, protocols.parse().unwrap());
        tokio_tungstenite::connect_async(request).await
    };
    let (good, expired) = (api.token().build(), api.token().expired().build());
    let (mut socket, answer) = open(&format!("chat, bearer.{good}")).await.unwrap();
    assert_eq!(answer.headers()[SEC_WEBSOCKET_PROTOCOL], "chat");
    assert!(!format!("{:?}", answer.headers()).contains(&good[..16]));
    let greeting = socket.next().await.unwrap().unwrap();
    assert_eq!(greeting, Message::text(r#"user-1 ["chat"]"#));
    let _ = socket.close(None).await;
    for (protocols, expected) in [
        ("chat".to_owned(), 401),
        (format!("chat, bearer.{expired}"), 401),
        (format!("bearer.{good}, bearer.{expired}"), 400),
    ] {
        match open(&protocols).await {
            Err(tungstenite::Error::Http(answer)) => assert_eq!(answer.status(), expected),
            other => panic!("{protocols}: {other:?}"),
        }
    }
    // The token alone is no subprotocol that a server could choose, and a client that checks the answer says so.
    match open(&format!("bearer.{good}")).await {
        Err(tungstenite::Error::Protocol(error)) => {
            assert!(error.to_string().contains("protocol"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}
