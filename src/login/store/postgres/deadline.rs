//! The end of an operation's time.

use std::future::Future;
use std::time::Duration;

use tokio::time::error::Elapsed;

use crate::clock::SharedClock;

/// Until when an operation may take.
#[derive(Debug, Clone)]
pub(super) struct Deadline {
    clock: SharedClock,
    at: Duration,
}

impl Deadline {
    pub(super) fn after(clock: &SharedClock, patience: Duration) -> Self {
        Self {
            at: clock.monotonic().saturating_add(patience),
            clock: clock.clone(),
        }
    }

    pub(super) fn has_passed(&self) -> bool {
        self.left().is_zero()
    }

    /// The same until then.
    pub(super) async fn bound<F: Future>(&self, future: F) -> Result<F::Output, Elapsed> {
        tokio::time::timeout(self.left(), future).await
    }

    fn left(&self) -> Duration {
        self.at.saturating_sub(self.clock.monotonic())
    }
}
