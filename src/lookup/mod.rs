//! What is looked up while requests wait: an async function of the application is asked about a name that a request
//! brings, such as the issuer of a token or the host of a site.
//!
//! 1. Requests with the same name wait for one look-up. It runs in a task of its own, which requests that end do not
//!    end. The number of look-ups is bounded ([`calls`]).
//! 2. An answer counts for a while, and so does that a name is not known ([`answers`]). In the last tenth of its time
//!    the application is asked again while requests go on.
//! 3. A look-up that is not made, fails, panics or takes too long says nothing about the name.

mod answers;
pub(crate) mod calls;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::clock::SharedClock;
use crate::error::{ConfigError, ProviderError, ProviderErrorKind, duration_within};
use crate::http_client::BoxFuture;
use crate::lookup::answers::Answers;
use crate::lookup::calls::{Begun, Calls, Manner};
use crate::renew::Refusal;

pub(crate) use self::answers::Found;

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How long a look-up may take.
const LONGEST: Duration = Duration::from_secs(10);

/// The most names that can be remembered.
const MOST: usize = 10_000;

const SHORTEST_LIFETIME: Duration = Duration::from_secs(1);
const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 3_600);

/// What is looked up, and what an answer means.
pub(crate) trait Subject: Send + Sync + 'static {
    /// What the application returns.
    type Answer: Send + 'static;

    /// What is remembered of a name that is known.
    type Value: Send + Sync + 'static;

    /// Why a name is not known.
    type Cause: Copy + Send + Sync + 'static;

    /// Why there is no answer.
    type Error: From<Refusal> + Clone + Send + Sync + 'static;

    const MANNER: Manner;

    const FAILURES: Failures;

    /// What the answer about a name means. `former`: what is remembered of the name, if anything is.
    fn judge(
        &self,
        name: &str,
        answer: Option<Self::Answer>,
        former: Option<&Self::Value>,
    ) -> Result<Self::Value, Self::Cause>;

    /// Counts a look-up that failed.
    fn count_failed();
}

/// What the errors say of look-ups that brought no answer.
pub(crate) struct Failures {
    pub(crate) failed: &'static str,
    pub(crate) panicked: &'static str,
    pub(crate) took_too_long: &'static str,
}

pub(crate) type Ask<A> =
    Box<dyn Fn(String) -> BoxFuture<Result<Option<A>, BoxError>> + Send + Sync>;

/// The function of an application, as a look-up asks it.
pub(crate) fn asking<L, F, E, A>(look_up: L) -> Ask<A>
where
    L: Fn(String) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Option<A>, E>> + Send + 'static,
    E: Into<BoxError> + 'static,
    A: 'static,
{
    Box::new(move |name| {
        let asked = look_up(name);
        Box::pin(async move { asked.await.map_err(Into::into) })
    })
}

/// Which of these two an application chose, checked.
pub(crate) struct Bounds {
    pub(crate) capacity: usize,
    pub(crate) lifetime: Duration,
}

/// Looks names up and remembers the answers. Clones share everything.
pub(crate) struct Lookups<S: Subject>(Arc<Inner<S>>);

struct Inner<S: Subject> {
    subject: S,
    ask: Ask<S::Answer>,
    clock: SharedClock,
    answers: Answers<S::Value, S::Cause>,
    calls: Calls<(Box<str>, u64), LookedUp<S>, S::Error>,
}

/// What the application said of a name.
pub(crate) enum LookedUp<S: Subject> {
    Found(Arc<Found<S::Value>>),
    Unknown(S::Cause),
}

impl<S: Subject> Lookups<S> {
    pub(crate) fn new(
        subject: S,
        ask: Ask<S::Answer>,
        bounds: &Bounds,
        clock: SharedClock,
    ) -> Self {
        Self(Arc::new(Inner {
            subject,
            ask,
            answers: Answers::new(bounds.capacity, bounds.lifetime),
            calls: Calls::new(S::MANNER, &clock),
            clock,
        }))
    }

    #[cfg(feature = "login")]
    pub(crate) fn subject(&self) -> &S {
        &self.0.subject
    }

    pub(crate) fn clock(&self) -> &SharedClock {
        &self.0.clock
    }

    /// Forgets what the application said of this name, and what it is saying now.
    pub(crate) fn forget(&self, name: &str) {
        self.0.answers.forget(name);
    }

    /// All that is remembered.
    #[cfg(feature = "login")]
    pub(crate) fn all(&self) -> Vec<Arc<Found<S::Value>>> {
        self.0.answers.all()
    }

