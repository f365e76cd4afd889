//! Rotation: one refresh token, spent once, by a task that no request owns.
//!
//! Requests of this process that want the same session renewed share one flight; processes that
//! share a store are kept apart by the lease. The new tokens are stored the moment the provider's
//! answer parses; everything else comes after.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::SetOnce;
use tracing::Instrument as _;

use crate::clock::UnixTime;
use crate::error::{Chain, LoginError, LoginErrorKind as Kind, ProviderError, ProviderErrorKind};
use crate::login::relying_party::RelyingParty;
use crate::login::sessions::due::back_off;
use crate::login::sessions::id::StoreKey;
use crate::login::sessions::record::{
    EndReason, Fence, FenceOutcome, LeaseOutcome, Record, RefreshState, Renewal, Settlement,
};
use crate::login::sessions::tokens::TokenSet;
use crate::login::store::Stored;
use crate::observe;
use crate::provider::token_endpoint::{GrantFailure, TOKEN_CALL, TokenAnswer};
use crate::secret::Secret;
use crate::token::lifetime::token_lifetime;

/// What an attempt to renew comes to.
#[derive(Clone)]
pub(crate) enum Outcome {
    /// The tokens are newer now, by this task or another.
    Renewed(Box<Stored<()>>),
    /// They stay as they are for now.
    Kept(LoginError),
    /// They stay as they are until a setting changes.
    Misconfigured(ProviderError),
    /// The session is over.
    Over(Option<EndReason>),
}

/// One renewal under way, and what it brings.
pub(crate) type Flight = Arc<SetOnce<Outcome>>;

/// The renewals under way in this process, one a session at most.
#[derive(Default)]
pub(crate) struct Flights(Mutex<HashMap<StoreKey, Flight>>);

impl Flights {
    fn lock(&self) -> MutexGuard<'_, HashMap<StoreKey, Flight>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long one task may hold the right to spend a refresh token.
pub(crate) const LEASE: Duration = Duration::from_secs(15);

/// What a leader may take from its lease to the provider's answer.
const GRANT: Duration = Duration::from_secs(12);
const _: () = assert!(TOKEN_CALL.as_secs() < GRANT.as_secs() && GRANT.as_secs() < LEASE.as_secs());

/// How long a request waits for somebody else's renewal.
const JOINER_WAIT: Duration = Duration::from_secs(10);

/// How often the store is asked while another process renews: often at first, then less.
const FIRST_POLL: Duration = Duration::from_millis(50);
const LONGEST_POLL: Duration = Duration::from_secs(1);

/// How long tokens that a store does not take are held on to.
const COMMIT_PATIENCE: Duration = Duration::from_secs(60);

/// Until the next attempt when a setting must change first.
const MISCONFIGURED_PAUSE: Duration = Duration::from_secs(60);

impl RelyingParty {
    /// Renews the tokens of `generation`, and waits for it.
    pub(crate) async fn rotate(self: &Arc<Self>, key: StoreKey, generation: u64) -> Outcome {
        let Some(flight) = self.start_rotation(key, generation) else {
            return unavailable();
        };
        // Whoever waits too long leaves; the task lands all the same.
        let landed = tokio::time::timeout(JOINER_WAIT, flight.wait()).await;
        landed.map_or_else(|_| unavailable(), Clone::clone)
    }

    /// Joins the renewal of this session, or starts one. `None` where there is no runtime to run it.
    pub(crate) fn start_rotation(
        self: &Arc<Self>,
        key: StoreKey,
        generation: u64,
    ) -> Option<Flight> {
        let runtime = Handle::try_current().ok()?;
        let mut flights = self.flights.lock();
        let entry = match flights.entry(key) {
            Entry::Occupied(flight) => {
                observe::refreshed("joined");
                return Some(Arc::clone(flight.get()));
            }
            Entry::Vacant(entry) => entry,
        };
        let flight = Arc::clone(entry.insert(Arc::default()));
        drop(flights);
        let span = tracing::info_span!("refresh", generation);
        let landing = Landing {
            party: Arc::clone(self),
            key,
            flight: Arc::clone(&flight),
            outcome: unavailable(),
        };
        let leading = async move {
            let mut landing = landing;
            landing.outcome = landing.party.lead(key, generation).await;
        };
        runtime.spawn(leading.instrument(span));
        Some(flight)
    }

    /// Whether a renewal of this session is under way in this process.
    #[cfg(feature = "outbound")]
    pub(crate) fn is_rotating(&self, key: StoreKey) -> bool {
        self.flights.lock().contains_key(&key)
    }

