//! One place where a token may stand.

use std::fmt;

use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderName};

use crate::bearer::websocket;
use crate::cookies;
use crate::error::ConfigError;
use crate::gate::same_origin::SameOrigin;
use crate::settings::TOKEN_PLACE;
use crate::token::{credentials, is_token_character};

/// A place where a request may carry its token, for
/// [`BearerLayer::with_token_in`](crate::BearerLayer::with_token_in). Wherever the token stood, it is verified in the
/// same way.
///
/// There is none for the query and for form bodies: addresses end up in logs, histories and `Referer` fields
/// ([RFC 9700 §4.3.2](https://www.rfc-editor.org/rfc/rfc9700#section-4.3.2)), and a form would have to be read before
/// its sender is known.
#[doc(alias("cookie", "header"))]
#[must_use]
#[derive(Debug, Clone)]
pub struct TokenPlace(pub(super) Place);

#[derive(Debug, Clone)]
pub(super) enum Place {
    Authorization,
    Header {
        name: HeaderName,
        /// Where a proxy sets the field for a browser's session.
        proof: Option<SameOrigin>,
    },
    Cookie {
        name: Box<str>,
        proof: SameOrigin,
    },
    WebSocket,
}

/// What stands in a place is not one token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotOneToken;

impl TokenPlace {
    /// The `Authorization` field with the scheme `Bearer`
    /// ([RFC 6750 §2.1](https://www.rfc-editor.org/rfc/rfc6750#section-2.1)). The only place by default.
    pub fn authorization() -> Self {
        Self(Place::Authorization)
    }

    /// A header field that holds the token alone, without a scheme, and that clients set themselves. One that a proxy
    /// sets for browsers is a [`proxy_header`](Self::proxy_header).
    ///
    /// # Security
    /// No proof of the origin is asked for. If a proxy fills the field by a browser's cookie, pages of other sites can
    /// act for the users of that browser.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] if it is not the name of a header field, or if HTTP, browsers or proxies use the field
    /// for something else, such as `Cookie`, `Host` and those between two hops.
    pub fn header(name: &str) -> Result<Self, ConfigError> {
        let name = header_name(name)?;
        Ok(Self(Place::Header { name, proof: None }))
    }

    /// The same for a field that a proxy sets which signs browsers in: `Cf-Access-Jwt-Assertion` of Cloudflare
    /// Access, `X-Goog-IAP-JWT-Assertion` of Google's Identity-Aware Proxy. The proxy knows the browser by a cookie,
    /// so the field proves no more than a cookie does, and a request that may change something has to come from a
    /// page of this site, as with [`cookie`](Self::cookie).
    ///
    /// # Security
    /// The proxy has to remove the field from what clients send. A forged token is refused all the same; a stolen one
    /// would pass.
    ///
    /// # Errors
    /// As [`header`](Self::header).
    pub fn proxy_header(name: &str, site: SameOrigin) -> Result<Self, ConfigError> {
        let (name, proof) = (header_name(name)?, Some(site));
        Ok(Self(Place::Header { name, proof }))
    }

    /// A cookie of exactly this name.
    ///
    /// Browsers add cookies to the requests of other sites too. A request that may change something (any method but
    /// `GET`, `HEAD`, `OPTIONS` and `TRACE`, and every upgrade) is therefore refused with 403 unless it comes from a
    /// page of this site, or has the same token in the `Authorization` field or among the subprotocols of a WebSocket:
    /// the sender then knows it.
    ///
    /// # Security
    /// A session of `LoginLayer` is safer: its cookie is no token, scripts cannot read it, and its tokens stay on the
    /// server ([RFC 10017 §6.1](https://www.rfc-editor.org/rfc/rfc10017#section-6.1)). A cookie that holds a token should
    /// be `Secure` and `HttpOnly`, and its name should begin with `__Host-`.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] if it is not the name of a cookie.
    pub fn cookie(name: &str, site: SameOrigin) -> Result<Self, ConfigError> {
        // RFC 6265 §4.1.1: a cookie-name is a token.
        if name.is_empty() || !name.bytes().all(is_token_character) {
            return Err(ConfigError::invalid(
                TOKEN_PLACE,
                name,
                "it is not the name of a cookie",
                "write letters, digits and hyphens, such as access_token",
            ));
        }
        Ok(Self(Place::Cookie {
            name: name.into(),
            proof: site,
        }))
    }

    /// A subprotocol of a WebSocket: `bearer.` and the token. The WebSocket of a browser can set no header field but
    /// this one.
    ///
    /// ```js
    /// new WebSocket("wss://api.example.com/socket", ["chat", `bearer.${token}`])
    /// ```
    ///
    /// It is read from upgrade requests alone, and removed before the request goes on, so that neither the handler's
    /// log nor the answer can hold it. Browsers close a socket whose server chooses none of the offered subprotocols.
    /// So the page offers one of the application too, `chat` above, and the application chooses it, with axum by
    /// `upgrade.protocols(["chat"])`.
    pub fn websocket() -> Self {
        Self(Place::WebSocket)
    }
}

