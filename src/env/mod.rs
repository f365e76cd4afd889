//! Settings under the names operators already have.
//!
//! | name | meaning | default |
//! |---|---|---|
//! | `OPENID_ISSUER` | where the provider is: its issuer, or the full address of its metadata | must be set |
//! | `OPENID_AUDIENCE` | the audiences accepted, delimited by commas | must be set |
//! | `OPENID_JWKS_URL` | where the keys are, instead of asking the metadata | from the metadata |
//! | `OPENID_JWKS_URL_CACHE_TIME` | how long keys are fresh: milliseconds, or `10m` | 10 minutes |
//! | `OPENID_ALGORITHMS` | the signature algorithms accepted, delimited by commas | RS256, PS256, ES256, ES384, EdDSA as far as the provider lists them |
//! | `OPENID_TOKEN_PROFILE` | `lenient` or `strict` ([`TokenProfile`]) | `lenient` |
//! | `OPENID_CLOCK_TOLERANCE` | the leeway in seconds, up to 300 | 60 |
//! | `OPENID_REUSE_TOKENS` | must be `true` where it is set: it is what this crate does | `true` |
//! | `DEBUG_OPENID_REQUESTS` | whether to log more | `false` |
//! | `DOMAIN_SERVER` | the public address of the service | none |
//!
//! An empty value is an unset one. The settings of browser sign-in (`OPENID_CLIENT_ID` and its kin)
//! may stand beside these; an API does not read them. Any other name that begins with `OPENID_` is
//! an error, since a misspelt setting that has no effect is a trap; names that belong to LibreChat's
//! user management are listed once as ignored.
//!
//! `OPENID_ISSUER` says where the provider *is*, as a dashboard shows it. If the provider calls
//! itself the same with a final slash, as Auth0 does, its own word counts and a warning says so; any
//! other difference is an error. Plain http is allowed for loopback addresses only, with a warning.

mod names;
mod read;

use std::fmt;
use std::time::Duration;

use crate::bearer::BearerLayer;
use crate::claims::{Issuer, Transport, is_loopback, parse_url};
use crate::error::ConfigError;
use crate::jwt::Algorithm;
use crate::provider::{Provider, ProviderBuilder};
use crate::verify::{TokenProfile, Verifier};

use self::read::Variables;

/// The settings of an API, read and checked. `Display` shows the effective values.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    issuer: String,
    transport: Transport,
    audiences: Vec<String>,
    jwks_url: Option<String>,
    key_lifetime: Option<Duration>,
    algorithms: Option<Vec<Algorithm>>,
    profile: TokenProfile,
    leeway: Option<Duration>,
    domain_server: Option<String>,
    debug_requests: bool,
    ignored: Vec<String>,
}

impl ApiSettings {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// [`ConfigError`] naming the variable and the remedy.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::read(&Variables::from_env()?)
    }

    /// Reads these names and values, as from a file.
    ///
    /// # Errors
    /// [`ConfigError`] naming the variable and the remedy.
    pub fn from_pairs<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Result<Self, ConfigError>
    where
        N: Into<String>,
        V: Into<String>,
    {
        Self::read(&Variables::new(
            pairs
                .into_iter()
                .map(|(name, value)| (name.into(), value.into())),
        ))
    }

    fn read(variables: &Variables) -> Result<Self, ConfigError> {
        let ignored = variables.check_names()?;
        for name in ["OPENID_REUSE_TOKENS", "OPENID_USE_PKCE"] {
            variables.must_be_true(name)?;
        }
        let issuer = variables.required(
            "OPENID_ISSUER",
            "name the provider, such as https://tenant.us.auth0.com/",
        )?;
        let issuer = issuer
            .strip_suffix("/.well-known/openid-configuration")
            .unwrap_or(&issuer)
            .to_owned();
        let settings = Self {
            transport: transport(&issuer)?,
            issuer,
            audiences: variables.list("OPENID_AUDIENCE").ok_or_else(|| {
                ConfigError::missing(
                    "OPENID_AUDIENCE",
                    "without it tokens for any other service would pass; name this API as the \
                     provider knows it (Auth0: the API identifier)",
                )
            })?,
            jwks_url: variables.text("OPENID_JWKS_URL"),
            key_lifetime: variables.duration("OPENID_JWKS_URL_CACHE_TIME")?,
            algorithms: variables.algorithms("OPENID_ALGORITHMS")?,
            profile: variables.profile("OPENID_TOKEN_PROFILE")?,
            leeway: variables.seconds("OPENID_CLOCK_TOLERANCE")?,
            domain_server: variables.text("DOMAIN_SERVER"),
            debug_requests: variables.truth("DEBUG_OPENID_REQUESTS")?.unwrap_or(false),
            ignored,
        };
        // Whatever does not build is an error now, not when the first request comes.
        settings.verifier(&settings.provider()?)?;
        if let Some(domain) = &settings.domain_server {
            parse_url("DOMAIN_SERVER", domain, Transport::HttpsOrLoopback)?;
        }
        settings.tell();
        Ok(settings)
    }

    fn tell(&self) {
        if self.transport == Transport::HttpsOrLoopback {
            tracing::warn!(
                issuer = self.issuer,
                "the provider is reached by plain http on a loopback address: for development only"
            );
        }
        if !self.ignored.is_empty() {
            tracing::info!(names = ?self.ignored, "these settings are another application's and are ignored");
        }
    }

    /// The provider.
    ///
    /// # Errors
    /// [`ConfigError`] naming the variable and the remedy.
    pub fn provider(&self) -> Result<Provider, ConfigError> {
        let mut builder: ProviderBuilder = Provider::builder(&self.issuer)
            .set_transport(self.transport)
            .allow_final_slash();
        if let Some(url) = &self.jwks_url {
            builder = builder.with_jwks_url(url);
        }
        if let Some(lifetime) = self.key_lifetime {
            builder = builder.with_key_lifetime(lifetime);
        }
        builder.build().map_err(in_environment)
    }

    /// The verifier of that provider's tokens.
    ///
    /// # Errors
    /// [`ConfigError`] naming the variable and the remedy.
    pub fn verifier(&self, provider: &Provider) -> Result<Verifier, ConfigError> {
        let (first, others) = self
            .audiences
            .split_first()
            .map_or(("", &[][..]), |(a, b)| (a, b));
        let mut builder = Verifier::builder(provider, first).with_profile(self.profile);
        for audience in others {
            builder = builder.add_audience(audience);
        }
        if let Some(algorithms) = &self.algorithms {
            builder = builder.with_algorithms(algorithms.iter().copied());
        }
        if let Some(leeway) = self.leeway {
            builder = builder.with_leeway(leeway);
        }
        builder.build().map_err(in_environment)
    }

    /// The public address of the service (`DOMAIN_SERVER`).
    #[must_use]
    pub fn domain_server(&self) -> Option<&str> {
        self.domain_server.as_deref()
    }

    /// Whether more is to be logged (`DEBUG_OPENID_REQUESTS`).
    #[must_use]
    pub fn debug_requests(&self) -> bool {
        self.debug_requests
    }
}

