//! The OpenID provider: its metadata, its keys and its endpoints.

mod builder;
#[cfg(feature = "client")]
pub(crate) mod client;
pub(crate) mod discovery;
mod endpoints;
#[cfg(feature = "doctor")]
pub(crate) mod inspection;
mod key_choice;
mod key_source;
pub(crate) mod known;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[cfg(feature = "introspection")]
use url::Url;

pub use self::builder::ProviderBuilder;
#[cfg(feature = "client")]
pub use self::client::assertion::ClientAssertion;
#[cfg(feature = "client")]
pub(crate) use self::client::assertion_key::PublishedKey;
#[cfg(feature = "client")]
pub use self::client::assertion_key::{AssertionAudience, KeyId};
#[cfg(feature = "client")]
pub use self::client::credentials::{Client, SecretMethod};
pub use self::discovery::Discovery;

use self::builder::METADATA_LIFETIME;
use crate::claims::Issuer;
use crate::clock::SharedClock;
use crate::error::setup::KeysFrom;
use crate::error::{Chain, ConfigError, ProviderError};
use crate::http_client::{HttpClient, Limits};
use crate::keys::jwk_set::TENANT_PLACEHOLDER;
use crate::keys::remote::{KeyLifetime, KeySet, RemoteKeys};
#[cfg(feature = "client")]
use crate::provider::client::side::ClientSide;
use crate::provider::discovery::{IssuerRule, Metadata, Search};
#[cfg(feature = "doctor")]
use crate::provider::inspection::Inspection;
use crate::provider::key_source::{Fetcher, KeySource};
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
#[doc(alias(
    "auth0",
    "discovery",
    "entra",
    "google",
    "issuer",
    "jwks",
    "keycloak",
    "oidc",
    "okta"
))]
#[derive(Clone)]
pub struct Provider(Arc<Inner>);

struct Inner {
    issuer: Issuer,
    accepted_issuers: Vec<AcceptedIssuer>,
    rule: IssuerRule,
    keys_from: KeysFrom,
    keys: RemoteKeys,
    clock: SharedClock,
    #[cfg(feature = "client")]
    client_side: ClientSide,
    #[cfg(feature = "doctor")]
    inspection: Inspection,
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
    /// Metadata to begin with.
    known: Option<Metadata>,
    source: KeySource,
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
    /// The time since they were fetched. `None` also for keys that the program gave.
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

    /// The provider with this issuer and this key set, the JSON text that it serves at its `jwks_uri`
    /// ([RFC 7517 §5](https://www.rfc-editor.org/rfc/rfc7517#section-5)), with all defaults: for a service without a
    /// way to the provider, and for tests. To verify a token is then a plain function call, which needs neither
    /// network nor runtime. See [`ProviderBuilder::with_jwks`] for what it means and for its security.
    ///
    /// ```
    /// use tower_oidc::Provider;
    ///
    /// # fn main() -> Result<(), tower_oidc::ConfigError> {
    /// // The key of RFC 8037, appendix A.2. Real ones are in a file or a constant of the program.
    /// let jwks = r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "2026-11",
    ///     "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    /// let verifier = Provider::with_keys("https://id.example", jwks)?.verifier("https://api.example.com")?;
    ///
    /// // Without a usable key there is no provider, and the error says why each entry is none.
    /// let private = r#"{"keys": [{"kty": "oct", "k": "AA"}]}"#;
    /// assert!(Provider::with_keys("https://id.example", private).is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ConfigError`] if the issuer is not an https URL without query and fragment, or no key of the set can verify a
    /// signature.
    pub fn with_keys(issuer: &str, jwks: &str) -> Result<Self, ConfigError> {
        Self::builder(issuer).with_jwks(jwks).build()
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

    #[cfg(feature = "doctor")]
    pub(crate) fn inspection(&self) -> &Inspection {
        &self.0.inspection
    }

    /// Where the keys come from.
    pub(crate) fn keys_from(&self) -> KeysFrom {
        self.0.keys_from
    }

    /// Whether both are clones of one provider.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
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
        #[cfg(feature = "doctor")]
        let inspection = Inspection::new(
            parts.search.clone(),
            parts.client.clone(),
            parts.clock.clone(),
            [parts.discovery_limits, parts.jwks_limits],
        );
        let fetcher = Fetcher {
            issuer: parts.issuer.clone(),
            client: parts.client,
            limits: parts.jwks_limits,
            lifetime: parts.lifetime,
            listed: parts.known.as_ref().and_then(|known| known.algorithms),
            clock: parts.clock.clone(),
        };
        Self(Arc::new(Inner {
            issuer: parts.issuer,
            accepted_issuers: parts.accepted_issuers,
            rule: parts.rule,
            keys_from: parts.source.kind(),
            keys: fetcher.keys(parts.source, metadata, parts.pace),
            #[cfg(feature = "client")]
            client_side,
            #[cfg(feature = "doctor")]
            inspection,
            clock: parts.clock,
        }))
    }
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
        // What the program knows does not depend on an answer.
        stale: match parts.known {
            Some(_) => Duration::MAX,
            None => parts.pace.stale,
        },
        ..parts.pace
    };
    let clock = parts.clock.clone();
    // Without metadata of the program a failure is told where the metadata is needed.
    let is_told = Arc::new(AtomicBool::new(parts.known.is_none()));
    let renewed = Renew::new(parts.clock.clone(), pace, move || {
        let (client, search, clock) = (client.clone(), search.clone(), clock.clone());
        let is_told = Arc::clone(&is_told);
        Box::pin(async move {
            let fetched = search.run(&client, limits, &clock).await;
            if let Err(error) = &fetched
                && !is_told.swap(true, Ordering::Relaxed)
            {
                tracing::warn!(
                    error = %Chain(error),
                    "the provider's metadata could not be fetched; what the metadata of the program leaves out, such \
                     as revocation, is not used until it is"
                );
            }
            Ok(Fetched {
                value: fetched?,
                fresh_for: METADATA_LIFETIME,
                ahead: None,
            })
        })
    });
    match &parts.known {
        // What it does not say is fetched at once.
        Some(known) => renewed.starting_with(Fetched {
            value: known.clone(),
            fresh_for: Duration::ZERO,
            ahead: None,
        }),
        None => renewed,
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
