//! Statements: who writes, time limit, errors.

use std::sync::atomic::Ordering;

use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments as _, Encode, Error, SqlStr, Sqlite, SqliteConnection, Type};
use tokio::sync::SemaphorePermit;

use super::SqliteStore;
use super::failure::{failure, late};
use crate::clock::UnixTime;
use crate::error::StoreError;
use crate::login::store::PATIENCE;
use crate::login::store::outage::Trouble;
use crate::login::store::sql::Failure;

/// A statement and its values.
pub(super) struct Question {
    statement: SqlStr,
    values: Result<SqliteArguments, Error>,
}

impl Question {
    pub(super) fn new(statement: &SqlStr) -> Self {
        Self {
            statement: statement.clone(),
            values: Ok(SqliteArguments::default()),
        }
    }

    pub(super) fn with<'q>(mut self, value: impl Encode<'q, Sqlite> + Type<Sqlite>) -> Self {
        self.values = self.values.and_then(|mut values| {
            values.add(value).map_err(Error::Encode)?;
            Ok(values)
        });
        self
    }

    /// All rows. They must be read to the end, because a statement that writes commits there, and only then says
    /// whether that went well.
    pub(super) async fn put_to(
        self,
        connection: &mut SqliteConnection,
    ) -> Result<Vec<SqliteRow>, Error> {
        sqlx::query_with(self.statement, self.values?)
            .fetch_all(connection)
            .await
    }
}

/// What a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

impl Access {
    /// Why it is late, most likely: reads wait for no lock.
    fn trouble(self) -> Trouble {
        match self {
            Self::Read => Trouble::Away,
            Self::Write => Trouble::Locked,
        }
    }
}

/// An answer, and the time at which it was asked for.
pub(super) struct Answer {
    pub(super) rows: Vec<SqliteRow>,
    pub(super) now: UnixTime,
}

impl Answer {
    /// The only row, if there is one.
    pub(super) fn row(&self) -> Option<&SqliteRow> {
        self.rows.first()
    }
}

impl SqliteStore {
    /// Every question is answered within two seconds, or fails. It is composed when it is its turn, for the time that
    /// it then is.
    pub(super) async fn ask(
        &self,
        access: Access,
        compose: impl FnOnce(UnixTime) -> Question,
    ) -> Result<Answer, StoreError> {
        let answered = async {
            if !self.is_ready.load(Ordering::Acquire) {
                self.find_tables().await?;
            }
            let answered = self.put(access, compose).await;
            answered.map_err(|error| failure(&error))
        };
        let answered = tokio::time::timeout(PATIENCE, answered).await;
        let answered = answered.unwrap_or_else(|_| Err(late(access.trouble())));
        self.tell(access, answered.as_ref().err());
        answered.map_err(|failure| failure.error)
    }

    async fn put(
        &self,
        access: Access,
        compose: impl FnOnce(UnixTime) -> Question,
    ) -> Result<Answer, Error> {
        let _turn = self.turn(access).await;
        let mut connection = self.pool.acquire().await?;
        let now = self.clock.now();
        let rows = compose(now).put_to(&mut connection).await?;
        Ok(Answer { rows, now })
    }

    /// The turn to write, for as long as it is kept.
    pub(super) async fn turn(&self, access: Access) -> Option<SemaphorePermit<'_>> {
        match access {
            Access::Read => None,
            // It is never closed.
            Access::Write => self.writer.acquire().await.ok(),
        }
    }

    /// Logs the beginning and the end of an outage. One that a write met goes on while reads succeed.
    fn tell(&self, access: Access, failed: Option<&Failure>) {
        if access == Access::Write {
            self.cannot_write.store(failed.is_some(), Ordering::Relaxed);
        }
        if failed.is_some_and(|failure| failure.trouble == Trouble::NoTables) {
            self.is_ready.store(false, Ordering::Release);
        }
        match failed {
            Some(failure) => self.outages.failed(failure.trouble, &failure.error),
            None if self.cannot_write.load(Ordering::Relaxed) => {}
            None => self.outages.succeeded(true),
        }
    }
}
