//! The session's cookie. Its value is the session id and a short code that shows which application made it.
//! Another application on the same host may use a cookie of the same name, and its cookies are left alone.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue};

use crate::login::browser::cookie::{CookieNames, CookieValue, sent, values};
use crate::login::sessions::id::SessionId;
use crate::login::sessions::seal::Sealing;

/// The value of the cookie for a session.
pub(crate) fn value_of(id: &SessionId, sealing: &Sealing) -> String {
    let code = URL_SAFE_NO_PAD.encode(sealing.short_code(id.as_bytes()));
    id.to_cookie() + &code
}

/// The session that a browser names. `None` without a cookie, with one that is no session id, and with several.
pub(crate) fn named_by(headers: &HeaderMap, names: &CookieNames) -> Option<SessionId> {
    match sent(headers, &names.session) {
        CookieValue::One(value) => SessionId::parse(value),
        CookieValue::Nothing | CookieValue::Several => None,
    }
}

/// The field that clears the session's cookie, if this application made one that was sent. For a cookie whose
/// session the store does not know: the code gives no access.
pub(crate) fn clear_own(
    headers: &HeaderMap,
    names: &CookieNames,
    sealing: &Sealing,
) -> Option<HeaderValue> {
    values(headers, &names.session)
        .any(|value| is_own(value, sealing))
        .then(|| names.clear(&names.session))
}

fn is_own(value: &str, sealing: &Sealing) -> bool {
    let parts = SessionId::split_cookie(value);
    parts.is_some_and(|(id, code)| {
        let code = URL_SAFE_NO_PAD.decode(code).unwrap_or_default();
        sealing.has_short_code(id.as_bytes(), &code)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::sessions::seal::KeyRing;
    use http::header::COOKIE;

    // SC-16
    #[test]
    fn a_cookie_of_another_application_is_left_alone() {
        const OURS: &str = "a session secret of more than 32 characters";
        const FORMER: &str = "the session secret that was in use until today";
        let sealing_at = |secrets: &[&str], client, site| {
            let ring = KeyRing::new(secrets.iter().copied()).unwrap();
            Sealing::new(ring, "https://id.example", client, site)
        };
        let sealing =
            |secrets: &[&str], client| sealing_at(secrets, client, "https://shop.example");
        let here = sealing(&[OURS, FORMER], "shop");
        let names = CookieNames::new("session", true).unwrap();
        let clears = |value: &str| {
            let field = format!("x=1; __Host-session={value}");
            let headers = HeaderMap::from_iter([(COOKIE, HeaderValue::try_from(field).unwrap())]);
            clear_own(&headers, &names, &here).is_some()
        };
        let id = SessionId::random().unwrap();
        let own = value_of(&id, &here);
        assert_eq!(SessionId::parse(&own), Some(id.clone()));
        assert!(clears(&own));
        assert!(clears(&value_of(&id, &sealing(&[FORMER], "shop"))));
        assert!(clears(&format!("x; __Host-session={own}")), "one of two");
        for foreign in [
            value_of(
                &id,
                &sealing(&["another application's secret, as long"], "shop"),
            ),
            value_of(&id, &sealing(&[OURS], "another client")),
            value_of(
                &id,
                &sealing_at(&[OURS], "shop", "https://shop.example/other"),
            ),
            id.to_cookie(),
            String::new(),
            "eyJfcGVybWFuZW50Ijp0cnVlfQ.aR".to_owned(),
            own[1..].to_owned(),
            format!("{own}A"),
            format!("{}{}", SessionId::random().unwrap().to_cookie(), &own[43..]),
        ] {
            assert!(!clears(&foreign), "{foreign}");
        }
    }
}
