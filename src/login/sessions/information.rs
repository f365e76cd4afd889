//! What scripts of the site are told of a session.

use serde_json::{Map, Value, json};

use crate::error::ConfigError;
use crate::login::sessions::listing::Glance;
use crate::login::sessions::tokens::TokenSet;
use crate::settings::SESSION_INFORMATION;

/// What is told of a session beside its times.
#[derive(Debug)]
pub(crate) struct SessionInformation {
    claims: Vec<String>,
}

impl SessionInformation {
    pub(crate) fn new(claims: Vec<String>) -> Result<Self, ConfigError> {
        match claims.iter().find(|claim| claim.trim().is_empty()) {
            Some(empty) => Err(ConfigError::invalid(
                SESSION_INFORMATION,
                empty,
                "the name of a claim is empty",
                "list claims of the ID token, such as sub,name,email",
            )),
            None => Ok(Self { claims }),
        }
    }

    pub(crate) fn told(&self, glance: &Glance, sign_out: &str) -> Value {
        json!({
            "claims": self.claims(&glance.tokens),
            "signed_in_at": glance.tokens.signed_in_at,
            "expires_at": glance.expires_at.as_seconds(),
            "ends_at": glance.ends_at.as_seconds(),
            "now": glance.now.as_seconds(),
            "sign_out": sign_out,
        })
    }

    /// Those of the ID token first: they are signed.
    fn claims(&self, tokens: &TokenSet) -> Map<String, Value> {
        let parse = |text: &str| serde_json::from_str::<Map<String, Value>>(text).ok();
        let id_token = parse(&tokens.id_claims);
        let userinfo = tokens.userinfo.as_deref().and_then(parse);
        let find = |name: &String| {
            let mut sources = id_token.iter().chain(&userinfo);
            sources.find_map(|source| source.get(name)).cloned()
        };
        let claims = self.claims.iter();
        claims
            .filter_map(|name| Some((name.clone(), find(name)?)))
            .collect()
    }
}
