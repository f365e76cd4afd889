//! Which migrations are due.

/// The migrations that a database at this version lacks. `None` if the version is newer than all that are known.
///
/// A database is at version 2 when the first two of them have been made.
pub(in crate::login::store) fn pending<'a>(
    version: i64,
    known: &'a [&'static str],
) -> Option<&'a [&'static str]> {
    known.get(usize::try_from(version).ok()?..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_not_made_again_and_what_is_newer_is_refused() {
        const KNOWN: [&str; 2] = ["one", "two"];
        for (version, expected) in [
            (0, Some(&KNOWN[..])),
            (1, Some(&KNOWN[1..])),
            (2, Some(&KNOWN[2..])),
            (3, None),
            (-1, None),
            (i64::MAX, None),
        ] {
            assert_eq!(pending(version, &KNOWN), expected, "{version}");
        }
    }
}
