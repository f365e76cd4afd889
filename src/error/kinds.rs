//! Error kinds as tables: each kind stands in one place, with its documentation and its facts.

/// Defines an enum of kinds, and `facts`, which looks up the row of a kind. `name` is a column of every
/// table: the label of the kind in logs and metrics.
macro_rules! kinds {
    (
        $(#[$about:meta])*
        pub enum $kinds:ident: $facts:ident {
            $($(#[$doc:meta])* $kind:ident { $($column:ident: $value:expr),* $(,)? })*
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $kinds {
            $($(#[$doc])* $kind,)*
        }

        impl $kinds {
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$kind),*];

            fn facts(self) -> &'static $facts {
                match self {
                    $(Self::$kind => &$facts { $($column: $value),* },)*
                }
            }

            /// The kind as words with underscores, the label used in logs and metrics.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                self.facts().name
            }
        }
    };
}

pub(super) use kinds;

#[cfg(test)]
pub(super) fn check_names<K: Copy + std::fmt::Debug>(kinds: &[K], name: fn(K) -> &'static str) {
    let names: std::collections::BTreeSet<_> = kinds.iter().map(|kind| name(*kind)).collect();
    assert_eq!(names.len(), kinds.len(), "a name stands twice in {names:?}");
    for kind in kinds {
        let variant = format!("{kind:?}").to_lowercase();
        assert_eq!(
            name(*kind).replace('_', ""),
            variant,
            "another name than the kind's"
        );
    }
}

/// Messages and remedies are lower case, but for names, and without a full stop.
#[cfg(test)]
pub(super) fn check_text(text: &str) {
    assert!(!text.is_empty() && !text.ends_with('.'), "{text}");
    let mut start = text.chars();
    let is_capital = |character: Option<char>| character.is_some_and(char::is_uppercase);
    assert!(
        !is_capital(start.next()) || is_capital(start.next()),
        "{text}"
    );
    assert!(!text.contains("  "), "{text}");
}
