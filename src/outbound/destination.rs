//! Where tokens may go.

use std::fmt;

use http::Uri;
use url::Url;

use crate::claims::{Transport, parse_url};
use crate::error::ConfigError;
use crate::settings::DESTINATION;

/// An origin that tokens may go to: scheme, host and port, compared whole
/// ([RFC 9700 §4.9.1](https://www.rfc-editor.org/rfc/rfc9700#section-4.9.1)).
///
/// Parsed from text such as `https://orders.internal` or `https://orders.internal:8443`. Plain http is
/// only for loopback addresses; for others see [`danger`](crate::danger::plain_http_destination).
#[derive(Clone, PartialEq, Eq)]
pub struct Destination {
    is_https: bool,
    host: Box<str>,
    port: u16,
}

impl Destination {
    pub(crate) fn parse(text: &str, transport: &Transport) -> Result<Self, ConfigError> {
        Self::from_url(text, &parse_url(DESTINATION, text, transport)?)
    }

    /// A destination by plain http on any host.
    pub(crate) fn parse_plain(text: &str) -> Result<Self, ConfigError> {
        // All rules but that of the scheme are those of https.
        let Some(rest) = text.strip_prefix("http://") else {
            return Err(ConfigError::invalid(
                DESTINATION,
                text,
                "it does not begin with http://",
                "hand https destinations to the layer as they are",
            ));
        };
        let url = parse_url(DESTINATION, &format!("https://{rest}"), &Transport::Https)?;
        let destination = Self::from_url(text, &url)?;
        Ok(Self {
            is_https: false,
            port: url.port().unwrap_or(80),
            ..destination
        })
    }

    fn from_url(text: &str, url: &Url) -> Result<Self, ConfigError> {
        if url.path() != "/" || url.query().is_some() {
            return Err(ConfigError::invalid(
                DESTINATION,
                text,
                "it names a path, but a token goes to a whole origin",
                format!("write {}", url.origin().ascii_serialization()),
            ));
        }
        let is_https = url.scheme() == "https";
        let host = url.host_str().unwrap_or_default();
        Ok(Self {
            is_https,
            host: host.into(),
            port: url
                .port_or_known_default()
                .unwrap_or(default_port(is_https)),
        })
    }

    /// Whether a request to this URI goes to this destination. `None` if the URI has no origin.
    pub(super) fn is_origin_of(&self, uri: &Uri) -> Option<bool> {
        let is_https = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return Some(false),
        };
        let port = uri.port_u16().unwrap_or(default_port(is_https));
        let is_it = is_https == self.is_https
            && port == self.port
            && uri.host()?.eq_ignore_ascii_case(&self.host);
        Some(is_it)
    }
}

fn default_port(is_https: bool) -> u16 {
    if is_https { 443 } else { 80 }
}

impl TryFrom<&str> for Destination {
    type Error = ConfigError;

    fn try_from(text: &str) -> Result<Self, ConfigError> {
        Self::parse(text, &Transport::HttpsOrLoopback)
    }
}

impl TryFrom<&String> for Destination {
    type Error = ConfigError;

    fn try_from(text: &String) -> Result<Self, ConfigError> {
        Self::try_from(text.as_str())
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https { "https" } else { "http" };
        write!(formatter, "{scheme}://{}", self.host)?;
        if self.port != default_port(self.is_https) {
            write!(formatter, ":{}", self.port)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Destination({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goes_to(destination: &str, uri: &str) -> Option<bool> {
        Destination::try_from(destination)
            .unwrap()
            .is_origin_of(&uri.parse().unwrap())
    }

    // OB-01
    #[test]
    fn scheme_host_and_port_are_compared_whole() {
        const ORDERS: &str = "https://orders.internal";
        for same in [
            "https://orders.internal/",
            "https://orders.internal:443/a?b",
            "https://ORDERS.internal/a",
            "https://somebody@orders.internal/a",
        ] {
            assert_eq!(goes_to(ORDERS, same), Some(true), "{same}");
        }
        for other in [
            "http://orders.internal/",
            "http://orders.internal:443/",
            "https://orders.internal:8443/",
            "https://orders.internal.evil.example/",
            "https://evil.example/orders.internal",
            "https://orders.internal@evil.example/",
            "https://xorders.internal/",
            "https://orders.internal./",
            "ftp://orders.internal/",
        ] {
            assert_eq!(goes_to(ORDERS, other), Some(false), "{other}");
        }
        for nowhere in ["/a", "orders.internal:443"] {
            assert_eq!(goes_to(ORDERS, nowhere), None, "{nowhere}");
        }
        assert_eq!(goes_to("http://[::1]:80", "http://[::1]/a"), Some(true));
        assert_eq!(
            goes_to("https://a.example:8443", "https://a.example:8443/"),
            Some(true)
        );
    }

    // OB-01
    #[test]
    fn plain_http_is_for_loopback_and_paths_are_refused() {
        for good in [
            "https://a.example",
            "https://a.example/",
            "http://127.0.0.1:3000",
            "http://localhost",
        ] {
            assert!(Destination::try_from(good).is_ok(), "{good}");
        }
        for (bad, expected) in [
            ("http://orders.internal", "only https is safe"),
            ("orders.internal", "not an absolute URL"),
            ("https://a.example/v1", "write https://a.example"),
            ("https://a.example?x", "write https://a.example"),
            ("https://u:p@a.example", "user information"),
            ("", "not an absolute URL"),
        ] {
            let error = Destination::try_from(bad).unwrap_err().to_string();
            assert!(error.contains(expected), "{bad}: {error}");
        }
        let plain = Destination::parse_plain("http://orders:8080").unwrap();
        assert_eq!(plain.to_string(), "http://orders:8080");
        assert_eq!(
            plain.is_origin_of(&"http://orders:8080/a".parse().unwrap()),
            Some(true)
        );
        assert_eq!(
            Destination::parse_plain("http://orders")
                .unwrap()
                .to_string(),
            "http://orders"
        );
        assert!(Destination::parse_plain("https://orders").is_err());
        assert!(Destination::parse_plain("http://orders/v1").is_err());
    }
}
