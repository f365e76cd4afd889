//! Issuers that are not configured, from a source that is asked when their tokens come.
//!
//! 1. A token passes every check that needs no provider before the source is asked about its `iss`.
//! 2. Only an https URL of at most 512 bytes without user information, query or fragment is passed on. All addresses
//!    are those of the provider that the source returns.
//! 3. The provider counts only for an `iss` that it accepts, and for a while.
//! 4. Tokens with the same `iss` wait for one look-up, and the number of look-ups is bounded
//!    ([`lookup`](crate::lookup)). A look-up that is not made or fails says nothing about the token.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::allowance::Rate;
use crate::claims::Issuer;
use crate::clock::{Clock, SharedClock};
use crate::error::remedy::Cause;
use crate::error::setup::MOST_SHOWN;
use crate::error::{ConfigError, VerifyError};
use crate::log_pace::LogPace;
use crate::lookup::calls::Manner;
use crate::lookup::{Ask, Bounds, BoxError, Failures, Found, Lookups, Subject, asking};
use crate::observe;
use crate::provider::Provider;
use crate::settings::{ISSUER_CAPACITY, ISSUER_LIFETIME};
use crate::verify::trusted::Trusted;

/// The longest `iss` that is passed on, in bytes.
const LONGEST_ISSUER: usize = 512;

const CAPACITY: usize = 1_000;

const LIFETIME: Duration = Duration::from_secs(600);

/// The number of the first issuer that is found. Lists of configured issuers are shorter.
const FIRST: u64 = 1 << 32;

/// An issuer whose provider the source named.
pub(super) type FoundIssuer = Found<Trusted>;

/// What the source said of an issuer.
pub(super) type LookedUp = crate::lookup::LookedUp<Issuers>;

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
pub struct IssuerSource(Lookups<Issuers>);

/// The issuers that are looked up.
pub(super) struct Issuers {
    log: LogPace,
    /// The number of the next issuer that is found. Each is of one provider.
    next: AtomicU64,
}

/// The choices with which an [`IssuerSource`] is made.
#[must_use]
pub struct IssuerSourceBuilder {
    ask: Ask<Provider>,
    bounds: Bounds,
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
        IssuerSourceBuilder {
            ask: asking(look_up),
            bounds: Bounds {
                capacity: CAPACITY,
                lifetime: LIFETIME,
            },
            clock: SharedClock::system(),
        }
    }

    /// Forgets what the function said of this issuer, and what it is about to say: for an application that adds a
    /// tenant, changes or removes one. The next token of the issuer is looked up. A token that was accepted before is
    /// too.
    ///
    /// Other replicas of the service do not learn of it.
    pub fn forget(&self, iss: &str) {
        self.0.forget(iss);
    }

    pub(super) fn clock(&self) -> &SharedClock {
        self.0.clock()
    }

    /// The issuer with this text, if the source knew it a short while ago.
    pub(super) fn known(&self, iss: &str) -> Option<Arc<FoundIssuer>> {
        self.0.known(iss)
    }

    /// Why the issuer with this text is not known, if the source said so a short while ago.
    pub(super) fn why_unknown(&self, iss: &str) -> Option<Cause> {
        self.0.why_unknown(iss)
    }

    /// Asks the source, or waits for a look-up that is under way.
    pub(super) async fn look_up(&self, iss: &str) -> Result<LookedUp, VerifyError> {
        self.0.look_up(iss).await
    }
}

impl Subject for Issuers {
    type Answer = Provider;
    type Value = Trusted;
    type Cause = Cause;
    type Error = VerifyError;

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

    const FAILURES: Failures = Failures {
        failed: "the issuer source failed",
        panicked: "the issuer source panicked",
        took_too_long: "the issuer source took longer than ten seconds",
    };

    fn judge(
        &self,
        iss: &str,
        answer: Option<Provider>,
        former: Option<&Trusted>,
    ) -> Result<Trusted, Cause> {
        let Some(provider) = answer else {
            observe::issuer_looked_up("unknown");
            return Err(Cause::UnknownToSource);
        };
        let mut accepted = provider.accepted_issuers().iter();
        let Some(named) = accepted.find(|named| named.issuer.as_str() == iss).cloned() else {
            observe::issuer_looked_up("other_provider");
            self.tell_of_other(iss, &provider);
            return Err(Cause::OtherProviderInSource);
        };
        observe::issuer_looked_up("found");
        // Tokens that were accepted by the same provider are remembered as long as it stays.
        let same = former.filter(|former| former.provider.is_same(&provider));
        let place = match same {
            Some(former) => former.place,
            None => self.next.fetch_add(1, Ordering::Relaxed),
        };
        Ok(Trusted {
            named,
            provider,
            place,
        })
    }

    fn count_failed() {
        observe::issuer_looked_up("failed");
    }
}

impl Issuers {
    fn new(clock: &SharedClock) -> Self {
        Self {
            log: LogPace::new(clock.clone()),
            next: AtomicU64::new(FIRST + 1),
        }
    }

    fn tell_of_other(&self, iss: &str, provider: &Provider) {
        if self.log.is_due(0) {
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
        self.bounds.capacity = issuers;
        self
    }

    /// How long an issuer counts before the function has to be asked again. A tenant that the application removed is
    /// refused after this time at the latest, tokens that were accepted before included. Default: 10 minutes; from one
    /// second to 24 hours. [`IssuerSource::forget`] ends it at once.
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.bounds.lifetime = lifetime;
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
        self.bounds
            .check(ISSUER_CAPACITY, "issuers", ISSUER_LIFETIME)?;
        Ok(self.make())
    }

    fn make(self) -> IssuerSource {
        let issuers = Issuers::new(&self.clock);
        IssuerSource(Lookups::new(issuers, self.ask, &self.bounds, self.clock))
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
            .field("capacity", &self.bounds.capacity)
            .field("lifetime", &self.bounds.lifetime)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "reqwest"))]
mod tests {
    use super::*;

    // D39
    #[test]
    fn no_number_is_used_for_two_providers() {
        const ISS: &str = "https://id.example";
        let provider = || Provider::discover(ISS).unwrap();
        let issuers = Issuers::new(&SharedClock::system());
        let judge = |provider: &Provider, former: Option<&Trusted>| {
            let answer = Some(provider.clone());
            issuers.judge(ISS, answer, former).ok().unwrap()
        };
        let (one, two) = (provider(), provider());
        let first = judge(&one, None);
        assert_eq!(judge(&one, Some(&first)).place, first.place, "the same");
        let second = judge(&two, Some(&first));
        let third = judge(&one, Some(&second));
        let forgotten = judge(&one, None);
        let numbers = [first, second, third, forgotten].map(|found| found.place);
        assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
        assert!(numbers[0] > FIRST);
    }
}
