//! The channel of PostgreSQL on which replicas tell each other of changes.
//!
//! A pooler in transaction mode lends the connection that listens to other clients. They get the notifications in the
//! middle of their answers, which sqlx takes for a broken connection. So nothing is listened to through a pooler that no
//! operator chose for it, and not before a channel of this attempt alone was heard.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{Error, Executor as _, PgPool};

use super::deadline::Deadline;
use super::failure::failure;
use super::pooler::Pooler;
use super::question::Question;
use super::statements::Statements;
use crate::clock::SharedClock;
use crate::error::Chain;
use crate::login::store::changes::{Change, Changes, Channel, SILENCE};
use crate::login::store::{PATIENCE, StoreKey, Tag};
use crate::settings::{DATABASE_LISTEN_URL, DATABASE_URL};

/// A channel of this database, listened to on a connection of its own.
pub(super) struct Notified {
    /// Whose connections tell of changes.
    pub(super) pool: PgPool,
    /// Where it is listened, if that is another address.
    pub(super) address: Option<PgConnectOptions>,
    pub(super) channel: String,
    pub(super) statements: Arc<Statements>,
    pub(super) pooler: Arc<Pooler>,
    pub(super) clock: SharedClock,
}

/// Why nothing is heard.
pub(super) enum Unheard {
    /// There is no connection for now.
    Failed(String),
    /// A pooler is in between, and no address for listening is known.
    Pooled,
    /// What was told at one address did not come at the other.
    Deaf,
}

impl fmt::Display for Unheard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(cause) => formatter.write_str(cause),
            Self::Pooled => write!(
                formatter,
                "a pooler is in front of PostgreSQL, and in transaction mode it passes no notifications on: set \
                 {DATABASE_LISTEN_URL} (PostgresStore::with_listen_url) to the address of the server itself, or to that \
                 of the pooler if its mode is session"
            ),
            Self::Deaf => write!(
                formatter,
                "what is told through {DATABASE_URL} is not heard at {DATABASE_LISTEN_URL}: it must lead to the same \
                 database, and through no pooler in transaction mode"
            ),
        }
    }
}

impl Channel for Notified {
    type Line = PgListener;
    type Error = Unheard;

    const STORE: &'static str = "PostgreSQL";

    fn lasts(error: &Unheard) -> bool {
        matches!(error, Unheard::Pooled | Unheard::Deaf)
    }

    async fn open(&self, _: usize) -> Result<PgListener, Unheard> {
        let options = match &self.address {
            Some(address) => address.clone(),
            None if self.pooler.may_prepare() => {
                PgConnectOptions::clone(&self.pool.connect_options())
            }
            None => return Err(Unheard::Pooled),
        };
        let mut listener = in_time(async {
            let pool = PgPoolOptions::new()
                .max_connections(1)
                .acquire_timeout(PATIENCE)
                .idle_timeout(None)
                .max_lifetime(None)
                .connect_lazy_with(options);
            let mut listener = PgListener::connect_with(&pool).await?;
            // This connection alone: after it, some changes may have been missed.
            listener.eager_reconnect(false);
            Ok(listener)
        })
        .await?;
        if self.address.is_some() {
            self.hears(&mut listener).await?;
        }
        in_time(listener.listen(&self.channel)).await?;
        Ok(listener)
    }

    async fn listen(&self, mut listener: PgListener, changes: &Changes) {
        loop {
            match tokio::time::timeout(SILENCE, listener.try_recv()).await {
                Ok(Ok(Some(message))) => {
                    if let Some(key) = StoreKey::from_text(message.payload()) {
                        changes.heard(Change::Of(key));
                    }
                }
                Ok(Ok(None) | Err(_)) => return,
                Err(_) => {
                    match tokio::time::timeout(PATIENCE, listener.execute("SELECT 1")).await {
                        Ok(Ok(_)) => {}
                        Ok(Err(_)) | Err(_) => return,
                    }
                }
            }
        }
    }
}

impl Notified {
    /// Fails unless what is told on a connection of the pool comes to this one, as far as that can be found out.
    async fn hears(&self, listener: &mut PgListener) -> Result<(), Unheard> {
        let Ok(number) = Tag::random() else {
            return Ok(());
        };
        let number = u128::from_be_bytes(*number.as_bytes());
        // No other client tells of anything there, wherever this connection goes.
        let channel = format!("listening_{number:032x}");
        in_time(listener.listen(&channel)).await?;
        let is_heard = match self.tell(channel.clone()).await {
            // It came on the connection where it was told: the two are one.
            Err(Error::Protocol(_)) => false,
            // A database that cannot be written to tells of no changes.
            Err(_) => true,
            Ok(()) => tokio::time::timeout(PATIENCE, listener.try_recv())
                .await
                .is_ok(),
        };
        in_time(listener.unlisten(&channel)).await?;
        if is_heard { Ok(()) } else { Err(Unheard::Deaf) }
    }

    async fn tell(&self, channel: String) -> Result<(), Error> {
        let connection = self.pool.acquire().await?;
        let question = Question::new(&self.statements.notify)
            .with(channel)
            .with(String::new());
        let deadline = Deadline::after(&self.clock, PATIENCE);
        question
            .put_to(connection, deadline, Arc::clone(&self.pooler))
            .await?;
        Ok(())
    }
}

async fn in_time<T>(action: impl Future<Output = Result<T, Error>>) -> Result<T, Unheard> {
    match tokio::time::timeout(PATIENCE, action).await {
        Ok(done) => {
            done.map_err(|error| Unheard::Failed(Chain(&failure(&error).error).to_string()))
        }
        Err(_) => Err(Unheard::Failed("no answer in time".to_owned())),
    }
}
