//! The ready HTTP client of the feature `reqwest`.

use std::sync::Arc;
use std::time::Duration;

use http::Response;
use http_body_util::BodyExt;

use super::{BodyError, BoxError, HttpClient, NotConnected};
use crate::claims::is_loopback;
use crate::error::{Chain, ConfigError, ProviderError, ProviderErrorKind};
use crate::settings::{CERTIFICATE_AUTHORITY, CLIENT_CERTIFICATE};

impl HttpClient {
    /// The client of the `reqwest` feature with its defaults.
    ///
    /// # Errors
    /// [`ProviderError`] if the platform's certificates or the proxy settings cannot be read.
    pub fn reqwest() -> Result<Self, ProviderError> {
        Self::from_reqwest(|builder| builder)
    }

    /// The same for a provider whose certificate a private authority signed: beside the platform's authorities, those
    /// of this bundle of PEM certificates are trusted.
    ///
    /// # Errors
    /// [`ConfigError`] if the bundle holds no certificate, or one that cannot be read.
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

    pub(super) fn from_reqwest(
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
            trace_context: None,
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
}

/// The certificates of a bundle in PEM.
fn authorities(bundle: &[u8]) -> Result<Vec<reqwest::Certificate>, ConfigError> {
    let authorities = reqwest::Certificate::from_pem_bundle(bundle)
        .map_err(|error| refuse_authority(format!("it cannot be read: {}", Chain(&error))))?;
    if authorities.is_empty() {
        return Err(refuse_authority("it holds no certificate".to_owned()));
    }
    Ok(authorities)
}

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
fn once_more_if_not_processed() -> reqwest::retry::Builder {
    reqwest::retry::for_host(AnyHost)
        .no_budget()
        .max_retries_per_request(1)
        .classify_fn(|sent| match sent.error() {
            Some(error) if was_not_processed(error) => sent.retryable(),
            _ => sent.success(),
        })
}

struct AnyHost;

impl PartialEq<&str> for AnyHost {
    fn eq(&self, _: &&str) -> bool {
        true
    }
}

/// Whether the provider says that it did not process the request
/// ([RFC 9113 §8.7](https://www.rfc-editor.org/rfc/rfc9113#section-8.7)).
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

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long an idle connection is kept. Common servers keep it for 5 seconds or more. A request on a
/// connection that the server is closing may or may not arrive, and a refresh token can be sent only
/// once.
const IDLE: Duration = Duration::from_secs(3);
