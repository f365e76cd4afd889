//! A limit on the sessions of one subject: a sign-in too many ends the oldest.

use std::sync::Arc;

use crate::error::{Chain, StoreError};
use crate::login::sessions::record::{Record, RefreshState};
use crate::login::sessions::{RETIRED, Sessions};
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
            if let Some(signed_in_at) = self.signed_in_at(key).await? {
                live.push((signed_in_at, key));
            }
        }
        // By the key where the second is the same, so that sign-ins at once end the same sessions.
        live.sort_unstable();
        let mut ended = 0;
        for (_, key) in live.iter().take(live.len().saturating_sub(most)) {
            if let Some(session) = self.end(*key).await? {
                ended += 1;
                let tokens = session.tokens;
                let refresh_token = tokens.and_then(|tokens| tokens.refresh_token);
                self.revoker.revoke_behind(refresh_token);
            }
        }
        Ok(ended)
    }

    /// When a session that lives began. One that ends in a moment, because another has replaced it, does not
    /// count, nor does a record that does not open here.
    async fn signed_in_at(&self, key: StoreKey) -> Result<Option<i64>, StoreError> {
        let Some(loaded) = self.ledger.store().load(key).await? else {
            return Ok(None);
        };
        let in_a_moment = loaded.now.saturating_add(RETIRED);
        let record = Record::try_decode(&loaded.record.bytes).ok();
        Ok(record
            .filter(|record| !matches!(record.state, RefreshState::Dead(_)))
            .filter(|record| in_a_moment < record.expires_at)
            .and_then(|record| self.opener.tokens(key, &record))
            .map(|tokens| tokens.signed_in_at))
    }
}
