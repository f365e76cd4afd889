//! A value that goes stale and is kept fresh: the provider's keys, its metadata, service tokens.
//!
//! 1. A value is fresh, then due for renewal, then stale, then gone ([`pace`]).
//! 2. A fetch is a detached task that many callers await ([`flight`](crate::flight)).
//! 3. There is at most one fetch at a time, so an older result never overwrites a newer one.
//! 4. After a failure the next attempt waits, longer each time. A failure never discards a value that
//!    can still be used.

mod fresh_serial;
mod pace;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use tokio::runtime::Handle;

use crate::clock::SharedClock;
use crate::error::{ProviderError, ProviderErrorKind};
use crate::flight::{Flight, FlightGuard};
use crate::http_client::BoxFuture;
use crate::observe;
use crate::renew::fresh_serial::FreshSerial;
use crate::renew::pace::{Step, Times, jitter, step};

pub(crate) use self::pace::Pace;

/// A value kept fresh. Clones share it.
pub(crate) struct Renew<T>(Arc<Shared<T>>);

/// A value, and how long it may be served.
pub(crate) struct Snapshot<T> {
    pub(crate) value: T,
    /// Counts up with each value that differs from the one before.
    pub(crate) serial: u64,
    /// The monotonic time at which its fetch began.
    pub(crate) asked_at: Duration,
    times: Times,
}

/// A value that was just fetched.
pub(crate) struct Fetched<T> {
    pub(crate) value: T,
    pub(crate) fresh_for: Duration,
    /// How long before the end of that a renewal starts, where it differs from the pace's.
    pub(crate) ahead: Option<Duration>,
}

/// The value, for a caller that wants it now.
pub(crate) enum Reading<T> {
    Ready(Guard<Option<Arc<Snapshot<T>>>>),
    /// It is being fetched.
    Wait(Fetching<T>),
    /// The last attempt failed, and the next is not due yet.
    Refused(Refusal),
}

/// A fetch under way.
pub(crate) struct Fetching<T> {
    pub(crate) flight: Flight<Outcome<T>>,
    /// Whether it began with this call, so that its value is no older than the call.
    pub(crate) is_new: bool,
}

/// The result of one fetch.
pub(crate) type Outcome<T> = Result<Arc<Snapshot<T>>, ProviderError>;

/// There is no value, and no attempt before `retry_after`.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) error: ProviderError,
    pub(crate) retry_after: Duration,
}

impl Refusal {
    pub(crate) fn for_want_of_a_runtime() -> Self {
        Self {
            error: ProviderError::new(
                ProviderErrorKind::NoRuntime,
                "the provider can only be asked from within a tokio runtime",
            ),
            retry_after: Duration::ZERO,
        }
    }

    /// Whether a call from within a runtime could still bring the value.
    pub(crate) fn is_for_want_of_a_runtime(&self) -> bool {
        self.error.kind() == ProviderErrorKind::NoRuntime
    }
}

/// The state of a value, for readiness and logs.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) phase: Phase,
    pub(crate) age: Option<Duration>,
    pub(crate) last_error: Option<ProviderError>,
}

/// The phases of a value that is fetched from the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Not fetched yet.
    Empty,
    /// At hand and within its lifetime.
    Fresh,
    /// At hand, and being renewed.
    Refreshing,
    /// Past its lifetime and still served, because the provider does not answer.
    Stale,
    /// There is none, and the last attempt to fetch it failed.
    Unavailable,
}

struct Shared<T> {
    snapshot: ArcSwapOption<Snapshot<T>>,
    fresh_serial: FreshSerial,
    attempts: Mutex<Attempts<T>>,
    is_same: IsSame<T>,
    fetch: Box<Fetch<T>>,
    pace: Pace,
    clock: SharedClock,
}

type IsSame<T> = fn(&T, &T) -> bool;
type Fetch<T> = dyn Fn() -> BoxFuture<Result<Fetched<T>, ProviderError>> + Send + Sync;

struct Attempts<T> {
    in_flight: Option<Flight<Outcome<T>>>,
    failures: u32,
    not_before: Duration,
    last_error: Option<ProviderError>,
}

