//! Where a browser goes after signing in or out: somewhere on this site, and nowhere else.

use std::fmt;

use url::Url;

/// A path on this site, with its query.
///
/// A party that chooses where a sign-in ends could send people to a page that looks like the next step
/// ([RFC 9700 §4.11.1](https://www.rfc-editor.org/rfc/rfc9700#section-4.11.1)). So only plain local
/// paths are taken; the [default](Self::default) is `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnPath(String);

/// Longer ones are refused, in bytes.
const LONGEST: usize = 2 * 1024;

/// So often a value is decoded when looking for what it hides.
const LAYERS: usize = 3;

impl ReturnPath {
    /// The path that this text is, `None` if it could lead anywhere else: if it does not begin with
    /// exactly one slash or holds a backslash or control character, plain or encoded; if it is not
    /// plain ASCII without blanks; or if it is longer than 2 KiB.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > LONGEST || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let mut seen = text.as_bytes().to_vec();
        for _ in 0..=LAYERS {
            if !is_local(&seen) {
                return None;
            }
            let decoded = percent_decoded(&seen);
            if decoded == seen {
                return stays_here(text).then(|| Self(text.to_owned()));
            }
            seen = decoded;
        }
        // Whatever is wrapped so often has something to hide.
        None
    }

    /// The same for a text that may be too long: then its path alone, if that can be kept.
    pub(crate) fn parse_or_path(text: &str) -> Option<Self> {
        if text.len() <= LONGEST {
            return Self::parse(text);
        }
        Self::parse(text.split(['?', '#']).next()?)
    }

    /// A shorter path for where this one does not fit: without its query, then the root.
    pub(crate) fn shortened(&self) -> Option<Self> {
        match (self.path(), self.as_str()) {
            (_, "/") => None,
            (path, whole) if path.len() < whole.len() => Some(Self(path.to_owned())),
            _ => Some(Self::default()),
        }
    }

    /// The path, fit for a `Location` field.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path without its query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.0.split(['?', '#']).next().unwrap_or_default()
    }
}

impl Default for ReturnPath {
    fn default() -> Self {
        Self("/".to_owned())
    }
}

impl fmt::Display for ReturnPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn is_local(text: &[u8]) -> bool {
    let has_one_slash = text.first() == Some(&b'/') && text.get(1) != Some(&b'/');
    has_one_slash
        && !text
            .iter()
            .any(|byte| byte.is_ascii_control() || *byte == b'\\')
}

/// What a browser makes of it, asked of a URL parser of the same school.
fn stays_here(text: &str) -> bool {
    const HERE: &str = "https://here.invalid/";
    Url::parse(HERE)
        .and_then(|here| here.join(text))
        .is_ok_and(|url| url.scheme() == "https" && url.host_str() == Some("here.invalid"))
}

fn percent_decoded(text: &[u8]) -> Vec<u8> {
    percent_encoding::percent_decode(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // LG-10
    #[test]
    fn local_paths_are_kept_as_they_are() {
        for good in [
            "/",
            "/a",
            "/a/b?c=d&e=%20f#g",
            "/a//b",
            "/a?next=https://id.example/",
            "/%C3%A9",
            "/a:b@c",
            "/.well-known/x",
            "/a%25b",
            "/?",
            "/a;b=c",
            "/a?q=%2F%2Fid.example",
        ] {
            let kept = ReturnPath::parse(good).unwrap_or_else(|| panic!("{good}"));
            assert_eq!(kept.as_str(), good);
        }
        assert_eq!(ReturnPath::default().as_str(), "/");
        assert_eq!(ReturnPath::parse("/a/b?c#d").unwrap().path(), "/a/b");
    }

    // LG-10, LG-11
    #[test]
    fn the_forms_of_open_redirect_are_refused() {
        for bad in [
            "",
            " ",
            "a",
            "?a",
            "#a",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "\\/evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "\t//evil.example",
            " //evil.example",
            "/ /evil.example",
            "/%2f/evil.example",
            "/%2Fevil.example",
            "/%5cevil.example",
            "/%5C%5Cevil.example",
            "/%09/evil.example",
            "/%0d%0aset-cookie:a=b",
            "/%00",
            "/%252fevil.example",
            "/%25252fevil.example",
            "/%2525255cevil.example",
            "https://evil.example",
            "HTTPS:evil.example",
            "http:/evil.example",
            "javascript:alert(1)",
            "data:text/html,x",
            "/é",
            "/\u{2028}",
            "/a\r\nb",
            "/a\0b",
            "evil.example/",
            ".//evil.example",
            "@evil.example",
            "/\u{ff0f}evil.example",
        ] {
            assert_eq!(ReturnPath::parse(bad), None, "{bad:?}");
        }
        assert!(ReturnPath::parse(&format!("/{}", "a".repeat(LONGEST))).is_none());
    }

    // LG-10
    #[test]
    fn a_path_that_is_too_long_gives_way_to_its_beginning() {
        let query = "q".repeat(LONGEST);
        let kept = |text: &str| ReturnPath::parse_or_path(text).map(|path| path.0);
        assert_eq!(kept(&format!("/a/b?{query}")), Some("/a/b".to_owned()));
        assert_eq!(kept(&format!("/a#{query}")), Some("/a".to_owned()));
        assert_eq!(kept(&format!("/{query}")), None);
        assert_eq!(kept(&format!("//evil.example?{query}")), None);
        // What is refused for what it says is not mended by cutting it.
        assert_eq!(kept("/a?\\"), None);
        let shorter = |text: &str| {
            let path = ReturnPath::parse(text).unwrap();
            path.shortened().map(|path| path.0)
        };
        assert_eq!(shorter("/a?b"), Some("/a".to_owned()));
        assert_eq!(shorter("/a"), Some("/".to_owned()));
        assert_eq!(shorter("/?b"), Some("/".to_owned()));
        assert_eq!(shorter("/"), None);
    }

    proptest! {
        // LG-10
        #[test]
        fn an_accepted_return_path_stays_on_this_site(text in "[/\\\\%2fF5cC0-9a-z.:@?#\\t ]{0,40}") {
            if let Some(path) = ReturnPath::parse(&text) {
                let url = Url::parse("https://app.example/x").unwrap().join(path.as_str()).unwrap();
                prop_assert_eq!(url.origin().ascii_serialization(), "https://app.example");
            }
        }
    }
}
