//! What passes through the proxy of the `gateway` example.

use std::sync::{Arc, Mutex};

use http::header::{HeaderMap, HeaderName};
use http::{Method, Request, Uri};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use self::proxy::passage::{Base, FurtherFields, allows_method, web_socket};
use self::proxy::{PREFIX, Proxy};

#[path = "../../examples/gateway/proxy.rs"]
mod proxy;

fn target(base: &str, path: &str) -> Option<String> {
    let uri: Uri = path.parse().unwrap();
    let target = Base::new(base).unwrap().target(PREFIX, &uri)?;
    Some(target.to_string())
}

// SC-15
#[test]
fn no_path_leaves_that_of_the_upstream_service() {
    let base = "https://orders.internal/base/";
    for out in [
        "/upstream/..",
        "/upstream/../secret",
        "/upstream/%2e%2e/secret",
        "/upstream/.%2E/secret",
        "/upstream/a/../../secret",
        "/upstream/..%2fsecret",
        "/upstream/..%2Fsecret",
        "/upstream/..%5csecret",
        "/upstream/a%2f..%2f..%2fsecret",
        "/upstream/..;/secret",
        "/upstream/..;a=b/secret",
        "/upstream/%2e%2e;/secret",
        "/upstream/..%3b/secret",
        "/upstream/..%20/secret",
        "/upstream/..%00/secret",
        "/upstream/%252e%252e%252fsecret",
        "/upstream/%25252e%25252e/secret",
        "/upstream/%2525252525252e%2525252525252e/secret",
        "/upstream/%c0%ae%c0%ae/secret",
        "/upstream/./a",
        "/upstreamed/a",
        "/upstream@evil.example/",
        "/elsewhere",
    ] {
        assert_eq!(target(base, out), None, "{out}");
    }
    for (path, expected) in [
        ("/upstream", "https://orders.internal/base"),
        ("/upstream/", "https://orders.internal/base/"),
        ("/upstream/a/b", "https://orders.internal/base/a/b"),
        ("/upstream?a=b", "https://orders.internal/base?a=b"),
        // A query is no path.
        (
            "/upstream/a?to=../b/..;/c%2f",
            "https://orders.internal/base/a?to=../b/..;/c%2f",
        ),
        (
            "/upstream/a..b/...;v=1/caf%C3%A9/100%25/x%2Fy",
            "https://orders.internal/base/a..b/...;v=1/caf%C3%A9/100%25/x%2Fy",
        ),
        (
            "/upstream//evil.example/",
            "https://orders.internal/base//evil.example/",
        ),
    ] {
        assert_eq!(target(base, path).as_deref(), Some(expected), "{path}");
    }
    let whole = "http://127.0.0.1:3000";
    for (path, expected) in [
        ("/upstream", "http://127.0.0.1:3000/"),
        ("/upstream?a", "http://127.0.0.1:3000/?a"),
        ("/upstream/a", "http://127.0.0.1:3000/a"),
    ] {
        assert_eq!(target(whole, path).as_deref(), Some(expected), "{path}");
    }
    for (bad, part) in [
        ("orders.internal", "names no host"),
        ("/base", "names no host"),
        ("https://user:pass@orders.internal", "user information"),
        ("https://orders.internal/base?a=b", "query"),
        ("https://orders.internal/base/../other", "dot segments"),
    ] {
        let error = Base::new(bad).unwrap_err().to_string();
        assert!(error.contains(part), "{bad}: {error}");
        assert!(!error.contains("pass"), "{error}");
    }
}

