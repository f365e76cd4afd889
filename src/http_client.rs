//! All network access: any tower HTTP client with its type erased, under a time limit and a size limit.
//! Redirects are not followed; they are answers like any other.

#[cfg(feature = "reqwest")]
mod ready;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tower_service::Service;
use url::Url;

use crate::clock::SharedClock;
use crate::error::{ConfigError, ProviderError, ProviderErrorKind};
use crate::retry_after::retry_after;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type ErasedBody = http_body_util::combinators::UnsyncBoxBody<Bytes, BodyError>;
type Exchange =
    dyn Fn(Request<Bytes>) -> BoxFuture<Result<Response<ErasedBody>, BoxError>> + Send + Sync;

/// Writes the context of the trace that is under way.
type TraceContext = dyn Fn(&mut HeaderMap) + Send + Sync;

/// The header fields of [Trace Context §3](https://www.w3.org/TR/trace-context/#trace-context-http-headers-format).
const TRACE_CONTEXT: [&str; 2] = ["traceparent", "tracestate"];

/// The error that cut a body off, of any client.
#[derive(Debug, thiserror::Error)]
#[error("the answer was cut off")]
struct BodyError(#[source] BoxError);

/// No connection was made, so the request was certainly not sent.
///
/// A client that is passed to [`HttpClient::new`] should wrap an error in this if it knows that. Such a
/// request can be sent again. After any other error the provider may have received the request and spent
/// its refresh token.
#[derive(Debug, thiserror::Error)]
#[error("no connection")]
pub struct NotConnected(#[source] BoxError);

impl NotConnected {
    /// Wraps the error of a client.
    pub fn new(cause: impl Into<BoxError>) -> Self {
        Self(cause.into())
    }
}

/// The HTTP client for all calls to the provider.
///
/// The client of the `reqwest` feature verifies certificates, uses `HTTPS_PROXY` and `NO_PROXY` (never for
/// plain http on loopback), connects within 2 seconds and follows no redirects. A request that the provider
/// certainly did not look at (`REFUSED_STREAM` of HTTP/2) is sent once more. Any other tower service can be
/// used instead.
///
/// # Security
/// A client must verify certificates and must not follow redirects: with keys from another place, an
/// attacker can sign tokens.
#[derive(Clone)]
pub struct HttpClient {
    exchange: Arc<Exchange>,
    trace_context: Option<Arc<TraceContext>>,
}

impl HttpClient {
    /// A client made of a tower service. Requests come with a body of `Bytes`, so a client of hyper-util gets one that it
    /// can send:
    ///
    /// ```
    /// use bytes::Bytes;
    /// use http::Request;
    /// use http_body_util::Full;
    /// use hyper_rustls::HttpsConnectorBuilder;
    /// use hyper_util::client::legacy::Client;
    /// use hyper_util::rt::TokioExecutor;
    /// use tower::ServiceBuilder;
    /// use tower_oidc::{HttpClient, Provider};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let https = HttpsConnectorBuilder::new()
    ///     .try_with_platform_verifier()?
    ///     .https_only()
    ///     .enable_http1()
    ///     .build();
    /// let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(https);
    /// let client = ServiceBuilder::new()
    ///     .map_request(|request: Request<Bytes>| request.map(Full::new))
    ///     .service(client);
    /// let provider = Provider::builder("https://id.example")
    ///     .with_http_client(HttpClient::new(client))
    ///     .build()?;
    /// # drop(provider);
    /// # Ok(())
    /// # }
    /// ```
    pub fn new<S, B>(service: S) -> Self
    where
        S: Service<Request<Bytes>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self {
            trace_context: None,
            exchange: Arc::new(move |request| {
                let mut service = service.clone();
                Box::pin(async move {
                    std::future::poll_fn(|context| service.poll_ready(context))
                        .await
                        .map_err(Into::into)?;
                    let response = service.call(request).await.map_err(Into::into)?;
                    Ok(response
                        .map(|body| body.map_err(|error| BodyError(error.into())).boxed_unsync()))
                })
            }),
        }
    }

    /// A client that cannot call anything, for this reason: for a provider that may need none.
    pub(crate) fn none(reason: ConfigError) -> Self {
        Self {
            trace_context: None,
            exchange: Arc::new(move |_| {
                let reason = NotConnected::new(reason.clone());
                Box::pin(std::future::ready(Err(reason.into())))
            }),
        }
    }

    /// Sends the context of the trace that is under way with each call to the provider. `write` is called for each
    /// call, within this crate's spans, and writes `traceparent` and `tracestate`
    /// ([Trace Context](https://www.w3.org/TR/trace-context/)). Default: neither is sent. The manual has the
    /// [wiring for OpenTelemetry](crate::manual::observability#traces).
    ///
    /// ```
    /// use http::{HeaderMap, HeaderValue};
    /// use tower_oidc::{HttpClient, Provider};
    ///
    /// # fn current_context() -> HeaderValue { HeaderValue::from_static("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01") }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = HttpClient::reqwest()?.with_trace_context(|headers: &mut HeaderMap| {
    ///     headers.insert("traceparent", current_context());
    /// });
    /// let provider = Provider::builder("https://id.example").with_http_client(client).build()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Security
    /// Only these two fields are sent; whatever else is written is dropped. They tell the provider that calls belong
    /// together, and whatever the application puts into `tracestate`.
    #[must_use]
    pub fn with_trace_context(
        mut self,
        write: impl Fn(&mut HeaderMap) + Send + Sync + 'static,
    ) -> Self {
        self.trace_context = Some(Arc::new(write));
        self
    }

    /// Fetches a JSON document: status 200, this media type, at most `limits.size` bytes within
    /// `limits.time`. An error contains the pause that the answer asks for.
    pub(crate) fn get_json(
        &self,
        url: &Url,
        media_type: MediaType,
        limits: Limits,
        clock: &SharedClock,
    ) -> BoxFuture<Result<Document, ProviderError>> {
        let answer = self.send(url, Call::default(), limits);
        let (url, clock) = (url.clone(), clock.clone());
        Box::pin(async move {
            let answer = answer.await?;
            check_head(&url, media_type, answer.status(), answer.headers()).map_err(|error| {
                let pause = retry_after(answer.headers(), clock.now()).unwrap_or_default();
                error.with_pause(pause.min(LONGEST_DOCUMENT_PAUSE))
            })?;
            Ok(Document {
                max_age: max_age(answer.headers()),
                body: answer.into_body(),
            })
        })
    }

    /// Sends a call and reads the whole answer of any status: at most `limits.size` bytes, within
    /// `limits.time`.
    pub(crate) fn send(
        &self,
        url: &Url,
        call: Call,
        limits: Limits,
    ) -> BoxFuture<Result<Response<Bytes>, ProviderError>> {
        let (send, url) = (Arc::clone(&self.exchange), url.clone());
        let trace_context = self.trace_context.clone();
        let method = call.method();
        let late = ProviderError::new(
            ProviderErrorKind::TimedOut,
            format!("{method} {url} took longer than {:?}", limits.time),
        );
        let exchange = async move {
            let mut request = call.into_request(&url)?;
            if let Some(write) = trace_context {
                add_trace_context(&*write, request.headers_mut());
            }
            let method = request.method().clone();
            let response = send(request).await.map_err(|error| {
                ProviderError::caused(
                    if error.is::<NotConnected>() {
                        ProviderErrorKind::Unreachable
                    } else {
                        ProviderErrorKind::BrokenOff
                    },
                    format!("{method} {url} failed"),
                    error,
                )
            })?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, limits.size)
                .collect()
                .await
                .map_err(|error| body_error(&method, &url, limits.size, error))?
                .to_bytes();
            Ok(Response::from_parts(parts, body))
        };
        Box::pin(async move {
            tokio::time::timeout(limits.time, exchange)
                .await
                .unwrap_or(Err(late))
        })
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("HttpClient")
    }
}

