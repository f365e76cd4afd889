//! A file that another program replaces while this process runs. It is read at each use, and its last good content
//! is kept for as long as it can be used.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;

use crate::clock::SharedClock;
use crate::error::{ConfigError, ProviderError, ProviderErrorKind};
use crate::flight::{Flight, FlightGuard};
use crate::log_pace::LogPace;
use crate::secret::Secret;

/// A caller waits for a reading no longer than this.
const LONGEST_READING: Duration = Duration::from_secs(2);

/// Larger files are refused. Assertions and keys have a few kilobytes.
const LARGEST: u64 = 64 * 1024;

/// Why the content of a file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Problem {
    Missing,
    NotAFile,
    Empty,
    TooLarge,
    Unreadable(io::ErrorKind),
    Unusable(&'static str),
    Slow,
}

impl Problem {
    fn number(&self) -> usize {
        match self {
            Self::Missing => 0,
            Self::NotAFile => 1,
            Self::Empty => 2,
            Self::TooLarge => 3,
            Self::Unreadable(_) => 4,
            Self::Unusable(_) => 5,
            Self::Slow => 6,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => formatter.write_str("it does not exist"),
            Self::NotAFile => formatter.write_str("it is not a file"),
            Self::Empty => formatter.write_str("it is empty"),
            Self::TooLarge => write!(formatter, "it is larger than {LARGEST} bytes"),
            Self::Unreadable(kind) => write!(formatter, "it cannot be read: {kind}"),
            Self::Unusable(problem) => formatter.write_str(problem),
            Self::Slow => formatter.write_str("reading it takes too long"),
        }
    }
}

/// The file and what was last good in it. Clones share both.
pub(crate) struct KeptFile<T>(Arc<Held<T>>);

type Outcome<T> = Result<Arc<T>, Problem>;
type Parse<T> = dyn Fn(&Secret) -> Result<T, &'static str> + Send + Sync;

struct Held<T> {
    /// The name of the setting, for the log and for errors.
    setting: &'static str,
    path: PathBuf,
    parse: Box<Parse<T>>,
    kept: Mutex<Option<Arc<T>>>,
    /// The reading that is under way. Callers share it, so that a file system that hangs holds one thread.
    reading: Mutex<Option<Flight<Outcome<T>>>>,
    /// Whether that reading has taken too long already.
    is_stuck: AtomicBool,
    log: LogPace<14>,
}

