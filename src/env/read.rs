//! Parses the text of environment variables into types.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::env::names::ANOTHER_APPLICATIONS;
use crate::env::written;
use crate::error::ConfigError;
use crate::jwt::Algorithm;
use crate::provider::Discovery;
use crate::settings::VARIABLES;
use crate::verify::TokenProfile;

/// The public functions that read settings, for a type that has `read`.
macro_rules! readable {
    ($settings:ty) => {
        impl $settings {
            /// Reads the environment of this process.
            ///
            /// # Errors
            /// [`ConfigError`] with the variable and the remedy.
            pub fn from_env() -> Result<Self, ConfigError> {
                Self::read(&Variables::from_env()?)
            }

            /// Reads names and values from another source, such as a file.
            ///
            /// # Errors
            /// [`ConfigError`] with the variable and the remedy.
            pub fn from_pairs<N, V>(
                pairs: impl IntoIterator<Item = (N, V)>,
            ) -> Result<Self, ConfigError>
            where
                N: Into<String>,
                V: Into<String>,
            {
                Self::read(&Variables::from_pairs(pairs))
            }
        }
    };
}
pub(super) use readable;

/// The variables that are set and not empty.
pub(crate) struct Variables(BTreeMap<String, String>);

const PREFIX: &str = "OPENID_";

impl Variables {
    pub(super) fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut variables: BTreeMap<_, _> = pairs
            .into_iter()
            .map(|(name, value)| (name, value.trim().to_owned()))
            .collect();
        variables.retain(|_, value| !value.is_empty());
        Self(variables)
    }

    pub(super) fn from_pairs<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<String>,
        V: Into<String>,
    {
        let pairs = pairs.into_iter();
        Self::new(pairs.map(|(name, value)| (name.into(), value.into())))
    }

    pub(crate) fn from_env() -> Result<Self, ConfigError> {
        let mut pairs = Vec::new();
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else {
                continue;
            };
            match value.into_string() {
                Ok(value) => pairs.push((name, value)),
                Err(_) if name.starts_with(PREFIX) => {
                    return Err(ConfigError::invalid(
                        name,
                        "(not text)",
                        "it is not UTF-8",
                        "write it in UTF-8",
                    ));
                }
                Err(_) => {}
            }
        }
        Ok(Self::new(pairs))
    }

    /// Refuses unknown names with our prefix, and values that are not written as values here. Returns the names that belong to another application.
    pub(super) fn check_names(&self) -> Result<Vec<String>, ConfigError> {
        let mut ignored = Vec::new();
        for (name, value) in &self.0 {
            written::check(name, value)?;
        }
        for name in self.0.keys().filter(|name| name.starts_with(PREFIX)) {
            if VARIABLES.contains(&name.as_str()) {
                continue;
            }
            if !ANOTHER_APPLICATIONS.contains(&name.as_str()) {
                return Err(ConfigError::Unknown {
                    suggestion: closest(name),
                    setting: name.clone(),
                });
            }
            ignored.push(name.clone());
        }
        Ok(ignored)
    }

    #[cfg(feature = "doctor")]
    pub(crate) fn into_pairs(self) -> BTreeMap<String, String> {
        self.0
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }

    pub(super) fn required(
        &self,
        name: &'static str,
        remedy: &'static str,
    ) -> Result<String, ConfigError> {
        self.text(name)
            .ok_or_else(|| ConfigError::missing(name, remedy))
    }

    /// Items separated by commas, without the empty ones.
    pub(super) fn list(&self, name: &str) -> Option<Vec<String>> {
        let items: Vec<_> = self
            .0
            .get(name)?
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect();
        (!items.is_empty()).then_some(items)
    }

    /// A query string of parameters, such as `access_type=offline&prompt=consent`.
    #[cfg(feature = "login")]
    pub(super) fn parameters(
        &self,
        name: &'static str,
    ) -> Result<Vec<(String, String)>, ConfigError> {
        let text = self.text(name).unwrap_or_default();
        let query = text.strip_prefix('?').unwrap_or(&text);
        let is_pair = |pair: &str| {
            pair.split_once('=')
                .is_some_and(|(name, _)| !name.is_empty())
        };
        if !query.is_empty() && !query.split('&').all(is_pair) {
            return Err(ConfigError::invalid(
                name,
                &text,
                "it is not a query string",
                "write names and values such as access_type=offline&prompt=consent",
            ));
        }
        Ok(url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect())
    }

    pub(super) fn truth(&self, name: &'static str) -> Result<Option<bool>, ConfigError> {
        let Some(value) = self.0.get(name) else {
            return Ok(None);
        };
        match value.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(Some(true)),
            "false" | "0" | "no" | "off" => Ok(Some(false)),
            _ => Err(ConfigError::invalid(
                name,
                value,
                "it is neither true nor false",
                "write true or false",
            )),
        }
    }

    pub(super) fn must_be_true(&self, name: &'static str) -> Result<(), ConfigError> {
        if self.truth(name)? == Some(false) {
            return Err(ConfigError::invalid(
                name,
                "false",
                "here nothing else is supported",
                "set it to true or remove it",
            ));
        }
        Ok(())
    }

    /// A number of milliseconds, or a number with a unit.
    pub(super) fn duration(&self, name: &'static str) -> Result<Option<Duration>, ConfigError> {
        let Some(value) = self.0.get(name) else {
            return Ok(None);
        };
        let parsed = match value.parse() {
            Ok(milliseconds) => Some(Duration::from_millis(milliseconds)),
            Err(_) => humantime::parse_duration(value).ok(),
        };
        parsed.map(Some).ok_or_else(|| {
            ConfigError::invalid(
                name,
                value,
                "it is not a duration",
                "write milliseconds as a plain number, or a number with a unit such as 10m",
            )
        })
    }

    pub(super) fn seconds(&self, name: &'static str) -> Result<Option<Duration>, ConfigError> {
        let Some(value) = self.0.get(name) else {
            return Ok(None);
        };
        let seconds = value.parse().map_err(|_| {
            const NUMBER: &str = "write seconds as a plain number from 0 to 300";
            let meant = humantime::parse_duration(value)
                .ok()
                .filter(|meant| meant.subsec_nanos() == 0);
            ConfigError::invalid(
                name,
                value,
                "it is not a whole number of seconds",
                match meant {
                    Some(meant) => format!("{NUMBER}, without a unit: {name}={}", meant.as_secs()),
                    None => NUMBER.to_owned(),
                },
            )
        })?;
        Ok(Some(Duration::from_secs(seconds)))
    }

    /// Scopes, separated by blanks.
    pub(super) fn scope(&self, name: &'static str) -> Result<Option<String>, ConfigError> {
        let Some(value) = self.0.get(name) else {
            return Ok(None);
        };
        let words = value
            .split(|character: char| character == ',' || character.is_whitespace())
            .filter(|word| !word.is_empty());
        let words = words.collect::<Vec<_>>().join(" ");
        if value.contains(',') {
            return Err(ConfigError::invalid(
                name,
                value,
                "it has commas, which do not separate scopes",
                format!("separate them by blanks: {name}={words}"),
            ));
        }
        Ok(Some(words).filter(|words| !words.is_empty()))
    }

    pub(super) fn count(&self, name: &'static str) -> Result<Option<usize>, ConfigError> {
        let Some(value) = self.0.get(name) else {
            return Ok(None);
        };
        value.parse().map(Some).map_err(|_| {
            ConfigError::invalid(
                name,
                value,
                "it is not a whole number",
                "write a plain number such as 5",
            )
        })
    }

    pub(super) fn algorithms(
        &self,
        name: &'static str,
    ) -> Result<Option<Vec<Algorithm>>, ConfigError> {
        let Some(names) = self.list(name) else {
            return Ok(None);
        };
        names
            .iter()
            .map(|text| Algorithm::from_name(text).ok_or_else(|| not_an_algorithm(name, text)))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// A word that stands for a value.
    pub(super) fn one_of<T: Copy>(
        &self,
        name: &'static str,
        choices: &[(&str, T)],
        problem: &'static str,
        remedy: &'static str,
    ) -> Result<Option<T>, ConfigError> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let chosen = choices.iter().find(|(word, _)| *word == text);
        chosen
            .map(|(_, value)| Some(*value))
            .ok_or_else(|| ConfigError::invalid(name, text, problem, remedy))
    }

    pub(super) fn discovery(&self, name: &'static str) -> Result<Option<Discovery>, ConfigError> {
        self.one_of(
            name,
            &[
                ("openid", Discovery::OpenId),
                ("oauth", Discovery::OAuth),
                ("either", Discovery::Either),
            ],
            "there is no such way to find the metadata",
            "write openid, oauth or either",
        )
    }

    pub(super) fn profile(&self, name: &'static str) -> Result<TokenProfile, ConfigError> {
        let profile = self.one_of(
            name,
            &[
                ("lenient", TokenProfile::Lenient),
                ("strict", TokenProfile::Strict),
                ("id", TokenProfile::IdToken),
            ],
            "there is no such profile",
            "write lenient, strict or id",
        )?;
        Ok(profile.unwrap_or(TokenProfile::Lenient))
    }
}

