//! The `doctor` example as a program, against a certified provider as another.

use std::io::Write;
use std::process::{Output, Stdio};

use rstest::rstest;
use serde_json::Value;

use crate::api::{RESOURCE, token_at};
use crate::programs::{example, provider};
use crate::stores::server::Kind;
use crate::web;

/// Runs it with these arguments and this text on stdin.
pub(crate) fn run(
    environment: &[(&str, &str)],
    arguments: &[&str],
    stdin: &str,
) -> (Output, String) {
    let mut child = example("doctor", environment)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that does not read it has ended before.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text =
        [&*output.stdout, &*output.stderr].map(|part| String::from_utf8_lossy(part).into_owned());
    (output, text.concat())
}

pub(crate) fn codes(json: &str) -> Vec<String> {
    let report: Value = serde_json::from_str(json).unwrap();
    let found = report["findings"].as_array().unwrap().iter();
    found
        .map(|finding| finding["code"].as_str().unwrap().to_owned())
        .collect()
}

fn service(issuer: &str) -> Vec<(&str, &str)> {
    vec![
        ("OPENID_ISSUER", issuer),
        ("OPENID_CLIENT_ID", "service"),
        ("OPENID_CLIENT_SECRET", "service-secret"),
        ("OPENID_AUDIENCE", RESOURCE),
        ("OPENID_RESOURCE", RESOURCE),
    ]
}

#[test]
#[ignore = "needs Node and oidc-provider; the full test run brings them"]
fn the_doctor_ends_by_what_it_found_at_a_certified_provider() {
    let idp = provider("{}");
    let issuer = idp.address();
    let good = service(&issuer);
    let (output, text) = run(&good, &["--as", "service", "--json"], "");
    assert_eq!(output.status.code(), Some(0), "{text}");
    let found = codes(&text);
    for code in [
        "discovery_right",
        "clock_right",
        "keys_right",
        "client_right",
        "token_granted",
    ] {
        assert!(found.iter().any(|one| one == code), "{code}: {text}");
    }
    assert!(!text.contains("service-secret"), "{text}");

    let api = [("OPENID_ISSUER", &*issuer), ("OPENID_AUDIENCE", RESOURCE)];
    let (output, text) = run(&api, &[], "");
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("examined as: api"), "{text}");
    assert!(text.ends_with("all is well\n"), "{text}");

    let mut wrong = service(&issuer);
    wrong.push(("OPENID_CLIENT_SECRET", "of-another-client"));
    let (output, text) = run(&wrong, &["--as", "service", "--json"], "");
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        codes(&text).contains(&"client_refused".to_owned()),
        "{text}"
    );
    assert!(!text.contains("of-another-client"), "{text}");

    let nowhere = [
        ("OPENID_ISSUER", "http://127.0.0.1:9"),
        ("OPENID_AUDIENCE", RESOURCE),
    ];
    let (output, text) = run(&nowhere, &["--config-test"], "");
    assert_eq!(output.status.code(), Some(0), "{text}");
    let (output, text) = run(&nowhere, &[], "");
    assert_eq!(output.status.code(), Some(1), "{text}");
    let (output, text) = run(&nowhere, &["--profile", "mcp", "--json"], "");
    assert_eq!(output.status.code(), Some(1), "{text}");
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["departures"]["well"], false);
}

#[tokio::test]
#[ignore = "needs Node and oidc-provider; the full test run brings them"]
async fn the_doctor_explains_a_certified_token_and_never_shows_it() {
    let idp = provider("{}");
    let issuer = idp.address();
    let endpoint = format!("{issuer}/token");
    let token = token_at(&endpoint, &[("resource", RESOURCE)]).await;
    let opaque = token_at(&endpoint, &[]).await;
    let api = [("OPENID_ISSUER", &*issuer), ("OPENID_AUDIENCE", RESOURCE)];
    let (output, text) = run(&api, &["--token", "-", "--json"], &token);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(
        codes(&text).contains(&"token_accepted".to_owned()),
        "{text}"
    );
    let (refused, told) = run(&api, &["--token", "-", "--json"], &opaque);
    assert_eq!(refused.status.code(), Some(1), "{told}");
    assert!(codes(&told).contains(&"token_opaque".to_owned()), "{told}");

    // As an argument it is refused, and not repeated.
    let (by_value, said) = run(&api, &["--token", &token], "");
    assert_eq!(by_value.status.code(), Some(2), "{said}");
    assert!(said.contains("never the token itself"), "{said}");
    let (by_itself, repeated) = run(&api, &[&token], "");
    assert_eq!(by_itself.status.code(), Some(2), "{repeated}");
    let shown = [text, told, said, repeated].concat();
    for secret in [&token, &opaque] {
        for part in secret.as_bytes().windows(16) {
            assert!(
                !shown.contains(std::str::from_utf8(part).unwrap()),
                "{shown}"
            );
        }
    }
}

#[rstest]
#[ignore = "needs redis-server, PostgreSQL, Node and oidc-provider; the full test run brings them"]
fn the_doctor_finds_each_store_right(
    #[values(Kind::Redis, Kind::Postgres, Kind::Sqlite)] kind: Kind,
) {
    let idp = provider("{}");
    let issuer = idp.address();
    let server = kind.start();
    let url = server.url();
    let mut site = web::settings(&issuer, "http://127.0.0.1:9");
    site.push((kind.variable(), &url));
    let (_, text) = run(&site, &["--as", "site", "--json"], "");
    assert!(codes(&text).contains(&"store_right".to_owned()), "{text}");
}
