use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Response};
use tower_layer::Layer;

use crate::error::{LoginError, StoreError};
use crate::login::browser::page::{Page, PlainPages};
use crate::login::browser::reply::with_return_path;
use crate::login::browser::return_path::ReturnPath;
use crate::login::browser::session_cookie;
use crate::login::party::Party;
use crate::login::service::Login;
use crate::login::sessions::listing::Sessions;
use crate::login::sign_in::adopt::{Adopted, SentNonce};
use crate::login::sign_in::obtained::ObtainedTokens;
use crate::login::store::StoreKey;
use crate::provider::Readiness;

/// Signs browsers in and keeps them signed in. See the [module](crate::login) for the rule.
///
/// ```
/// use tower::ServiceBuilder;
/// use tower_oidc::{Client, KeyRing, LoginLayer, Provider};
///
/// # async fn site(_: http::Request<String>) -> Result<http::Response<String>, std::convert::Infallible> {
/// #     Ok(http::Response::default())
/// # }
/// # fn main() -> Result<(), tower_oidc::ConfigError> {
/// let verifier = Provider::discover("https://id.example")?.verifier("https://api.example.com")?;
/// let client = Client::with_secret("a-client", "its secret")?;
/// let keys = KeyRing::new(["thirty-two characters or more of secret"])?;
/// let login = LoginLayer::builder(verifier, client, "https://app.example.com", keys).build()?;
/// assert_eq!(login.sign_out_path(), "/oauth/openid/logout"); // for a form of the site
/// let service = ServiceBuilder::new().layer(login).service_fn(site);
/// # let _: &dyn Fn() = &|| drop(service.clone());
/// # Ok(())
/// # }
/// ```
///
/// With the feature `reqwest`, `LoginLayer::from_env` makes it of settings.
#[doc(alias("cookie", "login", "logout", "oidc", "refresh", "sign in", "sso"))]
#[must_use]
#[derive(Clone)]
pub struct LoginLayer<P = PlainPages> {
    pub(super) party: Arc<Party>,
    pages: P,
}

/// How provider and store stand.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LoginReadiness {
    /// The provider's keys.
    pub provider: Readiness,
    /// Whether the store answers, and why not.
    pub store: Result<(), StoreError>,
}

impl LoginReadiness {
    /// Whether browsers can be served now.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.provider.is_ready() && self.store.is_ok()
    }
}

impl LoginLayer {
    pub(super) fn new(party: Party) -> Self {
        Self {
            party: Arc::new(party),
            pages: PlainPages,
        }
    }
}

impl<P> LoginLayer<P> {
    /// Chooses what is read when a sign-in fails or a session is over, by a closure
    /// `Fn(&Page) -> Response<B>`. Status and the fields of the standards stay. Default:
    /// [`PlainPages`].
    pub fn on_page<F, B>(self, pages: F) -> LoginLayer<F>
    where
        F: Fn(&Page) -> Response<B>,
    {
        self.with_pages(pages)
    }

    /// The same with a type of your own that implements [`OnPage`](crate::login::OnPage), which can answer JSON too.
    pub fn with_pages<T>(self, pages: T) -> LoginLayer<T> {
        LoginLayer {
            party: self.party,
            pages,
        }
    }

    /// The path of the site's address, for links of its pages: `/app` for `https://host.example/app`, empty for an
    /// origin. Browsers see it before every path, and a proxy takes it off the paths of requests.
    #[must_use]
    pub fn base_path(&self) -> &str {
        self.party.site.base.as_str()
    }

    /// The local path that signs in, for a button: `/oauth/openid` unless chosen otherwise, below the
    /// [base path](Self::base_path). With `return_to`, a path of this site as browsers see it, it comes back there.
    #[must_use]
    pub fn sign_in_path(&self) -> &str {
        &self.party.site.public.start
    }

