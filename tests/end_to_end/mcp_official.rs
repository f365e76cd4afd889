//! The `mcp` example against programs of the Model Context Protocol's authors: their client, which finds its way to a token
//! and steps up, and their conformance scenarios.

use std::path::PathBuf;
use std::process::Command;

use tower_oidc::testing::DevelopmentProvider;

use crate::programs::{Program, example, folder};
use crate::web::free_port;

const SCOPES: &str = "notes:read notes:write";

fn packages() -> PathBuf {
    let packages = folder("mcp").join("node_modules");
    assert!(
        packages.join("@modelcontextprotocol/conformance").exists(),
        "run `npm install --no-package-lock` in tests/mcp first"
    );
    packages
}

/// The example at an address that it knows, because clients compare it with what the metadata says.
struct Server {
    idp: DevelopmentProvider,
    program: Program,
    address: String,
}

impl Server {
    async fn start() -> Self {
        let idp = DevelopmentProvider::builder().start().await.unwrap();
        let port = free_port().to_string();
        let address = format!("http://127.0.0.1:{port}/mcp");
        let settings = [
            ("OPENID_ISSUER", idp.issuer()),
            ("OPENID_AUDIENCE", &address),
            ("DOMAIN_SERVER", &address),
            ("PORT", &port),
        ];
        let program = Program::start(&mut example("mcp", &settings), "listening on ");
        Self {
            idp,
            program,
            address,
        }
    }
}

/// What a program printed, and whether it ended well. It does not hold up the provider, which runs in this process.
async fn ended(mut command: Command) -> (bool, String) {
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = output.await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.success(), text + &log)
}

// MC-01, MC-02, MC-04
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Node and the official client of MCP; the full test run brings them"]
async fn the_official_client_of_mcp_finds_its_way_and_steps_up() {
    packages();
    let server = Server::start().await;
    let mut client = Command::new("node");
    client.args(["client.mjs", &server.address]);
    client.current_dir(folder("mcp"));
    let (is_well, text) = ended(client).await;
    assert!(is_well, "{text}");
    let resource = &server.address;
    let expected = [
        format!("authorize scope=notes:read resource={resource} pkce=S256"),
        "list_notes []".to_owned(),
        format!("authorize scope={SCOPES} resource={resource} pkce=S256"),
        "add_note there are 1 now".to_owned(),
        "list_notes [\"buy pears\"]".to_owned(),
    ];
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines, expected, "{text}");
    assert_eq!(server.program.stop().0, Some(0));
}

/// The scenarios for servers that need no tools of their own.
const SCENARIOS: [&str; 4] = [
    "server-initialize",
    "ping",
    "tools-list",
    "dns-rebinding-protection",
];

fn conformance(arguments: &[&str]) -> Command {
    let packages = packages();
    // The scenarios need a newer Node than the other tests. It comes with them unless npm runs no scripts.
    let newer = packages.join(".bin/node");
    let node = if newer.exists() { newer } else { "node".into() };
    let mut command = Command::new(node);
    command
        .arg(packages.join("@modelcontextprotocol/conformance/dist/index.js"))
        .args(arguments)
        .current_dir(env!("CARGO_TARGET_TMPDIR"));
    command
}

// MC-05
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Node and the official scenarios of MCP; the full test run brings them"]
async fn a_server_behind_the_layer_passes_the_official_scenarios() {
    let server = Server::start().await;
    let token = server.idp.token(&server.address).scope(SCOPES).build();
    let mut proxy = Command::new("node");
    proxy
        .args(["with_token.mjs", &server.program.address()])
        .current_dir(folder("mcp"))
        .env("TOKEN", token);
    let proxy = Program::start(&mut proxy, "ready ");
    let through = format!("{}/mcp", proxy.address());
    for scenario in SCENARIOS {
        let with_token = conformance(&["server", "--url", &through, "--scenario", scenario]);
        let (is_well, text) = ended(with_token).await;
        assert!(is_well, "{scenario}: {text}");
        assert!(text.contains(", 0 failed"), "{scenario}: {text}");
    }
    // Without a token none gets as far as the server.
    let bare = conformance(&["server", "--url", &server.address, "--scenario", "ping"]);
    let (is_well, text) = ended(bare).await;
    assert!(!is_well, "{text}");
    assert!(text.contains("1 failed"), "{text}");
    assert_eq!(server.program.stop().0, Some(0));
}

#[tokio::test]
#[ignore = "needs Node and the official scenarios of MCP; the full test run brings them"]
async fn the_official_scenarios_have_none_for_the_authorization_of_servers() {
    let (is_well, list) = ended(conformance(&["list"])).await;
    assert!(is_well, "{list}");
    let (servers, clients) = list.split_once("Client scenarios").unwrap();
    for scenario in SCENARIOS {
        assert!(servers.contains(&format!("- {scenario} ")), "{list}");
    }
    // Those for clients are about the client of the library, which is none of this crate.
    assert!(clients.contains("- auth/scope-step-up "), "{list}");
    assert!(!servers.contains("auth"), "run it here: {servers}");
}
