//! How a gRPC call is recognized, and how it is told that its caller counts no longer
//! ([gRPC over HTTP/2](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md)).

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

/// A variant of gRPC, as the content type of its responses.
pub(crate) type Kind = &'static str;

/// The variant of a call with these header fields. `None` if it is no gRPC call.
pub(crate) fn kind(headers: &HeaderMap) -> Option<Kind> {
    let content_type = headers.get(CONTENT_TYPE)?.as_bytes();
    [
        (
            "application/grpc-web-text",
            "application/grpc-web-text+proto",
        ),
        ("application/grpc-web", "application/grpc-web+proto"),
        ("application/grpc", "application/grpc"),
    ]
    .into_iter()
    .find(|(beginning, _)| {
        content_type
            .get(..beginning.len())
            .is_some_and(|found| found.eq_ignore_ascii_case(beginning.as_bytes()))
    })
    .map(|(_, kind)| kind)
}

/// The message of a call that is not authenticated.
pub(crate) const NOT_AUTHENTICATED: &str = "the call carries no valid access token";

/// The code of `UNAUTHENTICATED`.
const UNAUTHENTICATED: HeaderValue = HeaderValue::from_static("16");

/// Says that the call is not authenticated, in header fields or trailers.
pub(crate) fn refuse(headers: &mut HeaderMap) {
    headers.insert("grpc-status", UNAUTHENTICATED);
    headers.insert("grpc-message", HeaderValue::from_static(NOT_AUTHENTICATED));
}
