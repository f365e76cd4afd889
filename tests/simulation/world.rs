//! What all processes share: time, wires that delay and lose, and the record of what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::oneshot;
use tower_oidc::testing::SigningKey;
use tower_oidc::{Clock, UnixTime};

use crate::dice::Dice;
use crate::provider::ProviderState;
use crate::store::StoreState;

/// When the simulation begins.
const EPOCH: i64 = 1_800_000_000;

/// When the trouble ends.
pub(crate) const OVER: Duration = Duration::from_secs(90);

/// How bad it is: each in a thousand messages.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Trouble {
    /// What is asked of the store, or its answer, gets lost.
    pub(crate) store_losses: u64,
    /// It takes seconds.
    pub(crate) store_delays: u64,
    /// What is asked of the provider, or its answer, gets lost.
    pub(crate) provider_losses: u64,
    /// It, or something in front of it, answers an error or a page.
    pub(crate) provider_errors: u64,
    /// How many seconds the store's clock is ahead.
    pub(crate) store_ahead: i64,
    /// For how many seconds the provider takes an old refresh token again.
    pub(crate) grace: u64,
}

pub(crate) struct World {
    pub(crate) dice: Dice,
    pub(crate) trouble: Trouble,
    /// Whether nothing goes wrong from the beginning to the end.
    pub(crate) is_quiet: bool,
    /// So many in a thousand requests for a target are refused. That is the provider's right, and no trouble.
    pub(crate) refuses: u64,
    /// During sign-ins and at the end nothing goes wrong.
    pub(crate) is_calm: bool,
    pub(crate) lifetime: Duration,
    /// How many seconds the clock of each process is ahead.
    pub(crate) ahead: BTreeMap<&'static str, i64>,
    pub(crate) store: StoreState,
    pub(crate) provider: ProviderState,
    pub(crate) browser: BrowserState,
    /// From when to when the store does not answer.
    pub(crate) outages: Vec<(Duration, Duration)>,
    /// The processes that are asked to stop.
    pub(crate) stopping: BTreeSet<&'static str>,
    now: Duration,
    wire: BTreeMap<(Duration, u64), Message>,
    messages: u64,
    log: Vec<String>,
    pub(crate) violations: Vec<String>,
    pub(crate) counts: Counts,
    pub(crate) last_served: Duration,
    pub(crate) last_put_off: Duration,
    /// When a message to or from the store was last late or lost, for each process.
    pub(crate) last_store_trouble: BTreeMap<&'static str, Duration>,
    /// When something last went wrong for each process.
    pub(crate) last_trouble: BTreeMap<&'static str, Duration>,
}

type Message = Box<dyn FnOnce(&mut World) + Send>;

/// What the browser holds.
#[derive(Default)]
pub(crate) struct BrowserState {
    pub(crate) cookie: Option<String>,
    /// One more with each sign-in.
    pub(crate) sign_in: u64,
    pub(crate) is_signing_in: bool,
    /// Since when the session of this sign-in is signed out, for the browser to know.
    pub(crate) signed_out_at: Option<Duration>,
    /// Whether that was asked for, with or without success.
    pub(crate) asked_to_sign_out: bool,
}

#[derive(Default, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) served: u64,
    /// With a token for a target.
    pub(crate) targets: u64,
    /// Because the provider refused a target.
    pub(crate) refused: u64,
    pub(crate) put_off: u64,
    pub(crate) lost: u64,
    pub(crate) sign_outs: u64,
    pub(crate) crashes: u64,
    pub(crate) stops: u64,
}

#[derive(Clone)]
pub(crate) struct Shared(Arc<Mutex<World>>);

impl Shared {
    pub(crate) fn new(
        mut dice: Dice,
        trouble: Option<Trouble>,
        refuses: u64,
        lifetime: Duration,
        key: Arc<SigningKey>,
    ) -> Self {
        let provider = ProviderState::new(dice.roll(u64::MAX), key);
        Self(Arc::new(Mutex::new(World {
            dice,
            is_quiet: trouble.is_none(),
            trouble: trouble.unwrap_or_default(),
            refuses,
            is_calm: true,
            lifetime,
            ahead: BTreeMap::new(),
            store: StoreState::default(),
            provider,
            browser: BrowserState::default(),
            outages: Vec::new(),
            stopping: BTreeSet::new(),
            now: Duration::ZERO,
            wire: BTreeMap::new(),
            messages: 0,
            log: Vec::new(),
            violations: Vec::new(),
            counts: Counts::default(),
            last_served: Duration::ZERO,
            last_put_off: Duration::ZERO,
            last_store_trouble: BTreeMap::new(),
            last_trouble: BTreeMap::new(),
        })))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, World> {
        let mut world = self.0.lock().unwrap();
        if let Some(elapsed) = turmoil::sim_elapsed() {
            world.now = elapsed;
        }
        world
    }

    /// Puts a message on the wire: it is handled after a while, whatever becomes of who sent it.
    /// `None` if it or its answer got lost.
    pub(crate) async fn send<T: Send + 'static>(
        &self,
        way: Way,
        handle: impl FnOnce(&mut World) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        {
            let mut world = self.lock();
            if way.is_asked_in_vain {
                return None;
            }
            let due = world.now + way.there;
            world.messages += 1;
            let number = world.messages;
            world.wire.insert(
                (due, number),
                Box::new(move |world| {
                    // The process that asked may have crashed meanwhile.
                    let _ = answer.send(handle(world));
                }),
            );
        }
        let answer = answered.await.ok()?;
        tokio::time::sleep(way.back).await;
        (!way.is_answered_in_vain).then_some(answer)
    }
}

