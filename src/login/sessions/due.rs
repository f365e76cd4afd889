//! When a token is renewed: one pure question.

use std::time::Duration;

use crate::clock::UnixTime;
use crate::token::lifetime::{SHARE, Windows};

/// What is to be done about an access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing.
    No,
    /// It is used, and renewed behind the request.
    Behind,
    /// It is renewed first.
    First,
}

/// Whether a token that was obtained and ends at these times is due. Where the refresh token ends before it,
/// that end counts. `jitter`, from 0 to 255 and always the same for one token, spreads the windows of many
/// over another fifth of theirs.
pub(crate) fn due(
    now: UnixTime,
    obtained_at: UnixTime,
    access_expires_at: UnixTime,
    refresh_expires_at: Option<UnixTime>,
    jitter: u8,
) -> Due {
    // After its own end a refresh token is due no more urgently than the access token.
    let refresh_end = refresh_expires_at.filter(|end| now < *end);
    let ends_at = refresh_end.map_or(access_expires_at, |end| end.min(access_expires_at));
    let (now, ends_at) = (now.as_seconds(), ends_at.as_seconds());
    let lifetime = ends_at.saturating_sub(obtained_at.as_seconds()).max(0);
    let Windows { behind, first } = Windows::of(lifetime);
    let left = ends_at.saturating_sub(now);
    let spread = behind * i64::from(jitter) / (SHARE * 256);
    if left <= first {
        Due::First
    } else if left <= behind + spread {
        Due::Behind
    } else {
        Due::No
    }
}

/// How long to wait after an attempt that left the refresh token unspent: a moment after the first since the
/// last refresh, longer after the next, so that an outage brings few attempts.
pub(crate) fn back_off(failures: u32) -> Duration {
    const FIRST_PAUSE: Duration = Duration::from_secs(5);
    const LATER_PAUSE: Duration = Duration::from_secs(15);
    if failures == 0 {
        FIRST_PAUSE
    } else {
        LATER_PAUSE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(now: i64, obtained_at: i64, expires_at: i64, jitter: u8) -> Due {
        let time = UnixTime::from_seconds;
        due(time(now), time(obtained_at), time(expires_at), None, jitter)
    }

    // D8
    #[test]
    fn tokens_are_due_a_minute_before_their_end_and_urgent_ten_seconds_before() {
        let cases = [
            (3_539, 0, Due::No),
            (3_540, 0, Due::Behind),
            (3_589, 0, Due::Behind),
            (3_590, 0, Due::First),
            (3_600, 0, Due::First),
            (9_999, 0, Due::First),
            (3_529, 255, Due::Behind),
            (3_528, 255, Due::No),
        ];
        for (now, jitter, expected) in cases {
            assert_eq!(at(now, 0, 3_600, jitter), expected, "{now} {jitter}");
        }
    }

    // RT-10
    #[test]
    fn short_lived_tokens_do_not_storm() {
        assert_eq!(at(3, 0, 5, 255), Due::No);
        assert_eq!(at(4, 0, 5, 0), Due::First);
        assert_eq!(at(48, 0, 60, 0), Due::Behind);
        assert_eq!(at(47, 0, 60, 0), Due::No);
        assert_eq!(at(0, 0, 0, 0), Due::First);
    }

    proptest! {
        // RT-10
        #[test]
        fn never_before_half_the_lifetime_and_never_a_panic(
            now in any::<i64>(), obtained in any::<i64>(), expires in any::<i64>(), jitter in any::<u8>(),
            lifetime in 1_i64..100_000, age in 0_i64..100_000,
        ) {
            let _ = at(now, obtained, expires, jitter);
            let _ = due(
                UnixTime::from_seconds(now), UnixTime::from_seconds(obtained),
                UnixTime::from_seconds(expires), Some(UnixTime::from_seconds(now)), jitter,
            );
            if age * 2 < lifetime {
                prop_assert_eq!(at(age, 0, lifetime, jitter), Due::No);
            }
        }
    }

    // RT-10
    #[test]
    fn a_refresh_token_that_ends_first_is_spent_before_its_end() {
        let time = UnixTime::from_seconds;
        let at = |now| due(time(now), time(0), time(3_600), Some(time(600)), 0);
        assert_eq!(at(539), Due::No);
        assert_eq!(at(540), Due::Behind);
        assert_eq!(at(590), Due::First);
        assert_eq!(at(600), Due::No, "its end has passed: nothing can be done");
        assert_eq!(at(3_590), Due::First);
    }

    // RT-08
    #[test]
    fn the_first_pause_is_short() {
        assert_eq!(
            [0, 1, 2, u32::MAX].map(|count| back_off(count).as_secs()),
            [5, 15, 15, 15]
        );
    }
}
