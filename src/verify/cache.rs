//! Tokens accepted of late, so that one seen before is judged by the clock alone.
//!
//! An entry is found by the whole token, byte for byte, and counts
//! - while the clock says so: `exp`, `nbf`, `iat`, the maximum age, and five minutes at the most;
//! - while the keys are those it was judged by;
//! - in the verifier that made it: each has its own, and with it its own configuration.
//!
//! Nothing but acceptances is in it. Whatever does not count is judged anew, so that a refusal never comes
//! of it.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, Equivalent, Weighter};

use crate::clock::UnixTime;
use crate::principal::Principal;
use crate::verify::judge::Genuine;

/// The acceptances of one verifier.
pub(super) struct AcceptedTokens(Cache<Token, Accepted, Weigh>);

/// What is known of a token that was accepted.
#[derive(Clone)]
pub(super) struct Accepted {
    pub(super) principal: Principal,
    /// The place of its issuer in the list of those trusted.
    pub(super) issuer: usize,
    /// The serial of those keys.
    pub(super) keys: u64,
    from: UnixTime,
    until: UnixTime,
}

/// An acceptance is not relied on for longer.
const LONGEST: Duration = Duration::from_secs(300);

/// What a token takes up on the average, its claims and its place included; larger ones count for more
/// than one.
const USUAL_SIZE: u64 = 4096;

/// What an entry takes up beside its token and the text of its claims.
const OVERHEAD: usize = 320;

impl AcceptedTokens {
    /// Room for so many tokens of the usual size.
    pub(super) fn new(capacity: usize) -> Self {
        let weight = u64::try_from(capacity).unwrap_or(u64::MAX);
        Self(Cache::with(
            capacity,
            weight.saturating_mul(USUAL_SIZE),
            Weigh,
            DefaultHashBuilder::default(),
            DefaultLifecycle::default(),
        ))
    }

    /// What is known of this token, whether it still counts or not.
    #[inline]
    pub(super) fn find(&self, token: &[u8]) -> Option<Accepted> {
        self.0.get(&Text(token))
    }

    pub(super) fn keep(&self, token: &[u8], genuine: &Genuine) {
        let (window, now) = (&genuine.window, genuine.now);
        let accepted = Accepted {
            principal: genuine.principal.clone(),
            issuer: genuine.issuer,
            keys: genuine.keys,
            // A clock that is set back does not prolong it.
            from: window.start.max(now),
            until: window.end.min(now.saturating_add(LONGEST)),
        };
        self.0.insert(Token(token.into()), accepted);
    }
}

impl Accepted {
    /// Whether it counts at this time, as far as the clock is concerned.
    #[inline]
    pub(super) fn counts(&self, now: UnixTime) -> bool {
        self.from <= now && now < self.until
    }
}

struct Token(Box<[u8]>);

struct Text<'a>(&'a [u8]);

/// A token ends with its signature, whose last characters nobody chooses who gets it accepted: 96 random
/// bits are in sixteen of them. The hash is keyed all the same, and equality is that of the whole.
fn hash_end(token: &[u8], hasher: &mut impl Hasher) {
    if let Some((_, end)) = token.split_last_chunk::<16>() {
        hasher.write_u128(u128::from_ne_bytes(*end));
    }
}

impl Hash for Token {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hash_end(&self.0, hasher);
    }
}

impl Hash for Text<'_> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hash_end(self.0, hasher);
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Token {}

impl Equivalent<Token> for Text<'_> {
    fn equivalent(&self, token: &Token) -> bool {
        *self.0 == *token.0
    }
}

#[derive(Clone)]
struct Weigh;

impl Weighter<Token, Accepted> for Weigh {
    fn weight(&self, token: &Token, accepted: &Accepted) -> u64 {
        let size = token.0.len() + accepted.principal.size() + OVERHEAD;
        u64::try_from(size).unwrap_or(u64::MAX).max(USUAL_SIZE)
    }
}

impl fmt::Debug for AcceptedTokens {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AcceptedTokens")
    }
}
