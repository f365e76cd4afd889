//! The channel of Redis on which replicas tell each other of changes.

use std::sync::Arc;

use futures_util::StreamExt as _;
use redis::RedisResult;
use redis::aio::{PubSubSink, PubSubStream};

use super::connection::Server;
use crate::login::store::changes::{Change, Changes, Channel, SILENCE};
use crate::login::store::{PATIENCE, StoreKey};

/// A channel of this server.
pub(super) struct Published {
    pub(super) server: Arc<Server>,
    pub(super) channel: String,
}

impl Channel for Published {
    type Line = (PubSubSink, PubSubStream);
    type Error = String;

    const STORE: &'static str = "Redis";

    async fn open(&self, attempt: usize) -> Result<Self::Line, String> {
        let subscribed = async {
            let (mut sink, stream) = self.server.listening(attempt).await?.split();
            sink.subscribe(&self.channel).await?;
            RedisResult::Ok((sink, stream))
        };
        match tokio::time::timeout(PATIENCE, subscribed).await {
            Ok(subscribed) => subscribed.map_err(|error| error.category().to_owned()),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }

    async fn listen(&self, (mut sink, mut stream): Self::Line, changes: &Changes) {
        loop {
            match tokio::time::timeout(SILENCE, stream.next()).await {
                Ok(Some(message)) => {
                    let key = std::str::from_utf8(message.get_payload_bytes());
                    if let Some(key) = key.ok().and_then(StoreKey::from_text) {
                        changes.heard(Change::Of(key));
                    }
                }
                Ok(None) => return,
                Err(_) => match tokio::time::timeout(PATIENCE, sink.ping::<redis::Value>()).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(_)) | Err(_) => return,
                },
            }
        }
    }
}
