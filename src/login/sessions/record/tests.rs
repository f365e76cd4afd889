use std::collections::HashSet;

use super::*;

const LEASE: Duration = Duration::from_secs(15);

fn at(seconds: i64) -> UnixTime {
    UnixTime::from_seconds(seconds)
}

fn renewal(token: u8, access_expires_at: i64) -> Renewal {
    Renewal {
        sealed: Bytes::copy_from_slice(&[token]),
        access_expires_at: at(access_expires_at),
        expires_at: at(1_000_000),
    }
}

fn fresh() -> Record {
    Record::new(renewal(0, 100), at(500_000))
}

fn leased(record: &mut Record, now: i64) -> Fence {
    let generation = record.generation;
    match record.try_lease(at(now), generation, LEASE) {
        LeaseOutcome::Leased(fence) => fence,
        other => panic!("{other:?}"),
    }
}

#[test]
fn rt_01_one_task_has_the_lease_and_the_others_wait() {
    let mut record = fresh();
    let fence = leased(&mut record, 0);
    assert_eq!(
        record.try_lease(at(1), 0, LEASE),
        LeaseOutcome::Busy(at(15))
    );
    assert_eq!(
        record.commit(at(2), fence, 0, renewal(1, 200)),
        FenceOutcome::Done
    );
    assert_eq!(record.try_lease(at(3), 0, LEASE), LeaseOutcome::Newer);
    assert_eq!((record.generation, record.sealed[0]), (1, 1));
    assert_eq!(
        record.expires_at,
        at(500_000),
        "never past the absolute end"
    );
}

#[test]
fn f30_a_late_commit_counts_until_a_probe_has_begun() {
    let mut record = fresh();
    let fence = leased(&mut record, 0);
    assert_eq!(
        record.try_lease(at(20), 0, LEASE),
        LeaseOutcome::Later(at(100))
    );
    assert!(matches!(record.state, RefreshState::Suspect { .. }));
    let mut late = record.clone();
    assert_eq!(
        late.commit(at(30), fence, 0, renewal(1, 200)),
        FenceOutcome::Done
    );
    assert_eq!(late.state, RefreshState::Idle);

    // The access token is dead: one probe, and the old fence counts no more.
    let probe = leased(&mut record, 100);
    assert!(probe > fence);
    assert_eq!(
        record.commit(at(101), fence, 0, renewal(1, 200)),
        FenceOutcome::Stale
    );
    let mut rejected = record.clone();
    let ended = Settlement::Ended(EndReason::Rejected);
    assert_eq!(rejected.settle(at(102), probe, ended), FenceOutcome::Done);
    assert_eq!(rejected.state, RefreshState::Dead(EndReason::RotationLost));
    assert_eq!(
        record.commit(at(102), probe, 0, renewal(1, 200)),
        FenceOutcome::Done
    );
}

#[test]
fn rt_06_a_rejected_token_is_never_spent_again() {
    let mut record = fresh();
    let fence = leased(&mut record, 0);
    record.settle(at(1), fence, Settlement::Ended(EndReason::Rejected));
    for now in 2..1_000 {
        let outcome = record.try_lease(at(now), 0, LEASE);
        assert_eq!(outcome, LeaseOutcome::Dead(EndReason::Rejected));
    }
    assert_eq!(
        record.commit(at(3), fence, 0, renewal(1, 200)),
        FenceOutcome::Stale
    );
}

#[test]
fn rt_08_an_unspent_token_is_tried_again_when_the_provider_said() {
    let mut record = fresh();
    let fence = leased(&mut record, 0);
    record.settle(at(1), fence, Settlement::Unspent(at(30)));
    assert_eq!(
        record.try_lease(at(29), 0, LEASE),
        LeaseOutcome::Later(at(30))
    );
    assert!(matches!(
        record.try_lease(at(30), 0, LEASE),
        LeaseOutcome::Leased(_)
    ));
}

