//! Extractors for axum handlers: [`Principal`], `Option<Principal>` and [`Claims`]; with the feature
//! `login` also `Session` and `Option<Session>`.
//!
//! A route without [`BearerLayer`](crate::BearerLayer) or `LoginLayer` around it answers 500 and names the
//! layer. A forgotten layer is never taken for an anonymous caller.

use std::ops::Deref;

use axum_core::body::Body;
use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;
use serde::de::DeserializeOwned;

#[cfg(feature = "login")]
use crate::gate::Anonymous;
use crate::gate::answer::{EmptyBody, Rejection, RejectionKind};
use crate::gate::caller;
use crate::gate::challenge::{ChallengeParameters, Challenges};
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
            let text = format!("{layer} is missing from the stack around this route\n");
            return self.0.into_response(&challenges, &|_: &_| {
                Response::new(Body::from(text.clone()))
            });
        }
        self.0.into_response(&challenges, &EmptyBody)
    }
}

fn principal(parts: &Parts) -> Result<Option<Principal>, ExtractRejection> {
    match caller(&parts.extensions) {
        Ok(principal) => Ok(principal.cloned()),
        Err(rejection) => Err(ExtractRejection(rejection)),
    }
}

impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = ExtractRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ExtractRejection> {
        principal(parts)?.ok_or(ExtractRejection(Rejection::new(RejectionKind::NoToken)))
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Principal {
    type Rejection = ExtractRejection;

    async fn from_request_parts(
        parts: &mut Parts,
        _: &S,
    ) -> Result<Option<Self>, ExtractRejection> {
        principal(parts)
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
        None => Err(ExtractRejection(Rejection::missing_layer("LoginLayer"))),
    }
}

#[cfg(feature = "login")]
impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = ExtractRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ExtractRejection> {
        session(parts)?.ok_or(ExtractRejection(Rejection::new(RejectionKind::NoToken)))
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

/// 403 if the claims do not fit: the caller is verified, but the token lacks what this route needs.
impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Claims<T> {
    type Rejection = ExtractRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ExtractRejection> {
        let principal =
            <Principal as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        principal.claims().map(Self).map_err(|error| {
            tracing::warn!(wanted = std::any::type_name::<T>(), %error, "refused a token");
            ExtractRejection(Rejection::insufficient_scope(&[]))
        })
    }
}
