//! What makes a JWT an access token: cheap checks on unverified claims, which may refuse and
//! never admit.

use std::borrow::Cow;
use std::time::Duration;

use crate::claims::{Audience, ScopeSet};
use crate::clock::UnixTime;
use crate::error::{VerifyError, VerifyErrorKind as Kind};
use crate::jwt::{JoseHeader, Json, UnverifiedClaims};

/// How much an access token must say of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TokenProfile {
    /// What Auth0, Entra ID, Okta and Keycloak issue: `typ` may be `JWT` or absent, and `iss`,
    /// `aud` and `exp` must be there. The default.
    #[default]
    Lenient,
    /// [RFC 9068 §4](https://www.rfc-editor.org/rfc/rfc9068#section-4): `typ` is `at+jwt`, and
    /// `sub`, `client_id`, `iat` and `jti` must be there too.
    Strict,
}

/// The kind of JWT that is expected (RFC 8725 §3.12): one can never pass for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Access(TokenProfile),
    /// [OpenID Connect Core §2](https://openid.net/specs/openid-connect-core-1_0.html#IDToken)
    #[cfg(feature = "login")]
    Id,
    /// [OpenID Connect Back-Channel Logout §2.4](https://openid.net/specs/openid-connect-backchannel-1_0.html#LogoutToken)
    #[cfg(feature = "login")]
    Logout,
}

impl TokenKind {
    /// Whether a `typ` says so, without its `application/`.
    fn is_called(self, typ: &str) -> bool {
        match self {
            Self::Access(TokenProfile::Strict) => media_type_is(typ, "at+jwt"),
            Self::Access(TokenProfile::Lenient) => {
                media_type_is(typ, "at+jwt") || media_type_is(typ, "jwt")
            }
            #[cfg(feature = "login")]
            Self::Id => media_type_is(typ, "jwt"),
            #[cfg(feature = "login")]
            Self::Logout => media_type_is(typ, "logout+jwt") || media_type_is(typ, "jwt"),
        }
    }

    /// Whether `typ` must be there.
    fn needs_typ(self) -> bool {
        self == Self::Access(TokenProfile::Strict)
    }

    /// The claims that must be there beside `iss`, `aud` and `exp`.
    fn required(self) -> &'static [&'static str] {
        match self {
            Self::Access(TokenProfile::Lenient) => &[],
            Self::Access(TokenProfile::Strict) => &["sub", "client_id", "iat", "jti"],
            #[cfg(feature = "login")]
            Self::Id => &["sub", "iat"],
            #[cfg(feature = "login")]
            Self::Logout => &["iat", "jti"],
        }
    }

    /// The claims that mark other kinds.
    fn foreign(self) -> &'static [&'static str] {
        match self {
            Self::Access(_) => &[
                "nonce",
                "at_hash",
                "c_hash",
                "events",
                "htm",
                "htu",
                "token_introspection",
            ],
            #[cfg(feature = "login")]
            Self::Id => &["events", "htm", "htu", "token_introspection"],
            #[cfg(feature = "login")]
            Self::Logout => &[
                "nonce",
                "at_hash",
                "c_hash",
                "htm",
                "htu",
                "token_introspection",
            ],
        }
    }
}

/// What is expected of a token, whoever issued it.
#[derive(Debug, Clone)]
pub(crate) struct Expectation {
    pub(crate) audiences: Vec<Audience>,
    pub(crate) kind: TokenKind,
    pub(crate) leeway: Duration,
    pub(crate) max_age: Option<Duration>,
    pub(crate) allow_sender_constrained: bool,
}

/// Times that were checked.
pub(crate) struct Times {
    pub(crate) expires_at: UnixTime,
    pub(crate) issued_at: Option<UnixTime>,
    /// The first moment at which the clock does not speak against it, leeway included.
    pub(crate) valid_from: UnixTime,
    /// The first moment at which it does again.
    pub(crate) valid_until: UnixTime,
}

/// The header: `crit`, `typ`, `cty`. Its algorithm is the caller's.
pub(crate) fn screen_header(header: &JoseHeader, kind: TokenKind) -> Result<(), VerifyError> {
    // No extension is understood, so none can be critical (RFC 7515 §4.1.11).
    if header.crit {
        return Err(VerifyError::claim(Kind::CriticalHeader, "crit"));
    }
    match &header.cty {
        Json::Absent => {}
        // A JWT within a JWT (RFC 7519 §5.2).
        Json::Text(content) if !media_type_is(content, "jwt") => {}
        _ => return Err(VerifyError::claim(Kind::TokenType, "cty")),
    }
    let is_expected = match &header.typ {
        Json::Absent => !kind.needs_typ(),
        Json::Text(typ) => kind.is_called(typ),
        _ => false,
    };
    if is_expected {
        Ok(())
    } else {
        Err(VerifyError::claim(Kind::TokenType, "typ"))
    }
}

