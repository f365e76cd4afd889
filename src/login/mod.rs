//! Who is calling, in a browser? [`LoginLayer`] signs people in at the provider, keeps their tokens
//! on the server, refreshes them transparently, and signs out.
//!
//! The rule:
//! 1. Some paths are the layer's own, `/oauth/openid` and those below it: start (GET), `callback`
//!    (GET), `logout` (POST from a page of this site), `backchannel-logout` (POST by the provider),
//!    and, where they are turned on, `frontchannel-logout` and `session`
//!    ([information for scripts](LoginBuilder::with_session_information)).
//! 2. A request that already has a [`Principal`](crate::Principal), by a
//!    [`BearerLayer`](crate::BearerLayer) further out, passes: browsers and API clients may use the
//!    same routes.
//! 3. No session: a top-level navigation is sent to the start path, or to the
//!    [login page](LoginBuilder::with_login_page) of the application, and comes back; anything else is
//!    answered 401. With [`allow_anonymous`](LoginBuilder::allow_anonymous) it passes without a
//!    principal, and a navigation that [`require`](crate::require) refuses is sent to sign in.
//! 4. A session and a request that may change something (any method but GET, HEAD, OPTIONS and TRACE,
//!    and upgrades): 403 unless `Sec-Fetch-Site` or `Origin` proves that it comes from this origin.
//! 5. A session whose access token is due is refreshed: from a minute before its end in the background,
//!    from ten seconds before its end while the request waits; never in the first four fifths of its
//!    life. One task per session does it, in one process or in many that share a store, and goes on if
//!    the request is cancelled.
//! 6. Passed: the [`Principal`](crate::Principal) of the access token, verified as a bearer token is,
//!    and the [`Session`] stand in the request's extensions. In
//!    [identity mode](crate::LoginLayer::identity) it is that of the ID token.
//! 7. The provider rejected the refresh token (`invalid_grant`), or a refresh brought verified tokens of
//!    another subject or issuer: the session is over, the cookie cleared, and 3 holds. Nothing else
//!    ends a session but a sign-out and its own end. While the provider or the store is away, or the
//!    provider refuses this client, live tokens are used; after their end the answer is 503 with
//!    `Retry-After`, or 500 naming the setting.
//! 8. An access token that can never be verified here (opaque, encrypted, for another audience) makes
//!    no session, but in identity mode, where it is not looked at. It is not refreshed and causes no redirect loop: a page says what came and
//!    which setting cures it.
//! 9. GET and HEAD requests for [open paths](LoginBuilder::with_open_paths) pass without a principal, and one
//!    that was there is removed. No session is loaded for them, and their responses stay as they are. The
//!    layer's own paths and paths that could be taken for others are never open.
//! 10. The cookies of all sign-ins under way in a browser stay within 6 KiB together, whatever number of tabs begin
//!     at once; the oldest gives way. An answer of the provider that no sign-in waits for leads a browser that is
//!     signed in to the site. Beside another sign-in of the same browser it begins once more, and only once.
//! 11. A callback that is answered 503 before its code was sent can be loaded again. After that the same address
//!     leads to a page whose sign-in link leads to the same place.
//! 12. Two paths have a form where that is chosen: `callback` takes the provider's answer by POST
//!     ([`with_form_post`](LoginBuilder::with_form_post)), and `initiate` takes a sign-in that another site begins
//!     ([`allow_initiated_sign_in`](LoginBuilder::allow_initiated_sign_in)).
//! 13. Where [who may sign in](LoginBuilder::on_sign_in) is decided by the application or by settings, that is done
//!     with verified claims, before a session exists. A refusal makes no session and revokes the tokens.
//!
//! In identity mode 5 and 7 differ in this: a session outlives its access token. While the provider is away the user
//! is known all the same, and only [`Session::access_token`] fails. A session without a refresh token ends by its
//! limits alone, and the idle limit counts from its last use.
//!
//! The browser holds a random session id that does not change with the tokens, in a `__Host-`
//! cookie. Behind it stands a short code made with the secrets, by which the layer tells a cookie of its own from
//! that of another application on the same host. When something is wrong it gets a [`Page`], as HTML for people and
//! `application/problem+json` for programs; the [`LoginError`](crate::LoginError) stands in the
//! response's extensions.
//!
//! # Deployment
//! The site's address is configured, never read from `Host` or forwarded fields. Add the layer last,
//! around the outermost router, by `Router::layer`: with axum, a router that is merged into another or nested
//! in it brings its routes along but not its fallback, and the layer's own paths are routes of no router. With the
//! feature `axum`, a layer within `nest` answers 500 and says where to put it. A layer that was added by
//! `route_layer` cannot know it from a request: axum wraps a route by both methods alike. It says so in the log at
//! the second page that a browser asks for, if that is three seconds or more after the first and no browser has come
//! to the start path; with a store that replicas share, at the tenth.
//!
//! If the address has a path, as `https://host.example/app` has, then browsers see the site below it, and a proxy
//! takes it off the paths of requests (nginx: `proxy_pass` with a final slash; Caddy: `handle_path`; Traefik:
//! `StripPrefix`), or axum's `nest_service` does. All addresses that the layer writes begin with it, and paths to
//! return to are as browsers see them; requests, [open paths](LoginBuilder::with_open_paths) and the paths of
//! the sign-in are without it. Cookies are for the whole host, as `__Host-` asks, so each application
//! there needs a cookie name of its own. Where the proxy passes paths on as they are, write the address without a
//! path and the whole path in [`with_path`](LoginBuilder::with_path). Several replicas need one
//! store, such as `RedisStore` or `PostgresStore` of the features `redis` and `postgres`, and one set of secrets; [`MemoryStore`] is for one
//! replica. Answers, but those of open paths, carry `Vary: Cookie` and,
//! unless the application says otherwise, `Cache-Control: no-store`.
//!
//! ```
//! use tower::{Service, ServiceBuilder, ServiceExt};
//! use tower_oidc::{Client, KeyRing, LoginLayer, Provider};
//! # use http::{Request, Response, StatusCode};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! # async fn handler(_: Request<String>) -> Result<Response<String>, std::convert::Infallible> {
//! #     Ok(Response::new("welcome".to_owned()))
//! # }
//! let verifier = Provider::discover("https://id.example")?.verifier("https://api.example.com")?;
//! let client = Client::with_secret("a-client", "its secret")?;
//! let secrets = || KeyRing::new(["thirty-two characters or more of secret"]);
//! let address = "https://app.example.com";
//!
//! let login = LoginLayer::builder(verifier.clone(), client.clone(), address, secrets()?).build()?;
//! assert_eq!(login.redirect_uri(), "https://app.example.com/oauth/openid/callback");
//! let mut service = ServiceBuilder::new().layer(login).service_fn(handler);
//! let page = Request::get("/inbox").header("accept", "text/html").body(String::new())?;
//! let response = service.ready().await?.call(page).await?;
//! assert_eq!(response.status(), StatusCode::SEE_OTHER);
//! assert_eq!(response.headers()["location"], "/oauth/openid?return_to=%2Finbox");
//!
//! // Configured: visitors may look around.
//! let login = LoginLayer::builder(verifier, client, address, secrets()?)
//!     .allow_anonymous()
//!     .build()?;
//! let mut service = ServiceBuilder::new().layer(login).service_fn(handler);
//! let page = Request::get("/inbox").header("accept", "text/html").body(String::new())?;
//! assert_eq!(service.ready().await?.call(page).await?.body(), "welcome");
//! # Ok(())
//! # }
//! ```
//!
//! # Sessions of the application
//! [`Session::key`] names a session in logs and tables. [`LoginLayer::sessions`](crate::LoginLayer::sessions) lists the
//! sessions of a person and ends them. [`Session::ended`] tells a stream that its session is over.
//!
//! # Tokens that the application obtained
//! [`LoginLayer::adopt`](crate::LoginLayer::adopt) makes a session of tokens from a callback of the application's own,
//! a device flow or a native app, after the checks of a sign-in.
//!
//! # Several providers
//! [`LoginSet`] puts the layers of several providers around one site: people choose on a page of the application, and
//! one path signs out.
//!
//! # Several sites
//! [`LoginHosts`] serves several sites in one program, each with a layer of its own: the host of a request chooses. A
//! [`SiteSource`] finds sites that are not known when the program starts.
//!
//! # How a refresh token is guarded
//! The state of a session is a [`Record`], changed by pure functions: lease, commit, settle. Its tokens are
//! sealed by a [`KeyRing`]. A [`SessionStore`] keeps the encoded record under a random [`Tag`] and changes it by
//! compare-and-swap, so that the rules exist once for every store; `testing::store_suite` is what a store must
//! pass.

