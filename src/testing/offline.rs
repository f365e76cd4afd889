//! The provider in memory.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use tower_service::Service;
use url::{Url, form_urlencoded};

use crate::clock::{Clock, SharedClock};
use crate::error::{ConfigError, ProviderError, ProviderErrorKind};
use crate::http_client::HttpClient;
use crate::jwt::Algorithm;
use crate::provider::{Provider, ProviderBuilder};
#[cfg(feature = "login")]
use crate::testing::browser::{self, Browser};
use crate::testing::fault::{Endpoint, Fault, Hits};
use crate::testing::form::Parameters;
use crate::testing::server;
use crate::testing::sign_in::{self, Answer};
use crate::testing::signing_key::SigningKey;
use crate::testing::state::{State, generate_keys};
use crate::testing::token::TokenBuilder;

/// An OpenID provider in memory: it does what [`DevelopmentProvider`](super::DevelopmentProvider)
/// does, without a socket. Its [`HttpClient`] answers for it, under any issuer.
///
/// For tests of a service that need no network and no port:
///
/// ```
/// use tower_oidc::testing::OfflineProvider;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let idp = OfflineProvider::new("https://id.example");
/// let verifier = idp.provider()?.verifier("https://api.example.com")?;
///
/// let token = idp.token("https://api.example.com").scope("read:messages").build();
/// assert!(verifier.verify(&token).await?.has_scope("read:messages"));
///
/// let expired = idp.token("https://api.example.com").expired().build();
/// assert!(verifier.verify(&expired).await.is_err());
/// # Ok(())
/// # }
/// ```
///
/// The token endpoint takes the client `development` with the secret `development-secret`, and
/// `development-public` without one. [`sign_in`](Self::sign_in) takes the place of a browser at
/// the provider, and `sign_in_to` that of a browser which signs in at a site:
///
/// ```
/// # #[cfg(feature = "login")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use http::Request;
/// use tower::{Layer, service_fn};
/// use tower_oidc::testing::OfflineProvider;
/// use tower_oidc::{Client, KeyRing, LoginLayer};
/// # use std::convert::Infallible;
/// # use http::Response;
///
/// let idp = OfflineProvider::new("https://id.example");
/// let login = LoginLayer::builder(
///     idp.provider()?.verifier("https://api.example.com")?,
///     Client::with_secret("development", "development-secret")?,
///     "https://app.example.com",
///     KeyRing::ephemeral()?,
/// )
/// .build()?;
/// let mut page = login.layer(service_fn(|_: Request<String>| async {
///     Ok::<_, Infallible>(Response::new("hello".to_owned()))
/// }));
///
/// let mut browser = idp.sign_in_to(&mut page).await;
/// assert_eq!(browser.get(&mut page, "/").await.body(), "hello");
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "login"))]
/// # fn main() {}
/// ```
///
/// # Security
/// Not for production: it signs in anyone and mints any token.
#[derive(Debug)]
pub struct OfflineProvider {
    wire: Wire,
}

/// The choices with which an [`OfflineProvider`] is made.
#[must_use]
#[derive(Debug)]
pub struct OfflineProviderBuilder {
    issuer: String,
    clock: SharedClock,
    keys: Option<Vec<Arc<SigningKey>>>,
}

impl OfflineProviderBuilder {
    /// The clock that dates tokens, and the one of [`OfflineProvider::provider`]. Default: the system's.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = SharedClock::new(clock);
        self
    }

    /// Signs with these keys and publishes them in this order. Of two keys for one algorithm the
    /// first signs. Default: new keys for RS256, PS256, ES256, ES384 and `EdDSA`.
    pub fn with_keys(mut self, keys: impl IntoIterator<Item = Arc<SigningKey>>) -> Self {
        self.keys = Some(keys.into_iter().collect());
        self
    }

    /// The provider.
    #[must_use]
    pub fn build(self) -> OfflineProvider {
        let origin = Url::parse(&self.issuer).map(|url| url.origin().ascii_serialization());
        // An issuer that is no URL is an error where a `Provider` is built of it.
        let address = origin.unwrap_or_default();
        let keys = self.keys.unwrap_or_else(|| generate_keys(1));
        let user = Some("user-1".to_owned());
        let state = Arc::new(State::new(address, self.issuer, self.clock, keys, user));
        let router = server::router(Arc::clone(&state));
        OfflineProvider {
            wire: Wire { state, router },
        }
    }
}

