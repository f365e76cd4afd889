//! How long an access token lives, and how long before its end it is renewed.

use std::time::Duration;

use crate::clock::UnixTime;
use crate::jwt::{CompactJws, Json, UnverifiedClaims};

/// Lifetimes are taken to be within these bounds, in seconds.
const SHORTEST_LIFETIME: i64 = 5;
const LONGEST_LIFETIME: i64 = 10 * 365 * 24 * 3600;

/// The lifetime of a token that does not say, in seconds.
const USUAL_LIFETIME: i64 = 300;

/// How long an access token lives: `expires_in`, and at most until its own `exp` (`None` if it has
/// none).
pub(crate) fn token_lifetime(
    now: UnixTime,
    expires_in: Option<i64>,
    exp: Option<UnixTime>,
) -> Duration {
    let own = exp.map(|exp| exp.as_seconds().saturating_sub(now.as_seconds()));
    let said = match (expires_in, own) {
        (Some(said), Some(own)) => said.min(own),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => USUAL_LIFETIME,
    };
    let seconds = said.clamp(SHORTEST_LIFETIME, LONGEST_LIFETIME);
    Duration::from_secs(seconds.unsigned_abs())
}

/// The expiry that a JWT states, not verified. `None` if it is not a JWT or states none.
pub(crate) fn stated_expiry(token: &str) -> Option<UnixTime> {
    let jws = CompactJws::split(token.as_bytes()).ok()?.decode().ok()?;
    let claims = UnverifiedClaims::parse(jws.payload()).ok()?;
    match claims.exp {
        Json::Unsigned(seconds) => Some(UnixTime::from_seconds(
            i64::try_from(seconds).unwrap_or(i64::MAX),
        )),
        _ => None,
    }
}

/// The audiences that a token states, if it is a JWT. It is not verified: they may refuse it and never admit it.
#[cfg(feature = "login")]
pub(crate) fn stated_audiences(token: &str) -> Vec<String> {
    let read = || {
        let jws = CompactJws::split(token.as_bytes()).ok()?.decode().ok()?;
        let claims = UnverifiedClaims::parse(jws.payload()).ok()?;
        Some(match &claims.aud {
            Json::Texts(named) => named.iter().map(ToString::to_string).collect(),
            other => other.text().map(str::to_owned).into_iter().collect(),
        })
    };
    read().unwrap_or_default()
}

/// When an access token is renewed, in seconds before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Windows {
    /// From here on it is renewed in the background.
    pub(crate) behind: i64,
    /// From here on a request waits for the renewal.
    pub(crate) first: i64,
}

const BEHIND: i64 = 60;
const FIRST: i64 = 10;

/// A window takes at most this part of a lifetime, a fifth, so that short-lived tokens are not renewed
/// without end.
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

#[cfg(test)]
mod tests {
    use super::*;

    // RT-09
    #[test]
    fn a_lifetime_is_that_of_the_answer_within_bounds() {
        let now = UnixTime::from_seconds(1_000);
        let cases = [
            (Some(60), None, 60),
            (None, Some(90), 90),
            (None, None, 300),
            (Some(60), Some(90), 60),
            (Some(3_600), Some(90), 90),
            (Some(0), None, 5),
            (Some(-9), Some(90), 5),
            (Some(i64::MIN), None, 5),
            (Some(i64::MAX), None, LONGEST_LIFETIME),
            (Some(60), Some(-300), 5),
        ];
        for (expires_in, own, expected) in cases {
            let exp = own.map(|own| UnixTime::from_seconds(1_000 + own));
            let found = token_lifetime(now, expires_in, exp);
            assert_eq!(
                found.as_secs(),
                expected.unsigned_abs(),
                "{expires_in:?} {own:?}"
            );
        }
        let end = UnixTime::from_seconds(i64::MAX);
        assert_eq!(
            token_lifetime(now, None, Some(end)).as_secs(),
            LONGEST_LIFETIME.unsigned_abs()
        );
    }

    #[test]
    fn windows_are_a_minute_and_ten_seconds_and_at_most_a_fifth() {
        for (lifetime, behind, first) in [
            (3_600, 60, 10),
            (300, 60, 10),
            (100, 20, 10),
            (10, 2, 2),
            (0, 0, 0),
            (i64::MAX, 60, 10),
        ] {
            assert_eq!(
                Windows::of(lifetime),
                Windows { behind, first },
                "{lifetime}"
            );
        }
    }
}
