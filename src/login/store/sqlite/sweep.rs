//! Records that have expired count as absent, and are dropped later.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::{Error, SqlitePool};
use tokio::sync::Semaphore;

use super::SqliteStore;
use super::ask::Question;
use super::statements::Statements;
use crate::clock::UnixTime;

/// Records that one statement drops at most, so that none holds the file locked for long.
const AT_ONCE: usize = 500;

/// How long a record stays after its end: longer than any time zone is off.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// Those who want to write come in between.
const BREATH: Duration = Duration::from_millis(10);

/// From one sweep to the next. A store without sign-ins is not swept: nothing is added to it.
const PAUSE: Duration = Duration::from_secs(60);

/// Whether one is under way, or was a moment ago.
#[derive(Default)]
pub(super) struct Sweeping(Arc<AtomicBool>);

/// What a sweep needs.
struct Sweep {
    pool: SqlitePool,
    writer: Arc<Semaphore>,
    statements: Arc<Statements>,
    ended_by: UnixTime,
}

impl SqliteStore {
    /// Drops what ended a day ago, in a task that no caller waits for.
    pub(super) fn sweep(&self) {
        if self.sweeping.0.swap(true, Ordering::AcqRel) {
            return;
        }
        let is_under_way = Arc::clone(&self.sweeping.0);
        let sweep = Sweep {
            pool: self.pool.clone(),
            writer: Arc::clone(&self.writer),
            statements: Arc::clone(&self.statements),
            ended_by: self.clock.now().saturating_sub(KEPT),
        };
        tokio::spawn(async move {
            if let Err(error) = sweep.all().await {
                // Those who sign in learn of it by themselves.
                tracing::debug!(%error, "sessions that have expired were not dropped");
            }
            drop(sweep);
            tokio::time::sleep(PAUSE).await;
            is_under_way.store(false, Ordering::Release);
        });
    }
}

impl Sweep {
    async fn all(&self) -> Result<(), Error> {
        while self.some().await? == AT_ONCE {
            tokio::time::sleep(BREATH).await;
        }
        Ok(())
    }

    /// How many were dropped.
    async fn some(&self) -> Result<usize, Error> {
        let _turn = self.writer.acquire().await;
        let mut connection = self.pool.acquire().await?;
        let question = Question::new(&self.statements.sweep)
            .with(self.ended_by.as_seconds())
            .with(i64::try_from(AT_ONCE).unwrap_or(i64::MAX));
        Ok(question.put_to(&mut connection).await?.len())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::clock::Clock as _;
    use crate::login::store::{SessionStore as _, StoreKey, StoredRecord, Tag};
    use crate::testing::ManualClock;

    // D31
    #[tokio::test]
    async fn records_are_dropped_a_day_after_their_end_and_500_at_once() {
        let name = format!("tower-oidc-sweep-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        let clock = ManualClock::new();
        let file = folder.join("sessions.db").display().to_string();
        let store = SqliteStore::new(&file).expect("a file");
        let store = store.with_clock(clock.clone());
        store.migrate().await.expect("tables");
        // Only what is asked for here.
        store.sweeping.0.store(true, Ordering::Release);
        let ends_at = clock.now().saturating_add(Duration::from_secs(60));
        for number in 0..1_100 {
            let record = StoredRecord {
                bytes: Bytes::from_static(b"x"),
                tag: Tag::random().expect("randomness"),
                expires_at: ends_at.saturating_add(Duration::from_secs(number / 1_000)),
            };
            let key = StoreKey::of(&[&number.to_string()]);
            store.create(key, None, record).await.expect("a record");
        }
        let sweep = |ended_by| Sweep {
            pool: store.pool.clone(),
            writer: Arc::clone(&store.writer),
            statements: Arc::clone(&store.statements),
            ended_by,
        };
        let before = sweep(ends_at.saturating_sub(Duration::from_secs(1)));
        assert_eq!(before.some().await.expect("an answer"), 0);
        let after = sweep(ends_at);
        for expected in [500, 500, 0] {
            assert_eq!(after.some().await.expect("an answer"), expected);
        }
        sweep(ends_at.saturating_add(KEPT))
            .all()
            .await
            .expect("an answer");
        assert_eq!(after.some().await.expect("an answer"), 0);
        store.pool.close().await;
        std::fs::remove_dir_all(&folder).expect("the folder");
    }
}
