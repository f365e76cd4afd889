use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::Response;
use tower_layer::Layer;

use crate::error::ConfigError;
use crate::login::browser::open_paths::OpenPaths;
use crate::login::browser::page::{Page, PlainPages};
use crate::login::hosts::choose::Hosts;
use crate::login::hosts::service::LoginOfHosts;
use crate::login::hosts::site::LoginSite;
use crate::login::hosts::source::SiteSource;
use crate::login::sessions::background::Background;
use crate::settings::ADDRESS;

/// Several sites in one program, such as one for each tenant: the host of a request chooses the site. Each has its own
/// provider, client, address, cookies and sessions.
///
/// ```
/// use tower_oidc::login::LoginHosts;
/// use tower_oidc::{Client, KeyRing, LoginLayer, Provider, Session};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// let site = |address: &str, issuer: &str| {
///     let verifier = Provider::discover(issuer)?.verifier("https://api.example.com")?;
///     let client = Client::with_secret("a-client", "its secret")?;
///     let keys = KeyRing::new(["thirty-two characters or more of secret"])?;
///     let login = LoginLayer::builder(verifier, client, address, keys).build()?;
///     Ok::<_, Box<dyn std::error::Error + Send + Sync>>(login)
/// };
/// let logins = LoginHosts::new([
///     site("https://a.example", "https://id.a.example")?,
///     site("https://b.example", "https://id.b.example")?,
/// ])?
/// .with_open_paths(["/healthz"])?;
///
/// async fn inbox(session: Session) -> String {
///     format!("{} of {}", session.subject(), session.issuer())
/// }
/// let app: axum::Router = axum::Router::new()
///     .route("/inbox", axum::routing::get(inbox))
///     .route("/healthz", axum::routing::get(|| async { "fine" }))
///     .layer(logins);
/// # Ok(())
/// # }
/// ```
///
/// Sites that are not known when the program starts, such as tenants in a database, come from a [`SiteSource`].
///
/// # Rules
/// 1. The host is that of the `Host` field (HTTP/1.1) or of `:authority` (HTTP/2), compared as a whole: the port counts,
///    and may be left out where it is that of the address's scheme. `X-Forwarded-Host` and its like are not read.
/// 2. The host only selects a site. Redirects, cookies and checks are made of the configured address of the site.
/// 3. A host that belongs to no site is answered 421
///    ([RFC 9110 §15.5.20](https://www.rfc-editor.org/rfc/rfc9110#section-15.5.20)). A request that names no host, or
///    two that differ, is answered 400. Nothing is served at such a host but the
///    [open paths](Self::with_open_paths).
/// 4. A session, a sign-in under way or a cookie of one site counts at no other, even where sites share the store, the
///    secrets, the provider and the client: everything is sealed for the address of its site.
/// 5. A caller that a [`BearerLayer`](crate::BearerLayer) further out has verified counts only at the site that the
///    token is for ([`LoginSite::with_bearer_verifier`]). Elsewhere the answer is 401.
///
/// # Deployment
/// A proxy has to pass the host on that the browser asked for, because many write that of this program into the request:
/// `proxy_set_header Host $host;` for nginx, and `$http_host` where the address has a port; `ProxyPreserveHost On` for
/// Apache; Caddy and Traefik pass it on by default. Where a proxy cannot, run a program for each site.
#[must_use]
#[derive(Clone)]
pub struct LoginHosts<P = PlainPages> {
    hosts: Arc<Hosts>,
    pages: P,
}

