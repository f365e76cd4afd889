//! Calls to the provider's endpoints, which may have moved since the metadata was fetched.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use url::Url;

use crate::error::{ProviderError, ProviderErrorKind};
use crate::http_client::{Call, Limits};
use crate::provider::Provider;
use crate::provider::client::credentials::{Client, Credential};
use crate::provider::client::oauth_error::known_error;
use crate::provider::discovery::Server;
use crate::provider::endpoints::Endpoints;

/// Why a call brought no answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// The request was not sent.
    NotSent(ProviderError),
    /// The request was sent, or may have been.
    Sent(ProviderError),
}

/// What a client sends.
#[derive(Clone, Copy)]
pub(super) struct Form<'a> {
    pub(super) parameters: &'a [(&'a str, &'a str)],
    /// The media type of the answer, where it is another than JSON.
    pub(super) accept: Option<&'static str>,
}

#[cfg(any(feature = "login", feature = "outbound"))]
impl<'a> Form<'a> {
    pub(super) fn of(parameters: &'a [(&'a str, &'a str)]) -> Self {
        Self {
            parameters,
            accept: None,
        }
    }
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
        server: &Server,
        endpoint: impl Fn(&Endpoints) -> Result<Url, ProviderError>,
        call: impl Fn(&Server) -> Result<Call, ProviderError>,
        limits: Limits,
    ) -> Result<Response<Bytes>, Unanswered> {
        let began_at = self.clock().monotonic();
        let time_left = || {
            let passed = self.clock().monotonic().saturating_sub(began_at);
            limits.time.saturating_sub(passed)
        };
        let send = async |server: &Server, url: &Url, limits| {
            let call = call(server).map_err(Unanswered::NotSent)?;
            let answer = self.http_client().send(url, call, limits).await;
            answer.map_err(|error| match error.kind() {
                ProviderErrorKind::Unreachable => Unanswered::NotSent(error),
                _ => Unanswered::Sent(error),
            })
        };
        let url = endpoint(&server.endpoints).map_err(Unanswered::NotSent)?;
        let answer = send(server, &url, limits).await?;
        if !(server.is_discovered && is_gone(&answer)) {
            return Ok(answer);
        }
        let fetched = tokio::time::timeout(time_left(), self.0.client_side.newer_metadata()).await;
        let newer = fetched.ok().flatten();
        let newer_url = newer
            .as_ref()
            .and_then(|newer| endpoint(&newer.value.server.endpoints).ok());
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
                send(&newer.value.server, &newer_url, limits).await
            }
            _ => Ok(answer),
        }
    }

    /// Sends a form to an endpoint as this client, within `limits`, which include the time to get at its credential.
    /// If the provider refuses the credential, and another stands in its file by then, the call is sent once more: it
    /// had no effect.
    pub(super) async fn call_as(
        &self,
        client: &Client,
        server: &Server,
        endpoint: impl Fn(&Endpoints) -> Result<&Url, ProviderError>,
        form: Form<'_>,
        limits: Limits,
    ) -> Result<Response<Bytes>, Unanswered> {
        let began_at = self.clock().monotonic();
        let time_left = || {
            let passed = self.clock().monotonic().saturating_sub(began_at);
            // Whole milliseconds, because an error shows the limit.
            let passed =
                Duration::from_millis(u64::try_from(passed.as_millis()).unwrap_or(u64::MAX));
            limits.time.saturating_sub(passed)
        };
        let send = async |credential: &Credential| {
            let call = |server: &Server| {
                let now = self.clock().now();
                let call = client.call(credential, server, now, form.parameters)?;
                Ok(Call {
                    accept: form.accept,
                    ..call
                })
            };
            let limits = Limits {
                time: time_left(),
                ..limits
            };
            let address = |endpoints: &Endpoints| endpoint(client.addresses(endpoints)).cloned();
            self.call_endpoint(server, address, call, limits).await
        };
        let patience = limits.time.saturating_sub(SHORTEST_CALL);
        let credential = client.credential(self.clock().now());
        let credential = tokio::time::timeout(patience, credential)
            .await
            .unwrap_or_else(|_| Err(no_credential_in_time()))
            .map_err(Unanswered::NotSent)?;
        let answer = send(&credential).await?;
        if known_error(answer.body()) != Some("invalid_client") {
            return Ok(answer);
        }
        let patience = time_left().saturating_sub(SHORTEST_CALL);
        let other = client.other_than(&credential, self.clock().now());
        match tokio::time::timeout(patience, other).await {
            Ok(Some(other)) if time_left() >= SHORTEST_CALL => send(&other).await,
            _ => {
                self.0.client_side.tell_of_refused_client(client, server);
                Ok(answer)
            }
        }
    }
}

fn no_credential_in_time() -> ProviderError {
    ProviderError::new(
        ProviderErrorKind::NoCredential,
        "what the client authenticates with did not come in time",
    )
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
