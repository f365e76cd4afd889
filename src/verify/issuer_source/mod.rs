//! Issuers that are not configured, from a source that is asked when their tokens come.
//!
//! 1. A token passes every check that needs no provider before the source is asked about its `iss`.
//! 2. Only an https URL of at most 512 bytes without user information, query or fragment is passed on. All addresses
//!    are those of the provider that the source returns.
//! 3. The provider counts only for an `iss` that it accepts, and for a while ([`found`]).
//! 4. Tokens with the same `iss` wait for one look-up, and the number of look-ups is bounded
//!    ([`calls`](crate::verify::calls)). A look-up that is not made or fails says nothing about the token.

mod found;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::allowance::Rate;
use crate::claims::Issuer;
use crate::clock::{Clock, SharedClock};
use crate::error::remedy::Cause;
use crate::error::setup::MOST_SHOWN;
use crate::error::{ConfigError, ProviderError, ProviderErrorKind, VerifyError};
use crate::log_pace::LogPace;
use crate::observe;
use crate::provider::{Provider, within};
use crate::settings::{ISSUER_CAPACITY, ISSUER_LIFETIME};
use crate::verify::calls::{Answered, Begun, Calls, Manner};

use self::found::FoundIssuers;
pub(super) use self::found::{FoundIssuer, LookedUp};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

type LookingUp = Pin<Box<dyn Future<Output = Result<Option<Provider>, BoxError>> + Send>>;

/// The longest `iss` that is passed on, in bytes.
const LONGEST_ISSUER: usize = 512;

/// How long a look-up may take.
const LONGEST: Duration = Duration::from_secs(10);

const CAPACITY: usize = 1_000;
const MOST: usize = 10_000;

const LIFETIME: Duration = Duration::from_secs(600);
const SHORTEST_LIFETIME: Duration = Duration::from_secs(1);
const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 3_600);

const MANNER: Manner = Manner {
    under_way: 16,
    rate: Rate {
        burst: 50,
        refill: Duration::from_millis(20),
    },
    // A stranger may choose an `iss` for which the source fails.
    pauses: false,
    broken_off: "the look-up of the issuer was broken off in this process",
    too_many: "too many tokens of issuers that would have to be looked up came at once",
    count_suppressed: || observe::issuer_looked_up("suppressed"),
};

/// Finds the providers of issuers that are not configured, for services with an issuer for each tenant.
///
/// It is made of an async function of the application, which gets the `iss` of a token and returns its [`Provider`], or
/// `None` if the application does not know that issuer:
///
/// ```
/// use std::collections::HashMap;
/// use tower_oidc::{ConfigError, IssuerSource, Provider};
///
/// # fn main() -> Result<(), ConfigError> {
/// // A real service asks its database. The addresses come from what it knows, and not from a token.
/// let mut tenants = HashMap::new();
/// for realm in ["blue", "green"] {
///     let provider = Provider::discover(&format!("https://id.example/realms/{realm}"))?;
///     tenants.insert(provider.issuer().to_string(), provider);
/// }
///
/// let source = IssuerSource::new(move |iss: String| {
///     let provider = tenants.get(&iss).cloned();
///     async move { Ok::<_, ConfigError>(provider) }
/// });
/// let verifier = source.verifier("https://api.example.com")?;
/// # Ok(())
/// # }
/// ```
///
/// [`Verifier::from_source`](crate::Verifier::from_source) makes a verifier with choices,
/// [`VerifierBuilder::with_issuer_source`](crate::VerifierBuilder::with_issuer_source) one with configured issuers
/// beside the source.
///
/// - **When it is asked.** A token of an issuer that is not configured first passes every check that needs no keys. Its
///   `iss` is passed on only if it is an https URL of at most 512 bytes without user information, query or fragment.
///   Tokens with the same `iss` wait for one look-up. It runs in a task of its own, which requests that end do not
///   end.
/// - **What its answer means.** A provider counts if it accepts exactly this `iss`; another one is logged and admits
///   nothing. It counts for ten minutes ([`with_lifetime`](IssuerSourceBuilder::with_lifetime)); in their last tenth
///   the source is asked again while requests go on. `None` refuses the token with 401 and `wrong_issuer`, and is
///   remembered for a minute. If the function returns an error, panics or takes longer than ten seconds, nothing is
///   known of the token: 503 with `Retry-After`. The error is logged as the application wrote it.
/// - **Bounds.** At most 1 000 issuers are remembered ([`with_capacity`](IssuerSourceBuilder::with_capacity)); the
///   least recently used one goes. At most 1 000 unknown ones are. At most 16 look-ups are under way and 50 a second
///   begin for issuers that are not known, and as many for those that are to be asked about again. Beyond that: 503
///   with `Retry-After`. Issuers that are configured or remembered are not affected.
///
/// Each provider fetches and caches its own keys. Return a clone of the same provider each time, as above: its keys are
/// then kept, and used while it is away. A new one fetches them first. Give many providers one
/// [`HttpClient`](crate::HttpClient), so that they share connections.
///
/// Clones share everything, so one source with one set of bounds serves any number of verifiers.
///
/// What has to name its issuers beforehand keeps to configured providers: introspection, because opaque tokens have no
/// `iss`; the sessions of a sign-in; and the [resource metadata](crate::ProtectedResource).
///
/// # Security
/// The `iss` is that of a stranger when the function gets it. Compare it with what the application knows. A provider
/// that is built from it lets anyone sign tokens for this service and make it call any host.
#[derive(Clone)]
pub struct IssuerSource(Arc<Inner>);

