//! Reads `Retry-After` in answers of the provider.

use std::time::{Duration, UNIX_EPOCH};

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};
use httpdate::parse_http_date;

use crate::clock::UnixTime;

/// The longest pause that a provider can ask for.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// The pause that an answer asks for, at most [`LONGEST_PAUSE`]
/// ([RFC 9110 §10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)).
///
/// A date is compared with the answer's own `Date`, because the clock of the server that wrote both may
/// differ from ours; without a `Date` it is compared with `now`. A date in the past is no pause.
pub(crate) fn retry_after(headers: &HeaderMap, now: UnixTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let pause = if is_number {
        // A number too large for u64 is a long time.
        text.parse().map_or(Duration::MAX, Duration::from_secs)
    } else {
        let until = parse_date(text)?;
        let sent_at = headers
            .get(DATE)
            .and_then(|date| parse_date(date.to_str().ok()?));
        let seconds = until
            .as_seconds()
            .saturating_sub(sent_at.unwrap_or(now).as_seconds());
        Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
    };
    Some(pause.min(LONGEST_PAUSE))
}

/// A date as header fields have it
/// ([RFC 9110 §5.6.7](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7)).
pub(crate) fn parse_date(text: &str) -> Option<UnixTime> {
    let date = parse_http_date(text.trim()).ok()?;
    let since = date.duration_since(UNIX_EPOCH).ok()?;
    let seconds = i64::try_from(since.as_secs()).ok()?;
    Some(UnixTime::from_seconds(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const NOW: UnixTime = UnixTime::from_seconds(784_111_777); // Sun, 06 Nov 1994 08:49:37 GMT

    fn pause(retry_after_field: &str, date: Option<&str>) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(
            RETRY_AFTER,
            HeaderValue::from_str(retry_after_field).unwrap(),
        );
        if let Some(date) = date {
            headers.insert(DATE, HeaderValue::from_str(date).unwrap());
        }
        retry_after(&headers, NOW).map(|pause| pause.as_secs())
    }

    // RT-08
    #[test]
    fn a_pause_is_read_as_seconds_or_as_a_date() {
        let ten_past = Some("Sun, 06 Nov 1994 08:59:00 GMT");
        let cases = [
            ("seconds", "7", None, Some(7)),
            ("seconds with blanks", " 7 ", None, Some(7)),
            ("at once", "0", None, Some(0)),
            ("seconds do not depend on the date", "7", ten_past, Some(7)),
            ("bounded", "86400", None, Some(600)),
            (
                "too many digits",
                "99999999999999999999999",
                None,
                Some(600),
            ),
            ("negative", "-1", None, None),
            ("a fraction", "1.5", None, None),
            ("a sign", "+5", None, None),
            ("empty", "", None, None),
            ("a word", "soon", None, None),
            (
                "a date by our clock",
                "Sun, 06 Nov 1994 08:50:07 GMT",
                None,
                Some(30),
            ),
            (
                "by the answer's clock",
                "Sun, 06 Nov 1994 08:59:20 GMT",
                ten_past,
                Some(20),
            ),
            (
                "an unreadable Date",
                "Sun, 06 Nov 1994 08:50:07 GMT",
                Some("now"),
                Some(30),
            ),
            (
                "a date in the old form",
                "Sunday, 06-Nov-94 08:50:07 GMT",
                None,
                Some(30),
            ),
            (
                "a date as asctime writes it",
                "Sun Nov  6 08:50:07 1994",
                None,
                Some(30),
            ),
            ("now", "Sun, 06 Nov 1994 08:49:37 GMT", None, Some(0)),
            ("the past", "Sun, 06 Nov 1994 08:49:07 GMT", None, Some(0)),
            (
                "the far future",
                "Fri, 31 Dec 9999 23:59:59 GMT",
                None,
                Some(600),
            ),
            ("no such day", "Sun, 36 Nov 1994 08:49:37 GMT", None, None),
        ];
        for (name, field, date, expected) in cases {
            assert_eq!(pause(field, date), expected, "{name}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), NOW), None, "no field");
        // A clock can show any time.
        let mut headers = HeaderMap::new();
        let date = HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT");
        headers.insert(RETRY_AFTER, date);
        for (now, expected) in [(i64::MIN, 600), (i64::MAX, 0)] {
            let pause = retry_after(&headers, UnixTime::from_seconds(now)).unwrap();
            assert_eq!(pause.as_secs(), expected);
        }
    }
}
