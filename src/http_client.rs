//! The one door to the network: any tower HTTP client, erased, with a time limit and a size limit
//! around it. Redirects are answers like any other here, and never followed.

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
use crate::error::{ProviderError, ProviderErrorKind};
use crate::retry_after::retry_after;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type ErasedBody = http_body_util::combinators::UnsyncBoxBody<Bytes, BodyError>;
type Exchange =
    dyn Fn(Request<Bytes>) -> BoxFuture<Result<Response<ErasedBody>, BoxError>> + Send + Sync;

/// What broke a body off, whatever client it came from.
#[derive(Debug, thiserror::Error)]
#[error("the answer broke off")]
struct BodyError(#[source] BoxError);

/// No connection came about: the request was surely not sent.
///
/// A client handed in to [`HttpClient::new`] wraps its errors in this where it knows; what was not
/// sent can be sent again, while of anything else nobody knows whether a refresh token was spent.
#[derive(Debug, thiserror::Error)]
#[error("no connection")]
pub struct NotConnected(#[source] BoxError);

impl NotConnected {
    /// With its cause.
    pub fn new(cause: impl Into<BoxError>) -> Self {
        Self(cause.into())
    }
}

/// The HTTP client for all calls to the provider.
///
/// The `reqwest` feature brings one that verifies certificates, honours `HTTPS_PROXY` and
/// `NO_PROXY`, connects within 2 seconds and follows no redirect. Any other tower service can be
/// handed in.
///
/// # Security
/// A client handed in must verify certificates and must not follow redirects by itself: keys
/// fetched from elsewhere could sign tokens for anybody.
#[derive(Clone)]
pub struct HttpClient {
    exchange: Arc<Exchange>,
}

impl HttpClient {
    /// A client from a tower service, such as one of hyper-util.
    pub fn new<S, B>(service: S) -> Self
    where
        S: Service<Request<Bytes>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self {
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

    /// The client of the `reqwest` feature with its defaults.
    ///
    /// # Errors
    /// [`ProviderError`] if the platform's certificates or the proxy settings cannot be read.
    #[cfg(feature = "reqwest")]
    pub fn reqwest() -> Result<Self, ProviderError> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE)
            .user_agent(concat!("tower-oidc/", env!("CARGO_PKG_VERSION")))
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd()
            .build()
            .map_err(|error| {
                ProviderError::caused(
                    ProviderErrorKind::Unreachable,
                    "the HTTP client cannot be built",
                    error.into(),
                )
            })?;
        Ok(Self {
            exchange: Arc::new(move |request| {
                let client = client.clone();
                Box::pin(async move {
                    let request = reqwest::Request::try_from(request.map(reqwest::Body::from))?;
                    let response = client.execute(request).await.map_err(|error| {
                        if error.is_connect() {
                            BoxError::from(NotConnected::new(error))
                        } else {
                            error.into()
                        }
                    })?;
                    let response: Response<reqwest::Body> = response.into();
                    Ok(response
                        .map(|body| body.map_err(|error| BodyError(error.into())).boxed_unsync()))
                })
            }),
        })
    }

    /// Fetches a JSON document: status 200, a JSON media type, at most `limits.size` bytes within
    /// `limits.time`. An error carries the pause that the answer asks for.
    pub(crate) fn get_json(
        &self,
        url: &Url,
        limits: Limits,
        clock: &SharedClock,
    ) -> BoxFuture<Result<Document, ProviderError>> {
        let answer = self.send(url, Call::default(), limits);
        let (url, clock) = (url.clone(), clock.clone());
        Box::pin(async move {
            let answer = answer.await?;
            check_head(&url, answer.status(), answer.headers()).map_err(|error| {
                let pause = retry_after(answer.headers(), clock.now()).unwrap_or_default();
                error.with_pause(pause.min(LONGEST_DOCUMENT_PAUSE))
            })?;
            Ok(Document {
                max_age: max_age(answer.headers()),
                body: answer.into_body(),
            })
        })
    }

    /// Makes a call and reads the whole answer, whatever its status, of at most `limits.size`
    /// bytes and within `limits.time`.
    pub(crate) fn send(
        &self,
        url: &Url,
        call: Call,
        limits: Limits,
    ) -> BoxFuture<Result<Response<Bytes>, ProviderError>> {
        let (send, url) = (Arc::clone(&self.exchange), url.clone());
        let method = call.method();
        let late = ProviderError::new(
            ProviderErrorKind::TimedOut,
            format!("{method} {url} took longer than {:?}", limits.time),
        );
        let exchange = async move {
            let request = call.into_request(&url)?;
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

#[cfg(feature = "reqwest")]
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Shorter than any common server keeps a connection open (5 seconds): of what is sent on one that the
/// server is just closing, nobody knows whether it arrived, and a refresh token can be spent but once.
#[cfg(feature = "reqwest")]
const IDLE: Duration = Duration::from_secs(3);

/// The longest pause that an answer can put the next fetch of a document off: as long as repeated
/// failures do, because without keys every request waits for it.
const LONGEST_DOCUMENT_PAUSE: Duration = Duration::from_secs(60);

/// How much of an answer, and of time, a call may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) time: Duration,
    pub(crate) size: usize,
}

/// A request to the provider: a GET, or the POST of a form.
#[derive(Default)]
pub(crate) struct Call {
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) form: Option<String>,
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
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
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

/// A JSON document as it came.
pub(crate) struct Document {
    pub(crate) body: Bytes,
    /// What `Cache-Control` says of its lifetime.
    pub(crate) max_age: Option<Duration>,
}

fn check_head(url: &Url, status: StatusCode, headers: &HeaderMap) -> Result<(), ProviderError> {
    if status.is_redirection() {
        return Err(ProviderError::new(
            ProviderErrorKind::Status,
            format!(
                "GET {url} answered {status}; redirects are not followed, name the final address"
            ),
        ));
    }
    if status != StatusCode::OK {
        return Err(ProviderError::new(
            ProviderErrorKind::Status,
            format!("GET {url} answered {status}"),
        ));
    }
    if headers
        .get(CONTENT_ENCODING)
        .is_some_and(|encoding| encoding != "identity")
    {
        return Err(ProviderError::new(
            ProviderErrorKind::InvalidAnswer,
            format!("GET {url} answered with a content encoding nobody asked for"),
        ));
    }
    let is_json = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(is_json);
    if !is_json {
        return Err(ProviderError::new(
            ProviderErrorKind::InvalidAnswer,
            format!("GET {url} did not answer with JSON"),
        ));
    }
    Ok(())
}

/// `application/json`, or a type that builds on JSON such as `application/jwk-set+json`.
pub(crate) fn is_json(content_type: &str) -> bool {
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
            format!("{method} {url} broke off"),
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

    #[test]
    fn ks_12_what_cache_control_says() {
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

    #[test]
    fn di_06_which_media_types_are_json() {
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