struct Inner {
    look_up: LookUp,
    clock: SharedClock,
    found: FoundIssuers,
    calls: Calls<(Box<str>, u64), LookedUp>,
    log: LogPace,
}

type LookUp = Box<dyn Fn(String) -> LookingUp + Send + Sync>;

/// The choices with which an [`IssuerSource`] is made.
#[must_use]
pub struct IssuerSourceBuilder {
    look_up: LookUp,
    capacity: usize,
    lifetime: Duration,
    clock: SharedClock,
}

impl IssuerSource {
    /// A source that asks this function, with all defaults.
    #[must_use]
    pub fn new<L, F, E>(look_up: L) -> Self
    where
        L: Fn(String) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Option<Provider>, E>> + Send + 'static,
        E: Into<BoxError> + 'static,
    {
        Self::builder(look_up).make()
    }

    /// A source that asks this function, with choices.
    pub fn builder<L, F, E>(look_up: L) -> IssuerSourceBuilder
    where
        L: Fn(String) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Option<Provider>, E>> + Send + 'static,
        E: Into<BoxError> + 'static,
    {
        let look_up = move |iss: String| -> LookingUp {
            let asked = look_up(iss);
            Box::pin(async move { asked.await.map_err(Into::into) })
        };
        IssuerSourceBuilder {
            look_up: Box::new(look_up),
            capacity: CAPACITY,
            lifetime: LIFETIME,
            clock: SharedClock::system(),
        }
    }

    /// Forgets what the function said of this issuer, and what it is about to say: for an application that adds a
    /// tenant, changes or removes one. The next token of the issuer is looked up. A token that was accepted before is
    /// too.
    ///
    /// Other replicas of the service do not learn of it.
    pub fn forget(&self, iss: &str) {
        self.0.found.forget(iss);
    }

    pub(super) fn clock(&self) -> &SharedClock {
        &self.0.clock
    }

    /// The issuer with this text, if the source knew it a short while ago.
    pub(super) fn known(&self, iss: &str) -> Option<Arc<FoundIssuer>> {
        let now = self.0.clock.monotonic();
        let found = self.0.found.get(iss, now)?;
        if found.is_to_be_asked_for(now) {
            self.ask_ahead(iss);
        }
        Some(found)
    }

    /// Why the issuer with this text is not known, if the source said so a short while ago.
    pub(super) fn why_unknown(&self, iss: &str) -> Option<Cause> {
        self.0.found.why_unknown(iss, self.0.clock.monotonic())
    }

    /// Asks the source, or waits for a look-up that is under way.
    pub(super) async fn look_up(&self, iss: &str) -> Result<LookedUp, VerifyError> {
        let generation = self.0.found.generation();
        // It may have been looked up since the token came.
        let remembered = || {
            let now = self.0.clock.monotonic();
            let unknown = || self.0.found.why_unknown(iss, now).map(LookedUp::Unknown);
            let found = self.0.found.get(iss, now).map(LookedUp::Found);
            found.or_else(unknown).map(Ok)
        };
        match self.begin(iss, generation, remembered)? {
            Begun::Before(answered) => answered,
            Begun::UnderWay(flight) => flight.landed().await,
            Begun::New(call) => {
                let asking = self.clone().ask(iss.into(), generation);
                call.launch(asking).landed().await
            }
        }
    }

    /// Asks the source about an issuer that still counts, so that no request has to wait later. If it cannot be asked
    /// now, another request asks.
    #[cold]
    fn ask_ahead(&self, iss: &str) {
        let generation = self.0.found.generation();
        if let Ok(Begun::New(call)) = self.begin(iss, generation, || None) {
            call.launch(self.clone().ask(iss.into(), generation));
        }
    }

    fn begin(
        &self,
        iss: &str,
        generation: u64,
        remembered: impl FnOnce() -> Option<Answered<LookedUp>>,
    ) -> Result<Begun<LookedUp>, VerifyError> {
        let is_known = self.0.found.was_known(iss);
        let key = (iss.into(), generation);
        self.0.calls.begin(key, is_known, remembered)
    }

