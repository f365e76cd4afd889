//! What passes from a browser to the upstream service: methods, paths, header fields and WebSockets. Whatever is
//! not named here stays at the gateway.

use std::error::Error;

use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING,
    CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_TYPE, DNT, HeaderMap, HeaderName, HeaderValue,
    IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, ORIGIN, PRAGMA,
    RANGE, REFERER, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, UPGRADE_INSECURE_REQUESTS,
    USER_AGENT,
};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Uri, Version};
use percent_encoding::percent_decode_str;

/// Whether requests with this method are passed on: all that scripts of a page may send. `CONNECT` would open a
/// tunnel, and `TRACE` would show the token in its answer
/// ([Fetch, forbidden methods](https://fetch.spec.whatwg.org/#forbidden-method)).
pub(crate) fn allows_method(method: &Method) -> bool {
    !["CONNECT", "TRACE", "TRACK"]
        .iter()
        .any(|forbidden| method.as_str().eq_ignore_ascii_case(forbidden))
}

/// The upstream service: where requests go, and the path that they cannot leave.
#[derive(Debug, Clone)]
pub(crate) struct Base {
    scheme: Scheme,
    authority: Authority,
    /// Without a final slash.
    path: String,
}

impl Base {
    pub(crate) fn new(url: &str) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let uri: Uri = url
            .parse()
            .map_err(|error| format!("{url:?} is not a URL: {error}"))?;
        let parts = uri.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(format!("{url:?} names no host; begin it with https://").into());
        };
        if authority.as_str().contains('@') {
            return Err("it has user information; remove everything up to the @".into());
        }
        let path = parts
            .path_and_query
            .unwrap_or(PathAndQuery::from_static("/"));
        if path.query().is_some() || url.contains('#') {
            return Err(format!("{url:?} has a query or fragment; end it after the path").into());
        }
        if !stays_below(path.path()) {
            return Err(format!("the path of {url:?} has dot segments; write it without").into());
        }
        Ok(Self {
            scheme,
            authority,
            path: path.path().trim_end_matches('/').to_owned(),
        })
    }

    /// The address of what stands below `prefix` here. `None` if the path is not below it, or might lead out of
    /// the path of the upstream service.
    pub(crate) fn target(&self, prefix: &str, uri: &Uri) -> Option<Uri> {
        let rest = uri.path().strip_prefix(prefix)?;
        if !(rest.is_empty() || rest.starts_with('/')) || !stays_below(rest) {
            return None;
        }
        let query = uri.query().map(|query| format!("?{query}"));
        let slash = if rest.is_empty() && self.path.is_empty() {
            "/"
        } else {
            ""
        };
        let path = format!("{}{slash}{rest}{}", self.path, query.unwrap_or_default());
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(path)
            .build()
            .ok()
    }
}

/// How often a path is decoded. Services behind one another may each decode it once.
const DECODINGS: usize = 4;

/// Whether no reader of this path finds a way up in it. Services differ in what they decode, in which slashes
/// separate, and in whether they drop parameters (`..;a=b`) before or after they resolve dot segments.
fn stays_below(path: &str) -> bool {
    let mut path = path.to_owned();
    for _ in 0..DECODINGS {
        if path.contains(char::is_control) || path.split(['/', '\\']).any(leads_up) {
            return false;
        }
        // Old readers take invalid UTF-8, such as %C0%AE, for a dot.
        let Ok(decoded) = percent_decode_str(&path).decode_utf8() else {
            return false;
        };
        if decoded == path {
            return true;
        }
        path = decoded.into_owned();
    }
    false
}

fn leads_up(segment: &str) -> bool {
    let name = segment.split(';').next().unwrap_or_default();
    matches!(name.trim(), "." | "..")
}

/// The fields that browsers send and that say nothing about who calls. An allow-list, because services trust dozens of other
/// fields to name the caller or its address.
const FROM_BROWSERS: [HeaderName; 23] = [
    ACCEPT,
    ACCEPT_ENCODING,
    ACCEPT_LANGUAGE,
    CACHE_CONTROL,
    CONTENT_ENCODING,
    CONTENT_LANGUAGE,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    DNT,
    IF_MATCH,
    IF_MODIFIED_SINCE,
    IF_NONE_MATCH,
    IF_RANGE,
    IF_UNMODIFIED_SINCE,
    ORIGIN,
    PRAGMA,
    RANGE,
    REFERER,
    UPGRADE_INSECURE_REQUESTS,
    USER_AGENT,
    HeaderName::from_static("last-event-id"),
    HeaderName::from_static("priority"),
    HeaderName::from_static("x-requested-with"),
];

/// Names that browsers keep to themselves: scripts cannot set a field that begins with `sec-`.
const FROM_BROWSERS_ALONE: [&str; 10] = [
    "sec-ch-prefers-color-scheme",
    "sec-ch-ua",
    "sec-ch-ua-mobile",
    "sec-ch-ua-platform",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
    "sec-fetch-user",
    "sec-gpc",
    "sec-purpose",
];

