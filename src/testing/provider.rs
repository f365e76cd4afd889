//! The development provider on its port.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
#[cfg(feature = "login")]
use http::{Request, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
#[cfg(feature = "login")]
use tower_service::Service;
use url::Url;

use crate::clock::{Clock, SharedClock};
use crate::error::{ConfigError, ProviderError, ProviderErrorKind};
use crate::http_client::{Call, HttpClient, Limits};
use crate::jwt::Algorithm;
use crate::provider::{Provider, ProviderBuilder};
#[cfg(feature = "login")]
use crate::testing::browser::{self, Browser};
use crate::testing::fault::{Endpoint, Fault, Hits};
use crate::testing::manner::Manner;
use crate::testing::server;
use crate::testing::signing_key::SigningKey;
use crate::testing::state::{State, generate_keys};
use crate::testing::token::{self, TokenBuilder};

/// An OpenID provider on a loopback port, for development and tests. It stops when it is dropped.
///
/// It signs users in (authorization code with PKCE), rotates refresh tokens and detects their reuse,
/// exchanges tokens, signs devices in (RFC 8628), answers UserInfo and revocation, and fails on demand. A request
/// without the scope `openid` is one of plain OAuth and brings no ID token.
/// [`OfflineProvider`](super::OfflineProvider) does the same without a socket.
#[derive(Debug)]
pub struct DevelopmentProvider {
    state: Arc<State>,
    task: JoinHandle<()>,
}

/// The choices with which a [`DevelopmentProvider`] starts.
#[must_use]
#[derive(Debug)]
pub struct DevelopmentProviderBuilder {
    path: String,
    clock: SharedClock,
    port: u16,
    user: Option<String>,
}

impl DevelopmentProviderBuilder {
    /// The path of the issuer, such as `/` or `/tenant`. Default: none.
    pub fn with_path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// The clock that dates tokens, and the one of [`DevelopmentProvider::provider`]. Default: the system's.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = SharedClock::new(clock);
        self
    }

    /// The port to listen on. Default: a free one.
    pub fn with_port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Shows a page on which the visitor chooses a user. By default every visitor is signed in as `user-1`,
    /// without a page.
    pub fn with_sign_in_page(mut self) -> Self {
        self.user = None;
        self
    }

    /// Starts the provider.
    ///
    /// # Errors
    /// If the port cannot be bound.
    pub async fn start(self) -> io::Result<DevelopmentProvider> {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await?;
        let address = format!("http://{}", listener.local_addr()?);
        // RSA keys take long to generate, and other tasks should not wait.
        let keys = tokio::task::spawn_blocking(|| generate_keys(1))
            .await
            .map_err(io::Error::other)?;
        let issuer = format!("{address}{}", self.path);
        let state = Arc::new(State::new(address, issuer, self.clock, keys, self.user));
        let task = tokio::spawn(server::serve(listener, Arc::clone(&state)));
        Ok(DevelopmentProvider { state, task })
    }
}

impl DevelopmentProvider {
    /// Starts a provider on a free port.
    ///
    /// # Errors
    /// If no port can be bound.
    pub async fn start() -> io::Result<Self> {
        Self::builder().start().await
    }

    /// The choices before the start.
    pub fn builder() -> DevelopmentProviderBuilder {
        DevelopmentProviderBuilder {
            path: String::new(),
            clock: SharedClock::system(),
            port: 0,
            user: Some("user-1".to_owned()),
        }
    }

