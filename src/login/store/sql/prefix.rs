//! Names of tables. They become part of statements, so they are checked.

use crate::error::ConfigError;
use crate::settings::TABLE_PREFIX;

/// What the names of all tables begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::login::store) struct TablePrefix(Box<str>);

/// Names of tables and indexes have up to 63 characters in PostgreSQL. What follows the prefix has up to 23.
const LONGEST: usize = 40;

impl TablePrefix {
    /// # Errors
    /// [`ConfigError`] if a database would read it as anything but one name in lower case.
    pub(in crate::login::store) fn parse(text: &str) -> Result<Self, ConfigError> {
        let is_name = text.len() <= LONGEST
            && text.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if !is_name {
            return Err(ConfigError::invalid(
                TABLE_PREFIX,
                text,
                "it is not the beginning of a table's name",
                "write up to 40 lower-case letters, digits and underscores, without a digit in front, such as shop",
            ));
        }
        Ok(Self(text.into()))
    }

    pub(in crate::login::store) fn as_str(&self) -> &str {
        &self.0
    }

    /// A statement with this prefix in the place of each `{prefix}`.
    pub(in crate::login::store) fn fill(&self, statement: &str) -> String {
        statement.replace("{prefix}", &self.0)
    }
}

impl Default for TablePrefix {
    fn default() -> Self {
        Self("tower_oidc".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // D31
    #[test]
    fn a_prefix_is_one_name_and_cannot_end_a_statement() {
        for good in ["shop", "_", "a1_b2", &"a".repeat(40)] {
            let prefix = TablePrefix::parse(good).expect(good);
            assert_eq!(prefix.fill("SELECT {prefix}_x"), format!("SELECT {good}_x"));
        }
        let long = "a".repeat(41);
        for bad in [
            "", "1a", "Shop", "a.b", "a b", "a;--", "a\"", "a'", "ä", "a\0", "{prefix}", &long,
        ] {
            let error = TablePrefix::parse(bad).expect_err(bad).to_string();
            assert!(error.starts_with("table prefix = "), "{error}");
        }
    }

    #[test]
    fn the_default_is_a_prefix() {
        let default = TablePrefix::default();
        assert_eq!(TablePrefix::parse(default.as_str()), Ok(default));
    }
}
