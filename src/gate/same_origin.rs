//! The proof that a request comes from a page of this site. Browsers add cookies to the requests of other sites too,
//! so what only a cookie says about the caller proves nothing about who wanted the request.

use std::fmt;
use std::sync::Arc;

use http::header::{ORIGIN, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method};
use url::Url;

use crate::claims::{Transport, parse_url};
use crate::clock::SharedClock;
use crate::error::ConfigError;
use crate::gate::route::Route;
use crate::log_pace::LogPace;
use crate::settings::{ADDRESS, TRUSTED_ORIGIN};

/// The origins whose pages may send requests that change something with credentials that browsers add themselves.
///
/// A request proves its origin by `Sec-Fetch-Site: same-origin` (or `none`: the user's own doing), or by an `Origin`
/// that is this site's or a trusted one
/// ([RFC 10017 §6.1.3.3](https://www.rfc-editor.org/rfc/rfc10017#section-6.1.3.3)). Browsers set both themselves, and
/// no script can change them. `LoginLayer` demands the same proof of sessions.
///
/// ```
/// use tower_oidc::SameOrigin;
///
/// # fn main() -> Result<(), tower_oidc::ConfigError> {
/// let site = SameOrigin::of("https://app.example.com")?.add_trusted_origin("https://admin.example.com")?;
/// # drop(site);
/// # Ok(())
/// # }
/// ```
#[doc(alias = "csrf")]
#[must_use]
#[derive(Debug, Clone)]
pub struct SameOrigin {
    own: String,
    trusted: Vec<String>,
    /// How often the log tells of requests without the proof.
    pace: Arc<LogPace>,
}

impl SameOrigin {
    /// The site at this public address, such as `https://app.example.com`. A path in it does not count. Plain http is
    /// for loopback addresses only.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] if it is not such an address.
    pub fn of(address: &str) -> Result<Self, ConfigError> {
        let url = parse_address(address)?;
        Ok(Self::of_origin(url.origin().ascii_serialization()))
    }

    pub(crate) fn of_origin(own: String) -> Self {
        Self {
            own,
            trusted: Vec::new(),
            pace: Arc::new(LogPace::new(SharedClock::system())),
        }
    }

    /// Another origin whose pages may send such requests too, such as `https://admin.example.com`. Default: none.
    ///
    /// # Security
    /// Its pages can act for every user whose browser they run in.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] if it is not an origin alone.
    pub fn add_trusted_origin(mut self, origin: &str) -> Result<Self, ConfigError> {
        let url = parse_url(TRUSTED_ORIGIN, origin, &Transport::HttpsOrLoopback)?;
        if url.path() != "/" || url.query().is_some() {
            return Err(ConfigError::invalid(
                TRUSTED_ORIGIN,
                origin,
                "it has a path or query",
                "write the origin alone, such as https://app.example.com",
            ));
        }
        self.trusted.push(url.origin().ascii_serialization());
        Ok(self)
    }

    /// Whether a request proves that it comes from a page of this origin or of a trusted one.
    pub(crate) fn is_proven_by(&self, headers: &HeaderMap) -> bool {
        let mut origins = headers.get_all(ORIGIN).iter();
        let origin = origins.next().filter(|_| origins.next().is_none());
        let is_trusted = || {
            let trusted = &mut self.trusted.iter();
            origin.is_some_and(|origin| trusted.any(|trusted| origin == trusted.as_str()))
        };
        match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
            // `none`: the user's own doing, such as a bookmark.
            Some(b"same-origin" | b"none") => true,
            Some(_) => is_trusted(),
            None => origin.is_some_and(|origin| origin == self.own.as_str()) || is_trusted(),
        }
    }

    /// Logs a request without the proof, unless another was logged less than ten seconds ago. Says whether it did.
    /// Such requests are logged at all because a wrong public address looks the same as an attack.
    pub(crate) fn tell_if_due(&self, parts: &Parts, remedy: &dyn fmt::Display) -> bool {
        let is_due = self.pace.is_due(0);
        if is_due {
            let (expected, route) = (&self.own, Route(parts));
            let (origin, site) = (Sent(parts, "origin"), Sent(parts, "sec-fetch-site"));
            tracing::info!(
                kind = "cross_origin", %expected, %origin, sec_fetch_site = %site, %route, %remedy,
                "refused a request that may change something, because it does not prove its origin"
            );
        }
        is_due
    }
}

