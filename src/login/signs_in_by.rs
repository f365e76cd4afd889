//! What says who has signed in, and what judges it.

use crate::error::ConfigError;
use crate::provider::Provider;
use crate::verify::Verifier;

/// What says who has signed in.
pub(super) enum SignsInBy {
    /// The access token, judged by this verifier.
    AccessToken(Verifier),
    /// The ID token of this provider.
    IdToken(Provider),
}

impl SignsInBy {
    pub(super) fn is_identity(&self) -> bool {
        matches!(self, Self::IdToken(_))
    }

    /// What judges access tokens, or what other verifiers are made of where none are judged.
    pub(super) fn verifier(&self, client_id: &str) -> Result<Verifier, ConfigError> {
        match self {
            Self::AccessToken(verifier) => Ok(verifier.clone()),
            Self::IdToken(provider) => Verifier::builder(provider, client_id)
                .without_cache()
                .build(),
        }
    }
}
