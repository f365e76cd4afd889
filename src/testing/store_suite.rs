use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::clock::UnixTime;
use crate::error::StoreErrorKind;
use crate::login::{
    Loaded, OwnedBy, Owner, SessionId, SessionStore, StoreKey, StoredRecord, Swapped, Tag,
};

/// Short, so that a store whose clock cannot be set is tested in a few seconds.
const SHORT: Duration = Duration::from_secs(2);
const LONG: Duration = Duration::from_secs(600);
const CALLERS: usize = 50;

/// What any [`SessionStore`] must pass.
///
/// `start` is the store's time at the beginning, `pass` lets this much of the store's own time go by.
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
    suite.a_record_is_what_was_put_there().await;
    suite.a_record_is_created_once().await;
    suite.a_swap_needs_the_tag_that_is_there().await;
    suite.one_of_many_swaps_wins().await;
    suite.what_is_deleted_does_not_come_back().await;
    suite.records_are_found_by_their_owner().await;
    suite.any_bytes_are_kept().await;
    suite.time_is_the_stores(&mut pass).await;
}

struct Suite<S> {
    store: Arc<S>,
    start: UnixTime,
}

impl<S: SessionStore> Suite<S> {
    fn record(&self, bytes: &'static [u8]) -> StoredRecord {
        self.record_for(bytes, LONG)
    }

    fn record_for(&self, bytes: &'static [u8], lifetime: Duration) -> StoredRecord {
        StoredRecord {
            bytes: Bytes::from_static(bytes),
            tag: random_tag(),
            expires_at: self.start.saturating_add(lifetime),
        }
    }

    fn owner(&self) -> Owner {
        Owner {
            subject: random_key(),
            session: random_key(),
            ends_at: self.start.saturating_add(LONG),
        }
    }

    async fn created(&self, owner: Option<Owner>) -> (StoreKey, StoredRecord) {
        let (key, record) = (random_key(), self.record(b"zero"));
        let now = self.store.create(key, owner, record.clone()).await;
        assert!(
            now.expect("an unused key") >= self.start,
            "create returns the store's time"
        );
        (key, record)
    }

    async fn load(&self, key: StoreKey) -> Option<StoredRecord> {
        let loaded = self.store.load(key).await.expect("an answer");
        let record = loaded.map(|loaded| loaded.record);
        if let Some(peeked) = self.store.peek(key) {
            let tag = record.as_ref().map(|record| record.tag);
            assert_eq!(Some(peeked.tag), tag, "what can be peeked at can be loaded");
        }
        record
    }

    async fn swap(&self, key: StoreKey, expected: Tag, next: &StoredRecord) -> Swapped {
        let swapped = self.store.swap(key, expected, next.clone()).await;
        swapped.expect("an answer")
    }

    async fn find(&self, owner: OwnedBy) -> Vec<StoreKey> {
        let mut found = self.store.find(owner).await.expect("an answer");
        found.sort_unstable();
        found
    }

    async fn a_record_is_what_was_put_there(&self) {
        for owner in [None, Some(self.owner())] {
            let (key, record) = self.created(owner).await;
            assert_eq!(self.load(key).await, Some(record));
        }
        assert_eq!(self.load(random_key()).await, None, "an unused key");
    }

    async fn a_record_is_created_once(&self) {
        let (key, record) = self.created(None).await;
        let other = self.record(b"other");
        let again = self.store.create(key, None, other).await;
        assert_eq!(
            again.expect_err("the key is taken").kind(),
            StoreErrorKind::Taken
        );
        let repeated = self.store.create(key, None, record.clone()).await;
        repeated.expect("the same again, as if its answer was lost");
        assert_eq!(self.load(key).await, Some(record));

        let key = random_key();
        let calls = (0..CALLERS).map(|_| {
            let (store, record) = (Arc::clone(&self.store), self.record(b"race"));
            tokio::spawn(async move { store.create(key, None, record).await.is_ok() })
        });
        let mut created = 0;
        for call in calls.collect::<Vec<_>>() {
            created += usize::from(call.await.expect("no panic"));
        }
        assert_eq!(created, 1, "{CALLERS} created one key");
    }

    async fn a_swap_needs_the_tag_that_is_there(&self) {
        let (key, zero) = self.created(Some(self.owner())).await;
        let one = self.record(b"one");
        assert_eq!(self.swap(key, zero.tag, &one).await, Swapped::Done);
        assert_eq!(self.load(key).await, Some(one.clone()));
        let evil = self.record(b"evil");
        for expected in [zero.tag, random_tag(), evil.tag] {
            match self.swap(key, expected, &evil).await {
                Swapped::Conflict(Loaded { record, now }) => {
                    assert_eq!(record, one, "a conflict returns what is there");
                    assert!(now >= self.start);
                }
                other => panic!("the tag is another: {other:?}"),
            }
        }
        // The same again, as if its answer was lost: the conflict shows the writer's own tag.
        match self.swap(key, zero.tag, &one).await {
            Swapped::Conflict(there) => assert_eq!(there.record.tag, one.tag),
            other => panic!("the tag is another: {other:?}"),
        }
        assert_eq!(self.load(key).await, Some(one.clone()));
        // Bytes that were there before may come again under another tag, and old tags stay old.
        let again = self.record(b"zero");
        assert_eq!(self.swap(key, one.tag, &again).await, Swapped::Done);
        assert!(matches!(
            self.swap(key, zero.tag, &evil).await,
            Swapped::Conflict(_)
        ));
        assert_eq!(
            self.swap(random_key(), zero.tag, &evil).await,
            Swapped::Gone
        );
    }

