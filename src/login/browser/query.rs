//! Parameters of a request: those of its query, or of a form that takes its place.

use std::borrow::Cow;

use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{Method, Uri};
use url::form_urlencoded;

pub(crate) fn values<'a>(parts: &'a Parts, name: &'a str) -> impl Iterator<Item = Cow<'a, str>> {
    form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes())
        .filter_map(move |(found, value)| (found == name).then_some(value))
}

/// The value of a parameter that stands in the query once.
pub(crate) fn single<'a>(parts: &'a Parts, name: &'a str) -> Option<Cow<'a, str>> {
    let mut values = values(parts, name);
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

/// The request as a navigation that has the parameters of this form in its query. `None` if it is not a form, or has a
/// query beside it.
pub(crate) fn with_form(mut parts: Parts, form: &[u8]) -> Option<Parts> {
    let content_type = parts.headers.get(CONTENT_TYPE)?.to_str().ok()?;
    if !is_form(content_type) || parts.uri.query().is_some() {
        return None;
    }
    // Written once more, so that it holds nothing which a query cannot hold.
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(form_urlencoded::parse(form));
    let path = parts.uri.path();
    parts.uri = Uri::try_from(format!("{path}?{}", query.finish())).ok()?;
    parts.method = Method::GET;
    Some(parts)
}

/// Whether a body of this media type is a form.
pub(crate) fn is_form(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}
