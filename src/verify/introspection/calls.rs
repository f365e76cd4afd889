//! The calls to the introspection endpoint: one for each token, so many at once, so many a second.
//!
//! Tokens that were active when the provider was last asked have a bound of their own, so that strangers with
//! made-up tokens cannot use up what callers need whom the provider knows. A call that is not made says nothing
//! about the token.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::allowance::{Allowance, Rate};
use crate::clock::SharedClock;
use crate::error::{ProviderError, ProviderErrorKind, VerifyError};
use crate::flight::{Flight, FlightGuard};
use crate::observe;
use crate::principal::Principal;
use crate::renew::Refusal;
use crate::verify::introspection::memory::Digest;

/// What came of asking about a token.
pub(super) type Answered = Result<Principal, VerifyError>;

/// Calls under way at once, of each of the two bounds.
const UNDER_WAY: usize = 32;

/// Calls a second, of each of the two bounds.
const RATE: Rate = Rate {
    burst: 100,
    refill: Duration::from_millis(10),
};

/// The pause after a call without an answer. It doubles with each further one.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub(super) struct Calls(Arc<Shared>);

struct Shared {
    flights: Mutex<HashMap<Digest, Flight<Answered>>>,
    of_strangers: Bound,
    of_known: Bound,
    clock: SharedClock,
}

struct Bound {
    places: Arc<Semaphore>,
    rate: Allowance,
    trouble: Mutex<Trouble>,
}

/// The failures since the last answer.
#[derive(Default)]
struct Trouble {
    failures: u32,
    /// The monotonic time at which the last of them was counted.
    counted_at: Duration,
    pause: Option<(Duration, ProviderError)>,
}

/// What becomes of a token that is asked about.
pub(super) enum Begun {
    /// The provider has answered already.
    Before(Answered),
    UnderWay(Flight<Answered>),
    New(Call),
}

/// A call that may be made.
pub(super) struct Call {
    flight: Flight<Answered>,
    guard: FlightGuard<Answered, OnLanding>,
    runtime: Handle,
    place: Place,
}

type OnLanding = Box<dyn FnOnce(&Answered) + Send>;

/// One of the places for calls under way.
struct Place {
    shared: Arc<Shared>,
    is_known: bool,
    began_at: Duration,
    _permit: OwnedSemaphorePermit,
}

impl Calls {
    pub(super) fn new(clock: SharedClock) -> Self {
        let bound = || Bound {
            places: Arc::new(Semaphore::new(UNDER_WAY)),
            rate: Allowance::of(RATE, clock.monotonic()),
            trouble: Mutex::default(),
        };
        Self(Arc::new(Shared {
            flights: Mutex::default(),
            of_strangers: bound(),
            of_known: bound(),
            clock,
        }))
    }

    /// Joins the call about a token, or takes a place for one. `is_known`: the provider has called it active before.
    pub(super) fn begin(
        &self,
        digest: Digest,
        is_known: bool,
        remembered: impl FnOnce() -> Option<Answered>,
    ) -> Result<Begun, VerifyError> {
        let Ok(runtime) = Handle::try_current() else {
            return Err(Refusal::for_want_of_a_runtime().into());
        };
        let begun = self.begin_in(&mut self.0.flights(), runtime, digest, is_known, remembered);
        // Counted without the lock, because a recorder of metrics is foreign code.
        begun.inspect_err(|_| observe::introspected("suppressed"))
    }

    fn begin_in(
        &self,
        flights: &mut HashMap<Digest, Flight<Answered>>,
        runtime: Handle,
        digest: Digest,
        is_known: bool,
        remembered: impl FnOnce() -> Option<Answered>,
    ) -> Result<Begun, VerifyError> {
        if let Some(flight) = flights.get(&digest) {
            return Ok(Begun::UnderWay(flight.clone()));
        }
        // A call is remembered before it is no longer under way.
        if let Some(answered) = remembered() {
            return Ok(Begun::Before(answered));
        }
        let place = self.0.place(is_known)?;
        let shared = Arc::clone(&self.0);
        let forget: OnLanding = Box::new(move |_| {
            let flight = shared.flights().remove(&digest);
            drop(flight);
        });
        let lost = ProviderError::new(
            ProviderErrorKind::BrokenOff,
            "the call to the introspection endpoint was broken off in this process",
        );
        let lost = Err(VerifyError::unavailable(lost, SHORTEST_PAUSE));
        let (flight, guard) = FlightGuard::new(lost, forget);
        flights.insert(digest, flight.clone());
        Ok(Begun::New(Call {
            flight,
            guard,
            runtime,
            place,
        }))
    }
}

impl Call {
    /// Makes the call in a task of its own, which callers who leave do not end. Its error says why the provider gave no
    /// answer.
    pub(super) fn launch(
        self,
        asking: impl Future<Output = Result<Answered, ProviderError>> + Send + 'static,
    ) -> Flight<Answered> {
        let place = self.place;
        self.guard.launch(&self.runtime, async move {
            match asking.await {
                Ok(answered) => {
                    place.succeeded();
                    answered
                }
                Err(error) => {
                    let pause = place.failed(&error);
                    Err(VerifyError::unavailable(error, pause))
                }
            }
        });
        self.flight
    }
}

impl Shared {
    fn flights(&self) -> MutexGuard<'_, HashMap<Digest, Flight<Answered>>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bound(&self, is_known: bool) -> &Bound {
        if is_known {
            &self.of_known
        } else {
            &self.of_strangers
        }
    }

    fn place(self: &Arc<Self>, is_known: bool) -> Result<Place, VerifyError> {
        let now = self.clock.monotonic();
        let bound = self.bound(is_known);
        if let Some((until, error)) = &bound.trouble().pause
            && now < *until
        {
            let pause = until.saturating_sub(now);
            return Err(VerifyError::unavailable(error.clone(), pause));
        }
        let permit = Arc::clone(&bound.places).try_acquire_owned().ok();
        let permit = permit.filter(|_| bound.rate.take(now));
        let Some(permit) = permit else {
            let error = ProviderError::new(
                ProviderErrorKind::Suppressed,
                "too many tokens that the provider would have to be asked about came at once",
            );
            return Err(VerifyError::unavailable(error, SHORTEST_PAUSE));
        };
        Ok(Place {
            shared: Arc::clone(self),
            is_known,
            began_at: now,
            _permit: permit,
        })
    }
}

impl Place {
    fn succeeded(&self) {
        let mut trouble = self.shared.bound(self.is_known).trouble();
        let former = std::mem::take(&mut *trouble);
        drop(trouble);
        drop(former);
    }

    /// Counts a failure, and returns how long no further call is made. Calls that were under way together count once.
    fn failed(&self, error: &ProviderError) -> Duration {
        let now = self.shared.clock.monotonic();
        let mut trouble = self.shared.bound(self.is_known).trouble();
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

impl Bound {
    fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
