//! Programs that are started for a test, and end with it.

use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// A program that is ended when the test is.
pub(crate) struct Program {
    child: Child,
    line: String,
    /// Further lines like it.
    told: Option<Receiver<String>>,
    log: Option<JoinHandle<String>>,
}

/// Within it every program is ready, also on a machine that is busy.
const LONGEST_START: Duration = Duration::from_secs(60);

impl Program {
    /// Starts it and waits for the line it prints when it is ready. One that says nothing is started once more: Node
    /// sometimes waits for ever for a thread of its own.
    pub(crate) fn start(command: &mut Command, marker: &str) -> Self {
        let started = Self::started(command, marker).or_else(|| Self::started(command, marker));
        started.unwrap_or_else(|| panic!("it said nothing, twice: {command:?}"))
    }

    /// `None` if it says nothing in time.
    fn started(command: &mut Command, marker: &str) -> Option<Self> {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = child.stderr.take().unwrap();
        // Read all along, so that a full pipe does not stop the program.
        let log = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (tell, told) = channel();
        let marker = marker.to_owned();
        // Whatever it prints later must not stop it.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if line.contains(&marker) {
                    let _ = tell.send(line);
                }
            }
        });
        let mut program = Self {
            child,
            line: String::new(),
            told: None,
            log: Some(log),
        };
        match told.recv_timeout(LONGEST_START) {
            Ok(line) => program.line = line,
            Err(RecvTimeoutError::Timeout) => return None,
            Err(RecvTimeoutError::Disconnected) => {
                let log = program.log.take().map(|log| log.join().unwrap());
                panic!("it ended before it was ready: {}", log.unwrap_or_default());
            }
        }
        program.told = Some(told);
        Some(program)
    }

    /// Presses Enter at one whose stdin is a pipe, and waits until it prints such a line again.
    pub(crate) fn press_enter(&mut self) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(b"\n").unwrap();
        let told = self.told.as_ref().unwrap();
        self.line = told.recv_timeout(LONGEST_START).unwrap();
    }

    /// Starts one that says nothing, and waits until it listens.
    pub(crate) fn start_silent(command: &mut Command, port: u16) -> Self {
        let child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let program = Self {
            child,
            line: String::new(),
            told: None,
            log: None,
        };
        for _ in 0..200 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return program;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("nothing listens on port {port}");
    }

    pub(crate) fn address(&self) -> String {
        let (_, rest) = self.line.split_once("http://").unwrap();
        format!("http://{}", rest.trim())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until one that was ended has.
    pub(crate) fn ended(&mut self) {
        self.child.wait().unwrap();
    }

    /// Asks it to stop, and returns how it ended and what stood in its log.
    pub(crate) fn stop(mut self) -> (Option<i32>, String) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
        let code = self.child.wait().unwrap().code();
        let log = self.log.take().map(|log| log.join().unwrap());
        (code, log.unwrap_or_default())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(name)
}

/// The certified provider, with the options of `start.mjs`.
pub(crate) fn provider(options: &str) -> Program {
    let folder = folder("idp");
    assert!(
        folder.join("node_modules/oidc-provider").exists(),
        "run `npm install --no-package-lock` in tests/idp first"
    );
    let mut command = Command::new("node");
    command.args(["start.mjs", options]).current_dir(folder);
    Program::start(&mut command, "ready ")
}

/// Django OAuth Toolkit, with the options of `project.py`.
pub(crate) fn django(options: &str) -> Program {
    let packages = folder("dot").join("../../target/dot");
    assert!(
        packages.join("oauth2_provider").exists(),
        "run `pip install --target target/dot django-oauth-toolkit` first"
    );
    let mut command = Command::new("python3");
    command
        .args(["project.py", options])
        .current_dir(folder("dot"))
        .env("PYTHONPATH", packages)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    Program::start(&mut command, "ready ")
}

/// Glewlwyd, with the options of `start.py`, one of which is the folder of its files.
pub(crate) fn glewlwyd(options: &str) -> Program {
    assert!(
        Path::new("/usr/bin/glewlwyd").exists(),
        "run `apt-get install glewlwyd dbconfig-sqlite3` first"
    );
    let mut command = Command::new("python3");
    command
        .args(["start.py", options])
        .current_dir(folder("glewlwyd"))
        .env("PYTHONPATH", folder("dot").join("../../target/dot"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    Program::start(&mut command, "ready ")
}

/// An example. Cargo builds them along with the tests, into a folder beside theirs.
pub(crate) fn example(name: &str, environment: &[(&str, &str)]) -> Command {
    let tests = std::env::current_exe().unwrap();
    let program = tests
        .ancestors()
        .nth(2)
        .unwrap()
        .join("examples")
        .join(name);
    assert!(
        program.exists(),
        "run `cargo build --examples --all-features` first"
    );
    let mut command = Command::new(program);
    command.env_clear().env("PORT", "0");
    // The suite runs both ways. A program without a provider's settings is to have none of them.
    let is_configured = environment.iter().any(|(name, _)| *name == "OPENID_ISSUER");
    if is_configured && std::env::var_os("WITHOUT_CACHE").is_some() {
        command.env("OPENID_TOKEN_CACHE", "false");
    }
    command.envs(environment.iter().copied());
    command
}
