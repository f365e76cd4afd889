use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::clock::UnixTime;
use crate::error::StoreErrorKind;
use crate::login::{
    Fence, FenceOutcome, LeaseOutcome, Owner, Record, RefreshState, Renewal, SessionId,
    SessionStore, Settlement, StoreKey,
};

/// Short, so that stores whose time nobody can move are tested in half a minute.
const LEASE: Duration = Duration::from_secs(2);
const ACCESS: Duration = Duration::from_secs(20);
const LIFETIME: i64 = 25;
const CALLERS: usize = 50;

/// What any [`SessionStore`] must pass.
///
/// `pass` lets so much of the store's own time go by. `start` is the store's time at the beginning.
///
/// ```
/// use tower_oidc::login::MemoryStore;
/// use tower_oidc::testing::{ManualClock, store_suite};
/// use tower_oidc::Clock;
///
/// # #[tokio::main]
/// # async fn main() {
/// let clock = ManualClock::new();
/// let store = MemoryStore::with_clock(clock.clone());
/// store_suite(store, clock.now(), async |time| clock.advance(time)).await;
/// # }
/// ```
///
/// # Panics
/// At the first rule that the store breaks.
pub async fn store_suite(
    store: impl SessionStore,
    start: UnixTime,
    mut pass: impl AsyncFnMut(Duration),
) {
    let suite = Suite {
        store: Arc::new(store),
        start,
    };
    suite.a_session_is_what_was_put_there().await;
    suite.one_lease_at_a_time().await;
    suite.only_the_holder_commits().await;
    suite.what_is_settled_stays_so().await;
    suite.what_is_deleted_does_not_come_back().await;
    suite.sessions_are_found_by_their_owner().await;
    suite.a_key_is_new_once().await;
    suite.time_is_the_stores(&mut pass).await;
}

struct Suite<S> {
    store: Arc<S>,
    start: UnixTime,
}

impl<S: SessionStore> Suite<S> {
    fn renewal(&self, token: &'static [u8]) -> Renewal {
        let seconds = Duration::from_secs(LIFETIME.unsigned_abs());
        Renewal {
            sealed: Bytes::from_static(token),
            access_expires_at: self.start.saturating_add(ACCESS),
            expires_at: self.start.saturating_add(seconds),
        }
    }

    async fn session(&self) -> StoreKey {
        let owner = Owner {
            subject: random_key(),
            session: None,
        };
        self.session_of(owner).await
    }

    async fn session_of(&self, owner: Owner) -> StoreKey {
        let key = random_key();
        let ends_at = UnixTime::from_seconds(i64::MAX);
        let record = Record::new(self.renewal(b"zero"), ends_at);
        self.store
            .create(key, owner, record)
            .await
            .expect("a new session");
        key
    }

    async fn record(&self, key: StoreKey) -> Option<Record> {
        let stored = self.store.load(key).await.expect("an answer");
        stored.map(|stored| stored.record)
    }

    async fn lease(&self, key: StoreKey, generation: u64) -> LeaseOutcome {
        let leased = self.store.try_lease(key, generation, LEASE).await;
        leased.expect("an answer").expect("a session").outcome
    }

    async fn leased(&self, key: StoreKey, generation: u64) -> Fence {
        match self.lease(key, generation).await {
            LeaseOutcome::Leased(fence) => fence,
            other => panic!("the lease is free, and the answer was {other:?}"),
        }
    }

    async fn commit(
        &self,
        key: StoreKey,
        fence: Fence,
        generation: u64,
        token: &'static [u8],
    ) -> Option<FenceOutcome> {
        let renewal = self.renewal(token);
        let committed = self.store.commit(key, fence, generation, renewal).await;
        committed.expect("an answer").map(|stored| stored.outcome)
    }

    async fn a_session_is_what_was_put_there(&self) {
        let key = self.session().await;
        let record = self.record(key).await.expect("the session");
        assert_eq!((record.generation, &record.sealed[..]), (0, &b"zero"[..]));
        assert_eq!(record.state, RefreshState::Idle);
        let owner = Owner {
            subject: random_key(),
            session: None,
        };
        let again = self.store.create(key, owner, record.clone()).await;
        assert_eq!(
            again.expect_err("the key is taken").kind(),
            StoreErrorKind::Taken
        );
        assert_eq!(
            self.record(key).await,
            Some(record),
            "a refused session changes nothing"
        );
        assert_eq!(
            self.record(random_key()).await,
            None,
            "a session nobody made"
        );
    }

    async fn one_lease_at_a_time(&self) {
        let key = self.session().await;
        let calls = (0..CALLERS).map(|_| {
            let store = Arc::clone(&self.store);
            tokio::spawn(async move { store.try_lease(key, 0, LEASE).await })
        });
        let mut leases = 0;
        for call in calls.collect::<Vec<_>>() {
            let answer = call
                .await
                .expect("no panic")
                .expect("an answer")
                .expect("a session");
            match answer.outcome {
                LeaseOutcome::Leased(fence) => {
                    leases += 1;
                    assert_eq!(answer.record.fence, fence, "the record that came of it");
                }
                LeaseOutcome::Busy(_) => {}
                other => panic!("neither leased nor busy: {other:?}"),
            }
        }
        assert_eq!(leases, 1, "{CALLERS} asked for one lease");
    }

