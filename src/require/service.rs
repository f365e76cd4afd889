use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use http::Response;
use http::request::Parts;

use crate::claims::Scope;
use crate::gate::answer::{EmptyBody, OnRefusal, Rejection, RejectionKind};
use crate::gate::challenge::Challenges;
use crate::gate::route::Route;
use crate::gate::{Anonymous, Gate, Gated, Verdict, no_layer_verifies};
use crate::log_pace::LogPace;
use crate::principal::{Principal, PrincipalKind};
use crate::require::policy::{Policy, Unmet};

/// A service behind a requirement. Made by [`RequireLayer`](crate::RequireLayer).
pub type Require<S, R = EmptyBody> = Gated<S, RequireGate<R>>;

/// What every service of one layer shares.
pub(super) struct Settings {
    pub(super) policy: Policy,
    /// Those that a refusal names.
    pub(super) scopes: Vec<Scope>,
    /// Used only if no outer layer replaces them with its own.
    pub(super) challenges: Challenges,
    pub(super) log: LogPace<CAUSES>,
}

/// What is logged, each at most once in ten seconds: what a caller lacks, a missing layer, and a requirement that
/// no user can meet.
pub(super) const CAUSES: usize = 3;

const UNMET: usize = 0;
const MISSING_LAYER: usize = 1;
const IDENTITY: usize = 2;

impl Settings {
    fn refuse(&self, principal: &Principal, unmet: &Unmet, head: &Parts) -> Rejection {
        let (required, route) = (&self.policy, Route(head));
        if principal.kind() == PrincipalKind::IdToken
            && unmet.is_scope()
            && self.log.is_due(IDENTITY)
        {
            tracing::error!(
                %required, %route,
                "a scope is required of a caller who is known by an ID token, which has no scopes: no such caller can \
                 ever pass; require a claim instead, or use access tokens for this service (OPENID_AUDIENCE, with \
                 OPENID_REUSE_TOKENS=true for a sign-in and OPENID_TOKEN_PROFILE=lenient for an API)"
            );
        }
        if !self.log.is_due(UNMET) {
            tracing::debug!(%required, %unmet, %route, "refused a caller whose token does not suffice");
        } else if unmet.is_of_another_form() {
            tracing::warn!(%required, %unmet, %route, "refused a caller whose token does not suffice");
        } else {
            tracing::info!(%required, %unmet, %route, "refused a caller whose token does not suffice");
        }
        if unmet.is_audience() {
            Rejection::new(RejectionKind::InvalidToken)
        } else {
            Rejection::insufficient_scope(&self.scopes)
        }
    }

    fn without_caller(&self, head: &Parts) -> Rejection {
        if head.extensions.get::<Anonymous>().is_some() {
            return Rejection::new(RejectionKind::NoToken);
        }
        let rejection = no_layer_verifies(&head.headers);
        if self.log.is_due(MISSING_LAYER) {
            rejection.tell_missing_layer("RequireLayer", &Route(head));
        }
        rejection
    }
}

/// The decision of [`RequireLayer`](crate::RequireLayer).
#[derive(Clone)]
pub struct RequireGate<R> {
    settings: Arc<Settings>,
    on_refusal: R,
}

impl<R> RequireGate<R> {
    pub(super) fn new(settings: Arc<Settings>, on_refusal: R) -> Self {
        Self {
            settings,
            on_refusal,
        }
    }
}

impl<R> fmt::Debug for RequireGate<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RequireGate")
            .field("policy", &self.settings.policy)
            .finish_non_exhaustive()
    }
}

impl<B, R: OnRefusal<B> + Clone> Gate<B> for RequireGate<R> {
    type Answer = Rejection;
    type Kept = ();
    type Found = Infallible;

    fn check(&self, head: &mut Parts) -> Verdict<Rejection, (), Infallible> {
        let settings = &self.settings;
        let Some(principal) = head.extensions.get::<Principal>() else {
            return Verdict::Answer(settings.without_caller(head));
        };
        match settings.policy.evaluate(principal) {
            Ok(()) => Verdict::Pass(()),
            Err(unmet) => Verdict::Answer(settings.refuse(principal, &unmet, head)),
        }
    }

    fn check_found(&self, found: Infallible, _: &mut Parts) -> Verdict<Rejection, (), Infallible> {
        match found {}
    }

    fn answer(&self, rejection: Rejection) -> Response<B> {
        rejection.into_response(&self.settings.challenges, &self.on_refusal)
    }

    fn finish(&self, (): (), response: &mut Response<B>) {
        // An inner requirement was not met: the request needs its scopes and these.
        if response.status() != http::StatusCode::FORBIDDEN {
            return;
        }
        if let Some(mut rejection) = response.extensions().get::<Rejection>().cloned()
            && rejection.kind() == RejectionKind::InsufficientScope
            && rejection.lacks_challenge()
        {
            rejection.also_needs(&self.settings.scopes);
            rejection.set_challenge(response, &self.settings.challenges);
            response.extensions_mut().insert(rejection);
        }
    }
}
