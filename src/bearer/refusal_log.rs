//! Tells operators why tokens are refused and what to do about it. Bad tokens cannot fill the log.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::SharedClock;
use crate::error::{Chain, VerifyError};
use crate::verify::Verifier;

pub(super) struct RefusalLog {
    clock: Option<SharedClock>,
    /// For each kind the second at which it was last logged, plus one. Zero: not yet.
    told: [AtomicU64; KINDS],
}

/// At least the number of kinds of refusal.
const KINDS: usize = 32;

/// Between two lines of one kind, in seconds.
const PAUSE: u64 = 10;

impl RefusalLog {
    pub(super) fn new(verifier: &Verifier) -> Self {
        Self {
            clock: verifier
                .providers()
                .next()
                .map(|provider| provider.clock().clone()),
            told: [const { AtomicU64::new(0) }; KINDS],
        }
    }

    pub(super) fn tell(&self, error: &VerifyError) {
        let kind = error.kind().as_str();
        if !self.is_due(error) {
            tracing::debug!(kind, error = %Chain(error), remedy = error.remedy(), "refused a token");
        } else if error.kind().is_structural() || error.retry_after().is_some() {
            tracing::warn!(kind, error = %Chain(error), remedy = error.remedy(), "refused a token");
        } else {
            tracing::info!(kind, error = %Chain(error), remedy = error.remedy(), "refused a token");
        }
    }

    fn is_due(&self, error: &VerifyError) -> bool {
        let (Some(clock), Some(told)) = (&self.clock, self.told.get(error.kind() as usize)) else {
            return false;
        };
        let now = clock.monotonic().as_secs().saturating_add(1);
        let last = told.load(Ordering::Relaxed);
        (last == 0 || now.saturating_sub(last) >= PAUSE)
            && told
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}