    async fn one_of_many_swaps_wins(&self) {
        let (key, zero) = self.created(None).await;
        let calls = (0..CALLERS).map(|_| {
            let (store, next) = (Arc::clone(&self.store), self.record(b"race"));
            let expected = zero.tag;
            tokio::spawn(async move { (next.tag, store.swap(key, expected, next).await) })
        });
        let (mut winners, mut losers) = (Vec::new(), Vec::new());
        for call in calls.collect::<Vec<_>>() {
            match call.await.expect("no panic") {
                (tag, Ok(Swapped::Done)) => winners.push(tag),
                (_, Ok(Swapped::Conflict(there))) => losers.push(there.record.tag),
                (_, other) => panic!("neither done nor a conflict: {other:?}"),
            }
        }
        assert_eq!(winners.len(), 1, "{CALLERS} swapped one record");
        assert!(
            losers.iter().all(|there| *there == winners[0]),
            "losers see the winner"
        );
        let there = self.load(key).await.expect("the record");
        assert_eq!(there.tag, winners[0]);
    }

    async fn what_is_deleted_does_not_come_back(&self) {
        let owner = self.owner();
        let (key, zero) = self.created(Some(owner)).await;
        let deleted = self.store.delete(key).await.expect("an answer");
        assert_eq!(deleted, Some(zero.clone()));
        let late = self.record(b"late");
        assert_eq!(self.swap(key, zero.tag, &late).await, Swapped::Gone);
        assert_eq!(self.load(key).await, None);
        let again = self.store.delete(key).await.expect("an answer");
        assert_eq!(again, None);
        assert!(self.find(OwnedBy::Subject(owner.subject)).await.is_empty());
        // A new record under the same key has nothing of the old one.
        let one = self.record(b"one");
        let created = self.store.create(key, None, one.clone()).await;
        created.expect("the key is free again");
        assert!(matches!(
            self.swap(key, zero.tag, &late).await,
            Swapped::Conflict(_)
        ));
        assert_eq!(self.load(key).await, Some(one));
    }

    async fn records_are_found_by_their_owner(&self) {
        let owner = self.owner();
        let elsewhere = Owner {
            session: random_key(),
            ..owner
        };
        let (one, record) = self.created(Some(owner)).await;
        let (two, _) = self.created(Some(elsewhere)).await;
        let (three, _) = self.created(Some(self.owner())).await;
        let mut of_subject = [one, two];
        of_subject.sort_unstable();
        assert_eq!(self.find(OwnedBy::Subject(owner.subject)).await, of_subject);
        assert_eq!(self.find(OwnedBy::Session(owner.session)).await, [one]);
        assert_eq!(self.find(OwnedBy::Session(elsewhere.session)).await, [two]);
        assert!(self.find(OwnedBy::Subject(random_key())).await.is_empty());
        // A change leaves the owner as it was.
        let next = self.record(b"one");
        assert_eq!(self.swap(one, record.tag, &next).await, Swapped::Done);
        assert_eq!(self.find(OwnedBy::Session(owner.session)).await, [one]);
        self.store.delete(one).await.expect("an answer");
        assert_eq!(self.find(OwnedBy::Subject(owner.subject)).await, [two]);
        assert!(self.load(three).await.is_some(), "another owner's record");
    }

    async fn any_bytes_are_kept(&self) {
        let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(70_000).collect();
        for bytes in [Bytes::new(), Bytes::from(bytes)] {
            let (key, zero) = self.created(None).await;
            let next = StoredRecord {
                bytes,
                ..self.record(b"")
            };
            assert_eq!(self.swap(key, zero.tag, &next).await, Swapped::Done);
            assert_eq!(self.load(key).await, Some(next));
        }
    }

    async fn time_is_the_stores(&self, pass: &mut impl AsyncFnMut(Duration)) {
        let owner = self.owner();
        let (key, zero) = self.created(Some(owner)).await;
        let before = self.store.load(key).await.expect("an answer");
        let before = before.expect("the record").now;
        let left = before.as_seconds().abs_diff(self.start.as_seconds());
        let short = self.record_for(b"short", SHORT + Duration::from_secs(left));
        assert_eq!(self.swap(key, zero.tag, &short).await, Swapped::Done);
        let stays = self.created(None).await;
        pass(SHORT).await;
        let after = self.store.load(stays.0).await.expect("an answer");
        assert!(
            after.expect("the other record").now >= before.saturating_add(SHORT),
            "time passes"
        );
        assert_eq!(self.load(key).await, None, "an expired record is absent");
        let late = self.record(b"late");
        assert_eq!(self.swap(key, short.tag, &late).await, Swapped::Gone);
        let deleted = self.store.delete(key).await.expect("an answer");
        assert_eq!(deleted, None);
        let created = self.store.create(key, Some(owner), late).await;
        created.expect("the key of an expired record is free");
    }
}

fn random_key() -> StoreKey {
    SessionId::random()
        .expect("the system offers randomness")
        .store_key()
}

fn random_tag() -> Tag {
    Tag::random().expect("the system offers randomness")
}
