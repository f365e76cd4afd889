//! What is logged in a test.

use std::io;
use std::sync::{Arc, LazyLock, Mutex};

use tracing::Dispatch;
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Two subscribers that want everything and are given nothing. Where there is one alone, a place that logs for the
/// first time asks the thread it is on whether anyone wants it, and remembers the answer for all threads: a test
/// without a log, on another thread, would turn off what this one waits for.
static ALWAYS_TWO: LazyLock<[Dispatch; 2]> =
    LazyLock::new(|| std::array::from_fn(|_| Dispatch::new(tracing_subscriber::registry())));

/// To be called before a subscriber is set for a test.
pub(crate) fn ready() {
    LazyLock::force(&ALWAYS_TWO);
}

impl Log {
    pub(crate) fn capture(&self) -> tracing::subscriber::DefaultGuard {
        ready();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(self.clone())
            .with_ansi(false)
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The lines at this level.
    pub(crate) fn at(&self, level: tracing::Level) -> Vec<String> {
        let text = self.text();
        let is_it = |line: &&str| line.split_whitespace().nth(1) == Some(level.as_str());
        text.lines().filter(is_it).map(str::to_owned).collect()
    }
}