impl<T: Send + Sync + 'static> Renew<T> {
    pub(crate) fn new<F>(clock: SharedClock, pace: Pace, fetch: F) -> Self
    where
        F: Fn() -> BoxFuture<Result<Fetched<T>, ProviderError>> + Send + Sync + 'static,
    {
        Self::comparing(clock, pace, |_, _| false, fetch)
    }

    /// With a serial that stays where a new value is the same as the one before.
    pub(crate) fn comparing<F>(clock: SharedClock, pace: Pace, is_same: IsSame<T>, fetch: F) -> Self
    where
        F: Fn() -> BoxFuture<Result<Fetched<T>, ProviderError>> + Send + Sync + 'static,
    {
        Self(Arc::new(Shared {
            snapshot: ArcSwapOption::empty(),
            fresh_serial: FreshSerial::default(),
            attempts: Mutex::default(),
            is_same,
            fetch: Box::new(fetch),
            pace,
            clock,
        }))
    }

    /// Whether the value that would be served at this monotonic time has this serial.
    #[inline]
    pub(crate) fn serves(&self, serial: u64, now: Duration) -> bool {
        match self.0.fresh_serial.at(now) {
            Some(fresh) => fresh == serial,
            None => self.would_serve(serial),
        }
    }

    #[cold]
    fn would_serve(&self, serial: u64) -> bool {
        let Reading::Ready(snapshot) = self.read() else {
            return false;
        };
        snapshot
            .as_ref()
            .is_some_and(|snapshot| snapshot.serial == serial)
    }

    /// The same with a value that is known before the first fetch.
    pub(crate) fn starting_with(self, first: Fetched<T>) -> Self {
        let snapshot = self.0.snapshot_of(first, self.0.clock.monotonic());
        self.0.land(&Ok(Arc::new(snapshot)));
        self
    }

    /// The value, without blocking. Starts the renewal that is due.
    pub(crate) fn read(&self) -> Reading<T> {
        let now = self.0.clock.monotonic();
        let snapshot = self.0.snapshot.load();
        match step(snapshot.as_ref().map(|snapshot| &snapshot.times), now) {
            Step::Serve => Reading::Ready(snapshot),
            Step::ServeAndRenew => {
                let is_stale = snapshot
                    .as_ref()
                    .is_some_and(|snapshot| now >= snapshot.times.fresh_until);
                let renewal = self.join_or_start(now, || true);
                if is_stale && self.0.pace.waits_when_stale {
                    match renewal {
                        Ok(Some(fetching)) => return Reading::Wait(fetching),
                        Err(refusal) if refusal.is_for_want_of_a_runtime() => {
                            return Reading::Refused(refusal);
                        }
                        // The last attempt failed a moment ago.
                        Ok(None) | Err(_) => {}
                    }
                }
                if is_stale {
                    observe::stale_served(self.0.pace.what);
                }
                // The value is served whether a renewal could start or not.
                Reading::Ready(snapshot)
            }
            Step::Fetch => match self.join_or_start(now, || true) {
                Ok(Some(fetching)) => Reading::Wait(fetching),
                Ok(None) => Reading::Refused(self.refusal(lost())),
                Err(refusal) => Reading::Refused(refusal),
            },
        }
    }

    /// The value, whatever its age. Starts nothing.
    pub(crate) fn current(&self) -> Guard<Option<Arc<Snapshot<T>>>> {
        self.0.snapshot.load()
    }

    /// The value, waited for.
    pub(crate) async fn get(&self) -> Result<Arc<Snapshot<T>>, Refusal> {
        let fetching = match self.read() {
            Reading::Ready(snapshot) => {
                return match &*snapshot {
                    Some(snapshot) => Ok(Arc::clone(snapshot)),
                    None => Err(self.refusal(lost())),
                };
            }
            Reading::Wait(fetching) => fetching,
            Reading::Refused(refusal) => return Err(refusal),
        };
        let landed = fetching.flight.landed().await;
        landed.or_else(|error| self.after_failure().ok_or_else(|| self.refusal(error)))
    }

    /// The value for a caller that waited for its renewal in vain, if it may be served still.
    pub(crate) fn after_failure(&self) -> Option<Arc<Snapshot<T>>> {
        let now = self.0.clock.monotonic();
        let snapshot = self.0.snapshot.load_full()?;
        let is_served = self.0.pace.waits_when_stale && now < snapshot.times.usable_until;
        is_served.then_some(snapshot)
    }

    /// Joins the fetch under way, or starts one even though the value is fresh. `None` where
    /// `may_start` forbids a new one.
    ///
    /// `may_start` is called only if a new fetch would start, and under the lock, so that each attempt
    /// is counted once. No fetch can land while it runs: what [`current`](Self::current) returns there is
    /// the newest value.
    pub(crate) fn force(
        &self,
        may_start: impl FnOnce() -> bool,
    ) -> Result<Option<Fetching<T>>, Refusal> {
        self.join_or_start(self.0.clock.monotonic(), may_start)
    }

    /// The refusal for a caller that waited for a fetch that failed.
    pub(crate) fn refusal(&self, error: ProviderError) -> Refusal {
        let now = self.0.clock.monotonic();
        Refusal {
            error,
            retry_after: self.0.attempts().not_before.saturating_sub(now),
        }
    }

    pub(crate) fn state(&self) -> State {
        let now = self.0.clock.monotonic();
        let snapshot = self.0.snapshot.load();
        let attempts = self.0.attempts();
        let phase = match snapshot.as_ref().map(|snapshot| snapshot.times) {
            None if attempts.last_error.is_some() => Phase::Unavailable,
            None => Phase::Empty,
            Some(times) if now >= times.usable_until => Phase::Unavailable,
            Some(times) if now >= times.fresh_until => Phase::Stale,
            Some(_) if attempts.in_flight.is_some() => Phase::Refreshing,
            Some(_) => Phase::Fresh,
        };
        State {
            phase,
            age: snapshot
                .as_ref()
                .map(|snapshot| now.saturating_sub(snapshot.times.fetched_at)),
            last_error: attempts.last_error.clone(),
        }
    }

    fn join_or_start(
        &self,
        now: Duration,
        may_start: impl FnOnce() -> bool,
    ) -> Result<Option<Fetching<T>>, Refusal> {
        let mut attempts = self.0.attempts();
        if let Some(flight) = &attempts.in_flight {
            return Ok(Some(Fetching {
                flight: flight.clone(),
                is_new: false,
            }));
        }
        if let (Some(error), true) = (&attempts.last_error, now < attempts.not_before) {
            return Err(Refusal {
                error: error.clone(),
                retry_after: attempts.not_before.saturating_sub(now),
            });
        }
        let Ok(runtime) = Handle::try_current() else {
            return Err(Refusal::for_want_of_a_runtime());
        };
        if !may_start() {
            return Ok(None);
        }
        let (landing, shared) = (Arc::clone(&self.0), Arc::clone(&self.0));
        let (flight, guard) = FlightGuard::new(Err(lost()), move |outcome: &Outcome<T>| {
            landing.land(outcome);
        });
        attempts.in_flight = Some(flight.clone());
        // The flight takes this lock when it lands, which may be within `launch`.
        drop(attempts);
        guard.launch(&runtime, async move {
            let asked_at = shared.clock.monotonic();
            let fetched = (shared.fetch)().await?;
            Ok(Arc::new(shared.snapshot_of(fetched, asked_at)))
        });
        Ok(Some(Fetching {
            flight,
            is_new: true,
        }))
    }
}

