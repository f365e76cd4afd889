//! What has to be told to other processes, and what they told.
//!
//! How it is told is not known here: `login::shared_revocations` does it through a store.

use std::sync::{Arc, Weak};

use tokio::sync::{Notify, OnceCell, watch};
use tokio::task::JoinHandle;

use crate::clock::UnixTime;
use crate::error::{StoreError, StoreErrorKind};
use crate::observe;
use crate::revocations::memory::{Added, Entry, Name};
use crate::revocations::{Revocations, RevocationsFull, Shared};

/// A revocation as processes tell each other of it: the hash of what it names, and times by the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SharedEntry {
    pub(crate) name: [u8; 32],
    /// It counts until then.
    pub(crate) kept: UnixTime,
    /// What was issued, or began, at this time or before is refused.
    pub(crate) not_before: UnixTime,
}

/// Revocations that are not kept alive.
pub(crate) struct WeakRevocations(Weak<Shared>);

/// A task that tells other processes, for as long as the revocations live.
pub(crate) struct Sharing {
    pub(crate) wake: Arc<Notify>,
    pub(crate) progress: watch::Receiver<Progress>,
    pub(crate) task: JoinHandle<()>,
}

/// The task, once there is one.
#[derive(Default)]
pub(super) struct Slot(OnceCell<Sharing>);

impl Slot {
    /// There is something to tell.
    pub(super) fn wake(&self) {
        if let Some(sharing) = self.0.get() {
            sharing.wake.notify_one();
        }
    }
}

/// How far other processes have been told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    /// So many calls that revoked something are in the store.
    pub(crate) told: u64,
    /// So often the store did not take it.
    pub(crate) failures: u64,
    pub(crate) last_failure: Option<StoreError>,
}

/// Revocations that other processes have not been told of.
pub(crate) struct Untold {
    pub(crate) entries: Vec<SharedEntry>,
    /// Once all of these are told, so are so many calls.
    pub(crate) calls: u64,
    /// Whether these are all of them.
    pub(crate) are_all: bool,
}

impl Drop for Sharing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl WeakRevocations {
    /// The revocations, if they are still in use.
    pub(crate) fn upgrade(&self) -> Option<Revocations> {
        self.0.upgrade().map(Revocations)
    }
}

impl Revocations {
    pub(crate) fn downgrade(&self) -> WeakRevocations {
        WeakRevocations(Arc::downgrade(&self.0))
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.0.sharing.0.get().is_some()
    }

    /// Keeps the task that tells other processes, unless there is one.
    pub(crate) fn keep_sharing(&self, sharing: Sharing) -> bool {
        self.0.sharing.0.set(sharing).is_ok()
    }

    /// From now on every revocation, those before included, is to be told.
    pub(crate) fn begin_telling(&self) {
        self.write().begin_telling();
    }

    /// At most so many of the revocations that have not been told.
    pub(crate) fn untold(&self, most: usize) -> Untold {
        let memory = self.read();
        let mut untold = memory.untold.iter().flatten();
        let entries = untold.by_ref().take(most);
        Untold {
            entries: entries.map(|(name, entry)| shared(*name, *entry)).collect(),
            calls: memory.calls,
            are_all: untold.next().is_none(),
        }
    }

    /// These were told.
    pub(crate) fn have_told(&self, told: &[SharedEntry]) {
        let mut memory = self.write();
        let Some(untold) = &mut memory.untold else {
            return;
        };
        for entry in told {
            let name = Name::from_bytes(entry.name);
            // What was revoked again meanwhile is to be told again.
            let there = untold.get(&name).map(|there| shared(name, *there));
            if there == Some(*entry) {
                untold.remove(&name);
            }
        }
    }

    /// Takes in what another process revoked.
    pub(crate) fn hear(&self, heard: &[SharedEntry]) -> Result<(), RevocationsFull> {
        let now = self.now();
        let entries = heard.iter().map(|heard| {
            let entry = Entry {
                kept: now.reaching(heard.kept),
                not_before: heard.not_before,
            };
            (Name::from_bytes(heard.name), entry)
        });
        let entries: Vec<_> = entries.collect();
        let added = self.write().add(&entries, now);
        match added {
            Added::NoRoom => {
                self.tell_that_it_is_full("heard");
                return Err(RevocationsFull);
            }
            Added::Nothing => {}
            Added::Something => {
                self.count_up();
                observe::revoked("heard");
            }
        }
        Ok(())
    }

    /// Completes when other processes can know of everything that was revoked here before the call: it is in the store
    /// that [`share_through`](Self::share_through) names. At once where there is none.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not take it. It is refused here all the same, and sent again until the store
    /// takes it, or this process ends.
    pub async fn shared(&self) -> Result<(), StoreError> {
        let (mut progress, before, calls) = {
            let Some(sharing) = self.0.sharing.0.get() else {
                return Ok(());
            };
            let calls = self.read().calls;
            let progress = sharing.progress.clone();
            let before = progress.borrow().failures;
            sharing.wake.notify_one();
            (progress, before, calls)
        };
        let is_over = |progress: &Progress| calls <= progress.told || before < progress.failures;
        let reached = progress.wait_for(is_over).await;
        let reached = reached.map_err(|_| {
            let kind = StoreErrorKind::Unavailable;
            StoreError::new(kind, "the runtime that shared revocations has ended")
        })?;
        match &reached.last_failure {
            Some(failure) if reached.told < calls => Err(failure.clone()),
            _ => Ok(()),
        }
    }
}

fn shared(name: Name, entry: Entry) -> SharedEntry {
    SharedEntry {
        name: *name.as_bytes(),
        kept: entry.kept.wall,
        not_before: entry.not_before,
    }
}
