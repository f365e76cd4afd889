//! The settings of a session store in an SQL database.

use crate::env::names::in_environment;
use crate::env::read::Variables;
use crate::error::ConfigError;
use crate::login::LoginBuilder;
#[cfg(feature = "postgres")]
use crate::login::PostgresStore;
#[cfg(feature = "sqlite")]
use crate::login::SqliteStore;
use crate::secret::Secret;
use crate::settings::{DATABASE_LISTEN_URL, DATABASE_TABLE_PREFIX, DATABASE_URL};

#[derive(Debug, Clone)]
pub(super) struct DatabaseSettings {
    kind: Kind,
    url: Secret,
    listen_url: Option<Secret>,
    table_prefix: Option<String>,
}

/// Which database it is.
#[derive(Debug, Clone, Copy)]
enum Kind {
    #[cfg(feature = "postgres")]
    Postgres,
    #[cfg(feature = "sqlite")]
    Sqlite,
}

impl Kind {
    fn of(url: &str) -> Result<Self, ConfigError> {
        let scheme = url.split_once(':').map(|(scheme, _)| scheme);
        match scheme {
            #[cfg(feature = "postgres")]
            Some("postgres" | "postgresql") => Ok(Self::Postgres),
            #[cfg(not(feature = "postgres"))]
            Some("postgres" | "postgresql") => Err(without("postgres")),
            #[cfg(feature = "sqlite")]
            Some("sqlite") => Ok(Self::Sqlite),
            #[cfg(not(feature = "sqlite"))]
            Some("sqlite") => Err(without("sqlite")),
            _ => Err(ConfigError::invalid(
                DATABASE_URL,
                "(redacted)",
                "sessions cannot be stored there",
                "write postgres://user:password@host:5432/database, or sqlite: and the path of a file; where the variable names another database of \
                 the application, choose the store in code with LoginBuilder::with_store",
            )),
        }
    }
}

impl Kind {
    /// Whether replicas tell each other of changes there.
    fn is_listened_to(self) -> bool {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres => true,
            #[cfg(feature = "sqlite")]
            Self::Sqlite => false,
        }
    }
}

#[cfg(not(all(feature = "postgres", feature = "sqlite")))]
fn without(feature: &str) -> ConfigError {
    ConfigError::invalid(
        DATABASE_URL,
        "(redacted)",
        format!("this program was built without the feature {feature}"),
        "build it with the feature, or remove the setting to keep sessions in memory",
    )
}

impl DatabaseSettings {
    /// `None` without `DATABASE_URL`.
    pub(super) fn read(variables: &Variables) -> Result<Option<Self>, ConfigError> {
        let Some(url) = variables.text(DATABASE_URL) else {
            return Ok(None);
        };
        let kind = Kind::of(&url)?;
        let listen_url = variables.text(DATABASE_LISTEN_URL);
        if listen_url.is_some() && !kind.is_listened_to() {
            return Err(ConfigError::invalid(
                DATABASE_LISTEN_URL,
                "(redacted)",
                "sessions are in a file, which has nothing to listen to",
                "remove the setting",
            ));
        }
        Ok(Some(Self {
            kind,
            url: Secret::new(url),
            listen_url: listen_url.map(Secret::new),
            table_prefix: variables.text(DATABASE_TABLE_PREFIX),
        }))
    }

    /// With sessions there. The tables are created or updated at the first use.
    pub(super) fn apply(&self, builder: LoginBuilder) -> Result<LoginBuilder, ConfigError> {
        self.store_for(builder).map_err(in_environment)
    }

    fn store_for(&self, builder: LoginBuilder) -> Result<LoginBuilder, ConfigError> {
        match self.kind {
            #[cfg(feature = "postgres")]
            Kind::Postgres => {
                let mut store = PostgresStore::new(self.url.expose())?.with_automatic_migration();
                if let Some(url) = &self.listen_url {
                    store = store.with_listen_url(url.expose())?;
                }
                if let Some(prefix) = &self.table_prefix {
                    store = store.with_table_prefix(prefix)?;
                }
                Ok(builder.with_store(store))
            }
            #[cfg(feature = "sqlite")]
            Kind::Sqlite => {
                let mut store = SqliteStore::new(self.url.expose())?.with_automatic_migration();
                if let Some(prefix) = &self.table_prefix {
                    store = store.with_table_prefix(prefix)?;
                }
                store.open_now()?;
                Ok(builder.with_store(store))
            }
        }
    }

    #[cfg(feature = "sqlite")]
    pub(super) fn is_a_file(&self) -> bool {
        matches!(self.kind, Kind::Sqlite)
    }

    /// Names and values of the effective settings, secrets redacted.
    pub(super) fn shown(&self) -> Vec<(&'static str, Option<String>)> {
        let redacted = || "(redacted)".to_owned();
        let mut shown = vec![(DATABASE_URL, Some(redacted()))];
        if self.kind.is_listened_to() {
            shown.push((
                DATABASE_LISTEN_URL,
                self.listen_url.as_ref().map(|_| redacted()),
            ));
        }
        shown.push((DATABASE_TABLE_PREFIX, self.table_prefix.clone()));
        shown
    }
}
