//! The session that a principal is of.

use std::future::ready;
use std::sync::{Arc, Weak};

use crate::expiry::Ended;
use crate::login::sessions::Sessions;
use crate::login::store::StoreKey;
use crate::principal::{Origin, Principal};
#[cfg(feature = "outbound")]
use crate::token::source::TokenSource;

/// One session, as its principal knows it. Holds the layer weakly: its cache holds principals, and a strong
/// reference would be a cycle.
pub(crate) struct OfSession {
    pub(crate) sessions: Weak<Sessions>,
    pub(crate) key: StoreKey,
}

impl OfSession {
    /// Tells principals of their session in this layer.
    pub(crate) fn mark(
        sessions: Weak<Sessions>,
    ) -> Box<dyn Fn(StoreKey, Principal) -> Principal + Send + Sync> {
        Box::new(move |key, principal| {
            let sessions = sessions.clone();
            principal.with_origin(Arc::new(Self { sessions, key }))
        })
    }
}

impl Origin for OfSession {
    fn ended(&self) -> Option<Ended> {
        Some(match self.sessions.upgrade() {
            Some(sessions) => Box::pin(sessions.until_over(self.key)),
            // The layer is gone, and its sessions with it.
            None => Box::pin(ready(())),
        })
    }

    #[cfg(feature = "outbound")]
    fn source(&self) -> &dyn TokenSource {
        self
    }
}