/// How a message and its answer fare.
#[derive(Clone, Copy)]
pub(crate) struct Way {
    pub(crate) there: Duration,
    pub(crate) back: Duration,
    pub(crate) is_asked_in_vain: bool,
    pub(crate) is_answered_in_vain: bool,
}

impl Way {
    /// Whether the sender may not hear in time what came of its message.
    pub(crate) fn is_bad(self) -> bool {
        const QUICK: Duration = Duration::from_secs(1);
        self.is_asked_in_vain || self.is_answered_in_vain || self.there + self.back > QUICK
    }
}

impl World {
    /// A sign-in has come to nothing. Families of the provider and sessions are counted alike: what the
    /// provider issued for it belongs to no session.
    pub(crate) fn sign_in_failed(&mut self) {
        self.provider.forget_families_beyond(self.store.created());
        self.note("a sign-in comes to nothing");
    }

    /// Chooses how a message of a process fares, when so many in a thousand are lost or delayed.
    pub(crate) fn way(
        &mut self,
        name: &'static str,
        losses: u64,
        delays: u64,
        longest: u64,
    ) -> Way {
        let quick = |dice: &mut Dice| dice.milliseconds(1, 30);
        let mut way = Way {
            there: quick(&mut self.dice),
            back: quick(&mut self.dice),
            is_asked_in_vain: false,
            is_answered_in_vain: false,
        };
        if self.is_calm {
            return way;
        }
        let is_late = [(); 2].map(|()| self.dice.happens(delays));
        if is_late[0] {
            way.there = self.dice.milliseconds(100, longest);
        }
        if is_late[1] {
            way.back = self.dice.milliseconds(100, longest);
        }
        way.is_asked_in_vain = self.dice.happens(losses);
        way.is_answered_in_vain = self.dice.happens(losses);
        if is_late.contains(&true) || way.is_asked_in_vain || way.is_answered_in_vain {
            self.is_troubled(name);
        }
        way
    }

    /// Handles what has arrived by now.
    pub(crate) fn deliver(&mut self) {
        while let Some(entry) = self.wire.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            let handle = entry.remove();
            handle(self);
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.now
    }

    /// The true time.
    pub(crate) fn now(&self) -> UnixTime {
        UnixTime::from_seconds(EPOCH).saturating_add(self.now)
    }

    /// The time by the store's clock.
    pub(crate) fn store_now(&self) -> UnixTime {
        let seconds = self.now().as_seconds() + self.trouble.store_ahead;
        UnixTime::from_seconds(seconds)
    }

    pub(crate) fn store_is_away(&self) -> bool {
        let is_within = |(from, to): &(Duration, Duration)| (*from..*to).contains(&self.now);
        !self.is_calm && self.outages.iter().any(is_within)
    }

    pub(crate) fn note(&mut self, what: impl AsRef<str>) {
        let line = format!("{:>9.3} {}", self.now.as_secs_f64(), what.as_ref());
        self.log.push(line);
    }

    pub(crate) fn violated(&mut self, what: impl AsRef<str>) {
        self.note(format!("VIOLATED: {}", what.as_ref()));
        self.violations.push(what.as_ref().to_owned());
    }

    /// Whether the time of trouble is over.
    pub(crate) fn is_over(&self) -> bool {
        self.now >= OVER
    }

    pub(crate) fn is_troubled(&mut self, name: &'static str) {
        self.last_trouble.insert(name, self.now);
    }

    /// Whether nothing has gone wrong for a process, nor for the provider's answers to it, for so
    /// long that all its pauses have ended.
    pub(crate) fn is_untroubled(&self, name: &str) -> bool {
        const LONGEST_PAUSE: Duration = Duration::from_secs(90);
        let last = self.last_trouble.get(name);
        last.is_none_or(|last| *last + LONGEST_PAUSE < self.now)
    }

    pub(crate) fn crashed(&mut self, name: &'static str) {
        self.is_troubled(name);
        self.counts.crashes += 1;
        self.store.ended(name);
        self.note(format!("{name} crashes"));
    }

    pub(crate) fn asked_to_stop(&mut self, name: &'static str) {
        self.stopping.insert(name);
        self.counts.stops += 1;
        self.note(format!("{name} is asked to stop"));
    }

    /// A process that was asked to stop starts again.
    pub(crate) fn bounced(&mut self, name: &'static str) {
        if self.stopping.remove(name) {
            self.store.ended(name);
        }
    }

    pub(crate) fn take_log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }
}

/// The clock of one process: off by some seconds.
#[derive(Clone)]
pub(crate) struct SkewedClock {
    pub(crate) world: Shared,
    pub(crate) ahead: i64,
    pub(crate) origin: Duration,
}

impl Clock for SkewedClock {
    fn now(&self) -> UnixTime {
        let true_time = self.world.lock().now().as_seconds();
        UnixTime::from_seconds(true_time + self.ahead)
    }

    fn monotonic(&self) -> Duration {
        self.world.lock().elapsed() + self.origin
    }
}
