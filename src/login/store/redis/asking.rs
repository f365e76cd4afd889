//! Questions to Redis: how long, how often, and what becomes of what went wrong.

use std::sync::Arc;

use redis::{Cmd, FromRedisValue, RedisError, RedisResult, ScriptInvocation};

use super::RedisStore;
use super::changes::Listener;
use super::connection::{Connected, PATIENCE};
use crate::error::{StoreError, StoreErrorKind};
use crate::login::sessions::id::StoreKey;

/// How often something is asked where the connection breaks: again only what does no harm the second
/// time, since nobody knows whether the first was heard.
pub(super) const ONCE: u8 = 1;
pub(super) const TWICE: u8 = 2;

/// What is asked of the server.
enum Question<'a> {
    Script(&'a ScriptInvocation<'a>),
    Command(&'a Cmd),
}

impl Question<'_> {
    async fn put_to<T: FromRedisValue>(&self, mut connected: Connected) -> RedisResult<T> {
        match self {
            Self::Script(script) => script.invoke_async(&mut connected).await,
            Self::Command(command) => command.query_async(&mut connected).await,
        }
    }
}

impl RedisStore {
    /// Whatever is asked is answered within two seconds, or not at all. Where the connection breaks,
    /// it is asked again as often as `attempts` allow.
    async fn within_patience<T: FromRedisValue>(
        &self,
        attempts: u8,
        question: Question<'_>,
    ) -> Result<T, StoreError> {
        self.listener
            .get_or_init(async || {
                let channel = format!("{}:changes", self.prefix);
                Listener::start(Arc::clone(&self.server), channel, Arc::clone(&self.changes))
            })
            .await;
        let mut used = None;
        let answered = async {
            let mut attempt = 1;
            loop {
                let connected = self.server.connected().await?;
                match question.put_to(used.insert(connected).clone()).await {
                    Err(error) if is_of_the_connection(&error) => {
                        if let Some(used) = used.take() {
                            self.server.give_up(&used);
                        }
                        if attempt >= attempts {
                            return Err(error);
                        }
                    }
                    answer => return answer,
                }
                attempt += 1;
            }
        };
        let answered = tokio::time::timeout(PATIENCE, answered).await;
        answered.map_or_else(
            |_| {
                if let Some(used) = &used {
                    self.server.give_up(used);
                }
                Err(StoreError::new(
                    StoreErrorKind::Unavailable,
                    "the Redis store does not answer in time",
                ))
            },
            |answer| answer.map_err(failed),
        )
    }

    pub(super) async fn run<T: FromRedisValue>(
        &self,
        attempts: u8,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, StoreError> {
        self.within_patience(attempts, Question::Script(script))
            .await
    }

    /// Runs a script that changes a session: whatever became of it, what is known is old.
    pub(super) async fn change<T: FromRedisValue>(
        &self,
        attempts: u8,
        key: StoreKey,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, StoreError> {
        let answer = self.run(attempts, script).await;
        self.changes.forget(key);
        answer
    }

    pub(super) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        self.within_patience(ONCE, Question::Command(command)).await
    }
}

/// Whether another connection may do better: what the server itself refuses stays refused.
fn is_of_the_connection(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_timeout()
        || error.is_unrecoverable_error()
        || matches!(error.code(), Some("READONLY" | "MASTERDOWN" | "LOADING"))
}

fn failed(error: RedisError) -> StoreError {
    if error.code() == Some("TOONEW") {
        return StoreError::new(
            StoreErrorKind::TooNew,
            "a session was written by a newer version of this crate; upgrade this replica",
        );
    }
    let category = error.category();
    StoreError::caused(
        StoreErrorKind::Unavailable,
        format!("the Redis store does not answer ({category})"),
        Box::new(error),
    )
}
