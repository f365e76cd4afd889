//! Sessions whose tokens this process has opened and verified already.

use std::sync::Arc;
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
use crate::token::live::LiveToken;

/// A record whose tokens were opened and whose access token was verified, by this process.
pub(crate) struct Opened {
    pub(crate) record: Record,
    pub(crate) tag: Tag,
    contents: Arc<Contents>,
    key: StoreKey,
}

/// What a record's sealed bytes hold. Records that differ in their state alone share it.
pub(crate) struct Contents {
    pub(crate) tokens: TokenSet,
    pub(crate) principal: Principal,
    /// `None` if the token cannot stand in a header.
    live_token: Option<LiveToken>,
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

/// A two-way set-associative cache. It does not replace the read of the store: an entry is used only for the
/// record that the store has now.
pub(crate) struct OpenedSessions {
    places: Box<[ArcSwapOption<Opened>]>,
    ids: Box<[ArcSwapOption<HashedId>]>,
    clock: SharedClock,
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
    pub(crate) fn new(clock: SharedClock) -> Self {
        Self {
            places: (0..PLACES).map(|_| ArcSwapOption::empty()).collect(),
            ids: (0..PLACES).map(|_| ArcSwapOption::empty()).collect(),
            clock,
        }
    }

    /// The store's key of a session id, known or computed.
    pub(crate) fn key_of(&self, id: &SessionId) -> StoreKey {
        let known = self.ids[place(id.as_bytes(), 0)].load();
        match known.as_ref() {
            Some(known) if known.id.is(id) => known.key,
            _ => id.store_key(),
        }
    }

    /// Remembers the key of a session id that has a session.
    pub(crate) fn remember(&self, id: &SessionId, key: StoreKey) {
        let there = &self.ids[place(id.as_bytes(), 0)];
        if there.load().as_ref().is_none_or(|known| known.key != key) {
            let id = id.clone();
            there.store(Some(Arc::new(HashedId { id, key })));
        }
    }

    /// The record with this tag, opened.
    pub(crate) fn find(&self, key: StoreKey, tag: Tag) -> Option<Arc<Opened>> {
        let now = self.clock.monotonic();
        self.places_of(key).into_iter().find_map(|place| {
            let opened = place.load();
            let opened = opened.as_ref()?;
            let is_it =
                opened.key == key && opened.tag == tag && now < opened.verified_at + OPENED_FOR;
            is_it.then(|| Arc::clone(opened))
        })
    }

    /// The last record of this session that was opened here, whatever has changed since.
    pub(crate) fn last(&self, key: StoreKey) -> Option<Arc<Opened>> {
        self.places_of(key).into_iter().find_map(|place| {
            let opened = place.load();
            opened
                .as_ref()
                .filter(|opened| opened.key == key)
                .map(Arc::clone)
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
        is_it.then(|| {
            self.put(Opened {
                record: record.clone(),
                tag,
                contents: Arc::clone(&last.contents),
                key,
            })
        })
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
        let live_token = LiveToken::new(tokens.access_token.expose()).ok();
        let contents = Contents {
            live_token: live_token.map(|token| {
                token
                    .with_generation(record.generation)
                    .with_expiry(record.access_expires_at)
            }),
            tokens,
            principal,
            verified_at: now,
            #[cfg(feature = "outbound")]
            forced: self.last(key).map_or_else(
                || Arc::new(Allowance::full(now)),
                |last| Arc::clone(&last.forced),
            ),
        };
        self.put(Opened {
            record: record.clone(),
            tag,
            contents: Arc::new(contents),
            key,
        })
    }

    fn put(&self, opened: Opened) -> Arc<Opened> {
        let [one, other] = self.places_of(opened.key);
        let is_free = |place: &ArcSwapOption<Opened>| {
            place
                .load()
                .as_ref()
                .is_none_or(|there| there.key == opened.key)
        };
        let place = if is_free(one) || !is_free(other) {
            one
        } else {
            other
        };
        let opened = Arc::new(opened);
        place.store(Some(Arc::clone(&opened)));
        opened
    }

    /// Whether the session may be refreshed because a service refused this token.
    #[cfg(feature = "outbound")]
    pub(crate) fn may_force(&self, opened: &Opened) -> bool {
        opened.forced.take(self.clock.monotonic())
    }

    pub(crate) fn forget(&self, key: StoreKey) {
        for place in self.places_of(key) {
            if place.load().as_ref().is_some_and(|there| there.key == key) {
                place.store(None);
            }
        }
    }

    fn places_of(&self, key: StoreKey) -> [&ArcSwapOption<Opened>; 2] {
        [0, 4].map(|at| &self.places[place(key.as_bytes(), at)])
    }
}

/// Ids and keys are random or a hash, so that any of their bits spread well.
fn place(bytes: &[u8; 32], at: usize) -> usize {
    let number = u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    number as usize % PLACES
}

/// A store in memory hands out the same bytes each time.
fn is_same(one: &Bytes, other: &Bytes) -> bool {
    (one.as_ptr() == other.as_ptr() && one.len() == other.len()) || one == other
}
