use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use serde_json::Value;

use super::answer::{read, seconds};
use super::{GrantFailure, TokenAnswer};
use crate::clock::UnixTime;
use crate::error::ProviderErrorKind;
use crate::provider::client::oauth_error::CODES;

const NOW: UnixTime = UnixTime::from_seconds(784_111_777); // Sun, 06 Nov 1994 08:49:37 GMT
const JSON: &str = "application/json";
const TOKENS: &str = r#"{"access_token":"a","token_type":"Bearer","refresh_token":"r"}"#;
const PAGE: &str = "<h1>Attention Required</h1>";

fn answer(status: u16, kind: &str, body: &str) -> Result<TokenAnswer, GrantFailure> {
    let answer = Response::builder()
        .status(status)
        .header(CONTENT_TYPE, kind)
        .header(RETRY_AFTER, "7")
        .body(Bytes::from(body.to_owned()))
        .unwrap();
    read(&answer, NOW)
}

fn error(code: &str) -> String {
    format!(r#"{{"error":"{code}","error_description":"hunter2"}}"#)
}

fn meaning(answer: &Result<TokenAnswer, GrantFailure>) -> &'static str {
    match answer {
        Ok(_) => "tokens",
        Err(GrantFailure::Rejected(_)) => "rejected",
        Err(GrantFailure::Misconfigured(_)) => "misconfigured",
        Err(GrantFailure::Unspent(..)) => "unspent",
        Err(GrantFailure::Uncertain(_)) => "uncertain",
    }
}

// RT-06, RT-08: the first body is the provider's own error, the second a page of something in front
// of it, the third empty, the fourth JSON that is not an OAuth error.
#[test]
fn what_each_status_means_for_the_refresh_token() {
    let cases = [
        (200, ["rejected", "uncertain", "uncertain", "uncertain"]),
        (201, ["rejected", "uncertain", "uncertain", "uncertain"]),
        (202, ["rejected", "uncertain", "uncertain", "uncertain"]),
        (203, ["rejected", "uncertain", "uncertain", "uncertain"]),
        (204, ["rejected", "uncertain", "uncertain", "uncertain"]),
        (206, ["rejected", "uncertain", "uncertain", "uncertain"]),
        (226, ["rejected", "uncertain", "uncertain", "uncertain"]),
        (299, ["rejected", "uncertain", "uncertain", "uncertain"]),
        (301, ["unspent"; 4]),
        (302, ["unspent"; 4]),
        (303, ["unspent"; 4]),
        (304, ["unspent"; 4]),
        (307, ["unspent"; 4]),
        (308, ["unspent"; 4]),
        (400, ["rejected", "unspent", "rejected", "unspent"]),
        (401, ["rejected", "unspent", "unspent", "unspent"]),
        // Auth0 answers an unknown refresh token with 403 and `invalid_grant`.
        (403, ["rejected", "unspent", "unspent", "unspent"]),
        (404, ["rejected", "unspent", "unspent", "unspent"]),
        (405, ["rejected", "unspent", "unspent", "unspent"]),
        (407, ["rejected", "unspent", "unspent", "unspent"]),
        (408, ["unspent"; 4]),
        (409, ["rejected", "unspent", "unspent", "unspent"]),
        (410, ["rejected", "unspent", "unspent", "unspent"]),
        (413, ["rejected", "unspent", "unspent", "unspent"]),
        (415, ["rejected", "unspent", "unspent", "unspent"]),
        (418, ["rejected", "unspent", "unspent", "unspent"]),
        (422, ["rejected", "unspent", "unspent", "unspent"]),
        (425, ["unspent"; 4]),
        (429, ["unspent"; 4]),
        (431, ["rejected", "unspent", "unspent", "unspent"]),
        (451, ["rejected", "unspent", "unspent", "unspent"]),
        (499, ["rejected", "unspent", "unspent", "unspent"]),
        (500, ["unspent", "uncertain", "uncertain", "uncertain"]),
        (501, ["uncertain"; 4]),
        (502, ["uncertain"; 4]),
        (503, ["unspent", "uncertain", "uncertain", "uncertain"]),
        (504, ["uncertain"; 4]),
        (505, ["uncertain"; 4]),
        (507, ["uncertain"; 4]),
        (511, ["uncertain"; 4]),
        (520, ["uncertain"; 4]),
        (599, ["uncertain"; 4]),
        (600, ["uncertain"; 4]),
        (999, ["uncertain"; 4]),
    ];
    for (status, expected) in cases {
        let bodies = [
            (JSON, error("invalid_grant")),
            ("text/html", PAGE.to_owned()),
            ("text/plain", String::new()),
            (JSON, "{}".to_owned()),
        ];
        let found = bodies.map(|(kind, body)| meaning(&answer(status, kind, &body)));
        assert_eq!(found, expected, "{status}");
    }
}

