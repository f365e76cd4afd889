//! What can be chosen about sign-in, with the defaults and their bounds.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::claim_path::ClaimPath;
use crate::error::{ConfigError, LoginErrorKind};
use crate::jwt::Algorithm;
use crate::login::browser::cookie::DEFAULT_BASE;
use crate::login::browser::language::{Language, Languages, PageText};
use crate::login::browser::site::Paths;
use crate::login::layer::LoginLayer;
use crate::login::sessions::seal::KeyRing;
use crate::login::sign_in::admission::{Admission, Deciding, SignInClaims};
use crate::login::sign_in::refusal::SignInRefusal;
use crate::login::sign_in::request::{OfflineAccess, PassedParameter};
use crate::login::sign_in::requirement::{Requirement, RoleToken};
use crate::login::signs_in_by::SignsInBy;
use crate::login::store::SessionStore;
use crate::login::store::near_cache::NEAR_CACHE_AGE;
use crate::provider::{Client, Provider};
use crate::revocations::Revocations;
use crate::token::target::Target;
use crate::verify::Verifier;

/// Chooses how browsers are signed in. Made by [`LoginLayer::builder`].
///
/// ```
/// use std::time::Duration;
/// use tower_oidc::{Client, KeyRing, LoginLayer, Provider};
///
/// # fn main() -> Result<(), tower_oidc::ConfigError> {
/// # let verifier = Provider::discover("https://id.example")?.verifier("https://api.example.com")?;
/// # let client = Client::with_secret("a-client", "its secret")?;
/// # let keys = KeyRing::new(["thirty-two characters or more of secret"])?;
/// let login = LoginLayer::builder(verifier, client, "https://app.example.com", keys)
///     .with_idle_limit(Duration::from_secs(60 * 60))
///     .with_open_paths(["/healthz", "/assets/"])
///     .with_sessions_per_subject(5)
///     .build()?;
/// # drop(login);
/// # Ok(())
/// # }
/// ```
#[doc(alias("cookie", "logout", "sso"))]
#[must_use]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct LoginBuilder {
    pub(super) signs_in_by: SignsInBy,
    /// For ID and logout tokens. `None` for those of the verifier.
    pub(super) leeway: Option<Duration>,
    pub(super) algorithms: Option<Vec<Algorithm>>,
    pub(super) client: Client,
    pub(super) address: String,
    pub(super) keys: KeyRing,
    pub(super) store: Option<Arc<dyn SessionStore>>,
    pub(super) scope: String,
    pub(super) audience: Option<String>,
    pub(super) resources: Vec<String>,
    pub(super) targets: Vec<Target>,
    pub(super) parameters: Vec<(String, String)>,
    pub(super) passed_through: Vec<PassedParameter>,
    pub(super) refresh_audience: Option<String>,
    pub(super) sends_scope: bool,
    /// `None` for the default of the mode.
    pub(super) offline: Option<OfflineAccess>,
    pub(super) with_userinfo: bool,
    pub(super) admission: Admission,
    pub(super) form_post: bool,
    pub(super) pushes: bool,
    pub(super) initiated: bool,
    pub(super) silent: bool,
    pub(super) additional_audiences: Vec<String>,
    pub(super) start: String,
    pub(super) callback: Option<String>,
    pub(super) cookie_name: String,
    pub(super) idle: Duration,
    pub(super) absolute: Duration,
    pub(super) follow_use: bool,
    pub(super) sessions_per_subject: Option<usize>,
    pub(super) grace: Duration,
    pub(super) near_cache_age: Duration,
    pub(super) sign_out_at_provider: bool,
    pub(super) end_session_parameters: Vec<(String, String)>,
    pub(super) trusted_origins: Vec<String>,
    pub(super) back_to: Option<String>,
    pub(super) frontchannel: bool,
    pub(super) revokes_offline_access: bool,
    pub(super) logout_without_expiry: bool,
    pub(super) anonymous: bool,
    pub(super) open_paths: Vec<String>,
    pub(super) information: Option<Vec<String>>,
    pub(super) login_page: Option<String>,
    pub(super) languages: Languages,
    pub(super) revocations: Option<Revocations>,
    /// The paths of the other layers of a set.
    pub(super) other_paths: Vec<Paths>,
}

