//! The `mcp` example as a program: its own client, and requests that no client of a library sends.

use std::process::Command;

use reqwest::StatusCode;
use reqwest::header::WWW_AUTHENTICATE;
use serde_json::{Value, json};
use tower_oidc::testing::DevelopmentProvider;

use crate::programs::{Program, example};

fn output(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), text + &log)
}

// MC-01, MC-02, MC-04
#[test]
#[ignore = "starts the example as a program; the full test run builds it first"]
fn a_client_of_mcp_that_has_no_token_finds_its_way_and_steps_up() {
    let (code, text) = output(&mut example("mcp", &[("RUST_LOG", "warn")]));
    assert_eq!(code, Some(0), "{text}");
    let mut rest = text.as_str();
    for part in [
        "1. without a token: 401",
        "resource_metadata=\"http://127.0.0.1:",
        "/.well-known/oauth-protected-resource/mcp\"",
        "scope=\"notes:read\"",
        "2. the metadata leads to the provider: http://127.0.0.1:",
        "/authorize",
        "scope=notes:read\n",
        "resource=http://127.0.0.1:",
        "3. signed in",
        "4. list_notes: []",
        "5. add_note: 403",
        "resource_metadata=",
        "scope=\"notes:read notes:write\"",
        "error=\"insufficient_scope\"",
        "6. stepping up",
        "scope=notes:read notes:write",
        "7. add_note: there are 1 now",
        "8. list_notes: [\"buy pears\"]",
    ] {
        let at = rest.find(part);
        let at = at.unwrap_or_else(|| panic!("{part} is not in its place: {text}"));
        rest = &rest[at..];
    }
}

/// The example with the settings of a provider, called as clients call that read nothing of what it says.
struct Server {
    idp: DevelopmentProvider,
    program: Program,
}

impl Server {
    const AUDIENCE: &str = "https://mcp.example.com/mcp";

    async fn start() -> Self {
        let idp = DevelopmentProvider::builder().start().await.unwrap();
        let settings = [
            ("OPENID_ISSUER", idp.issuer()),
            ("OPENID_AUDIENCE", Self::AUDIENCE),
            ("DOMAIN_SERVER", Self::AUDIENCE),
        ];
        let program = Program::start(&mut example("mcp", &settings), "listening on ");
        Self { idp, program }
    }

    fn token(&self, scope: &str) -> String {
        self.idp.token(Self::AUDIENCE).scope(scope).build()
    }

    async fn send(&self, token: Option<&str>, body: String) -> (StatusCode, String, String) {
        let request = reqwest::Client::new()
            .post(format!("{}/mcp", self.program.address()))
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json")
            .body(body);
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let answer = request.send().await.unwrap();
        let challenge = answer.headers().get(WWW_AUTHENTICATE);
        let challenge = challenge.map_or("", |field| field.to_str().unwrap());
        let (status, challenge) = (answer.status(), challenge.to_owned());
        (status, challenge, answer.text().await.unwrap())
    }
}

fn call(tool: &str) -> Value {
    let arguments = json!({"text": "x"});
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}})
}

// MC-01, MC-03, MC-04, MC-05
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts the example as a program; the full test run builds it first"]
async fn a_server_of_mcp_refuses_tokens_for_others_and_tools_without_scope() {
    let server = Server::start().await;
    let metadata = "/.well-known/oauth-protected-resource/mcp";
    let metadata = format!("{}{metadata}", server.program.address());
    let document: Value = reqwest::get(metadata).await.unwrap().json().await.unwrap();
    assert_eq!(document["resource"], Server::AUDIENCE);
    assert_eq!(
        document["authorization_servers"],
        json!([server.idp.issuer()])
    );
    assert_eq!(document["scopes_supported"], json!(["notes:read"]));

    let list = call("list_notes").to_string();
    let (status, challenge, _) = server.send(None, list.clone()).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let named =
        "resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/mcp\"";
    assert!(challenge.contains(named), "{challenge}");
    let foreign = server.idp.token("https://other.example.com/mcp");
    let foreign = foreign.scope("notes:read notes:write").build();
    let (status, challenge, _) = server.send(Some(&foreign), list.clone()).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");

    let reader = server.token("notes:read");
    let (status, _, body) = server.send(Some(&reader), list).await;
    assert_eq!(status, StatusCode::OK);
    assert!(body.contains("[]"), "{body}");
    // However the call is written, it adds nothing: a name with an escape, members in another order, twice.
    let add = call("add_note").to_string();
    let twice = add.replace("\"name\":", "\"name\":\"list_notes\",\"name\":");
    let escaped = add.replace("add_note", "add_not\\u0065");
    for (body, expected) in [
        (add.clone(), StatusCode::FORBIDDEN),
        (escaped, StatusCode::FORBIDDEN),
        (format!("[{add}]"), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (twice, StatusCode::OK),
    ] {
        let (status, challenge, answer) = server.send(Some(&reader), body.clone()).await;
        assert_eq!(status, expected, "{body}: {answer}");
        assert!(!answer.contains("result"), "{answer}");
        let is_named = challenge.contains("scope=\"notes:read notes:write\"");
        assert_eq!(is_named, expected == StatusCode::FORBIDDEN, "{challenge}");
    }
    // The tool needs what every call needs, too.
    let writer = server.token("notes:write");
    let (status, ..) = server.send(Some(&writer), add.clone()).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let (_, _, body) = server
        .send(Some(&reader), call("list_notes").to_string())
        .await;
    assert!(body.contains("[]"), "{body}");
    let both = server.token("notes:read notes:write");
    let (status, _, body) = server.send(Some(&both), add).await;
    assert_eq!(status, StatusCode::OK);
    assert!(body.contains("there are 1 now"), "{body}");
    // A message that is too long is read by no one.
    let long = format!("{{\"x\": \"{}\"}}", "a".repeat(300 * 1024));
    let (status, ..) = server.send(Some(&both), long).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(server.program.stop().0, Some(0));
}
