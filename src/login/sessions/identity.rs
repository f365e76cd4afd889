//! Whether the ID token of a refresh is about the sign-in
//! ([OpenID Connect Core §12.2](https://openid.net/specs/openid-connect-core-1_0.html#RefreshTokenResponse)).

use serde_json::Value;

use crate::login::sessions::tokens::TokenSet;
use crate::verify::id_token::IdToken;

/// What a **verified** ID token of a refresh comes to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refreshed {
    /// It names another person. Nothing else about it ends a session.
    SomebodyElse,
    /// It breaks another rule, about this claim. The former one stays.
    PutAside(&'static str),
    /// It takes the place of the former one.
    Taken,
}

/// Holds the ID token of a refresh against the sign-in.
pub(crate) fn compare(signed_in: &TokenSet, refreshed: &IdToken) -> Refreshed {
    if refreshed.issuer() != signed_in.issuer || refreshed.subject() != signed_in.subject {
        return Refreshed::SomebodyElse;
    }
    if !former_audiences(signed_in).all(|named| refreshed.audiences().any(|aud| aud == named)) {
        return Refreshed::PutAside("aud");
    }
    // Both may be missing, from either.
    if let (Some(now), Some(then)) = (refreshed.auth_time(), signed_in.auth_time)
        && now.as_seconds() != then
    {
        return Refreshed::PutAside("auth_time");
    }
    match (refreshed.nonce(), &signed_in.nonce) {
        (Some(now), Some(then)) if now != then => Refreshed::PutAside("nonce"),
        _ => Refreshed::Taken,
    }
}

fn former_audiences(signed_in: &TokenSet) -> impl Iterator<Item = String> {
    let claims: Value = serde_json::from_str(&signed_in.id_claims).unwrap_or_default();
    let named = match claims.get("aud") {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(several)) => several
            .iter()
            .filter_map(|named| named.as_str().map(str::to_owned))
            .collect(),
        _ => Vec::new(),
    };
    named.into_iter()
}
