use std::fmt;

use crate::bearer::BearerLayer;
use crate::client_keys::ClientKeys;
use crate::env::addresses::{address_and_callback, post_logout_redirect};
use crate::env::admission::AdmissionSettings;
use crate::env::client::{client, client_id, client_keys, requested_audience, shown};
use crate::env::common::{CommonSettings, issuer, line};
use crate::env::front_doors::FrontDoors;
use crate::env::lifetimes::SessionLimits;
use crate::env::names::in_environment;
use crate::env::places::PlaceSettings;
use crate::env::read::{Variables, readable};
use crate::env::sign_in::SignInChoices;
use crate::env::store::StoreSettings;
use crate::error::ConfigError;
use crate::login::browser::cookie::DEFAULT_BASE;
use crate::login::{KeyRing, LoginBuilder, LoginLayer};
use crate::provider::{Client, Provider};
use crate::secret::Secret;
use crate::settings::{
    DOMAIN_SERVER, OPENID_ADDITIONAL_AUDIENCES, OPENID_AUDIENCE, OPENID_BUTTON_LABEL,
    OPENID_CALLBACK_URL, OPENID_CLIENT_ID, OPENID_CLIENT_SECRET, OPENID_COOKIE_NAME,
    OPENID_IMAGE_URL, OPENID_OPEN_PATHS, OPENID_POST_LOGOUT_REDIRECT_URI, OPENID_REFRESH_AUDIENCE,
    OPENID_REQUEST_AUDIENCE, OPENID_RESOURCE, OPENID_REUSE_TOKENS, OPENID_SCOPE,
    OPENID_SESSION_SECRET, OPENID_TOKEN_PLACES,
};
use crate::verify::Verifier;

/// The checked settings of browser sign-in. `Display` shows the effective values, secrets redacted.
#[derive(Debug, Clone)]
pub struct LoginSettings {
    common: CommonSettings,
    /// Whether the access token says who is signed in.
    reuses_tokens: bool,
    client: Client,
    client_keys: Option<ClientKeys>,
    client_shown: Vec<(&'static str, Option<String>)>,
    secrets: Vec<Secret>,
    address: Option<String>,
    callback: String,
    scope: Option<String>,
    requested_audience: Option<String>,
    refresh_audience: Option<String>,
    resources: Vec<String>,
    choices: SignInChoices,
    admission: AdmissionSettings,
    front_doors: FrontDoors,
    additional_audiences: Vec<String>,
    places: PlaceSettings,
    cookie_name: Option<String>,
    limits: SessionLimits,
    post_logout_redirect: Option<String>,
    open_paths: Vec<String>,
    button_label: Option<String>,
    image_url: Option<String>,
    pub(super) store: StoreSettings,
    /// The variable that shows that this process is one of several replicas.
    pub(super) replica_variable: Option<&'static str>,
}

const BUTTON_LABEL: &str = "Continue with OpenID";

/// Variables that platforms set which run several replicas.
const REPLICA_VARIABLES: [&str; 9] = [
    "KUBERNETES_SERVICE_HOST",
    "ECS_CONTAINER_METADATA_URI_V4",
    "K_SERVICE",
    "CONTAINER_APP_REPLICA_NAME",
    "DYNO",
    "FLY_MACHINE_ID",
    "NOMAD_ALLOC_INDEX",
    "RAILWAY_REPLICA_ID",
    "RENDER_INSTANCE_ID",
];

readable!(LoginSettings);

impl LoginSettings {
    fn read(variables: &Variables) -> Result<Self, ConfigError> {
        let ignored = variables.check_names()?;
        let store = StoreSettings::read(variables)?;
        let issuer = issuer(variables)?;
        let client_id = client_id(variables, "copy it from the provider")?;
        let audiences = variables.list(OPENID_AUDIENCE);
        let reuses_tokens = variables.truth(OPENID_REUSE_TOKENS)?.unwrap_or(true);
        if reuses_tokens && audiences.is_none() {
            tracing::warn!(
                "OPENID_AUDIENCE is not set: only access tokens whose audience is the client are accepted; \
                 providers such as Auth0 and Google then issue tokens that cannot be verified. Where this site \
                 only has to know who its users are, set OPENID_REUSE_TOKENS=false"
            );
        }
        let requested_audience = requested_audience(variables);
        let common = CommonSettings::read(
            variables,
            ignored,
            issuer,
            audiences.unwrap_or_else(|| vec![client_id.clone()]),
        )?;
        let (address, callback) = address_and_callback(variables)?;
        let client = client(variables, &client_id)?;
        let settings = Self {
            reuses_tokens,
            client_keys: client_keys(variables, &client)?,
            client_shown: shown(variables),
            client,
            secrets: variables
                .list(OPENID_SESSION_SECRET)
                .ok_or_else(|| {
                    ConfigError::missing(
                        OPENID_SESSION_SECRET,
                        "make one by `openssl rand -base64 48`; it must be the same in every replica",
                    )
                })?
                .into_iter()
                .map(Secret::new)
                .collect(),
            address,
            callback,
            scope: variables.scope(OPENID_SCOPE)?,
            requested_audience,
            refresh_audience: variables.text(OPENID_REFRESH_AUDIENCE),
            resources: variables.list(OPENID_RESOURCE).unwrap_or_default(),
            choices: SignInChoices::read(variables)?,
            admission: AdmissionSettings::read(variables)?,
            front_doors: FrontDoors::read(variables)?,
            additional_audiences: variables
                .list(OPENID_ADDITIONAL_AUDIENCES)
                .unwrap_or_default(),
            cookie_name: variables.text(OPENID_COOKIE_NAME),
            places: PlaceSettings::read(variables)?,
            limits: SessionLimits::read(variables)?,
            post_logout_redirect: post_logout_redirect(variables)?,
            open_paths: variables.list(OPENID_OPEN_PATHS).unwrap_or_default(),
            button_label: variables.text(OPENID_BUTTON_LABEL),
            image_url: variables.text(OPENID_IMAGE_URL),
            store,
            replica_variable: REPLICA_VARIABLES
                .into_iter()
                .find(|name| variables.text(name).is_some()),
            common,
        };
        // A bad setting is an error now, although the address may come later.
        let probe = settings
            .clone()
            .with_default_address("https://app.example.com");
        probe.stored()?.check().map_err(in_environment)?;
        let _ = probe.bearer()?;
        Ok(settings)
    }

