//! The cookies of sign-ins under way. There is a fixed number of them, each with a longest value, so that all of
//! them together stay within 6 KiB whatever number of tabs begin at once: tabs that do so do not send one another's
//! cookies, and only the names can make them give way.

use http::{HeaderMap, HeaderValue};

use crate::clock::UnixTime;
use crate::login::browser::cookie::{
    CookieNames, CookieValue, LONGEST_ATTEMPT_NAME, open_cookie, seal_cookie, sent,
};
use crate::login::browser::return_path::ReturnPath;
use crate::login::sessions::seal::{Purpose, SealError, Sealing};
use crate::login::sign_in::attempt::{LIFETIME, LoginAttempt, is_replacement};
use crate::secret::is_same;

/// Places for sign-ins with a short return path.
const SHORT_PLACES: usize = 5;
/// All places. The last one has room for a return path of 2 KiB.
const PLACES: usize = SHORT_PLACES + 1;

/// The longest value in a short place, and in the long one.
const SHORT: usize = 540;
const LONG: usize = 3_128;

/// A browser sends a cookie as `name=value; `.
const fn longest_sent(value: usize) -> usize {
    LONGEST_ATTEMPT_NAME + value + "=; ".len()
}

/// What all of them together may take of a request: nginx by default refuses a field of more than 8 KiB.
const LONGEST_TOGETHER: usize = 6 * 1024;
const _: () = assert!(SHORT_PLACES * longest_sent(SHORT) + longest_sent(LONG) <= LONGEST_TOGETHER);

/// What the cookies set by one answer may take: nginx by default refuses the head of an answer beyond 4 KiB.
const LONGEST_SET: usize = 3_500;
const ATTRIBUTES: usize = "; HttpOnly; SameSite=None; Secure; Path=/; Max-Age=600".len();
const _: () = assert!(LONGEST_ATTEMPT_NAME + "=".len() + LONG + ATTRIBUTES <= LONGEST_SET);

/// The sign-ins under way in a browser, by the cookies of one of its requests.
pub(crate) struct AttemptCookies<'a> {
    pub(crate) names: &'a CookieNames,
    pub(crate) sealing: &'a Sealing,
    pub(crate) headers: &'a HeaderMap,
}

impl AttemptCookies<'_> {
    /// The sign-in with this state, and the name of its cookie.
    pub(crate) fn find(&self, state: &str) -> Option<(String, LoginAttempt)> {
        (0..PLACES).find_map(|place| {
            let attempt = self.read(place)?;
            let is_it = is_same(attempt.state.expose(), state);
            is_it.then(|| (self.names.attempt(place), attempt))
        })
    }

    /// Whether any sign-in is under way.
    pub(crate) fn has_any(&self, now: UnixTime) -> bool {
        (0..PLACES).any(|place| self.running_since(place, now).is_some())
    }

    /// How many sign-ins are under way that replace others.
    pub(crate) fn replacements(&self, now: UnixTime) -> usize {
        let running = (0..PLACES).filter_map(|place| self.running(place, now));
        running
            .filter(|attempt| is_replacement(attempt.state.expose()))
            .count()
    }

    /// The field that keeps a sign-in. Its return path is shortened where no cookie has room for it.
    ///
    /// # Errors
    /// [`SealError`] if it cannot be sealed, or does not fit even with the shortest return path.
    pub(crate) fn keep(
        &self,
        attempt: &mut LoginAttempt,
        return_path: ReturnPath,
        now: UnixTime,
    ) -> Result<HeaderValue, SealError> {
        let mut return_path = Some(return_path);
        while let Some(path) = return_path {
            path.as_str().clone_into(&mut attempt.return_path);
            for place in [self.place_for(attempt, now), SHORT_PLACES] {
                let name = self.names.attempt(place);
                let value = seal_cookie(self.sealing, Purpose::LoginAttempt, &name, attempt)?;
                if value.len() <= longest_value(place) {
                    return Ok(self.names.set_attempt(&name, &value, LIFETIME));
                }
            }
            return_path = path.shortened();
        }
        Err(SealError)
    }

    /// The field that keeps of a sign-in whose code was sent where the user wanted to go, for as long as the
    /// browser may come back with the same address.
    pub(crate) fn keep_spent(&self, name: &str, mut attempt: LoginAttempt) -> Option<HeaderValue> {
        attempt.spend();
        let value = seal_cookie(self.sealing, Purpose::LoginAttempt, name, &attempt).ok()?;
        Some(self.names.set_attempt(name, &value, LIFETIME))
    }

    /// Where a sign-in is kept: in a place that is free, else in that of the oldest. Tabs that begin at once all see
    /// the same places free, so each begins at another one, by its state.
    fn place_for(&self, attempt: &LoginAttempt, now: UnixTime) -> usize {
        let state = attempt.state.expose().bytes();
        let first = state.map(usize::from).sum::<usize>() % SHORT_PLACES;
        let short = (0..SHORT_PLACES).map(|step| (first + step) % SHORT_PLACES);
        short
            .chain([SHORT_PLACES])
            .min_by_key(|place| self.running_since(*place, now))
            .unwrap_or(first)
    }

    /// When the sign-in in this place began. `None` if there is none, or it is over.
    fn running_since(&self, place: usize, now: UnixTime) -> Option<i64> {
        self.running(place, now).map(|attempt| attempt.started_at)
    }

    fn running(&self, place: usize, now: UnixTime) -> Option<LoginAttempt> {
        let attempt = self.read(place)?;
        let is_under_way = !attempt.is_expired(now) && !attempt.is_spent();
        is_under_way.then_some(attempt)
    }

    fn read(&self, place: usize) -> Option<LoginAttempt> {
        let name = self.names.attempt(place);
        let CookieValue::One(value) = sent(self.headers, &name) else {
            return None;
        };
        open_cookie(self.sealing, Purpose::LoginAttempt, &name, value)
    }
}

