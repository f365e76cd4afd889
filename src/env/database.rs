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
use crate::settings::{DATABASE_TABLE_PREFIX, DATABASE_URL};

#[derive(Debug, Clone)]
pub(super) struct DatabaseSettings {
    kind: Kind,
    url: Secret,
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
        Ok(Some(Self {
            kind: Kind::of(&url)?,
            url: Secret::new(url),
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
    pub(super) fn shown(&self) -> [(&'static str, Option<String>); 2] {
        [
            (DATABASE_URL, Some("(redacted)".to_owned())),
            (DATABASE_TABLE_PREFIX, self.table_prefix.clone()),
        ]
    }
}
