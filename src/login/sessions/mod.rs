//! The sessions of one layer: how each stands, and the refreshes that keep it alive. No browser, request or
//! page is known here.

pub(crate) mod background;
pub(crate) mod due;
pub(crate) mod handle;
pub(crate) mod id;
pub(crate) mod identity;
pub(crate) mod information;
pub(crate) mod ledger;
pub(crate) mod listing;
pub(crate) mod marks;
pub(crate) mod mode;
pub(crate) mod opened;
pub(crate) mod opener;
pub(crate) mod origin;
pub(crate) mod parts;
pub(crate) mod per_subject;
pub(crate) mod record;
mod refreshed_identity;
#[cfg(feature = "outbound")]
pub(crate) mod relayed;
pub(crate) mod renewals;
pub(crate) mod revoker;
pub(crate) mod rotation;
pub(crate) mod seal;
mod settling;
pub(crate) mod signed_out;
mod target_set;
pub(crate) mod target_token;
mod targets;
pub(crate) mod tokens;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use crate::clock::{SharedClock, UnixTime};
use crate::error::{
    Chain, LoginError, LoginErrorKind as Kind, StoreError, VerifyError, VerifyErrorKind,
};
use crate::login::sessions::due::{Due, due};
use crate::login::sessions::ledger::{Ledger, Seen};
use crate::login::sessions::marks::Marks;
use crate::login::sessions::opened::Opened;
use crate::login::sessions::opener::{Opener, Unopened, refused};
use crate::login::sessions::record::{EndReason, Record, RefreshState};
use crate::login::sessions::renewals::{
    LONGEST_WAIT, Lifetimes, Outcome, Purpose, Renewals, waited_in_vain,
};
use crate::login::sessions::revoker::Revoker;
use crate::login::sessions::tokens::TokenSet;
use crate::login::store::{Loaded, Peeked, StoreKey};

/// The sessions of one layer.
pub(crate) struct Sessions {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) opener: Arc<Opener>,
    pub(crate) renewals: Arc<Renewals>,
    pub(crate) revoker: Arc<Revoker>,
    pub(crate) marks: Marks,
    pub(crate) tasks: TaskTracker,
    pub(crate) clock: SharedClock,
    pub(crate) leeway: Duration,
    pub(crate) lifetimes: Lifetimes,
}

/// When the store was asked.
#[derive(Clone, Copy)]
struct Asked {
    /// By this machine's wall clock.
    wall: UnixTime,
    /// In monotonic time.
    asked_at: Duration,
}

impl Asked {
    fn now(clock: &SharedClock) -> Self {
        let (wall, asked_at) = clock.read_roughly();
        Self { wall, asked_at }
    }
}

/// How a session stands when it is asked for.
pub(crate) enum Standing {
    /// It is known who calls, by an access token that is live and verified, or by an ID token.
    Live(Arc<Opened>),
    /// There is none, or it is over.
    Over(Option<EndReason>),
    /// It may well live, and cannot be used until the user signs in again.
    NeedsSignIn,
    /// It cannot be told, or helped by signing in again.
    Failed(LoginError),
}

/// A session that was taken out of the store.
pub(crate) struct Ended {
    /// `None` if they were sealed by a secret that is not configured here, or are damaged.
    pub(crate) tokens: Option<TokenSet>,
}

/// What a session is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Who calls. An access token that has ended says nothing against an identity.
    Caller,
    /// An access token that is live.
    Token,
    /// A newer one than that of this generation.
    TokenAfter(u64),
}

/// How a record stands by itself.
enum Judged {
    Stands(Standing),
    /// Its tokens are to be refreshed first. Live ones are used if that fails.
    Due {
        seen: Box<Seen>,
        live: Option<Arc<Opened>>,
    },
}

impl From<Standing> for Judged {
    fn from(standing: Standing) -> Self {
        Self::Stands(standing)
    }
}

/// How often the tokens may turn out old right after they were refreshed, for one request. Each target may be
/// refreshed in between.
const MOST_ROTATIONS: usize = 3;

/// After a refresh that brought a token which is refused here, another is not tried for this long.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);

/// How long a session lives on that another has replaced.
pub(crate) const RETIRED: Duration = Duration::from_secs(10);

