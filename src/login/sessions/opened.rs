//! Sessions opened of late, so that not every request opens and verifies anew.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;

#[cfg(feature = "outbound")]
use crate::allowance::Allowance;
use crate::clock::{SharedClock, UnixTime};
use crate::error::{LoginError, LoginErrorKind};
use crate::login::sessions::id::{SessionId, StoreKey};
use crate::login::sessions::record::Record;
use crate::login::sessions::tokens::TokenSet;
use crate::principal::Principal;
use crate::token::live::LiveToken;

/// A session whose tokens were opened and whose access token was verified, by this process.
pub(crate) struct Opened {
    pub(crate) tokens: TokenSet,
    /// `None` if it cannot stand in a header.
    live_token: Option<LiveToken>,
    pub(crate) generation: u64,
    pub(crate) access_expires_at: UnixTime,
    pub(crate) principal: Principal,
    /// What bounds renewals because a service refused the token; the session's, not the generation's.
    #[cfg(feature = "outbound")]
    forced: Arc<Allowance>,
    key: StoreKey,
    sealed: Bytes,
    /// In monotonic time.
    since: Duration,
}

impl Opened {
    /// The access token, ready to be sent.
    pub(crate) fn live_token(&self) -> Result<LiveToken, LoginError> {
        self.live_token
            .clone()
            .ok_or_else(|| LoginErrorKind::UnusableToken.into())
    }
}

/// A bounded number of them, each in one of two places that its key names. The store is asked all the
/// same: an entry counts only for the very record it was made of.
pub(crate) struct OpenedSessions {
    places: Box<[ArcSwapOption<Opened>]>,
    handles: Box<[ArcSwapOption<Handle>]>,
    clock: SharedClock,
}

/// What the hash of a handle is, which costs more to find out than all the rest.
struct Handle {
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
            handles: (0..PLACES).map(|_| ArcSwapOption::empty()).collect(),
            clock,
        }
    }

    /// The key of a handle, known or made.
    pub(crate) fn key_of(&self, id: &SessionId) -> StoreKey {
        let known = self.handles[place(id.as_bytes(), 0)].load();
        match known.as_ref() {
            Some(known) if known.id.is(id) => known.key,
            _ => id.store_key(),
        }
    }

    /// Remembers the key of a handle that has a session.
    pub(crate) fn remember(&self, id: &SessionId, key: StoreKey) {
        let there = &self.handles[place(id.as_bytes(), 0)];
        if there.load().as_ref().is_none_or(|known| known.key != key) {
            let id = id.clone();
            there.store(Some(Arc::new(Handle { id, key })));
        }
    }

    pub(crate) fn find(&self, key: StoreKey, record: &Record) -> Option<Arc<Opened>> {
        let now = self.clock.monotonic();
        self.places_of(key).into_iter().find_map(|place| {
            let opened = place.load();
            let opened = opened.as_ref()?;
            let is_it = opened.key == key
                && opened.generation == record.generation
                && now < opened.since.saturating_add(OPENED_FOR)
                && is_same(&opened.sealed, &record.sealed);
            is_it.then(|| Arc::clone(opened))
        })
    }

    pub(crate) fn keep(
        &self,
        key: StoreKey,
        record: &Record,
        tokens: TokenSet,
        principal: Principal,
    ) -> Arc<Opened> {
        #[cfg(feature = "outbound")]
        let forced = self.places_of(key).into_iter().find_map(|place| {
            let before = place.load();
            let before = before.as_ref().filter(|before| before.key == key)?;
            Some(Arc::clone(&before.forced))
        });
        let now = self.clock.monotonic();
        let opened = Arc::new(Opened {
            #[cfg(feature = "outbound")]
            forced: forced.unwrap_or_else(|| Arc::new(Allowance::full(now))),
            live_token: LiveToken::new(tokens.access_token.expose())
                .ok()
                .map(|token| {
                    token
                        .with_generation(record.generation)
                        .with_expiry(record.access_expires_at)
                }),
            tokens,
            generation: record.generation,
            access_expires_at: record.access_expires_at,
            principal,
            key,
            sealed: record.sealed.clone(),
            since: now,
        });
        let [one, other] = self.places_of(key);
        let is_free = |place: &ArcSwapOption<Opened>| {
            place.load().as_ref().is_none_or(|there| there.key == key)
        };
        let place = if is_free(one) || !is_free(other) {
            one
        } else {
            other
        };
        place.store(Some(Arc::clone(&opened)));
        opened
    }

    /// Whether the session may be renewed because a service refused this token.
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

/// Handles and keys are random or a hash, so that any of their bits spread well.
fn place(bytes: &[u8; 32], at: usize) -> usize {
    let number = u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    number as usize % PLACES
}

/// A store in memory hands out the very bytes each time.
fn is_same(one: &Bytes, other: &Bytes) -> bool {
    (one.as_ptr() == other.as_ptr() && one.len() == other.len()) || one == other
}
