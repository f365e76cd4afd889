//! The one door to the network: any tower HTTP client, erased, with a time limit and a size limit
//! around it. Redirects are answers like any other here, and never followed.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tower_service::Service;
use url::Url;

use crate::error::{ProviderError, ProviderErrorKind};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type ErasedBody = http_body_util::combinators::UnsyncBoxBody<Bytes, BodyError>;
type Exchange =
    dyn Fn(Request<Bytes>) -> BoxFuture<Result<Response<ErasedBody>, BoxError>> + Send + Sync;

/// What broke a body off, whatever client it came from.
#[derive(Debug, thiserror::Error)]
#[error("the answer broke off")]
struct BodyError(#[source] BoxError);

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
            .pool_idle_timeout(Duration::from_secs(30))
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
                    let response: Response<reqwest::Body> = client.execute(request).await?.into();
                    Ok(response
                        .map(|body| body.map_err(|error| BodyError(error.into())).boxed_unsync()))
                })
            }),
        })
    }

    /// Fetches a JSON document: status 200, a JSON media type, at most `limits.size` bytes within
    /// `limits.time`.
    pub(crate) fn get_json(
        &self,
        url: &Url,
        limits: Limits,
    ) -> BoxFuture<Result<Document, ProviderError>> {
        let (send, url) = (Arc::clone(&self.exchange), url.clone());
        let late = ProviderError::new(
            ProviderErrorKind::TimedOut,
            format!("GET {url} took longer than {:?}", limits.time),
        );
        let exchange = async move {
            let mut request = Request::new(Bytes::new());
            *request.method_mut() = Method::GET;
            *request.uri_mut() = url.as_str().parse().map_err(|error| {
                ProviderError::caused(
                    ProviderErrorKind::InvalidAnswer,
                    format!("{url} cannot be requested"),
                    Box::new(error),
                )
            })?;
            request
                .headers_mut()
                .insert(ACCEPT, HeaderValue::from_static("application/json"));
            let response = send(request).await.map_err(|error| {
                ProviderError::caused(
                    ProviderErrorKind::Unreachable,
                    format!("GET {url} failed"),
                    error,
                )
            })?;
            let (parts, body) = response.into_parts();
            check_head(&url, parts.status, &parts.headers)?;
            let body = Limited::new(body, limits.size)
                .collect()
                .await
                .map_err(|error| body_error(&url, limits.size, error))?
                .to_bytes();
            Ok(Document {
                body,
                max_age: max_age(&parts.headers),
            })
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

/// How much of an answer, and of time, a call may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) time: Duration,
    pub(crate) size: usize,
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

fn body_error(url: &Url, limit: usize, error: BoxError) -> ProviderError {
    if error.is::<LengthLimitError>() {
        ProviderError::new(
            ProviderErrorKind::TooLarge,
            format!("GET {url} answered with more than {limit} bytes"),
        )
    } else {
        ProviderError::caused(
            ProviderErrorKind::Unreachable,
            format!("GET {url} broke off"),
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
