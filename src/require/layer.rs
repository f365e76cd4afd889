use std::fmt;
use std::sync::Arc;

use http::Response;
use tower_layer::Layer;

use crate::claim_path::ClaimPath;
use crate::claim_test::ClaimValue;
use crate::claims::Scope;
use crate::clock::SharedClock;
use crate::error::ConfigError;
use crate::gate::Gated;
use crate::gate::answer::{EmptyBody, Rejection};
use crate::gate::challenge::{ChallengeParameters, Challenges};
use crate::log_pace::LogPace;
use crate::require::policy::Policy;
use crate::require::service::{Require, RequireGate, Settings};

/// Requires something of the caller. See the [module](crate::require) for the rule.
///
/// ```
/// use tower_oidc::{Policy, RequireLayer};
///
/// # fn main() -> Result<(), tower_oidc::ConfigError> {
/// let by_scope = RequireLayer::scope("orders:write")?;
/// let by_role = RequireLayer::role("realm_access.roles", "clerk")?;
/// let by_either = RequireLayer::new(Policy::scope("orders:admin")?.or(Policy::role("roles", "admin")?));
/// # let _ = (by_scope, by_role, by_either);
/// # Ok(())
/// # }
/// ```
///
/// With axum around one route: `get(handler).route_layer(RequireLayer::scope("orders:read")?)`.
#[doc(alias("authorization", "permission", "role", "scope"))]
#[must_use]
#[derive(Clone)]
pub struct RequireLayer<R = EmptyBody> {
    settings: Arc<Settings>,
    on_refusal: R,
}

impl RequireLayer {
    /// Requires that this policy is met.
    pub fn new(policy: Policy) -> Self {
        Self {
            settings: Arc::new(Settings {
                scopes: policy.scopes(),
                policy,
                challenges: Challenges::new(ChallengeParameters::with_visible_realm("")),
                log: LogPace::new(SharedClock::system()),
            }),
            on_refusal: EmptyBody,
        }
    }

    /// Requires this scope.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] if it is not a scope.
    pub fn scope(scope: &str) -> Result<Self, ConfigError> {
        Policy::scope(scope).map(Self::new)
    }

    /// Requires all of these scopes.
    ///
    /// # Errors
    /// [`ConfigError`] if one of them is not a scope, or the list is empty.
    pub fn scopes<'a>(scopes: impl IntoIterator<Item = &'a str>) -> Result<Self, ConfigError> {
        Policy::all_scopes(scopes).map(Self::new)
    }

    /// Requires that a claim is, or is an array with, this text, number or truth: see [`Policy::claim`].
    ///
    /// # Errors
    /// As [`Policy::claim`].
    pub fn claim<P>(path: P, value: impl Into<ClaimValue>) -> Result<Self, ConfigError>
    where
        P: TryInto<ClaimPath, Error: Into<ConfigError>>,
    {
        Policy::claim(path, value).map(Self::new)
    }

    /// Requires a role by its name: see [`Policy::role`].
    ///
    /// # Errors
    /// As [`Policy::role`].
    pub fn role<P>(path: P, name: &str) -> Result<Self, ConfigError>
    where
        P: TryInto<ClaimPath, Error: Into<ConfigError>>,
    {
        Policy::role(path, name).map(Self::new)
    }

    /// Requires any verified caller: for routes behind a layer that allows anonymous requests.
    pub fn authenticated() -> Self {
        Self::new(Policy::authenticated())
    }
}

impl<R> RequireLayer<R> {
    /// Names this scope too where this layer refuses, without requiring it. Default: a refusal names the
    /// scopes of the layer's own policy.
    ///
    /// For a scope that an inner `RequireLayer` requires: an outer layer refuses before the inner one is
    /// asked, and a client that is told all scopes at once needs one new token and not two
    /// ([RFC 6750 §3.1](https://www.rfc-editor.org/rfc/rfc6750#section-3.1)). Where the inner layer refuses,
    /// the scopes of both are named in any case.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] if it is not a scope.
    pub fn add_named_scope(mut self, scope: &str) -> Result<Self, ConfigError> {
        let scope = Scope::new(scope)?;
        let mut scopes = self.settings.scopes.clone();
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
        self.settings = Arc::new(Settings {
            policy: self.settings.policy.clone(),
            scopes,
            challenges: self.settings.challenges.clone(),
            log: LogPace::new(SharedClock::system()),
        });
        Ok(self)
    }

    /// Makes the body of refusals with a closure `Fn(&Rejection) -> Response<B>`. Status and challenge
    /// stay those of the standards. Default: an empty body.
    pub fn on_refusal<F, B>(self, on_refusal: F) -> RequireLayer<F>
    where
        F: Fn(&Rejection) -> Response<B>,
    {
        self.with_refusals(on_refusal)
    }

    /// The same with a type of your own that implements [`OnRefusal`](crate::OnRefusal).
    pub fn with_refusals<T>(self, on_refusal: T) -> RequireLayer<T> {
        RequireLayer {
            settings: self.settings,
            on_refusal,
        }
    }
}

impl<S, R: Clone> Layer<S> for RequireLayer<R> {
    type Service = Require<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Gated::new(
            inner,
            RequireGate::new(Arc::clone(&self.settings), self.on_refusal.clone()),
        )
    }
}

impl<R> fmt::Debug for RequireLayer<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RequireLayer({:?})", self.settings.policy)
    }
}
