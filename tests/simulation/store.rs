//! The store: records behind wires, one message at a time, by its own clock. It does not know what a record
//! holds; the invariants do.

use std::collections::BTreeMap;
use std::time::Duration;

use tower_oidc::UnixTime;
use tower_oidc::error::{StoreError, StoreErrorKind};
use tower_oidc::login::{
    EndReason, Loaded, OwnedBy, Owner, Record, RefreshState, SessionStore, StoreFuture, StoreKey,
    StoredRecord, Swapped, Tag,
};

use crate::world::{Shared, World};

#[derive(Default)]
pub(crate) struct StoreState {
    records: BTreeMap<StoreKey, StoredRecord>,
    /// The process that was given each lease, by the lease's fence.
    holders: BTreeMap<StoreKey, (Tag, &'static str)>,
    /// The sessions, in the order of their sign-ins.
    created: Vec<StoreKey>,
    /// How often each generation's token may have been sent again.
    probes: BTreeMap<(StoreKey, u64), u64>,
    /// When each session was last given an access token of its own by a refresh.
    refreshed_at: BTreeMap<StoreKey, Duration>,
}

impl StoreState {
    pub(crate) fn record(&self, key: StoreKey) -> Option<Record> {
        let stored = self.records.get(&key)?;
        Some(Record::decode(&stored.bytes).expect("a record of this version"))
    }

    /// Whether the access token of a session will live for some seconds.
    pub(crate) fn is_live(&self, key: StoreKey, now: UnixTime) -> bool {
        let record = self.record(key);
        record.is_some_and(|record| {
            now.saturating_add(Duration::from_secs(2)) < record.access_expires_at
        })
    }

    /// Whether the session has its access token for so long that whoever waited for it has seen it. A process that
    /// waits for another looks once a second, with jitter.
    pub(crate) fn is_known(&self, key: StoreKey, elapsed: Duration) -> bool {
        const LONGEST_POLL: Duration = Duration::from_secs(2);
        let refreshed_at = self.refreshed_at.get(&key);
        refreshed_at.is_none_or(|at| *at + LONGEST_POLL < elapsed)
    }

    /// How many sessions were created.
    pub(crate) fn created(&self) -> usize {
        self.created.len()
    }

    /// Whether the session of this sign-in, the first of which is 0, can still be refreshed.
    pub(crate) fn lives(&self, sign_in: usize) -> bool {
        let key = self.created.get(sign_in);
        let record = key.and_then(|key| self.record(*key));
        record.is_some_and(|record| !matches!(record.state, RefreshState::Dead(_)))
    }

    /// How often the token of this generation may have been sent as a probe, the first sign-in being 0.
    pub(crate) fn probes(&self, sign_in: usize, generation: u64) -> u64 {
        let key = self.created.get(sign_in);
        let probes = key.and_then(|key| self.probes.get(&(*key, generation)));
        probes.copied().unwrap_or_default()
    }

    /// A process has ended: what it was given before is not its own any more.
    pub(crate) fn ended(&mut self, name: &str) {
        self.holders.retain(|_, (_, holder)| *holder != name);
    }

