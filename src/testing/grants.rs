//! Codes and refresh tokens of the development provider: each spent once, and whoever spends a
//! refresh token twice loses the whole family
//! ([RFC 9700 §4.14.2](https://www.rfc-editor.org/rfc/rfc9700#section-4.14.2)).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::json;

use crate::jwt::Algorithm;
use crate::testing::fault::Endpoint;
use crate::testing::provider::State;
use crate::testing::server::{Parameters, parameter, refuse};
use crate::testing::token::{encrypted_token, opaque_token};

/// What was granted to whom.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub(super) client: String,
    pub(super) user: String,
    pub(super) scope: String,
    pub(super) audience: Option<String>,
    pub(super) nonce: Option<String>,
    pub(super) sid: String,
    pub(super) auth_time: i64,
}

#[derive(Debug)]
pub(super) struct Code {
    pub(super) text: String,
    pub(super) redirect_uri: String,
    pub(super) challenge: String,
    pub(super) grant: Grant,
}

/// The refresh tokens that came of one sign-in.
#[derive(Debug)]
struct Family {
    grant: Grant,
    live: Option<String>,
    spent: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Grants {
    pub(super) codes: Vec<Code>,
    families: Vec<Family>,
    pub(super) lifetime: Duration,
    pub(super) rotates: bool,
}

impl Default for Grants {
    fn default() -> Self {
        Self {
            codes: Vec::new(),
            families: Vec::new(),
            lifetime: Duration::from_secs(3600),
            rotates: true,
        }
    }
}

impl Grants {
    pub(super) fn live(&self) -> Vec<String> {
        let live = self.families.iter();
        live.filter_map(|family| family.live.clone()).collect()
    }

    pub(super) fn revoke(&mut self, token: &str) {
        self.families.retain(|family| {
            family.live.as_deref() != Some(token) && !family.spent.iter().any(|one| one == token)
        });
    }
}

pub(super) fn redeem_code(state: &State, client: &str, form: &Parameters) -> (StatusCode, String) {
    let invalid = || refuse(StatusCode::BAD_REQUEST, "invalid_grant");
    let code = parameter(form, "code").unwrap_or_default();
    let mut changing = state.changing();
    let Some(at) = changing
        .grants
        .codes
        .iter()
        .position(|one| one.text == code)
    else {
        return invalid();
    };
    // Gone, whatever else is wrong with the request.
    let code = changing.grants.codes.remove(at);
    let verifier = parameter(form, "code_verifier").unwrap_or_default();
    let is_right = code.grant.client == client
        && parameter(form, "redirect_uri") == Some(&code.redirect_uri)
        && challenge(verifier) == code.challenge;
    if !is_right {
        return invalid();
    }
    let is_offline = code
        .grant
        .scope
        .split(' ')
        .any(|word| word == "offline_access");
    let refresh_token = is_offline.then(opaque_token);
    if let Some(token) = &refresh_token {
        changing.grants.families.push(Family {
            grant: code.grant.clone(),
            live: Some(token.clone()),
            spent: Vec::new(),
        });
    }
    drop(changing);
    let grant = code.grant;
    (
        StatusCode::OK,
        tokens(state, "authorization_code", &grant, refresh_token),
    )
}

pub(super) fn refresh(state: &State, client: &str, form: &Parameters) -> (StatusCode, String) {
    let invalid = || refuse(StatusCode::BAD_REQUEST, "invalid_grant");
    let token = parameter(form, "refresh_token").unwrap_or_default();
    let mut changing = state.changing();
    let rotates = changing.grants.rotates;
    let families = &mut changing.grants.families;
    if let Some(at) = families
        .iter()
        .position(|family| family.spent.iter().any(|spent| spent == token))
    {
        families.remove(at);
        changing.hits.reused += 1;
        return invalid();
    }
    let Some(family) = families
        .iter_mut()
        .find(|family| family.grant.client == client && family.live.as_deref() == Some(token))
    else {
        return invalid();
    };
    let mut next = None;
    if rotates {
        let new = opaque_token();
        family.spent.extend(family.live.replace(new.clone()));
        next = Some(new);
    }
    let mut grant = family.grant.clone();
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
        Some(audience) => {
            let token = state
                .token(Algorithm::Rs256, audience)
                .subject(&grant.user)
                .claim("client_id", &grant.client)
                .scope(&grant.scope)
                .expires_in(lifetime);
            edits.access_token(token)
        }
        // As Auth0 does: without an audience nobody but the provider can read it.
        None => encrypted_token(&state.issuer),
    };
    let mut id_token = state
        .token(Algorithm::Rs256, &grant.client)
        .header("typ", "JWT")
        .without_claim("client_id")
        .subject(&grant.user)
        .claim("at_hash", at_hash(&access_token))
        .claim("auth_time", grant.auth_time)
        .claim("sid", &grant.sid)
        .claim("name", format!("The development {}", grant.user))
        .claim("email", format!("{}@example.com", grant.user));
    if let Some(nonce) = &grant.nonce {
        id_token = id_token.claim("nonce", nonce);
    }
    if let Some(edit) = &edits.id_token {
        id_token = edit(id_token);
    }
    let mut answer = json!({
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": lifetime.as_secs(),
        "scope": grant.scope,
        "id_token": id_token.build(),
    });
    if let Some(token) = refresh_token {
        answer["refresh_token"] = json!(token);
    }
    edits.answer(grant_type, answer)
}

fn challenge(verifier: &str) -> String {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.as_bytes());
    URL_SAFE_NO_PAD.encode(hash)
}

/// Of a token signed with RS256: the left half of SHA-256.
fn at_hash(access_token: &str) -> String {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, access_token.as_bytes());
    URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16])
}

/// Counted apart: what becomes of a revoked token.
pub(super) fn revoke(state: &State, form: &Parameters) {
    state.saw(Endpoint::Revocation, form.clone());
    if let Some(token) = parameter(form, "token") {
        state.changing().grants.revoke(token);
    }
}