// LG-20, RT-06, OB-12, AZ-09
#[test]
fn what_each_error_code_means_for_the_refresh_token() {
    let cases = [
        ("invalid_grant", "rejected"),
        ("interaction_required", "rejected"),
        ("login_required", "rejected"),
        ("consent_required", "rejected"),
        ("invalid_client", "misconfigured"),
        ("unauthorized_client", "misconfigured"),
        ("invalid_request", "misconfigured"),
        ("unsupported_grant_type", "misconfigured"),
        ("invalid_scope", "misconfigured"),
        ("invalid_target", "misconfigured"),
        ("invalid_dpop_proof", "misconfigured"),
        ("access_denied", "misconfigured"),
        ("temporarily_unavailable", "unspent"),
        ("server_error", "unspent"),
        // What is not defined is no evidence.
        ("too_many_attempts", "unspent"),
        ("quota_exceeded", "unspent"),
        ("INVALID_GRANT", "unspent"),
        ("", "unspent"),
    ];
    for (code, expected) in cases {
        for status in [200, 202, 400, 401, 403] {
            let answer = answer(status, JSON, &error(code));
            assert_eq!(meaning(&answer), expected, "{status} {code}");
            let text = answer.unwrap_err().error().to_string();
            assert!(!text.contains("hunter2"), "{text}");
            let is_repeated = code.is_empty() || CODES.contains(&code);
            assert_eq!(text.contains(code), is_repeated, "{text}");
        }
    }
}

// KS-17, RT-08
#[test]
fn the_body_decides_and_not_its_media_type() {
    let invalid_grant = error("invalid_grant");
    let cases = [
        (200, "text/html", TOKENS, "tokens"),
        (200, "application/jwt", TOKENS, "tokens"),
        (200, "", TOKENS, "tokens"),
        (200, JSON, TOKENS, "tokens"),
        (201, JSON, TOKENS, "tokens"),
        (202, JSON, TOKENS, "tokens"),
        (203, "text/plain", TOKENS, "tokens"),
        (226, JSON, TOKENS, "tokens"),
        (299, JSON, TOKENS, "tokens"),
        (400, "text/html", &invalid_grant, "rejected"),
        (401, "", &invalid_grant, "rejected"),
        (500, "text/plain", &invalid_grant, "unspent"),
        // Tokens that come with a failure are not believed.
        (400, JSON, TOKENS, "unspent"),
        (500, JSON, TOKENS, "uncertain"),
    ];
    for (status, kind, body, expected) in cases {
        let found = meaning(&answer(status, kind, body));
        assert_eq!(found, expected, "{status} {kind} {body}");
    }
}

