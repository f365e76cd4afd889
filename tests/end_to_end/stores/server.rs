//! A server that sessions are stored in, of any kind.

use std::path::PathBuf;
use std::sync::Arc;

use redis::Commands;
use tower_oidc::login::{
    PostgresStore, Record, RedisStore, RefreshState, SessionStore, SqliteStore,
};

use super::proxy::Proxy;
use crate::durable::Folder;
use crate::postgres::server::Postgres;
use crate::redis::server::Redis;
use crate::web::free_port;

/// Which kind of server.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Redis,
    Postgres,
    /// A file: no server, and no line to it.
    Sqlite,
}

/// One that runs.
pub(crate) enum Server {
    Redis(Redis),
    Postgres(Postgres),
    Sqlite(Folder),
}

impl Kind {
    pub(crate) fn start(self) -> Server {
        match self {
            Self::Redis => Server::Redis(Redis::start(&[])),
            Self::Postgres => Server::Postgres(Postgres::start(&[])),
            Self::Sqlite => Server::Sqlite(Folder::new()),
        }
    }

    /// The variable with the address.
    pub(crate) fn variable(self) -> &'static str {
        match self {
            Self::Redis => "REDIS_URL",
            Self::Postgres | Self::Sqlite => "DATABASE_URL",
        }
    }

    /// A store at this address, whose tables are made.
    pub(crate) fn store(self, url: &str) -> Arc<dyn SessionStore> {
        match self {
            Self::Redis => Arc::new(RedisStore::new(url).unwrap()),
            Self::Postgres => {
                let store = PostgresStore::new(url).unwrap();
                Arc::new(store.with_automatic_migration())
            }
            Self::Sqlite => {
                let store = SqliteStore::new(url).unwrap();
                Arc::new(store.with_automatic_migration())
            }
        }
    }

    fn url(self, port: u16) -> String {
        match self {
            Self::Redis => format!("redis://127.0.0.1:{port}"),
            Self::Postgres => Postgres::url_at(port),
            Self::Sqlite => panic!("a file has no port"),
        }
    }
}

impl Server {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Redis(_) => Kind::Redis,
            Self::Postgres(_) => Kind::Postgres,
            Self::Sqlite(_) => Kind::Sqlite,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        match self {
            Self::Redis(redis) => redis.port,
            Self::Postgres(postgres) => postgres.port,
            Self::Sqlite(_) => panic!("a file has no port"),
        }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Sqlite(folder) => format!("sqlite:{}", folder.path("sessions.db")),
            _ => self.kind().url(self.port()),
        }
    }

    /// Its address for those behind this line.
    pub(crate) fn url_behind(&self, line: &Proxy) -> String {
        self.kind().url(line.port)
    }

    pub(crate) fn store(&self) -> Arc<dyn SessionStore> {
        self.kind().store(&self.url())
    }

    /// The sessions that are stored.
    async fn records(&self) -> Vec<Record> {
        let records = match self {
            Self::Redis(redis) => {
                let mut connection = redis.connection();
                let names: Vec<String> = connection.keys("tower-oidc:session:*").unwrap();
                let bytes = names.iter().map(|name| {
                    let bytes: Option<Vec<u8>> = connection.hget(name, "d").unwrap();
                    bytes.unwrap_or_default()
                });
                bytes.collect()
            }
            Self::Postgres(postgres) => {
                postgres
                    .column::<Vec<u8>>("SELECT bytes FROM tower_oidc_sessions")
                    .await
            }
            Self::Sqlite(_) => panic!("no test asks for it"),
        };
        let records = records.into_iter();
        records
            .filter_map(|bytes| Record::decode(&bytes.into()))
            .collect()
    }

    /// How many sessions are leased.
    pub(crate) async fn leases(&self) -> usize {
        let records = self.records().await;
        let is_leased = |record: &&Record| matches!(record.state, RefreshState::Leased { .. });
        records.iter().filter(is_leased).count()
    }

    /// Every byte that is kept.
    pub(crate) fn dump(&self) -> Vec<u8> {
        match self {
            Self::Redis(redis) => redis.dump(),
            Self::Postgres(postgres) => postgres.dump(),
            Self::Sqlite(_) => panic!("no test asks for it"),
        }
    }

    /// How often it was asked about sessions.
    pub(crate) async fn questions(&self) -> u64 {
        match self {
            Self::Redis(redis) => redis.scripts_run(),
            Self::Postgres(postgres) => postgres.statements_run().await,
            Self::Sqlite(_) => panic!("a file counts no questions"),
        }
    }

    pub(crate) fn signal(&self, signal: &str) {
        match self {
            Self::Redis(redis) => redis.signal(signal),
            Self::Postgres(postgres) => postgres.signal(signal),
            Self::Sqlite(_) => panic!("a file takes no signals"),
        }
    }
}

/// A certificate for localhost, and who signed it.
pub(crate) fn certificates() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("tower-oidc-tls-{}", free_port()));
    std::fs::create_dir_all(&folder).unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    folder
}
