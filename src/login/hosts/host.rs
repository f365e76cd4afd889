//! The host that a request was sent to. It selects among configured sites, and nothing else is made of it.

use std::borrow::Cow;

use http::header::HOST;
use http::request::Parts;

/// The longest host name of the DNS, and a port.
const LONGEST: usize = 253 + ":65535".len();

/// The request names no host in a way that can be understood: two that differ, two fields, or a text that is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The host that a request names, in lower case and with the port if it has one. `None` if it names none.
///
/// Where the target names one too (HTTP/2, and a proxy's form of HTTP/1.1), both have to name the same
/// ([RFC 9113 §8.3.1](https://www.rfc-editor.org/rfc/rfc9113#section-8.3.1)). Two fields are malformed
/// ([RFC 9112 §3.2](https://www.rfc-editor.org/rfc/rfc9112#section-3.2)).
pub(super) fn host_of(head: &Parts) -> Result<Option<Cow<'_, str>>, Malformed> {
    let mut fields = head.headers.get_all(HOST).iter();
    let field = match (fields.next(), fields.next()) {
        (None, _) => None,
        (Some(field), None) => Some(read(field.to_str().map_err(|_| Malformed)?)?),
        (Some(_), Some(_)) => return Err(Malformed),
    };
    let target = head.uri.authority();
    let target = target.map(|target| read(target.as_str())).transpose()?;
    match (target, field) {
        (Some(target), Some(field)) => {
            let scheme = head.uri.scheme_str();
            let is_same = without_port_of(scheme, &target) == without_port_of(scheme, &field);
            if is_same {
                Ok(Some(target))
            } else {
                Err(Malformed)
            }
        }
        (target, field) => Ok(target.or(field).filter(|host| !host.is_empty())),
    }
}

/// A host in lower case, without the colon of an empty port.
fn read(text: &str) -> Result<Cow<'_, str>, Malformed> {
    let text = text.strip_suffix(':').unwrap_or(text);
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    if text.len() > LONGEST || !text.bytes().all(is_part) {
        return Err(Malformed);
    }
    Ok(if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Borrowed(text)
    })
}

fn without_port_of<'a>(scheme: Option<&str>, host: &'a str) -> &'a str {
    let port = match scheme {
        Some("https") => ":443",
        Some("http") => ":80",
        _ => return host,
    };
    host.strip_suffix(port).unwrap_or(host)
}

/// The host as a source is asked about it.
pub(super) fn without_https_port(host: &str) -> &str {
    without_port_of(Some("https"), host)
}

/// The ways in which requests name the host of this origin: where the port is that of the scheme, it may be left out.
pub(super) fn spellings(origin: &str) -> Vec<String> {
    let Some((scheme, host)) = origin.split_once("://") else {
        return Vec::new();
    };
    // The colons of an IPv6 address are within brackets.
    let after_address = host.rsplit(']').next().unwrap_or_default();
    if after_address.contains(':') {
        return vec![host.to_owned()];
    }
    let port = if scheme == "https" { 443 } else { 80 };
    vec![host.to_owned(), format!("{host}:{port}")]
}

/// The name of the host without its port: what browsers keep cookies for.
pub(super) fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Request, Uri};

    type Case<'a> = (&'a str, &'a [&'a [u8]], Result<Option<&'a str>, Malformed>);

    fn of(target: &str, fields: &[&[u8]]) -> Result<Option<String>, Malformed> {
        let uri: Uri = target.parse().unwrap();
        let mut request = Request::builder().uri(uri);
        for field in fields {
            request = request.header(HOST, *field);
        }
        let head = request.body(()).unwrap().into_parts().0;
        host_of(&head).map(|host| host.map(Cow::into_owned))
    }

    // D39
    #[test]
    fn the_host_is_that_of_the_field_or_of_the_target() {
        let long = format!("{}.example", "a".repeat(260));
        let cases: [Case<'_>; 22] = [
            ("/a", &[b"a.example"], Ok(Some("a.example"))),
            ("/a", &[b"A.Example"], Ok(Some("a.example"))),
            ("/a", &[b"a.example:8443"], Ok(Some("a.example:8443"))),
            ("/a", &[b"a.example:443"], Ok(Some("a.example:443"))),
            ("/a", &[b"a.example:"], Ok(Some("a.example"))),
            ("/a", &[b"a.example."], Ok(Some("a.example."))),
            ("/a", &[b"[::1]:3080"], Ok(Some("[::1]:3080"))),
            ("/a", &[], Ok(None)),
            ("/a", &[b""], Ok(None)),
            ("https://b.example/a", &[], Ok(Some("b.example"))),
            (
                "https://B.example/a",
                &[b"b.Example"],
                Ok(Some("b.example")),
            ),
            (
                "https://b.example/a",
                &[b"b.example:443"],
                Ok(Some("b.example")),
            ),
            (
                "http://b.example:80/a",
                &[b"b.example"],
                Ok(Some("b.example:80")),
            ),
            ("https://b.example/a", &[b"a.example"], Err(Malformed)),
            ("https://b.example/a", &[b"b.example:80"], Err(Malformed)),
            ("https://b.example/a", &[b""], Err(Malformed)),
            ("/a", &[b"a.example", b"a.example"], Err(Malformed)),
            ("/a", &[b"a.example, b.example"], Err(Malformed)),
            ("/a", &[b"user@a.example"], Err(Malformed)),
            ("/a", &[b"a.example/b"], Err(Malformed)),
            ("/a", &[b"\xc3\xa4.example"], Err(Malformed)),
            ("/a", &[long.as_bytes()], Err(Malformed)),
        ];
        for (target, fields, expected) in cases {
            let expected = expected.map(|host| host.map(str::to_owned));
            assert_eq!(of(target, fields), expected, "{target} {fields:?}");
        }
    }

    // D39
    #[test]
    fn the_port_of_the_scheme_may_be_left_out_and_no_other() {
        for (origin, expected) in [
            (
                "https://a.example",
                &["a.example", "a.example:443"] as &[&str],
            ),
            ("https://a.example:8443", &["a.example:8443"]),
            ("http://localhost", &["localhost", "localhost:80"]),
            ("http://127.0.0.1:3080", &["127.0.0.1:3080"]),
            ("https://[::1]", &["[::1]", "[::1]:443"]),
            ("https://[::1]:8443", &["[::1]:8443"]),
        ] {
            assert_eq!(spellings(origin), expected, "{origin}");
        }
        for (host, name) in [
            ("a.example", "a.example"),
            ("a.example:8443", "a.example"),
            ("[::1]", "[::1]"),
            ("[::1]:8443", "[::1]"),
        ] {
            assert_eq!(name_of(host), name);
        }
    }
}
