//! The client, how it authenticates, and the audience that it requests.

use std::path::Path;

#[cfg(any(feature = "login", feature = "outbound"))]
use crate::client_keys::ClientKeys;
use crate::env::names::in_environment;
use crate::env::read::Variables;
use crate::error::ConfigError;
use crate::jwt::Algorithm;
use crate::provider::{AssertionAudience, Client, KeyId, SecretMethod};
use crate::settings::{
    AZURE_AUTHORITY_HOST, AZURE_CLIENT_ID, AZURE_FEDERATED_TOKEN_FILE, AZURE_TENANT_ID,
    OPENID_CLIENT_ASSERTION_AUDIENCE, OPENID_CLIENT_ASSERTION_FILE, OPENID_CLIENT_CERTIFICATE_FILE,
    OPENID_CLIENT_ID, OPENID_CLIENT_PRIVATE_KEY_ALGORITHM, OPENID_CLIENT_PRIVATE_KEY_FILE,
    OPENID_CLIENT_PRIVATE_KEY_ID, OPENID_CLIENT_PUBLISHED_KEY_FILE, OPENID_CLIENT_SECRET,
    OPENID_CLIENT_SECRET_FILE, OPENID_ISSUER, OPENID_TOKEN_ENDPOINT_AUTH_METHOD,
};
#[cfg(any(feature = "login", feature = "outbound"))]
use crate::settings::{OPENID_AUDIENCE, OPENID_REQUEST_AUDIENCE};

/// The requested audience, if there is one.
#[cfg(any(feature = "login", feature = "outbound"))]
pub(super) fn requested_audience(variables: &Variables) -> Option<String> {
    variables
        .text(OPENID_REQUEST_AUDIENCE)
        .or_else(|| variables.list(OPENID_AUDIENCE)?.into_iter().next())
}

/// The variables that each choose a way to authenticate.
const WAYS: [&str; 5] = [
    OPENID_CLIENT_SECRET,
    OPENID_CLIENT_SECRET_FILE,
    OPENID_CLIENT_ASSERTION_FILE,
    OPENID_CLIENT_PRIVATE_KEY_FILE,
    OPENID_CLIENT_CERTIFICATE_FILE,
];

/// What has an effect with another variable alone.
const ONLY_WITH: [(&str, &str); 4] = [
    (OPENID_CLIENT_PRIVATE_KEY_ID, OPENID_CLIENT_PRIVATE_KEY_FILE),
    (
        OPENID_CLIENT_PRIVATE_KEY_ALGORITHM,
        OPENID_CLIENT_PRIVATE_KEY_FILE,
    ),
    (
        OPENID_CLIENT_PUBLISHED_KEY_FILE,
        OPENID_CLIENT_PRIVATE_KEY_FILE,
    ),
    (
        OPENID_CLIENT_ASSERTION_AUDIENCE,
        OPENID_CLIENT_PRIVATE_KEY_FILE,
    ),
];

/// The client id. In a pod with Azure's workload identity it is the one of that identity unless another is set.
pub(super) fn client_id(
    variables: &Variables,
    remedy: &'static str,
) -> Result<String, ConfigError> {
    let set = variables.text(OPENID_CLIENT_ID);
    let set = set.or_else(|| {
        azure_token_file(variables)?;
        variables.text(AZURE_CLIENT_ID)
    });
    set.ok_or_else(|| ConfigError::missing(OPENID_CLIENT_ID, remedy))
}

pub(super) fn client(variables: &Variables, id: &str) -> Result<Client, ConfigError> {
    let set = WAYS.iter().filter(|name| variables.text(name).is_some());
    let set: Vec<_> = set.copied().collect();
    if let [first, second, ..] = set[..] {
        return Err(ConfigError::Contradiction {
            setting: first.into(),
            other: second.into(),
            remedy: "a client authenticates in one way: set one of them".into(),
        });
    }
    for (name, needed) in ONLY_WITH {
        if variables.text(name).is_some() && variables.text(needed).is_none() {
            return Err(ConfigError::Contradiction {
                setting: name.into(),
                other: needed.into(),
                remedy: format!("it has no effect without that: set {needed}, or remove {name}")
                    .into(),
            });
        }
    }
    let way = set.first().copied();
    let path = way
        .and_then(|name| variables.text(name))
        .unwrap_or_default();
    let client = match way {
        Some(OPENID_CLIENT_SECRET) => Client::with_secret(id, &path),
        Some(OPENID_CLIENT_SECRET_FILE) => Client::with_secret_file(id, path),
        Some(OPENID_CLIENT_ASSERTION_FILE) => {
            Client::with_assertion_file_of(OPENID_CLIENT_ASSERTION_FILE, id, Path::new(&path))
        }
        Some(OPENID_CLIENT_PRIVATE_KEY_FILE) => {
            let algorithm = algorithm(variables)?;
            let client = Client::with_private_key_file(id, algorithm, key_id(variables), path);
            let audience = audience(variables)?;
            client.map(|client| client.with_assertion_audience(audience))
        }
        Some(_) => Client::with_certificate(id),
        None => match azure_token_file(variables) {
            Some(path) => {
                Client::with_assertion_file_of(AZURE_FEDERATED_TOKEN_FILE, id, Path::new(&path))
            }
            None => Client::public(id),
        },
    };
    let client = client.map_err(in_environment)?;
    let method = secret_method(variables)?;
    match (method, way) {
        (Some(_), Some(way))
            if ![OPENID_CLIENT_SECRET, OPENID_CLIENT_SECRET_FILE].contains(&way) =>
        {
            Err(ConfigError::Contradiction {
                setting: OPENID_TOKEN_ENDPOINT_AUTH_METHOD.into(),
                other: way.into(),
                remedy: "it says how a client secret is sent, and this client has none: remove it"
                    .into(),
            })
        }
        (Some(method), _) => Ok(client.with_secret_method(method)),
        (None, _) => Ok(client),
    }
}

