//! Sessions whose tokens this process has opened and verified already.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;

#[cfg(feature = "outbound")]
use crate::allowance::Allowance;
use crate::clock::{SharedClock, UnixTime};
use crate::error::{LoginError, LoginErrorKind};
use crate::login::sessions::id::SessionId;
use crate::login::sessions::record::Record;
use crate::login::sessions::tokens::TokenSet;
use crate::login::store::{StoreKey, Tag};
use crate::principal::Principal;
use crate::revocations::{Revocable, Revocations};
use crate::secret::Secret;
use crate::slots::Slots;
use crate::token::live::LiveToken;

/// A record whose tokens were opened and whose access token was verified, by this process.
pub(crate) struct Opened {
    pub(crate) record: Record,
    pub(crate) tag: Tag,
    contents: Arc<Contents>,
    key: StoreKey,
    /// When a request last found it live, in milliseconds of monotonic time.
    live_at: AtomicU64,
    /// Whether its end is being put off.
    is_extending: AtomicBool,
}

/// What a record's sealed bytes hold. Records that differ in their state alone share it.
pub(crate) struct Contents {
    pub(crate) tokens: TokenSet,
    pub(crate) principal: Principal,
    /// What the session can be revoked by, where the layer asks.
    revocable: Option<Revocable>,
    /// `None` if the token cannot stand in a header.
    live_token: Option<LiveToken>,
    /// Those of the targets, in the order of the token set.
    target_tokens: Vec<Option<LiveToken>>,
    /// When the access token was verified, in monotonic time.
    verified_at: Duration,
    /// Bounds refreshes because a service refused the token; the session's, not the generation's.
    #[cfg(feature = "outbound")]
    forced: Arc<Allowance>,
}

impl Opened {
    pub(crate) fn generation(&self) -> u64 {
        self.record.generation
    }

    pub(crate) fn access_expires_at(&self) -> UnixTime {
        self.record.access_expires_at
    }

    /// Whether the application has revoked all that its user had when it began.
    pub(crate) fn is_revoked(&self) -> bool {
        let revocable = self.contents.revocable.as_ref();
        revocable.is_some_and(Revocable::is_revoked)
    }

    /// Remembers that a request found it live.
    pub(crate) fn found_live(&self, now: Duration) {
        self.live_at.store(milliseconds(now), Ordering::Relaxed);
    }

    /// Whether a request found it live a moment ago, so that a call made for that request need not ask again.
    #[cfg(feature = "outbound")]
    pub(crate) fn was_live(&self, now: Duration) -> bool {
        const MOMENT: u64 = 1_000;
        let passed = milliseconds(now).checked_sub(self.live_at.load(Ordering::Relaxed));
        passed.is_some_and(|passed| passed < MOMENT)
    }

    /// Whether this caller is the one to put off the session's end.
    pub(crate) fn begin_to_extend(&self) -> bool {
        !self.is_extending.swap(true, Ordering::Relaxed)
    }

    /// The generation in which this process found its access token first. Others bring tokens for other targets.
    pub(crate) fn token_generation(&self) -> u64 {
        let token = self.contents.live_token.as_ref();
        token.map_or(self.record.generation, LiveToken::generation)
    }

    /// The token for the target at this place of the token set, ready to be sent.
    pub(crate) fn target_token(&self, place: usize) -> Option<LiveToken> {
        self.contents.target_tokens.get(place)?.clone()
    }

    /// The access token, ready to be sent.
    pub(crate) fn live_token(&self) -> Result<LiveToken, LoginError> {
        self.contents
            .live_token
            .clone()
            .ok_or_else(|| LoginErrorKind::UnusableToken.into())
    }
}

impl std::ops::Deref for Opened {
    type Target = Contents;

