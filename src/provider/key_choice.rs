//! What a program chose about where the keys are.

use std::fmt;
use std::path::PathBuf;

use crate::claims::{Transport, parse_url};
use crate::error::{Chain, ConfigError};
use crate::keys::jwk_set::JwkSet;
use crate::keys::key_file::KeyFile;
use crate::provider::key_source::{JWKS_SIZE, KeySource};
use crate::settings::{INITIAL_JWKS, JWKS, JWKS_FILE, JWKS_URL};

#[derive(Debug, Default)]
pub(super) struct KeyChoice {
    pub(super) url: Option<String>,
    pub(super) file: Option<PathBuf>,
    pub(super) given: Option<JwksText>,
    pub(super) initial: Option<JwksText>,
}

/// The text of a key set. `Debug` does not show it, because it may hold private keys by mistake.
pub(super) struct JwksText(String);

impl JwksText {
    pub(super) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    fn parse(&self, setting: &'static str) -> Result<JwkSet, ConfigError> {
        JwkSet::parse(self.0.as_bytes()).map_err(|error| {
            ConfigError::invalid(
                setting,
                "(a key set)",
                Chain(&error).to_string(),
                "pass the JSON text that the provider serves at its jwks_uri",
            )
        })
    }
}

impl KeyChoice {
    /// `known` are keys to begin with where nothing else is chosen.
    pub(super) fn source(
        self,
        transport: &Transport,
        known: Option<JwkSet>,
    ) -> Result<KeySource, ConfigError> {
        let chosen = [
            (JWKS, self.given.is_some()),
            (JWKS_FILE, self.file.is_some()),
            (JWKS_URL, self.url.is_some()),
        ];
        let mut chosen = chosen.into_iter().filter(|(_, is_chosen)| *is_chosen);
        let first = chosen.next().map(|(setting, _)| setting);
        if let (Some(setting), Some((other, _))) = (first, chosen.next()) {
            let remedy = "keys come from one place; keep one of the two settings";
            return Err(contradiction(setting, other, remedy));
        }
        if let (Some(other @ (JWKS | JWKS_FILE)), true) = (first, self.initial.is_some()) {
            let remedy = "those keys are known at the start too; leave the initial ones out";
            return Err(contradiction(INITIAL_JWKS, other, remedy));
        }
        if let Some(text) = self.given {
            return Ok(KeySource::Program(text.parse(JWKS)?));
        }
        if let Some(path) = self.file {
            let file = KeyFile::new(path);
            let keys = read(&file)?;
            return Ok(KeySource::File(file, keys));
        }
        let url = self.url.map(|url| parse_url(JWKS_URL, &url, transport));
        let initial = self.initial.map(|text| text.parse(INITIAL_JWKS));
        Ok(KeySource::Remote {
            url: url.transpose()?,
            initial: initial.transpose()?.or(known),
        })
    }
}

fn contradiction(setting: &'static str, other: &'static str, remedy: &'static str) -> ConfigError {
    ConfigError::Contradiction {
        setting: setting.into(),
        other: other.into(),
        remedy: remedy.into(),
    }
}

fn read(file: &KeyFile) -> Result<JwkSet, ConfigError> {
    file.read_here(JWKS_SIZE).map_err(|error| {
        ConfigError::invalid(
            JWKS_FILE,
            file.path().display().to_string(),
            Chain(&error).to_string(),
            "set it to the path of a file with the JSON text that the provider serves at its jwks_uri",
        )
    })
}

impl fmt::Debug for JwksText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JwksText")
    }
}
