//! What an answer without tokens means for the code or refresh token that was sent.

use std::time::Duration;

use bytes::Bytes;
use http::Response;

use crate::error::{ProviderError, ProviderErrorKind};
use crate::provider::client::oauth_error::OAuthError;
use crate::provider::client::token_endpoint::GrantFailure;

/// What an answer without tokens means for the token that was sent. Only the provider's own
/// `invalid_grant` is evidence that it was rejected; a page from a firewall or balancer is not.
pub(super) fn classify(
    answer: &Response<Bytes>,
    oauth_error: Option<OAuthError>,
    pause: Option<Duration>,
) -> GrantFailure {
    let status = answer.status();
    let error = |kind, remedy: &str| {
        let what = match oauth_error {
            Some(OAuthError::Known(code)) => format!("the error {code}"),
            Some(OAuthError::Other) => "an unknown error code".to_owned(),
            None if answer.body().is_empty() => "an empty body".to_owned(),
            None => "something other than an OAuth error".to_owned(),
        };
        let error = ProviderError::new(
            kind,
            format!("the token endpoint answered {status} with {what}{remedy}"),
        );
        match oauth_error {
            Some(OAuthError::Known(code)) => error.with_code(code),
            _ => error,
        }
    };
    let unspent = |remedy| GrantFailure::Unspent(error(ProviderErrorKind::Status, remedy), pause);
    let rejected = |kind, remedy| GrantFailure::Rejected(error(kind, remedy));
    let misconfigured =
        |remedy| GrantFailure::Misconfigured(error(ProviderErrorKind::RequestRefused, remedy));
    match (status.as_u16(), oauth_error) {
        // Too busy, or an address that redirects.
        (300..=399 | 408 | 425 | 429, _) | (500 | 503, Some(_)) => unspent(""),
        // An error that came with a success is judged like one that came with 400.
        (200..=299 | 400..=499, Some(OAuthError::Known(code))) => match code {
            "invalid_grant" => rejected(ProviderErrorKind::GrantRejected, ""),
            "interaction_required" | "login_required" | "consent_required" => rejected(
                ProviderErrorKind::InteractionRequired,
                "; the user must do something at the provider first: let them sign in again",
            ),
            "temporarily_unavailable" | "server_error" => unspent(""),
            "invalid_client" | "unauthorized_client" => misconfigured(CHECK_CREDENTIALS),
            "invalid_target" => misconfigured(
                "; the provider does not know the requested audience or resource (OPENID_AUDIENCE, \
                 OPENID_RESOURCE, OPENID_REFRESH_AUDIENCE)",
            ),
            "invalid_scope" => misconfigured(
                "; the provider does not grant these scopes to this client: compare OPENID_SCOPE with \
                 what it has registered",
            ),
            _ => misconfigured(""),
        },
        // How some providers answer a spent refresh token.
        (400, None) if answer.body().is_empty() => rejected(ProviderErrorKind::GrantRejected, ""),
        (401, None) => unspent(CHECK_CREDENTIALS),
        (200..=299, Some(OAuthError::Other)) | (400..=499, _) => unspent(""),
        _ => {
            let error = error(ProviderErrorKind::Status, "");
            GrantFailure::Uncertain(error.with_pause(pause.unwrap_or_default()))
        }
    }
}

const CHECK_CREDENTIALS: &str = "; compare the client id (OPENID_CLIENT_ID) and how the client authenticates \
    (OPENID_CLIENT_SECRET, or the assertion, key or certificate in its place) with what the provider has registered";
