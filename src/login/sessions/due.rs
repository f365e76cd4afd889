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

/// Whether a token that was obtained and expires at these times is due. `jitter`, from 0 to 255 and
/// always the same for one token, spreads the windows of many over another fifth of theirs.
pub(crate) fn due(now: UnixTime, obtained_at: UnixTime, expires_at: UnixTime, jitter: u8) -> Due {
    let (now, expires_at) = (now.as_seconds(), expires_at.as_seconds());
    let lifetime = expires_at.saturating_sub(obtained_at.as_seconds()).max(0);
    let Windows { behind, first } = Windows::of(lifetime);
    let left = expires_at.saturating_sub(now);
    let spread = behind * i64::from(jitter) / (SHARE * 256);
    if left <= first {
        Due::First
    } else if left <= behind + spread {
        Due::Behind
    } else {
        Due::No
    }
}

/// How long to wait after an attempt that came to nothing: a moment after the first since the tokens
/// were obtained, longer after the next, so that an outage brings few attempts.
pub(crate) fn back_off(obtained_at: UnixTime, refresh_not_before: UnixTime) -> Duration {
    const FIRST_PAUSE: Duration = Duration::from_secs(5);
    const LATER_PAUSE: Duration = Duration::from_secs(15);
    // A commit leaves the time it was made, a failure that and its pause at least.
    if refresh_not_before < obtained_at.saturating_add(FIRST_PAUSE) {
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
        due(time(now), time(obtained_at), time(expires_at), jitter)
    }

    #[test]
    fn d8_windows_of_a_minute_and_of_ten_seconds() {
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

    #[test]
    fn rt_10_short_lived_tokens_do_not_storm() {
        assert_eq!(at(3, 0, 5, 255), Due::No);
        assert_eq!(at(4, 0, 5, 0), Due::First);
        assert_eq!(at(48, 0, 60, 0), Due::Behind);
        assert_eq!(at(47, 0, 60, 0), Due::No);
        assert_eq!(at(0, 0, 0, 0), Due::First);
    }

    proptest! {
        #[test]
        fn rt_10_never_before_half_the_lifetime_and_never_a_panic(
            now in any::<i64>(), obtained in any::<i64>(), expires in any::<i64>(), jitter in any::<u8>(),
            lifetime in 1_i64..100_000, age in 0_i64..100_000,
        ) {
            let _ = at(now, obtained, expires, jitter);
            let _ = back_off(UnixTime::from_seconds(obtained), UnixTime::from_seconds(now));
            if age * 2 < lifetime {
                prop_assert_eq!(at(age, 0, lifetime, jitter), Due::No);
            }
        }
    }

    #[test]
    fn rt_08_the_first_pause_is_short_however_long_nobody_came() {
        let time = UnixTime::from_seconds;
        let pause = |not_before| back_off(time(1_000), time(not_before)).as_secs();
        assert_eq!(pause(i64::MIN), 5, "a new session");
        assert_eq!(pause(1_001), 5, "renewed once, and now the first failure");
        assert_eq!(pause(1_005), 15);
        assert_eq!(pause(9_000), 15);
    }
}
