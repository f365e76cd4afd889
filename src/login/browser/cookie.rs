//! Cookies: their names, how they are set, and how one is read so that another site cannot plant one
//! ([RFC 6265bis §4.1.3](https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis#section-4.1.3)).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cookie::{Cookie, SameSite};
use http::{HeaderMap, HeaderValue};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cookies;
use crate::error::ConfigError;
use crate::login::sessions::seal::{Purpose, SealError, Sealing};
use crate::settings::COOKIE_NAME;

/// The names of this application's cookies. `__Host-` makes browsers keep them to this very host,
/// over https, for every path.
#[derive(Debug, Clone)]
pub(crate) struct CookieNames {
    is_secure: bool,
    pub(crate) session: String,
    attempt: String,
    pub(crate) history: String,
    pub(crate) sign_out: String,
    pub(crate) silent: String,
    /// Whether the provider's answer is a POST from its own site.
    answer_is_posted: bool,
}

/// What a browser sent under one name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CookieValue<'a> {
    Nothing,
    One(&'a str),
    /// One of them is not ours, and which one cannot be told.
    Several,
}

/// The name of the session's cookie, where the application chooses none.
pub(crate) const DEFAULT_BASE: &str = "session";

/// The longest name that an application can choose.
const LONGEST_BASE: usize = 32;

/// The longest name of a sign-in's cookie.
pub(crate) const LONGEST_ATTEMPT_NAME: usize = "__Host-".len() + LONGEST_BASE + "-login-1".len();

impl CookieNames {
    pub(crate) fn new(base: &str, is_secure: bool) -> Result<Self, ConfigError> {
        let is_name = !base.is_empty()
            && base
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !base.starts_with("__");
        if !is_name || base.len() > LONGEST_BASE {
            return Err(ConfigError::invalid(
                COOKIE_NAME,
                base,
                "it is not one to 32 letters, digits, hyphens and underscores",
                "write it without prefix; __Host- is put before it where the site has https",
            ));
        }
        let prefix = if is_secure { "__Host-" } else { "" };
        Ok(Self {
            is_secure,
            session: format!("{prefix}{base}"),
            attempt: format!("{prefix}{base}-login-"),
            history: format!("{prefix}{base}-sign-ins"),
            sign_out: format!("{prefix}{base}-sign-out"),
            silent: format!("{prefix}{base}-silent"),
            answer_is_posted: false,
        })
    }

    /// Whether a cookie of one layer could be taken for one of the other.
    pub(crate) fn collide_with(&self, other: &Self) -> bool {
        let all = |names: &Self| {
            let attempt = names.attempt.trim_end_matches('-').to_owned();
            [
                &names.session,
                &names.history,
                &names.sign_out,
                &names.silent,
            ]
            .map(Clone::clone)
            .into_iter()
            .chain([attempt])
            .collect::<Vec<_>>()
        };
        let is_attempt = |names: &Self, name: &String| name.starts_with(&names.attempt);
        let (ours, theirs) = (all(self), all(other));
        ours.iter()
            .any(|name| theirs.contains(name) || is_attempt(other, name))
            || theirs.iter().any(|name| is_attempt(self, name))
    }

    /// The same for answers that are posted. Browsers send only the cookies of sign-ins along with these.
    pub(crate) fn for_posted_answers(mut self) -> Self {
        self.answer_is_posted = true;
        self
    }

    /// The cookie in this place for a sign-in under way, a digit.
    pub(crate) fn attempt(&self, place: usize) -> String {
        format!("{}{place}", self.attempt)
    }

    /// A field that sets the cookie of a sign-in under way.
    pub(crate) fn set_attempt(&self, name: &str, value: &str, lifetime: Duration) -> HeaderValue {
        // A POST from another site brings no cookie that is `Lax`.
        let same_site = if self.answer_is_posted {
            SameSite::None
        } else {
            SameSite::Lax
        };
        self.field(name, value, lifetime, same_site)
    }

    /// A field that sets a cookie. The value is one of ours and holds nothing to be escaped.
    pub(crate) fn set(&self, name: &str, value: &str, lifetime: Duration) -> HeaderValue {
        // Lax: the provider's answer is a navigation from another site.
        self.field(name, value, lifetime, SameSite::Lax)
    }

    fn field(
        &self,
        name: &str,
        value: &str,
        lifetime: Duration,
        same_site: SameSite,
    ) -> HeaderValue {
        let seconds = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
        let cookie = Cookie::build((name, value))
            .path("/")
            .http_only(true)
            .secure(self.is_secure)
            .same_site(same_site)
            .max_age(cookie::time::Duration::seconds(seconds))
            .build();
        let mut field = HeaderValue::try_from(cookie.to_string())
            .unwrap_or_else(|_| HeaderValue::from_static(""));
        field.set_sensitive(true);
        field
    }

