//! Keeps answers for one caller out of caches that others share.

use http::header::{CACHE_CONTROL, VARY};
use http::{HeaderMap, HeaderValue};

/// What depends on credentials other than `Authorization` must not be cached for others
/// ([RFC 9111 §3.5, §4.1](https://www.rfc-editor.org/rfc/rfc9111#section-4.1)): `vary` names the fields they come in. An
/// application that says how its answer is cached is believed.
pub(crate) fn set_private(headers: &mut HeaderMap, vary: HeaderValue) {
    headers.append(VARY, vary);
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}