fn add_trace_context(write: &TraceContext, headers: &mut HeaderMap) {
    let mut written = HeaderMap::new();
    write(&mut written);
    for name in TRACE_CONTEXT {
        if let Some(value) = written.remove(name) {
            headers.insert(name, value);
        }
    }
}

/// The longest time that an answer can delay the next fetch of a document. It equals the longest
/// back-off, because without keys no token can be verified.
const LONGEST_DOCUMENT_PAUSE: Duration = Duration::from_secs(60);

/// The longest time and the largest answer of a call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) time: Duration,
    pub(crate) size: usize,
}

/// The media type that a document must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MediaType {
    Json,
    /// The body decides.
    Any,
}

/// A request to the provider: a GET, or a POST of a form.
#[derive(Default)]
pub(crate) struct Call {
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) form: Option<String>,
    /// The media type that is asked for, where it is another than JSON.
    pub(crate) accept: Option<&'static str>,
}

impl Call {
    fn method(&self) -> Method {
        if self.form.is_some() {
            Method::POST
        } else {
            Method::GET
        }
    }

    fn into_request(self, url: &Url) -> Result<Request<Bytes>, ProviderError> {
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = self.method();
        *request.uri_mut() = url.as_str().parse().map_err(|error| {
            ProviderError::caused(
                ProviderErrorKind::InvalidAnswer,
                format!("{url} cannot be requested"),
                Box::new(error),
            )
        })?;
        let headers = request.headers_mut();
        let accept = self.accept.unwrap_or("application/json");
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        if let Some(authorization) = self.authorization {
            headers.insert(AUTHORIZATION, authorization);
        }
        if let Some(form) = self.form {
            headers.insert(
                CONTENT_TYPE,
                HeaderValue::from_static("application/x-www-form-urlencoded"),
            );
            *request.body_mut() = form.into();
        }
        Ok(request)
    }
}