impl LoginLayer {
    /// A layer that signs in as `client` at the verifier's provider, for the site at `address`.
    ///
    /// `verifier` judges the access tokens that come of it: a token that this service would refuse from an API
    /// client makes no session either. `address` is the site's public address, such as
    /// `https://app.example.com`. A path in it is one that a proxy takes off the paths of requests, as the
    /// [module](crate::login#deployment) says. `keys` seal what is stored and what browsers hold.
    pub fn builder(
        verifier: Verifier,
        client: Client,
        address: &str,
        keys: KeyRing,
    ) -> LoginBuilder {
        let audience = verifier.audiences().first();
        let audience = audience.map(|audience| audience.as_str().to_owned());
        let signs_in_by = SignsInBy::AccessToken(verifier);
        LoginBuilder::new(signs_in_by, audience, client, address, keys)
    }

    /// A layer that signs in as `client` at this provider and only wants to know **who** the user is, for the site
    /// at `address`.
    ///
    /// Here the ID token is the [`Principal`](crate::Principal): its audience is the client, and it has no scopes.
    /// The access token is for others and is not looked at, so that it may be opaque, as those of Google, GitLab,
    /// Okta's own authorization server, Entra ID for Microsoft Graph, Django OAuth Toolkit and Hydra are. It is kept
    /// for requests that leave. Otherwise all is as with [`builder`](Self::builder), with these differences:
    ///
    /// - A sign-in needs no refresh token. A session without one lasts as long as its limits say, and the
    ///   [idle limit](LoginBuilder::with_idle_limit) counts from its last use. A session with one is refreshed, and
    ///   ends when the provider rejects the refresh token.
    /// - A session outlives its access token. [`Session::access_token`](crate::Session::access_token) then fails
    ///   with [`NoAccessToken`](crate::LoginErrorKind::NoAccessToken), unless it can be refreshed.
    /// - No `audience` is asked for.
    ///
    /// ```
    /// use tower_oidc::{Client, KeyRing, LoginLayer, Provider};
    ///
    /// # fn main() -> Result<(), tower_oidc::ConfigError> {
    /// let provider = Provider::discover("https://accounts.google.com")?;
    /// let client = Client::with_secret("client-id", "client-secret")?;
    /// # let secret = "a secret of thirty-two characters or more";
    /// let keys = KeyRing::new([secret])?;
    /// let login = LoginLayer::identity(&provider, client, "https://app.example.com", keys)
    ///     .with_scope("openid profile email")
    ///     .add_parameter("access_type", "offline")
    ///     .add_parameter("prompt", "consent")
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Security
    /// Nothing in an ID token says what its user may do in this service: any user of the provider can sign in. At a
    /// provider that everyone can have an account at, decide who may.
    pub fn identity(
        provider: &Provider,
        client: Client,
        address: &str,
        keys: KeyRing,
    ) -> LoginBuilder {
        let signs_in_by = SignsInBy::IdToken(provider.clone());
        LoginBuilder::new(signs_in_by, None, client, address, keys)
    }
}

