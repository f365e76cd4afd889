//! Statements: time limit, retries, errors.

use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Arguments as _, Encode, Error, PgPool, Postgres, Row as _, SqlStr, Type};

use super::PostgresStore;
use super::changes::Notified;
use super::deadline::Deadline;
use super::failure::{After, after, failure, late, standby};
use super::loads::Departure;
use crate::error::{StoreError, StoreErrorKind};
use crate::login::store::PATIENCE;
use crate::login::store::changes::Listener;
use crate::login::store::outage::Trouble;
use crate::login::store::sql::Failure;

/// How often a statement that met another transaction is repeated.
const REPEATS: u8 = 3;

/// How long a connection may take to show that it can be used again.
const RETURN: Duration = Duration::from_secs(1);

/// A statement and its values.
#[derive(Clone)]
pub(super) struct Question {
    statement: SqlStr,
    values: PgArguments,
    is_whole: bool,
    writes: bool,
    /// Left when the statement begins.
    departure: Option<Arc<Departure>>,
}

impl Question {
    /// A statement that changes nothing.
    pub(super) fn reading(statement: &SqlStr) -> Self {
        Self {
            writes: false,
            ..Self::new(statement)
        }
    }

    pub(super) fn new(statement: &SqlStr) -> Self {
        Self {
            statement: statement.clone(),
            values: PgArguments::default(),
            is_whole: true,
            writes: true,
            departure: None,
        }
    }

    pub(super) fn with<'q>(mut self, value: impl Encode<'q, Postgres> + Type<Postgres>) -> Self {
        self.is_whole &= self.values.add(value).is_ok();
        self
    }

    pub(super) fn with_departure(mut self, departure: Departure) -> Self {
        self.departure = Some(Arc::new(departure));
        self
    }

    /// Asks once. Every question here can be repeated: where its answer was lost, its tag tells.
    pub(super) async fn put_to(
        self,
        mut connection: PoolConnection<Postgres>,
        deadline: Deadline,
    ) -> Result<Vec<PgRow>, Error> {
        let question = sqlx::query_with(self.statement, self.values);
        let answered = deadline.bound(question.fetch_all(&mut *connection)).await;
        let Ok(answered) = answered else {
            // What it would say next belongs to this statement.
            drop(connection.detach());
            return Err(Error::Io(std::io::ErrorKind::TimedOut.into()));
        };
        let is_standby = answered.as_ref().is_ok_and(|rows| is_of_standby(rows));
        let is_broken = answered
            .as_ref()
            .is_err_and(|error| after(error) == After::Reconnect);
        if is_broken || is_standby {
            drop(connection.detach());
        } else {
            tokio::spawn(given_back(connection));
        }
        answered
    }
}

/// Whether the answer says that it comes from a server that follows another one.
fn is_of_standby(rows: &[PgRow]) -> bool {
    let first = rows.first();
    first.is_some_and(|row| row.try_get("is_standby").unwrap_or(false))
}

/// sqlx asks a connection that is given back for a sign of life, and would wait for ever for it.
async fn given_back(mut connection: PoolConnection<Postgres>) {
    let _ = tokio::time::timeout(RETURN, connection.return_to_pool()).await;
}

impl PostgresStore {
    /// Every question is answered within two seconds, or fails.
    pub(super) async fn ask(&self, question: Question) -> Result<Vec<PgRow>, StoreError> {
        let deadline = Deadline::after(&self.clock, PATIENCE);
        self.ask_until(&deadline, question).await
    }

    pub(super) async fn ask_until(
        &self,
        deadline: &Deadline,
        question: Question,
    ) -> Result<Vec<PgRow>, StoreError> {
        self.listener
            .get_or_init(async || {
                let notified = Notified {
                    options: self.pool.connect_options(),
                    channel: self.channel(),
                };
                Listener::start(notified, Arc::clone(&self.changes))
            })
            .await;
        let writes = question.writes;
        let answered = async {
            self.ready(deadline).await?;
            self.answered(question, deadline).await
        };
        let answered = deadline.bound(answered).await;
        let answered = answered.unwrap_or_else(|_| {
            self.doubt.begin();
            Err(late())
        });
        match &answered {
            Ok(_) => self.outages.succeeded(writes),
            Err(failure) => {
                if failure.trouble == Trouble::NoTables {
                    self.has_lost_tables();
                }
                self.outages.failed(failure.trouble, &failure.error);
            }
        }
        answered.map_err(|failure| failure.error)
    }

    /// The rows of the answer, by the server that takes writes.
    pub(super) async fn answered(
        &self,
        question: Question,
        deadline: &Deadline,
    ) -> Result<Vec<PgRow>, Failure> {
        if !question.is_whole {
            return Err(Failure {
                trouble: Trouble::Full,
                error: StoreError::new(
                    StoreErrorKind::Unavailable,
                    "a record is larger than PostgreSQL takes",
                ),
            });
        }
        // After a failover every connection of the pool may be broken.
        let mut connections = self.pool.size().saturating_add(1);
        let mut repeats = REPEATS;
        loop {
            if deadline.has_passed() {
                return Err(late());
            }
            match asked(&self.pool, question.clone(), deadline.clone()).await {
                Ok(rows) if is_of_standby(&rows) => {
                    let Some(left) = connections.checked_sub(1) else {
                        return Err(standby());
                    };
                    connections = left;
                }
                Ok(rows) => return Ok(rows),
                Err(error) => {
                    let left = match after(&error) {
                        After::Reconnect => &mut connections,
                        After::Repeat => {
                            repeats = repeats.saturating_sub(1);
                            if repeats == 0 {
                                return Err(failure(&error));
                            }
                            continue;
                        }
                        After::GiveUp => return Err(failure(&error)),
                    };
                    let Some(fewer) = left.checked_sub(1) else {
                        return Err(failure(&error));
                    };
                    *left = fewer;
                }
            }
        }
    }
}

/// Asks in a task of its own: a caller who leaves takes no connection with them that is in the middle of an answer.
async fn asked(pool: &PgPool, question: Question, deadline: Deadline) -> Result<Vec<PgRow>, Error> {
    let connection = pool.acquire().await?;
    if let Some(departure) = &question.departure {
        departure.leave();
    }
    let task = tokio::spawn(question.put_to(connection, deadline));
    task.await.unwrap_or(Err(Error::WorkerCrashed))
}
