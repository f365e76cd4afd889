//! Revocations that all processes obey that share a store.

mod journal;
mod page;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};

use crate::error::{Chain, StoreError, StoreErrorKind};
use crate::login::shared_revocations::journal::{Journal, Position};
use crate::login::shared_revocations::page::PAGE;
use crate::login::store::SessionStore;
use crate::login::store::near_cache::NEAR_CACHE_AGE;
use crate::revocations::Revocations;
use crate::revocations::sharing::{Progress, Sharing, WeakRevocations};

/// Between two reads where no word came: words can be lost, and not every store has them.
const PAUSE: Duration = NEAR_CACHE_AGE;

impl Revocations {
    /// Shares these revocations with the processes that share this store, which is usually that of the sessions. When
    /// this returns `Ok`, what they revoked is refused here. From then on each process reads what is new at the store's
    /// word of changes, and once a second in any case; so a revocation is obeyed everywhere within a second, and after
    /// a restart. What was revoked here before the call is shared too.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use tower_oidc::Revocations;
    /// use tower_oidc::login::{MemoryStore, SessionStore};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// // For several processes a `RedisStore` or `PostgresStore`; its clone goes to the `LoginLayer`.
    /// let store = Arc::new(MemoryStore::new());
    /// let revocations = Revocations::new();
    /// revocations.share_through(store.clone()).await?;
    ///
    /// revocations.revoke_all("https://id.example", "user-1")?;
    /// revocations.shared().await?; // it is in the store, and would survive the end of this process
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(example())
    /// #     .expect("a store in memory answers");
    /// ```
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read, if what it holds does not fit into this
    /// [memory](crate::RevocationsBuilder::with_capacity), if there is no tokio runtime, or if these are shared already
    /// ([`Taken`](StoreErrorKind::Taken)). Nothing is shared then, and the call can be repeated.
    ///
    /// # Security
    /// - A process should accept no tokens before this has returned `Ok`: until then it does not know what others
    ///   revoked.
    /// - While the store is away, a process refuses what it knows of, and accepts what others have revoked since. The
    ///   log warns once. What is revoked here is kept and sent when the store answers again:
    ///   [`shared`](Self::shared) tells when.
    /// - The store holds hashes of what is revoked, and times. They are not sealed. A stranger who can write to the
    ///   store can take revocations back, as they can delete sessions.
    /// - A store that evicts records, or loses the last writes in a failover, loses revocations too.
    pub async fn share_through(&self, store: impl SessionStore) -> Result<(), StoreError> {
        let taken = || {
            let text = "the revocations are shared through a store already";
            StoreError::new(StoreErrorKind::Taken, text)
        };
        if self.is_shared() {
            return Err(taken());
        }
        let runtime = Handle::try_current().map_err(|error| {
            let text = "revocations can be shared within a tokio runtime only";
            StoreError::caused(StoreErrorKind::Unavailable, text, Box::new(error))
        })?;
        let store: Arc<dyn SessionStore> = Arc::new(store);
        let mut share = Share {
            journal: Journal(Arc::clone(&store)),
            position: Position::default(),
            is_away: false,
        };
        share.hear(self).await?;
        let wake = Arc::new(Notify::new());
        let told = Arc::clone(&wake);
        // The task reads once more when it begins, so that no word is missed.
        store.on_change(Box::new(move |key| {
            if key.is_none_or(|key| key == Journal::head_key()) {
                told.notify_one();
            }
            // Once the revocations are gone, this holds the last of it.
            Arc::strong_count(&told) > 1
        }));
        self.begin_telling();
        let (progress, seen) = watch::channel(Progress::default());
        let task = runtime.spawn(share.run(self.downgrade(), Arc::clone(&wake), progress));
        let sharing = Sharing {
            wake,
            progress: seen,
            task,
        };
        if self.keep_sharing(sharing) {
            Ok(())
        } else {
            Err(taken())
        }
    }
}

/// The task that reads what others revoked, and writes what was revoked here.
struct Share {
    journal: Journal,
    position: Position,
    is_away: bool,
}

impl Share {
    async fn run(
        mut self,
        revocations: WeakRevocations,
        wake: Arc<Notify>,
        progress: watch::Sender<Progress>,
    ) {
        while let Some(revocations) = revocations.upgrade() {
            let outcome = match self.tell(&revocations, &progress).await {
                Ok(()) => self.hear(&revocations).await,
                Err(error) => Err(error),
            };
            drop(revocations);
            self.log(outcome.as_ref());
            let is_away = outcome.is_err();
            if let Err(error) = outcome {
                progress.send_modify(|progress| {
                    progress.failures += 1;
                    progress.last_failure = Some(error);
                });
            }
            if is_away {
                // A store that is away is asked once a second.
                tokio::time::sleep(PAUSE).await;
            } else {
                // Whether it was woken or the time is over, there may be something new.
                let _ = tokio::time::timeout(PAUSE, wake.notified()).await;
            }
        }
    }

    /// Writes what was revoked here.
    async fn tell(
        &self,
        revocations: &Revocations,
        progress: &watch::Sender<Progress>,
    ) -> Result<(), StoreError> {
        loop {
            let untold = revocations.untold(PAGE);
            let mut rest = &untold.entries[..];
            while !rest.is_empty() {
                let (told, left) = rest.split_at(self.journal.append(rest).await?);
                revocations.have_told(told);
                rest = left;
            }
            if untold.are_all {
                progress.send_if_modified(|progress| {
                    let is_news = progress.told < untold.calls;
                    progress.told = progress.told.max(untold.calls);
                    is_news
                });
                return Ok(());
            }
        }
    }

    /// Reads what others revoked.
    async fn hear(&mut self, revocations: &Revocations) -> Result<(), StoreError> {
        let position = &mut self.position;
        let hear = |entries: &[_]| revocations.hear(entries);
        self.journal.read(position, hear).await
    }

    /// Says once that the store is away, and once that it is back.
    fn log(&mut self, outcome: Result<&(), &StoreError>) {
        match outcome {
            Ok(()) if self.is_away => {
                tracing::info!("revocations are shared again");
            }
            Err(error) if !self.is_away => tracing::warn!(
                error = %Chain(error),
                "revocations are not shared, because the store failed: what is revoked elsewhere is accepted here until \
                 it works again"
            ),
            _ => {}
        }
        self.is_away = outcome.is_err();
    }
}
