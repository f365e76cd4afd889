//! Revocation at once: what was accepted and must be accepted no longer.
//!
//! A JWT is good until its `exp`, whatever has happened since. [`Revocations`] ends it before: the verifiers that
//! have them ask them at each use of a token, whether it was seen before or not.

mod builder;
mod memory;
mod revocable;
#[cfg(feature = "login")]
pub(crate) mod sharing;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use crate::clock::{SharedClock, UnixTime};
use crate::log_pace::LogPace;
use crate::observe;
use crate::revocations::memory::{Added, Entry, Kind, Memory, Moment, Name};

pub use self::builder::RevocationsBuilder;
pub(crate) use self::revocable::{Revocable, Told};

/// Tokens, sessions of the provider and users whose tokens are accepted no longer. The application tells it of them,
/// and a [`LoginLayer`](crate::LoginLayer) tells it of the
/// [provider's logouts](crate::login::LoginBuilder::with_revocations).
///
/// A verifier that [has it](crate::VerifierBuilder::with_revocations) asks at each use of a token, before it is
/// accepted, and refuses a revoked one with [`Revoked`](crate::VerifyErrorKind::Revoked): the client gets 401
/// `invalid_token`. This holds from the moment at which the call returns, for tokens that were accepted before, JWTs
/// and [introspected](crate::VerifierBuilder::with_introspection) ones alike. Streams under
/// [`StreamExpiryLayer`](crate::StreamExpiryLayer) end within a second, and other open connections can wait for
/// [`Principal::ended`](crate::Principal::ended).
///
/// Cloning is cheap, and clones share everything: give the same to all verifiers and layers of a program.
///
/// ```
/// use tower_oidc::{Principal, Provider, Revocations, RevocationsFull, Verifier};
///
/// # fn main() -> Result<(), tower_oidc::ConfigError> {
/// let revocations = Revocations::new();
/// let provider = Provider::discover("https://id.example")?;
/// let verifier = Verifier::builder(&provider, "https://api.example.com")
///     .with_revocations(&revocations)
///     .build()?;
///
/// /// "Sign out" of an API: this token, on each device that has it.
/// fn sign_out(caller: &Principal, revocations: &Revocations) -> Result<(), RevocationsFull> {
///     let issuer = caller.issuer().as_str();
///     match (caller.claim::<String>("jti"), caller.subject()) {
///         (Ok(Some(jti)), _) => revocations.revoke_token(issuer, &jti, caller.expires_at()),
///         // A token without a name is refused with all others of its user.
///         (_, Some(user)) => revocations.revoke_all(issuer, user),
///         _ => Ok(()),
///     }
/// }
///
/// # fn example(revocations: &Revocations) -> Result<(), RevocationsFull> {
/// // A user who was dismissed: every token issued until now.
/// revocations.revoke_all("https://id.example", "user-1")?;
/// # Ok(())
/// # }
/// # let _ = (verifier, sign_out);
/// # example(&revocations).expect("room");
/// # Ok(())
/// # }
/// ```
///
/// # Security
/// - **It is the memory of this process**, until it is [shared through a store](Self::share_through) (feature `login`).
///   Another replica, and this one after a restart, knows nothing of it before.
/// - A revocation is forgotten when the last token that it refuses has expired. For sessions and users that is after
///   the [longest lifetime](RevocationsBuilder::with_longest_token_lifetime) of a token: 24 hours by default. A token
///   that lives longer is accepted again afterwards, and the log warns when such a token comes.
/// - A full memory takes nothing more: the call returns [`RevocationsFull`], and the log has an error. Nothing is
///   forgotten to make room.
/// - A revoked token is refused here. The provider knows nothing of it, and a client that has a refresh token gets
///   another token: revoke that at the provider.
#[doc(alias("blacklist", "denylist", "logout"))]
#[derive(Clone)]
pub struct Revocations(Arc<Shared>);

