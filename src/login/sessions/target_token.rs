//! The tokens of a session for other services, as they are sealed into its record: each with its own times.

use serde::{Deserialize, Serialize};

use crate::clock::UnixTime;
use crate::error::LoginErrorKind as Kind;
use crate::secret::Secret;

/// What came of asking for a target. A token lives on while a newer one is refused.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct TargetToken {
    /// The parameters that it was asked for by.
    pub(crate) target: String,
    pub(crate) token: Option<GrantedToken>,
    pub(crate) refused: Option<Refused>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct GrantedToken {
    pub(crate) token: Secret,
    pub(crate) obtained_at: i64,
    pub(crate) expires_at: i64,
}

/// Until when a target is not asked for, and why.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Refused {
    pub(crate) why: Refusal,
    pub(crate) until: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Refusal {
    ByProvider,
    OtherAudience,
    TooLarge,
}

impl Refusal {
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::ByProvider => Kind::TargetRefused,
            Self::OtherAudience => Kind::TargetOfOtherAudience,
            Self::TooLarge => Kind::TargetTooLarge,
        }
    }
}

impl TargetToken {
    /// The token, if it lives.
    pub(crate) fn live(&self, now: UnixTime) -> Option<&GrantedToken> {
        let is_live = |token: &&GrantedToken| now.as_seconds() < token.expires_at;
        self.token.as_ref().filter(is_live)
    }

    /// Why the target is not to be asked for now, if it was refused a moment ago.
    pub(crate) fn put_off(&self, now: UnixTime) -> Option<Refusal> {
        let refused = self.refused?;
        (now.as_seconds() < refused.until).then_some(refused.why)
    }

    /// The same without what has ended. `None` if nothing is left.
    pub(crate) fn current(mut self, now: UnixTime) -> Option<Self> {
        if self.live(now).is_none() {
            self.token = None;
        }
        if self.put_off(now).is_none() {
            self.refused = None;
        }
        (self.token.is_some() || self.refused.is_some()).then_some(self)
    }

    /// In bytes.
    pub(crate) fn size(&self) -> usize {
        let token = self.token.as_ref();
        token.map_or(0, |granted| granted.token.expose().len())
    }
}
