//! How the provider is found and asked, and which tokens are read at all.

use std::fs;
use std::time::Duration;

use crate::env::read::Variables;
use crate::error::ConfigError;
use crate::http_client::HttpClient;
use crate::provider::{Discovery, ProviderBuilder};
use crate::settings::{
    OPENID_ALLOW_HTTP, OPENID_ALLOWED_CLIENTS, OPENID_CA_FILE, OPENID_CLIENT_AUDIENCES,
    OPENID_CLIENT_CERTIFICATE_FILE, OPENID_CLIENT_CERTIFICATE_KEY_FILE, OPENID_DISCOVERY,
    OPENID_JWKS_STALE_LIMIT, OPENID_METADATA_URL, OPENID_REQUEST_TIMEOUT, OPENID_SCOPE_CLAIMS,
    OPENID_TENANTS, OPENID_TOKEN_CACHE_CAPACITY, OPENID_TOKEN_MAX_AGE, OPENID_TOKEN_SIZE_LIMIT,
};
use crate::verify::VerifierBuilder;

#[derive(Debug, Clone)]
pub(super) struct Bounds {
    discovery: Option<Discovery>,
    metadata_url: Option<String>,
    http_hosts: Vec<String>,
    tenants: Option<Vec<String>>,
    /// The path of the file, and what is in it.
    authority: Option<(String, Vec<u8>)>,
    /// The paths of the client's certificate and of its key.
    certificate: Option<[String; 2]>,
    stale_limit: Option<Duration>,
    request_timeout: Option<Duration>,
    scope_claims: Vec<String>,
    allowed_clients: Option<Vec<String>>,
    client_audiences: Vec<String>,
    token_max_age: Option<Duration>,
    token_size: Option<usize>,
    cache_capacity: Option<usize>,
}

impl Bounds {
    pub(super) fn read(variables: &Variables) -> Result<Self, ConfigError> {
        Ok(Self {
            discovery: variables.discovery(OPENID_DISCOVERY)?,
            metadata_url: variables.text(OPENID_METADATA_URL),
            http_hosts: variables.list(OPENID_ALLOW_HTTP).unwrap_or_default(),
            tenants: variables.list(OPENID_TENANTS),
            authority: variables.text(OPENID_CA_FILE).map(read).transpose()?,
            certificate: certificate(variables)?,
            stale_limit: variables.duration(OPENID_JWKS_STALE_LIMIT)?,
            request_timeout: variables.duration(OPENID_REQUEST_TIMEOUT)?,
            scope_claims: variables.list(OPENID_SCOPE_CLAIMS).unwrap_or_default(),
            // A list of commas alone allows no client, and not every one.
            allowed_clients: variables
                .text(OPENID_ALLOWED_CLIENTS)
                .map(|_| variables.list(OPENID_ALLOWED_CLIENTS).unwrap_or_default()),
            client_audiences: variables.list(OPENID_CLIENT_AUDIENCES).unwrap_or_default(),
            token_max_age: variables.duration(OPENID_TOKEN_MAX_AGE)?,
            token_size: variables.count(OPENID_TOKEN_SIZE_LIMIT)?,
            cache_capacity: variables.count(OPENID_TOKEN_CACHE_CAPACITY)?,
        })
    }

    pub(super) fn apply_to_provider(
        &self,
        mut builder: ProviderBuilder,
    ) -> Result<ProviderBuilder, ConfigError> {
        let authority = self.authority.as_ref().map(|(_, bundle)| &**bundle);
        if let Some([certificate, key]) = &self.certificate {
            let client = HttpClient::reqwest_with_certificate(
                &part_of_identity(OPENID_CLIENT_CERTIFICATE_FILE, certificate)?,
                &part_of_identity(OPENID_CLIENT_CERTIFICATE_KEY_FILE, key)?,
                authority,
            );
            builder = builder.with_http_client(client?);
        } else if let Some(bundle) = authority {
            builder = builder.with_http_client(HttpClient::reqwest_trusting(bundle)?);
        }
        if let Some(discovery) = self.discovery {
            builder = builder.with_discovery(discovery);
        }
        if let Some(url) = &self.metadata_url {
            builder = builder.with_metadata_url(url);
        }
        if !self.http_hosts.is_empty() {
            builder = builder.set_http_hosts(self.http_hosts.clone());
        }
        if let Some(tenants) = &self.tenants {
            builder = builder.with_tenants(tenants.iter().cloned());
        }
        if let Some(limit) = self.stale_limit {
            builder = builder.with_stale_limit(limit);
        }
        if let Some(timeout) = self.request_timeout {
            builder = builder.with_call_timeout(timeout);
        }
        Ok(builder)
    }

