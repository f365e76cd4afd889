//! A provider that begins with the metadata of an application.

#![expect(
    clippy::type_complexity,
    reason = "the parameters are those of the foreign type"
)]

use openidconnect::{
    AdditionalProviderMetadata, AuthDisplay, ClaimName, ClaimType, ClientAuthMethod, GrantType,
    JsonWebKey, JweContentEncryptionAlgorithm, JweKeyManagementAlgorithm, JwsSigningAlgorithm,
    ProviderMetadata, ResponseMode, ResponseType, SubjectIdentifierType,
};
use serde_json::{Map, Value};

use crate::error::ConfigError;
use crate::provider::known::KnownMetadata;
use crate::provider::{Provider, ProviderBuilder};

impl Provider {
    /// The provider of this metadata of the `openidconnect` crate, with all defaults: as
    /// [`discover`](Self::discover), without waiting for the metadata. See
    /// [`ProviderBuilder::with_metadata`] for what it means.
    ///
    /// ```
    /// use openidconnect::core::CoreProviderMetadata;
    /// use tower_oidc::{ConfigError, Provider, Verifier};
    ///
    /// /// The application has discovered its provider, for its own client.
    /// fn verifier(metadata: &CoreProviderMetadata) -> Result<Verifier, ConfigError> {
    ///     Provider::from_metadata(metadata)?.verifier("https://api.example.com")
    /// }
    /// # let document = |jwks_uri| serde_json::json!({
    /// #     "issuer": "https://id.example", "authorization_endpoint": "https://id.example/authorize",
    /// #     "jwks_uri": jwks_uri, "response_types_supported": ["code"],
    /// #     "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["RS256"]});
    /// # let metadata = |jwks_uri| serde_json::from_value(document(jwks_uri)).unwrap();
    /// # if cfg!(feature = "reqwest") {
    /// # assert!(verifier(&metadata("https://id.example/jwks")).is_ok());
    /// # }
    /// # assert!(verifier(&metadata("http://id.example/jwks")).is_err());
    /// ```
    ///
    /// # Errors
    /// [`ConfigError`] if issuer or `jwks_uri` is no https URL, as discovery has it.
    pub fn from_metadata<A, AD, CA, CN, CT, G, JE, JK, K, RM, RT, S>(
        metadata: &ProviderMetadata<A, AD, CA, CN, CT, G, JE, JK, K, RM, RT, S>,
    ) -> Result<Self, ConfigError>
    where
        A: AdditionalProviderMetadata,
        AD: AuthDisplay,
        CA: ClientAuthMethod,
        CN: ClaimName,
        CT: ClaimType,
        G: GrantType,
        JE: JweContentEncryptionAlgorithm<
            KeyType = <K::SigningAlgorithm as JwsSigningAlgorithm>::KeyType,
        >,
        JK: JweKeyManagementAlgorithm,
        K: JsonWebKey,
        RM: ResponseMode,
        RT: ResponseType,
        S: SubjectIdentifierType,
    {
        Self::builder(metadata.issuer().as_str())
            .with_metadata(metadata)
            .build()
    }
}

impl ProviderBuilder {
    /// Begins with this metadata of the `openidconnect` crate, so that the first sign-in waits for no discovery.
    /// Default: none; the metadata is fetched when it is first needed.
    ///
    /// It passes the checks of discovery: its issuer must be the one of this builder, and what it names must be
    /// https. What it says holds as long as the provider lives, also where the provider's own document says
    /// otherwise later. What the types of `openidconnect` leave out (such as revocation, sign-out at the provider, and
    /// whether callbacks name the issuer) is fetched in the background. If that fails, the provider does without.
    ///
    /// Keys are fetched from its `jwks_uri` and renewed. Until the first fetch, the keys that `openidconnect` fetched
    /// with the metadata are used, as by [`with_initial_jwks`](Self::with_initial_jwks).
    pub fn with_metadata<A, AD, CA, CN, CT, G, JE, JK, K, RM, RT, S>(
        self,
        metadata: &ProviderMetadata<A, AD, CA, CN, CT, G, JE, JK, K, RM, RT, S>,
    ) -> Self
    where
        A: AdditionalProviderMetadata,
        AD: AuthDisplay,
        CA: ClientAuthMethod,
        CN: ClaimName,
        CT: ClaimType,
        G: GrantType,
        JE: JweContentEncryptionAlgorithm<
            KeyType = <K::SigningAlgorithm as JwsSigningAlgorithm>::KeyType,
        >,
        JK: JweKeyManagementAlgorithm,
        K: JsonWebKey,
        RM: ResponseMode,
        RT: ResponseType,
        S: SubjectIdentifierType,
    {
        // What cannot be written as JSON has no issuer, and is refused when the provider is built.
        let members = match serde_json::to_value(metadata) {
            Ok(Value::Object(members)) => members,
            _ => Map::new(),
        };
        let jwks = metadata.jwks();
        let has_keys = !jwks.keys().is_empty();
        let jwks = has_keys.then(|| serde_json::to_string(jwks).ok()).flatten();
        self.set_known(KnownMetadata::new(members, jwks))
    }
}
