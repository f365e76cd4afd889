use std::borrow::Cow;

/// A setting the crate refuses to start with. The message names the setting and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A setting that has no safe default was left out or left empty.
    #[error("{setting} is not set: {remedy}")]
    #[non_exhaustive]
    Missing {
        /// The setting's name.
        setting: Cow<'static, str>,
        /// What to do about it.
        remedy: Cow<'static, str>,
    },
    /// A setting has a value that cannot be used.
    #[error("{setting} = {value:?} cannot be used: {problem}; {remedy}")]
    #[non_exhaustive]
    Invalid {
        /// The setting's name.
        setting: Cow<'static, str>,
        /// The value as it was given. Never that of a secret.
        value: String,
        /// What is wrong with it.
        problem: Cow<'static, str>,
        /// What to do about it.
        remedy: Cow<'static, str>,
    },
    /// A setting nobody reads, most often a misspelt one.
    #[error("{setting} is not a setting of this crate{}", did_you_mean(.suggestion.as_deref()))]
    #[non_exhaustive]
    Unknown {
        /// The name that was found.
        setting: String,
        /// The known name that comes closest, if one does.
        suggestion: Option<String>,
    },
    /// Two settings that cannot both hold.
    #[error("{setting} contradicts {other}: {remedy}")]
    #[non_exhaustive]
    Contradiction {
        /// The one setting.
        setting: Cow<'static, str>,
        /// The other.
        other: Cow<'static, str>,
        /// What to do about it.
        remedy: Cow<'static, str>,
    },
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(
        || "; remove it, or see the documentation for the names it reads".to_owned(),
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

    /// The setting this error is about.
    #[must_use]
    pub fn setting(&self) -> &str {
        match self {
            Self::Missing { setting, .. }
            | Self::Invalid { setting, .. }
            | Self::Contradiction { setting, .. } => setting,
            Self::Unknown { setting, .. } => setting,
        }
    }

    /// The same error under the name by which the operator knows the setting.
    #[cfg(feature = "reqwest")]
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
