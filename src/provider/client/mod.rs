//! This service as a client of the provider: its credentials, and the calls it makes with them.

pub(crate) mod assertion;
pub(crate) mod assertion_key;
#[cfg(feature = "login")]
mod calls;
pub(crate) mod credentials;
mod endpoint_call;
#[cfg(feature = "introspection")]
pub(crate) mod introspection;
mod kept_file;
mod oauth_error;
mod secret_file;
pub(super) mod side;
#[cfg(any(feature = "login", feature = "outbound"))]
pub(crate) mod token_endpoint;

#[cfg(feature = "login")]
pub(crate) use self::oauth_error::known_code;

use std::sync::Arc;

use crate::http_client::HttpClient;
use crate::provider::Provider;
use crate::provider::discovery::Metadata;
use crate::renew::{Refusal, Snapshot};

impl Provider {
    pub(crate) async fn metadata(&self) -> Result<Arc<Snapshot<Metadata>>, Refusal> {
        self.0.client_side.metadata().await
    }

    pub(crate) fn http_client(&self) -> &HttpClient {
        &self.0.client_side.http
    }
}
