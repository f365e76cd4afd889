//! What is required of a caller.

use std::fmt;
use std::sync::Arc;

use crate::claim_path::ClaimPath;
use crate::claim_test::{ClaimTest, ClaimValue};
use crate::claims::{Audience, Scope};
use crate::error::ConfigError;
use crate::error::setup::Found;
use crate::principal::Principal;
use crate::settings::SCOPE;

/// A requirement on a [`Principal`]. Join several with [`and`](Self::and) and [`or`](Self::or).
///
/// ```
/// use tower_oidc::{Policy, RequireLayer};
///
/// # fn main() -> Result<(), tower_oidc::ConfigError> {
/// // Clerks of the company, and the programs that may do all of this.
/// let clerks = Policy::role("realm_access.roles", "clerk")?.and(Policy::claim("hd", "example.com")?);
/// let robots = Policy::all_scopes(["orders:read", "orders:write"])?;
/// let layer = RequireLayer::new(clerks.or(robots));
/// # drop(layer);
/// # Ok(())
/// # }
/// ```
#[doc(alias("authorization", "permission", "role"))]
#[must_use]
#[derive(Debug, Clone)]
pub struct Policy(Rule);

#[derive(Clone)]
enum Rule {
    Authenticated,
    AllScopes(Vec<Scope>),
    AnyScope(Vec<Scope>),
    Audience(Audience),
    Claim(Arc<ClaimTest>),
    Check(Arc<dyn Fn(&Principal) -> bool + Send + Sync>),
    And(Box<(Self, Self)>),
    Or(Box<(Self, Self)>),
}

/// What a caller does not meet. `Display` tells what the token holds instead: of its values only `aud`.
pub(super) struct Unmet<'a> {
    rule: &'a Rule,
    principal: &'a Principal,
    /// Whether the token is for another audience of this service. Else it does not grant enough.
    is_audience: bool,
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

    /// A claim that is exactly this text, number or truth, or an array with it. The path is text such as `tier`,
    /// `realm_access.roles` or `['https://example.com/roles']`, or a [`ClaimPath`]. Text, numbers and truths are never
    /// taken for each other: where a provider issues `"true"`, require that text.
    ///
    /// The claims of a token are read once for each policy, not for each request.
    ///
    /// # Errors
    /// [`ConfigError`] if it is no path, or if no accepted token can have this value there.
    pub fn claim<P>(path: P, value: impl Into<ClaimValue>) -> Result<Self, ConfigError>
    where
        P: TryInto<ClaimPath, Error: Into<ConfigError>>,
    {
        let path = path.try_into().map_err(Into::into)?;
        let test = ClaimTest::new(path, value.into())?;
        Ok(Self(Rule::Claim(Arc::new(test))))
    }

    /// A role by its name, in the claim where the provider writes roles: `realm_access.roles` or
    /// `resource_access['the-api'].roles` (Keycloak), `roles` (Entra ID), `cognito:groups` (Cognito),
    /// `['https://example.com/roles']` (Auth0, by an action). The claim is an array of names or one name.
    ///
    /// # Errors
    /// As [`claim`](Self::claim).
    pub fn role<P>(path: P, name: &str) -> Result<Self, ConfigError>
    where
        P: TryInto<ClaimPath, Error: Into<ConfigError>>,
    {
        Self::claim(path, name)
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

    pub(super) fn evaluate<'a>(&'a self, principal: &'a Principal) -> Result<(), Unmet<'a>> {
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
    fn evaluate<'a>(&'a self, principal: &'a Principal) -> Result<(), Unmet<'a>> {
        let granted = |scope: &Scope| principal.has_scope(scope.as_str());
        let is_met = match self {
            Self::Authenticated => true,
            Self::AllScopes(scopes) => scopes.iter().all(granted),
            Self::AnyScope(scopes) => scopes.iter().any(granted),
            Self::Audience(audience) => principal.has_audience(audience.as_str()),
            Self::Claim(test) => principal.meets(test),
            Self::Check(check) => check(principal),
            Self::And(both) => {
                both.0.evaluate(principal)?;
                return both.1.evaluate(principal);
            }
            Self::Or(either) => {
                return either.0.evaluate(principal).or_else(|_| {
                    let unmet = either.1.evaluate(principal);
                    unmet.map_err(|unmet| Unmet {
                        rule: self,
                        ..unmet
                    })
                });
            }
        };
        if is_met {
            return Ok(());
        }
        Err(Unmet {
            rule: self,
            principal,
            is_audience: matches!(self, Self::Audience(_)),
        })
    }

    /// Whether the token has a claim in another form than what is asked for, in any part of the rule.
    fn is_of_another_form(&self, principal: &Principal) -> bool {
        match self {
            Self::Claim(test) => {
                !principal.meets(test) && test.unmet(principal.claims_json()).is_of_another_form()
            }
            Self::And(two) | Self::Or(two) => {
                two.0.is_of_another_form(principal) || two.1.is_of_another_form(principal)
            }
            Self::Authenticated
            | Self::AllScopes(_)
            | Self::AnyScope(_)
            | Self::Audience(_)
            | Self::Check(_) => false,
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
            Self::Authenticated | Self::Audience(_) | Self::Claim(_) | Self::Check(_) => {}
        }
    }
}

impl Unmet<'_> {
    pub(super) fn is_audience(&self) -> bool {
        self.is_audience
    }

    pub(super) fn is_scope(&self) -> bool {
        matches!(self.rule, Rule::AllScopes(_) | Rule::AnyScope(_))
    }

    /// Whether no token of this form meets the policy, so that the policy is probably wrong.
    pub(super) fn is_of_another_form(&self) -> bool {
        self.rule.is_of_another_form(self.principal)
    }
}

