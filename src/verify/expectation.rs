//! The header and the claims that are expected of each kind of token: cheap checks on what is not
//! verified yet, which may refuse and never admit.

use std::borrow::Cow;
use std::time::Duration;

use crate::claims::Audience;
use crate::clock::UnixTime;
use crate::error::remedy::Cause;
use crate::error::setup::Found;
use crate::error::{VerifyError, VerifyErrorKind as Kind};
use crate::jwt::{JoseHeader, Json, Presence, UnverifiedClaims};
use crate::verify::token_kind::{TokenKind, TokenProfile, media_type_is};

/// The largest bound on a token's size, in bytes.
pub(super) const LARGEST_TOKEN_LIMIT: usize = 1024 * 1024;

/// What is expected of the tokens of every trusted issuer.
#[derive(Debug, Clone)]
pub(crate) struct Expectation {
    pub(crate) audiences: Vec<Audience>,
    /// The clients whose tokens need no audience.
    pub(crate) clients: Vec<Audience>,
    pub(crate) kind: TokenKind,
    pub(crate) leeway: Duration,
    pub(crate) max_age: Option<Duration>,
    pub(crate) allow_sender_constrained: bool,
}

/// The times of a token, checked.
pub(crate) struct Times {
    pub(crate) expires_at: UnixTime,
    pub(crate) issued_at: Option<UnixTime>,
    /// The first second at which the time checks pass, leeway included.
    pub(crate) valid_from: UnixTime,
    /// The first second at which they no longer pass.
    pub(crate) valid_until: UnixTime,
}

/// Checks `crit`, `typ` and `cty`. The caller checks `alg`.
pub(crate) fn screen_header(header: &JoseHeader, kind: TokenKind) -> Result<(), VerifyError> {
    // No extension is understood, so none can be critical (RFC 7515 §4.1.11).
    if header.crit != Presence::Absent {
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
        return Ok(());
    }
    let lenient = TokenKind::Access(TokenProfile::Lenient);
    let cause = match &header.typ {
        Json::Absent => Cause::AcceptedByLenient,
        Json::Text(typ) if kind.needs_typ() && lenient.is_called(typ) => Cause::AcceptedByLenient,
        _ => Cause::Usual,
    };
    Err(VerifyError::claim(Kind::TokenType, "typ").because(cause))
}

/// Whether the header says that this is an access token
/// ([RFC 9068 §2.1](https://www.rfc-editor.org/rfc/rfc9068#section-2.1)).
pub(crate) fn says_access_token(header: &JoseHeader) -> bool {
    header
        .typ
        .text()
        .is_some_and(|typ| media_type_is(typ, "at+jwt"))
}

