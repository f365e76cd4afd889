//! The OpenID provider: where it is, what it says of itself, and its keys.

mod builder;
#[cfg(feature = "login")]
mod calls;
#[cfg(feature = "_client")]
mod client;
pub(crate) mod discovery;
#[cfg(feature = "_client")]
mod endpoint_call;
#[cfg(feature = "_client")]
mod endpoints;
#[cfg(feature = "_client")]
pub(crate) mod target;
#[cfg(feature = "_client")]
pub(crate) mod token_endpoint;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument as _;
use url::Url;

pub use self::builder::ProviderBuilder;
pub(crate) use self::builder::within;
#[cfg(feature = "_client")]
pub use self::client::{Client, SecretMethod};
pub use self::discovery::Discovery;

use self::builder::METADATA_LIFETIME;
#[cfg(feature = "_client")]
use crate::allowance::Allowance;
use crate::claims::Issuer;
use crate::clock::SharedClock;
use crate::error::{Chain, ConfigError, ProviderError};
use crate::http_client::{HttpClient, Limits};
use crate::keys::jwk_set::TENANT_PLACEHOLDER;
use crate::keys::remote::{KeyLifetime, KeySet, RemoteKeys, fetch_jwk_set};
use crate::observe;
use crate::provider::discovery::{IssuerRule, Metadata, Search};
pub use crate::renew::Phase;
use crate::renew::{Fetched, Pace, Renew};
#[cfg(feature = "_client")]
use crate::renew::{Refusal, Snapshot};

/// An OpenID provider whose tokens are reused.
///
/// Building one touches no network: the metadata and the keys are fetched when the first token
/// comes (or by [`ready`](Self::ready)), kept, and renewed in the background. Cloning is cheap and
/// clones share everything, so one provider serves any number of verifiers.
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
    names: Vec<Named>,
    rule: IssuerRule,
    keys: RemoteKeys,
    clock: SharedClock,
    #[cfg_attr(
        not(feature = "_client"),
        expect(dead_code, reason = "keys have their own")
    )]
    metadata: Renew<Metadata>,
    #[cfg(feature = "_client")]
    client: HttpClient,
    /// Bounds how often an endpoint that is gone causes a fetch of the metadata.
    #[cfg(feature = "_client")]
    moved_endpoints: Allowance,
}

/// A text that may stand in `iss`, and the tenant it stands for.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    pub(crate) issuer: Issuer,
    pub(crate) tenant: Option<Box<str>>,
}

/// A provider as the builder decided it.
pub(crate) struct Plan {
    issuer: Issuer,
    names: Vec<Named>,
    rule: IssuerRule,
    search: Search,
    jwks_url: Option<Url>,
    client: HttpClient,
    clock: SharedClock,
    pace: Pace,
    lifetime: KeyLifetime,
    discovery_limits: Limits,
    jwks_limits: Limits,
}

/// How a provider's keys stand, for a readiness probe.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Readiness {
    /// The state of the keys.
    pub keys: Phase,
    /// How long ago they were fetched.
    pub age: Option<Duration>,
    /// Why the last attempt failed, if it did.
    pub last_error: Option<ProviderError>,
}

impl Readiness {
    /// Whether tokens can be verified now.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self.keys, Phase::Fresh | Phase::Refreshing | Phase::Stale)
    }
}

impl Provider {
    /// The provider with this issuer, found by OpenID Connect Discovery, with the default of
    /// everything.
    ///
    /// # Errors
    /// [`ConfigError`] if the issuer is not an https URL without query and fragment.
    pub fn discover(issuer: &str) -> Result<Self, ConfigError> {
        Self::builder(issuer).build()
    }

    /// The provider with this issuer, with choices.
    pub fn builder(issuer: &str) -> ProviderBuilder {
        ProviderBuilder::new(issuer)
    }

    /// The configured issuer.
    #[must_use]
    pub fn issuer(&self) -> &Issuer {
        &self.0.issuer
    }

    /// Fetches metadata and keys now, for services that would rather not start without them.
    ///
    /// # Errors
    /// [`ProviderError`] saying what failed.
    /// [`is_configuration`](crate::error::ProviderErrorKind::is_configuration) tells whether waiting
    /// can mend it.
    pub async fn ready(&self) -> Result<(), ProviderError> {
        self.0.keys.ready().await
    }

    /// How the keys stand. Asks nobody.
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

    #[cfg(feature = "_client")]
    pub(crate) async fn metadata(&self) -> Result<Arc<Snapshot<Metadata>>, Refusal> {
        self.0.metadata.get().await
    }

    #[cfg(feature = "_client")]
    pub(crate) fn http_client(&self) -> &HttpClient {
        &self.0.client
    }

    pub(crate) fn clock(&self) -> &SharedClock {
        &self.0.clock
    }

    pub(crate) fn names(&self) -> &[Named] {
        &self.0.names
    }

