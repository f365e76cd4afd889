//! The OpenID provider: its metadata, its keys and its endpoints.

mod builder;
#[cfg(feature = "client")]
pub(crate) mod client;
pub(crate) mod discovery;
mod endpoints;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tracing::Instrument as _;
use url::Url;

pub use self::builder::ProviderBuilder;
pub(crate) use self::builder::within;
#[cfg(feature = "client")]
pub use self::client::credentials::{Client, SecretMethod};
pub use self::discovery::Discovery;

use self::builder::METADATA_LIFETIME;
use crate::claims::Issuer;
use crate::clock::SharedClock;
use crate::error::{Chain, ConfigError, ProviderError};
use crate::http_client::{HttpClient, Limits};
use crate::keys::jwk_set::TENANT_PLACEHOLDER;
use crate::keys::remote::{KeyLifetime, KeySet, RemoteKeys, fetch_jwk_set};
use crate::observe;
#[cfg(feature = "client")]
use crate::provider::client::side::ClientSide;
use crate::provider::discovery::{IssuerRule, Metadata, Search};
pub use crate::renew::Phase;
use crate::renew::{Fetched, Pace, Renew};

/// An OpenID provider whose tokens are reused.
///
/// Building one makes no network call: the metadata and the keys are fetched for the first token, or by
/// [`ready`](Self::ready). They are cached and renewed in the background. Clones are cheap and share
/// everything, so that one provider serves any number of verifiers.
///
/// ```
/// use tower_oidc::Provider;
///
/// # fn main() -> Result<(), tower_oidc::ConfigError> {
/// let provider = Provider::discover("https://tenant.us.auth0.com/")?;
/// let verifier = provider.verifier("https://api.example.com")?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Provider(Arc<Inner>);

struct Inner {
    issuer: Issuer,
    accepted_issuers: Vec<AcceptedIssuer>,
    rule: IssuerRule,
    has_jwks_url: bool,
    keys: RemoteKeys,
    clock: SharedClock,
    #[cfg(feature = "client")]
    client_side: ClientSide,
}

/// An accepted value of `iss`, and the tenant that it belongs to.
#[derive(Debug, Clone)]
pub(crate) struct AcceptedIssuer {
    pub(crate) issuer: Issuer,
    pub(crate) tenant: Option<Box<str>>,
}

/// What the builder makes a provider of.
pub(crate) struct ProviderParts {
    issuer: Issuer,
    accepted_issuers: Vec<AcceptedIssuer>,
    rule: IssuerRule,
    search: Search,
    jwks_url: Option<Url>,
    #[cfg(feature = "introspection")]
    introspection_url: Option<Url>,
    client: HttpClient,
    clock: SharedClock,
    pace: Pace,
    lifetime: KeyLifetime,
    discovery_limits: Limits,
    jwks_limits: Limits,
}

/// The state of a provider's keys, for a readiness probe.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Readiness {
    /// The state of the keys.
    pub keys: Phase,
    /// The time since they were fetched.
    pub age: Option<Duration>,
    /// The error of the last attempt to fetch them, if it failed.
    pub last_error: Option<ProviderError>,
}

impl Readiness {
    /// Whether tokens can be verified at present.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self.keys, Phase::Fresh | Phase::Refreshing | Phase::Stale)
    }
}

impl Provider {
    /// The provider with this issuer, by OpenID Connect Discovery and with all defaults. The URL of the metadata,
    /// which ends in `/.well-known/openid-configuration`, does as well: the issuer is then what comes before,
    /// or the same with a final slash if the metadata says so.
    ///
    /// # Errors
    /// [`ConfigError`] if the issuer is not an https URL without query and fragment, or the URL of other
    /// metadata.
    pub fn discover(issuer: &str) -> Result<Self, ConfigError> {
        Self::builder(issuer).build()
    }

    /// A builder of the provider with this issuer, or with the URL of its metadata.
    pub fn builder(issuer: &str) -> ProviderBuilder {
        ProviderBuilder::new(issuer)
    }

    /// The configured issuer.
    #[must_use]
    pub fn issuer(&self) -> &Issuer {
        &self.0.issuer
    }

    /// Fetches the metadata and the keys now, for services that should not start without them.
    ///
    /// # Errors
    /// [`ProviderError`] with what failed. If its kind
    /// [`is_configuration`](crate::error::ProviderErrorKind::is_configuration), trying again does not
    /// help.
    pub async fn ready(&self) -> Result<(), ProviderError> {
        self.0.keys.ready().await
    }

