//! Parameters of queries and forms, and the clients that send them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use serde_json::json;

/// The client that has a secret, and the secret.
pub(super) const CLIENT: (&str, &str) = ("development", "development-secret");

/// The client that has none.
const PUBLIC_CLIENT: &str = "development-public";

pub(super) type Parameters = Vec<(String, String)>;

pub(super) fn parameter<'a>(parameters: &'a Parameters, name: &str) -> Option<&'a str> {
    let found = parameters.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
}

/// An error answer of [RFC 6749 §5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2).
pub(super) fn refuse(status: StatusCode, code: &str) -> (StatusCode, String) {
    (status, json!({ "error": code }).to_string())
}

/// The client that sent a form, if it authenticates itself by a secret or needs none.
pub(super) fn client_by_secret(headers: &HeaderMap, form: &Parameters) -> Option<String> {
    let basic = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Basic "))
        .and_then(|encoded| STANDARD.decode(encoded).ok());
    let secret = parameter(form, "client_secret");
    match (basic, parameter(form, "client_id"), secret) {
        (Some(basic), _, None) => {
            (basic == format!("{}:{}", CLIENT.0, CLIENT.1).as_bytes()).then(|| CLIENT.0.to_owned())
        }
        (None, Some(id), Some(secret)) => ((id, secret) == CLIENT).then(|| id.to_owned()),
        (None, Some(PUBLIC_CLIENT), None) => Some(PUBLIC_CLIENT.to_owned()),
        _ => None,
    }
}

pub(super) fn is_client(id: &str) -> bool {
    id == CLIENT.0 || id == PUBLIC_CLIENT
}
