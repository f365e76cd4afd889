//! How the end of a grant that brought no tokens is written down.

use std::sync::Arc;

use bytes::Bytes;

use crate::clock::UnixTime;
use crate::error::{Chain, LoginErrorKind as Kind, ProviderError, StoreError};
use crate::login::audit::About;
use crate::login::sessions::ledger::Seen;
use crate::login::sessions::record::{FenceOutcome, Record, Settlement};
use crate::login::sessions::renewals::{LEASE, Outcome, Renewals};
use crate::login::sessions::tokens::TokenSet;
use crate::login::store::{StoreKey, Tag};
use crate::observe;

impl Renewals {
    /// The provider refused a target, whatever its reason: that is remembered for a while, and the session goes on.
    /// Only a refresh of its own tokens can end it.
    pub(crate) async fn target_refused(
        self: &Arc<Self>,
        key: StoreKey,
        fence: Tag,
        leased: &Seen,
        refused: &TokenSet,
        error: &ProviderError,
    ) -> Outcome {
        observe::refreshed("target_refused");
        About::session(key, refused).refreshed("target_refused");
        tracing::warn!(
            kind = error.kind().as_str(),
            error = %Chain(error),
            "the provider refused a token for another target; the session stays"
        );
        let generation = leased.record.generation;
        let sealed = refused.seal(&self.opener.sealing, key, generation).ok();
        self.target_settled(key, fence, leased, sealed, Kind::TargetRefused)
            .await
    }

    /// Another task has asked for the target since, and was refused: it is not asked for again.
    pub(crate) async fn target_refused_before(
        self: &Arc<Self>,
        key: StoreKey,
        fence: Tag,
        leased: &Seen,
        why: Kind,
    ) -> Outcome {
        observe::refreshed("handed_over");
        self.target_settled(key, fence, leased, None, why).await
    }

    /// Gives the lease back, the refresh token unspent. The record says what came of the target.
    async fn target_settled(
        self: &Arc<Self>,
        key: StoreKey,
        fence: Tag,
        leased: &Seen,
        sealed: Option<Bytes>,
        why: Kind,
    ) -> Outcome {
        let settled = self
            .settle_resealed(key, leased, fence, Settlement::TargetRefused, sealed)
            .await;
        match settled {
            Ok(Some(seen)) => Outcome::Renewed(Box::new(seen)),
            Ok(None) => Outcome::Over(None),
            Err(_) => Outcome::Kept(why.into()),
        }
    }

    /// Writes down how a grant ended, and returns the record as it then is. `None` where the session is gone
    /// or the store does not answer; it is then written later, for as long as the lease lasts.
    pub(crate) async fn settle(
        self: &Arc<Self>,
        key: StoreKey,
        leased: &Seen,
        fence: Tag,
        settlement: Settlement,
    ) -> Option<Seen> {
        let settled = self.settle_resealed(key, leased, fence, settlement, None);
        settled.await.ok().flatten()
    }

    /// The same, and what is known of the tokens with it. `None` where the session is gone; an error where the store
    /// does not answer.
    async fn settle_resealed(
        self: &Arc<Self>,
        key: StoreKey,
        leased: &Seen,
        fence: Tag,
        settlement: Settlement,
        sealed: Option<Bytes>,
    ) -> Result<Option<Seen>, StoreError> {
        let generation = leased.record.generation;
        let settle = move |record: &mut Record, now: UnixTime| {
            let outcome = record.settle(now, fence, settlement);
            if let (FenceOutcome::Done, Some(sealed)) = (&outcome, &sealed) {
                record.reseal(generation, sealed);
            }
            outcome
        };
        match self.ledger.apply(key, leased.clone(), settle.clone()).await {
            Ok(settled) => Ok(settled.map(|(_, seen)| seen)),
            Err(error) => {
                tracing::warn!(
                    error = %Chain(&error),
                    "the store did not take the end of a refresh; it is tried again"
                );
                let (ledger, leased) = (Arc::clone(&self.ledger), leased.clone());
                self.tasks.spawn(async move {
                    // Without it the lease ends by itself, and what follows is what follows a lost answer.
                    let _ = ledger.apply_until_stored(key, &leased, LEASE, settle).await;
                });
                Err(error)
            }
        }
    }
}
