//! One kind of staleness: a value that is fresh, then due, then stale, then gone, kept by flights
//! that nobody owns.
//!
//! A flight is a task of its own. Whoever started it may leave; it lands all the same and
//! everybody who waited shares what it brought. There is never more than one, so that an older
//! result cannot overwrite a newer one. After a failure the next attempt is put off, longer each
//! time; a failure never throws away a value that can still be used.

mod glance;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use tokio::sync::SetOnce;

use crate::clock::SharedClock;
use crate::error::{ProviderError, ProviderErrorKind};
use crate::http_client::BoxFuture;
use crate::observe;
use crate::renew::glance::Glance;

/// A value, and how long it may be served.
pub(crate) struct Snapshot<T> {
    pub(crate) value: T,
    /// Counts up with each value that differs from the one before.
    pub(crate) serial: u64,
    times: Times,
}

/// Points in monotonic time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Times {
    fetched_at: Duration,
    renew_at: Duration,
    fresh_until: Duration,
    usable_until: Duration,
}

/// What a flight brings.
pub(crate) struct Fetched<T> {
    pub(crate) value: T,
    pub(crate) fresh_for: Duration,
    /// How long before that a renewal starts, where it is not the pace's.
    pub(crate) ahead: Option<Duration>,
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

/// The numbers by which one user of this mechanism differs from another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// What is kept, as a word for metrics.
    pub(crate) what: &'static str,
    /// How long before the end of freshness a renewal starts.
    pub(crate) ahead: Duration,
    /// How long a value is served after its freshness ended.
    pub(crate) stale: Duration,
    pub(crate) first_back_off: Duration,
    pub(crate) longest_back_off: Duration,
}

/// What to do about a value at a given time.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Step {
    Serve,
    ServeAndRenew,
    Fetch,
}

fn step(times: Option<&Times>, now: Duration) -> Step {
    match times {
        Some(times) if now < times.renew_at => Step::Serve,
        Some(times) if now < times.usable_until => Step::ServeAndRenew,
        _ => Step::Fetch,
    }
}

impl Pace {
    fn times(
        &self,
        now: Duration,
        fresh_for: Duration,
        ahead: Option<Duration>,
        jitter: f64,
    ) -> Times {
        let fresh_until = now.saturating_add(fresh_for);
        let ahead = ahead.unwrap_or(self.ahead);
        // Never in the first half of a lifetime, or short ones would be renewed without end.
        let ahead = ahead.mul_f64(1.0 + jitter).min(fresh_for / 2);
        Times {
            fetched_at: now,
            renew_at: fresh_until.saturating_sub(ahead),
            fresh_until,
            usable_until: fresh_until.saturating_add(self.stale),
        }
    }

    fn back_off(&self, failures: u32) -> Duration {
        let doubled = 1_u32
            .checked_shl(failures.saturating_sub(1))
            .unwrap_or(u32::MAX);
        self.first_back_off
            .saturating_mul(doubled)
            .min(self.longest_back_off)
    }
}

type Outcome<T> = Result<Arc<Snapshot<T>>, ProviderError>;
type IsSame<T> = fn(&T, &T) -> bool;
type Fetch<T> = dyn Fn() -> BoxFuture<Result<Fetched<T>, ProviderError>> + Send + Sync;

/// A value kept fresh.
pub(crate) struct Renew<T>(Arc<Shared<T>>);

struct Shared<T> {
    snapshot: ArcSwapOption<Snapshot<T>>,
    glance: Glance,
    attempts: Mutex<Attempts<T>>,
    is_same: IsSame<T>,
    fetch: Box<Fetch<T>>,
    pace: Pace,
    clock: SharedClock,
}

struct Attempts<T> {
    in_flight: Option<Flight<T>>,
    failures: u32,
    not_before: Duration,
    last_error: Option<ProviderError>,
}

/// What one gets who asks for the value now.
pub(crate) enum Reading<T> {
    /// Here it is.
    Serve(Guard<Option<Arc<Snapshot<T>>>>),
    /// It is on its way.
    Wait(Flight<T>),
    /// The last attempt failed, and the next is not due yet.
    Refuse(Refusal),
}

/// No value, and no attempt before `retry_after`.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) error: ProviderError,
    pub(crate) retry_after: Duration,
}

/// One fetch under way, shared by everybody who waits for it.
pub(crate) struct Flight<T>(Arc<SetOnce<Outcome<T>>>);

impl<T> Flight<T> {
    pub(crate) async fn landed(self) -> Outcome<T> {
        self.0.wait().await.clone()
    }
}

impl<T> Clone for Flight<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

fn lost() -> ProviderError {
    ProviderError::new(
        ProviderErrorKind::Unreachable,
        "the fetch was broken off by the end of its runtime",
    )
}

