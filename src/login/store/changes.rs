//! Changes by other processes: a database tells of them, and they are passed on to those who wait for a session
//! and to the near cache.
//!
//! A message can be lost, as connections are. So nothing depends on it: the near cache has an age, and those
//! who wait ask again by themselves.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;

use crate::login::store::{ChangeListener, StoreKey};

/// Those who are to be told.
pub(super) struct Changes {
    listeners: Mutex<Vec<SharedListener>>,
    told: broadcast::Sender<Change>,
}

#[derive(Clone, Copy)]
pub(super) enum Change {
    Of(StoreKey),
    /// Some may have been missed.
    OfAny,
}

/// Where changes are told of.
pub(super) trait Channel: Send + Sync + 'static {
    /// A connection that listens.
    type Line: Send;
    type Error: fmt::Display + Send;

    /// As the log names the store.
    const STORE: &'static str;

    /// Begins to listen, or fails in time. Attempts are counted from zero.
    fn open(&self, attempt: usize) -> impl Future<Output = Result<Self::Line, Self::Error>> + Send;

    /// Whether it goes on like this until the configuration is changed.
    fn lasts(error: &Self::Error) -> bool {
        let _ = error;
        false
    }

    /// Passes on what is heard, until the connection breaks.
    fn listen(&self, line: Self::Line, changes: &Changes) -> impl Future<Output = ()> + Send;
}

/// Listens until it is dropped.
pub(super) struct Listener(JoinHandle<()>);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How many changes may come before those who wait have looked at the first.
const BACKLOG: usize = 1_024;

/// How long a connection may be silent before it is asked whether it is there.
pub(super) const SILENCE: Duration = Duration::from_secs(5);

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Until it is tried again where that is of little use.
const PAUSE_OF_LASTING: Duration = Duration::from_secs(600);

impl Changes {
    pub(super) fn new() -> Self {
        let (told, _) = broadcast::channel(BACKLOG);
        Self {
            listeners: Mutex::default(),
            told,
        }
    }

    pub(super) fn tell(&self, listener: ChangeListener) {
        self.lock().push(Arc::from(listener));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<SharedListener>> {
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Completes when the session changes after this call, as far as that is heard.
    pub(super) fn next(&self, key: StoreKey) -> impl Future<Output = ()> + Send + use<> {
        let mut told = self.told.subscribe();
        async move {
            loop {
                match told.recv().await {
                    Ok(Change::Of(changed)) if changed != key => {}
                    Ok(_) | Err(RecvError::Lagged(_)) => return,
                    Err(RecvError::Closed) => return std::future::pending().await,
                }
            }
        }
    }

    pub(super) fn heard(&self, change: Change) {
        let key = match change {
            Change::Of(key) => Some(key),
            Change::OfAny => None,
        };
        // No lock is held while they run.
        let listeners = self.lock().clone();
        let gone: Vec<_> = listeners.iter().filter(|listener| !listener(key)).collect();
        if !gone.is_empty() {
            let is_gone = |one: &SharedListener| gone.iter().any(|gone| Arc::ptr_eq(one, gone));
            // `listeners` keeps them until the lock is free.
            self.lock().retain(|listener| !is_gone(listener));
        }
        // Perhaps no task is waiting.
        let _ = self.told.send(change);
    }
}

type SharedListener = Arc<dyn Fn(Option<StoreKey>) -> bool + Send + Sync>;

impl Listener {
    /// Listens on this channel, for as long as it takes to connect and again whenever that breaks.
    pub(super) fn start<C: Channel>(channel: C, changes: Arc<Changes>) -> Self {
        Self(tokio::spawn(async move {
            let store = C::STORE;
            let mut pause = FIRST_PAUSE;
            let mut is_known_to_last = false;
            for attempt in 0.. {
                match channel.open(attempt).await {
                    Ok(line) => {
                        tracing::debug!("listening to changes in {store}");
                        changes.heard(Change::OfAny);
                        channel.listen(line, &changes).await;
                        changes.heard(Change::OfAny);
                        pause = FIRST_PAUSE;
                    }
                    Err(error) => {
                        let lasts = C::lasts(&error);
                        if attempt == 0 || lasts && !is_known_to_last {
                            tracing::warn!(
                                %error,
                                "changes in {store} cannot be listened to: what other replicas change is seen when \
                                 records kept near are old"
                            );
                        }
                        is_known_to_last |= lasts;
                        if lasts {
                            tokio::time::sleep(PAUSE_OF_LASTING).await;
                        }
                    }
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // D39
    #[test]
    fn a_listener_that_wants_to_hear_no_more_is_dropped() {
        let changes = Changes::new();
        changes.tell(Box::new(|key| key.is_none()));
        changes.tell(Box::new(|_| true));
        changes.heard(Change::OfAny);
        assert_eq!(changes.lock().len(), 2);
        changes.heard(Change::Of(StoreKey::of(&["a session"])));
        assert_eq!(changes.lock().len(), 1);
    }
}
