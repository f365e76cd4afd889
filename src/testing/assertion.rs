//! Assertions by which a client authenticates at the development provider
//! ([RFC 7523 §3](https://www.rfc-editor.org/rfc/rfc7523#section-3)).

use std::collections::VecDeque;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde_json::Value;

use crate::jwt::{Algorithm, CompactJws};
use crate::keys::jwk_set::{Choice, JwkSet, TokenIssuer};
use crate::testing::form::{CLIENT, Parameters, client_by_secret, parameter};
use crate::testing::provider::DevelopmentProvider;
use crate::testing::server::TOKEN;
use crate::testing::state::State;

/// Whose assertions are taken for the client `development`.
#[derive(Debug, Default)]
pub(super) struct Trust {
    signers: Vec<Signer>,
    /// The latest `jti` of assertions that the client itself signed: each is taken once.
    seen: VecDeque<String>,
}

#[derive(Debug)]
struct Signer {
    issuer: String,
    subject: String,
    /// `None`: this provider's issuer or token endpoint.
    audience: Option<String>,
    keys: JwkSet,
}

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

const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The client that sent a form, if it authenticates itself in one way.
pub(super) fn known_client(
    state: &State,
    headers: &HeaderMap,
    form: &Parameters,
) -> Option<String> {
    let has_assertion = parameter(form, "client_assertion").is_some();
    match (has_assertion, headers.contains_key(AUTHORIZATION)) {
        (true, true) => None,
        (true, false) => asserted_client(state, form),
        (false, _) => client_by_secret(headers, form),
    }
}

/// The client that sent a form with an assertion, if that is good.
fn asserted_client(state: &State, form: &Parameters) -> Option<String> {
    let assertion = parameter(form, "client_assertion")?;
    let is_alone = parameter(form, "client_secret").is_none();
    let is_own = parameter(form, "client_id").is_none_or(|id| id == CLIENT.0);
    let is_jwt = parameter(form, "client_assertion_type") == Some(TYPE);
    if !(is_alone && is_own && is_jwt) {
        return None;
    }
    let decoded = CompactJws::split(assertion.as_bytes())
        .ok()?
        .decode()
        .ok()?;
    let header: Value = serde_json::from_str(decoded.header()).ok()?;
    let claims: Value = serde_json::from_str(decoded.payload()).ok()?;
    let signature = decoded.signature().ok()?;
    let verifies = |signer: &Signer| {
        let Some(algorithm) = header["alg"].as_str().and_then(Algorithm::from_name) else {
            return false;
        };
        let issuer = TokenIssuer {
            issuer: &signer.issuer,
            tenant: None,
        };
        let candidates = match signer
            .keys
            .choose(header["kid"].as_str(), algorithm, &issuer)
        {
            Choice::One(key) => vec![key],
            Choice::Candidates(keys) => keys,
            _ => return false,
        };
        let input = decoded.signing_input;
        let mut candidates = candidates.into_iter();
        candidates.any(|key| key.verifies(input, signature.as_bytes()))
    };
    let token_endpoint = format!("{}{TOKEN}", state.address);
    let now = state.now().as_seconds();
    let mut changing = state.changing();
    let trust = &mut changing.trust;
    let signer = trust.signers.iter().find(|signer| {
        let is_audience = |audience: &str| match &signer.audience {
            Some(expected) => audience == expected,
            None => audience == state.issuer || audience == token_endpoint,
        };
        let audience = match &claims["aud"] {
            Value::Array(all) => all.iter().filter_map(Value::as_str).any(is_audience),
            one => one.as_str().is_some_and(is_audience),
        };
        audience
            && claims["iss"] == signer.issuer.as_str()
            && claims["sub"] == signer.subject.as_str()
            && claims["exp"].as_i64().is_some_and(|end| now < end)
            && verifies(signer)
    })?;
    if signer.audience.is_none() {
        const MOST: usize = 1_000;
        let jti = claims["jti"].as_str()?.to_owned();
        if trust.seen.contains(&jti) {
            return None;
        }
        if trust.seen.len() == MOST {
            trust.seen.pop_front();
        }
        trust.seen.push_back(jti);
    }
    Some(CLIENT.0.to_owned())
}
