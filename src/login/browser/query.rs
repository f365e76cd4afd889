//! Parameters of a request's query.

use std::borrow::Cow;

use http::request::Parts;
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
