//! The token among the subprotocols that a WebSocket offers
//! ([RFC 6455 §11.3.4](https://www.rfc-editor.org/rfc/rfc6455#section-11.3.4)).

use http::header::{SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Version};

/// What stands before the token. The names of subprotocols are compared with regard to case.
const PREFIX: &[u8] = b"bearer.";

/// The tokens that an upgrade request offers. `None` of any other request: there the field means nothing.
pub(super) fn tokens(head: &Parts) -> impl Iterator<Item = &[u8]> {
    let offered = is_upgrade(head).then(|| elements(&head.headers));
    let offered = offered.into_iter().flatten();
    offered.filter_map(|protocol| protocol.strip_prefix(PREFIX))
}

/// Removes the tokens of an upgrade request, so that only the application's subprotocols are left to choose from.
pub(super) fn hide(head: &mut Parts) {
    if tokens(head).next().is_none() {
        return;
    }
    let others = elements(&head.headers).filter(|protocol| !protocol.starts_with(PREFIX));
    let others = others.collect::<Vec<_>>().join(&b", "[..]);
    match HeaderValue::from_bytes(&others) {
        Ok(others) if !others.is_empty() => {
            head.headers.insert(SEC_WEBSOCKET_PROTOCOL, others);
        }
        _ => {
            head.headers.remove(SEC_WEBSOCKET_PROTOCOL);
        }
    }
}

/// Whether a WebSocket is opened: by an upgrade, or over HTTP/2 and HTTP/3 by an extended `CONNECT`
/// ([RFC 8441 §4](https://www.rfc-editor.org/rfc/rfc8441#section-4)).
fn is_upgrade(head: &Parts) -> bool {
    let is_web_socket = |name: &[u8]| name.eq_ignore_ascii_case(b"websocket");
    match head.method {
        Method::GET => {
            let mut fields = head.headers.get_all(UPGRADE).iter();
            fields.any(|field| list(field).any(is_web_socket))
        }
        Method::CONNECT => head.version >= Version::HTTP_2,
        _ => false,
    }
}

fn elements(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let fields = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    fields.flat_map(list)
}

/// The elements of a list ([RFC 9110 §5.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.1)).
fn list(field: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    let elements = field.as_bytes().split(|byte| *byte == b',');
    elements
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}
