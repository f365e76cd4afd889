//! Whether refreshed tokens are about the person who signed in
//! ([OpenID Connect Core §12.2](https://openid.net/specs/openid-connect-core-1_0.html#RefreshTokenResponse)).

use crate::login::sessions::tokens::TokenSet;
use crate::verify::id_token::IdToken;

/// Whether a **verified** ID token names another person. Nothing else about it ends a session.
pub(crate) fn is_somebody_else(signed_in: &TokenSet, refreshed: &IdToken) -> bool {
    refreshed.issuer() != signed_in.issuer || refreshed.subject() != signed_in.subject
}