// RT-06, RT-08
#[test]
fn what_is_nearly_an_error_or_nearly_tokens_is_neither() {
    let cases = [
        (
            "an error that is an object",
            400,
            r#"{"error":{"code":"invalid_grant"}}"#,
            "unspent",
        ),
        ("a number", 400, r#"{"error":400}"#, "unspent"),
        ("null", 400, r#"{"error":null}"#, "unspent"),
        (
            "a list around it",
            400,
            r#"[{"error":"invalid_grant"}]"#,
            "unspent",
        ),
        ("a text", 400, r#""invalid_grant""#, "unspent"),
        ("broken off", 400, r#"{"error":"invalid_grant""#, "unspent"),
        (
            "something behind it",
            400,
            r#"{"error":"invalid_grant"} <!-- -->"#,
            "unspent",
        ),
        ("as a form", 400, "error=invalid_grant", "unspent"),
        ("blanks are not empty", 400, " ", "unspent"),
        ("a list", 200, "[]", "uncertain"),
        ("broken off", 200, "{", "uncertain"),
        (
            "a type without a token",
            200,
            r#"{"token_type":"Bearer"}"#,
            "uncertain",
        ),
        (
            "an error that is an object",
            200,
            r#"{"error":{}}"#,
            "uncertain",
        ),
        (
            "an error beside a refresh token",
            200,
            r#"{"error":"invalid_grant","refresh_token":"r"}"#,
            "uncertain",
        ),
        (
            "an error beside tokens",
            200,
            r#"{"error":"server_error","access_token":"a","token_type":"bearer"}"#,
            "tokens",
        ),
        (
            "no error beside tokens",
            200,
            r#"{"error":null,"access_token":"a","token_type":"bearer"}"#,
            "tokens",
        ),
        (
            "tokens beside what no program can hold",
            200,
            r#"{"access_token":"a","token_type":"bearer","expires_in":1e400,"note":"\ud800"}"#,
            "tokens",
        ),
        (
            "an error beside what no program can hold",
            400,
            r#"{"error":"invalid_grant","error_description":"\udfff"}"#,
            "rejected",
        ),
        (
            "tokens that are none beside an error",
            200,
            r#"{"error":"invalid_grant","access_token":null}"#,
            "rejected",
        ),
    ];
    for (name, status, body, expected) in cases {
        assert_eq!(meaning(&answer(status, JSON, body)), expected, "{name}");
    }
}

// RT-08
#[test]
fn the_next_attempt_waits_as_long_as_the_provider_asks() {
    for (status, body) in [
        (302, ""),
        (403, PAGE),
        (404, PAGE),
        (408, ""),
        (425, ""),
        (429, PAGE),
        (500, r#"{"error":"server_error"}"#),
        (503, r#"{"error":"temporarily_unavailable"}"#),
        (200, r#"{"error":"temporarily_unavailable"}"#),
    ] {
        let Err(GrantFailure::Unspent(_, pause)) = answer(status, JSON, body) else {
            panic!("{status} {body} is not unspent");
        };
        assert_eq!(pause, Some(Duration::from_secs(7)), "{status} {body}");
    }
    for status in [500, 502, 503, 504] {
        let Err(GrantFailure::Uncertain(error)) = answer(status, "text/html", PAGE) else {
            panic!("{status} is not uncertain");
        };
        assert_eq!(error.pause(), Duration::from_secs(7), "{status}");
    }
    let busy = Response::builder()
        .status(429)
        .header(RETRY_AFTER, "Sun, 06 Nov 1994 08:50:07 GMT")
        .body(Bytes::new())
        .unwrap();
    let Err(GrantFailure::Unspent(_, pause)) = read(&busy, NOW) else {
        panic!("not unspent");
    };
    assert_eq!(pause, Some(Duration::from_secs(30)), "a date");
}

// LG-20
#[test]
fn a_401_without_an_error_code_names_the_credentials() {
    for body in [PAGE, "", "{}"] {
        let failure = answer(401, "text/html", body).unwrap_err();
        let text = failure.error().to_string();
        assert!(text.contains("OPENID_CLIENT_SECRET"), "{text}");
        assert!(!failure.error().kind().is_configuration(), "{text}");
    }
}

// OB-12
#[test]
fn a_provider_that_demands_claims_wants_the_user() {
    let with = |code: &str, claims: &str| {
        let body = serde_json::json!({"error": code, "claims": claims}).to_string();
        let failure = answer(400, JSON, &body).unwrap_err();
        let claims = failure.error().claims().map(str::to_owned);
        (failure.error().kind(), claims)
    };
    let demand = r#"{"access_token":{"acrs":{"essential":true}}}"#;
    for code in ["invalid_grant", "interaction_required"] {
        let expected = (
            ProviderErrorKind::InteractionRequired,
            Some(demand.to_owned()),
        );
        assert_eq!(with(code, demand), expected, "{code}");
    }
    assert_eq!(
        with("invalid_client", demand),
        (ProviderErrorKind::RequestRefused, None)
    );
    for bad in ["[]", "{", &format!("{{\"a\":\"{}\"}}", "x".repeat(4096))] {
        let expected = (ProviderErrorKind::GrantRejected, None);
        assert_eq!(with("invalid_grant", bad), expected, "{bad}");
    }
}

// RT-15
#[test]
fn the_life_of_a_refresh_token_has_two_names() {
    let cases = [
        ("", None),
        (r#","refresh_expires_in":1800"#, Some(1800)),
        (r#","refresh_token_expires_in":1800"#, Some(1800)),
        (r#","refresh_token_expires_in":"1800""#, Some(1800)),
        (
            r#","refresh_expires_in":60,"refresh_token_expires_in":90"#,
            Some(60),
        ),
        (
            r#","refresh_expires_in":90,"refresh_token_expires_in":60"#,
            Some(60),
        ),
        (
            r#","refresh_expires_in":0,"refresh_token_expires_in":60"#,
            Some(60),
        ),
        (
            r#","refresh_expires_in":60,"refresh_token_expires_in":-1"#,
            Some(60),
        ),
        (r#","refresh_expires_in":0"#, None),
        (
            r#","refresh_expires_in":-60,"refresh_token_expires_in":"never""#,
            None,
        ),
    ];
    for (members, expected) in cases {
        let body = format!(r#"{{"access_token":"a","token_type":"Bearer"{members}}}"#);
        let found = answer(200, JSON, &body).unwrap().refresh_expires_in;
        assert_eq!(found, expected.map(Duration::from_secs), "{members}");
    }
}

// LG-19
#[test]
fn only_bearer_tokens_are_taken_in_any_case() {
    let with = |kind: &str| {
        let body = format!(r#"{{"access_token":"a","token_type":{kind}}}"#);
        answer(200, "application/json; charset=utf-8", &body).is_ok()
    };
    assert!(with("\"Bearer\"") && with("\"bearer\"") && with("\"BEARER\""));
    assert!(!with("\"mac\"") && !with("\"DPoP\"") && !with("7") && !with("null"));
}

// RT-09
#[test]
fn lifetimes_of_every_json_type_are_read_or_ignored() {
    let cases = [
        ("60", Some(60)),
        ("\"60\"", Some(60)),
        ("60.9", Some(60)),
        ("0", Some(0)),
        ("-5", Some(-5)),
        ("1e300", Some(i64::MAX)),
        ("null", None),
        ("\"soon\"", None),
        ("[60]", None),
    ];
    for (text, expected) in cases {
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(seconds(Some(&value)), expected, "{text}");
    }
    assert_eq!(seconds(None), None);
}