    /// The address of the site if neither `DOMAIN_SERVER`, `DOMAIN_CLIENT` nor `OPENID_CALLBACK_URL`
    /// names one.
    #[must_use]
    pub fn with_default_address(mut self, address: &str) -> Self {
        self.address.get_or_insert_with(|| address.to_owned());
        self
    }

    /// The public keys of the client, if it authenticates by a private key (`OPENID_CLIENT_PRIVATE_KEY_FILE`). Serve
    /// them for the provider to fetch.
    #[must_use]
    pub fn client_keys(&self) -> Option<&ClientKeys> {
        self.client_keys.as_ref()
    }

    /// A builder of the layer, for settings that the environment does not have, such as anonymous
    /// visitors. With `REDIS_URL` or `DATABASE_URL` the sessions are stored there, and the server is asked once in the
    /// background, so that one that does not answer is logged at the start.
    ///
    /// # Errors
    /// [`ConfigError`] with the variable and the remedy.
    pub fn builder(&self) -> Result<LoginBuilder, ConfigError> {
        let builder = self.stored()?;
        builder.ask_store_once();
        if let Some(variable) = self.replica_variable
            && !builder.is_shared()
        {
            tracing::warn!(
                variable,
                "sessions are stored in memory, but this process seems to be one of several replicas: set \
                 REDIS_URL or DATABASE_URL, or a browser is signed out whenever another replica answers"
            );
        }
        #[cfg(feature = "sqlite")]
        if let Some(variable) = self.replica_variable
            && self.store.is_of_one_machine()
        {
            tracing::warn!(
                variable,
                "sessions are stored in a file of this machine, but this process seems to be one of several replicas: \
                 another machine must not open the file, and does not know its sessions. Store them in Redis or \
                 PostgreSQL"
            );
        }
        Ok(builder)
    }

