//! Those whose assertions are taken, and what they must say
//! ([RFC 7523 §3](https://www.rfc-editor.org/rfc/rfc7523#section-3)).

use std::collections::VecDeque;

use serde_json::Value;

use crate::clock::UnixTime;
use crate::jwt::{Algorithm, CompactJws, DecodedJws};
use crate::keys::jwk_set::{Choice, JwkSet, TokenIssuer};

/// Whose assertions are taken for the client `development`.
#[derive(Debug, Default)]
pub(super) struct Trust {
    pub(super) signers: Vec<Signer>,
    /// The latest `jti` of assertions that the client itself signed: each is taken once.
    seen: VecDeque<String>,
}

#[derive(Debug)]
pub(super) struct Signer {
    pub(super) issuer: String,
    pub(super) subject: String,
    /// `None`: this provider's issuer or token endpoint.
    pub(super) audience: Option<String>,
    pub(super) keys: JwkSet,
}

impl Trust {
    /// Whether this assertion is good for a provider with these names.
    pub(super) fn takes(&mut self, assertion: &str, own: [&str; 2], now: UnixTime) -> bool {
        let decoded = CompactJws::split(assertion.as_bytes()).and_then(|parts| parts.decode());
        let Ok(decoded) = decoded else {
            return false;
        };
        let claims: Value = serde_json::from_str(decoded.payload()).unwrap_or_default();
        let mut signers = self.signers.iter();
        let is_good = |signer: &&Signer| {
            signer.is_meant(&claims, own, now) && signer.signed(&decoded).unwrap_or(false)
        };
        let Some(signer) = signers.find(is_good) else {
            return false;
        };
        signer.audience.is_some() || claims["jti"].as_str().is_some_and(|jti| self.is_new(jti))
    }

    fn is_new(&mut self, jti: &str) -> bool {
        const MOST: usize = 1_000;
        if self.seen.iter().any(|seen| seen == jti) {
            return false;
        }
        if self.seen.len() == MOST {
            self.seen.pop_front();
        }
        self.seen.push_back(jti.to_owned());
        true
    }
}

impl Signer {
    fn is_meant(&self, claims: &Value, own: [&str; 2], now: UnixTime) -> bool {
        let is_audience = |audience: &str| match &self.audience {
            Some(expected) => audience == expected,
            None => own.contains(&audience),
        };
        let audience = match &claims["aud"] {
            Value::Array(all) => all.iter().filter_map(Value::as_str).any(is_audience),
            one => one.as_str().is_some_and(is_audience),
        };
        audience
            && claims["iss"] == self.issuer.as_str()
            && claims["sub"] == self.subject.as_str()
            && claims["exp"]
                .as_i64()
                .is_some_and(|end| now.as_seconds() < end)
    }

    fn signed(&self, decoded: &DecodedJws<'_>) -> Option<bool> {
        let header: Value = serde_json::from_str(decoded.header()).ok()?;
        let algorithm = Algorithm::from_name(header["alg"].as_str()?)?;
        let signature = decoded.signature().ok()?;
        let issuer = TokenIssuer {
            issuer: &self.issuer,
            tenant: None,
        };
        let candidates = match self.keys.choose(header["kid"].as_str(), algorithm, &issuer) {
            Choice::One(key) => vec![key],
            Choice::Candidates(keys) => keys,
            _ => return None,
        };
        let mut candidates = candidates.into_iter();
        let input = decoded.signing_input;
        Some(candidates.any(|key| key.verifies(input, signature.as_bytes())))
    }
}
