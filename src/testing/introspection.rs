//! The introspection endpoint of the development provider
//! ([RFC 7662](https://www.rfc-editor.org/rfc/rfc7662)).

use axum::extract::{Form, State as Shared};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};

use crate::jwt::Algorithm;
use crate::testing::assertion::known_client;
use crate::testing::fault::Endpoint;
use crate::testing::form::{CLIENT, Parameters, parameter, refuse};
use crate::testing::state::{Served, State};

/// The media type of signed answers ([RFC 9701 §4](https://www.rfc-editor.org/rfc/rfc9701#section-4)).
const SIGNED: &str = "application/token-introspection+jwt";

pub(super) async fn introspect(
    Shared(state): Served,
    headers: HeaderMap,
    Form(form): Form<Parameters>,
) -> Response {
    state.saw(Endpoint::Introspection, form.clone());
    let mut is_signed = false;
    let document = || {
        // A public client is told nothing.
        if known_client(&state, &headers, &form).as_deref() != Some(CLIENT.0) {
            return refuse(StatusCode::UNAUTHORIZED, "invalid_client");
        }
        let token = parameter(&form, "token").unwrap_or_default();
        let mut answer = told_of(&state, token);
        let (edits, _) = state.issuing();
        if let Some(edit) = &edits.introspection {
            edit(&mut answer);
        }
        is_signed = headers.get(ACCEPT).is_some_and(|accept| accept == SIGNED);
        if !is_signed {
            return (StatusCode::OK, answer.to_string());
        }
        let token = state
            .token(Algorithm::Rs256, CLIENT.0)
            .header("typ", "token-introspection+jwt")
            .without_claim("sub")
            .without_claim("client_id")
            .without_claim("jti")
            .without_claim("exp")
            .claim("token_introspection", answer);
        (StatusCode::OK, edits.signed_introspection(token))
    };
    let mut response = state.answer(Endpoint::Introspection, document).await;
    if is_signed {
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(SIGNED));
    }
    response
}

/// The answer about a token ([RFC 7662 §2.2](https://www.rfc-editor.org/rfc/rfc7662#section-2.2)).
fn told_of(state: &State, token: &str) -> Value {
    let now = state.now().as_seconds();
    let changing = state.changing();
    let of_sign_in = || {
        let user = changing.grants.user_of_opaque(token)?;
        Some(json!({ "sub": user, "client_id": CLIENT.0 }))
    };
    let known = changing.introspected.references.get(token).cloned();
    let claims = known.or_else(of_sign_in).or_else(|| claims_of(token));
    let is_revoked = changing
        .introspected
        .revoked
        .iter()
        .any(|revoked| revoked == token);
    match claims {
        Some(mut claims) if !is_revoked && claims["exp"].as_i64().is_none_or(|exp| now < exp) => {
            claims["active"] = json!(true);
            claims["token_type"] = json!("Bearer");
            claims
        }
        _ => json!({ "active": false }),
    }
}

/// The claims of a JWT. Its signature is not checked.
fn claims_of(token: &str) -> Option<Value> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    claims.is_object().then_some(claims)
}