struct Shared {
    /// Grows with each revocation. Zero is never reached.
    serial: AtomicU64,
    memory: RwLock<Memory>,
    clock: SharedClock,
    longest: Duration,
    told: LogPace<2>,
    #[cfg(feature = "login")]
    sharing: self::sharing::Slot,
}

/// The memory of revocations is full, and the revocation was **not** taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the memory of revocations is full, and what was to be revoked is still accepted; choose a larger one \
     (RevocationsBuilder::with_capacity)"
)]
#[non_exhaustive]
pub struct RevocationsFull;

/// A token counts for this long after its `exp` at the most: the largest leeway of a verifier.
pub(crate) const LARGEST_LEEWAY: Duration = Duration::from_secs(300);

/// The causes of log lines.
const FULL: usize = 0;
const OUTLIVED: usize = 1;

/// Later than any token is issued.
const FOREVER: UnixTime = UnixTime::from_seconds(i64::MAX);

impl Revocations {
    /// With the defaults: 100 000 entries, and tokens that live for 24 hours at the most.
    #[must_use]
    pub fn new() -> Self {
        Self::with_parts(
            builder::CAPACITY,
            builder::LONGEST_LIFETIME,
            SharedClock::system(),
        )
    }

    fn with_parts(capacity: usize, longest: Duration, clock: SharedClock) -> Self {
        Self(Arc::new(Shared {
            serial: AtomicU64::new(1),
            memory: RwLock::new(Memory::new(capacity)),
            told: LogPace::new(clock.clone()),
            clock,
            longest,
            #[cfg(feature = "login")]
            sharing: self::sharing::Slot::default(),
        }))
    }

    /// Refuses the token of this issuer with this `jti`. `until` is its `exp`: it is refused until then, and for the
    /// leeway of verifiers.
    ///
    /// # Errors
    /// [`RevocationsFull`]: the token is still accepted.
    pub fn revoke_token(
        &self,
        issuer: &str,
        jti: &str,
        until: UnixTime,
    ) -> Result<(), RevocationsFull> {
        let now = self.now();
        let entry = Entry {
            kept: now.reaching(until.saturating_add(LARGEST_LEEWAY)),
            not_before: FOREVER,
        };
        self.add("token", &[(Name::of(Kind::Token, issuer, jti), entry)], now)
    }

    /// Refuses all tokens of this issuer with this `sid`, the provider's name for one of its sessions. Those that are
    /// issued later too, because a session that has ended issues none.
    ///
    /// Not every provider puts `sid` into its access tokens: Keycloak does, others put it into ID tokens alone. A token
    /// without it is of no session that is known here, and is not refused. One for offline access that names the
    /// session is refused too.
    ///
    /// # Errors
    /// [`RevocationsFull`]: the tokens are still accepted.
    pub fn end_session(&self, issuer: &str, sid: &str) -> Result<(), RevocationsFull> {
        let now = self.now();
        let entry = Entry {
            kept: self.until_none_lives(now),
            not_before: FOREVER,
        };
        let name = Name::of(Kind::ProviderSession, issuer, sid);
        self.add("session", &[(name, entry)], now)
    }

    /// Refuses the tokens of this user that were issued until now:
    /// [`revoke_before`](Self::revoke_before) with the time of this machine.
    ///
    /// # Errors
    /// [`RevocationsFull`]: the tokens are still accepted.
    pub fn revoke_all(&self, issuer: &str, subject: &str) -> Result<(), RevocationsFull> {
        self.revoke_before(issuer, subject, self.0.clock.now())
    }

