//! Ways to reach Redis: one server, the server that sentinels name, a cluster.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use redis::aio::{ConnectionLike, MultiplexedConnection, PubSub};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, IntoConnectionInfo, Pipeline, RedisFuture,
    RedisResult, TlsMode, Value,
};
use tokio::sync::{Mutex, OnceCell};

use crate::login::store::PATIENCE;

pub(super) enum Server {
    Node(Box<Node>),
    Cluster(Box<Cluster>),
}

/// One server, which may be another one after a failover. Its connection is shared by all who ask,
/// and given up once it breaks or falls silent: a connection into a black hole never ends by itself.
pub(super) struct Node {
    source: Mutex<Source>,
    current: ArcSwapOption<MultiplexedConnection>,
    pub(super) has_sentinels: bool,
}

enum Source {
    Address(Client),
    Sentinels(SentinelClient),
}

/// Looks after its connections by itself.
pub(super) struct Cluster {
    nodes: Vec<Client>,
    client: ClusterClient,
    connection: OnceCell<ClusterConnection>,
}

/// A connection at hand, whatever it leads to.
#[derive(Clone)]
pub(super) enum Connected {
    Node(Arc<MultiplexedConnection>),
    Cluster(ClusterConnection),
}

impl Server {
    pub(super) fn single(url: &str) -> RedisResult<Self> {
        Ok(Self::node(Source::Address(Client::open(url)?)))
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
        Ok(Self::node(Source::Sentinels(client)))
    }

    fn node(source: Source) -> Self {
        Self::Node(Box::new(Node {
            has_sentinels: matches!(source, Source::Sentinels(_)),
            source: Mutex::new(source),
            current: ArcSwapOption::empty(),
        }))
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
            Self::Node(node) => node.connected().await.map(Connected::Node),
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
            Self::Node(node) => {
                let client = node.source.lock().await.client().await?;
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

    /// Tells that a connection is of no more use.
    pub(super) fn give_up(&self, used: &Connected) {
        if let (Self::Node(node), Connected::Node(used)) = (self, used) {
            node.current
                .compare_and_swap(used, None::<Arc<MultiplexedConnection>>);
        }
    }
}

impl Node {
    async fn connected(&self) -> RedisResult<Arc<MultiplexedConnection>> {
        if let Some(connection) = self.current.load_full() {
            return Ok(connection);
        }
        let mut source = self.source.lock().await;
        // The former holder of the lock may have connected.
        if let Some(connection) = self.current.load_full() {
            return Ok(connection);
        }
        let configuration = AsyncConnectionConfig::new()
            .set_response_timeout(Some(PATIENCE))
            .set_connection_timeout(Some(PATIENCE));
        let client = source.client().await?;
        let connection = client
            .get_multiplexed_async_connection_with_config(&configuration)
            .await?;
        let connection = Arc::new(connection);
        self.current.store(Some(Arc::clone(&connection)));
        Ok(connection)
    }
}

impl Source {
    async fn client(&mut self) -> RedisResult<Client> {
        match self {
            Self::Address(client) => Ok(client.clone()),
            Self::Sentinels(sentinels) => sentinels.async_get_client().await,
        }
    }
}

impl ConnectionLike for Connected {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Node(shared) => {
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
            Self::Node(shared) => {
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
            Self::Node(connection) => connection.get_db(),
            Self::Cluster(cluster) => cluster.get_db(),
        }
    }
}
