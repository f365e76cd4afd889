use std::borrow::Cow;
use std::convert::Infallible;
use std::time::Duration;

/// A setting that the crate refuses to start with. The message names the setting, the problem and the
/// remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A setting without a safe default is missing or empty.
    #[error("{setting} is not set: {remedy}")]
    #[non_exhaustive]
    Missing {
        /// The setting's name.
        setting: Cow<'static, str>,
        /// How to fix it.
        remedy: Cow<'static, str>,
    },
    /// A setting has an unusable value.
    #[error("{setting} = {value:?} cannot be used: {problem}; {remedy}")]
    #[non_exhaustive]
    Invalid {
        /// The setting's name.
        setting: Cow<'static, str>,
        /// The value as it was given; `(redacted)` for a secret.
        value: String,
        /// What is wrong with the value.
        problem: Cow<'static, str>,
        /// How to fix it.
        remedy: Cow<'static, str>,
    },
    /// A setting that this crate does not know, most often a misspelt one.
    #[error("{setting} is not a setting of this crate{}", did_you_mean(.suggestion.as_deref()))]
    #[non_exhaustive]
    Unknown {
        /// The name that was found.
        setting: String,
        /// The most similar known name, if there is one.
        suggestion: Option<String>,
    },
    /// Two settings exclude each other.
    #[error("{setting} contradicts {other}: {remedy}")]
    #[non_exhaustive]
    Contradiction {
        /// The first setting.
        setting: Cow<'static, str>,
        /// The second setting.
        other: Cow<'static, str>,
        /// How to fix it.
        remedy: Cow<'static, str>,
    },
}

/// Lets a parsed value itself stand where text can.
impl From<Infallible> for ConfigError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(
        || "; remove it, or look up the names that it reads in the documentation".to_owned(),
        |name| format!("; did you mean {name}?"),
    )
}

impl ConfigError {
    pub(crate) fn missing(
        setting: impl Into<Cow<'static, str>>,
        remedy: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::Missing {
            setting: setting.into(),
            remedy: remedy.into(),
        }
    }

    pub(crate) fn invalid(
        setting: impl Into<Cow<'static, str>>,
        value: impl Into<String>,
        problem: impl Into<Cow<'static, str>>,
        remedy: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::Invalid {
            setting: setting.into(),
            value: value.into(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    /// For a number or a time. The remedy says which are allowed.
    pub(crate) fn out_of_bounds(
        setting: &'static str,
        value: impl Into<String>,
        remedy: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::invalid(setting, value, "it is out of bounds", remedy)
    }

    /// The name of the setting.
    #[must_use]
    pub fn setting(&self) -> &str {
        match self {
            Self::Missing { setting, .. }
            | Self::Invalid { setting, .. }
            | Self::Contradiction { setting, .. } => setting,
            Self::Unknown { setting, .. } => setting,
        }
    }

    /// The same error in the words of those who set environment variables.
    #[cfg(feature = "reqwest")]
    #[must_use]
    pub(crate) fn renamed_by(mut self, name_of: fn(&str) -> Option<&'static str>) -> Self {
        if let Self::Contradiction { other, .. } = &mut self
            && let Some(name) = name_of(other)
        {
            *other = Cow::Borrowed(name);
        }
        match name_of(self.setting()) {
            Some(name) => self.renamed(name),
            None => self,
        }
    }

    /// The same error under another name of the setting.
    #[must_use]
    pub(crate) fn renamed(mut self, name: &'static str) -> Self {
        match &mut self {
            Self::Missing { setting, .. }
            | Self::Invalid { setting, .. }
            | Self::Contradiction { setting, .. } => *setting = Cow::Borrowed(name),
            Self::Unknown { setting, .. } => name.clone_into(setting),
        }
        self
    }
}

/// The time, if it is neither shorter nor longer.
///
/// # Errors
/// [`ConfigError`] naming the setting and both bounds.
pub(crate) fn duration_within(
    setting: &'static str,
    value: Duration,
    shortest: Duration,
    longest: Duration,
) -> Result<Duration, ConfigError> {
    if (shortest..=longest).contains(&value) {
        return Ok(value);
    }
    Err(ConfigError::out_of_bounds(
        setting,
        humantime::format_duration(value).to_string(),
        format!(
            "choose from {} to {}",
            humantime::format_duration(shortest),
            humantime::format_duration(longest)
        ),
    ))
}
