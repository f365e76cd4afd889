//! Token exchange at the development provider: one of its own tokens for another
//! ([RFC 8693](https://www.rfc-editor.org/rfc/rfc8693), and on-behalf-of as in Microsoft Entra ID).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::{Value, json};

use crate::jwt::Algorithm;
use crate::testing::form::{Parameters, parameter, refuse};
use crate::testing::state::State;

pub(super) const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
pub(super) const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

pub(super) fn exchange(state: &State, client: &str, form: &Parameters) -> (StatusCode, String) {
    let grant_type = parameter(form, "grant_type").unwrap_or_default();
    let (subject, audience) = if grant_type == JWT_BEARER {
        if parameter(form, "requested_token_use") != Some("on_behalf_of") {
            return refuse(StatusCode::BAD_REQUEST, "invalid_request");
        }
        let scope = parameter(form, "scope").unwrap_or_default();
        let resource = scope.rsplit_once('/').map(|(resource, _)| resource);
        (parameter(form, "assertion"), resource)
    } else {
        if parameter(form, "subject_token_type").is_none() {
            return refuse(StatusCode::BAD_REQUEST, "invalid_request");
        }
        let audience = parameter(form, "audience").or_else(|| parameter(form, "resource"));
        (parameter(form, "subject_token"), audience)
    };
    let Some(claims) = subject.and_then(|token| own_claims(state, token)) else {
        return refuse(StatusCode::BAD_REQUEST, "invalid_grant");
    };
    let Some(audience) = audience else {
        return refuse(StatusCode::BAD_REQUEST, "invalid_target");
    };
    let (edits, lifetime) = state.issuing();
    let scope = parameter(form, "scope").unwrap_or_default();
    let mut token = state
        .token(Algorithm::Rs256, audience)
        .subject(claims["sub"].as_str().unwrap_or_default())
        .claim("client_id", client)
        .scope(scope)
        .expires_in(lifetime);
    let actor = parameter(form, "actor_token").and_then(|token| own_claims(state, token));
    if let Some(actor) = actor {
        token = token.claim("act", json!({"sub": actor["sub"]}));
    }
    let mut answer = json!({
        "access_token": edits.access_token(token),
        "token_type": "Bearer",
        "expires_in": lifetime.as_secs(),
        "scope": scope,
    });
    if grant_type == TOKEN_EXCHANGE {
        answer["issued_token_type"] = json!(ACCESS_TOKEN);
    }
    (StatusCode::OK, edits.answer(grant_type, answer))
}

/// The claims of a token that this provider issued and that has not expired.
fn own_claims(state: &State, token: &str) -> Option<Value> {
    let payload = token.split('.').nth(1)?;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    let is_own = claims["iss"] == json!(state.issuer);
    let is_live = claims["exp"].as_i64()? > state.now().as_seconds();
    (is_own && is_live).then_some(claims)
}