    fn deref(&self) -> &Contents {
        &self.contents
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A two-way set-associative cache. It does not replace the read of the store: an entry is used only for the
/// record that the store has now.
pub(crate) struct OpenedSessions {
    opened: Slots<ArcSwapOption<Opened>, PLACES, 2>,
    ids: Slots<ArcSwapOption<HashedId>, PLACES, 1>,
    clock: SharedClock,
    revocations: Option<Revocations>,
}

/// A session id and its SHA-256, the most expensive step of a warm request.
struct HashedId {
    id: SessionId,
    key: StoreKey,
}

const PLACES: usize = 16_384;

/// A key that the provider withdrew stops counting after this.
const OPENED_FOR: Duration = Duration::from_secs(300);

impl OpenedSessions {
    pub(crate) fn new(clock: SharedClock, revocations: Option<Revocations>) -> Self {
        Self {
            opened: Slots::new(),
            ids: Slots::new(),
            clock,
            revocations,
        }
    }

    /// What the layer asks before it uses a session, and tells of logouts by the provider.
    pub(crate) fn revocations(&self) -> Option<&Revocations> {
        self.revocations.as_ref()
    }

    /// What a session with these tokens can be revoked by.
    pub(crate) fn revocable(&self, tokens: &TokenSet) -> Option<Revocable> {
        let began = UnixTime::from_seconds(tokens.signed_in_at);
        let revocations = self.revocations.as_ref()?;
        let (issuer, subject) = (&tokens.issuer, &tokens.subject);
        Some(Revocable::session(revocations, issuer, subject, began))
    }

    /// The store's key of a session id, if it was remembered.
    pub(crate) fn known_key(&self, id: &SessionId) -> Option<StoreKey> {
        self.ids
            .find(id.as_bytes(), |known| known.id.is(id).then_some(known.key))
    }

    /// Remembers the key of a session id that has a session.
    pub(crate) fn remember(&self, id: SessionId, key: StoreKey) {
        let hashed = Arc::new(HashedId { id, key });
        self.ids
            .put(hashed.id.as_bytes(), Arc::clone(&hashed), |_| true);
    }

    /// The record with this tag, opened.
    pub(crate) fn find(&self, key: StoreKey, tag: Tag, now: Duration) -> Option<Arc<Opened>> {
        self.opened.find(key.as_bytes(), |opened| {
            let is_it =
                opened.key == key && opened.tag == tag && now < opened.verified_at + OPENED_FOR;
            is_it.then(|| Arc::clone(opened))
        })
    }

    /// The last record of this session that was opened here, whatever has changed since.
    pub(crate) fn last(&self, key: StoreKey) -> Option<Arc<Opened>> {
        self.opened.find(key.as_bytes(), |opened| {
            (opened.key == key).then(|| Arc::clone(opened))
        })
    }

    /// A record whose sealed bytes were opened under another tag: only its state has changed.
    pub(crate) fn find_contents(
        &self,
        key: StoreKey,
        record: &Record,
        tag: Tag,
    ) -> Option<Arc<Opened>> {
        let last = self.last(key)?;
        let is_it = last.record.generation == record.generation
            && self.clock.monotonic() < last.verified_at + OPENED_FOR
            && is_same(&last.record.sealed, &record.sealed);
        is_it.then(|| self.put(key, record, tag, Arc::clone(&last.contents)))
    }

    pub(crate) fn keep(
        &self,
        key: StoreKey,
        record: &Record,
        tag: Tag,
        tokens: TokenSet,
        principal: Principal,
    ) -> Arc<Opened> {
        let now = self.clock.monotonic();
        let last = self.last(key);
        let contents = Contents {
            live_token: live(
                &tokens.access_token,
                record.access_expires_at,
                record.generation,
                // A provider may answer a refresh with the token that it issued before.
                last.as_deref()
                    .filter(|last| last.tokens.obtained_at == tokens.obtained_at),
            ),
            target_tokens: tokens
                .targets
                .iter()
                .map(|one| {
                    let granted = one.token.as_ref()?;
                    live(
                        &granted.token,
                        UnixTime::from_seconds(granted.expires_at),
                        record.generation,
                        last.as_deref(),
                    )
                })
                .collect(),
            revocable: self.revocable(&tokens),
            tokens,
            principal,
            verified_at: now,
            #[cfg(feature = "outbound")]
            forced: last.map_or_else(
                || Arc::new(Allowance::full(now)),
                |last| Arc::clone(&last.forced),
            ),
        };
        self.put(key, record, tag, Arc::new(contents))
    }

    fn put(
        &self,
        key: StoreKey,
        record: &Record,
        tag: Tag,
        contents: Arc<Contents>,
    ) -> Arc<Opened> {
        let opened = Arc::new(Opened {
            record: record.clone(),
            tag,
            contents,
            key,
            live_at: AtomicU64::default(),
            is_extending: AtomicBool::default(),
        });
        let is_former = |there: &Opened| there.key == key;
        self.opened
            .put(key.as_bytes(), Arc::clone(&opened), is_former);
        opened
    }

    /// Whether the session may be refreshed because a service refused this token.
    #[cfg(feature = "outbound")]
    pub(crate) fn may_force(&self, opened: &Opened) -> bool {
        opened.forced.take(self.clock.monotonic())
    }

    pub(crate) fn forget(&self, key: StoreKey) {
        self.opened.remove(key.as_bytes(), |there| there.key == key);
    }
}

/// A token, ready to be sent. One that the session had before keeps what is known of it: whether a service refused
/// it.
fn live(
    token: &Secret,
    expires_at: UnixTime,
    generation: u64,
    last: Option<&Opened>,
) -> Option<LiveToken> {
    let known = last.and_then(|last| {
        let contents = &last.contents;
        let all = contents.live_token.iter();
        let mut all = all.chain(contents.target_tokens.iter().flatten());
        all.find(|known| crate::secret::is_same(known.as_access_token().as_str(), token.expose()))
    });
    known.cloned().or_else(|| {
        let token = LiveToken::new(token.expose()).ok()?;
        Some(token.with_generation(generation).with_expiry(expires_at))
    })
}

/// A store in memory hands out the same bytes each time.
fn is_same(one: &Bytes, other: &Bytes) -> bool {
    (one.as_ptr() == other.as_ptr() && one.len() == other.len()) || one == other
}
