use std::collections::HashSet;

use super::*;

const LEASE: Duration = Duration::from_secs(20);

fn at(seconds: i64) -> UnixTime {
    UnixTime::from_seconds(seconds)
}

fn tag(number: u8) -> Tag {
    Tag::from_bytes([number; 16])
}

fn request(fence: u8) -> LeaseRequest {
    LeaseRequest {
        fence: tag(fence),
        length: LEASE,
        grace: Duration::ZERO,
    }
}

fn renewal(token: u8, access_expires_at: i64) -> Renewal {
    Renewal {
        sealed: Bytes::copy_from_slice(&[token]),
        access_expires_at: at(access_expires_at),
        refresh_expires_at: None,
        expires_at: at(1_000_000),
    }
}

fn fresh() -> Record {
    Record::new(renewal(0, 100), at(500_000))
}

fn lease(record: &mut Record, now: i64, fence: u8) -> LeaseOutcome {
    let generation = record.generation;
    record.try_lease(at(now), generation, &request(fence))
}

fn leased(now: i64, fence: u8) -> Record {
    let mut record = fresh();
    assert_eq!(lease(&mut record, now, fence), LeaseOutcome::Leased);
    record
}

// RT-01
#[test]
fn one_task_has_the_lease_and_the_others_wait() {
    let mut record = leased(0, 1);
    assert_eq!(lease(&mut record, 1, 2), LeaseOutcome::Busy(at(20)));
    let committed = record.commit(tag(1), 0, &renewal(1, 200));
    assert_eq!(committed, FenceOutcome::Done);
    let outcome = record.try_lease(at(3), 0, &request(2));
    assert_eq!(outcome, LeaseOutcome::Newer);
    assert_eq!((record.generation, record.sealed[0]), (1, 1));
    assert_eq!(
        record.expires_at,
        at(500_000),
        "never past the absolute end"
    );
}

// F30
#[test]
fn a_late_commit_counts_until_a_probe_has_begun() {
    let mut record = leased(0, 1);
    assert_eq!(lease(&mut record, 21, 2), LeaseOutcome::Later(at(100)));
    assert!(matches!(record.state, RefreshState::Suspect { .. }));
    let mut late = record.clone();
    let committed = late.commit(tag(1), 0, &renewal(1, 200));
    assert_eq!(committed, FenceOutcome::Done);
    assert_eq!(late.state, RefreshState::Idle);

    // The access token is dead: a probe, and the old fence counts no more.
    assert_eq!(lease(&mut record, 100, 2), LeaseOutcome::Leased);
    let committed = record.commit(tag(1), 0, &renewal(1, 200));
    assert_eq!(committed, FenceOutcome::Stale);
    let mut rejected = record.clone();
    let settled = rejected.settle(at(102), tag(2), Settlement::Rejected);
    assert_eq!(settled, FenceOutcome::Done);
    assert_eq!(rejected.state, RefreshState::Dead(EndReason::RotationLost));
    let committed = record.commit(tag(2), 0, &renewal(1, 200));
    assert_eq!(committed, FenceOutcome::Done);
}

// D7
#[test]
fn a_doubt_begins_when_it_is_written_and_is_probed_three_seconds_later() {
    // The store was away for long, so that no task could write that the lease has ended.
    let mut record = leased(0, 1);
    assert_eq!(lease(&mut record, 500, 2), LeaseOutcome::Later(at(503)));
    assert_eq!(lease(&mut record, 502, 2), LeaseOutcome::Later(at(503)));
    let mut late = record.clone();
    let committed = late.commit(tag(1), 0, &renewal(1, 900));
    assert_eq!(committed, FenceOutcome::Done, "the leader comes first");
    assert_eq!(lease(&mut record, 503, 2), LeaseOutcome::Leased);
}

// D7
#[test]
fn uncertain_probes_never_end_a_session_and_their_pauses_grow() {
    let mut record = leased(0, 1);
    record.settle(at(1), tag(1), Settlement::Uncertain);
    assert_eq!(lease(&mut record, 2, 2), LeaseOutcome::Later(at(100)));
    let mut now = 100;
    let mut pauses = Vec::new();
    for fence in 2..12 {
        assert_eq!(lease(&mut record, now, fence), LeaseOutcome::Leased);
        // Every other one is never heard of again.
        if fence % 2 == 0 {
            record.settle(at(now), tag(fence), Settlement::Uncertain);
        } else {
            now += 20;
        }
        let LeaseOutcome::Later(next) = lease(&mut record, now, 99) else {
            panic!("no pause");
        };
        pauses.push(next.as_seconds() - now);
        now = next.as_seconds();
    }
    assert_eq!(pauses, [5, 10, 20, 40, 60, 60, 60, 60, 60, 60]);
    // And then the provider is well again.
    assert_eq!(lease(&mut record, now, 50), LeaseOutcome::Leased);
    let committed = record.commit(tag(50), 0, &renewal(1, now + 100));
    assert_eq!(committed, FenceOutcome::Done);
}

