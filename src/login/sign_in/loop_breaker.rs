//! The loop breaker: how the last sign-ins of a browser ended. A browser that signs in again and again,
//! with the same end each time, is shown a page that says so.

use serde::{Deserialize, Serialize};

use crate::clock::UnixTime;

/// The last ends, the newest last.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(crate) struct SignInHistory(Vec<(i64, String)>);

/// So many sign-ins with one end within so many seconds are no loop yet.
const MOST: usize = 3;
pub(crate) const WITHIN: u64 = 30;

impl SignInHistory {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn add(&mut self, now: UnixTime, end: &str) {
        self.0.push((now.as_seconds(), end.to_owned()));
        let surplus = self.0.len().saturating_sub(MOST + 1);
        self.0.drain(..surplus);
    }

    /// Whether a sign-in has just ended.
    pub(crate) fn has_recent(&self, now: UnixTime) -> bool {
        self.recent(now).next().is_some()
    }

    /// The end that comes again and again, if one does.
    pub(crate) fn loops(&self, now: UnixTime) -> Option<&str> {
        let recent: Vec<_> = self.recent(now).collect();
        let (_, last) = recent.last()?;
        (recent.len() > MOST && recent.iter().all(|(_, end)| end == last)).then_some(last)
    }

    fn recent(&self, now: UnixTime) -> impl Iterator<Item = &(i64, String)> {
        let earliest = now.as_seconds().saturating_sub_unsigned(WITHIN);
        self.0.iter().filter(move |(at, _)| *at >= earliest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // D10
    #[test]
    fn more_than_three_sign_ins_in_thirty_seconds_with_one_end_are_a_loop() {
        let at = UnixTime::from_seconds;
        let mut history = SignInHistory::default();
        for second in [100, 105, 110] {
            history.add(at(second), "signed_in");
        }
        assert_eq!(history.loops(at(110)), None);
        history.add(at(115), "signed_in");
        assert_eq!(history.loops(at(116)), Some("signed_in"));
        assert_eq!(history.loops(at(130)), Some("signed_in"));
        assert_eq!(history.loops(at(131)), None, "the first is too long ago");
        history.add(at(117), "id_token_refused");
        assert_eq!(history.loops(at(117)), None, "another end");
        for second in 118..200 {
            history.add(at(second), "x");
        }
        assert_eq!(history.0.len(), 4);
    }
}
