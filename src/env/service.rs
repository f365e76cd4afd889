use std::fmt;

use crate::client_keys::ClientKeys;
use crate::env::client::{client, client_id, client_keys, requested_audience, shown};
use crate::env::common::{CommonSettings, issuer, line};
use crate::env::names::in_environment;
use crate::env::read::{Variables, readable};
use crate::error::ConfigError;
use crate::outbound::{ClientCredentials, Target, TokenExchange};
use crate::provider::{Client, Provider};
use crate::settings::{
    OPENID_AUDIENCE, OPENID_CLIENT_ID, OPENID_CLIENT_SECRET, OPENID_REQUEST_AUDIENCE,
    OPENID_RESOURCE, OPENID_SCOPE, OPENID_SUBJECT_TOKEN_TYPE,
};

/// The checked settings of a service that calls others with its own tokens. `Display` shows the effective
/// values, secrets redacted.
#[derive(Debug, Clone)]
pub struct ServiceSettings {
    common: CommonSettings,
    client: Client,
    client_keys: Option<ClientKeys>,
    shown: Vec<(&'static str, Option<String>)>,
    tokens: ClientCredentials,
    target: Target,
    subject_token_type: Option<String>,
    audience: Option<String>,
    resources: Vec<String>,
    scope: Option<String>,
}

/// Scopes that only a person can grant. Settings that are shared with a sign-in contain them.
const OF_PERSONS: [&str; 6] = [
    "openid",
    "profile",
    "email",
    "address",
    "phone",
    "offline_access",
];

readable!(ServiceSettings);

impl ServiceSettings {
    fn read(variables: &Variables) -> Result<Self, ConfigError> {
        let ignored = variables.check_names()?;
        let issuer = issuer(variables)?;
        let client_id = client_id(variables, "copy it from the provider")?;
        let client = client(variables, &client_id)?;
        if client.is_public() {
            return Err(ConfigError::missing(
                OPENID_CLIENT_SECRET,
                "a service must authenticate to get tokens of its own; copy the secret from the \
                 provider, or let the client do without one (OPENID_CLIENT_ASSERTION_FILE, \
                 OPENID_CLIENT_PRIVATE_KEY_FILE, OPENID_CLIENT_CERTIFICATE_FILE)",
            ));
        }
        let scope = variables.scope(OPENID_SCOPE)?.and_then(|scope| {
            let words: Vec<_> = scope
                .split_ascii_whitespace()
                .filter(|word| !OF_PERSONS.contains(word))
                .collect();
            (!words.is_empty()).then(|| words.join(" "))
        });
        let audiences = variables.list(OPENID_AUDIENCE).unwrap_or(vec![client_id]);
        let common = CommonSettings::read(variables, ignored, issuer, audiences)?;
        let audience = requested_audience(variables);
        let resources = variables.list(OPENID_RESOURCE).unwrap_or_default();
        let target = target(audience.as_deref(), &resources, scope.as_deref());
        let target = target.map_err(in_environment)?;
        Ok(Self {
            tokens: ClientCredentials::new(&common.provider, client.clone(), target.clone()),
            target,
            subject_token_type: subject_token_type(variables)?,
            common,
            client_keys: client_keys(variables, &client)?,
            shown: shown(variables),
            client,
            audience,
            resources,
            scope,
        })
    }

    /// The source of this service's own tokens, for an [`OutboundLayer`](crate::OutboundLayer). Clones
    /// share their tokens.
    #[must_use]
    pub fn tokens(&self) -> &ClientCredentials {
        &self.tokens
    }

    /// Exchanges the caller's token for one of the same audience, resources and scopes, for an
    /// [`OutboundLayer`](crate::OutboundLayer). Each call makes a source with tokens of its own.
    #[must_use]
    pub fn exchange(&self) -> TokenExchange {
        let provider = &self.common.provider;
        let exchange = TokenExchange::new(provider, self.client.clone(), self.target.clone());
        match &self.subject_token_type {
            Some(name) => exchange.with_subject_token_type(name),
            None => exchange,
        }
    }

    /// The public keys of the client, if it authenticates by a private key (`OPENID_CLIENT_PRIVATE_KEY_FILE`). Serve
    /// them for the provider to fetch.
    #[must_use]
    pub fn client_keys(&self) -> Option<&ClientKeys> {
        self.client_keys.as_ref()
    }

    /// The verifier of the provider's tokens, which this service does not need itself.
    #[cfg(feature = "doctor")]
    pub(crate) fn verifier(&self) -> &crate::verify::Verifier {
        &self.common.verifier
    }

    /// The provider.
    #[must_use]
    pub fn provider(&self) -> &Provider {
        &self.common.provider
    }

    /// Whether to log more (`DEBUG_OPENID_REQUESTS`).
    #[must_use]
    pub fn debug_requests(&self) -> bool {
        self.common.debug_requests
    }
}

/// The type of the token that is exchanged, a URI
/// ([RFC 8693 §2.1](https://www.rfc-editor.org/rfc/rfc8693#section-2.1)).
fn subject_token_type(variables: &Variables) -> Result<Option<String>, ConfigError> {
    let name = variables.text(OPENID_SUBJECT_TOKEN_TYPE);
    match name {
        Some(name) if url::Url::parse(&name).is_err() => Err(ConfigError::invalid(
            OPENID_SUBJECT_TOKEN_TYPE,
            name,
            "it is not a URI",
            "write it as the provider has it, such as urn:ietf:params:oauth:token-type:jwt",
        )),
        name => Ok(name),
    }
}

fn target(
    audience: Option<&str>,
    resources: &[String],
    scope: Option<&str>,
) -> Result<Target, ConfigError> {
    let mut target = Target::unspecified();
    if let Some(audience) = audience {
        target = target.add_audience(audience)?;
    }
    for resource in resources {
        target = target.add_resource(resource)?;
    }
    match scope {
        Some(scope) => target.with_scope(scope),
        None => Ok(target),
    }
}

impl fmt::Display for ServiceSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.common.fmt(formatter)?;
        let resources = self.resources.join(",");
        for (name, value) in [
            (OPENID_CLIENT_ID, Some(self.client.id())),
            (OPENID_CLIENT_SECRET, Some(self.client.secret_for_people())),
            (OPENID_REQUEST_AUDIENCE, self.audience.as_deref()),
            (
                OPENID_RESOURCE,
                Some(&*resources).filter(|text| !text.is_empty()),
            ),
            (OPENID_SCOPE, Some(self.scope.as_deref().unwrap_or("none"))),
            (
                OPENID_SUBJECT_TOKEN_TYPE,
                self.subject_token_type.as_deref(),
            ),
        ] {
            line(formatter, name, value)?;
        }
        for (name, value) in &self.shown {
            line(formatter, name, value.as_deref())?;
        }
        Ok(())
    }
}