impl LoginBuilder {
    fn new(
        signs_in_by: SignsInBy,
        audience: Option<String>,
        client: Client,
        address: &str,
        keys: KeyRing,
    ) -> Self {
        Self {
            signs_in_by,
            leeway: None,
            algorithms: None,
            audience,
            client,
            address: address.to_owned(),
            keys,
            store: None,
            scope: "openid profile email offline_access".to_owned(),
            resources: Vec::new(),
            targets: Vec::new(),
            parameters: Vec::new(),
            passed_through: Vec::new(),
            refresh_audience: None,
            sends_scope: true,
            offline: None,
            with_userinfo: false,
            admission: Admission::default(),
            form_post: false,
            pushes: false,
            initiated: false,
            silent: false,
            additional_audiences: Vec::new(),
            start: "/oauth/openid".to_owned(),
            callback: None,
            cookie_name: DEFAULT_BASE.to_owned(),
            idle: Duration::from_secs(8 * 3600),
            absolute: Duration::from_secs(24 * 3600),
            follow_use: false,
            sessions_per_subject: None,
            grace: Duration::ZERO,
            near_cache_age: NEAR_CACHE_AGE,
            sign_out_at_provider: true,
            end_session_parameters: Vec::new(),
            trusted_origins: Vec::new(),
            back_to: None,
            frontchannel: false,
            revokes_offline_access: false,
            logout_without_expiry: false,
            anonymous: false,
            open_paths: Vec::new(),
            information: None,
            login_page: None,
            languages: Languages::default(),
            revocations: None,
            other_paths: Vec::new(),
        }
    }

    /// Where sessions live. Default: the memory of this process ([`MemoryStore`](crate::login::MemoryStore)), which suits one
    /// replica that may forget.
    pub fn with_store(mut self, store: impl SessionStore) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// Where sessions live, shared with other holders of the store.
    pub fn with_shared_store(mut self, store: Arc<dyn SessionStore>) -> Self {
        self.store = Some(store);
        self
    }

    /// The scope asked for, words delimited by spaces, as written. Default: `openid profile email
    /// offline_access`. Some providers issue refresh tokens without `offline_access`: Keycloak always, Google for
    /// the parameter `access_type=offline`.
    pub fn with_scope(mut self, scope: &str) -> Self {
        scope.clone_into(&mut self.scope);
        self
    }

    /// The `audience` asked for, as Auth0 wants it to issue a JWT. Default: the first audience the
    /// verifier accepts, and none in [identity mode](LoginLayer::identity). `None` sends none.
    pub fn with_requested_audience(mut self, audience: Option<&str>) -> Self {
        self.audience = audience.map(str::to_owned);
        self
    }

    /// Asks for tokens for this resource too
    /// ([RFC 8707 §2](https://www.rfc-editor.org/rfc/rfc8707#section-2)), when signing in and when
    /// renewing. None by default.
    pub fn add_resource(mut self, resource: &str) -> Self {
        self.resources.push(resource.to_owned());
        self
    }

    /// Lets sessions ask for access tokens for this target too, beside their own:
    /// [`Session::access_token_for`](crate::Session::access_token_for), and `OutboundLayer::relay_for`. The provider
    /// must let the client ask for it by a refresh token: at Auth0 that is a multi-resource refresh token, at Entra ID
    /// a scope of the other API that was consented to. None by default; at most 8, and their tokens 32 KiB together.
    ///
    /// The resources of a target are named when signing in, because a provider may grant no others later on
    /// ([RFC 8707 §2.2](https://www.rfc-editor.org/rfc/rfc8707#section-2.2)). Its scopes are not: list them in
    /// [`with_scope`](Self::with_scope), unless the provider grants more by a refresh, as Entra ID does.
    pub fn add_target(mut self, target: Target) -> Self {
        self.targets.push(target);
        self
    }

