//! The state machine of a session's refresh token: pure functions over a record and the time.
//!
//! A rotating refresh token may be spent once; spending it twice makes the provider revoke every token of
//! the sign-in ([RFC 9700 §4.14.2](https://www.rfc-editor.org/rfc/rfc9700#section-4.14.2)). So that no race,
//! crash or lost answer spends it twice, a lease **and** a compare-and-swap on the record guard it:
//!
//! | state | meaning | next |
//! |---|---|---|
//! | Idle | the tokens of generation g can be used and refreshed | [`try_lease`](Record::try_lease) → Leased |
//! | Leased | one task may spend g's refresh token | [`commit`](Record::commit) → Idle of g+1; [`settle`](Record::settle) → Idle, Suspect or Dead; after its end [`try_lease`](Record::try_lease) by another → Suspect |
//! | Suspect | the token may have been spent and the answer lost | a late commit of the same fence; else, after a pause and once the access token is dead, a probe under a new fence, again and again |
//! | Dead | the provider rejected the token, or it is about another identity | sign in again |
//!
//! Doubt never ends a session: only a rejection by the provider, a verified change of identity, a sign-out
//! or the session's own end does. Every function takes the time from the store, so that clocks of different
//! machines do not matter.

mod codec;

use std::time::Duration;

use bytes::Bytes;

use crate::clock::UnixTime;
use crate::login::store::Tag;

/// One session as its store keeps it, decoded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Record {
    /// Grows by one with every commit, and decides alone whether tokens are newer.
    pub generation: u64,
    /// The token set, sealed.
    pub sealed: Bytes,
    /// When the access token within expires.
    pub access_expires_at: UnixTime,
    /// When the refresh token within expires, where the provider told.
    pub refresh_expires_at: Option<UnixTime>,
    /// When the session ends if nothing renews it. Never later than `ends_at`.
    pub expires_at: UnixTime,
    /// When the session ends at the latest.
    pub ends_at: UnixTime,
    /// No refresh before, because the provider asked to wait or did not answer.
    pub refresh_not_before: UnixTime,
    /// Refreshes since the last commit that left the refresh token unspent.
    pub failures: u32,
    /// Whether the provider refreshes only after the user has done something there.
    pub wants_user: bool,
    /// Where the refresh token stands.
    pub state: RefreshState,
}

/// Where a session's refresh token stands. Each fence is the tag of the write that gave the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefreshState {
    /// No task spends it.
    Idle,
    /// One task may spend it.
    #[non_exhaustive]
    Leased {
        /// Which task.
        fence: Tag,
        /// When the first lease of this generation was given: the token was not spent before.
        leased_at: UnixTime,
        /// The end of this lease.
        until: UnixTime,
        /// Which probe this is; 0 for the first grant of this generation.
        probes: u32,
    },
    /// It may have been spent, and the answer lost.
    #[non_exhaustive]
    Suspect {
        /// The last task that may have spent it.
        fence: Tag,
        /// When the first lease of this generation was given.
        leased_at: UnixTime,
        /// When this was written.
        since: UnixTime,
        /// How many probes have left the doubt as it was.
        probes: u32,
    },
    /// It will not be spent again.
    Dead(EndReason),
}

/// Why a session can only be renewed by signing in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// The provider rejected the refresh token.
    Rejected,
    /// A rotated token was lost on its way, and the provider rejected the old one.
    RotationLost,
    /// A refresh brought verified tokens of another subject or issuer.
    IdentityChanged,
}

/// What a refresh, or a sign-in, brought.
#[derive(Debug, Clone)]
pub(crate) struct Renewal {
    /// The new token set, sealed for the generation it makes.
    pub(crate) sealed: Bytes,
    pub(crate) access_expires_at: UnixTime,
    pub(crate) refresh_expires_at: Option<UnixTime>,
    /// When the session now ends if nothing renews it.
    pub(crate) expires_at: UnixTime,
}

/// A request for the right to spend a refresh token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LeaseRequest {
    /// The tag of the write that gives the lease.
    pub(crate) fence: Tag,
    pub(crate) length: Duration,
    /// For this long after it was first spent, the provider takes an old token again.
    pub(crate) grace: Duration,
}

/// The answer to a [`LeaseRequest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeaseOutcome {
    /// Spend the token.
    Leased,
    /// Another task may spend it until then.
    Busy(UnixTime),
    /// The tokens are newer than those that were to be refreshed: use them.
    Newer,
    /// Not before then: an answer may still come, or the provider asked to wait.
    Later(UnixTime),
    /// Sign in again.
    Dead(EndReason),
}

/// The answer to a task that brings new tokens or the end of its grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FenceOutcome {
    Done,
    /// Another task holds the lease by now, or the session is over.
    Stale,
}