    /// Refuses the tokens of this user that were issued (`iat`) at this time or before, and those that do not say
    /// when. `iat` has whole seconds, so that a token of the same second may be an older one.
    ///
    /// The sessions of the user that began at this time or before, by the clock of their store, end too, in layers that
    /// [have these revocations](crate::login::LoginBuilder::with_revocations). There the subject is that of the ID
    /// token, which some providers write otherwise than in access tokens.
    ///
    /// A sign-in that is under way makes a session that began later: where a user is to be kept out, disable the account
    /// at the provider first.
    ///
    /// A later time replaces an earlier one, and never the other way round. A time in the future keeps the user out
    /// until then.
    ///
    /// # Security
    /// The time is compared with that of the provider's clock. If that may be ahead, name a time that is as much
    /// later: tokens are then refused for so long, new ones too.
    ///
    /// # Errors
    /// [`RevocationsFull`]: the tokens are still accepted.
    pub fn revoke_before(
        &self,
        issuer: &str,
        subject: &str,
        time: UnixTime,
    ) -> Result<(), RevocationsFull> {
        let entry = self.issued_until(time);
        let both =
            [Kind::Subject, Kind::Sessions].map(|kind| (Name::of(kind, issuer, subject), entry));
        self.add("subject", &both, self.now())
    }

    /// The same for tokens alone.
    #[cfg(feature = "login")]
    pub(crate) fn revoke_tokens_before(
        &self,
        issuer: &str,
        subject: &str,
        time: UnixTime,
    ) -> Result<(), RevocationsFull> {
        let name = Name::of(Kind::Subject, issuer, subject);
        self.add("subject", &[(name, self.issued_until(time))], self.now())
    }

    fn issued_until(&self, time: UnixTime) -> Entry {
        let now = self.now();
        let last = now.reaching(time.max(now.wall));
        Entry {
            kept: self.until_none_lives(last),
            not_before: time,
        }
    }

    /// When the last token has ended that was issued at this moment.
    fn until_none_lives(&self, issued_at: Moment) -> Moment {
        issued_at.later_by(self.0.longest.saturating_add(LARGEST_LEEWAY))
    }

    fn add(
        &self,
        what: &'static str,
        new: &[(Name, Entry)],
        now: Moment,
    ) -> Result<(), RevocationsFull> {
        let added = self.write().revoke(new, now);
        if added == Added::NoRoom {
            self.tell_that_it_is_full(what);
            return Err(RevocationsFull);
        }
        self.count_up();
        #[cfg(feature = "login")]
        self.0.sharing.wake();
        observe::revoked(what);
        tracing::info!(what, "tokens were revoked");
        Ok(())
    }

    /// The number goes up after the entry is stored, so that a reader of the new number finds the entry.
    fn count_up(&self) {
        self.0.serial.fetch_add(1, Ordering::Release);
    }

    fn tell_that_it_is_full(&self, what: &'static str) {
        observe::revoked("full");
        if self.0.told.is_due(FULL) {
            tracing::error!(
                what,
                remedy = "choose a larger memory (RevocationsBuilder::with_capacity)",
                "the memory of revocations is full, and what was to be revoked is still accepted"
            );
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Memory> {
        let memory = &self.0.memory;
        memory.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Memory> {
        let memory = &self.0.memory;
        memory.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says so if a revocation of this moment would be forgotten before such a token ends.
    fn tell_if_outlived(&self, expires_at: UnixTime) {
        let remembered = self.0.clock.now().saturating_add(self.0.longest);
        if remembered < expires_at && self.0.told.is_due(OUTLIVED) {
            tracing::warn!(
                remedy = "choose a longer lifetime (RevocationsBuilder::with_longest_token_lifetime), or configure the \
                    provider to issue tokens that end sooner",
                "a token was accepted that lives longer than the revocations of sessions and users are remembered"
            );
        }
    }

    #[inline]
    fn serial(&self) -> u64 {
        self.0.serial.load(Ordering::Acquire)
    }

    fn now(&self) -> Moment {
        Moment::now(&self.0.clock)
    }

    /// Whether what was issued then is refused by one of these names.
    fn refuse(&self, names: &[Option<Name>], issued_at: Option<UnixTime>) -> bool {
        // Before the lock: a clock may be foreign code.
        let now = self.now();
        let memory = self.read();
        let mut names = names.iter().flatten();
        names.any(|name| memory.refuses(name, issued_at, now))
    }
}

impl Default for Revocations {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Revocations {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Revocations")
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Revocable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Revocable").finish_non_exhaustive()
    }
}
