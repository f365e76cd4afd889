//! The sessions of a person, for the application: to show them, to end one, to end them all.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::clock::UnixTime;
use crate::error::{LoginError, LoginErrorKind as Kind, StoreError, StoreErrorKind};
use crate::login::audit::{About, By};
use crate::login::sessions::id::{SessionKey, subject_key};
use crate::login::sessions::record::{Record, RefreshState};
use crate::login::sessions::signed_out::mark_end_of_all;
use crate::login::sessions::tokens::TokenSet;
use crate::login::sessions::{RETIRED, Sessions as LayerSessions};
use crate::login::store::{OwnedBy, StoreKey};

/// The sessions of a [`LoginLayer`](crate::LoginLayer), for an application that shows or ends them. Made by
/// [`LoginLayer::sessions`](crate::LoginLayer::sessions); cheap to clone.
///
/// It does not ask who calls: let users see and end their own sessions only.
///
/// ```
/// use tower_oidc::Session;
/// use tower_oidc::error::StoreError;
/// use tower_oidc::login::Sessions;
///
/// /// "Sign out everywhere", for the person whose session this is.
/// async fn sign_out_everywhere(session: &Session, sessions: &Sessions) -> Result<usize, StoreError> {
///     sessions.end_all(session.issuer(), session.subject()).await
/// }
///
/// /// Every other device.
/// async fn sign_out_elsewhere(session: &Session, sessions: &Sessions) -> Result<(), StoreError> {
///     for listed in sessions.list(session.issuer(), session.subject()).await? {
///         if listed.key != session.key() {
///             sessions.end(&listed.key).await?;
///         }
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Sessions(Arc<LayerSessions>);

/// A session in a list. All times are of the store's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListedSession {
    /// What names it: see [`Session::key`](crate::Session::key).
    pub key: SessionKey,
    /// When the person signed in.
    pub signed_in_at: UnixTime,
    /// When its tokens were last refreshed; `None` if they never were.
    pub renewed_at: Option<UnixTime>,
    /// How often its tokens were refreshed.
    pub renewals: u64,
    /// When it ends if it is not used.
    pub expires_at: UnixTime,
    /// When it ends at the latest.
    pub ends_at: UnixTime,
}

/// A list of sessions is no longer than this.
const MOST_LISTED: usize = 1_000;

/// Records that are read at once.
const AT_ONCE: usize = 16;

/// Between two looks at a session whose end is waited for.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

impl Sessions {
    pub(crate) fn new(sessions: Arc<LayerSessions>) -> Self {
        Self(sessions)
    }

    /// The sessions of this person that live, the newest first. Of more than 1 000, any 1 000. Empty for a person who
    /// has none. Sessions of another client are not listed, even if they are in the same store.
    ///
    /// `issuer` and `subject` are those of the ID token: see [`Session::issuer`](crate::Session::issuer) and
    /// [`Session::subject`](crate::Session::subject).
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be reached.
    pub async fn list(
        &self,
        issuer: &str,
        subject: &str,
    ) -> Result<Vec<ListedSession>, StoreError> {
        let subject = OwnedBy::Subject(subject_key(issuer, subject));
        let keys = self.0.ledger.store().find(subject).await?;
        let mut listed = Vec::new();
        for some in keys.chunks(AT_ONCE) {
            let mut loads = JoinSet::new();
            for key in some {
                let (sessions, key) = (Arc::clone(&self.0), *key);
                loads.spawn(async move { sessions.listed(key).await });
            }
            while let Some(loaded) = loads.join_next().await {
                listed.extend(loaded.unwrap_or_else(|_| Err(unfinished()))?);
            }
            if listed.len() >= MOST_LISTED {
                break;
            }
        }
        listed.truncate(MOST_LISTED);
        // By the key where the second is the same, so that the list is always in the same order.
        listed.sort_unstable_by_key(|session| (session.signed_in_at, session.key));
        listed.reverse();
        Ok(listed)
    }

