//! Redis servers that are started for a test, and end with it.

use std::path::{Path, PathBuf};
use std::process::Command;

use redis::{Commands, Value};
use tower_oidc::login::RedisStore;

use crate::programs::Program;
use crate::web::free_port;

pub(crate) struct Redis {
    program: Program,
    pub(crate) port: u16,
    folder: PathBuf,
}

impl Redis {
    pub(crate) fn start(more: &[&str]) -> Self {
        Self::start_program("redis-server", more)
    }

    pub(crate) fn start_program(program: &str, more: &[&str]) -> Self {
        let port = free_port();
        let port_text = port.to_string();
        let more = [&["--port", &port_text], more].concat();
        Self::start_on(program, port, &more)
    }

    /// With TLS alone, by a certificate in this folder.
    pub(crate) fn start_with_tls(folder: &Path, more: &[&str]) -> Self {
        let port = free_port();
        let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let (port_text, key, certificate) = (port.to_string(), at("key.pem"), at("cert.pem"));
        let tls = [
            "--port",
            "0",
            "--tls-port",
            &port_text,
            "--tls-cert-file",
            &certificate,
            "--tls-key-file",
            &key,
            "--tls-auth-clients",
            "no",
        ];
        Self::start_on("redis-server", port, &[&tls, more].concat())
    }

    /// A sentinel that watches over this server.
    pub(crate) fn start_sentinel(master: &Self, name: &str) -> Self {
        let port = free_port();
        let folder = folder_of(port);
        let file = folder.join("sentinel.conf");
        let watched = master.port;
        let text = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\n\
             sentinel monitor {name} 127.0.0.1 {watched} 2\n\
             sentinel down-after-milliseconds {name} 1000\n\
             sentinel failover-timeout {name} 3000\n",
            folder.display()
        );
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new("redis-server");
        command.arg(&file).arg("--sentinel");
        Self {
            program: Program::start_silent(&mut command, port),
            port,
            folder,
        }
    }

    fn start_on(program: &str, port: u16, more: &[&str]) -> Self {
        let folder = folder_of(port);
        let mut command = Command::new(program);
        command
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .arg("--dir")
            .arg(&folder)
            .args(more);
        Self {
            program: Program::start_silent(&mut command, port),
            port,
            folder,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn store(&self) -> RedisStore {
        RedisStore::new(&self.url()).unwrap()
    }

    pub(crate) fn connection(&self) -> redis::Connection {
        let client = redis::Client::open(self.url()).unwrap();
        client.get_connection().unwrap()
    }

    /// How often scripts were run, which is what every question of a session is.
    pub(crate) fn scripts_run(&self) -> u64 {
        let text: String = redis::cmd("INFO")
            .arg("commandstats")
            .query(&mut self.connection())
            .unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
        line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
    }

    /// Every byte that is kept, names and values.
    pub(crate) fn dump(&self) -> Vec<u8> {
        let mut connection = self.connection();
        let keys: Vec<Vec<u8>> = connection.keys("*").unwrap();
        assert!(!keys.is_empty());
        let mut dump = Vec::new();
        for key in keys {
            let value: Value = redis::cmd("DUMP").arg(&key).query(&mut connection).unwrap();
            let Value::BulkString(value) = value else {
                panic!("{value:?}");
            };
            let name = String::from_utf8_lossy(&key);
            // Lists have no expiry, so that they are not evicted before what they list; each tells when it is
            // no longer needed.
            let is_list = [":subject:", ":provider-session:", ":list-ends"]
                .iter()
                .any(|kind| name.contains(kind));
            if is_list {
                let ends: Vec<(String, f64)> = connection.zrange_withscores(&key, 0, -1).unwrap();
                assert!(ends.iter().all(|(_, end)| *end > 0.0), "{name}: {ends:?}");
            } else {
                let lifetime: i64 = connection.ttl(&key).unwrap();
                assert!(lifetime > 0, "{name} does not end");
            }
            dump.extend(key);
            dump.extend(value);
        }
        dump
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.program.pid().to_string();
        let status = Command::new("kill").args([signal, &pid]).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn folder_of(port: u16) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("tower-oidc-redis-{port}"));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