impl<T> Clone for KeptFile<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Send + Sync + 'static> KeptFile<T> {
    /// Takes note of the file, without reading it.
    pub(super) fn new(
        setting: &'static str,
        path: &Path,
        parse: impl Fn(&Secret) -> Result<T, &'static str> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Held {
            setting,
            path: path.to_owned(),
            parse: Box::new(parse),
            kept: Mutex::new(None),
            reading: Mutex::new(None),
            is_stuck: AtomicBool::new(false),
            log: LogPace::new(SharedClock::system()),
        }))
    }

    /// Reads it on this thread, at the start of the program.
    pub(super) fn read_now(&self) -> Outcome<T> {
        let read = self.0.read()?;
        self.keep(Some(Arc::clone(&read)));
        Ok(read)
    }

    /// What was last good in it, without reading it.
    pub(super) fn kept(&self) -> Option<Arc<T>> {
        lock(&self.0.kept).clone()
    }

    pub(super) fn path(&self) -> &Path {
        &self.0.path
    }

    /// The error for a file that is not good at the start.
    pub(super) fn refuse(&self, problem: &Problem, remedy: &'static str) -> ConfigError {
        let path = self.0.path.display().to_string();
        ConfigError::invalid(self.0.setting, path, problem.to_string(), remedy)
    }

    /// What the file holds. If that cannot be used: what it held before, if that still can.
    pub(super) async fn current(
        &self,
        check: impl Fn(&T) -> Result<(), &'static str>,
    ) -> Result<Arc<T>, ProviderError> {
        let read = self.read().await;
        self.settle(read, check)
    }

    /// The same for a file that may be taken away: then there is nothing.
    pub(super) async fn current_if_there(&self) -> Option<Arc<T>> {
        let read = self.read().await;
        if matches!(read, Err(Problem::Missing)) {
            self.keep(None);
            return None;
        }
        self.settle(read, |_| Ok(())).ok()
    }

    fn settle(
        &self,
        read: Outcome<T>,
        check: impl Fn(&T) -> Result<(), &'static str>,
    ) -> Result<Arc<T>, ProviderError> {
        let problem = match read {
            Ok(read) => match check(&read) {
                Ok(()) => {
                    self.keep(Some(Arc::clone(&read)));
                    return Ok(read);
                }
                Err(problem) => Problem::Unusable(problem),
            },
            Err(problem) => problem,
        };
        let kept = self.kept().filter(|kept| check(kept).is_ok());
        self.tell(&problem, kept.is_some());
        kept.ok_or_else(|| self.error(&problem))
    }

    fn keep(&self, read: Option<Arc<T>>) {
        let former = std::mem::replace(&mut *lock(&self.0.kept), read);
        drop(former);
    }

    /// One line in ten seconds for each problem, and one more when it begins to matter.
    pub(super) fn tell(&self, problem: &Problem, has_former: bool) {
        if !self
            .0
            .log
            .is_due(2 * problem.number() + usize::from(has_former))
        {
            return;
        }
        let (setting, path) = (self.0.setting, self.0.path.display());
        if has_former {
            tracing::warn!(setting, %path, found = %problem, "a file cannot be used; its last good content is used on");
        } else {
            tracing::error!(
                setting,
                %path,
                found = %problem,
                "a file cannot be used, and no earlier content of it can: this client cannot authenticate until the \
                 file is good"
            );
        }
    }

    fn error(&self, problem: &Problem) -> ProviderError {
        let (setting, path) = (self.0.setting, self.0.path.display());
        let text = format!("the client cannot authenticate: {setting} = {path}: {problem}");
        ProviderError::new(ProviderErrorKind::NoCredential, text)
    }

    /// Reads it on a thread that may block, within the bound of time.
    async fn read(&self) -> Outcome<T> {
        let Ok(runtime) = Handle::try_current() else {
            return Err(Problem::Slow);
        };
        let flight = self.flight(&runtime);
        // One caller has waited for it already.
        let patience = if self.0.is_stuck.load(Ordering::Acquire) {
            Duration::ZERO
        } else {
            LONGEST_READING
        };
        let landed = tokio::time::timeout(patience, flight.landed()).await;
        landed.unwrap_or_else(|_| {
            self.0.is_stuck.store(true, Ordering::Release);
            Err(Problem::Slow)
        })
    }

    fn flight(&self, runtime: &Handle) -> Flight<Outcome<T>> {
        let (flight, guard) = {
            let mut reading = lock(&self.0.reading);
            if let Some(flight) = &*reading {
                return flight.clone();
            }
            self.0.is_stuck.store(false, Ordering::Release);
            let held = Arc::clone(&self.0);
            let (flight, guard) = FlightGuard::new(Err(Problem::Slow), move |_: &Outcome<T>| {
                let landed = lock(&held.reading).take();
                drop(landed);
            });
            *reading = Some(flight.clone());
            (flight, guard)
        };
        let held = Arc::clone(&self.0);
        guard.launch(runtime, async move {
            let read = tokio::task::spawn_blocking(move || held.read());
            read.await.unwrap_or(Err(Problem::Slow))
        });
        flight
    }
}

impl<T> Held<T> {
    fn read(&self) -> Outcome<T> {
        let text = self.text()?;
        (self.parse)(&text).map(Arc::new).map_err(Problem::Unusable)
    }

    fn text(&self) -> Result<Secret, Problem> {
        let failed = |error: &io::Error| match error.kind() {
            io::ErrorKind::NotFound => Problem::Missing,
            kind => Problem::Unreadable(kind),
        };
        // To open a pipe would wait for its writer.
        let metadata = self.path.metadata().map_err(|error| failed(&error))?;
        if !metadata.is_file() {
            return Err(Problem::NotAFile);
        }
        if metadata.len() > LARGEST {
            return Err(Problem::TooLarge);
        }
        let file = File::open(&self.path).map_err(|error| failed(&error))?;
        let mut text = String::new();
        let read = file.take(LARGEST + 1).read_to_string(&mut text);
        let text = Secret::new(text);
        match read {
            Ok(length) if u64::try_from(length).is_ok_and(|length| length > LARGEST) => {
                Err(Problem::TooLarge)
            }
            Ok(_) if text.expose().trim().is_empty() => Err(Problem::Empty),
            Ok(_) => Ok(text),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err(Problem::Unusable("it is not text"))
            }
            Err(error) => Err(failed(&error)),
        }
    }
}

