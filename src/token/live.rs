//! An access token that may be sent.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::HeaderValue;

use crate::clock::UnixTime;
use crate::token::AccessToken;

/// An access token that is live now. Use it at once, and ask again for the next call.
///
/// `Debug` does not show it.
#[derive(Clone)]
pub struct LiveToken {
    authorization: HeaderValue,
    generation: u64,
    expires_at: Option<UnixTime>,
    /// Shared by all clones.
    refused: Arc<AtomicBool>,
}

/// The token holds characters that cannot stand in a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token holds characters that cannot stand in a header")]
#[non_exhaustive]
pub struct UnusableToken;

const SCHEME: &str = "Bearer ";

impl LiveToken {
    /// A token from its text.
    ///
    /// # Errors
    /// [`UnusableToken`] if it is empty or not visible ASCII.
    pub fn new(text: &str) -> Result<Self, UnusableToken> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(UnusableToken);
        }
        let mut authorization =
            HeaderValue::try_from([SCHEME, text].concat()).map_err(|_| UnusableToken)?;
        authorization.set_sensitive(true);
        Ok(Self {
            authorization,
            generation: 0,
            expires_at: None,
            refused: Arc::default(),
        })
    }

    /// Which of the tokens of its source this is. Each newer one has a greater number. Default: 0.
    #[must_use]
    pub fn with_generation(mut self, generation: u64) -> Self {
        self.generation = generation;
        self
    }

    /// When it expires. Default: nobody knows.
    #[must_use]
    pub fn with_expiry(mut self, expires_at: UnixTime) -> Self {
        self.expires_at = Some(expires_at);
        self
    }

    /// The token.
    #[must_use]
    pub fn as_access_token(&self) -> AccessToken<'_> {
        let text = self.authorization.to_str().unwrap_or_default();
        AccessToken::new(text.strip_prefix(SCHEME).unwrap_or_default())
    }

    /// The value of an `Authorization` field, marked sensitive.
    #[must_use]
    pub fn to_authorization(&self) -> HeaderValue {
        self.authorization.clone()
    }

    /// Remembers that a service refused it, in this and in every clone, so that its source fetches a
    /// newer one before it hands out another.
    pub fn mark_refused(&self) {
        self.refused.store(true, Ordering::Relaxed);
    }

    /// Whether a service refused it.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// Which of the tokens of its source this is.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// When it expires, where that is known.
    #[must_use]
    pub fn expires_at(&self) -> Option<UnixTime> {
        self.expires_at
    }
}

impl fmt::Debug for LiveToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LiveToken")
            .field("generation", &self.generation)
            .field("expires_at", &self.expires_at)
            .field("is_refused", &self.is_refused())
            .finish_non_exhaustive()
    }
}
