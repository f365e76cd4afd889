//! What is required of a caller.

use std::fmt;
use std::sync::Arc;

use crate::claims::{Audience, Scope};
use crate::error::ConfigError;
use crate::principal::Principal;
use crate::settings::SCOPE;

/// A requirement on a [`Principal`]. Join several with [`and`](Self::and) and [`or`](Self::or).
#[must_use]
#[derive(Debug, Clone)]
pub struct Policy(Rule);

#[derive(Clone)]
enum Rule {
    Authenticated,
    AllScopes(Vec<Scope>),
    AnyScope(Vec<Scope>),
    Audience(Audience),
    Claim { name: String, value: String },
    Check(Arc<dyn Fn(&Principal) -> bool + Send + Sync>),
    And(Box<(Self, Self)>),
    Or(Box<(Self, Self)>),
}

/// Why a policy is not met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unmet {
    /// The token is for another audience of this service.
    Audience,
    /// The token does not grant enough.
    Permission,
}

impl Policy {
    /// Any verified caller.
    pub fn authenticated() -> Self {
        Self(Rule::Authenticated)
    }

    /// This scope.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] if it is not a scope.
    pub fn scope(scope: &str) -> Result<Self, ConfigError> {
        Self::all_scopes([scope])
    }

    /// All of these scopes.
    ///
    /// # Errors
    /// [`ConfigError`] if one of them is not a scope, or the list is empty.
    pub fn all_scopes<'a>(scopes: impl IntoIterator<Item = &'a str>) -> Result<Self, ConfigError> {
        Ok(Self(Rule::AllScopes(parse(scopes)?)))
    }

    /// At least one of these scopes. A challenge names the first.
    ///
    /// # Errors
    /// [`ConfigError`] if one of them is not a scope, or the list is empty.
    pub fn any_scope<'a>(scopes: impl IntoIterator<Item = &'a str>) -> Result<Self, ConfigError> {
        Ok(Self(Rule::AnyScope(parse(scopes)?)))
    }

    /// A token for exactly this audience, for a service that hosts several APIs.
    ///
    /// # Errors
    /// [`ConfigError`] if the audience is empty.
    pub fn audience(audience: &str) -> Result<Self, ConfigError> {
        Ok(Self(Rule::Audience(Audience::new(audience)?)))
    }

    /// A claim that is exactly this text, or an array with it.
    pub fn claim(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self(Rule::Claim {
            name: name.into(),
            value: value.into(),
        })
    }

    /// A check of your own. The function must be quick and must not block.
    pub fn check(check: impl Fn(&Principal) -> bool + Send + Sync + 'static) -> Self {
        Self(Rule::Check(Arc::new(check)))
    }

    /// Both must be met.
    pub fn and(self, other: Self) -> Self {
        Self(Rule::And(Box::new((self.0, other.0))))
    }

    /// One of the two must be met. A challenge names the scopes of the first.
    pub fn or(self, other: Self) -> Self {
        Self(Rule::Or(Box::new((self.0, other.0))))
    }

    pub(super) fn evaluate(&self, principal: &Principal) -> Result<(), Unmet> {
        self.0.evaluate(principal)
    }

    /// The scopes that a client should ask for.
    pub(super) fn scopes(&self) -> Vec<Scope> {
        let mut scopes = Vec::new();
        self.0.collect_scopes(&mut scopes);
        scopes
    }
}

fn parse<'a>(scopes: impl IntoIterator<Item = &'a str>) -> Result<Vec<Scope>, ConfigError> {
    let scopes: Vec<_> = scopes
        .into_iter()
        .map(Scope::new)
        .collect::<Result<_, _>>()?;
    if scopes.is_empty() {
        return Err(ConfigError::missing(
            SCOPE,
            "name at least one, or use Policy::authenticated()",
        ));
    }
    Ok(scopes)
}

impl Rule {
    fn evaluate(&self, principal: &Principal) -> Result<(), Unmet> {
        let granted = |scope: &Scope| principal.has_scope(scope.as_str());
        let is_met = match self {
            Self::Authenticated => true,
            Self::AllScopes(scopes) => scopes.iter().all(granted),
            Self::AnyScope(scopes) => scopes.iter().any(granted),
            Self::Audience(audience) => {
                return if principal.has_audience(audience.as_str()) {
                    Ok(())
                } else {
                    Err(Unmet::Audience)
                };
            }
            Self::Claim { name, value } => has_claim(principal, name, value),
            Self::Check(check) => check(principal),
            Self::And(both) => {
                both.0.evaluate(principal)?;
                return both.1.evaluate(principal);
            }
            Self::Or(either) => {
                return either
                    .0
                    .evaluate(principal)
                    .or_else(|_| either.1.evaluate(principal));
            }
        };
        if is_met {
            Ok(())
        } else {
            Err(Unmet::Permission)
        }
    }

    fn collect_scopes(&self, scopes: &mut Vec<Scope>) {
        let mut add = |scope: &Scope| {
            if !scopes.contains(scope) {
                scopes.push(scope.clone());
            }
        };
        match self {
            Self::AllScopes(all) => all.iter().for_each(add),
            Self::AnyScope(any) => any.iter().take(1).for_each(&mut add),
            Self::And(both) => {
                both.0.collect_scopes(scopes);
                both.1.collect_scopes(scopes);
            }
            Self::Or(either) => either.0.collect_scopes(scopes),
            Self::Authenticated | Self::Audience(_) | Self::Claim { .. } | Self::Check(_) => {}
        }
    }
}

fn has_claim(principal: &Principal, name: &str, value: &str) -> bool {
    let Ok(serde_json::Value::Object(claims)) = principal.claims() else {
        return false;
    };
    match claims.get(name) {
        Some(serde_json::Value::String(text)) => text == value,
        Some(serde_json::Value::Array(items)) => items.iter().any(|item| item == value),
        _ => false,
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authenticated => formatter.write_str("authenticated"),
            Self::AllScopes(scopes) => write!(formatter, "all of {scopes:?}"),
            Self::AnyScope(scopes) => write!(formatter, "any of {scopes:?}"),
            Self::Audience(audience) => write!(formatter, "audience {audience}"),
            Self::Claim { name, value } => write!(formatter, "claim {name} = {value:?}"),
            Self::Check(_) => formatter.write_str("a check"),
            Self::And(both) => write!(formatter, "({:?} and {:?})", both.0, both.1),
            Self::Or(either) => write!(formatter, "({:?} or {:?})", either.0, either.1),
        }
    }
}