impl<T> Clone for Renew<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
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
            glance: Glance::default(),
            is_same,
            attempts: Mutex::new(Attempts {
                in_flight: None,
                failures: 0,
                not_before: Duration::ZERO,
                last_error: None,
            }),
            fetch: Box::new(fetch),
            pace,
            clock,
        }))
    }

    /// Whether the value that would be served now has this serial.
    #[inline]
    pub(crate) fn serves(&self, serial: u64) -> bool {
        let now = self.0.clock.monotonic();
        match self.0.glance.fresh(now) {
            Some(fresh) => fresh == serial,
            None => self.would_serve(serial),
        }
    }

    #[cold]
    fn would_serve(&self, serial: u64) -> bool {
        let Reading::Serve(snapshot) = self.read() else {
            return false;
        };
        snapshot
            .as_ref()
            .is_some_and(|snapshot| snapshot.serial == serial)
    }

    /// The value, without blocking where it is fresh.
    pub(crate) fn read(&self) -> Reading<T> {
        let now = self.0.clock.monotonic();
        let snapshot = self.0.snapshot.load();
        match step(snapshot.as_ref().map(|snapshot| &snapshot.times), now) {
            Step::Serve => Reading::Serve(snapshot),
            Step::ServeAndRenew => {
                if snapshot
                    .as_ref()
                    .is_some_and(|snapshot| now >= snapshot.times.fresh_until)
                {
                    observe::stale_served(self.0.pace.what);
                }
                // Whether a renewal could start or not, the value is served.
                let _ = self.start(now);
                Reading::Serve(snapshot)
            }
            Step::Fetch => self.start(now).map_or_else(Reading::Refuse, Reading::Wait),
        }
    }

    /// The value, whatever its age. Starts nothing.
    #[cfg(feature = "outbound")]
    pub(crate) fn current(&self) -> Guard<Option<Arc<Snapshot<T>>>> {
        self.0.snapshot.load()
    }

    /// The value, waited for.
    pub(crate) async fn get(&self) -> Result<Arc<Snapshot<T>>, Refusal> {
        let flight = match self.read() {
            Reading::Serve(snapshot) => {
                return match &*snapshot {
                    Some(snapshot) => Ok(Arc::clone(snapshot)),
                    None => Err(self.refusal(lost())),
                };
            }
            Reading::Wait(flight) => flight,
            Reading::Refuse(refusal) => return Err(refusal),
        };
        flight.landed().await.map_err(|error| self.refusal(error))
    }

    /// Joins the flight under way, or starts one even though the value is fresh.
    ///
    /// `may_start` is asked only if a new flight would have to start, under the lock, so that each
    /// attempt is counted once.
    pub(crate) fn force(
        &self,
        may_start: impl FnOnce() -> bool,
    ) -> Result<Option<Flight<T>>, Refusal> {
        let now = self.0.clock.monotonic();
        let mut attempts = self.attempts();
        if attempts.in_flight.is_none() && now >= attempts.not_before && !may_start() {
            return Ok(None);
        }
        self.join_or_start(&mut attempts, now).map(Some)
    }

    /// What an error that a flight brought means for those who waited.
    pub(crate) fn refusal(&self, error: ProviderError) -> Refusal {
        let now = self.0.clock.monotonic();
        Refusal {
            error,
            retry_after: self.attempts().not_before.saturating_sub(now),
        }
    }

    pub(crate) fn state(&self) -> State {
        let now = self.0.clock.monotonic();
        let attempts = self.attempts();
        let snapshot = self.0.snapshot.load();
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

    fn start(&self, now: Duration) -> Result<Flight<T>, Refusal> {
        self.join_or_start(&mut self.attempts(), now)
    }

    fn join_or_start(
        &self,
        attempts: &mut Attempts<T>,
        now: Duration,
    ) -> Result<Flight<T>, Refusal> {
        if let Some(flight) = &attempts.in_flight {
            return Ok(flight.clone());
        }
        if let (Some(error), true) = (&attempts.last_error, now < attempts.not_before) {
            return Err(Refusal {
                error: error.clone(),
                retry_after: attempts.not_before.saturating_sub(now),
            });
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return Err(Refusal {
                error: ProviderError::new(
                    ProviderErrorKind::NoRuntime,
                    "the provider can only be asked from within a tokio runtime",
                ),
                retry_after: Duration::ZERO,
            });
        };
        let flight = Flight(Arc::new(SetOnce::new()));
        attempts.in_flight = Some(flight.clone());
        let landing = Landing {
            shared: Arc::clone(&self.0),
            flight: flight.clone(),
            outcome: None,
        };
        runtime.spawn(async move {
            let mut landing = landing;
            let fetched = (landing.shared.fetch)().await;
            landing.outcome = Some(fetched);
        });
        Ok(flight)
    }

    fn attempts(&self) -> MutexGuard<'_, Attempts<T>> {
        self.0.attempts()
    }
}

