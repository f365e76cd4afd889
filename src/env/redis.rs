//! The settings of the Redis session store.

use crate::env::names::in_environment;
use crate::env::read::Variables;
use crate::error::ConfigError;
use crate::login::RedisStore;
use crate::secret::Secret;
use crate::settings::{REDIS_KEY_PREFIX, REDIS_SENTINELS, REDIS_URL};

#[derive(Debug, Clone)]
pub(super) struct RedisSettings {
    /// One server, or several nodes of a cluster.
    urls: Vec<Secret>,
    sentinels: Vec<Secret>,
    prefix: Option<String>,
}

impl RedisSettings {
    /// `None` without `REDIS_URL`.
    pub(super) fn read(variables: &Variables) -> Result<Option<Self>, ConfigError> {
        let secrets = |name| -> Vec<Secret> {
            let items = variables.list(name).unwrap_or_default();
            items.into_iter().map(Secret::new).collect()
        };
        let settings = Self {
            urls: secrets(REDIS_URL),
            sentinels: secrets(REDIS_SENTINELS),
            prefix: variables.text(REDIS_KEY_PREFIX),
        };
        match (settings.urls.len(), settings.sentinels.is_empty()) {
            (0, true) => Ok(None),
            (0, false) => Err(ConfigError::missing(
                REDIS_URL,
                "set it to the master that the sentinels watch, such as redis://mymaster/0",
            )),
            (2.., false) => Err(ConfigError::Contradiction {
                setting: REDIS_SENTINELS.into(),
                other: REDIS_URL.into(),
                remedy: "a cluster has no sentinels: name one server, or remove the sentinels"
                    .into(),
            }),
            _ => Ok(Some(settings)),
        }
    }

    pub(super) fn store(&self) -> Result<RedisStore, ConfigError> {
        self.build().map_err(in_environment)
    }

    fn build(&self) -> Result<RedisStore, ConfigError> {
        let urls: Vec<_> = self.urls.iter().map(Secret::expose).collect();
        let mut store = match urls[..] {
            [url] if self.sentinels.is_empty() => RedisStore::new(url),
            [url] => RedisStore::sentinel(self.sentinels.iter().map(Secret::expose), url),
            _ => RedisStore::cluster(urls),
        }?;
        if let Some(prefix) = &self.prefix {
            store = store.with_prefix(prefix)?;
        }
        Ok(store)
    }

    /// Names and values of the effective settings, secrets redacted.
    pub(super) fn shown(&self) -> [(&'static str, Option<String>); 3] {
        let redacted = |secrets: &[Secret]| match secrets.len() {
            0 => None,
            1 => Some("(redacted)".to_owned()),
            many => Some(format!("(redacted, {many})")),
        };
        [
            (REDIS_URL, redacted(&self.urls)),
            (REDIS_SENTINELS, redacted(&self.sentinels)),
            (REDIS_KEY_PREFIX, self.prefix.clone()),
        ]
    }
}
