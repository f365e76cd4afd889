//! Where a claim stands among the claims of a token, and which value it must have.

use std::fmt;

use serde_json::Value;

use crate::error::ConfigError;
use crate::settings::CLAIM_PATH;

/// The names that lead to a claim, such as `roles` or `realm_access.roles`.
///
/// Written as text, the names are separated by dots. A name that itself holds dots, brackets or quotation marks is
/// written in brackets and quotation marks, as JSON text: `["https://example.com/roles"]`,
/// `resource_access["my.client"].roles`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPath(Box<[Box<str>]>);

/// A value that a claim must have: text, a whole number or a truth value. An array has it if one of its items is it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimValue(Expected);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Expected {
    Text(Box<str>),
    Number(i64),
    Truth(bool),
}

/// Beyond it a number with a fraction part is not exact.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl ClaimPath {
    /// The path that this text is.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] if it is empty or has an empty name, if a bracket or quotation mark is not closed, or
    /// if it has dots and slashes outside of brackets: then it may be one name or several.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let refuse = |problem| {
            ConfigError::invalid(
                CLAIM_PATH,
                text,
                problem,
                "write names separated by dots, such as realm_access.roles, and a name with dots in brackets \
                 and quotation marks, such as [\"https://example.com/roles\"]",
            )
        };
        let mut names = Vec::new();
        let mut rest = text;
        loop {
            let (name, after) = if rest.starts_with('[') {
                bracketed(rest).ok_or_else(|| refuse("a bracket is not that of a quoted name"))?
            } else {
                let (name, after) = rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len()));
                if name.contains([']', '"']) {
                    return Err(refuse("it has a bracket or quotation mark within a name"));
                }
                if name.contains('/') && text.contains('.') {
                    return Err(ConfigError::invalid(
                        CLAIM_PATH,
                        text,
                        "it has dots and slashes, so that it may be one name or several",
                        format!("if it is one name, write {}", Self([text.into()].into())),
                    ));
                }
                (name.to_owned(), after)
            };
            if name.is_empty() {
                return Err(refuse("it is empty, or has an empty name"));
            }
            names.push(name.into());
            rest = match after.strip_prefix('.') {
                // A bracket stands without a dot before it.
                Some(after) if after.starts_with('[') => {
                    return Err(refuse("it has an empty name"));
                }
                Some(after) => after,
                None if after.is_empty() => return Ok(Self(names.into())),
                None if after.starts_with('[') => after,
                None => return Err(refuse("a name begins without a dot")),
            };
        }
    }

    /// The claim with exactly this name, whatever characters it has.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] if the name is empty.
    pub fn named(name: &str) -> Result<Self, ConfigError> {
        if name.is_empty() {
            return Err(ConfigError::invalid(
                CLAIM_PATH,
                name,
                "it is empty",
                "write the name of a claim, such as roles",
            ));
        }
        Ok(Self([name.into()].into()))
    }

    /// The claim, if it is there.
    #[allow(
        dead_code,
        reason = "which rooms read claims differs with the features"
    )]
    pub(crate) fn find<'a>(&self, claims: &'a Value) -> Option<&'a Value> {
        self.0
            .iter()
            .try_fold(claims, |value, name| value.as_object()?.get(&**name))
    }
}

/// The name in the brackets at the beginning, and what comes after them.
fn bracketed(text: &str) -> Option<(String, &str)> {
    let quoted = text.strip_prefix('[')?;
    let mut names = serde_json::Deserializer::from_str(quoted).into_iter::<String>();
    let name = names.next()?.ok()?;
    let after = &quoted[names.byte_offset()..];
    Some((name, after.strip_prefix(']')?))
}

impl ClaimValue {
    /// Whether a claim is this value, or an array with it. Text is compared whole and case-sensitively.
    #[allow(
        dead_code,
        reason = "which rooms read claims differs with the features"
    )]
    pub(crate) fn is_in(&self, claim: &Value) -> bool {
        match claim {
            Value::Array(items) => items.iter().any(|item| self.is(item)),
            value => self.is(value),
        }
    }

    fn is(&self, value: &Value) -> bool {
        match (&self.0, value) {
            (Expected::Text(text), Value::String(found)) => **text == **found,
            (Expected::Truth(truth), Value::Bool(found)) => truth == found,
            (Expected::Number(number), Value::Number(found)) => match found.as_i64() {
                Some(found) => *number == found,
                // 7.0 is 7.
                None => found.as_f64().is_some_and(|found| {
                    #[expect(
                        clippy::cast_possible_truncation,
                        reason = "the number has no fraction part and is exact"
                    )]
                    let whole = found as i64;
                    found.fract() == 0.0 && found.abs() < EXACT && *number == whole
                }),
            },
            _ => false,
        }
    }
}

impl From<&str> for ClaimValue {
    fn from(text: &str) -> Self {
        Self(Expected::Text(text.into()))
    }
}

impl From<String> for ClaimValue {
    fn from(text: String) -> Self {
        Self(Expected::Text(text.into()))
    }
}

impl From<i64> for ClaimValue {
    fn from(number: i64) -> Self {
        Self(Expected::Number(number))
    }
}

impl From<i32> for ClaimValue {
    fn from(number: i32) -> Self {
        Self(Expected::Number(number.into()))
    }
}

impl From<u32> for ClaimValue {
    fn from(number: u32) -> Self {
        Self(Expected::Number(number.into()))
    }
}