impl<T> Shared<T> {
    fn attempts(&self) -> MutexGuard<'_, Attempts<T>> {
        // Nothing that is done under this lock can be left half done.
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is one flight at a time, so that nothing lands between this and its own landing.
    fn serial_of(&self, value: &T) -> u64 {
        match &*self.snapshot.load() {
            Some(former) if (self.is_same)(&former.value, value) => former.serial,
            former => former.as_ref().map_or(0, |former| former.serial) + 1,
        }
    }
}

/// The end of a flight, reached however it ends: a fetch that panicked or was dropped with its
/// runtime lands as a failure and leaves nobody waiting.
struct Landing<T> {
    shared: Arc<Shared<T>>,
    flight: Flight<T>,
    outcome: Option<Result<Fetched<T>, ProviderError>>,
}

impl<T> Drop for Landing<T> {
    fn drop(&mut self) {
        let shared = &self.shared;
        let now = shared.clock.monotonic();
        let fetched = self.outcome.take().unwrap_or_else(|| Err(lost()));
        let outcome = fetched.map(|fetched| {
            Arc::new(Snapshot {
                times: shared
                    .pace
                    .times(now, fetched.fresh_for, fetched.ahead, jitter()),
                serial: shared.serial_of(&fetched.value),
                value: fetched.value,
            })
        });
        let mut attempts = shared.attempts();
        match &outcome {
            Ok(snapshot) => {
                shared.snapshot.store(Some(Arc::clone(snapshot)));
                shared.glance.set(snapshot.serial, snapshot.times.renew_at);
                attempts.failures = 0;
                attempts.not_before = Duration::ZERO;
                attempts.last_error = None;
            }
            Err(error) => {
                attempts.failures = attempts.failures.saturating_add(1);
                let back_off = shared.pace.back_off(attempts.failures).max(error.pause());
                attempts.not_before = now.saturating_add(back_off);
                attempts.last_error = Some(error.clone());
            }
        }
        attempts.in_flight = None;
        drop(attempts);
        // The first that lands, and the last.
        let _ = self.flight.0.set(outcome);
    }
}

/// Up to five hundredths more or less, so that many processes do not ask at the same moment.
fn jitter() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    let drawn = RandomState::new().hash_one(0_u8) % 1_001;
    #[expect(clippy::cast_precision_loss, reason = "at most 1000")]
    let share = drawn as f64 / 1_000.0;
    (share - 0.5) * 0.1
}

/// How things stand, for readiness and logs.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) phase: Phase,
    pub(crate) age: Option<Duration>,
    pub(crate) last_error: Option<ProviderError>,
}