impl Sessions {
    /// How the session stands, its tokens refreshed where that is due.
    pub(crate) async fn standing(self: &Arc<Self>, key: StoreKey, need: Need) -> Standing {
        let asked = Asked::now(&self.clock);
        let loaded = match self.ledger.load(key).await {
            Ok(Some(loaded)) => loaded,
            Ok(None) => return Standing::Over(None),
            Err(error) => return Standing::Failed(LoginError::store(error)),
        };
        self.standing_of(key, &loaded, asked, need).await
    }

    /// The same for a record that was loaded.
    async fn standing_of(
        self: &Arc<Self>,
        key: StoreKey,
        loaded: &Loaded,
        asked: Asked,
        need: Need,
    ) -> Standing {
        match self.judge(key, loaded, asked, need).await {
            Judged::Stands(standing) => standing,
            Judged::Due { seen, live } => self.refreshed_in_time(key, need, *seen, live).await,
        }
    }

    /// How a session stands that was opened here before and has nothing due, as with nearly every request.
    /// `None` where something has to be waited for.
    pub(crate) fn standing_now(&self, key: StoreKey) -> Option<Standing> {
        let asked = Asked::now(&self.clock);
        let peeked = self.ledger.peek(key)?;
        let cache = &self.opener.cache;
        let opened = cache.find(key, peeked.tag, asked.asked_at)?;
        match self.weigh(key, opened, peeked.now, asked, Need::Caller) {
            Judged::Stands(standing) => Some(standing),
            Judged::Due { .. } => None,
        }
    }

    /// What a record comes to, or which tokens are to be refreshed first.
    async fn judge(
        self: &Arc<Self>,
        key: StoreKey,
        loaded: &Loaded,
        asked: Asked,
        need: Need,
    ) -> Judged {
        let cache = &self.opener.cache;
        let opened = match cache.find(key, loaded.record.tag, asked.asked_at) {
            Some(opened) => opened,
            None => match self.open(key, loaded, asked.asked_at).await {
                Ok(opened) => opened,
                Err(judged) => return judged,
            },
        };
        self.weigh(key, opened, loaded.now, asked, need)
    }

    /// The same for a record that was opened here, at a time of the store.
    fn weigh(
        &self,
        key: StoreKey,
        opened: Arc<Opened>,
        now: UnixTime,
        Asked { wall, asked_at }: Asked,
        need: Need,
    ) -> Judged {
        if opened.is_revoked() {
            return Standing::Over(None).into();
        }
        let record = &opened.record;
        let seen = || {
            Seen::new(
                record.clone(),
                Peeked {
                    tag: opened.tag,
                    now,
                },
                asked_at,
            )
        };
        let can_refresh = opened.tokens.refresh_token.is_some();
        let is_identity = self.opener.mode.is_identity();
        let is_rejected =
            matches!(need, Need::TokenAfter(generation) if opened.token_generation() <= generation);
        let is_token_live =
            now < record.access_expires_at && !is_rejected && self.is_within_exp(&opened, wall);
        // What an ID token said holds as long as the session.
        let stands = is_token_live || (is_identity && need == Need::Caller);
        let due = if is_token_live {
            due(
                now,
                opened.tokens.obtained_at(),
                record.access_expires_at,
                record.refresh_expires_at,
                key.as_bytes()[0],
            )
        } else {
            Due::First
        };
        match due {
            Due::No => {}
            _ if stands && (!can_refresh || now < record.refresh_not_before) => {}
            Due::Behind => {
                // Whether it could start or not, the live token is used.
                let _ = self.renewals.start(key, seen(), Purpose::Own);
            }
            Due::First if !can_refresh && is_identity => {
                return Standing::Failed(Kind::NoAccessToken.into()).into();
            }
            Due::First if !can_refresh => return Standing::Over(None).into(),
            Due::First => {
                return Judged::Due {
                    seen: Box::new(seen()),
                    live: stands.then_some(opened),
                };
            }
        }
        if is_token_live {
            opened.found_live(asked_at);
        }
        // Where nothing renews a session, its use alone can put off its end.
        if self.lifetimes.follow_use || !can_refresh {
            self.extend(key, &opened, now, asked_at);
        }
        Standing::Live(opened).into()
    }

