//! What a sign-in may ask the provider for, beside what the protocol sets itself.

use crate::claims::Scope;
use crate::error::ConfigError;
use crate::settings::{SCOPE, TARGET};
use crate::token::target::Target;

/// Targets of one session beside its own.
const MOST_TARGETS: usize = 8;

/// The parameters of the authorization request that are ours to set.
pub(super) const OURS: [&str; 15] = [
    "response_type",
    "response_mode",
    "client_id",
    "client_secret",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "audience",
    "resource",
    "request",
    "request_uri",
    "code",
];

/// The parameters of the request to end the session at the provider that are ours to set.
pub(super) const OURS_AT_SIGN_OUT: [&str; 5] = [
    "id_token_hint",
    "logout_hint",
    "client_id",
    "post_logout_redirect_uri",
    "state",
];

pub(super) fn check_scope(scope: &str) -> Result<(), ConfigError> {
    let words: Vec<_> = scope.split(' ').collect();
    for word in &words {
        Scope::new(word)?;
    }
    if !words.contains(&"openid") {
        return Err(ConfigError::invalid(
            SCOPE,
            scope,
            "it does not hold openid",
            "write openid first: without it there is no ID token",
        ));
    }
    Ok(())
}

pub(super) fn check_parameters(
    setting: &'static str,
    parameters: &[(String, String)],
    ours: &[&str],
) -> Result<(), ConfigError> {
    for (at, (name, value)) in parameters.iter().enumerate() {
        let is_twice = parameters[..at].iter().any(|(known, _)| known == name);
        if name.is_empty() || is_twice || ours.contains(&name.as_str()) {
            return Err(ConfigError::invalid(
                setting,
                format!("{name}={value}"),
                "it has no name, stands twice, or is one that this crate sets itself",
                "use the setting made for it, or remove it",
            ));
        }
    }
    Ok(())
}

/// The resources of targets that the session's own tokens are not for, each once.
pub(super) fn later_resources(targets: &[Target], own: &[String]) -> Vec<String> {
    let mut later: Vec<String> = Vec::new();
    for resource in targets.iter().flat_map(Target::resources) {
        if !own.contains(resource) && !later.contains(resource) {
            later.push(resource.clone());
        }
    }
    later
}

pub(super) fn check_targets(targets: &[Target]) -> Result<(), ConfigError> {
    let is_twice = (1..targets.len()).any(|at| targets[..at].contains(&targets[at]));
    if targets.len() > MOST_TARGETS || is_twice {
        return Err(ConfigError::invalid(
            TARGET,
            targets.len().to_string(),
            "one of them stands twice, or they are too many",
            format!("name each target once, and {MOST_TARGETS} at the most"),
        ));
    }
    Ok(())
}
