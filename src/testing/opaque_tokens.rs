//! The choices of a test about opaque tokens, and about what introspection says of tokens.

use std::sync::Arc;

use serde_json::Value;

use crate::testing::provider::DevelopmentProvider;
use crate::testing::token::{TokenBuilder, opaque_token};

impl DevelopmentProvider {
    /// Issues an opaque token that stands for this one: introspection tells its claims, as long as it has not expired
    /// and was not [revoked](Self::revoke_access_token).
    ///
    /// # Panics
    /// Never: the claims of a builder are an object.
    #[must_use]
    pub fn opaque_token_for(&self, token: &TokenBuilder) -> String {
        let reference = opaque_token();
        let claims = serde_json::from_str(&token.claims_json()).expect("the claims as JSON");
        let references = &mut self.state().changing().introspected.references;
        references.insert(reference.clone(), claims);
        reference
    }

    /// Calls this access token inactive from now on when it is introspected, whether it is opaque or a JWT.
    pub fn revoke_access_token(&self, token: &str) {
        let revoked = &mut self.state().changing().introspected.revoked;
        revoked.push(token.to_owned());
    }

    /// Changes the answers of the introspection endpoint from now on.
    pub fn edit_introspection_answer(&self, edit: impl Fn(&mut Value) + Send + Sync + 'static) {
        self.state().changing().edits.introspection = Some(Arc::new(edit));
    }

    /// Changes the JWTs that signed answers of the introspection endpoint are, from now on.
    pub fn edit_signed_introspection_answer(
        &self,
        edit: impl Fn(TokenBuilder) -> TokenBuilder + Send + Sync + 'static,
    ) {
        self.state().changing().edits.signed_introspection = Some(Arc::new(edit));
    }
}
