//! The endpoints of a provider, the number of requests to each, and the faults that can be set.

use std::convert::Infallible;
use std::io::{self, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use http::{HeaderName, HeaderValue, StatusCode};
use http_body::Frame;

/// The endpoints of a provider in this module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// The metadata, at every well-known path.
    Discovery,
    /// The key set (`jwks_uri`).
    Jwks,
    /// The token endpoint.
    Token,
    /// The authorization endpoint.
    Authorization,
    /// UserInfo.
    UserInfo,
    /// Revocation.
    Revocation,
    /// Introspection.
    Introspection,
    /// RP-initiated logout.
    EndSession,
    /// Device authorization.
    DeviceAuthorization,
}

/// A fault of an endpoint. It stays until it is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Answers with this status and an empty body.
    Status(u16),
    /// Answers as usual, after this delay.
    Slow(Duration),
    /// Accepts the request and never answers.
    Stall,
    /// Processes the request, then breaks the connection before the body of the answer is sent.
    LoseAnswer,
    /// Redirects to this address with status 302.
    Redirect(String),
    /// Answers with a JSON document of this many bytes.
    Huge(usize),
    /// Sends a body of white space that never ends, one byte at a time.
    Drip,
    /// Answers with this status, these header fields and this body.
    Answer {
        /// The status.
        status: u16,
        /// Names and values of header fields.
        headers: Vec<(String, String)>,
        /// The body.
        body: Vec<u8>,
    },
    /// Answers as usual, with this `Cache-Control`.
    CacheControl(String),
}

impl Fault {
    /// Answers with this text as `application/json`. The text is not checked.
    #[must_use]
    pub fn json(text: impl Into<String>) -> Self {
        Self::document("application/json", text)
    }

    /// Answers with the beginning of a JSON document.
    #[must_use]
    pub fn broken_json() -> Self {
        Self::json("{\"issuer\":\"http")
    }

    /// Answers with a few kilobytes of gzip that decompress to eight megabytes of white space.
    ///
    /// # Panics
    /// Never: writing to memory does not fail.
    #[must_use]
    pub fn gzip_bomb() -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder
            .write_all(&vec![b' '; 8 << 20])
            .expect("memory to write to");
        let body = encoder.finish().expect("memory to write to");
        Self::Answer {
            status: 200,
            headers: [
                ("content-type", "application/json"),
                ("content-encoding", "gzip"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
            body,
        }
    }

    /// Answers with this status and this OAuth error code
    /// ([RFC 6749 §5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2)).
    #[must_use]
    pub fn error(status: u16, code: &str) -> Self {
        Self::Answer {
            status,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: serde_json::json!({ "error": code })
                .to_string()
                .into_bytes(),
        }
    }

    /// Answers 503 with the OAuth error `temporarily_unavailable`, with a `Retry-After` of this many
    /// seconds.
    #[must_use]
    pub fn busy(seconds: u32) -> Self {
        Self::busy_until(seconds.to_string())
    }

    /// Answers 503 with the OAuth error `temporarily_unavailable` and this `Retry-After`, in seconds or as a
    /// date ([RFC 9110 §10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)).
    #[must_use]
    pub fn busy_until(retry_after: impl Into<String>) -> Self {
        Self::Answer {
            status: 503,
            headers: vec![
                ("content-type".to_owned(), "application/json".to_owned()),
                ("retry-after".to_owned(), retry_after.into()),
            ],
            body: br#"{"error":"temporarily_unavailable"}"#.to_vec(),
        }
    }

    /// Answers with this text and media type.
    #[must_use]
    pub fn document(content_type: &str, text: impl Into<String>) -> Self {
        Self::Answer {
            status: 200,
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            body: text.into().into_bytes(),
        }
    }
}

/// The number of requests to each endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Hits {
    /// The metadata.
    pub discovery: u32,
    /// The key set.
    pub jwks: u32,
    /// The token endpoint.
    pub token: u32,
    /// The authorization endpoint.
    pub authorization: u32,
    /// UserInfo.
    pub userinfo: u32,
    /// Revocation.
    pub revocation: u32,
    /// Introspection.
    pub introspection: u32,
    /// RP-initiated logout.
    pub end_session: u32,
    /// Device authorization.
    pub device_authorization: u32,
    /// Refresh tokens that were exchanged for new tokens.
    pub refreshed: u32,
    /// Refresh tokens that were sent again after they were spent. Each revoked its whole family.
    pub reused: u32,
    /// Requests to any other path, such as an attacker's address in a forged header.
    pub other: u32,
}

impl Hits {
    pub(super) fn count(&mut self, endpoint: Endpoint) {
        *match endpoint {
            Endpoint::Discovery => &mut self.discovery,
            Endpoint::Jwks => &mut self.jwks,
            Endpoint::Token => &mut self.token,
            Endpoint::Authorization => &mut self.authorization,
            Endpoint::UserInfo => &mut self.userinfo,
            Endpoint::Revocation => &mut self.revocation,
            Endpoint::Introspection => &mut self.introspection,
            Endpoint::EndSession => &mut self.end_session,
            Endpoint::DeviceAuthorization => &mut self.device_authorization,
        } += 1;
    }
}

/// The answer with this document, or the one that the fault prescribes.
pub(super) async fn answer(
    fault: Option<Fault>,
    document: impl FnOnce() -> (StatusCode, String),
) -> Response {
    let json = [(CONTENT_TYPE, "application/json")];
    match fault {
        None => as_json(document()),
        Some(Fault::CacheControl(value)) => {
            ([(CACHE_CONTROL, value)], as_json(document())).into_response()
        }
        Some(Fault::Slow(delay)) => {
            tokio::time::sleep(delay).await;
            as_json(document())
        }
        Some(Fault::LoseAnswer) => {
            document();
            (json, Body::new(BrokenOff)).into_response()
        }
        Some(Fault::Stall) => std::future::pending().await,
        Some(Fault::Status(code)) => StatusCode::from_u16(code)
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            .into_response(),
        Some(Fault::Redirect(to)) => (StatusCode::FOUND, [(LOCATION, to)]).into_response(),
        Some(Fault::Huge(size)) => {
            let filler = " ".repeat(size);
            (json, format!("{{{filler}}}")).into_response()
        }
        Some(Fault::Drip) => (json, Body::new(Drip)).into_response(),
        Some(Fault::Answer {
            status,
            headers,
            body,
        }) => {
            let mut response = Response::new(Body::from(body));
            *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
            for (name, value) in headers {
                if let (Ok(name), Ok(value)) =
                    (HeaderName::try_from(name), HeaderValue::try_from(value))
                {
                    response.headers_mut().append(name, value);
                }
            }
            response
        }
    }
}

fn as_json((status, document): (StatusCode, String)) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], document).into_response()
}

/// A body that ends with an error.
struct BrokenOff;

impl http_body::Body for BrokenOff {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(Some(Err(io::Error::other("the answer is lost"))))
    }
}

/// A body that never ends.
struct Drip;

impl http_body::Body for Drip {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let waker = context.waker().clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            waker.wake();
        });
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b" ")))))
    }
}
