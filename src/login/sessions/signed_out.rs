//! Logouts by the provider, and sign-outs everywhere, that happen while a sign-in is under way.
//!
//! A logout marks what the sessions are listed under before it looks for them. A sign-in looks for these
//! marks after its session is listed. So either the logout finds the session, or the sign-in finds the mark.

use std::time::Duration;

use crate::clock::UnixTime;
use crate::error::StoreError;
use crate::login::sessions::marks::Marks;
use crate::login::store::{Owner, StoreKey};

/// Longer than a sign-in takes from its start to its session.
const LONGEST_SIGN_IN: Duration = Duration::from_secs(900);

/// Marks the sessions listed there: the provider issued a logout of them at `issued_at`, and it came at `now`.
pub(crate) async fn mark_logout(
    marks: &Marks,
    listed: StoreKey,
    issued_at: UnixTime,
    now: UnixTime,
) -> Result<(), StoreError> {
    let until = now.saturating_add(LONGEST_SIGN_IN);
    let times = Logout {
        issued: issued_at,
        came: now,
        ended: NEVER,
    };
    marks.put(logout_of(listed), times.into(), until).await
}

/// Marks the sessions listed there: this application ended them all at this time.
pub(crate) async fn mark_end_of_all(
    marks: &Marks,
    listed: StoreKey,
    now: UnixTime,
) -> Result<(), StoreError> {
    let until = now.saturating_add(LONGEST_SIGN_IN);
    let times = Logout {
        issued: NEVER,
        came: NEVER,
        ended: now,
    };
    marks.put(logout_of(listed), times.into(), until).await
}

const NEVER: UnixTime = UnixTime::from_seconds(i64::MIN);

/// What a mark holds.
#[derive(Debug, Clone, Copy)]
struct Logout {
    /// When the provider issued the last logout, by its clock.
    issued: UnixTime,
    /// When that came, by this site's clocks.
    came: UnixTime,
    /// When this application ended the sessions, by this site's clocks.
    ended: UnixTime,
}

impl From<Logout> for [UnixTime; 3] {
    fn from(logout: Logout) -> Self {
        [logout.issued, logout.came, logout.ended]
    }
}

impl From<[UnixTime; 3]> for Logout {
    fn from([issued, came, ended]: [UnixTime; 3]) -> Self {
        Self {
            issued,
            came,
            ended,
        }
    }
}

/// When a sign-in took place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SignInTimes {
    /// When it began, by this site's clocks.
    pub(crate) began: UnixTime,
    /// When the provider issued the ID token.
    pub(crate) issued: Option<UnixTime>,
    /// When the provider last saw the user, where it tells.
    pub(crate) authenticated: Option<UnixTime>,
}

impl SignInTimes {
    /// Whether the owner was signed out, by the provider or everywhere, while this sign-in was under way.
    pub(crate) async fn were_overtaken(
        self,
        marks: &Marks,
        owner: &Owner,
    ) -> Result<bool, StoreError> {
        for listed in [owner.subject, owner.session] {
            let mark: Option<[_; 3]> = marks.get(logout_of(listed)).await?;
            if mark.is_some_and(|times| self.precede(times.into())) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A code that was issued before the logout may be exchanged after it, so that the ID token alone proves
    /// nothing. Times of the provider are compared with each other, and so are those of this site.
    fn precede(self, logout: Logout) -> bool {
        // A sign-in of the same second may have begun after it.
        if self.began < logout.ended {
            return true;
        }
        if logout.came == NEVER {
            return false;
        }
        if self.authenticated.is_some_and(|at| at > logout.issued) {
            return false;
        }
        let is_token_older = self.issued.is_some_and(|at| at < logout.issued);
        let is_token_no_newer = self.issued.is_none_or(|at| at <= logout.issued);
        is_token_older
            || self.began < logout.came
            || (self.began == logout.came && is_token_no_newer)
    }
}

fn logout_of(listed: StoreKey) -> StoreKey {
    StoreKey::hash_of(&[b"logout of", &listed.as_bytes()[..]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_that_may_be_older_than_the_logout_is_overtaken() {
        let at = UnixTime::from_seconds;
        // The logout was issued at 100 and came at 1 000 by this site's clock.
        for (name, began, issued, authenticated, expected) in [
            ("the code was exchanged before", 1_001, Some(99), None, true),
            ("it began before", 999, Some(101), None, true),
            ("all in one second", 1_000, Some(100), None, true),
            ("no time in the ID token", 1_000, None, None, true),
            ("no time, and begun after", 1_001, None, None, false),
            (
                "begun in the second, issued after",
                1_000,
                Some(101),
                None,
                false,
            ),
            (
                "begun after, issued in the second",
                1_001,
                Some(100),
                None,
                false,
            ),
            ("begun and issued after", 1_001, Some(101), None, false),
            (
                "begun before, authenticated after",
                900,
                Some(150),
                Some(140),
                false,
            ),
            (
                "begun and authenticated before",
                900,
                Some(150),
                Some(50),
                true,
            ),
            (
                "a single sign-on begun after",
                1_001,
                Some(150),
                Some(50),
                false,
            ),
        ] {
            let times = SignInTimes {
                began: at(began),
                issued: issued.map(at),
                authenticated: authenticated.map(at),
            };
            let logout = Logout {
                issued: at(100),
                came: at(1_000),
                ended: NEVER,
            };
            assert_eq!(times.precede(logout), expected, "{name}");
        }
    }

    #[test]
    fn a_sign_in_begun_before_all_sessions_were_ended_is_overtaken() {
        let at = UnixTime::from_seconds;
        let ended = Logout {
            issued: NEVER,
            came: NEVER,
            ended: at(1_000),
        };
        for (began, expected) in [(999, true), (1_000, false), (1_001, false)] {
            // The clock of the provider is behind: what it says does not count here.
            for authenticated in [None, Some(at(10)), Some(at(2_000))] {
                let times = SignInTimes {
                    began: at(began),
                    issued: Some(at(20)),
                    authenticated,
                };
                assert_eq!(times.precede(ended), expected, "{began} {authenticated:?}");
            }
        }
    }
}
