//! A PgBouncer that is started for a test in front of a server, and ends with it.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use tower_oidc::login::PostgresStore;

use super::server::{Postgres, program, run, unprivileged};
use crate::programs::Program;
use crate::web::free_port;

/// What many configurations have, for drivers that send one of them.
pub(super) const IGNORES: &str = "ignore_startup_parameters = extra_float_digits,options";

pub(super) struct PgBouncer {
    program: Program,
    pub(super) port: u16,
    folder: PathBuf,
}

impl PgBouncer {
    /// With these lines in its configuration, beside those without which it does not start.
    pub(super) fn start(server: u16, lines: &[&str]) -> Self {
        let port = free_port();
        let folder = std::env::temp_dir().join(format!("tower-oidc-pgbouncer-{port}"));
        std::fs::create_dir_all(&folder).unwrap();
        let users = folder.join("users.txt");
        std::fs::write(&users, "\"postgres\" \"\"\n").unwrap();
        let mut text = format!(
            "[databases]\npostgres = host=127.0.0.1 port={server} dbname=postgres\n[pgbouncer]\n\
             listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = trust\n\
             auth_file = {}\nadmin_users = postgres\n",
            users.display()
        );
        for line in lines {
            writeln!(text, "{line}").unwrap();
        }
        std::fs::write(folder.join("pgbouncer.ini"), text).unwrap();
        if let Some((user, group)) = unprivileged() {
            for path in [&folder, &users, &folder.join("pgbouncer.ini")] {
                std::os::unix::fs::chown(path, Some(user), Some(group)).unwrap();
            }
        }
        Self {
            program: started(&folder, port),
            port,
            folder,
        }
    }

    /// Ends it at once, and starts it again.
    pub(super) fn restart(&mut self) {
        let pid = self.program.pid().to_string();
        run(Command::new("kill").args(["-KILL", &pid]));
        self.program.ended();
        self.program = started(&self.folder, self.port);
    }

    pub(super) fn url(&self) -> String {
        Postgres::url_at(self.port)
    }

    /// A store whose tables are made at the first use.
    pub(super) fn store(&self) -> PostgresStore {
        let store = PostgresStore::new(&self.url()).unwrap();
        store.with_automatic_migration()
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn started(folder: &std::path::Path, port: u16) -> Program {
    let mut command = program("/usr/sbin/pgbouncer");
    command.arg("-q").arg(folder.join("pgbouncer.ini"));
    Program::start_silent(&mut command, port)
}
