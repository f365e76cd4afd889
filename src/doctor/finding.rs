//! What was found, one line each: for people, and as JSON for programs.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Value, json};

use crate::error::ConfigError;

/// How a finding counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Level {
    /// It is as it should be.
    Right,
    /// It works, or it cannot be told from here, and is worth knowing.
    Note,
    /// It does not work, or not for long.
    Wrong,
}

impl Level {
    /// `right`, `note` or `wrong`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Note => "note",
            Self::Wrong => "wrong",
        }
    }
}

/// One thing that was looked at. It holds no secret, no token and, of tokens, no claim but `iss` and `aud`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    level: Level,
    code: Cow<'static, str>,
    setting: Option<Cow<'static, str>>,
    text: String,
    remedy: Option<String>,
}

/// The longest text that is shown. Parts of it may come from a provider.
const LONGEST: usize = 2_000;

impl Finding {
    pub(super) fn new(
        level: Level,
        code: impl Into<Cow<'static, str>>,
        text: impl AsRef<str>,
    ) -> Self {
        Self {
            level,
            code: code.into(),
            setting: None,
            text: printable(text.as_ref()),
            remedy: None,
        }
    }

    pub(super) fn right(code: &'static str, text: impl AsRef<str>) -> Self {
        Self::new(Level::Right, code, text)
    }

    pub(super) fn note(code: &'static str, text: impl AsRef<str>) -> Self {
        Self::new(Level::Note, code, text)
    }

    pub(super) fn wrong(code: &'static str, text: impl AsRef<str>) -> Self {
        Self::new(Level::Wrong, code, text)
    }

    /// The setting that it is about.
    #[must_use]
    pub(super) fn at(mut self, setting: impl Into<Cow<'static, str>>) -> Self {
        self.setting = Some(setting.into());
        self
    }

    #[must_use]
    pub(super) fn cured_by(mut self, remedy: impl AsRef<str>) -> Self {
        self.remedy = Some(printable(remedy.as_ref()));
        self
    }

    /// A setting that the crate does not start with.
    pub(super) fn of_config(error: &ConfigError) -> Self {
        let setting = error.setting().to_owned();
        match error {
            ConfigError::Missing { remedy, .. } => {
                Self::wrong("setting_missing", "it is not set").cured_by(remedy)
            }
            ConfigError::Invalid {
                value,
                problem,
                remedy,
                ..
            } => Self::wrong(
                "setting_invalid",
                format!("{value:?} cannot be used: {problem}"),
            )
            .cured_by(remedy),
            ConfigError::Unknown { suggestion, .. } => {
                let finding = Self::wrong("setting_unknown", "it is not a setting of this crate");
                match suggestion {
                    Some(name) => finding.cured_by(format!("write {name}, if that is meant")),
                    None => {
                        finding.cured_by("remove it, or look up the names in the documentation")
                    }
                }
            }
            ConfigError::Contradiction { other, remedy, .. } => {
                Self::wrong("setting_contradiction", format!("it contradicts {other}"))
                    .cured_by(remedy)
            }
        }
        .at(setting)
    }

    /// How it counts.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// What was found, as a name that does not change, such as `issuer_mismatch`.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The environment variable that it is about, if there is one.
    #[must_use]
    pub fn setting(&self) -> Option<&str> {
        self.setting.as_deref()
    }

    /// What was found, in words.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> Option<&str> {
        self.remedy.as_deref()
    }

    fn to_json(&self) -> Value {
        json!({
            "level": self.level.as_str(),
            "code": self.code,
            "setting": self.setting,
            "text": self.text,
            "remedy": self.remedy,
        })
    }
}

/// On one line, without characters that could steer a terminal or turn the direction of writing.
fn printable(text: &str) -> String {
    let is_plain = |character: char| {
        !character.is_control()
            && !matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let shown = text.chars().take(LONGEST);
    shown
        .map(|character| if is_plain(character) { character } else { ' ' })
        .collect()
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:<5}  {}", self.level.as_str(), self.code)?;
        match &self.setting {
            Some(setting) => write!(formatter, "  {setting}: {}", self.text)?,
            None => write!(formatter, "  {}", self.text)?,
        }
        match &self.remedy {
            Some(remedy) => write!(formatter, "\n       remedy: {remedy}"),
            None => Ok(()),
        }
    }
}

/// Everything that was found. `Display` writes a line for each finding, and its remedy below it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report(Vec<Finding>);

impl Report {
    pub(super) fn new(findings: Vec<Finding>) -> Self {
        Self(findings)
    }

    /// What was found, in the order of looking.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.0.iter()
    }

    /// What is wrong.
    pub fn wrong(&self) -> impl Iterator<Item = &Finding> {
        self.findings()
            .filter(|finding| finding.level == Level::Wrong)
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.wrong().next().is_none()
    }

    /// This report, followed by another.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The report as a JSON object: `well`, and `findings` with `level`, `code`, `setting`, `text` and `remedy`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let findings: Vec<_> = self.findings().map(Finding::to_json).collect();
        json!({"well": self.is_well(), "findings": findings}).to_string()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.0 {
            writeln!(formatter, "{finding}")?;
        }
        match self.wrong().count() {
            0 => writeln!(formatter, "all is well"),
            1 => writeln!(formatter, "1 thing is wrong"),
            many => writeln!(formatter, "{many} things are wrong"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_provider_writes_cannot_steer_a_terminal() {
        let finding = Finding::note("a_code", "a\u{1b}[2Jb\nc\u{202e}d").cured_by("e\rf");
        assert_eq!(finding.text(), "a [2Jb c d");
        assert_eq!(finding.remedy(), Some("e f"));
        let long = Finding::note("a_code", "x".repeat(1_000_000));
        assert_eq!(long.text().len(), LONGEST);
    }

    #[test]
    fn a_report_is_well_unless_something_is_wrong() {
        let right = Report::new(vec![Finding::right("one", "1"), Finding::note("two", "2")]);
        assert!(right.is_well());
        assert!(right.to_string().ends_with("all is well\n"), "{right}");
        let wrong = right.and(Report::new(vec![
            Finding::wrong("three", "3")
                .at("OPENID_ISSUER")
                .cured_by("4"),
        ]));
        assert!(!wrong.is_well());
        let text = wrong.to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[2], "wrong  three  OPENID_ISSUER: 3");
        assert_eq!(lines[3], "       remedy: 4");
        assert_eq!(lines[4], "1 thing is wrong");
        let json: Value = serde_json::from_str(&wrong.to_json()).unwrap();
        assert_eq!(json["well"], false);
        assert_eq!(json["findings"][2]["setting"], "OPENID_ISSUER");
        assert_eq!(json["findings"][0]["remedy"], Value::Null);
    }
}