/// The body of a JSON document.
pub(crate) struct Document {
    pub(crate) body: Bytes,
    /// The lifetime that `Cache-Control` allows.
    pub(crate) max_age: Option<Duration>,
}

pub(crate) fn check_head(
    url: &Url,
    media_type: MediaType,
    status: StatusCode,
    headers: &HeaderMap,
) -> Result<(), ProviderError> {
    if status.is_redirection() {
        return Err(ProviderError::new(
            ProviderErrorKind::Status,
            format!(
                "GET {url} answered {status}; redirects are not followed, configure the final URL"
            ),
        ));
    }
    if status != StatusCode::OK {
        return Err(ProviderError::new(
            ProviderErrorKind::Status,
            format!("GET {url} answered {status}{}", hint(url, status)),
        ));
    }
    if headers
        .get(CONTENT_ENCODING)
        .is_some_and(|encoding| encoding != "identity")
    {
        return Err(ProviderError::new(
            ProviderErrorKind::InvalidAnswer,
            format!("GET {url} answered with a content encoding, and none was asked for"),
        ));
    }
    let is_json = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(is_json);
    if media_type == MediaType::Json && !is_json {
        return Err(ProviderError::new(
            ProviderErrorKind::InvalidAnswer,
            format!("GET {url} answered with a media type that is not JSON"),
        ));
    }
    Ok(())
}

/// What to look at where there is no document.
fn hint(url: &Url, status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND | StatusCode::GONE if url.path().contains("/.well-known/") => {
            "; compare the issuer (OPENID_ISSUER) with the one that the provider shows: it may have a path, such \
             as /realms/<realm> (Keycloak), /oauth2/default (Okta) or /<tenant>/v2.0 (Entra ID)"
        }
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            "; compare the address of the key set (OPENID_JWKS_URL) with the jwks_uri of the provider's metadata"
        }
        _ => "",
    }
}

