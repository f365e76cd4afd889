//! When a token is renewed: one pure question.

use std::time::Duration;

use crate::clock::UnixTime;

/// What is to be done about an access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing.
    No,
    /// It is used, and renewed behind the request.
    Behind,
    /// It is renewed first.
    First,
}

const BEHIND: i64 = 60;
const FIRST: i64 = 10;

/// The most of a lifetime that a window may take, so that short-lived tokens are not renewed without
/// end: a fifth.
const SHARE: i64 = 5;

/// Whether a token that was obtained and expires at these times is due. `jitter`, from 0 to 255 and
/// always the same for one token, spreads the windows of many over another fifth of theirs.
pub(super) fn due(now: UnixTime, obtained_at: UnixTime, expires_at: UnixTime, jitter: u8) -> Due {
    let (now, expires_at) = (now.as_seconds(), expires_at.as_seconds());
    let lifetime = expires_at.saturating_sub(obtained_at.as_seconds()).max(0);
    let most = lifetime / SHARE;
    let left = expires_at.saturating_sub(now);
    let behind = BEHIND.min(most);
    let spread = behind * i64::from(jitter) / (SHARE * 256);
    if left <= FIRST.min(most) {
        Due::First
    } else if left <= behind + spread {
        Due::Behind
    } else {
        Due::No
    }
}

/// How long to wait after an attempt that came to nothing: as long again as it has been due, within
/// bounds, so that an outage brings fewer attempts the longer it lasts.
pub(super) fn back_off(now: UnixTime, expires_at: UnixTime) -> Duration {
    const SHORTEST: u64 = 5;
    const LONGEST: u64 = 60;
    let since_due = now
        .as_seconds()
        .saturating_sub(expires_at.as_seconds().saturating_sub(BEHIND));
    let pause = u64::try_from(since_due).unwrap_or(0);
    Duration::from_secs(pause.clamp(SHORTEST, LONGEST))
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
            let _ = back_off(UnixTime::from_seconds(now), UnixTime::from_seconds(expires));
            if age * 2 < lifetime {
                prop_assert_eq!(at(age, 0, lifetime, jitter), Due::No);
            }
        }
    }

    #[test]
    fn rt_08_the_pause_grows_with_the_outage() {
        let pause = |now| back_off(UnixTime::from_seconds(now), UnixTime::from_seconds(1_060));
        assert_eq!(pause(1_000), Duration::from_secs(5));
        assert_eq!(pause(1_020), Duration::from_secs(20));
        assert_eq!(pause(9_000), Duration::from_secs(60));
        assert_eq!(pause(0), Duration::from_secs(5));
    }
}
