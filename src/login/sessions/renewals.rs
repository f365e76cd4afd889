//! Refreshes: one refresh token, spent once, by a task that no request owns.
//!
//! Requests of this process that want the same session refreshed share one task. Processes that share a
//! store are kept apart by the lease. `rotation.rs` says what a task with a lease does.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;
use tracing::field::Empty;

use crate::clock::UnixTime;
use crate::error::{LoginError, LoginErrorKind as Kind, ProviderError};
use crate::flight::{Flight, FlightGuard};
use crate::login::sessions::id::SessionKey;
use crate::login::sessions::ledger::{Ledger, Seen, no_randomness};
use crate::login::sessions::opener::Opener;
use crate::login::sessions::record::{
    EndReason, FIRST_PROBE_PAUSE, LeaseOutcome, LeaseRequest, RefreshState, Settlement,
};
use crate::login::sessions::revoker::Revoker;
use crate::login::sessions::target_set::KnownTarget;
use crate::login::store::{StoreKey, Tag};
use crate::observe;
use crate::provider::client::token_endpoint::TOKEN_CALL;
use crate::provider::{Client, Provider};
use crate::verify::id_token::IdTokenVerifier;

/// Refreshes the sessions of one layer.
pub(crate) struct Renewals {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) opener: Arc<Opener>,
    pub(crate) revoker: Arc<Revoker>,
    pub(crate) provider: Provider,
    pub(crate) client: Client,
    pub(crate) id_tokens: IdTokenVerifier,
    pub(crate) request: RefreshRequest,
    /// For which tokens can be asked beside the session's own.
    pub(crate) targets: Box<[KnownTarget]>,
    pub(crate) lifetimes: Lifetimes,
    /// For this long after it was first spent, the provider takes an old refresh token again.
    pub(crate) grace: Duration,
    pub(crate) grants: Semaphore,
    pub(crate) flights: Flights,
    pub(crate) tasks: TaskTracker,
    pub(crate) is_draining: AtomicBool,
}

/// What is asked of the provider when tokens are refreshed.
#[derive(Debug, Clone)]
pub(crate) struct RefreshRequest {
    pub(crate) sends_scope: bool,
    pub(crate) audience: Option<String>,
    pub(crate) resources: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Lifetimes {
    pub(crate) idle: Duration,
    pub(crate) absolute: Duration,
    /// Whether use puts off the idle end, as a refresh does.
    pub(crate) follow_use: bool,
}

impl Lifetimes {
    /// When a session ends that nothing renews.
    pub(crate) fn idle_end(
        &self,
        now: UnixTime,
        access_expires_at: UnixTime,
        refresh_expires_in: Option<Duration>,
    ) -> UnixTime {
        let idle = refresh_expires_in.unwrap_or(self.idle);
        now.saturating_add(idle).max(access_expires_at)
    }
}

/// What an attempt to refresh comes to.
#[derive(Clone)]
pub(crate) enum Outcome {
    /// The tokens are newer now, by this task or another.
    Renewed(Box<Seen>),
    /// They stay as they are for now.
    Kept(LoginError),
    /// They stay as they are until a setting changes.
    Misconfigured(ProviderError),
    /// They stay as they are, and the provider wants to see the user before it gives others.
    WantsUser,
    /// The session is over.
    Over(Option<EndReason>),
}

impl Outcome {
    /// In a word of the span.
    fn as_str(&self) -> &'static str {
        match self {
            Self::Renewed(_) => "renewed",
            Self::Kept(_) => "kept",
            Self::Misconfigured(_) => "misconfigured",
            Self::WantsUser => "interaction_required",
            Self::Over(_) => "over",
        }
    }
}

/// What a refresh is to bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The session's own tokens.
    Own,
    /// A token for the target at this place of the list.
    Target(usize),
}

/// A refresh that is under way, and what it is to bring.
type UnderWay = (Purpose, Flight<Outcome>);

type OnLanding = Box<dyn FnOnce(&Outcome) + Send>;
type NewFlight = FlightGuard<Outcome, OnLanding>;

/// The refreshes under way in this process, one a session at most.
#[derive(Default)]
pub(crate) struct Flights(Mutex<HashMap<StoreKey, UnderWay>>);

