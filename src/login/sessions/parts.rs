//! What sessions are made of, and how the parts are put together.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::login::sessions::Sessions;
use crate::login::sessions::ledger::Ledger;
use crate::login::sessions::marks::Marks;
use crate::login::sessions::mode::Mode;
use crate::login::sessions::opened::OpenedSessions;
use crate::login::sessions::opener::Opener;
use crate::login::sessions::origin::OfSession;
use crate::login::sessions::renewals::{Flights, Lifetimes, RefreshRequest, Renewals};
use crate::login::sessions::revoker::Revoker;
use crate::login::sessions::seal::{KeyRing, Sealing};
use crate::login::store::SessionStore;
use crate::login::store::near_cache::NearCache;
use crate::provider::{Client, Provider};
use crate::revocations::Revocations;
use crate::token::target::Target;
use crate::verify::id_token::IdTokenVerifier;

/// What the builder of a layer chose about sessions.
pub(crate) struct SessionParts {
    pub(crate) provider: Provider,
    pub(crate) client: Client,
    pub(crate) mode: Mode,
    pub(crate) leeway: Duration,
    pub(crate) id_tokens: IdTokenVerifier,
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) near_cache_age: Duration,
    pub(crate) keys: KeyRing,
    /// The address of the site.
    pub(crate) address: String,
    pub(crate) request: RefreshRequest,
    pub(crate) targets: Vec<Target>,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) grace: Duration,
    /// Refresh grants under way at once, at the most.
    pub(crate) grants: usize,
    pub(crate) revocations: Option<Revocations>,
}

impl SessionParts {
    pub(crate) fn assemble(self) -> Arc<Sessions> {
        let clock = self.provider.clock().clone();
        let near = NearCache::new(self.store, self.near_cache_age, clock.clone());
        let ledger = Arc::new(Ledger::new(near, clock.clone()));
        let tasks = TaskTracker::new();
        let revoker = Arc::new(Revoker::new(
            self.provider.clone(),
            self.client.clone(),
            tasks.clone(),
        ));
        let issuer = self.provider.issuer().as_str();
        let sealing = Sealing::new(self.keys, issuer, self.client.id(), &self.address);
        let leeway = self.leeway;
        // A principal leads back to its session, which the cache of opened sessions must not keep alive.
        Arc::new_cyclic(|sessions| {
            let opener = Arc::new(Opener {
                sealing,
                mode: self.mode,
                cache: OpenedSessions::new(clock.clone(), self.revocations),
                with_origin: OfSession::mark(sessions.clone()),
            });
            Sessions {
                renewals: Arc::new(Renewals {
                    ledger: Arc::clone(&ledger),
                    opener: Arc::clone(&opener),
                    revoker: Arc::clone(&revoker),
                    provider: self.provider,
                    client: self.client,
                    id_tokens: self.id_tokens,
                    request: self.request,
                    targets: self.targets.into_iter().map(Into::into).collect(),
                    lifetimes: self.lifetimes,
                    grace: self.grace,
                    grants: Semaphore::new(self.grants),
                    flights: Flights::default(),
                    tasks: tasks.clone(),
                    is_draining: AtomicBool::new(false),
                }),
                marks: Marks::new(Arc::clone(&ledger)),
                ledger,
                opener,
                revoker,
                tasks,
                clock,
                leeway,
                lifetimes: self.lifetimes,
            }
        })
    }
}
