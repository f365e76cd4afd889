//! Claims and settings as types, so that one cannot be used as another.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use url::{Host, Url};

use crate::error::ConfigError;
use crate::settings::{AUDIENCE, HTTP_HOST, ISSUER, SCOPE};

/// The issuer of a token: an https URL without query or fragment, compared as exact text
/// ([RFC 8414 §2](https://www.rfc-editor.org/rfc/rfc8414#section-2)). `https://id.example` and
/// `https://id.example/` are different issuers.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Issuer(Arc<str>);

impl Issuer {
    /// An issuer from its exact text.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] unless it is an absolute https URL without user information, query
    /// or fragment.
    pub fn new(text: &str) -> Result<Self, ConfigError> {
        Self::parse(text, &Transport::Https)
    }

    pub(crate) fn parse(text: &str, transport: &Transport) -> Result<Self, ConfigError> {
        if text.is_empty() {
            return Err(ConfigError::missing(
                ISSUER,
                "name the provider, such as https://tenant.us.auth0.com/",
            ));
        }
        if !text.contains("://") {
            return Err(ConfigError::invalid(
                ISSUER,
                text,
                "it does not begin with https://",
                format!("write https://{text}"),
            ));
        }
        let url = parse_url(ISSUER, text, transport)?;
        if url.query().is_some() {
            return Err(ConfigError::invalid(
                ISSUER,
                text,
                "an issuer has no query",
                "remove everything from the question mark on",
            ));
        }
        if url.path().contains("/.well-known/") {
            return Err(ConfigError::invalid(
                ISSUER,
                text,
                "it is the address of metadata and not the issuer",
                "write the text of `issuer` in that document; it is usually what comes before /.well-known/",
            ));
        }
        Ok(Self(text.into()))
    }

    /// The exact text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The schemes that a URL may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Transport {
    Https,
    /// https, and http to an address of this machine.
    HttpsOrLoopback,
    /// https, and http to these hosts and, if so chosen, to an address of this machine.
    HttpsOrHosts {
        hosts: Arc<[HttpHost]>,
        loopback: bool,
    },
}

/// A host that may be reached by plain http: on this port, or on any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HttpHost {
    host: Box<str>,
    port: Option<u16>,
}

impl HttpHost {
    /// Reads `host` or `host:port`.
    pub(crate) fn parse(text: &str) -> Result<Self, ConfigError> {
        let url = Url::parse(&format!("http://{text}/"));
        let url = url.ok().filter(|url| {
            let is_host = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
            is_host && url.username().is_empty() && url.password().is_none()
        });
        let host = url.as_ref().and_then(Url::host_str);
        let Some(host) = host.filter(|_| !text.contains('/')) else {
            return Err(ConfigError::invalid(
                HTTP_HOST,
                text,
                "it is not a host",
                "write the host alone or with its port, such as keycloak:8080",
            ));
        };
        // `Url` leaves out the port that is usual.
        let has_port = text.rsplit(':').next().is_some_and(|port| port == "80");
        let port = url.as_ref().and_then(Url::port);
        Ok(Self {
            host: host.into(),
            port: port.or(has_port.then_some(80)),
        })
    }

    fn is_of(&self, url: &Url) -> bool {
        url.host_str() == Some(&*self.host)
            && self
                .port
                .is_none_or(|port| url.port_or_known_default() == Some(port))
    }
}

impl Transport {
    pub(crate) fn allows(&self, url: &Url) -> bool {
        match (url.scheme(), self) {
            ("https", _) => true,
            ("http", Self::HttpsOrLoopback) => is_loopback(url),
            ("http", Self::HttpsOrHosts { hosts, loopback }) => {
                (*loopback && is_loopback(url)) || hosts.iter().any(|host| host.is_of(url))
            }
            _ => false,
        }
    }

    /// The same, and http to these hosts.
    pub(crate) fn and_hosts(self, hosts: Arc<[HttpHost]>) -> Self {
        let loopback = self != Self::Https;
        if hosts.is_empty() {
            return self;
        }
        Self::HttpsOrHosts { hosts, loopback }
    }
}

pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

/// An absolute URL with an allowed scheme, without user information and fragment.
pub(crate) fn parse_url(
    setting: &'static str,
    text: &str,
    transport: &Transport,
) -> Result<Url, ConfigError> {
    let refuse = |problem: &'static str, remedy: &'static str| {
        Err(ConfigError::invalid(setting, text, problem, remedy))
    };
    if text.trim() != text || text.chars().any(char::is_control) {
        return refuse(
            "it has white space or control characters around or in it",
            "remove them",
        );
    }
    let Ok(url) = Url::parse(text) else {
        return refuse(
            "it is not an absolute URL",
            "write it in full, beginning with https://",
        );
    };
    if !url.has_host() {
        return refuse(
            "it names no host",
            "write it in full, such as https://id.example",
        );
    }
    if !transport.allows(&url) {
        return refuse(
            "only https is safe",
            "use https:// (plain http is only for loopback addresses and listed hosts, and has to be allowed)",
        );
    }
    if !url.username().is_empty() || url.password().is_some() {
        // The value is not repeated, because it may hold a password.
        return Err(ConfigError::invalid(
            setting,
            "(redacted)",
            "it carries user information",
            "remove everything before the @",
        ));
    }
    if url.fragment().is_some() {
        return refuse("it has a fragment", "remove everything from the # on");
    }
    Ok(url)
}