    /// A builder of the layer, and the store is not asked.
    #[cfg(feature = "doctor")]
    pub(crate) fn unasked_builder(&self) -> Result<LoginBuilder, ConfigError> {
        self.stored()
    }

    /// The variable that shows that this process is one of several replicas.
    #[cfg(feature = "doctor")]
    pub(crate) fn replica_variable(&self) -> Option<&'static str> {
        self.replica_variable
    }

    fn stored(&self) -> Result<LoginBuilder, ConfigError> {
        self.store.apply(self.builder_without_store()?)
    }

    fn builder_without_store(&self) -> Result<LoginBuilder, ConfigError> {
        let address = self.address.as_deref().ok_or_else(|| {
            ConfigError::missing(
                DOMAIN_SERVER,
                "set it to the public address of this site, such as https://app.example.com",
            )
        })?;
        let keys = KeyRing::new(self.secrets.iter().map(Secret::expose)).map_err(in_environment)?;
        let client = self.client.clone();
        let mut builder = if self.reuses_tokens {
            LoginLayer::builder(self.verifier().clone(), client, address, keys)
        } else {
            let builder = LoginLayer::identity(self.provider(), client, address, keys);
            self.common.apply_to_identity(builder)
        }
        .with_callback_path(&self.callback)
        .with_requested_audience(self.requested_audience.as_deref());
        if let Some(scope) = &self.scope {
            builder = builder.with_scope(scope);
        }
        if let Some(audience) = &self.refresh_audience {
            builder = builder.with_refresh_audience(audience);
        }
        for resource in &self.resources {
            builder = builder.add_resource(resource);
        }
        for audience in &self.additional_audiences {
            builder = builder.add_additional_audience(audience);
        }
        if let Some(name) = &self.cookie_name {
            builder = builder.with_cookie_name(name);
        }
        if !self.open_paths.is_empty() {
            builder = builder.with_open_paths(self.open_paths.iter().map(String::as_str));
        }
        if let Some(url) = &self.post_logout_redirect {
            builder = builder.with_post_logout_redirect(url);
        }
        let builder = self.front_doors.apply(self.choices.apply(builder));
        let builder = self.admission.apply(builder);
        Ok(self.limits.apply(builder))
    }

    /// The provider.
    #[must_use]
    pub fn provider(&self) -> &Provider {
        &self.common.provider
    }

    /// The verifier of the provider's access tokens, for a bearer layer on the same routes. Their audience is one of
    /// `OPENID_AUDIENCE`, or else the client.
    #[must_use]
    pub fn verifier(&self) -> &Verifier {
        &self.common.verifier
    }

    /// A layer for the same routes that verifies the tokens of programs, wherever `OPENID_TOKEN_PLACES` has them. It goes
    /// outside of the sign-in's layer, with [`allow_anonymous`](BearerLayer::allow_anonymous).
    ///
    /// # Errors
    /// [`ConfigError`] with the variable and the remedy.
    pub fn bearer(&self) -> Result<BearerLayer, ConfigError> {
        let base = self.cookie_name.as_deref().unwrap_or(DEFAULT_BASE);
        let is_session = |name: &str| name.strip_prefix("__Host-").unwrap_or(name) == base;
        if self.places.has_cookie(is_session) {
            return Err(ConfigError::Contradiction {
                setting: OPENID_TOKEN_PLACES.into(),
                other: OPENID_COOKIE_NAME.into(),
                remedy: "the session's cookie holds no token; name the cookie that does, or choose another name for \
                         the session's"
                    .into(),
            });
        }
        let layer = BearerLayer::new(self.verifier().clone());
        self.places.apply(layer, self.address.as_deref())
    }

    /// The text on a sign-in button (`OPENID_BUTTON_LABEL`). Default: `Continue with OpenID`.
    #[must_use]
    pub fn button_label(&self) -> &str {
        self.button_label.as_deref().unwrap_or(BUTTON_LABEL)
    }

    /// The URL of the image on a sign-in button (`OPENID_IMAGE_URL`).
    #[must_use]
    pub fn image_url(&self) -> Option<&str> {
        self.image_url.as_deref()
    }

