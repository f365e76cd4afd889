//! The route of a request, for the log.

use std::fmt;

use http::request::Parts;

/// The method and path of a request. The path is a stranger's text, so it is cut and escaped. The query is
/// left out, because it may hold secrets.
pub(crate) struct Route<'a>(pub(crate) &'a Parts);

const LONGEST_PATH: usize = 200;

impl fmt::Display for Route<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.0.uri.path();
        let end = path.char_indices().nth(LONGEST_PATH).map(|(end, _)| end);
        let shown = &path[..end.unwrap_or(path.len())];
        write!(formatter, "{} {}", self.0.method, shown.escape_debug())?;
        match end {
            Some(_) => formatter.write_str(" …"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    // D26
    #[test]
    fn a_route_is_cut_and_escaped_and_has_no_query() {
        let shown = |uri: &str| {
            let request = Request::get(uri).body(()).unwrap();
            Route(&request.into_parts().0).to_string()
        };
        assert_eq!(shown("/a/b?token=secret"), "GET /a/b");
        assert_eq!(shown("https://api.example/a"), "GET /a");
        assert_eq!(shown("/\u{202e}\u{85}"), "GET /\\u{202e}\\u{85}");
        let long = shown(&format!("/{}", "a".repeat(1_000)));
        assert_eq!(long.chars().count(), 206);
    }
}
