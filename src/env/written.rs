//! Values that are written in a way that files of settings allow and the environment does not: `docker run
//! --env-file` and systemd pass quotes on.

use crate::error::ConfigError;
use crate::settings::{
    DATABASE_LISTEN_URL, DATABASE_URL, OPENID_CLIENT_SECRET, OPENID_SESSION_SECRET,
    REDIS_SENTINELS, REDIS_URL, VARIABLES,
};

/// Values that no error repeats.
const SECRET: [&str; 6] = [
    DATABASE_LISTEN_URL,
    DATABASE_URL,
    OPENID_CLIENT_SECRET,
    OPENID_SESSION_SECRET,
    REDIS_SENTINELS,
    REDIS_URL,
];

const QUOTES: [(char, char); 5] = [
    ('"', '"'),
    ('\'', '\''),
    ('`', '`'),
    ('\u{201c}', '\u{201d}'),
    ('\u{2018}', '\u{2019}'),
];

/// Refuses a value of ours that is still in quotes, or is a list in JSON.
pub(super) fn check(name: &str, value: &str) -> Result<(), ConfigError> {
    // Those of Azure are for other programs first.
    if !VARIABLES.contains(&name) || name.starts_with("AZURE_") {
        return Ok(());
    }
    let within = |(opening, closing): &(char, char)| -> Option<&str> {
        value.strip_prefix(*opening)?.strip_suffix(*closing)
    };
    let (problem, remedy, content) = if let Some(content) = QUOTES.iter().find_map(within) {
        (
            "it is still in quotes: they are part of the value here",
            "write it without them",
            content.to_owned(),
        )
    } else if let Some(content) = within(&('[', ']')) {
        (
            "it is a list in brackets",
            "separate the items by commas, without brackets and quotes",
            content.replace(['"', '\''], ""),
        )
    } else {
        return Ok(());
    };
    let is_secret = SECRET.contains(&name);
    let is_clear = !is_secret && !content.is_empty() && !content.contains(['"', '\'']);
    Err(ConfigError::invalid(
        name.to_owned(),
        if is_secret { "(redacted)" } else { value },
        problem,
        if is_clear {
            format!("{remedy}: {name}={content}")
        } else {
            remedy.to_owned()
        },
    ))
}