fn lock<V>(mutex: &Mutex<V>) -> MutexGuard<'_, V> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::process::Command;

    fn file(name: &str) -> (KeptFile<String>, PathBuf) {
        let path = std::env::temp_dir().join(format!("kept-{name}-{}", std::process::id()));
        let parse = |text: &Secret| match text.expose() {
            "half" => Err("it is half written"),
            text => Ok(text.to_owned()),
        };
        (KeptFile::new("a setting", &path, parse), path)
    }

    async fn content(file: &KeptFile<String>) -> Result<String, String> {
        let current = file.current(|_| Ok(())).await;
        current
            .map(|text| (*text).clone())
            .map_err(|error| error.to_string())
    }

    // CA-01
    #[tokio::test]
    async fn the_last_good_content_is_kept_whatever_becomes_of_the_file() {
        let (file, path) = file("bad");
        let error = content(&file).await.unwrap_err();
        assert!(error.contains("a setting = "), "{error}");
        assert!(error.ends_with("it does not exist"), "{error}");
        fs::write(&path, "one").unwrap();
        assert_eq!(content(&file).await.unwrap(), "one");
        let large = "x".repeat(usize::try_from(LARGEST).unwrap() + 1);
        for bad in ["", " \n", "half", large.as_str()] {
            fs::write(&path, bad).unwrap();
            assert_eq!(content(&file).await.unwrap(), "one");
            let refused = file.read().await.unwrap_err();
            assert_ne!(refused, Problem::Missing);
        }
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert_eq!(content(&file).await.unwrap(), "one");
        fs::remove_file(&path).unwrap();
        assert_eq!(content(&file).await.unwrap(), "one");
        fs::create_dir(&path).unwrap();
        assert_eq!(content(&file).await.unwrap(), "one");
        fs::remove_dir(&path).unwrap();
        fs::write(&path, "two").unwrap();
        assert_eq!(content(&file).await.unwrap(), "two");
        // What must not be used any more is not used, although it is the last good one.
        let refused = file.current(|_| Err("it has expired")).await.unwrap_err();
        assert_eq!(refused.kind(), ProviderErrorKind::NoCredential);
        assert!(refused.to_string().ends_with("it has expired"), "{refused}");
        fs::remove_file(&path).unwrap();
        assert!(file.current_if_there().await.is_none());
        assert!(content(&file).await.is_err(), "and it is forgotten");
    }

    // CA-01
    #[tokio::test]
    #[cfg(unix)]
    async fn a_pipe_is_not_opened() {
        let (file, path) = file("pipe");
        let made = Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        assert_eq!(file.read().await, Err(Problem::NotAFile));
        fs::remove_file(&path).unwrap();
    }

    // CA-01
    #[tokio::test(start_paused = true)]
    async fn a_reading_that_hangs_is_waited_for_once() {
        let (file, path) = file("hangs");
        fs::write(&path, "one").unwrap();
        file.read_now().unwrap();
        let (flight, hanging) = FlightGuard::new(Err(Problem::Slow), |_: &Outcome<String>| {});
        *lock(&file.0.reading) = Some(flight);
        let began = tokio::time::Instant::now();
        assert_eq!(content(&file).await.unwrap(), "one");
        assert_eq!(began.elapsed(), LONGEST_READING);
        for _ in 0..3 {
            assert_eq!(content(&file).await.unwrap(), "one");
        }
        assert!(began.elapsed() < LONGEST_READING + Duration::from_millis(100));
        drop(hanging);
        fs::remove_file(&path).unwrap();
    }

    // CA-01
    #[test]
    fn without_a_runtime_nothing_panics() {
        let (file, path) = file("runtime");
        fs::write(&path, "one").unwrap();
        file.read_now().unwrap();
        let mut current = Box::pin(content(&file));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let read = current.as_mut().poll(&mut context);
        assert_eq!(read, std::task::Poll::Ready(Ok("one".to_owned())));
        fs::remove_file(&path).unwrap();
    }
}
