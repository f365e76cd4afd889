//! Reads the `Cookie` field ([RFC 6265 §4.2.1](https://www.rfc-editor.org/rfc/rfc6265#section-4.2.1)).

use http::HeaderMap;
use http::header::COOKIE;

/// The values of the cookies of exactly this name. The other cookies, which most are, are not taken apart.
pub(crate) fn values<'a>(
    headers: &'a HeaderMap,
    name: &'a str,
) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let fields = headers.get_all(COOKIE).iter();
    let pairs = fields.flat_map(|field| pairs(field.as_bytes()));
    // No blank stands between the name and the sign: `session =a` is a cookie of another name, which another site
    // below the same domain can set.
    pairs.filter_map(move |pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

/// The pairs of name and value in a field, without the blanks around them.
fn pairs(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(field);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = memchr::memchr(b';', text);
        rest = end.map(|end| &text[end + 1..]);
        Some(text[..end.unwrap_or(text.len())].trim_ascii())
    })
}