/// The states of a value that is fetched from the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Nobody has asked yet.
    Empty,
    /// At hand and within its lifetime.
    Fresh,
    /// At hand, and being renewed.
    Refreshing,
    /// Past its lifetime and still served, because the provider does not answer.
    Stale,
    /// Not to be had.
    Unavailable,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, UnixTime};
    use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

    const PACE: Pace = Pace {
        what: "test",
        ahead: Duration::from_secs(60),
        stale: Duration::from_secs(3600),
        first_back_off: Duration::from_secs(1),
        longest_back_off: Duration::from_secs(60),
    };

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn ks_11_and_ks_14_a_value_is_served_until_its_stale_limit() {
        let times = PACE.times(seconds(100), seconds(600), None, 0.0);
        let cases = [
            ("just fetched", 100, Step::Serve),
            ("a second before it is due", 639, Step::Serve),
            ("due", 640, Step::ServeAndRenew),
            ("stale", 700, Step::ServeAndRenew),
            ("at the end of staleness", 4299, Step::ServeAndRenew),
            ("gone", 4300, Step::Fetch),
        ];
        for (name, now, expected) in cases {
            assert_eq!(step(Some(&times), seconds(now)), expected, "{name}");
        }
        assert_eq!(step(None, seconds(0)), Step::Fetch, "nothing yet");
    }

    #[test]
    fn lm_09_no_duration_overflows() {
        let times = PACE.times(Duration::MAX, Duration::MAX, None, 0.05);
        assert_eq!(times.usable_until, Duration::MAX);
        assert_eq!(PACE.back_off(u32::MAX), seconds(60));
    }

    #[test]
    fn back_off_doubles_up_to_its_longest() {
        let waits: Vec<_> = (1..9).map(|n| PACE.back_off(n).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn a_short_lifetime_is_not_renewed_in_its_first_half() {
        let times = PACE.times(seconds(0), seconds(60), None, 0.05);
        assert_eq!(times.renew_at, seconds(30));
    }

    fn counting(
        clock: SharedClock,
        behave: impl Fn(u32) -> BoxFuture<Result<Fetched<u32>, ProviderError>> + Send + Sync + 'static,
    ) -> (Renew<u32>, Arc<AtomicU32>) {
        let count = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&count);
        let renew = Renew::new(clock, PACE, move || {
            behave(counted.fetch_add(1, Ordering::SeqCst) + 1)
        });
        (renew, count)
    }

    #[expect(clippy::unnecessary_wraps, reason = "the answer of a flight")]
    fn ok(value: u32) -> Result<Fetched<u32>, ProviderError> {
        Ok(Fetched {
            value,
            fresh_for: seconds(600),
            ahead: None,
        })
    }

    fn system_clock() -> SharedClock {
        SharedClock::system()
    }

    #[tokio::test]
    async fn ks_08_many_waiters_share_one_flight_and_leaving_harms_nobody() {
        let (renew, count) = counting(system_clock(), |n| {
            Box::pin(async move {
                tokio::task::yield_now().await;
                ok(n)
            })
        });
        // The one who starts the flight leaves at once.
        drop(renew.read());
        let waiters: Vec<_> = (0..500)
            .map(|_| {
                let renew = renew.clone();
                tokio::spawn(async move { renew.get().await.unwrap().value })
            })
            .collect();
        for waiter in waiters {
            assert_eq!(waiter.await.unwrap(), 1);
        }
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }

    /// Seconds, moved by hand.
    #[derive(Clone, Default)]
    struct Hand(Arc<AtomicU32>);

    impl Clock for Hand {
        fn now(&self) -> UnixTime {
            UnixTime::from_seconds(self.0.load(Ordering::SeqCst).into())
        }

        fn monotonic(&self) -> Duration {
            seconds(self.0.load(Ordering::SeqCst).into())
        }
    }

    #[tokio::test]
    async fn lm_01_a_serial_lasts_as_long_as_the_value_stays_the_same() {
        let values = [7, 7, 8];
        let renew = Renew::comparing(system_clock(), PACE, u32::eq, {
            let next = AtomicUsize::new(0);
            move || {
                let value = values[next.fetch_add(1, Ordering::SeqCst)];
                Box::pin(async move { ok(value) })
            }
        });
        let renewed = async || {
            let flight = renew.force(|| true).unwrap().unwrap();
            flight.landed().await.unwrap().serial
        };
        assert!(!renew.serves(0), "nothing is there, and a flight starts");
        assert_eq!(renew.get().await.unwrap().serial, 1);
        assert!(renew.serves(1) && !renew.serves(0) && !renew.serves(2));
        assert_eq!(renewed().await, 1, "7 again");
        assert!(renew.serves(1));
        assert_eq!(renewed().await, 2, "8");
        assert!(renew.serves(2) && !renew.serves(1));
    }

    #[tokio::test]
    async fn ks_11_to_ask_for_a_serial_starts_the_renewal_that_is_due() {
        let hand = Hand::default();
        let (renew, count) = counting(SharedClock::new(hand.clone()), |n| {
            Box::pin(async move { if n == 1 { ok(n) } else { Err(lost()) } })
        });
        renew.get().await.unwrap();
        for (now, serves, fetches) in [
            (500, true, 1),
            // Due; the renewal fails, and the value is served all the same.
            (599, true, 2),
            (599, true, 2),
            (4199, true, 3),
            // Gone, and too early for the next attempt.
            (4200, false, 3),
        ] {
            hand.0.store(now, Ordering::SeqCst);
            assert_eq!(renew.serves(1), serves, "at {now}");
            tokio::task::yield_now().await;
            assert_eq!(count.load(Ordering::SeqCst), fetches, "at {now}");
        }
    }

    #[tokio::test]
    async fn lm_10_a_panic_in_a_flight_leaves_nobody_waiting() {
        let (renew, count) = counting(system_clock(), |n| {
            Box::pin(async move {
                assert!(n > 1, "the first flight crashes");
                ok(n)
            })
        });
        let refusal = renew.get().await.err().unwrap();
        assert_eq!(refusal.error.kind(), ProviderErrorKind::Unreachable);
        assert!(refusal.retry_after > Duration::ZERO);
        // Within the back-off nobody asks again.
        assert!(renew.get().await.is_err());
        assert_eq!(count.load(Ordering::SeqCst), 1);
        assert_eq!(renew.state().phase, Phase::Unavailable);
    }

    #[test]
    fn without_a_runtime_the_answer_is_an_error() {
        let (renew, _) = counting(system_clock(), |n| Box::pin(async move { ok(n) }));
        match renew.read() {
            Reading::Refuse(refusal) => {
                assert_eq!(refusal.error.kind(), ProviderErrorKind::NoRuntime);
            }
            _ => panic!("there is nothing to run a flight on"),
        }
    }
}
