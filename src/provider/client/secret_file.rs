//! A client secret that may stand in a file, where it can be replaced while this process runs.

use std::path::Path;
use std::sync::Arc;

use crate::error::ConfigError;
use crate::provider::client::kept_file::KeptFile;
use crate::secret::Secret;
use crate::settings::CLIENT_SECRET_FILE;

/// The secret in use. Clones of a client share it.
#[derive(Clone)]
pub(super) enum ClientSecret {
    /// A value of the program.
    Fixed(Secret),
    InFile {
        file: KeptFile<Secret>,
        at_start: Arc<Secret>,
    },
}

impl ClientSecret {
    pub(super) fn fixed(secret: &str) -> Self {
        Self::Fixed(Secret::new(secret))
    }

    pub(super) fn in_file(path: &Path) -> Result<Self, ConfigError> {
        // The end of its line is not part of it.
        let parse = |text: &Secret| Ok(Secret::new(text.expose().trim_end()));
        let file = KeptFile::new(CLIENT_SECRET_FILE, path, parse);
        let at_start = file.read_now().map_err(|problem| {
            file.refuse(
                &problem,
                "set it to the path of a file that contains only the client secret",
            )
        })?;
        Ok(Self::InFile { file, at_start })
    }

    pub(super) fn current(&self) -> Secret {
        match self {
            Self::Fixed(secret) => secret.clone(),
            Self::InFile { file, at_start } => {
                let kept = file.kept();
                kept.as_ref().unwrap_or(at_start).as_ref().clone()
            }
        }
    }

    /// Whether there is another secret than this one, which the provider refused. A file that cannot be used
    /// changes nothing.
    pub(super) async fn has_other_than(&self, refused: &Secret) -> bool {
        let Self::InFile { file, .. } = self else {
            return false;
        };
        if self.current() != *refused {
            // Another call has read it meanwhile.
            return true;
        }
        let Ok(secret) = file.current(|_| Ok(())).await else {
            return false;
        };
        let is_other = *secret != *refused;
        if is_other {
            tracing::info!(
                path = %file.path().display(),
                "the provider refused the client secret, and its file has another by now, which is used"
            );
        }
        is_other
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    // CA-01
    #[tokio::test]
    async fn another_secret_in_the_file_counts_and_nothing_else_does() {
        let path = std::env::temp_dir().join(format!("client-secret-{}", std::process::id()));
        fs::write(&path, "old\n").unwrap();
        let secret = ClientSecret::in_file(&path).unwrap();
        let refused = secret.current();
        assert_eq!(refused.expose(), "old");
        let large = "x".repeat(100_000);
        for same in ["old", "", " \n", large.as_str()] {
            fs::write(&path, same).unwrap();
            assert!(!secret.has_other_than(&refused).await);
            assert_eq!(secret.current().expose(), "old");
        }
        fs::remove_file(&path).unwrap();
        assert!(!secret.has_other_than(&refused).await);
        assert_eq!(secret.current().expose(), "old");
        fs::write(&path, "new").unwrap();
        assert!(secret.has_other_than(&refused).await);
        assert_eq!(secret.current().expose(), "new");
        // A call that sent the former one as well need not read it.
        fs::remove_file(&path).unwrap();
        assert!(secret.has_other_than(&refused).await);
        assert!(!ClientSecret::fixed("old").has_other_than(&refused).await);
    }
}
