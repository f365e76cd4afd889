//! All network access: any tower HTTP client with its type erased, under a time limit and a size limit.
//! Redirects are not followed; they are answers like any other.

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

#[cfg(feature = "reqwest")]
use crate::claims::is_loopback;
use crate::clock::SharedClock;
#[cfg(feature = "reqwest")]
use crate::error::Chain;
use crate::error::{ConfigError, ProviderError, ProviderErrorKind};
use crate::retry_after::retry_after;
#[cfg(feature = "reqwest")]
use crate::settings::{CERTIFICATE_AUTHORITY, CLIENT_CERTIFICATE};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type ErasedBody = http_body_util::combinators::UnsyncBoxBody<Bytes, BodyError>;
type Exchange =
    dyn Fn(Request<Bytes>) -> BoxFuture<Result<Response<ErasedBody>, BoxError>> + Send + Sync;

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
}

impl HttpClient {
    /// A client made of a tower service, such as one of hyper-util.
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

    /// A client that cannot call anything, for this reason: for a provider that may need none.
    pub(crate) fn none(reason: ConfigError) -> Self {
        Self {
            exchange: Arc::new(move |_| {
                let reason = NotConnected::new(reason.clone());
                Box::pin(std::future::ready(Err(reason.into())))
            }),
        }
    }

    /// The client of the `reqwest` feature with its defaults.
    ///
    /// # Errors
    /// [`ProviderError`] if the platform's certificates or the proxy settings cannot be read.
    #[cfg(feature = "reqwest")]
    pub fn reqwest() -> Result<Self, ProviderError> {
        Self::from_reqwest(|builder| builder)
    }

    /// The same for a provider whose certificate a private authority signed: beside the platform's authorities, those
    /// of this bundle of PEM certificates are trusted.
    ///
    /// # Errors
    /// [`ConfigError`] if the bundle holds no certificate, or one that cannot be read.
    #[cfg(feature = "reqwest")]
    pub fn reqwest_trusting(bundle: &[u8]) -> Result<Self, ConfigError> {
        let authorities = authorities(bundle)?;
        Self::from_reqwest(|builder| builder.tls_certs_merge(authorities.iter().cloned()))
            .map_err(|error| refuse_authority(Chain(&error).to_string()))
    }

    /// The same for a client that presents a certificate to the provider (`Client::with_certificate`): its chain and
    /// its private key (PKCS #8, PKCS #1 or SEC 1), each in PEM. They may stand in one text, which is then passed twice.
    /// With a bundle, the authorities in it are trusted beside the platform's. A new certificate needs a new client.
    ///
    /// # Errors
    /// [`ConfigError`] if the certificate or its key cannot be read, if they do not belong together, or if the bundle holds
    /// no certificate.
    #[cfg(feature = "reqwest")]
    pub fn reqwest_with_certificate(
        certificate: &[u8],
        key: &[u8],
        bundle: Option<&[u8]>,
    ) -> Result<Self, ConfigError> {
        let refuse = |problem: String| {
            ConfigError::invalid(
                CLIENT_CERTIFICATE,
                "(PEM)",
                problem,
                "pass the chain of the client's certificate and its unencrypted private key in PEM",
            )
        };
        let authorities = bundle.map(authorities).transpose()?.unwrap_or_default();
        let whole = if certificate == key {
            certificate.to_vec()
        } else {
            [certificate, b"\n", key].concat()
        };
        let identity = reqwest::Identity::from_pem(&whole)
            .map_err(|error| refuse(format!("it cannot be used: {}", Chain(&error))))?;
        Self::from_reqwest(|builder| {
            let builder = builder.identity(identity.clone());
            builder.tls_certs_merge(authorities.iter().cloned())
        })
        .map_err(|error| refuse(format!("it cannot be used: {}", Chain(&error))))
    }

