//! Where the tokens of requests that leave come from.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use http::{Extensions, Uri};

use crate::error::OutboundError;
use crate::token::live::LiveToken;

/// Where the tokens of requests that leave come from.
///
/// Asked anew for each request, so that a stream of an hour works with tokens of five minutes. A
/// source keeps what it fetches and shares it among all who ask. A token that a service refused is
/// [marked](LiveToken::is_refused): a source that can hands out a newer one from then on. One that
/// cannot hands out the same, and whoever called is told what the service answered.
///
/// ```
/// use std::sync::Mutex;
///
/// use tower_oidc::error::OutboundError;
/// use tower_oidc::outbound::{Asked, LiveToken, Supply, TokenSource};
///
/// /// Tokens that somebody writes into a file.
/// struct File {
///     path: std::path::PathBuf,
///     last: Mutex<Option<LiveToken>>,
/// }
///
/// impl TokenSource for File {
///     fn supply(&self, _: &Asked<'_>) -> Supply {
///         let mut last = self.last.lock().unwrap();
///         if let Some(token) = last.as_ref().filter(|token| !token.is_refused()) {
///             return Supply::Ready(token.clone());
///         }
///         let read = std::fs::read_to_string(&self.path)
///             .map_err(OutboundError::source_failed)
///             .and_then(|text| LiveToken::new(text.trim()).map_err(OutboundError::source_failed));
///         match read {
///             Ok(token) => Supply::Ready(last.insert(token).clone()),
///             Err(error) => Supply::Refused(error),
///         }
///     }
/// }
/// ```
pub trait TokenSource: Send + Sync + 'static {
    /// A token for this request.
    fn supply(&self, asked: &Asked<'_>) -> Supply;
}

/// What a source says.
#[expect(
    clippy::exhaustive_enums,
    reason = "sources outside of this crate make it"
)]
pub enum Supply {
    /// Here it is.
    Ready(LiveToken),
    /// It must be fetched first.
    Wait(TokenFuture),
    /// There is none.
    Refused(OutboundError),
}

/// A token on its way.
pub type TokenFuture = Pin<Box<dyn Future<Output = Result<LiveToken, OutboundError>> + Send>>;

impl Supply {
    /// The token, waited for.
    ///
    /// # Errors
    /// [`OutboundError`] if there is none.
    pub async fn token(self) -> Result<LiveToken, OutboundError> {
        match self {
            Self::Ready(token) => Ok(token),
            Self::Wait(token) => token.await,
            Self::Refused(error) => Err(error),
        }
    }
}

/// What a source may know of a request that wants a token.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    uri: Option<&'a Uri>,
    extensions: Option<&'a Extensions>,
}

impl<'a> Asked<'a> {
    /// For no request in particular.
    #[must_use]
    pub fn for_nobody() -> Self {
        Self {
            uri: None,
            extensions: None,
        }
    }

    /// For a request to this address with these extensions.
    #[must_use]
    pub fn for_request(uri: &'a Uri, extensions: &'a Extensions) -> Self {
        Self {
            uri: Some(uri),
            extensions: Some(extensions),
        }
    }

    /// Where the request goes.
    #[must_use]
    pub fn uri(&self) -> Option<&'a Uri> {
        self.uri
    }

    /// What the application put beside the request, such as a [`Principal`](crate::Principal).
    #[must_use]
    pub fn extension<T: Send + Sync + 'static>(&self) -> Option<&'a T> {
        self.extensions?.get()
    }
}

/// Always this one.
impl TokenSource for LiveToken {
    fn supply(&self, _: &Asked<'_>) -> Supply {
        Supply::Ready(self.clone())
    }
}

impl fmt::Debug for Asked<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Asked")
            .field("host", &self.uri.and_then(Uri::host))
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Supply {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(token) => formatter.debug_tuple("Ready").field(token).finish(),
            Self::Wait(_) => formatter.write_str("Wait"),
            Self::Refused(error) => formatter.debug_tuple("Refused").field(error).finish(),
        }
    }
}
