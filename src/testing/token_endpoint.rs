//! The token endpoint of the development provider, and revocation.

use axum::extract::{Form, State as Shared};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, StatusCode};
use serde_json::json;

use crate::jwt::Algorithm;
use crate::testing::assertion::known_client;
use crate::testing::device;
use crate::testing::exchange;
use crate::testing::fault::Endpoint;
use crate::testing::form::{CLIENT, Parameters, parameter, refuse};
use crate::testing::grants::{Grant, Refresh};
use crate::testing::state::{Served, State};
use crate::testing::token::{TokenBuilder, encrypted_token, opaque_token};

pub(super) async fn token(
    Shared(state): Served,
    headers: HeaderMap,
    Form(form): Form<Parameters>,
) -> Response {
    state.saw(Endpoint::Token, form.clone());
    let document = || {
        let Some(client) = known_client(&state, &headers, &form) else {
            return refuse(StatusCode::UNAUTHORIZED, "invalid_client");
        };
        let has_secret = client == CLIENT.0;
        match parameter(&form, "grant_type") {
            Some("authorization_code") => redeem_code(&state, &client, &form),
            Some(device::DEVICE_CODE) => match device::grant(&state, &client, &form) {
                Ok(grant) => (
                    StatusCode::OK,
                    first_tokens(&state, device::DEVICE_CODE, &grant),
                ),
                Err(code) => refuse(StatusCode::BAD_REQUEST, code),
            },
            Some("refresh_token") => refresh(&state, &client, &form),
            Some("client_credentials") if has_secret => client_credentials(&state, &form),
            Some(exchange::TOKEN_EXCHANGE | exchange::JWT_BEARER) if has_secret => {
                exchange::exchange(&state, &client, &form)
            }
            _ => refuse(StatusCode::BAD_REQUEST, "unsupported_grant_type"),
        }
    };
    state.answer(Endpoint::Token, document).await
}

pub(super) async fn revoke(
    Shared(state): Served,
    headers: HeaderMap,
    Form(form): Form<Parameters>,
) -> Response {
    let document = || {
        if known_client(&state, &headers, &form).is_none() {
            return refuse(StatusCode::UNAUTHORIZED, "invalid_client");
        }
        state.saw(Endpoint::Revocation, form.clone());
        if let Some(token) = parameter(&form, "token") {
            state.changing().grants.revoke(token);
        }
        (StatusCode::OK, String::new())
    };
    state.answer(Endpoint::Revocation, document).await
}

fn client_credentials(state: &State, form: &Parameters) -> (StatusCode, String) {
    let scope = parameter(form, "scope").unwrap_or_default();
    let audience = parameter(form, "audience").or_else(|| parameter(form, "resource"));
    let (edits, lifetime) = state.issuing();
    let token = match audience {
        Some(audience) => edits.access_token(
            state
                .token(Algorithm::Rs256, audience)
                .subject(CLIENT.0)
                .scope(scope)
                .expires_in(lifetime),
        ),
        // As Auth0 does: without an audience, only the provider can read the token.
        None if scope.is_empty() => opaque_token(),
        None => encrypted_token(&state.issuer),
    };
    let answer = json!({
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": lifetime.as_secs(),
        "scope": scope,
    });
    (StatusCode::OK, edits.answer("client_credentials", answer))
}

fn redeem_code(state: &State, client: &str, form: &Parameters) -> (StatusCode, String) {
    let text = parameter(form, "code").unwrap_or_default();
    let code = state.changing().grants.take_code(text);
    let verifier = parameter(form, "code_verifier").unwrap_or_default();
    let code = code.filter(|code| {
        code.grant.client == client
            && parameter(form, "redirect_uri") == Some(&code.redirect_uri)
            && challenge(verifier) == code.challenge
    });
    let Some(code) = code else {
        return refuse(StatusCode::BAD_REQUEST, "invalid_grant");
    };
    let answer = first_tokens(state, "authorization_code", &code.grant);
    (StatusCode::OK, answer)
}

/// The answer to the first request of a grant.
fn first_tokens(state: &State, grant_type: &str, grant: &Grant) -> String {
    let refresh_token = grant
        .is_offline
        .then(|| state.changing().grants.add_family(grant));
    tokens(state, grant_type, grant, refresh_token)
}

fn refresh(state: &State, client: &str, form: &Parameters) -> (StatusCode, String) {
    let token = parameter(form, "refresh_token").unwrap_or_default();
    let now = state.now();
    let mut changing = state.changing();
    let (mut grant, next) = match changing.grants.refresh(client, token, now) {
        Refresh::Granted(grant, next) => (grant, next),
        refused => {
            changing.hits.reused += u32::from(matches!(refused, Refresh::Reused));
            return refuse(StatusCode::BAD_REQUEST, "invalid_grant");
        }
    };
    changing.hits.refreshed += 1;
    drop(changing);
    if let Some(scope) = parameter(form, "scope") {
        scope.clone_into(&mut grant.scope);
    }
    let audience = parameter(form, "audience").or_else(|| parameter(form, "resource"));
    if let Some(audience) = audience {
        grant.audience = Some(audience.to_owned());
    }
    (StatusCode::OK, tokens(state, "refresh_token", &grant, next))
}

fn tokens(state: &State, grant_type: &str, grant: &Grant, refresh_token: Option<String>) -> String {
    let (edits, lifetime) = state.issuing();
    let access_token = match &grant.audience {
        _ if grant.has_opaque_tokens => state.changing().grants.add_opaque(&grant.user),
        Some(audience) => {
            let token = state
                .token(Algorithm::Rs256, audience)
                .subject(&grant.user)
                .claim("client_id", &grant.client)
                .scope(&grant.scope)
                .expires_in(lifetime);
            edits.access_token(token)
        }
        // As Auth0 does: without an audience, only the provider can read the token.
        None => encrypted_token(&state.issuer),
    };
    let mut answer = json!({
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": lifetime.as_secs(),
        "scope": grant.scope,
    });
    if grant.has_id_token {
        let id_token = edits.id_token(id_token(state, grant, &access_token));
        answer["id_token"] = json!(id_token);
    }
    if let Some(token) = refresh_token {
        answer["refresh_token"] = json!(token);
    }
    edits.answer(grant_type, answer)
}

fn id_token(state: &State, grant: &Grant, access_token: &str) -> TokenBuilder {
    let token = state
        .token(Algorithm::Rs256, &grant.client)
        .header("typ", "JWT")
        .without_claim("client_id")
        .subject(&grant.user)
        .claim("at_hash", at_hash(access_token))
        .claim("auth_time", grant.auth_time)
        .claim("sid", &grant.sid)
        .claim("name", format!("The development {}", grant.user))
        .claim("email", format!("{}@example.com", grant.user));
    match &grant.nonce {
        Some(nonce) => token.claim("nonce", nonce),
        None => token,
    }
}

/// [RFC 7636 §4.2](https://www.rfc-editor.org/rfc/rfc7636#section-4.2).
fn challenge(verifier: &str) -> String {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.as_bytes());
    URL_SAFE_NO_PAD.encode(hash)
}

/// The left half of SHA-256, since the ID token is signed with RS256.
fn at_hash(access_token: &str) -> String {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, access_token.as_bytes());
    URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16])
}
