//! Metadata that the program has before anything is fetched.

#![cfg_attr(
    not(feature = "openidconnect"),
    allow(dead_code, reason = "it is that of an application of that crate")
)]

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::error::{Chain, ConfigError};
use crate::keys::jwk_set::JwkSet;
use crate::provider::discovery::{Metadata, Search};
use crate::settings::METADATA;

/// Metadata of the program, as the members of the document, and the keys that came with it.
#[derive(Clone)]
pub(crate) struct KnownMetadata {
    members: Arc<Map<String, Value>>,
    jwks: Option<String>,
}

impl KnownMetadata {
    /// `jwks` is the text of a key set. It is used until keys are fetched.
    pub(crate) fn new(members: Map<String, Value>, jwks: Option<String>) -> Self {
        // An empty list may be one of names that the types of the application do not know.
        let is_said = |value: &Value| match value {
            Value::Null => false,
            Value::Array(items) => !items.is_empty(),
            _ => true,
        };
        let members = members.into_iter().filter(|(_, value)| is_said(value));
        Self {
            members: Arc::new(members.collect()),
            jwks,
        }
    }

    pub(super) fn members(&self) -> Arc<Map<String, Value>> {
        Arc::clone(&self.members)
    }

    /// The keys, if any of them can be used. Otherwise they are fetched, and that tells what is wrong.
    pub(super) fn keys(&self) -> Option<JwkSet> {
        JwkSet::parse(self.jwks.as_deref()?.as_bytes()).ok()
    }

    /// The metadata after the checks that fetched metadata passes.
    pub(super) fn check(&self, search: &Search) -> Result<Metadata, ConfigError> {
        let members = Map::clone(&self.members);
        search
            .check(&"the metadata of the program", members)
            .map_err(|error| {
                ConfigError::invalid(
                    METADATA,
                    "(metadata)",
                    Chain(&error).to_string(),
                    "pass the metadata that the provider with the configured issuer serves",
                )
            })
    }
}

// The keys may hold private ones by mistake.
impl fmt::Debug for KnownMetadata {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("KnownMetadata")
            .field("members", &self.members)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    // D32
    #[test]
    fn what_metadata_leaves_open_is_left_to_the_fetched_document() {
        let document = json!({
            "issuer": "https://id.example",
            "token_endpoint": null,
            "id_token_signing_alg_values_supported": [],
            "grant_types_supported": ["authorization_code"],
        });
        let members = document.as_object().unwrap().clone();
        let known = KnownMetadata::new(members, Some("{\"keys\":[\"hunter2\"]}".to_owned()));
        let names: Vec<_> = known.members.keys().map(String::as_str).collect();
        assert_eq!(names, ["grant_types_supported", "issuer"]);
        assert!(known.keys().is_none(), "no key of it can be used");
        assert!(!format!("{known:?}").contains("hunter2"));
    }
}
