//! Redis commands: time limit, retries, errors.

use std::sync::Arc;

use redis::{Cmd, FromRedisValue, RedisError, RedisResult, ScriptInvocation};

use super::RedisStore;
use super::changes::Published;
use super::connection::Connected;
use crate::error::{StoreError, StoreErrorKind};
use crate::login::store::PATIENCE;
use crate::login::store::changes::Listener;
use crate::login::store::outage::Trouble;

/// Attempts when the connection breaks: the first may have been executed, and every command here can be repeated.
const ATTEMPTS: u8 = 2;

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
    /// Every command is answered within two seconds, or fails.
    async fn within_patience<T: FromRedisValue>(
        &self,
        question: Question<'_>,
    ) -> Result<T, StoreError> {
        self.listener
            .get_or_init(async || {
                let published = Published {
                    server: Arc::clone(&self.server),
                    channel: self.channel(),
                };
                Listener::start(published, Arc::clone(&self.changes))
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
                        if attempt >= ATTEMPTS {
                            return Err(error);
                        }
                    }
                    answer => return answer,
                }
                attempt += 1;
            }
        };
        let answered = tokio::time::timeout(PATIENCE, answered).await;
        let answered = answered.map_or_else(
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
        );
        match &answered {
            Ok(_) => self.outages.succeeded(true),
            Err(error) => self.outages.failed(Trouble::Away, error),
        }
        answered
    }

    pub(super) async fn run<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, StoreError> {
        self.within_patience(Question::Script(script)).await
    }

    pub(super) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        self.within_patience(Question::Command(command)).await
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
    let category = error.category();
    StoreError::caused(
        StoreErrorKind::Unavailable,
        format!("the Redis store does not answer ({category})"),
        Box::new(error),
    )
}