impl Flights {
    fn lock(&self) -> MutexGuard<'_, HashMap<StoreKey, UnderWay>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long one task may hold the right to spend a refresh token.
pub(crate) const LEASE: Duration = Duration::from_secs(20);

/// How long a store takes to answer, at the most.
pub(crate) const STORE_CALL: Duration = Duration::from_secs(2);

/// How long a grant may take.
pub(crate) const GRANT: Duration = Duration::from_secs(12);

/// How long tokens that a store does not take are held on to.
pub(crate) const COMMIT_PATIENCE: Duration = Duration::from_secs(60);

/// Times of the store are whole seconds.
const ROUNDING: Duration = Duration::from_secs(1);

// The lease is counted from the load that it was decided by: that load, the swap and the grant fit into it.
const _: () = assert!(
    TOKEN_CALL.as_secs() < GRANT.as_secs()
        && 2 * STORE_CALL.as_secs() + GRANT.as_secs() + ROUNDING.as_secs() < LEASE.as_secs()
);

/// How long a request waits for a refresh.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// After this part of its lease a living leader has answered: waiting for it any longer is in vain.
const ANSWERED: Duration = Duration::from_secs(14);

/// How often the store is asked while another process refreshes: often at first, then less.
const FIRST_POLL: Duration = Duration::from_millis(50);
const LONGEST_POLL: Duration = Duration::from_secs(1);

impl Renewals {
    /// Refreshes the tokens that were seen, and waits for it. There is one refresh of a session at a time: where
    /// another one is under way that brings something else, it is waited for, and the record looked at once more.
    pub(crate) async fn renew(
        self: &Arc<Self>,
        key: StoreKey,
        mut seen: Seen,
        purpose: Purpose,
    ) -> Outcome {
        // Each of the others can be under way, one after the other.
        for _ in 0..self.targets.len() + 2 {
            let generation = seen.record.generation;
            let Some((brings, flight)) = self.start(key, seen, purpose) else {
                return unavailable();
            };
            let outcome = flight.landed().await;
            if brings == purpose {
                return outcome;
            }
            seen = match self.ledger.see(key).await {
                Ok(Some(seen)) => seen,
                Ok(None) => return Outcome::Over(None),
                Err(error) => return Outcome::Kept(LoginError::store(error)),
            };
            if let RefreshState::Dead(reason) = seen.record.state {
                return Outcome::Over(Some(reason));
            }
            if seen.record.generation > generation {
                return Outcome::Renewed(Box::new(seen));
            }
        }
        unavailable()
    }

    /// Joins the refresh of this session, whatever it brings, or starts one. `None` where there is no runtime to run
    /// it.
    pub(crate) fn start(
        self: &Arc<Self>,
        key: StoreKey,
        seen: Seen,
        purpose: Purpose,
    ) -> Option<UnderWay> {
        let runtime = Handle::try_current().ok()?;
        let (flight, guard) = match self.join_or_register(key, purpose) {
            (joined, None) => {
                observe::refreshed("joined");
                return Some(joined);
            }
            (flight, Some(guard)) => (flight, guard),
        };
        let span = tracing::info_span!(
            "refresh",
            session_key = %SessionKey::new(key),
            generation = seen.record.generation,
            result = Empty
        );
        let (renewals, led_in) = (Arc::clone(self), span.clone());
        let leading = async move {
            let outcome = renewals.lead(key, seen, purpose).await;
            led_in.record("result", outcome.as_str());
            outcome
        };
        guard.launch(&runtime, self.tasks.track_future(leading.instrument(span)));
        Some(flight)
    }

    /// The flight of this session; with the guard that launches it if it is new.
    fn join_or_register(
        self: &Arc<Self>,
        key: StoreKey,
        purpose: Purpose,
    ) -> (UnderWay, Option<NewFlight>) {
        let mut flights = self.flights.lock();
        match flights.entry(key) {
            Entry::Occupied(flight) => (flight.get().clone(), None),
            Entry::Vacant(entry) => {
                let renewals = Arc::clone(self);
                let on_landing: OnLanding = Box::new(move |_| {
                    let landed = renewals.flights.lock().remove(&key);
                    drop(landed);
                });
                let (flight, guard) = FlightGuard::new(unavailable(), on_landing);
                (entry.insert((purpose, flight)).clone(), Some(guard))
            }
        }
    }

    /// The target that a refresh is for.
    pub(crate) fn target(&self, purpose: Purpose) -> Option<&KnownTarget> {
        match purpose {
            Purpose::Own => None,
            Purpose::Target(place) => self.targets.get(place),
        }
    }

    /// Whether a refresh of this session is under way in this process.
    #[cfg(feature = "outbound")]
    pub(crate) fn is_under_way(&self, key: StoreKey) -> bool {
        self.flights.lock().contains_key(&key)
    }

    /// Starts no new grant from now on.
    pub(crate) fn stop(&self) {
        self.is_draining.store(true, Ordering::SeqCst);
    }