impl Place {
    /// What stands here, not empty. Its syntax is checked when the token is parsed.
    pub(super) fn token<'a>(&'a self, head: &'a Parts) -> Result<Option<&'a [u8]>, NotOneToken> {
        match self {
            Self::Authorization => credentials(&head.headers).map_err(|_| NotOneToken),
            Self::Header { name, .. } => one(fields(&head.headers, name)),
            Self::Cookie { name, .. } => one(cookies::values(&head.headers, name)),
            Self::WebSocket => one(websocket::tokens(head)),
        }
    }

    /// What a request has to prove beside the token, where the browser or a proxy put that there.
    pub(super) fn proof(&self) -> Option<&SameOrigin> {
        match self {
            Self::Authorization | Self::WebSocket => None,
            Self::Header { proof, .. } => proof.as_ref(),
            Self::Cookie { proof, .. } => Some(proof),
        }
    }

    /// Whether a token here shows that the sender of the request knows it. A field of another name does not, because a
    /// proxy may copy a cookie into it.
    pub(super) fn is_filled_by_sender(&self) -> bool {
        matches!(self, Self::Authorization | Self::WebSocket)
    }

    /// Whether both are the same place.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Authorization, Self::Authorization) | (Self::WebSocket, Self::WebSocket) => true,
            (Self::Header { name, .. }, Self::Header { name: other, .. }) => name == other,
            (Self::Cookie { name, .. }, Self::Cookie { name: other, .. }) => name == other,
            _ => false,
        }
    }

    /// How one token is sent in this place.
    pub(super) fn remedy(&self) -> String {
        match self {
            Self::Authorization => {
                "send one Authorization field: Bearer, one space and the token as it was issued"
                    .to_owned()
            }
            Self::Header { name, .. } => format!(
                "send one {name} field that holds the token alone, without a scheme; a proxy that sets it has to \
                 remove the one that a client sent"
            ),
            Self::Cookie { name, .. } => format!(
                "send one cookie {name} that holds the token alone; where a browser has two, clear the one of \
                 another path or domain"
            ),
            Self::WebSocket => {
                "offer one subprotocol bearer.<token>, beside the one of the application".to_owned()
            }
        }
    }
}

/// The place as settings have it.
impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authorization => formatter.write_str("authorization"),
            Self::Header { name, proof: None } => write!(formatter, "header:{name}"),
            Self::Header { name, .. } => write!(formatter, "proxy-header:{name}"),
            Self::Cookie { name, .. } => write!(formatter, "cookie:{name}"),
            Self::WebSocket => formatter.write_str("websocket"),
        }
    }
}

fn fields<'a>(headers: &'a HeaderMap, name: &'a HeaderName) -> impl Iterator<Item = &'a [u8]> {
    headers
        .get_all(name)
        .iter()
        .map(http::HeaderValue::as_bytes)
}

/// The only value. Of two, even two equal ones, a proxy may have read another than this layer.
fn one<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Result<Option<&'a [u8]>, NotOneToken> {
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) if !value.is_empty() => Ok(Some(value)),
        (Some(_), _) => Err(NotOneToken),
    }
}

/// Fields with a meaning of their own for servers, browsers, caches and proxies: none holds a token.
const TAKEN: [&str; 34] = [
    "accept",
    "alt-used",
    "cache-control",
    "connection",
    "cookie",
    "cookie2",
    "date",
    "dnt",
    "expect",
    "forwarded",
    "from",
    "host",
    "http2-settings",
    "keep-alive",
    "max-forwards",
    "origin",
    "pragma",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "referer",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-real-ip",
];

/// What the names of more such fields begin with.
const TAKEN_BEGINNINGS: [&str; 7] = [
    "accept-",
    "access-control-",
    "content-",
    "grpc-",
    "if-",
    "sec-",
    "set-cookie",
];

fn header_name(text: &str) -> Result<HeaderName, ConfigError> {
    let refuse = |problem: &'static str, remedy: &'static str| {
        Err(ConfigError::invalid(TOKEN_PLACE, text, problem, remedy))
    };
    let Ok(name) = HeaderName::from_bytes(text.as_bytes()) else {
        return refuse(
            "it is not the name of a header field",
            "write letters, digits and hyphens, such as Cf-Access-Jwt-Assertion",
        );
    };
    if name == AUTHORIZATION {
        return refuse(
            "tokens in this field have the scheme Bearer before them",
            "choose the place authorization (TokenPlace::authorization)",
        );
    }
    if name == http::header::SEC_WEBSOCKET_PROTOCOL {
        return refuse(
            "it is a list of subprotocols",
            "choose the place websocket (TokenPlace::websocket)",
        );
    }
    if name == http::header::COOKIE {
        return refuse(
            "it is the field of all cookies",
            "name the cookie that holds the token (TokenPlace::cookie)",
        );
    }
    let text = name.as_str();
    let is_taken = TAKEN.contains(&text)
        || TAKEN_BEGINNINGS
            .iter()
            .any(|beginning| text.starts_with(beginning));
    if is_taken {
        return refuse(
            "servers, browsers or proxies use this field for something else",
            "choose a field that holds a token and nothing else, such as Cf-Access-Jwt-Assertion",
        );
    }
    Ok(name)
}
