//! A limit on the sessions of one subject: a sign-in too many ends the oldest.

use std::sync::Arc;

use crate::error::{Chain, StoreError};
use crate::login::audit::About;
use crate::login::sessions::Sessions;
use crate::login::store::{OwnedBy, StoreKey};

impl Sessions {
    /// Ends the oldest sessions of a subject that are more than `most`, in the background: no sign-in waits for
    /// it, or fails because of it.
    pub(crate) fn limit_behind(self: &Arc<Self>, subject: StoreKey, most: usize) {
        let sessions = Arc::clone(self);
        self.tasks.spawn(async move {
            match sessions.end_oldest(subject, most).await {
                Ok(0) => {}
                Ok(ended) => {
                    tracing::info!(
                        ended,
                        most,
                        "the oldest sessions of a user ended: there were more than allowed"
                    );
                }
                Err(error) => tracing::warn!(
                    error = %Chain(&error),
                    most,
                    "a user may have more sessions than allowed: the store does not answer"
                ),
            }
        });
    }

    async fn end_oldest(&self, subject: StoreKey, most: usize) -> Result<usize, StoreError> {
        let keys = self.ledger.store().find(OwnedBy::Subject(subject)).await?;
        if keys.len() <= most {
            return Ok(0);
        }
        let mut live = Vec::with_capacity(keys.len());
        for key in keys {
            if let Some(session) = self.listed(key).await? {
                live.push((session.signed_in_at, key));
            }
        }
        // By the key where the second is the same, so that sign-ins at once end the same sessions.
        live.sort_unstable();
        let mut ended = 0;
        for (_, key) in live.iter().take(live.len().saturating_sub(most)) {
            let audit = |about: About<'_>| about.ended_by_limit();
            ended += usize::from(self.end_and_revoke(*key, audit).await?);
        }
        Ok(ended)
    }
}
