//! ID tokens: who signed in. They are judged as access tokens are, and then compared with the sign-in
//! that they answer
//! ([OpenID Connect Core §3.1.3.7](https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation)).

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::claims::Audience;
use crate::clock::UnixTime;
use crate::error::{ConfigError, VerifyError, VerifyErrorKind as Kind};
use crate::jwt::JoseHeader;
use crate::principal::Principal;
use crate::secret::{Secret, half_hash, is_same};
use crate::verify::token_kind::TokenKind;
use crate::verify::{Decision, Verifier};

/// Judges the ID tokens of one client.
#[derive(Debug, Clone)]
pub(crate) struct IdTokenVerifier {
    verifier: Verifier,
    client_id: Box<str>,
    /// Who else an ID token may be for.
    others: Vec<Audience>,
    leeway: Duration,
}

/// What the `nonce` of an ID token must be.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum Nonce<'a> {
    /// It is required and must be this. An empty text fits none.
    Is(&'a str),
    /// There must be none, because none was sent.
    Absent,
    /// It is not looked at.
    #[default]
    Any,
}

/// What an ID token is compared with.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Expected<'a> {
    pub(crate) nonce: Nonce<'a>,
    /// `at_hash`, if there is one, must be the hash of this.
    pub(crate) access_token: Option<&'a str>,
    /// `acr` must be one of these, unless the list is empty.
    pub(crate) acr_values: &'a [String],
    /// The user may have signed in this long ago. `auth_time` is then required.
    pub(crate) max_age: Option<Duration>,
    /// The token may have been issued this long ago.
    pub(crate) issued_within: Option<Duration>,
}

/// An ID token that was verified.
#[derive(Debug, Clone)]
pub(crate) struct IdToken {
    claims: Principal,
    members: Members,
}

/// An optional claim of another type than the standard's counts as absent, because providers differ. Where it is
/// asked for, its absence refuses the token.
#[derive(Debug, Clone, Deserialize)]
struct Members {
    sub: String,
    #[serde(default)]
    nonce: Value,
    #[serde(default)]
    azp: Value,
    #[serde(default)]
    acr: Value,
    #[serde(default)]
    at_hash: Value,
    #[serde(default)]
    sid: Value,
    #[serde(default)]
    auth_time: Value,
    #[serde(default)]
    session_expiry: Value,
}

