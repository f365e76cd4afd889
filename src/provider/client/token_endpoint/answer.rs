//! Reads an answer of the token endpoint.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use serde_json::Value;

use crate::clock::UnixTime;
use crate::error::{ProviderError, ProviderErrorKind};
use crate::provider::client::oauth_error::{self, Document, OAuthError};
use crate::provider::client::token_endpoint::failure::classify;
use crate::provider::client::token_endpoint::{GrantFailure, TokenAnswer};
use crate::retry_after::retry_after;
use crate::secret::Secret;

/// The body decides what an answer says, not its media type: a rotated refresh token is not lost because
/// of a header field.
pub(super) fn read(answer: &Response<Bytes>, now: UnixTime) -> Result<TokenAnswer, GrantFailure> {
    let document = oauth_error::document(answer.body());
    let document = document.as_ref();
    let oauth_error = document.and_then(OAuthError::read);
    if answer.status().is_success() {
        let problem = match document.map(read_tokens) {
            Some(Ok(tokens)) => return Ok(tokens),
            Some(Err(problem)) => problem,
            None => "the token endpoint did not answer with a JSON object",
        };
        if oauth_error.is_none() || document.is_some_and(has_token) {
            let error = ProviderError::new(ProviderErrorKind::InvalidAnswer, problem);
            return Err(GrantFailure::Uncertain(error));
        }
    }
    let claims = document.and_then(demanded_claims);
    // A provider that demands claims needs the user, even if its code is `invalid_grant`.
    let oauth_error = match (oauth_error, claims) {
        (Some(OAuthError::Known("invalid_grant")), Some(_)) => {
            Some(OAuthError::Known("interaction_required"))
        }
        (oauth_error, _) => oauth_error,
    };
    let failure = classify(answer, oauth_error, retry_after(answer.headers(), now));
    Err(match (failure, claims) {
        (GrantFailure::Rejected(error), Some(claims)) => {
            GrantFailure::Rejected(error.with_claims(claims))
        }
        (failure, _) => failure,
    })
}

fn has_token(document: &Document) -> bool {
    ["access_token", "refresh_token", "id_token"]
        .iter()
        .any(|name| document.get(*name).is_some_and(Value::is_string))
}

fn read_tokens(document: &Document) -> Result<TokenAnswer, &'static str> {
    let text = |name: &str| document.get(name).and_then(Value::as_str);
    let secret = |name: &str| text(name).filter(|text| !text.is_empty()).map(Secret::new);
    let is_bearer = text("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"));
    if !is_bearer {
        // It cannot be sent as a bearer token; an exchange may answer `N_A` (RFC 8693 §2.2.1).
        return Err("the token endpoint answered with a token_type other than Bearer");
    }
    Ok(TokenAnswer {
        access_token: secret("access_token")
            .ok_or("the token endpoint answered without an access_token")?,
        refresh_token: secret("refresh_token"),
        id_token: secret("id_token"),
        issued_token_type: text("issued_token_type").map(str::to_owned),
        expires_in: seconds(document.get("expires_in")),
        refresh_expires_in: refresh_expires_in(document),
        scope: text("scope").map(str::to_owned),
    })
}

/// How long the refresh token lives, by either name that providers use; the shorter time if both are
/// there. Keycloak's zero means that it does not expire.
fn refresh_expires_in(document: &Document) -> Option<Duration> {
    ["refresh_expires_in", "refresh_token_expires_in"]
        .into_iter()
        .filter_map(|name| u64::try_from(seconds(document.get(name))?).ok())
        .filter(|seconds| *seconds > 0)
        .min()
        .map(Duration::from_secs)
}

/// A number of seconds. Some providers write it as text or with a fraction.
pub(super) fn seconds(value: Option<&Value>) -> Option<i64> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the cast saturates, and a fraction of a second is dropped on purpose"
    )]
    let whole = |number: f64| number as i64;
    match value? {
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().map(whole)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// The claims that the provider demands of the user, in the form of
/// [OpenID Connect Core §5.5](https://openid.net/specs/openid-connect-core-1_0.html#ClaimsParameter): a JSON
/// object, small enough for a header.
fn demanded_claims(document: &Document) -> Option<&str> {
    const LONGEST: usize = 4096;
    let claims = document.get("claims")?.as_str()?;
    let is_object = claims.len() <= LONGEST
        && serde_json::from_str::<Value>(claims).is_ok_and(|claims| claims.is_object());
    is_object.then_some(claims)
}