const fn longest_value(place: usize) -> usize {
    if place < SHORT_PLACES { SHORT } else { LONG }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::sessions::seal::KeyRing;
    use http::header::COOKIE;
    use std::collections::BTreeMap;

    const ISSUER: &str = "https://id.example";
    const CALLBACK: &str = "https://app.example.com/oauth/openid/callback";

    struct Browser {
        names: CookieNames,
        sealing: Sealing,
        jar: BTreeMap<String, String>,
    }

    impl Browser {
        fn new() -> Self {
            let keys = KeyRing::new(["a session secret of more than 32 characters"]).unwrap();
            Self {
                names: CookieNames::new(&"n".repeat(32), true).unwrap(),
                sealing: Sealing::new(keys, ISSUER, "a client", "https://app.example"),
                jar: BTreeMap::new(),
            }
        }

        fn headers(&self) -> HeaderMap {
            let pairs = self
                .jar
                .iter()
                .map(|(name, value)| format!("{name}={value}"));
            let field = pairs.collect::<Vec<_>>().join("; ");
            HeaderMap::from_iter([(COOKIE, HeaderValue::try_from(field).unwrap())])
        }

        /// Begins a sign-in that sees these cookies, and returns its state and the bytes of its field.
        fn begin(&mut self, seen: &HeaderMap, path: &str, now: i64) -> (String, usize) {
            let now = UnixTime::from_seconds(now);
            let mut attempt = LoginAttempt::new(ISSUER, CALLBACK, true, now).unwrap();
            attempt.max_age = Some(u64::MAX);
            let path = ReturnPath::parse(path).unwrap();
            let cookies = AttemptCookies {
                names: &self.names,
                sealing: &self.sealing,
                headers: seen,
            };
            let field = cookies.keep(&mut attempt, path, now).unwrap();
            let text = field.to_str().unwrap();
            let (name, rest) = text.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap().to_owned();
            self.jar.insert(name.to_owned(), value);
            (attempt.state.expose().to_owned(), text.len())
        }

        fn find(&self, state: &str) -> Option<LoginAttempt> {
            let headers = self.headers();
            let cookies = AttemptCookies {
                names: &self.names,
                sealing: &self.sealing,
                headers: &headers,
            };
            let (name, attempt) = cookies.find(state)?;
            assert!(self.jar.contains_key(&name));
            Some(attempt)
        }

        fn check_bounds(&self) {
            let sent: usize = self.jar.iter().map(|(n, v)| n.len() + v.len() + 3).sum();
            assert!(sent <= LONGEST_TOGETHER, "{sent}");
            assert!(self.jar.len() <= PLACES, "{:?}", self.jar.keys());
        }
    }

    /// Return paths of every length and kind, with where each comes to in the end.
    fn paths() -> Vec<String> {
        let lengths = [1, 20, 100, 140, 160, 400, 1_000, 2_000, 2_048];
        let of = |fill: &str| {
            let fill = fill.to_owned();
            lengths.map(move |length| format!("/{}", fill.repeat(length - 1)))
        };
        let with_query = lengths.map(|length| format!("/a?{}", "\"".repeat(length.max(4) - 3)));
        of("a").into_iter().chain(with_query).collect()
    }

    // LG-15
    #[test]
    fn all_cookies_together_are_bounded_whatever_begins_and_sees_what() {
        let empty = HeaderMap::new();
        for sees_others in [true, false] {
            let mut browser = Browser::new();
            for turn in 0..20 {
                for path in paths() {
                    let seen = if sees_others {
                        browser.headers()
                    } else {
                        empty.clone()
                    };
                    let (state, set) = browser.begin(&seen, &path, 1_000 + turn);
                    assert!(set <= LONGEST_SET, "{set}");
                    let kept = browser.find(&state).unwrap().return_path;
                    assert!(path.starts_with(&kept), "{path} {kept}");
                    browser.check_bounds();
                }
            }
        }
    }

    // LG-10
    #[test]
    fn a_path_of_two_kilobytes_fits_and_one_that_grows_in_json_gives_way() {
        let mut browser = Browser::new();
        let long = format!("/{}", "a".repeat(2_047));
        let (state, _) = browser.begin(&HeaderMap::new(), &long, 1_000);
        assert_eq!(browser.find(&state).unwrap().return_path, long);
        let quotes = format!("/a?{}", "\"".repeat(2_000));
        let (state, _) = browser.begin(&HeaderMap::new(), &quotes, 1_000);
        assert_eq!(browser.find(&state).unwrap().return_path, "/a");
    }

    // LG-15
    #[test]
    fn the_oldest_gives_way_and_before_it_what_is_over() {
        let mut browser = Browser::new();
        let mut states = Vec::new();
        for second in 0..6 {
            let seen = browser.headers();
            states.push(browser.begin(&seen, "/a", 1_000 + second).0);
        }
        assert!(states.iter().all(|state| browser.find(state).is_some()));
        let seen = browser.headers();
        let (seventh, _) = browser.begin(&seen, "/a", 1_010);
        assert!(browser.find(&states[0]).is_none(), "the oldest");
        assert!(browser.find(&seventh).is_some());
        assert!(
            states[1..]
                .iter()
                .all(|state| browser.find(state).is_some())
        );
        // The third's code is sent: it gives way before the second, which is older.
        let headers = browser.headers();
        let cookies = AttemptCookies {
            names: &browser.names,
            sealing: &browser.sealing,
            headers: &headers,
        };
        let (name, attempt) = cookies.find(&states[2]).unwrap();
        let field = cookies.keep_spent(&name, attempt).unwrap();
        let value = field.to_str().unwrap().split(['=', ';']).nth(1).unwrap();
        browser.jar.insert(name, value.to_owned());
        assert!(browser.find(&states[2]).unwrap().is_spent());
        let seen = browser.headers();
        let (eighth, _) = browser.begin(&seen, "/a", 1_011);
        assert!(browser.find(&states[2]).is_none() && browser.find(&states[1]).is_some());
        assert!(browser.find(&eighth).is_some());
        // A value that does not open here is a free place.
        for value in browser.jar.values_mut() {
            *value = "x".to_owned();
        }
        let seen = browser.headers();
        let (ninth, _) = browser.begin(&seen, "/a", 1_012);
        assert!(browser.find(&ninth).is_some());
    }
}
