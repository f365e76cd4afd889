//! Gives refresh tokens back to the provider
//! ([RFC 7009](https://www.rfc-editor.org/rfc/rfc7009)).

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use crate::error::{Chain, ProviderErrorKind};
use crate::provider::{Client, Provider};
use crate::secret::Secret;

pub(crate) struct Revoker {
    provider: Provider,
    client: Client,
    tasks: TaskTracker,
}

/// How often revoking is tried, and how long a provider can put it off each time.
const ATTEMPTS: u32 = 3;
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl Revoker {
    pub(crate) fn new(provider: Provider, client: Client, tasks: TaskTracker) -> Self {
        Self {
            provider,
            client,
            tasks,
        }
    }

    /// Revokes a refresh token in a task of its own: no request waits for it.
    pub(crate) fn revoke_behind(self: &Arc<Self>, token: Option<Secret>) {
        if let (Some(token), Ok(runtime)) = (token, Handle::try_current()) {
            let revoker = Arc::clone(self);
            self.tasks
                .spawn_on(async move { revoker.revoke(&token).await }, &runtime);
        }
    }

    async fn revoke(&self, token: &Secret) {
        let mut pause = Duration::from_secs(1);
        for attempt in 1..=ATTEMPTS {
            let Err((error, asked)) = self.provider.revoke(&self.client, token).await else {
                return;
            };
            let is_final = attempt == ATTEMPTS || error.kind() == ProviderErrorKind::RequestRefused;
            if is_final {
                tracing::warn!(error = %Chain(&error), "a refresh token could not be revoked");
                return;
            }
            tokio::time::sleep(asked.unwrap_or(pause).min(LONGEST_PAUSE)).await;
            pause *= 2;
        }
    }
}