// D7
#[test]
fn within_the_providers_grace_a_probe_does_not_wait_for_the_access_token() {
    let graced = |fence| LeaseRequest {
        grace: Duration::from_secs(30),
        ..request(fence)
    };
    let mut record = leased(0, 1);
    record.settle(at(10), tag(1), Settlement::Uncertain);
    let mut soon = record.clone();
    let outcome = soon.try_lease(at(11), 0, &graced(2));
    assert_eq!(outcome, LeaseOutcome::Later(at(13)), "the pause is kept");
    let outcome = soon.try_lease(at(13), 0, &graced(2));
    assert_eq!(outcome, LeaseOutcome::Leased);
    let outcome = record.try_lease(at(30), 0, &graced(2));
    assert_eq!(outcome, LeaseOutcome::Later(at(100)), "the grace has ended");

    // The leader itself needs no pause, and counts from its first lease.
    let mut record = leased(0, 1);
    let again = record.lease_again(at(10), tag(1), &graced(2));
    assert_eq!(again, FenceOutcome::Done);
    assert_eq!(lease(&mut record, 11, 3), LeaseOutcome::Busy(at(30)));
    let stale = record.lease_again(at(11), tag(1), &graced(4));
    assert_eq!(stale, FenceOutcome::Stale);
    record.settle(at(12), tag(2), Settlement::Uncertain);
    let outcome = record.try_lease(at(40), 0, &graced(3));
    assert_eq!(
        outcome,
        LeaseOutcome::Later(at(100)),
        "30 seconds after the first lease"
    );
}

// RT-06
#[test]
fn a_rejected_token_is_never_spent_again() {
    let mut record = leased(0, 1);
    record.settle(at(1), tag(1), Settlement::Rejected);
    for now in 2..1_000 {
        let outcome = lease(&mut record, now, 2);
        assert_eq!(outcome, LeaseOutcome::Dead(EndReason::Rejected));
    }
    let committed = record.commit(tag(1), 0, &renewal(1, 200));
    assert_eq!(committed, FenceOutcome::Stale);
}

// RT-08
#[test]
fn an_unspent_token_is_tried_again_when_the_provider_said() {
    let mut record = leased(0, 1);
    record.settle(at(1), tag(1), Settlement::Unspent(at(30)));
    assert_eq!(record.failures, 1);
    assert_eq!(lease(&mut record, 29, 2), LeaseOutcome::Later(at(30)));
    assert_eq!(lease(&mut record, 30, 2), LeaseOutcome::Leased);
    record.commit(tag(2), 0, &renewal(1, 200));
    assert_eq!(record.failures, 0);
    // A probe that was certainly not sent leaves the doubt as it was.
    let mut record = leased(0, 1);
    record.settle(at(1), tag(1), Settlement::Uncertain);
    assert_eq!(lease(&mut record, 100, 2), LeaseOutcome::Leased);
    record.settle(at(101), tag(2), Settlement::Unspent(at(110)));
    assert!(matches!(
        record.state,
        RefreshState::Suspect { probes: 0, .. }
    ));
    assert_eq!(lease(&mut record, 110, 3), LeaseOutcome::Leased);
    // The news of a leader whose lease ended meanwhile still count.
    let mut record = leased(0, 1);
    lease(&mut record, 21, 2);
    record.settle(at(22), tag(1), Settlement::Unspent(at(22)));
    assert_eq!(record.state, RefreshState::Idle);
}

// D38
#[test]
fn a_refused_target_leaves_the_session_as_it_was() {
    let before = fresh();
    let mut record = leased(0, 1);
    let settled = record.settle(at(1), tag(1), Settlement::TargetRefused);
    assert_eq!(settled, FenceOutcome::Done);
    assert_eq!(record, before, "no pause, and no failure");
    record.reseal(0, &Bytes::from_static(&[9]));
    record.reseal(1, &Bytes::from_static(&[8]));
    assert_eq!(record.sealed[..], [9], "of this generation alone");
    assert_eq!(lease(&mut record, 2, 2), LeaseOutcome::Leased);
    let late = record.settle(at(3), tag(1), Settlement::TargetRefused);
    assert_eq!(late, FenceOutcome::Stale, "another task has the lease");
}

