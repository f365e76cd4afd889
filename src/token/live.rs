//! An access token that can be sent.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::HeaderValue;

use crate::clock::UnixTime;
use crate::token::AccessToken;

/// An access token that is valid now. Use it at once, and ask its source again for the next call.
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

/// The token holds characters that a header cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token holds characters that a header cannot")]
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

    /// Its number among the tokens of its source. A newer one has a greater number. Default: 0.
    #[must_use]
    pub fn with_generation(mut self, generation: u64) -> Self {
        self.generation = generation;
        self
    }

    /// When it expires. Default: unknown.
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

    /// The value of an `Authorization` field, marked as sensitive.
    #[must_use]
    pub fn to_authorization(&self) -> HeaderValue {
        self.authorization.clone()
    }

    /// Marks it, and all its clones, as refused by a service, so that its source fetches a newer one.
    pub fn mark_refused(&self) {
        self.refused.store(true, Ordering::Relaxed);
    }

    /// Whether a service refused it.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// Its number among the tokens of its source.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// When it expires, if that is known.
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