    #[cfg(feature = "reqwest")]
    fn from_reqwest(
        choose: impl Fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Result<Self, ProviderError> {
        let build = |builder: reqwest::ClientBuilder| {
            let client = choose(builder)
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(CONNECT_TIMEOUT)
                .pool_idle_timeout(IDLE)
                .user_agent(concat!("tower-oidc/", env!("CARGO_PKG_VERSION")))
                .retry(once_more_if_not_processed())
                .no_gzip()
                .no_brotli()
                .no_deflate()
                .no_zstd()
                .build();
            client.map_err(|error| {
                ProviderError::caused(
                    ProviderErrorKind::Unreachable,
                    "the HTTP client cannot be built",
                    error.into(),
                )
            })
        };
        let client = build(reqwest::Client::builder())?;
        // A proxy would look for the provider on its own machine. No certificates are needed there, and
        // reading those of the platform takes time.
        let direct = build(reqwest::Client::builder().no_proxy().tls_certs_only([]))?;
        Ok(Self {
            exchange: Arc::new(move |request| {
                let (client, direct) = (client.clone(), direct.clone());
                Box::pin(async move {
                    let request = reqwest::Request::try_from(request.map(reqwest::Body::from))?;
                    let url = request.url();
                    let client = if url.scheme() == "http" && is_loopback(url) {
                        direct
                    } else {
                        client
                    };
                    let response = client.execute(request).await.map_err(|error| {
                        if error.is_connect() || was_not_processed(&error) {
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

/// The certificates of a bundle in PEM.
#[cfg(feature = "reqwest")]
fn authorities(bundle: &[u8]) -> Result<Vec<reqwest::Certificate>, ConfigError> {
    let authorities = reqwest::Certificate::from_pem_bundle(bundle)
        .map_err(|error| refuse_authority(format!("it cannot be read: {}", Chain(&error))))?;
    if authorities.is_empty() {
        return Err(refuse_authority("it holds no certificate".to_owned()));
    }
    Ok(authorities)
}

#[cfg(feature = "reqwest")]
fn refuse_authority(problem: String) -> ConfigError {
    ConfigError::invalid(
        CERTIFICATE_AUTHORITY,
        "(PEM)",
        problem,
        "pass the certificates of the authority in PEM, each from BEGIN CERTIFICATE to END CERTIFICATE",
    )
}

/// Sends a request again that the provider did not process, once: a provider that refuses it twice has too
/// much to do.
#[cfg(feature = "reqwest")]
fn once_more_if_not_processed() -> reqwest::retry::Builder {
    reqwest::retry::for_host(AnyHost)
        .no_budget()
        .max_retries_per_request(1)
        .classify_fn(|sent| match sent.error() {
            Some(error) if was_not_processed(error) => sent.retryable(),
            _ => sent.success(),
        })
}

#[cfg(feature = "reqwest")]
struct AnyHost;

#[cfg(feature = "reqwest")]
impl PartialEq<&str> for AnyHost {
    fn eq(&self, _: &&str) -> bool {
        true
    }
}

/// Whether the provider says that it did not process the request
/// ([RFC 9113 §8.7](https://www.rfc-editor.org/rfc/rfc9113#section-8.7)).
#[cfg(feature = "reqwest")]
fn was_not_processed(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    let reset = causes.find_map(|cause| cause.downcast_ref::<h2::Error>());
    reset.is_some_and(|error| {
        let reason = error.reason();
        error.is_remote()
            && (error.is_reset() && reason == Some(h2::Reason::REFUSED_STREAM)
                || error.is_go_away() && reason == Some(h2::Reason::NO_ERROR))
    })
}

#[cfg(feature = "reqwest")]
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long an idle connection is kept. Common servers keep it for 5 seconds or more. A request on a
/// connection that the server is closing may or may not arrive, and a refresh token can be sent only
/// once.
#[cfg(feature = "reqwest")]
const IDLE: Duration = Duration::from_secs(3);

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

fn check_head(
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
