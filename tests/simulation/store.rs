//! The store: the crate's own functions behind wires, one message at a time, by its own clock.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tower_oidc::UnixTime;
use tower_oidc::error::{StoreError, StoreErrorKind};
use tower_oidc::login::{
    Fence, FenceOutcome, LeaseOutcome, Owner, Record, RefreshState, Renewal, SessionStore,
    Settlement, StoreFuture, StoreKey, Stored,
};

use crate::world::{Shared, World};

#[derive(Default)]
pub(crate) struct StoreState {
    pub(crate) records: BTreeMap<StoreKey, Record>,
    /// When each lease ends, as far as it is held.
    pub(crate) leased_until: BTreeMap<StoreKey, Duration>,
    /// The sessions, in the order of their sign-ins.
    created: Vec<StoreKey>,
    /// The probes that were allowed: which session's, of which generation.
    probes: BTreeSet<(StoreKey, u64)>,
}

impl StoreState {
    /// Whether the access token of a session will live for some seconds.
    pub(crate) fn is_live(&self, key: StoreKey, now: UnixTime) -> bool {
        let record = self.records.get(&key);
        record.is_some_and(|record| {
            now.saturating_add(Duration::from_secs(2)) < record.access_expires_at
        })
    }

    /// Whether the session of this sign-in, the first of which is 0, can still be renewed.
    pub(crate) fn lives(&self, sign_in: usize) -> bool {
        let key = self.created.get(sign_in);
        let record = key.and_then(|key| self.records.get(key));
        record.is_some_and(|record| !matches!(record.state, RefreshState::Dead(_)))
    }

    /// Whether the token of this generation may have been sent as a probe, the first sign-in being 0.
    pub(crate) fn allowed_a_probe(&self, sign_in: usize, generation: u64) -> bool {
        let key = self.created.get(sign_in);
        key.is_some_and(|key| self.probes.contains(&(*key, generation)))
    }
}

/// The store as one process sees it.
pub(crate) struct WiredStore {
    pub(crate) world: Shared,
    pub(crate) name: &'static str,
}

/// What the crate's own store for many processes keeps to.
const PATIENCE: Duration = Duration::from_secs(2);

/// Longer than a lease: some commits come late.
const LONGEST_DELAY: u64 = 20_000;

impl WiredStore {
    async fn ask<T: Send + 'static>(
        &self,
        handle: impl FnOnce(&mut World) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let way = {
            let mut world = self.world.lock();
            let trouble = world.trouble;
            world.way(
                self.name,
                trouble.store_losses,
                trouble.store_delays,
                LONGEST_DELAY,
            )
        };
        let asked = async {
            match self.world.send(way, handle).await {
                Some(answer) => answer,
                // Lost: nobody says so.
                None => std::future::pending().await,
            }
        };
        tokio::time::timeout(PATIENCE, asked)
            .await
            .map_err(|_| StoreError::new(StoreErrorKind::Unavailable, "no answer"))
    }

    /// Changes a live session in one step.
    async fn change<T: Send + 'static>(
        &self,
        key: StoreKey,
        change: impl FnOnce(&mut World, &mut Record, &'static str) -> T + Send + 'static,
    ) -> Result<Option<Stored<T>>, StoreError> {
        let name = self.name;
        self.ask(move |world| {
            let now = world.now();
            let mut record = world.store.records.remove(&key)?;
            if record.is_expired(now) {
                return None;
            }
            let before = (record.generation, record.fence);
            let outcome = change(world, &mut record, name);
            if record.generation < before.0
                || record.generation > before.0 + 1
                || record.fence < before.1
            {
                world.violated("a generation or a fence went back or skipped one");
            }
            world.store.records.insert(key, record.clone());
            Some(Stored {
                outcome,
                record,
                now,
            })
        })
        .await
    }
}

impl SessionStore for WiredStore {
    fn create(&self, key: StoreKey, _: Owner, record: Record) -> StoreFuture<'_, ()> {
        Box::pin(self.ask(move |world| {
            world.store.records.insert(key, record);
            world.store.created.push(key);
        }))
    }

    fn load(&self, key: StoreKey) -> StoreFuture<'_, Option<Stored<()>>> {
        Box::pin(self.ask(move |world| {
            let now = world.now();
            let record = world.store.records.get(&key)?.clone();
            (!record.is_expired(now)).then_some(Stored {
                outcome: (),
                record,
                now,
            })
        }))
    }

    fn try_lease(
        &self,
        key: StoreKey,
        generation: u64,
        lease: Duration,
    ) -> StoreFuture<'_, Option<Stored<LeaseOutcome>>> {
        Box::pin(self.change(key, move |world, record, name| {
            let outcome = record.try_lease(world.now(), generation, lease);
            world.note(format!("store: {name} asks for {generation}: {outcome:?}"));
            if let LeaseOutcome::Leased(_) = outcome {
                let until = world.elapsed() + lease;
                let held = world.store.leased_until.insert(key, until);
                if let RefreshState::Leased { is_probe: true, .. } = record.state {
                    world.store.probes.insert((key, record.generation));
                }
                // The store's clock has whole seconds.
                let slack = Duration::from_secs(1);
                if held.is_some_and(|held| world.elapsed() + slack < held) {
                    world.violated("two leases at once");
                }
            }
            outcome
        }))
    }

    fn commit(
        &self,
        key: StoreKey,
        fence: Fence,
        generation: u64,
        renewal: Renewal,
    ) -> StoreFuture<'_, Option<Stored<FenceOutcome>>> {
        Box::pin(self.change(key, move |world, record, name| {
            let outcome = record.commit(world.now(), fence, generation, renewal);
            world.note(format!("store: {name} commits {generation}: {outcome:?}"));
            if outcome == FenceOutcome::Done {
                world.store.leased_until.remove(&key);
            }
            outcome
        }))
    }

    fn settle(
        &self,
        key: StoreKey,
        fence: Fence,
        settlement: Settlement,
    ) -> StoreFuture<'_, Option<Stored<FenceOutcome>>> {
        Box::pin(self.change(key, move |world, record, name| {
            let outcome = record.settle(world.now(), fence, settlement);
            world.note(format!("store: {name} settles {settlement:?}: {outcome:?}"));
            if outcome == FenceOutcome::Done {
                world.store.leased_until.remove(&key);
            }
            outcome
        }))
    }

    fn delete(&self, key: StoreKey) -> StoreFuture<'_, Option<Record>> {
        let name = self.name;
        Box::pin(self.ask(move |world| {
            world.note(format!("store: {name} deletes"));
            world.store.records.remove(&key)
        }))
    }

    fn delete_by_subject(&self, _: StoreKey) -> StoreFuture<'_, Vec<(StoreKey, Record)>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn delete_by_session(&self, _: StoreKey) -> StoreFuture<'_, Vec<(StoreKey, Record)>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn put_if_absent(&self, _: StoreKey, _: Duration) -> StoreFuture<'_, bool> {
        Box::pin(async { Ok(true) })
    }
}
