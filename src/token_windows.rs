//! How long before its end an access token is renewed.

/// In seconds before the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Windows {
    /// From here on it is renewed behind whoever uses it.
    pub(crate) behind: i64,
    /// From here on whoever wants to use it waits.
    pub(crate) first: i64,
}

const BEHIND: i64 = 60;
const FIRST: i64 = 10;

/// The most of a lifetime that a window may take, so that short-lived tokens are not renewed without
/// end: a fifth.
pub(crate) const SHARE: i64 = 5;

impl Windows {
    pub(crate) fn of(lifetime: i64) -> Self {
        let most = lifetime / SHARE;
        Self {
            behind: BEHIND.min(most),
            first: FIRST.min(most),
        }
    }
}