    /// Sends another parameter with every authorization request, such as `prompt` or `kc_idp_hint`.
    pub fn add_parameter(mut self, name: &str, value: &str) -> Self {
        self.parameters.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Takes this parameter from the query of the start path.
    pub fn pass_through(mut self, parameter: PassedParameter) -> Self {
        self.passed_through.push(parameter);
        self
    }

    /// The `audience` sent when renewing. None by default: most providers keep that of the sign-in.
    pub fn with_refresh_audience(mut self, audience: &str) -> Self {
        self.refresh_audience = Some(audience.to_owned());
        self
    }

    /// Sends no `scope` when renewing. Without it most providers grant what they granted before, and
    /// Entra ID nothing.
    pub fn without_refresh_scope(mut self) -> Self {
        self.sends_scope = false;
        self
    }

    /// Takes a sign-in that brings no refresh token: such a session ends with its access token.
    /// Default: it fails, whatever the scope, and the log names the causes. In
    /// [identity mode](LoginLayer::identity) this is the default, and such a session lasts as long as its limits say.
    pub fn allow_short_session(mut self) -> Self {
        self.offline = Some(OfflineAccess::MayBeShort);
        self
    }

    /// Refuses a sign-in that brings no refresh token, and the log names the causes. The default, except in
    /// [identity mode](LoginLayer::identity).
    pub fn require_refresh_token(mut self) -> Self {
        self.offline = Some(OfflineAccess::Required);
        self
    }

    /// How far the clocks of this machine and the provider may differ when ID and logout tokens are judged; at most
    /// 5 minutes. Default: the leeway of the verifier, and 60 seconds in [identity mode](LoginLayer::identity).
    pub fn with_leeway(mut self, leeway: Duration) -> Self {
        self.leeway = Some(leeway);
        self
    }

    /// Accepts ID and logout tokens with exactly these algorithms. Default: the algorithms of the verifier; in
    /// [identity mode](LoginLayer::identity) those of [`Algorithm::DEFAULT`] that the provider lists.
    pub fn with_algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = Some(algorithms.into_iter().collect());
        self
    }

    /// Accepts ID tokens that are for this audience beside the client
    /// ([OpenID Connect Core §3.1.3.7](https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation)).
    /// None by default. An ID token with other audiences is accepted anyway where its `azp` says that it was
    /// issued to this client.
    pub fn add_additional_audience(mut self, audience: &str) -> Self {
        self.additional_audiences.push(audience.to_owned());
        self
    }

    /// Asks UserInfo once at every sign-in
    /// ([OpenID Connect Core §5.3](https://openid.net/specs/openid-connect-core-1_0.html#UserInfo)).
    pub fn with_userinfo(mut self) -> Self {
        self.with_userinfo = true;
        self
    }

    /// Lets the provider answer by a form that the browser posts, so that no code stands in a URL
    /// ([Form Post Response Mode](https://openid.net/specs/oauth-v2-form-post-response-mode-1_0.html)). Off by
    /// default: the answer is in the query. The site needs https, because the cookies of sign-ins under way, and
    /// they alone, are then `SameSite=None`. The former session of a browser that signs in again is not ended early.
    pub fn with_form_post(mut self) -> Self {
        self.form_post = true;
        self
    }

    /// Sends the parameters of a sign-in to the provider ahead of the browser, which then carries a reference to them
    /// ([RFC 9126](https://www.rfc-editor.org/rfc/rfc9126)). Off by default, and always on where the metadata of the
    /// provider demands it.
    pub fn with_pushed_authorization_requests(mut self) -> Self {
        self.pushes = true;
        self
    }

    /// Lets another site, such as the provider's page of applications, send browsers to `initiate` below the path that
    /// signs in, to begin a sign-in ([OpenID Connect Core
    /// §4](https://openid.net/specs/openid-connect-core-1_0.html#ThirdPartyInitiatedLogin)). Off by default. `iss` must
    /// be the provider's issuer; `login_hint` is passed on; a `target_link_uri` that is not of this site counts
    /// as its root.
    ///
    /// # Security
    /// Any site can have its visitors signed in here, as whom the provider knows them.
    pub fn allow_initiated_sign_in(mut self) -> Self {
        self.initiated = true;
        self
    }

    /// Signs visitors in without a page who are signed in at the provider already. A browser that comes without a
    /// session to a page that [anonymous](Self::allow_anonymous) visitors may see is sent to the provider with
    /// `prompt=none`, and comes back to the page, with a session or without. It is sent there once in 5 minutes, and
    /// not within 5 minutes of a sign-out. Off by default.
    pub fn with_silent_sign_in(mut self) -> Self {
        self.silent = true;
        self
    }