    /// What belongs to this name, if the application said so a short while ago.
    pub(crate) fn known(&self, name: &str) -> Option<Arc<Found<S::Value>>> {
        let now = self.0.clock.monotonic();
        let found = self.0.answers.get(name, now)?;
        if found.is_to_be_asked_for(now) {
            self.ask_ahead(name);
        }
        Some(found)
    }

    /// Why this name is not known, if the application said so a short while ago.
    pub(crate) fn why_unknown(&self, name: &str) -> Option<S::Cause> {
        self.0.answers.why_unknown(name, self.0.clock.monotonic())
    }

    /// Asks the application, or waits for a look-up that is under way.
    pub(crate) async fn look_up(&self, name: &str) -> Result<LookedUp<S>, S::Error> {
        let generation = self.0.answers.generation();
        // It may have been looked up since the request came.
        let remembered = || {
            let now = self.0.clock.monotonic();
            let answers = &self.0.answers;
            let unknown = || answers.why_unknown(name, now).map(LookedUp::Unknown);
            let found = answers.get(name, now).map(LookedUp::Found);
            found.or_else(unknown).map(Ok)
        };
        match self.begin(name, generation, remembered)? {
            Begun::Before(answered) => answered,
            Begun::UnderWay(flight) => flight.landed().await,
            Begun::New(call) => {
                let asking = self.clone().ask(name.into(), generation);
                call.launch(asking).landed().await
            }
        }
    }

    /// Asks the application about a name that still counts, so that no request has to wait later. If it cannot be asked
    /// now, another request asks.
    #[cold]
    fn ask_ahead(&self, name: &str) {
        let generation = self.0.answers.generation();
        if let Ok(Begun::New(call)) = self.begin(name, generation, || None) {
            call.launch(self.clone().ask(name.into(), generation));
        }
    }

    fn begin(
        &self,
        name: &str,
        generation: u64,
        remembered: impl FnOnce() -> Option<Result<LookedUp<S>, S::Error>>,
    ) -> Result<Begun<LookedUp<S>, S::Error>, S::Error> {
        let is_known = self.0.answers.was_known(name);
        let key = (name.into(), generation);
        self.0.calls.begin(key, is_known, remembered)
    }

    /// One look-up, and what is remembered of it.
    async fn ask(
        self,
        name: Box<str>,
        generation: u64,
    ) -> Result<Result<LookedUp<S>, S::Error>, ProviderError> {
        let asked_at = self.0.clock.monotonic();
        let answer = self.answer(String::from(&*name)).await;
        let answer = answer.inspect_err(|_| S::count_failed())?;
        let answers = &self.0.answers;
        let former = answers.last(&name);
        let former = former.as_ref().map(|former| &former.value);
        Ok(Ok(match self.0.subject.judge(&name, answer, former) {
            Ok(value) => LookedUp::Found(answers.keep(&name, value, asked_at, generation)),
            Err(cause) => {
                answers.keep_unknown(&name, cause, asked_at, generation);
                LookedUp::Unknown(cause)
            }
        }))
    }

    /// What the function of the application answers.
    async fn answer(&self, name: String) -> Result<Option<S::Answer>, ProviderError> {
        let lookups = self.clone();
        // In a task of its own, so that a panic ends the task alone. It ends with the set, after its time.
        let mut asking = JoinSet::new();
        asking.spawn(async move { (lookups.0.ask)(name).await });
        let kind = ProviderErrorKind::SourceFailed;
        match tokio::time::timeout(LONGEST, asking.join_next()).await {
            Ok(Some(Ok(Ok(answer)))) => Ok(answer),
            Ok(Some(Ok(Err(error)))) => Err(ProviderError::caused(kind, S::FAILURES.failed, error)),
            Ok(_) => Err(ProviderError::new(kind, S::FAILURES.panicked)),
            Err(_) => Err(ProviderError::new(kind, S::FAILURES.took_too_long)),
        }
    }
}

impl Bounds {
    /// # Errors
    /// [`ConfigError`] naming the setting that is out of bounds. `named`: what the names are.
    pub(crate) fn check(
        &self,
        capacity: &'static str,
        named: &str,
        lifetime: &'static str,
    ) -> Result<(), ConfigError> {
        if !(1..=MOST).contains(&self.capacity) {
            return Err(ConfigError::out_of_bounds(
                capacity,
                self.capacity.to_string(),
                format!("choose from 1 to {MOST} {named}"),
            ));
        }
        duration_within(lifetime, self.lifetime, SHORTEST_LIFETIME, LONGEST_LIFETIME)?;
        Ok(())
    }
}

impl<S: Subject> Clone for Lookups<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: Subject> Clone for LookedUp<S> {
    fn clone(&self) -> Self {
        match self {
            Self::Found(found) => Self::Found(Arc::clone(found)),
            Self::Unknown(cause) => Self::Unknown(*cause),
        }
    }
}
