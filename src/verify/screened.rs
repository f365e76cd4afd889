//! Between the claims and the key: whose token it says it is, and what becomes of it when the
//! signature is good.

use std::borrow::Cow;
use std::ops::Range;

use crate::claims::{Issuer, ScopeSet};
use crate::clock::UnixTime;
use crate::error::{VerifyError, VerifyErrorKind as Kind};
use crate::jwt::{Algorithm, DecodedJws, Json, Signature, UnverifiedClaims};
use crate::keys::jwk_set::{Choice, Holder};
use crate::keys::public_key::PublicKey;
use crate::keys::remote::KeySet;
use crate::principal::{Principal, Verified};
use crate::verify::profile::{Times, scopes};
use crate::verify::{Inner, Trusted};

impl Inner {
    /// The issuer a token names, if it is one of the configured. The name only chooses among
    /// them; whether the token is theirs, their keys tell.
    pub(super) fn trust(&self, claims: &UnverifiedClaims) -> Result<&Trusted, VerifyError> {
        let iss = match &claims.iss {
            Json::Text(iss) => iss.as_ref(),
            Json::Absent => return Err(VerifyError::claim(Kind::MissingClaim, "iss")),
            _ => return Err(VerifyError::claim(Kind::InvalidClaim, "iss")),
        };
        let trusted = self
            .trusted
            .iter()
            .find(|trusted| trusted.named.issuer.as_str() == iss)
            .ok_or_else(|| self.why_not_trusted(iss, claims))?;
        match &trusted.named.tenant {
            Some(tenant) if claims.tid.text() != Some(tenant) => {
                Err(VerifyError::claim(Kind::WrongTenant, "tid"))
            }
            _ => Ok(trusted),
        }
    }

    fn why_not_trusted(&self, iss: &str, claims: &UnverifiedClaims) -> VerifyError {
        let is_other_tenant = claims.tid.text().is_some_and(|tenant| {
            self.trusted
                .iter()
                .any(|trusted| trusted.provider.issuer_of_tenant(tenant).as_deref() == Some(iss))
        });
        if is_other_tenant {
            VerifyError::claim(Kind::WrongTenant, "tid")
        } else {
            VerifyError::claim(Kind::WrongIssuer, "iss")
        }
    }

    /// The scopes of the token, those of further claims, and those implied by them.
    fn scopes(&self, claims: &UnverifiedClaims, payload: &str) -> ScopeSet {
        let own = scopes(claims);
        if self.scope_claims.is_empty() && self.implied_scopes.is_empty() {
            return own;
        }
        let mut words: Vec<String> = own.iter().map(str::to_owned).collect();
        if let Ok(serde_json::Value::Object(all)) = serde_json::from_str(payload) {
            for name in &self.scope_claims {
                words.extend(further_scopes(all.get(name)));
            }
        }
        let mut at = 0;
        while let Some(word) = words.get(at).cloned() {
            for (broader, narrower) in &self.implied_scopes {
                if broader.as_str() == word && !words.iter().any(|word| word == narrower.as_str()) {
                    words.push(narrower.as_str().to_owned());
                }
            }
            at += 1;
        }
        ScopeSet::from_words(words.iter().map(String::as_str))
    }
}

/// Text is split on spaces; an array counts only if it holds nothing but text.
fn further_scopes(claim: Option<&serde_json::Value>) -> Vec<String> {
    match claim {
        Some(serde_json::Value::String(text)) => text
            .split(' ')
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect(),
        Some(serde_json::Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// A token that nothing speaks against but the missing look at its signature.
pub(super) struct Screened<'a> {
    pub(super) trusted: &'a Trusted,
    pub(super) now: UnixTime,
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<Cow<'a, str>>,
    pub(super) signature: Signature,
    pub(super) claims: UnverifiedClaims<'a>,
    pub(super) times: Times,
}

impl Screened<'_> {
    pub(super) fn check_signature(
        &self,
        inner: &Inner,
        jws: &DecodedJws,
        keys: &KeySet,
    ) -> Result<(), VerifyError> {
        let issuer = self.trusted.named.issuer.as_str();
        if !self.trusted.provider.is_called(issuer, keys) {
            return Err(VerifyError::claim(Kind::WrongIssuer, "iss"));
        }
        let is_listed = keys
            .listed
            .is_none_or(|listed| listed.contains(self.algorithm));
        if inner.narrowed_by_provider && !is_listed {
            return Err(VerifyError::claim(Kind::Algorithm, "alg"));
        }
        let holder = Holder {
            issuer,
            tenant: self.trusted.named.tenant.as_deref(),
        };
        let verifies = |key: &PublicKey| key.verifies(jws.signing_input, self.signature.as_bytes());
        match keys
            .jwks
            .choose(self.kid.as_deref(), self.algorithm, &holder)
        {
            Choice::One(key) if verifies(key) => Ok(()),
            Choice::One(_) => Err(Kind::BadSignature.into()),
            Choice::Candidates(keys) if keys.iter().any(|key| verifies(key)) => Ok(()),
            // The token names no key, so that it may have been signed with a new one.
            Choice::Candidates(_) | Choice::Unknown => Err(Kind::UnknownKey.into()),
            Choice::OtherAlgorithm => Err(VerifyError::claim(Kind::Algorithm, "alg")),
            Choice::Ambiguous => Err(Kind::AmbiguousKey.into()),
        }
    }

    pub(super) fn into_facts(self, inner: &Inner, payload: &str) -> Facts {
        let scopes = inner.scopes(&self.claims, payload);
        let claims = self.claims;
        let text = |claim: Json| claim.into_text().map(|text| Box::from(text.as_ref()));
        Facts {
            issuer: self.trusted.named.issuer.clone(),
            trusted: self.trusted.place,
            now: self.now,
            scopes,
            audience: match claims.aud {
                Json::Texts(named) => named
                    .iter()
                    .map(|named| Box::from(named.as_ref()))
                    .collect(),
                other => text(other).into_iter().collect(),
            },
            subject: text(claims.sub),
            client_id: text(claims.client_id).or_else(|| text(claims.azp)),
            times: self.times,
        }
    }
}

/// What a principal is made of, free of the token it was read from.
pub(super) struct Facts {
    issuer: Issuer,
    /// Whose it is: a place in the verifier's list.
    pub(super) trusted: usize,
    /// When that was found.
    pub(super) now: UnixTime,
    scopes: ScopeSet,
    audience: Box<[Box<str>]>,
    subject: Option<Box<str>>,
    client_id: Option<Box<str>>,
    times: Times,
}

impl Facts {
    /// From when and until when the clock does not speak against the token.
    pub(super) fn window(&self) -> Range<UnixTime> {
        self.times.valid_from..self.times.valid_until
    }

    pub(super) fn into_principal(self, jws: DecodedJws) -> Principal {
        let (text, claims_at) = jws.into_text();
        Principal::verified(Verified {
            issuer: self.issuer,
            subject: self.subject,
            audience: self.audience,
            scopes: self.scopes,
            expires_at: self.times.expires_at,
            issued_at: self.times.issued_at,
            client_id: self.client_id,
            text,
            claims_at,
        })
    }
}
