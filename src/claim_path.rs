//! Where a claim stands: the names of the members that lead to it.

use std::fmt;

use serde_json::{Map, Value};

use crate::error::ConfigError;
use crate::settings::CLAIM_PATH;

/// The path to a claim: names of members, each within the one before.
///
/// As text the names are separated by dots: `email`, `realm_access.roles`, `cognito:groups`. A name that holds dots,
/// slashes or blanks is written in brackets and quotation marks, single or double, as in JSONPath
/// ([RFC 9535 §2.3.1](https://www.rfc-editor.org/rfc/rfc9535#section-2.3.1)):
/// `['https://example.com/roles']`, `resource_access["my.client"].roles`. A quotation mark or backslash within is
/// written with a backslash before it.
///
/// ```
/// use tower_oidc::ClaimPath;
///
/// # fn main() -> Result<(), tower_oidc::ConfigError> {
/// let roles = ClaimPath::parse("['https://example.com/roles']")?;
/// assert_eq!(roles, ClaimPath::named("https://example.com/roles"));
/// // A bare address would be taken apart at its dots, so it is an error.
/// assert!(ClaimPath::parse("https://example.com/roles").is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPath(Box<[Box<str>]>);

/// What stands at a path.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Found<'a> {
    Value(&'a Value),
    /// So many names lead to a member, and the next to none.
    Nothing(usize),
    /// So many names lead to a value that has no members.
    NoObject(usize, &'a Value),
}

impl ClaimPath {
    /// The path that this text is.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] if it is no path, or holds a bare name with a slash, which the path would not lead
    /// to.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let refuse = |problem| {
            let quoted = Self::named(text);
            Err(ConfigError::invalid(
                CLAIM_PATH,
                text,
                problem,
                format!(
                    "separate names by dots, such as realm_access.roles; if all of it is one name, write {quoted}"
                ),
            ))
        };
        let mut names = Vec::new();
        let mut rest = text;
        loop {
            let (name, after) = if begins_quoted(rest) {
                let Some(unquoted) = unquoted(rest) else {
                    return refuse("a bracket or its quotation mark is not closed");
                };
                unquoted
            } else {
                let end = rest.find(['.', '[']).unwrap_or(rest.len());
                let (name, after) = rest.split_at(end);
                if name.is_empty() {
                    return refuse("it holds an empty name");
                }
                if !name.chars().all(is_bare) {
                    return refuse("it holds a name with characters that only brackets can hold");
                }
                (name.to_owned(), after)
            };
            names.push(name.into_boxed_str());
            rest = match after.strip_prefix('.') {
                Some(after) if !after.starts_with('[') => after,
                None if after.is_empty() => return Ok(Self(names.into())),
                None if begins_quoted(after) => after,
                _ => return refuse("a name is not followed by a dot or a bracket"),
            };
        }
    }

    /// The path to the claim with exactly this name, whatever characters it holds.
    pub fn named(name: impl Into<String>) -> Self {
        Self([name.into().into_boxed_str()].into())
    }

    pub(crate) fn first(&self) -> &str {
        self.0.first().map_or("", |name| name)
    }

    pub(crate) fn is_one_name(&self) -> bool {
        self.0.len() == 1
    }

    /// The path that its first names are.
    pub(crate) fn beginning(&self, names: usize) -> Self {
        Self(self.0.iter().take(names).cloned().collect())
    }

    pub(crate) fn find<'a>(&self, claims: &'a Map<String, Value>) -> Found<'a> {
        let mut members = claims;
        let mut found: Option<&'a Value> = None;
        for (at, name) in self.0.iter().enumerate() {
            if let Some(value) = found {
                match value {
                    Value::Object(inner) => members = inner,
                    _ => return Found::NoObject(at, value),
                }
            }
            match members.get(&**name) {
                Some(value) => found = Some(value),
                None => return Found::Nothing(at),
            }
        }
        found.map_or(Found::Nothing(0), Found::Value)
    }

    /// The value that stands there.
    #[allow(
        dead_code,
        reason = "which rooms read claims differs with the features"
    )]
    pub(crate) fn value<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        match self.find(claims) {
            Found::Value(value) => Some(value),
            Found::Nothing(_) | Found::NoObject(..) => None,
        }
    }

    /// The path that was probably meant where this one leads to nothing: with a name that holds the dots at which
    /// this one was taken apart.
    pub(crate) fn meant(&self, claims: &Map<String, Value>) -> Option<Self> {
        let mut members = claims;
        for at in 0..self.0.len() {
            for end in (at + 2..=self.0.len()).rev() {
                let joined = self.0[at..end].join(".");
                if members.contains_key(&joined) {
                    let joined = [joined.into_boxed_str()];
                    let names = self.0[..at].iter().cloned().chain(joined);
                    return Some(Self(names.chain(self.0[end..].iter().cloned()).collect()));
                }
            }
            members = members.get(&*self.0[at])?.as_object()?;
        }
        None
    }
}

/// Whether a name may hold this outside of brackets.
fn is_bare(character: char) -> bool {
    !character.is_whitespace()
        && !character.is_control()
        && !matches!(character, '.' | '[' | ']' | '/' | '\\' | '\'' | '"')
}

fn begins_quoted(text: &str) -> bool {
    text.starts_with("['") || text.starts_with("[\"")
}

/// The name in the brackets at the beginning, and what follows them.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('[')?.chars();
    let mark = rest.next().filter(|mark| matches!(mark, '\'' | '"'))?;
    let mut name = String::new();
    loop {
        match rest.next()? {
            end if end == mark => return Some((name, rest.as_str().strip_prefix(']')?)),
            '\\' => match rest.next()? {
                escaped @ ('\'' | '"' | '\\') => name.push(escaped),
                _ => return None,
            },
            other => name.push(other),
        }
    }
}

