//! Records that have expired count as absent, and are dropped a while later.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::{PgPool, Row as _};

use super::deadline::Deadline;
use super::pooler::Pooler;
use super::question::Question;
use super::statements::Statements;
use crate::clock::SharedClock;
use crate::login::store::PATIENCE;

/// Records that one statement drops at most, so that none holds locks for long.
const AT_ONCE: i64 = 500;

/// Statements in a row at most. They drop more in a minute than sign-ins can add.
const IN_A_ROW: usize = 20;

/// From one sweep to the next. A store without sign-ins is not swept: nothing is added to it.
const PAUSE: Duration = Duration::from_secs(5);

/// Whether one is under way, or was a moment ago.
#[derive(Default)]
pub(super) struct Sweeping(Arc<AtomicBool>);

impl Sweeping {
    /// Drops what has expired, in a task that no caller waits for.
    pub(super) fn start(
        &self,
        pool: &PgPool,
        statements: &Arc<Statements>,
        pooler: &Arc<Pooler>,
        clock: &SharedClock,
    ) {
        if self.0.swap(true, Ordering::AcqRel) {
            return;
        }
        let (is_under_way, pool) = (Arc::clone(&self.0), pool.clone());
        let clock = clock.clone();
        let statements = Arc::clone(statements);
        let pooler = Arc::clone(pooler);
        tokio::spawn(async move {
            for _ in 0..IN_A_ROW {
                if swept(&pool, &statements, &pooler, &clock).await < AT_ONCE {
                    break;
                }
            }
            drop(pool);
            tokio::time::sleep(PAUSE).await;
            is_under_way.store(false, Ordering::Release);
        });
    }
}

/// How many were dropped. A failure is one of the store, of which its callers learn by themselves.
async fn swept(
    pool: &PgPool,
    statements: &Statements,
    pooler: &Arc<Pooler>,
    clock: &SharedClock,
) -> i64 {
    let Ok(connection) = pool.acquire().await else {
        return 0;
    };
    let question = Question::new(&statements.sweep).with(AT_ONCE);
    match question
        .put_to(
            connection,
            Deadline::after(clock, PATIENCE),
            Arc::clone(pooler),
        )
        .await
    {
        Ok(rows) => {
            let first = rows.first();
            first.map_or(0, |row| row.try_get("rows").unwrap_or(0))
        }
        Err(error) => {
            tracing::debug!(%error, "sessions that have expired were not dropped");
            0
        }
    }
}
