//! How long an answer is waited for, how often a statement is repeated, and what is made of errors.

use std::sync::Arc;

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgRow;
use sqlx::{Error, Postgres};

use super::PostgresStore;
use super::changes::Notified;
use super::deadline::Deadline;
use super::failure::{After, after, failure, late, refuses_parameters, standby};
use super::question::{Question, is_of_standby};
use crate::error::StoreError;
use crate::login::store::PATIENCE;
use crate::login::store::changes::Listener;
use crate::login::store::outage::Trouble;
use crate::login::store::sql::Failure;

/// How often a statement that met another transaction is repeated.
const REPEATS: u8 = 3;

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
        let writes = question.writes;
        let answered = async {
            self.ready(deadline).await?;
            self.listens().await;
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
        // After a failover every connection of the pool may be broken.
        let mut connections = self.pool.size().saturating_add(1);
        let mut repeats = REPEATS;
        loop {
            if deadline.has_passed() {
                return Err(late());
            }
            match self.asked(question.clone(), deadline.clone()).await {
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

    /// Asks in a task of its own: a caller who leaves takes no connection with them that is in the middle of an answer.
    pub(super) async fn asked(
        &self,
        question: Question,
        deadline: Deadline,
    ) -> Result<Vec<PgRow>, Error> {
        let connection = self.acquire().await?;
        if let Some(departure) = &question.departure {
            departure.leave();
        }
        let task = tokio::spawn(question.put_to(connection, deadline, Arc::clone(&self.pooler)));
        task.await.unwrap_or(Err(Error::WorkerCrashed))
    }

    /// A connection. Where a pooler refuses what it is to begin with, the next one begins without.
    async fn acquire(&self) -> Result<PoolConnection<Postgres>, Error> {
        match (self.pool.acquire().await, &self.plain) {
            (Err(error), Some(plain)) if refuses_parameters(&error) => {
                self.pooler.is_there();
                self.pool.set_connect_options(plain.clone());
                self.pool.acquire().await
            }
            (acquired, _) => acquired,
        }
    }

    /// Begins to listen, once it is known how the database is reached.
    async fn listens(&self) {
        let begin = async || {
            let notified = Notified {
                pool: self.pool.clone(),
                address: self.listened_to.clone(),
                channel: self.channel(),
                statements: Arc::clone(&self.statements),
                pooler: Arc::clone(&self.pooler),
                clock: self.clock.clone(),
            };
            Listener::start(notified, Arc::clone(&self.changes))
        };
        self.listener.get_or_init(begin).await;
    }
}
