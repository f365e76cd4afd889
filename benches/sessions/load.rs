//! Many callers at once, and records for a store without a site.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tower_oidc::login::{Owner, SessionStore, StoreKey, StoredRecord, Swapped, Tag};

use crate::Fallible;

/// Callers at once.
const AT_ONCE: usize = 32;

/// Calls `act` with each item, several at a time. Returns what came of them, and how long it took.
pub(crate) async fn each<I, T, F>(
    items: Vec<I>,
    act: impl Fn(I) -> F + Clone + Send + 'static,
) -> Fallible<(Vec<T>, Duration)>
where
    I: Send + 'static,
    T: Send + 'static,
    F: Future<Output = Fallible<T>> + Send,
{
    let started = Instant::now();
    let items = Arc::new(Mutex::new(items.into_iter()));
    let next = move || {
        let mut items = items.lock().unwrap_or_else(PoisonError::into_inner);
        items.next()
    };
    let callers: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let (act, next) = (act.clone(), next.clone());
            tokio::spawn(async move {
                let mut done = Vec::new();
                while let Some(item) = next() {
                    done.push(act(item).await?);
                }
                Fallible::Ok(done)
            })
        })
        .collect();
    let mut all = Vec::new();
    for caller in callers {
        all.extend(caller.await??);
    }
    Ok((all, started.elapsed()))
}

/// How many a second: the median of the rounds, and the slowest and fastest of them.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Rate {
    pub(crate) slowest: f64,
    pub(crate) median: f64,
    pub(crate) fastest: f64,
}

impl Rate {
    /// Of rounds of this many.
    pub(crate) fn of(count: usize, rounds: &[Duration]) -> Self {
        let count = u32::try_from(count).map_or(f64::INFINITY, f64::from);
        let mut rates: Vec<_> = rounds
            .iter()
            .map(|took| count / took.as_secs_f64())
            .collect();
        rates.sort_by(f64::total_cmp);
        Self {
            slowest: rates[0],
            median: rates[rates.len() / 2],
            fastest: rates[rates.len() - 1],
        }
    }
}

type Store = Arc<dyn SessionStore>;

/// A copy, with memory and a tag of its own.
fn copy(record: &StoredRecord) -> Fallible<StoredRecord> {
    Ok(StoredRecord {
        bytes: Bytes::copy_from_slice(&record.bytes),
        tag: Tag::random()?,
        expires_at: record.expires_at,
    })
}

fn key(name: &str, number: usize) -> StoreKey {
    StoreKey::of(&[name, &number.to_string()])
}

/// Stores sessions as long as this one, each of another user.
pub(crate) async fn create(
    store: Store,
    like: StoredRecord,
    numbers: std::ops::Range<usize>,
) -> Fallible<Duration> {
    let created = each(numbers.collect(), move |number| {
        let (store, like) = (Arc::clone(&store), like.clone());
        async move {
            let owner = Owner {
                subject: key("subject", number),
                session: key("provider's session", number),
                ends_at: like.expires_at,
            };
            store
                .create(key("session", number), Some(owner), copy(&like)?)
                .await?;
            Ok(())
        }
    });
    Ok(created.await?.1)
}

/// Does for each of these sessions what a refresh asks of its store.
pub(crate) async fn refresh(store: Store, numbers: std::ops::Range<usize>) -> Fallible<Duration> {
    let refreshed = each(numbers.collect(), move |number| {
        let store = Arc::clone(&store);
        async move {
            let key = key("session", number);
            let mut there = store.load(key).await?.ok_or("no session")?.record;
            for _ in ["to lease it", "to commit the new tokens"] {
                let next = copy(&there)?;
                let swapped = store.swap(key, there.tag, next.clone()).await?;
                if swapped != Swapped::Done {
                    return Err("another caller has changed the session".into());
                }
                there = next;
            }
            Ok(())
        }
    });
    Ok(refreshed.await?.1)
}

/// Removes these sessions.
pub(crate) async fn delete(store: Store, numbers: std::ops::Range<usize>) -> Fallible<()> {
    let deleted = each(numbers.collect(), move |number| {
        let store = Arc::clone(&store);
        async move {
            let deleted = store.delete(key("session", number)).await?;
            deleted.map(drop).ok_or_else(|| "no session".into())
        }
    });
    deleted.await.map(drop)
}
