//! Calls that leave, against a certified provider: services that call with tokens of their own, by HTTP
//! and by gRPC.

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

use tower_oidc::outbound::{ClientCredentials, Target, TokenSource};
use tower_oidc::{Client, Provider};

use crate::programs::{Program, example, provider};
use crate::web::RESOURCE;

fn run(environment: &[(&str, &str)]) -> (Output, String, String) {
    let output = example("service_to_service", environment).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    (output, stdout, stderr)
}

fn answers(stdout: &str) -> Vec<&str> {
    let is_answer = |line: &&str| line.starts_with(|first: char| first.is_ascii_digit());
    stdout.lines().filter(is_answer).collect()
}

fn client<'a>(issuer: &'a str, upstream: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("OPENID_ISSUER", issuer),
        ("OPENID_CLIENT_ID", "service"),
        ("OPENID_CLIENT_SECRET", "service-secret"),
        ("OPENID_AUDIENCE", RESOURCE),
        ("OPENID_RESOURCE", RESOURCE),
        ("OPENID_SCOPE", "openid offline_access read:messages"),
        ("UPSTREAM_URL", upstream),
        ("RUST_LOG", "trace"),
    ]
}

// OB-08
#[test]
#[ignore = "needs Node and oidc-provider; the full test run brings them"]
fn a_service_calls_an_api_with_certified_tokens_of_its_own() {
    let idp = provider("{}");
    let issuer = idp.address();
    let accepted = [("OPENID_ISSUER", &*issuer), ("OPENID_AUDIENCE", RESOURCE)];
    let api = Program::start(&mut example("api", &accepted), "listening on ");
    let messages = format!("{}/messages", api.address());
    let mut environment = client(&issuer, &messages);
    environment.push(("CALLS", "3"));
    let (output, stdout, stderr) = run(&environment);
    assert!(output.status.success(), "{stdout}\n{stderr}");
    let expected = r#"200 OK {"messages":["hello, service"]}"#;
    assert_eq!(
        answers(&stdout),
        [1, 2, 3].map(|n| format!("{n}: {expected}"))
    );
    assert!(stderr.contains("TRACE"), "the log was captured");
    for secret in ["service-secret", "eyJhbGciOi", "Bearer ey"] {
        assert!(!stderr.contains(secret), "{secret} in the log");
    }

    // An address without a path, and a token without the scope.
    let bare = api.address();
    let mut environment = client(&issuer, &bare);
    environment.push(("CALLS", "1"));
    let (_, stdout, _) = run(&environment);
    assert!(answers(&stdout)[0].starts_with("1: 200 OK {"), "{stdout}");
    let mut environment = client(&issuer, &messages);
    environment.extend([("CALLS", "1"), ("OPENID_SCOPE", "")]);
    let (output, stdout, _) = run(&environment);
    assert!(
        answers(&stdout)[0].starts_with("1: 403 Forbidden"),
        "{stdout}"
    );
    assert!(output.status.success(), "an answer is an answer");
}

// OB-08
#[test]
#[ignore = "needs Node and oidc-provider; the full test run brings them"]
fn no_token_ends_it_with_an_error_that_names_the_remedy() {
    let idp = provider("{}");
    let issuer = idp.address();
    let upstream = "http://127.0.0.1:9/x";
    let cases = [
        (("OPENID_CLIENT_SECRET", "wrong"), "invalid_client"),
        (
            ("OPENID_CLIENT_SECRET", ""),
            "OPENID_CLIENT_SECRET is not set",
        ),
        (
            ("OPENID_RESOURCE", "https://another.example/"),
            "OPENID_RESOURCE",
        ),
        (("OPENID_ISSUER", "http://127.0.0.1:9"), "does not answer"),
        (("UPSTREAM_URL", ""), "UPSTREAM_URL is not set"),
        (
            ("UPSTREAM_URL", "http://orders.internal"),
            "only https is safe",
        ),
        (("CALLS", "many"), "CALLS"),
    ];
    for (changed, expected) in cases {
        let mut environment = client(&issuer, upstream);
        environment.extend([("RUST_LOG", "off"), changed]);
        let (output, stdout, stderr) = run(&environment);
        assert_eq!(output.status.code(), Some(1), "{stdout}\n{stderr}");
        assert!(stderr.contains(expected), "{expected}: {stderr}");
        assert!(answers(&stdout).is_empty(), "{stdout}");
    }
}