mod asked_for;
mod assembly;
mod audit;
pub(crate) mod browser;
mod builder;
mod forms;
mod hosts;
mod information;
mod layer;
mod party;
mod service;
mod sessions;
mod set;
mod shared_revocations;
mod sign_in;
mod sign_out;
mod signs_in_by;
mod store;

pub use self::browser::language::PageText;
pub use self::browser::page::{OnPage, Page, PlainPages};
pub use self::browser::return_path::ReturnPath;
pub use self::builder::LoginBuilder;
pub use self::hosts::{
    HostsFuture, LoginHosts, LoginOfHosts, LoginSite, SiteSource, SiteSourceBuilder,
};
pub use self::layer::{LoginLayer, LoginReadiness};
pub use self::service::{Login, LoginGate};
pub use self::sessions::handle::Session;
pub use self::sessions::id::{SessionId, SessionKey, SessionKeyError};
pub use self::sessions::listing::{ListedSession, Sessions};
pub use self::sessions::record::{EndReason, Record, RefreshState};
pub use self::sessions::seal::{KeyRing, Purpose, SealError};
pub use self::set::{LoginOfSet, LoginSet, LoginSetGate};
pub use self::sign_in::admission::SignInClaims;
pub use self::sign_in::adopt::{Adopted, SentNonce};
pub use self::sign_in::obtained::ObtainedTokens;
pub use self::sign_in::refusal::SignInRefusal;
pub use self::sign_in::request::PassedParameter;
pub use self::sign_in::requirement::RoleToken;
#[cfg(feature = "postgres")]
pub use self::store::PostgresStore;
#[cfg(feature = "redis")]
pub use self::store::RedisStore;
#[cfg(feature = "sqlite")]
pub use self::store::SqliteStore;
pub use self::store::{
    ChangeFuture, ChangeListener, Loaded, MemoryStore, OwnedBy, Owner, Peeked, SessionStore,
    StoreFuture, StoreKey, StoredRecord, Swapped, Tag,
};
pub use crate::secret::NoRandomness;
pub use crate::token::live::{LiveToken, UnusableToken};
