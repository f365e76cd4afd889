//! A PostgreSQL server that is started for the bench and ends with it.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::{Connection as _, Row as _};
use tower_oidc::login::PostgresStore;

use crate::Fallible;
use crate::server::{free_port, scratch_folder};

pub(crate) struct Postgres {
    child: Child,
    folder: PathBuf,
    url: String,
}

impl Postgres {
    /// With the settings of a new installation, and a count of its statements.
    pub(crate) async fn start() -> Fallible<Self> {
        let folder = scratch_folder("postgres")?;
        if let Some((user, group)) = unprivileged() {
            std::os::unix::fs::chown(&folder, Some(user), Some(group))?;
        }
        let data = folder.join("data");
        let made = program("initdb")
            .args(["--auth=trust", "--username=postgres", "--encoding=UTF8"])
            .args(["--locale=C", "--no-sync", "--pgdata"])
            .arg(&data)
            .output()?;
        if !made.status.success() {
            return Err(String::from_utf8_lossy(&made.stderr).into());
        }
        let port = free_port()?;
        let child = program("postgres")
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(&folder)
            .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "shared_preload_libraries=pg_stat_statements"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
        let server = Self { child, folder, url };
        let started = Instant::now();
        while let Err(error) = server
            .run("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
            .await
        {
            if started.elapsed() > Duration::from_secs(30) {
                return Err(error);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        server.store()?.migrate().await?;
        Ok(server)
    }

    pub(crate) fn store(&self) -> Fallible<PostgresStore> {
        Ok(PostgresStore::new(&self.url)?)
    }

    /// What it has confirmed may not be on the disk yet.
    pub(crate) fn hasty_store(&self) -> Fallible<PostgresStore> {
        let options: PgConnectOptions = self.url.parse()?;
        let pool = PgPoolOptions::new()
            .max_connections(10)
            .connect_lazy_with(options.options([("synchronous_commit", "off")]));
        Ok(PostgresStore::from_pool(pool))
    }

    /// Of the table, its indexes and the values that are kept beside it.
    pub(crate) async fn bytes(&self) -> Fallible<u64> {
        // So that it is not written while the sessions are measured.
        self.run("CHECKPOINT").await?;
        self.number("SELECT pg_total_relation_size('tower_oidc_sessions')")
            .await
    }

    pub(crate) async fn statements_run(&self) -> Fallible<u64> {
        self.number(
            "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements \
             WHERE query LIKE '%tower_oidc_sessions%'",
        )
        .await
    }

    async fn run(&self, statement: &'static str) -> Fallible<()> {
        let mut connection = PgConnection::connect(&self.url).await?;
        sqlx::query(statement).execute(&mut connection).await?;
        Ok(())
    }

    async fn number(&self, statement: &'static str) -> Fallible<u64> {
        let mut connection = PgConnection::connect(&self.url).await?;
        let row = sqlx::query(statement).fetch_one(&mut connection).await?;
        Ok(row.get::<i64, _>(0).try_into()?)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Asked to quit, it leaves no shared memory behind.
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-QUIT", &pid]).status();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A program of PostgreSQL. Distributions keep some of them off the path.
fn program(name: &str) -> Command {
    let versions = std::fs::read_dir("/usr/lib/postgresql");
    let mut folders: Vec<_> = versions
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .collect();
    folders.sort();
    let found = folders
        .into_iter()
        .map(|folder| folder.join(name))
        .rfind(|path| path.exists());
    let mut command = Command::new(found.unwrap_or_else(|| name.into()));
    if let Some((user, group)) = unprivileged() {
        command.uid(user).gid(group);
    }
    command
}

/// The user that runs the server, which refuses root. `None` if the bench does not run as root.
fn unprivileged() -> Option<(u32, u32)> {
    let id = |arguments: &[&str]| -> Option<u32> {
        let output = Command::new("id").args(arguments).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    if id(&["-u"]) != Some(0) {
        return None;
    }
    Some((id(&["-u", "postgres"])?, id(&["-g", "postgres"])?))
}