impl fmt::Display for Unmet<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let principal = self.principal;
        match self.rule {
            Rule::AllScopes(scopes) => {
                formatter.write_str("the token lacks ")?;
                let lacks = |scope: &&Scope| !principal.has_scope(scope.as_str());
                write_scopes(scopes.iter().filter(lacks), formatter)
            }
            Rule::AnyScope(scopes) => {
                formatter.write_str("the token has none of ")?;
                write_scopes(scopes, formatter)
            }
            Rule::Audience(audience) => {
                formatter.write_str("aud")?;
                let found = Found::new(principal.audiences()).instead_of(audience.as_str());
                found.explain(&[], None, formatter)
            }
            Rule::Claim(test) => test.unmet(principal.claims_json()).fmt(formatter),
            Rule::Check(_) => formatter.write_str("the application's check says no"),
            Rule::Or(either) => {
                for (at, rule) in [&either.0, &either.1].into_iter().enumerate() {
                    if at > 0 {
                        formatter.write_str(", and ")?;
                    }
                    if let Err(unmet) = rule.evaluate(principal) {
                        unmet.fmt(formatter)?;
                    }
                }
                Ok(())
            }
            Rule::Authenticated | Rule::And(_) => formatter.write_str("the token does not suffice"),
        }
    }
}

fn write_scopes<'a>(
    scopes: impl IntoIterator<Item = &'a Scope>,
    formatter: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    for (at, scope) in scopes.into_iter().enumerate() {
        if at > 0 {
            formatter.write_str(", ")?;
        }
        formatter.write_str(scope.as_str())?;
    }
    Ok(())
}

/// What is required, as the log names it.
impl fmt::Display for Policy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authenticated => formatter.write_str("a verified caller"),
            Self::AllScopes(scopes) => {
                formatter.write_str(if scopes.len() == 1 {
                    "scope "
                } else {
                    "scopes "
                })?;
                write_scopes(scopes, formatter)
            }
            Self::AnyScope(scopes) => {
                formatter.write_str("one of the scopes ")?;
                write_scopes(scopes, formatter)
            }
            Self::Audience(audience) => write!(formatter, "audience {audience}"),
            Self::Claim(test) => test.fmt(formatter),
            Self::Check(_) => formatter.write_str("a check of the application"),
            Self::And(both) => write!(formatter, "({} and {})", both.0, both.1),
            Self::Or(either) => write!(formatter, "({} or {})", either.0, either.1),
        }
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}
