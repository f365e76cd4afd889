//! What can be chosen about revocations, with the defaults and their bounds.

use std::time::Duration;

use crate::clock::{Clock, SharedClock};
use crate::error::ConfigError;
use crate::revocations::Revocations;
use crate::settings::{LONGEST_TOKEN_LIFETIME, REVOCATION_CAPACITY};

/// Chooses how much [`Revocations`] remember. Made by [`Revocations::builder`].
#[must_use]
#[derive(Debug)]
pub struct RevocationsBuilder {
    capacity: usize,
    longest: Duration,
    clock: SharedClock,
}

pub(super) const CAPACITY: usize = 100_000;
const MOST: usize = 10_000_000;

pub(super) const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 3600);
const SHORTEST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(400 * 24 * 3600);

impl Revocations {
    /// Revocations with choices.
    pub fn builder() -> RevocationsBuilder {
        RevocationsBuilder {
            capacity: CAPACITY,
            longest: LONGEST_LIFETIME,
            clock: SharedClock::system(),
        }
    }
}

impl RevocationsBuilder {
    /// How many entries are remembered: one for a token or a session, two for a user. Default: 100 000, which take
    /// about 10 MB; at most ten million.
    pub fn with_capacity(mut self, entries: usize) -> Self {
        self.capacity = entries;
        self
    }

    /// The longest time for which an access token of the provider is good. The end of a session and the revocation of
    /// all tokens of a user are remembered for so long. Default: 24 hours; from a minute to 400 days.
    ///
    /// # Security
    /// A token that lives longer is accepted again once its revocation is forgotten. The log warns when such a token
    /// comes.
    pub fn with_longest_token_lifetime(mut self, lifetime: Duration) -> Self {
        self.longest = lifetime;
        self
    }

    /// The clock by which revocations end. Default: the system's.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = SharedClock::new(clock);
        self
    }

    /// The revocations, none yet.
    ///
    /// # Errors
    /// [`ConfigError`] if a number is out of bounds.
    pub fn build(self) -> Result<Revocations, ConfigError> {
        if !(1..=MOST).contains(&self.capacity) {
            return Err(ConfigError::out_of_bounds(
                REVOCATION_CAPACITY,
                self.capacity.to_string(),
                format!("choose from 1 to {MOST} entries"),
            ));
        }
        if !(SHORTEST..=LONGEST).contains(&self.longest) {
            return Err(ConfigError::out_of_bounds(
                LONGEST_TOKEN_LIFETIME,
                format!("{:?}", self.longest),
                "choose from a minute to 400 days",
            ));
        }
        Ok(Revocations::with_parts(
            self.capacity,
            self.longest,
            self.clock,
        ))
    }
}
