//! The tokens of a session for other services, as they are sealed into its record: each with its own times.

use serde::{Deserialize, Serialize};

use crate::clock::UnixTime;
use crate::error::LoginErrorKind as Kind;
use crate::secret::Secret;

/// What came of asking for a target.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct TargetToken {
    /// The parameters that it was asked for by.
    pub(crate) target: String,
    pub(crate) state: TargetState,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum TargetState {
    Token {
        token: Secret,
        obtained_at: i64,
        expires_at: i64,
        /// Until then no newer one is asked for, because the provider refused it.
        not_before: i64,
    },
    Refused {
        why: Refusal,
        until: i64,
    },
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
    /// Whether it says more than that the target is to be asked for.
    pub(crate) fn counts(&self, now: UnixTime) -> bool {
        let (TargetState::Token {
            expires_at: end, ..
        }
        | TargetState::Refused { until: end, .. }) = self.state;
        now.as_seconds() < end
    }

    /// In bytes.
    pub(crate) fn size(&self) -> usize {
        match &self.state {
            TargetState::Token { token, .. } => token.expose().len(),
            TargetState::Refused { .. } => 0,
        }
    }
}
