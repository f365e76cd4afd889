//! The errors of OAuth, in the body of an answer.

use serde_json::{Map, Value};

use crate::lenient_json;

/// The JSON object in a body.
pub(super) type Document = Map<String, Value>;

/// Reads it. A member that cannot be read is left out, because a rotated refresh token is not lost
/// because of another member.
pub(super) fn document(body: &[u8]) -> Option<Document> {
    lenient_json::object(&lenient_json::text(body))
}

/// The JSON of an error ([RFC 6749 §5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2)): an object
/// whose `error` is a text.
#[derive(Clone, Copy)]
pub(super) enum OAuthError {
    /// A code that a standard defines.
    Known(&'static str),
    /// Any other code.
    Other,
}

impl OAuthError {
    pub(super) fn read(document: &Document) -> Option<Self> {
        let code = document.get("error")?.as_str()?;
        Some(known_code(code).map_or(Self::Other, Self::Known))
    }
}

/// The code, if a standard defines it.
pub(crate) fn known_code(code: &str) -> Option<&'static str> {
    CODES.into_iter().find(|known| *known == code)
}

/// The code in a body that is an error with a code that a standard defines.
pub(super) fn known_error(body: &[u8]) -> Option<&'static str> {
    match OAuthError::read(&document(body)?)? {
        OAuthError::Known(code) => Some(code),
        OAuthError::Other => None,
    }
}

/// The codes that the standards define (RFC 6749 §5.2, RFC 8707 §2, RFC 9449 §5, OpenID Connect Core
/// §3.1.2.6) and that may stand in a message. Any other text is the provider's own and is not repeated.
pub(super) const CODES: [&str; 14] = [
    "invalid_grant",
    "invalid_client",
    "invalid_request",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "invalid_target",
    "invalid_dpop_proof",
    "access_denied",
    "interaction_required",
    "login_required",
    "consent_required",
    "temporarily_unavailable",
    "server_error",
];