    async fn lead(self: &Arc<Self>, key: StoreKey, generation: u64) -> Outcome {
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
            // From before the question, so that nothing slips between it and the wait.
            let changed = self.store.changed(key);
            let stored = match self.store.try_lease(key, generation, LEASE).await {
                Ok(Some(stored)) => stored,
                Ok(None) => return Outcome::Over(None),
                Err(error) => return Outcome::Kept(LoginError::store(error)),
            };
            match stored.outcome {
                LeaseOutcome::Leased(fence) => return self.spend(key, fence, stored).await,
                LeaseOutcome::Newer => {
                    observe::refreshed("handed_over");
                    return Outcome::Renewed(Box::new(stored.without_outcome()));
                }
                LeaseOutcome::Dead(reason) => return Outcome::Over(Some(reason)),
                LeaseOutcome::Later(at) => return Outcome::Kept(until(stored.now, at)),
                LeaseOutcome::Busy(at) if waited >= JOINER_WAIT => {
                    return Outcome::Kept(until(stored.now, at));
                }
                LeaseOutcome::Busy(_) => {
                    // Processes that began to wait together shall not ask together: the clocks of two
                    // machines do not agree on the nanosecond. On one they may, between two ticks.
                    let spread = self.provider.clock().monotonic().subsec_nanos() % 512;
                    let pause = poll.mul_f64(0.75 + f64::from(spread) / 1_024.0);
                    let _ = tokio::time::timeout(pause, changed).await;
                    waited += pause;
                    poll = (poll * 3 / 2).min(LONGEST_POLL);
                }
            }
        }
    }

    /// Spends the refresh token, holding the lease.
    async fn spend(
        self: &Arc<Self>,
        key: StoreKey,
        fence: Fence,
        stored: Stored<LeaseOutcome>,
    ) -> Outcome {
        let Stored { record, now, .. } = stored;
        let leased_at = self.provider.clock().monotonic();
        let tokens = TokenSet::open(&self.sealing(), key, &record).ok();
        let spendable = tokens.and_then(|tokens| Some((tokens.refresh_token.clone()?, tokens)));
        let Some((refresh_token, tokens)) = spendable else {
            self.settle(key, fence, Settlement::Unspent(now)).await;
            return Outcome::Over(None);
        };
        let granted = tokio::time::timeout(GRANT, self.refresh_grant(&tokens, &refresh_token))
            .await
            .unwrap_or_else(|_| Err(GrantFailure::Uncertain(late())));
        match granted {
            Ok(answer) => {
                let passed = self.provider.clock().monotonic().saturating_sub(leased_at);
                let lease = Held {
                    key,
                    fence,
                    record,
                    now: now.saturating_add(passed),
                };
                self.commit(&lease, &tokens, answer).await
            }
            Err(failure) => {
                let pause = back_off(tokens.obtained_at(), record.refresh_not_before);
                let held = Held {
                    key,
                    fence,
                    record,
                    now,
                };
                self.failed(&held, pause, failure).await
            }
        }
    }