    /// Whether to log more (`DEBUG_OPENID_REQUESTS`).
    #[must_use]
    pub fn debug_requests(&self) -> bool {
        self.common.debug_requests
    }
}

impl LoginLayer {
    /// Signs browsers in with the settings of the environment. See [`env`](crate::env) for the names.
    ///
    /// # Errors
    /// [`ConfigError`] with the variable and the remedy.
    pub fn from_env() -> Result<Self, ConfigError> {
        LoginSettings::from_env()?
            .builder()?
            .build()
            .map_err(in_environment)
    }
}

impl fmt::Display for LoginSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.common.fmt(formatter)?;
        let secrets = format!("(redacted, {})", self.secrets.len());
        let resources = self.resources.join(",");
        let open_paths = self.open_paths.join(",");
        let additional_audiences = self.additional_audiences.join(",");
        let home = self
            .address
            .as_ref()
            .map(|address| format!("{}/", address.trim_end_matches('/')));
        let after_sign_out = self.post_logout_redirect.as_ref().or(home.as_ref());
        for (name, value) in [
            (
                OPENID_REUSE_TOKENS,
                Some(if self.reuses_tokens { "true" } else { "false" }),
            ),
            (OPENID_CLIENT_ID, Some(self.client.id())),
            (OPENID_CLIENT_SECRET, Some(self.client.secret_for_people())),
            (OPENID_SESSION_SECRET, Some(&*secrets)),
            (DOMAIN_SERVER, self.address.as_deref()),
            (OPENID_CALLBACK_URL, Some(&*self.callback)),
            (OPENID_SCOPE, self.scope.as_deref()),
            (OPENID_REQUEST_AUDIENCE, self.requested_audience.as_deref()),
            (
                OPENID_RESOURCE,
                Some(&*resources).filter(|text| !text.is_empty()),
            ),
            (
                OPENID_ADDITIONAL_AUDIENCES,
                Some(&*additional_audiences).filter(|text| !text.is_empty()),
            ),
            (OPENID_COOKIE_NAME, self.cookie_name.as_deref()),
            (OPENID_TOKEN_PLACES, self.places.shown().as_deref()),
            (OPENID_REFRESH_AUDIENCE, self.refresh_audience.as_deref()),
            (
                OPENID_POST_LOGOUT_REDIRECT_URI,
                after_sign_out.map(String::as_str),
            ),
            (
                OPENID_OPEN_PATHS,
                Some(&*open_paths).filter(|text| !text.is_empty()),
            ),
            (OPENID_BUTTON_LABEL, Some(self.button_label())),
            (OPENID_IMAGE_URL, self.image_url()),
        ] {
            line(formatter, name, value)?;
        }
        for (name, value) in &self.client_shown {
            line(formatter, name, value.as_deref())?;
        }
        let choices = self.choices.shown(self.reuses_tokens).into_iter();
        let choices = choices
            .chain(self.front_doors.shown())
            .chain(self.admission.shown());
        let choices = choices.chain(self.limits.shown());
        for (name, value) in choices.chain(self.store.shown()) {
            line(formatter, name, value.as_deref())?;
        }
        self.show_what_to_register(formatter, after_sign_out)
    }
}

impl LoginSettings {
    /// The addresses that the provider must know. Nothing without the address of the site.
    fn show_what_to_register(
        &self,
        formatter: &mut fmt::Formatter<'_>,
        after_sign_out: Option<&String>,
    ) -> fmt::Result {
        let Some(address) = &self.address else {
            return Ok(());
        };
        let address = address.trim_end_matches('/');
        writeln!(formatter, "to register at the provider:")?;
        writeln!(formatter, "  callback URL: {address}{}", self.callback)?;
        if let Some(url) = after_sign_out.filter(|_| self.choices.signs_out_at_provider()) {
            writeln!(formatter, "  post logout redirect URI: {url}")?;
        }
        writeln!(
            formatter,
            "  back-channel logout URI, if it has this: {address}{}/backchannel-logout",
            self.choices.path()
        )
    }
}