/// The public keys of the client, if it signs by a private key.
#[cfg(any(feature = "login", feature = "outbound"))]
pub(super) fn client_keys(
    variables: &Variables,
    client: &Client,
) -> Result<Option<ClientKeys>, ConfigError> {
    if client.private_key().is_none() {
        return Ok(None);
    }
    let keys = ClientKeys::of(client).map_err(in_environment)?;
    let Some(path) = variables.text(OPENID_CLIENT_PUBLISHED_KEY_FILE) else {
        return Ok(Some(keys));
    };
    // Two keys of one name would be ambiguous.
    let keys = keys.add_private_key_file(algorithm(variables)?, KeyId::Thumbprint, path);
    keys.map(Some)
        .map_err(|error| error.renamed(OPENID_CLIENT_PUBLISHED_KEY_FILE))
}

/// The file of Azure's workload identity, where it is for this provider and this client: its token proves who this
/// program is, and is sent to no other.
fn azure_token_file(variables: &Variables) -> Option<String> {
    if WAYS.iter().any(|name| variables.text(name).is_some()) {
        return None;
    }
    let path = variables.text(AZURE_FEDERATED_TOKEN_FILE)?;
    let tenant = variables.text(AZURE_TENANT_ID)?;
    let authority = variables
        .text(AZURE_AUTHORITY_HOST)
        .unwrap_or_else(|| "https://login.microsoftonline.com".to_owned());
    let own = format!("{}/{tenant}/v2.0", authority.trim_end_matches('/'));
    let own_client = variables.text(AZURE_CLIENT_ID)?;
    if variables
        .text(OPENID_CLIENT_ID)
        .is_some_and(|set| set != own_client)
    {
        return None;
    }
    let issuer = variables.text(OPENID_ISSUER)?;
    let issuer = issuer
        .strip_suffix("/.well-known/openid-configuration")
        .unwrap_or(&issuer);
    (issuer.trim_end_matches('/') == own).then_some(path)
}

fn key_id(variables: &Variables) -> KeyId {
    match variables.text(OPENID_CLIENT_PRIVATE_KEY_ID) {
        None => KeyId::None,
        Some(word) if word == "thumbprint" => KeyId::Thumbprint,
        Some(name) => KeyId::Named(name),
    }
}

fn algorithm(variables: &Variables) -> Result<Option<Algorithm>, ConfigError> {
    let named = variables.algorithms(OPENID_CLIENT_PRIVATE_KEY_ALGORITHM)?;
    match named.as_deref() {
        None => Ok(None),
        Some([one]) => Ok(Some(*one)),
        Some(_) => Err(ConfigError::invalid(
            OPENID_CLIENT_PRIVATE_KEY_ALGORITHM,
            variables
                .text(OPENID_CLIENT_PRIVATE_KEY_ALGORITHM)
                .unwrap_or_default(),
            "it names several algorithms",
            "write one, or remove it: the key then decides",
        )),
    }
}

fn audience(variables: &Variables) -> Result<AssertionAudience, ConfigError> {
    let chosen = variables.one_of(
        OPENID_CLIENT_ASSERTION_AUDIENCE,
        &[
            ("issuer", AssertionAudience::Issuer),
            ("token_endpoint", AssertionAudience::TokenEndpoint),
        ],
        "it is not an audience of assertions",
        "write issuer, or token_endpoint for a provider that demands it",
    )?;
    Ok(chosen.unwrap_or_default())
}

fn secret_method(variables: &Variables) -> Result<Option<SecretMethod>, ConfigError> {
    variables.one_of(
        OPENID_TOKEN_ENDPOINT_AUTH_METHOD,
        &[
            ("client_secret_basic", SecretMethod::Basic),
            ("client_secret_post", SecretMethod::Post),
        ],
        "it is not a way to send the client secret",
        "write client_secret_basic or client_secret_post, or remove it: the provider's metadata then decides. A client \
         without a secret is chosen by OPENID_CLIENT_ASSERTION_FILE, OPENID_CLIENT_PRIVATE_KEY_FILE or \
         OPENID_CLIENT_CERTIFICATE_FILE",
    )
}

/// Names and values as they may be shown.
#[cfg(any(feature = "login", feature = "outbound"))]
pub(super) fn shown(variables: &Variables) -> Vec<(&'static str, Option<String>)> {
    let azure = azure_token_file(variables);
    let mut shown: Vec<_> = [
        OPENID_CLIENT_ASSERTION_FILE,
        OPENID_CLIENT_PRIVATE_KEY_FILE,
        OPENID_CLIENT_PRIVATE_KEY_ID,
        OPENID_CLIENT_PRIVATE_KEY_ALGORITHM,
        OPENID_CLIENT_ASSERTION_AUDIENCE,
        OPENID_CLIENT_PUBLISHED_KEY_FILE,
    ]
    .into_iter()
    .map(|name| (name, variables.text(name)))
    .collect();
    if azure.is_some() {
        shown.push((AZURE_FEDERATED_TOKEN_FILE, azure));
    }
    shown
}