impl OfflineProvider {
    /// A provider that calls itself `issuer`, with new keys for RS256, PS256, ES256, ES384 and
    /// `EdDSA`.
    #[must_use]
    pub fn new(issuer: &str) -> Self {
        Self::builder(issuer).build()
    }

    /// The choices before the provider is made.
    pub fn builder(issuer: &str) -> OfflineProviderBuilder {
        OfflineProviderBuilder {
            issuer: issuer.to_owned(),
            clock: SharedClock::system(),
            keys: None,
        }
    }

    /// The issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.wire.state.issuer
    }

    /// An HTTP client whose requests this provider answers, whatever their host. The endpoints are at the
    /// origin of the issuer.
    #[must_use]
    pub fn http_client(&self) -> HttpClient {
        HttpClient::new(self.wire.clone())
    }

    /// A [`Provider`] for this one.
    ///
    /// # Errors
    /// As [`ProviderBuilder::build`], if the issuer is not an https URL.
    pub fn provider(&self) -> Result<Provider, ConfigError> {
        self.provider_builder().build()
    }

    /// The builder of [`provider`](Self::provider).
    pub fn provider_builder(&self) -> ProviderBuilder {
        Provider::builder(self.issuer())
            .with_http_client(self.http_client())
            .with_shared_clock(self.wire.state.clock().clone())
    }

    /// A token for this audience, signed with RS256.
    ///
    /// # Panics
    /// If [`with_keys`](OfflineProviderBuilder::with_keys) brought no key for RS256.
    pub fn token(&self, audience: &str) -> TokenBuilder {
        self.token_by(Algorithm::Rs256, audience)
    }

    /// A token for this audience, signed with this algorithm.
    ///
    /// # Panics
    /// If this provider has no key for the algorithm.
    pub fn token_by(&self, algorithm: Algorithm, audience: &str) -> TokenBuilder {
        self.wire.state.token(algorithm, audience)
    }

    /// A logout token for this client. It needs a `sub` or a `sid`
    /// ([Back-Channel Logout §2.4](https://openid.net/specs/openid-connect-backchannel-1_0.html#LogoutToken)).
    ///
    /// # Panics
    /// If [`with_keys`](OfflineProviderBuilder::with_keys) brought no key for RS256.
    pub fn logout_token(&self, client_id: &str) -> TokenBuilder {
        self.wire.state.logout_token(client_id)
    }

    /// The key that signs with this algorithm.
    ///
    /// # Panics
    /// If this provider has no key for the algorithm.
    #[must_use]
    pub fn signing_key(&self, algorithm: Algorithm) -> Arc<SigningKey> {
        self.wire.state.signing_key(algorithm)
    }

    /// Signs in the user who follows this authorization URL, and returns the URL of the callback
    /// that the browser is sent to. It carries a code, or the error that the provider answers with. Where the answer
    /// is posted, its parameters are in the query of the URL all the same.
    ///
    /// # Errors
    /// [`ProviderError`] if it is no authorization URL of a known client.
    pub fn sign_in(&self, authorization_url: &str) -> Result<String, ProviderError> {
        let refuse = |text: &str| ProviderError::new(ProviderErrorKind::RequestRefused, text);
        let url = Url::parse(authorization_url).map_err(|_| refuse("this is not a URL"))?;
        let query: Parameters = url.query_pairs().into_owned().collect();
        match sign_in::answer(&self.wire.state, query) {
            Ok(Answer::Back(callback)) => Ok(callback),
            Ok(Answer::Posted(callback)) => Ok(callback.into()),
            Ok(Answer::AskWho(_)) => Err(refuse("no user is set")),
            Err(text) => Err(refuse(text)),
        }
    }

    /// As [`DevelopmentProvider::sign_in`](super::DevelopmentProvider::sign_in): signs its user in at a site, through the service and without a socket: the [`Browser`] visits the start of the
    /// sign-in (`/oauth/openid`), this provider, and the callback. The user is `user-1` unless
    /// [`set_user`](Self::set_user) chose another.
    ///
    /// # Panics
    /// If the sign-in fails. The message says why, and what cures it.
    #[cfg(feature = "login")]
    pub async fn sign_in_to<S, R>(&self, app: &mut S) -> Browser
    where
        S: Service<Request<String>, Response = Response<R>>,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        R: http_body::Body,
        R::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut browser = Browser::new();
        self.sign_in_to_with(&mut browser, app, "/oauth/openid")
            .await;
        browser
    }

    /// The same with a browser that has cookies already, or with another start of the sign-in, such as
    /// `/oauth/staff` (`LoginBuilder::with_path`) or `/oauth/openid?return_to=/orders`.
    ///
    /// # Panics
    /// If the sign-in fails.
    #[cfg(feature = "login")]
    pub async fn sign_in_to_with<S, R>(&self, browser: &mut Browser, app: &mut S, start: &str)
    where
        S: Service<Request<String>, Response = Response<R>>,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        R: http_body::Body,
        R::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        browser::sign_in(&self.wire.state, browser, app, start).await;
    }

    /// The user who signs in from now on. Default: `user-1`.
    pub fn set_user(&self, subject: &str) {
        self.wire.state.changing().user = Some(subject.to_owned());
    }

    /// The lifetime of access tokens from now on. Default: one hour.
    pub fn set_token_lifetime(&self, lifetime: Duration) {
        self.wire.state.changing().grants.lifetime = lifetime;
    }

    /// Answers with this metadata instead of its own.
    pub fn set_discovery(&self, json: impl Into<String>) {
        self.wire.state.changing().discovery = Some(json.into());
    }

    /// Answers with this key set instead of its own.
    pub fn set_jwks(&self, json: impl Into<String>) {
        self.wire.state.changing().jwks = Some(json.into());
    }

    /// Answers every request to the token endpoint with the JSON that `answer` makes of its parameters.
    /// Client and grant are not checked any more.
    pub fn set_token_answer(
        &self,
        answer: impl Fn(&[(String, String)]) -> String + Send + Sync + 'static,
    ) {
        self.wire.state.changing().edits.token_endpoint = Some(Arc::new(answer));
    }

    /// Sets the fault of an endpoint, or clears it with `None`.
    pub fn set_fault(&self, endpoint: Endpoint, fault: impl Into<Option<Fault>>) {
        self.wire.state.set_fault(endpoint, fault.into());
    }

    /// Makes new keys and signs with them from now on. The old ones stay in the key set.
    pub fn rotate_keys(&self) {
        self.wire.state.rotate_keys();
    }

    /// The number of requests to each endpoint.
    #[must_use]
    pub fn hits(&self) -> Hits {
        self.wire.state.changing().hits
    }
}

/// The connection to the provider: a call to its router.
#[derive(Clone)]
struct Wire {
    state: Arc<State>,
    router: Router,
}

impl Service<Request<Bytes>> for Wire {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        if request.uri().path() == server::TOKEN
            && let Some(answer) = self.state.changing().edits.token_endpoint.clone()
        {
            let state = Arc::clone(&self.state);
            return Box::pin(async move {
                let form = form_urlencoded::parse(request.body()).into_owned();
                let document = || (StatusCode::OK, answer(&form.collect::<Vec<_>>()));
                Ok(state.answer(Endpoint::Token, document).await)
            });
        }
        Box::pin(self.router.call(request.map(Body::from)))
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state.fmt(formatter)
    }
}
