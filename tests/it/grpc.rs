//! gRPC, served and called by tonic, and called by a client that knows only HTTP/2.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::rt::TokioExecutor;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_stream::{Stream, StreamExt};
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Response, Status, Streaming};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_oidc::grpc::{GrpcLayer, principal};
use tower_oidc::outbound::{ClientCredentials, Outbound, Target};
use tower_oidc::testing::{DevelopmentProvider, Endpoint as At, Fault};
use tower_oidc::{BearerLayer, OutboundLayer, Rejection, RequireLayer, StreamExpiryLayer};

use crate::browser::{App, Browser, client};
use crate::log::Log;
use crate::support::{API, TokioClock, expiring, judging, judging_as, seconds, until};
use greeter::greeter_client::GreeterClient;
use greeter::greeter_server::{Greeter, GreeterServer};
use greeter::{Greeting, Name, Times};

#[allow(unreachable_pub, clippy::pedantic, reason = "generated")]
#[path = "../../examples/grpc/greeter.rs"]
mod greeter;

/// Greets callers by their subject, and counts the open conversations.
#[derive(Clone, Default)]
struct Hello {
    handled: Arc<AtomicU32>,
    talking: Arc<AtomicU32>,
}

struct Talking(Arc<AtomicU32>);

impl Drop for Talking {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

type Greetings = Pin<Box<dyn Stream<Item = Result<Greeting, Status>> + Send>>;

#[tonic::async_trait]
impl Greeter for Hello {
    async fn greet(&self, request: tonic::Request<Name>) -> Result<Response<Greeting>, Status> {
        self.handled.fetch_add(1, Ordering::SeqCst);
        let subject = principal(&request)?
            .subject()
            .unwrap_or("nobody")
            .to_owned();
        let name = request.into_inner().name;
        Ok(Response::new(Greeting {
            text: format!("hello, {name}, says {subject}"),
        }))
    }

    type GreetAgainStream = Greetings;

    async fn greet_again(
        &self,
        request: tonic::Request<Times>,
    ) -> Result<Response<Greetings>, Status> {
        self.handled.fetch_add(1, Ordering::SeqCst);
        let subject = principal(&request)?
            .subject()
            .unwrap_or("nobody")
            .to_owned();
        let times = request.into_inner().times;
        let greetings = (0..times).map(move |n| {
            Ok(Greeting {
                text: format!("{n}: {subject}"),
            })
        });
        Ok(Response::new(Box::pin(tokio_stream::iter(greetings))))
    }

    type ChatStream = Greetings;