// D7
#[test]
fn another_identity_ends_the_session_under_any_lease() {
    let mut record = leased(0, 1);
    record.commit(tag(1), 0, &renewal(1, 200));
    // Another replica refreshes what came of it.
    record.try_lease(at(2), 1, &request(2));
    record.end(1, EndReason::IdentityChanged);
    let dead = RefreshState::Dead(EndReason::IdentityChanged);
    assert_eq!(record.state, dead);
    let committed = record.commit(tag(2), 1, &renewal(2, 300));
    assert_eq!(committed, FenceOutcome::Stale);
    record.end(1, EndReason::Rejected);
    assert_eq!(record.state, dead, "the first reason stays");
}

// D7
#[test]
fn a_clock_that_was_set_back_holds_nothing_up_for_longer_than_a_lease() {
    let mut record = leased(1_000, 1);
    assert_eq!(lease(&mut record, 760, 2), LeaseOutcome::Busy(at(780)));
    assert_eq!(lease(&mut record, 780, 2), LeaseOutcome::Later(at(783)));

    let mut record = leased(1_000, 1);
    record.settle(at(1_000), tag(1), Settlement::Uncertain);
    assert_eq!(lease(&mut record, 760, 2), LeaseOutcome::Later(at(763)));

    let mut record = leased(2_000, 1);
    record.settle(at(2_000), tag(1), Settlement::Unspent(at(2_060)));
    assert_eq!(lease(&mut record, 1_000, 2), LeaseOutcome::Leased);
    // Seconds of difference between machines are no reason.
    let mut record = leased(1_000, 1);
    assert_eq!(lease(&mut record, 997, 2), LeaseOutcome::Busy(at(1_020)));
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

/// What a task has seen of the record: the compare-and-swap takes it only if it is still so.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Seen {
    record: Record,
    version: u8,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Change {
    Lease,
    Commit(u8),
    Settle(Settlement),
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Worker {
    Ready {
        rounds: u8,
    },
    /// It decided what to change by what it has seen, and swaps it in next.
    Swapping {
        rounds: u8,
        generation: u64,
        seen: Seen,
        change: Change,
    },
    Holding {
        rounds: u8,
        seen: Seen,
    },
    Gone,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct World {
    now: i64,
    /// `None` after a sign-out.
    record: Option<Record>,
    version: u8,
    was_deleted: bool,
    provider: Provider,
    workers: Vec<Worker>,
    /// Whether anything went wrong that no client can prevent.
    has_fault: bool,
}

impl World {
    /// Every world that one step can make of this one.
    fn steps(&self) -> Vec<Self> {
        let mut next = Vec::new();
        if self.now < 120 {
            // Leases end, and then the access token.
            let mut later = self.clone();
            later.now += 60;
            let holds = |worker: &Worker| match worker {
                Worker::Holding { .. } => true,
                Worker::Swapping { change, .. } => *change != Change::Lease,
                _ => false,
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

    fn seen(&self) -> Option<Seen> {
        Some(Seen {
            record: self.record.clone()?,
            version: self.version,
        })
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each state of a worker")]
    fn step_of(&self, index: usize, next: &mut Vec<Self>) {
        let fence = tag(u8::try_from(index).unwrap() + 1);
        let mut become_worker = |worker: Worker, change: &dyn Fn(&mut Self)| {
            let mut world = self.clone();
            change(&mut world);
            world.workers[index] = worker;
            next.push(world);
        };
        let after = |rounds: u8| match rounds {
            0 => Worker::Gone,
            rounds => Worker::Ready { rounds: rounds - 1 },
        };
        match self.workers[index].clone() {
            Worker::Gone => {}
            Worker::Ready { rounds } => match self.seen() {
                None => become_worker(Worker::Gone, &|_| {}),
                Some(seen) => become_worker(
                    Worker::Swapping {
                        rounds,
                        generation: seen.record.generation,
                        seen,
                        change: Change::Lease,
                    },
                    &|_| {},
                ),
            },
            Worker::Swapping {
                rounds,
                generation,
                seen,
                change,
            } => {
                // A crash before the swap: what came of the grant is lost.
                if change != Change::Lease {
                    become_worker(Worker::Gone, &|world| world.has_fault = true);
                }
                let mut record = seen.record.clone();
                // The ledger ages what it saw to the present.
                let now = at(self.now);
                let mut request = request(0);
                request.fence = fence;
                let is_leased = match &change {
                    Change::Lease => {
                        record.try_lease(now, generation, &request) == LeaseOutcome::Leased
                    }
                    Change::Commit(token) => {
                        let renewal = renewal(*token, self.now + 100);
                        record.commit(fence, generation, &renewal);
                        false
                    }
                    Change::Settle(settlement) => {
                        record.settle(now, fence, *settlement);
                        false
                    }
                };
                let Some(there) = self.seen() else {
                    return become_worker(Worker::Gone, &|_| {});
                };
                if record == seen.record {
                    return become_worker(after(rounds), &|_| {});
                }
                if there.version != seen.version {
                    // A conflict: decide once more, by what came back.
                    return become_worker(
                        Worker::Swapping {
                            rounds,
                            generation,
                            seen: there,
                            change,
                        },
                        &|_| {},
                    );
                }
                let write = |world: &mut Self| {
                    world.record = Some(record.clone());
                    world.version += 1;
                };
                let written = Seen {
                    record: record.clone(),
                    version: self.version + 1,
                };
                if is_leased {
                    become_worker(
                        Worker::Holding {
                            rounds,
                            seen: written,
                        },
                        &write,
                    );
                    // The answer was lost: it never spends.
                    become_worker(Worker::Gone, &write);
                } else {
                    become_worker(after(rounds), &write);
                }
            }
            Worker::Holding { rounds, seen } => {
                become_worker(Worker::Gone, &|world| world.has_fault = true);
                let swapping = |change| Worker::Swapping {
                    rounds,
                    generation: seen.record.generation,
                    seen: seen.clone(),
                    change,
                };
                let unspent = Settlement::Unspent(at(self.now));
                become_worker(swapping(Change::Settle(unspent)), &|_| {});
                // Another target was asked for, and the provider refused it without looking at the token.
                let refused = Change::Settle(Settlement::TargetRefused);
                if !seen.record.is_probed() {
                    become_worker(swapping(refused.clone()), &|_| {});
                }
                // Sent and answered; sent, and the answer lost.
                let mut provider = self.provider.clone();
                let change = match provider.grant(seen.record.sealed[0]) {
                    Some(token) => Change::Commit(token),
                    None => Change::Settle(Settlement::Rejected),
                };
                if matches!(change, Change::Settle(_)) && !seen.record.is_probed() {
                    // It refused the token, and the session that asked for another target cannot tell.
                    become_worker(swapping(refused), &|world| {
                        world.provider = provider.clone();
                    });
                }
                become_worker(swapping(change), &|world| world.provider = provider.clone());
                become_worker(swapping(Change::Settle(Settlement::Uncertain)), &|world| {
                    world.provider = provider.clone();
                    world.has_fault = true;
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
            !(before.was_deleted && self.record.is_some()),
            "revived after sign-out"
        );
        let (Some(old), Some(new)) = (&before.record, &self.record) else {
            return;
        };
        assert!(new.generation >= old.generation, "an older generation");
        assert!(new.sealed[0] >= old.sealed[0], "a committed token was lost");
        assert_eq!(new.generation > old.generation, new.sealed != old.sealed);
        if let RefreshState::Dead(_) = new.state {
            assert!(self.provider.revoked, "ended without a rejection");
        }
        if let RefreshState::Dead(_) = old.state {
            assert_eq!(new, old, "the dead stay dead");
        }
        if new.state == RefreshState::Idle && !self.has_fault {
            let in_flight = |worker: &Worker| {
                matches!(
                    worker,
                    Worker::Swapping {
                        change: Change::Commit(_),
                        ..
                    }
                )
            };
            let is_current = new.sealed[0] == self.provider.current;
            assert!(
                is_current || self.workers.iter().any(in_flight),
                "an idle session is stale"
            );
        }
    }
}

/// Walks through every order in which this number of workers can act, with crashes, lost answers, leases
/// that end and a sign-out at every point, each swap a step of its own.
fn explore(workers: usize, rounds: u8) -> usize {
    let start = World {
        now: 0,
        record: Some(fresh()),
        version: 0,
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