    /// The issuer of a tenant, allowed or not, at a provider that serves many.
    pub(crate) fn issuer_of_tenant(&self, tenant: &str) -> Option<String> {
        let template = self.0.issuer.as_str();
        template
            .contains(TENANT_PLACEHOLDER)
            .then(|| template.replace(TENANT_PLACEHOLDER, tenant))
    }

    /// The issuers in the provider's own words, as far as they are known.
    pub(crate) fn issuer_names(&self) -> Vec<String> {
        if self.0.rule == IssuerRule::MayEndInSlash
            && let Some(issuer) = self.0.keys.issuer()
        {
            return vec![issuer.as_str().to_owned()];
        }
        let last = match self.0.rule {
            IssuerRule::Exact => self.0.names.len(),
            IssuerRule::MayEndInSlash => 1,
        };
        self.0.names[..last]
            .iter()
            .map(|named| named.issuer.as_str().to_owned())
            .collect()
    }

    /// Whether `iss` is how the provider calls itself. Only a provider that was configured by its
    /// place can turn out to have another name.
    pub(crate) fn is_called(&self, iss: &str, keys: &KeySet) -> bool {
        self.0.rule == IssuerRule::Exact || keys.issuer.as_str() == iss
    }

    fn from_plan(plan: Plan) -> Self {
        let metadata = kept_metadata(&plan);
        let whereabouts = match &plan.jwks_url {
            Some(jwks_uri) => Whereabouts::Known {
                issuer: plan.issuer.clone(),
                jwks_uri: jwks_uri.clone(),
            },
            None => Whereabouts::Discovered(metadata.clone()),
        };
        let client = plan.client.clone();
        let (limits, lifetime) = (plan.jwks_limits, plan.lifetime);
        let issuer = plan.issuer.clone();
        let clock = plan.clock.clone();
        let keys = RemoteKeys::new(plan.clock.clone(), plan.pace, move || {
            let (client, whereabouts, clock) = (client.clone(), whereabouts.clone(), clock.clone());
            let span = tracing::info_span!("fetch_keys", %issuer);
            let fetching = async move {
                let fetched = fetch_keys(&client, &whereabouts, limits, lifetime, &clock).await;
                tell(&fetched);
                fetched
            };
            Box::pin(fetching.instrument(span))
        });
        Self(Arc::new(Inner {
            issuer: plan.issuer,
            names: plan.names,
            rule: plan.rule,
            keys,
            #[cfg(feature = "_client")]
            moved_endpoints: Allowance::full(plan.clock.monotonic()),
            clock: plan.clock,
            metadata,
            #[cfg(feature = "_client")]
            client: plan.client,
        }))
    }
}

/// Where the keys lie, found anew where that is discovered.
#[derive(Clone)]
enum Whereabouts {
    Known { issuer: Issuer, jwks_uri: Url },
    Discovered(Renew<Metadata>),
}

/// The metadata, fetched when it is first needed and kept fresh from then on.
fn kept_metadata(plan: &Plan) -> Renew<Metadata> {
    let (client, limits, search) = (
        plan.client.clone(),
        plan.discovery_limits,
        plan.search.clone(),
    );
    let pace = Pace {
        what: "metadata",
        ..plan.pace
    };
    let clock = plan.clock.clone();
    Renew::new(plan.clock.clone(), pace, move || {
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
    whereabouts: &Whereabouts,
    limits: Limits,
    lifetime: KeyLifetime,
    clock: &SharedClock,
) -> Result<Fetched<KeySet>, ProviderError> {
    match whereabouts {
        Whereabouts::Known { issuer, jwks_uri } => {
            let keys = fetch_jwk_set(client, jwks_uri, limits, lifetime, clock).await?;
            Ok(keys.map(|jwks| KeySet::new(jwks, issuer.clone(), None)))
        }
        Whereabouts::Discovered(renew) => {
            let snapshot = renew.get().await.map_err(|refusal| refusal.error)?;
            let metadata = &snapshot.value;
            let keys = fetch_jwk_set(client, &metadata.jwks_uri, limits, lifetime, clock)
                .await
                // Perhaps the keys have moved: the next attempt shall know.
                .inspect_err(|_| drop(renew.force(|| true)))?;
            let (issuer, listed) = (metadata.issuer.clone(), metadata.algorithms);
            Ok(keys.map(|jwks| KeySet::new(jwks, issuer, listed)))
        }
    }
}

fn tell(fetched: &Result<Fetched<KeySet>, ProviderError>) {
    observe::keys_fetched(fetched.as_ref().map(|_| ()));
    match fetched {
        Ok(fetched) => tracing::info!(
            issuer = %fetched.value.issuer,
            keys = fetched.value.jwks.len(),
            fresh_for = ?fetched.fresh_for,
            "fetched the provider's keys"
        ),
        Err(error) => tracing::warn!(
            kind = error.kind().as_str(),
            error = %Chain(error),
            "the provider's keys could not be fetched; what is at hand is used on while it may be"
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