    /// Puts off the end of a session that is in use, in the background, where that gains a tenth of the limit.
    fn extend(&self, key: StoreKey, opened: &Opened, now: UnixTime, asked_at: Duration) {
        let idle = self.lifetimes.idle;
        let until = now.saturating_add(idle).min(opened.record.ends_at);
        let is_worth_it = opened.record.expires_at.saturating_add(idle / 10) < until;
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        if !is_worth_it || !opened.begin_to_extend() {
            return;
        }
        let ledger = Arc::clone(&self.ledger);
        let tag = opened.tag;
        let seen = Seen::new(opened.record.clone(), Peeked { tag, now }, asked_at);
        let extending = async move {
            // The next request tries again.
            let _ = ledger
                .apply(key, seen, |record, _| record.extend(until))
                .await;
        };
        self.tasks.spawn_on(extending, &runtime);
    }

    /// The access token's own end, by this machine's clock. The store's clock, by which the rest is decided, may
    /// differ from the provider's. What an access token for others says of itself is not looked at.
    fn is_within_exp(&self, opened: &Opened, wall: UnixTime) -> bool {
        self.opener.mode.is_identity()
            || wall < opened.principal.expires_at().saturating_add(self.leeway)
    }

    /// Opens a record that was not opened here before. The error is what to do instead.
    async fn open(
        self: &Arc<Self>,
        key: StoreKey,
        loaded: &Loaded,
        asked_at: Duration,
    ) -> Result<Arc<Opened>, Judged> {
        let record = Record::try_decode(&loaded.record.bytes)
            .map_err(|error| Standing::Failed(LoginError::store(error.into())))?;
        if let RefreshState::Dead(reason) = record.state {
            return Err(Standing::Over(Some(reason)).into());
        }
        match self.opener.open(key, &record, loaded.record.tag).await {
            Ok(opened) => Ok(opened),
            Err(Unopened::Sealed) => {
                tracing::warn!(
                    "a session does not open: it was sealed by a secret that is not configured here, or begun by \
                     other settings; compare OPENID_SESSION_SECRET, OPENID_ISSUER and OPENID_REUSE_TOKENS of all \
                     replicas"
                );
                Err(Standing::NeedsSignIn.into())
            }
            Err(Unopened::SomebodyElse) => {
                Err(Standing::Over(Some(EndReason::IdentityChanged)).into())
            }
            Err(Unopened::Refused { tokens, error }) => {
                if let Some(failed) = beyond_refresh(&tokens, &error, loaded.now) {
                    return Err(Standing::Failed(failed).into());
                }
                if tokens.refresh_token.is_none() {
                    return Err(Standing::Over(None).into());
                }
                Err(Judged::Due {
                    seen: Box::new(Seen::new(record, loaded.peeked(), asked_at)),
                    live: None,
                })
            }
        }
    }

    /// The same as [`after_refresh`](Self::after_refresh), for as long as a request waits.
    async fn refreshed_in_time(
        self: &Arc<Self>,
        key: StoreKey,
        need: Need,
        seen: Seen,
        live: Option<Arc<Opened>>,
    ) -> Standing {
        let fallback = live.clone();
        let refreshed = self.after_refresh(key, need, seen, live);
        tokio::time::timeout(LONGEST_WAIT, refreshed)
            .await
            .unwrap_or_else(|_| match fallback {
                Some(opened) => Standing::Live(opened),
                None => Standing::Failed(waited_in_vain()),
            })
    }