    async fn lead(self: &Arc<Self>, key: StoreKey, mut seen: Seen, purpose: Purpose) -> Outcome {
        let generation = seen.record.generation;
        // A provider is not flooded, however many sessions are due at once.
        let Ok(_permit) = self.grants.acquire().await else {
            return unavailable();
        };
        // Looked up first, so that the lease is not spent on it.
        if let Err(refusal) = self.provider.metadata().await {
            let error = LoginError::provider(Kind::ProviderUnavailable, refusal.error);
            return Outcome::Kept(error.with_retry_after(refusal.retry_after));
        }
        let (mut waited, mut poll) = (Duration::ZERO, FIRST_POLL);
        loop {
            if self.is_draining.load(Ordering::SeqCst) {
                return unavailable();
            }
            // Subscribe before asking, so that no change between the answer and the wait is missed.
            let changed = self.ledger.changed(key);
            let request = match self.lease_request() {
                Ok(request) => request,
                Err(error) => return Outcome::Kept(error),
            };
            let asked = self.ledger.apply(key, seen, move |record, now| {
                record.try_lease(now, generation, &request)
            });
            let outcome = match asked.await {
                Ok(Some((outcome, now_seen))) => {
                    seen = now_seen;
                    outcome
                }
                Ok(None) => return Outcome::Over(None),
                Err(error) => {
                    // The lease may have been given all the same; its token is certainly unspent.
                    self.release_behind(key, request.fence);
                    return Outcome::Kept(LoginError::store(error));
                }
            };
            match outcome {
                LeaseOutcome::Leased => {
                    // In doubt the session's own tokens come first: they show whether it lives.
                    let purpose = if seen.record.is_probed() {
                        Purpose::Own
                    } else {
                        purpose
                    };
                    return self.spend(key, request.fence, seen, purpose).await;
                }
                LeaseOutcome::Newer => {
                    observe::refreshed("handed_over");
                    return Outcome::Renewed(Box::new(seen));
                }
                LeaseOutcome::Dead(reason) => return Outcome::Over(Some(reason)),
                LeaseOutcome::Later(_) if seen.record.wants_user => return Outcome::WantsUser,
                LeaseOutcome::Later(at) => return self.kept_until(&seen, at),
                LeaseOutcome::Busy(until) => {
                    let answered_by = until.saturating_sub(LEASE).saturating_add(ANSWERED);
                    if waited >= LONGEST_WAIT || self.ledger.now(&seen) >= answered_by {
                        return self.kept_until(&seen, until.saturating_add(FIRST_PROBE_PAUSE));
                    }
                    // Jitter, so that replicas that started waiting together do not poll together. Taken
                    // from the clock's nanoseconds, which differ between machines.
                    let spread = self.ledger.mark().subsec_nanos() % 512;
                    let pause = poll.mul_f64(0.75 + f64::from(spread) / 1_024.0);
                    let _ = tokio::time::timeout(pause, changed).await;
                    waited += pause;
                    poll = (poll * 3 / 2).min(LONGEST_POLL);
                    seen = match self.ledger.see(key).await {
                        Ok(Some(seen)) => seen,
                        Ok(None) => return Outcome::Over(None),
                        Err(error) => return Outcome::Kept(LoginError::store(error)),
                    };
                }
            }
        }
    }

    pub(crate) fn lease_request(&self) -> Result<LeaseRequest, LoginError> {
        let fence = Tag::random().map_err(|error| LoginError::store(no_randomness(error)))?;
        Ok(LeaseRequest {
            fence,
            length: LEASE,
            grace: self.grace,
        })
    }

    /// Whether there is still time for a grant under the lease that was decided by what was seen.
    pub(crate) fn has_time_for_a_grant(&self, leased: &Seen) -> bool {
        self.ledger.mark().saturating_sub(leased.asked_at) <= 2 * STORE_CALL
    }

    /// Gives a lease back that may have been given and was not used.
    fn release_behind(self: &Arc<Self>, key: StoreKey, fence: Tag) {
        let renewals = Arc::clone(self);
        self.tasks.spawn(async move {
            // Where the store is away for longer, the lease ends by itself.
            for _ in 0..20 {
                if let Ok(seen) = renewals.ledger.see(key).await {
                    let Some(seen) = seen else { return };
                    let is_ours = matches!(
                        seen.record.state,
                        RefreshState::Leased { fence: held, .. } if held == fence
                    );
                    if is_ours {
                        let unspent = Settlement::Unspent(renewals.ledger.now(&seen));
                        renewals.settle(key, &seen, fence, unspent).await;
                    }
                    return;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
    }

    fn kept_until(&self, seen: &Seen, at: UnixTime) -> Outcome {
        let seconds = at
            .as_seconds()
            .saturating_sub(self.ledger.now(seen).as_seconds());
        let pause = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        Outcome::Kept(LoginError::from(Kind::ProviderUnavailable).with_retry_after(pause))
    }
}

/// The lease of a leader of this process ends by then at the latest, and a pause follows.
fn unavailable() -> Outcome {
    Outcome::Kept(waited_in_vain())
}

/// The request waited for a refresh that is still under way.
pub(crate) fn waited_in_vain() -> LoginError {
    let after = (LEASE + FIRST_PROBE_PAUSE).saturating_sub(LONGEST_WAIT);
    LoginError::from(Kind::ProviderUnavailable).with_retry_after(after)
}
