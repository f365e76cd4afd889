//! The work that a layer does behind its requests, as those see it who end it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio_util::task::TaskTracker;

use crate::login::sessions::Sessions;
use crate::login::sessions::renewals::Renewals;

/// The background work of one layer. It does not keep the layer.
#[derive(Clone)]
pub(crate) struct Background {
    renewals: Weak<Renewals>,
    tasks: TaskTracker,
}

impl Sessions {
    pub(crate) fn background(&self) -> Background {
        Background {
            renewals: Arc::downgrade(&self.renewals),
            tasks: self.tasks.clone(),
        }
    }
}

impl Background {
    /// Starts no new grant from now on.
    pub(crate) fn stop(&self) {
        if let Some(renewals) = self.renewals.upgrade() {
            renewals.stop();
        }
    }

    /// Whether it is that of the same layer.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.renewals.ptr_eq(&other.renewals)
    }

    /// Whether the layer is gone, and all its work is done.
    pub(crate) fn is_over(&self) -> bool {
        self.renewals.strong_count() == 0 && self.tasks.is_empty()
    }

    /// Waits for the work of all of these that is under way, for so long together. Whether it has ended.
    pub(crate) async fn all_ended(all: Vec<Self>, deadline: Duration) -> bool {
        let ending = async {
            for background in all {
                background.tasks.close();
                background.tasks.wait().await;
            }
        };
        tokio::time::timeout(deadline, ending).await.is_ok()
    }
}