    /// How the session stands once its tokens are refreshed. What a refresh brings may be old already: the
    /// end of an earlier one was joined, or the store took long to take it.
    async fn after_refresh(
        self: &Arc<Self>,
        key: StoreKey,
        need: Need,
        mut seen: Seen,
        mut live: Option<Arc<Opened>>,
    ) -> Standing {
        for _ in 0..MOST_ROTATIONS + self.renewals.targets.len() {
            let generation = seen.record.generation;
            let renewed = match (self.renewals.renew(key, seen, Purpose::Own).await, live) {
                (Outcome::Renewed(renewed), _) => renewed,
                (Outcome::Over(reason), _) => return Standing::Over(reason),
                (_, Some(opened)) => return Standing::Live(opened),
                (Outcome::Kept(error), None) => return Standing::Failed(error),
                (Outcome::Misconfigured(error), None) => {
                    return Standing::Failed(LoginError::provider(Kind::Misconfigured, error));
                }
                (Outcome::WantsUser, None) => return Standing::NeedsSignIn,
            };
            let asked = Asked::now(&self.clock);
            let loaded = renewed.to_loaded(self.ledger.now(&renewed));
            match self.judge(key, &loaded, asked, need).await {
                Judged::Stands(standing) => return standing,
                // However short it lives: another would live no longer.
                Judged::Due {
                    live: Some(opened), ..
                } if opened.generation() > generation => return Standing::Live(opened),
                Judged::Due {
                    seen: next,
                    live: next_live,
                } => (seen, live) = (*next, next_live),
            }
        }
        Standing::Failed(Kind::ProviderUnavailable.into())
    }

    /// The session with a live access token, refreshed first if that is due or must be newer.
    pub(crate) async fn live(
        self: &Arc<Self>,
        key: StoreKey,
        need: Need,
    ) -> Result<Arc<Opened>, LoginError> {
        match self.standing(key, need).await {
            Standing::Live(opened) => Ok(opened),
            Standing::Over(_) | Standing::NeedsSignIn => Err(Kind::SessionEnded.into()),
            Standing::Failed(error) => Err(error),
        }
    }

    /// Takes a session out of the store, and returns what was in it. `None` if there was none.
    pub(crate) async fn end(&self, key: StoreKey) -> Result<Option<Ended>, StoreError> {
        let deleted = self.ledger.delete(key).await;
        self.opener.cache.forget(key);
        Ok(deleted?.map(|stored| {
            let record = Record::try_decode(&stored.bytes).ok();
            Ended {
                tokens: record.and_then(|record| self.opener.tokens(key, &record)),
            }
        }))
    }

    /// Lets a session end that another has replaced, after a moment: requests of other tabs may be on their way
    /// with its cookie, and were they refused, their answers would clear the cookie of the new session.
    pub(crate) async fn retire(&self, key: StoreKey) {
        let retired = async {
            if let Some(seen) = self.ledger.see(key).await? {
                let end_soon =
                    |record: &mut Record, now: UnixTime| record.end_by(now.saturating_add(RETIRED));
                self.ledger.apply(key, seen, end_soon).await?;
            }
            Ok::<_, StoreError>(())
        };
        if let Err(error) = retired.await {
            tracing::warn!(
                error = %Chain(&error),
                "a browser's former session stays in the store until it expires"
            );
        }
    }

    /// Takes a session out of the store that is of no more use, and says so where that fails.
    pub(crate) async fn forget(&self, key: StoreKey) {
        if let Err(error) = self.end(key).await {
            tracing::warn!(
                error = %Chain(&error),
                "a session that no browser uses stays in the store until it expires"
            );
        }
    }

    /// Starts no new grant, and waits for those under way and their commits. Whether all have ended.
    pub(crate) async fn drain(&self, deadline: Duration) -> bool {
        self.renewals.stop();
        self.tasks.close();
        tokio::time::timeout(deadline, self.tasks.wait())
            .await
            .is_ok()
    }
}

/// What a refusal comes to that no refresh can mend. It is decided by what was known when the token was
/// obtained.
fn beyond_refresh(tokens: &TokenSet, error: &VerifyError, now: UnixTime) -> Option<LoginError> {
    // A time in the future is no evidence of youth: clocks are set.
    let age = now
        .as_seconds()
        .checked_sub(tokens.obtained_at)
        .and_then(|age| u64::try_from(age).ok());
    let is_fresh = age.is_some_and(|age| age < REFUSED_PAUSE.as_secs());
    let is_final = match error.kind() {
        VerifyErrorKind::Unavailable | VerifyErrorKind::NotAskedFor => true,
        // Once the clocks are set right, another is good.
        VerifyErrorKind::Expired => tokens.expired_when_obtained && is_fresh,
        kind => kind.is_structural() || is_fresh,
    };
    is_final.then(|| refused(error))
}