    /// The local address that signs in and comes back to this path, for a link on a page of the application where
    /// people choose how to sign in.
    ///
    /// ```
    /// # use tower_oidc::{Client, KeyRing, LoginLayer, Provider};
    /// # let verifier = Provider::discover("https://id.example")?.verifier("https://api.example.com")?;
    /// # let client = Client::with_secret("a-client", "its secret")?;
    /// # let keys = KeyRing::new(["thirty-two characters or more of secret"])?;
    /// use tower_oidc::login::ReturnPath;
    ///
    /// let login = LoginLayer::builder(verifier, client, "https://app.example.com", keys)
    ///     .with_login_page("/login")
    ///     .build()?;
    /// // The page is asked for as /login?return_to=%2Finbox%3Fpage%3D2.
    /// let back_to = ReturnPath::of_query("return_to=%2Finbox%3Fpage%3D2");
    /// assert_eq!(
    ///     login.sign_in_link(&back_to),
    ///     "/oauth/openid?return_to=%2Finbox%3Fpage%3D2"
    /// );
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn sign_in_link(&self, back_to: &ReturnPath) -> String {
        let site = &self.party.site;
        with_return_path(&site.public.start, &site.within(back_to))
    }

    /// The local path that signs out when a page of this site posts to it.
    ///
    /// A form is sent on, to the provider's sign-out where there is one. A script that accepts `application/json` and
    /// no HTML is answered 204, with the address to send the browser to in `Location`: `fetch` cannot follow to
    /// another origin.
    #[must_use]
    pub fn sign_out_path(&self) -> &str {
        &self.party.site.public.logout
    }

