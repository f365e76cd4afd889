//! The settings of a provider, with their defaults and bounds.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::claims::{HttpHost, Issuer, Transport, parse_url};
use crate::clock::{Clock, SharedClock};
use crate::error::{ConfigError, duration_within};
use crate::http_client::{HttpClient, Limits};
use crate::keys::jwk_set::TENANT_PLACEHOLDER;
use crate::keys::remote::KeyLifetime;
use crate::provider::discovery::{Discovery, IssuerRule, Search};
use crate::provider::key_choice::{JwksText, KeyChoice};
use crate::provider::key_source::{JWKS_SIZE, KeySource};
use crate::provider::known::KnownMetadata;
use crate::provider::{AcceptedIssuer, Provider, ProviderParts};
use crate::renew::Pace;
#[cfg(feature = "introspection")]
use crate::settings::INTROSPECTION_URL;
use crate::settings::{
    CALL_TIMEOUT, HTTP_CLIENT, INITIAL_JWKS, ISSUER, KEY_LIFETIME, MAX_KEY_LIFETIME, METADATA_URL,
    STALE_LIMIT, TENANTS,
};

/// Builds a [`Provider`]: where its metadata and keys are, and how long they are cached.
#[must_use]
#[derive(Debug)]
pub struct ProviderBuilder {
    issuer: String,
    transport: Transport,
    http_hosts: Vec<String>,
    metadata_url: Option<String>,
    rule: IssuerRule,
    discovery: Discovery,
    tenants: Option<BTreeSet<String>>,
    keys: KeyChoice,
    known: Option<KnownMetadata>,
    #[cfg(feature = "introspection")]
    introspection_url: Option<String>,
    key_lifetime: Duration,
    longest_key_lifetime: Duration,
    stale_limit: Duration,
    call_timeout: Duration,
    client: Option<HttpClient>,
    clock: SharedClock,
}

const SHORTEST_KEY_LIFETIME: Duration = Duration::from_secs(60);
const LONGEST_KEY_LIFETIME: Duration = Duration::from_secs(24 * 3600);
const LONGEST_STALE: Duration = Duration::from_secs(24 * 3600);
const LONGEST_CALL: Duration = Duration::from_secs(60);

/// How long metadata is fresh. It changes seldom, and a failed fetch of the keys or a missing endpoint
/// causes a new fetch.
pub(super) const METADATA_LIFETIME: Duration = Duration::from_secs(3600);

/// The tenant under which Entra ID publishes the metadata for all tenants.
const DISCOVERY_TENANT: &str = "organizations";

const DISCOVERY_SIZE: usize = 256 * 1024;

/// Where the metadata is, below the issuer
/// ([OpenID Connect Discovery §4](https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig)).
const METADATA_PATH: &str = "/.well-known/openid-configuration";

impl ProviderBuilder {
    pub(super) fn new(issuer: &str) -> Self {
        // The address of the metadata does not tell whether the issuer ends in a slash.
        let (issuer, rule) = match issuer.strip_suffix(METADATA_PATH) {
            Some(issuer) => (issuer, IssuerRule::MayEndInSlash),
            None => (issuer, IssuerRule::Exact),
        };
        Self {
            issuer: issuer.to_owned(),
            transport: Transport::Https,
            http_hosts: Vec::new(),
            metadata_url: None,
            rule,
            discovery: Discovery::default(),
            tenants: None,
            keys: KeyChoice::default(),
            known: None,
            #[cfg(feature = "introspection")]
            introspection_url: None,
            key_lifetime: Duration::from_secs(600),
            longest_key_lifetime: LONGEST_KEY_LIFETIME,
            stale_limit: Duration::from_secs(3600),
            call_timeout: Duration::from_secs(5),
            client: None,
            clock: SharedClock::system(),
        }
    }

    /// Where the metadata is. Default: [`Discovery::OpenId`].
    pub fn with_discovery(mut self, discovery: Discovery) -> Self {
        self.discovery = discovery;
        self
    }

    /// Fetches the metadata from this https URL. Default: where [`Discovery`] says, below the issuer.
    ///
    /// For a network where the provider is reached by another name than its public one. The issuer in the metadata
    /// must be the configured one all the same, and the addresses of keys and endpoints are those in the metadata.
    pub fn with_metadata_url(mut self, url: &str) -> Self {
        self.metadata_url = Some(url.to_owned());
        self
    }

    /// Fetches the keys from this https URL. Default: the `jwks_uri` of the metadata.
    pub fn with_jwks_url(mut self, url: &str) -> Self {
        self.keys.url = Some(url.to_owned());
        self
    }