    async fn chat(
        &self,
        request: tonic::Request<Streaming<Name>>,
    ) -> Result<Response<Greetings>, Status> {
        self.handled.fetch_add(1, Ordering::SeqCst);
        let subject = principal(&request)?
            .subject()
            .unwrap_or("nobody")
            .to_owned();
        self.talking.fetch_add(1, Ordering::SeqCst);
        let talking = Talking(Arc::clone(&self.talking));
        let answers = request.into_inner().map(move |name| {
            let _talking = &talking;
            let Name { name } = name?;
            Ok(Greeting {
                text: format!("{name}: {subject}"),
            })
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

struct Served {
    address: SocketAddr,
    hello: Hello,
    idp: DevelopmentProvider,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A server that needs a token with the scope `greet`, and its provider.
async fn serve() -> Served {
    let idp = DevelopmentProvider::start().await.unwrap();
    let verifier = judging_as(&idp.provider().unwrap(), API).with_leeway(Duration::ZERO);
    let verifier = verifier.build().unwrap();
    let hello = Hello::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = Server::builder()
        .layer(GrpcLayer::new())
        .layer(BearerLayer::new(verifier))
        .layer(RequireLayer::scope("greet").unwrap())
        .layer(StreamExpiryLayer::new())
        .add_service(GreeterServer::new(hello.clone()))
        .serve_with_incoming(TcpListenerStream::new(listener));
    let task = tokio::spawn(async move { serving.await.unwrap() });
    Served {
        address,
        hello,
        idp,
        task,
    }
}

impl Served {
    fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    async fn channel(&self) -> Channel {
        Endpoint::new(self.origin())
            .unwrap()
            .connect()
            .await
            .unwrap()
    }

    async fn client(&self, layer: &OutboundLayer) -> GreeterClient<Outbound<Channel>> {
        GreeterClient::with_origin(
            layer.layer(self.channel().await),
            self.origin().parse().unwrap(),
        )
    }

    async fn bearing(&self, token: &str) -> GreeterClient<Outbound<Channel>> {
        self.client(&OutboundLayer::fixed(token, &self.origin()).unwrap())
            .await
    }

    /// The header fields, body and trailers that an HTTP/2 client without protocol buffers sees.
    async fn raw(
        &self,
        content_type: &str,
        token: Option<&str>,
    ) -> (http::Response<Bytes>, Option<HeaderMap>) {
        let client: HyperClient<_, Full<Bytes>> = HyperClient::builder(TokioExecutor::new())
            .http2_only(true)
            .build_http();
        let mut request = Request::post(format!("{}/greeter.Greeter/Greet", self.origin()))
            .header(CONTENT_TYPE, content_type)
            .header("te", "trailers");
        if let Some(token) = token {
            request = request.header("authorization", token);
        }
        // No compression, no bytes: an empty message.
        let body = Full::new(Bytes::from_static(&[0, 0, 0, 0, 0]));
        let response = client.request(request.body(body).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap();
        let trailers = body.trailers().cloned();
        (http::Response::from_parts(head, body.to_bytes()), trailers)
    }
}

fn name(name: &str) -> Name {
    Name {
        name: name.to_owned(),
    }
}

// GR-01, GR-02
#[tokio::test]
async fn refusals_are_statuses_that_a_client_reads() {
    let served = serve().await;
    let good = served.idp.token(API).scope("greet").build();
    let poor = served.idp.token(API).scope("other").build();
    let expired = served.idp.token(API).scope("greet").expired().build();
    let cases = [
        (good.as_str(), Code::Ok),
        (expired.as_str(), Code::Unauthenticated),
        ("opaque", Code::Unauthenticated),
        (poor.as_str(), Code::PermissionDenied),
    ];
    for (token, expected) in cases {
        let mut client = served.bearing(token).await;
        let answer = client.greet(name("ann")).await;
        let code = answer.as_ref().err().map_or(Code::Ok, Status::code);
        assert_eq!(code, expected, "{answer:?}");
    }
    let mut bare = GreeterClient::new(served.channel().await);
    let refusal = bare.greet(name("ann")).await.unwrap_err();
    assert_eq!(refusal.code(), Code::Unauthenticated);
    assert_eq!(served.hello.handled.load(Ordering::SeqCst), 1);

    served.idp.set_fault(At::Jwks, Fault::Status(500));
    let stranger = tower_oidc::testing::SigningKey::generate("new", tower_oidc::Algorithm::Rs256);
    let unknown = served.idp.token(API).signed_by(Arc::new(stranger)).build();
    let refusal = served
        .bearing(&unknown)
        .await
        .greet(name("ann"))
        .await
        .unwrap_err();
    assert_eq!(refusal.code(), Code::Unavailable);
    let pause = refusal.metadata().get("grpc-retry-pushback-ms").unwrap();
    assert!(pause.to_str().unwrap().parse::<u64>().unwrap() >= 1_000);
    assert!(refusal.metadata().contains_key("retry-after"));
}

// GR-01, GR-03, GR-04
#[tokio::test]
async fn a_refusal_is_header_fields_and_nothing_else() {
    let served = serve().await;
    let poor = format!("Bearer {}", served.idp.token(API).build());
    let cases = [
        (
            None,
            "16",
            "the call carries no valid access token",
            r#"Bearer realm="https://api.example.com""#,
        ),
        (
            Some("Bearer"),
            "16",
            "the call carries no valid access token",
            "invalid_request",
        ),
        (
            Some("Bearer marker-7"),
            "16",
            "the call carries no valid access token",
            "invalid_token",
        ),
        (
            Some(poor.as_str()),
            "7",
            "the access token does not grant what this call needs",
            "insufficient_scope",
        ),
    ];
    for (token, code, message, challenge) in cases {
        let (answer, trailers) = served.raw("application/grpc+proto", token).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()[CONTENT_TYPE], "application/grpc");
        assert_eq!(answer.headers()["grpc-status"], code);
        let told = answer.headers()["grpc-message"].to_str().unwrap();
        assert_eq!(told, message.replace(' ', "%20"));
        let found = answer.headers()["www-authenticate"].to_str().unwrap();
        assert!(found.contains(challenge), "{found}");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        assert!(answer.body().is_empty() && trailers.is_none_or(|trailers| trailers.is_empty()));
        assert!(!format!("{:?}", answer.headers()).contains("marker-7"));
    }
}

// GR-05
#[tokio::test]
async fn a_forged_content_type_never_reaches_the_handler() {
    let served = serve().await;
    let cases = [
        ("application/grpc", Some("application/grpc")),
        ("APPLICATION/GRPC+json", Some("application/grpc")),
        (
            "application/grpc-web+proto",
            Some("application/grpc-web+proto"),
        ),
        (
            "application/grpc-web-text",
            Some("application/grpc-web-text+proto"),
        ),
        ("application/json", None),
        ("text/application/grpc", None),
        ("", None),
    ];
    for (sent, answered) in cases {
        let (answer, _) = served.raw(sent, None).await;
        if let Some(kind) = answered {
            assert_eq!(answer.status(), StatusCode::OK, "{sent}");
            assert_eq!(answer.headers()[CONTENT_TYPE], kind);
            assert_eq!(answer.headers()["grpc-status"], "16");
        } else {
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{sent}");
            assert!(!answer.headers().contains_key("grpc-status"));
        }
        assert!(answer.headers().contains_key("www-authenticate"));
    }
    assert_eq!(served.hello.handled.load(Ordering::SeqCst), 0);
    // If the service serves only gRPC, all refusals are gRPC statuses.
    let verifier = judging(&served.idp.provider().unwrap(), API);
    let service = ServiceBuilder::new()
        .layer(GrpcLayer::always())
        .layer(BearerLayer::new(verifier))
        .service_fn(|_: Request<String>| async {
            Ok::<_, std::convert::Infallible>(http::Response::new("reached".to_owned()))
        });
    let answer = service.oneshot(Request::new(String::new())).await.unwrap();
    assert_eq!(answer.headers()["grpc-status"], "16");
    assert!(answer.extensions().get::<Rejection>().is_some());
    assert!(answer.body().is_empty());
}

#[tokio::test]
async fn streams_go_both_ways_with_tokens_of_the_service() {
    let served = serve().await;
    let target = Target::audience(API).unwrap().with_scope("greet").unwrap();
    let tokens = ClientCredentials::new(&served.idp.provider().unwrap(), client(), target);
    let layer = OutboundLayer::new(&served.origin(), tokens).unwrap();
    let mut client = served.client(&layer).await;
    let again = client.greet_again(Times { times: 3 }).await.unwrap();
    let texts: Vec<_> = again
        .into_inner()
        .map(|one| one.unwrap().text)
        .collect()
        .await;
    assert_eq!(
        texts,
        ["0: development", "1: development", "2: development"]
    );

    let (sender, receiver) = mpsc::channel(1);
    let mut answers = client
        .chat(ReceiverStream::new(receiver))
        .await
        .unwrap()
        .into_inner();
    for one in ["a", "b", "c"] {
        sender.send(name(one)).await.unwrap();
        let answer = answers.next().await.unwrap().unwrap();
        assert_eq!(answer.text, format!("{one}: development"));
    }
    drop(sender);
    assert!(answers.next().await.is_none());
    assert_eq!(served.idp.hits().token, 1);

    // A token that the server refuses is marked, so that the next call uses a newer one.
    let other = serve().await;
    let layer = OutboundLayer::new(
        &other.origin(),
        ClientCredentials::new(
            &other.idp.provider().unwrap(),
            crate::browser::client(),
            Target::audience("https://another.example").unwrap(),
        ),
    )
    .unwrap();
    let mut client = other.client(&layer).await;
    for _ in 0..2 {
        let refusal = client.greet(name("x")).await.unwrap_err();
        assert_eq!(refusal.code(), Code::Unauthenticated);
    }
    assert_eq!(other.idp.hits().token, 2);
}

// GR-06
#[tokio::test]
async fn a_stream_ends_with_its_token_where_that_is_wanted() {
    let served = serve().await;
    let soon = served
        .idp
        .token(API)
        .scope("greet")
        .expires_in(seconds(5))
        .build();
    let mut client = served.bearing(&soon).await;
    let (sender, receiver) = mpsc::channel(1);
    let mut answers = client
        .chat(ReceiverStream::new(receiver))
        .await
        .unwrap()
        .into_inner();
    sender.send(name("a")).await.unwrap();
    assert_eq!(answers.next().await.unwrap().unwrap().text, "a: user-1");
    // The stream is silent, and ends all the same.
    let end = answers.next().await.unwrap().unwrap_err();
    assert_eq!(end.code(), Code::Unauthenticated);
    assert!(answers.next().await.is_none());
    // The work of the handler for this stream ends as well.
    until(|| served.hello.talking.load(Ordering::SeqCst) == 0).await;
}

/// Counts when a handler's work is dropped.
struct AtWork(Arc<AtomicU32>);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

// GR-06
#[tokio::test(start_paused = true)]
async fn a_call_whose_answer_has_not_begun_ends_with_its_token() {
    let clock = TokioClock::new();
    let ended = Arc::new(AtomicU32::new(0));
    for (content_type, kind) in [
        ("application/grpc+proto", Some("application/grpc")),
        ("application/grpc-web", Some("application/grpc-web+proto")),
        ("application/json", None),
    ] {
        let principal = expiring(&clock, seconds(100)).await;
        let start = tokio::time::Instant::now();
        let counted = Arc::clone(&ended);
        // It reads what the client streams, and answers at the end of it.
        let silent = tower::service_fn(move |_: Request<()>| {
            let at_work = AtWork(Arc::clone(&counted));
            async move {
                tokio::time::sleep(seconds(1_000)).await;
                drop(at_work);
                Ok::<_, std::convert::Infallible>(http::Response::new(String::from("done")))
            }
        });
        let mut request = Request::builder()
            .header(CONTENT_TYPE, content_type)
            .body(())
            .unwrap();
        request.extensions_mut().insert(principal.clone());
        let before = ended.load(Ordering::SeqCst);
        let mut call = Box::pin(StreamExpiryLayer::new().layer(silent).oneshot(request));
        let answer = (&mut call).await.unwrap();
        let took = start.elapsed().as_secs();
        let Some(kind) = kind else {
            assert_eq!(
                (took, answer.status().as_u16()),
                (1_000, 200),
                "no gRPC call: what the handler has begun is not thrown away"
            );
            let body = answer.into_body().collect().await.unwrap();
            assert_eq!(body.to_bytes(), "done");
            continue;
        };
        assert!((160..=161).contains(&took), "{took}");
        assert_eq!(
            ended.load(Ordering::SeqCst),
            before + 1,
            "the handler has stopped"
        );
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["grpc-status"], "16");
        assert_eq!(answer.headers()[CONTENT_TYPE], kind);
        assert!(answer.into_body().frame().await.is_none());
    }
}

// GR-02
#[tokio::test]
async fn a_session_calls_as_a_token_does_and_login_is_refused_in_grpcs_words() {
    let app = App::start().await;
    let service = ServiceBuilder::new()
        .layer(GrpcLayer::new())
        .layer(app.layer.clone())
        .service(app.inner.clone());
    let mut browser = Browser::default();
    let call = |browser: &Browser| {
        let mut request = browser.script(http::Method::POST, "/greeter.Greeter/Greet");
        let kind = http::HeaderValue::from_static("application/grpc-web+proto");
        request.headers_mut().insert(CONTENT_TYPE, kind);
        request
    };
    let refusal = service.clone().oneshot(call(&browser)).await.unwrap();
    assert_eq!(refusal.status(), StatusCode::OK);
    assert_eq!(refusal.headers()["grpc-status"], "16");
    assert_eq!(
        refusal.headers()["www-authenticate"],
        r#"Cookie realm="https://app.example.com""#
    );
    browser.sign_in(&app).await;
    let answer = service.clone().oneshot(call(&browser)).await.unwrap();
    assert_eq!(answer.body(), "user-1");
    assert!(!answer.headers().contains_key("grpc-status"));
    // Another site cannot call with the session.
    let mut foreign = call(&browser);
    let site = http::HeaderValue::from_static("cross-site");
    foreign.headers_mut().insert("sec-fetch-site", site);
    let refusal = service.oneshot(foreign).await.unwrap();
    assert_eq!(refusal.headers()["grpc-status"], "7");
}

#[tokio::test]
async fn a_forgotten_layer_and_an_anonymous_caller_are_told_apart() {
    let request = tonic::Request::new(());
    assert_eq!(principal(&request).unwrap_err().code(), Code::Internal);
    let idp = DevelopmentProvider::start().await.unwrap();
    let verifier = judging(&idp.provider().unwrap(), API);
    let service = BearerLayer::new(verifier)
        .allow_anonymous()
        .layer(tower::service_fn(|request: Request<String>| async {
            let (head, _) = request.into_parts();
            let request = tonic::Request::from_parts(
                tonic::metadata::MetadataMap::default(),
                head.extensions,
                (),
            );
            let code = principal(&request).unwrap_err().code();
            Ok::<_, std::convert::Infallible>(http::Response::new(format!("{code:?}")))
        }));
    let answer = service.oneshot(Request::new(String::new())).await.unwrap();
    assert_eq!(answer.into_body(), "Unauthenticated");
}

// D26
#[tokio::test]
async fn calls_that_no_layer_verified_are_told_of() {
    let inner = service_fn(|_: Request<String>| async {
        Ok::<_, std::convert::Infallible>(http::Response::new(String::new()))
    });
    let service = StreamExpiryLayer::new().layer(inner);
    let log = Log::default();
    let capturing = log.capture();
    for _ in 0..3 {
        let call = Request::post("/greeter.Greeter/Greet")
            .header(CONTENT_TYPE, "application/grpc")
            .body(String::new())
            .unwrap();
        let answer = service.clone().oneshot(call).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    }
    drop(capturing);
    let errors = log.at(tracing::Level::ERROR);
    assert_eq!(errors.len(), 1, "{errors:?}");
    for part in ["StreamExpiryLayer", "BearerLayer", "/greeter.Greeter/Greet"] {
        assert!(errors[0].contains(part), "{part}: {errors:?}");
    }
}
