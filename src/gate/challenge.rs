//! Challenges (RFC 6750 §3), made once from the configuration and cloned into each answer.

use std::fmt::Write as _;

use http::header::{CACHE_CONTROL, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue};

use crate::claims::Scope;
use crate::error::ConfigError;
use crate::settings::REALM;

/// What every challenge of one layer says: the realm, the scopes to ask for, and where the resource's
/// metadata is. All of it comes from the configuration, none from a request.
#[derive(Debug, Clone)]
pub(crate) struct ChallengeParameters {
    scheme: &'static str,
    realm: String,
    scopes: Vec<Scope>,
    resource_metadata: Option<String>,
}

/// Ready-made challenges, as header fields to be cloned into an answer.
#[derive(Debug, Clone)]
pub(crate) struct Challenges {
    parameters: ChallengeParameters,
    pub(crate) no_token: HeaderMap,
    pub(crate) malformed: HeaderMap,
    pub(crate) invalid: HeaderMap,
    pub(crate) expired: HeaderMap,
}

/// The header fields of a refusal: `no-store`, and the challenge if there is one.
pub(crate) fn refusal_headers(challenge: Option<HeaderValue>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(2);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(challenge) = challenge {
        headers.insert(WWW_AUTHENTICATE, challenge);
    }
    headers
}

impl ChallengeParameters {
    pub(crate) fn new(realm: &str) -> Result<Self, ConfigError> {
        // A quoted-string of RFC 9110 §5.6.4, limited to visible ASCII and spaces.
        if realm.bytes().any(|byte| !matches!(byte, 0x20..=0x7e)) {
            return Err(ConfigError::invalid(
                REALM,
                realm,
                "it holds control or non-ASCII characters",
                "use visible ASCII",
            ));
        }
        Ok(Self {
            scheme: BEARER,
            realm: realm.to_owned(),
            scopes: Vec::new(),
            resource_metadata: None,
        })
    }

    /// A realm from any text, without the characters that it cannot hold.
    pub(crate) fn with_visible_realm(text: &str) -> Self {
        let is_visible = |character: &char| matches!(character, ' '..='~');
        Self {
            scheme: BEARER,
            realm: text.chars().filter(is_visible).collect(),
            scopes: Vec::new(),
            resource_metadata: None,
        }
    }

    /// For requests with a session cookie, of which the site at this origin is the realm. Browsers do not
    /// know the scheme, so none asks for a password.
    #[cfg(feature = "login")]
    pub(crate) fn of_cookies(origin: &str) -> Self {
        Self {
            scheme: "Cookie",
            ..Self::with_visible_realm(origin)
        }
    }

    #[must_use]
    pub(crate) fn with_realm_of(self, other: Self) -> Self {
        Self {
            realm: other.realm,
            ..self
        }
    }

    #[must_use]
    pub(crate) fn with_resource(mut self, metadata_url: &str, scopes: &[Scope]) -> Self {
        self.resource_metadata = Some(metadata_url.to_owned());
        self.scopes = scopes.to_vec();
        self
    }

    fn challenge(&self, error: Option<(&str, &str)>, scopes: &[Scope]) -> HeaderValue {
        let mut text = format!("{} ", self.scheme);
        parameter(&mut text, REALM, &self.realm);
        if let Some(url) = &self.resource_metadata {
            parameter(&mut text, "resource_metadata", url);
        }
        if !scopes.is_empty() {
            let scopes: Vec<_> = scopes.iter().map(Scope::as_str).collect();
            parameter(&mut text, "scope", &scopes.join(" "));
        }
        if let Some((code, description)) = error {
            parameter(&mut text, "error", code);
            parameter(&mut text, "error_description", description);
        }
        // Never used, because every part was checked when it was configured.
        HeaderValue::from_str(&text)
            .unwrap_or_else(|_| HeaderValue::from_static("Bearer realm=\"\""))
    }
}

const BEARER: &str = "Bearer";

/// Whether no layer has put its own challenge in place of that of an inner requirement, which knows no
/// realm.
#[cfg(feature = "login")]
pub(crate) fn lacks_realm(headers: &HeaderMap) -> bool {
    let challenge = headers.get(WWW_AUTHENTICATE);
    challenge.is_some_and(|challenge| challenge.as_bytes().starts_with(b"Bearer realm=\"\""))
}

fn parameter(text: &mut String, name: &str, value: &str) {
    if !text.ends_with(' ') {
        text.push_str(", ");
    }
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
    let _ = write!(text, "{name}=\"{escaped}\"");
}

impl Challenges {
    pub(crate) fn new(parameters: ChallengeParameters) -> Self {
        let challenge =
            |error| refusal_headers(Some(parameters.challenge(error, &parameters.scopes)));
        Self {
            no_token: challenge(None),
            malformed: challenge(Some((
                "invalid_request",
                "the request does not carry exactly one well-formed bearer token",
            ))),
            // The same text for unknown key, bad signature, wrong audience and wrong issuer, so that a
            // caller learns nothing by trying.
            invalid: challenge(Some((
                "invalid_token",
                "the access token is not valid for this resource",
            ))),
            expired: challenge(Some(("invalid_token", "the access token has expired"))),
            parameters,
        }
    }

    pub(crate) fn parameters(&self) -> &ChallengeParameters {
        &self.parameters
    }

    pub(crate) fn insufficient_scope(&self, scopes: &[Scope]) -> HeaderMap {
        refusal_headers(Some(self.parameters.challenge(
            Some((
                "insufficient_scope",
                "the access token does not grant what this request needs",
            )),
            scopes,
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // BT-14
    #[test]
    fn a_realm_is_escaped_or_refused() {
        let challenge = |realm: &str| {
            Challenges::new(ChallengeParameters::new(realm).unwrap()).no_token[WWW_AUTHENTICATE]
                .to_str()
                .unwrap()
                .to_owned()
        };
        assert_eq!(challenge("a b"), r#"Bearer realm="a b""#);
        assert_eq!(challenge("a\"b\\c"), r#"Bearer realm="a\"b\\c""#);
        for bad in ["a\r\nb", "a\0", "é", "\u{7f}", "\t"] {
            assert!(ChallengeParameters::new(bad).is_err(), "{bad:?}");
        }
        let visible = Challenges::new(ChallengeParameters::with_visible_realm("a\r\né\"b"));
        assert_eq!(visible.no_token[WWW_AUTHENTICATE], r#"Bearer realm="a\"b""#);
    }

    // BT-13, BT-16
    #[test]
    fn each_parameter_once_and_all_scopes_together() {
        let scopes = [Scope::new("a").unwrap(), Scope::new("b:c").unwrap()];
        let parameters = ChallengeParameters::new("r")
            .unwrap()
            .with_resource("https://api.example/.well-known/x", &scopes[..1]);
        let challenges = Challenges::new(parameters);
        assert_eq!(
            challenges.no_token[WWW_AUTHENTICATE],
            r#"Bearer realm="r", resource_metadata="https://api.example/.well-known/x", scope="a""#
        );
        assert_eq!(
            challenges.insufficient_scope(&scopes)[WWW_AUTHENTICATE],
            r#"Bearer realm="r", resource_metadata="https://api.example/.well-known/x", scope="a b:c", error="insufficient_scope", error_description="the access token does not grant what this request needs""#
        );
    }
}
