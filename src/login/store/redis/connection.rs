//! Ways to reach Redis: one server, the server that sentinels name, a cluster.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use redis::aio::{
    ConnectionLike, ConnectionManager, ConnectionManagerConfig, MultiplexedConnection, PubSub,
};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, IntoConnectionInfo, Pipeline, RedisFuture,
    RedisResult, TlsMode, Value,
};
use tokio::sync::{Mutex, OnceCell};

/// How long an answer may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

pub(super) enum Server {
    Single(Box<Client>, ConnectionManager),
    Sentinel(Box<Sentinel>),
    Cluster(Box<Cluster>),
}

/// A server that may be another one after a failover.
pub(super) struct Sentinel {
    sentinels: Mutex<SentinelClient>,
    current: ArcSwapOption<MultiplexedConnection>,
}

pub(super) struct Cluster {
    nodes: Vec<Client>,
    client: ClusterClient,
    connection: OnceCell<ClusterConnection>,
}

/// A connection at hand, whatever it leads to.
pub(super) enum Connected {
    Single(ConnectionManager),
    Sentinel(Arc<MultiplexedConnection>),
    Cluster(ClusterConnection),
}

impl Server {
    pub(super) fn single(url: &str) -> RedisResult<Self> {
        let configuration = ConnectionManagerConfig::new()
            .set_response_timeout(Some(PATIENCE))
            .set_connection_timeout(Some(PATIENCE))
            .set_max_delay(Duration::from_secs(1));
        let client = Client::open(url)?;
        let manager = ConnectionManager::new_lazy_with_config(client.clone(), configuration)?;
        Ok(Self::Single(Box::new(client), manager))
    }

    /// The host of `server` is the name by which the sentinels know it.
    pub(super) fn sentinel(sentinels: Vec<&str>, server: &str) -> RedisResult<Self> {
        let server = server.into_connection_info()?;
        let (name, tls) = match server.addr() {
            ConnectionAddr::Tcp(name, _) => (name.clone(), None),
            ConnectionAddr::TcpTls { host, insecure, .. } => {
                let mode = if *insecure {
                    TlsMode::Insecure
                } else {
                    TlsMode::Secure
                };
                (host.clone(), Some(mode))
            }
            _ => {
                return Err((
                    redis::ErrorKind::InvalidClientConfig,
                    "sentinels know servers by name",
                )
                    .into());
            }
        };
        let mut node = SentinelNodeConnectionInfo::default()
            .set_redis_connection_info(server.redis_settings().clone());
        if let Some(mode) = tls {
            node = node.set_tls_mode(mode);
        }
        let client =
            SentinelClient::build(sentinels, name, Some(node), SentinelServerType::Master)?;
        Ok(Self::Sentinel(Box::new(Sentinel {
            sentinels: Mutex::new(client),
            current: ArcSwapOption::empty(),
        })))
    }

    pub(super) fn cluster(urls: &[&str]) -> RedisResult<Self> {
        let client = ClusterClient::builder(urls.iter().copied())
            .connection_timeout(PATIENCE)
            .response_timeout(PATIENCE)
            .build()?;
        let nodes = urls.iter().map(|url| Client::open(*url));
        Ok(Self::Cluster(Box::new(Cluster {
            nodes: nodes.collect::<Result<_, _>>()?,
            client,
            connection: OnceCell::new(),
        })))
    }

    pub(super) async fn connected(&self) -> RedisResult<Connected> {
        match self {
            Self::Single(_, manager) => Ok(Connected::Single(manager.clone())),
            Self::Sentinel(sentinel) => sentinel.connected().await.map(Connected::Sentinel),
            Self::Cluster(cluster) => {
                let connection = cluster
                    .connection
                    .get_or_try_init(|| cluster.client.get_async_connection());
                Ok(Connected::Cluster(connection.await?.clone()))
            }
        }
    }

    /// A connection of its own, to listen on. In a cluster every node tells what any is told; each
    /// attempt asks another.
    pub(super) async fn listening(&self, attempt: usize) -> RedisResult<PubSub> {
        match self {
            Self::Single(client, _) => client.get_async_pubsub().await,
            Self::Sentinel(sentinel) => {
                let client = sentinel.sentinels.lock().await.async_get_client().await?;
                client.get_async_pubsub().await
            }
            Self::Cluster(cluster) => {
                let node = attempt.checked_rem(cluster.nodes.len());
                let node = node.and_then(|at| cluster.nodes.get(at));
                let Some(client) = node else {
                    return Err((redis::ErrorKind::InvalidClientConfig, "no nodes").into());
                };
                client.get_async_pubsub().await
            }
        }
    }

    /// Tells that a connection is of no more use. The other kinds see to that themselves.
    pub(super) fn drop_connection(&self, used: Option<&Arc<MultiplexedConnection>>) {
        if let (Self::Sentinel(sentinel), Some(used)) = (self, used) {
            sentinel
                .current
                .compare_and_swap(used, None::<Arc<MultiplexedConnection>>);
        }
    }
}

impl Sentinel {
    async fn connected(&self) -> RedisResult<Arc<MultiplexedConnection>> {
        if let Some(connection) = self.current.load_full() {
            return Ok(connection);
        }
        let mut sentinels = self.sentinels.lock().await;
        // Whoever held the lock may have connected meanwhile.
        if let Some(connection) = self.current.load_full() {
            return Ok(connection);
        }
        let configuration = AsyncConnectionConfig::new()
            .set_response_timeout(Some(PATIENCE))
            .set_connection_timeout(Some(PATIENCE));
        let connection = sentinels
            .get_async_connection_with_config(&configuration)
            .await?;
        let connection = Arc::new(connection);
        self.current.store(Some(Arc::clone(&connection)));
        Ok(connection)
    }
}

impl Connected {
    /// What [`Server::drop_connection`] needs to know it by.
    pub(super) fn of_sentinel(&self) -> Option<Arc<MultiplexedConnection>> {
        match self {
            Self::Sentinel(connection) => Some(Arc::clone(connection)),
            Self::Single(_) | Self::Cluster(_) => None,
        }
    }
}

impl ConnectionLike for Connected {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Single(manager) => manager.req_packed_command(command),
            Self::Sentinel(shared) => {
                let mut connection = MultiplexedConnection::clone(shared);
                Box::pin(async move { connection.req_packed_command(command).await })
            }
            Self::Cluster(cluster) => cluster.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Single(manager) => manager.req_packed_commands(pipeline, offset, count),
            Self::Sentinel(shared) => {
                let mut connection = MultiplexedConnection::clone(shared);
                Box::pin(async move {
                    connection
                        .req_packed_commands(pipeline, offset, count)
                        .await
                })
            }
            Self::Cluster(cluster) => cluster.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Single(manager) => manager.get_db(),
            Self::Sentinel(connection) => connection.get_db(),
            Self::Cluster(cluster) => cluster.get_db(),
        }
    }
}