    /// Whether a lease stands that this process was given, and has not ended by itself.
    pub(crate) fn leaves_a_lease(&self, name: &str, now: UnixTime) -> bool {
        self.holders.iter().any(|(key, (fence, holder))| {
            let state = self.record(*key).map(|record| record.state);
            let stands = matches!(
                state,
                Some(RefreshState::Leased { fence: held, until, .. }) if held == *fence && now < until
            );
            *holder == name && stands
        })
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
const LONGEST_DELAY: u64 = 25_000;

impl WiredStore {
    async fn ask<T: Send + 'static>(
        &self,
        handle: impl FnOnce(&mut World) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let way = {
            let mut world = self.world.lock();
            let trouble = world.trouble;
            let mut way = world.way(
                self.name,
                trouble.store_losses,
                trouble.store_delays,
                LONGEST_DELAY,
            );
            if world.store_is_away() {
                world.is_troubled(self.name);
                way.is_asked_in_vain = true;
            }
            if way.is_bad() {
                let now = world.elapsed();
                world.last_store_trouble.insert(self.name, now);
            }
            way
        };
        let asked = async {
            match self.world.send(way, handle).await {
                Some(answer) => answer,
                // Lost without a word.
                None => std::future::pending().await,
            }
        };
        tokio::time::timeout(PATIENCE, asked)
            .await
            .map_err(|_| StoreError::new(StoreErrorKind::Unavailable, "no answer"))
    }
}

/// What must hold of every change, whatever made it.
fn check(world: &mut World, name: &'static str, key: StoreKey, old: &Record, new: &Record) {
    if new.generation < old.generation || new.generation > old.generation + 1 {
        world.violated("a generation went back or skipped one");
    }
    let sign_in = world.store.created.iter().position(|known| *known == key);
    // What was refused is written down beside the tokens, when the lease ends.
    let is_held = matches!(
        old.state,
        RefreshState::Leased { .. } | RefreshState::Suspect { .. }
    );
    let tells_of_a_refusal = new.generation == old.generation
        && is_held
        && sign_in.is_some_and(|at| world.provider.has_refused_one(at));
    let is_newer = new.generation > old.generation;
    if is_newer != (new.sealed != old.sealed) && !tells_of_a_refusal {
        world.violated("the tokens changed without their generation, or the other way round");
    }
    if let RefreshState::Dead(_) = old.state {
        world.violated("a session came back from the dead");
    }
    if new.access_expires_at != old.access_expires_at {
        let now = world.elapsed();
        world.store.refreshed_at.insert(key, now);
    }
    match new.state {
        RefreshState::Leased { fence, probes, .. } => {
            world.note(format!("store: {name} has the lease of {}", new.generation));
            let holder = world.store.holders.insert(key, (fence, name));
            if probes > 0 {
                *world.store.probes.entry((key, new.generation)).or_default() += 1;
            }
            if let RefreshState::Leased {
                fence: held, until, ..
            } = old.state
                && held != fence
            {
                // The store's clock has whole seconds. A holder may lease its own token again.
                let is_over = world.store_now() >= until;
                let is_its_own = holder == Some((held, name));
                if !is_over && !is_its_own {
                    world.violated("two leases at once");
                }
            }
        }
        RefreshState::Dead(reason) => {
            world.note(format!("store: {name} ends the session: {reason:?}"));
            let is_evident = sign_in.is_some_and(|at| world.provider.has_rejected(at));
            if !is_evident || reason == EndReason::IdentityChanged {
                world.violated("a session ends, and the provider has rejected nothing");
            }
        }
        // Without the tags, which differ each time a seed is run.
        RefreshState::Suspect { probes, .. } => {
            let what = format!(
                "store: {name} doubts {} after {probes} probes",
                new.generation
            );
            world.note(what);
        }
        _ => world.note(format!("store: {name} writes {}", new.generation)),
    }
}

impl SessionStore for WiredStore {
    fn create(
        &self,
        key: StoreKey,
        owner: Option<Owner>,
        record: StoredRecord,
    ) -> StoreFuture<'_, UnixTime> {
        Box::pin(self.ask(move |world| {
            world.store.records.insert(key, record);
            if owner.is_some() {
                world.store.created.push(key);
            }
            world.store_now()
        }))
    }

    fn load(&self, key: StoreKey) -> StoreFuture<'_, Option<Loaded>> {
        Box::pin(self.ask(move |world| {
            let now = world.store_now();
            let record = world.store.records.get(&key)?.clone();
            (now < record.expires_at).then_some(Loaded { record, now })
        }))
    }

    fn swap(&self, key: StoreKey, expected: Tag, next: StoredRecord) -> StoreFuture<'_, Swapped> {
        let name = self.name;
        Box::pin(self.ask(move |world| {
            let now = world.store_now();
            let there = world.store.records.get(&key).cloned();
            let Some(there) = there.filter(|there| now < there.expires_at) else {
                return Swapped::Gone;
            };
            if there.tag != expected {
                return Swapped::Conflict(Loaded { record: there, now });
            }
            let is_session = world.store.created.contains(&key);
            if is_session && let Some(old) = Record::decode(&there.bytes) {
                let new = Record::decode(&next.bytes).expect("a record");
                check(world, name, key, &old, &new);
            }
            world.store.records.insert(key, next);
            Swapped::Done
        }))
    }

    fn delete(&self, key: StoreKey) -> StoreFuture<'_, Option<StoredRecord>> {
        let name = self.name;
        Box::pin(self.ask(move |world| {
            if world.store.created.contains(&key) {
                world.note(format!("store: {name} deletes"));
            }
            world.store.records.remove(&key)
        }))
    }

    fn find(&self, _: OwnedBy) -> StoreFuture<'_, Vec<StoreKey>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}
