//! Tenants that an application knows, and its function for a source, which does what a test tells it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;
use tower_oidc::testing::ManualClock;

/// Of each tenant's name, what the function returns.
pub(crate) struct KnownTenants<T>(Arc<State<T>>);

struct State<T> {
    clock: ManualClock,
    known: Mutex<HashMap<String, T>>,
    asked: Mutex<Vec<String>>,
    manner: Mutex<Manner>,
    /// One permit lets one look-up through that waits.
    gate: Semaphore,
    under_way: AtomicU32,
    most: AtomicU32,
}

/// How the function answers.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Manner {
    Answers,
    Waits,
    Fails,
    Panics,
    Hangs,
}

/// One fewer when it goes.
struct UnderWay<'a>(&'a AtomicU32);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl<T> Clone for KnownTenants<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Clone> KnownTenants<T> {
    pub(crate) fn new(clock: &ManualClock) -> Self {
        Self(Arc::new(State {
            clock: clock.clone(),
            known: Mutex::default(),
            asked: Mutex::default(),
            manner: Mutex::new(Manner::Answers),
            gate: Semaphore::new(0),
            under_way: AtomicU32::new(0),
            most: AtomicU32::new(0),
        }))
    }

    pub(crate) fn clock(&self) -> ManualClock {
        self.0.clock.clone()
    }

    pub(crate) fn set(&self, name: &str, tenant: T) {
        self.0.known.lock().unwrap().insert(name.to_owned(), tenant);
    }

    pub(crate) fn remove(&self, name: &str) {
        self.0.known.lock().unwrap().remove(name);
    }

    pub(crate) fn behave(&self, manner: Manner) {
        *self.0.manner.lock().unwrap() = manner;
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.0.clock.advance(by);
    }

    /// Lets so many look-ups through that wait.
    pub(crate) fn let_through(&self, lookups: usize) {
        self.0.gate.add_permits(lookups);
    }

    /// Look-ups that are under way.
    pub(crate) fn under_way(&self) -> u32 {
        self.0.under_way.load(Ordering::SeqCst)
    }

    /// The most that ever were.
    pub(crate) fn most_under_way(&self) -> u32 {
        self.0.most.load(Ordering::SeqCst)
    }

    /// What the function was asked about since the last time.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.asked.lock().unwrap())
    }

    pub(crate) fn times_asked(&self) -> usize {
        self.0.asked.lock().unwrap().len()
    }

    /// The function of the application.
    pub(crate) async fn answer(self, name: String) -> Result<Option<T>, String> {
        self.0.asked.lock().unwrap().push(name.clone());
        let under_way = self.0.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.most.fetch_max(under_way, Ordering::SeqCst);
        let _under_way = UnderWay(&self.0.under_way);
        let manner = *self.0.manner.lock().unwrap();
        // What it knew when it was asked.
        let found = self.0.known.lock().unwrap().get(&name).cloned();
        match manner {
            Manner::Answers => {}
            Manner::Waits => self.0.gate.acquire().await.unwrap().forget(),
            Manner::Fails => return Err("the table of tenants is locked".to_owned()),
            Manner::Panics => panic!("a defect of the application"),
            Manner::Hangs => std::future::pending().await,
        }
        Ok(found)
    }
}
