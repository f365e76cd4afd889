//! PostgreSQL servers that are started for a test, and end with it.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, Row as _};
use tower_oidc::login::PostgresStore;

use crate::programs::Program;
use crate::web::free_port;

/// Counts the statements that wait for a lock.
pub(crate) const WAITING_FOR_LOCKS: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";

pub(crate) struct Postgres {
    program: Program,
    pub(crate) port: u16,
    folder: PathBuf,
}

impl Postgres {
    pub(crate) fn start(more: &[&str]) -> Self {
        let port = free_port();
        Self::start_in(new_data(port), port, program("postgres"), more)
    }

    /// With a clock that is off by as many seconds as this file says, such as `+3600`.
    pub(crate) fn start_with_clock(clock: &Path) -> Self {
        let port = free_port();
        let folder = new_data(port);
        let mut command = program("postgres");
        command
            .env("LD_PRELOAD", "/usr/$LIB/faketime/libfaketime.so.1")
            .env("FAKETIME_TIMESTAMP_FILE", clock)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        Self::start_in(folder, port, command, &[])
    }

    /// One that follows this one, and can be read until it is promoted.
    pub(crate) fn start_standby(&self) -> Self {
        let port = free_port();
        let folder = folder_of(port);
        run(program("pg_basebackup")
            .args([
                "--host=127.0.0.1",
                "--username=postgres",
                "--write-recovery-conf",
            ])
            .args(["--checkpoint=fast", "--no-sync"])
            .arg(format!("--port={}", self.port))
            .arg("--pgdata")
            .arg(folder.join("data")));
        Self::start_in(folder, port, program("postgres"), &[])
    }

    fn start_in(folder: PathBuf, port: u16, mut command: Command, more: &[&str]) -> Self {
        command
            .arg("-D")
            .arg(folder.join("data"))
            .arg("-k")
            .arg(&folder)
            .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"])
            .args([
                "-c",
                "fsync=off",
                "-c",
                "shared_preload_libraries=pg_stat_statements",
            ]);
        for setting in more {
            command.args(["-c", setting]);
        }
        let server = Self {
            program: Program::start_silent(&mut command, port),
            port,
            folder,
        };
        server.answers();
        server
    }

    /// It listens before it takes connections.
    fn answers(&self) {
        for _ in 0..200 {
            let asked = program("pg_isready")
                .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
                .status();
            if asked.unwrap().success() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("PostgreSQL does not take connections");
    }

    pub(crate) fn url_at(port: u16) -> String {
        format!("postgres://postgres@127.0.0.1:{port}/postgres")
    }

    pub(crate) fn url(&self) -> String {
        Self::url_at(self.port)
    }

    /// A store whose tables are made at the first use.
    pub(crate) fn store(&self) -> PostgresStore {
        let store = PostgresStore::new(&self.url()).unwrap();
        store.with_automatic_migration()
    }

    pub(crate) async fn connection(&self) -> PgConnection {
        let options: PgConnectOptions = self.url().parse().unwrap();
        PgConnection::connect_with(&options).await.unwrap()
    }

    /// Runs these statements.
    pub(crate) async fn run(&self, statements: &str) {
        let mut connection = self.connection().await;
        let statements = AssertSqlSafe(statements.to_owned());
        connection.execute(statements).await.unwrap();
    }

    /// The first column of what this statement returns.
    pub(crate) async fn column<T>(&self, statement: &'static str) -> Vec<T>
    where
        T: for<'row> sqlx::Decode<'row, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        let mut connection = self.connection().await;
        let rows = sqlx::query(statement)
            .fetch_all(&mut connection)
            .await
            .unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// How often a statement about sessions was run.
    pub(crate) async fn statements_run(&self) -> u64 {
        self.run("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
            .await;
        let counts: Vec<i64> = self
            .column(
                "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements \
                 WHERE query LIKE '%tower_oidc_sessions%'",
            )
            .await;
        u64::try_from(counts[0]).unwrap()
    }

    /// Every byte that a backup holds.
    pub(crate) fn dump(&self) -> Vec<u8> {
        let dumped = program("pg_dump")
            .args([
                "-h",
                "127.0.0.1",
                "-U",
                "postgres",
                "-p",
                &self.port.to_string(),
            ])
            .arg("postgres")
            .output()
            .unwrap();
        assert!(dumped.status.success(), "{dumped:?}");
        let text = String::from_utf8(dumped.stdout).unwrap();
        // Bytes are written in hexadecimal.
        let words = text
            .split_whitespace()
            .filter_map(|word| word.strip_prefix("\\\\x"));
        let bytes: Vec<u8> = words.flat_map(unhex).collect();
        assert!(bytes.len() > 100, "{text}");
        [text.into_bytes(), bytes].concat()
    }

    /// To the server and all of its processes, which have groups of their own.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.program.pid().to_string();
        let children = Command::new("pgrep").args(["-P", &pid]).output().unwrap();
        let children = String::from_utf8(children.stdout).unwrap();
        run(Command::new("kill").args([signal, &pid]));
        // Some of them may have ended.
        let mut command = Command::new("kill");
        let _ = command
            .arg(signal)
            .args(children.split_whitespace())
            .output();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Without leaving shared memory behind.
        let pid = self.program.pid().to_string();
        let _ = Command::new("kill").args(["-QUIT", &pid]).output();
        let runs = self.folder.join("data/postmaster.pid");
        for _ in 0..100 {
            if !runs.exists() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks_exact(2);
    let pairs = pairs.map(|pair| std::str::from_utf8(pair).unwrap());
    pairs
        .filter_map(|pair| u8::from_str_radix(pair, 16).ok())
        .collect()
}

pub(crate) fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}

/// A program of PostgreSQL. Distributions keep some of them off the path.
pub(crate) fn program(name: &str) -> Command {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let mut folders: Vec<_> = versions
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .collect();
    folders.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    folders.extend(std::env::split_paths(&path));
    let found = folders
        .into_iter()
        .rfind(|folder| folder.join("initdb").exists() && folder.join(name).exists());
    let mut command = Command::new(found.map_or_else(|| name.into(), |folder| folder.join(name)));
    if let Some((user, group)) = unprivileged() {
        command.uid(user).gid(group);
    }
    command
}

/// Who runs the server, which refuses root. `None` if this is somebody else already.
pub(crate) fn unprivileged() -> Option<(u32, u32)> {
    let id = |arguments: &[&str]| -> Option<u32> {
        let output = Command::new("id").args(arguments).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    if id(&["-u"]) != Some(0) {
        return None;
    }
    Some((id(&["-u", "postgres"])?, id(&["-g", "postgres"])?))
}

/// A folder with an empty database.
fn new_data(port: u16) -> PathBuf {
    let folder = folder_of(port);
    run(program("initdb")
        .args(["--auth=trust", "--username=postgres", "--encoding=UTF8"])
        .args(["--locale=C", "--no-sync", "--pgdata"])
        .arg(folder.join("data")));
    folder
}

fn folder_of(port: u16) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("tower-oidc-postgres-{port}"));
    // One that was killed may have left it.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    if let Some((user, group)) = unprivileged() {
        std::os::unix::fs::chown(&folder, Some(user), Some(group)).unwrap();
    }
    folder
}
