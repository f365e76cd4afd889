//! One simulated world, from its seed to its end.

use std::fmt;
use std::ops::AddAssign as _;
use std::sync::Arc;
use std::time::Duration;

use tower_oidc::Algorithm;
use tower_oidc::testing::SigningKey;

use crate::dice::Dice;
use crate::process::{Process, host};
use crate::world::{OVER, Shared, Trouble};

const NAMES: [&str; 4] = ["web-0", "web-1", "web-2", "web-3"];

/// The grain of time.
pub(crate) const TICK: Duration = Duration::from_millis(50);

/// The end. Long enough after the trouble for a lease, a token and a pause to end.
const END: Duration = Duration::from_secs(210);

/// How long before the end every request must be served.
const HEALED: Duration = Duration::from_secs(20);

/// What became of a world, or of many.
#[derive(Default)]
pub(crate) struct Ending {
    pub(crate) violations: Vec<String>,
    pub(crate) log: Vec<String>,
    runs: u64,
    pub(crate) served: u64,
    pub(crate) targets: u64,
    pub(crate) refused: u64,
    pub(crate) target_grants: u64,
    pub(crate) refusals: u64,
    pub(crate) put_off: u64,
    pub(crate) lost: u64,
    pub(crate) grants: u64,
    pub(crate) reuses: u64,
    pub(crate) crashes: u64,
    pub(crate) stops: u64,
    pub(crate) sign_outs: u64,
}

#[expect(
    clippy::too_many_lines,
    reason = "one world from its beginning to its end"
)]
pub(crate) fn run(seed: u64, in_trouble: bool) -> Ending {
    let mut dice = Dice::new(seed);
    // Short, so that much happens, and too short for the windows of renewal to be spread: the handles
    // of sessions are random, whatever the seed.
    let lifetime = Duration::from_secs(dice.one_of(&[10, 20, 25]));
    let processes = 2 + usize::try_from(dice.roll(3)).unwrap();
    let trouble = in_trouble.then(|| Trouble {
        store_losses: dice.one_of(&[0, 0, 5, 30, 150]),
        store_delays: dice.one_of(&[0, 0, 20, 100]),
        provider_losses: dice.one_of(&[0, 0, 30, 200]),
        provider_errors: dice.one_of(&[0, 0, 50, 300]),
        store_ahead: dice.one_of(&[0, 0, 0, 240, -240]),
        grace: dice.one_of(&[0, 0, 10, 40]),
    });
    let refuses = dice.one_of(&[0, 0, 100, 400]);
    let crashes = if in_trouble {
        dice.one_of(&[0, 1, 3, 6])
    } else {
        0
    };
    let outages: Vec<_> = (0..if in_trouble {
        dice.one_of(&[0, 0, 1, 3])
    } else {
        0
    })
        .map(|_| {
            let from = dice.milliseconds(3_000, 80_000);
            (from, from + dice.milliseconds(1_000, 40_000))
        })
        .collect();
    let ahead = [(); 4].map(|()| dice.one_of(&[0, 0, 3, -3, 150, -150]));
    let mut accidents: Vec<_> = (0..crashes)
        .map(|_| {
            let at = dice.milliseconds(3_000, 85_000);
            let victim = usize::try_from(dice.roll(processes as u64)).unwrap();
            let is_asked = dice.happens(500);
            (at, victim, at + dice.milliseconds(100, 15_000), is_asked)
        })
        .collect();
    let key = Arc::new(SigningKey::generate("key", Algorithm::EdDsa));
    let world = Shared::new(dice, trouble, refuses, lifetime, key);
    world.lock().outages.clone_from(&outages);
    world.lock().ahead = NAMES.into_iter().zip(ahead).collect();
    world.lock().note(format!(
        "seed {seed}: {processes} processes, tokens of {lifetime:?}, {trouble:?}, {refuses} refusals, clocks {ahead:?}, the \
         store away {outages:?}"
    ));

    let mut sim = turmoil::Builder::new()
        .rng_seed(seed)
        .tick_duration(TICK)
        .build();
    let wires = world.clone();
    sim.host("wires", move || {
        let wires = wires.clone();
        async move {
            loop {
                wires.lock().deliver();
                tokio::time::sleep(TICK).await;
            }
        }
    });
    for (name, ahead) in NAMES.into_iter().zip(ahead).take(processes) {
        let world = world.clone();
        sim.host(name, host(Process { world, name, ahead }));
    }

    let mut returns: Vec<(Duration, usize)> = Vec::new();
    while sim.elapsed() < END && world.lock().violations.is_empty() {
        let now = sim.elapsed();
        let is_signing_in = world.lock().browser.is_signing_in;
        accidents.retain(|(at, victim, back, is_asked)| {
            let is_due = now >= *at && !is_signing_in;
            if is_due && !returns.iter().any(|(_, down)| down == victim) {
                if *is_asked {
                    // It is given time to end what it does, and then ended.
                    world.lock().asked_to_stop(NAMES[*victim]);
                    returns.push((now + Duration::from_secs(30), *victim));
                } else {
                    world.lock().crashed(NAMES[*victim]);
                    sim.crash(NAMES[*victim]);
                    returns.push((*back.max(&now), *victim));
                }
            }
            !is_due
        });
        returns.retain(|(at, victim)| {
            if now >= *at {
                world.lock().bounced(NAMES[*victim]);
                sim.bounce(NAMES[*victim]);
            }
            now < *at
        });
        if now >= OVER {
            world.lock().is_calm = true;
        }
        sim.step().unwrap();
    }

    let mut world = world.lock();
    if world.violations.is_empty() {
        let healed = END.saturating_sub(HEALED);
        if world.last_served < healed {
            world.violated("no request is served in the end");
        }
        if world.last_put_off > healed {
            world.violated("a request is put off in the end");
        }
    }
    Ending {
        violations: std::mem::take(&mut world.violations),
        log: world.take_log(),
        runs: 1,
        served: world.counts.served,
        targets: world.counts.targets,
        refused: world.counts.refused,
        target_grants: world.provider.target_grants,
        refusals: world.provider.refusals,
        put_off: world.counts.put_off,
        lost: world.counts.lost,
        grants: world.provider.grants,
        reuses: world.provider.reuses,
        crashes: world.counts.crashes,
        stops: world.counts.stops,
        sign_outs: world.counts.sign_outs,
    }
}

impl Ending {
    pub(crate) fn add(&mut self, other: &Self) {
        self.runs.add_assign(other.runs);
        self.served.add_assign(other.served);
        self.targets.add_assign(other.targets);
        self.refused.add_assign(other.refused);
        self.target_grants.add_assign(other.target_grants);
        self.refusals.add_assign(other.refusals);
        self.put_off.add_assign(other.put_off);
        self.lost.add_assign(other.lost);
        self.grants.add_assign(other.grants);
        self.reuses.add_assign(other.reuses);
        self.crashes.add_assign(other.crashes);
        self.stops.add_assign(other.stops);
        self.sign_outs.add_assign(other.sign_outs);
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} worlds: {} requests served, {} of them with a token for a target, {} refused one, {} put off, \
             {} sessions lost, {} grants, {} of them for targets, {} targets refused, {} reuses, {} crashes, \
             {} stops, {} sign-outs",
            self.runs,
            self.served,
            self.targets,
            self.refused,
            self.put_off,
            self.lost,
            self.grants,
            self.target_grants,
            self.refusals,
            self.reuses,
            self.crashes,
            self.stops,
            self.sign_outs
        )
    }
}