    /// Reads the keys from this file, the JSON text that the provider serves at its `jwks_uri`: for a network without
    /// a way to the provider, where something else brings the file up to date. Default: the keys are fetched.
    ///
    /// The file is read when the provider is built, and again while tokens come: at most 10 seconds later, and at
    /// once for a token with an unknown `kid`, within the bounds of any fetch of keys. A key that left the file is
    /// accepted for at most 10 seconds more, also in tokens that were accepted before; a new key counts for the first
    /// token that names it. The path is resolved each time, so that a symbolic link may change its target, as those
    /// of a Kubernetes `ConfigMap` do. It is read on a thread of the tokio runtime that may block, within
    /// [the time limit](Self::with_call_timeout).
    ///
    /// A file that is gone, or that holds no usable key, changes nothing at first: the keys read before are used for
    /// [the stale limit](Self::with_stale_limit), and the log and [`readiness`](Provider::readiness) tell of it. After
    /// that no token can be verified until the file is back. To withdraw the last key, put another one in its place.
    /// How long fetched keys are fresh ([`with_key_lifetime`](Self::with_key_lifetime)) does not matter here. While no
    /// token comes nothing is read, and [`readiness`](Provider::readiness) is [`Stale`](crate::Phase::Stale), which is
    /// ready.
    ///
    /// Verification alone does without the provider. No metadata tells its issuer, so the configured one must be the
    /// `iss` of its tokens exactly. Sign-in and `outbound` call the provider, and find its endpoints by its metadata,
    /// which is fetched when it is first needed.
    ///
    /// # Security
    /// Anyone who can write the file can sign tokens that are accepted. Replace it as a whole, by renaming another to its
    /// name. An incomplete set of a file that is being written is refused and read again.
    pub fn with_jwks_file(mut self, path: impl AsRef<Path>) -> Self {
        self.keys.file = Some(path.as_ref().to_owned());
        self
    }

    /// Uses these keys for ever, the JSON text that the provider serves at its `jwks_uri`: for a service without a way
    /// to the provider. Default: the keys are fetched.
    ///
    /// To verify a token is then a plain function call, which needs neither network nor runtime. A token with an
    /// unknown `kid` is refused. No metadata tells the issuer, so the configured one must be the `iss` of the tokens
    /// exactly. Sign-in and `outbound` still call the provider, and find its endpoints by its metadata, which is
    /// fetched when it is first needed.
    ///
    /// # Security
    /// A key that the provider withdraws stays accepted until the program is built or started with others, and once
    /// the provider signs with a new key its tokens are refused. Where keys can change, take
    /// [`with_jwks_file`](Self::with_jwks_file) or let them be fetched. The set needs public keys alone; private
    /// members are dropped.
    pub fn with_jwks(mut self, jwks: &str) -> Self {
        self.keys.given = Some(JwksText::new(jwks));
        self
    }

    /// Uses these keys until the provider's are fetched, so that tokens can be verified also if the provider is away
    /// when the service starts. They are the JSON text that the provider serves at its `jwks_uri`, kept from an
    /// earlier time. Default: none; tokens wait for the first fetch.
    ///
    /// The first token is judged by them and begins the fetch. If fetching fails, they are used for
    /// [the stale limit](Self::with_stale_limit), counted from the start. [`ready`](Provider::ready) does not wait for
    /// the fetch.
    ///
    /// # Security
    /// A key that was withdrawn since is accepted until the provider answers.
    pub fn with_initial_jwks(mut self, jwks: &str) -> Self {
        self.keys.initial = Some(JwksText::new(jwks));
        self
    }

    /// Where the provider introspects tokens, an https URL
    /// ([RFC 7662 §2](https://www.rfc-editor.org/rfc/rfc7662#section-2)). Default: the `introspection_endpoint` of the
    /// metadata. With this URL, introspection needs no metadata; a client with a secret sends it in the
    /// `Authorization` field, unless [`Client::with_secret_method`](crate::Client::with_secret_method) says otherwise.
    #[cfg(feature = "introspection")]
    pub fn with_introspection_url(mut self, url: &str) -> Self {
        self.introspection_url = Some(url.to_owned());
        self
    }

    /// Accepts these tenants of a provider whose issuer contains `{tenantid}`, such as
    /// `https://login.microsoftonline.com/{tenantid}/v2.0`. The `tid` claim of a token must be one of
    /// them, and its `iss` must be the issuer with that tenant.
    ///
    /// Without the list such an issuer is refused, because anyone can register a tenant.
    pub fn with_tenants<T: Into<String>>(mut self, tenants: impl IntoIterator<Item = T>) -> Self {
        self.tenants = Some(tenants.into_iter().map(Into::into).collect());
        self
    }

    /// How long keys are fresh if the provider's `Cache-Control` does not say. 10 minutes by default;
    /// from 1 minute to 24 hours.
    pub fn with_key_lifetime(mut self, lifetime: Duration) -> Self {
        self.key_lifetime = lifetime;
        self
    }

