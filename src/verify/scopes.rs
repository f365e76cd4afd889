//! Where the scopes of a token are read.

use serde_json::Value;

use crate::claims::{Scope, ScopeSet};
use crate::error::ConfigError;
use crate::jwt::{Json, UnverifiedClaims};

/// What counts as a scope beside `scope` and `scp`.
#[derive(Clone)]
pub(super) struct ScopeRules {
    /// Further claims that are read.
    claims: Vec<String>,
    /// The narrower scope that each broader one includes.
    implied: Vec<(Scope, Scope)>,
}

impl ScopeRules {
    pub(super) fn new(
        claims: Vec<String>,
        implied: &[(String, String)],
    ) -> Result<Self, ConfigError> {
        let implied = implied.iter();
        Ok(Self {
            claims,
            implied: implied
                .map(|(broader, narrower)| Ok((Scope::new(broader)?, Scope::new(narrower)?)))
                .collect::<Result<_, ConfigError>>()?,
        })
    }

    /// The scopes of the token, those of further claims, and those implied by them.
    pub(super) fn of(&self, claims: &UnverifiedClaims, payload: &str) -> ScopeSet {
        let own = own_scopes(claims);
        if self.claims.is_empty() && self.implied.is_empty() {
            return own;
        }
        let mut words: Vec<String> = own.iter().map(str::to_owned).collect();
        if let Ok(Value::Object(all)) = serde_json::from_str(payload) {
            for name in &self.claims {
                words.extend(further_scopes(all.get(name)));
            }
        }
        let mut at = 0;
        while let Some(word) = words.get(at).cloned() {
            for (broader, narrower) in &self.implied {
                if broader.as_str() == word && !words.iter().any(|word| word == narrower.as_str()) {
                    words.push(narrower.as_str().to_owned());
                }
            }
            at += 1;
        }
        ScopeSet::from_words(words.iter().map(String::as_str))
    }
}

/// The scopes of the first scope claim there is, `scope` or `scp`: delimited text
/// ([RFC 9068 §2.2.3](https://www.rfc-editor.org/rfc/rfc9068#section-2.2.3)), or an array of text, as
/// Duende IdentityServer, Spring and Okta write it. A claim of another type grants nothing.
fn own_scopes(claims: &UnverifiedClaims) -> ScopeSet {
    let claim = match &claims.scope {
        Json::Absent => &claims.scp,
        scope => scope,
    };
    match claim {
        Json::Text(text) => ScopeSet::from_delimited(text),
        Json::Texts(words) => ScopeSet::from_words(words.iter().map(AsRef::as_ref)),
        _ => ScopeSet::default(),
    }
}

/// Text is split on spaces. An array counts only if every item is text.
fn further_scopes(claim: Option<&Value>) -> Vec<String> {
    match claim {
        Some(Value::String(text)) => text
            .split(' ')
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect(),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .unwrap_or_default(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // AZ-02, AZ-03, AZ-04
    #[test]
    fn scopes_are_read_from_scope_else_from_scp() {
        let cases = [
            (r#"{"scope":"a b"}"#, "a b"),
            (r#"{"scp":"a b"}"#, "a b"),
            (r#"{"scp":["a","b"]}"#, "a b"),
            (r#"{"scp":["a",7]}"#, ""),
            (r#"{"scope":["a","b"]}"#, "a b"),
            (r#"{"scope":["a","b c"],"scp":"d"}"#, "a"),
            (r#"{"scope":["a",7],"scp":"d"}"#, ""),
            (r#"{"scope":[]}"#, ""),
            (r#"{"scope":null,"scp":"a"}"#, "a"),
            (r#"{"scope":null}"#, ""),
            (r#"{"scope":7,"scp":"a"}"#, ""),
            (r#"{"scope":"a","scp":"b"}"#, "a"),
            (r#"{"scope":{"a":1}}"#, ""),
            (r#"{"permissions":["a"],"roles":["b"]}"#, ""),
            ("{}", ""),
        ];
        for (claims, expected) in cases {
            let claims = UnverifiedClaims::parse(claims).unwrap();
            assert_eq!(own_scopes(&claims).to_string(), expected);
        }
    }
}