    /// Lets this function decide who may sign in, with the verified claims and before a session exists. It is the
    /// place to make a user of the application, to ask for a subscription, or to write an audit log.
    ///
    /// A [`SignInRefusal`] is shown to the visitor on a page with status 403. No session is made, the tokens are
    /// revoked, and the log has issuer, subject and reason. Several functions are asked in the order in which they
    /// were added, and all after [`require_role`](Self::require_role) and
    /// [`require_email_domains`](Self::require_email_domains). If they panic or take longer than 10 seconds
    /// together, the visitor is not signed in and reads a page with status 503. A function that takes longer is
    /// cancelled at its next `await`. None by default.
    ///
    /// A session is asked about when it begins, and not when it is refreshed.
    ///
    /// ```
    /// use tower_oidc::login::{LoginBuilder, SignInClaims, SignInRefusal};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Tenant {
    ///     tid: Option<String>,
    /// }
    ///
    /// fn with_hook(login: LoginBuilder) -> LoginBuilder {
    ///     login.on_sign_in(async |user: SignInClaims| {
    ///         let refusal = || SignInRefusal::new("Your organisation has no account here.");
    ///         let tenant: Tenant = user.id_claims().map_err(|_| refusal())?;
    ///         match tenant.tid.as_deref() {
    ///             Some("9188040d") => Ok(()),
    ///             _ => Err(refusal().with_reason("another tenant")),
    ///         }
    ///     })
    /// }
    /// ```
    pub fn on_sign_in<H, F>(mut self, hook: H) -> Self
    where
        H: Fn(SignInClaims) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), SignInRefusal>> + Send + 'static,
    {
        let hook = move |claims| -> Deciding { Box::pin(hook(claims)) };
        self.admission.hooks.push(Arc::new(hook));
        self
    }

    /// Lets only users sign in who have one of these roles in this claim of this token: text, or an array of texts
    /// with it. Required roles of several calls must all be met. None by default.
    ///
    /// # Security
    /// The role is looked for when the user signs in. One that is taken away later is missed at the next sign-in;
    /// [`RequireLayer`](crate::RequireLayer) looks at each request.
    pub fn require_role<'a>(
        mut self,
        token: RoleToken,
        path: ClaimPath,
        roles: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let roles = roles.into_iter().map(str::to_owned).collect();
        let role = Requirement::Role { token, path, roles };
        self.admission.requirements.push(role);
        self
    }

    /// Lets only users sign in who have an email address of one of these domains, and whose `email_verified` is
    /// `true` or the text `true`. Both claims come from the ID token, or both from UserInfo. Domains are compared
    /// whole, so that a subdomain needs an entry of its own, and regardless of case. Any address, or none, by
    /// default.
    pub fn require_email_domains<'a>(mut self, domains: impl IntoIterator<Item = &'a str>) -> Self {
        let domains = domains.into_iter().map(str::to_owned).collect();
        let requirement = Requirement::EmailDomain(domains);
        self.admission.requirements.push(requirement);
        self
    }

    /// The path that signs in, as requests have it. The others lie below it: `callback`, `logout`, `backchannel-logout`,
    /// `frontchannel-logout`. Default: `/oauth/openid`.
    pub fn with_path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.start);
        self
    }

    /// The path of the callback, where it lies elsewhere.
    pub fn with_callback_path(mut self, path: &str) -> Self {
        self.callback = Some(path.to_owned());
        self
    }

    /// The name of the session's cookie, and the beginning of the others'. Default: `session`.
    /// `__Host-` is put before it on https. Two applications on one host need two names.
    pub fn with_cookie_name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.cookie_name);
        self
    }

    /// How long a session lasts that is not refreshed. 8 hours by default, or as long as the provider says the
    /// refresh token does; never shorter than its access token. From a minute to 400 days.
    ///
    /// A session is refreshed by a request that finds its access token due. Where access tokens live about as
    /// long as the limit, a session can end though it was used a short while before: choose
    /// [`count_idle_from_use`](Self::count_idle_from_use) there.
    pub fn with_idle_limit(mut self, limit: Duration) -> Self {
        self.idle = limit;
        self
    }

    /// Counts the idle limit from the last request of a session, not from its last refresh. A session then ends
    /// when it was not used for that long. Off by default. The store is written to once per tenth of the limit
    /// at most, not once per request, so a session may end by that tenth too early. Neither choice lets a
    /// session last beyond the absolute limit, and the cookie lasts until that limit either way.
    pub fn count_idle_from_use(mut self) -> Self {
        self.follow_use = true;
        self
    }

    /// How long a session lasts at most, and its cookie with it. 24 hours by default, never shorter than its
    /// first tokens. From a minute to 400 days.
    pub fn with_absolute_limit(mut self, limit: Duration) -> Self {
        self.absolute = limit;
        self
    }

    /// Limits the sessions that one subject has at a time. A sign-in that makes them more ends the oldest ones
    /// and revokes their refresh tokens, in the background. No limit by default; from 1 to 1000.
    pub fn with_sessions_per_subject(mut self, most: usize) -> Self {
        self.sessions_per_subject = Some(most);
        self
    }

    /// For how long after it was first spent the provider takes an old refresh token again: Auth0's rotation
    /// overlap, Okta's grace period, Keycloak's reuse of refresh tokens. An answer that is lost is then asked
    /// for again at once, with the old token. None by default, at most a minute.
    ///
    /// # Security
    /// Where it is longer than what the provider has configured, a lost answer makes the provider revoke all
    /// tokens of the sign-in, and the user has to sign in again.
    pub fn with_rotation_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// How old a record of a shared store may be that is served from memory: the longest that a sign-out on
    /// another replica may go unnoticed if the store does not tell of changes, or its word is lost. 1 second by
    /// default; zero reads the store at every request; at most a minute.
    ///
    /// # Security
    /// A longer age keeps a signed-out session alive for longer on other replicas.
    pub fn with_near_cache_age(mut self, age: Duration) -> Self {
        self.near_cache_age = age;
        self
    }

    /// Ends the bearer tokens of a user or of a session of the provider when the provider says by back-channel logout
    /// that they signed out, and the sessions of this layer when the application
    /// [revokes all tokens](Revocations::revoke_before) of their user. Give the same to the
    /// [verifiers](crate::VerifierBuilder::with_revocations). Default: a logout ends sessions alone.
    ///
    /// A logout token that names a session (`sid`) ends the [tokens of that session](Revocations::end_session), as far
    /// as they name it. One that names a user alone (`sub`) ends all tokens that the provider issued to the user until
    /// it issued the logout token, by the provider's clock. If the memory of revocations is full, the answer is 503, so
    /// that the provider may repeat it. Other ways to sign out end no bearer token: neither signing out here, nor
    /// front-channel logout, which anyone can send, nor [`Sessions::end`](crate::login::Sessions::end).
    ///
    /// A session is refused as ended if its sign-in was at the time of the revocation or before, by the clock of the
    /// store, from the next request on, and streams end within a second or the
    /// [age of the near cache](Self::with_near_cache_age). It stays in the store, where other replicas find it: also call
    /// [`Sessions::end_all`](crate::login::Sessions::end_all), which takes it out.
    ///
    /// # Security
    /// The logout reaches one replica. Others refuse the bearer tokens only where the revocations are
    /// [shared](Revocations::share_through); then a logout that cannot be shared is answered 503.
    pub fn with_revocations(mut self, revocations: &Revocations) -> Self {
        self.revocations = Some(revocations.clone());
        self
    }

    /// Signs out here alone, and leaves the provider's own session be.
    pub fn without_provider_sign_out(mut self) -> Self {
        self.sign_out_at_provider = false;
        self
    }

    /// Sends another parameter with the browser to the provider's sign-out, such as `logout_uri`.
    pub fn add_end_session_parameter(mut self, name: &str, value: &str) -> Self {
        self.end_session_parameters
            .push((name.to_owned(), value.to_owned()));
        self
    }

    /// Lets pages of this origin send requests with a session that change something, and sign it out, as this
    /// site's own pages do. For a sibling such as `https://admin.example.com`; none by default. The layer sends no
    /// CORS fields: that is the application's part.
    ///
    /// # Security
    /// Scripts of that origin act in the name of this site's users.
    pub fn add_trusted_origin(mut self, origin: &str) -> Self {
        self.trusted_origins.push(origin.to_owned());
        self
    }

    /// Where the provider sends the browser after signing out, registered with it. Default: the
    /// site's root.
    pub fn with_post_logout_redirect(mut self, url: &str) -> Self {
        self.back_to = Some(url.to_owned());
        self
    }

    /// Offers front-channel logout at `frontchannel-logout`. Off by default; back-channel logout is
    /// always on and more dependable.
    pub fn allow_frontchannel_logout(mut self) -> Self {
        self.frontchannel = true;
        self
    }

    /// Revokes refresh tokens for offline access too when the provider signs a user out in the
    /// back. By default they are left to the provider.
    pub fn revoke_offline_access(mut self) -> Self {
        self.revokes_offline_access = true;
        self
    }

    /// Accepts logout tokens that do not say when they expire, as providers send them that follow a draft of
    /// back-channel logout, such as Glewlwyd 2.7. Off by default: the standard demands `exp`
    /// ([§2.4](https://openid.net/specs/openid-connect-backchannel-1_0.html#LogoutToken)).
    ///
    /// # Security
    /// Such a token counts for 5 minutes from its `iat`, which no logout token exceeds in any case, and once.
    pub fn allow_logout_without_expiry(mut self) -> Self {
        self.logout_without_expiry = true;
        self
    }

    /// Lets requests without a session pass, without a principal. `require` still refuses them, and
    /// a page that it refuses is sent to the sign-in.
    pub fn allow_anonymous(mut self) -> Self {
        self.anonymous = true;
        self
    }

    /// Opens these paths to everyone, for static files and probes: GET and HEAD requests for them pass as if the
    /// layer were not there. No session is loaded, so that neither the store nor the provider is asked, and the
    /// response stays as it is. They have no principal, not even one of a layer further out, so that `require`
    /// still refuses them. None by default.
    ///
    /// A path that ends in a slash opens everything below it, such as `/assets/`; any other path itself alone, such
    /// as `/healthz`. Paths are compared without decoding. A request whose path holds a dot segment, `//` or a
    /// backslash, plain or percent-encoded, is never open, and neither are the layer's own paths.
    ///
    /// # Security
    /// Whatever answers below such a path answers everyone. A service that is nested there, or a proxy, has to
    /// route by the same path.
    pub fn with_open_paths<'a>(mut self, paths: impl IntoIterator<Item = &'a str>) -> Self {
        self.open_paths = paths.into_iter().map(str::to_owned).collect();
        self
    }

    /// Opens another path, as [`with_open_paths`](Self::with_open_paths) does.
    pub fn add_open_path(mut self, path: &str) -> Self {
        self.open_paths.push(path.to_owned());
        self
    }

    /// Sends browsers that have to sign in to this page of the application, such as `/login`, and not straight to the
    /// provider: to let people choose, where there are several ways to sign in. The page gets the address that was
    /// asked for as `return_to`, and passes it on in its links to the [start](Self::with_path) of a sign-in, which
    /// [`LoginLayer::sign_in_link`] writes. It is open to everyone, without a principal where there is no session.
    /// Default: browsers are sent to the provider. For several providers see
    /// [`LoginSet`](crate::login::LoginSet).
    pub fn with_login_page(mut self, path: &str) -> Self {
        self.login_page = Some(path.to_owned());
        self
    }

    /// Adds a language in which visitors read pages if their browser prefers it (`Accept-Language`) to the others that
    /// there are, English among them. `language` is a tag such as `de` or `pt-BR`; `texts` has the words for each kind
    /// of error. Where it has none, the page is in English. None by default.
    ///
    /// ```
    /// # use tower_oidc::{Client, KeyRing, LoginLayer, Provider};
    /// # let verifier = Provider::discover("https://id.example")?.verifier("https://api.example.com")?;
    /// # let client = Client::with_secret("a-client", "its secret")?;
    /// # let keys = KeyRing::new(["thirty-two characters or more of secret"])?;
    /// use tower_oidc::LoginErrorKind as Kind;
    /// use tower_oidc::login::PageText;
    ///
    /// let german = |kind| {
    ///     let (title, text, remedy) = match kind {
    ///         Kind::NotSignedIn => ("Bitte anmelden", "Sie sind nicht angemeldet.", "Melden Sie sich an."),
    ///         Kind::SessionEnded => ("Sitzung beendet", "Ihre Sitzung ist beendet.", "Melden Sie sich an."),
    ///         _ => return None,
    ///     };
    ///     Some(PageText::new(title, text, remedy, "Anmelden"))
    /// };
    /// let login = LoginLayer::builder(verifier, client, "https://app.example.com", keys)
    ///     .add_language("de", german)
    ///     .build()?;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn add_language(
        mut self,
        language: &str,
        texts: impl Fn(LoginErrorKind) -> Option<PageText> + Send + Sync + 'static,
    ) -> Self {
        self.languages.others.push(Language::new(language, texts));
        self
    }

    /// The language in which visitors read pages who prefer none of the others: English is then no longer one of them,
    /// unless it is [added](Self::add_language). Default: English.
    pub fn with_language(
        mut self,
        language: &str,
        texts: impl Fn(LoginErrorKind) -> Option<PageText> + Send + Sync + 'static,
    ) -> Self {
        self.languages.main = Some(Language::new(language, texts));
        self
    }

    /// Tells scripts of the site how their session stands, at `session` below the [path](Self::with_path): a GET
    /// request is answered with JSON that holds these claims of the ID token (or of UserInfo, where it is asked),
    /// the times of the session, and where to sign out. Off by default.
    ///
    /// ```json
    /// {
    ///   "claims": {"sub": "user-1", "name": "Ann"},
    ///   "signed_in_at": 1767225600,
    ///   "expires_at": 1767254400,
    ///   "ends_at": 1767312000,
    ///   "now": 1767229200,
    ///   "sign_out": "/oauth/openid/logout"
    /// }
    /// ```
    ///
    /// The session ends at `expires_at` if it is not used, at `ends_at` in any case, and it is `now` by the clock
    /// that decides. Without a session the answer is 401, with the address that signs in as `sign_in`.
    ///
    /// Asking does not keep the session alive: nothing is refreshed, and no limit is put off. With
    /// `?keep_alive=true` the request counts as use of the session like any other. The answer holds no token and may
    /// not be cached. Scripts of other origins cannot read it; where they may, add the CORS fields outside of this
    /// layer.
    ///
    /// With pages of your own, implement [`OnPage::json`](crate::login::OnPage::json).
    pub fn with_session_information<'a>(
        mut self,
        claims: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        self.information = Some(claims.into_iter().map(str::to_owned).collect());
        self
    }

    /// The layer. Nothing is fetched yet.
    ///
    /// # Errors
    /// [`ConfigError`] naming the setting that cannot be used, and the remedy.
    pub fn build(self) -> Result<LoginLayer, ConfigError> {
        let is_chosen = self.store.is_some();
        let party = self.party()?;
        if !is_chosen && party.site.is_secure {
            tracing::warn!(
                "sessions live in the memory of this process: for one replica, and gone when it ends"
            );
        }
        Ok(LoginLayer::new(party))
    }

    /// The store that was chosen. `None`: the memory of this process.
    #[cfg(feature = "doctor")]
    pub(crate) fn chosen_store(&self) -> Option<Arc<dyn SessionStore>> {
        self.store.clone()
    }

    /// Whether the sessions live where other processes find them.
    #[cfg(feature = "reqwest")]
    pub(crate) fn is_shared(&self) -> bool {
        self.store.as_ref().is_some_and(SessionStore::is_shared)
    }

    /// Whether it would build.
    #[cfg(feature = "reqwest")]
    pub(crate) fn check(self) -> Result<(), ConfigError> {
        self.party().map(drop)
    }
}

impl fmt::Debug for LoginBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LoginBuilder")
            .field("client", &self.client)
            .field("address", &self.address)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}
