//! Choices that remove a protection. All are in this module or behind a call of `danger()`, so a reviewer
//! finds them by searching for that word.

use crate::claims::Transport;
use crate::error::ConfigError;
#[cfg(feature = "outbound")]
use crate::outbound::Destination;
use crate::provider::ProviderBuilder;
use crate::resource_metadata::ProtectedResource;
use crate::verify::{Verifier, VerifierBuilder};

/// Weakening choices about a provider.
#[must_use]
#[derive(Debug)]
pub struct DangerousProviderBuilder(ProviderBuilder);

impl ProviderBuilder {
    /// Choices that weaken the checks on the provider.
    pub fn danger(self) -> DangerousProviderBuilder {
        DangerousProviderBuilder(self)
    }
}

impl DangerousProviderBuilder {
    /// Allows plain http for issuer and endpoints on a loopback address, for development.
    ///
    /// # Security
    /// Every program on this machine that can listen there can pose as the provider. Other addresses still
    /// need https ([RFC 8414 §2](https://www.rfc-editor.org/rfc/rfc8414#section-2)).
    pub fn allow_http_on_loopback(self) -> ProviderBuilder {
        self.0.set_transport(Transport::HttpsOrLoopback)
    }

    /// Allows plain http for issuer, metadata, keys and endpoints on these hosts, each `host` or `host:port`, such
    /// as `keycloak:8080`: for a network that no one else can read or change, such as that of one machine's
    /// containers. A warning names them at each start.
    ///
    /// # Security
    /// A program or device on the way to such a host can pose as the provider, sign tokens with its own keys, and
    /// read codes, secrets and refresh tokens ([RFC 8414 §6.1](https://www.rfc-editor.org/rfc/rfc8414#section-6.1)).
    pub fn allow_http<H: Into<String>>(
        self,
        hosts: impl IntoIterator<Item = H>,
    ) -> ProviderBuilder {
        self.0
            .set_http_hosts(hosts.into_iter().map(Into::into).collect())
    }
}

/// The metadata of a resource that is reached by plain http on a loopback address, for development.
///
/// # Security
/// A program that can read this machine's loopback traffic can read the tokens sent there.
///
/// # Errors
/// [`ConfigError::Invalid`] if the identifier is not a URL, or is neither https nor on loopback.
pub fn loopback_resource(
    identifier: &str,
    verifier: &Verifier,
) -> Result<ProtectedResource, ConfigError> {
    ProtectedResource::parse(identifier, verifier, &Transport::HttpsOrLoopback)
}

/// A destination that is reached by plain http and not on a loopback address, for networks that encrypt
/// by themselves, such as a service mesh.
///
/// # Security
/// A program or device that can read that network's traffic can read the tokens sent there
/// ([RFC 6750 §5.3](https://www.rfc-editor.org/rfc/rfc6750#section-5.3)).
///
/// # Errors
/// [`ConfigError::Invalid`] if it is not the origin of an http URL.
#[cfg(feature = "outbound")]
pub fn plain_http_destination(text: &str) -> Result<Destination, ConfigError> {
    Destination::parse_plain(text)
}

/// Weakening choices about a verifier.
#[must_use]
#[derive(Debug)]
pub struct DangerousVerifierBuilder(VerifierBuilder);

impl VerifierBuilder {
    /// Choices that weaken the checks on tokens.
    pub fn danger(self) -> DangerousVerifierBuilder {
        DangerousVerifierBuilder(self)
    }
}

impl DangerousVerifierBuilder {
    /// Accepts tokens that are bound to a key or certificate (`cnf`), without checking the binding.
    ///
    /// # Security
    /// The binding makes a stolen token worthless
    /// ([RFC 9700 §2.2.1](https://www.rfc-editor.org/rfc/rfc9700#section-2.2.1)). Without the check a thief
    /// can use the token.
    pub fn allow_sender_constrained(self) -> VerifierBuilder {
        self.0.set_allow_sender_constrained()
    }
}
