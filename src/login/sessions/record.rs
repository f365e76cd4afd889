//! The state machine of a session's refresh token: pure functions over a record and the time.
//!
//! A rotating refresh token may be spent once; spending it twice makes the provider revoke the whole
//! family ([RFC 9700 §4.14.2](https://www.rfc-editor.org/rfc/rfc9700#section-4.14.2)). So that no race,
//! crash or lost answer spends it twice, it is guarded by a lease **and** a compare-and-set on the
//! generation:
//!
//! | state | meaning | next |
//! |---|---|---|
//! | Idle | the tokens of generation g can be used and refreshed | [`try_lease`](Record::try_lease) → Leased |
//! | Leased | one task may spend g's refresh token | [`commit`](Record::commit) → Idle of g+1; [`settle`](Record::settle) → Idle, Suspect or Dead; its end → Suspect |
//! | Suspect | a grant may have been spent and its answer lost | a late commit of the same fence; else, once the access token is dead, one probe under a new fence |
//! | Dead | no grant ever again | sign in again |
//!
//! Every function takes the time from the store, so that clocks of different machines do not matter.

use std::time::Duration;

use bytes::Bytes;

use crate::clock::UnixTime;

/// One session as a store keeps it.
///
/// Stores treat it as a value: they apply the functions below in one atomic step and return the
/// record that came of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Record {
    /// Grows by one with every commit, and decides alone whether tokens are newer.
    pub generation: u64,
    /// The token set, sealed. Stores cannot read it.
    pub sealed: Bytes,
    /// When the access token within expires.
    pub access_expires_at: UnixTime,
    /// When the session ends if nothing renews it. Never later than `ends_at`.
    pub expires_at: UnixTime,
    /// When the session ends at the latest.
    pub ends_at: UnixTime,
    /// No refresh before, because the provider asked to wait or did not answer.
    pub refresh_not_before: UnixTime,
    /// Where the refresh token stands.
    pub state: RefreshState,
    /// The last fence given out.
    pub fence: Fence,
}

/// Where a session's refresh token stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefreshState {
    /// Nobody spends it.
    Idle,
    /// One task may spend it, until then.
    #[non_exhaustive]
    Leased {
        /// Who.
        fence: Fence,
        /// Until when.
        until: UnixTime,
        /// Whether this is the one probe after a lost answer.
        is_probe: bool,
    },
    /// It may have been spent, and the answer lost.
    #[non_exhaustive]
    Suspect {
        /// By whom.
        fence: Fence,
        /// Since when.
        since: UnixTime,
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
    /// What the provider sent is not about the same subject and issuer.
    IdentityChanged,
}

/// Tells one lease from every other of the same session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Fence(u64);

impl Fence {
    /// The number by which a store writes it down.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// A fence from the number by which it was written down.
    #[must_use]
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }
}

/// What a refresh brought.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever commits")]
pub struct Renewal {
    /// The new token set, sealed for the next generation.
    pub sealed: Bytes,
    /// When the new access token expires.
    pub access_expires_at: UnixTime,
    /// When the session now ends if nothing renews it.
    pub expires_at: UnixTime,
}

/// The answer to one who wants to refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeaseOutcome {
    /// Spend the token, under this fence.
    Leased(Fence),
    /// Somebody else spends it; wait until then at the longest.
    Busy(UnixTime),
    /// The tokens are newer than those that were to be refreshed: use them.
    Newer,
    /// Not now: a grant's answer may still come, or the provider asked to wait.
    Later(UnixTime),
    /// Sign in again.
    Dead(EndReason),
}

/// The answer to one who brings new tokens or news of its grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FenceOutcome {
    /// It is so.
    Done,
    /// The fence is no longer the one that counts. Whoever brings new tokens drops them, and revokes
    /// them only if the session is over: providers revoke all that came of one sign-in together.
    Stale,
}

/// How a grant ended that brought no tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Settlement {
    /// The refresh token was certainly not spent; no next attempt before then.
    Unspent(UnixTime),
    /// Nobody knows whether it was spent.
    Uncertain,
    /// The session ends.
    Ended(EndReason),
}

