//! Token responses of an application, for [`LoginLayer::adopt`](crate::LoginLayer::adopt).

use openidconnect::{
    AdditionalClaims, ExtraTokenFields, GenderClaim, IdTokenFields, JweContentEncryptionAlgorithm,
    JwsSigningAlgorithm, StandardTokenResponse, TokenResponse, TokenType,
};
use serde::Serialize;
use serde_json::Value;

use crate::login::ObtainedTokens;

impl ObtainedTokens {
    /// The tokens of any response of the `openidconnect` crate. Those of `CoreTokenResponse` and its relatives
    /// can be handed over by reference, without this call.
    ///
    /// ```
    /// use openidconnect::core::CoreTokenResponse;
    /// use tower_oidc::login::ObtainedTokens;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let response: CoreTokenResponse =
    ///     serde_json::from_str(r#"{"access_token": "a", "token_type": "Bearer", "expires_in": 60}"#)?;
    /// let tokens = ObtainedTokens::of_response(&response).with_scope("openid");
    /// # drop(tokens);
    /// # Ok(())
    /// # }
    /// ```
    pub fn of_response<AC, GC, JE, JS>(response: &impl TokenResponse<AC, GC, JE, JS>) -> Self
    where
        AC: AdditionalClaims,
        GC: GenderClaim,
        JE: JweContentEncryptionAlgorithm<KeyType = JS::KeyType>,
        JS: JwsSigningAlgorithm,
    {
        let id_token = response.id_token().map(ToString::to_string);
        let mut tokens = Self::with(response.access_token().secret(), id_token.as_deref());
        if let Some(refresh_token) = response.refresh_token() {
            tokens = tokens.with_refresh_token(refresh_token.secret());
        }
        if let Some(lifetime) = response.expires_in() {
            tokens = tokens.with_expires_in(lifetime);
        }
        if let Some(scopes) = response.scopes() {
            let scopes: Vec<_> = scopes.iter().map(|scope| scope.as_str()).collect();
            tokens = tokens.with_scope(&scopes.join(" "));
        }
        if is_bearer(response.token_type()) {
            tokens
        } else {
            tokens.of_other_type()
        }
    }
}

impl<AC, EF, GC, JE, JS, TT> From<&StandardTokenResponse<IdTokenFields<AC, EF, GC, JE, JS>, TT>>
    for ObtainedTokens
where
    AC: AdditionalClaims,
    EF: ExtraTokenFields,
    GC: GenderClaim,
    JE: JweContentEncryptionAlgorithm<KeyType = JS::KeyType>,
    JS: JwsSigningAlgorithm,
    TT: TokenType,
{
    fn from(response: &StandardTokenResponse<IdTokenFields<AC, EF, GC, JE, JS>, TT>) -> Self {
        Self::of_response(response)
    }
}

/// Whether the type of a token is written so.
fn is_bearer(token_type: &impl Serialize) -> bool {
    match serde_json::to_value(token_type) {
        Ok(Value::String(name)) => name.eq_ignore_ascii_case("bearer"),
        _ => false,
    }
}