/// The address of a site.
pub(crate) fn parse_address(text: &str) -> Result<Url, ConfigError> {
    let url = parse_url(ADDRESS, text, &Transport::HttpsOrLoopback)?;
    if url.query().is_some() {
        return Err(ConfigError::invalid(
            ADDRESS,
            text,
            "it has a query",
            "remove everything from the question mark on",
        ));
    }
    Ok(url)
}

/// What cures most requests without the proof.
pub(crate) const PROVE_ORIGIN: &str = "send it from a page of the expected origin; if browsers see the site at \
    another one, set its address (DOMAIN_SERVER) to that";

/// Whether a request may change something: any but the safe methods
/// ([RFC 9110 §9.2.1](https://www.rfc-editor.org/rfc/rfc9110#section-9.2.1)), and those that open a
/// socket to talk on.
pub(crate) fn may_change_state(parts: &Parts) -> bool {
    let is_safe = matches!(
        parts.method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE
    );
    !is_safe || parts.headers.contains_key(UPGRADE)
}

/// A header field that a browser sets, for the log: cut and escaped.
struct Sent<'a>(&'a Parts, &'static str);

const LONGEST_SENT: usize = 200;

impl fmt::Display for Sent<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.headers.get(self.1) {
            Some(value) => {
                let value = value.as_bytes();
                let shown = &value[..value.len().min(LONGEST_SENT)];
                write!(formatter, "\"{}\"", shown.escape_ascii())
            }
            None => formatter.write_str("absent"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    // SC-10
    #[test]
    fn the_origin_is_proven_by_origin_or_sec_fetch_site() {
        let site = SameOrigin::of("https://app.example.com/a/path").unwrap();
        let site = site
            .add_trusted_origin("https://admin.example.com/")
            .unwrap();
        let cases: [(&[(&str, &str)], bool); 14] = [
            (&[("origin", "https://admin.example.com")], true),
            (
                &[
                    ("sec-fetch-site", "same-site"),
                    ("origin", "https://admin.example.com"),
                ],
                true,
            ),
            (
                &[
                    ("sec-fetch-site", "same-site"),
                    ("origin", "https://admin.example.com.evil.example"),
                ],
                false,
            ),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("origin", "https://app.example.com")], true),
            (&[("origin", "https://evil.example.com")], false),
            (&[("origin", "http://app.example.com")], false),
            (&[("origin", "https://app.example.com:444")], false),
            (&[("origin", "null")], false),
            (
                &[
                    ("origin", "https://app.example.com"),
                    ("sec-fetch-site", "cross-site"),
                ],
                false,
            ),
            (&[], false),
        ];
        for (fields, expected) in cases {
            let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, *value)).collect();
            let mut headers = HeaderMap::new();
            for (name, value) in &fields {
                headers.append(*name, value.parse().unwrap());
            }
            assert_eq!(site.is_proven_by(&headers), expected, "{fields:?}");
        }
    }

    // SC-10
    #[test]
    fn other_methods_than_the_safe_ones_and_upgrades_may_change_something() {
        let may = |method: &str, upgrade: Option<&str>| {
            let mut request = Request::builder().method(method);
            if let Some(protocol) = upgrade {
                request = request.header(UPGRADE, protocol);
            }
            may_change_state(&request.body(()).unwrap().into_parts().0)
        };
        for method in ["GET", "HEAD", "OPTIONS", "TRACE"] {
            assert!(!may(method, None), "{method}");
            assert!(may(method, Some("websocket")), "{method}");
        }
        for method in ["POST", "PUT", "PATCH", "DELETE", "CONNECT", "PURGE"] {
            assert!(may(method, None), "{method}");
        }
    }

    #[test]
    fn an_address_that_names_no_origin_is_named_with_the_setting() {
        for bad in [
            "",
            "app.example.com",
            "http://app.example.com",
            "https://a.example/?b",
        ] {
            assert_eq!(SameOrigin::of(bad).unwrap_err().setting(), ADDRESS, "{bad}");
        }
        let site = || SameOrigin::of("https://app.example.com").unwrap();
        for bad in [
            "https://a.example/b",
            "https://a.example/?b",
            "a.example",
            "*",
        ] {
            let error = site().add_trusted_origin(bad).unwrap_err();
            assert_eq!(error.setting(), TRUSTED_ORIGIN, "{bad}");
        }
    }
}
