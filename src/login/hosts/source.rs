//! Sites that are not configured, from a source that is asked when requests for their hosts come.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::allowance::Rate;
use crate::clock::{Clock, SharedClock};
use crate::error::ConfigError;
use crate::log_pace::LogPace;
use crate::login::hosts::host::without_https_port;
use crate::login::hosts::site::LoginSite;
use crate::login::sessions::background::Background;
use crate::lookup::calls::Manner;
use crate::lookup::{Ask, Bounds, BoxError, Failures, LookedUp, Lookups, Subject, asking};
use crate::observe;
use crate::renew::Refusal;
use crate::settings::{SITE_CAPACITY, SITE_LIFETIME};

const CAPACITY: usize = 100;

const LIFETIME: Duration = Duration::from_secs(300);

/// Finds the sites of hosts that are not configured, for a program whose tenants are in a database. For
/// [`LoginHosts`](crate::login::LoginHosts).
///
/// It is made of an async function of the application, which gets the host of a request and returns the
/// [`LoginLayer`](crate::LoginLayer) or [`LoginSet`](crate::login::LoginSet) of that site, or `None` if there is none:
///
/// ```
/// use std::collections::HashMap;
/// use tower_oidc::login::{LoginHosts, SiteSource};
/// use tower_oidc::{Client, ConfigError, KeyRing, LoginLayer, Provider};
///
/// # fn main() -> Result<(), ConfigError> {
/// // A real program asks its database, and makes a layer when the row of a tenant has changed.
/// let mut tenants = HashMap::new();
/// for tenant in ["a", "b"] {
///     let issuer = format!("https://id.example/realms/{tenant}");
///     let verifier = Provider::discover(&issuer)?.verifier("https://api.example.com")?;
///     let client = Client::with_secret("site", "its secret")?;
///     let keys = KeyRing::new(["thirty-two characters or more of secret"])?;
///     let address = format!("https://{tenant}.example");
///     let login = LoginLayer::builder(verifier, client, &address, keys).build()?;
///     tenants.insert(format!("{tenant}.example"), login);
/// }
///
/// let source = SiteSource::new(move |host: String| {
///     let login = tenants.get(&host).cloned();
///     async move { Ok::<_, ConfigError>(login) }
/// });
/// let logins = LoginHosts::from_source(&source);
/// # Ok(())
/// # }
/// ```
///
/// - **When it is asked.** The host is in lower case, with its port unless that is 443. Requests with the same host wait
///   for one look-up. It runs in a task of its own, which requests that end do not end.
/// - **What its answer means.** A site counts only if its own address has this host; another one is logged and serves no
///   request. It counts for five minutes ([`with_lifetime`](SiteSourceBuilder::with_lifetime)); in their last tenth the
///   function is asked again while requests go on. `None` is answered 421, and is remembered for a minute. If the
///   function returns an error, panics or takes longer than ten seconds, nothing is known of the host: 503 with
///   `Retry-After`. The error is logged as the application wrote it.
/// - **Bounds.** At most 100 sites are remembered ([`with_capacity`](SiteSourceBuilder::with_capacity)); the least
///   recently used one goes. At most 1 000 unknown hosts are. At most 16 look-ups are under way and 50 a second begin
///   for hosts that are not known, and as many for those that are to be asked about again. Beyond that: 503 with
///   `Retry-After`. Hosts that are configured or remembered are not affected.
///
/// Return a clone of the same layer while nothing has changed, as above: it keeps the provider's keys and the sessions
/// that it has opened, up to 400 KiB. A new layer begins without them. Give all layers of a site one store, because a
/// layer without one keeps its sessions to itself, and they end with it. With a store, sessions go on under the new
/// layer, if issuer, client, address and secrets are the same. Requests that a replaced layer has begun are served to
/// their end, and its refreshes are stored; [`LoginHosts::drain`](crate::login::LoginHosts::drain) waits for these too.
///
/// Clones share everything.
///
/// # Security
/// The host is that of a stranger when the function gets it. Compare it with what the application knows, and build the
/// address of a site from that.
#[derive(Clone)]
pub struct SiteSource(Lookups<Sites>);

/// The sites that are looked up.
struct Sites {
    log: LogPace,
    /// The background work of every layer that is in use or still has some.
    background: Mutex<Vec<Background>>,
    is_draining: AtomicBool,
}

/// The choices with which a [`SiteSource`] is made.
#[must_use]
pub struct SiteSourceBuilder {
    ask: Ask<LoginSite>,
    bounds: Bounds,
    clock: SharedClock,
}

/// What a source knows of a host.
pub(super) enum Known {
    Site(LoginSite),
    /// It belongs to no site.
    Unknown,
    /// The source must be asked.
    NotYet,
}

/// Why a host is not known.
#[derive(Clone, Copy)]
struct NoSite;

impl SiteSource {
    /// A source that asks this function, with all defaults.
    #[must_use]
    pub fn new<L, F, T, E>(look_up: L) -> Self
    where
        L: Fn(String) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Option<T>, E>> + Send + 'static,
        T: Into<LoginSite> + 'static,
        E: Into<BoxError> + 'static,
    {
        Self::builder(look_up).make()
    }

    /// A source that asks this function, with choices.
    pub fn builder<L, F, T, E>(look_up: L) -> SiteSourceBuilder
    where
        L: Fn(String) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Option<T>, E>> + Send + 'static,
        T: Into<LoginSite> + 'static,
        E: Into<BoxError> + 'static,
    {
        SiteSourceBuilder {
            ask: asking(move |host| {
                let asked = look_up(host);
                async move { asked.await.map(|site| site.map(Into::into)) }
            }),
            bounds: Bounds {
                capacity: CAPACITY,
                lifetime: LIFETIME,
            },
            clock: SharedClock::system(),
        }
    }

