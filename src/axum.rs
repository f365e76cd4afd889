//! Extractors for axum handlers: [`Principal`], `Option<Principal>` and [`Claims`]; with the feature
//! `login` also `Session` and `Option<Session>`.
//!
//! A route without [`BearerLayer`](crate::BearerLayer) or `LoginLayer` around it answers 500 and names the
//! layer. A forgotten layer is never taken for an anonymous caller. The log says so for each request, because
//! an extractor remembers nothing between two of them. Claims that do not fit the type that a
//! handler asks for are a 500 too, because the type is at fault and not the caller; the log names the claim
//! and the reason.

use std::ops::Deref;

use axum_core::body::Body;
use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;
use serde::de::DeserializeOwned;

#[cfg(feature = "login")]
use crate::gate::Anonymous;
use crate::gate::answer::{EmptyBody, Rejection, RejectionKind};
use crate::gate::challenge::{ChallengeParameters, Challenges};
use crate::gate::route::Route;
use crate::gate::{caller, no_layer_verifies};
#[cfg(feature = "login")]
use crate::login::Session;
use crate::principal::Principal;

/// The verified claims as your own type.
///
/// ```
/// # use serde::Deserialize;
/// use tower_oidc::Claims;
///
/// #[derive(Deserialize)]
/// struct Tenant {
///     org_id: String,
/// }
///
/// async fn handler(Claims(tenant): Claims<Tenant>) -> String {
///     tenant.org_id
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "destructured in the arguments of handlers"
)]
pub struct Claims<T>(pub T);

impl<T> Deref for Claims<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Why an extractor refused. An outer [`BearerLayer`](crate::BearerLayer) adds its challenge.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ExtractRejection(Rejection);

impl ExtractRejection {
    /// The refusal.
    #[must_use]
    pub fn rejection(&self) -> &Rejection {
        &self.0
    }
}

impl IntoResponse for ExtractRejection {
    fn into_response(self) -> Response {
        let challenges = Challenges::new(ChallengeParameters::with_visible_realm(""));
        if let RejectionKind::MissingLayer(layer) = self.0.kind() {
            let text = format!("{layer} is not around this route; the log says more\n");
            return self.0.into_response(&challenges, &|_: &_| {
                Response::new(Body::from(text.clone()))
            });
        }
        self.0.into_response(&challenges, &EmptyBody)
    }
}

fn principal(parts: &Parts, needed_by: &str) -> Result<Option<Principal>, ExtractRejection> {
    let missing = || no_layer_verifies(&parts.headers);
    match caller(&parts.extensions, missing) {
        Ok(principal) => Ok(principal.cloned()),
        Err(rejection) => Err(missing_layer(rejection, parts, needed_by)),
    }
}

fn missing_layer(rejection: Rejection, parts: &Parts, needed_by: &str) -> ExtractRejection {
    rejection.tell_missing_layer(needed_by, &Route(parts));
    ExtractRejection(rejection)
}

fn anonymous() -> ExtractRejection {
    ExtractRejection(Rejection::new(RejectionKind::NoToken))
}

impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = ExtractRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ExtractRejection> {
        principal(parts, "the extractor Principal")?.ok_or_else(anonymous)
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Principal {
    type Rejection = ExtractRejection;

    async fn from_request_parts(
        parts: &mut Parts,
        _: &S,
    ) -> Result<Option<Self>, ExtractRejection> {
        principal(parts, "the extractor Option<Principal>")
    }
}

#[cfg(feature = "login")]
fn session(parts: &Parts) -> Result<Option<Session>, ExtractRejection> {
    match parts.extensions.get::<Session>() {
        Some(session) => Ok(Some(session.clone())),
        // A caller with a bearer token, or an anonymous one.
        None if parts.extensions.get::<Principal>().is_some()
            || parts.extensions.get::<Anonymous>().is_some() =>
        {
            Ok(None)
        }
        None => {
            let rejection = Rejection::new(RejectionKind::MissingLayer("LoginLayer"));
            Err(missing_layer(rejection, parts, "the extractor Session"))
        }
    }
}

#[cfg(feature = "login")]
impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = ExtractRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ExtractRejection> {
        session(parts)?.ok_or_else(anonymous)
    }
}

#[cfg(feature = "login")]
impl<S: Sync> OptionalFromRequestParts<S> for Session {
    type Rejection = ExtractRejection;

    async fn from_request_parts(
        parts: &mut Parts,
        _: &S,
    ) -> Result<Option<Self>, ExtractRejection> {
        session(parts)
    }
}

/// 500 if the claims do not fit: the caller is verified, and the type is the application's.
impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Claims<T> {
    type Rejection = ExtractRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ExtractRejection> {
        let principal = principal(parts, "the extractor Claims")?.ok_or_else(anonymous)?;
        principal.claims().map(Self).map_err(|error| {
            let (wanted, route) = (std::any::type_name::<T>(), Route(parts));
            if principal.is_misfit_due(wanted) {
                tracing::error!(wanted, %error, %route, remedy = MISFIT_REMEDY, "{MISFIT}");
            } else {
                tracing::debug!(wanted, %error, %route, "{MISFIT}");
            }
            ExtractRejection(Rejection::new(RejectionKind::UnexpectedClaims))
        })
    }
}

const MISFIT: &str = "the claims of a verified token do not fit the type that a handler asks for";

const MISFIT_REMEDY: &str = "make the type accept what the provider issues (an Option, or #[serde(default)], \
    for a claim that not every token has), or require the claim with RequireLayer, which answers 403";
