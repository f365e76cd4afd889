//! The client and the audience that it requests.

use crate::env::names::in_environment;
use crate::env::read::Variables;
use crate::error::ConfigError;
use crate::provider::{Client, SecretMethod};
#[cfg(any(feature = "login", feature = "outbound"))]
use crate::settings::{OPENID_AUDIENCE, OPENID_REQUEST_AUDIENCE};
use crate::settings::{
    OPENID_CLIENT_SECRET, OPENID_CLIENT_SECRET_FILE, OPENID_TOKEN_ENDPOINT_AUTH_METHOD,
};

/// The requested audience, if there is one.
#[cfg(any(feature = "login", feature = "outbound"))]
pub(super) fn requested_audience(variables: &Variables) -> Option<String> {
    variables
        .text(OPENID_REQUEST_AUDIENCE)
        .or_else(|| variables.list(OPENID_AUDIENCE)?.into_iter().next())
}

pub(super) fn client(variables: &Variables, id: &str) -> Result<Client, ConfigError> {
    let client = match (
        variables.text(OPENID_CLIENT_SECRET),
        variables.text(OPENID_CLIENT_SECRET_FILE),
    ) {
        (Some(_), Some(_)) => {
            return Err(ConfigError::Contradiction {
                setting: OPENID_CLIENT_SECRET.into(),
                other: OPENID_CLIENT_SECRET_FILE.into(),
                remedy: "set one of them".into(),
            });
        }
        (Some(secret), None) => Client::with_secret(id, &secret),
        (None, Some(path)) => Client::with_secret_file(id, path),
        (None, None) => Client::public(id),
    };
    let client = client.map_err(in_environment)?;
    Ok(match secret_method(variables)? {
        Some(method) => client.with_secret_method(method),
        None => client,
    })
}

fn secret_method(variables: &Variables) -> Result<Option<SecretMethod>, ConfigError> {
    variables.one_of(
        OPENID_TOKEN_ENDPOINT_AUTH_METHOD,
        &[
            ("client_secret_basic", SecretMethod::Basic),
            ("client_secret_post", SecretMethod::Post),
        ],
        "it is not a way to send the client secret",
        "write client_secret_basic or client_secret_post, or remove it: the provider's metadata then decides",
    )
}