// SC-15
#[test]
fn only_fields_that_browsers_send_pass_and_those_that_are_named() {
    let further = FurtherFields::parse("X-CSRF-Token, idempotency-key").unwrap();
    let kept = [
        "accept",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "content-length",
        "content-type",
        "if-none-match",
        "last-event-id",
        "origin",
        "range",
        "referer",
        "sec-ch-ua",
        "sec-fetch-site",
        "user-agent",
        "x-requested-with",
        "x-csrf-token",
        "idempotency-key",
    ];
    let dropped = [
        "authorization",
        "cookie",
        "host",
        "expect",
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-user",
        "x_forwarded_user",
        "x-auth-request-user",
        "x-authentik-username",
        "oidc_claim_sub",
        "oidc-claim-sub",
        "oidc_access_token",
        "impersonate-user",
        "impersonate-group",
        "tailscale-user-login",
        "x-consumer-username",
        "x-pomerium-jwt-assertion",
        "x-access-token",
        "true-client-ip",
        "cf-connecting-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "fastly-client-ip",
        "x-vouch-user",
        "x-token-subject",
        "x-jwt-assertion",
        "x-goog-iap-jwt-assertion",
        "x-ms-client-principal",
        "x-amzn-oidc-data",
        "remote-user",
        "ssl-client-s-dn",
        "x-http-method-override",
        "x-original-url",
        "x-rewrite-url",
        "http2-settings",
        "upgrade",
        "via",
        "x-anything",
    ];
    let mut headers = HeaderMap::new();
    for name in kept.iter().chain(&dropped) {
        headers.insert(HeaderName::from_static(name), "1".parse().unwrap());
    }
    let onward = further.onward(headers.clone());
    let mut names: Vec<_> = onward.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    let mut expected = kept.to_vec();
    expected.sort_unstable();
    assert_eq!(names, expected);

    // What the connection keeps to itself goes no further, and a body in pieces has no length.
    headers.insert(
        "connection",
        "close, Origin, content-length".parse().unwrap(),
    );
    assert!(
        further
            .onward(headers.clone())
            .contains_key("content-length")
    );
    assert!(!further.onward(headers.clone()).contains_key("origin"));
    headers.insert("transfer-encoding", "chunked".parse().unwrap());
    assert!(!further.onward(headers).contains_key("content-length"));

    for bad in [
        "authorization",
        "Cookie",
        "x-forwarded-for",
        "X_Forwarded_User",
        "proxy-authorization",
        "http2-settings",
        "upgrade",
        "a b",
    ] {
        assert!(FurtherFields::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn only_web_sockets_are_upgrades_and_no_tunnel_or_trace_is_a_method() {
    let handshake = [
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", "chat"),
    ];
    let parts = |method: Method, change: Option<(&'static str, Option<&str>)>| {
        let mut request = Request::builder().method(method);
        let changed = change.map(|(name, _)| name);
        let rest = handshake.iter().filter(|(name, _)| Some(*name) != changed);
        for (name, value) in rest {
            request = request.header(*name, *value);
        }
        if let Some((name, Some(value))) = change {
            request = request.header(name, value);
        }
        request.body(()).unwrap().into_parts().0
    };
    let fields = web_socket(&parts(Method::GET, None)).unwrap();
    assert_eq!(fields["upgrade"], "websocket");
    assert_eq!(fields["connection"], "upgrade");
    assert_eq!(fields["sec-websocket-protocol"], "chat");
    assert!(web_socket(&parts(Method::GET, Some(("upgrade", Some("WebSocket"))))).is_some());
    assert!(web_socket(&parts(Method::POST, None)).is_none());
    for (name, value) in [
        ("upgrade", Some("h2c")),
        ("upgrade", Some("h2c, websocket")),
        ("upgrade", Some("TLS/1.0")),
        ("upgrade", None),
        ("sec-websocket-key", None),
        ("sec-websocket-version", Some("8")),
        ("content-length", Some("5")),
        ("transfer-encoding", Some("chunked")),
    ] {
        let parts = parts(Method::GET, Some((name, value)));
        assert!(web_socket(&parts).is_none(), "{name}: {value:?}");
    }
    for (method, allowed) in [
        ("GET", true),
        ("PATCH", true),
        ("PROPFIND", true),
        ("TRACE", false),
        ("trace", false),
        ("CONNECT", false),
        ("TRACK", false),
    ] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        assert_eq!(allows_method(&method), allowed, "{method}");
    }
}

/// A service that switches to whatever protocol it is asked for, and to `h2c` unasked at `/switch`. It remembers
/// the heads of its requests.
async fn switching_service() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let heads = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&heads);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let kept = Arc::clone(&kept);
            tokio::spawn(async move {
                let head = head(&mut socket).await.to_lowercase();
                kept.lock().unwrap().push(head.clone());
                let protocol = head
                    .lines()
                    .find_map(|line| line.strip_prefix("upgrade: "))
                    .or(head.contains(" /switch ").then_some("h2c"));
                let answer = match protocol {
                    Some(protocol) => format!(
                        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: {protocol}\r\n\r\n"
                    ),
                    None => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: a=b\r\nAlt-Svc: h3\r\n\r\n"
                        .to_owned(),
                };
                socket.write_all(answer.as_bytes()).await.unwrap();
                // After the switch: an echo.
                let (mut from, mut to) = socket.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    (address, heads)
}

async fn head(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

// SC-15
#[tokio::test]
async fn a_tunnel_opens_for_web_sockets_alone() {
    let (upstream, heads) = switching_service().await;
    let public = "https://app.example.com".parse().unwrap();
    let proxy = Proxy::new(proxy::plain().unwrap(), &upstream, public).unwrap();
    let gateway = ::axum::Router::new().fallback(move |request| {
        let proxy = proxy.clone();
        async move { proxy.forward(None, request).await }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { ::axum::serve(listener, gateway).await });
    let ask = async |line: &str, fields: &str| {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let request = format!("{line} HTTP/1.1\r\nHost: gateway\r\n{fields}\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let head = head(&mut socket).await.to_lowercase();
        (head, socket)
    };

    let h2c = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n";
    let (answer, _) = ask("GET /upstream/a", h2c).await;
    assert!(answer.starts_with("http/1.1 200"), "{answer}");
    for field in ["set-cookie", "alt-svc"] {
        assert!(!answer.contains(field), "{answer}");
    }
    let seen = heads.lock().unwrap().pop().unwrap();
    for field in ["upgrade", "h2c", "http2-settings"] {
        assert!(!seen.contains(field), "{seen}");
    }
    assert!(seen.contains("x-forwarded-host: app.example.com"), "{seen}");

    // A switch that was not asked for is no answer.
    let (answer, _) = ask("GET /upstream/switch", "").await;
    assert!(answer.starts_with("http/1.1 502"), "{answer}");

    let websocket = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let (answer, mut socket) = ask("GET /upstream/a", websocket).await;
    assert!(answer.starts_with("http/1.1 101"), "{answer}");
    assert!(answer.contains("upgrade: websocket"), "{answer}");
    socket.write_all(b"ping").await.unwrap();
    let mut echo = [0; 4];
    socket.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"ping");

    let before = heads.lock().unwrap().len();
    for (line, status) in [
        ("TRACE /upstream/a", "405"),
        ("GET /upstream/..%2fsecret", "400"),
        ("GET /upstream/..;/secret", "400"),
    ] {
        let (answer, _) = ask(line, "").await;
        assert!(
            answer.starts_with(&format!("http/1.1 {status}")),
            "{line}: {answer}"
        );
    }
    assert_eq!(heads.lock().unwrap().len(), before);
}

// GR-06, SC-15
#[tokio::test]
async fn a_socket_through_the_gateway_ends_with_its_caller() {
    let api = crate::support::Api::start().await;
    let caller = api.verifier.verify(&api.token().build()).await.unwrap();
    let (upstream, _) = switching_service().await;
    let public = "https://app.example.com".parse().unwrap();
    let proxy = Proxy::new(proxy::plain().unwrap(), &upstream, public).unwrap();
    let gateway = ::axum::Router::new().fallback(move |request| {
        let (proxy, caller) = (proxy.clone(), caller.clone());
        async move { proxy.forward(Some(caller), request).await }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut socket = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    tokio::spawn(async move { ::axum::serve(listener, gateway).await });
    let request = "GET /upstream/a HTTP/1.1\r\nHost: gateway\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(request.as_bytes()).await.unwrap();
    let answer = head(&mut socket).await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    socket.write_all(b"ping").await.unwrap();
    let mut echo = [0; 4];
    socket.read_exact(&mut echo).await.unwrap();
    api.clock.advance(crate::support::seconds(3_600 + 61));
    let closed = tokio::time::timeout(crate::support::seconds(3), socket.read(&mut echo)).await;
    assert!(matches!(closed.unwrap(), Ok(0) | Err(_)), "it is closed");
}