fn not_an_algorithm(name: &'static str, text: &str) -> ConfigError {
    let (problem, remedy) = match text.to_ascii_uppercase().as_str() {
        "HS256" | "HS384" | "HS512" => (
            "with HMAC everyone who can verify a token can sign one, so it is never accepted",
            "let the provider sign with RS256 (Auth0: the signing algorithm of the API, and for sign-in \
             that of the application under Advanced Settings, OAuth), and remove it here"
                .to_owned(),
        ),
        "NONE" => (
            "tokens without a signature are never accepted",
            "remove it".to_owned(),
        ),
        _ => {
            let mut all = Algorithm::ALL.iter().map(|one| one.name());
            let meant = all.find(|known| known.eq_ignore_ascii_case(text));
            let all: Vec<_> = Algorithm::ALL.iter().map(|one| one.name()).collect();
            let all = all.join(", ");
            (
                "it is not a signature algorithm that can be accepted",
                match meant {
                    Some(known) => format!("write {known}; choose from {all}"),
                    None => format!("choose from {all}, separated by commas"),
                },
            )
        }
    };
    ConfigError::invalid(name, text, problem, remedy)
}

fn closest(name: &str) -> Option<String> {
    const NEAR: usize = 4;
    VARIABLES
        .iter()
        .map(|known| (strsim::damerau_levenshtein(name, known), *known))
        .min()
        .filter(|(distance, _)| *distance <= NEAR)
        .map(|(_, known)| known.to_owned())
}
