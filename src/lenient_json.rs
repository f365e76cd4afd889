//! JSON objects of the provider, read member by member: what cannot be read spoils nothing beside it.
//!
//! A string with half of a surrogate pair, a number out of range or deep nesting are JSON by its grammar,
//! and no program can hold them. Such a member is left out.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The text of a document. Bytes that are not UTF-8 are replaced, so that they spoil only the string in
/// which they are. The mark that some editors put in front is dropped (RFC 8259 §8.1).
pub(crate) fn text(document: &[u8]) -> Cow<'_, str> {
    const MARK: &[u8] = "\u{feff}".as_bytes();
    String::from_utf8_lossy(document.strip_prefix(MARK).unwrap_or(document))
}

/// The members of an object, unread. Of a name that stands twice the last one counts. `None` if it is not
/// an object.
pub(crate) fn members(text: &str) -> Option<BTreeMap<String, &RawValue>> {
    serde_json::from_str(text).ok()
}

/// The items of an array, unread. `None` if it is not an array.
pub(crate) fn items(text: &str) -> Option<Vec<&RawValue>> {
    serde_json::from_str(text).ok()
}

/// The members of an object that can be read. `None` if it is not an object.
pub(crate) fn object(text: &str) -> Option<Map<String, Value>> {
    let members = members(text)?.into_iter();
    Some(
        members
            .filter_map(|(name, value)| Some((name, serde_json::from_str(value.get()).ok()?)))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_member_that_cannot_be_read_is_left_out_and_the_others_stay() {
        let deep = format!("{}1{}", "[".repeat(1_000), "]".repeat(1_000));
        for odd in ["\"\\ud800\"", "\"a\\udc00b\"", "1e400", "-1e999", &deep] {
            let document = format!("{{\"a\":1,\"odd\":{odd},\"b\":[\"x\"]}}");
            let read = object(&document).unwrap();
            assert_eq!(
                Value::Object(read),
                serde_json::json!({"a": 1, "b": ["x"]}),
                "{odd}"
            );
        }
        let latin = b"\xef\xbb\xbf{\"a\":\"caf\xe9\",\"b\":2}";
        let read = object(&text(latin)).unwrap();
        assert_eq!(read["b"], 2);
        assert_eq!(object("{\"a\":1,\"a\":2}").unwrap()["a"], 2);
        for bad in [
            "",
            "[]",
            "1",
            "null",
            "{\"a\":1",
            "{\"a\":01}",
            "{\"a\":1} x",
            "<html>",
        ] {
            assert!(object(bad).is_none(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_serde_reads_is_read_alike(document in proptest::collection::vec(any::<u8>(), 0..200)) {
            let strict: Option<Map<String, Value>> = serde_json::from_slice(&document).ok();
            if strict.is_some() {
                prop_assert_eq!(object(&text(&document)), strict);
            }
        }
    }
}
