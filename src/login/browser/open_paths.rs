//! Paths that are open to everyone: static files, probes. The layer lets requests for them through as if it were
//! not there.

use http::Method;
use http::request::Parts;

use crate::error::ConfigError;
use crate::settings::OPEN_PATH;

/// The open paths of one site. None by default.
#[derive(Debug, Clone, Default)]
pub(crate) struct OpenPaths(Vec<OpenPath>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum OpenPath {
    /// This path alone.
    Exact(String),
    /// All paths that begin like this. It ends in a slash.
    Below(String),
}

impl OpenPaths {
    /// # Errors
    /// [`ConfigError`] naming a path that cannot be used.
    pub(crate) fn new<'a>(paths: impl IntoIterator<Item = &'a str>) -> Result<Self, ConfigError> {
        paths
            .into_iter()
            .map(parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether a request is for an open path. GET and HEAD alone are: other methods change something.
    pub(crate) fn contains(&self, head: &Parts) -> bool {
        !self.0.is_empty()
            && matches!(head.method, Method::GET | Method::HEAD)
            && self.contains_path(head.uri.path())
    }

    /// The path is compared as the router sees it, without decoding.
    pub(crate) fn contains_path(&self, path: &str) -> bool {
        let is_open = self.0.iter().any(|open| match open {
            OpenPath::Exact(exact) => path == exact,
            OpenPath::Below(beginning) => path.starts_with(beginning.as_str()),
        });
        is_open && !is_ambiguous(path)
    }
}

fn parse(text: &str) -> Result<OpenPath, ConfigError> {
    let refuse = |problem, remedy| Err(ConfigError::invalid(OPEN_PATH, text, problem, remedy));
    if !text.starts_with('/') {
        return refuse(
            "it does not begin with a slash",
            "write it from the root, such as /healthz",
        );
    }
    if text == "/" {
        return refuse(
            "it would open the whole site",
            "list what is open, such as /healthz or /assets/; to open every page, allow anonymous requests",
        );
    }
    if text.contains('*') {
        return refuse(
            "patterns are not supported",
            "end it with a slash to open everything below it, such as /assets/",
        );
    }
    if text.contains(['?', '#']) {
        return refuse(
            "it has a query or fragment",
            "write the path alone: a query changes nothing about whether it is open",
        );
    }
    if is_ambiguous(text) {
        return refuse(
            "it holds dot segments, two slashes, a backslash, or one of them percent-encoded",
            "write the path as requests for it look, without detours",
        );
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return refuse(
            "it holds blanks or characters that are not ASCII",
            "percent-encode them, as requests do",
        );
    }
    Ok(if text.ends_with('/') {
        OpenPath::Below(text.to_owned())
    } else {
        OpenPath::Exact(text.to_owned())
    })
}

/// Whether a router or a file server behind might take the path for another one: it holds a dot segment, an
/// empty segment or a backslash, plain or percent-encoded, however often.
fn is_ambiguous(path: &str) -> bool {
    let bytes = path.as_bytes();
    let has_plain = bytes.contains(&b'\\')
        || path.contains("//")
        || path
            .split('/')
            // Some servers take what follows a semicolon for a parameter of the segment.
            .map(|segment| segment.split(';').next().unwrap_or_default())
            .any(|segment| matches!(segment, "." | ".."));
    has_plain || hides_something(bytes)
}

/// The codes of a dot, a slash, a backslash and NUL.
const DANGEROUS: [&[u8; 2]; 4] = [b"2e", b"2f", b"5c", b"00"];

/// Whether a percent sign, itself encoded or not, stands before the code of a dot, slash, backslash or NUL, or
/// before no code at all.
fn hides_something(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        rest = &rest[at + 1..];
        // %25 is a percent sign: %252e becomes %2e, and that a dot.
        let mut code = rest;
        while let Some(inner) = code.strip_prefix(b"25") {
            code = inner;
        }
        match code {
            [high, low, ..] => {
                let code = [high.to_ascii_lowercase(), low.to_ascii_lowercase()];
                if DANGEROUS.contains(&&code) {
                    return true;
                }
            }
            // %25 at the end is a percent sign in a name.
            _ if rest.starts_with(b"25") => {}
            _ => return true,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn open(paths: &[&str]) -> OpenPaths {
        OpenPaths::new(paths.iter().copied()).unwrap()
    }

    // SC-17
    #[test]
    fn exact_paths_and_what_lies_below_a_prefix() {
        let paths = open(&["/healthz", "/assets/", "/favicon.ico", "/a%20b/"]);
        for path in [
            "/healthz",
            "/assets/",
            "/assets/app.css",
            "/assets/a/b.min.js",
            "/assets/.well-known",
            "/assets/a..b",
            "/assets/...",
            "/assets/100%25",
            "/assets/%C3%A9",
            "/assets/a%20b",
            "/assets/a;b=c",
            "/favicon.ico",
            "/a%20b/c",
        ] {
            assert!(paths.contains_path(path), "{path}");
        }
        for path in [
            "/",
            "",
            "*",
            "/healthz/",
            "/healthz/x",
            "/healthzx",
            "/HEALTHZ",
            "/%68ealthz",
            "/assets",
            "/assetsx",
            "/Assets/app.css",
            "/x/assets/app.css",
            "/a b/c",
        ] {
            assert!(!paths.contains_path(path), "{path}");
        }
        assert!(!OpenPaths::default().contains_path("/healthz"));
    }

    // SC-17
    #[test]
    fn a_path_that_could_lead_elsewhere_is_never_open() {
        let paths = open(&["/assets/"]);
        for path in [
            "/assets/../api",
            "/assets/..",
            "/assets/.",
            "/assets/./x",
            "/assets/a/../../api",
            "/assets/..;/api",
            "/assets/..;a=b/api",
            "/assets/.;/api",
            "/assets//api",
            "/assets/a//b",
            "/assets/..\\api",
            "/assets/\\api",
            "/assets/%2e%2e/api",
            "/assets/%2E%2E/api",
            "/assets/.%2e/api",
            "/assets/%2e./api",
            "/assets/..%2fapi",
            "/assets/..%2Fapi",
            "/assets/%2fapi",
            "/assets/a%5c..%5capi",
            "/assets/%5Capi",
            "/assets/%252e%252e/api",
            "/assets/%252E%252E%252Fapi",
            "/assets/%25252e/api",
            "/assets/%255capi",
            "/assets/%2525252525255Capi",
            "/assets/a%2eb",
            "/assets/%00",
            "/assets/%",
            "/assets/%2",
            "/assets/a%",
        ] {
            assert!(!paths.contains_path(path), "{path}");
        }
    }

    // SC-17
    #[test]
    fn get_and_head_alone() {
        let paths = open(&["/healthz"]);
        let contains = |method: &str, uri: &str| {
            let request = Request::builder().method(method).uri(uri).body(()).unwrap();
            paths.contains(&request.into_parts().0)
        };
        assert!(contains("GET", "/healthz") && contains("HEAD", "/healthz?a=b"));
        assert!(contains("GET", "https://app.example.com/healthz"));
        for method in [
            "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get",
        ] {
            assert!(!contains(method, "/healthz"), "{method}");
        }
        assert!(!contains("GET", "/"));
    }

    // SC-17
    #[test]
    fn a_path_that_cannot_be_used_is_refused_with_a_remedy() {
        for (bad, remedy) in [
            ("", "from the root"),
            ("healthz", "from the root"),
            ("https://app.example.com/healthz", "from the root"),
            ("/", "allow anonymous"),
            ("/assets/*", "end it with a slash"),
            ("/assets/?a", "the path alone"),
            ("/assets#a", "the path alone"),
            ("/assets/../api", "without detours"),
            ("/a//b", "without detours"),
            ("//", "without detours"),
            ("/a\\b", "without detours"),
            ("/a/%2e%2E/b", "without detours"),
            ("/é", "percent-encode"),
            ("/a b", "percent-encode"),
        ] {
            let error = OpenPaths::new([bad]).unwrap_err();
            assert_eq!(error.setting(), "open path", "{bad}");
            assert!(error.to_string().contains(remedy), "{bad}: {error}");
        }
        assert!(OpenPaths::new(["/healthz", "healthz"]).is_err());
        assert!(OpenPaths::new([]).unwrap().0.is_empty());
    }
}
