//! Whose assertions the provider of a test takes.

use crate::keys::jwk_set::JwkSet;
use crate::testing::form::CLIENT;
use crate::testing::provider::DevelopmentProvider;
use crate::testing::trust::Signer;

impl DevelopmentProvider {
    /// Takes assertions that the client `development` signs with one of these keys (`private_key_jwt`), a JWK Set. Each
    /// `jti` is taken once. Former ones are forgotten.
    ///
    /// # Panics
    /// If the set has no usable key.
    pub fn trust_client_keys(&self, jwks: &str) {
        self.trust(CLIENT.0, CLIENT.0, None, jwks);
    }

    /// Takes assertions for the client `development` that a platform makes: with this issuer, subject and audience,
    /// signed with one of these keys, a JWK Set. Former ones are forgotten.
    ///
    /// # Panics
    /// If the set has no usable key.
    pub fn trust_platform(&self, issuer: &str, subject: &str, audience: &str, jwks: &str) {
        self.trust(issuer, subject, Some(audience), jwks);
    }

    fn trust(&self, issuer: &str, subject: &str, audience: Option<&str>, jwks: &str) {
        let keys = JwkSet::parse(jwks.as_bytes()).expect("a usable key");
        let signer = Signer {
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
            audience: audience.map(str::to_owned),
            keys,
        };
        self.state().changing().trust.signers = vec![signer];
    }
}