/// RFC 7515 §4.1.9: a media type, without regard to case, whose `application/` may be left out.
fn media_type_is(value: &str, name: &str) -> bool {
    const PREFIX: &str = "application/";
    let name_of = match value.split_at_checked(PREFIX.len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) => rest,
        _ => value,
    };
    name_of.eq_ignore_ascii_case(name)
}

impl Expectation {
    /// The claims but for `iss`, which was used to find whose expectation this is.
    pub(crate) fn screen(
        &self,
        claims: &UnverifiedClaims,
        now: UnixTime,
    ) -> Result<Times, VerifyError> {
        self.refuse_other_kinds(claims)?;
        if claims.cnf && !self.allow_sender_constrained {
            return Err(VerifyError::claim(Kind::SenderConstrained, "cnf"));
        }
        self.screen_audience(&claims.aud)?;
        let times = self.screen_times(claims, now)?;
        for (name, claim) in [
            ("sub", &claims.sub),
            ("client_id", &claims.client_id),
            ("jti", &claims.jti),
        ] {
            match claim {
                Json::Absent if self.requires(name) => {
                    return Err(VerifyError::claim(Kind::MissingClaim, name));
                }
                Json::Absent => {}
                Json::Text(text) if !text.is_empty() => {}
                _ => return Err(VerifyError::claim(Kind::InvalidClaim, name)),
            }
        }
        Ok(times)
    }

    fn requires(&self, claim: &str) -> bool {
        self.kind.required().contains(&claim)
    }

    fn refuse_other_kinds(&self, claims: &UnverifiedClaims) -> Result<(), VerifyError> {
        let marks = [
            ("nonce", claims.nonce),
            ("at_hash", claims.at_hash),
            ("c_hash", claims.c_hash),
            ("events", claims.events),
            ("htm", claims.htm),
            ("htu", claims.htu),
            ("token_introspection", claims.token_introspection),
        ];
        for (name, is_present) in marks {
            if is_present && self.kind.foreign().contains(&name) {
                return Err(VerifyError::claim(Kind::TokenKind, name));
            }
        }
        Ok(())
    }

    fn screen_audience(&self, aud: &Json) -> Result<(), VerifyError> {
        let accepted = |named: &Cow<str>| {
            self.audiences
                .iter()
                .any(|own| own.as_str() == named.as_ref())
        };
        let is_ours = match aud {
            Json::Text(named) => accepted(named),
            Json::Texts(named) => named.iter().any(accepted),
            Json::Absent => return Err(VerifyError::claim(Kind::MissingClaim, "aud")),
            _ => return Err(VerifyError::claim(Kind::InvalidClaim, "aud")),
        };
        if is_ours {
            Ok(())
        } else {
            Err(VerifyError::claim(Kind::WrongAudience, "aud"))
        }
    }

    fn screen_times(&self, claims: &UnverifiedClaims, now: UnixTime) -> Result<Times, VerifyError> {
        let expires_at = numeric_date("exp", &claims.exp)?
            .ok_or_else(|| VerifyError::claim(Kind::MissingClaim, "exp"))?;
        let mut valid_until = expires_at.saturating_add(self.leeway);
        if now >= valid_until {
            return Err(VerifyError::claim(Kind::Expired, "exp"));
        }
        let mut valid_from = UnixTime::from_seconds(i64::MIN);
        let mut begins = |name, claim| {
            let time = numeric_date(name, claim)?;
            if let Some(time) = time {
                let from = time.saturating_sub(self.leeway);
                if now < from {
                    return Err(VerifyError::claim(Kind::NotYetValid, name));
                }
                valid_from = valid_from.max(from);
            }
            Ok(time)
        };
        begins("nbf", &claims.nbf)?;
        let issued_at = begins("iat", &claims.iat)?;
        let needs_iat = self.max_age.is_some() || self.requires("iat");
        match (issued_at, self.max_age) {
            (None, _) if needs_iat => return Err(VerifyError::claim(Kind::MissingClaim, "iat")),
            (Some(issued_at), Some(max_age)) => {
                let last = issued_at
                    .saturating_add(max_age)
                    .saturating_add(self.leeway);
                if now > last {
                    return Err(VerifyError::claim(Kind::TooOld, "iat"));
                }
                valid_until = valid_until.min(last.saturating_add(Duration::from_secs(1)));
            }
            _ => {}
        }
        Ok(Times {
            expires_at,
            issued_at,
            valid_from,
            valid_until,
        })
    }
}