    /// Ends this session and revokes its refresh token in the background. Returns whether there was one: `false` for
    /// a key of no session, or of another client's. All replicas refuse it from then on, at the latest after the
    /// [age of the near cache](crate::login::LoginBuilder::with_near_cache_age).
    ///
    /// The call is finished even if the caller stops waiting for it.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be reached. The session then lives on; another call ends it.
    pub async fn end(&self, key: &SessionKey) -> Result<bool, StoreError> {
        Arc::clone(&self.0).end_own(key.store_key()).await
    }

    /// Ends all sessions of this person ("sign out everywhere") and revokes their refresh tokens in the background.
    /// Returns their number. A sign-in that began before and is still under way makes no session; one that begins
    /// later does. The provider's own session lives on: someone who has it may sign in again without a password, so
    /// end it at the provider too after a theft.
    ///
    /// A session that does not open here is taken for another client's and lives on, so that while secrets are
    /// changed, all replicas must have the new one before any seals with it. The log has the number of these.
    ///
    /// The call is finished even if the caller stops waiting for it.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be reached. Some of the sessions may live on; another call ends them.
    pub async fn end_all(&self, issuer: &str, subject: &str) -> Result<usize, StoreError> {
        let listed = subject_key(issuer, subject);
        let sessions = Arc::clone(&self.0);
        let ended = self
            .0
            .detached(async move { sessions.end_all(listed).await });
        ended.await
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sessions").finish_non_exhaustive()
    }
}

