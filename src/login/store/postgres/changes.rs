//! The channel of PostgreSQL on which replicas tell each other of changes.

use std::sync::Arc;

use sqlx::Executor as _;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};

use super::failure::failure;
use crate::error::Chain;
use crate::login::store::changes::{Change, Changes, Channel, SILENCE};
use crate::login::store::{PATIENCE, StoreKey};

/// A channel of this database, listened to on a connection of its own.
pub(super) struct Notified {
    pub(super) options: Arc<PgConnectOptions>,
    pub(super) channel: String,
}

impl Channel for Notified {
    type Line = PgListener;
    type Error = String;

    const STORE: &'static str = "PostgreSQL";

    async fn open(&self, _: usize) -> Result<PgListener, String> {
        let listening = async {
            let pool = PgPoolOptions::new()
                .max_connections(1)
                .acquire_timeout(PATIENCE)
                .idle_timeout(None)
                .max_lifetime(None)
                .connect_lazy_with(PgConnectOptions::clone(&self.options));
            let mut listener = PgListener::connect_with(&pool).await?;
            // This connection alone: after it, some changes may have been missed.
            listener.eager_reconnect(false);
            listener.listen(&self.channel).await?;
            Ok(listener)
        };
        match tokio::time::timeout(PATIENCE, listening).await {
            Ok(listening) => listening.map_err(|error| Chain(&failure(&error).error).to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        }
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
