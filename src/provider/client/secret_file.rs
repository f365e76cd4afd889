//! A client secret that may stand in a file, where it can be replaced while this process runs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::ConfigError;
use crate::secret::Secret;
use crate::settings::CLIENT_SECRET_FILE;

/// The secret in use. Clones of a client share it.
#[derive(Clone)]
pub(super) struct ClientSecret(Arc<Held>);

struct Held {
    current: Mutex<Secret>,
    /// `None` if the secret is a value of the program.
    path: Option<PathBuf>,
    /// Whether the file is being read: a read that hangs holds one thread, and no more.
    is_read: AtomicBool,
}

impl ClientSecret {
    pub(super) fn fixed(secret: &str) -> Self {
        Self::new(Secret::new(secret), None)
    }

    pub(super) fn in_file(path: &Path) -> Result<Self, ConfigError> {
        let refuse = |problem: String| {
            ConfigError::invalid(
                CLIENT_SECRET_FILE,
                path.display().to_string(),
                problem,
                "set it to the path of a file that contains only the client secret",
            )
        };
        let secret = read(path).map_err(|error| refuse(format!("it cannot be read: {error}")))?;
        let secret = secret.ok_or_else(|| refuse("it is empty".to_owned()))?;
        Ok(Self::new(secret, Some(path.to_owned())))
    }

    fn new(secret: Secret, path: Option<PathBuf>) -> Self {
        Self(Arc::new(Held {
            current: Mutex::new(secret),
            path,
            is_read: AtomicBool::new(false),
        }))
    }

    pub(super) fn current(&self) -> Secret {
        let current = self.0.current.lock();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether there is another secret than this one, which the provider refused. A file that cannot be read
    /// changes nothing.
    pub(super) async fn has_other_than(&self, refused: &Secret) -> bool {
        let Some(path) = self.0.path.clone() else {
            return false;
        };
        if self.current() != *refused {
            // Another call has read it meanwhile.
            return true;
        }
        if self.0.is_read.swap(true, Ordering::AcqRel) {
            return false;
        }
        let shown = path.display().to_string();
        let held = Arc::clone(&self.0);
        let reading = tokio::task::spawn_blocking(move || {
            let text = read(&path);
            held.is_read.store(false, Ordering::Release);
            text
        });
        let read = reading.await;
        match read {
            Ok(Ok(Some(secret))) if secret != *refused => {
                tracing::info!(
                    path = shown,
                    "the provider refused the client secret, and its file has another by now, which is used"
                );
                let mut current = self
                    .0
                    .current
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                *current = secret;
                true
            }
            Ok(Err(error)) => {
                tracing::warn!(path = shown, %error, "the file of the client secret cannot be read");
                false
            }
            _ => false,
        }
    }
}

/// The secret in a file, without the end of its line. `None` if there is none.
fn read(path: &Path) -> io::Result<Option<Secret>> {
    let text = Secret::new(fs::read_to_string(path)?);
    let secret = text.expose().trim_end();
    Ok((!secret.is_empty()).then(|| Secret::new(secret)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::thread;

    #[tokio::test]
    async fn a_file_that_hangs_is_read_by_one_thread_alone() {
        let path = std::env::temp_dir().join(format!("client-secret-{}", std::process::id()));
        fs::write(&path, "old").unwrap();
        let secret = ClientSecret::in_file(&path).unwrap();
        let refused = secret.current();
        fs::remove_file(&path).unwrap();
        // A pipe without a writer: opening it waits.
        assert!(
            Command::new("mkfifo")
                .arg(&path)
                .status()
                .unwrap()
                .success()
        );
        let (reading, old) = (secret.clone(), refused.clone());
        let first = tokio::spawn(async move { reading.has_other_than(&old).await });
        while !secret.0.is_read.load(Ordering::Acquire) {
            tokio::task::yield_now().await;
        }
        assert!(
            !secret.has_other_than(&refused).await,
            "not read a second time"
        );
        let pipe = path.clone();
        let writer = thread::spawn(move || fs::write(pipe, "new"));
        assert!(first.await.unwrap());
        writer.join().unwrap().unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(secret.current().expose(), "new");
        assert!(secret.has_other_than(&refused).await);
    }
}