/// Further fields of the application that stands behind, such as `x-csrf-token`.
#[derive(Debug, Clone, Default)]
pub(crate) struct FurtherFields(Vec<HeaderName>);

impl FurtherFields {
    /// Names separated by commas.
    pub(crate) fn parse(names: &str) -> Result<Self, String> {
        let names = names
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty());
        let parsed = names.map(|text| {
            let name: HeaderName = text
                .parse()
                .map_err(|_| format!("{text:?} is not the name of a header field"))?;
            if is_the_gateways(name.as_str()) {
                return Err(format!(
                    "{text} is a field that the gateway sets or removes itself; take it out of the list"
                ));
            }
            Ok(name)
        });
        parsed.collect::<Result<_, _>>().map(Self)
    }

    /// The fields of the request that pass.
    pub(crate) fn onward(&self, mut headers: HeaderMap) -> HeaderMap {
        // The length of a message in pieces would be a second opinion on where it ends.
        if headers.contains_key(TRANSFER_ENCODING) {
            headers.remove(CONTENT_LENGTH);
        }
        remove_hops(&mut headers);
        let mut onward = HeaderMap::with_capacity(headers.len());
        for (name, value) in &headers {
            let is_known = FROM_BROWSERS.contains(name)
                || FROM_BROWSERS_ALONE.contains(&name.as_str())
                || self.0.contains(name);
            if is_known {
                onward.append(name, value.clone());
            }
        }
        onward
    }
}

/// Fields that no setting lets pass, because they carry the token, the session, the connection or the public
/// address.
fn is_the_gateways(name: &str) -> bool {
    const WHOLE: [&str; 12] = [
        "authorization",
        "connection",
        "cookie",
        "expect",
        "forwarded",
        "host",
        "http2-settings",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    let name = name.replace('_', "-");
    let beginnings = ["proxy-", "sec-websocket-", "x-forwarded-"];
    WHOLE.contains(&name.as_str())
        || beginnings
            .iter()
            .any(|beginning| name.starts_with(beginning))
}

/// The fields of a WebSocket handshake. `None` if the request asks for no WebSocket. Any other upgrade is
/// ignored, as [RFC 9110 §7.8](https://www.rfc-editor.org/rfc/rfc9110#section-7.8) allows: it would open a
/// tunnel that carries the token and whose requests no layer checks.
pub(crate) fn web_socket(parts: &Parts) -> Option<HeaderMap> {
    let only = |name: HeaderName| {
        let mut values = parts.headers.get_all(name).iter();
        values.next().filter(|_| values.next().is_none())
    };
    let is_handshake = parts.method == Method::GET
        && parts.version == Version::HTTP_11
        && is_web_socket(only(UPGRADE))
        && only(SEC_WEBSOCKET_VERSION)? == "13"
        && !parts.headers.contains_key(CONTENT_LENGTH)
        && !parts.headers.contains_key(TRANSFER_ENCODING);
    let key = only(SEC_WEBSOCKET_KEY).filter(|_| is_handshake)?;
    let mut handshake = HeaderMap::new();
    handshake.insert(SEC_WEBSOCKET_KEY, key.clone());
    for name in [
        SEC_WEBSOCKET_VERSION,
        SEC_WEBSOCKET_PROTOCOL,
        SEC_WEBSOCKET_EXTENSIONS,
    ] {
        for value in parts.headers.get_all(&name) {
            handshake.append(name.clone(), value.clone());
        }
    }
    set_web_socket(&mut handshake);
    Some(handshake)
}

pub(crate) fn is_web_socket(upgrade: Option<&HeaderValue>) -> bool {
    upgrade.is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

pub(crate) fn set_web_socket(headers: &mut HeaderMap) {
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
}

/// Removes the fields that are meant for the next hop only
/// ([RFC 9110 §7.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1)).
pub(crate) fn remove_hops(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // The length of the body belongs to the message, not to the hop.
        .filter(|name| name != CONTENT_LENGTH)
        .collect();
    let hops = [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];
    for name in named.iter().chain(&hops) {
        headers.remove(name);
    }
    for name in [
        "keep-alive",
        "proxy-connection",
        "proxy-authenticate",
        "proxy-authorization",
    ] {
        headers.remove(name);
    }
}

/// Removes the fields of an answer that are about the whole origin, which is the gateway's: its cookies, one of
/// which is the session, and what browsers keep for it.
pub(crate) fn remove_fields_of_the_origin(headers: &mut HeaderMap) {
    for name in [
        "set-cookie",
        "set-cookie2",
        "clear-site-data",
        "alt-svc",
        "strict-transport-security",
        "service-worker-allowed",
        "nel",
        "report-to",
        "reporting-endpoints",
    ] {
        headers.remove(name);
    }
}
