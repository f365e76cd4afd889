//! Where a browser goes after signing in or out: somewhere on this site, and nowhere else.

use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use url::{Url, form_urlencoded};

/// A path on this site, with its query.
///
/// A party that chooses where a sign-in ends could send people to a page that looks like the next step
/// ([RFC 9700 §4.11.1](https://www.rfc-editor.org/rfc/rfc9700#section-4.11.1)). So only plain local
/// paths are taken; the [default](Self::default) is `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnPath(String);

/// Of longer ones the path alone is kept, in bytes.
const LONGEST: usize = 2 * 1024;

/// So often a path is decoded when looking for what it hides.
const LAYERS: usize = 3;

/// What a `Location` field cannot hold. Characters that are not ASCII are encoded anyway.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ');

impl ReturnPath {
    /// The path that this text is, `None` if it could lead anywhere else: if its path does not begin with
    /// exactly one slash, or holds a dot segment, a backslash or a control character, plain or
    /// percent-encoded.
    ///
    /// Query and fragment cannot lead to another site and are kept as they are. Blanks and characters that
    /// are not ASCII are percent-encoded, and so are control characters of the query. If all of it is longer
    /// than 2 KiB, the path alone is kept, and nothing if that is longer too.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (path, rest) = text.split_at(text.find(['?', '#']).unwrap_or(text.len()));
        // Encoding makes nothing shorter.
        if path.len() > LONGEST || !is_local(path.as_bytes()) {
            return None;
        }
        let path = encoded(path);
        let rest = Some(rest).filter(|rest| path.len() + rest.len() <= LONGEST);
        let whole = rest.map(|rest| path.clone() + &encoded(rest));
        let kept = match whole {
            Some(whole) if whole.len() <= LONGEST => whole,
            _ if path.len() <= LONGEST => path,
            _ => return None,
        };
        stays_here(&kept).then_some(Self(kept))
    }

    /// The path in the parameter `return_to` of a query, `/` if there is none that can be used. For a page of the
    /// application that lets people choose how to sign in.
    #[must_use]
    pub fn of_query(query: &str) -> Self {
        let mut values =
            form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "return_to");
        match (values.next(), values.next()) {
            (Some((_, text)), None) => Self::parse(&text).unwrap_or_default(),
            _ => Self::default(),
        }
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

/// Whether a path leads nowhere else, whatever it is decoded to on its way.
fn is_local(path: &[u8]) -> bool {
    let mut seen = path.to_vec();
    for _ in 0..=LAYERS {
        if !is_plain(&seen) {
            return false;
        }
        let decoded: Vec<u8> = percent_encoding::percent_decode(&seen).collect();
        if decoded == seen {
            return true;
        }
        seen = decoded;
    }
    // A path that is encoded more often than that hides something.
    false
}

fn is_plain(path: &[u8]) -> bool {
    let has_one_slash = path.first() == Some(&b'/') && path.get(1) != Some(&b'/');
    let has_dots = path
        .split(|byte| *byte == b'/')
        .any(|segment| matches!(segment, b"." | b".."));
    has_one_slash
        && !has_dots
        && !path
            .iter()
            .any(|byte| byte.is_ascii_control() || *byte == b'\\')
}

/// Whether a URL parser as browsers have one stays on this site, and on a path with one slash at its beginning.
fn stays_here(text: &str) -> bool {
    const HERE: &str = "https://here.invalid/";
    Url::parse(HERE)
        .and_then(|here| here.join(text))
        .is_ok_and(|url| {
            url.scheme() == "https"
                && url.host_str() == Some("here.invalid")
                && !url.path().starts_with("//")
        })
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
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
            "/search?q=one%0Atwo%09three",
            "/search?q=C%3A%5Ctemp",
            "/search?q=C:\\temp",
            "/search?q=%2525252525",
            "/search?q=/../..//",
            "/a#/../b%0A",
            "/a/...",
            "/a/..b/.c",
            "/a/b.",
        ] {
            let kept = ReturnPath::parse(good).unwrap_or_else(|| panic!("{good}"));
            assert_eq!(kept.as_str(), good);
        }
        assert_eq!(ReturnPath::default().as_str(), "/");
        assert_eq!(ReturnPath::parse("/a/b?c#d").unwrap().path(), "/a/b");
    }

    // LG-10
    #[test]
    fn what_no_field_can_hold_is_encoded() {
        for (text, expected) in [
            // `return_to=/search?q=a%20b`, decoded as a form.
            ("/search?q=a b", "/search?q=a%20b"),
            ("/my file", "/my%20file"),
            ("/café", "/caf%C3%A9"),
            ("/a?q=café#é", "/a?q=caf%C3%A9#%C3%A9"),
            ("/a?q=one\r\ntwo\t", "/a?q=one%0D%0Atwo%09"),
            ("/\u{2028}", "/%E2%80%A8"),
            // A slash of full width is no slash.
            ("/\u{ff0f}evil.example", "/%EF%BC%8Fevil.example"),
        ] {
            let kept = ReturnPath::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(kept.as_str(), expected);
            assert_eq!(ReturnPath::parse(expected).as_ref(), Some(&kept));
            assert!(http::HeaderValue::try_from(kept.as_str()).is_ok());
        }
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
            "/..//evil.example",
            "/.//evil.example",
            "/%2e//evil.example",
            "/%2E%2e//evil.example",
            "/.%2e//evil.example",
            "/%252e//evil.example",
            "/a/..//evil.example",
            "/a/../..//evil.example",
            "/a/../b",
            "/a/.",
            "/a/..",
            "/.",
            "/..?a",
            "/a%2f..%2f",
            "/oauth/./openid",
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
            "/a\r\nb",
            "/a\0b",
            "evil.example/",
            ".//evil.example",
            "@evil.example",
            "/%09?a",
            "/a\\b?c",
        ] {
            assert_eq!(ReturnPath::parse(bad), None, "{bad:?}");
        }
        assert!(ReturnPath::parse(&format!("/{}", "a".repeat(LONGEST))).is_none());
    }

    // LG-10
    #[test]
    fn a_path_that_is_too_long_gives_way_to_its_beginning() {
        let query = "q".repeat(LONGEST);
        let kept = |text: &str| ReturnPath::parse(text).map(|path| path.0);
        assert_eq!(kept(&format!("/a/b?{query}")), Some("/a/b".to_owned()));
        assert_eq!(kept(&format!("/a#{query}")), Some("/a".to_owned()));
        assert_eq!(kept(&format!("/{query}")), None);
        assert_eq!(kept(&format!("//evil.example?{query}")), None);
        // Each of these characters takes six bytes.
        let query = "é".repeat(LONGEST / 4);
        assert_eq!(kept(&format!("/a?{query}")), Some("/a".to_owned()));
        assert_eq!(kept(&format!("/{query}")), None);
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
        fn an_accepted_return_path_stays_on_this_site(text in "[/\\\\%2feEF5cC0-9a-zé.:@?#\\t\\n ]{0,40}") {
            if let Some(path) = ReturnPath::parse(&text) {
                let url = Url::parse("https://app.example/x").unwrap().join(path.as_str()).unwrap();
                prop_assert_eq!(url.origin().ascii_serialization(), "https://app.example");
                prop_assert!(!url.path().starts_with("//"), "{}", url);
                // A redirect to the path that the browser asks for next stays here too.
                prop_assert!(Url::parse("https://app.example").unwrap().join(url.path()).unwrap().host_str() == Some("app.example"));
            }
        }
    }
}