impl Expectation {
    /// Checks all claims but `iss`. `says_access_token` is what the [header](says_access_token) says.
    pub(crate) fn screen(
        &self,
        claims: &UnverifiedClaims,
        says_access_token: bool,
        now: UnixTime,
    ) -> Result<Times, VerifyError> {
        self.refuse_other_kinds(claims, says_access_token)?;
        match claims.cnf {
            Presence::Null => return Err(VerifyError::claim(Kind::InvalidClaim, "cnf")),
            Presence::Present if !self.allow_sender_constrained => {
                return Err(VerifyError::claim(Kind::SenderConstrained, "cnf"));
            }
            Presence::Present | Presence::Absent => {}
        }
        self.screen_audience(claims)?;
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
                _ if self.kind.is_id_token() && !self.requires(name) => {}
                _ => return Err(VerifyError::claim(Kind::InvalidClaim, name)),
            }
        }
        Ok(times)
    }

    fn requires(&self, claim: &str) -> bool {
        self.kind.required().contains(&claim)
    }

    fn refuse_other_kinds(
        &self,
        claims: &UnverifiedClaims,
        says_access_token: bool,
    ) -> Result<(), VerifyError> {
        let is_present = |mark| mark == Presence::Present;
        let may_have_nonce = self.may_have_nonce(claims, says_access_token);
        let marks = [
            ("typ", self.is_called_otherwise(claims)),
            ("nonce", is_present(claims.nonce) && !may_have_nonce),
            ("scope", self.grants_something(claims)),
            ("at_hash", is_present(claims.at_hash)),
            ("c_hash", is_present(claims.c_hash)),
            ("s_hash", is_present(claims.s_hash)),
            ("events", is_present(claims.events)),
            ("htm", is_present(claims.htm)),
            ("htu", is_present(claims.htu)),
            (
                "token_introspection",
                is_present(claims.token_introspection),
            ),
        ];
        for (name, is_there) in marks {
            if is_there && self.kind.foreign().contains(&name) {
                return Err(VerifyError::claim(Kind::TokenKind, name));
            }
        }
        Ok(())
    }

    /// Whether an access token may carry the `nonce` of the sign-in that it comes from, as those of Keycloak before
    /// version 25, authentik and some policies of Azure AD B2C do: where something says that it is no ID token.
    fn may_have_nonce(&self, claims: &UnverifiedClaims, says_access_token: bool) -> bool {
        match self.kind {
            TokenKind::Access(profile) => {
                let is_lenient = profile == TokenProfile::Lenient;
                says_access_token
                    || claims.typ.text() == Some("Bearer")
                    || (is_lenient && (has_words(&claims.scope) || has_words(&claims.scp)))
            }
            #[cfg(feature = "login")]
            TokenKind::Id | TokenKind::Logout { .. } => false,
            // The provider was asked about an access token.
            #[cfg(feature = "introspection")]
            TokenKind::Introspected | TokenKind::IntrospectionAnswer => true,
        }
    }

    /// Whether an ID token that a client presents has scopes, as only access tokens have.
    fn grants_something(&self, claims: &UnverifiedClaims) -> bool {
        self.kind == TokenKind::Access(TokenProfile::IdToken)
            && (has_words(&claims.scope) || has_words(&claims.scp))
    }

    /// Whether the claim `typ`, by which Keycloak tells its tokens apart, names another kind than is expected.
    fn is_called_otherwise(&self, claims: &UnverifiedClaims) -> bool {
        let other = if self.kind.is_id_token() {
            "Bearer"
        } else {
            "ID"
        };
        let others = [other, "Refresh", "Offline", "Logout"];
        let typ = claims.typ.text();
        typ.is_some_and(|typ| others.iter().any(|other| typ.eq_ignore_ascii_case(other)))
    }

    fn screen_audience(&self, claims: &UnverifiedClaims) -> Result<(), VerifyError> {
        let aud = &claims.aud;
        let accepted = |named: &Cow<str>| {
            self.audiences
                .iter()
                .any(|own| own.as_str() == named.as_ref())
        };
        let is_ours = match aud {
            Json::Text(named) => accepted(named),
            Json::Texts(named) => named.iter().any(accepted),
            Json::Absent if self.is_of_named_client(claims) => true,
            Json::Absent => return Err(VerifyError::claim(Kind::MissingClaim, "aud")),
            _ => return Err(VerifyError::claim(Kind::InvalidClaim, "aud")),
        };
        if is_ours {
            return Ok(());
        }
        let found = || match aud {
            Json::Texts(named) => Found::new(named.iter().map(AsRef::as_ref)),
            other => Found::new(other.text()),
        };
        Err(VerifyError::claim(Kind::WrongAudience, "aud").having(found))
    }

    /// Whether a token without an audience was issued to a client that is named for this case.
    fn is_of_named_client(&self, claims: &UnverifiedClaims) -> bool {
        let client = claims.client_id.text();
        client.is_some_and(|client| self.clients.iter().any(|named| named.as_str() == client))
    }

    fn screen_times(&self, claims: &UnverifiedClaims, now: UnixTime) -> Result<Times, VerifyError> {
        let without_expiry = || {
            let counts = self.kind.counts_without_expiry();
            counts.map(|counts| now.saturating_add(counts))
        };
        let expires_at = numeric_date("exp", &claims.exp)?
            .or_else(without_expiry)
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
            (None, _) if needs_iat => {
                let cause = if self.requires("iat") {
                    Cause::Usual
                } else {
                    Cause::MaximumAge
                };
                return Err(VerifyError::claim(Kind::MissingClaim, "iat").because(cause));
            }
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

/// Whether a claim holds a word at least, as text or in an array.
fn has_words(claim: &Json) -> bool {
    let is_word = |text: &str| !text.trim().is_empty();
    match claim {
        Json::Text(text) => is_word(text),
        Json::Texts(texts) => texts.iter().any(|text| is_word(text)),
        _ => false,
    }
}

/// Seconds, perhaps with a fraction (RFC 7519 §2). A number too great to hold is the latest time there is.
pub(crate) fn numeric_date(
    name: &'static str,
    claim: &Json,
) -> Result<Option<UnixTime>, VerifyError> {
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

#[cfg(test)]
mod tests;
