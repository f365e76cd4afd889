//! What introspection tells beside what tokens say themselves.

use std::collections::HashMap;

use serde_json::Value;

/// What is known of tokens beside what they say themselves.
#[derive(Debug, Default)]
pub(super) struct Introspected {
    /// Opaque tokens, each with its claims.
    pub(super) references: HashMap<String, Value>,
    pub(super) revoked: Vec<String>,
}