impl Record {
    /// A new session of generation 0, its refresh token unspent.
    #[must_use]
    pub fn new(renewal: Renewal, ends_at: UnixTime) -> Self {
        Self {
            generation: 0,
            sealed: renewal.sealed,
            access_expires_at: renewal.access_expires_at,
            expires_at: renewal.expires_at.min(ends_at),
            ends_at,
            refresh_not_before: UnixTime::from_seconds(i64::MIN),
            state: RefreshState::Idle,
            fence: Fence::default(),
        }
    }

    /// Whether the session is over, refreshed or not.
    #[must_use]
    pub fn is_expired(&self, now: UnixTime) -> bool {
        now >= self.expires_at
    }

    /// Asks for the right to spend the refresh token of `generation`, for the time of `lease`.
    pub fn try_lease(&mut self, now: UnixTime, generation: u64, lease: Duration) -> LeaseOutcome {
        self.let_time_pass(now);
        if self.generation > generation {
            return LeaseOutcome::Newer;
        }
        let is_probe = match self.state {
            RefreshState::Dead(reason) => return LeaseOutcome::Dead(reason),
            RefreshState::Leased { until, .. } => return LeaseOutcome::Busy(until),
            // While the access token lives there is no need to gamble.
            RefreshState::Suspect { .. } if now < self.access_expires_at => {
                return LeaseOutcome::Later(self.access_expires_at);
            }
            RefreshState::Suspect { .. } => true,
            RefreshState::Idle => false,
        };
        if now < self.refresh_not_before {
            return LeaseOutcome::Later(self.refresh_not_before);
        }
        self.fence = Fence(self.fence.0.saturating_add(1));
        self.state = RefreshState::Leased {
            fence: self.fence,
            until: now.saturating_add(lease),
            is_probe,
        };
        LeaseOutcome::Leased(self.fence)
    }

    /// Puts the new tokens in the place of those of `generation`. A commit that comes after its
    /// lease has passed is accepted as long as nobody else has begun; one that comes again, because
    /// its answer was lost, is told the same.
    pub fn commit(
        &mut self,
        now: UnixTime,
        fence: Fence,
        generation: u64,
        renewal: Renewal,
    ) -> FenceOutcome {
        // No two seals are alike, so that it can only be this very commit.
        if self.generation == generation.saturating_add(1) && self.sealed == renewal.sealed {
            return FenceOutcome::Done;
        }
        if self.generation != generation || !self.is_held_by(fence) {
            return FenceOutcome::Stale;
        }
        self.generation = self.generation.saturating_add(1);
        self.sealed = renewal.sealed;
        self.access_expires_at = renewal.access_expires_at;
        self.expires_at = renewal.expires_at.min(self.ends_at);
        self.refresh_not_before = now;
        self.state = RefreshState::Idle;
        FenceOutcome::Done
    }

    /// Says how a grant ended that brought no tokens.
    pub fn settle(&mut self, now: UnixTime, fence: Fence, settlement: Settlement) -> FenceOutcome {
        if !self.is_held_by(fence) {
            return FenceOutcome::Stale;
        }
        let was_probe = matches!(self.state, RefreshState::Leased { is_probe: true, .. });
        self.state = match settlement {
            // A probe that was not sent leaves the doubt it began with.
            Settlement::Unspent(not_before) => {
                self.refresh_not_before = not_before;
                if was_probe {
                    RefreshState::Suspect { fence, since: now }
                } else {
                    RefreshState::Idle
                }
            }
            Settlement::Uncertain if was_probe => RefreshState::Dead(EndReason::RotationLost),
            Settlement::Uncertain => RefreshState::Suspect { fence, since: now },
            Settlement::Ended(EndReason::Rejected) if was_probe => {
                RefreshState::Dead(EndReason::RotationLost)
            }
            Settlement::Ended(reason) => RefreshState::Dead(reason),
        };
        FenceOutcome::Done
    }

    /// A lease that has passed leaves a doubt; a probe that has passed leaves none. Asked only when
    /// somebody else wants the lease, so that until then a late commit still finds its place.
    fn let_time_pass(&mut self, now: UnixTime) {
        if let RefreshState::Leased {
            fence,
            until,
            is_probe,
        } = self.state
            && now >= until
        {
            self.state = if is_probe {
                RefreshState::Dead(EndReason::RotationLost)
            } else {
                RefreshState::Suspect {
                    fence,
                    since: until,
                }
            };
        }
    }

    fn is_held_by(&self, holder: Fence) -> bool {
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
