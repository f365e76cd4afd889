//! A key set in a file, which another program may replace at any time.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{ProviderError, ProviderErrorKind};
use crate::http_client::Limits;
use crate::keys::jwk_set::JwkSet;

/// The path of a key set. It is resolved at each reading, so that a symbolic link may change its target, as those of
/// a Kubernetes `ConfigMap` do.
#[derive(Clone)]
pub(crate) struct KeyFile {
    path: Arc<Path>,
    is_being_read: Arc<AtomicBool>,
}

/// Ends a reading, also by a panic, or if its thread never ran.
struct Reading(Arc<AtomicBool>);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl KeyFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path: path.into(),
            is_being_read: Arc::default(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads it on a thread that may block.
    pub(crate) async fn read(&self, limits: Limits) -> Result<JwkSet, ProviderError> {
        // A file system that does not answer holds one thread, and not another one at each attempt.
        if self.is_being_read.swap(true, Ordering::Acquire) {
            return Err(self.too_slow("an earlier reading has not ended yet"));
        }
        let reading = Reading(Arc::clone(&self.is_being_read));
        let (file, size) = (self.clone(), limits.size);
        let task = tokio::task::spawn_blocking(move || {
            let _reading = reading;
            file.read_here(size)
        });
        match tokio::time::timeout(limits.time, task).await {
            Ok(Ok(read)) => read,
            Ok(Err(ended)) => Err(self.unreadable(io::Error::other(ended))),
            Err(_) => Err(self.too_slow("reading it took too long")),
        }
    }

    /// Reads it on this thread.
    pub(crate) fn read_here(&self, size: usize) -> Result<JwkSet, ProviderError> {
        let bytes = self
            .bytes(size)
            .map_err(|error| self.unreadable(error))?
            .ok_or_else(|| {
                let text = format!("{} is larger than {size} bytes", self.path.display());
                ProviderError::new(ProviderErrorKind::TooLarge, text)
            })?;
        JwkSet::parse(&bytes).map_err(|error| {
            let text = format!("{} cannot be used", self.path.display());
            ProviderError::caused(error.kind(), text, error.into())
        })
    }

    /// What it holds. `None` if that is longer than `size`.
    fn bytes(&self, size: usize) -> io::Result<Option<Vec<u8>>> {
        // To open a pipe would wait for its writer.
        if !self.path.metadata()?.is_file() {
            return Err(io::Error::other("it is not a file"));
        }
        let mut bytes = Vec::new();
        let one_more = u64::try_from(size).unwrap_or(u64::MAX).saturating_add(1);
        File::open(&self.path)?
            .take(one_more)
            .read_to_end(&mut bytes)?;
        Ok((bytes.len() <= size).then_some(bytes))
    }

    fn unreadable(&self, error: io::Error) -> ProviderError {
        let text = format!("{} cannot be read", self.path.display());
        ProviderError::caused(ProviderErrorKind::UnreadableFile, text, error.into())
    }

    fn too_slow(&self, problem: &str) -> ProviderError {
        let text = format!("{} cannot be read: {problem}", self.path.display());
        ProviderError::new(ProviderErrorKind::TimedOut, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const LIMITS: Limits = Limits {
        time: Duration::from_secs(5),
        size: 1024,
    };

    // KS-22
    #[tokio::test]
    async fn a_reading_that_hangs_is_the_only_one() {
        let file = KeyFile::new("/nowhere/keys.json".into());
        let kind = async || file.read(LIMITS).await.unwrap_err().kind();
        let hanging = Reading(Arc::clone(&file.is_being_read));
        file.is_being_read.store(true, Ordering::Release);
        for _ in 0..2 {
            assert_eq!(kind().await, ProviderErrorKind::TimedOut);
        }
        drop(hanging);
        for _ in 0..2 {
            assert_eq!(kind().await, ProviderErrorKind::UnreadableFile);
        }
    }

    // KS-22
    #[test]
    #[cfg(unix)]
    fn what_is_no_file_is_not_opened() {
        let error = KeyFile::new("/dev/null".into())
            .read_here(LIMITS.size)
            .unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::UnreadableFile);
        let source = std::error::Error::source(&error).unwrap();
        assert_eq!(source.to_string(), "it is not a file");
    }
}
