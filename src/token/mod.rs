//! Access tokens: from a request's header, ready to be sent, and where they come from. None of them
//! prints itself.

#[cfg(any(feature = "login", feature = "outbound"))]
pub(crate) mod lifetime;
#[cfg(any(feature = "login", feature = "outbound"))]
pub(crate) mod live;
#[cfg(feature = "outbound")]
pub(crate) mod source;
#[cfg(any(feature = "login", feature = "outbound"))]
pub(crate) mod target;

use std::fmt;

use http::HeaderMap;
use http::header::AUTHORIZATION;

/// An access token as the caller sent it: unverified text.
///
/// `Debug` never shows it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AccessToken<'a>(&'a str);

/// Credentials that do not follow [RFC 6750 §2.1](https://www.rfc-editor.org/rfc/rfc6750#section-2.1):
/// more than one `Authorization` field, no token after the scheme, or more than a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the Authorization field is not one bearer token")]
#[non_exhaustive]
pub struct MalformedAuthorization;

impl<'a> AccessToken<'a> {
    /// The token of a request's `Authorization` field. `None` if there is no such field or it has
    /// another scheme.
    ///
    /// The name of the scheme is compared case-insensitively
    /// ([RFC 9110 §11.1](https://www.rfc-editor.org/rfc/rfc9110#section-11.1)).
    ///
    /// # Errors
    /// [`MalformedAuthorization`] if the scheme is `Bearer` but the rest does not follow the standard.
    pub fn from_authorization(
        headers: &'a HeaderMap,
    ) -> Result<Option<Self>, MalformedAuthorization> {
        let Some(token) = credentials(headers)? else {
            return Ok(None);
        };
        match std::str::from_utf8(token) {
            Ok(token) => Ok(Some(Self(token))),
            Err(_) => Err(MalformedAuthorization),
        }
    }

    /// A token that did not come in the `Authorization` field.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// The text of the token, for sending it on. Never log it.
    #[must_use]
    pub fn as_str(&self) -> &'a str {
        self.0
    }
}

impl fmt::Debug for AccessToken<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AccessToken(redacted)")
    }
}

const USUAL_SCHEME: &[u8] = b"Bearer";

/// The credentials after the scheme, not empty. Their syntax is checked when the token is parsed.
#[inline]
pub(crate) fn credentials(headers: &HeaderMap) -> Result<Option<&[u8]>, MalformedAuthorization> {
    let Some(field) = headers.get(AUTHORIZATION) else {
        return Ok(None);
    };
    // Most requests have no field twice, so this saves the look for a second one.
    let may_be_double = headers.len() != headers.keys_len();
    if may_be_double && headers.get_all(AUTHORIZATION).iter().nth(1).is_some() {
        return Err(MalformedAuthorization);
    }
    let Some((scheme, rest)) = field.as_bytes().split_at_checked(USUAL_SCHEME.len()) else {
        return Ok(None);
    };
    // The usual spelling first.
    if scheme != USUAL_SCHEME && !scheme.eq_ignore_ascii_case(USUAL_SCHEME) {
        return Ok(None);
    }
    match rest.first() {
        Some(b' ') => {}
        // A longer name with the same beginning is another scheme.
        Some(other) if is_token_character(*other) => return Ok(None),
        Some(_) | None => return Err(MalformedAuthorization),
    }
    match rest.iter().position(|byte| *byte != b' ') {
        Some(at) if rest[at] != b'\t' => Ok(Some(&rest[at..])),
        _ => Err(MalformedAuthorization),
    }
}

/// `tchar` of RFC 9110 §5.6.2.
pub(crate) fn is_token_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// `b64token` of RFC 6750 §2.1.
pub(crate) fn is_b64token(text: &[u8]) -> bool {
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    let body = &text[..text.len() - padding];
    !body.is_empty()
        && body
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn read(values: &[&[u8]]) -> Result<Option<String>, MalformedAuthorization> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        AccessToken::from_authorization(&headers)
            .map(|token| token.map(|token| token.as_str().to_owned()))
    }

    // BT-01, BT-02
    #[test]
    fn credentials_have_one_form() {
        let token = Ok(Some("abc.def".to_owned()));
        let cases: [(&str, &[u8], _); 14] = [
            ("plain", b"Bearer abc.def", &token),
            ("lower case", b"bearer abc.def", &token),
            ("upper case", b"BEARER abc.def", &token),
            ("two spaces", b"Bearer  abc.def", &token),
            ("another scheme", b"Basic abc.def", &Ok(None)),
            ("a scheme that begins alike", b"Bearerx abc", &Ok(None)),
            ("too short to be any", b"Bear", &Ok(None)),
            ("empty", b"", &Ok(None)),
            ("scheme alone", b"Bearer", &Err(MalformedAuthorization)),
            ("scheme and space", b"Bearer ", &Err(MalformedAuthorization)),
            ("tab", b"Bearer\tabc", &Err(MalformedAuthorization)),
            (
                "space and tab",
                b"Bearer \tabc",
                &Err(MalformedAuthorization),
            ),
            ("comma", b"Bearer,abc", &Err(MalformedAuthorization)),
            (
                "not UTF-8",
                b"Bearer \xff\xfe",
                &Err(MalformedAuthorization),
            ),
        ];
        for (name, value, expected) in cases {
            assert_eq!(&read(&[value]), expected, "{name}");
        }
        assert_eq!(
            read(&[b"Bearer a", b"Bearer b"]),
            Err(MalformedAuthorization)
        );
    }

    // BT-02
    #[test]
    fn a_token_keeps_to_its_alphabet() {
        for good in ["a", "abc.def-_~+/", "abc=", "abc=="] {
            assert!(is_b64token(good.as_bytes()), "{good}");
        }
        for bad in ["", "=", "a=b", "a b", "a,b", "{}", "\"a\"", "ä", "a\tb"] {
            assert!(!is_b64token(bad.as_bytes()), "{bad}");
        }
    }

    // BT-21
    #[test]
    fn a_token_does_not_print() {
        assert!(!format!("{:?}", AccessToken::new("secret")).contains("secret"));
    }
}
