//! What a kept value does with its fetches.

use super::*;
use crate::clock::boot_time::BootTime;
use crate::clock::boot_time::tests::Machine;
use crate::clock::{Clock, UnixTime};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

const PACE: Pace = Pace {
    what: "test",
    ahead: Duration::from_secs(60),
    soonest: Duration::ZERO,
    stale: Duration::from_secs(3600),
    waits_when_stale: false,
    first_back_off: Duration::from_secs(1),
    longest_back_off: Duration::from_secs(60),
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn counting(
    clock: SharedClock,
    behave: impl Fn(u32) -> BoxFuture<Result<Fetched<u32>, ProviderError>> + Send + Sync + 'static,
) -> (Renew<u32>, Arc<AtomicU32>) {
    let count = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&count);
    let renew = Renew::new(clock, PACE, move || {
        behave(counted.fetch_add(1, Ordering::SeqCst) + 1)
    });
    (renew, count)
}

#[expect(clippy::unnecessary_wraps, reason = "the answer of a flight")]
fn ok(value: u32) -> Result<Fetched<u32>, ProviderError> {
    Ok(Fetched {
        value,
        fresh_for: seconds(600),
        ahead: None,
    })
}

fn serves(renew: &Renew<u32>, serial: u64) -> bool {
    renew.serves(serial, renew.0.clock.monotonic())
}

fn system_clock() -> SharedClock {
    SharedClock::system()
}

// KS-08
#[tokio::test]
async fn many_waiters_share_one_flight_and_leaving_harms_no_other() {
    let (renew, count) = counting(system_clock(), |n| {
        Box::pin(async move {
            tokio::task::yield_now().await;
            ok(n)
        })
    });
    // The one who starts the flight leaves at once.
    drop(renew.read());
    let waiters: Vec<_> = (0..500)
        .map(|_| {
            let renew = renew.clone();
            tokio::spawn(async move { renew.get().await.unwrap().value })
        })
        .collect();
    for waiter in waiters {
        assert_eq!(waiter.await.unwrap(), 1);
    }
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

/// Seconds, moved by hand.
#[derive(Clone, Default)]
struct Hand(Arc<AtomicU32>);

impl Clock for Hand {
    fn now(&self) -> UnixTime {
        UnixTime::from_seconds(self.0.load(Ordering::SeqCst).into())
    }

    fn monotonic(&self) -> Duration {
        seconds(self.0.load(Ordering::SeqCst).into())
    }
}

// LM-01
#[tokio::test]
async fn a_serial_lasts_as_long_as_the_value_stays_the_same() {
    let values = [7, 7, 8];
    let renew = Renew::comparing(system_clock(), PACE, u32::eq, {
        let next = AtomicUsize::new(0);
        move || {
            let value = values[next.fetch_add(1, Ordering::SeqCst)];
            Box::pin(async move { ok(value) })
        }
    });
    let renewed = async || {
        let fetching = renew.force(|| true).unwrap().unwrap();
        fetching.flight.landed().await.unwrap().serial
    };
    assert!(!serves(&renew, 0), "nothing is there, and a flight starts");
    assert_eq!(renew.get().await.unwrap().serial, 1);
    assert!(serves(&renew, 1) && !serves(&renew, 0) && !serves(&renew, 2));
    assert_eq!(renewed().await, 1, "7 again");
    assert!(serves(&renew, 1));
    assert_eq!(renewed().await, 2, "8");
    assert!(serves(&renew, 2) && !serves(&renew, 1));
}

// KS-11
#[tokio::test]
async fn to_ask_for_a_serial_starts_the_renewal_that_is_due() {
    let hand = Hand::default();
    let (renew, count) = counting(SharedClock::new(hand.clone()), |n| {
        Box::pin(async move { if n == 1 { ok(n) } else { Err(lost()) } })
    });
    renew.get().await.unwrap();
    for (now, expected, fetches) in [
        (500, true, 1),
        // Due; the renewal fails, and the value is served all the same.
        (599, true, 2),
        (599, true, 2),
        (4199, true, 3),
        // Gone, and too early for the next attempt.
        (4200, false, 3),
    ] {
        hand.0.store(now, Ordering::SeqCst);
        assert_eq!(serves(&renew, 1), expected, "at {now}");
        tokio::task::yield_now().await;
        assert_eq!(count.load(Ordering::SeqCst), fetches, "at {now}");
    }
}

/// A machine that can be suspended.
#[derive(Clone)]
struct Laptop(Arc<(Machine, BootTime)>);

impl Clock for Laptop {
    fn now(&self) -> UnixTime {
        UnixTime::from_seconds(0)
    }

    fn monotonic(&self) -> Duration {
        let (machine, boot_time) = &*self.0;
        boot_time.read(machine).unwrap().since_boot
    }
}

// KS-14
#[tokio::test]
async fn a_value_from_before_a_suspension_is_not_taken_for_fresh() {
    let laptop = Laptop(Arc::new((Machine::booted(), BootTime::new())));
    let (renew, _) = counting(SharedClock::new(laptop.clone()), |n| {
        Box::pin(async move { if n == 1 { ok(n) } else { Err(lost()) } })
    });
    renew.get().await.unwrap();
    laptop.0.0.runs(seconds(10));
    assert!(serves(&renew, 1));
    assert_eq!(renew.state().phase, Phase::Fresh);
    laptop.0.0.is_suspended(seconds(1_000));
    assert_eq!(renew.state().phase, Phase::Stale);
    laptop.0.0.is_suspended(seconds(4_000));
    assert!(!serves(&renew, 1), "past its stale limit");
}

// LM-10
#[tokio::test]
async fn a_panic_in_a_flight_leaves_no_waiter_behind() {
    let (renew, count) = counting(system_clock(), |n| {
        Box::pin(async move {
            assert!(n > 1, "the first flight crashes");
            ok(n)
        })
    });
    let refusal = renew.get().await.err().unwrap();
    assert_eq!(refusal.error.kind(), ProviderErrorKind::Unreachable);
    assert!(refusal.retry_after > Duration::ZERO);
    // Within the back-off there is no new attempt.
    assert!(renew.get().await.is_err());
    assert_eq!(count.load(Ordering::SeqCst), 1);
    assert_eq!(renew.state().phase, Phase::Unavailable);
}

#[test]
fn without_a_runtime_the_answer_is_an_error() {
    let (renew, _) = counting(system_clock(), |n| Box::pin(async move { ok(n) }));
    match renew.read() {
        Reading::Refused(refusal) => {
            assert_eq!(refusal.error.kind(), ProviderErrorKind::NoRuntime);
        }
        _ => panic!("there is nothing to run a flight on"),
    }
}
