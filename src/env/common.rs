//! The settings that all programs share: the provider, and which of its tokens are accepted.

use std::fmt;
use std::time::Duration;

use crate::claims::{Transport, is_loopback};
use crate::env::bounds::Bounds;
use crate::env::defaults::default_of;
#[cfg(feature = "introspection")]
use crate::env::introspection::IntrospectionSettings;
use crate::env::names::in_environment;
use crate::env::read::Variables;
use crate::error::ConfigError;
use crate::jwt::Algorithm;
#[cfg(feature = "login")]
use crate::login::LoginBuilder;
use crate::provider::{Provider, ProviderBuilder};
#[cfg(not(feature = "introspection"))]
use crate::settings::OPENID_INTROSPECTION;
use crate::settings::{
    DEBUG_OPENID_REQUESTS, OPENID_ALGORITHMS, OPENID_AUDIENCE, OPENID_CLOCK_TOLERANCE,
    OPENID_ISSUER, OPENID_JWKS_FILE, OPENID_JWKS_URL, OPENID_JWKS_URL_CACHE_TIME,
    OPENID_JWKS_URL_MAX_CACHE_TIME, OPENID_TOKEN_CACHE, OPENID_TOKEN_PROFILE, OPENID_USE_PKCE,
};
use crate::verify::{TokenProfile, Verifier};

#[derive(Debug, Clone)]
pub(super) struct CommonSettings {
    issuer: String,
    audiences: Vec<String>,
    jwks_url: Option<String>,
    jwks_file: Option<String>,
    key_lifetime: Option<Duration>,
    longest_key_lifetime: Option<Duration>,
    algorithms: Option<Vec<Algorithm>>,
    profile: TokenProfile,
    leeway: Option<Duration>,
    caches: bool,
    bounds: Bounds,
    #[cfg(feature = "introspection")]
    introspection: IntrospectionSettings,
    pub(super) debug_requests: bool,
    /// Variables of another application.
    ignored: Vec<String>,
    pub(super) provider: Provider,
    pub(super) verifier: Verifier,
}

impl CommonSettings {
    /// Reads the settings and builds provider and verifier, so that a bad setting is an error at the
    /// start and not at the first request.
    pub(super) fn read(
        variables: &Variables,
        ignored: Vec<String>,
        issuer: String,
        audiences: Vec<String>,
    ) -> Result<Self, ConfigError> {
        variables.must_be_true(OPENID_USE_PKCE)?;
        let is_on_loopback = is_on_loopback(&issuer);
        let transport = if is_on_loopback {
            Transport::HttpsOrLoopback
        } else {
            Transport::Https
        };
        let jwks_url = variables.text(OPENID_JWKS_URL);
        let jwks_file = variables.text(OPENID_JWKS_FILE);
        let key_lifetime = variables.duration(OPENID_JWKS_URL_CACHE_TIME)?;
        let longest_key_lifetime = variables.duration(OPENID_JWKS_URL_MAX_CACHE_TIME)?;
        let mut builder: ProviderBuilder = Provider::builder(&issuer)
            .set_transport(transport)
            .allow_final_slash();
        if let Some(url) = &jwks_url {
            builder = builder.with_jwks_url(url);
        }
        if let Some(path) = &jwks_file {
            builder = builder.with_jwks_file(path);
        }
        if let Some(lifetime) = key_lifetime {
            builder = builder.with_key_lifetime(lifetime);
        }
        if let Some(longest) = longest_key_lifetime {
            builder = builder.with_longest_key_lifetime(longest);
        }
        #[cfg(feature = "introspection")]
        let introspection = IntrospectionSettings::read(variables)?;
        #[cfg(feature = "introspection")]
        let builder = introspection.apply_to_provider(builder);
        #[cfg(not(feature = "introspection"))]
        refuse_introspection(variables)?;
        let bounds = Bounds::read(variables)?;
        let builder = bounds.apply_to_provider(builder).map_err(in_environment)?;
        let provider = builder.build().map_err(in_environment)?;
        let algorithms = variables.algorithms(OPENID_ALGORITHMS)?;
        let profile = variables.profile(OPENID_TOKEN_PROFILE)?;
        let leeway = variables.seconds(OPENID_CLOCK_TOLERANCE)?;
        let (first, others) = audiences
            .split_first()
            .map_or(("", &[][..]), |(first, others)| (first, others));
        let mut builder = Verifier::builder(&provider, first).with_profile(profile);
        for audience in others {
            builder = builder.add_audience(audience);
        }
        if let Some(algorithms) = &algorithms {
            builder = builder.with_algorithms(algorithms.iter().copied());
        }
        if let Some(leeway) = leeway {
            builder = builder.with_leeway(leeway);
        }
        let caches = variables.truth(OPENID_TOKEN_CACHE)?.unwrap_or(true);
        if let Some(tokens) = bounds.cache_capacity() {
            builder = builder.with_cache_capacity(tokens);
        }
        if !caches {
            builder = builder.without_cache();
        }
        #[cfg(feature = "introspection")]
        let builder = introspection.apply_to_verifier(builder);
        let verifier = bounds.apply_to_verifier(builder).build();
        let verifier = verifier.map_err(in_environment)?;
        let debug_requests = variables.truth(DEBUG_OPENID_REQUESTS)?.unwrap_or(false);
        let settings = Self {
            issuer,
            audiences,
            jwks_url,
            jwks_file,
            key_lifetime,
            longest_key_lifetime,
            algorithms,
            profile,
            leeway,
            caches,
            bounds,
            #[cfg(feature = "introspection")]
            introspection,
            debug_requests,
            ignored,
            provider,
            verifier,
        };
        settings.log(is_on_loopback);
        Ok(settings)
    }