/// How a grant ended that brought no tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Settlement {
    /// The refresh token was certainly not spent; no next attempt before then.
    Unspent(UnixTime),
    /// The same, because the provider wants the user to do something first.
    WantsUser(UnixTime),
    /// The provider refused what was asked for beside the session's own tokens. That says nothing about these, and
    /// the refresh token is unspent.
    TargetRefused,
    /// The refresh token may have been spent.
    Uncertain,
    /// The provider rejected the refresh token.
    Rejected,
}

/// The time that a leader whose store was away has to commit before another task probes.
pub(crate) const FIRST_PROBE_PAUSE: Duration = Duration::from_secs(3);

/// Between later probes: this long, then twice as long each time.
const LATER_PROBE_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PROBE_PAUSE: Duration = Duration::from_secs(60);

/// A time further in the future than any duration allows says that the store's clock went back.
const CLOCK_SLACK: Duration = Duration::from_secs(5);
const ANY_TIME: UnixTime = UnixTime::from_seconds(i64::MIN);

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

fn probe_pause(probes: u32) -> Duration {
    match probes.checked_sub(1) {
        None => FIRST_PROBE_PAUSE,
        Some(doublings) => LATER_PROBE_PAUSE
            .saturating_mul(1 << doublings.min(8))
            .min(LONGEST_PROBE_PAUSE),
    }
}

impl Record {
    /// A new session of generation 0, its refresh token unspent.
    pub(crate) fn new(renewal: Renewal, ends_at: UnixTime) -> Self {
        Self {
            generation: 0,
            sealed: renewal.sealed,
            access_expires_at: renewal.access_expires_at,
            refresh_expires_at: renewal.refresh_expires_at,
            expires_at: renewal.expires_at.min(ends_at),
            ends_at,
            refresh_not_before: ANY_TIME,
            failures: 0,
            wants_user: false,
            state: RefreshState::Idle,
        }
    }

    /// Asks for the right to spend the refresh token of `generation`.
    pub(crate) fn try_lease(
        &mut self,
        now: UnixTime,
        generation: u64,
        request: &LeaseRequest,
    ) -> LeaseOutcome {
        if self.generation > generation {
            return LeaseOutcome::Newer;
        }
        self.let_time_pass(now, request.length);
        let (leased_at, probes) = match self.state {
            RefreshState::Dead(reason) => return LeaseOutcome::Dead(reason),
            RefreshState::Leased { until, .. } => return LeaseOutcome::Busy(until),
            RefreshState::Suspect {
                leased_at,
                since,
                probes,
                ..
            } => {
                let after_pause = since.saturating_add(probe_pause(probes));
                let grace_ends = leased_at.saturating_add(request.grace);
                // Within the grace the provider takes the old token again; after it, there is no need to
                // gamble while the access token lives.
                let probe_at = if now.max(after_pause) < grace_ends {
                    after_pause
                } else {
                    after_pause.max(self.access_expires_at)
                };
                if now < probe_at {
                    return LeaseOutcome::Later(probe_at);
                }
                (leased_at, probes.saturating_add(1))
            }
            RefreshState::Idle => (now, 0),
        };
        if now < self.refresh_not_before {
            return LeaseOutcome::Later(self.refresh_not_before);
        }
        self.state = RefreshState::Leased {
            fence: request.fence,
            leased_at,
            until: now.saturating_add(request.length),
            probes,
        };
        LeaseOutcome::Leased
    }

    /// Gives the holder of a lease a new one in its place, so that it may send the same token once more.
    pub(crate) fn lease_again(
        &mut self,
        now: UnixTime,
        holder: Tag,
        request: &LeaseRequest,
    ) -> FenceOutcome {
        match self.state {
            RefreshState::Leased {
                fence,
                leased_at,
                probes,
                ..
            } if fence == holder => {
                self.state = RefreshState::Leased {
                    fence: request.fence,
                    leased_at,
                    until: now.saturating_add(request.length),
                    probes: probes.saturating_add(1),
                };
                FenceOutcome::Done
            }
            _ => FenceOutcome::Stale,
        }
    }

