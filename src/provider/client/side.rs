use std::sync::Arc;

#[cfg(feature = "introspection")]
use url::Url;

use crate::allowance::Allowance;
#[cfg(feature = "introspection")]
use crate::claims::Issuer;
use crate::clock::SharedClock;
use crate::http_client::HttpClient;
use crate::log_pace::LogPace;
use crate::provider::client::credentials::Client;
use crate::provider::discovery::{Metadata, Server};
#[cfg(feature = "introspection")]
use crate::provider::endpoints::Endpoints;
use crate::renew::{Refusal, Renew, Snapshot};

/// What only a client needs of a provider.
pub(in crate::provider) struct ClientSide {
    pub(super) http: HttpClient,
    metadata: Renew<Metadata>,
    /// Bounds the fetches of the metadata that missing endpoints cause.
    moved_endpoints: Allowance,
    clock: SharedClock,
    refused_client: LogPace,
    /// The server whose introspection endpoint is configured.
    #[cfg(feature = "introspection")]
    pub(super) introspection: Option<Server>,
}

impl ClientSide {
    pub(in crate::provider) fn new(
        http: HttpClient,
        metadata: Renew<Metadata>,
        clock: &SharedClock,
    ) -> Self {
        Self {
            http,
            metadata,
            moved_endpoints: Allowance::full(clock.monotonic()),
            clock: clock.clone(),
            refused_client: LogPace::new(clock.clone()),
            #[cfg(feature = "introspection")]
            introspection: None,
        }
    }

    /// The same with this introspection endpoint, whatever the metadata says.
    #[cfg(feature = "introspection")]
    pub(in crate::provider) fn with_introspection(mut self, issuer: &Issuer, url: &Url) -> Self {
        self.introspection = Some(Server {
            issuer: issuer.clone(),
            endpoints: Endpoints::of_introspection(url.clone()),
            is_discovered: false,
        });
        self
    }

    pub(super) async fn metadata(&self) -> Result<Arc<Snapshot<Metadata>>, Refusal> {
        self.metadata.get().await
    }

    /// The metadata, fetched although the present one is fresh. The number of such fetches is bounded;
    /// beyond the bound it is the present one, which another call may have fetched a moment ago.
    pub(super) async fn newer_metadata(&self) -> Option<Arc<Snapshot<Metadata>>> {
        let now = self.clock.monotonic();
        match self.metadata.force(|| self.moved_endpoints.take(now)) {
            Ok(Some(fetching)) => fetching.flight.landed().await.ok(),
            Ok(None) | Err(_) => self.metadata().await.ok(),
        }
    }

    /// One line in ten seconds for a client that the provider refuses (`invalid_client`).
    pub(super) fn tell_of_refused_client(&self, client: &Client, server: &Server) {
        if self.refused_client.is_due(0) {
            tracing::warn!(
                client = client.id(),
                by = client.methods().join(" or "),
                provider_lists = server.endpoints.listed_authentication(),
                "the provider refused this client: compare its id and how it authenticates with what the provider has \
                 registered"
            );
        }
    }
}