impl LoginHosts {
    /// These sites: a [`LoginLayer`](crate::LoginLayer) for each, or a [`LoginSet`](crate::login::LoginSet). Where there
    /// are some of both, make each a [`LoginSite`].
    ///
    /// # Errors
    /// [`ConfigError`] if there is none, if two have the same host, or if two differ by the port alone and their cookies
    /// cannot be told apart.
    pub fn new<T: Into<LoginSite>>(
        sites: impl IntoIterator<Item = T>,
    ) -> Result<Self, ConfigError> {
        let sites: Vec<_> = sites.into_iter().map(Into::into).collect();
        if sites.is_empty() {
            return Err(ConfigError::missing(
                ADDRESS,
                "add a layer for each site, or make it of a source (LoginHosts::from_source)",
            ));
        }
        Ok(Self {
            hosts: Arc::new(Hosts::new(sites)?),
            pages: PlainPages,
        })
    }

    /// The sites of this source alone.
    pub fn from_source(source: &SiteSource) -> Self {
        Self {
            hosts: Arc::new(Hosts::of_source(source)),
            pages: PlainPages,
        }
    }
}

impl<P> LoginHosts<P> {
    /// Asks this source about hosts that are not configured. Default: none; they are answered 421.
    pub fn with_source(self, source: &SiteSource) -> Self {
        Self {
            hosts: Arc::new(self.hosts.with_source(Some(source.clone()))),
            pages: self.pages,
        }
    }

    /// Opens these paths at every host, those that belong to no site included: for health checks, which ask by the IP
    /// address. Requests for them pass by all sites, without a caller. They are written as for
    /// [`LoginBuilder::with_open_paths`](crate::login::LoginBuilder::with_open_paths), and GET and HEAD pass alone.
    /// Default: none.
    ///
    /// # Errors
    /// [`ConfigError`] naming a path that cannot be used, or that the sign-in of a configured site answers.
    pub fn with_open_paths<'a>(
        self,
        paths: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, ConfigError> {
        let hosts = self.hosts.with_open_paths(OpenPaths::new(paths)?)?;
        Ok(Self {
            hosts: Arc::new(hosts),
            pages: self.pages,
        })
    }

    /// Chooses what is read when a sign-in fails, a session is over, or a host belongs to no site, as
    /// [`LoginLayer::on_page`](crate::LoginLayer::on_page) does. The pages are the same for all sites.
    pub fn on_page<F, B>(self, pages: F) -> LoginHosts<F>
    where
        F: Fn(&Page) -> Response<B>,
    {
        self.with_pages(pages)
    }

    /// The same with a type of your own that implements [`OnPage`](crate::login::OnPage), which can answer JSON too.
    pub fn with_pages<T>(self, pages: T) -> LoginHosts<T> {
        LoginHosts {
            hosts: self.hosts,
            pages,
        }
    }

    /// The sites: those that are configured, in their order, and those that the source has named and that are
    /// remembered. For their sessions and their readiness. A program whose tenants have a provider each should not
    /// report that it is not ready because one of them is away.
    #[must_use]
    pub fn sites(&self) -> Vec<LoginSite> {
        let mut sites = self.hosts.configured.clone();
        if let Some(source) = &self.hosts.source {
            sites.extend(source.sites());
        }
        sites
    }

    /// Ends the background work of all sites before the process does: see
    /// [`LoginLayer::drain`](crate::LoginLayer::drain). Sites that the source has replaced or forgotten are among them.
    pub fn drain(&self, deadline: Duration) -> impl Future<Output = bool> + Send + use<P> {
        let configured = self.hosts.configured.iter();
        let mut all: Vec<_> = configured.flat_map(LoginSite::backgrounds).collect();
        all.iter().for_each(Background::stop);
        if let Some(source) = &self.hosts.source {
            all.extend(source.stop());
        }
        Background::all_ended(all, deadline)
    }
}

impl<S, P: Clone> Layer<S> for LoginHosts<P> {
    type Service = LoginOfHosts<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        LoginOfHosts::new(inner, Arc::clone(&self.hosts), self.pages.clone())
    }
}

impl<P> fmt::Debug for LoginHosts<P> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LoginHosts")
            .field("configured", &self.hosts.configured)
            .field("source", &self.hosts.source)
            .finish_non_exhaustive()
    }
}
