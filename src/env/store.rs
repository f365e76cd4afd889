//! Where sessions are stored.

use std::time::Duration;

#[cfg(any(feature = "postgres", feature = "sqlite"))]
use crate::env::database::DatabaseSettings;
use crate::env::read::Variables;
#[cfg(feature = "redis")]
use crate::env::redis::RedisSettings;
use crate::error::ConfigError;
use crate::login::LoginBuilder;
use crate::settings::{DATABASE_URL, OPENID_NEAR_CACHE_AGE, REDIS_URL};

#[derive(Debug, Clone)]
pub(super) struct StoreSettings {
    #[cfg(feature = "redis")]
    pub(super) redis: Option<RedisSettings>,
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    database: Option<DatabaseSettings>,
    /// Zero turns the near cache off.
    near_cache_age: Option<Duration>,
}

impl StoreSettings {
    pub(super) fn read(variables: &Variables) -> Result<Self, ConfigError> {
        let has = |name| variables.text(name).is_some();
        #[cfg(not(feature = "redis"))]
        if has(REDIS_URL) {
            return Err(ConfigError::invalid(
                REDIS_URL,
                "(redacted)",
                "this program was built without the feature redis",
                "build it with the feature, or remove the setting to keep sessions in memory",
            ));
        }
        if cfg!(not(any(feature = "postgres", feature = "sqlite"))) {
            if has(DATABASE_URL) {
                // The name is often that of the application's own database.
                tracing::warn!(
                    "DATABASE_URL is not used for sessions: this program was built without the features postgres \
                     and sqlite"
                );
            }
        } else if has(DATABASE_URL) && has(REDIS_URL) {
            return Err(ConfigError::Contradiction {
                setting: DATABASE_URL.into(),
                other: REDIS_URL.into(),
                remedy: "sessions are stored in one of them: remove the other from this program's environment, or \
                         choose the store in code with LoginBuilder::with_store"
                    .into(),
            });
        }
        Ok(Self {
            #[cfg(feature = "redis")]
            redis: RedisSettings::read(variables)?,
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            database: DatabaseSettings::read(variables)?,
            near_cache_age: variables.duration(OPENID_NEAR_CACHE_AGE)?,
        })
    }

    #[cfg_attr(
        not(any(feature = "redis", feature = "postgres", feature = "sqlite")),
        expect(clippy::unnecessary_wraps, reason = "addresses of stores can be wrong")
    )]
    pub(super) fn apply(&self, builder: LoginBuilder) -> Result<LoginBuilder, ConfigError> {
        let mut builder = builder;
        #[cfg(feature = "redis")]
        if let Some(redis) = &self.redis {
            builder = builder.with_store(redis.store()?);
        }
        #[cfg(any(feature = "postgres", feature = "sqlite"))]
        if let Some(database) = &self.database {
            builder = database.apply(builder)?;
        }
        if let Some(age) = self.near_cache_age {
            builder = builder.with_near_cache_age(age);
        }
        Ok(builder)
    }

    /// Whether replicas on other machines have no part in it.
    #[cfg(feature = "sqlite")]
    pub(super) fn is_of_one_machine(&self) -> bool {
        let database = self.database.as_ref();
        database.is_some_and(DatabaseSettings::is_a_file)
    }

    /// Names and values of the effective settings, secrets redacted.
    pub(super) fn shown(&self) -> Vec<(&'static str, Option<String>)> {
        let mut shown = Vec::new();
        #[cfg(feature = "redis")]
        match &self.redis {
            Some(redis) => shown.extend(redis.shown()),
            None => shown.push((REDIS_URL, None)),
        }
        #[cfg(any(feature = "postgres", feature = "sqlite"))]
        match &self.database {
            Some(database) => shown.extend(database.shown()),
            None => shown.push((DATABASE_URL, None)),
        }
        let age = self.near_cache_age.map(|age| match age {
            Duration::ZERO => "off".to_owned(),
            age => humantime::format_duration(age).to_string(),
        });
        shown.push((OPENID_NEAR_CACHE_AGE, age));
        shown
    }
}