    /// The issuer of the provider at which it signs in, as [`Session::issuer`](crate::Session::issuer) names it; for a
    /// provider of many tenants, the issuer with the placeholder.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.party.sign_in.provider.issuer().as_str()
    }

    /// The sessions of this layer: to list those of a person, to end one, to end them all ("sign out everywhere").
    #[must_use]
    pub fn sessions(&self) -> Sessions {
        Sessions::new(Arc::clone(&self.party.sessions))
    }

    /// Makes a session of tokens that the application obtained from the provider itself: in a callback of its own, by
    /// a device flow, from a native app. From then on the session is as any other: this crate refreshes it, ends it,
    /// and lists it.
    ///
    /// The checks are those of a sign-in by this layer: the ID token is verified with its `nonce`, `at_hash` and
    /// audience, and was issued in the last 10 minutes; in token mode the access token is verified; a refresh token is
    /// there where one is required; [who may sign in](crate::login::LoginBuilder::on_sign_in) is decided as for every
    /// sign-in. The tokens must be those of the layer's own client, because it spends the refresh token.
    ///
    /// `headers` are those of the browser's request. The session that the browser had before is replaced, and the new
    /// one has a new random id whatever the browser sends, so that an id which an attacker planted is of no use. Where
    /// there is no request, pass an empty map.
    ///
    /// ```no_run
    /// use http::header::{LOCATION, SET_COOKIE};
    /// use http::{HeaderMap, Response, StatusCode};
    /// use tower_oidc::login::{ObtainedTokens, SentNonce};
    /// use tower_oidc::{LoginError, LoginLayer};
    ///
    /// /// The callback of the application, after it has compared `state` and exchanged the code.
    /// async fn signed_in(
    ///     login: &LoginLayer,
    ///     headers: &HeaderMap,
    ///     tokens: ObtainedTokens,
    ///     nonce: &str,
    /// ) -> Result<Response<String>, LoginError> {
    ///     let adopted = login.adopt(headers, tokens, SentNonce::Is(nonce)).await?;
    ///     let mut answer = Response::new(String::new());
    ///     *answer.status_mut() = StatusCode::SEE_OTHER;
    ///     let fields = answer.headers_mut();
    ///     fields.insert(LOCATION, http::HeaderValue::from_static("/"));
    ///     fields.append(SET_COOKIE, adopted.set_cookie().clone());
    ///     Ok(answer)
    /// }
    /// ```
    ///
    /// # Errors
    /// [`LoginError`] with the kind that a sign-in by this layer would end with. No session is then made. Where the
    /// application or a setting refuses the user, the tokens are revoked, as at every sign-in. An ID token makes one
    /// session: the second time the kind is [`AttemptReplayed`](crate::LoginErrorKind::AttemptReplayed), because two
    /// sessions would spend one refresh token. Where the provider or the store was away, the same tokens can be handed
    /// over again.
    ///
    /// # Security
    /// The application is responsible for what comes before the tokens: that `state` (and PKCE) tie the callback to
    /// this browser. Without that, an attacker can sign a victim's browser in as themselves.
    ///
    /// Hand over what the provider answered, and compare a nonce that the application made itself. Tokens that a
    /// program of the user's sends (a native app) are as good as their `at_hash`: where the provider issues none,
    /// nothing ties the ID token to the access token beside it, and a stolen ID token of another user would do.
    /// Have such a program send its code instead.
    pub fn adopt<'n, T: Into<ObtainedTokens>>(
        &self,
        headers: &HeaderMap,
        tokens: T,
        nonce: SentNonce<'n>,
    ) -> impl Future<Output = Result<Adopted, LoginError>> + Send + use<'n, T, P> {
        let party = Arc::clone(&self.party);
        let former = session_cookie::named_by(headers, &party.cookies);
        let tokens = tokens.into();
        async move { party.sign_in.adopt(former, tokens, nonce).await }
    }

    /// How provider and store stand, for a readiness probe. Asks the store. Where the provider's keys are missing
    /// and an attempt is due, one is started and not waited for, so that a service that gets no requests until
    /// it is ready becomes so.
    pub async fn readiness(&self) -> LoginReadiness {
        let unused = StoreKey::of(&["readiness"]);
        let provider = &self.party.sign_in.provider;
        if !provider.readiness().is_ready() {
            drop(provider.keys().read());
        }
        let store = self.party.sessions.ledger.store();
        LoginReadiness {
            provider: provider.readiness(),
            store: store.load(unused).await.map(|_| ()),
        }
    }

    /// Ends the background work of this layer before the process does. From the call on, no session is refreshed
    /// any more. The future waits until the refreshes under way are stored and revocations are sent, but no
    /// longer than `deadline`, and returns whether all of it ended in time. Live tokens are served meanwhile; a
    /// request whose session has none is answered 503, and another replica serves it.
    ///
    /// A process that ends without it while it refreshes sessions loses what the provider answers. Those
    /// sessions then have to be refreshed with a token that is spent, which many providers take for theft. Call
    /// it when the process is asked to stop, beside the graceful shutdown of the server. A refresh takes no
    /// longer than 15 seconds while the store answers, so 20 seconds are enough; give the process that long
    /// before it is killed.
    ///
    /// With axum:
    ///
    /// ```no_run
    /// # fn router() -> axum::Router { axum::Router::new() }
    /// use std::time::Duration;
    /// use tower_oidc::LoginLayer;
    ///
    /// #[cfg(unix)]
    /// async fn asked_to_stop() {
    ///     use tokio::signal::unix::{SignalKind, signal};
    ///     if let Ok(mut terminate) = signal(SignalKind::terminate()) {
    ///         terminate.recv().await;
    ///     }
    /// }
    ///
    /// #[cfg(not(unix))]
    /// async fn asked_to_stop() {
    ///     let _ = tokio::signal::ctrl_c().await;
    /// }
    ///
    /// async fn serve(login: LoginLayer) -> std::io::Result<()> {
    ///     let app = router().layer(login.clone());
    ///     let draining = tokio::spawn(async move {
    ///         asked_to_stop().await;
    ///         login.drain(Duration::from_secs(20)).await
    ///     });
    ///     let listener = tokio::net::TcpListener::bind("0.0.0.0:3080").await?;
    ///     axum::serve(listener, app)
    ///         .with_graceful_shutdown(asked_to_stop())
    ///         .await?;
    ///     if !draining.await? {
    ///         eprintln!("some sessions could not be stored in time");
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// With hyper:
    ///
    /// ```no_run
    /// # async fn asked_to_stop() {}
    /// # async fn page(_: http::Request<hyper::body::Incoming>) -> Result<http::Response<String>, std::convert::Infallible> {
    /// #     Ok(http::Response::default())
    /// # }
    /// use std::time::Duration;
    /// use hyper_util::rt::{TokioExecutor, TokioIo};
    /// use hyper_util::server::{conn::auto::Builder, graceful::GracefulShutdown};
    /// use hyper_util::service::TowerToHyperService;
    /// use tower::{Layer, service_fn};
    /// use tower_oidc::LoginLayer;
    ///
    /// async fn serve(login: LoginLayer) -> std::io::Result<()> {
    ///     let service = TowerToHyperService::new(login.layer(service_fn(page)));
    ///     let listener = tokio::net::TcpListener::bind("0.0.0.0:3080").await?;
    ///     let server = Builder::new(TokioExecutor::new());
    ///     let connections = GracefulShutdown::new();
    ///     let mut stop = std::pin::pin!(asked_to_stop());
    ///     loop {
    ///         tokio::select! {
    ///             () = &mut stop => break,
    ///             accepted = listener.accept() => {
    ///                 let io = TokioIo::new(accepted?.0);
    ///                 let connection = server.serve_connection(io, service.clone()).into_owned();
    ///                 tokio::spawn(connections.watch(connection));
    ///             }
    ///         }
    ///     }
    ///     tokio::join!(connections.shutdown(), login.drain(Duration::from_secs(20)));
    ///     Ok(())
    /// }
    /// ```
    ///
    /// With tonic, where pages of the site call its services by gRPC-Web. No program reads a page there, so the
    /// answers of the layer have no body:
    ///
    /// ```no_run
    /// # async fn asked_to_stop() {}
    /// use std::time::Duration;
    /// use tonic::service::Routes;
    /// use tonic::transport::Server;
    /// use tower_oidc::LoginLayer;
    /// use tower_oidc::login::Page;
    ///
    /// async fn serve(
    ///     login: LoginLayer,
    ///     services: Routes,
    /// ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    ///     let draining = tokio::spawn({
    ///         let login = login.clone();
    ///         async move {
    ///             asked_to_stop().await;
    ///             login.drain(Duration::from_secs(20)).await
    ///         }
    ///     });
    ///     let no_page = |_: &Page| http::Response::new(tonic::body::Body::empty());
    ///     Server::builder()
    ///         .layer(login.on_page(no_page))
    ///         .add_routes(services)
    ///         .serve_with_shutdown("0.0.0.0:3080".parse()?, asked_to_stop())
    ///         .await?;
    ///     draining.await?;
    ///     Ok(())
    /// }
    /// ```
    pub fn drain(&self, deadline: Duration) -> impl Future<Output = bool> + Send + use<P> {
        let sessions = Arc::clone(&self.party.sessions);
        sessions.renewals.stop();
        async move { sessions.drain(deadline).await }
    }

    /// The address to register with the provider for its answers.
    #[must_use]
    pub fn redirect_uri(&self) -> String {
        self.party.site.redirect_uri()
    }
}

impl<S, P: Clone> Layer<S> for LoginLayer<P> {
    type Service = Login<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        Login::new(inner, Arc::clone(&self.party), self.pages.clone())
    }
}

impl<P> fmt::Debug for LoginLayer<P> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LoginLayer")
            .field("client", &self.party.sign_in.client)
            .field("origin", &self.party.site.origin)
            .finish_non_exhaustive()
    }
}