    pub(super) fn apply_to_verifier(&self, mut builder: VerifierBuilder) -> VerifierBuilder {
        for claim in &self.scope_claims {
            builder = builder.add_scope_claim(claim);
        }
        if let Some(clients) = &self.allowed_clients {
            builder = builder.allow_clients(clients.iter().cloned());
        }
        for client in &self.client_audiences {
            builder = builder.add_client_audience(client);
        }
        if let Some(age) = self.token_max_age {
            builder = builder.with_max_age(age);
        }
        if let Some(bytes) = self.token_size {
            builder = builder.with_max_token_size(bytes);
        }
        builder
    }

    pub(super) fn cache_capacity(&self) -> Option<usize> {
        self.cache_capacity
    }

    /// Names and values as they may be shown.
    pub(super) fn shown(&self) -> [(&'static str, Option<String>); 15] {
        let time = |duration: Option<Duration>| {
            duration.map(|duration| humantime::format_duration(duration).to_string())
        };
        let count = |number: Option<usize>| number.map(|number| number.to_string());
        let claims = (!self.scope_claims.is_empty()).then(|| self.scope_claims.join(","));
        let discovery = self.discovery.map(|one| format!("{one:?}").to_lowercase());
        [
            (OPENID_DISCOVERY, discovery),
            (OPENID_METADATA_URL, self.metadata_url.clone()),
            (
                OPENID_ALLOW_HTTP,
                (!self.http_hosts.is_empty()).then(|| self.http_hosts.join(",")),
            ),
            (
                OPENID_TENANTS,
                self.tenants.as_ref().map(|tenants| tenants.join(",")),
            ),
            (
                OPENID_CA_FILE,
                self.authority.as_ref().map(|(path, _)| path.clone()),
            ),
            (
                OPENID_CLIENT_CERTIFICATE_FILE,
                self.certificate.as_ref().map(|[path, _]| path.clone()),
            ),
            (
                OPENID_CLIENT_CERTIFICATE_KEY_FILE,
                self.certificate.as_ref().map(|[_, path]| path.clone()),
            ),
            (OPENID_JWKS_STALE_LIMIT, time(self.stale_limit)),
            (OPENID_REQUEST_TIMEOUT, time(self.request_timeout)),
            (OPENID_SCOPE_CLAIMS, claims),
            (
                OPENID_ALLOWED_CLIENTS,
                self.allowed_clients
                    .as_ref()
                    .map(|clients| clients.join(",")),
            ),
            (
                OPENID_CLIENT_AUDIENCES,
                (!self.client_audiences.is_empty()).then(|| self.client_audiences.join(",")),
            ),
            (OPENID_TOKEN_MAX_AGE, time(self.token_max_age)),
            (OPENID_TOKEN_SIZE_LIMIT, count(self.token_size)),
            (OPENID_TOKEN_CACHE_CAPACITY, count(self.cache_capacity)),
        ]
    }
}

fn read(path: String) -> Result<(String, Vec<u8>), ConfigError> {
    match fs::read(&path) {
        Ok(bundle) => Ok((path, bundle)),
        Err(error) => Err(ConfigError::invalid(
            OPENID_CA_FILE,
            path,
            format!("it cannot be read: {error}"),
            "set it to the path of a file with the certificates of the authority in PEM",
        )),
    }
}

/// The paths of certificate and key, which may be one file.
fn certificate(variables: &Variables) -> Result<Option<[String; 2]>, ConfigError> {
    let certificate = variables.text(OPENID_CLIENT_CERTIFICATE_FILE);
    let key = variables.text(OPENID_CLIENT_CERTIFICATE_KEY_FILE);
    match (certificate, key) {
        (Some(certificate), key) => {
            let key = key.unwrap_or_else(|| certificate.clone());
            Ok(Some([certificate, key]))
        }
        (None, Some(_)) => Err(ConfigError::missing(
            OPENID_CLIENT_CERTIFICATE_FILE,
            "OPENID_CLIENT_CERTIFICATE_KEY_FILE names the key of a certificate; name the certificate too",
        )),
        (None, None) => Ok(None),
    }
}

fn part_of_identity(name: &'static str, path: &str) -> Result<Vec<u8>, ConfigError> {
    fs::read(path).map_err(|error| {
        ConfigError::invalid(
            name,
            path,
            format!("it cannot be read: {error}"),
            "set it to the path of a file in PEM",
        )
    })
}