impl From<bool> for ClaimValue {
    fn from(truth: bool) -> Self {
        Self(Expected::Truth(truth))
    }
}

/// As it is parsed.
impl fmt::Display for ClaimPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain = |name: &str| !name.contains(['.', '/', '[', ']', '"']);
        for (at, name) in self.0.iter().enumerate() {
            if !is_plain(name) {
                write!(formatter, "[{}]", Value::from(&**name))?;
            } else if at == 0 {
                formatter.write_str(name)?;
            } else {
                write!(formatter, ".{name}")?;
            }
        }
        Ok(())
    }
}

/// As JSON.
impl fmt::Display for ClaimValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Expected::Text(text) => write!(formatter, "{}", Value::from(&**text)),
            Expected::Number(number) => write!(formatter, "{number}"),
            Expected::Truth(truth) => write!(formatter, "{truth}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_path_is_read_from_names_dots_and_brackets() {
        for (text, names) in [
            ("roles", &["roles"][..]),
            ("realm_access.roles", &["realm_access", "roles"]),
            ("cognito:groups", &["cognito:groups"]),
            ("example/roles", &["example/roles"]),
            (
                r#"["https://example.com/roles"]"#,
                &["https://example.com/roles"],
            ),
            (r#"a["b.c"].d["e"]["f"]"#, &["a", "b.c", "d", "e", "f"]),
            (r#"["say \"so\"]\u00e9"]"#, &["say \"so\"]é"]),
            ("a b", &["a b"]),
        ] {
            let path = ClaimPath::parse(text).unwrap();
            let found: Vec<_> = path.0.iter().map(|name| &**name).collect();
            assert_eq!(found, names, "{text}");
        }
        for bad in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "a.[\"b\"]",
            "[]",
            "[a]",
            "[\"\"]",
            "[\"a\"",
            "[\"a]",
            "[\"a\"]b",
            "a]",
            "a\"b",
            "[ \"a\" ]",
            "[7]",
        ] {
            let told = ClaimPath::parse(bad).unwrap_err().to_string();
            assert!(told.contains("names separated by dots"), "{bad}: {told}");
        }
        let told = ClaimPath::parse("https://example.com/roles").unwrap_err();
        let remedy = r#"write ["https://example.com/roles"]"#;
        assert!(told.to_string().contains(remedy), "{told}");
        assert!(ClaimPath::named("").is_err());
    }

    #[test]
    fn a_claim_is_found_by_its_whole_path() {
        let claims = json!({
            "realm_access": {"roles": ["a"]}, "realm_access.roles": "flat",
            "https://example.com/roles": [7], "text": "x", "list": [{"name": "y"}]
        });
        for (path, found) in [
            ("realm_access.roles", Some(json!(["a"]))),
            (r#"["realm_access.roles"]"#, Some(json!("flat"))),
            (r#"["https://example.com/roles"]"#, Some(json!([7]))),
            ("text.length", None),
            ("list.name", None),
            ("list.0", None),
            ("none", None),
            ("realm_access.none", None),
        ] {
            let path = ClaimPath::parse(path).unwrap();
            assert_eq!(path.find(&claims), found.as_ref(), "{path}");
        }
        assert_eq!(ClaimPath::parse("a").unwrap().find(&json!(["a"])), None);
    }

    #[test]
    fn a_value_is_compared_by_type_and_an_array_by_its_items() {
        let is_in = |value: ClaimValue, claim: Value| value.is_in(&claim);
        for (is_met, expected) in [
            (is_in("a".into(), json!("a")), true),
            (is_in("a".into(), json!(["b", "a"])), true),
            (is_in("a".into(), json!("A")), false),
            (is_in("a".into(), json!("a b")), false),
            (is_in("a".into(), json!([["a"]])), false),
            (is_in("a".into(), json!({"a": true})), false),
            (is_in("7".into(), json!(7)), false),
            (is_in("true".into(), json!(true)), false),
            (is_in("a".into(), json!(null)), false),
            (is_in(7.into(), json!(7)), true),
            (is_in(7.into(), json!(7.0)), true),
            (is_in(7.into(), json!([6, 7])), true),
            (is_in(7.into(), json!(7.5)), false),
            (is_in(7.into(), json!("7")), false),
            (is_in((-7).into(), json!(-7)), true),
            (is_in(i64::MAX.into(), json!(u64::MAX)), false),
            (is_in(i64::MAX.into(), json!(9.3e18)), false),
            (is_in(i64::MAX.into(), json!(1e300)), false),
            (is_in(true.into(), json!(true)), true),
            (is_in(true.into(), json!([false, true])), true),
            (is_in(true.into(), json!(1)), false),
        ] {
            assert_eq!(is_met, expected);
        }
    }

    proptest! {
        #[test]
        fn a_path_is_shown_as_it_is_parsed(names in prop::collection::vec("\\PC{1,8}|[a-z./\\[\\]\"]{1,6}", 1..4)) {
            let path = ClaimPath(names.into_iter().map(Into::into).collect());
            prop_assert_eq!(ClaimPath::parse(&path.to_string()).unwrap(), path);
        }

        #[test]
        fn no_text_breaks_the_reader(text in "\\PC{0,24}|[a-z./\\[\\]\"]{0,12}") {
            if let Ok(path) = ClaimPath::parse(&text) {
                prop_assert_eq!(ClaimPath::parse(&path.to_string()).unwrap(), path);
            }
        }
    }
}