impl BearerLayer {
    /// Verifies tokens as the environment says. See [`env`](crate::env) for the names.
    ///
    /// # Errors
    /// [`ConfigError`] naming the variable and the remedy.
    pub fn from_env() -> Result<Self, ConfigError> {
        let settings = ApiSettings::from_env()?;
        let verifier = settings.verifier(&settings.provider()?)?;
        Ok(Self::new(verifier))
    }
}

/// Plain http is for loopback addresses only.
fn transport(issuer: &str) -> Result<Transport, ConfigError> {
    let issuer = Issuer::parse(issuer, Transport::HttpsOrLoopback)
        .map_err(|error| error.renamed("OPENID_ISSUER"))?;
    let is_plain = url::Url::parse(issuer.as_str())
        .is_ok_and(|url| url.scheme() == "http" && is_loopback(&url));
    Ok(if is_plain {
        Transport::HttpsOrLoopback
    } else {
        Transport::Https
    })
}

/// The name by which the operator knows a setting.
fn in_environment(error: ConfigError) -> ConfigError {
    let name = match error.setting() {
        "issuer" | "tenants" => "OPENID_ISSUER",
        "audience" => "OPENID_AUDIENCE",
        "jwks url" => "OPENID_JWKS_URL",
        "key lifetime" => "OPENID_JWKS_URL_CACHE_TIME",
        "leeway" => "OPENID_CLOCK_TOLERANCE",
        "algorithms" => "OPENID_ALGORITHMS",
        _ => return error,
    };
    error.renamed(name)
}

impl fmt::Display for ApiSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |name: &str, value: Option<String>| {
            let value = value.unwrap_or_else(|| "(default)".to_owned());
            writeln!(formatter, "{name} = {value}")
        };
        let time = |duration: Duration| humantime::format_duration(duration).to_string();
        line("OPENID_ISSUER", Some(self.issuer.clone()))?;
        line("OPENID_AUDIENCE", Some(self.audiences.join(",")))?;
        line("OPENID_JWKS_URL", self.jwks_url.clone())?;
        line("OPENID_JWKS_URL_CACHE_TIME", self.key_lifetime.map(time))?;
        let algorithms = self.algorithms.as_ref().map(|algorithms| {
            let names: Vec<_> = algorithms.iter().map(|one| one.name()).collect();
            names.join(",")
        });
        line("OPENID_ALGORITHMS", algorithms)?;
        line(
            "OPENID_TOKEN_PROFILE",
            Some(format!("{:?}", self.profile).to_lowercase()),
        )?;
        line("OPENID_CLOCK_TOLERANCE", self.leeway.map(time))?;
        line("DOMAIN_SERVER", self.domain_server.clone())
    }
}

#[cfg(all(test, feature = "reqwest"))]
mod tests;
