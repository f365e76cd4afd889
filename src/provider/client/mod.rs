//! This service as a client of the provider: its credentials, and the calls it makes with them.

#[cfg(feature = "login")]
mod calls;
pub(crate) mod credentials;
mod endpoint_call;
mod oauth_error;
pub(crate) mod target;
pub(crate) mod token_endpoint;

use std::sync::Arc;

use crate::allowance::Allowance;
use crate::clock::SharedClock;
use crate::http_client::HttpClient;
use crate::provider::Provider;
use crate::provider::discovery::Metadata;
use crate::renew::{Refusal, Renew, Snapshot};

/// What only a client needs of a provider.
pub(super) struct ClientSide {
    http: HttpClient,
    metadata: Renew<Metadata>,
    /// Bounds the fetches of the metadata that missing endpoints cause.
    moved_endpoints: Allowance,
}

impl ClientSide {
    pub(super) fn new(http: HttpClient, metadata: Renew<Metadata>, clock: &SharedClock) -> Self {
        Self {
            http,
            metadata,
            moved_endpoints: Allowance::full(clock.monotonic()),
        }
    }
}

impl Provider {
    pub(crate) async fn metadata(&self) -> Result<Arc<Snapshot<Metadata>>, Refusal> {
        self.0.client_side.metadata.get().await
    }

    pub(crate) fn http_client(&self) -> &HttpClient {
        &self.0.client_side.http
    }

    /// The metadata, fetched although the present one is fresh. The number of such fetches is bounded;
    /// beyond the bound it is the present one, which another call may have fetched a moment ago.
    async fn newer_metadata(&self) -> Option<Arc<Snapshot<Metadata>>> {
        let ClientSide {
            metadata,
            moved_endpoints,
            ..
        } = &self.0.client_side;
        let now = self.clock().monotonic();
        match metadata.force(|| moved_endpoints.take(now)) {
            Ok(Some(flight)) => flight.landed().await.ok(),
            Ok(None) | Err(_) => metadata.get().await.ok(),
        }
    }
}
