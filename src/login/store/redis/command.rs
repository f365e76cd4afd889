//! Redis commands: time limit, retries, errors.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use redis::{Cmd, FromRedisValue, RedisError, RedisResult, ScriptInvocation};

use super::RedisStore;
use super::changes::Listener;
use super::connection::{Connected, PATIENCE};
use crate::error::{StoreError, StoreErrorKind};

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
                let (server, changes) = (Arc::clone(&self.server), Arc::clone(&self.changes));
                Listener::start(server, self.channel(), changes)
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
        self.tell_of_outages(answered.as_ref().err());
        answered
    }

    /// Logs the beginning and the end of an outage.
    fn tell_of_outages(&self, error: Option<&StoreError>) {
        if self.is_away.load(Ordering::Relaxed) == error.is_some() {
            return;
        }
        let was_away = self.is_away.swap(error.is_some(), Ordering::Relaxed);
        match error {
            Some(error) if !was_away => tracing::warn!(
                %error,
                "the session store in Redis does not answer: requests that need it are answered 503 until it \
                 does; if it never did, compare its address (REDIS_URL)"
            ),
            None if was_away => tracing::info!("the session store in Redis answers again"),
            _ => {}
        }
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