    /// Forgets what the function said of this host, and what it is about to say: for an application that adds a tenant,
    /// changes or removes one. The next request for the host is looked up.
    ///
    /// Other replicas do not learn of it. The sessions of a tenant that is removed stay in their store until they
    /// expire, and no request is served with them.
    pub fn forget(&self, host: &str) {
        let host = host.to_ascii_lowercase();
        self.0.forget(without_https_port(&host));
    }

    pub(super) fn clock(&self) -> &SharedClock {
        self.0.clock()
    }

    /// All sites that are remembered.
    pub(super) fn sites(&self) -> Vec<LoginSite> {
        let all = self.0.all();
        all.iter().map(|found| found.value.clone()).collect()
    }

    pub(super) fn known(&self, host: &str) -> Known {
        let host = without_https_port(host);
        if let Some(found) = self.0.known(host) {
            return Known::Site(found.value.clone());
        }
        match self.0.why_unknown(host) {
            Some(NoSite) => Known::Unknown,
            None => Known::NotYet,
        }
    }

    /// Asks the source, or waits for a look-up that is under way. `None` if the host belongs to no site.
    pub(super) async fn look_up(&self, host: &str) -> Result<Option<LoginSite>, Refusal> {
        let looked_up = self.0.look_up(without_https_port(host)).await?;
        Ok(match looked_up {
            LookedUp::Found(found) => Some(found.value.clone()),
            LookedUp::Unknown(NoSite) => None,
        })
    }

    /// Starts no new grant for any site that it has named or will name, and returns the work under way.
    pub(super) fn stop(&self) -> Vec<Background> {
        let sites = self.0.subject();
        sites.is_draining.store(true, Ordering::SeqCst);
        let all = sites.background().clone();
        for background in &all {
            background.stop();
        }
        all
    }
}

impl Sites {
    fn background(&self) -> std::sync::MutexGuard<'_, Vec<Background>> {
        let locked = self.background.lock();
        locked.unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers the work of a site that is about to serve requests, until it is done.
    fn take_on(&self, site: &LoginSite) {
        let mut all = self.background();
        all.retain(|background| !background.is_over());
        for background in site.backgrounds() {
            if !all.iter().any(|known| known.is_same(&background)) {
                all.push(background);
            }
        }
        drop(all);
        // A drain sets the flag and then reads the list, so that one of the two sees the other.
        if self.is_draining.load(Ordering::SeqCst) {
            site.backgrounds().for_each(|background| background.stop());
        }
    }
}

impl Subject for Sites {
    type Answer = LoginSite;
    type Value = LoginSite;
    type Cause = NoSite;
    type Error = Refusal;

    const MANNER: Manner = Manner {
        under_way: 16,
        rate: Rate {
            burst: 50,
            refill: Duration::from_millis(20),
        },
        // A stranger may choose a host for which the source fails.
        pauses: false,
        broken_off: "the look-up of the site was broken off in this process",
        too_many: "too many requests for hosts that would have to be looked up came at once",
        count_suppressed: || observe::site_looked_up("suppressed"),
    };

    const FAILURES: Failures = Failures {
        failed: "the site source failed",
        panicked: "the site source panicked",
        took_too_long: "the site source took longer than ten seconds",
    };

    fn judge(
        &self,
        host: &str,
        answer: Option<LoginSite>,
        _: Option<&LoginSite>,
    ) -> Result<LoginSite, NoSite> {
        let Some(site) = answer else {
            observe::site_looked_up("unknown");
            return Err(NoSite);
        };
        if !site.is_at(host) {
            observe::site_looked_up("other_site");
            if self.log.is_due(0) {
                // It was cut and read before it was passed on.
                tracing::warn!(
                    host,
                    returned = site.address(),
                    "the site source returned a site at another address, so requests for this host are refused; \
                     return the site whose address has exactly the host that was asked for"
                );
            }
            return Err(NoSite);
        }
        observe::site_looked_up("found");
        self.take_on(&site);
        Ok(site)
    }

    fn count_failed() {
        observe::site_looked_up("failed");
    }
}

impl SiteSourceBuilder {
    /// Remembers so many sites; the least recently used one goes. A layer takes 60 to 450 KiB of memory, by the sessions
    /// it has opened. Default: 100; from 1 to 10 000.
    pub fn with_capacity(mut self, sites: usize) -> Self {
        self.bounds.capacity = sites;
        self
    }

    /// How long a site counts before the function has to be asked again. A tenant that the application removed is
    /// refused after this time at the latest. Default: 5 minutes; from one second to 24 hours.
    /// [`SiteSource::forget`] ends it at once.
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
    pub fn build(self) -> Result<SiteSource, ConfigError> {
        self.bounds.check(SITE_CAPACITY, "sites", SITE_LIFETIME)?;
        Ok(self.make())
    }

    fn make(self) -> SiteSource {
        let sites = Sites {
            log: LogPace::new(self.clock.clone()),
            background: Mutex::default(),
            is_draining: AtomicBool::new(false),
        };
        SiteSource(Lookups::new(sites, self.ask, &self.bounds, self.clock))
    }
}

impl fmt::Debug for SiteSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SiteSource")
    }
}

impl fmt::Debug for SiteSourceBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SiteSourceBuilder")
            .field("capacity", &self.bounds.capacity)
            .field("lifetime", &self.bounds.lifetime)
            .finish_non_exhaustive()
    }
}
