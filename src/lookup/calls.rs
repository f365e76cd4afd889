//! The calls that requests cause: one for each key, so many at once, so many a second.
//!
//! What is known has a bound of its own, so that strangers with made-up tokens or hosts cannot use up what callers need
//! whose token, issuer or host is known. A call that is not made says nothing about what was to be asked.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::allowance::{Allowance, Rate};
use crate::clock::SharedClock;
use crate::error::{ProviderError, ProviderErrorKind};
use crate::flight::{Flight, FlightGuard};
use crate::renew::Refusal;

/// What the calls are, and their bounds.
#[derive(Clone, Copy)]
pub(crate) struct Manner {
    /// Calls under way at once, of each of the two bounds.
    pub(crate) under_way: usize,
    /// Calls a second, of each of the two bounds.
    pub(crate) rate: Rate,
    /// Whether no further call is made for a while after one without an answer. Not where strangers choose what is
    /// asked, and some of it may never be answered.
    pub(crate) pauses: bool,
    /// What the error says of a call that was broken off in this process.
    pub(crate) broken_off: &'static str,
    /// What the error says beyond the bounds.
    pub(crate) too_many: &'static str,
    /// Counts a call that is not made beyond the bounds.
    pub(crate) count_suppressed: fn(),
}

/// The pause after a call without an answer. It doubles with each further one.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Calls that are known by a `K` and bring a `V`, or an `E` that says why there is none.
pub(crate) struct Calls<K, V, E> {
    flights: Arc<Flights<K, V, E>>,
    of_strangers: Arc<Bound>,
    of_known: Arc<Bound>,
}

struct Flights<K, V, E>(Mutex<HashMap<K, Flight<Result<V, E>>>>);

struct Bound {
    manner: Manner,
    places: Arc<Semaphore>,
    rate: Allowance,
    trouble: Mutex<Trouble>,
    clock: SharedClock,
}

/// The failures since the last answer.
#[derive(Default)]
struct Trouble {
    failures: u32,
    /// The monotonic time at which the last of them was counted.
    counted_at: Duration,
    pause: Option<(Duration, ProviderError)>,
}

/// Where the answer comes from.
pub(crate) enum Begun<V, E> {
    /// It was answered already.
    Before(Result<V, E>),
    UnderWay(Flight<Result<V, E>>),
    New(Call<V, E>),
}

/// A call that may be made.
pub(crate) struct Call<V, E> {
    flight: Flight<Result<V, E>>,
    guard: FlightGuard<Result<V, E>, OnLanding<V, E>>,
    runtime: Handle,
    place: Place,
}

type OnLanding<V, E> = Box<dyn FnOnce(&Result<V, E>) + Send>;

/// One of the places for calls under way.
struct Place {
    bound: Arc<Bound>,
    began_at: Duration,
    _permit: OwnedSemaphorePermit,
}