    async fn only_the_holder_commits(&self) {
        let key = self.session().await;
        let fence = self.leased(key, 0).await;
        let other = Fence::from_u64(fence.as_u64() + 1);
        assert_eq!(
            self.commit(key, other, 0, b"evil").await,
            Some(FenceOutcome::Stale)
        );
        assert_eq!(
            self.commit(key, fence, 1, b"evil").await,
            Some(FenceOutcome::Stale)
        );
        assert_eq!(
            self.commit(key, fence, 0, b"one").await,
            Some(FenceOutcome::Done)
        );
        assert_eq!(
            self.commit(key, fence, 0, b"one").await,
            Some(FenceOutcome::Done),
            "the same again, as if its answer was lost"
        );
        assert_eq!(
            self.commit(key, fence, 0, b"evil").await,
            Some(FenceOutcome::Stale)
        );
        assert_eq!(
            self.commit(key, fence, 1, b"evil").await,
            Some(FenceOutcome::Stale)
        );
        let record = self.record(key).await.expect("the session");
        assert_eq!((record.generation, &record.sealed[..]), (1, &b"one"[..]));
        assert_eq!(self.lease(key, 0).await, LeaseOutcome::Newer);
        let next = self.leased(key, 1).await;
        assert!(next > fence, "fences grow");
    }

    async fn what_is_settled_stays_so(&self) {
        let key = self.session().await;
        let fence = self.leased(key, 0).await;
        let settle = |fence, settlement| async move {
            let settled = self.store.settle(key, fence, settlement).await;
            settled.expect("an answer").expect("a session").outcome
        };
        let unspent = Settlement::Unspent(self.start);
        assert_eq!(settle(fence, unspent).await, FenceOutcome::Done);
        assert_eq!(settle(fence, unspent).await, FenceOutcome::Stale);
        let fence = self.leased(key, 0).await;
        let reason = crate::login::EndReason::Rejected;
        assert_eq!(
            settle(fence, Settlement::Ended(reason)).await,
            FenceOutcome::Done
        );
        assert_eq!(self.lease(key, 0).await, LeaseOutcome::Dead(reason));
        assert_eq!(
            self.commit(key, fence, 0, b"evil").await,
            Some(FenceOutcome::Stale)
        );
    }

    async fn what_is_deleted_does_not_come_back(&self) {
        let key = self.session().await;
        let fence = self.leased(key, 0).await;
        let deleted = self.store.delete(key).await.expect("an answer");
        assert_eq!(deleted.expect("the session").sealed, &b"zero"[..]);
        assert_eq!(
            self.commit(key, fence, 0, b"evil").await,
            None,
            "a late commit finds nothing"
        );
        let unspent = Settlement::Unspent(self.start);
        assert!(
            self.store
                .settle(key, fence, unspent)
                .await
                .expect("an answer")
                .is_none()
        );
        assert!(
            self.store
                .try_lease(key, 0, LEASE)
                .await
                .expect("an answer")
                .is_none()
        );
        assert_eq!(self.record(key).await, None);
        assert!(self.store.delete(key).await.expect("an answer").is_none());
    }

    async fn sessions_are_found_by_their_owner(&self) {
        let (subject, session) = (random_key(), random_key());
        let named = Owner {
            subject,
            session: Some(session),
        };
        let unnamed = Owner {
            subject,
            session: None,
        };
        let one = self.session_of(named).await;
        let two = self.session_of(unnamed).await;
        let stranger = self.session().await;
        let ended = self
            .store
            .delete_by_session(session)
            .await
            .expect("an answer");
        assert_eq!(ended.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [one]);
        assert!(
            self.record(two).await.is_some(),
            "the subject's other session"
        );
        let ended = self
            .store
            .delete_by_subject(subject)
            .await
            .expect("an answer");
        assert_eq!(ended.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [two]);
        assert!(
            self.record(stranger).await.is_some(),
            "somebody else's session"
        );
        let none = self
            .store
            .delete_by_subject(subject)
            .await
            .expect("an answer");
        assert!(none.is_empty());
    }

    async fn a_key_is_new_once(&self) {
        let key = random_key();
        let calls = (0..CALLERS).map(|_| {
            let store = Arc::clone(&self.store);
            tokio::spawn(async move { store.put_if_absent(key, LEASE).await })
        });
        let mut new = 0;
        for call in calls.collect::<Vec<_>>() {
            new += usize::from(call.await.expect("no panic").expect("an answer"));
        }
        assert_eq!(new, 1, "{CALLERS} put one key");
        assert!(
            self.store
                .put_if_absent(random_key(), LEASE)
                .await
                .expect("an answer")
        );
    }

    async fn time_is_the_stores(&self, pass: &mut impl AsyncFnMut(Duration)) {
        let key = self.session().await;
        let fence = self.leased(key, 0).await;
        let seen = random_key();
        assert!(
            self.store
                .put_if_absent(seen, LEASE)
                .await
                .expect("an answer")
        );
        pass(LEASE).await;
        assert!(
            self.store
                .put_if_absent(seen, LEASE)
                .await
                .expect("an answer"),
            "forgotten"
        );
        let later = self.lease(key, 0).await;
        assert!(
            matches!(later, LeaseOutcome::Later(_)),
            "the access token lives: {later:?}"
        );
        assert_eq!(
            self.commit(key, fence, 0, b"late").await,
            Some(FenceOutcome::Done)
        );
        pass(Duration::from_secs(LIFETIME.unsigned_abs())).await;
        assert_eq!(
            self.record(key).await,
            None,
            "an expired session is not there"
        );
        assert!(
            self.store
                .try_lease(key, 1, LEASE)
                .await
                .expect("an answer")
                .is_none()
        );
        assert_eq!(self.commit(key, fence, 1, b"evil").await, None);
        assert!(self.store.delete(key).await.expect("an answer").is_none());
    }
}

fn random_key() -> StoreKey {
    SessionId::random()
        .expect("the system offers randomness")
        .store_key()
}