    /// The state of the keys. Makes no network call.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let state = self.0.keys.state();
        Readiness {
            keys: state.phase,
            age: state.age,
            last_error: state.last_error,
        }
    }

    pub(crate) fn keys(&self) -> &RemoteKeys {
        &self.0.keys
    }

    pub(crate) fn clock(&self) -> &SharedClock {
        &self.0.clock
    }

    /// Whether the keys come from a configured URL, so that verifying needs no metadata.
    pub(crate) fn has_jwks_url(&self) -> bool {
        self.0.has_jwks_url
    }

    pub(crate) fn accepted_issuers(&self) -> &[AcceptedIssuer] {
        &self.0.accepted_issuers
    }

    /// The issuer of a tenant, allowed or not, at a provider with many tenants.
    pub(crate) fn issuer_of_tenant(&self, tenant: &str) -> Option<String> {
        let template = self.0.issuer.as_str();
        template
            .contains(TENANT_PLACEHOLDER)
            .then(|| template.replace(TENANT_PLACEHOLDER, tenant))
    }

    /// The issuers that the provider uses, as far as they are known: the metadata's may have a final
    /// slash that the configured one lacks.
    pub(crate) fn issuer_names(&self) -> Vec<String> {
        if self.0.rule == IssuerRule::MayEndInSlash
            && let Some(issuer) = self.0.keys.issuer()
        {
            return vec![issuer.as_str().to_owned()];
        }
        let last = match self.0.rule {
            IssuerRule::Exact => self.0.accepted_issuers.len(),
            IssuerRule::MayEndInSlash => 1,
        };
        self.0.accepted_issuers[..last]
            .iter()
            .map(|accepted| accepted.issuer.as_str().to_owned())
            .collect()
    }

    /// Whether `iss` is the issuer that the metadata names. It can only differ from the configured one
    /// in a final slash.
    pub(crate) fn is_called(&self, iss: &str, keys: &KeySet) -> bool {
        self.0.rule == IssuerRule::Exact || keys.issuer.as_str() == iss
    }

    fn from_parts(parts: ProviderParts) -> Self {
        let metadata = renewed_metadata(&parts);
        #[cfg(feature = "client")]
        let client_side = ClientSide::new(parts.client.clone(), metadata.clone(), &parts.clock);
        #[cfg(feature = "introspection")]
        let client_side = match &parts.introspection_url {
            Some(url) => client_side.with_introspection(&parts.issuer, url),
            None => client_side,
        };
        let location = match &parts.jwks_url {
            Some(jwks_uri) => KeyLocation::Configured {
                issuer: parts.issuer.clone(),
                jwks_uri: jwks_uri.clone(),
            },
            None => KeyLocation::Discovered(metadata),
        };
        let client = parts.client;
        let (limits, lifetime) = (parts.jwks_limits, parts.lifetime);
        let issuer = parts.issuer.clone();
        let clock = parts.clock.clone();
        let has_keys = Arc::new(AtomicBool::new(false));
        let keys = RemoteKeys::new(parts.clock.clone(), parts.pace, move || {
            let (client, location, clock) = (client.clone(), location.clone(), clock.clone());
            let has_keys = Arc::clone(&has_keys);
            let span = tracing::info_span!("fetch_keys", %issuer);
            let fetching = async move {
                let fetched = fetch_keys(&client, &location, limits, lifetime, &clock).await;
                log_fetch(&fetched, has_keys.load(Ordering::Relaxed));
                has_keys.fetch_or(fetched.is_ok(), Ordering::Relaxed);
                fetched
            };
            Box::pin(fetching.instrument(span))
        });
        Self(Arc::new(Inner {
            issuer: parts.issuer,
            accepted_issuers: parts.accepted_issuers,
            rule: parts.rule,
            has_jwks_url: parts.jwks_url.is_some(),
            keys,
            #[cfg(feature = "client")]
            client_side,
            clock: parts.clock,
        }))
    }
}

/// Where the key set is.
#[derive(Clone)]
enum KeyLocation {
    Configured { issuer: Issuer, jwks_uri: Url },
    Discovered(Renew<Metadata>),
}

/// The metadata, fetched when it is first needed and renewed from then on.
fn renewed_metadata(parts: &ProviderParts) -> Renew<Metadata> {
    let (client, limits, search) = (
        parts.client.clone(),
        parts.discovery_limits,
        parts.search.clone(),
    );
    let pace = Pace {
        what: "metadata",
        ..parts.pace
    };
    let clock = parts.clock.clone();
    Renew::new(parts.clock.clone(), pace, move || {
        let (client, search, clock) = (client.clone(), search.clone(), clock.clone());
        Box::pin(async move {
            Ok(Fetched {
                value: search.run(&client, limits, &clock).await?,
                fresh_for: METADATA_LIFETIME,
                ahead: None,
            })
        })
    })
}

async fn fetch_keys(
    client: &HttpClient,
    location: &KeyLocation,
    limits: Limits,
    lifetime: KeyLifetime,
    clock: &SharedClock,
) -> Result<Fetched<KeySet>, ProviderError> {
    match location {
        KeyLocation::Configured { issuer, jwks_uri } => {
            let keys = fetch_jwk_set(client, jwks_uri, limits, lifetime, clock).await?;
            Ok(keys.map(|jwks| KeySet::new(jwks, issuer.clone(), None)))
        }
        KeyLocation::Discovered(renew) => {
            let snapshot = renew.get().await.map_err(|refusal| refusal.error)?;
            let metadata = &snapshot.value;
            let keys = fetch_jwk_set(client, &metadata.jwks_uri, limits, lifetime, clock)
                .await
                // The keys may have moved: the next attempt uses new metadata.
                .inspect_err(|_| drop(renew.force(|| true)))?;
            let (issuer, listed) = (metadata.server.issuer.clone(), metadata.algorithms);
            Ok(keys.map(|jwks| KeySet::new(jwks, issuer, listed)))
        }
    }
}

/// `has_keys`: whether an earlier fetch has succeeded.
fn log_fetch(fetched: &Result<Fetched<KeySet>, ProviderError>, has_keys: bool) {
    observe::keys_fetched(fetched.as_ref().map(|_| ()));
    match fetched {
        Ok(fetched) => tracing::info!(
            issuer = %fetched.value.issuer,
            keys = fetched.value.jwks.len(),
            fresh_for = ?fetched.fresh_for,
            "fetched the provider's keys"
        ),
        Err(error) if has_keys => tracing::warn!(
            kind = error.kind().as_str(),
            error = %Chain(error),
            "fetching the provider's keys failed; the cached keys stay in use until their limit"
        ),
        Err(error) => tracing::warn!(
            kind = error.kind().as_str(),
            error = %Chain(error),
            "fetching the provider's keys failed, and none are cached: no token can be verified until a later \
             attempt succeeds"
        ),
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Provider")
            .field("issuer", &self.0.issuer.as_str())
            .field("readiness", &self.readiness())
            .finish()
    }
}