    pub(crate) fn clear(&self, name: &str) -> HeaderValue {
        self.set(name, "", Duration::ZERO)
    }
}

/// The cookie of exactly this name. If it was sent twice, neither value is used.
pub(crate) fn sent<'a>(headers: &'a HeaderMap, name: &'a str) -> CookieValue<'a> {
    let mut found = values(headers, name);
    match (found.next(), found.next()) {
        (None, _) => CookieValue::Nothing,
        (Some(value), None) => CookieValue::One(value),
        (Some(_), Some(_)) => CookieValue::Several,
    }
}

/// The values of the cookies of exactly this name, as far as they are text.
pub(crate) fn values<'a>(
    headers: &'a HeaderMap,
    name: &'a str,
) -> impl Iterator<Item = &'a str> + use<'a> {
    // Ours are ASCII.
    cookies::values(headers, name).filter_map(|value| std::str::from_utf8(value).ok())
}

/// Seals a value for a cookie of this name.
pub(crate) fn seal_cookie(
    sealing: &Sealing,
    purpose: Purpose,
    name: &str,
    value: &impl Serialize,
) -> Result<String, SealError> {
    let text = serde_json::to_vec(value).map_err(|_| SealError)?;
    let sealed = sealing.seal(purpose, name.as_bytes(), &text)?;
    Ok(URL_SAFE_NO_PAD.encode(sealed))
}

/// Opens the value of a cookie of this name, `None` if it is not one of ours.
pub(crate) fn open_cookie<T: DeserializeOwned>(
    sealing: &Sealing,
    purpose: Purpose,
    name: &str,
    value: &str,
) -> Option<T> {
    let sealed = URL_SAFE_NO_PAD.decode(value).ok()?;
    let text = sealing.open(purpose, name.as_bytes(), &sealed).ok()?;
    serde_json::from_slice(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::COOKIE;

    fn headers(fields: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(COOKIE, HeaderValue::from_bytes(field).unwrap());
        }
        headers
    }

    // SC-04
    #[test]
    fn a_cookie_counts_under_its_exact_name_and_once() {
        let one = CookieValue::One;
        let cases: [(&[&[u8]], CookieValue<'static>); 19] = [
            (&[b"session=a"], one("a")),
            (&[b"x=1; session=a; y=2"], one("a")),
            (&[b"x=1", b"session=a"], one("a")),
            (&[b"session="], one("")),
            (&[b"session=a=b"], one("a=b")),
            (&[b"session=a ;x=1"], one("a")),
            (&[b" \tsession=a \t; x"], one("a")),
            (&[b"session =b"], CookieValue::Nothing),
            (&[b"session\t=b"], CookieValue::Nothing),
            (&[b"session=a; session =b"], one("a")),
            (&[b"session =b; session=a"], one("a")),
            (&[b"=session=a"], CookieValue::Nothing),
            (&[b"session=a; session=b"], CookieValue::Several),
            (&[b"session=a; session=a"], CookieValue::Several),
            (&[b"session=a", b"session=b"], CookieValue::Several),
            (
                &[b"Session=a; session2=b; xsession=c"],
                CookieValue::Nothing,
            ),
            (&[b"session"], CookieValue::Nothing),
            (&[b""], CookieValue::Nothing),
            (&[], CookieValue::Nothing),
        ];
        for (fields, expected) in cases {
            assert_eq!(sent(&headers(fields), "session"), expected, "{fields:?}");
        }
        // What is not text hides nothing that stands beside it.
        for fields in [
            &[&b"x=\xff\xfe"[..], b"session=a"][..],
            &[b"x=\xff; session=a"],
        ] {
            assert_eq!(sent(&headers(fields), "session"), one("a"));
        }
    }

    // SC-01, SC-02, SC-03
    #[test]
    fn a_cookie_has_the_attributes_that_protect_it() {
        let names = CookieNames::new("session", true).unwrap();
        let field = names.set(&names.session, "abc", Duration::from_secs(60));
        let text = field.to_str().unwrap();
        let mut parts: Vec<_> = text.split("; ").collect();
        parts.sort_unstable();
        assert_eq!(
            parts,
            [
                "HttpOnly",
                "Max-Age=60",
                "Path=/",
                "SameSite=Lax",
                "Secure",
                "__Host-session=abc"
            ]
        );
        assert!(field.is_sensitive());
        let plain = CookieNames::new("app", false).unwrap();
        let cleared = plain.clear(&plain.session);
        let text = cleared.to_str().unwrap();
        assert!(
            text.starts_with("app=;") && text.contains("Max-Age=0"),
            "{text}"
        );
        assert!(
            !text.contains("Secure") && !text.contains("Domain"),
            "{text}"
        );
        for bad in ["", "a b", "a;b", "__Host-a", "é", &"a".repeat(33)] {
            assert!(CookieNames::new(bad, true).is_err(), "{bad}");
        }
    }
}
