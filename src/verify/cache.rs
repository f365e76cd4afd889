//! Cache of recently accepted tokens. On a hit only the time checks run.
//!
//! An entry is found by the whole token, byte for byte. It counts
//! - within the times of the token (`exp`, `nbf`, `iat`, the maximum age), for five minutes at most;
//! - as long as the keys are the ones it was judged by;
//! - in the verifier that made it, because each verifier has a cache and a configuration of its own.
//!
//! It holds acceptances only. A token without an entry that counts is judged step by step, so the cache
//! never causes a refusal.

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

/// An accepted token.
#[derive(Clone)]
pub(super) struct Accepted {
    pub(super) principal: Principal,
    /// The place or number of its issuer.
    pub(super) issuer: u64,
    /// The serial of those keys.
    pub(super) keys: u64,
    from: UnixTime,
    until: UnixTime,
}

/// An entry counts for this long at most.
const LONGEST: Duration = Duration::from_secs(300);

/// Average memory of one entry, in bytes. Larger tokens weigh more.
const USUAL_SIZE: u64 = 4096;

/// Memory of an entry beside its token and the text of its claims, in bytes.
const OVERHEAD: usize = 320;

impl AcceptedTokens {
    /// A cache of so many tokens of the usual size.
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

    /// The entry of this token, whether it still counts or not.
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
            // Setting the clock back does not prolong it.
            from: window.start.max(now),
            until: window.end.min(now.saturating_add(LONGEST)),
        };
        self.0.insert(Token(token.into()), accepted);
    }
}

impl Accepted {
    /// Whether it passes the time checks.
    #[inline]
    pub(super) fn counts(&self, now: UnixTime) -> bool {
        self.from <= now && now < self.until
    }
}

struct Token(Box<[u8]>);

struct Text<'a>(&'a [u8]);

/// Hashes the last 16 characters only. They belong to the signature, so the sender of an accepted token
/// cannot choose them, and they carry 96 bits. The hash is keyed nevertheless, and the whole token is
/// compared.
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
