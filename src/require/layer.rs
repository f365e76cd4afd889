use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use crate::error::ConfigError;
use crate::gate::Gated;
use crate::gate::answer::EmptyBody;
use crate::gate::challenge::{Challenges, Terms};
use crate::require::policy::Policy;
use crate::require::service::{Require, RequireGate, Settings};

/// Requires something of the caller. See the [module](crate::require) for the rule.
#[must_use]
#[derive(Clone)]
pub struct RequireLayer<R = EmptyBody> {
    settings: Arc<Settings>,
    on_refusal: R,
}

impl RequireLayer {
    /// Requires that the policy is met.
    pub fn new(policy: Policy) -> Self {
        Self {
            settings: Arc::new(Settings {
                scopes: policy.scopes(),
                policy,
                challenges: Challenges::new(Terms::with_visible_realm("")),
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

    /// Requires somebody, whoever it is: for routes behind a layer that allows the anonymous.
    pub fn authenticated() -> Self {
        Self::new(Policy::authenticated())
    }
}

impl<R> RequireLayer<R> {
    /// Chooses the body of refusals, by a closure `Fn(&Rejection) -> Response<B>`. Status and
    /// challenge stay as the standards have them. Default: an empty body.
    pub fn on_refusal<F>(self, on_refusal: F) -> RequireLayer<F> {
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