    async fn refresh_grant(
        &self,
        tokens: &TokenSet,
        refresh_token: &Secret,
    ) -> Result<TokenAnswer, GrantFailure> {
        let mut form = vec![
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token.expose()),
        ];
        if self.refresh.sends_scope {
            // What was granted, not what was asked for: a refresh may not widen it (RFC 6749 §6).
            let granted = tokens.scope.as_deref().unwrap_or(&self.request.scope);
            form.push(("scope", granted));
        }
        if let Some(audience) = &self.refresh.audience {
            form.push(("audience", audience));
        }
        for resource in &self.refresh.resources {
            form.push(("resource", resource));
        }
        self.provider.grant(&self.client, &form).await
    }

    async fn commit(
        self: &Arc<Self>,
        held: &Held,
        tokens: &TokenSet,
        answer: TokenAnswer,
    ) -> Outcome {
        let Held { key, fence, .. } = *held;
        let generation = held.record.generation;
        let exp = crate::jwt::expiry(answer.access_token.expose());
        let lifetime = token_lifetime(self.provider.clock().now(), answer.expires_in, exp);
        let access_expires_at = held.now.saturating_add(lifetime);
        let next = tokens.renewed(&answer, held.now);
        let Ok(sealed) = next.seal(&self.sealing(), key, generation.saturating_add(1)) else {
            return Outcome::Kept(Kind::StoreUnavailable.into());
        };
        let renewal = Renewal {
            sealed,
            access_expires_at,
            expires_at: self.session_expiry(held.now, access_expires_at, answer.refresh_expires_in),
        };
        match self.store_commit(key, fence, generation, renewal).await {
            Ok(Some(stored)) if stored.outcome == FenceOutcome::Done => {
                observe::refreshed("won");
                tracing::debug!(?lifetime, "a session's tokens were renewed");
                self.check_identity(key, tokens, &answer, stored.without_outcome())
                    .await
            }
            // Either somebody else has begun since, or this commit was stored long ago, its answer
            // lost, and others have renewed after it. Providers revoke a family as a whole, so that
            // nothing is given back while the session lives.
            Ok(Some(stored)) => match stored.record.state {
                RefreshState::Dead(reason) => {
                    self.revoke_behind(next.refresh_token);
                    Outcome::Over(Some(reason))
                }
                _ if stored.record.generation > generation => {
                    Outcome::Renewed(Box::new(stored.without_outcome()))
                }
                _ => unavailable(),
            },
            // Signed out meanwhile: what came too late is given back.
            Ok(None) => {
                self.revoke_behind(next.refresh_token);
                Outcome::Over(None)
            }
            Err(error) => {
                observe::refreshed("lost");
                tracing::error!(error = %Chain(&error), "renewed tokens could not be stored and are lost");
                Outcome::Kept(error)
            }
        }
    }

    /// Stores what a grant brought, again and again: the old refresh token is not worth anything any
    /// more.
    async fn store_commit(
        &self,
        key: StoreKey,
        fence: Fence,
        generation: u64,
        renewal: Renewal,
    ) -> Result<Option<Stored<FenceOutcome>>, LoginError> {
        let mut pause = Duration::from_millis(50);
        let mut waited = Duration::ZERO;
        loop {
            let committed = self
                .store
                .commit(key, fence, generation, renewal.clone())
                .await;
            match committed {
                Ok(stored) => return Ok(stored),
                Err(error) if waited >= COMMIT_PATIENCE => return Err(LoginError::store(error)),
                Err(_) => {
                    tokio::time::sleep(pause).await;
                    waited += pause;
                    pause = (pause * 2).min(Duration::from_secs(2));
                }
            }
        }
    }

    async fn failed(&self, held: &Held, pause: Duration, failure: GrantFailure) -> Outcome {
        let (now, error) = (held.now, failure.error().clone());
        let (settlement, result) = match &failure {
            GrantFailure::Rejected(_) => (Settlement::Ended(EndReason::Rejected), "terminal"),
            GrantFailure::Misconfigured(_) => (
                Settlement::Unspent(now.saturating_add(MISCONFIGURED_PAUSE)),
                "misconfigured",
            ),
            GrantFailure::Unspent(_, asked) => (
                Settlement::Unspent(now.saturating_add(asked.unwrap_or_default().max(pause))),
                "transient",
            ),
            GrantFailure::Uncertain(_) => (Settlement::Uncertain, "uncertain"),
        };
        observe::refreshed(result);
        tracing::warn!(
            result,
            kind = error.kind().as_str(),
            error = %Chain(&error),
            "a session's tokens were not renewed"
        );
        let settled = self.settle(held.key, held.fence, settlement).await;
        match failure {
            GrantFailure::Rejected(_) => match settled {
                // The last look at the store: somebody else has renewed them after all.
                Some(stored) if stored.record.generation > held.record.generation => {
                    Outcome::Renewed(Box::new(stored.without_outcome()))
                }
                Some(Stored { record, .. }) => match record.state {
                    RefreshState::Dead(reason) => Outcome::Over(Some(reason)),
                    _ => Outcome::Over(Some(EndReason::Rejected)),
                },
                None => Outcome::Over(None),
            },
            GrantFailure::Misconfigured(error) => Outcome::Misconfigured(error),
            GrantFailure::Unspent(error, asked) => {
                let error = LoginError::provider(Kind::ProviderUnavailable, error);
                Outcome::Kept(error.with_retry_after(asked.unwrap_or_default().max(pause)))
            }
            GrantFailure::Uncertain(error) => match settled.map(|stored| stored.record.state) {
                Some(RefreshState::Dead(reason)) => Outcome::Over(Some(reason)),
                _ => Outcome::Kept(LoginError::provider(Kind::ProviderUnavailable, error)),
            },
        }
    }

    pub(crate) async fn settle(
        &self,
        key: StoreKey,
        fence: Fence,
        settlement: Settlement,
    ) -> Option<Stored<FenceOutcome>> {
        match self.store.settle(key, fence, settlement).await {
            Ok(stored) => stored,
            Err(error) => {
                // The lease ends by itself, and what follows is what follows a lost answer.
                tracing::warn!(error = %Chain(&error), "the end of a renewal could not be stored");
                None
            }
        }
    }

    /// When a session ends that nothing renews.
    pub(crate) fn session_expiry(
        &self,
        now: UnixTime,
        access_expires_at: UnixTime,
        refresh_expires_in: Option<Duration>,
    ) -> UnixTime {
        let idle = refresh_expires_in.unwrap_or(self.lifetimes.idle);
        now.saturating_add(idle).max(access_expires_at)
    }
}

/// The end of a renewal, reached however its task ends: nobody is left waiting.
struct Landing {
    party: Arc<RelyingParty>,
    key: StoreKey,
    flight: Flight,
    outcome: Outcome,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.party.flights.lock().remove(&self.key);
        let outcome = std::mem::replace(&mut self.outcome, unavailable());
        // The first that lands, and the last.
        let _ = self.flight.set(outcome);
    }
}

fn unavailable() -> Outcome {
    Outcome::Kept(Kind::ProviderUnavailable.into())
}

fn until(now: UnixTime, at: UnixTime) -> LoginError {
    let seconds = at.as_seconds().saturating_sub(now.as_seconds());
    let pause = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    LoginError::from(Kind::ProviderUnavailable).with_retry_after(pause)
}

fn late() -> ProviderError {
    ProviderError::new(
        ProviderErrorKind::TimedOut,
        "the refresh took longer than its lease allows",
    )
}

/// A lease and what it was given for.
struct Held {
    key: StoreKey,
    fence: Fence,
    record: Record,
    /// The store's time.
    now: UnixTime,
}