    /// How long keys are fresh at most, whatever the provider's `Cache-Control` says: the time for which a
    /// withdrawn key can still be misused. 24 hours by default; from 1 minute to 24 hours. It bounds
    /// [`with_key_lifetime`](Self::with_key_lifetime) too.
    pub fn with_longest_key_lifetime(mut self, longest: Duration) -> Self {
        self.longest_key_lifetime = longest;
        self
    }

    /// How long keys are used after their lifetime while the provider does not answer. 1 hour by default;
    /// from zero to 24 hours.
    pub fn with_stale_limit(mut self, limit: Duration) -> Self {
        self.stale_limit = limit;
        self
    }

    /// The time limit of a whole call for metadata or keys. 5 seconds by default; up to 1 minute.
    pub fn with_call_timeout(mut self, timeout: Duration) -> Self {
        self.call_timeout = timeout;
        self
    }

    /// The HTTP client. Default: the one of the `reqwest` feature.
    pub fn with_http_client(mut self, client: HttpClient) -> Self {
        self.client = Some(client);
        self
    }

    /// The clock for the age of keys and the times in tokens. Default: the system's.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = SharedClock::new(clock);
        self
    }

    #[cfg(feature = "openidconnect")]
    pub(crate) fn set_known(mut self, known: KnownMetadata) -> Self {
        self.known = Some(known);
        self
    }

    #[cfg(feature = "testing")]
    pub(crate) fn with_shared_clock(mut self, clock: SharedClock) -> Self {
        self.clock = clock;
        self
    }

    pub(crate) fn set_transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    pub(crate) fn set_http_hosts(mut self, hosts: Vec<String>) -> Self {
        self.http_hosts = hosts;
        self
    }

    /// Accepts metadata whose issuer has one final slash more than the configured one, as with Auth0,
    /// whose dashboard shows the domain without it. The issuer of the metadata is the one that counts,
    /// and a warning names it. Off by default: issuers are compared exactly.
    pub fn allow_final_slash(mut self) -> Self {
        self.rule = IssuerRule::MayEndInSlash;
        self
    }

    /// Builds the provider. Makes no network call.
    ///
    /// # Errors
    /// [`ConfigError`] with the setting that cannot be used.
    pub fn build(mut self) -> Result<Provider, ConfigError> {
        self.transport = self.transport.and_hosts(http_hosts(&self.http_hosts)?);
        let issuer = Issuer::parse(&self.issuer, &self.transport)?;
        let bounded = |setting, lifetime| {
            duration_within(
                setting,
                lifetime,
                SHORTEST_KEY_LIFETIME,
                LONGEST_KEY_LIFETIME,
            )
        };
        let longest = bounded(MAX_KEY_LIFETIME, self.longest_key_lifetime)?;
        let lifetime = KeyLifetime {
            default: bounded(KEY_LIFETIME, self.key_lifetime)?.min(longest),
            shortest: SHORTEST_KEY_LIFETIME,
            longest,
        };
        let stale = duration_within(STALE_LIMIT, self.stale_limit, Duration::ZERO, LONGEST_STALE)?;
        let time = duration_within(
            CALL_TIMEOUT,
            self.call_timeout,
            Duration::from_millis(1),
            LONGEST_CALL,
        )?;
        let accepted_issuers = self.accepted_issuers(&issuer)?;
        let search = self.search(&issuer)?;
        #[cfg(feature = "introspection")]
        let introspection_url = self
            .introspection_url
            .as_deref()
            .map(|url| parse_url(INTROSPECTION_URL, url, &self.transport))
            .transpose()?;
        let has_initial_keys = self.keys.initial.is_some();
        if has_initial_keys && accepted_issuers.len() > 1 && self.tenants.is_none() {
            return Err(ConfigError::Contradiction {
                setting: INITIAL_JWKS.into(),
                other: ISSUER.into(),
                remedy: "whether the issuer ends in a slash is known only with the metadata; name the issuer itself, \
                         exactly, and do without allow_final_slash"
                    .into(),
            });
        }
        let known = self.known.as_ref().map(|known| known.check(&search));
        let known = known.transpose()?;
        // Whether the issuer ends in a slash is known only with the metadata.
        let is_one = accepted_issuers.len() == 1 || self.tenants.is_some();
        let known_keys = self.known.as_ref().and_then(KnownMetadata::keys);
        let known_keys = known_keys.filter(|_| is_one);
        let source = self.keys.source(&self.transport, known_keys)?;
        let client = match (self.client, &source) {
            (Some(client), _) => client,
            (None, KeySource::Remote { .. }) => default_client()?,
            // The keys need none, and to verify tokens nothing else is needed.
            (None, KeySource::File(..) | KeySource::Program(_)) => {
                default_client().unwrap_or_else(HttpClient::none)
            }
        };
        let pace = Pace {
            what: "keys",
            ahead: Duration::from_secs(60),
            soonest: SHORTEST_KEY_LIFETIME,
            stale,
            waits_when_stale: false,
            first_back_off: Duration::from_secs(1),
            longest_back_off: Duration::from_secs(60),
        };
        Ok(Provider::from_parts(ProviderParts {
            issuer,
            accepted_issuers,
            rule: self.rule,
            search,
            known,
            source,
            #[cfg(feature = "introspection")]
            introspection_url,
            client,
            clock: self.clock,
            pace,
            lifetime,
            discovery_limits: Limits {
                time,
                size: DISCOVERY_SIZE,
            },
            jwks_limits: Limits {
                time,
                size: JWKS_SIZE,
            },
        }))
    }

    /// Every accepted value of `iss`.
    fn accepted_issuers(&self, issuer: &Issuer) -> Result<Vec<AcceptedIssuer>, ConfigError> {
        let has_placeholder = issuer.as_str().contains(TENANT_PLACEHOLDER);
        match &self.tenants {
            None if has_placeholder => Err(ConfigError::missing(
                TENANTS,
                "the issuer serves every tenant there is; list the tenants whose tokens are accepted",
            )),
            Some(_) if !has_placeholder => Err(ConfigError::Contradiction {
                setting: TENANTS.into(),
                other: ISSUER.into(),
                remedy: format!("an issuer for many tenants contains {TENANT_PLACEHOLDER}").into(),
            }),
            Some(tenants) if tenants.is_empty() => {
                Err(ConfigError::missing(TENANTS, "name at least one tenant"))
            }
            Some(tenants) => tenants
                .iter()
                .map(|tenant| self.tenant(issuer, tenant))
                .collect(),
            None => {
                let mut accepted = vec![AcceptedIssuer {
                    issuer: issuer.clone(),
                    tenant: None,
                }];
                if self.rule == IssuerRule::MayEndInSlash && !issuer.as_str().ends_with('/') {
                    accepted.push(AcceptedIssuer {
                        issuer: Issuer::parse(&format!("{issuer}/"), &self.transport)?,
                        tenant: None,
                    });
                }
                Ok(accepted)
            }
        }
    }

    fn tenant(&self, issuer: &Issuer, tenant: &str) -> Result<AcceptedIssuer, ConfigError> {
        let is_name = !tenant.is_empty()
            && tenant
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !is_name {
            return Err(ConfigError::invalid(
                TENANTS,
                tenant,
                "it is not the id of a tenant",
                "write the id as in the tid claim, such as 8eaef023-2b34-4da1-9baa-8bc8c9d6a490",
            ));
        }
        let text = issuer.as_str().replace(TENANT_PLACEHOLDER, tenant);
        Ok(AcceptedIssuer {
            issuer: Issuer::parse(&text, &self.transport)?,
            tenant: Some(tenant.into()),
        })
    }

    fn search(&self, issuer: &Issuer) -> Result<Search, ConfigError> {
        let location = issuer
            .as_str()
            .replace(TENANT_PLACEHOLDER, DISCOVERY_TENANT);
        let location: Url = parse_url(ISSUER, &location, &self.transport)?;
        Ok(Search {
            issuer: issuer.clone(),
            rule: self.rule,
            urls: match &self.metadata_url {
                Some(url) => vec![parse_url(METADATA_URL, url, &self.transport)?],
                None => self.discovery.urls(&location),
            },
            transport: self.transport.clone(),
            known: self
                .known
                .as_ref()
                .map_or_else(Arc::default, KnownMetadata::members),
        })
    }
}

fn http_hosts(texts: &[String]) -> Result<Arc<[HttpHost]>, ConfigError> {
    if !texts.is_empty() {
        tracing::warn!(
            hosts = ?texts,
            "the provider may be reached by plain http on these hosts: a program or device that can change this network's traffic \
             can pose as the provider"
        );
    }
    texts.iter().map(|text| HttpHost::parse(text)).collect()
}

#[cfg(feature = "reqwest")]
fn default_client() -> Result<HttpClient, ConfigError> {
    HttpClient::reqwest().map_err(|error| {
        ConfigError::invalid(
            HTTP_CLIENT,
            "reqwest",
            crate::error::Chain(&error).to_string(),
            "check the proxy variables and the certificates of the platform, or pass a client",
        )
    })
}

#[cfg(not(feature = "reqwest"))]
fn default_client() -> Result<HttpClient, ConfigError> {
    Err(ConfigError::missing(
        HTTP_CLIENT,
        "pass one to with_http_client, or enable the feature reqwest",
    ))
}