/// Whether there is a runtime for a fetch.
pub(crate) fn can_fetch_here() -> bool {
    Handle::try_current().is_ok()
}

impl<T> Shared<T> {
    fn attempts(&self) -> MutexGuard<'_, Attempts<T>> {
        // No change made under this lock can be left half done.
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn snapshot_of(&self, fetched: Fetched<T>, asked_at: Duration) -> Snapshot<T> {
        let now = self.clock.monotonic();
        // There is one fetch at a time, so that no other value lands between this look and its own
        // landing.
        let serial = match &*self.snapshot.load() {
            Some(former) if (self.is_same)(&former.value, &fetched.value) => former.serial,
            former => former.as_ref().map_or(0, |former| former.serial) + 1,
        };
        Snapshot {
            value: fetched.value,
            serial,
            asked_at,
            times: self
                .pace
                .times(now, fetched.fresh_for, fetched.ahead, jitter()),
        }
    }

    fn land(&self, outcome: &Outcome<T>) {
        let now = self.clock.monotonic();
        if let Ok(snapshot) = outcome {
            self.snapshot.store(Some(Arc::clone(snapshot)));
            self.fresh_serial
                .set(snapshot.serial, snapshot.times.renew_at);
        }
        let mut attempts = self.attempts();
        let next = match outcome {
            Ok(_) => Attempts::default(),
            Err(error) => {
                let failures = attempts.failures.saturating_add(1);
                let back_off = self.pace.back_off(failures).max(error.pause());
                Attempts {
                    in_flight: None,
                    failures,
                    not_before: now.saturating_add(back_off),
                    last_error: Some(error.clone()),
                }
            }
        };
        let former = std::mem::replace(&mut *attempts, next);
        drop(attempts);
        // Outside the lock, because an error can hold a caller's own type.
        drop(former);
    }
}

impl<T> Clone for Renew<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Fetched<T> {
    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> Fetched<U> {
        Fetched {
            value: change(self.value),
            fresh_for: self.fresh_for,
            ahead: self.ahead,
        }
    }
}

impl<T> Default for Attempts<T> {
    fn default() -> Self {
        Self {
            in_flight: None,
            failures: 0,
            not_before: Duration::ZERO,
            last_error: None,
        }
    }
}

fn lost() -> ProviderError {
    ProviderError::new(
        ProviderErrorKind::Unreachable,
        "the fetch was broken off: its task panicked, or its runtime ended",
    )
}

#[cfg(test)]
mod tests;
