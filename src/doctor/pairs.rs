//! The variables, as they are written.

use std::collections::BTreeMap;

use crate::settings::{
    OPENID_ALGORITHMS, OPENID_CLIENT_ID, OPENID_CLIENT_SECRET, OPENID_CLIENT_SECRET_FILE,
    OPENID_INTROSPECTION, OPENID_REUSE_TOKENS, OPENID_SESSION_SECRET,
};

/// The variables that are set and not empty. `Debug` is left out, because some are secrets.
#[derive(Clone)]
pub(super) struct Pairs(pub(super) BTreeMap<String, String>);

impl Pairs {
    pub(super) fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let pairs = pairs.into_iter();
        let pairs = pairs.map(|(name, value)| (name, value.trim().to_owned()));
        Self(pairs.filter(|(_, value)| !value.is_empty()).collect())
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Items separated by commas.
    pub(super) fn list(&self, name: &str) -> impl Iterator<Item = &str> {
        let items = self.text(name).unwrap_or_default().split(',');
        items.map(str::trim).filter(|item| !item.is_empty())
    }

    /// A truth that was read without an error before.
    pub(super) fn is(&self, name: &str, default: bool) -> bool {
        self.text(name).map_or(default, |value| {
            ["true", "1", "yes", "on"].contains(&value.to_ascii_lowercase().as_str())
        })
    }

    pub(super) fn has_secret(&self) -> bool {
        self.has(OPENID_CLIENT_SECRET) || self.has(OPENID_CLIENT_SECRET_FILE)
    }

    pub(super) fn has_client(&self) -> bool {
        self.has(OPENID_CLIENT_ID)
    }

    /// Whether an API asks the provider about tokens.
    pub(super) fn introspects(&self) -> bool {
        self.text(OPENID_INTROSPECTION)
            .is_some_and(|value| value != "none")
    }

    /// Whether the access token says who is signed in.
    pub(super) fn reuses_tokens(&self) -> bool {
        self.is(OPENID_REUSE_TOKENS, true)
    }

    pub(super) fn names_algorithms(&self) -> bool {
        self.has(OPENID_ALGORITHMS)
    }

    pub(super) fn without(&self, names: &[&str]) -> Self {
        let mut other = self.clone();
        other.0.retain(|name, _| !names.contains(&name.as_str()));
        other
    }

    pub(super) fn with(&self, name: &str, value: &str) -> Self {
        let mut other = self.clone();
        other.0.insert(name.to_owned(), value.to_owned());
        other
    }

    /// Each secret of sessions.
    pub(super) fn session_secrets(&self) -> impl Iterator<Item = &str> {
        self.list(OPENID_SESSION_SECRET)
    }
}