impl TryFrom<&str> for ClaimPath {
    type Error = ConfigError;

    fn try_from(text: &str) -> Result<Self, ConfigError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for ClaimPath {
    type Error = ConfigError;

    fn try_from(text: String) -> Result<Self, ConfigError> {
        Self::parse(&text)
    }
}

/// As [`parse`](ClaimPath::parse) reads it.
impl fmt::Display for ClaimPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in self.0.iter().enumerate() {
            if !name.is_empty() && name.chars().all(is_bare) {
                let dot = if at > 0 { "." } else { "" };
                write!(formatter, "{dot}{name}")?;
            } else {
                let escaped = name.replace('\\', "\\\\").replace('\'', "\\'");
                write!(formatter, "['{escaped}']")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(path: &ClaimPath) -> Vec<&str> {
        path.0.iter().map(|name| &**name).collect()
    }

    // D25
    #[test]
    fn a_path_is_names_with_dots_between_or_in_brackets() {
        for (text, expected) in [
            ("tier", &["tier"][..]),
            ("realm_access.roles", &["realm_access", "roles"]),
            ("cognito:groups", &["cognito:groups"]),
            ("a-b.c@d.$e", &["a-b", "c@d", "$e"]),
            (
                "['https://example.com/roles']",
                &["https://example.com/roles"],
            ),
            (
                "resource_access['my.client'].roles",
                &["resource_access", "my.client", "roles"],
            ),
            ("['a']['b.c']", &["a", "b.c"]),
            (r"['it\'s a \\']", &[r"it's a \"]),
            ("['']", &[""]),
            (
                r#"["https://example.com/roles"]"#,
                &["https://example.com/roles"],
            ),
            (r#"a["b.c"].d["e"]['f']"#, &["a", "b.c", "d", "e", "f"]),
            (r#"["say \"so\" it's"]"#, &[r#"say "so" it's"#]),
            ("['a b']", &["a b"]),
            ("größe", &["größe"]),
        ] {
            let path = ClaimPath::parse(text).unwrap();
            assert_eq!(names(&path), expected, "{text}");
            assert_eq!(ClaimPath::parse(&path.to_string()).unwrap(), path);
        }
        for bad in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "a b",
            "https://example.com/roles",
            "a/b",
            "\"a\"",
            "['a",
            "['a'",
            "['a]",
            "['a']b",
            "['a'].['b']",
            "a[0]",
            "a['b'",
            r"['\n']",
            "a.[\"b\"]",
            "[]",
            "[a]",
            "[\"a\"",
            "[\"a]",
            "['a\"]",
            "[\"a\"]b",
            "a]",
            "a\"b",
            "[ \"a\" ]",
            "[7]",
        ] {
            let error = ClaimPath::parse(bad).unwrap_err();
            assert_eq!(error.setting(), "claim path", "{bad}");
        }
        let error = ClaimPath::parse("https://example.com/roles").unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("write ['https://example.com/roles']"),
            "{text}"
        );
    }

    // D22, D25
    #[test]
    fn a_claim_is_found_by_its_whole_path() {
        let claims: Map<String, Value> = serde_json::from_str(
            r#"{"realm_access":{"roles":["a"]},"realm_access.roles":"flat","https://example.com/roles":[7],
                "text":"x","list":[{"name":"y"}]}"#,
        )
        .unwrap();
        for (path, found) in [
            ("realm_access.roles", Some(r#"["a"]"#)),
            (r#"["realm_access.roles"]"#, Some(r#""flat""#)),
            ("['https://example.com/roles']", Some("[7]")),
            ("text.length", None),
            ("list.name", None),
            ("list.0", None),
            ("none", None),
            ("realm_access.none", None),
        ] {
            let path = ClaimPath::parse(path).unwrap();
            let value = path.value(&claims).map(Value::to_string);
            assert_eq!(value.as_deref(), found, "{path}");
        }
    }

    // D25
    #[test]
    fn a_name_that_was_taken_apart_is_recognised() {
        let claims: Map<String, Value> = serde_json::from_str(
            r#"{"kubernetes.io":{"namespace":"a"},"resource_access":{"my.client":{"roles":[]}},"a":{"b":1}}"#,
        )
        .unwrap();
        for (text, meant) in [
            ("kubernetes.io", Some("['kubernetes.io']")),
            (
                "kubernetes.io.namespace",
                Some("['kubernetes.io'].namespace"),
            ),
            (
                "resource_access.my.client.roles",
                Some("resource_access['my.client'].roles"),
            ),
            ("a.c", None),
            ("b", None),
            ("a.b.c", None),
        ] {
            let path = ClaimPath::parse(text).unwrap();
            assert!(!matches!(path.find(&claims), Found::Value(_)), "{text}");
            let told = path.meant(&claims).map(|path| path.to_string());
            assert_eq!(told.as_deref(), meant, "{text}");
        }
    }

    proptest! {
        // D25
        #[test]
        fn what_a_path_shows_is_read_as_the_same_path(names in prop::collection::vec(".{0,8}", 1..4)) {
            let path = ClaimPath(names.into_iter().map(String::into_boxed_str).collect());
            prop_assert_eq!(ClaimPath::parse(&path.to_string()).unwrap(), path);
        }

        // D25
        #[test]
        fn no_text_makes_a_path_panic(text in "\\PC{0,24}|[a-z.'\"\\[\\]\\\\/ é]{0,16}") {
            if let Ok(path) = ClaimPath::parse(&text) {
                prop_assert_eq!(ClaimPath::parse(&path.to_string()).unwrap(), path);
            }
        }
    }
}
