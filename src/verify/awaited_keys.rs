//! Keys that a token waits for.

use std::sync::Arc;

use crate::error::VerifyError;
use crate::keys::remote::KeySet;
use crate::provider::Provider;
use crate::renew::{Fetching, Refusal, Snapshot, can_fetch_here};
use crate::verify::issuer_source::LookedUp;

/// The keys to judge by.
#[derive(Clone, Copy)]
pub(super) enum Keys<'a> {
    /// Those at hand. A key that is not among them may be fetched.
    AtHand,
    /// These, which were just fetched.
    Fetched {
        keys: &'a Snapshot<KeySet>,
        /// Whether they were asked for after the token came. Its key is then certainly published, if it
        /// ever was.
        since_token: bool,
    },
}

/// Keys that are being fetched.
pub(crate) struct PendingKeys {
    fetch: Fetch,
    /// What the issuer source said of the issuer of the token, if it was asked.
    pub(super) looked_up: Option<LookedUp>,
}

enum Fetch {
    UnderWay {
        fetching: Fetching<KeySet>,
        provider: Provider,
        since_token: bool,
    },
    /// There was no runtime to fetch them on. The caller may wait on one.
    Runtime,
}

/// Keys that were waited for.
pub(super) struct Awaited {
    keys: Arc<Snapshot<KeySet>>,
    since_token: bool,
}

impl PendingKeys {
    pub(super) fn of(provider: &Provider, fetching: Fetching<KeySet>, since_token: bool) -> Self {
        Self {
            fetch: Fetch::UnderWay {
                fetching,
                provider: provider.clone(),
                since_token,
            },
            looked_up: None,
        }
    }

    /// What can be waited for where keys could not be read.
    pub(super) fn after(refusal: Refusal) -> Result<Self, VerifyError> {
        if refusal.is_for_want_of_a_runtime() {
            Ok(Self {
                fetch: Fetch::Runtime,
                looked_up: None,
            })
        } else {
            Err(refusal.into())
        }
    }

    /// The same for an issuer that was looked up.
    pub(super) fn of_issuer(self, looked_up: Option<LookedUp>) -> Self {
        Self { looked_up, ..self }
    }

    /// The keys, once they are fetched. `None` where the token must be judged once more to fetch them.
    pub(super) async fn awaited(self) -> Result<Option<Awaited>, VerifyError> {
        match self.fetch {
            Fetch::UnderWay {
                fetching,
                provider,
                since_token,
            } => match fetching.flight.landed().await {
                Ok(keys) => Ok(Some(Awaited { keys, since_token })),
                Err(_) if provider.keys().serve_after_failure() => Ok(None),
                Err(error) => Err(provider.keys().refusal(error).into()),
            },
            Fetch::Runtime if can_fetch_here() => Ok(None),
            Fetch::Runtime => Err(Refusal::for_want_of_a_runtime().into()),
        }
    }
}

impl Awaited {
    pub(super) fn as_keys(&self) -> Keys<'_> {
        Keys::Fetched {
            keys: &self.keys,
            since_token: self.since_token,
        }
    }
}

impl From<Refusal> for VerifyError {
    fn from(refusal: Refusal) -> Self {
        Self::unavailable(refusal.error, refusal.retry_after)
    }
}