    /// Puts the new tokens in the place of those of `generation`. A commit after the end of its lease is
    /// accepted as long as no other task has a lease; a commit that comes again, because its answer was
    /// lost, gets the same answer.
    pub(crate) fn commit(
        &mut self,
        fence: Tag,
        generation: u64,
        renewal: &Renewal,
    ) -> FenceOutcome {
        // No two seals are alike, so that it can only be the same commit.
        if self.generation == generation.saturating_add(1) && self.sealed == renewal.sealed {
            return FenceOutcome::Done;
        }
        if self.generation != generation || !self.is_held_by(fence) {
            return FenceOutcome::Stale;
        }
        self.generation = self.generation.saturating_add(1);
        self.sealed = renewal.sealed.clone();
        self.access_expires_at = renewal.access_expires_at;
        self.refresh_expires_at = renewal.refresh_expires_at;
        self.expires_at = renewal.expires_at.min(self.ends_at);
        self.refresh_not_before = ANY_TIME;
        self.failures = 0;
        self.wants_user = false;
        self.state = RefreshState::Idle;
        FenceOutcome::Done
    }

    /// Writes down how a grant ended that brought no tokens.
    pub(crate) fn settle(
        &mut self,
        now: UnixTime,
        holder: Tag,
        settlement: Settlement,
    ) -> FenceOutcome {
        let (RefreshState::Leased {
            fence,
            leased_at,
            probes,
            ..
        }
        | RefreshState::Suspect {
            fence,
            leased_at,
            probes,
            ..
        }) = self.state
        else {
            return FenceOutcome::Stale;
        };
        if fence != holder {
            return FenceOutcome::Stale;
        }
        let suspect = |probes| RefreshState::Suspect {
            fence,
            leased_at,
            since: now,
            probes,
        };
        self.state = match settlement {
            Settlement::Unspent(not_before) | Settlement::WantsUser(not_before) => {
                self.wants_user = matches!(settlement, Settlement::WantsUser(_));
                self.refresh_not_before = not_before;
                self.failures = self.failures.saturating_add(1);
                // A probe that was not sent leaves the doubt it began with.
                match probes.checked_sub(1) {
                    Some(before) => suspect(before),
                    None => RefreshState::Idle,
                }
            }
            Settlement::TargetRefused => match probes.checked_sub(1) {
                Some(before) => suspect(before),
                None => RefreshState::Idle,
            },
            Settlement::Uncertain => suspect(probes),
            Settlement::Rejected if probes > 0 => RefreshState::Dead(EndReason::RotationLost),
            Settlement::Rejected => RefreshState::Dead(EndReason::Rejected),
        };
        FenceOutcome::Done
    }

    /// Ends the session because of what the tokens of `generation` are: later ones came of them.
    pub(crate) fn end(&mut self, generation: u64, reason: EndReason) {
        if self.generation >= generation && !matches!(self.state, RefreshState::Dead(_)) {
            self.state = RefreshState::Dead(reason);
        }
    }

    /// Whether the lease was given for a probe: the refresh token may have been spent before.
    pub(crate) fn is_probed(&self) -> bool {
        matches!(self.state, RefreshState::Leased { probes, .. } if probes > 0)
    }

    /// Replaces what is known of the tokens of `generation`, as long as they are the newest.
    pub(crate) fn reseal(&mut self, generation: u64, sealed: &Bytes) {
        if self.generation == generation {
            self.sealed.clone_from(sealed);
        }
    }

    /// Puts off the end of a session that is in use.
    pub(crate) fn extend(&mut self, until: UnixTime) {
        self.expires_at = self.expires_at.max(until.min(self.ends_at));
    }

    /// Brings the end of a session forward.
    pub(crate) fn end_by(&mut self, end: UnixTime) {
        self.ends_at = self.ends_at.min(end);
        self.expires_at = self.expires_at.min(self.ends_at);
    }

    /// A lease that has ended leaves a doubt. It is written down only when another task wants the lease, so
    /// that until then a late commit still finds its place, and the pause before a probe begins then.
    fn let_time_pass(&mut self, now: UnixTime, longest_lease: Duration) {
        let latest = |duration: Duration| now.saturating_add(duration).saturating_add(CLOCK_SLACK);
        match &mut self.state {
            RefreshState::Leased {
                fence,
                leased_at,
                until,
                probes,
            } if now >= *until => {
                self.state = RefreshState::Suspect {
                    fence: *fence,
                    leased_at: *leased_at,
                    since: now,
                    probes: *probes,
                };
            }
            RefreshState::Leased { until, .. } if *until > latest(longest_lease) => {
                *until = now.saturating_add(longest_lease);
            }
            RefreshState::Suspect { since, .. } if *since > latest(Duration::ZERO) => *since = now,
            _ => {}
        }
        if self.refresh_not_before > latest(LONGEST_PAUSE) {
            self.refresh_not_before = now;
        }
    }

    fn is_held_by(&self, holder: Tag) -> bool {
        match self.state {
            RefreshState::Leased { fence, .. } | RefreshState::Suspect { fence, .. } => {
                fence == holder
            }
            RefreshState::Idle | RefreshState::Dead(_) => false,
        }
    }
}

#[cfg(test)]
mod tests;