/// RFC 7519 §2: seconds, perhaps with a fraction. What is too far away to hold is the end of time.
fn numeric_date(name: &'static str, claim: &Json) -> Result<Option<UnixTime>, VerifyError> {
    let seconds = match claim {
        Json::Absent => return Ok(None),
        Json::Unsigned(seconds) => i64::try_from(*seconds).unwrap_or(i64::MAX),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the cast saturates, and a fraction of a second is dropped on purpose"
        )]
        Json::Float(seconds) if *seconds >= 0.0 => *seconds as i64,
        _ => return Err(VerifyError::claim(Kind::InvalidClaim, name)),
    };
    Ok(Some(UnixTime::from_seconds(seconds)))
}

/// The scopes of the first scope claim there is: `scope` as delimited text (RFC 9068 §2.2.3), or
/// `scp` as text or array. A claim of another type grants nothing.
pub(crate) fn scopes(claims: &UnverifiedClaims) -> ScopeSet {
    match (&claims.scope, &claims.scp) {
        (Json::Text(text), _) | (Json::Absent, Json::Text(text)) => ScopeSet::from_delimited(text),
        (Json::Absent, Json::Texts(words)) => ScopeSet::from_words(words.iter().map(AsRef::as_ref)),
        _ => ScopeSet::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_seconds(1_000_000);

    fn expectation(profile: TokenProfile, leeway: u64) -> Expectation {
        Expectation {
            audiences: vec![
                Audience::new("api").unwrap(),
                Audience::new("https://b/").unwrap(),
            ],
            kind: TokenKind::Access(profile),
            leeway: Duration::from_secs(leeway),
            max_age: None,
            allow_sender_constrained: false,
        }
    }

    fn screen(expectation: &Expectation, claims: &str) -> Result<(), (Kind, Option<&'static str>)> {
        let claims = UnverifiedClaims::parse(claims).unwrap();
        expectation
            .screen(&claims, NOW)
            .map(|_| ())
            .map_err(|error| (error.kind(), error.claim_name()))
    }

    fn lenient(claims: &str) -> Result<(), (Kind, Option<&'static str>)> {
        screen(&expectation(TokenProfile::Lenient, 0), claims)
    }

    #[test]
    fn cl_01_to_cl_05_times() {
        let with = |claims: &str| lenient(&format!(r#"{{"aud":"api",{claims}}}"#));
        let cases = [
            (r#""exp":1000001"#, Ok(())),
            (r#""exp":1000000"#, Err((Kind::Expired, "exp"))),
            (r#""exp":4.1e9"#, Ok(())),
            (r#""exp":1000000.9"#, Err((Kind::Expired, "exp"))),
            (r#""exp":1e18"#, Ok(())),
            (r#""exp":18446744073709551616"#, Ok(())),
            (r#""exp":18446744073709551615"#, Ok(())),
            (r#""exp":0"#, Err((Kind::Expired, "exp"))),
            (r#""exp":-1"#, Err((Kind::InvalidClaim, "exp"))),
            (r#""exp":-1.5"#, Err((Kind::InvalidClaim, "exp"))),
            (r#""exp":"1000001""#, Err((Kind::InvalidClaim, "exp"))),
            (r#""exp":true"#, Err((Kind::InvalidClaim, "exp"))),
            (r#""exp":null"#, Err((Kind::InvalidClaim, "exp"))),
            (r#""exp":[1000001]"#, Err((Kind::InvalidClaim, "exp"))),
            (r#""x":1"#, Err((Kind::MissingClaim, "exp"))),
            (r#""exp":2000000,"nbf":1000000"#, Ok(())),
            (
                r#""exp":2000000,"nbf":1000001"#,
                Err((Kind::NotYetValid, "nbf")),
            ),
            (
                r#""exp":2000000,"nbf":"1""#,
                Err((Kind::InvalidClaim, "nbf")),
            ),
            (
                r#""exp":2000000,"iat":1000001"#,
                Err((Kind::NotYetValid, "iat")),
            ),
            (
                r#""exp":2000000,"iat":"1""#,
                Err((Kind::InvalidClaim, "iat")),
            ),
            (r#""exp":2000000,"iat":0"#, Ok(())),
        ];
        for (claims, expected) in cases {
            assert_eq!(
                with(claims),
                expected.map_err(|(kind, claim): (Kind, &'static str)| (kind, Some(claim))),
                "{claims}"
            );
        }
    }

    #[test]
    fn cl_02_the_leeway_is_added_on_both_sides() {
        let expectation = expectation(TokenProfile::Lenient, 60);
        let at = |claims: &str| screen(&expectation, &format!(r#"{{"aud":"api",{claims}}}"#));
        assert_eq!(at(r#""exp":999941"#), Ok(()));
        assert_eq!(at(r#""exp":999940"#), Err((Kind::Expired, Some("exp"))));
        assert_eq!(at(r#""exp":2000000,"nbf":1000060"#), Ok(()));
        assert_eq!(
            at(r#""exp":2000000,"nbf":1000061"#),
            Err((Kind::NotYetValid, Some("nbf")))
        );
    }

    #[test]
    fn cl_05_a_maximum_age_makes_iat_required() {
        let expectation = Expectation {
            max_age: Some(Duration::from_secs(300)),
            ..expectation(TokenProfile::Lenient, 0)
        };
        let at = |claims: &str| {
            screen(
                &expectation,
                &format!(r#"{{"aud":"api","exp":2000000{claims}}}"#),
            )
        };
        assert_eq!(at(r#","iat":999700"#), Ok(()));
        assert_eq!(at(r#","iat":999699"#), Err((Kind::TooOld, Some("iat"))));
        assert_eq!(at(""), Err((Kind::MissingClaim, Some("iat"))));
    }

    #[test]
    fn cl_09_and_cl_10_audiences_are_compared_whole() {
        let with = |aud: &str| lenient(&format!(r#"{{"exp":2000000,"aud":{aud}}}"#));
        for good in [
            r#""api""#,
            r#"["api"]"#,
            r#"["evil","api"]"#,
            r#""https://b/""#,
        ] {
            assert_eq!(with(good), Ok(()), "{good}");
        }
        for wrong in [
            r#""evil""#,
            r#"["evil"]"#,
            "[]",
            r#""""#,
            r#""API""#,
            r#""ap""#,
            r#""apis""#,
            r#""api ""#,
            r#""evil api""#,
            r#""https://b""#,
            r#""https://b/c""#,
            r#"["openid api"]"#,
        ] {
            assert_eq!(
                with(wrong),
                Err((Kind::WrongAudience, Some("aud"))),
                "{wrong}"
            );
        }
        for bad in [
            r#"["api",7]"#,
            "[7]",
            "7",
            "{}",
            "null",
            r#"{"api":1}"#,
            r#"[["api"]]"#,
            "true",
        ] {
            assert_eq!(with(bad), Err((Kind::InvalidClaim, Some("aud"))), "{bad}");
        }
        assert_eq!(
            lenient(r#"{"exp":2000000}"#),
            Err((Kind::MissingClaim, Some("aud")))
        );
    }

    #[test]
    fn cl_11_a_subject_is_a_text_that_is_not_empty() {
        let with = |sub: &str| lenient(&format!(r#"{{"aud":"api","exp":2000000,"sub":{sub}}}"#));
        assert_eq!(with(r#""auth0|7""#), Ok(()));
        for bad in ["7", r#""""#, "null", "[]", "{}"] {
            assert_eq!(with(bad), Err((Kind::InvalidClaim, Some("sub"))), "{bad}");
        }
    }

    #[test]
    fn cl_12_other_kinds_of_token_are_refused() {
        for (name, value) in [
            ("nonce", "\"n\""),
            ("at_hash", "\"h\""),
            ("c_hash", "\"h\""),
            ("events", "{}"),
            ("htm", "\"GET\""),
            ("htu", "\"https://a\""),
            ("token_introspection", "{}"),
        ] {
            let claims = format!(r#"{{"aud":"api","exp":2000000,"{name}":{value}}}"#);
            assert_eq!(
                lenient(&claims),
                Err((Kind::TokenKind, Some(name))),
                "{name}"
            );
        }
    }

    #[test]
    fn mt_02_a_bound_token_is_no_bearer_token_unless_allowed() {
        let claims = r#"{"aud":"api","exp":2000000,"cnf":{"jkt":"x"}}"#;
        assert_eq!(lenient(claims), Err((Kind::SenderConstrained, Some("cnf"))));
        let allowing = Expectation {
            allow_sender_constrained: true,
            ..expectation(TokenProfile::Lenient, 0)
        };
        assert_eq!(screen(&allowing, claims), Ok(()));
    }

    #[test]
    fn at_02_the_strict_profile_wants_every_claim() {
        let strict = expectation(TokenProfile::Strict, 0);
        let all = [
            ("aud", "\"api\""),
            ("exp", "2000000"),
            ("iat", "1"),
            ("sub", "\"s\""),
            ("client_id", "\"c\""),
            ("jti", "\"j\""),
        ];
        let without = |left_out: &str| {
            let members: Vec<_> = all
                .iter()
                .filter(|(name, _)| *name != left_out)
                .map(|(name, value)| format!("\"{name}\":{value}"))
                .collect();
            format!("{{{}}}", members.join(","))
        };
        assert_eq!(screen(&strict, &without("")), Ok(()));
        for (name, _) in all {
            assert_eq!(
                screen(&strict, &without(name)),
                Err((Kind::MissingClaim, Some(name)))
            );
        }
    }

    #[test]
    fn at_01_at_03_and_js_12_what_typ_may_say() {
        let typ = |typ: &str, profile| {
            let text = format!(r#"{{"alg":"RS256"{typ}}}"#);
            screen_header(
                &JoseHeader::parse(&text).unwrap(),
                TokenKind::Access(profile),
            )
            .is_ok()
        };
        let cases = [
            (r#","typ":"at+jwt""#, true, true),
            (r#","typ":"AT+JWT""#, true, true),
            (r#","typ":"application/at+jwt""#, true, true),
            (r#","typ":"Application/AT+jwt""#, true, true),
            (r#","typ":"JWT""#, true, false),
            (r#","typ":"jwt""#, true, false),
            (r#","typ":"application/jwt""#, true, false),
            ("", true, false),
            (r#","typ":"logout+jwt""#, false, false),
            (r#","typ":"dpop+jwt""#, false, false),
            (r#","typ":"at+jwt; a=b""#, false, false),
            (r#","typ":"JOSE""#, false, false),
            (r#","typ":"""#, false, false),
            (r#","typ":null"#, false, false),
            (r#","typ":7"#, false, false),
        ];
        for (text, in_lenient, in_strict) in cases {
            assert_eq!(
                typ(text, TokenProfile::Lenient),
                in_lenient,
                "lenient {text}"
            );
            assert_eq!(typ(text, TokenProfile::Strict), in_strict, "strict {text}");
        }
    }

    #[test]
    fn js_08_and_js_14_critical_and_nested_headers_are_refused() {
        for text in [
            r#"{"crit":[]}"#,
            r#"{"crit":["b64"],"b64":false}"#,
            r#"{"crit":["exp"],"exp":1}"#,
            r#"{"crit":null}"#,
            r#"{"crit":"b64"}"#,
            r#"{"cty":"JWT"}"#,
            r#"{"cty":"application/jwt"}"#,
            r#"{"cty":7}"#,
        ] {
            let header = JoseHeader::parse(text).unwrap();
            assert!(
                screen_header(&header, TokenKind::Access(TokenProfile::Lenient)).is_err(),
                "{text}"
            );
        }
        // Without crit, b64 is just a member nobody reads (JS-09).
        let header = JoseHeader::parse(r#"{"b64":false}"#).unwrap();
        assert!(screen_header(&header, TokenKind::Access(TokenProfile::Lenient)).is_ok());
    }

    #[test]
    fn az_02_to_az_04_where_scopes_are_read() {
        let cases = [
            (r#"{"scope":"a b"}"#, "a b"),
            (r#"{"scp":"a b"}"#, "a b"),
            (r#"{"scp":["a","b"]}"#, "a b"),
            (r#"{"scp":["a",7]}"#, ""),
            (r#"{"scope":["a","b"]}"#, ""),
            (r#"{"scope":7,"scp":"a"}"#, ""),
            (r#"{"scope":"a","scp":"b"}"#, "a"),
            (r#"{"scope":{"a":1}}"#, ""),
            (r#"{"permissions":["a"],"roles":["b"]}"#, ""),
            ("{}", ""),
        ];
        for (claims, expected) in cases {
            let claims = UnverifiedClaims::parse(claims).unwrap();
            assert_eq!(scopes(&claims).to_string(), expected);
        }
    }
}