impl LayerSessions {
    /// Runs to its end, whatever becomes of the caller.
    async fn detached<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let work = self.tasks.spawn(work);
        work.await.unwrap_or_else(|_| Err(unfinished()))
    }

    /// The record of a session and its tokens, as the store has them now, if it is a session of this layer.
    async fn own(&self, key: StoreKey) -> Result<Option<Own>, StoreError> {
        let loaded = self.ledger.store().load(key).await?;
        Ok(loaded.and_then(|loaded| {
            // A key may name a mark of ours, or a session of another layer.
            let record = Record::try_decode(&loaded.record.bytes).ok()?;
            let tokens = self.opener.tokens(key, &record)?;
            Some(Own {
                record,
                tokens,
                now: loaded.now,
            })
        }))
    }

    /// How a session stands, without using it: nothing is refreshed, and no limit is put off. The error is that of a
    /// request with this session: one that is over has ended, and one that cannot be used here may live elsewhere.
    pub(crate) async fn glance(&self, key: StoreKey) -> Result<Glance, LoginError> {
        let loaded = self.ledger.load(key).await.map_err(LoginError::store)?;
        let loaded = loaded.ok_or(Kind::SessionEnded)?;
        let record = Record::try_decode(&loaded.record.bytes)
            .map_err(|error| LoginError::store(error.into()))?;
        if let RefreshState::Dead(_) = record.state {
            return Err(Kind::SessionEnded.into());
        }
        let tokens = self.opener.tokens(key, &record);
        let tokens = tokens.filter(|tokens| self.opener.mode.takes(tokens));
        let tokens = tokens.ok_or(Kind::NotSignedIn)?;
        if self.is_revoked(&tokens) {
            return Err(Kind::SessionEnded.into());
        }
        Ok(Glance {
            tokens,
            expires_at: record.expires_at,
            ends_at: record.ends_at,
            now: loaded.now,
        })
    }

    /// `None` if it is over, or will be in a moment because another has replaced it, or does not open here.
    pub(crate) async fn listed(&self, key: StoreKey) -> Result<Option<ListedSession>, StoreError> {
        let own = self.own(key).await?;
        let lives = |own: &Own| own.lives() && !self.is_revoked(&own.tokens);
        Ok(own.filter(lives).map(|own| ListedSession {
            key: SessionKey::new(key),
            signed_in_at: UnixTime::from_seconds(own.tokens.signed_in_at),
            renewed_at: (own.record.generation > 0).then(|| own.tokens.obtained_at()),
            renewals: own.record.generation,
            expires_at: own.record.expires_at,
            ends_at: own.record.ends_at,
        }))
    }

    /// Ends a session of this layer and revokes its refresh token. Whether there was one.
    pub(crate) async fn end_own(self: Arc<Self>, key: StoreKey) -> Result<bool, StoreError> {
        let sessions = Arc::clone(&self);
        self.detached(async move {
            match sessions.own(key).await? {
                Some(_) => sessions.end_and_revoke(key, signed_out).await,
                None => Ok(false),
            }
        })
        .await
    }

    /// Ends a session and revokes its refresh token. Whether there was one.
    pub(crate) async fn end_and_revoke(
        &self,
        key: StoreKey,
        audit: fn(About<'_>),
    ) -> Result<bool, StoreError> {
        let Some(ended) = self.end(key).await? else {
            return Ok(false);
        };
        let tokens = ended.tokens;
        if let Some(tokens) = &tokens {
            audit(About::session(key, tokens));
        }
        self.revoker
            .revoke_behind(tokens.and_then(|tokens| tokens.refresh_token));
        Ok(true)
    }

    async fn end_all(&self, subject: StoreKey) -> Result<usize, StoreError> {
        // First, so that a sign-in under way finds the mark if its session is not found here.
        mark_end_of_all(&self.marks, subject, self.clock.now()).await?;
        let (mut count, mut left, mut failed) = (0, 0, None);
        for key in self.ledger.store().find(OwnedBy::Subject(subject)).await? {
            let ended = match self.own(key).await {
                Ok(Some(_)) => self.end_and_revoke(key, signed_out).await,
                Ok(None) => {
                    left += 1;
                    continue;
                }
                Err(error) => Err(error),
            };
            match ended {
                Ok(has_ended) => count += usize::from(has_ended),
                // The others are ended all the same.
                Err(error) => failed = Some(error),
            }
        }
        tracing::info!(
            ended = count,
            left,
            "the application ended all sessions of a user; left are those that do not open here, such as another \
             client's"
        );
        failed.map_or(Ok(count), Err)
    }

    /// Completes when a session is over. A store that cannot be reached is no evidence of it.
    pub(crate) async fn until_over(self: Arc<Self>, key: StoreKey) {
        let pause = self.ledger.near_cache_age().max(SHORTEST_PAUSE);
        // No store is listened to: each of thousands of streams would wake at each change of any session.
        loop {
            tokio::time::sleep(pause).await;
            if self.is_over(key).await {
                return;
            }
        }
    }

    /// Whether the application has revoked all that the user of these tokens had when the session began.
    fn is_revoked(&self, tokens: &TokenSet) -> bool {
        let revocable = self.opener.cache.revocable(tokens);
        revocable.is_some_and(|revocable| revocable.is_revoked())
    }

    async fn is_over(&self, key: StoreKey) -> bool {
        let opened = self.opener.cache.last(key);
        let is_revoked = opened.map(|opened| opened.is_revoked());
        if is_revoked == Some(true) {
            return true;
        }
        let record = match self.ledger.see(key).await {
            Ok(Some(seen)) => seen.record,
            Ok(None) => return true,
            Err(_) => return false,
        };
        if let RefreshState::Dead(_) = record.state {
            return true;
        }
        // Another session may have taken its place among those that were opened here.
        let is_unknown = is_revoked.is_none() && self.opener.cache.revocations().is_some();
        let tokens = is_unknown.then(|| self.opener.tokens(key, &record));
        tokens
            .flatten()
            .is_some_and(|tokens| self.is_revoked(&tokens))
    }
}

/// What can be told of a session.
pub(crate) struct Glance {
    pub(crate) tokens: TokenSet,
    /// When it ends if it is not used.
    pub(crate) expires_at: UnixTime,
    /// When it ends at the latest.
    pub(crate) ends_at: UnixTime,
    /// The store's time.
    pub(crate) now: UnixTime,
}

/// A session of this layer, as the store has it.
struct Own {
    record: Record,
    tokens: TokenSet,
    now: UnixTime,
}

impl Own {
    fn lives(&self) -> bool {
        let is_dead = matches!(self.record.state, RefreshState::Dead(_));
        !is_dead && self.now.saturating_add(RETIRED) < self.record.expires_at
    }
}

fn signed_out(about: About<'_>) {
    about.signed_out(By::Application);
}

fn unfinished() -> StoreError {
    StoreError::new(
        StoreErrorKind::Unavailable,
        "the process ends before the store has answered",
    )
}