impl IdTokenVerifier {
    /// Judges tokens for this client that may name these other audiences too.
    pub(crate) fn new(
        verifier: &Verifier,
        client_id: &str,
        others: Vec<Audience>,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            others,
            leeway: verifier.leeway(),
            verifier: verifier.of_kind(TokenKind::Id, client_id, None)?,
            client_id: client_id.into(),
        })
    }

    pub(crate) async fn verify(
        &self,
        token: &str,
        now: UnixTime,
        expected: &Expected<'_>,
    ) -> Result<IdToken, VerifyError> {
        let claims = self.verifier.verify(token).await?;
        self.compare(claims, now, expected)
    }

    /// The same with the keys at hand. `None` where keys must be fetched first.
    pub(crate) fn verify_now(
        &self,
        token: &str,
        now: UnixTime,
        expected: &Expected<'_>,
    ) -> Option<Result<IdToken, VerifyError>> {
        match self.verifier.decide(token.as_bytes()) {
            Decision::Accept(claims) => Some(self.compare(claims, now, expected)),
            Decision::Refuse(error) if error.kind() == Kind::Unavailable => None,
            Decision::Refuse(error) => Some(Err(error)),
            Decision::Wait(_) => None,
        }
    }

    /// Whether the provider of `issuer` signed this ID token, which names another issuer and is in order otherwise.
    pub(crate) fn is_signed_for_another(&self, token: &Secret, issuer: &str) -> bool {
        self.verifier.is_signed_for_another(token.expose(), issuer)
    }

    /// The principal of an ID token that was verified when it came and has been under seal since. It counts until
    /// `expires_at`.
    pub(crate) fn recall_sealed(&self, token: &Secret, expires_at: UnixTime) -> Option<Principal> {
        self.verifier.recall_sealed(token.expose(), expires_at)
    }

    fn compare(
        &self,
        claims: Principal,
        now: UnixTime,
        expected: &Expected<'_>,
    ) -> Result<IdToken, VerifyError> {
        // Only `sub` can be of the wrong type, and that was checked.
        let members: Members = claims
            .claims()
            .map_err(|_| VerifyError::claim(Kind::InvalidClaim, "sub"))?;
        let token = IdToken { claims, members };
        self.check(&token, now, expected)
            .map_err(|error| self.verifier.explain(error))?;
        Ok(token)
    }

    fn check(
        &self,
        token: &IdToken,
        now: UnixTime,
        expected: &Expected<'_>,
    ) -> Result<(), VerifyError> {
        let members = &token.members;
        let subject = &members.sub;
        if !subject.is_ascii() || !(1..=255).contains(&subject.len()) {
            return Err(VerifyError::claim(Kind::InvalidClaim, "sub"));
        }
        let must_be = |claim, is_so: bool| {
            if is_so {
                Ok(())
            } else {
                Err(VerifyError::claim(Kind::NotAskedFor, claim))
            }
        };
        let azp = members.azp.as_str();
        must_be("azp", azp.is_none_or(|azp| azp == &*self.client_id))?;
        // Another audience could use the token as its own. Unless it is listed, the provider must say that the
        // token was issued to this client.
        let is_expected = |named: &str| {
            *named == *self.client_id || self.others.iter().any(|other| other.as_str() == named)
        };
        if azp.is_none() && !token.claims.audiences().all(is_expected) {
            return Err(VerifyError::claim(Kind::WrongAudience, "aud"));
        }
        let nonce = &members.nonce;
        let is_nonce = match expected.nonce {
            Nonce::Is(sent) => {
                let found = nonce.as_str().unwrap_or_default();
                !sent.is_empty() && is_same(sent, found)
            }
            Nonce::Absent => nonce.is_null(),
            Nonce::Any => true,
        };
        must_be("nonce", is_nonce)?;
        if let (Some(access_token), false) = (expected.access_token, members.at_hash.is_null()) {
            let own = half_hash(hash_bits(&token.claims), access_token);
            let found = members.at_hash.as_str().unwrap_or_default();
            must_be("at_hash", is_same(found, &own))?;
        }
        if !expected.acr_values.is_empty() {
            let acr = members.acr.as_str();
            let is_one = |acr| expected.acr_values.iter().any(|wanted| wanted == acr);
            must_be("acr", acr.is_some_and(is_one))?;
        }
        let is_within = |time: Option<UnixTime>, age: Duration| {
            time.is_some_and(|time| now <= time.saturating_add(age).saturating_add(self.leeway))
        };
        if let Some(max_age) = expected.max_age {
            must_be("auth_time", is_within(token.auth_time(), max_age))?;
        }
        if let Some(age) = expected.issued_within {
            must_be("iat", is_within(token.claims.issued_at(), age))?;
        }
        Ok(())
    }
}

/// The length of the hash that belongs to the token's algorithm, in bits.
fn hash_bits(claims: &Principal) -> u16 {
    let header = JoseHeader::parse(claims.header_json()).unwrap_or_default();
    match header.alg.text() {
        Some("EdDSA") => 512,
        Some(name) => name
            .get(2..)
            .and_then(|bits| bits.parse().ok())
            .unwrap_or(256),
        None => 256,
    }
}

impl IdToken {
    pub(crate) fn issuer(&self) -> &str {
        self.claims.issuer().as_str()
    }

    pub(crate) fn subject(&self) -> &str {
        &self.members.sub
    }

    /// The session at the provider (`sid`). An empty name counts as absent.
    pub(crate) fn session(&self) -> Option<&str> {
        self.members.sid.as_str().filter(|sid| !sid.is_empty())
    }

    /// `iat`: when the provider issued it.
    pub(crate) fn issued_at(&self) -> Option<UnixTime> {
        self.claims.issued_at()
    }

    pub(crate) fn auth_time(&self) -> Option<UnixTime> {
        time(&self.members.auth_time)
    }

    /// When sessions that come of this token end at the latest
    /// (the `session_expiry` of the profiles of the [IPSIE working group](https://openid.net/wg/ipsie/)).
    pub(crate) fn session_expiry(&self) -> Option<UnixTime> {
        time(&self.members.session_expiry)
    }

    pub(crate) fn principal(&self) -> &Principal {
        &self.claims
    }

    pub(crate) fn audiences(&self) -> impl Iterator<Item = &str> {
        self.claims.audiences()
    }

    pub(crate) fn nonce(&self) -> Option<&str> {
        self.members.nonce.as_str()
    }

    pub(crate) fn claims_json(&self) -> &str {
        self.claims.claims_json()
    }
}

fn time(claim: &Value) -> Option<UnixTime> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the cast saturates, and a fraction of a second is dropped on purpose"
    )]
    let seconds = claim
        .as_i64()
        .or_else(|| claim.as_f64().map(|seconds| seconds as i64))?;
    Some(UnixTime::from_seconds(seconds))
}