impl fmt::Debug for Issuer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Issuer({:?})", self.0)
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The service a token is for, compared as exact, whole text
/// ([RFC 7519 §4.1.3](https://www.rfc-editor.org/rfc/rfc7519#section-4.1.3)).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Audience(Box<str>);

impl Audience {
    /// An audience from its exact text.
    ///
    /// # Errors
    /// [`ConfigError`] if it is empty, has white space around it, or has control characters.
    pub fn new(text: &str) -> Result<Self, ConfigError> {
        if text.is_empty() {
            return Err(ConfigError::missing(
                AUDIENCE,
                "without it tokens for any other service would pass; \
                 name this API as the provider knows it (Auth0: the API identifier)",
            ));
        }
        if text.trim() != text || text.chars().any(char::is_control) {
            return Err(ConfigError::invalid(
                AUDIENCE,
                text,
                "it has white space or control characters around or in it",
                "write the exact text of the token's aud claim",
            ));
        }
        Ok(Self(text.into()))
    }

    /// The exact text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Audience {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// One scope, compared whole and case-sensitively
/// ([RFC 6749 §3.3](https://www.rfc-editor.org/rfc/rfc6749#section-3.3)).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope(Box<str>);

impl Scope {
    /// A scope from its text.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] if it is empty or has a character that a scope cannot have: white space,
    /// quotes, backslashes, control and non-ASCII characters.
    pub fn new(text: &str) -> Result<Self, ConfigError> {
        let is_scope_token = !text.is_empty()
            && text
                .bytes()
                .all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e));
        if !is_scope_token {
            return Err(ConfigError::invalid(
                SCOPE,
                text,
                "a scope is one word of visible ASCII without quotes and backslashes",
                "name each scope by itself",
            ));
        }
        Ok(Self(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The scopes of a token.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScopeSet(Box<str>);

impl ScopeSet {
    pub(crate) fn from_delimited(text: &str) -> Self {
        Self(text.into())
    }

    /// A set of words. A word with a space is not a scope. It is left out and not split.
    pub(crate) fn from_words<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        let words: Vec<_> = words
            .into_iter()
            .filter(|word| !word.contains(' '))
            .collect();
        Self(words.join(" ").into())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether exactly this scope is granted.
    #[must_use]
    pub fn contains(&self, scope: &str) -> bool {
        self.iter().any(|granted| granted == scope)
    }

    /// The scopes, in the token's order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ').filter(|scope| !scope.is_empty())
    }

    /// Whether there are no scopes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // DI-04
    #[test]
    fn an_issuer_is_an_https_url_without_query_or_fragment() {
        for good in [
            "https://id.example",
            "https://id.example/",
            "https://id.example:8443/a/b",
        ] {
            assert_eq!(Issuer::new(good).unwrap().as_str(), good);
        }
        let cases = [
            ("", "is not set"),
            ("id.example", "https://id.example"),
            ("http://id.example", "only https"),
            ("http://127.0.0.1:3000", "only https"),
            ("https://id.example?a=b", "query"),
            ("https://id.example#a", "fragment"),
            ("https://user:pass@id.example", "user information"),
            ("https://", "absolute URL"),
            (" https://id.example", "white space"),
            ("ftp://id.example", "only https"),
        ];
        for (bad, part) in cases {
            let error = Issuer::new(bad).unwrap_err();
            assert_eq!(error.setting(), "issuer");
            assert!(error.to_string().contains(part), "{bad}: {error}");
            assert!(!error.to_string().contains("pass@"), "{error}");
        }
    }

    // BT-22
    #[test]
    fn plain_http_is_for_loopback_alone() {
        for good in [
            "http://127.0.0.1:1",
            "http://[::1]:1",
            "http://localhost/a",
            "http://127.9.9.9",
        ] {
            assert!(
                Issuer::parse(good, &Transport::HttpsOrLoopback).is_ok(),
                "{good}"
            );
        }
        for bad in [
            "http://192.168.0.1",
            "http://id.example",
            "http://localhost.evil.example",
        ] {
            assert!(
                Issuer::parse(bad, &Transport::HttpsOrLoopback).is_err(),
                "{bad}"
            );
        }
    }

    // CL-08
    #[test]
    fn an_audience_is_never_empty() {
        assert!(matches!(
            Audience::new(""),
            Err(ConfigError::Missing { .. })
        ));
        assert!(Audience::new(" a").is_err());
        assert!(Audience::new("https://api.example.com").is_ok());
    }

    // AZ-01
    #[test]
    fn scopes_are_compared_whole_and_split_on_spaces_only() {
        let scopes = ScopeSet::from_delimited("read:all  write\tx");
        assert!(scopes.contains("read:all"));
        assert!(scopes.contains("write\tx"));
        for absent in ["read", "READ:ALL", "write", "x", "", " "] {
            assert!(!scopes.contains(absent), "{absent:?}");
        }
        assert_eq!(ScopeSet::from_words(["a", "b c", "d"]).to_string(), "a d");
        assert!(ScopeSet::from_delimited("  ").is_empty());
    }

    // BT-14
    #[test]
    fn a_scope_fits_into_a_challenge() {
        for bad in ["", "a b", "a\"b", "a\\b", "é", "a\r\nb", "a\0"] {
            assert!(Scope::new(bad).is_err(), "{bad:?}");
        }
        assert!(Scope::new("https://api.example.com/read:messages").is_ok());
    }
}
