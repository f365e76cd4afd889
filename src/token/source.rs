//! Where the tokens of outgoing requests come from.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use http::{Extensions, Uri};

use crate::error::{OutboundError, OutboundErrorKind};
use crate::token::live::LiveToken;
use crate::token::target::Target;

/// Where the tokens of outgoing requests come from.
///
/// It is asked for each request, so a stream of an hour works with tokens of five minutes. A source
/// caches the token it fetches and shares it. A token that a service refused is
/// [marked](LiveToken::is_refused). From then on the source returns a newer one if it can. If it returns
/// the same one, the caller gets the service's answer.
///
/// ```
/// use std::sync::Mutex;
///
/// use tower_oidc::error::OutboundError;
/// use tower_oidc::outbound::{LiveToken, TokenRequest, TokenSource, TokenSupply};
///
/// /// Tokens that another program writes into a file.
/// struct File {
///     path: std::path::PathBuf,
///     last: Mutex<Option<LiveToken>>,
/// }
///
/// impl TokenSource for File {
///     fn supply(&self, _: &TokenRequest<'_>) -> TokenSupply {
///         let mut last = self.last.lock().unwrap();
///         if let Some(token) = last.as_ref().filter(|token| !token.is_refused()) {
///             return TokenSupply::Ready(token.clone());
///         }
///         let read = std::fs::read_to_string(&self.path)
///             .map_err(OutboundError::source_failed)
///             .and_then(|text| LiveToken::new(text.trim()).map_err(OutboundError::source_failed));
///         match read {
///             Ok(token) => TokenSupply::Ready(last.insert(token).clone()),
///             Err(error) => TokenSupply::Refused(error),
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` gives out no tokens",
    note = "a source is `ClientCredentials`, `TokenExchange`, `OnBehalfOf`, or a type of yours with `TokenSource`",
    note = "for the token of the caller write `OutboundLayer::relay`, for one token `OutboundLayer::fixed`"
)]
pub trait TokenSource: Send + Sync + 'static {
    /// A token for this request.
    fn supply(&self, request: &TokenRequest<'_>) -> TokenSupply;

    /// A token for another target, of a source whose tokens come of one sign-in: a session of a layer that was told of
    /// the target ([`LoginBuilder::add_target`](crate::login::LoginBuilder::add_target)). Default: there is none.
    fn supply_for(&self, target: &Target, request: &TokenRequest<'_>) -> TokenSupply {
        let _ = (target, request);
        TokenSupply::Refused(OutboundErrorKind::NoSession.into())
    }

    /// A token that can be used now, without a layer: for programs that call by other ways, such as a message broker or
    /// a client of their own. It comes from the same cache, is fetched once however many ask, and is renewed in the
    /// background before its end. So ask for each call, and keep none.
    ///
    /// If a service refuses it, [mark it as refused](LiveToken::mark_refused) and ask again.
    ///
    /// ```
    /// use tower_oidc::OutboundError;
    /// use tower_oidc::outbound::{ClientCredentials, TokenSource};
    ///
    /// async fn headers(tokens: &ClientCredentials) -> Result<http::HeaderMap, OutboundError> {
    ///     let token = tokens.token().await?;
    ///     let mut headers = http::HeaderMap::new();
    ///     headers.insert(http::header::AUTHORIZATION, token.to_authorization());
    ///     Ok(headers)
    /// }
    /// ```
    ///
    /// # Errors
    /// [`OutboundError`] if there is none: of kind [`NoCaller`](OutboundErrorKind::NoCaller) for a source whose tokens
    /// are a caller's, such as an exchange.
    ///
    /// # Security
    /// Here nothing checks where the token goes.
    fn token(&self) -> TokenFuture {
        Box::pin(self.supply(&TokenRequest::unbound()).token())
    }

    /// From the call on no grant is started. Completes when those under way have ended, at the latest after
    /// `deadline`, with whether all have. Default: at once, because there is none.
    fn drain(&self, deadline: Duration) -> DrainFuture {
        let _ = deadline;
        Box::pin(std::future::ready(true))
    }
}

/// Completes when no grant is under way, or too late. Returned by [`TokenSource::drain`].
pub type DrainFuture = Pin<Box<dyn Future<Output = bool> + Send>>;

/// The answer of a source.
#[expect(
    clippy::exhaustive_enums,
    reason = "sources outside this crate make it"
)]
pub enum TokenSupply {
    /// The token.
    Ready(LiveToken),
    /// It must be fetched first.
    Wait(TokenFuture),
    /// There is no token.
    Refused(OutboundError),
}

/// A token that is being fetched.
pub type TokenFuture = Pin<Box<dyn Future<Output = Result<LiveToken, OutboundError>> + Send>>;

impl TokenSupply {
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

/// What a source can know of the request that needs a token.
#[derive(Clone, Copy)]
pub struct TokenRequest<'a> {
    uri: Option<&'a Uri>,
    extensions: Option<&'a Extensions>,
    /// The caller that was named, whatever the request says.
    caller: Option<&'a Extensions>,
}

impl<'a> TokenRequest<'a> {
    /// A token for no particular request.
    #[must_use]
    pub fn unbound() -> Self {
        Self {
            uri: None,
            extensions: None,
            caller: None,
        }
    }

    /// A token for a request to this URI with these extensions.
    #[must_use]
    pub fn for_request(uri: &'a Uri, extensions: &'a Extensions) -> Self {
        Self {
            uri: Some(uri),
            extensions: Some(extensions),
            caller: None,
        }
    }

    /// The same for the caller in these extensions, unless one was named before.
    #[must_use]
    pub(crate) fn with_caller<'b>(&self, caller: &'b Extensions) -> TokenRequest<'b>
    where
        'a: 'b,
    {
        TokenRequest {
            caller: self.caller.or(Some(caller)),
            ..*self
        }
    }

    /// The URI of the request.
    #[must_use]
    pub fn uri(&self) -> Option<&'a Uri> {
        self.uri
    }

    /// An extension of the request, such as the [`Principal`](crate::Principal).
    #[must_use]
    pub fn extension<T: Send + Sync + 'static>(&self) -> Option<&'a T> {
        let named = self.caller.and_then(Extensions::get);
        named.or_else(|| self.extensions?.get())
    }
}

/// A fixed token is its own source.
impl TokenSource for LiveToken {
    fn supply(&self, _: &TokenRequest<'_>) -> TokenSupply {
        TokenSupply::Ready(self.clone())
    }
}

impl fmt::Debug for TokenRequest<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TokenRequest")
            .field("host", &self.uri.and_then(Uri::host))
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TokenSupply {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(token) => formatter.debug_tuple("Ready").field(token).finish(),
            Self::Wait(_) => formatter.write_str("Wait"),
            Self::Refused(error) => formatter.debug_tuple("Refused").field(error).finish(),
        }
    }
}