    /// The issuer, a loopback address.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.state.issuer
    }

    /// The address of the key set.
    #[must_use]
    pub fn jwks_url(&self) -> String {
        format!("{}/jwks", self.state.address)
    }

    /// The address of the token endpoint. It knows the client `development` with the secret
    /// `development-secret`, and the client `development-public` without one.
    #[must_use]
    pub fn token_url(&self) -> String {
        format!("{}/token", self.state.address)
    }

    /// A [`Provider`] for this one, with plain http allowed.
    ///
    /// # Errors
    /// As [`ProviderBuilder::build`]. Without the feature `reqwest` an HTTP client is missing:
    /// hand one in with [`provider_builder`](Self::provider_builder).
    pub fn provider(&self) -> Result<Provider, ConfigError> {
        self.provider_builder().build()
    }

    /// The builder of [`provider`](Self::provider).
    pub fn provider_builder(&self) -> ProviderBuilder {
        Provider::builder(self.issuer())
            .danger()
            .allow_http_on_loopback()
            .with_shared_clock(self.state.clock().clone())
    }

    /// A token for this audience, signed with RS256.
    pub fn token(&self, audience: &str) -> TokenBuilder {
        self.token_by(Algorithm::Rs256, audience)
    }

    /// A token for this audience, signed with this algorithm.
    ///
    /// # Panics
    /// If this provider has no key for the algorithm: it has RS256, PS256, ES256, ES384 and EdDSA.
    pub fn token_by(&self, algorithm: Algorithm, audience: &str) -> TokenBuilder {
        self.state.token(algorithm, audience)
    }

    /// A token that is no JWT, as some providers issue if no audience is requested.
    #[must_use]
    pub fn opaque_token(&self) -> String {
        token::opaque_token()
    }

    /// An encrypted token, as Auth0 issues if no audience is requested.
    #[must_use]
    pub fn encrypted_token(&self) -> String {
        token::encrypted_token(self.issuer())
    }

    /// The key that signs with this algorithm.
    ///
    /// # Panics
    /// If this provider has no key for the algorithm.
    #[must_use]
    pub fn signing_key(&self, algorithm: Algorithm) -> Arc<SigningKey> {
        self.state.signing_key(algorithm)
    }

    /// Makes new keys and signs with them from now on. The old ones stay in the key set.
    pub fn rotate_keys(&self) {
        self.state.rotate_keys();
    }

    /// Removes retired keys from the key set.
    pub fn drop_retired_keys(&self) {
        self.state.changing().retired.clear();
    }

    /// Sets the fault of an endpoint, or clears it with `None`.
    pub fn set_fault(&self, endpoint: Endpoint, fault: impl Into<Option<Fault>>) {
        self.state.set_fault(endpoint, fault.into());
    }

    /// Answers with this metadata instead of its own.
    pub fn set_discovery(&self, json: impl Into<String>) {
        self.state.changing().discovery = Some(json.into());
    }

    /// Answers with this key set instead of its own.
    pub fn set_jwks(&self, json: impl Into<String>) {
        self.state.changing().jwks = Some(json.into());
    }

    /// The number of requests to each endpoint.
    #[must_use]
    pub fn hits(&self) -> Hits {
        self.state.changing().hits
    }

    /// The parameters of the last 100 requests to this endpoint, oldest first. Secrets are included.
    #[must_use]
    pub fn seen(&self, endpoint: Endpoint) -> Vec<Vec<(String, String)>> {
        let changing = self.state.changing();
        let seen = changing.seen.iter().filter(|(at, _)| *at == endpoint);
        seen.map(|(_, parameters)| parameters.clone()).collect()
    }

    /// Signs every visitor in as this user from now on, without a page.
    pub fn set_user(&self, subject: &str) {
        self.state.changing().user = Some(subject.to_owned());
    }

    /// Signs its user in at a site, through the service and without a socket: the [`Browser`] visits the start of the
    /// sign-in (`/oauth/openid`), this provider, and the callback. The user is `user-1` unless
    /// [`set_user`](Self::set_user) chose another.
    ///
    /// ```
    /// # #[cfg(all(feature = "axum", feature = "reqwest"))]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use axum::{Router, routing::get};
    /// use tower_oidc::testing::DevelopmentProvider;
    /// use tower_oidc::{Client, KeyRing, LoginLayer, Principal};
    ///
    /// let idp = DevelopmentProvider::start().await?;
    /// let login = LoginLayer::builder(
    ///     idp.provider()?.verifier("https://api.example.com")?,
    ///     Client::with_secret("development", "development-secret")?,
    ///     "https://app.example.com",
    ///     KeyRing::ephemeral()?,
    /// )
    /// .build()?;
    /// let mut app = Router::new()
    ///     .route("/whoami", get(async |principal: Principal| principal.subject().unwrap_or("nobody").to_owned()))
    ///     .layer(login);
    ///
    /// idp.set_user("ada");
    /// let mut browser = idp.sign_in(&mut app).await;
    /// assert_eq!(browser.get(&mut app, "/whoami").await.body(), "ada");
    /// # Ok(())
    /// # }
    /// # #[cfg(not(all(feature = "axum", feature = "reqwest")))]
    /// # fn main() {}
    /// ```
    ///
    /// # Panics
    /// If the sign-in fails. The message says why, and what cures it.
    #[cfg(feature = "login")]
    pub async fn sign_in<S, R>(&self, app: &mut S) -> Browser
    where
        S: Service<Request<String>, Response = Response<R>>,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        R: http_body::Body,
        R::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut browser = Browser::new();
        self.sign_in_with(&mut browser, app, "/oauth/openid").await;
        browser
    }

    /// The same with a browser that has cookies already, or with another start of the sign-in, such as
    /// `/oauth/staff` (`LoginBuilder::with_path`) or `/oauth/openid?return_to=/orders`.
    ///
    /// # Panics
    /// If the sign-in fails.
    #[cfg(feature = "login")]
    pub async fn sign_in_with<S, R>(&self, browser: &mut Browser, app: &mut S, start: &str)
    where
        S: Service<Request<String>, Response = Response<R>>,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        R: http_body::Body,
        R::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        browser::sign_in(&self.state, browser, app, start).await;
    }

    /// Approves the device that shows this user code, as a person does who is signed in as `subject`. A visit to the
    /// `verification_uri_complete` of the device does the same
    /// ([RFC 8628 §3.3](https://www.rfc-editor.org/rfc/rfc8628#section-3.3)).
    ///
    /// # Panics
    /// If no device waits with this code.
    pub fn approve_device(&self, user_code: &str, subject: &str) {
        self.decide_device(user_code, Some(subject));
    }

    /// Refuses the device that shows this user code.
    ///
    /// # Panics
    /// If no device waits with this code.
    pub fn deny_device(&self, user_code: &str) {
        self.decide_device(user_code, None);
    }

    fn decide_device(&self, user_code: &str, subject: Option<&str>) {
        let now = self.state.now();
        let decided = self
            .state
            .changing()
            .devices
            .decide(user_code, subject, now);
        assert!(decided, "no device waits with the code {user_code}");
    }

    /// Requires pushed authorization requests from now on
    /// ([RFC 9126 §5](https://www.rfc-editor.org/rfc/rfc9126#section-5)).
    pub fn require_pushed_authorization(&self) {
        self.state.changing().must_push = true;
    }

    /// Treats sign-ins in this manner from now on.
    pub fn set_manner(&self, manner: Manner) {
        self.state.changing().manner = manner;
    }

    /// The lifetime of access tokens from now on. Default: one hour.
    pub fn set_token_lifetime(&self, lifetime: Duration) {
        self.state.changing().grants.lifetime = lifetime;
    }

    /// Whether a refresh issues a new refresh token and spends the old one. Default: true.
    pub fn set_rotation(&self, rotates: bool) {
        self.state.changing().grants.rotates = rotates;
    }

    /// For how long a spent refresh token is taken again and brings other tokens, as Auth0's rotation overlap and
    /// Okta's grace period have it. Zero unless set: the second time revokes all tokens of the sign-in.
    pub fn set_reuse_grace(&self, grace: Duration) {
        self.state.changing().grants.reuse_grace = grace;
    }

    /// Changes the answers of the token endpoint from now on. The function gets the grant type and the
    /// document.
    pub fn edit_token_answer(&self, edit: impl Fn(&str, &mut Value) + Send + Sync + 'static) {
        self.state.changing().edits.answer = Some(Arc::new(edit));
    }

    /// Changes the ID tokens issued from now on.
    pub fn edit_id_token(
        &self,
        edit: impl Fn(TokenBuilder) -> TokenBuilder + Send + Sync + 'static,
    ) {
        self.state.changing().edits.id_token = Some(Arc::new(edit));
    }

    /// Changes the access tokens issued from now on by the token endpoint.
    pub fn edit_access_token(
        &self,
        edit: impl Fn(TokenBuilder) -> TokenBuilder + Send + Sync + 'static,
    ) {
        self.state.changing().edits.access_token = Some(Arc::new(edit));
    }

    /// The refresh tokens that are still valid.
    #[must_use]
    pub fn live_refresh_tokens(&self) -> Vec<String> {
        self.state.changing().grants.live()
    }

    /// Sends a back-channel logout: posts a [`logout_token`](Self::logout_token) to the address of a site, as
    /// a provider does when a user signs out.
    ///
    /// # Errors
    /// [`ProviderError`] if the site does not answer.
    pub async fn post_logout_token(
        &self,
        client: &HttpClient,
        url: &str,
        token: TokenBuilder,
    ) -> Result<StatusCode, ProviderError> {
        const LIMITS: Limits = Limits {
            time: Duration::from_secs(10),
            size: 64 * 1024,
        };
        let url = Url::parse(url).map_err(|error| {
            ProviderError::caused(
                ProviderErrorKind::InvalidAnswer,
                "the back-channel address is no URL",
                error.into(),
            )
        })?;
        let call = Call {
            form: Some(format!("logout_token={}", token.build())),
            ..Call::default()
        };
        let answer = client.send(&url, call, LIMITS).await?;
        Ok(answer.status())
    }

    /// A logout token for this client. It needs a `sub` or a `sid` claim
    /// ([Back-Channel Logout §2.4](https://openid.net/specs/openid-connect-backchannel-1_0.html#LogoutToken)).
    pub fn logout_token(&self, client_id: &str) -> TokenBuilder {
        self.state.logout_token(client_id)
    }
}

impl DevelopmentProvider {
    pub(super) fn state(&self) -> &Arc<State> {
        &self.state
    }
}

impl Drop for DevelopmentProvider {
    fn drop(&mut self) {
        self.task.abort();
    }
}