#[test]
fn a_second_lost_answer_is_the_end() {
    let mut record = fresh();
    let fence = leased(&mut record, 0);
    record.settle(at(1), fence, Settlement::Uncertain);
    let probe = leased(&mut record, 100);
    let mut lost = record.clone();
    lost.settle(at(101), probe, Settlement::Uncertain);
    assert_eq!(lost.state, RefreshState::Dead(EndReason::RotationLost));
    // A probe that never came back is the same, once somebody asks.
    let outcome = record.try_lease(at(200), 0, LEASE);
    assert_eq!(outcome, LeaseOutcome::Dead(EndReason::RotationLost));
    // One that was certainly not sent leaves the doubt as it was.
    let mut record = fresh();
    let fence = leased(&mut record, 0);
    record.settle(at(1), fence, Settlement::Uncertain);
    let probe = leased(&mut record, 100);
    record.settle(at(101), probe, Settlement::Unspent(at(110)));
    assert!(matches!(record.state, RefreshState::Suspect { .. }));
    leased(&mut record, 110);
}

/// A provider that rotates and takes any reuse for theft.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Provider {
    current: u8,
    revoked: bool,
    /// How often each token was spent or tried.
    grants: [u8; 8],
}

impl Provider {
    fn grant(&mut self, token: u8) -> Option<u8> {
        self.grants[usize::from(token)] += 1;
        if self.revoked || token != self.current {
            self.revoked = true;
            return None;
        }
        self.current += 1;
        Some(self.current)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Worker {
    Ready {
        rounds: u8,
    },
    Loaded {
        rounds: u8,
        generation: u64,
    },
    Holding {
        rounds: u8,
        generation: u64,
        fence: Fence,
        token: u8,
    },
    Answered {
        rounds: u8,
        generation: u64,
        fence: Fence,
        answer: Option<u8>,
    },
    Gone,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct World {
    now: i64,
    /// `None` after a sign-out.
    record: Option<Record>,
    was_deleted: bool,
    provider: Provider,
    workers: Vec<Worker>,
    /// Whether anything went wrong that no client can prevent.
    has_fault: bool,
}

impl World {
    /// Every world that one step of anybody can make of this one.
    fn steps(&self) -> Vec<Self> {
        let mut next = Vec::new();
        if self.now < 150 {
            // Leases pass, and then the access token.
            let mut later = self.clone();
            later.now += 20;
            let holds = |worker: &Worker| {
                matches!(worker, Worker::Holding { .. } | Worker::Answered { .. })
            };
            later.has_fault |= self.workers.iter().any(holds);
            next.push(later);
        }
        if !self.was_deleted {
            let mut signed_out = self.clone();
            signed_out.record = None;
            signed_out.was_deleted = true;
            next.push(signed_out);
        }
        for index in 0..self.workers.len() {
            self.step_of(index, &mut next);
        }
        next
    }

    fn step_of(&self, index: usize, next: &mut Vec<Self>) {
        let mut become_worker = |worker: Worker, change: &dyn Fn(&mut Self)| {
            let mut world = self.clone();
            change(&mut world);
            world.workers[index] = worker;
            next.push(world);
        };
        let now = at(self.now);
        let after = |rounds: u8| match rounds {
            0 => Worker::Gone,
            rounds => Worker::Ready { rounds: rounds - 1 },
        };
        match self.workers[index] {
            Worker::Gone => {}
            Worker::Ready { rounds } => match &self.record {
                None => become_worker(Worker::Gone, &|_| {}),
                Some(record) => {
                    let generation = record.generation;
                    become_worker(Worker::Loaded { rounds, generation }, &|_| {});
                }
            },
            Worker::Loaded { rounds, generation } => {
                let Some(mut record) = self.record.clone() else {
                    return become_worker(Worker::Gone, &|_| {});
                };
                let outcome = record.try_lease(now, generation, LEASE);
                let token = record.sealed[0];
                let worker = match outcome {
                    LeaseOutcome::Leased(fence) => Worker::Holding {
                        rounds,
                        generation,
                        fence,
                        token,
                    },
                    _ => after(rounds),
                };
                become_worker(worker, &|world| world.record = Some(record.clone()));
            }
            Worker::Holding {
                rounds,
                generation,
                fence,
                token,
            } => {
                become_worker(Worker::Gone, &|world| world.has_fault = true);
                let settle = |world: &mut Self, settlement| {
                    if let Some(record) = &mut world.record {
                        record.settle(now, fence, settlement);
                    }
                };
                become_worker(after(rounds), &|world| {
                    settle(world, Settlement::Unspent(now));
                });
                // Sent and answered; sent, and the answer lost.
                let mut provider = self.provider.clone();
                let answer = provider.grant(token);
                become_worker(
                    Worker::Answered {
                        rounds,
                        generation,
                        fence,
                        answer,
                    },
                    &|world| {
                        world.provider = provider.clone();
                    },
                );
                become_worker(after(rounds), &|world| {
                    world.provider = provider.clone();
                    world.has_fault = true;
                    settle(world, Settlement::Uncertain);
                });
            }
            Worker::Answered {
                rounds,
                generation,
                fence,
                answer,
            } => {
                become_worker(Worker::Gone, &|world| world.has_fault = true);
                become_worker(after(rounds), &|world| {
                    let Some(record) = &mut world.record else {
                        return;
                    };
                    match answer {
                        Some(token) => {
                            let expiry = world.now + 100;
                            record.commit(now, fence, generation, renewal(token, expiry));
                        }
                        None => {
                            record.settle(now, fence, Settlement::Ended(EndReason::Rejected));
                        }
                    }
                });
            }
        }
    }

    fn check(&self, before: &Self) {
        if !self.has_fault {
            assert!(!self.provider.revoked, "reuse without a fault");
            assert!(
                self.provider.grants.iter().all(|count| *count <= 1),
                "two grants"
            );
        }
        assert!(
            self.provider.grants.iter().all(|count| *count <= 2),
            "more than one probe"
        );
        assert!(
            !(before.was_deleted && self.record.is_some()),
            "revived after sign-out"
        );
        let (Some(old), Some(new)) = (&before.record, &self.record) else {
            return;
        };
        assert!(new.generation >= old.generation, "an older generation");
        assert!(new.sealed[0] >= old.sealed[0], "a committed token was lost");
        assert_eq!(new.generation > old.generation, new.sealed != old.sealed);
        if let RefreshState::Dead(_) = old.state {
            assert_eq!(new, old, "the dead stay dead");
        }
        if new.state == RefreshState::Idle && !self.has_fault {
            let in_flight = |worker: &Worker| matches!(worker, Worker::Answered { .. });
            let is_current = new.sealed[0] == self.provider.current;
            assert!(
                is_current || self.workers.iter().any(in_flight),
                "an idle session is stale"
            );
        }
    }
}

/// Walks through every order in which so many workers can act, with crashes, lost answers, leases
/// that pass and a sign-out at every point.
fn explore(workers: usize, rounds: u8) -> usize {
    let start = World {
        now: 0,
        record: Some(fresh()),
        was_deleted: false,
        provider: Provider {
            current: 0,
            revoked: false,
            grants: [0; 8],
        },
        workers: vec![Worker::Ready { rounds }; workers],
        has_fault: false,
    };
    let mut seen = HashSet::from([start.clone()]);
    let mut open = vec![start];
    while let Some(world) = open.pop() {
        for next in world.steps() {
            next.check(&world);
            if seen.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    seen.len()
}

#[test]
fn every_interleaving_of_three_workers_keeps_the_promises() {
    let worlds = explore(3, 0);
    assert!(worlds > 5_000, "{worlds} worlds");
}

#[test]
fn every_interleaving_of_two_workers_over_three_rounds_keeps_the_promises() {
    let worlds = explore(2, 2);
    assert!(worlds > 20_000, "{worlds} worlds");
}