/// Whether a media type is `application/json`, or based on JSON such as `application/jwk-set+json`.
fn is_json(content_type: &str) -> bool {
    let essence = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn body_error(method: &Method, url: &Url, limit: usize, error: BoxError) -> ProviderError {
    if error.is::<LengthLimitError>() {
        ProviderError::new(
            ProviderErrorKind::TooLarge,
            format!("{method} {url} answered with more than {limit} bytes"),
        )
    } else {
        ProviderError::caused(
            ProviderErrorKind::BrokenOff,
            format!("{method} {url} was cut off"),
            error,
        )
    }
}

/// `max-age` of [RFC 9111 §5.2.2.1](https://www.rfc-editor.org/rfc/rfc9111#section-5.2.2.1), zero
/// for `no-store` and `no-cache`.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let mut age = None;
    let directives = headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    for directive in directives {
        let directive = directive.trim().to_ascii_lowercase();
        if directive == "no-store" || directive == "no-cache" {
            return Some(Duration::ZERO);
        }
        if let Some(seconds) = directive.strip_prefix("max-age=") {
            age = seconds.trim_matches('"').parse().ok();
        }
    }
    age.map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(feature = "reqwest")]
    use std::sync::atomic::{AtomicU32, Ordering};

    // KS-12
    #[test]
    fn cache_control_gives_the_lifetime() {
        let cases = [
            ("max-age=600", Some(600)),
            ("public, Max-Age=60, must-revalidate", Some(60)),
            ("max-age=\"30\"", Some(30)),
            ("no-store", Some(0)),
            ("max-age=600, no-cache", Some(0)),
            ("max-age=-1", None),
            ("max-age=", None),
            ("private", None),
        ];
        for (value, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(CACHE_CONTROL, HeaderValue::from_str(value).unwrap());
            assert_eq!(
                max_age(&headers),
                expected.map(Duration::from_secs),
                "{value}"
            );
        }
    }

    /// A provider on HTTP/2 that refuses this many requests before it answers, and the requests it saw.
    #[cfg(feature = "reqwest")]
    async fn refusing(times: u32) -> (Url, Arc<AtomicU32>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let seen = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&seen);
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let counted = Arc::clone(&counted);
                tokio::spawn(async move {
                    let mut connection = h2::server::handshake(socket).await.unwrap();
                    while let Some(Ok((_, mut respond))) = connection.accept().await {
                        if counted.fetch_add(1, Ordering::SeqCst) < times {
                            respond.send_reset(h2::Reason::REFUSED_STREAM);
                        } else {
                            respond.send_response(Response::new(()), true).unwrap();
                        }
                    }
                });
            }
        });
        (url.parse().unwrap(), seen)
    }

    #[cfg(feature = "reqwest")]
    // RT-08
    #[tokio::test]
    async fn a_request_that_was_not_processed_is_sent_once_more() {
        let client =
            HttpClient::from_reqwest(reqwest::ClientBuilder::http2_prior_knowledge).unwrap();
        let limits = Limits {
            time: Duration::from_secs(5),
            size: 1024,
        };
        for (refusals, expected) in [(0, Ok(1)), (1, Ok(2)), (2, Err(2)), (9, Err(2))] {
            let (url, seen) = refusing(refusals).await;
            let call = Call {
                form: Some("grant_type=refresh_token".to_owned()),
                ..Call::default()
            };
            let answer = client.send(&url, call, limits).await;
            let sent = seen.load(Ordering::SeqCst);
            let outcome = match answer {
                Ok(_) => Ok(sent),
                Err(error) => {
                    assert_eq!(error.kind(), ProviderErrorKind::Unreachable);
                    Err(sent)
                }
            };
            assert_eq!(outcome, expected, "{refusals} refusals");
        }
    }

    // DI-06
    #[test]
    fn which_media_types_are_json() {
        for good in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/jwk-set+json",
        ] {
            assert!(is_json(good), "{good}");
        }
        for bad in [
            "text/html",
            "text/json",
            "",
            "application/jsonx",
            "image/svg+json",
        ] {
            assert!(!is_json(bad), "{bad}");
        }
    }
}