#[test]
#[ignore = "starts the example as a program; the full test run builds it first"]
fn with_nothing_set_a_service_calls_an_api_of_its_own() {
    // No token goes through a proxy to a service on this machine.
    let proxies = [
        ("HTTP_PROXY", "http://127.0.0.1:9"),
        ("http_proxy", "http://127.0.0.1:9"),
    ];
    let (output, stdout, stderr) = run(&proxies);
    assert!(output.status.success(), "{stdout}\n{stderr}");
    let answers = answers(&stdout);
    assert_eq!(answers.len(), 10);
    assert!(
        answers.iter().all(|answer| answer.contains("200 OK")),
        "{stdout}"
    );
}

/// What the client of the `grpc` example prints, and how the program ends when asked to.
fn converse(mut command: Command) -> (Vec<String>, Option<i32>) {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut told = Vec::new();
    for line in lines.map_while(Result::ok) {
        let is_last = line.starts_with("a conversation: \"hello, Eve");
        told.push(line);
        if is_last {
            break;
        }
    }
    let pid = child.id().to_string();
    Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    (told, child.wait().unwrap().code())
}

#[test]
#[ignore = "needs Node and oidc-provider; the full test run brings them"]
fn the_grpc_example_talks_in_all_ways_with_tokens_of_both_providers() {
    let idp = provider("{}");
    let issuer = idp.address();
    let mut certified = client(&issuer, "");
    certified.push(("RUST_LOG", "off"));
    for (environment, caller) in [(certified, "service"), (Vec::new(), "development")] {
        let (told, code) = converse(example("grpc", &environment));
        let from = told
            .iter()
            .position(|line| line.starts_with("without a token"))
            .unwrap();
        let greeting =
            |way: &str, name: &str| format!("{way}: \"hello, {name}, asked by {caller}\"");
        assert_eq!(
            told[from..],
            [
                "without a token: Unauthenticated, the call carries no valid access token"
                    .to_owned(),
                greeting("with a token", "Ann"),
                greeting("a stream", "number 1"),
                greeting("a stream", "number 2"),
                greeting("a conversation", "Bob"),
                greeting("a conversation", "Eve"),
            ]
        );
        assert_eq!(code, Some(0), "it stops cleanly");
    }
}

// D28, OB-08
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Node and oidc-provider; the full test run brings them"]
async fn the_grpc_example_takes_tokens_where_it_is_told() {
    let idp = provider("{}");
    let issuer = idp.address();
    let environment = [
        ("OPENID_ISSUER", &*issuer),
        ("OPENID_AUDIENCE", RESOURCE),
        ("OPENID_TOKEN_PLACES", "header:x-token"),
    ];
    let server = Program::start(&mut example("grpc", &environment), "listening on ");
    let provider = Provider::builder(&issuer).danger().allow_http_on_loopback();
    let client = Client::with_secret("service", "service-secret").unwrap();
    let target = Target::resource(RESOURCE).unwrap();
    let tokens = ClientCredentials::new(&provider.build().unwrap(), client, target);
    let token = tokens.token().await.unwrap();
    let token = token.as_access_token().as_str();
    let http = reqwest::Client::builder().http2_prior_knowledge();
    let http = http.build().unwrap();
    for (field, value, refused) in [
        ("x-token", token.to_owned(), false),
        ("authorization", format!("Bearer {token}"), true),
    ] {
        let url = format!("{}/greeter.Greeter/Greet", server.address());
        // A message without a name.
        let call = http.post(url).header(field, value).body(vec![0; 5]);
        let call = call.header("content-type", "application/grpc");
        let answer = call.header("te", "trailers").send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        let status = answer.headers().get("grpc-status");
        assert_eq!(status.is_some_and(|code| code == "16"), refused, "{field}");
    }
}