    /// One look-up, and what is remembered of it.
    async fn ask(
        self,
        iss: Box<str>,
        generation: u64,
    ) -> Result<Answered<LookedUp>, ProviderError> {
        let asked_at = self.0.clock.monotonic();
        let answer = self.answer(String::from(&*iss)).await;
        let provider = answer.inspect_err(|_| observe::issuer_looked_up("failed"))?;
        let accepts = |provider: &Provider| {
            let mut accepted = provider.accepted_issuers().iter();
            accepted
                .find(|named| named.issuer.as_str() == &*iss)
                .cloned()
        };
        let found = &self.0.found;
        let cause = match provider.map(|provider| (accepts(&provider), provider)) {
            Some((Some(named), provider)) => {
                observe::issuer_looked_up("found");
                let issuer = found.keep(named, provider, asked_at, generation);
                return Ok(Ok(LookedUp::Found(issuer)));
            }
            Some((None, other)) => {
                observe::issuer_looked_up("other_provider");
                self.tell_of_other(&iss, &other);
                Cause::OtherProviderInSource
            }
            None => {
                observe::issuer_looked_up("unknown");
                Cause::UnknownToSource
            }
        };
        found.keep_unknown(&iss, cause, asked_at, generation);
        Ok(Ok(LookedUp::Unknown(cause)))
    }

    /// What the function of the application answers.
    async fn answer(&self, iss: String) -> Result<Option<Provider>, ProviderError> {
        let source = self.clone();
        // In a task of its own, so that a panic ends the task alone. It ends with the set, after its time.
        let mut asking = JoinSet::new();
        asking.spawn(async move { (source.0.look_up)(iss).await });
        let failed = |message| ProviderError::new(ProviderErrorKind::SourceFailed, message);
        match tokio::time::timeout(LONGEST, asking.join_next()).await {
            Ok(Some(Ok(Ok(provider)))) => Ok(provider),
            Ok(Some(Ok(Err(error)))) => Err(ProviderError::caused(
                ProviderErrorKind::SourceFailed,
                "the issuer source failed",
                error,
            )),
            Ok(_) => Err(failed("the issuer source panicked")),
            Err(_) => Err(failed("the issuer source took longer than ten seconds")),
        }
    }

    fn tell_of_other(&self, iss: &str, provider: &Provider) {
        if self.0.log.is_due(0) {
            let mut end = iss.len().min(MOST_SHOWN);
            while !iss.is_char_boundary(end) {
                end -= 1;
            }
            tracing::warn!(
                iss = ?&iss[..end],
                returned = provider.issuer().as_str(),
                "the issuer source returned a provider that has another issuer, so tokens of this one are refused; \
                 return the provider whose issuer is exactly the iss that was asked for"
            );
        }
    }
}

impl IssuerSourceBuilder {
    /// Remembers so many issuers; the least recently used one goes. Default: 1 000; from 1 to 10 000.
    pub fn with_capacity(mut self, issuers: usize) -> Self {
        self.capacity = issuers;
        self
    }

    /// How long an issuer counts before the function has to be asked again. A tenant that the application removed is
    /// refused after this time at the latest, tokens that were accepted before included. Default: 10 minutes; from one
    /// second to 24 hours. [`IssuerSource::forget`] ends it at once.
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// The clock for the age of answers and the bounds. Default: the system's.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = SharedClock::new(clock);
        self
    }

    /// The source.
    ///
    /// # Errors
    /// [`ConfigError`] if a number is out of bounds.
    pub fn build(self) -> Result<IssuerSource, ConfigError> {
        if !(1..=MOST).contains(&self.capacity) {
            return Err(ConfigError::out_of_bounds(
                ISSUER_CAPACITY,
                self.capacity.to_string(),
                format!("choose from 1 to {MOST} issuers"),
            ));
        }
        within(
            ISSUER_LIFETIME,
            self.lifetime,
            SHORTEST_LIFETIME,
            LONGEST_LIFETIME,
        )?;
        Ok(self.make())
    }

    fn make(self) -> IssuerSource {
        IssuerSource(Arc::new(Inner {
            look_up: self.look_up,
            found: FoundIssuers::new(self.capacity, self.lifetime),
            calls: Calls::new(MANNER, &self.clock),
            log: LogPace::new(self.clock.clone()),
            clock: self.clock,
        }))
    }
}

/// Whether an `iss` may be passed on to a source.
pub(super) fn may_be_looked_up(iss: &str) -> bool {
    let Some(rest) = iss.strip_prefix("https://") else {
        return false;
    };
    let authority = rest.split('/').next().unwrap_or_default();
    iss.len() <= LONGEST_ISSUER
        // The parser would forgive some of the others.
        && iss.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
        && !authority.contains('@')
        && Issuer::new(iss).is_ok()
}

impl fmt::Debug for IssuerSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("IssuerSource")
    }
}

impl fmt::Debug for IssuerSourceBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("IssuerSourceBuilder")
            .field("capacity", &self.capacity)
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}
