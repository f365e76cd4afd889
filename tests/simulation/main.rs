//! Many processes, one session: the layer itself in a simulated world, where messages are late or
//! lost, processes crash, clocks differ and the provider detects reuse. Whatever happens, what the
//! crate promises must hold at each step. Some requests need tokens for other targets, which come of the same
//! refresh token.
//!
//! A seed decides all of it. A seed that fails is told, and can be run again:
//! `SIMULATION_SEED=4711 cargo test --all-features --test simulation -- --nocapture`.
//! `SIMULATION_SEEDS=100000` runs more of them, ten times as fast with `--release`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "what a seed comes to is for people")]

mod dice;
mod process;
mod provider;
mod run;
mod store;
mod world;

use self::run::{Ending, run};

/// How many seeds each test runs, unless the environment says another number: some in passing, thousands
/// where it is built for it.
const SEEDS: u64 = if cfg!(debug_assertions) { 60 } else { 1_500 };

fn seeds() -> Vec<u64> {
    let number = |name| std::env::var(name).ok()?.parse().ok();
    match number("SIMULATION_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("SIMULATION_SEEDS").unwrap_or(SEEDS)).collect(),
    }
}

/// Runs the seeds on all cores, and tells those that fail.
fn run_all(in_trouble: bool) -> Ending {
    let seeds = seeds();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = seeds.len().div_ceil(cores);
    let is_one = seeds.len() == 1;
    let endings = std::thread::scope(|scope| {
        let workers: Vec<_> = seeds
            .chunks(share)
            .map(|seeds| {
                scope.spawn(move || {
                    let mut sum = Ending::default();
                    for seed in seeds {
                        let ending = run(*seed, in_trouble);
                        if is_one {
                            println!("{}", ending.log.join("\n"));
                        }
                        assert!(
                            ending.violations.is_empty(),
                            "seed {seed}: {}\n{}",
                            ending.violations.join("\n"),
                            ending.log.join("\n")
                        );
                        sum.add(&ending);
                    }
                    sum
                })
            })
            .collect();
        let mut sum = Ending::default();
        for worker in workers {
            sum.add(&worker.join().unwrap());
        }
        sum
    });
    println!("{endings}");
    endings
}

// D7, D38
#[test]
fn without_faults_a_generation_is_one_grant_and_every_request_is_served() {
    let sum = run_all(false);
    let of_own = sum.served - sum.targets;
    let own_grants = sum.grants - sum.target_grants;
    assert!(of_own > 10 * own_grants && own_grants > 0, "{sum}");
    assert!(sum.targets > 2 * sum.target_grants, "{sum}");
    // A single world may have a provider that refuses nothing.
    if seeds().len() > 10 {
        assert!(sum.target_grants > 0 && sum.refused > sum.refusals, "{sum}");
    }
    assert_eq!((sum.reuses, sum.put_off, sum.lost), (0, 0, 0), "{sum}");
}

// D7, D38
#[test]
fn no_fault_spends_a_token_twice_in_vain_or_signs_a_user_out() {
    let sum = run_all(true);
    // The world was as bad as it should be.
    if seeds().len() > 100 {
        for (what, times) in [
            ("grants", sum.grants),
            ("grants for targets", sum.target_grants),
            ("served with a token for a target", sum.targets),
            ("targets refused", sum.refusals),
            ("reuses", sum.reuses),
            ("put off", sum.put_off),
            ("lost", sum.lost),
            ("crashes", sum.crashes),
            ("stops", sum.stops),
            ("sign-outs", sum.sign_outs),
        ] {
            assert!(times > 0, "no {what}: {sum}");
        }
    }
}

#[test]
fn a_seed_can_be_run_again() {
    for seed in 0..5 {
        assert_eq!(run(seed, true).log, run(seed, true).log, "seed {seed}");
    }
}