    /// The same leeway and algorithms for the ID tokens of a sign-in.
    #[cfg(feature = "login")]
    pub(super) fn apply_to_identity(&self, mut builder: LoginBuilder) -> LoginBuilder {
        if let Some(leeway) = self.leeway {
            builder = builder.with_leeway(leeway);
        }
        if let Some(algorithms) = &self.algorithms {
            builder = builder.with_algorithms(algorithms.iter().copied());
        }
        builder
    }

    /// Logs what an operator should know about accepted settings.
    fn log(&self, is_on_loopback: bool) {
        if is_on_loopback {
            tracing::warn!(
                issuer = self.issuer,
                "the provider is on a loopback address over plain http, which is for development only"
            );
        }
        if !self.ignored.is_empty() {
            tracing::info!(names = ?self.ignored, "these settings belong to another application and are ignored");
        }
    }

    #[cfg(test)]
    pub(super) fn ignored(&self) -> &[String] {
        &self.ignored
    }
}

/// The issuer; its variable may also contain the URL of the metadata.
pub(super) fn issuer(variables: &Variables) -> Result<String, ConfigError> {
    let issuer = variables.required(
        OPENID_ISSUER,
        "name the provider, such as https://tenant.us.auth0.com/",
    )?;
    Ok(issuer
        .strip_suffix("/.well-known/openid-configuration")
        .unwrap_or(&issuer)
        .to_owned())
}

/// Whether the provider is reached by plain http on this machine, which needs no further setting.
fn is_on_loopback(issuer: &str) -> bool {
    url::Url::parse(issuer).is_ok_and(|url| url.scheme() == "http" && is_loopback(&url))
}

/// A program without the feature must not seem to have it.
#[cfg(not(feature = "introspection"))]
fn refuse_introspection(variables: &Variables) -> Result<(), ConfigError> {
    match variables.text(OPENID_INTROSPECTION) {
        Some(value) if value != "none" => Err(ConfigError::invalid(
            OPENID_INTROSPECTION,
            value,
            "this program was built without the feature introspection",
            "build it with the feature, or remove the setting",
        )),
        _ => Ok(()),
    }
}

/// Writes one line of the effective settings. Without a value: the default, and that it is one.
pub(super) fn line(
    formatter: &mut fmt::Formatter<'_>,
    name: &str,
    value: Option<&str>,
) -> fmt::Result {
    match value.ok_or_else(|| default_of(name)) {
        Ok(value) => writeln!(formatter, "{name} = {value}"),
        Err(Some(default)) => writeln!(formatter, "{name} = {default} (default)"),
        Err(None) => writeln!(formatter, "{name} = (default)"),
    }
}

impl fmt::Display for CommonSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |duration: Duration| humantime::format_duration(duration).to_string();
        let algorithms = self.algorithms.as_ref().map(|algorithms| {
            let names: Vec<_> = algorithms.iter().map(|one| one.name()).collect();
            names.join(",")
        });
        let profile = match self.profile {
            TokenProfile::Lenient => "lenient",
            TokenProfile::Strict => "strict",
            TokenProfile::IdToken => "id",
        };
        for (name, value) in [
            (OPENID_ISSUER, Some(self.issuer.clone())),
            (OPENID_AUDIENCE, Some(self.audiences.join(","))),
            (OPENID_JWKS_URL, self.jwks_url.clone()),
            (OPENID_JWKS_FILE, self.jwks_file.clone()),
            (OPENID_JWKS_URL_CACHE_TIME, self.key_lifetime.map(time)),
            (
                OPENID_JWKS_URL_MAX_CACHE_TIME,
                self.longest_key_lifetime.map(time),
            ),
            (OPENID_ALGORITHMS, algorithms),
            (OPENID_TOKEN_PROFILE, Some(profile.to_owned())),
            (OPENID_CLOCK_TOLERANCE, self.leeway.map(time)),
            (OPENID_TOKEN_CACHE, Some(self.caches.to_string())),
        ] {
            line(formatter, name, value.as_deref())?;
        }
        for (name, value) in self.bounds.shown() {
            line(formatter, name, value.as_deref())?;
        }
        #[cfg(feature = "introspection")]
        for (name, value) in self.introspection.shown() {
            line(formatter, name, value.as_deref())?;
        }
        Ok(())
    }
}
