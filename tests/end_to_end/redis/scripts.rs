//! The scripts held against the functions they stand for.

use std::time::Duration;

use bytes::Bytes;
use redis::Commands;
use tower_oidc::UnixTime;
use tower_oidc::error::StoreErrorKind;
use tower_oidc::login::{
    EndReason, Fence, Record, RefreshState, Renewal, SessionStore, Settlement,
};

use super::server::{Redis, now, owner, random_key, record};

/// A small generator with a seed, so that a failure can be had again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn seconds(&mut self, sides: u64) -> Duration {
        Duration::from_secs(self.roll(sides))
    }

    /// A time a little before or after now.
    fn about(&mut self, now: UnixTime) -> UnixTime {
        let later = self.seconds(5);
        now.saturating_sub(Duration::from_secs(2))
            .saturating_add(later)
    }
}

#[tokio::test]
#[ignore = "needs redis-server; the full test run brings it"]
async fn d7_the_scripts_do_what_the_functions_do() {
    let redis = Redis::start(&[]);
    let store = redis.store();
    for seed in 0..200 {
        let mut dice = Dice(seed);
        let key = random_key();
        let start = now();
        let mut serial = 0_u64;
        let mut renewal = |dice: &mut Dice, now| {
            serial += 1;
            Renewal {
                sealed: Bytes::from(format!("{seed}-{serial}")),
                access_expires_at: dice.about(now),
                expires_at: now.saturating_add(Duration::from_secs(1_000 + dice.roll(10))),
            }
        };
        let ends_at = start.saturating_add(Duration::from_secs(1_005));
        let mut model = Record::new(renewal(&mut dice, start), ends_at);
        store.create(key, owner(), model.clone()).await.unwrap();
        for step in 0..40 {
            let generation = model.generation.saturating_sub(dice.roll(4) / 3);
            let fence = Fence::from_u64(model.fence.as_u64().saturating_sub(dice.roll(4) / 3));
            let about = format!("seed {seed}, step {step}, {model:?}");
            let stored = match dice.roll(3) {
                0 => {
                    let lease = dice.seconds(3);
                    let stored = store
                        .try_lease(key, generation, lease)
                        .await
                        .unwrap()
                        .unwrap();
                    let expected = model.try_lease(stored.now, generation, lease);
                    assert_eq!(stored.outcome, expected, "{about}");
                    stored.record
                }
                1 => {
                    let renewal = renewal(&mut dice, now());
                    let committed = store.commit(key, fence, generation, renewal.clone()).await;
                    let stored = committed.unwrap().unwrap();
                    let expected = model.commit(stored.now, fence, generation, renewal);
                    assert_eq!(stored.outcome, expected, "{about}");
                    stored.record
                }
                _ => {
                    let settlement = match dice.roll(6) {
                        0..=2 => Settlement::Unspent(dice.about(now())),
                        3 | 4 => Settlement::Uncertain,
                        _ => Settlement::Ended(EndReason::Rejected),
                    };
                    let stored = store.settle(key, fence, settlement).await.unwrap().unwrap();
                    let expected = model.settle(stored.now, fence, settlement);
                    assert_eq!(stored.outcome, expected, "{about}");
                    stored.record
                }
            };
            assert_eq!(stored, model, "{about}");
            if matches!(model.state, RefreshState::Dead(_)) {
                break;
            }
        }
    }
}

#[tokio::test]
#[ignore = "needs redis-server; the full test run brings it"]
async fn a_record_of_a_newer_format_is_refused_and_not_misread() {
    let redis = Redis::start(&[]);
    let store = redis.store();
    let key = random_key();
    store.create(key, owner(), record()).await.unwrap();
    let mut connection = redis.connection();
    let name: Vec<String> = connection.keys("tower-oidc:session:*").unwrap();
    let _: i64 = connection.hset(&name[0], "v", "2").unwrap();
    let error = store.load(key).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::TooNew);
    assert!(error.to_string().contains("upgrade"), "{error}");
}
