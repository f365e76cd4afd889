//! Calls to the provider's endpoints, which may have moved since the metadata was fetched.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use url::Url;

use crate::error::{ProviderError, ProviderErrorKind};
use crate::http_client::{Call, Limits};
use crate::provider::Provider;
use crate::provider::client::credentials::Client;
use crate::provider::client::oauth_error::known_error;
use crate::provider::discovery::Metadata;
use crate::provider::endpoints::Endpoints;

/// Why a call brought no answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// The request was not sent.
    NotSent(ProviderError),
    /// The request was sent, or may have been.
    Sent(ProviderError),
}

impl From<Unanswered> for ProviderError {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::NotSent(error) | Unanswered::Sent(error) => error,
        }
    }
}

/// With less time left, a call is not sent again, because an answer is unlikely to come in time.
const SHORTEST_CALL: Duration = Duration::from_secs(1);

impl Provider {
    /// Sends a call to the endpoint that the metadata names, within `limits`.
    ///
    /// If the answer says that the endpoint is gone, the metadata is fetched once. If it names another
    /// address, the call is made for that one and sent once more, in the time that is left.
    pub(super) async fn call_endpoint(
        &self,
        metadata: &Metadata,
        endpoint: impl Fn(&Endpoints) -> Result<&Url, ProviderError>,
        call: impl Fn(&Metadata) -> Result<Call, ProviderError>,
        limits: Limits,
    ) -> Result<Response<Bytes>, Unanswered> {
        let began_at = self.clock().monotonic();
        let time_left = || {
            let passed = self.clock().monotonic().saturating_sub(began_at);
            limits.time.saturating_sub(passed)
        };
        let send = async |metadata: &Metadata, url: &Url, limits| {
            let call = call(metadata).map_err(Unanswered::NotSent)?;
            let answer = self.http_client().send(url, call, limits).await;
            answer.map_err(|error| match error.kind() {
                ProviderErrorKind::Unreachable => Unanswered::NotSent(error),
                _ => Unanswered::Sent(error),
            })
        };
        let url = endpoint(&metadata.endpoints).map_err(Unanswered::NotSent)?;
        let answer = send(metadata, url, limits).await?;
        if !is_gone(&answer) {
            return Ok(answer);
        }
        let fetched = tokio::time::timeout(time_left(), self.0.client_side.newer_metadata()).await;
        let newer = fetched.ok().flatten();
        let newer_url = newer
            .as_ref()
            .and_then(|newer| endpoint(&newer.value.endpoints).ok());
        match (&newer, newer_url) {
            (Some(newer), Some(newer_url)) if newer_url != url && time_left() >= SHORTEST_CALL => {
                tracing::info!(
                    status = answer.status().as_u16(),
                    from = %url,
                    to = %newer_url,
                    "an endpoint of the provider has moved; the call is sent to its new address"
                );
                let limits = Limits {
                    time: time_left(),
                    ..limits
                };
                send(&newer.value, newer_url, limits).await
            }
            _ => Ok(answer),
        }
    }

    /// Sends these parameters to an endpoint as this client. A secret that the provider refuses and that has been
    /// replaced in its file is replaced here too, and the call is sent once more: it had no effect.
    pub(super) async fn call_as(
        &self,
        client: &Client,
        metadata: &Metadata,
        endpoint: impl Fn(&Endpoints) -> Result<&Url, ProviderError>,
        parameters: &[(&str, &str)],
        limits: Limits,
    ) -> Result<Response<Bytes>, Unanswered> {
        let began_at = self.clock().monotonic();
        let secret = client.secret();
        let form = |metadata: &Metadata| self.form(client, metadata, parameters);
        let answer = self
            .call_endpoint(metadata, &endpoint, form, limits)
            .await?;
        if known_error(answer.body()) != Some("invalid_client") {
            return Ok(answer);
        }
        let passed = self.clock().monotonic().saturating_sub(began_at);
        let limits = Limits {
            time: limits.time.saturating_sub(passed),
            ..limits
        };
        match secret {
            Some(secret)
                if limits.time >= SHORTEST_CALL && client.has_other_than(&secret).await =>
            {
                self.call_endpoint(metadata, endpoint, form, limits).await
            }
            _ => Ok(answer),
        }
    }

    /// The call that sends these parameters as this client.
    fn form(
        &self,
        client: &Client,
        metadata: &Metadata,
        parameters: &[(&str, &str)],
    ) -> Result<Call, ProviderError> {
        let issuer = metadata.issuer.as_str();
        client.call(&metadata.endpoints, issuer, self.clock().now(), parameters)
    }
}

/// Whether the answer says that no endpoint is at this address. An OAuth error is an endpoint's own
/// answer, whatever its status.
fn is_gone(answer: &Response<Bytes>) -> bool {
    let says_so = matches!(
        answer.status(),
        StatusCode::NOT_FOUND
            | StatusCode::GONE
            | StatusCode::MOVED_PERMANENTLY
            | StatusCode::PERMANENT_REDIRECT
    );
    says_so && known_error(answer.body()).is_none()
}