impl<K, V, E> Calls<K, V, E>
where
    K: Hash + Eq + Clone + Send + 'static,
    V: Clone + Send + Sync + 'static,
    E: From<Refusal> + Clone + Send + Sync + 'static,
{
    pub(crate) fn new(manner: Manner, clock: &SharedClock) -> Self {
        let bound = || {
            Arc::new(Bound {
                manner,
                places: Arc::new(Semaphore::new(manner.under_way)),
                rate: Allowance::of(manner.rate, clock.monotonic()),
                trouble: Mutex::default(),
                clock: clock.clone(),
            })
        };
        Self {
            flights: Arc::new(Flights(Mutex::default())),
            of_strangers: bound(),
            of_known: bound(),
        }
    }

    /// Joins the call with this key, or takes a place for one. `is_known`: there was an answer before that strangers
    /// cannot cause.
    pub(crate) fn begin(
        &self,
        key: K,
        is_known: bool,
        remembered: impl FnOnce() -> Option<Result<V, E>>,
    ) -> Result<Begun<V, E>, E> {
        let Ok(runtime) = Handle::try_current() else {
            return Err(Refusal::for_want_of_a_runtime().into());
        };
        let begun = self.begin_in(&mut self.flights.lock(), runtime, key, is_known, remembered);
        // Counted without the lock, because a recorder of metrics is foreign code.
        begun.inspect_err(|_| (self.of_known.manner.count_suppressed)())
    }

    fn begin_in(
        &self,
        flights: &mut HashMap<K, Flight<Result<V, E>>>,
        runtime: Handle,
        key: K,
        is_known: bool,
        remembered: impl FnOnce() -> Option<Result<V, E>>,
    ) -> Result<Begun<V, E>, E> {
        if let Some(flight) = flights.get(&key) {
            return Ok(Begun::UnderWay(flight.clone()));
        }
        // A call is remembered before it is no longer under way.
        if let Some(answered) = remembered() {
            return Ok(Begun::Before(answered));
        }
        let bound = if is_known {
            &self.of_known
        } else {
            &self.of_strangers
        };
        let place = bound.place()?;
        let shared = Arc::clone(&self.flights);
        let landed = key.clone();
        let forget: OnLanding<V, E> = Box::new(move |_| {
            let flight = shared.lock().remove(&landed);
            drop(flight);
        });
        let lost = ProviderError::new(ProviderErrorKind::BrokenOff, bound.manner.broken_off);
        let lost = Err(refusal(lost, SHORTEST_PAUSE).into());
        let (flight, guard) = FlightGuard::new(lost, forget);
        flights.insert(key, flight.clone());
        Ok(Begun::New(Call {
            flight,
            guard,
            runtime,
            place,
        }))
    }
}

impl<V, E> Call<V, E>
where
    V: Clone + Send + Sync + 'static,
    E: From<Refusal> + Clone + Send + Sync + 'static,
{
    /// Makes the call in a task of its own, which callers who leave do not end. Its error says why there was no
    /// answer.
    pub(crate) fn launch(
        self,
        asking: impl Future<Output = Result<Result<V, E>, ProviderError>> + Send + 'static,
    ) -> Flight<Result<V, E>> {
        let place = self.place;
        self.guard.launch(&self.runtime, async move {
            match asking.await {
                Ok(answered) => {
                    place.succeeded();
                    answered
                }
                Err(error) => {
                    let pause = place.failed(&error);
                    Err(refusal(error, pause).into())
                }
            }
        });
        self.flight
    }
}

impl<K, V, E> Flights<K, V, E> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, Flight<Result<V, E>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bound {
    fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(self: &Arc<Self>) -> Result<Place, Refusal> {
        let now = self.clock.monotonic();
        if let Some((until, error)) = &self.trouble().pause
            && now < *until
        {
            let pause = until.saturating_sub(now);
            return Err(refusal(error.clone(), pause));
        }
        let permit = Arc::clone(&self.places).try_acquire_owned().ok();
        let permit = permit.filter(|_| self.rate.take(now));
        let Some(permit) = permit else {
            let error = ProviderError::new(ProviderErrorKind::Suppressed, self.manner.too_many);
            return Err(refusal(error, SHORTEST_PAUSE));
        };
        Ok(Place {
            bound: Arc::clone(self),
            began_at: now,
            _permit: permit,
        })
    }
}

impl Place {
    fn succeeded(&self) {
        let mut trouble = self.bound.trouble();
        let former = std::mem::take(&mut *trouble);
        drop(trouble);
        drop(former);
    }

    /// Counts a failure, and returns how long no further call is made. Calls that were under way together count once.
    fn failed(&self, error: &ProviderError) -> Duration {
        if !self.bound.manner.pauses {
            return SHORTEST_PAUSE;
        }
        let now = self.bound.clock.monotonic();
        let mut trouble = self.bound.trouble();
        if let Some((until, _)) = &trouble.pause
            && self.began_at <= trouble.counted_at
        {
            return until.saturating_sub(now);
        }
        let doubled = SHORTEST_PAUSE.saturating_mul(1 << trouble.failures.min(6));
        let pause = doubled.max(error.pause()).min(LONGEST_PAUSE);
        trouble.failures = trouble.failures.saturating_add(1);
        trouble.counted_at = now;
        let next = (now.saturating_add(pause), error.clone());
        let former = trouble.pause.replace(next);
        drop(trouble);
        drop(former);
        pause
    }
}

fn refusal(error: ProviderError, retry_after: Duration) -> Refusal {
    Refusal { error, retry_after }
}
